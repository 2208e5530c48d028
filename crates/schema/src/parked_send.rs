//! Sends that came by the message bus and were refused.

use serde::Serialize;
use utoipa::ToSchema;

/// A send that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedSend {
    /// Its id.
    pub id: String,
    /// The mailbox, as the subject names it.
    pub grant_id: String,
    /// The `Nats-Msg-Id` that it was published with, which is its idempotency key; null if it had none.
    pub message_id: Option<String>,
    /// Why it was refused the last time.
    pub error: ParkedReason,
    /// How often it was sent again since, in vain.
    pub retries: u64,
    /// Bytes of what was published.
    pub bytes: u64,
    /// When it was refused, in unix seconds.
    pub parked_at: i64,
    /// When it is forgotten, in unix seconds: after 30 days.
    pub expires_at: i64,
}

/// A send that was refused, with what was published.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedSendDetails {
    /// Its id.
    pub id: String,
    /// The mailbox, as the subject names it.
    pub grant_id: String,
    /// The `Nats-Msg-Id` that it was published with, which is its idempotency key; null if it had none.
    pub message_id: Option<String>,
    /// Why it was refused the last time.
    pub error: ParkedReason,
    /// How often it was sent again since, in vain.
    pub retries: u64,
    /// Bytes of what was published.
    pub bytes: u64,
    /// When it was refused, in unix seconds.
    pub parked_at: i64,
    /// When it is forgotten, in unix seconds: after 30 days.
    pub expires_at: i64,
    /// What was published; what is no UTF-8 in it is replaced. Null if it is larger than 1 MiB, and so was not kept.
    pub body: Option<String>,
}

/// Why a send was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParkedReason {
    /// The status that the interface would have answered.
    pub status: u16,
    /// The word for programs.
    pub code: String,
    /// The text for people.
    pub message: String,
    /// The field that is wrong; null where none is.
    pub field: Option<String>,
}

/// What became of a parked send that was sent again and accepted.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetriedSend {
    /// The status that the interface would have answered: 200, or 202 if it waits or is held.
    pub status: u16,
    /// The id of the sent copy, or of the message that waits.
    pub message_id: Option<String>,
    /// The id of its thread; null if it is held and was before.
    pub thread_id: Option<String>,
    /// The id of the schedule; null unless it waits for its time.
    pub schedule_id: Option<String>,
    /// The id of the hold; null unless it is held.
    pub hold_id: Option<String>,
    /// Whether it had been accepted before under its key, so that nothing was sent now.
    pub duplicate: bool,
}
