//! From a logged event to the JSON that a receiver gets. Messages are shown as they are now, not as they were.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::event::Trigger;
use postfleet_mailbox::messages::load;
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::notification::{Notification, NotificationData};
use postfleet_store::events::{Event, NewEvent};
use postfleet_store::messages::{self, StoredMessage};
use postfleet_store::{Reader, grants};
use serde_json::{Value, json};

/// The body of a notification. Above the size limit the message's body is left out and the name says so.
pub(super) async fn body(
    platform: &Platform,
    event: &Event,
    name: &'static str,
    attempt: u32,
) -> Result<Vec<u8>, Problem> {
    if event.event.trigger == Trigger::MessageSendFailed {
        return failed(event, name, attempt);
    }
    let mut object = object(platform, &event.event).await?;
    let whole = render(event, name.to_owned(), attempt, &object)?;
    if whole.len() <= platform.settings.notification_octets_max {
        return Ok(whole);
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("body");
    }
    render(event, format!("{name}.truncated"), attempt, &object)
}

/// A send that failed says all itself: its message may be gone.
fn failed(event: &Event, name: &'static str, attempt: u32) -> Result<Vec<u8>, Problem> {
    let facts: Value = serde_json::from_str(&event.event.data).unwrap_or_default();
    render_with(event, name.to_owned(), attempt, &facts["object"], [&facts["reason"], &facts["error"]])
}

fn render(event: &Event, kind: String, attempt: u32, object: &Value) -> Result<Vec<u8>, Problem> {
    render_with(event, kind, attempt, object, [&Value::Null, &Value::Null])
}

fn render_with(
    event: &Event,
    kind: String,
    attempt: u32,
    object: &Value,
    [reason, error]: [&Value; 2],
) -> Result<Vec<u8>, Problem> {
    let new = &event.event;
    let notification = Notification {
        specversion: "1.0",
        kind,
        source: new.trigger.source(),
        id: new.id.to_string(),
        time: new.at.as_seconds(),
        webhook_delivery_attempt: attempt,
        data: NotificationData {
            application_id: new.application_id.to_string(),
            // What concerns a whole workspace is of no mailbox.
            grant_id: if new.grant_id.uuid().is_nil() { String::new() } else { new.grant_id.to_string() },
            grant_sequence: new.grant_sequence,
            reason,
            error,
            object,
        },
    };
    serde_json::to_vec(&notification).map_err(Problem::internal)
}

async fn object(platform: &Platform, event: &NewEvent) -> Result<Value, Problem> {
    let mut reader = platform.store.reader().await?;
    let facts: Value = serde_json::from_str(&event.data).unwrap_or_default();
    match event.trigger {
        Trigger::GrantCreated | Trigger::GrantUpdated | Trigger::GrantDeleted => {
            grant(&mut reader, event, &facts).await
        }
        Trigger::FolderCreated | Trigger::FolderUpdated | Trigger::FolderDeleted => Ok(folder(event, &facts)),
        // They say all themselves: who, which limit, how much.
        Trigger::QuotaWarning
        | Trigger::QuotaReached
        | Trigger::QuotaExceeded
        | Trigger::RaiseRequested
        | Trigger::RaiseDecided
        | Trigger::RecoveryRequested
        | Trigger::RecoveryDecided
        | Trigger::ReputationChanged
        | Trigger::SendingStopped
        | Trigger::SendingResumed
        | Trigger::BreakerTripped
        | Trigger::DomainEndangered
        | Trigger::AlertTriggered
        | Trigger::OptInConfirmed
        | Trigger::OptInDeclined
        | Trigger::OptInNotSent => Ok(facts),
        _ => {
            let draft = matches!(event.trigger, Trigger::DraftCreated | Trigger::DraftUpdated);
            let kind = if draft { "draft" } else { "message" };
            let stored = match event.message_id {
                Some(id) => messages::find(&mut reader, event.grant_id, id).await?,
                None => None,
            };
            let Some(stored) = stored else {
                if event.trigger == Trigger::MessageUnsubscribed {
                    // Who wants no more mail is to be known whatever became of the message.
                    let mut object = gone(event, kind);
                    unsubscribed(&mut object, &facts);
                    return Ok(object);
                }
                let is_unsent = event.trigger == Trigger::MessageRejected && facts["summary"].is_object();
                return Ok(if is_unsent { unsent(event, &facts) } else { gone(event, kind) });
            };
            match event.trigger {
                Trigger::MessageCreated | Trigger::MessageUpdated => created(platform, &mut reader, event, kind).await,
                // The sent copy has the id of the draft.
                _ if draft && !stored.draft => Ok(gone(event, "draft")),
                _ if draft => created(platform, &mut reader, event, kind).await,
                Trigger::MessageSendSuccess => sent_later(&stored, &facts),
                trigger => Ok(settled(trigger, &stored, &facts)),
            }
        }
    }
}

/// A folder as it was then.
fn folder(event: &NewEvent, facts: &Value) -> Value {
    json!({
        "id": facts["id"],
        "grant_id": event.grant_id.to_string(),
        "object": "folder",
        "name": facts["name"],
        "system_folder": false,
    })
}

/// What is left to say of a message that was removed meanwhile.
fn gone(event: &NewEvent, object: &str) -> Value {
    let id = event.message_id.map(|id| id.to_string());
    json!({"id": id, "grant_id": event.grant_id.to_string(), "object": object})
}

