//! Rows that wait behind their destination, and when it is its turn.

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::outbound::Priority;

/// Rows of one destination that one claim parks.
const PARKED_AT_ONCE: i64 = 1_000;

/// Parks rows of a destination that are due, and sees to it that it has a turn.
pub(super) async fn park(tx: &mut Tx, destination: &str, now: UnixMicros) -> Result<(), DbError> {
    const PARK: &str = "UPDATE queue SET parked = 1 WHERE id IN (SELECT q.id FROM queue q WHERE q.destination = $1 \
        AND q.parked = 0 AND q.priority = $2 AND q.due_at <= $3 ORDER BY q.due_at, q.id LIMIT $4 {skip_locked})";
    for priority in Priority::ALL {
        tx.execute(PARK, params![destination, priority.number(), now.as_micros(), PARKED_AT_ONCE]).await?;
    }
    keep_turn(tx, destination, now).await
}

/// Sees to it that a destination behind which rows wait has a turn. After the rows, so that who takes the last parked row
/// and the turn away has either seen them or is waited for.
pub(in crate::queue) async fn keep_turn(tx: &mut Tx, destination: &str, now: UnixMicros) -> Result<(), DbError> {
    const TURN: &str = "INSERT INTO destinations (name, turn_at, updated_at) VALUES ($1, $2, $2) \
        ON CONFLICT (name) DO UPDATE SET turn_at = CASE WHEN destinations.paused = 1 THEN NULL \
        WHEN destinations.turn_at IS NOT NULL THEN destinations.turn_at \
        WHEN destinations.until > excluded.turn_at THEN destinations.until ELSE excluded.turn_at END";
    tx.execute(TURN, params![destination, now.as_micros()]).await?;
    Ok(())
}

/// The next turn of a destination is then.
pub(super) async fn set_turn(tx: &mut Tx, destination: &str, at: UnixMicros) -> Result<(), DbError> {
    const SET: &str = "UPDATE destinations SET turn_at = $2 WHERE name = $1";
    tx.execute(SET, params![destination, at.as_micros()]).await?;
    Ok(())
}

/// Nothing more is due: the next turn is when something is, and not before that time. A destination of which there is
/// nothing to remember is forgotten.
pub(in crate::queue) async fn set_turn_when_due(
    tx: &mut Tx,
    destination: &str,
    not_before: UnixMicros,
) -> Result<(), DbError> {
    const NEXT: &str = "SELECT due_at FROM queue WHERE destination = $1 AND parked = 1 AND priority = $2 \
        AND due_at IS NOT NULL ORDER BY due_at, id LIMIT 1";
    const NONE: &str = "UPDATE destinations SET turn_at = NULL WHERE name = $1";
    const FORGET: &str = "DELETE FROM destinations WHERE name = $1 AND failures = 0 AND paused = 0 AND route IS NULL";
    let mut next: Option<UnixMicros> = None;
    for priority in Priority::ALL {
        if let Some(row) = tx.query_one(NEXT, params![destination, priority.number()]).await? {
            let due = UnixMicros::from_micros(row.int(0)?);
            next = Some(next.map_or(due, |next| next.min(due)));
        }
    }
    if let Some(due) = next {
        return set_turn(tx, destination, due.max(not_before)).await;
    }
    if tx.execute(FORGET, params![destination]).await? == 0 {
        tx.execute(NONE, params![destination]).await?;
    }
    Ok(())
}
