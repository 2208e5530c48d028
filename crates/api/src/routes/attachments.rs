//! `/v3/grants/{grant}/attachments`, and the same below a message.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use postfleet_core::Problem;
use postfleet_core::id::MessageId;
use postfleet_mailbox::messages;
use postfleet_schema::message::Attachment;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const MESSAGE: &[Parameter] = &[Parameter::new(
        "message_id",
        Kind::Text,
        "The message that it is attached to; any of the mailbox if absent.",
    )];
    const DOWNLOAD: &str = "Its bytes after decoding, as a file to be saved: always `application/octet-stream`, with \
        the file's name in `Content-Disposition`.";
    vec![
        Route::get("/v3/grants/{grant}/messages/{message}/attachments/{attachment}", "messages.read", find_in_message)
            .about("Describe an attachment", "By way of its message: its name, type and size.")
            .answers::<Attachment>(),
        Route::get(
            "/v3/grants/{grant}/messages/{message}/attachments/{attachment}/download",
            "messages.read",
            download_in_message,
        )
        .about("Download an attachment", DOWNLOAD)
        .answers_file("application/octet-stream"),
        Route::get("/v3/grants/{grant}/attachments/{attachment}", "messages.read", find)
            .about("Describe an attachment", "Its name, type and size.")
            .query(MESSAGE)
            .answers::<Attachment>(),
        Route::get("/v3/grants/{grant}/attachments/{attachment}/download", "messages.read", download)
            .about("Download an attachment", DOWNLOAD)
            .query(MESSAGE)
            .answers_file("application/octet-stream"),
    ]
}

/// `GET /v3/grants/{grant}/attachments/{attachment}`
pub(crate) async fn find(call: Call) -> Answer {
    let (attachment, _) = load(&call, message_parameter(&call)?, 1).await?;
    Ok(respond::single(&call.id, attachment))
}

/// `GET /v3/grants/{grant}/attachments/{attachment}/download`
pub(crate) async fn download(call: Call) -> Answer {
    let (attachment, octets) = load(&call, message_parameter(&call)?, 1).await?;
    Ok(as_file(&attachment, octets))
}

/// `GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}`
pub(crate) async fn find_in_message(call: Call) -> Answer {
    let (attachment, _) = load(&call, Some(call.id_at(1)?), 2).await?;
    Ok(respond::single(&call.id, attachment))
}

/// `GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}/download`
pub(crate) async fn download_in_message(call: Call) -> Answer {
    let (attachment, octets) = load(&call, Some(call.id_at(1)?), 2).await?;
    Ok(as_file(&attachment, octets))
}

fn message_parameter(call: &Call) -> Result<Option<MessageId>, Problem> {
    let query = Query::of(&call.parts)?;
    let id = query.get("message_id").filter(|id| !id.is_empty());
    id.map(|id| id.parse().map_err(|_| Problem::not_found())).transpose()
}

async fn load(call: &Call, message: Option<MessageId>, index: usize) -> Result<(Attachment, Vec<u8>), Problem> {
    let grant = call.grant().await?;
    messages::attachment(&call.platform.store, grant.id, &call.path[index], message).await
}

/// The bytes as a file to be saved. What a sender calls a page or an image is never shown as one by a browser.
fn as_file(attachment: &Attachment, octets: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(octets));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = percent_encoding::utf8_percent_encode(&attachment.filename, percent_encoding::NON_ALPHANUMERIC);
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename*=UTF-8''{name}")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
