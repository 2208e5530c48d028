//! `POST /v3/grants/{grant}/messages/send`.

use crate::call::Call;
use crate::error;
use crate::extract::{SEND_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use postfleet_core::Problem;
use postfleet_core::UnixMicros;
use postfleet_core::quota::Allowance;
use postfleet_mail::Participant;
use postfleet_mail::compose::Attachment;
use postfleet_mailflow::submit::{self, Outgoing};
use postfleet_schema::message as schema;
use postfleet_schema::send::{SendAttachment, SendRequest, SendResponse};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v3/grants/{grant}/messages/send", "messages.send", send)
            .about("Send a message", "The answer comes once the message is on stable storage.")
            .takes::<SendRequest>()
            .answers_bare::<SendResponse>(),
    ]
}

/// Sends a message now.
pub(crate) async fn send(call: Call) -> Answer {
    let grant = call.grant().await?;
    let Call { platform, id, parts, body, .. } = call;
    let request: SendRequest = json(&parts, body, SEND_OCTETS_MAX).await?;
    let sent = submit::send(&platform, &grant, outgoing(request)?).await?;
    let body = SendResponse { request_id: id.0.clone(), grant_id: grant.id.to_string(), data: sent.message };
    let mut response = respond::json(StatusCode::OK, &id, &body);
    quota_headers(response.headers_mut(), &sent.daily, platform.clock.now());
    Ok(response)
}

/// What is left of the daily quota. Nothing is said of an allowance without limit.
fn quota_headers(headers: &mut axum::http::HeaderMap, daily: &Allowance, now: UnixMicros) {
    if let (Some(limit), Some(remaining)) = (daily.limit, daily.remaining()) {
        error::rate_limit(headers, limit, remaining, error::reset_seconds(daily.resets_at, now));
    }
}

fn outgoing(request: SendRequest) -> Result<Outgoing, Problem> {
    if request.send_at.is_some_and(|at| at > 0) {
        return Err(Problem::invalid("send_at", "send_at: scheduled sending is not available yet"));
    }
    let attachments = request.attachments.into_iter().enumerate().map(|(index, file)| attachment(index, file));
    Ok(Outgoing {
        has_unsubscribe_link: request.list_unsubscribe.unwrap_or(false),
        to: people(request.to),
        from: people(request.from),
        cc: people(request.cc),
        bcc: people(request.bcc),
        reply_to: people(request.reply_to),
        subject: request.subject.unwrap_or_default(),
        body: request.body.unwrap_or_default(),
        is_plaintext: request.is_plaintext.unwrap_or(false),
        attachments: attachments.collect::<Result<_, _>>()?,
        reply_to_message_id: request.reply_to_message_id,
        custom_headers: request.custom_headers.into_iter().map(|header| (header.name, header.value)).collect(),
    })
}

fn people(people: Vec<schema::Participant>) -> Vec<Participant> {
    people.into_iter().map(|person| Participant { name: person.name, email: person.email }).collect()
}

fn attachment(index: usize, file: SendAttachment) -> Result<Attachment, Problem> {
    let field = format!("attachments[{index}].content");
    let packed: Vec<u8> = file.content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let content = STANDARD.decode(&packed).or_else(|_| URL_SAFE.decode(&packed));
    let content = content.map_err(|error| Problem::invalid(&field, format!("{field} is not base64: {error}")))?;
    let content_id = file.content_id.filter(|id| !id.is_empty());
    Ok(Attachment {
        filename: file.filename.unwrap_or_default(),
        content_type: file.content_type.unwrap_or_default(),
        content,
        is_inline: file.is_inline.unwrap_or(false),
        content_id,
    })
}
