//! What those read who judge by lists: whether a value is in one, all of its values, and what changed since a version.

use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::ListId;

/// How far a list has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Goes up with every change of its items.
    pub version: u64,
    /// How many it has.
    pub items_count: u64,
}

/// What became of a list since a version, as of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// Its version now.
    pub version: u64,
    /// What was taken away; some of it may be there again.
    pub removed: Vec<String>,
    /// What was added and is there.
    pub present: Vec<String>,
}

// The list is asked for too: items outlive it for a while.
const CONTAINS: &str = "SELECT i.version FROM list_items i JOIN lists l ON l.id = i.list_id \
    WHERE i.list_id = $1 AND i.value = $2";

const VALUES: &str = "SELECT value FROM list_items WHERE list_id = $1 AND value > $2 ORDER BY value LIMIT $3";

/// The list itself (0), what was removed (1), what is there (2).
const CHANGES: &str = "SELECT CAST(0 AS {int}), l.version, l.removals_since, '' FROM lists l WHERE l.id = $1 \
    UNION ALL SELECT CAST(1 AS {int}), r.version, r.version, r.value FROM list_removals r \
    WHERE r.list_id = $1 AND r.version > $2 \
    UNION ALL SELECT CAST(2 AS {int}), i.version, i.version, i.value FROM list_items i \
    WHERE i.list_id = $1 AND i.version > $2 LIMIT $3";

#[cfg(test)]
pub(crate) const LISTS: &[&str] = &[CONTAINS, VALUES, CHANGES];

/// Whether a value, in the one spelling of the list's kind, is in a list, as the transaction sees it.
pub(crate) async fn contains(tx: &mut Tx, list: ListId, value: &str) -> Result<bool, DbError> {
    Ok(tx.query_one(CONTAINS, params![list.uuid(), value]).await?.is_some())
}

/// As [`contains`], as of what is committed.
pub(crate) async fn has(reader: &mut Reader<'_>, list: ListId, value: &str) -> Result<bool, StoreError> {
    Ok(reader.query_one(CONTAINS, params![list.uuid(), value]).await?.is_some())
}

/// The state of a list; `None` if there is none (any more): it then holds nothing.
pub async fn state(reader: &mut Reader<'_>, list: ListId) -> Result<Option<State>, StoreError> {
    const FIND: &str = "SELECT version, items_count FROM lists WHERE id = $1";
    let Some(row) = reader.query_one(FIND, params![list.uuid()]).await? else { return Ok(None) };
    Ok(Some(State { version: row.count(0)?, items_count: row.count(1)? }))
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

/// What became of a list since a version that was known. `None` if all of it has to be read: it is gone, some removals
/// since then are forgotten, or there were `limit` changes or more.
pub async fn changes_since(
    reader: &mut Reader<'_>,
    list: ListId,
    known: u64,
    limit: usize,
) -> Result<Option<Changes>, StoreError> {
    let version = i64::try_from(known).unwrap_or(i64::MAX);
    let rows = reader.query(CHANGES, params![list.uuid(), version, limit as i64]).await?;
    if rows.len() >= limit {
        return Ok(None);
    }
    let (mut now, mut removed, mut present) = (None, Vec::new(), Vec::new());
    for row in &rows {
        match row.int(0)? {
            0 => now = (row.count(2)? <= known).then_some(row.count(1)?),
            1 => removed.push(row.text(3)?),
            _ => present.push(row.text(3)?),
        }
    }
    Ok(now.map(|version| Changes { version, removed, present }))
}
