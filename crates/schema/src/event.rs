//! The log of events, and what became of telling somebody of them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its id, as notifications have it.
    pub id: String,
    /// Its place in the log: as `page_token` it leads to what is behind it.
    pub cursor: String,
    /// What happened: a trigger of webhooks.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The mailbox; null for what concerns no single one.
    pub grant_id: Option<String>,
    /// Its number among the events of that mailbox, from 1.
    pub grant_sequence: u64,
    /// The message that it is about; null if it is about none.
    pub message_id: Option<String>,
    /// Whether it is about mail that went into junk as it came in: webhooks are told of that only if they ask for it.
    pub junk: bool,
    /// What notifications say of a quota or a raise; null for everything else, which is shown as it is now at its own path.
    #[schema(value_type = Option<Object>)]
    pub object: Value,
    /// When, in unix seconds.
    pub created_at: i64,
}

/// What became of telling a webhook or an alert of one event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// The event.
    pub event_id: String,
    /// What happened: a trigger of webhooks.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The mailbox; null for what concerns no single one.
    pub grant_id: Option<String>,
    /// `delivered`: the receiver took it, or the mail was accepted for sending. `pending`: not tried yet. `waiting`: tried
    /// again later, or waiting behind an earlier event of the mailbox. `given_up`: not taken, and not tried any more.
    pub state: &'static str,
    /// While it is `waiting`, and when it is `given_up`: how often it was tried, 0 if it waits behind another; null otherwise.
    pub attempts: Option<u32>,
    /// While it is `waiting`: when it is tried next, in unix seconds; null otherwise, and while it waits behind another.
    pub next_attempt_at: Option<i64>,
    /// When it was `given_up`, in unix seconds; null otherwise.
    pub given_up_at: Option<i64>,
    /// What came of the last attempt, while it is `waiting` after one and when it is `given_up`: `status_` and the status of the
    /// answer, `connection_failed`, `certificate_untrusted`, `deadline_passed`, `connection_broken`, `target_refused`,
    /// `mail_refused` or `internal_error`; null otherwise.
    pub reason: Option<String>,
    /// When the event was, in unix seconds.
    pub created_at: i64,
}
