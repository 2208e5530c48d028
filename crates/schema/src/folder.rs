//! Folders.

use serde::Serialize;
use utoipa::ToSchema;

/// A folder of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Folder {
    /// Its id; a system folder's is its lower-case word.
    pub id: String,
    /// The id of the mailbox.
    pub grant_id: String,
    /// Always `folder`.
    pub object: &'static str,
    /// Its name.
    pub name: String,
    /// Whether it exists in every mailbox.
    pub system_folder: bool,
    /// Special-use attributes (RFC 6154).
    pub attributes: Vec<&'static str>,
    /// How many folders are in it.
    pub child_count: u64,
    /// How many messages are in it.
    pub total_count: u64,
    /// How many unread messages are in it.
    pub unread_count: u64,
}
