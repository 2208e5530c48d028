//! Removing old refusals. Those of a mailbox that is removed go with its other rows, by `grants::PruneRemoved`.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::RefusalId;

/// Removes refusals of before a time, the oldest first, and the counters of days before it.
#[derive(Clone, Copy, Debug)]
pub struct PruneRefusedMail {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

pub(crate) const OLD_DAYS: &str =
    "SELECT grant_id, day, code FROM refused_mail_days WHERE day < $1 ORDER BY day LIMIT $2";

impl Command for PruneRefusedMail {
    /// How many rows are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        // Ids are in the order of time, so that the primary key serves.
        const REMOVE: &str = "DELETE FROM refused_mail WHERE id IN \
            (SELECT r.id FROM refused_mail r WHERE r.id < $1 ORDER BY r.id LIMIT $2)";
        const REMOVE_DAY: &str = "DELETE FROM refused_mail_days WHERE grant_id = $1 AND day = $2 AND code = $3";
        let first_kept = RefusalId::first_at(self.before).uuid();
        let removed = tx.execute(REMOVE, params![first_kept, self.limit as i64]).await?;
        let days = tx.query(OLD_DAYS, params![self.before.day().number(), self.limit as i64]).await?;
        for row in &days {
            tx.execute(REMOVE_DAY, params![row.uuid(0)?, row.int(1)?, row.str(2)?]).await?;
        }
        Ok(removed + days.len() as u64)
    }
}
