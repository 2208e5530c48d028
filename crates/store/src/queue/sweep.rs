//! Releasing what has waited behind a stop that was lifted, and turning back what was claimed before one was raised.

use super::claim::{find_stopped, keep_turn, lock_stop};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use crate::stops;
use postfleet_core::UnixMicros;
use postfleet_core::id::{LeaseId, MessageId, QueueId, StopId};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Goes through some of what waits behind a stop that was lifted, in the order in which it was due: it is released, or waits
/// behind another stop from now on. That there is something left to go through is kept with the stop, so that it goes on
/// where it was, whoever dies.
#[derive(Clone, Copy, Debug)]
pub struct SweepStop {
    /// Now.
    pub now: UnixMicros,
    /// Recipients at most.
    pub limit: usize,
}

pub(crate) const UNSWEPT: &str = "SELECT id FROM stops WHERE lifted_at > 0 AND swept = 0 ORDER BY lifted_at, id LIMIT 1 \
    {skip_locked}";
pub(crate) const WAITING: &str = "SELECT q.id, q.message_id FROM queue q WHERE q.stop_id = $1 AND q.parked = 2 \
    ORDER BY q.due_at, q.id LIMIT $2 {lock}";

/// What was gone through.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// How many recipients.
    pub recipients: u64,
    /// The destinations at which some were released.
    pub destinations: BTreeSet<String>,
}

impl Command for SweepStop {
    /// `None` if there is nothing to do.
    type Outcome = Option<Swept>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Swept>, DbError> {
        const SWEPT: &str = "UPDATE stops SET swept = 1 WHERE id = $1";
        // Where others wait behind the destination it waits among them: those that have waited longest leave first.
        const RELEASE: &str = "UPDATE queue SET stop_id = NULL, parked = CASE WHEN EXISTS (SELECT 1 FROM destinations d \
            WHERE d.name = queue.destination AND d.turn_at IS NOT NULL) THEN 1 ELSE 0 END WHERE id = $1 \
            RETURNING parked, destination";
        const MOVE: &str = "UPDATE queue SET stop_id = $2 WHERE id = $1";
        let Some(row) = tx.query_one(UNSWEPT, params![]).await? else { return Ok(None) };
        let stop = row.uuid(0)?;
        let rows = tx.query(WAITING, params![stop, self.limit as i64]).await?;
        let rows: Vec<(Uuid, Uuid)> =
            rows.iter().map(|row| Ok((row.uuid(0)?, row.uuid(1)?))).collect::<Result<_, DbError>>()?;
        let is_last = rows.len() < self.limit;
        if is_last {
            tx.execute(SWEPT, params![stop]).await?;
        }
        let stopped = in_force(tx, &rows.iter().map(|(_, message)| *message).collect()).await?;
        let mut swept = Swept { recipients: rows.len() as u64, destinations: BTreeSet::new() };
        let mut joined = BTreeSet::new();
        for (id, message) in &rows {
            match stopped.get(message) {
                Some(other) => {
                    tx.execute(MOVE, params![*id, other.uuid()]).await?;
                }
                None => {
                    let Some(row) = tx.query_one(RELEASE, params![*id]).await? else { continue };
                    let destination = row.text(1)?;
                    if row.flag(0)? {
                        joined.insert(destination.clone());
                    }
                    swept.destinations.insert(destination);
                }
            }
        }
        for destination in joined {
            keep_turn(tx, &destination, self.now).await?;
        }
        if !rows.is_empty() {
            tx.wake_queue();
        }
        if is_last {
            stops::tell_swept(tx).await?;
        }
        Ok(Some(swept))
    }
}

/// The other stops that keep messages back, each locked.
async fn in_force(tx: &mut Tx, messages: &BTreeSet<Uuid>) -> Result<BTreeMap<Uuid, StopId>, DbError> {
    let stopped = find_stopped(tx, messages).await?;
    let others: BTreeSet<StopId> = stopped.values().copied().collect();
    let (is_any, mut gone) = (!others.is_empty(), BTreeSet::new());
    for other in others {
        if !lock_stop(tx, other).await? {
            gone.insert(other);
        }
    }
    if !is_any {
        return Ok(stopped);
    }
    // Who was waited for may have moved a mailbox out of a workspace that is stopped.
    let mut again = find_stopped(tx, messages).await?;
    again.retain(|message, stop| stopped.get(message) == Some(stop) && !gone.contains(stop));
    Ok(again)
}

/// Gives rows back that were claimed, or handed over, and not attempted: their sender was stopped meanwhile, or something
/// that an attempt needs was away. Nothing is counted; the next claim judges them.
#[derive(Clone, Debug)]
pub struct TurnBack {
    /// The message.
    pub message_id: MessageId,
    /// The lease under which they are.
    pub lease: LeaseId,
    /// The rows.
    pub rows: Vec<QueueId>,
    /// When they are due.
    pub due_at: UnixMicros,
}

impl Command for TurnBack {
    /// How many.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const BACK: &str = "UPDATE queue SET due_at = CASE WHEN paused = 1 THEN NULL ELSE CAST($4 AS {int}) END, \
            lease = NULL, owner = NULL WHERE id = $1 AND message_id = $2 AND lease = $3";
        let mut turned = 0;
        for row in &self.rows {
            let values = params![row.uuid(), self.message_id.uuid(), self.lease.uuid(), self.due_at.as_micros()];
            turned += tx.execute(BACK, values).await?;
        }
        tx.wake_queue();
        Ok(turned)
    }
}
