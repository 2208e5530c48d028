//! Showing what was attempted, with what was sent made again.

use super::attempts::hash;
use super::payload;
use super::send::Letter;
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::readers::Cause;
use postfleet_schema::attempt as schema;
use postfleet_store::events;
use postfleet_store::webhook_attempts::{self, Attempt, Wanted};
use postfleet_store::webhooks::Webhook;
use serde_json::Value;

/// A page of what was attempted for a webhook, newest first, and the cursor of the next one.
pub async fn attempts(
    platform: &Platform,
    webhook: &Webhook,
    wanted: Wanted,
    (cursor, limit): (Option<&str>, usize),
) -> Result<(Vec<schema::WebhookAttempt>, Option<String>), Problem> {
    let wrong = || Problem::invalid("page_token", "page_token is not a cursor");
    let before = cursor.map(|text| number(text).ok_or_else(wrong)).transpose()?.unwrap_or(i64::MAX);
    let mut reader = platform.store.reader().await?;
    let mut found = webhook_attempts::list(&mut reader, webhook.id, wanted, (before, limit + 1)).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.number.to_string());
    Ok((found.iter().map(shown).collect(), next))
}

/// One of them, with the body that was sent, as far as it can be made again.
pub async fn attempt(platform: &Platform, webhook: &Webhook, id: &str) -> Result<schema::WebhookAttempt, Problem> {
    let mut reader = platform.store.reader().await?;
    let found = match number(id) {
        Some(number) => webhook_attempts::find(&mut reader, webhook.id, number).await?,
        None => None,
    };
    let attempt = found.ok_or_else(Problem::not_found)?;
    let event = events::find(&mut reader, attempt.event_id).await?;
    drop(reader);
    let name = event.as_ref().and_then(|event| event.event.trigger.name_for([attempt.name.as_str()]));
    let body = match (event, name) {
        (Some(event), Some(name)) => Some(payload::body(platform, &event, name, attempt.attempt).await?),
        _ => None,
    };
    let is_packed = pairs(&attempt.request_headers).iter().any(|header| header.name == "content-encoding");
    let is_as_sent = body.as_ref().map(|body| {
        let letter = Letter::of(&attempt.event_id.to_string(), body.clone(), is_packed);
        hash(&letter.body)[..] == attempt.body_hash[..]
    });
    Ok(schema::WebhookAttempt {
        request_body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
        request_body_is_as_sent: is_as_sent,
        ..shown(&attempt)
    })
}

/// Which event, and which outcome, by their words.
pub fn wanted(event: Option<&str>, outcome: Option<&str>) -> Result<Wanted, Problem> {
    let wrong = |_| Problem::invalid("event_id", "event_id must be the id of an event");
    let is_taken = match outcome {
        None => None,
        Some("taken") => Some(true),
        Some("failed") => Some(false),
        Some(_) => return Err(Problem::invalid("outcome", "outcome must be taken or failed")),
    };
    Ok(Wanted { event: event.map(str::parse).transpose().map_err(wrong)?, is_taken })
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number| *number > 0 && text.bytes().all(|octet| octet.is_ascii_digit()))
}

fn shown(attempt: &Attempt) -> schema::WebhookAttempt {
    schema::WebhookAttempt {
        id: attempt.number.to_string(),
        event_id: attempt.event_id.to_string(),
        kind: attempt.name.clone(),
        grant_id: (!attempt.grant_id.uuid().is_nil()).then(|| attempt.grant_id.to_string()),
        replay_id: attempt.replay_id.map(|id| id.to_string()),
        attempt: attempt.attempt,
        outcome: if attempt.cause.is_none() { "taken" } else { "failed" },
        reason: attempt.cause.map(Cause::name),
        status: attempt.status,
        duration_ms: attempt.took.as_secs_f64() * 1_000.0,
        url: attempt.url.clone(),
        request_headers: pairs(&attempt.request_headers),
        request_bytes: attempt.body_octets,
        request_sha256: hex::encode(&attempt.body_hash),
        answer_headers: pairs(&attempt.answer_headers),
        answer_body: attempt.status.map(|_| String::from_utf8_lossy(&attempt.answer_body).into_owned()),
        request_body: None,
        request_body_is_as_sent: None,
        created_at: attempt.at.as_seconds(),
    }
}

/// Header fields, from a JSON list of pairs.
fn pairs(json: &str) -> Vec<schema::HeaderField> {
    let kept: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let header = |pair: &Value| schema::HeaderField { name: text(&pair[0]), value: text(&pair[1]) };
    kept.as_array().into_iter().flatten().map(header).collect()
}
