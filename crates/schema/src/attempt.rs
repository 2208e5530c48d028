//! What was sent to a webhook, and what came back.

use serde::Serialize;
use utoipa::ToSchema;

/// An attempt to tell a webhook of an event.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookAttempt {
    /// Its id: a number that counts within the webhook.
    pub id: String,
    /// The event.
    pub event_id: String,
    /// The name under which it was told.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its mailbox; null if it is of none.
    pub grant_id: Option<String>,
    /// The replay for which it was told; null if that is none.
    pub replay_id: Option<String>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// `taken`, or `failed`.
    pub outcome: &'static str,
    /// Why it was not taken, such as `status_503` or `deadline_passed`; null if it was.
    pub reason: Option<String>,
    /// The status of the answer; null if there was none.
    pub status: Option<u16>,
    /// From the beginning to the end of the answer, in milliseconds.
    pub duration_ms: f64,
    /// Where it went; a query is shown as `?…`.
    pub url: String,
    /// The header fields that were sent; signatures are shown as `…`.
    pub request_headers: Vec<HeaderField>,
    /// How long the body was, in bytes, as it was sent.
    pub request_bytes: u64,
    /// The SHA-256 of the body as it was sent, in lower-case hex.
    pub request_sha256: String,
    /// The first header fields of the answer: 2 KiB of them.
    pub answer_headers: Vec<HeaderField>,
    /// The first 4 KiB of the body of the answer, as text; null if there was no answer. In both what the URL keeps secret is
    /// shown as `…`.
    pub answer_body: Option<String>,
    /// Where one attempt is asked for: the JSON that was sent, before it was packed, made again of what is there now; absent if the
    /// event is not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_body: Option<String>,
    /// Where one attempt is asked for: whether that is what was sent, octet by octet; absent if the event is not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_body_is_as_sent: Option<bool>,
    /// When it began, in unix seconds.
    pub created_at: i64,
}

/// A header field.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeaderField {
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}
