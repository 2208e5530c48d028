//! Rates of sending: the times of the last sends of whoever has a rate, changed in the transaction that accepts a send. So
//! they hold exactly, however many nodes accept; who has no rate costs nothing.

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::rate::{Exceeded, Rate, Scope, SendRates, Taken, take};
use uuid::Uuid;

/// Those who may have a rate that a send counts for.
pub(crate) struct Senders {
    /// The pool of its organization.
    pub pool: Scope,
    pub organization: Uuid,
    pub domain: Option<Uuid>,
    pub grant: Uuid,
    pub key: Option<Uuid>,
}

/// What a send takes of one rate.
pub(crate) struct Share {
    scope: Scope,
    subject: Uuid,
    taken: Taken,
}

/// What a send takes of all rates that it counts for.
#[derive(Default)]
pub(crate) struct Shares(Vec<Share>);

impl Shares {
    /// When the send may go, if it has to wait.
    pub(crate) fn later(&self, now: UnixMicros) -> Option<UnixMicros> {
        self.0.iter().map(|share| share.taken.at).max().filter(|at| *at > now)
    }

    /// Counts the send.
    pub(crate) async fn keep(&self, tx: &mut Tx) -> Result<(), DbError> {
        const KEEP: &str = "UPDATE send_rates SET times = $3 WHERE scope = $1 AND subject_id = $2";
        for Share { scope, subject, taken } in &self.0 {
            tx.execute(KEEP, params![scope.number(), *subject, written(&taken.times).as_slice()]).await?;
        }
        Ok(())
    }
}

/// Judges a send by every rate that it counts for, each of which is locked until the end of the transaction. Locks are
/// taken in the order of the scopes.
pub(crate) async fn judge(
    tx: &mut Tx,
    rates: &SendRates,
    senders: &Senders,
    now: UnixMicros,
) -> Result<Result<Shares, Exceeded>, DbError> {
    let subjects = [
        (senders.pool, Some(senders.organization)),
        (Scope::Domain, senders.domain),
        (Scope::Mailbox, Some(senders.grant)),
        (Scope::Key, senders.key),
    ];
    let mut shares = Vec::new();
    for (scope, subject) in subjects {
        let (Some(limit), Some(subject)) = (rates.of(scope), subject) else { continue };
        let times = lock(tx, scope, subject).await?;
        match take(Rate { scope, limit, patience: rates.patience(scope) }, &times, now) {
            Ok(taken) => shares.push(Share { scope, subject, taken }),
            Err(exceeded) => return Ok(Err(exceeded)),
        }
    }
    Ok(Ok(Shares(shares)))
}

/// Locks the times of somebody and reads them.
async fn lock(tx: &mut Tx, scope: Scope, subject: Uuid) -> Result<Vec<UnixMicros>, DbError> {
    const LOCK: &str = "SELECT times FROM send_rates WHERE scope = $1 AND subject_id = $2 {lock}";
    // Waits for whoever makes the same row at the same time.
    const MAKE: &str = "INSERT INTO send_rates (scope, subject_id, times) VALUES ($1, $2, $3) \
        ON CONFLICT (scope, subject_id) DO NOTHING";
    if let Some(row) = tx.query_one(LOCK, params![scope.number(), subject]).await? {
        return Ok(read(&row.bytes(0)?));
    }
    let nothing: &[u8] = &[];
    tx.execute(MAKE, params![scope.number(), subject, nothing]).await?;
    let row = tx.query_one(LOCK, params![scope.number(), subject]).await?.ok_or(DbError::Malformed("send rate"))?;
    Ok(read(&row.bytes(0)?))
}

/// Forgets a mailbox or a domain.
pub(crate) async fn forget(tx: &mut Tx, scope: Scope, subject: Uuid) -> Result<(), DbError> {
    const FORGET: &str = "DELETE FROM send_rates WHERE scope = $1 AND subject_id = $2";
    tx.execute(FORGET, params![scope.number(), subject]).await?;
    Ok(())
}

/// Times are kept as microseconds in eight octets each, the highest first.
fn written(times: &[UnixMicros]) -> Vec<u8> {
    times.iter().flat_map(|time| time.as_micros().to_be_bytes()).collect()
}

fn read(octets: &[u8]) -> Vec<UnixMicros> {
    let (whole, _) = octets.as_chunks::<8>();
    whole.iter().map(|octets| UnixMicros::from_micros(i64::from_be_bytes(*octets))).collect()
}
