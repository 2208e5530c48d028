//! How much waits, and for how long.

use super::list::{State, state};
use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::QueueId;
use uuid::Uuid;

/// How many recipients are in the queue.
pub async fn depth(reader: &mut Reader<'_>) -> Result<u64, StoreError> {
    let row = reader.query_one("SELECT count(*) FROM queue", params![]).await?;
    Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
}

/// How many recipients are in a state, and since when the oldest of them is in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// The state.
    pub state: State,
    /// How many.
    pub recipients: u64,
    /// When the oldest was accepted.
    pub oldest: Option<UnixMicros>,
}

/// The depths of a stretch of the queue: of up to `limit` recipients after one, in the order in which they came. The answer
/// has only states in which there are some, and where the next stretch begins, if there is one. The whole queue is counted
/// by stretches because a read that takes long holds up others.
pub async fn state_depths(
    reader: &mut Reader<'_>,
    after: QueueId,
    limit: u64,
) -> Result<(Vec<Depth>, Option<QueueId>), StoreError> {
    // Ids are in the order of time; the smallest has no function that both engines know.
    const LAST: &str = "SELECT id FROM queue WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";
    const DEPTHS: &str =
        concat!("SELECT ", state!(), ", count(*) FROM queue q WHERE q.id > $1 AND q.id <= $2 GROUP BY 1");
    const OLDEST: &str = concat!(
        "SELECT q.id FROM queue q WHERE q.id > $1 AND q.id <= $2 AND $3 = ",
        state!(),
        " ORDER BY q.id LIMIT 1"
    );
    let last = reader.query_one(LAST, params![after.uuid(), limit.saturating_sub(1) as i64]).await?;
    let last = last.map(|row| row.uuid(0)).transpose()?;
    let (from, to) = (after.uuid(), last.unwrap_or(Uuid::max()));
    let rows = reader.query(DEPTHS, params![from, to]).await?;
    let counted: Vec<(i64, u64)> =
        rows.iter().map(|row: &Row| Ok((row.int(0)?, row.count(1)?))).collect::<Result<_, DbError>>()?;
    let mut depths = Vec::new();
    for state in State::ALL {
        let Some((_, recipients)) = counted.iter().find(|(number, _)| *number == state as i64) else { continue };
        let oldest = reader.query_one(OLDEST, params![from, to, state as i64]).await?;
        let oldest = oldest.map(|row| row.uuid(0)).transpose()?.map(|id| QueueId::from_uuid(id).made_at());
        depths.push(Depth { state, recipients: *recipients, oldest });
    }
    Ok((depths, last.map(QueueId::from_uuid)))
}

/// How many destinations fail or are paused.
pub async fn closed_destinations(reader: &mut Reader<'_>) -> Result<u64, StoreError> {
    const CLOSED: &str = "SELECT count(*) FROM destinations WHERE failures > 0 OR paused = 1";
    let closed = reader.query_one(CLOSED, params![]).await?;
    Ok(closed.map(|row| row.count(0)).transpose()?.unwrap_or(0))
}
