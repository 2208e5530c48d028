//! Threads: conversations.

use crate::message::{Message, Participant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Thread {
    /// Its id.
    pub id: String,
    /// Always `thread`.
    pub object: &'static str,
    /// The id of the mailbox.
    pub grant_id: String,
    /// The subject of its first message.
    pub subject: String,
    /// The snippet of its latest message.
    pub snippet: String,
    /// Everybody who wrote or was written to.
    pub participants: Vec<Participant>,
    /// The ids of its messages, oldest first; of a long conversation those of the latest.
    pub message_ids: Vec<String>,
    /// The ids of its drafts.
    pub draft_ids: Vec<String>,
    /// True if it has more messages or drafts than are named here: at most 1,000 of a thread, and 10,000 of a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message_ids_truncated: Option<bool>,
    /// Its latest message or draft.
    pub latest_draft_or_message: Message,
    /// Whether a message has attachments.
    pub has_attachments: bool,
    /// Whether there are drafts.
    pub has_drafts: bool,
    /// Whether a message has a star.
    pub starred: bool,
    /// Whether a message is unread.
    pub unread: bool,
    /// When its first message came, in unix seconds.
    pub earliest_message_date: i64,
    /// When its latest message from others came, in unix seconds; null if there is none.
    pub latest_message_received_date: Option<i64>,
    /// When its latest own message was sent, in unix seconds; null if there is none.
    pub latest_message_sent_date: Option<i64>,
    /// The ids of the folders of its messages.
    pub folders: Vec<String>,
}

/// `PUT /v3/grants/{grant}/threads/{thread}`. What is absent stays; fields that are not known are ignored.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct UpdateThread {
    /// The folders that all messages of the thread are to be in: 1 to 20, in place of those that they are in. Drafts stay
    /// drafts. What goes into `junk`, or out of it, is learned from as with single messages.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 20)]
    pub folders: Option<Vec<String>>,
    /// Whether all messages and drafts are to be unread.
    #[serde(default)]
    pub unread: Option<bool>,
    /// Whether all messages and drafts are to have a star.
    #[serde(default)]
    pub starred: Option<bool>,
}
