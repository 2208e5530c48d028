//! From a logged event to the JSON that a receiver gets. Messages are shown as they are now, not as they were.
//!
//! [`About::load`] reads what an event is about, [`notification`] makes the JSON of it without I/O.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::event::{CLEANED, Trigger};
use postfleet_mailbox::clean;
use postfleet_mailbox::messages::load;
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::Message;
use postfleet_schema::notification::{Notification, NotificationData};
use postfleet_store::events::{Event, NewEvent};
use postfleet_store::grants::{self, Grant};
use postfleet_store::messages::{self, StoredMessage};
use serde_json::{Value, json};

/// The body of a notification under `name`, one of the names of its trigger: JSON of at most
/// `notification_octets_max` octets.
pub async fn body(platform: &Platform, event: &Event, name: &'static str, attempt: u32) -> Result<Vec<u8>, Problem> {
    body_within(platform, event, name, attempt, platform.settings.notification_octets_max).await
}

/// The same, of at most so many octets. What is larger is told without the body of its message, and if that is not
/// enough by its ids alone; its type then ends in `.truncated`.
pub async fn body_within(
    platform: &Platform,
    event: &Event,
    name: &'static str,
    attempt: u32,
    octets_max: usize,
) -> Result<Vec<u8>, Problem> {
    let about = About::load(platform, &event.event).await?;
    notification(&event.event, &about, name, attempt, octets_max)
}

/// What an event is about, as it is now; nothing of what is not there any more.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// The message.
    pub(super) message: Option<StoredMessage>,
    /// The raw form of the message, where its body is told.
    pub(super) raw: Option<Vec<u8>>,
    /// The mailbox, where the event is about the mailbox itself.
    pub(super) grant: Option<Grant>,
}

impl About {
    async fn load(platform: &Platform, event: &NewEvent) -> Result<Self, Problem> {
        let mut reader = platform.store.reader().await?;
        if matches!(event.trigger, Trigger::GrantCreated | Trigger::GrantUpdated | Trigger::GrantDeleted) {
            let grant = grants::find(&mut reader, event.application_id, event.grant_id).await?;
            return Ok(Self { grant, ..Self::default() });
        }
        let Some(id) = event.message_id else { return Ok(Self::default()) };
        match event.trigger {
            // They say all themselves: the message is gone, or may be.
            Trigger::MessageDeleted | Trigger::DraftDeleted | Trigger::MessageSendFailed => Ok(Self::default()),
            Trigger::MessageCreated | Trigger::MessageUpdated | Trigger::DraftCreated | Trigger::DraftUpdated => {
                let found = load(&platform.store, &mut reader, event.grant_id, id).await?;
                let (message, raw) = found.unzip();
                Ok(Self { message, raw, grant: None })
            }
            _ => Ok(Self { message: messages::find(&mut reader, event.grant_id, id).await?, ..Self::default() }),
        }
    }
}

/// The JSON of an event.
pub(super) fn notification(
    event: &NewEvent,
    about: &About,
    name: &'static str,
    attempt: u32,
    octets_max: usize,
) -> Result<Vec<u8>, Problem> {
    let facts: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let is_failure = event.trigger == Trigger::MessageSendFailed;
    let mut object = if is_failure { facts["object"].clone() } else { object(event, about, name, &facts)? };
    let [reason, error] = if is_failure { [&facts["reason"], &facts["error"]] } else { [&Value::Null; 2] };
    let render = |kind: String, object: &Value| {
        let notification = Notification {
            specversion: "1.0",
            kind,
            source: event.trigger.source(),
            id: event.id.to_string(),
            time: event.at.as_seconds(),
            webhook_delivery_attempt: attempt,
            data: NotificationData {
                application_id: event.application_id.to_string(),
                // What concerns a whole workspace is of no mailbox.
                grant_id: if event.grant_id.uuid().is_nil() { String::new() } else { event.grant_id.to_string() },
                grant_sequence: event.grant_sequence,
                reason,
                error,
                object,
            },
        };
        serde_json::to_vec(&notification).map_err(Problem::internal)
    };
    let whole = render(name.to_owned(), &object)?;
    if whole.len() <= octets_max {
        return Ok(whole);
    }
    let kind = format!("{name}.truncated");
    if let Some(fields) = object.as_object_mut() {
        fields.remove("body");
    }
    let without_body = render(kind.clone(), &object)?;
    if without_body.len() <= octets_max {
        return Ok(without_body);
    }
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|field, _| IDS.contains(&field.as_str()));
    }
    render(kind, &object)
}

