//! Webhook subscriptions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/webhooks`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateWebhook {
    /// What to be told of.
    pub trigger_types: Vec<String>,
    /// Where.
    pub webhook_url: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Who is told when it fails.
    #[serde(default)]
    pub notification_email_addresses: Option<Vec<String>>,
    /// Whether bodies are compressed.
    #[serde(default)]
    pub compressed_delivery: Option<bool>,
}

/// `PUT /v3/webhooks/{id}`: absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateWebhook {
    /// What to be told of.
    #[serde(default)]
    pub trigger_types: Option<Vec<String>>,
    /// Where.
    #[serde(default)]
    pub webhook_url: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// `active`, or `pause` (also spelled `paused` and `inactive`).
    #[serde(default)]
    pub status: Option<String>,
    /// Who is told when it fails.
    #[serde(default)]
    pub notification_email_addresses: Option<Vec<String>>,
    /// Whether bodies are compressed.
    #[serde(default)]
    pub compressed_delivery: Option<bool>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// For people.
    pub description: String,
    /// What it is told of.
    pub trigger_types: Vec<String>,
    /// Where.
    pub webhook_url: String,
    /// The key that signs what is sent; shown when it is made and when it is rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_secret: Option<String>,
    /// `active`, `pause`, `failing` or `failed`.
    pub status: String,
    /// Who is told when it fails.
    pub notification_email_addresses: Vec<String>,
    /// Whether bodies are compressed.
    pub compressed_delivery: bool,
    /// Unix seconds.
    pub status_updated_at: i64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// The answer to a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Always `success`.
    pub status: &'static str,
}
