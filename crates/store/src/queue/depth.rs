//! How much waits, and for how long.

use super::list::{State, state};
use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::QueueId;

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

/// The depth of every state, and how many destinations are closed. Reads the whole queue.
pub async fn state_depths(reader: &mut Reader<'_>) -> Result<(Vec<Depth>, u64), StoreError> {
    // Ids are in the order of time; the smallest has no function that both engines know.
    const DEPTHS: &str = concat!("SELECT ", state!(), ", count(*) FROM queue q GROUP BY 1");
    const OLDEST: &str = concat!("SELECT q.id FROM queue q WHERE $1 = ", state!(), " ORDER BY q.id LIMIT 1");
    const CLOSED: &str = "SELECT count(*) FROM destinations WHERE failures > 0 OR paused = 1";
    let rows = reader.query(DEPTHS, params![]).await?;
    let counted: Vec<(i64, u64)> =
        rows.iter().map(|row: &Row| Ok((row.int(0)?, row.count(1)?))).collect::<Result<_, DbError>>()?;
    let mut depths = Vec::new();
    for state in State::ALL {
        let recipients = counted.iter().find(|(number, _)| *number == state as i64).map_or(0, |(_, count)| *count);
        let oldest = match recipients {
            0 => None,
            _ => reader.query_one(OLDEST, params![state as i64]).await?,
        };
        let oldest = oldest.map(|row| row.uuid(0)).transpose()?.map(|id| QueueId::from_uuid(id).made_at());
        depths.push(Depth { state, recipients, oldest });
    }
    let closed = reader.query_one(CLOSED, params![]).await?;
    Ok((depths, closed.map(|row| row.count(0)).transpose()?.unwrap_or(0)))
}
