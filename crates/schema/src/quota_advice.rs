//! Advice about the daily quota of a workspace's mailboxes.

use serde::Serialize;
use utoipa::ToSchema;

/// `GET /v3/workspaces/{workspace}/quota-advice`.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuotaAdvice {
    /// The workspace.
    pub workspace_id: String,
    /// How many UTC days were looked at, today included.
    pub days: u64,
    /// How many of its mailboxes were looked at.
    pub mailboxes: u64,
    /// Whether it has more mailboxes than were looked at: no more than 100,000 are.
    pub truncated: bool,
    /// The most that one of them has sent in one day; null if none has sent anything.
    pub peak: Option<Peak>,
    /// The limit in force: messages that each of them may send in a UTC day; -1 is unlimited.
    pub limit_count_daily_email_sent: i64,
    /// Whether the peak is what the limit in force allows: more may have been wanted.
    pub at_limit: bool,
    /// The limit to set: about twice the peak, and no more than the plan allows; null without a peak.
    pub suggested_limit_count_daily_email_sent: Option<i64>,
}

/// The busiest day of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Peak {
    /// The mailbox.
    pub grant_id: String,
    /// When the day began, at 00:00 UTC: unix seconds.
    pub day: i64,
    /// Messages that it sent that day.
    pub sent: u64,
}
