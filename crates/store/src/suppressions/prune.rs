//! Removing suppressions that have expired. They say nothing any more, so nothing is recorded.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;

pub(crate) const EXPIRED: &str = "SELECT application_id, address_key FROM suppressions \
    WHERE expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2";

/// Removes those that expired first.
#[derive(Clone, Copy, Debug)]
pub struct PruneSuppressions {
    /// Now.
    pub now: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneSuppressions {
    /// How many there were to remove.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        // Asked again for its end: somebody may have prolonged it meanwhile.
        const REMOVE: &str = "DELETE FROM suppressions WHERE application_id = $1 AND address_key = $2 \
            AND expires_at <= $3";
        let expired = tx.query(EXPIRED, params![self.now.as_micros(), self.limit as i64]).await?;
        for row in &expired {
            tx.execute(REMOVE, params![row.uuid(0)?, row.str(1)?, self.now.as_micros()]).await?;
        }
        Ok(expired.len() as u64)
    }
}
