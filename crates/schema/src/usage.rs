//! What mailboxes, applications and organizations use, and what ends them.

use serde::Serialize;
use utoipa::ToSchema;

/// One counter. It is the one that sends and deliveries are held against.
#[derive(Debug, Serialize, ToSchema)]
pub struct Meter {
    /// What is counted: `storage` (bytes kept), `daily_sends` and `daily_received` (messages), `accounts` (mailboxes), `monthly_sends` (messages)
    /// or `monthly_bandwidth` (bytes of mail in and out).
    pub meter: &'static str,
    /// Whose it is: `grant` or `organization`.
    pub scope: &'static str,
    /// What is used.
    pub used: u64,
    /// Where it ends; null if nothing ends it, because there is no limit or because the plan goes on above it.
    pub limit: Option<u64>,
    /// What is left until the limit; null without one.
    pub remaining: Option<u64>,
    /// What the plan includes; null if that is unlimited.
    pub included: Option<u64>,
    /// What is used above what the plan includes; it is billed where the plan goes on.
    pub overage: u64,
    /// When it begins anew, unix seconds; null for what stays used until something is removed.
    pub resets_at: Option<i64>,
}

/// `GET /v3/grants/{grant}/usage`.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantUsage {
    /// The mailbox.
    pub grant_id: String,
    /// The name of its organization's plan.
    pub plan: String,
    /// The UTC month that monthly counters are of, such as `2026-03`.
    pub month: String,
    /// What the mailbox has sent in that month, in messages.
    pub monthly_sends: u64,
    /// Every counter that may end it, its own first, in the order in which a send is held against them.
    pub meters: Vec<Meter>,
}

/// `GET /v3/usage` and `GET /v3/admin/applications/{application}/usage`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApplicationUsage {
    /// The application.
    pub application_id: String,
    /// The UTC month that monthly counters are of, such as `2026-03`.
    pub month: String,
    /// Bytes that its mailboxes keep.
    pub storage_bytes: u64,
    /// Messages that its mailboxes sent in that month.
    pub monthly_sends: u64,
    /// Bytes of mail that came in in that month; a message to many of its mailboxes counts once.
    pub bytes_in: u64,
    /// Bytes of mail that went out in that month; a message to many recipients counts once.
    pub bytes_out: u64,
    /// What its organization uses, over all applications.
    pub organization: OrganizationUsage,
}

/// `GET /v3/admin/organizations/{organization}/usage`.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationUsage {
    /// The organization.
    pub organization_id: String,
    /// The name of its plan.
    pub plan: String,
    /// The UTC month that monthly counters are of, such as `2026-03`.
    pub month: String,
    /// Whether it goes on above what the plan includes and is billed.
    pub has_overage: bool,
    /// Bytes of mail that came in in that month.
    pub bytes_in: u64,
    /// Bytes of mail that went out in that month.
    pub bytes_out: u64,
    /// The counters of what the plan meters.
    pub meters: Vec<Meter>,
}
