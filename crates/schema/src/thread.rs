//! Threads: conversations.

use crate::message::{Message, Participant};
use serde::Serialize;
use utoipa::ToSchema;

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Thread {
    /// Its id.
    pub id: String,
    /// Always `thread`.
    pub object: &'static str,
    /// The mailbox.
    pub grant_id: String,
    /// The subject of its first message.
    pub subject: String,
    /// The snippet of its latest message.
    pub snippet: String,
    /// Everybody who wrote or was written to.
    pub participants: Vec<Participant>,
    /// Its messages, oldest first.
    pub message_ids: Vec<String>,
    /// Its drafts.
    pub draft_ids: Vec<String>,
    /// Its latest message.
    pub latest_draft_or_message: Message,
    /// Whether a message has attachments.
    pub has_attachments: bool,
    /// Whether there are drafts.
    pub has_drafts: bool,
    /// Whether a message has a star.
    pub starred: bool,
    /// Whether a message is unread.
    pub unread: bool,
    /// Unix seconds.
    pub earliest_message_date: i64,
    /// Unix seconds.
    pub latest_message_received_date: Option<i64>,
    /// Unix seconds.
    pub latest_message_sent_date: Option<i64>,
    /// The folders of its messages.
    pub folders: Vec<String>,
}
