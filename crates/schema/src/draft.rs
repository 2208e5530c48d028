//! `/v3/grants/{grant_id}/drafts`.

use crate::message::{Participant, TrackingOptions};
use crate::send::{CustomHeader, SendAttachment};
use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A draft, or a change of one. Every field may be absent; in a change it stays as it is then, and one that is given
/// replaces what was there as a whole, null with nothing. Fields that are not known are ignored.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct DraftRequest {
    /// To whom; at most 50 over to, cc and bcc when it is sent.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Participant>>)]
    pub to: Patch<Vec<Participant>>,
    /// At most one: the mailbox's own address.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Participant>>)]
    pub from: Patch<Vec<Participant>>,
    /// Who gets a copy.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Participant>>)]
    pub cc: Patch<Vec<Participant>>,
    /// Who gets a copy that nobody sees.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Participant>>)]
    pub bcc: Patch<Vec<Participant>>,
    /// Where answers go.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Participant>>)]
    pub reply_to: Patch<Vec<Participant>>,
    /// The subject: at most 998 octets of UTF-8, no control characters.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub subject: Patch<String>,
    /// HTML, or plain text with `is_plaintext`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub body: Patch<String>,
    /// Whether the body is plain text.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub is_plaintext: Patch<bool>,
    /// Files, inline in base64: together at most 3 MiB before the encoding. Larger ones are parts of a form. In a change
    /// they replace all files that the draft had.
    #[serde(default)]
    #[schema(value_type = Option<Vec<SendAttachment>>)]
    pub attachments: Patch<Vec<SendAttachment>>,
    /// The message of this mailbox that is answered: its id, or its Message-ID. Its thread is joined.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub reply_to_message_id: Patch<String>,
    /// Further header fields, from an allow-list: `X-…` and a few others; at most 50.
    #[serde(default)]
    #[schema(value_type = Option<Vec<CustomHeader>>)]
    pub custom_headers: Patch<Vec<CustomHeader>>,
    /// Key and value pairs of the application, which the sent message keeps: at most 50, keys of 1 to 40 characters,
    /// values of at most 500.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub metadata: Patch<BTreeMap<String, String>>,
    /// What the application wants to be told of; kept with the message, and nothing is tracked.
    #[serde(default)]
    #[schema(value_type = Option<TrackingOptions>)]
    pub tracking_options: Patch<TrackingOptions>,
    /// Whether the message gets, when it is sent, a link and an address by which its recipient wants no more mail
    /// (RFC 8058); it must have exactly one recipient then.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub list_unsubscribe: Patch<bool>,
    /// Marked with a star.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub starred: Patch<bool>,
    /// Whether it is marked as not read.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub unread: Patch<bool>,
    /// When it is to be sent, in unix seconds: 60 seconds to 30 days ahead. The draft waits for that time once it is
    /// sent. 0 is the same as null.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub send_at: Patch<i64>,
    /// The id of a signature of the mailbox, which is appended at the very end when a draft is made; none if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub signature_id: Patch<String>,
}

/// What may be said when a draft is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct SendDraftRequest {
    /// The id of a signature of the mailbox, which is appended at the very end; none if absent.
    #[serde(default)]
    pub signature_id: Option<String>,
}
