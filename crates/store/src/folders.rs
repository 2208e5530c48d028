//! The folders of a mailbox, and how many messages each holds. System folders exist without rows; counts appear when first
//! used.

mod assign;
mod empty;
mod manage;

pub use assign::{Assigned, foreseen};
pub(crate) use assign::{assign, assigned};
#[cfg(test)]
pub(crate) use empty::IN_FOLDER;
pub use empty::{Emptied, EmptyFolder};
pub use manage::{CreateFolder, DeleteFolder, FolderOutcome, RenameFolder};

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::folder;
use postfleet_core::id::{FolderId, GrantId};

/// A folder that somebody made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFolder {
    /// Its id.
    pub id: FolderId,
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub total: u64,
    /// Unread ones among them.
    pub unread: u64,
}

/// What one system folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderCount {
    /// The folder's id.
    pub folder: String,
    /// Messages in it.
    pub total: u64,
    /// Unread ones among them.
    pub unread: u64,
}

/// What the names of folders are found by. An entry of an index has a bound, in PostgreSQL less than the longest name.
fn name_key(name: &str) -> String {
    const OCTETS_MAX: usize = 1_000;
    let key = folder::key(name);
    // No name begins with a control character.
    if key.len() <= OCTETS_MAX { key } else { format!("\u{1}{}", blake3::hash(key.as_bytes()).to_hex()) }
}

/// Adds to a folder's counts.
pub(crate) async fn count(tx: &mut Tx, grant: GrantId, folder: &str, total: i64, unread: i64) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO folder_counts (grant_id, folder, total, unread) VALUES ($1, $2, $3, $4) \
        ON CONFLICT (grant_id, folder) DO UPDATE \
        SET total = folder_counts.total + excluded.total, unread = folder_counts.unread + excluded.unread";
    tx.execute(COUNT, params![grant.uuid(), folder, total, unread]).await?;
    Ok(())
}

/// The counts of a mailbox's folders; a folder that was never used is missing.
pub async fn counts(reader: &mut Reader<'_>, grant: GrantId) -> Result<Vec<FolderCount>, StoreError> {
    const COUNTS: &str = "SELECT folder, total, unread FROM folder_counts WHERE grant_id = $1 ORDER BY folder";
    let rows = reader.query(COUNTS, params![grant.uuid()]).await?;
    Ok(rows.iter().map(read_count).collect::<Result<_, DbError>>()?)
}

/// How many messages are in a folder, by its id.
pub async fn total(reader: &mut Reader<'_>, grant: GrantId, folder: &str) -> Result<u64, StoreError> {
    const TOTAL: &str = "SELECT total FROM folder_counts WHERE grant_id = $1 AND folder = $2";
    let row = reader.query_one(TOTAL, params![grant.uuid(), folder]).await?;
    Ok(row.map_or(Ok(0), |row| row.count(0))?)
}

/// The counts of those folders that every mailbox has.
pub async fn counts_of_system(reader: &mut Reader<'_>, grant: GrantId) -> Result<Vec<FolderCount>, StoreError> {
    const COUNTS: &str = "SELECT folder, total, unread FROM folder_counts WHERE grant_id = $1 \
        AND folder IN ('inbox', 'sent', 'drafts', 'trash', 'junk', 'archive')";
    let rows = reader.query(COUNTS, params![grant.uuid()]).await?;
    Ok(rows.iter().map(read_count).collect::<Result<_, DbError>>()?)
}

fn read_count(row: &Row) -> Result<FolderCount, DbError> {
    Ok(FolderCount { folder: row.text(0)?, total: row.count(1)?, unread: row.count(2)? })
}

macro_rules! folder_columns {
    () => {
        "SELECT f.id, f.name, coalesce(c.total, 0), coalesce(c.unread, 0) FROM folders f \
         LEFT JOIN folder_counts c ON c.grant_id = f.grant_id AND c.folder = f.id WHERE f.grant_id = $1"
    };
}

pub(crate) const LIST: &str = concat!(folder_columns!(), " AND f.id > $2 ORDER BY f.id LIMIT $3");
pub(crate) const BY_ID: &str = concat!(folder_columns!(), " AND f.id = $2");
pub(crate) const BY_NAME: &str = concat!(folder_columns!(), " AND f.name_key = $2");

/// The folders that were made in a mailbox after one of them (from the first if there is none), the oldest first.
pub async fn list(
    reader: &mut Reader<'_>,
    grant: GrantId,
    after: Option<FolderId>,
    limit: usize,
) -> Result<Vec<OwnFolder>, StoreError> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let rows = reader.query(LIST, params![grant.uuid(), &after, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The folder of that id that was made in a mailbox, or the one of that name.
pub async fn find(reader: &mut Reader<'_>, grant: GrantId, named: &str) -> Result<Option<OwnFolder>, StoreError> {
    for (sql, key) in ways_to(named) {
        if let Some(row) = reader.query_one(sql, params![grant.uuid(), &key]).await? {
            return Ok(Some(read(&row)?));
        }
    }
    Ok(None)
}

/// The same in a transaction.
pub(crate) async fn held(tx: &mut Tx, grant: GrantId, named: &str) -> Result<Option<OwnFolder>, DbError> {
    for (sql, key) in ways_to(named) {
        if let Some(row) = tx.query_one(sql, params![grant.uuid(), &key]).await? {
            return read(&row).map(Some);
        }
    }
    Ok(None)
}

/// What is asked to find a folder, one after the other until one of them does: the statement, and what it is asked for.
fn ways_to(named: &str) -> impl Iterator<Item = (&'static str, String)> {
    let by_id = named.parse::<FolderId>().ok().map(|id| (BY_ID, id.to_string()));
    // No name has such characters, and no text of PostgreSQL the first of them.
    let by_name = (!named.contains(char::is_control)).then(|| (BY_NAME, name_key(named)));
    by_id.into_iter().chain(by_name)
}

fn read(row: &Row) -> Result<OwnFolder, DbError> {
    let id = row.text(0)?.parse().map_err(|_| DbError::Malformed("folder id"))?;
    Ok(OwnFolder { id, name: row.text(1)?, total: row.count(2)?, unread: row.count(3)? })
}
