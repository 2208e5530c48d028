//! Messages and what is in them.

use crate::assessment::{Authentication, Marks, Spam, Suspicion, VisibleText};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// The display name; empty if there is none. In a send at most 255 characters, no control characters.
    #[serde(default)]
    pub name: String,
    /// The address, as the message spells it.
    pub email: String,
}

/// `PUT /v3/grants/{grant}/messages/{message}`. What is absent or null stays; fields that are not known are ignored.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct UpdateMessage {
    /// The folders that the message is to be in: 1 to 20, in place of those that it is in. A message that goes into `junk` is
    /// learned as spam, one that leaves it (not into `trash`) as other mail.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 20)]
    pub folders: Option<Vec<String>>,
    /// Whether it is to be unread.
    #[serde(default)]
    pub unread: Option<bool>,
    /// Whether it is to have a star.
    #[serde(default)]
    pub starred: Option<bool>,
    /// Whether it is to count as answered. A reply that is sent from the mailbox marks what it answers by itself.
    #[serde(default)]
    pub answered: Option<bool>,
    /// Key and value pairs of the application, in place of all that the message has: at most 50, keys of 1 to 40
    /// characters, values of at most 500. `{}` removes them; null leaves them, as for every field of this request.
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// An attachment's description; its bytes have their own endpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Attachment {
    /// Its id, unique in the installation.
    pub id: String,
    /// The id of the mailbox.
    pub grant_id: String,
    /// The file's name; empty if it has none.
    pub filename: String,
    /// The media type that it is declared to be.
    pub content_type: String,
    /// Octets after decoding.
    pub size: u64,
    /// Its Content-ID, without brackets; null if it has none.
    pub content_id: Option<String>,
    /// `inline` or `attachment`; null if the message does not say.
    pub content_disposition: Option<String>,
    /// Whether the body shows it, as an image in HTML is shown.
    pub is_inline: bool,
}

/// A header field, not decoded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Header {
    /// Its name, as the message spells it.
    pub name: String,
    /// Its value, unfolded.
    pub value: String,
}

/// What an application wants to be told of a message. It is kept with the message, and nothing is tracked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackingOptions {
    /// That it was opened; `false` if absent.
    #[serde(default, deserialize_with = "null_is_false")]
    pub opens: bool,
    /// That a link in it was followed; `false` if absent.
    #[serde(default, deserialize_with = "null_is_false")]
    pub links: bool,
    /// That it was answered; `false` if absent.
    #[serde(default, deserialize_with = "null_is_false")]
    pub thread_replies: bool,
    /// A word of the application's own, at most 2,048 characters; null if there is none.
    #[serde(default)]
    #[schema(max_length = 2048)]
    pub label: Option<String>,
    /// Where links would lead: a domain name of 1 to 253 characters; null if there is none.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 253)]
    pub domain_name: Option<String>,
}

/// What is known of the machine or the list that sent a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Automated {
    /// `auto_replied` (vacation notices, reports, confirmations of reading), `auto_generated`, `auto_notified`, or `bulk`
    /// (a list or a newsletter).
    pub kind: String,
    /// Whether it came by a mailing list.
    pub list: bool,
}

