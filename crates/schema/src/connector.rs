//! Connectors: what clients of the hosted service make before their first mailbox.

use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// `POST /v3/connectors`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateConnector {
    /// Must be `nylas`.
    pub provider: String,
    /// What people call it: 1 to 256 characters; `nylas` if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// An object of at most 16,384 octets that is kept and shown, without effect; empty if absent.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub settings: Option<serde_json::Map<String, serde_json::Value>>,
    /// Up to 100 texts of at most 256 characters that are kept and shown, without effect; empty if absent.
    #[serde(default, alias = "scopes")]
    #[schema(max_items = 100)]
    pub scope: Option<Vec<String>>,
}

/// `PATCH /v3/connectors/{provider}`: absent fields stay. At least one must be there.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct UpdateConnector {
    /// What people call it: 1 to 256 characters; null makes it `nylas`.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// The settings as a whole; null makes them empty.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub settings: Patch<serde_json::Map<String, serde_json::Value>>,
    /// The scope as a whole; null makes it empty.
    #[serde(default, alias = "scopes")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    pub scope: Patch<Vec<String>>,
}

/// A connector.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connector {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Always `nylas`.
    pub provider: &'static str,
    /// What was given; empty if nothing was.
    #[schema(value_type = Object)]
    pub settings: Box<RawValue>,
    /// What was given; empty if nothing was.
    pub scope: Vec<String>,
    /// Always null: mailboxes need no credential of another provider.
    pub active_credential_id: Option<String>,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was last changed, in Unix seconds.
    pub updated_at: i64,
}
