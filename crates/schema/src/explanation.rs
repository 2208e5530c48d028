//! Why a mailbox may not send, and why it could not.

use serde::Serialize;
use utoipa::ToSchema;

/// `GET /v3/grants/{grant}/explain`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    /// The mailbox.
    pub grant_id: String,
    /// When it was asked, in Unix seconds.
    pub at: i64,
    /// The key with which it would be sent; null if it would be sent by a person or a mail client.
    pub key_id: Option<String>,
    /// The recipients that were asked about; without any, what holds for all is told.
    pub recipients: Vec<String>,
    /// Whether a small message would be accepted now.
    pub accepted: bool,
    /// Everything that stands against it, in the order in which it would be told.
    pub refusals: Vec<Obstacle>,
    /// Why a send would be held in place of being refused: `rule`, `quota` or `approval`; null if it would not be.
    pub held_for: Option<&'static str>,
    /// How many sends of the mailbox are held now.
    pub held_sends: u64,
    /// What was refused in the last 30 days, by day and reason: the latest day first, 100 at most.
    pub past: Vec<PastRefusal>,
}

/// What stands against a send now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Obstacle {
    /// The code of the refusal.
    pub code: &'static str,
    /// The HTTP status of the refusal.
    pub status_code: u16,
    /// The word for its kind, as in `error.type`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What would be said.
    pub message: String,
    /// Whose decision it is.
    pub owner: Owner,
    /// What would change it.
    pub change: &'static str,
    /// Whose allowance is used up, if one is: `grant`, `key`, `application` or `organization`; null if none is.
    pub scope: Option<String>,
    /// That allowance; null if none is used up.
    pub limit: Option<u64>,
    /// What of it is used; null if none is used up.
    pub used: Option<u64>,
    /// When it is whole again, in Unix seconds; null if waiting does not help.
    pub resets_at: Option<i64>,
}

/// What was refused on one day for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub struct PastRefusal {
    /// The code of the refusal.
    pub code: String,
    /// What was said the last time.
    pub message: String,
    /// How often on that day.
    pub times: u64,
    /// The first of the day: when it stopped, in Unix seconds.
    pub first_at: i64,
    /// The last of the day, in Unix seconds.
    pub last_at: i64,
    /// The key with which the last one was asked for; null if none was used.
    pub key_id: Option<String>,
    /// Whose decision it is, as things are now.
    pub owner: Owner,
    /// What would change it.
    pub change: &'static str,
    /// Whose allowance was used up, if one was; null if none was.
    pub scope: Option<String>,
    /// That allowance, the last time; null if none was used up.
    pub limit: Option<u64>,
    /// What of it was used, the last time; null if none was used up.
    pub used: Option<u64>,
    /// When it is or was whole again, in Unix seconds; null if waiting does not help.
    pub resets_at: Option<i64>,
}

/// Whose decision it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Owner {
    /// `policy`, `plan`, `api_key`, `domain`, `suppressions`, `workspace` (its rules) or `message`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id; null for what has none.
    pub id: Option<String>,
    /// What people call it; null for what has no name.
    pub name: Option<String>,
}
