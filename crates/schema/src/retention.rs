//! How long mail is kept, and what was removed when its time was over.

use serde::Serialize;
use utoipa::ToSchema;

/// `GET /v3/grants/{grant}/retention`.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantRetention {
    /// The mailbox.
    pub grant_id: String,
    /// All of its mail but drafts and sends that wait, in every folder.
    pub inbox: RetentionWindow,
    /// What is in junk.
    pub spam: RetentionWindow,
    /// Messages that were removed in the days below.
    pub removed_messages: u64,
    /// Bytes of their raw forms.
    pub removed_bytes: u64,
    /// The last days on which something was removed, latest first; at most 400.
    pub days: Vec<RetentionDay>,
}

/// How long mail is kept under one of the two limits.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionWindow {
    /// The limit in force: the plan's, shortened by the policy; -1 is unlimited.
    pub days: i64,
    /// Since when the oldest message that it holds for is there, unix seconds; null if there is none.
    pub oldest_at: Option<i64>,
    /// When that message is due, unix seconds: it is removed soon afterwards. Null if nothing is, or never will be.
    pub next_due_at: Option<i64>,
}

/// What was removed on a UTC day.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionDay {
    /// Such as `2026-03-02`.
    pub date: String,
    /// By `limit_inbox_retention_period`.
    pub inbox: RetentionRemoved,
    /// By `limit_spam_retention_period`.
    pub spam: RetentionRemoved,
    /// When something was removed last, unix seconds.
    pub removed_at: i64,
}

/// What was removed by one limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionRemoved {
    /// The limit as it was then, in days; -1 is unlimited.
    pub days: i64,
    /// Messages.
    pub messages: u64,
    /// Bytes of their raw forms.
    pub bytes: u64,
}
