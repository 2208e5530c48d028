//! What lists leave behind: the items of those that are gone, and removals that nobody has to be told any more.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;

const REMOVED_LIST: &str = "SELECT list_id FROM removed_lists LIMIT 1 {skip_locked}";

const REMAINS: &[&str] = &[
    "DELETE FROM list_items WHERE list_id = $1 AND value IN \
     (SELECT i.value FROM list_items i WHERE i.list_id = $1 ORDER BY i.value LIMIT $2)",
    "DELETE FROM list_removals WHERE list_id = $1 AND (version, value) IN \
     (SELECT r.version, r.value FROM list_removals r WHERE r.list_id = $1 ORDER BY r.version, r.value LIMIT $2)",
];

const OLDEST: &str = "SELECT list_id, version FROM list_removals WHERE removed_at < $1 ORDER BY removed_at LIMIT 1";

const FORGET: &str = "DELETE FROM list_removals WHERE list_id = $1 AND (version, value) IN \
    (SELECT r.version, r.value FROM list_removals r WHERE r.list_id = $1 AND r.version <= $2 \
    ORDER BY r.version, r.value LIMIT $3) RETURNING version";

/// Statements of this file that read rows by the way.
#[cfg(test)]
pub(crate) const LISTS: &[&str] = &[OLDEST, FORGET, REMAINS[0], REMAINS[1]];

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
        const DONE: &str = "DELETE FROM removed_lists WHERE list_id = $1";
        let Some(row) = tx.query_one(REMOVED_LIST, &[]).await? else { return Ok(false) };
        let list = row.uuid(0)?;
        let mut removed = 0;
        for statement in REMAINS {
            removed += tx.execute(statement, params![list, self.limit as i64]).await?;
        }
        if removed == 0 {
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
        let gone = tx.query(FORGET, params![list, version, self.limit as i64]).await?;
        let versions = gone.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = versions.iter().max() {
            tx.execute(SINCE, params![list, *last]).await?;
        }
        Ok(versions.len() as u64)
    }
}
