//! `POST /v3/grants/{grant_id}/messages/send`.

use crate::message::{Message, Participant};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// What is to be sent. Fields that are not known are ignored; null means absent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SendRequest {
    /// To whom; at least one over to, cc and bcc.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub to: Vec<Participant>,
    /// At most one: the mailbox's own address.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub from: Vec<Participant>,
    /// Copies.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub cc: Vec<Participant>,
    /// Copies that nobody sees.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub bcc: Vec<Participant>,
    /// Where answers go.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub reply_to: Vec<Participant>,
    /// The subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// HTML, or plain text with `is_plaintext`.
    #[serde(default)]
    pub body: Option<String>,
    /// Whether the body is plain text.
    #[serde(default)]
    pub is_plaintext: Option<bool>,
    /// Files, inline in base64.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub attachments: Vec<SendAttachment>,
    /// The message of this mailbox that is answered.
    #[serde(default)]
    pub reply_to_message_id: Option<String>,
    /// Further header fields, from an allow-list.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub custom_headers: Vec<CustomHeader>,
    /// A time to send at, in unix seconds.
    #[serde(default)]
    pub send_at: Option<i64>,
}

/// A file to attach.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SendAttachment {
    /// Its bytes in base64, standard or URL alphabet.
    pub content: String,
    /// What it is.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its name.
    #[serde(default)]
    pub filename: Option<String>,
    /// The id by which the HTML shows it.
    #[serde(default)]
    pub content_id: Option<String>,
    /// Whether the HTML shows it.
    #[serde(default)]
    pub is_inline: Option<bool>,
}

/// A header field to add.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CustomHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The answer to an accepted send.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendResponse {
    /// The id of the request.
    pub request_id: String,
    /// The mailbox.
    pub grant_id: String,
    /// The sent copy.
    pub data: Message,
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}
