//! Findings: what the check of an application's workspaces, policies, rules and lists has to say.

use serde::Serialize;
use utoipa::ToSchema;

/// Something that may not be as it was meant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finding {
    /// What: `grants_fell_through`, `grants_in_no_workspace`, `policies_unattached`, `workspaces_without_policy`,
    /// `workspaces_without_daily_cap`, `workspaces_with_disabled_rules_only`, `policies_identical`,
    /// `policies_like_tenants`, `rules_unattached`, `rules_naming_lost_lists` or `lists_unused`.
    pub code: &'static str,
    /// `info` or `warning`.
    pub severity: &'static str,
    /// What it means, for people.
    pub message: String,
    /// How many mailboxes, workspaces, policies, rules or lists.
    pub count: u64,
    /// Some of them: at most 20.
    pub ids: Vec<String>,
    /// Whether there is more than was looked at: no more than 10,000 rows are.
    pub truncated: bool,
}
