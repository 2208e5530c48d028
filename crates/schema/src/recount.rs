//! What organizations use, counted anew.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/admin/organizations/{organization}/usage/recount`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RecountUsage {
    /// Whether counters that are wrong are set right, by the installation's operator; if absent, they are only shown.
    #[serde(default)]
    pub repair: Option<bool>,
}

/// `GET` and `POST /v3/admin/organizations/{organization}/usage/recount`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageRecount {
    /// The organization.
    pub organization_id: String,
    /// When it was counted anew, in unix seconds; null if it never was.
    pub recounted_at: Option<i64>,
    /// The UTC months that daily and monthly counters are of, such as `2026-03`: this one and the one before.
    pub months: Vec<String>,
    /// Mailboxes that were looked at.
    pub mailboxes: u64,
    /// Messages sent and received, one for each mailbox, that were counted.
    pub transfers: u64,
    /// Counters that were compared.
    pub counters: u64,
    /// How many of them are wrong, or were before they were repaired: zero unless something is wrong.
    pub drift_count: u64,
    /// Those that are wrong, 1,000 at most.
    pub drift: Vec<UsageDrift>,
    /// Whether they were set right.
    pub is_repaired: bool,
}

/// A counter that is not what was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageDrift {
    /// What it counts: `accounts` (mailboxes), `storage` (bytes kept), `daily_sends`, `daily_received` and `monthly_sends` (messages),
    /// `monthly_sends_of_removed` (those of mailboxes that are gone), `monthly_bytes_in` or `monthly_bytes_out`.
    pub meter: String,
    /// Whose it is: `organization`, `application` or `grant`.
    pub scope: String,
    /// The id of the organization, the application or the mailbox.
    pub id: String,
    /// The UTC day or month that it is of; null for what is kept.
    pub period: Option<String>,
    /// What the counter says, by which senders are stopped.
    pub counted: i64,
    /// What was counted.
    pub recounted: i64,
    /// How much the counter is too high; negative if it is too low.
    pub difference: i64,
}
