//! Webhook subscriptions.

use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A webhook to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
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
    /// Addresses of people who are told by mail when it fails; none if absent.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub notification_email_addresses: Option<Vec<String>>,
    /// Whether bodies are compressed with gzip; `false` if absent. The compressed bytes are signed.
    #[serde(default)]
    pub compressed_delivery: Option<bool>,
    /// Whether it is told of mail that goes into junk as it comes in. Default: false, so that nobody answers junk.
    #[serde(default)]
    pub include_junk: Option<bool>,
    /// Of which mailboxes it is told; of all if absent or empty.
    #[serde(default)]
    pub filters: Option<WebhookFilters>,
    /// Whether it is asked by a challenge, when it has failed, if it is back, and then told again. Default: true.
    #[serde(default)]
    pub auto_resume: Option<bool>,
    /// How many events a second it is told at most; as many as it takes if null or absent.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10_000)]
    pub rate: Option<u32>,
    /// Whether events of a mailbox wait for each other, so that they are told in order. Default: true.
    #[serde(default)]
    pub ordered: Option<bool>,
}

/// Of which mailboxes a webhook is told: those that any of the lists means. All lists empty means every mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WebhookFilters {
    /// Ids of mailboxes, at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub grant_ids: Vec<String>,
    /// Ids of workspaces, at most 100: what counts is where a mailbox is when its event is sent.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub workspace_ids: Vec<String>,
    /// Domains of mailboxes, at most 100; none of their subdomains.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub domains: Vec<String>,
}

/// What the old secret of a webhook is still good for. All may be absent, and the whole body.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RotateSecret {
    /// For how many seconds the old secret signs beside the new one, in `webhook-signature`; 0 if absent.
    #[serde(default)]
    #[schema(maximum = 604_800)]
    pub overlap_seconds: Option<u64>,
}

/// Which sample is wanted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MockPayload {
    /// Any name that `trigger_types` of a webhook may list.
    pub trigger_type: String,
}

/// Where a sample is to be sent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SendTestEvent {
    /// Any name that `trigger_types` of a webhook may list; `message.created` if absent.
    #[serde(default)]
    pub trigger_type: Option<String>,
    /// Where: an address as a webhook may have. It need not be that of a webhook.
    pub webhook_url: String,
}

/// A notification as a webhook would be sent it, with made-up contents.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SampleNotification {
    /// Always `1.0`.
    pub specversion: String,
    /// The trigger.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which part of the product.
    pub source: String,
    /// An id that is none of an event.
    pub id: String,
    /// Now, in unix seconds.
    pub time: i64,
    /// Always 1.
    pub webhook_delivery_attempt: u32,
    /// The application, the mailbox, and the object.
    pub data: Value,
}

/// Changes to a webhook: absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
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
    /// Whether bodies are compressed with gzip.
    #[serde(default)]
    pub compressed_delivery: Option<bool>,
    /// Whether it is told of mail that goes into junk as it comes in.
    #[serde(default)]
    pub include_junk: Option<bool>,
    /// Of which mailboxes it is told, in place of all that was said before; null for all.
    #[serde(default)]
    #[schema(value_type = Option<WebhookFilters>)]
    pub filters: Patch<WebhookFilters>,
    /// Whether it is asked by a challenge, when it has failed, if it is back, and then told again.
    #[serde(default)]
    pub auto_resume: Option<bool>,
    /// How many events a second it is told at most; null for as many as it takes.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000)]
    pub rate: Patch<u32>,
    /// Whether events of a mailbox wait for each other, so that they are told in order.
    #[serde(default)]
    pub ordered: Option<bool>,
    /// Null forgets what it has lost; it can be nothing else.
    #[serde(default)]
    #[schema(value_type = Option<Gap>)]
    pub gap: Patch<Value>,
}

/// Events that were removed from the log before a webhook was told of them: it was paused, had failed or stood still for
/// longer than events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gap {
    /// When the first of them happened, in unix seconds.
    pub from: i64,
    /// When the last of them happened, in unix seconds.
    pub to: i64,
    /// How many they are, wanted or not.
    pub events: u64,
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
    /// `active` or `pause`, as its subscriber has said; `failing` when for 15 minutes 95 % of the answers were none of 200 to
    /// 299, and `failed`, which ends sending, after 72 hours of that or a 410.
    pub status: String,
    /// Addresses of people who are told when it fails.
    pub notification_email_addresses: Vec<String>,
    /// Whether bodies are compressed.
    pub compressed_delivery: bool,
    /// Whether it is told of mail that goes into junk as it comes in.
    pub include_junk: bool,
    /// Whether it is asked by a challenge, when it has failed, if it is back, and then told again.
    pub auto_resume: bool,
    /// How many events a second it is told at most; null for as many as it takes.
    pub rate: Option<u32>,
    /// Whether events of a mailbox wait for each other.
    pub ordered: bool,
    /// What it has lost; null if nothing, or if that was forgotten.
    pub gap: Option<Gap>,
    /// Of which mailboxes it is told; of all if every list is empty.
    pub filters: WebhookFilters,
    /// Until when the secret before this one signs, too, in unix seconds; absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub previous_secret_until: Option<i64>,
    /// Events of the application, wanted or not, that it has not come to, and one for each mailbox of which one is tried
    /// again: 1000 at most.
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

/// The answer to a test event that was taken: always `success`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestTaken(pub &'static str);

/// The answer to a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    /// Always `success`.
    pub status: &'static str,
}
