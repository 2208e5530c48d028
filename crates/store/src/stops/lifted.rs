//! When stops were lifted: whoever lifted one has seen what was counted until then, and it counts no more.

use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, ThreadId};
use postfleet_core::stop::Kind;

const LIFTED: &str = "SELECT max(lifted_at) FROM stops WHERE grant_id = $1 AND kind = $2 AND subject = $3";

/// When a stop of a mailbox of that (kind, subject) was lifted last.
pub(crate) async fn lifted_at(
    tx: &mut Tx,
    grant: GrantId,
    (kind, subject): (Kind, &str),
) -> Result<Option<UnixMicros>, DbError> {
    let row = tx.query_one(LIFTED, params![grant.uuid(), kind.name(), subject]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros))
}

/// When a conversation of a mailbox was let go on last, that was stopped because mail went round in it.
pub async fn resumed_at(
    reader: &mut Reader<'_>,
    grant: GrantId,
    thread: ThreadId,
) -> Result<Option<UnixMicros>, StoreError> {
    let row = reader.query_one(LIFTED, params![grant.uuid(), Kind::Loop.name(), &thread.to_string()]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros))
}
