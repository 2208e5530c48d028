//! Telling a webhook once more.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a webhook is to be told once more: exactly one of `event_id`, `from` and `since` says which part of the log, or none
/// of them with `given_up`. Only what the webhook wants is told.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ReplayWebhook {
    /// This event, which the webhook must want.
    #[serde(default)]
    pub event_id: Option<String>,
    /// From this event on, by its `cursor`.
    #[serde(default)]
    pub from: Option<String>,
    /// Up to this event, by its `cursor`; to the present end of the log if absent.
    #[serde(default)]
    pub to: Option<String>,
    /// What happened at this time or later, in unix seconds.
    #[serde(default)]
    pub since: Option<i64>,
    /// What happened before this time, in unix seconds; until now if absent.
    #[serde(default)]
    pub until: Option<i64>,
    /// Only events of these triggers; of all if absent or empty.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub types: Option<Vec<String>>,
    /// Only events of these mailboxes, which may be gone; of all if absent or empty.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub grant_ids: Option<Vec<String>>,
    /// Only what this webhook has not taken and is not told any more; `false` if absent.
    #[serde(default)]
    pub given_up: Option<bool>,
}

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookReplay {
    /// Its id, which its requests have as `X-Postfleet-Replay`.
    pub id: String,
    /// The webhook that is told.
    pub webhook_id: String,
    /// `running`, `done` (everything is told or given up) or `cancelled`.
    pub status: &'static str,
    /// The first place in the log that it looks at.
    pub from: String,
    /// The last place in the log that it looks at.
    pub to: String,
    /// Nothing that happened before this is told, in unix seconds; null if that was not asked for.
    pub since: Option<i64>,
    /// Nothing that happened at this time or later is told, in unix seconds; null if that was not asked for.
    pub until: Option<i64>,
    /// Only events of these triggers are told; of all if empty.
    pub types: Vec<&'static str>,
    /// Only events of these mailboxes are told; of all if empty.
    pub grant_ids: Vec<String>,
    /// Whether only what was given up is told.
    pub given_up: bool,
    /// How far it is: the place up to which everything is told, given up, or tried again; null at its beginning.
    pub cursor: Option<String>,
    /// Events that were taken.
    pub told: u64,
    /// Events that were not taken, and are not tried any more.
    pub not_taken: u64,
    /// When it was asked for, in unix seconds.
    pub created_at: i64,
    /// When it was over, in unix seconds; null while it runs.
    pub ended_at: Option<i64>,
}
