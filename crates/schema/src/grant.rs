//! Grants: mailboxes as the interface calls them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/connect/custom`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateGrant {
    /// Must be `nylas`.
    pub provider: String,
    /// The display name.
    #[serde(default)]
    pub name: Option<String>,
    /// The workspace; the application's default one if absent.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// The address.
    pub settings: CreateGrantSettings,
}

/// The `settings` of a new grant.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateGrantSettings {
    /// The address, on a registered domain.
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
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
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
