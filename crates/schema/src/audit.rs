//! The record of changes: who did what.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditRecord {
    /// Its id.
    pub id: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Who.
    pub actor: Actor,
    /// What happened, such as `policy.updated`.
    pub action: String,
    /// To what.
    pub target: Target,
    /// What it was; null if it is new.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Map<String, Value>>,
    /// What it is; null if it is gone.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Map<String, Value>>,
    /// The id of the request; empty if there was none.
    pub request_id: String,
    /// In which application; null for what concerns the organization.
    pub application_id: Option<String>,
    /// In which organization.
    pub organization_id: String,
}

/// Who made a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct Actor {
    /// `api_key`, `operator_key`, `service_account`, `access_token`, `system` or `command_line`.
    pub kind: String,
    /// The id of the key, the account or the mailbox; empty for the product and the command line.
    pub id: String,
    /// What people called it then.
    pub name: String,
}

/// What was changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Target {
    /// The kind of thing, such as `policy`.
    pub kind: String,
    /// Its id.
    pub id: String,
}
