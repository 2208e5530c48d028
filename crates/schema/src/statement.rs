//! What an organization used in a month, and what of it its plan includes.

use serde::Serialize;
use utoipa::ToSchema;

/// `GET /v3/admin/organizations/{organization}/usage/statement`.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageStatement {
    /// The organization.
    pub organization_id: String,
    /// What people call it.
    pub name: String,
    /// The name of its plan, as it is now.
    pub plan: String,
    /// Whether the plan goes on above what it includes, and that is billed.
    pub has_overage: bool,
    /// The UTC month, such as `2026-03`.
    pub month: String,
    /// When it begins, in unix seconds.
    pub starts_at: i64,
    /// When it ends, in unix seconds.
    pub ends_at: i64,
    /// Whether it is over and its readings are taken: nothing in it changes any more, but for sends that turn out to have
    /// reached nobody.
    pub is_final: bool,
    /// One for each resource that the plan meters: `accounts`, `storage`, `monthly_sends`, `monthly_bandwidth`.
    pub lines: Vec<StatementLine>,
    /// Bytes of mail that came in in the month.
    pub bytes_in: u64,
    /// Bytes of mail that went out in the month.
    pub bytes_out: u64,
    /// What each application used that was there. A message to mailboxes of two applications came in to both, and once to
    /// the organization.
    pub applications: Vec<StatementApplication>,
    /// Messages that were sent in the month by applications that are gone.
    pub sends_of_removed_applications: u64,
}

/// A resource that the plan meters.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementLine {
    /// What is metered: `accounts` (mailboxes), `storage` (bytes kept), `monthly_bandwidth` (bytes of mail in and out) or
    /// `monthly_sends` (messages).
    pub meter: &'static str,
    /// How it is read: `point_in_time` (what there is when the month ends), `cumulative` (each byte as it passes) or
    /// `total` (the sum of the month).
    pub reading: &'static str,
    /// What was used; null if it is read at the end of the month, and this server was not there then.
    pub used: Option<u64>,
    /// The most at any moment of the month; null but for `accounts`.
    pub peak: Option<u64>,
    /// When it was read, in unix seconds; null if it was not.
    pub read_at: Option<i64>,
    /// What the plan includes; null if that is unlimited.
    pub included: Option<u64>,
    /// What was used above that; null if it is not known what was used.
    pub overage: Option<u64>,
    /// Whether that is billed.
    pub is_billed: bool,
}

/// What an application used.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementApplication {
    /// The application.
    pub application_id: String,
    /// What people call it.
    pub name: String,
    /// `production` or `sandbox`.
    pub environment: String,
    /// Mailboxes when the month ended, or now; null if nobody was there to read it.
    pub accounts: Option<u64>,
    /// Bytes that they kept then; null if nobody was there to read it.
    pub storage_bytes: Option<u64>,
    /// Bytes of mail that came in in the month.
    pub bytes_in: u64,
    /// Bytes of mail that went out in the month.
    pub bytes_out: u64,
    /// Messages that were sent in the month.
    pub monthly_sends: u64,
}
