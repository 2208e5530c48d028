//! `/v3/grants/{grant_id}/messages/schedules`.

use serde::Serialize;
use utoipa::ToSchema;

/// A send that waits for its time, or what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduledMessage {
    /// Its id.
    pub schedule_id: String,
    /// What became of it.
    pub status: ScheduleStatus,
    /// When it was over, in unix seconds; null while it waits.
    pub close_time: Option<i64>,
    /// When it is to be sent, in unix seconds.
    pub send_at: i64,
    /// Whether the message is a draft of the mailbox until then.
    pub use_draft: bool,
    /// The id that the message has, or had.
    pub message_id: String,
}

/// What became of a send at a later time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleStatus {
    /// `pending`, `success`, `failed` or `cancelled`.
    #[schema(example = "pending")]
    pub code: &'static str,
    /// The same for people; of a failure also the reason.
    pub description: String,
}

/// The answer to taking a send back.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleCancelled {
    /// Always `requested cancelation for workflow`, as the hosted service spells it.
    pub message: &'static str,
}