/// A message that was sent at its time, without its body, and what it waited under.
fn sent_later(stored: &StoredMessage, facts: &Value) -> Result<Value, Problem> {
    let shown = view::message(stored, None, Fields::Standard);
    let mut object = serde_json::to_value(shown).map_err(Problem::internal)?;
    for field in ["schedule_id", "send_at", "use_draft"] {
        object[field] = facts[field].clone();
    }
    Ok(object)
}

/// A message with its body.
async fn created(
    platform: &Platform,
    reader: &mut Reader<'_>,
    event: &NewEvent,
    kind: &'static str,
) -> Result<Value, Problem> {
    let found = match event.message_id {
        Some(id) => load(&platform.store, reader, event.grant_id, id).await?,
        None => None,
    };
    let Some((stored, raw)) = found else { return Ok(gone(event, kind)) };
    serde_json::to_value(view::message(&stored, Some(&raw), Fields::Standard)).map_err(Problem::internal)
}

/// A message of which there is no sent copy, because nobody may be written to.
fn unsent(event: &NewEvent, facts: &Value) -> Value {
    let id = event.message_id.map(|id| id.to_string()).unwrap_or_default();
    let mut object = described(&id, &event.grant_id.to_string(), &Summary::from_json(&facts["summary"].to_string()));
    object["sent_at"] = facts["at"].clone();
    rejected(&mut object, facts);
    object
}

/// Why recipients get nothing.
fn rejected(object: &mut Value, facts: &Value) {
    object["rejected_at"] = facts["at"].clone();
    object["rejected"] =
        json!({"rejected_at": facts["at"], "reason": facts["reason"], "recipients": facts["recipients"]});
}

/// Who wants no more mail: of no mailbox of the application, which is what their entry says.
fn unsubscribed(object: &mut Value, facts: &Value) {
    object["unsubscribed"] = json!({
        "unsubscribed_at": facts["at"],
        "recipient": facts["recipient"],
        "source": facts["source"],
        "scope": "application",
    });
}

fn described(id: &str, grant_id: &str, summary: &Summary) -> Value {
    let emails = |people: &[Person]| people.iter().map(|person| person.email.clone()).collect::<Vec<_>>();
    json!({
        "id": id,
        "grant_id": grant_id,
        "object": "message",
        "subject": summary.subject,
        "from": summary.from.first().map(|person| person.email.clone()).unwrap_or_default(),
        "to": emails(&summary.to),
        "cc": emails(&summary.cc),
        "bcc": emails(&summary.bcc),
        "metadata": summary.metadata,
    })
}

/// What became of a sent message for one recipient.
fn settled(trigger: Trigger, stored: &StoredMessage, facts: &Value) -> Value {
    let summary = Summary::from_json(&stored.summary);
    let recipient = &facts["recipient"];
    let mut object = described(&stored.id.to_string(), &stored.grant_id.to_string(), &summary);
    object["thread_id"] = stored.thread_id.to_string().into();
    object["sent_at"] = stored.date.as_seconds().into();
    match trigger {
        Trigger::MessageDelivered => {
            let ambiguous = &facts["ambiguous"];
            object["delivered"] =
                json!({"delivered_at": facts["at"], "recipients": [recipient], "ambiguous": ambiguous});
        }
        Trigger::MessageBounced => {
            let failed = json!({"email": recipient, "diagnostic_code": facts["diagnostic_code"]});
            object["bounce"] = json!({"bounced_at": facts["at"], "type": facts["bounce_type"],
                "bounce_class": facts["bounce_class"], "status": facts["status"], "expired": facts["expired"],
                "ambiguous": facts["ambiguous"], "recipients": [failed]});
        }
        Trigger::MessageComplaint => {
            // Reporters often do not say who complains.
            let complained: Vec<_> = recipient.as_str().into_iter().collect();
            object["complaint"] =
                json!({"reported_at": facts["at"], "type": facts["type"], "complained_recipients": complained});
        }
        Trigger::MessageRejected => rejected(&mut object, facts),
        Trigger::MessageHeld | Trigger::MessageReleased => object["hold"] = facts["hold"].clone(),
        Trigger::MessageUnsubscribed => unsubscribed(&mut object, facts),
        _ => {}
    }
    object
}

/// The mailbox as it is; of one that is gone, what its removal says.
async fn grant(reader: &mut Reader<'_>, event: &NewEvent, facts: &Value) -> Result<Value, Problem> {
    let code = match event.trigger {
        Trigger::GrantCreated => 25_012,
        Trigger::GrantDeleted => 25_013,
        _ => 25_014,
    };
    let found = grants::find(reader, event.application_id, event.grant_id).await?;
    let (email, name) = match found {
        Some(grant) => (grant.email.to_string(), grant.name),
        None => {
            let said = |field: &str| facts[field].as_str().unwrap_or_default().to_owned();
            (said("email"), said("name"))
        }
    };
    Ok(json!({
        "code": code,
        "object": "grant",
        "id": event.grant_id.to_string(),
        "grant_id": event.grant_id.to_string(),
        "integration_id": event.application_id.to_string(),
        "login_id": "",
        "provider": "nylas",
        "email": email,
        "name": name,
        "scope": [],
        "metadata": {},
    }))
}
