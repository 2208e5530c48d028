//! Which rows are worked on next: by priority, and no more of a destination than it is to be given.
//!
//! Rows that are due are read from an index. A row whose destination is not open, or has no room, is parked behind it,
//! and with it others of that destination, so that each is passed over once and never again. A destination with parked
//! rows has a turn; at its turn as many are claimed as there is room for.

mod expired;
mod message;
mod stopped;
mod take;
mod turns;

pub use expired::ClaimExpired;
#[cfg(test)]
pub(crate) use expired::EXPIRED;
pub use message::{ClaimMessage, MessageClaims};
pub use stopped::stop_of;
pub(super) use stopped::{find as find_stopped, lock as lock_stop};
pub use take::Claimed;
#[cfg(test)]
pub(crate) use take::TAKE_MESSAGE;
pub(super) use turns::{keep_turn, set_turn_when_due};

use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::outbound::Lease;
use crate::params;
use crate::suppressions::of_recipients;
use postfleet_core::UnixMicros;
use postfleet_core::id::ApplicationId;
use postfleet_core::outbound::Priority;
use postfleet_core::suppression::Suppressed;
use std::collections::{BTreeMap, BTreeSet};
use stopped::Gate;
use take::{Waits, hold, take_message};
use turns::{park, set_turn};
use uuid::Uuid;

/// Pages of rows, all of destinations without room, that one claim looks behind.
const PARKED_IN_A_ROW: usize = 4;

/// Takes about `limit` rows for one worker: those that are due, and those of destinations whose turn it is. Recipients of
/// one message at one destination are taken together, so that they go in one transaction.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The lease they are taken under.
    pub lease: Lease,
    /// Now.
    pub now: UnixMicros,
    /// Rows, after which no further message is begun with.
    pub limit: usize,
    /// What the worker can begin at each destination.
    pub rooms: Rooms,
}

/// How many messages a worker can begin at each destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rooms {
    /// At one that is not named.
    pub each: usize,
    /// At these.
    pub of: BTreeMap<String, usize>,
}

impl Rooms {
    /// As many as are wanted.
    pub fn unlimited() -> Self {
        Self { each: usize::MAX, of: BTreeMap::new() }
    }

    fn at(&self, destination: &str) -> usize {
        self.of.get(destination).copied().unwrap_or(self.each)
    }

    /// Destinations without any.
    fn full(&self) -> usize {
        self.of.values().filter(|room| **room == 0).count()
    }
}

/// What a claim brought.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The rows.
    pub rows: Vec<Claimed>,
    /// Destinations of which more is due than there was room for.
    pub waiting: BTreeSet<String>,
    /// Whether everything that is due was looked at.
    pub saw_all: bool,
}

// A destination that fails or is paused admits nothing but what it gives at its turn; 2 is paused.
pub(crate) const DUE: &str = "SELECT id, destination, message_id, forced, paused, \
    (SELECT CASE WHEN d.paused = 1 THEN CAST(2 AS {int}) WHEN d.failures > 0 THEN CAST(1 AS {int}) \
    ELSE CAST(0 AS {int}) END FROM destinations d WHERE d.name = queue.destination) AS closed \
    FROM queue WHERE parked = 0 AND priority = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3 {skip_locked}";
pub(crate) const TURNS: &str = "SELECT name, failures FROM destinations WHERE turn_at <= $1 \
    ORDER BY turn_at, name LIMIT $2 {skip_locked}";
pub(crate) const PARKED: &str = "SELECT id, message_id, paused FROM queue WHERE destination = $1 AND parked = 1 \
    AND priority = $2 AND due_at <= $3 ORDER BY due_at, id LIMIT $4 {skip_locked}";

impl Command for Claim {
    type Outcome = Claims;

    async fn run(&self, tx: &mut Tx) -> Result<Claims, DbError> {
        let claims = Claims::default();
        let mut gathering =
            Gathering { claim: self, begun: BTreeMap::new(), owners: Vec::new(), claims, gate: Gate::default() };
        if self.limit > 0 {
            // Half at most, so that neither those that wait for their turn nor those that are due shut out the others.
            let saw_turns = gathering.take_turns(tx, self.limit.div_ceil(2)).await?;
            let saw_due = gathering.take_due(tx).await?;
            gathering.claims.saw_all = saw_turns && saw_due;
        }
        gathering.mark_suppressed(tx, 0).await?;
        Ok(gathering.claims)
    }
}

/// A claim on its way.
struct Gathering<'a> {
    claim: &'a Claim,
    /// The messages that are to begin at each destination.
    begun: BTreeMap<String, BTreeSet<Uuid>>,
    /// The application of each row.
    owners: Vec<Option<Uuid>>,
    claims: Claims,
    gate: Gate,
}

