//! From a logged event to the JSON that a receiver gets. Messages are shown as they are now, not as they were.
//!
//! [`look_up`] finds what events are about, [`Found::open`] reads the body that is told, [`notification`] makes the JSON of it
//! without I/O.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::event::{CLEANED, Trigger};
use postfleet_core::id::MessageId;
use postfleet_mailbox::clean;
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_mailbox::writer::{Selection, Writer};
use postfleet_schema::message::Message;
use postfleet_schema::notification::{Notification, NotificationData};
use postfleet_store::Reader;
use postfleet_store::blobs::StoredBlob;
use postfleet_store::events::{Event, NewEvent};
use postfleet_store::grants::{self, Grant};
use postfleet_store::messages::{self, Listed, StoredMessage};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The body of a notification under `name`, one of the names of its trigger: see [`written`].
pub async fn body(platform: &Platform, event: &Event, name: &'static str, attempt: u32) -> Result<Vec<u8>, Problem> {
    let found = look_up(platform, [&event.event]).await?.pop().unwrap_or_default();
    written(platform, (event, found), name, attempt).await
}

/// The same of an event of which it is known what it is about: JSON of at most `notification_octets_max` octets. What is larger is
/// told without the body of its message, and if that is not enough by its ids alone; its type then ends in `.truncated`.
pub(super) async fn written(
    platform: &Platform,
    (event, found): (&Event, Found),
    name: &'static str,
    attempt: u32,
) -> Result<Vec<u8>, Problem> {
    let octets_max = platform.settings.notification_octets_max;
    notification(&event.event, &found.open(platform).await?, name, attempt, octets_max)
}

/// What an event is about, as it is now; nothing of what is not there any more.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// The message.
    pub(super) message: Option<Arc<StoredMessage>>,
    /// The raw form of the message, where its body is told.
    pub(super) raw: Option<Vec<u8>>,
    /// The mailbox, where the event is about the mailbox itself.
    pub(super) grant: Option<Grant>,
}

/// The same before the body was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    message: Option<Arc<StoredMessage>>,
    body: Option<Arc<StoredBlob>>,
    grant: Option<Grant>,
}

impl Found {
    /// Reads the body, where it is told.
    pub(super) async fn open(self, platform: &Platform) -> Result<About, Problem> {
        let raw = match &self.body {
            Some(blob) => Some(platform.store.blobs().load(blob).await?),
            None => None,
        };
        Ok(About { message: self.message, raw, grant: self.grant })
    }
}

/// What has to be looked up to tell of an event.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// It says all itself, or is of a message that is gone.
    Nothing,
    Grant,
    Message(MessageId),
    MessageWithBody(MessageId),
}

impl Needs {
    fn of(event: &NewEvent) -> Self {
        let message = |needs: fn(MessageId) -> Self| event.message_id.map_or(Self::Nothing, needs);
        match event.trigger {
            Trigger::GrantCreated | Trigger::GrantUpdated | Trigger::GrantDeleted => Self::Grant,
            Trigger::MessageDeleted | Trigger::DraftDeleted | Trigger::MessageSendFailed => Self::Nothing,
            Trigger::MessageCreated | Trigger::MessageUpdated | Trigger::DraftCreated | Trigger::DraftUpdated => {
                message(Self::MessageWithBody)
            }
            _ => message(Self::Message),
        }
    }
}

/// What events are about, in their order.
pub(super) async fn look_up<'e>(
    platform: &Platform,
    events: impl IntoIterator<Item = &'e NewEvent>,
) -> Result<Vec<Found>, Problem> {
    let needed: Vec<(&NewEvent, Needs)> = events.into_iter().map(|event| (event, Needs::of(event))).collect();
    if needed.iter().all(|(_, needs)| matches!(needs, Needs::Nothing)) {
        return Ok(vec![Found::default(); needed.len()]);
    }
    let mut reader = platform.store.reader().await?;
    let messages = read_messages(&mut reader, &needed).await?;
    let mut found = Vec::with_capacity(needed.len());
    for (event, needs) in needed {
        found.push(match needs {
            Needs::Nothing => Found::default(),
            Needs::Grant => {
                let grant = grants::find(&mut reader, event.application_id, event.grant_id).await?;
                Found { grant, ..Found::default() }
            }
            Needs::Message(id) | Needs::MessageWithBody(id) => {
                let read = messages.get(&id).filter(|(message, _)| message.grant_id == event.grant_id);
                // Several events may be about one message.
                let (message, body) = read.cloned().unzip();
                Found { message, body: body.flatten(), grant: None }
            }
        });
    }
    Ok(found)
}

