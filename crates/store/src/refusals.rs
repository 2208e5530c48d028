//! What was refused lately when a mailbox wanted to send, counted by day and reason: one row that each further refusal of
//! the day changes, so that a mailbox that goes on trying fills nothing.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{GrantId, KeyId};
use postfleet_core::{Problem, UnixMicros, UtcDay};

/// Refusals of one day for one reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The code of the refusal.
    pub code: String,
    /// What was said the last time.
    pub message: String,
    /// How many there were.
    pub times: u64,
    /// The first of the day.
    pub first_at: UnixMicros,
    /// The last of the day.
    pub last_at: UnixMicros,
    /// Whose allowance was used up, if one was.
    pub scope: Option<String>,
    /// The allowance.
    pub limit: Option<u64>,
    /// What of it was used.
    pub used: Option<u64>,
    /// When it is whole again.
    pub resets_at: Option<UnixMicros>,
    /// The key with which the last one was asked for.
    pub key_id: Option<KeyId>,
}

/// Counts a refusal, in the transaction that refuses.
pub(crate) async fn record(
    tx: &mut Tx,
    grant: GrantId,
    problem: &Problem,
    key: Option<KeyId>,
    at: UnixMicros,
) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO send_refusals (grant_id, day, code, times, first_at, last_at, message, scope, \
        limit_value, used, resets_at, key_id) VALUES ($1, $2, $3, 1, $4, $4, $5, $6, $7, $8, $9, $10) \
        ON CONFLICT (grant_id, day, code) DO UPDATE SET times = send_refusals.times + 1, last_at = excluded.last_at, \
        message = excluded.message, scope = excluded.scope, limit_value = excluded.limit_value, used = excluded.used, \
        resets_at = excluded.resets_at, key_id = excluded.key_id";
    let exhausted = problem.exhausted.as_deref();
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let values = params![
        grant.uuid(),
        at.day().number(),
        problem.code,
        at.as_micros(),
        &problem.public,
        problem.scope(),
        exhausted.map(|exhausted| number(exhausted.limit)),
        exhausted.map(|exhausted| number(exhausted.used)),
        exhausted.and_then(|exhausted| exhausted.resets_at).map(UnixMicros::as_micros),
        key.map(|key| key.uuid())
    ];
    tx.execute(COUNT, values).await?;
    Ok(())
}

/// Counts a refusal of what never came to be a command of its own.
#[derive(Clone, Debug)]
pub struct RecordRefusal {
    /// The mailbox that wanted to send.
    pub grant_id: GrantId,
    /// Why it may not.
    pub problem: Problem,
    /// The key with which it was asked for.
    pub by: Option<KeyId>,
    /// When.
    pub at: UnixMicros,
}

impl Command for RecordRefusal {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        record(tx, self.grant_id, &self.problem, self.by, self.at).await
    }
}

pub(crate) const LIST: &str = "SELECT code, message, times, first_at, last_at, scope, limit_value, used, resets_at, key_id \
    FROM send_refusals WHERE grant_id = $1 AND day >= $2 ORDER BY day DESC, code DESC LIMIT $3";
pub(crate) const OLD: &str = "SELECT grant_id, day, code FROM send_refusals WHERE day < $1 ORDER BY day LIMIT $2";

/// The refusals of a mailbox since a day, the latest days first.
pub async fn list(
    reader: &mut Reader<'_>,
    grant: GrantId,
    since: UtcDay,
    limit: usize,
) -> Result<Vec<Refusal>, StoreError> {
    let rows = reader.query(LIST, params![grant.uuid(), since.number(), limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Refusal, DbError> {
    let number = |column| Ok::<_, DbError>(row.opt_int(column)?.map(|number| number.max(0) as u64));
    Ok(Refusal {
        code: row.text(0)?,
        message: row.text(1)?,
        times: row.int(2)?.max(0) as u64,
        first_at: UnixMicros::from_micros(row.int(3)?),
        last_at: UnixMicros::from_micros(row.int(4)?),
        scope: row.opt_text(5)?,
        limit: number(6)?,
        used: number(7)?,
        resets_at: row.opt_int(8)?.map(UnixMicros::from_micros),
        key_id: row.opt_uuid(9)?.map(KeyId::from_uuid),
    })
}

/// Removes refusals of days before one.
#[derive(Clone, Copy, Debug)]
pub struct PruneRefusals {
    /// Those of earlier days go.
    pub before: UtcDay,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneRefusals {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM send_refusals WHERE grant_id = $1 AND day = $2 AND code = $3";
        let old = tx.query(OLD, params![self.before.number(), self.limit as i64]).await?;
        for row in &old {
            tx.execute(REMOVE, params![row.uuid(0)?, row.int(1)?, row.str(2)?]).await?;
        }
        Ok(old.len() as u64)
    }
}
