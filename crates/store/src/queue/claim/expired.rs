//! Claiming what has been in the queue for too long, to give it up.

use super::Claimed;
use super::take::{read_claimed, take};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::outbound::Lease;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::QueueId;

/// Takes parked rows that have been in the queue for too long, and that nobody may ever have attempted.
#[derive(Clone, Debug)]
pub struct ClaimExpired {
    /// The lease they are taken under.
    pub lease: Lease,
    /// Now.
    pub now: UnixMicros,
    /// Those from before.
    pub queued_before: UnixMicros,
    /// Rows at most.
    pub limit: usize,
}

// Ids are in the order of time.
pub(crate) const EXPIRED: &str = "SELECT id, destination FROM queue WHERE id < $1 AND parked = 1 AND paused = 0 \
    ORDER BY id LIMIT $2 {skip_locked}";

impl Command for ClaimExpired {
    /// The rows, each with what its destination said last.
    type Outcome = Vec<(Claimed, String)>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<(Claimed, String)>, DbError> {
        const SAID: &str = "SELECT last_reply FROM destinations WHERE name = $1";
        let mut claimed = Vec::new();
        let values = params![QueueId::first_at(self.queued_before).uuid(), self.limit as i64];
        for row in tx.query(EXPIRED, values).await? {
            let said = tx.query_one(SAID, params![row.str(1)?]).await?;
            let said = said.map(|row| row.opt_text(0)).transpose()?.flatten().unwrap_or_default();
            if let Some(row) = take(tx, row.uuid(0)?, &self.lease).await? {
                claimed.push((read_claimed(&row, true)?, said));
            }
        }
        Ok(claimed)
    }
}
