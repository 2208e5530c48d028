//! One attempt to tell one event.

use super::attempts::{Attempted, Body};
use super::bodies::{Awaited, Promise};
use super::payload::{self, Found};
use super::{name_for, sign};
use crate::alerts;
use crate::metrics::TAKEN;
use crate::platform::Platform;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use postfleet_core::Problem;
use postfleet_core::readers::Cause;
use postfleet_net::webhook_http::{HttpAnswer, HttpFailure, TargetRefused};
use postfleet_store::events::Event;
use postfleet_store::webhooks::{Channel, Webhook};
use std::io::Write;

/// Which replay an event is told for.
const REPLAY: &str = "x-postfleet-replay";

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has it, or does not want it.
    Done,
    /// It is to be tried again.
    Again {
        /// Why it was not taken.
        cause: Cause,
        /// Not before so many seconds, if the receiver said so.
        retry_after: Option<u64>,
    },
    /// It cannot be told.
    GivenUp(Cause),
}

impl Outcome {
    /// What a receiver's answer says.
    pub(crate) fn of(answer: &Result<HttpAnswer, HttpFailure>) -> Self {
        let again = |cause| Self::Again { cause, retry_after: None };
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Self::Done,
            Ok(answer) => Self::Again { cause: Cause::Status(answer.status), retry_after: answer.retry_after },
            // Name servers may be down as anything else.
            Err(HttpFailure::Refused(TargetRefused::Unresolvable(_))) => again(Cause::Connection),
            Err(HttpFailure::Refused(_) | HttpFailure::Header(_)) => Self::GivenUp(Cause::Target),
            Err(HttpFailure::Deadline) => again(Cause::Deadline),
            Err(HttpFailure::Connect(_)) => again(Cause::Connection),
            Err(HttpFailure::Certificate(_)) => again(Cause::Certificate),
            Err(HttpFailure::Broken(_)) => again(Cause::Broken),
        }
    }

    /// What it is counted as.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Done => TAKEN,
            Self::Again { .. } => "deferred",
            Self::GivenUp(_) => "given_up",
        }
    }
}

/// What some events are about, for [`send`]. Alerts say all themselves.
pub(super) async fn look_up<'e>(
    platform: &Platform,
    webhook: &Webhook,
    events: impl ExactSizeIterator<Item = &'e Event>,
) -> Result<Vec<Found>, Problem> {
    if webhook.channel != Channel::Webhook {
        return Ok(vec![Found::default(); events.len()]);
    }
    payload::look_up(platform, events.map(|event| &event.event)).await
}

/// What the body of a request comes from.
pub(super) enum Source {
    /// What the event is about; others may wait for what is made of it.
    Found(Box<Found>, Option<Promise>),
    /// Another webhook is told the same.
    Awaited(Awaited),
}

/// Sends one event to one webhook. Answers what is to be kept of it, if a request was made.
pub(super) async fn send(
    platform: &Platform,
    webhook: &Webhook,
    (event, source): (&Event, Source),
    attempt: u32,
) -> (Outcome, Option<Attempted>) {
    let Some(name) = name_for(webhook, event.event.trigger) else { return (Outcome::Done, None) };
    if webhook.channel != Channel::Webhook {
        return (alerts::send(platform, webhook, event).await, None);
    }
    let body = match body(platform, webhook, (event, source), name, attempt).await {
        Ok(body) => body,
        Err(problem) => {
            tracing::error!(event.id = %event.event.id, cause = ?problem.cause, "failed to render a notification");
            return (Outcome::Again { cause: Cause::Internal, retry_after: None }, None);
        }
    };
    let now = platform.clock.now();
    let letter = Letter { id: event.event.id.to_string(), is_packed: webhook.compressed, body };
    let mut secrets = vec![webhook.secret.expose().as_str()];
    secrets.extend(webhook.previous.iter().filter(|old| now < old.until).map(|old| old.secret.expose().as_str()));
    let mut headers = letter.headers(&secrets, now.as_seconds());
    headers.extend(webhook.replay.iter().map(|replay| (REPLAY, replay.id.to_string())));
    let (url, deadline) = (webhook.url.clone(), platform.settings.webhook_deadline);
    let answer = platform.http.notify(&url, &headers, letter.body.clone(), deadline).await;
    let outcome = Outcome::of(&answer);
    log(platform, webhook, event, attempt, outcome, &answer);
    let attempted = Attempted {
        event_id: event.event.id,
        grant_id: event.event.grant_id,
        name,
        attempt,
        at: now,
        took: platform.clock.now().since(now),
        url,
        replay: webhook.replay.as_ref().map(|replay| replay.id),
        headers,
        body: Body::Whole(letter.body),
        answer: answer.ok(),
        outcome,
    };
    (outcome, Some(attempted))
}

/// The octets that are sent.
async fn body(
    platform: &Platform,
    webhook: &Webhook,
    (event, source): (&Event, Source),
    name: &'static str,
    attempt: u32,
) -> Result<Bytes, Problem> {
    let (found, promise) = match source {
        Source::Found(found, promise) => (found, promise),
        Source::Awaited(awaited) => match awaited.body().await {
            Some(body) => return Ok(body),
            None => {
                let found = payload::look_up(platform, [&event.event]).await?.pop();
                (Box::new(found.unwrap_or_default()), None)
            }
        },
    };
    let json = payload::written(platform, (event, *found), name, attempt).await?;
    let body = octets(json, webhook.compressed);
    if let Some(promise) = promise {
        promise.keep(&body);
    }
    Ok(body)
}

/// JSON as it is sent, packed if its receiver wants that.
fn octets(json: Vec<u8>, is_packed: bool) -> Bytes {
    Bytes::from(if is_packed { packed(&json) } else { json })
}

/// What is sent: the octets, and how they are signed.
pub(super) struct Letter {
    id: String,
    is_packed: bool,
    pub(super) body: Bytes,
}

impl Letter {
    /// Of the JSON of an event, packed if its receiver wants that.
    pub(super) fn of(id: &str, json: Vec<u8>, is_packed: bool) -> Self {
        Self { id: id.to_owned(), is_packed, body: octets(json, is_packed) }
    }

    /// Signed by some secrets, the newest first, at a time in unix seconds.
    pub(super) fn headers(&self, secrets: &[&str], at: i64) -> Vec<(&'static str, String)> {
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if self.is_packed {
            headers.push(("content-encoding", "gzip".to_owned()));
        }
        headers.extend(sign::headers(secrets, &self.id, at, &self.body));
        headers
    }
}

/// Packed with gzip (RFC 1952), as fast as it goes: most of a body is gone with that, and the rest costs more than it saves.
fn packed(json: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 2), Compression::fast());
    // Writing into memory does not fail.
    let _ = encoder.write_all(json);
    encoder.finish().unwrap_or_default()
}

fn log(
    platform: &Platform,
    webhook: &Webhook,
    event: &Event,
    attempt: u32,
    outcome: Outcome,
    answer: &Result<HttpAnswer, HttpFailure>,
) {
    platform.metrics.webhook(outcome.name());
    if outcome == Outcome::Done {
        return;
    }
    let cause = match answer {
        Ok(answer) => format!("status {}", answer.status),
        Err(failure) => failure.to_string(),
    };
    tracing::info!(webhook.id = %webhook.id, event.id = %event.event.id, attempt, cause, "webhook did not take an event");
}
