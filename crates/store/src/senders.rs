//! Who has sent something in the last day: the hour of the clock in which each address sent last, noted when the ledger is
//! summed up, so that sends pay nothing for it. How many there are is counted in an index.

use crate::db::{Db, DbError, Param};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::exchange::hour;
use postfleet_core::id::ApplicationId;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Hours that a day has.
const DAY: i64 = 24;

/// Notes in which hour addresses of applications sent, in the order of their keys.
pub(crate) async fn note(db: &mut Db, sent: impl Iterator<Item = (Uuid, &str, i64)>) -> Result<(), DbError> {
    const NOTE: &str = "INSERT INTO senders (application_id, address, hour) VALUES ($1, $2, $3) \
        ON CONFLICT (application_id, address) DO UPDATE SET hour = excluded.hour WHERE senders.hour < excluded.hour";
    let mut last: BTreeMap<(Uuid, &str), i64> = BTreeMap::new();
    for (application, address, hour) in sent {
        let last = last.entry((application, address)).or_insert(hour);
        *last = hour.max(*last);
    }
    if last.is_empty() {
        return Ok(());
    }
    let row = |((application, address), hour)| vec![Param::Uuid(application), Param::Text(address), Param::Int(hour)];
    let rows: Vec<Vec<Param<'_>>> = last.into_iter().map(row).collect();
    db.execute_each(NOTE, &rows).await
}

pub(crate) const OF_APPLICATION: &str = "SELECT count(*) FROM senders WHERE application_id = $1 AND hour >= $2";
pub(crate) const ANYWHERE: &str = "SELECT count(*) FROM senders WHERE hour >= $1";

/// How many mailboxes have sent something in the last day: since the beginning of the hour that was 24 hours ago, as far as
/// it is summed up. Of one application, or of all.
pub async fn in_last_day(
    reader: &mut Reader<'_>,
    application: Option<ApplicationId>,
    now: UnixMicros,
) -> Result<u64, StoreError> {
    let since = hour(now) - DAY;
    let row = match application {
        Some(application) => reader.query_one(OF_APPLICATION, params![application.uuid(), since]).await?,
        None => reader.query_one(ANYWHERE, params![since]).await?,
    };
    Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
}

pub(crate) const PRUNE: &str = "DELETE FROM senders WHERE (application_id, address) IN \
    (SELECT s.application_id, s.address FROM senders s WHERE s.hour < $1 ORDER BY s.hour LIMIT $2)";

/// Forgets who has not sent since an hour; answers how many.
pub(crate) async fn prune(tx: &mut Tx, before: UnixMicros, limit: usize) -> Result<u64, DbError> {
    tx.execute(PRUNE, params![hour(before), limit as i64]).await
}
