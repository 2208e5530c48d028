//! `/v3/grants/{grant}/messages/schedules`.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Answers, Kind, Parameter, Route, Shape};
use axum::http::StatusCode;
use postfleet_core::id::ScheduleId;
use postfleet_core::{Problem, UnixMicros};
use postfleet_mailflow::schedules as flow;
use postfleet_schema::page::Single;
use postfleet_schema::schedule::{ScheduleCancelled, ScheduleStatus, ScheduledMessage};
use postfleet_store::schedules::{self, Schedule, Status};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const PAGE: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 200 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    ];
    const PATH: &str = "/v3/grants/{grant}/messages/schedules/{schedule}";
    vec![
        Route::get("/v3/grants/{grant}/messages/schedules", "messages.read", list)
            .about("List scheduled sends", "Newest first. What is over is kept for 72 hours.")
            .query(PAGE)
            .lists::<ScheduledMessage>(),
        Route::get(PATH, "messages.read", find)
            .about("Find a scheduled send", "What is over is kept for 72 hours.")
            .answers::<ScheduledMessage>(),
        Route::delete(PATH, "messages.send", cancel)
            .about("Cancel a scheduled send", CANCEL)
            .answers_with(Answers::Single(StatusCode::ACCEPTED.as_u16(), Shape::of::<ScheduleCancelled>())),
    ]
}

const CANCEL: &str = "It is not sent; a message that is a draft stays one. Refused with 409 in the last 10 seconds before \
    its time, and once it is over. To cancel again what was cancelled is the same answer.";

/// `GET /v3/grants/{grant}/messages/schedules`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let limit = query.limit(200, 200)?;
    let wrong = |_| Problem::invalid("page_token", "page_token is not a cursor of this list");
    let before = query.get("page_token").filter(|token| !token.is_empty());
    let before = before.map(|token| token.parse::<ScheduleId>().map_err(wrong)).transpose()?;
    let mut reader = call.platform.store.reader().await?;
    let mut page = schedules::list(&mut reader, grant, before, limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(respond::page(&call.id, page.into_iter().map(shown).collect(), next))
}

/// `GET /v3/grants/{grant}/messages/schedules/{schedule}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let mut reader = call.platform.store.reader().await?;
    let schedule = schedules::find(&mut reader, grant, call.id_at(1)?).await?.ok_or_else(Problem::not_found)?;
    Ok(respond::single(&call.id, shown(schedule)))
}

/// `DELETE /v3/grants/{grant}/messages/schedules/{schedule}`
pub(crate) async fn cancel(call: Call) -> Answer {
    let grant = call.grant().await?;
    flow::cancel(&call.platform, &grant, call.id_at(1)?).await?;
    let data = ScheduleCancelled { message: "requested cancelation for workflow" };
    Ok(respond::json(StatusCode::ACCEPTED, &call.id, &Single { request_id: call.id.0.clone(), data }))
}

/// The texts are those of the hosted service, as far as it has any.
fn shown(schedule: Schedule) -> ScheduledMessage {
    let description = match (schedule.status, schedule.reason) {
        (Status::Pending, _) => "schedule send awaiting send at time".to_owned(),
        (Status::Success, _) => "schedule send succeeded".to_owned(),
        (Status::Cancelled, _) => "schedule send cancelled".to_owned(),
        (Status::Failed, reason) => format!("schedule send failed: {}", reason.unwrap_or_default()),
    };
    ScheduledMessage {
        schedule_id: schedule.id.to_string(),
        status: ScheduleStatus { code: schedule.status.name(), description },
        close_time: schedule.closed_at.map(UnixMicros::as_seconds),
        send_at: schedule.send_at.as_seconds(),
        use_draft: schedule.use_draft,
        message_id: schedule.message_id.to_string(),
    }
}
