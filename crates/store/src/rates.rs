//! Rates of sending: the times of the last sends of whoever has a rate, changed in the transaction that accepts a send. So
//! they hold exactly, however many nodes accept; who has no rate costs nothing.

use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::rate::{Exceeded, Rate, Scope, SendRates, Taken, take};
use std::time::Duration;
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
    row: i64,
    subject: Uuid,
    taken: Taken,
    /// Whether it is counted when the send is accepted, also if it waits for its turn; otherwise when it leaves.
    at_once: bool,
}

/// Whose turn it is, where a plan lets sends wait: those that leave are counted beside the turns that were given, because a
/// send may leave later than its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turns {
    /// The plan lets none wait: what is accepted leaves.
    None,
    /// The send asks for one.
    Asked,
    /// The send's has come.
    Come,
}

/// The rows of those that have left have the number of their pool and this.
const LEFT: i64 = 8;

/// What a send takes of all rates that it counts for.
#[derive(Default)]
pub(crate) struct Shares(Vec<Share>);

impl Shares {
    /// When the send may go, if it has to wait.
    pub(crate) fn later(&self, now: UnixMicros) -> Option<UnixMicros> {
        self.0.iter().map(|share| share.taken.at).max().filter(|at| *at > now)
    }

    /// Counts a send that leaves.
    pub(crate) async fn keep(&self, tx: &mut Tx) -> Result<(), DbError> {
        self.write(tx, |_| true).await
    }

    /// Counts a send that waits: its turn, and that it was made with its key. The rest is counted when it leaves.
    pub(crate) async fn keep_turn(&self, tx: &mut Tx) -> Result<(), DbError> {
        self.write(tx, |share| share.at_once).await
    }

    async fn write(&self, tx: &mut Tx, which: impl Fn(&Share) -> bool) -> Result<(), DbError> {
        const KEEP: &str = "UPDATE send_rates SET times = $3 WHERE scope = $1 AND subject_id = $2";
        for Share { row, subject, taken, .. } in self.0.iter().filter(|share| which(share)) {
            tx.execute(KEEP, params![*row, *subject, written(&taken.times).as_slice()]).await?;
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
    turns: Turns,
    now: UnixMicros,
) -> Result<Result<Shares, Exceeded>, DbError> {
    let mut shares = match of_pool(tx, rates, senders, turns, now).await? {
        Ok(shares) => shares,
        Err(exceeded) => return Ok(Err(exceeded)),
    };
    let subjects = [(Scope::Domain, senders.domain), (Scope::Mailbox, Some(senders.grant)), (Scope::Key, senders.key)];
    for (scope, subject) in subjects {
        let (Some(limit), Some(subject)) = (rates.of(scope), subject) else { continue };
        let times = lock(tx, scope.number(), subject).await?;
        match take(Rate { scope, limit, patience: Duration::ZERO }, &times, now) {
            Ok(taken) => {
                shares.push(Share { row: scope.number(), subject, taken, at_once: scope == Scope::Key });
            }
            Err(exceeded) => return Ok(Err(exceeded)),
        }
    }
    Ok(Ok(Shares(shares)))
}

/// Judges a send by the rate of its organization's pool.
async fn of_pool(
    tx: &mut Tx,
    rates: &SendRates,
    senders: &Senders,
    turns: Turns,
    now: UnixMicros,
) -> Result<Result<Vec<Share>, Exceeded>, DbError> {
    let (scope, subject) = (senders.pool, senders.organization);
    let Some(limit) = rates.of(scope) else { return Ok(Ok(Vec::new())) };
    let mut rate = Rate { scope, limit, patience: rates.patience(scope) };
    let (mut shares, mut earliest) = (Vec::new(), now);
    if turns != Turns::None {
        let row = LEFT + scope.number();
        let left = lock(tx, row, subject).await?;
        match take(Rate { patience: Duration::ZERO, ..rate }, &left, now) {
            Ok(taken) => shares.push(Share { row, subject, taken, at_once: false }),
            Err(exceeded) if turns == Turns::Come => return Ok(Err(exceeded)),
            Err(exceeded) => earliest = exceeded.until,
        }
    }
    if turns == Turns::Come {
        return Ok(Ok(shares));
    }
    // What left late takes room of those who come now.
    let delay = earliest.since(now);
    let Some(patience) = rate.patience.checked_sub(delay) else {
        return Ok(Err(Exceeded { scope, limit, until: earliest }));
    };
    rate.patience = patience;
    let times = lock(tx, scope.number(), subject).await?;
    Ok(match take(rate, &times, earliest) {
        Ok(taken) => {
            shares.push(Share { row: scope.number(), subject, taken, at_once: true });
            Ok(shares)
        }
        Err(exceeded) => Err(Exceeded { until: exceeded.until.minus(delay), ..exceeded }),
    })
}

/// Locks the times of somebody and reads them.
async fn lock(tx: &mut Tx, row: i64, subject: Uuid) -> Result<Vec<UnixMicros>, DbError> {
    const LOCK: &str = "SELECT times FROM send_rates WHERE scope = $1 AND subject_id = $2 {lock}";
    // Waits for whoever makes the same row at the same time.
    const MAKE: &str = "INSERT INTO send_rates (scope, subject_id, times) VALUES ($1, $2, $3) \
        ON CONFLICT (scope, subject_id) DO NOTHING";
    if let Some(found) = tx.query_one(LOCK, params![row, subject]).await? {
        return Ok(read(&found.bytes(0)?));
    }
    let nothing: &[u8] = &[];
    tx.execute(MAKE, params![row, subject, nothing]).await?;
    let made = tx.query_one(LOCK, params![row, subject]).await?.ok_or(DbError::Malformed("send rate"))?;
    Ok(read(&made.bytes(0)?))
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
