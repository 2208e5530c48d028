//! Removing old records. Those of a mailbox that is removed go with its other rows, by `grants::PruneRemoved`.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::EvaluationId;

/// Removes records of before a time, the oldest first.
#[derive(Clone, Copy, Debug)]
pub struct PruneEvaluations {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneEvaluations {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        // Ids are in the order of time, so that the primary key serves.
        const REMOVE: &str = "DELETE FROM rule_evaluations WHERE id IN \
            (SELECT e.id FROM rule_evaluations e WHERE e.id < $1 ORDER BY e.id LIMIT $2)";
        let first_kept = EvaluationId::first_at(self.before).uuid();
        tx.execute(REMOVE, params![first_kept, self.limit as i64]).await
    }
}
