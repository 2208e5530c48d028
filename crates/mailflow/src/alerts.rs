//! Alerts: telling people, by e-mail or in a chat, of quotas that are crossed and raises that are asked for.
//!
//! They are told as webhooks are: each alert has its position in the event log, and what was not taken is tried again. Mail
//! goes through the one door for all sending, under a key of the alert and the event, so that an event is mailed once
//! however often it is tried; and it says that no person wrote it, so that nobody's machine answers.

mod manage;
mod text;

pub(crate) use manage::host;
pub use manage::{create, find, list, remove, show, test};
pub(crate) use text::of as said;

use crate::platform::Platform;
use crate::submit::{self, Outgoing, Terms};
use crate::webhooks::Outcome;
use bytes::Bytes;
use postfleet_core::id::GrantId;
use postfleet_core::readers::Cause;
use postfleet_core::{Problem, idempotency};
use postfleet_mail::Participant;
use postfleet_net::webhook_http::{HttpAnswer, HttpFailure};
use postfleet_store::events::Event;
use postfleet_store::grants::{self, Grant};
use postfleet_store::idempotency::KeyedRequest;
use postfleet_store::webhooks::{Channel, Webhook};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use text::Said;

/// Tells one alert of one event.
pub(crate) async fn send(platform: &Platform, alert: &Webhook, event: &Event) -> Outcome {
    let facts: Value = serde_json::from_str(&event.event.data).unwrap_or_default();
    let said = text::of(event.event.trigger, &facts);
    let outcome = match alert.channel {
        Channel::Email(grant) => outcome_of_mail(mail(platform, alert, grant, &event.event.id.to_string(), said).await),
        Channel::Chat | Channel::Webhook => Outcome::of(&chat(platform, alert, &said).await),
    };
    if outcome != Outcome::Done {
        tracing::info!(alert.id = %alert.id, event.id = %event.event.id, ?outcome, "an alert was not taken");
    }
    outcome
}

/// Whether an alert is to be told of an event: one of a workspace is told of its mailboxes alone.
pub(crate) fn wants(alert: &Webhook, event: &Event) -> bool {
    let Some(workspace) = alert.workspace_id else { return true };
    let facts: Value = serde_json::from_str(&event.event.data).unwrap_or_default();
    facts["workspace_id"].as_str().is_some_and(|id| id == workspace.to_string())
}

/// Posts a text to a chat, in the form that all of them take.
async fn chat(platform: &Platform, alert: &Webhook, said: &Said) -> Result<HttpAnswer, HttpFailure> {
    let body = json!({ "text": said.for_chat() }).to_string();
    let headers = [("content-type", "application/json".to_owned())];
    platform.http.notify(&alert.url, &headers, Bytes::from(body), platform.settings.webhook_deadline).await
}

/// Sends a mail from a mailbox; `what` is sent once for an alert.
async fn mail(platform: &Platform, alert: &Webhook, from: GrantId, what: &str, said: Said) -> Result<(), Problem> {
    let found = grants::find(&mut platform.store.reader().await?, alert.application_id, from).await?;
    let grant = found.ok_or_else(Problem::not_found)?;
    let key: [u8; 32] = Sha256::digest(format!("alert {} {what}", alert.id)).into();
    let to = alert.url.strip_prefix("mailto:").unwrap_or_default().to_owned();
    letter(platform, &grant, key, to, said).await
}

/// Sends a text from a mailbox, once for a key.
pub(crate) async fn letter(
    platform: &Platform,
    grant: &Grant,
    key: [u8; 32],
    to: String,
    said: Said,
) -> Result<(), Problem> {
    let once =
        KeyedRequest { scope: grant.id.uuid(), key, request: key, request_id: String::new(), kept: idempotency::KEPT };
    let outgoing = Outgoing {
        to: vec![Participant { name: String::new(), email: to }],
        subject: said.subject,
        body: said.body,
        is_plaintext: true,
        custom_headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
        terms: Terms { may_wait: true, key: Some(once), allow_duplicate: false, pool: None },
        ..Outgoing::default()
    };
    match submit::send(platform, grant, outgoing).await {
        Ok(_) => Ok(()),
        // It was sent, and whoever sent it did not come to say so.
        Err(problem) if problem.code == idempotency::CONCURRENT => Ok(()),
        Err(problem) => Err(problem),
    }
}

fn outcome_of_mail(sent: Result<(), Problem>) -> Outcome {
    match sent {
        Ok(()) => Outcome::Done,
        Err(problem) if problem.is_retryable() => Outcome::Again { cause: Cause::Mail, retry_after: None },
        Err(_) => Outcome::GivenUp(Cause::Mail),
    }
}
