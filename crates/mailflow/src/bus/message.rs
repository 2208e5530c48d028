//! From a logged event to what is published of it.

use super::BusSettings;
use crate::platform::Platform;
use crate::webhooks;
use postfleet_bus::{Expected, LastMessage, Message};
use postfleet_core::Problem;
use postfleet_core::id::EventId;
use postfleet_schema::notification::{Notification, NotificationData};
use postfleet_store::events::Event;
use serde_json::{Value, json};

/// The header with the place of the event in the log of the installation.
pub const POSITION: &str = "Postfleet-Position";

/// The header with the number of the event among those of its mailbox.
pub const SEQUENCE: &str = "Postfleet-Sequence";

/// The header with the id of the message, by which the bus knows repeats.
const MESSAGE_ID: &str = "Nats-Msg-Id";

/// How much is said of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The body that webhooks get.
    Whole,
    /// Ids alone, since the body cannot be made.
    Ids,
}

/// What is published of an event. `generation` is there when the bus may know the id of the event although it has the
/// message no more: then it gets another one.
pub(super) async fn message(
    platform: &Platform,
    settings: &BusSettings,
    event: &Event,
    shape: Shape,
    generation: Option<u64>,
) -> Result<Message, Problem> {
    let limit = platform.settings.notification_octets_max;
    let body = match shape {
        Shape::Whole => webhooks::notification(platform, event).await?,
        Shape::Ids => ids(event)?,
    };
    let body = if body.len() <= limit { body } else { ids(event)? };
    let id = event.event.id;
    Ok(Message {
        subject: subject(settings, event),
        id: generation.map_or_else(|| id.to_string(), |generation| format!("{id}/{generation}")),
        expected: Expected::Anything,
        headers: vec![(POSITION, event.position.to_string()), (SEQUENCE, event.event.grant_sequence.to_string())],
        body: body.into(),
    })
}

/// `<prefix>.events.<application>.<grant>.<trigger>`, with `_` for what is of no mailbox.
fn subject(settings: &BusSettings, event: &Event) -> String {
    let new = &event.event;
    let grant = if new.grant_id.uuid().is_nil() { "_".to_owned() } else { new.grant_id.to_string() };
    format!("{}.events.{}.{grant}.{}", settings.prefix, new.application_id, new.trigger.name())
}

/// A notification that says no more than what it is about.
fn ids(event: &Event) -> Result<Vec<u8>, Problem> {
    let new = &event.event;
    let grant = if new.grant_id.uuid().is_nil() { String::new() } else { new.grant_id.to_string() };
    let object = match new.message_id {
        Some(id) => json!({"id": id.to_string(), "grant_id": grant, "object": "message"}),
        None => json!({"grant_id": grant}),
    };
    let notification = Notification {
        specversion: "1.0",
        kind: format!("{}.truncated", new.trigger.name()),
        source: new.trigger.source(),
        id: new.id.to_string(),
        time: new.at.as_seconds(),
        webhook_delivery_attempt: 1,
        data: NotificationData {
            application_id: new.application_id.to_string(),
            grant_id: grant,
            grant_sequence: new.grant_sequence,
            reason: &Value::Null,
            error: &Value::Null,
            object: &object,
        },
    };
    serde_json::to_vec(&notification).map_err(Problem::internal)
}

/// The position and the id of the event that a message of the stream is; `None` if it is none of ours.
pub(super) fn read_back(last: &LastMessage) -> Option<(i64, EventId)> {
    let position = last.header(POSITION)?.parse().ok()?;
    let id = last.header(MESSAGE_ID)?.split('/').next()?.parse().ok()?;
    Some((position, id))
}
