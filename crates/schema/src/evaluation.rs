//! What the rules said about a message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the rules said about one message of a mailbox: what they looked at, which matched, and what was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleEvaluation {
    /// Its id.
    pub id: String,
    /// The mailbox.
    pub grant_id: String,
    /// The application of the mailbox.
    pub application_id: String,
    /// The organization of that application.
    pub organization_id: String,
    /// The message in the mailbox; null where none was kept: before it was accepted, and when it was blocked.
    pub message_id: Option<String>,
    /// When, in unix seconds.
    pub evaluated_at: i64,
    /// Where on its way: `smtp_rcpt` (before it was accepted), `inbox_processing` or `outbound_send`.
    pub evaluation_stage: String,
    /// What the rules looked at, in the spelling in which it was compared.
    pub evaluation_input: EvaluationInput,
    /// What was done with the message.
    pub applied_actions: AppliedActions,
    /// The rules that matched, in the order in which they were looked at; empty if none did. A rule may be gone by now.
    pub matched_rule_ids: Vec<String>,
    /// What rules in `shadow` mode would have done.
    pub shadow: ShadowEvaluation,
    /// Unix seconds: when it was evaluated.
    pub created_at: i64,
    /// Unix seconds: when it was evaluated, for a record does not change.
    pub updated_at: i64,
}

/// What rules looked at. The recipients and the type are there for outbound messages only; what was found, for messages
/// that came in and were there: at `smtp_rcpt` only the envelope sender is known.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct EvaluationInput {
    /// The author's address.
    #[serde(default)]
    pub from_address: String,
    /// Its domain.
    #[serde(default)]
    pub from_domain: String,
    /// The last label of its domain.
    #[serde(default)]
    pub from_tld: String,
    /// The addresses of all recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recipient_addresses: Option<Vec<String>>,
    /// Their domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recipient_domains: Option<Vec<String>>,
    /// The last labels of their domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recipient_tlds: Option<Vec<String>>,
    /// `compose` or `reply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outbound_type: Option<String>,
    /// The addresses of all whom the message names as its author; `from_address` is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub from_addresses: Option<Vec<String>>,
    /// What authentication came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub authentication: Option<EvaluatedAuthentication>,
    /// How much it looks like spam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub spam_score: Option<f64>,
    /// The kinds of what in it is meant to deceive its reader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub suspicion_kinds: Option<Vec<String>>,
    /// What kind of mail it is for the mailbox: `first_contact`, `automated`, `list`, `bulk`, `display_name_mismatch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marks: Option<Vec<String>>,
}

/// What authentication came to, as rules see it: words of RFC 8601.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct EvaluatedAuthentication {
    /// Whether the client may use the envelope sender.
    #[serde(default)]
    pub spf: String,
    /// The best of its DKIM signatures.
    #[serde(default)]
    pub dkim: String,
    /// Whether what passed belongs to the author that is shown.
    #[serde(default)]
    pub dmarc: String,
}

/// What was done with a message: only what was done is there.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct AppliedActions {
    /// It was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub blocked: Option<bool>,
    /// It was refused because a rule that blocks could not be evaluated, not because one matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub blocked_by_evaluation_error: Option<bool>,
    /// It was held until somebody approves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held: Option<bool>,
    /// It was put into junk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marked_as_spam: Option<bool>,
    /// It was marked as read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marked_as_read: Option<bool>,
    /// It was marked with a star.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub marked_starred: Option<bool>,
    /// It was put into the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub archived: Option<bool>,
    /// It was put into the trash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trashed: Option<bool>,
    /// The folders into which it was put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub folder_ids: Option<Vec<String>>,
}

/// What rules in `shadow` mode would have done, had they been in force.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ShadowEvaluation {
    /// Those of them that matched.
    #[serde(default)]
    pub matched_rule_ids: Vec<String>,
    /// What they would have done.
    #[serde(default)]
    pub actions: AppliedActions,
}
