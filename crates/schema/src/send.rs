//! `POST /v3/grants/{grant_id}/messages/send`.

use crate::hold::HeldSend;
use crate::message::{Message, Participant, TrackingOptions};
use crate::template::UseTemplate;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What is to be sent. Fields that are not known are ignored; null means absent.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SendRequest {
    /// To whom; 1 to 50 over to, cc and bcc.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 50)]
    pub to: Vec<Participant>,
    /// At most one: the mailbox's own address.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 1)]
    pub from: Vec<Participant>,
    /// Who gets a copy.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 50)]
    pub cc: Vec<Participant>,
    /// Who gets a copy that nobody sees.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 50)]
    pub bcc: Vec<Participant>,
    /// Where answers go.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub reply_to: Vec<Participant>,
    /// The subject; empty if absent. At most 998 octets of UTF-8, no control characters.
    #[serde(default)]
    pub subject: Option<String>,
    /// HTML, or plain text with `is_plaintext`; empty if absent.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the body is plain text; `false` if absent.
    #[serde(default)]
    pub is_plaintext: Option<bool>,
    /// Files, inline in base64: together at most 3 MiB before the encoding. Larger ones are sent as multipart.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub attachments: Vec<SendAttachment>,
    /// The message of this mailbox that is answered: its id, or its Message-ID. Its thread is joined.
    #[serde(default)]
    pub reply_to_message_id: Option<String>,
    /// Further header fields, from an allow-list: `X-…` and a few others.
    #[serde(default, deserialize_with = "null_is_empty")]
    #[schema(max_items = 50)]
    pub custom_headers: Vec<CustomHeader>,
    /// Key and value pairs of the application, which are shown with the message and in notifications: at most 50, keys
    /// of 1 to 40 characters, values of at most 500.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
    /// What the application wants to be told of; kept with the message, and nothing is tracked.
    #[serde(default)]
    pub tracking_options: Option<TrackingOptions>,
    /// Whether the message gets a link by which its recipient wants no more mail, with one click (RFC 8058), and an address
    /// for the same; `false` if absent. It must have exactly one recipient then.
    #[serde(default)]
    pub list_unsubscribe: Option<bool>,
    /// A purpose: it is sent only if everybody whom it goes to has confirmed that they want mail for it
    /// (`POST /v3/grants/{grant}/opt-ins`), in exactly these words of 1 to 500 characters; not asked if absent. Of what waits it
    /// is asked when it leaves.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub require_opt_in: Option<String>,
    /// Whether it is sent although the mailbox sent the same to the same recipients a moment ago (120 seconds, if the
    /// operator has not set another time); `false` if absent: the answer is the first one's then.
    #[serde(default)]
    pub allow_duplicate: Option<bool>,
    /// When to send, in unix seconds: at least 60 seconds and at most 30 days ahead; now if absent or 0.
    #[serde(default)]
    pub send_at: Option<i64>,
    /// Whether it is a draft of the mailbox until then, which may be changed and removed; only with `send_at`.
    #[serde(default)]
    pub use_draft: Option<bool>,
    /// Whether the sent copy has a star; `false` if absent.
    #[serde(default)]
    pub starred: Option<bool>,
    /// The id of a signature of the mailbox, which is appended at the very end; none if absent.
    #[serde(default)]
    pub signature_id: Option<String>,
    /// A template that subject and body are made of, as far as they are not given.
    #[serde(default)]
    pub template: Option<UseTemplate>,
}

/// A file to attach.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SendAttachment {
    /// Its bytes in base64, standard or URL alphabet.
    pub content: String,
    /// Its media type, at most 500 octets; `application/octet-stream` if absent.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The file's name; none if absent. No control characters.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub filename: Option<String>,
    /// The id by which the HTML shows it: printable ASCII without spaces and angle brackets.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub content_id: Option<String>,
    /// Whether the HTML shows it. If absent, `content_disposition` tells; without that, whether the HTML refers to
    /// `cid:` and the `content_id`.
    #[serde(default)]
    pub is_inline: Option<bool>,
    /// `inline` or `attachment`, with parameters if need be, which are ignored.
    #[serde(default)]
    pub content_disposition: Option<String>,
}

/// A header field to add.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct CustomHeader {
    /// Its name.
    #[schema(min_length = 1, max_length = 76)]
    pub name: String,
    /// Its value; at most 998 octets of UTF-8, no control characters.
    pub value: String,
}

/// The answer to an accepted send.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendResponse {
    /// The id of the request, also in `X-Request-Id`.
    pub request_id: String,
    /// The id of the mailbox.
    pub grant_id: String,
    /// Whether the message is one that was sent a moment ago, so that nothing was sent now: see `allow_duplicate`.
    pub duplicate: bool,
    /// The sent copy and who does not get it, or the message that waits.
    pub data: Message,
    /// The id of the schedule; absent unless the message waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schedule_id: Option<String>,
    /// When it is sent, in unix seconds; absent unless the message waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub send_at: Option<i64>,
    /// Whether it is a draft of the mailbox until then; absent unless the message waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub use_draft: Option<bool>,
    /// Why the message waits; absent unless it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub hold: Option<HeldSend>,
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