/// A message, and its body where that is told.
type Read = (Arc<StoredMessage>, Option<Arc<StoredBlob>>);

/// The messages that events are about, however many they are: one statement for those whose body is told, and one for the others.
async fn read_messages(
    reader: &mut Reader<'_>,
    needed: &[(&NewEvent, Needs)],
) -> Result<HashMap<MessageId, Read>, Problem> {
    let (mut whole, mut alone) = (Vec::new(), Vec::new());
    for (_, needs) in needed {
        match needs {
            Needs::MessageWithBody(id) => whole.push(*id),
            Needs::Message(id) => alone.push(*id),
            Needs::Nothing | Needs::Grant => {}
        }
    }
    let mut messages = HashMap::with_capacity(needed.len());
    if !alone.is_empty() {
        let read = messages::anywhere(reader, &alone).await?;
        messages.extend(read.into_iter().map(|message| (message.id, (Arc::new(message), None))));
    }
    if !whole.is_empty() {
        let read = messages::anywhere_with_bodies(reader, &whole).await?;
        let shared = |(message, body)| (Arc::new(message), Some(Arc::new(body)));
        messages.extend(read.into_iter().map(|read| (read.0.id, shared(read))));
    }
    Ok(messages)
}

/// The JSON of an event.
pub(super) fn notification(
    event: &NewEvent,
    about: &About,
    name: &'static str,
    attempt: u32,
    octets_max: usize,
) -> Result<Vec<u8>, Problem> {
    if let Some(stored) = as_it_is(event, about, name) {
        let whole = around(event, name, attempt, (stored, about.raw.as_deref()))?;
        if whole.len() <= octets_max {
            return Ok(whole);
        }
    }
    let facts: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let is_failure = event.trigger == Trigger::MessageSendFailed;
    let mut object = if is_failure { facts["object"].clone() } else { object(event, about, name, &facts)? };
    let [reason, error] = if is_failure { [&facts["reason"], &facts["error"]] } else { [&Value::Null; 2] };
    let render = |kind: &str, object: &Value| render(event, kind, attempt, [reason, error, object]);
    let whole = render(name, &object)?;
    if whole.len() <= octets_max {
        return Ok(whole);
    }
    let kind = format!("{name}.truncated");
    if let Some(fields) = object.as_object_mut() {
        fields.remove("body");
    }
    let without_body = render(&kind, &object)?;
    if without_body.len() <= octets_max {
        return Ok(without_body);
    }
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|field, _| IDS.contains(&field.as_str()));
    }
    render(&kind, &object)
}

fn render(
    event: &NewEvent,
    kind: &str,
    attempt: u32,
    [reason, error, object]: [&Value; 3],
) -> Result<Vec<u8>, Problem> {
    let notification = Notification {
        specversion: "1.0",
        kind: kind.to_owned(),
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
}

/// The message of an event that is told as lists show it: most of them, so that no tree of JSON is made of those.
fn as_it_is<'a>(event: &NewEvent, about: &'a About, name: &str) -> Option<&'a StoredMessage> {
    let stored = about.message.as_deref()?;
    match event.trigger {
        Trigger::MessageCreated | Trigger::MessageUpdated => Some(stored).filter(|_| name != CLEANED),
        // The sent copy has the id of the draft.
        Trigger::DraftCreated | Trigger::DraftUpdated => Some(stored).filter(|stored| stored.draft),
        _ => None,
    }
}

/// Where the object stands in a notification that has none: it is the last of what is last.
const NONE_YET: &str = "null}}";

/// The JSON of an event, with a message as it is kept written into it.
fn around(
    event: &NewEvent,
    name: &str,
    attempt: u32,
    (stored, raw): (&StoredMessage, Option<&[u8]>),
) -> Result<Vec<u8>, Problem> {
    let mut out = render(event, name, attempt, [&Value::Null; 3])?;
    out.truncate(out.len() - NONE_YET.len());
    let mut writer = Writer::after(out, stored.grant_id, Fields::Standard, Selection::ALL);
    writer.write(&Listed::of(stored), raw);
    let mut out = writer.finish();
    out.extend_from_slice(b"}}");
    Ok(out)
}

/// What is left of an object that is too large without its body.
const IDS: [&str; 4] = ["id", "grant_id", "object", "thread_id"];

