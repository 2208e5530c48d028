//! With whom a mailbox exchanges mail: whoever it wrote to, and whoever wrote what was filed for it to read. Noted in the
//! transaction that files the message, by a hash of the address; a row is written for the first message alone.

use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::GrantId;

/// Correspondents of one message that are noted: as many as a message may have recipients on most plans.
const NOTED_MAX: usize = 50;

/// Notes those that a message is exchanged with, unless it is put where nobody reads: who sent nothing but junk is nobody
/// that the mailbox knows.
pub(crate) async fn note(
    tx: &mut Tx,
    grant: GrantId,
    (correspondents, is_written): (&[String], bool),
    folders: &[String],
) -> Result<(), DbError> {
    const NOTE: &str = "INSERT INTO correspondents AS c (grant_id, key, written) VALUES ($1, $2, $3) \
        ON CONFLICT (grant_id, key) DO UPDATE SET written = 1 WHERE c.written < excluded.written";
    let is_unread = |folder: &String| [SystemFolder::Junk, SystemFolder::Trash].iter().any(|one| folder == one.id());
    if folders.iter().any(is_unread) {
        return Ok(());
    }
    for correspondent in correspondents.iter().filter(|one| !one.is_empty()).take(NOTED_MAX) {
        tx.execute(NOTE, params![grant.uuid(), key(correspondent), is_written]).await?;
    }
    Ok(())
}

pub(crate) const KNOWN: &str = "SELECT key FROM correspondents WHERE grant_id = $1 AND key = $2";

/// Whether the mailbox knows all of these.
pub(crate) async fn knows(reader: &mut Reader<'_>, grant: GrantId, authors: &[&str]) -> Result<bool, StoreError> {
    for author in authors {
        if author.is_empty() || reader.query_one(KNOWN, params![grant.uuid(), key(author)]).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Forgets those of a mailbox that is removed, so many at once.
pub(crate) const REMOVE: &str = "DELETE FROM correspondents WHERE grant_id = $1 AND key IN \
     (SELECT key FROM correspondents WHERE grant_id = $1 LIMIT $2)";

/// An address as it is kept.
pub(crate) fn key(address: &str) -> i64 {
    let hash = blake3::hash(address.trim().to_lowercase().as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_le_bytes(first)
}
