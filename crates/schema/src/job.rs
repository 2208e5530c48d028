//! Jobs: work in the background.

use serde::Serialize;
use utoipa::ToSchema;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `auto_group` or `layout`.
    pub kind: &'static str,
    /// `queued`, `running`, `done` or `failed`.
    pub status: &'static str,
    /// When it was begun, unix seconds.
    pub created_at: i64,
    /// When it last went on, unix seconds.
    pub updated_at: i64,
    /// Mailboxes that it has looked at so far.
    pub examined: u64,
    /// Mailboxes that it has moved so far.
    pub moved: u64,
    /// What else there is to say.
    pub result: JobResult,
}

/// What a job has to say beside its numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobResult {
    /// Mailboxes that no assignment matches.
    pub unmatched: u64,
    /// Mailboxes that stayed because the workspace was removed into which they should go.
    pub skipped: u64,
    /// Why the job failed; null unless it did.
    pub error: Option<String>,
}
