//! What breakers count of a mailbox, in one row, and to whom it has written: kept only where its workspace has breakers
//! that ask for it, or a throttle holds. The row is read and written under the lock of the mailbox.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::breaker::{Metric, Watch};
use postfleet_core::id::GrantId;
use postfleet_core::{EmailAddress, UnixMicros, UtcDay};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;

/// For how many days a mailbox knows to whom it has written.
pub const KNOWN_DAYS: i64 = 180;

/// A row as it is kept.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    hour: i64,
    sends: u64,
    day: i64,
    new_recipients: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    told: Vec<(String, i64)>,
}

pub(crate) fn read(text: &str) -> Result<Watch, DbError> {
    let kept: Kept = serde_json::from_str(text).map_err(|_| DbError::Malformed("watch"))?;
    let told = kept.told.iter().filter_map(|(metric, period)| Some((Metric::named(metric)?, *period)));
    Ok(Watch {
        hour: kept.hour,
        sends: kept.sends,
        day: kept.day,
        new_recipients: kept.new_recipients,
        said: kept.said,
        since: kept.since.map(UnixMicros::from_micros),
        told: told.collect(),
    })
}

fn write(watch: &Watch) -> String {
    let told = watch.told.iter().map(|(metric, period)| (metric.name().to_owned(), *period));
    let kept = Kept {
        hour: watch.hour,
        sends: watch.sends,
        day: watch.day,
        new_recipients: watch.new_recipients,
        said: watch.said.clone(),
        since: watch.since.map(UnixMicros::as_micros),
        told: told.collect(),
    };
    json!(kept).to_string()
}

/// What is counted of a mailbox, at a time.
pub(crate) async fn of(tx: &mut Tx, grant: GrantId, now: UnixMicros) -> Result<Watch, DbError> {
    const FIND: &str = "SELECT state FROM watches WHERE grant_id = $1 {lock}";
    let row = tx.query_one(FIND, params![grant.uuid()]).await?;
    let watch = row.map(|row| read(row.str(0)?)).transpose()?.unwrap_or_default();
    Ok(watch.at(now))
}

/// Keeps it.
pub(crate) async fn keep(tx: &mut Tx, grant: GrantId, watch: &Watch) -> Result<(), DbError> {
    const KEEP: &str = "INSERT INTO watches (grant_id, state) VALUES ($1, $2) \
        ON CONFLICT (grant_id) DO UPDATE SET state = excluded.state";
    tx.execute(KEEP, params![grant.uuid(), &write(watch)]).await?;
    Ok(())
}

pub(crate) const KNOWN: &str = "SELECT address_key FROM written_to WHERE grant_id = $1 \
    AND address_key IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e) AND day >= $3";

/// Those of some addresses to whom the mailbox has not written, as far as that is known.
pub(crate) async fn never_written_to<'a>(
    tx: &mut Tx,
    grant: GrantId,
    addresses: impl Iterator<Item = &'a EmailAddress>,
    day: UtcDay,
) -> Result<Vec<String>, DbError> {
    let keys: Vec<String> = addresses.map(EmailAddress::key).collect();
    if keys.is_empty() {
        return Ok(keys);
    }
    let asked = keys.iter().map(|key| json!([key])).collect::<Value>().to_string();
    let rows = tx.query(KNOWN, params![grant.uuid(), &asked, day.number() - KNOWN_DAYS]).await?;
    let known = rows.iter().map(|row| row.text(0)).collect::<Result<HashSet<String>, DbError>>()?;
    Ok(keys.into_iter().filter(|key| !known.contains(key)).collect())
}

/// Knows from now on that the mailbox has written to them.
pub(crate) async fn know(tx: &mut Tx, grant: GrantId, keys: &[String], day: UtcDay) -> Result<(), DbError> {
    const KNOW: &str = "INSERT INTO written_to (grant_id, address_key, day) VALUES ($1, $2, $3) \
        ON CONFLICT (grant_id, address_key) DO UPDATE SET day = excluded.day";
    for key in keys {
        tx.execute(KNOW, params![grant.uuid(), key, day.number()]).await?;
    }
    Ok(())
}

pub(crate) const OLD: &str = "SELECT grant_id, address_key FROM written_to WHERE day < $1 ORDER BY day LIMIT $2";

/// Forgets to whom mailboxes have written long ago.
#[derive(Clone, Copy, Debug)]
pub struct PruneWrittenTo {
    /// The present day.
    pub today: UtcDay,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneWrittenTo {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const FORGET: &str = "DELETE FROM written_to WHERE grant_id = $1 AND address_key = $2";
        let rows = tx.query(OLD, params![self.today.number() - KNOWN_DAYS, self.limit as i64]).await?;
        for row in &rows {
            tx.execute(FORGET, params![row.uuid(0)?, row.str(1)?]).await?;
        }
        Ok(rows.len() as u64)
    }
}

/// Forgets all of a mailbox that is removed, so many at once; true when nothing is left.
pub(crate) const REMOVE: [&str; 2] = [
    "DELETE FROM watches WHERE grant_id = $1 AND $2 > CAST(0 AS {int})",
    "DELETE FROM written_to WHERE grant_id = $1 AND address_key IN \
     (SELECT address_key FROM written_to WHERE grant_id = $1 LIMIT $2)",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read_back() {
        let now = UnixMicros::from_seconds(1_772_445_600);
        let mut watch = Watch::default().at(now).anew(now).with(7, 2, now);
        assert!(watch.tells(Metric::SendsPerHour, now));
        assert_eq!(read(&write(&watch)).unwrap(), watch);
        assert_eq!(read("{}").unwrap(), Watch::default());
        assert!(read("[").is_err());
    }
}