/// A message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// `message`, or `draft` for a draft.
    pub object: &'static str,
    /// The id of the mailbox.
    pub grant_id: String,
    /// The id of its conversation.
    pub thread_id: String,
    /// The subject, decoded.
    pub subject: String,
    /// Who wrote it.
    pub from: Vec<Participant>,
    /// To whom.
    pub to: Vec<Participant>,
    /// Who got a copy.
    pub cc: Vec<Participant>,
    /// Who got a copy unseen; known only for the mailbox's own mail.
    pub bcc: Vec<Participant>,
    /// Where answers go.
    pub reply_to: Vec<Participant>,
    /// When the server took it, in unix seconds; when a draft was last changed.
    pub date: i64,
    /// Whether it is not read yet.
    pub unread: bool,
    /// Whether it is marked with a star.
    pub starred: bool,
    /// Whether it is answered: the mailbox sent a reply to it, or somebody said so.
    pub answered: bool,
    /// The ids of its folders.
    pub folders: Vec<String>,
    /// The first 100 characters, without markup.
    #[schema(max_length = 100)]
    pub snippet: String,
    /// HTML, or plain text if there is no HTML; empty if there is neither. Absent if `select` leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub body: Option<String>,
    /// What a human sees of it, as text, with the real targets of its links; absent unless it was asked for with `fields`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub visible_text: Option<VisibleText>,
    /// What is attached, without the bytes.
    pub attachments: Vec<Attachment>,
    /// Header fields; absent unless they were asked for with `fields`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub headers: Option<Vec<Header>>,
    /// The Message-ID that it answers; null if it answers none.
    pub in_reply_to: Option<String>,
    /// Its own Message-ID; null if it has none.
    pub message_id_header: Option<String>,
    /// Key and value pairs of the application, as it gave them when it sent the message or changed them since.
    pub metadata: BTreeMap<String, String>,
    /// What the application wanted to be told of; absent unless it was asked for with `fields`. Nothing is tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tracking_options: Option<TrackingOptions>,
    /// What machine or list sent it, as far as its header fields tell; null if a human may have written it, and for what
    /// the mailbox sent itself. Who answers by itself should not answer it.
    pub automated: Option<Automated>,
    /// Who sent it, as far as that can be proved; null for what the mailbox wrote itself, and for what was not looked at.
    pub authentication: Option<Authentication>,
    /// What kind of mail it is for this mailbox; null where `authentication` is.
    pub marks: Option<Marks>,
    /// How much it looks like spam; null where `authentication` is.
    pub spam: Option<Spam>,
    /// What in it is meant to deceive a reader; null where `authentication` is.
    pub suspicion: Option<Suspicion>,
    /// `inbound`, or `outbound` for what the mailbox sent itself.
    pub direction: &'static str,
    /// When it was stored, in unix seconds; when a draft was made.
    pub created_at: i64,
    /// In the answer to a send: recipients that are not written to, because their addresses are suppressed; all others
    /// get the message. Absent elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub suppressed_recipients: Option<Vec<SuppressedRecipient>>,
    /// When it is to be sent, in unix seconds; absent unless that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub send_at: Option<i64>,
    /// The id of its schedule; absent but in the answer to a send at a later time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub schedule_id: Option<String>,
    /// Whether it is a draft until it is sent; absent but in the answer to a send at a later time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub use_draft: Option<bool>,
    /// Whether a draft gets, when it is sent, a link by which its recipient wants no more mail; absent unless that is asked
    /// for, and for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub list_unsubscribe: Option<bool>,
    /// What a draft answers, as it was given; absent if it answers nothing, and for messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reply_to_message_id: Option<String>,
    /// What its author wrote for this message, without quoted history, signatures and boilerplate: HTML or Markdown of a
    /// message with HTML, plain text of others. Absent but in the answer to `PUT …/messages/clean`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conversation: Option<String>,
    /// True if the body has more than 1 MiB, of which only that much is in `conversation`; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conversation_truncated: Option<bool>,
}

/// A recipient that is not written to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SuppressedRecipient {
    /// The address, as the message names it.
    pub email: String,
    /// Why: `hard_bounce`, `complaint`, `unsubscribe`, `manual` or `invalid`.
    pub reason: &'static str,
}

/// A message reduced to its source.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RawMessage {
    /// Its id.
    pub id: String,
    /// Always `message`.
    pub object: &'static str,
    /// The id of the mailbox.
    pub grant_id: String,
    /// The RFC 5322 source in base64url.
    pub raw_mime: String,
}

fn null_is_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(deserializer)?.unwrap_or_default())
}