/// Whether a row may be taken.
enum Admission {
    /// It may, and with it those of its message at the same destination.
    Begins,
    /// It was taken with another one of its message.
    Taken,
    /// There is no room.
    Full,
}

impl Gathering<'_> {
    fn open(&self) -> usize {
        self.claim.limit.saturating_sub(self.claims.rows.len())
    }

    /// Whether a message may begin there, where `room` messages may; or has begun, and its row is taken.
    fn admits(&mut self, destination: &str, message: Uuid, room: usize) -> Admission {
        let begun = self.begun.entry(destination.to_owned()).or_default();
        match (begun.contains(&message), begun.len() < room) {
            (true, _) => Admission::Taken,
            (false, false) => Admission::Full,
            (false, true) => {
                begun.insert(message);
                Admission::Begins
            }
        }
    }

    /// Claims rows that are due, the first priorities first; an eighth is kept for each later one. Whether all were looked
    /// at.
    async fn take_due(&mut self, tx: &mut Tx) -> Result<bool, DbError> {
        let mut saw_all = [false; Priority::ALL.len()];
        let kept = self.claim.limit / 8;
        for round in 0..2 {
            for (index, priority) in Priority::ALL.into_iter().enumerate() {
                let later = Priority::ALL.len() - 1 - index;
                let kept = if round == 0 { kept * later } else { 0 };
                let quota = self.open().saturating_sub(kept);
                if quota > 0 {
                    saw_all[index] = self.take_priority(tx, priority, quota).await?;
                }
            }
            if kept == 0 || self.open() == 0 {
                break;
            }
        }
        Ok(!saw_all.contains(&false))
    }

    /// Claims rows of one priority, and parks those of destinations without room, so that those behind them come up.
    /// Whether all were looked at.
    async fn take_priority(&mut self, tx: &mut Tx, priority: Priority, quota: usize) -> Result<bool, DbError> {
        let most = self.claims.rows.len() + quota;
        for _ in 0..PARKED_IN_A_ROW {
            let quota = most.saturating_sub(self.claims.rows.len());
            let are_more = self.take_page(tx, priority, quota).await?;
            if !are_more || self.claims.rows.len() >= most {
                return Ok(!are_more && self.claims.rows.len() < most);
            }
        }
        Ok(false)
    }

    /// One page of the rows that are due; whether some were passed over and there may be others behind them.
    async fn take_page(&mut self, tx: &mut Tx, priority: Priority, quota: usize) -> Result<bool, DbError> {
        let now = self.claim.now.as_micros();
        let mut crowded = BTreeSet::new();
        let rows = tx.query(DUE, params![priority.number(), now, quota as i64]).await?;
        let is_full = rows.len() >= quota;
        let messages = rows.iter().map(|row| row.uuid(2)).collect::<Result<_, DbError>>()?;
        let stopped = self.gate.park(tx, &messages, self.claim.now).await?;
        for row in rows {
            let (id, destination, message) = (row.uuid(0)?, row.text(1)?, row.uuid(2)?);
            if stopped.contains(&message) {
                continue;
            }
            let (is_forced, closed) = (row.flag(3)?, row.opt_int(5)?.unwrap_or(0));
            if row.flag(4)? {
                hold(tx, id).await?;
                continue;
            }
            let is_open = closed == 0 || (is_forced && closed == 1);
            let room = match (is_open, is_forced) {
                (false, _) => 0,
                (true, true) => usize::MAX,
                (true, false) => self.claim.rooms.at(&destination),
            };
            match self.admits(&destination, message, room) {
                Admission::Begins => self.take(tx, message, &destination, Waits::Due, closed > 0).await?,
                Admission::Taken => {}
                Admission::Full => {
                    crowded.insert(destination);
                }
            }
        }
        let are_more = is_full && !(crowded.is_empty() && stopped.is_empty());
        for destination in crowded {
            park(tx, &destination, self.claim.now).await?;
            self.claims.waiting.insert(destination);
        }
        Ok(are_more)
    }

    /// Claims parked rows of destinations whose turn it is, those that have waited longest first. Whether it was the turn of
    /// no others.
    async fn take_turns(&mut self, tx: &mut Tx, most: usize) -> Result<bool, DbError> {
        let now = self.claim.now.as_micros();
        let looked_at = (most + self.claim.rooms.full()) as i64;
        let turns = tx.query(TURNS, params![now, looked_at]).await?;
        let saw_all = (turns.len() as i64) < looked_at;
        for row in turns {
            let (destination, is_failing) = (row.text(0)?, row.int(1)? > 0);
            let room = self.claim.rooms.at(&destination);
            if room == 0 {
                self.claims.waiting.insert(destination);
                continue;
            }
            if self.claims.rows.len() >= most {
                return Ok(false);
            }
            self.take_turn(tx, &destination, is_failing, room, most).await?;
        }
        Ok(saw_all)
    }

    async fn take_turn(
        &mut self,
        tx: &mut Tx,
        destination: &str,
        is_failing: bool,
        room: usize,
        most: usize,
    ) -> Result<(), DbError> {
        let now = self.claim.now;
        let room = if is_failing { 1 } else { room };
        let (mut has_more, mut took) = (false, false);
        for priority in Priority::ALL {
            let open = most.saturating_sub(self.claims.rows.len());
            let values = params![destination, priority.number(), now.as_micros(), open.max(1) as i64];
            let rows = tx.query(PARKED, values).await?;
            has_more |= rows.len() >= open.max(1);
            let messages = rows.iter().map(|row| row.uuid(1)).collect::<Result<_, DbError>>()?;
            let stopped = self.gate.park(tx, &messages, now).await?;
            for row in rows {
                let id = row.uuid(0)?;
                let message = row.uuid(1)?;
                if stopped.contains(&message) {
                    continue;
                }
                if row.flag(2)? {
                    hold(tx, id).await?;
                    continue;
                }
                match self.admits(destination, message, if open > 0 { room } else { 0 }) {
                    Admission::Begins => {
                        let first = self.claims.rows.len();
                        self.take(tx, message, destination, Waits::Parked, is_failing).await?;
                        // Who is not attempted finds out nothing about the destination.
                        if is_failing && self.are_suppressed(tx, first).await? {
                            self.begun.remove(destination);
                        } else {
                            took = true;
                        }
                    }
                    Admission::Taken => {}
                    Admission::Full => {
                        has_more = true;
                        break;
                    }
                }
            }
        }
        if has_more {
            self.claims.waiting.insert(destination.to_owned());
        }
        match (is_failing && took, has_more) {
            // The report on the probe says when the next turn is; if there is none, the end of its lease.
            (true, _) => set_turn(tx, destination, self.claim.lease.until).await,
            // Behind those that wait now.
            (false, true) => set_turn(tx, destination, now).await,
            (false, false) => set_turn_when_due(tx, destination, now).await,
        }
    }

    async fn take(
        &mut self,
        tx: &mut Tx,
        message: Uuid,
        destination: &str,
        waits: Waits,
        is_probe: bool,
    ) -> Result<(), DbError> {
        for (row, owner) in take_message(tx, self.claim, message, destination, waits, is_probe).await? {
            self.claims.rows.push(row);
            self.owners.push(owner);
        }
        Ok(())
    }

    /// Whether all recipients that were taken from `first` on are suppressed.
    async fn are_suppressed(&mut self, tx: &mut Tx, first: usize) -> Result<bool, DbError> {
        self.mark_suppressed(tx, first).await?;
        Ok(self.claims.rows[first..].iter().all(|row| row.suppressed.is_some()))
    }

    /// Finds out which recipients, of those taken from `first` on, were suppressed since their message was accepted: one
    /// lookup for each application. What is committed before counts.
    async fn mark_suppressed(&mut self, tx: &mut Tx, first: usize) -> Result<(), DbError> {
        let mut applications: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (index, owner) in self.owners.iter().enumerate().skip(first) {
            if let Some(owner) = owner {
                applications.entry(*owner).or_default().push(index);
            }
        }
        for (application, rows) in applications {
            let recipients = rows.iter().map(|index| &self.claims.rows[*index].recipient);
            let found = of_recipients(tx, ApplicationId::from_uuid(application), recipients, self.claim.now).await?;
            for index in rows {
                let row = &mut self.claims.rows[index];
                let is_it = |one: &&Suppressed| one.address == row.recipient;
                row.suppressed = found.iter().find(is_it).map(|one| one.reason);
            }
        }
        Ok(())
    }
}

/// When there is something to claim next; turns of destinations without room do not count.
pub async fn next_due(reader: &mut Reader<'_>, rooms: &Rooms) -> Result<Option<UnixMicros>, StoreError> {
    const NEXT: &str = "SELECT due_at FROM queue WHERE parked = 0 AND priority = $1 AND due_at IS NOT NULL \
        ORDER BY due_at, id LIMIT 1";
    const TURN: &str = "SELECT name, turn_at FROM destinations WHERE turn_at IS NOT NULL \
        ORDER BY turn_at, name LIMIT $1";
    let mut next: Option<UnixMicros> = None;
    let mut consider = |due: i64| {
        let due = UnixMicros::from_micros(due);
        next = Some(next.map_or(due, |next| next.min(due)));
    };
    for priority in Priority::ALL {
        if let Some(row) = reader.query_one(NEXT, params![priority.number()]).await? {
            consider(row.int(0)?);
        }
    }
    for row in reader.query(TURN, params![rooms.full() as i64 + 1]).await? {
        if rooms.at(row.str(0)?) > 0 {
            consider(row.int(1)?);
            break;
        }
    }
    Ok(next)
}
