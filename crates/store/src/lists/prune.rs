//! What lists leave behind: the items of those that are gone, and removals that nobody has to be told any more.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use uuid::Uuid;

const REMOVE_ITEMS: &str = "DELETE FROM list_items WHERE list_id = $1 AND value IN \
    (SELECT i.value FROM list_items i WHERE i.list_id = $1 ORDER BY i.value LIMIT $2)";

const OLDEST: &str = "SELECT list_id, version FROM list_removals WHERE removed_at < $1 ORDER BY removed_at LIMIT 1";

const REMOVALS: &str = "SELECT version, value FROM list_removals WHERE list_id = $1 AND version <= $2 \
    ORDER BY version, value LIMIT $3";

const FORGET: &str = "DELETE FROM list_removals WHERE list_id = $1 AND (version, value) <= ($2, $3)";

/// Statements of this file that read rows by the way.
#[cfg(test)]
pub(crate) const LISTS: &[&str] = &[REMOVE_ITEMS, OLDEST, REMOVALS, FORGET];

/// Removes up to `limit` items and as many removals of one list that is gone: never much at once, so that the writer
/// stays free for mail.
#[derive(Clone, Copy, Debug)]
pub struct PruneRemovedLists {
    /// Rows of a kind at once.
    pub limit: usize,
}

impl Command for PruneRemovedLists {
    /// Whether there may be more to do.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVED_LIST: &str = "SELECT list_id FROM removed_lists LIMIT 1 {skip_locked}";
        const DONE: &str = "DELETE FROM removed_lists WHERE list_id = $1";
        let Some(row) = tx.query_one(REMOVED_LIST, &[]).await? else { return Ok(false) };
        let list = row.uuid(0)?;
        let items = tx.execute(REMOVE_ITEMS, params![list, self.limit as i64]).await?;
        let removals = forget(tx, list, i64::MAX, self.limit).await?;
        if items == 0 && removals.is_none() {
            tx.execute(DONE, params![list]).await?;
        }
        Ok(true)
    }
}

/// Forgets up to `limit` removals of one list, if it has any from before a time. The list says since which version they
/// are known.
#[derive(Clone, Copy, Debug)]
pub struct PruneRemovals {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneRemovals {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const LOCK: &str = "SELECT id FROM lists WHERE id = $1 {lock}";
        const SINCE: &str = "UPDATE lists SET removals_since = $2 WHERE id = $1 AND removals_since < $2";
        let Some(row) = tx.query_one(OLDEST, params![self.before.as_micros()]).await? else { return Ok(0) };
        let (list, version) = (row.uuid(0)?, row.int(1)?);
        tx.query_one(LOCK, params![list]).await?;
        // Versions go in their order, whatever the clock said meanwhile: none stays behind one that is gone.
        let Some((last, forgotten)) = forget(tx, list, version, self.limit).await? else { return Ok(0) };
        tx.execute(SINCE, params![list, last]).await?;
        Ok(forgotten)
    }
}

/// Forgets the first removals of a list, up to a version: the last version that it took from, and how many.
async fn forget(tx: &mut Tx, list: Uuid, version: i64, limit: usize) -> Result<Option<(i64, u64)>, DbError> {
    let first = tx.query(REMOVALS, params![list, version, limit as i64]).await?;
    let Some(last) = first.last() else { return Ok(None) };
    let (version, value) = (last.int(0)?, last.text(1)?);
    let forgotten = tx.execute(FORGET, params![list, version, &value]).await?;
    Ok(Some((version, forgotten)))
}
