//! What would become of a message that comes in.

use crate::assessment::{Authentication, Marks, Spam, Suspicion};
use crate::evaluation::{AppliedActions, EvaluationInput, ShadowEvaluation};
use crate::message::Participant;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/explain-inbound`: one of `raw` and `message`, and who brings it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ExplainInbound {
    /// The message as it is transferred, in base64, standard or URL alphabet. Lines may end with LF alone, if all do.
    #[serde(default)]
    pub raw: Option<String>,
    /// What a message would have, of which one is made. It has no signature.
    #[serde(default)]
    pub message: Option<InboundMessage>,
    /// The envelope sender; empty for a bounce, which has none. Default: the first author.
    #[serde(default)]
    pub mail_from: Option<String>,
    /// The address of the client that brings it. Absent for what a mailbox of the application sends, which is then `mail_from`.
    #[serde(default)]
    pub ip: Option<String>,
    /// What that client calls itself (EHLO). Default: its address in brackets.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub helo: Option<String>,
    /// Its size in bytes, if a part of it was left out here. Default, and least: that of what is here.
    #[serde(default)]
    pub size: Option<u64>,
}

/// What a message would have.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InboundMessage {
    /// Its author.
    pub from: Participant,
    /// To whom it says that it goes. Default: the mailbox.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub to: Vec<Participant>,
    /// Its subject.
    #[serde(default)]
    pub subject: String,
    /// Its text: HTML, or plain if `is_plaintext`.
    #[serde(default)]
    pub body: String,
    /// Whether its text is plain. Default: false.
    #[serde(default)]
    pub is_plaintext: bool,
    /// Message-ID of the message that it answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
    /// Files that it would have, at most 100.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub attachments: Vec<InboundFile>,
}

/// A file that a message would have; it is filled with zeros.
#[derive(Debug, Deserialize, ToSchema)]
pub struct InboundFile {
    /// Its name. Default: none.
    #[serde(default)]
    #[schema(max_length = 255)]
    pub filename: String,
    /// Its media type. Default: `application/octet-stream`.
    #[serde(default)]
    pub content_type: String,
    /// Its bytes; of all files together at most 10 MiB.
    #[serde(default)]
    pub size: u64,
}

/// What would become of a message now. Nothing was stored or counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboundExplanation {
    /// The mailbox.
    pub grant_id: String,
    /// When it was asked, in Unix seconds.
    pub at: i64,
    /// The envelope sender that it was judged by; empty for a bounce.
    pub mail_from: String,
    /// The address that it would be written to.
    pub recipient: String,
    /// The address of the client; null if a mailbox of the application sends it.
    pub ip: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the mailbox would take it.
    pub accepted: bool,
    /// What the sender's server would be told, without our reference for what is taken, such as `550 5.7.1 not accepted by policy`.
    pub reply: String,
    /// Everything that stands against it, in the order in which it would be told.
    pub refusals: Vec<InboundObstacle>,
    /// Where it goes, or would if nothing stood against it; empty if the mailbox is removed at this moment.
    pub folders: Vec<String>,
    /// Whether it starts unread.
    pub unread: bool,
    /// Whether it starts with a star.
    pub starred: bool,
    /// Whether it goes into junk, of which webhooks are told only if they ask for it.
    pub junk: bool,
    /// Who sent it, as far as that can be proved; null if the mailbox is removed at this moment.
    pub authentication: Option<Authentication>,
    /// What kind of mail it is for the mailbox; null if the mailbox is removed at this moment.
    pub marks: Option<Marks>,
    /// How much it looks like spam, and why; null if the mailbox is removed at this moment.
    pub spam: Option<Spam>,
    /// What in it is aimed at the program that reads it; null if the mailbox is removed at this moment.
    pub suspicion: Option<Suspicion>,
    /// What rules say once it is there; null if the workspace has none about mail that comes in.
    pub rules: Option<InboundRules>,
}

/// What stands against a message that comes in.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboundObstacle {
    /// Where on its way: `rcpt` (when its recipient is named) or `data` (once the message is there).
    pub stage: &'static str,
    /// What would become of it: `refused`, or `deferred` (its sender is told to come back).
    pub outcome: &'static str,
    /// What the sender's server would be told of this.
    pub reply: String,
    /// Why, in a stable word.
    pub code: &'static str,
    /// Why, in a sentence.
    pub message: String,
    /// What would change it.
    pub change: &'static str,
    /// The limit by the name that it has in policies, or `storage` or `bandwidth` of the organization's plan; null if it is
    /// none.
    pub limit: Option<&'static str>,
    /// Whose limit it is: `message`, `grant` or `organization`; null if it is none that is counted.
    pub scope: Option<String>,
    /// What the limit is; null if it is no number.
    pub maximum: Option<u64>,
    /// What the message has, or what of the limit is used; null if it is no number.
    pub used: Option<u64>,
    /// When the limit is whole again, in Unix seconds; null if waiting does not help.
    pub resets_at: Option<i64>,
    /// The rules that matched, if it is for them; at `rcpt` they judge the envelope sender.
    pub matched_rule_ids: Vec<String>,
}

/// What rules say of a message that is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct InboundRules {
    /// The rules that matched, in the order in which they were looked at.
    pub matched_rule_ids: Vec<String>,
    /// What they do.
    pub applied_actions: AppliedActions,
    /// What rules in `shadow` mode would have done.
    pub shadow: ShadowEvaluation,
    /// What the rules looked at.
    pub evaluation_input: EvaluationInput,
}
