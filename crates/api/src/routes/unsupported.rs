//! Routes that clients know of and that mailboxes here do not have: they are refused in the words that clients expect,
//! so that nobody takes a wrong path for a wrong request.

use crate::call::Call;
use crate::respond::Answer;
use crate::route::{Answers, Route, Shape};
use postfleet_core::{Problem, ProblemKind};
use postfleet_schema::error::ErrorEnvelope;

/// The routes of these resources.
pub(crate) fn routes() -> Vec<Route> {
    let upload = |path| {
        Route::post(path, "messages.send", upload)
            .about(
                "Upload sessions",
                "Not for these mailboxes, so always 401: files are sent with their message or draft.",
            )
            .answers_with(Answers::Bare(401, Shape::of::<ErrorEnvelope>()))
    };
    let compose = |path| {
        Route::post(path, "messages.read", compose)
            .about("Writing by machine", "There is none here, so always 404.")
            .answers_with(Answers::Bare(404, Shape::of::<ErrorEnvelope>()))
    };
    vec![
        upload("/v3/grants/{grant}/attachment-uploads"),
        upload("/v3/grants/{grant}/attachment-uploads/{upload}/complete"),
        compose("/v3/grants/{grant}/messages/smart-compose"),
        compose("/v3/grants/{grant}/messages/{message}/smart-compose"),
    ]
}

/// `POST /v3/grants/{grant}/attachment-uploads` and `…/{upload}/complete`
pub(crate) async fn upload(call: Call) -> Answer {
    call.grant().await?;
    let text = "attachment upload sessions are only for Microsoft mailboxes: send files with their message or draft";
    Err(Problem::new(ProblemKind::Unauthenticated, "unsupported_by_provider", text))
}

/// `POST /v3/grants/{grant}/messages/smart-compose` and `…/messages/{message}/smart-compose`
pub(crate) async fn compose(call: Call) -> Answer {
    call.grant().await?;
    Err(Problem::not_found())
}
