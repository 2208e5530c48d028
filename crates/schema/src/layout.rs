//! Laying an existing fleet out anew: what goes where, and a preview of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/workspaces/layout`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Layout {
    /// What goes where: 1 to 100, of which the first that matches a mailbox decides about it.
    #[schema(min_items = 1, max_items = 100)]
    pub assignments: Vec<LayoutAssignment>,
    /// Whether to answer only what would happen. Default: true. With false a job does it.
    #[serde(default)]
    pub dry_run: Option<bool>,
}

/// Mailboxes that match go into the workspace.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LayoutAssignment {
    /// Where they go.
    pub workspace_id: String,
    /// Which: at least one field, and all that are given must hold.
    #[serde(rename = "match")]
    pub wanted: LayoutMatch,
}

/// What a mailbox must be like.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LayoutMatch {
    /// Its address has exactly this domain.
    #[serde(default)]
    #[schema(max_length = 253)]
    pub domain: Option<String>,
    /// It is in this workspace now; `none` for mailboxes that are in none.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// Its address has this text somewhere, in any case: 1 to 256 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub email_contains: Option<String>,
    /// It was made at this time or later, unix seconds.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub created_after: Option<i64>,
    /// It was made before this time, unix seconds.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub created_before: Option<i64>,
}

/// What a layout would do, or the job that does it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum LayoutAnswer {
    /// With `dry_run`: what would happen.
    Preview(LayoutPreview),
    /// Without: the job.
    Started(LayoutStarted),
}

/// The job of a layout.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutStarted {
    /// Its id, for `GET /v3/jobs/{job}`.
    pub job_id: String,
}

/// What a layout would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutPreview {
    /// Mailboxes that were looked at.
    pub examined: u64,
    /// Mailboxes that would be moved.
    pub moved: u64,
    /// Mailboxes that no assignment matches.
    pub unmatched: u64,
    /// From where to where, most mailboxes first: at most 1,000.
    pub moves: Vec<LayoutMove>,
    /// Whether `moves` leaves some out, or not all mailboxes were looked at: no more than 1,000,000 are.
    pub truncated: bool,
}

/// Mailboxes that would go from one workspace to another.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutMove {
    /// Where they are; null for none.
    pub from_workspace_id: Option<String>,
    /// Where they would go.
    pub to_workspace_id: String,
    /// How many.
    pub count: u64,
    /// Messages that each may send in a UTC day now; null for any number.
    pub daily_sends_before: Option<u64>,
    /// The same after the move.
    pub daily_sends_after: Option<u64>,
    /// Some of them, the oldest: at most 10.
    pub sample: Vec<LayoutSample>,
}

/// A mailbox that would be moved.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutSample {
    /// Its id.
    pub grant_id: String,
    /// Its address.
    pub email: String,
}
