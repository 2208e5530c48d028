//! Lists in which rules look things up, and their items.

use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/lists`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateList {
    /// What people call it: 1 to 256 characters.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 256)]
    pub name: String,
    /// What its items are: `domain`, `tld` or `address`. It stays.
    #[serde(default, rename = "type")]
    #[schema(required = true)]
    pub kind: String,
    /// What it is for: at most 1,024 characters; absent or null for nothing.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
}

/// `PUT /v3/lists/{list}`. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateList {
    /// What people call it: 1 to 256 characters; never null.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// What it is for: at most 1,024 characters; null for nothing.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 1024)]
    pub description: Patch<String>,
    /// The type cannot be changed; the one that the list has is tolerated.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// `POST` and `DELETE /v3/lists/{list}/items`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ListItems {
    /// What to add or to remove: 1 to 1,000 values of at most 500 characters. Case, and space around a value, do not
    /// matter; domains may be given with a leading dot or `@`, and in Unicode. If one is wrong, nothing is changed.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 1000)]
    pub items: Vec<String>,
}

/// A list in which rules look things up.
#[derive(Debug, Serialize, ToSchema)]
pub struct List {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is for; null for nothing.
    pub description: Option<String>,
    /// What its items are: `domain`, `tld` or `address`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many items it has.
    pub items_count: u64,
    /// Whose it is.
    pub application_id: String,
    /// Whose application has it.
    pub organization_id: String,
    /// When it was made, in unix seconds.
    pub created_at: i64,
    /// When it or its items were last changed, in unix seconds.
    pub updated_at: i64,
}

/// An item of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListItem {
    /// Its id.
    pub id: String,
    /// The list.
    pub list_id: String,
    /// What it says, in lower case; domains in ASCII (`xn--…`).
    pub value: String,
    /// When it was added, in unix seconds.
    pub created_at: i64,
}

/// What an import has done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListImport {
    /// The list as it is now.
    pub list: List,
    /// What was asked for: `add` or `replace`.
    pub mode: &'static str,
    /// Lines with a value: neither blank nor a comment.
    pub lines: u64,
    /// Items that were added.
    pub added: u64,
    /// Lines whose value was there already, or stood in the text before.
    pub already_there: u64,
    /// Items that were removed because the text does not have them; always 0 for `add`, and for `replace` if a line was
    /// refused or there was no line.
    pub removed: u64,
    /// Lines that are no item of this type. Nothing was done for them.
    pub refused: u64,
    /// The first 100 of these.
    pub refusals: Vec<RefusedLine>,
}

/// A line of an import that could not be taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedLine {
    /// Its number; the first is 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}
