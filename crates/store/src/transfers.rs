//! What was sent and what came in, one row for each message and mailbox: from these rows the counters of sends and of
//! bandwidth can be counted anew. Kept for this month and the one before.

use crate::db::{Db, DbError, Param};
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UtcDay;
use postfleet_core::id::{GrantId, MessageId};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A message that a mailbox sent or got.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    /// On which day it counts.
    pub(crate) day: UtcDay,
    pub(crate) organization: Uuid,
    pub(crate) application: Uuid,
    pub(crate) grant: GrantId,
    pub(crate) message: MessageId,
    pub(crate) is_outgoing: bool,
    /// Octets that it adds to its organization's bandwidth, and to its application's. What comes in for several of their
    /// mailboxes adds to each once.
    pub(crate) octets: [u64; 2],
}

/// Writes the rows of a batch.
pub(crate) async fn write(db: &mut Db, transfers: &[Transfer]) -> Result<(), DbError> {
    const WRITE: &str = "INSERT INTO transfers (day, organization_id, message_id, application_id, grant_id, outgoing, \
        octets, application_octets) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    if transfers.is_empty() {
        return Ok(());
    }
    let row = |one: &Transfer| -> Vec<Param<'_>> {
        let Transfer { day, organization, application, grant, message, is_outgoing, octets: [all, own] } = one;
        let (grant, message) = (grant.uuid(), message.uuid());
        let octets = (*all as i64, *own as i64);
        params![day.number(), *organization, message, *application, grant, *is_outgoing, octets.0, octets.1].to_vec()
    };
    let rows: Vec<Vec<Param<'_>>> = transfers.iter().map(row).collect();
    db.execute_each(WRITE, &rows).await?;
    count_received(db, transfers).await
}

/// Counts what mailboxes received, by day. Their rows are those of mailboxes that are locked.
async fn count_received(db: &mut Db, transfers: &[Transfer]) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO daily_sends (grant_id, day, sent, received) VALUES ($1, $2, 0, $3) \
        ON CONFLICT (grant_id, day) DO UPDATE SET received = daily_sends.received + excluded.received";
    let mut received: BTreeMap<(Uuid, i64), u64> = BTreeMap::new();
    for one in transfers.iter().filter(|one| !one.is_outgoing) {
        *received.entry((one.grant.uuid(), one.day.number())).or_default() += 1;
    }
    if received.is_empty() {
        return Ok(());
    }
    let row = |((grant, day), count): (&(Uuid, i64), &u64)| -> Vec<Param<'_>> {
        params![*grant, *day, *count as i64].to_vec()
    };
    let rows: Vec<Vec<Param<'_>>> = received.iter().map(row).collect();
    db.execute_each(COUNT, &rows).await
}

/// Takes back that a message was sent on a day.
pub(crate) async fn remove(tx: &mut Tx, day: UtcDay, organization: Uuid, message: MessageId) -> Result<(), DbError> {
    const REMOVE: &str = "DELETE FROM transfers WHERE day = $1 AND organization_id = $2 AND message_id = $3";
    tx.tally().forget(message);
    tx.execute(REMOVE, params![day.number(), organization, message.uuid()]).await?;
    Ok(())
}

pub(crate) const OLD: &str = "SELECT day, organization_id, message_id FROM transfers WHERE day < $1 ORDER BY day, organization_id, message_id LIMIT $2";

/// Removes what is from before a day, which is counted anew no more.
#[derive(Clone, Copy, Debug)]
pub struct PruneTransfers {
    /// Older ones go.
    pub before: UtcDay,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneTransfers {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM transfers WHERE (day, organization_id, message_id) <= ($1, $2, $3)";
        let rows = tx.query(OLD, params![self.before.number(), self.limit as i64]).await?;
        let Some(last) = rows.last() else { return Ok(0) };
        tx.execute(REMOVE, params![last.int(0)?, last.uuid(1)?, last.uuid(2)?]).await
    }
}
