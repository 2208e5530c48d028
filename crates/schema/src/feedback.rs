//! What came back about a message that was sent.

use serde::Serialize;
use utoipa::ToSchema;

/// A report about a message that was sent, believed or not, with what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackReport {
    /// Its id.
    pub id: String,
    /// Always `feedback_report`.
    pub object: &'static str,
    /// The mailbox that sent the message; null for a report that could not be assigned to any.
    pub grant_id: Option<String>,
    /// The message that was sent; null if the report names none that was.
    pub message_id: Option<String>,
    /// The report itself, as it is filed in the mailbox; null if it is not.
    pub report_message_id: Option<String>,
    /// What it is: `bounce`, `delay`, `delivery`, `complaint`, `notice` (a reporter of complaints says something that is
    /// none), `auto_reply`, `challenge` or `other`.
    pub kind: String,
    /// What became of it: `counted`; or for nothing: `noted` (genuine, of a kind without consequences), `replayed`,
    /// `unmatched`, `unsigned`, `forged` or `expired`.
    pub outcome: String,
    /// Why, in words.
    pub reason: String,
    /// The recipient that it is about; null if that is not known.
    pub recipient: Option<String>,
    /// `hard`, `soft` or `undetermined`; null but for a bounce.
    pub bounce_class: Option<String>,
    /// Why the recipient was not reached, such as `UnknownUser` or `MailboxFull`; null but for a bounce.
    pub bounce_type: Option<String>,
    /// The enhanced status code, such as `5.1.1`, or the type of a complaint, such as `abuse`; may be empty.
    pub status: String,
    /// What the other system said; may be empty.
    pub diagnostic_code: String,
    /// Who reports, as far as the report says; may be empty.
    pub reporter: String,
    /// When it came, in unix seconds.
    pub reported_at: i64,
}
