//! `/v3/holds` and `/v3/grants/{grant_id}/holds`: sends that wait for their quota, or for somebody to approve them.

use crate::message::Message;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A send that is held, or what became of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// The id of the mailbox.
    pub grant_id: String,
    /// The id of the message that waits, and of the sent copy later.
    pub message_id: String,
    /// Why it is held: `quota` (none was left), `rule` (a rule wants somebody to look at it), `approval` (none was left,
    /// and the workspace wants somebody to decide), `loop` (mail may be going around in a circle) or `breaker` (a breaker of
    /// the workspace, or quarantine, holds what the mailbox sends).
    #[schema(example = "rule")]
    pub reason: &'static str,
    /// `waiting`, `approved` (it leaves as soon as there is quota), `released` (it was sent), `cancelled`, `rejected`,
    /// `expired` or `failed`.
    #[schema(example = "waiting")]
    pub state: &'static str,
    /// Whether the message is a draft of the mailbox until it is sent.
    pub is_draft: bool,
    /// Who sent it.
    pub author: Party,
    /// Who changed the draft last since; null if nobody did. They do not decide either.
    pub editor: Option<Party>,
    /// Who decided; null as long as nobody did.
    pub decided_by: Option<Party>,
    /// When, in unix seconds; null as long as nobody did.
    pub decided_at: Option<i64>,
    /// What whoever decided said of it, or why it failed; null if there is nothing to say.
    pub note: Option<String>,
    /// The digest that was approved, in hexadecimal; null if none was.
    pub approved_digest: Option<String>,
    /// When it ends by itself, in unix seconds.
    pub expires_at: i64,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it was over, in unix seconds; null while it waits.
    pub closed_at: Option<i64>,
    /// Exactly what would leave; null where only the hold was asked for, and once it is over.
    pub review: Option<Review>,
    /// In the answer to an approval: why the message could not leave yet, or may not; null otherwise.
    pub refusal: Option<Refusal>,
}

/// Somebody with a credential.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Party {
    /// `api_key`, `access_token`, or `system` for a mail client and for a scheduled send.
    pub kind: String,
    /// The id of the key, or of the mailbox.
    pub id: String,
}

/// Exactly what would leave.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Review {
    /// What an approval must name: a SHA-256 hash in hexadecimal over the recipients, everything that the message says, and
    /// the version of the policy and the rules.
    pub digest: String,
    /// Everyone who would get it, named in it or not.
    pub recipients: Vec<String>,
    /// The message with its body and what is attached.
    pub message: Message,
    /// The message in RFC 5322 form, base64 in the URL alphabet, without its signature; a draft gets the date at which it
    /// leaves.
    pub raw_mime: String,
}

/// Why a message that was approved has not left.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Refusal {
    /// As in errors.
    pub code: String,
    /// The same for people.
    pub message: String,
}

/// `POST /v3/holds/{hold}/approve`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ApproveHold {
    /// The `digest` of what was looked at.
    #[serde(default)]
    #[schema(required = true, min_length = 64, max_length = 64)]
    pub digest: String,
    /// Why, for the record.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

/// `POST /v3/holds/{hold}/reject`; the body may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RejectHold {
    /// Why, for the record and for the event.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: Option<String>,
}

/// What the answer to a send says of its hold.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HeldSend {
    /// The id of the hold.
    pub id: String,
    /// `quota`, `rule` or `approval`.
    pub reason: &'static str,
    /// What became of it: `waiting` at first.
    pub state: &'static str,
    /// When it ends by itself, in unix seconds.
    pub expires_at: i64,
}
