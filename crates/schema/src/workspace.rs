//! Workspaces: groups of mailboxes under one policy.

use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/workspaces`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateWorkspace {
    /// What people call it: 1 to 256 characters.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// The domain of the mailboxes that it is for; absent or empty for one of mailboxes of any domain. It stays.
    #[serde(default)]
    #[schema(max_length = 253)]
    pub domain: Option<String>,
    /// Whether it takes new mailboxes of exactly its domain that name no workspace. Default: true with a domain, false
    /// without; true needs a domain.
    #[serde(default)]
    pub auto_group: Option<bool>,
    /// The policy of its mailboxes; null or absent for none: what the plan allows holds.
    #[serde(default)]
    pub policy_id: Option<String>,
    /// The rules that judge the mail of its mailboxes; null, absent or empty for none. At most as many as the plan has,
    /// or 100. One that is named twice counts once.
    #[serde(default)]
    pub rule_ids: Option<Vec<String>>,
    /// What becomes of sends over a quota that resets: `reject` (429), `hold` (202: they wait in their order and leave when
    /// there is quota again) or `approve` (202: they wait until somebody approves them, and then for quota); `reject` if
    /// absent.
    #[serde(default)]
    pub on_quota: Option<String>,
    /// Makes a policy of this kind for it (see `GET /v3/workspaces/presets`); not together with `policy_id`.
    #[serde(default)]
    pub preset: Option<String>,
}

/// `PATCH /v3/workspaces/{workspace}`: at least one field; absent ones stay.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateWorkspace {
    /// What people call it: 1 to 256 characters. Not for the default workspace.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// Whether it takes new mailboxes of its domain; true needs a domain. Not for the default workspace.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub auto_group: Patch<bool>,
    /// The policy of its mailboxes; null detaches it: what the plan allows holds.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub policy_id: Patch<String>,
    /// The rules that judge the mail of its mailboxes, all of them; empty or null detaches all. At most as many as the
    /// plan has, or 100. One that is named twice counts once.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub rule_ids: Patch<Vec<String>>,
    /// What becomes of sends over a quota that resets: `reject`, `hold` or `approve`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub on_quota: Patch<String>,
    /// Its domain cannot be changed; the one that it has is tolerated.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub domain: Patch<String>,
}

/// A workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct Workspace {
    /// Its id.
    pub workspace_id: String,
    /// The application whose it is.
    pub application_id: String,
    /// What people call it.
    pub name: String,
    /// The domain of the mailboxes that it is for; empty if none, never null.
    pub domain: String,
    /// Whether it takes new mailboxes of its domain that name no workspace.
    pub auto_group: bool,
    /// Whether it is the application's default workspace, which takes mailboxes for which there is no better place.
    pub default: bool,
    /// The policy of its mailboxes; null for none: what the plan allows holds.
    pub policy_id: Option<String>,
    /// The rules that judge the mail of its mailboxes, as they were named; the order in which they are looked at is that
    /// of their priority.
    pub rule_ids: Vec<String>,
    /// What becomes of sends over a quota that resets: `reject`, `hold` or `approve`.
    pub on_quota: &'static str,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// A kind of workspace that can be asked for by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preset {
    /// The name for `preset` of `POST /v3/workspaces`.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Messages that a mailbox may send in a UTC day, unless the plan allows fewer.
    pub daily_sends_max: u64,
    /// Days that junk is kept, unless the plan has fewer; null leaves it to the plan.
    pub spam_retention_days: Option<u64>,
    /// Whether lists of bad addresses in the DNS are asked.
    pub use_list_dnsbl: bool,
    /// Whether odd header fields count.
    pub use_header_anomaly_detection: bool,
    /// 0.1 to 5.0; more marks more as junk.
    pub spam_sensitivity: f64,
}

/// `POST /v3/workspaces/{workspace}/manual-assign`: at least one mailbox.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ManualAssign {
    /// Mailboxes, by id or address, that go into the workspace from wherever they are: at most 500.
    #[serde(default)]
    #[schema(max_items = 500)]
    pub assign_grants: Option<Vec<String>>,
    /// Mailboxes, by id or address, that leave the workspace and are in none then; those that are elsewhere stay
    /// there: at most 500.
    #[serde(default)]
    #[schema(max_items = 500)]
    pub remove_grants: Option<Vec<String>>,
}

/// What `manual-assign` did.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assigned {
    /// The application.
    pub application_id: String,
    /// The workspace.
    pub workspace_id: String,
    /// Its domain; empty if none.
    pub domain: String,
    /// Ids of the mailboxes that are in it as asked.
    pub grants_assigned: Vec<String>,
    /// Ids of the mailboxes that were taken out of it.
    pub grants_removed: Vec<String>,
}

/// `POST /v3/workspaces/auto-group`; the body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct AutoGroup {
    /// Only mailboxes that were made at this time or later, unix seconds.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub after_created_at: Option<i64>,
    /// Accepted for clients of the hosted service: mailboxes here are never invalid.
    #[serde(default)]
    pub invalid_also: Option<bool>,
    /// Only mailboxes of this domain.
    #[serde(default)]
    #[schema(max_length = 253)]
    pub specific_domain: Option<String>,
}

/// A job that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub struct AutoGroupStarted {
    /// Its id, for `GET /v3/jobs/{job}`.
    pub job_id: String,
    /// The same for people.
    pub message: String,
}
