//! What became of what was sent, recipient by recipient.

use serde::Serialize;
use utoipa::ToSchema;

/// What happened to one recipient of one message.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendActivity {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// `accepted` (the message was taken for the recipient), `delivered` (a server took it), `bounced` (it failed for
    /// good), `complaint` (the recipient complained) or `rejected` (it is not attempted).
    pub event_type: &'static str,
    /// `hard` (nobody is there), `soft` or `undetermined`; null but for `bounced`.
    pub bounce_class: Option<&'static str>,
    /// When, in unix seconds.
    pub timestamp: i64,
    /// The application.
    pub application_id: String,
    /// The mailbox that sent it, which may be gone.
    pub grant_id: String,
    /// The message, which may be gone.
    pub message_id: String,
    /// Its thread; null if that is not known.
    pub thread_id: Option<String>,
    /// The address of the mailbox, as it was then.
    pub from: String,
    /// The recipient; null if a report names nobody.
    pub recipient: Option<String>,
    /// What was said, for people; null if nothing was.
    pub reason: Option<String>,
    /// More of it.
    pub detail: SendActivityDetail,
}

/// More of what happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct SendActivityDetail {
    /// Why the recipient was not reached, such as `UnknownUser` or `MailboxFull`; null but for `bounced`.
    pub bounce_subtype: Option<&'static str>,
    /// The enhanced status code, such as `5.1.1`, or the type of a complaint, such as `abuse`; null if there is none.
    pub status: Option<String>,
    /// Whether it failed because time ran out.
    pub expired: bool,
    /// Whether it was reported after a server had taken the message.
    pub late: bool,
    /// Whether it counts against the sender.
    pub counted: bool,
    /// Why it does not; null if it does.
    pub not_counted_because: Option<&'static str>,
}
