//! Findings: what the check of an application's workspaces and policies has to say.

use serde::Serialize;
use utoipa::ToSchema;

/// Something that may not be as it was meant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finding {
    /// What: `grants_fell_through`, `grants_in_no_workspace`, `policies_unattached`, `workspaces_without_policy`,
    /// `workspaces_without_daily_cap` or `policies_identical`.
    pub code: &'static str,
    /// `info` or `warning`.
    pub severity: &'static str,
    /// What it means, for people.
    pub message: String,
    /// How many mailboxes, policies or workspaces.
    pub count: u64,
    /// Some of them: at most 20.
    pub ids: Vec<String>,
    /// Whether there is more than was looked at: no more than 10,000 rows are.
    pub truncated: bool,
}
