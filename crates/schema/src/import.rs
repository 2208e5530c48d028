//! Imports of mail into a mailbox, and exports from it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/imports`.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct CreateImport {
    /// What people, or the program that imports, want to know again of where it comes from; at most 512 characters.
    #[serde(default)]
    #[schema(max_length = 512)]
    pub source: Option<String>,
    /// Whether each message is announced as `message.created`; false if absent.
    #[serde(default)]
    pub announce: Option<bool>,
}

/// An import.
#[derive(Debug, Serialize, ToSchema)]
pub struct Import {
    /// Its id.
    pub id: String,
    /// Always `import`.
    pub object: &'static str,
    /// The mailbox.
    pub grant_id: String,
    /// What it says of where it comes from; may be empty.
    pub source: String,
    /// Whether each message is announced as `message.created`.
    pub announce: bool,
    /// `open`, `paused` (there is no room for what comes next), `done` or `cancelled`.
    pub state: &'static str,
    /// Why it is paused; null unless it is.
    pub reason: Option<String>,
    /// Messages of the source that are done, imported or passed over: the number of the one with which it goes on.
    pub position: u64,
    /// Messages that were imported.
    pub imported_messages: u64,
    /// Bytes of their raw forms.
    pub imported_bytes: u64,
    /// Messages that were passed over.
    pub skipped_messages: u64,
    /// The first 100 of them.
    pub skipped: Vec<SkippedMessage>,
    /// When it began, unix seconds.
    pub created_at: i64,
    /// When it went on last, unix seconds.
    pub updated_at: i64,
}

/// A message that was passed over.
#[derive(Debug, Serialize, ToSchema)]
pub struct SkippedMessage {
    /// Its number in the source, from 0.
    pub position: u64,
    /// `unreadable`, `empty`, `too_large` or `older_than_retention`.
    pub code: String,
    /// Why, for people.
    pub message: String,
}

/// A message as it goes from one mailbox to another: a line of an import, and an item of an export.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct PortableMessage {
    /// The folder that it is in: `inbox`, `sent`, `trash`, `junk` or `archive`, in any case; `spam` is junk. What is in another
    /// one goes into `archive`; without one it goes into the inbox.
    #[serde(default)]
    pub folder: String,
    /// When it was received, or sent, unix seconds. Of an import at most now, and now if absent.
    #[serde(default)]
    pub received_at: Option<i64>,
    /// Not read yet.
    #[serde(default)]
    pub unread: bool,
    /// Marked with a star.
    #[serde(default)]
    pub starred: bool,
    /// The RFC 5322 source, every octet of it, in base64url; an import takes base64 as well.
    pub raw_mime: String,
}
