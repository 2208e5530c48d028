//! What those read who judge by lists: whether a value is in one, all of its values, and what changed since a version.
//! How to keep a list in memory with these is said at the head of `lists`.

use super::items::Position;
use super::kind;
use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, ListId};
use postfleet_core::list::ListKind;

/// What a list is, for those who keep its items.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// What its items are.
    pub kind: ListKind,
    /// How many it has.
    pub items_count: u64,
    /// Goes up with every change of its items.
    pub version: u64,
    /// Removals of later versions are all still known. Who knows an older version has to read everything.
    pub removals_since: u64,
}

/// The state of a list of an application; `None` if there is none (any more): it then holds nothing.
pub async fn state(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    list: ListId,
) -> Result<Option<State>, StoreError> {
    const FIND: &str = "SELECT kind, items_count, version, removals_since FROM lists \
        WHERE id = $1 AND application_id = $2";
    let Some(row) = reader.query_one(FIND, params![list.uuid(), application.uuid()]).await? else { return Ok(None) };
    Ok(Some(State {
        kind: kind(&row.text(0)?)?,
        items_count: row.count(1)?,
        version: row.count(2)?,
        removals_since: row.count(3)?,
    }))
}

// The list is asked for too: items outlive it for a while.
const CONTAINS: &str = "SELECT i.version FROM lists l JOIN list_items i ON i.list_id = l.id \
    WHERE l.id = $1 AND l.application_id = $2 AND i.value = $3";

const VALUES: &str = "SELECT value FROM list_items WHERE list_id = $1 AND value > $2 ORDER BY value LIMIT $3";

const ADDED: &str = "SELECT version, value FROM list_items \
    WHERE list_id = $1 AND (version, value) > ($2, $3) ORDER BY version, value LIMIT $4";

const REMOVED: &str = "SELECT version, value FROM list_removals \
    WHERE list_id = $1 AND (version, value) > ($2, $3) ORDER BY version, value LIMIT $4";

#[cfg(test)]
pub(crate) const LISTS: &[&str] = &[CONTAINS, VALUES, ADDED, REMOVED];

/// Whether a value, in the one spelling of the list's kind, is in a list of an application.
pub async fn contains(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    list: ListId,
    value: &str,
) -> Result<bool, StoreError> {
    let row = reader.query_one(CONTAINS, params![list.uuid(), application.uuid(), value]).await?;
    Ok(row.is_some())
}

/// As [`contains`], inside a transaction.
pub async fn contains_in(tx: &mut Tx, application: ApplicationId, list: ListId, value: &str) -> Result<bool, DbError> {
    Ok(tx.query_one(CONTAINS, params![list.uuid(), application.uuid(), value]).await?.is_some())
}

/// Values of a list in their order: at most `limit` after `after`, which is empty for the first page.
pub async fn values(
    reader: &mut Reader<'_>,
    list: ListId,
    after: &str,
    limit: usize,
) -> Result<Vec<String>, StoreError> {
    let rows = reader.query(VALUES, params![list.uuid(), after, limit as i64]).await?;
    Ok(rows.iter().map(|row| row.text(0)).collect::<Result<_, DbError>>()?)
}

/// What was added to a list after a version and is still there: at most `limit` after `after`, the first page after
/// [`Position::behind`] that version.
pub async fn added_since(
    reader: &mut Reader<'_>,
    list: ListId,
    after: &Position,
    limit: usize,
) -> Result<Vec<Position>, StoreError> {
    page(reader, ADDED, list, after, limit).await
}

/// What was removed from a list after a version, as [`added_since`]. Some of it may be there again.
pub async fn removed_since(
    reader: &mut Reader<'_>,
    list: ListId,
    after: &Position,
    limit: usize,
) -> Result<Vec<Position>, StoreError> {
    page(reader, REMOVED, list, after, limit).await
}

impl Position {
    /// Where the changes after a version begin.
    pub fn behind(version: u64) -> Self {
        // No value is empty: everything of the next version comes after it.
        Self { version: version + 1, value: String::new() }
    }
}

async fn page(
    reader: &mut Reader<'_>,
    statement: &'static str,
    list: ListId,
    after: &Position,
    limit: usize,
) -> Result<Vec<Position>, StoreError> {
    let version = i64::try_from(after.version).unwrap_or(i64::MAX);
    let rows = reader.query(statement, params![list.uuid(), version, &after.value, limit as i64]).await?;
    let read = |row: &Row| Ok(Position { version: row.count(0)?, value: row.text(1)? });
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}
