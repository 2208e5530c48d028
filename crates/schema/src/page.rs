//! The envelopes of success.

use serde::Serialize;

/// One object.
#[derive(Debug, Serialize)]
pub struct Single<T> {
    /// The id of the request.
    pub request_id: String,
    /// The object.
    pub data: T,
}

/// A page of a list that is continued by a cursor.
#[derive(Debug, Serialize)]
pub struct Page<T> {
    /// The id of the request.
    pub request_id: String,
    /// The items.
    pub data: Vec<T>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A page whose items are one step further in, as the hosted service lists rules. The cursor stands in both places:
/// some clients read the one, some the other.
#[derive(Debug, Serialize)]
pub struct NestedPage<T> {
    /// The id of the request.
    pub request_id: String,
    /// The page.
    pub data: Items<T>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The page within a [`NestedPage`].
#[derive(Debug, Serialize)]
pub struct Items<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A page of a list that is continued by an offset.
#[derive(Debug, Serialize)]
pub struct OffsetPage<T> {
    /// The id of the request.
    pub request_id: String,
    /// The items.
    pub data: Vec<T>,
    /// How many were asked for.
    pub limit: usize,
    /// How many were skipped.
    pub offset: usize,
}

/// The answer to a deletion.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The id of the request.
    pub request_id: String,
}
