//! One attempt to tell one event.

use super::{name_for, payload, sign};
use crate::alerts;
use crate::platform::Platform;
use bytes::Bytes;
use postfleet_core::readers::Cause;
use postfleet_net::webhook_http::{HttpAnswer, HttpFailure, TargetRefused};
use postfleet_store::events::Event;
use postfleet_store::webhooks::{Channel, Webhook};

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
}

/// Sends one event to one webhook.
pub(super) async fn send(platform: &Platform, webhook: &Webhook, event: &Event, attempt: u32) -> Outcome {
    let Some(name) = name_for(webhook, event.event.trigger) else { return Outcome::Done };
    if webhook.channel != Channel::Webhook {
        return alerts::send(platform, webhook, event).await;
    }
    let body = match payload::body(platform, event, name, attempt).await {
        Ok(body) => Bytes::from(body),
        Err(problem) => {
            tracing::error!(event.id = %event.event.id, cause = ?problem.cause, "failed to render a notification");
            return Outcome::Again { cause: Cause::Internal, retry_after: None };
        }
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        (sign::HEADER, sign::signature(webhook.secret.expose(), &body)),
    ];
    let answer = platform.http.post(&webhook.url, &headers, body, platform.settings.webhook_deadline).await;
    let outcome = Outcome::of(&answer);
    log(platform, webhook, event, attempt, outcome, &answer);
    outcome
}

fn log(
    platform: &Platform,
    webhook: &Webhook,
    event: &Event,
    attempt: u32,
    outcome: Outcome,
    answer: &Result<HttpAnswer, HttpFailure>,
) {
    platform.metrics.webhook(match outcome {
        Outcome::Done => "delivered",
        Outcome::Again { .. } => "deferred",
        Outcome::GivenUp(_) => "given_up",
    });
    if outcome == Outcome::Done {
        return;
    }
    let cause = match answer {
        Ok(answer) => format!("status {}", answer.status),
        Err(failure) => failure.to_string(),
    };
    tracing::info!(webhook.id = %webhook.id, event.id = %event.event.id, attempt, cause, "webhook did not take an event");
}
