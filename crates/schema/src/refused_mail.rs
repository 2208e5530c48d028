//! Mail that a mailbox did not take.

use serde::Serialize;
use utoipa::ToSchema;

/// That a mailbox did not take a message: by which limit or rule, and what would change that.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedMail {
    /// Its id.
    pub id: String,
    /// The mailbox.
    pub grant_id: String,
    /// Where on its way: `rcpt` (when its recipient was named) or `data` (once the message was there).
    pub stage: String,
    /// What became of it: `refused` (its sender was told so), `deferred` (its sender was told to come back) or `dropped`
    /// (other recipients took it, and this mailbox got no copy).
    pub outcome: String,
    /// Why, in a stable word.
    pub code: String,
    /// Why, in a sentence.
    pub message: String,
    /// What would change it.
    pub change: &'static str,
    /// The envelope sender, in lower case; empty for a bounce, which has none.
    pub sender: String,
    /// The first author whom the message names, in lower case; null if it was not there, or names none.
    pub author: Option<String>,
    /// The address that was written to.
    pub recipient: String,
    /// Its Message-ID; null if it was not there, or has none.
    pub message_id_header: Option<String>,
    /// Its bytes, or those that its sender declared; null if neither is known.
    pub size: Option<u64>,
    /// The address of the client that brought it; null if it was a mailbox of this installation.
    pub ip: Option<String>,
    /// The limit by the name that it has in policies, or `storage` or `bandwidth` of the organization's plan; null if it
    /// was none.
    pub limit: Option<&'static str>,
    /// Whose limit it was: `message`, `grant` or `organization`; null if it was none that is counted.
    pub scope: Option<String>,
    /// What the limit is; null if it is no number.
    pub maximum: Option<u64>,
    /// What the message has, or what of the limit was used before it; null if it is no number.
    pub used: Option<u64>,
    /// When the limit is whole again, in Unix seconds; null if waiting does not help.
    pub resets_at: Option<i64>,
    /// The record of what the rules said, if it was they; null if it was not, or if the record is gone.
    pub rule_evaluation_id: Option<String>,
    /// How many refusals it stands for: 1, but for the hundredth of one reason on one day, which stands for all that came
    /// after it.
    pub times: u64,
    /// When, in Unix seconds.
    pub refused_at: i64,
    /// When the last of those that it stands for, in Unix seconds.
    pub last_refused_at: i64,
}