fn object(event: &NewEvent, about: &About, name: &str, facts: &Value) -> Result<Value, Problem> {
    let message = about.message.as_deref();
    Ok(match event.trigger {
        Trigger::MessageCreated | Trigger::MessageUpdated => match message {
            Some(stored) if name == CLEANED => tree(&cleaned(stored, about.raw.as_deref().unwrap_or_default()))?,
            Some(stored) => tree(&shown(stored, about.raw.as_deref()))?,
            None => gone(event, "message"),
        },
        Trigger::DraftCreated | Trigger::DraftUpdated => match message {
            Some(stored) if stored.draft => tree(&shown(stored, about.raw.as_deref()))?,
            _ => gone(event, "draft"),
        },
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
    let mut object = tree(&shown(stored, None))?;
    for field in ["schedule_id", "send_at", "use_draft"] {
        object[field] = facts[field].clone();
    }
    Ok(object)
}

fn tree(message: &Message) -> Result<Value, Problem> {
    serde_json::to_value(message).map_err(Problem::internal)
}

/// A message, with its body where its raw form is given.
fn shown(stored: &StoredMessage, raw: Option<&[u8]>) -> Message {
    view::message(stored, raw, Fields::Standard)
}

/// A message whose body is what its author wrote for it, as Markdown; plain text stays plain text.
fn cleaned(stored: &StoredMessage, raw: &[u8]) -> Message {
    Message { body: Some(clean::as_markdown(stored, raw)), ..shown(stored, None) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::UnixMicros;
    use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, ThreadId};

    const NOW: UnixMicros = UnixMicros::from_seconds(1_772_445_600);
    const RAW: &[u8] =
        b"From: Ada <ada@people.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>\"Hello\"</p>\r\n";

    fn event(trigger: Trigger) -> NewEvent {
        NewEvent {
            id: EventId::first_at(NOW),
            application_id: ApplicationId::first_at(NOW),
            grant_id: GrantId::first_at(NOW),
            grant_sequence: 7,
            trigger,
            message_id: Some(MessageId::first_at(NOW)),
            data: "{}".to_owned(),
            at: NOW,
        }
    }

    fn about(draft: bool) -> About {
        let message = StoredMessage {
            id: MessageId::first_at(NOW),
            grant_id: GrantId::first_at(NOW),
            thread_id: ThreadId::first_at(NOW),
            blob_id: BlobId::first_at(NOW),
            outgoing: draft,
            date: NOW,
            unread: true,
            starred: false,
            octets: RAW.len() as u64,
            folders: vec!["inbox".to_owned()],
            summary: json!({"subject": "A \"quoted\" subject", "snippet": "Hello"}).to_string(),
            draft,
            assessment: None,
            answered: false,
        };
        About { message: Some(Arc::new(message)), raw: Some(RAW.to_vec()), grant: None }
    }

    #[test]
    fn a_message_that_is_written_as_it_is_kept_is_told_as_any_other() {
        for (trigger, draft) in [
            (Trigger::MessageCreated, false),
            (Trigger::MessageUpdated, false),
            (Trigger::DraftCreated, true),
            (Trigger::DraftUpdated, true),
        ] {
            let (event, about) = (event(trigger), about(draft));
            let written = notification(&event, &about, trigger.name(), 3, usize::MAX).expect("written");
            let object = object(&event, &about, trigger.name(), &Value::Null).expect("object");
            let rendered = render(&event, trigger.name(), 3, [&Value::Null, &Value::Null, &object]).expect("rendered");
            assert_eq!(String::from_utf8(written), String::from_utf8(rendered), "{trigger:?}");
        }
    }

    #[test]
    fn what_is_too_large_is_told_without_its_body_and_then_by_its_ids() {
        let (event, about) = (event(Trigger::MessageCreated), about(false));
        let told = |octets_max| {
            let octets = notification(&event, &about, "message.created", 1, octets_max).expect("written");
            serde_json::from_slice::<Value>(&octets).map(|told| (octets.len(), told)).expect("JSON")
        };
        let (whole, first) = told(usize::MAX);
        assert_eq!(first["data"]["object"]["body"], "<p>\"Hello\"</p>\r\n");
        let (without_body, second) = told(whole - 1);
        assert_eq!(
            (&second["type"], &second["data"]["object"]["body"]),
            (&json!("message.created.truncated"), &Value::Null)
        );
        assert_eq!(second["data"]["object"]["subject"], "A \"quoted\" subject");
        let (_, third) = told(without_body - 1);
        let fields: Vec<_> = third["data"]["object"].as_object().into_iter().flat_map(|object| object.keys()).collect();
        assert_eq!(fields, ["id", "object", "grant_id", "thread_id"]);
    }
}
