//! Grants: mailboxes as the interface calls them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A mailbox to make.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateGrant {
    /// Must be `nylas`.
    #[schema(pattern = "^nylas$", example = "nylas")]
    pub provider: String,
    /// The display name; empty if absent. At most 256 characters, no control characters.
    #[serde(default)]
    #[schema(max_length = 256, example = "Support agent")]
    pub name: Option<String>,
    /// The id of the workspace; the application's default one if absent or empty.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// The address.
    pub settings: CreateGrantSettings,
}

/// The `settings` of a new grant.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateGrantSettings {
    /// The address, on a domain that is registered for the organization.
    #[schema(max_length = 320, example = "support@agents.example.com")]
    pub email: String,
}

/// A mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Always `nylas`.
    pub provider: &'static str,
    /// Its address.
    pub email: String,
    /// The display name.
    pub name: String,
    /// Always `valid`: these mailboxes do not expire.
    pub grant_status: &'static str,
    /// Always empty.
    pub scope: Vec<String>,
    /// The address again.
    pub settings: GrantSettings,
    /// Whether the interface refuses it.
    pub blocked: bool,
    /// The workspace whose policy governs it; null for one that is in none.
    pub workspace_id: Option<String>,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was last changed, in unix seconds.
    pub updated_at: i64,
}

/// The `settings` of a grant.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantSettings {
    /// Its address.
    pub email: String,
    /// Whether mail clients can log in.
    pub has_app_password: bool,
}
