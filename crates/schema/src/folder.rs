//! Folders.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/grants/{grant}/folders`. Fields that are not known are ignored, and so are `parent_id`, `background_color` and
/// `text_color`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct NewFolder {
    /// Its name: 1 to 1,024 characters without control characters; spaces around it are left out. No other folder of the
    /// mailbox may have it in any case, and the names of system folders are reserved.
    #[schema(min_length = 1, max_length = 1024)]
    pub name: String,
}

/// `PUT /v3/grants/{grant}/folders/{folder}`. What is absent or null stays; fields that are not known are ignored, and so are
/// `parent_id`, `background_color` and `text_color`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct UpdateFolder {
    /// Its new name, as when it is made.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 1024)]
    pub name: Option<String>,
}

/// A folder of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct Folder {
    /// Its id: a UUID, and a system folder's is its lower-case word.
    pub id: String,
    /// The id of the mailbox.
    pub grant_id: String,
    /// Always `folder`.
    pub object: &'static str,
    /// Its name.
    pub name: String,
    /// Always null: folders are in no others. A name may have slashes in it.
    pub parent_id: Option<String>,
    /// Always null.
    pub background_color: Option<String>,
    /// Always null.
    pub text_color: Option<String>,
    /// Whether it exists in every mailbox.
    pub system_folder: bool,
    /// Special-use attributes (RFC 6154); a folder that was made has none.
    pub attributes: Vec<&'static str>,
    /// How many folders are in it: none.
    pub child_count: u64,
    /// How many messages are in it.
    pub total_count: u64,
    /// How many unread messages are in it.
    pub unread_count: u64,
}
