//! Webhook subscriptions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A webhook to make.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateWebhook {
    /// The triggers to be told of: 1 to 100 names, such as `message.created`.
    #[schema(min_items = 1, max_items = 100)]
    pub trigger_types: Vec<String>,
    /// Where: an address with `https`, or one in a network that the server allows. No control characters.
    pub webhook_url: String,
    /// A text for people; empty if absent.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// Addresses of people who are told when it fails; none if absent.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub notification_email_addresses: Option<Vec<String>>,
    /// Whether bodies are compressed: not available yet, so only `false`.
    #[serde(default)]
    pub compressed_delivery: Option<bool>,
    /// Whether it is told of mail that goes into junk as it comes in. Default: false, so that nobody answers junk.
    #[serde(default)]
    pub include_junk: Option<bool>,
}

/// Changes to a webhook: absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateWebhook {
    /// The triggers to be told of: 1 to 100 names.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 100)]
    pub trigger_types: Option<Vec<String>>,
    /// Where; a new address must echo a challenge.
    #[serde(default)]
    pub webhook_url: Option<String>,
    /// A text for people.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// `active`, or `pause` (also spelled `paused` and `inactive`).
    #[serde(default)]
    pub status: Option<String>,
    /// Addresses of people who are told when it fails.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub notification_email_addresses: Option<Vec<String>>,
    /// Whether bodies are compressed: not available yet, so only `false`.
    #[serde(default)]
    pub compressed_delivery: Option<bool>,
    /// Whether it is told of mail that goes into junk as it comes in.
    #[serde(default)]
    pub include_junk: Option<bool>,
}

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// A text for people; empty if there is none.
    pub description: String,
    /// The triggers that it is told of.
    pub trigger_types: Vec<String>,
    /// Where notifications go.
    pub webhook_url: String,
    /// The key that signs what is sent; shown only when it is made and when it is rotated, absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub webhook_secret: Option<String>,
    /// `active`, `pause`, `failing` or `failed`.
    pub status: String,
    /// Addresses of people who are told when it fails.
    pub notification_email_addresses: Vec<String>,
    /// Whether bodies are compressed.
    pub compressed_delivery: bool,
    /// Whether it is told of mail that goes into junk as it comes in.
    pub include_junk: bool,
    /// Events of the application, wanted or not, that it has not come to, and those that it is told of again: 1000 at most.
    pub pending: u64,
    /// When the oldest of them happened, in unix seconds; null if there is none.
    pub oldest_pending_at: Option<i64>,
    /// When the status last changed, in unix seconds.
    pub status_updated_at: i64,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was last changed, in unix seconds.
    pub updated_at: i64,
}

/// From where webhooks are called.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceAddresses {
    /// IPv4 and IPv6 addresses, for the firewalls of receivers; empty if the operator has not said which they are.
    pub ip_addresses: Vec<String>,
    /// Since when the server answers this, in unix seconds: its start.
    pub updated_at: i64,
}

/// The answer to a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Always `success`.
    pub status: &'static str,
}
