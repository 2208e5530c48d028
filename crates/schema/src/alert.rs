//! Alerts: people who are told of what happens, by e-mail or in a chat.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/alerts`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateAlert {
    /// `email` or `chat`.
    #[serde(default, rename = "type")]
    #[schema(required = true)]
    pub kind: Option<String>,
    /// For `email`: to whom.
    #[serde(default)]
    pub email: Option<String>,
    /// For `email`: the mailbox that sends it, by its id or address. What it sends counts against its quotas.
    #[serde(default)]
    pub from_grant_id: Option<String>,
    /// For `chat`: the incoming webhook of the chat, an address with `https` or one in a network that the server allows.
    /// It gets `{"text": "…"}`. It is a secret, and is not shown again.
    #[serde(default)]
    pub url: Option<String>,
    /// What to tell of: 1 to 16 of `quota.warning`, `quota.reached`, `quota.exceeded`, `raise.requested`,
    /// `recovery.requested`, `raise.decided`, `recovery.decided`, `sending.stopped`, `sending.resumed`, `breaker.tripped`,
    /// `domain.endangered`, `reputation.changed`, `alert.triggered`, `webhook.failing`, `webhook.failed` and
    /// `webhook.resumed`; the first five if null or absent.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 16)]
    pub trigger_types: Option<Vec<String>>,
    /// Only of mailboxes of this workspace; of all if null or absent.
    #[serde(default)]
    pub workspace_id: Option<String>,
    /// A text for people: at most 256 characters; empty if null or absent.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub description: Option<String>,
}

/// Somebody who is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// `email` or `chat`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// To whom; null for a chat.
    pub email: Option<String>,
    /// The mailbox that sends it; null for a chat.
    pub from_grant_id: Option<String>,
    /// The host of the chat's webhook, of which the rest is secret; null for e-mail.
    pub url_host: Option<String>,
    /// What it is told of.
    pub trigger_types: Vec<String>,
    /// Only of mailboxes of this workspace; null for all.
    pub workspace_id: Option<String>,
    /// A text for people; empty if there is none.
    pub description: String,
    /// When it was made, in unix seconds.
    pub created_at: i64,
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
pub struct AlertTest {
    /// Whether the chat took it, or the mail was accepted for sending.
    pub delivered: bool,
    /// Why not; null if it was.
    pub detail: Option<String>,
}
