//! Reading schedules: those of a mailbox, and those whose time has come.

use super::{Schedule, read_row, schedule_columns};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, ScheduleId};

pub(super) const FIND: &str =
    concat!("SELECT ", schedule_columns!(), " FROM schedules WHERE id = $1 AND grant_id = $2 AND burst = 0");

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    schedule_columns!(),
    " FROM schedules WHERE grant_id = $1 AND id < $2 AND burst = 0 ORDER BY id DESC LIMIT $3"
);

pub(crate) const DUE: &str = concat!(
    "SELECT ",
    schedule_columns!(),
    " FROM schedules WHERE due_at <= $1 AND closed_at IS NULL ORDER BY due_at, id LIMIT $2"
);

pub(crate) const CLOSED: &str =
    "SELECT id FROM schedules WHERE closed_at IS NOT NULL AND closed_at < $1 ORDER BY closed_at LIMIT $2";

/// Finds a schedule of a mailbox.
pub async fn find(reader: &mut Reader<'_>, grant: GrantId, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), grant.uuid()]).await?;
    Ok(row.as_ref().map(read_row).transpose()?)
}

/// The schedules of a mailbox before one of them, the newest first.
pub async fn list(
    reader: &mut Reader<'_>,
    grant: GrantId,
    before: Option<ScheduleId>,
    limit: usize,
) -> Result<Vec<Schedule>, StoreError> {
    let before = before.map_or(uuid::Uuid::max(), ScheduleId::uuid);
    let rows = reader.query(LIST, params![grant.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

/// Those whose time has come, the earliest first.
pub async fn due(reader: &mut Reader<'_>, now: UnixMicros, limit: usize) -> Result<Vec<Schedule>, StoreError> {
    let rows = reader.query(DUE, params![now.as_micros(), limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

/// When the next one is due, if any waits.
pub async fn next_due(reader: &mut Reader<'_>) -> Result<Option<UnixMicros>, StoreError> {
    const NEXT: &str = "SELECT min(due_at) FROM schedules WHERE closed_at IS NULL";
    let row = reader.query_one(NEXT, params![]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros))
}