/// What is left of an object that is too large without its body.
const IDS: [&str; 4] = ["id", "grant_id", "object", "thread_id"];

fn object(event: &NewEvent, about: &About, name: &str, facts: &Value) -> Result<Value, Problem> {
    let message = about.message.as_ref();
    Ok(match event.trigger {
        Trigger::GrantCreated | Trigger::GrantUpdated | Trigger::GrantDeleted => {
            grant(event, about.grant.as_ref(), facts)
        }
        Trigger::FolderCreated | Trigger::FolderUpdated | Trigger::FolderDeleted => folder(event, facts),
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
        | Trigger::OptInNotSent
        | Trigger::WebhookFailing
        | Trigger::WebhookFailed
        | Trigger::WebhookResumed => facts.clone(),
        Trigger::MessageDeleted => removed(event, "message", facts),
        Trigger::DraftDeleted => removed(event, "draft", facts),
        Trigger::MessageCreated | Trigger::MessageUpdated => match message {
            Some(stored) if name == CLEANED => cleaned(stored, about.raw.as_deref().unwrap_or_default())?,
            Some(stored) => shown(stored, about.raw.as_deref())?,
            None => gone(event, "message"),
        },
        Trigger::DraftCreated | Trigger::DraftUpdated => match message {
            // The sent copy has the id of the draft.
            Some(stored) if stored.draft => shown(stored, about.raw.as_deref())?,
            _ => gone(event, "draft"),
        },
        Trigger::MessageSendSuccess => match message {
            Some(stored) => sent_later(stored, facts)?,
            None => gone(event, "message"),
        },
        Trigger::MessageUnsubscribed if message.is_none() => {
            // Who wants no more mail is to be known whatever became of the message.
            let mut object = gone(event, "message");
            unsubscribed(&mut object, facts);
            object
        }
        Trigger::MessageRejected if message.is_none() && facts["summary"].is_object() => unsent(event, facts),
        trigger => match message {
            Some(stored) => settled(trigger, stored, facts),
            None => gone(event, "message"),
        },
    })
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

/// A message, with its body where its raw form is given.
fn shown(stored: &StoredMessage, raw: Option<&[u8]>) -> Result<Value, Problem> {
    serde_json::to_value(view::message(stored, raw, Fields::Standard)).map_err(Problem::internal)
}

/// A message whose body is what its author wrote for it, as Markdown; plain text stays plain text.
fn cleaned(stored: &StoredMessage, raw: &[u8]) -> Result<Value, Problem> {
    let body = clean::as_markdown(stored, raw);
    let message = Message { body: Some(body), ..view::message(stored, None, Fields::Standard) };
    serde_json::to_value(message).map_err(Problem::internal)
}

/// What was removed, with what the application kept at it, which is nowhere else any more.
fn removed(event: &NewEvent, object: &str, facts: &Value) -> Value {
    let mut removed = gone(event, object);
    for field in ["folders", "metadata"] {
        if !facts[field].is_null() {
            removed[field] = facts[field].clone();
        }
    }
    removed
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
fn grant(event: &NewEvent, grant: Option<&Grant>, facts: &Value) -> Value {
    let code = match event.trigger {
        Trigger::GrantCreated => 25_012,
        Trigger::GrantDeleted => 25_013,
        _ => 25_014,
    };
    let (email, name, workspace_id, updated_at) = match grant {
        Some(grant) => (
            json!(grant.email.to_string()),
            json!(grant.name),
            json!(grant.workspace_id.map(|id| id.to_string())),
            grant.updated_at,
        ),
        None => {
            let said = |field: &str| json!(facts[field].as_str().unwrap_or_default());
            (said("email"), said("name"), facts["workspace_id"].clone(), event.at)
        }
    };
    json!({
        "code": code,
        "object": "grant",
        "id": event.grant_id.to_string(),
        "grant_id": event.grant_id.to_string(),
        "integration_id": event.application_id.to_string(),
        "login_id": "",
        "provider": "nylas",
        "email": email,
        "name": name,
        "workspace_id": workspace_id,
        "scope": [],
        "metadata": {},
        // Nobody has to sign in again anywhere: the mailbox is here.
        "reauthentication_flag": false,
        "grant_updated_at": updated_at.as_seconds(),
    })
}
