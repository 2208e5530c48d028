//! One attempt to tell one event.

use super::{name_for, payload, sign};
use crate::alerts;
use crate::metrics::TAKEN;
use crate::platform::Platform;
use bytes::Bytes;
use postfleet_net::webhook_http::HttpFailure;
use postfleet_store::events::Event;
use postfleet_store::webhooks::{Channel, Webhook};

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver has it, or does not want it.
    Done,
    /// It is to be tried again, not before so many seconds if the receiver said so.
    Again(Option<u64>),
    /// It cannot be told.
    GivenUp,
}

impl Outcome {
    /// What it is counted as.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Done => TAKEN,
            Self::Again(_) => "deferred",
            Self::GivenUp => "given_up",
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
            return Outcome::Again(None);
        }
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        (sign::HEADER, sign::signature(webhook.secret.expose(), &body)),
    ];
    let answer = platform.http.post(&webhook.url, &headers, body, platform.settings.webhook_deadline).await;
    let outcome = match &answer {
        Ok(answer) if (200..300).contains(&answer.status) => Outcome::Done,
        Ok(answer) => Outcome::Again(answer.retry_after),
        Err(HttpFailure::Refused(_) | HttpFailure::Header(_)) => Outcome::GivenUp,
        Err(_) => Outcome::Again(None),
    };
    log(platform, webhook, event, attempt, outcome, &answer);
    outcome
}

fn log(
    platform: &Platform,
    webhook: &Webhook,
    event: &Event,
    attempt: u32,
    outcome: Outcome,
    answer: &Result<postfleet_net::webhook_http::HttpAnswer, HttpFailure>,
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
