//! Which rows are worked on next: by priority, and no more of a destination than it is to be given.
//!
//! Rows that are due are read from an index. A row whose destination is not open, or has no room, is parked behind it,
//! and with it others of that destination, so that each is passed over once and never again. A destination with parked
//! rows has a turn; at its turn as many are claimed as there is room for.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::outbound::Lease;
use crate::params;
use crate::suppressions::of_recipients;
use postfleet_core::id::{ApplicationId, MessageId, QueueId};
use postfleet_core::outbound::Priority;
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::suppression::{self, Suppressed};
use postfleet_core::{EmailAddress, UnixMicros};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Rows of one destination that one claim parks.
const PARKED_AT_ONCE: i64 = 1_000;

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

/// One recipient to be attempted.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The row.
    pub id: QueueId,
    /// Its message.
    pub message_id: MessageId,
    /// The recipient.
    pub recipient: EmailAddress,
    /// Attempts so far.
    pub attempts: u32,
    /// Its destination has not answered lately: this is to find out whether it does again.
    pub is_probe: bool,
    /// Why the recipient is not written to, if it was suppressed since the message was accepted: it is not attempted.
    pub suppressed: Option<suppression::Reason>,
}

/// What a claim brought.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// The rows.
    pub rows: Vec<Claimed>,
    /// Destinations of which more is due than there was room for.
    pub waiting: BTreeSet<String>,
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
        let mut gathering = Gathering { claim: self, begun: BTreeMap::new(), owners: Vec::new(), claims };
        if self.limit > 0 {
            // Half at most, so that neither those that wait for their turn nor those that are due shut out the others.
            gathering.take_turns(tx, self.limit.div_ceil(2)).await?;
            gathering.take_due(tx).await?;
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

    /// Claims rows that are due, the first priorities first; an eighth is kept for each later one.
    async fn take_due(&mut self, tx: &mut Tx) -> Result<(), DbError> {
        let kept = self.claim.limit / 8;
        for round in 0..2 {
            for (index, priority) in Priority::ALL.into_iter().enumerate() {
                let later = Priority::ALL.len() - 1 - index;
                let kept = if round == 0 { kept * later } else { 0 };
                let quota = self.open().saturating_sub(kept);
                if quota > 0 {
                    self.take_priority(tx, priority, quota).await?;
                }
            }
            if kept == 0 || self.open() == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Claims rows of one priority, and parks those of destinations without room, so that those behind them come up.
    async fn take_priority(&mut self, tx: &mut Tx, priority: Priority, quota: usize) -> Result<(), DbError> {
        let most = self.claims.rows.len() + quota;
        for _ in 0..PARKED_IN_A_ROW {
            let quota = most.saturating_sub(self.claims.rows.len());
            let are_more = self.take_page(tx, priority, quota).await?;
            if !are_more || self.claims.rows.len() >= most {
                break;
            }
        }
        Ok(())
    }

    /// One page of the rows that are due; whether some were passed over and there may be others behind them.
    async fn take_page(&mut self, tx: &mut Tx, priority: Priority, quota: usize) -> Result<bool, DbError> {
        let now = self.claim.now.as_micros();
        let mut crowded = BTreeSet::new();
        let rows = tx.query(DUE, params![priority.number(), now, quota as i64]).await?;
        let is_full = rows.len() >= quota;
        for row in rows {
            let (id, destination, message) = (row.uuid(0)?, row.text(1)?, row.uuid(2)?);
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
                Admission::Begins => self.take_message(tx, message, &destination, Waits::Due, closed > 0).await?,
                Admission::Taken => {}
                Admission::Full => {
                    crowded.insert(destination);
                }
            }
        }
        let are_more = is_full && !crowded.is_empty();
        for destination in crowded {
            park(tx, &destination, self.claim.now).await?;
            self.claims.waiting.insert(destination);
        }
        Ok(are_more)
    }

    /// Claims parked rows of destinations whose turn it is, those that have waited longest first.
    async fn take_turns(&mut self, tx: &mut Tx, most: usize) -> Result<(), DbError> {
        let now = self.claim.now.as_micros();
        let looked_at = (most + self.claim.rooms.full()) as i64;
        for row in tx.query(TURNS, params![now, looked_at]).await? {
            let (destination, is_failing) = (row.text(0)?, row.int(1)? > 0);
            let room = self.claim.rooms.at(&destination);
            if room == 0 {
                self.claims.waiting.insert(destination);
                continue;
            }
            if self.claims.rows.len() >= most {
                break;
            }
            self.take_turn(tx, &destination, is_failing, room, most).await?;
        }
        Ok(())
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
            for row in rows {
                let id = row.uuid(0)?;
                let message = row.uuid(1)?;
                if row.flag(2)? {
                    hold(tx, id).await?;
                    continue;
                }
                match self.admits(destination, message, if open > 0 { room } else { 0 }) {
                    Admission::Begins => {
                        let first = self.claims.rows.len();
                        self.take_message(tx, message, destination, Waits::Parked, is_failing).await?;
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

    /// Takes what is due of a message at a destination, in the order of the rows.
    async fn take_message(
        &mut self,
        tx: &mut Tx,
        message: Uuid,
        destination: &str,
        waits: Waits,
        is_probe: bool,
    ) -> Result<(), DbError> {
        let Claim { lease, now, .. } = self.claim;
        let is_parked = matches!(waits, Waits::Parked);
        let values = params![
            message,
            destination,
            is_parked,
            now.as_micros(),
            lease.until.as_micros(),
            lease.id.uuid(),
            &lease.owner,
            RECIPIENTS_MAX as i64
        ];
        let mut taken = Vec::new();
        for row in tx.query(TAKE_MESSAGE, values).await? {
            taken.push((read_claimed(&row, is_probe)?, row.opt_uuid(4)?));
        }
        taken.sort_by_key(|(row, _)| row.id);
        for (row, owner) in taken {
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

/// What a row waits for.
#[derive(Clone, Copy)]
enum Waits {
    /// Its own time.
    Due,
    /// Its destination's turn.
    Parked,
}

// A row that still has a lease lost its worker, perhaps after the message had been handed over. The destination is not
// looked up: a message has few rows, a destination may have many.
pub(crate) const TAKE_MESSAGE: &str = "UPDATE queue SET due_at = $5, lease = $6, owner = $7, parked = 0, \
    ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id IN (SELECT q.id FROM queue q \
    WHERE q.message_id = $1 AND q.destination || '' = $2 AND q.parked + 0 = $3 AND q.paused = 0 AND q.due_at <= $4 \
    ORDER BY q.id LIMIT $8 {skip_locked}) \
    RETURNING id, message_id, recipient, attempts, \
    (SELECT o.application_id FROM outbound o WHERE o.message_id = queue.message_id) AS application_id";

async fn take(tx: &mut Tx, id: Uuid, lease: &Lease) -> Result<Option<Row>, DbError> {
    const TAKE: &str = "UPDATE queue SET due_at = $2, lease = $3, owner = $4, parked = 0, \
        ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id = $1 \
        RETURNING id, message_id, recipient, attempts, \
        (SELECT o.application_id FROM outbound o WHERE o.message_id = queue.message_id) AS application_id";
    tx.query_one(TAKE, params![id, lease.until.as_micros(), lease.id.uuid(), &lease.owner]).await
}

fn read_claimed(row: &Row, is_probe: bool) -> Result<Claimed, DbError> {
    Ok(Claimed {
        id: QueueId::from_uuid(row.uuid(0)?),
        message_id: MessageId::from_uuid(row.uuid(1)?),
        recipient: EmailAddress::parse(&row.text(2)?).map_err(|_| DbError::Malformed("recipient"))?,
        attempts: u32::try_from(row.int(3)?).unwrap_or(u32::MAX),
        is_probe,
        suppressed: None,
    })
}

/// A row that was paused under a lease whose worker is gone: from now on it is never due.
async fn hold(tx: &mut Tx, id: Uuid) -> Result<(), DbError> {
    const HOLD: &str = "UPDATE queue SET due_at = NULL, lease = NULL, owner = NULL, \
        ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id = $1";
    tx.execute(HOLD, params![id]).await?;
    Ok(())
}

/// Parks rows of a destination that are due, and sees to it that it has a turn.
async fn park(tx: &mut Tx, destination: &str, now: UnixMicros) -> Result<(), DbError> {
    const PARK: &str = "UPDATE queue SET parked = 1 WHERE id IN (SELECT q.id FROM queue q WHERE q.destination = $1 \
        AND q.parked = 0 AND q.priority = $2 AND q.due_at <= $3 ORDER BY q.due_at, q.id LIMIT $4 {skip_locked})";
    for priority in Priority::ALL {
        tx.execute(PARK, params![destination, priority.number(), now.as_micros(), PARKED_AT_ONCE]).await?;
    }
    // After the rows, so that who takes the last parked row and the turn away has either seen them or is waited for.
    const TURN: &str = "INSERT INTO destinations (name, turn_at, updated_at) VALUES ($1, $2, $2) \
        ON CONFLICT (name) DO UPDATE SET turn_at = CASE WHEN destinations.paused = 1 THEN NULL \
        WHEN destinations.turn_at IS NOT NULL THEN destinations.turn_at \
        WHEN destinations.until > excluded.turn_at THEN destinations.until ELSE excluded.turn_at END";
    tx.execute(TURN, params![destination, now.as_micros()]).await?;
    Ok(())
}

async fn set_turn(tx: &mut Tx, destination: &str, at: UnixMicros) -> Result<(), DbError> {
    const SET: &str = "UPDATE destinations SET turn_at = $2 WHERE name = $1";
    tx.execute(SET, params![destination, at.as_micros()]).await?;
    Ok(())
}

/// Nothing more is due: the next turn is when something is, and not before that time. A destination of which there is
/// nothing to remember is forgotten.
pub(super) async fn set_turn_when_due(tx: &mut Tx, destination: &str, not_before: UnixMicros) -> Result<(), DbError> {
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

/// Takes parked rows that have been in the queue for too long, and that nobody may ever have attempted.
#[derive(Clone, Debug)]
pub struct ClaimExpired {
    /// The lease they are taken under.
    pub lease: Lease,
    /// Now.
    pub now: UnixMicros,
    /// Those from before.
    pub queued_before: UnixMicros,
    /// Rows at most.
    pub limit: usize,
}

// Ids are in the order of time.
pub(crate) const EXPIRED: &str = "SELECT id, destination FROM queue WHERE id < $1 AND parked = 1 AND paused = 0 \
    ORDER BY id LIMIT $2 {skip_locked}";

impl Command for ClaimExpired {
    /// The rows, each with what its destination said last.
    type Outcome = Vec<(Claimed, String)>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<(Claimed, String)>, DbError> {
        const SAID: &str = "SELECT last_reply FROM destinations WHERE name = $1";
        let mut claimed = Vec::new();
        let values = params![QueueId::first_at(self.queued_before).uuid(), self.limit as i64];
        for row in tx.query(EXPIRED, values).await? {
            let said = tx.query_one(SAID, params![&row.text(1)?]).await?;
            let said = said.map(|row| row.opt_text(0)).transpose()?.flatten().unwrap_or_default();
            if let Some(row) = take(tx, row.uuid(0)?, &self.lease).await? {
                claimed.push((read_claimed(&row, true)?, said));
            }
        }
        Ok(claimed)
    }
}

/// Takes all rows of one message that nobody works on, whatever they wait for.
#[derive(Clone, Debug)]
pub struct ClaimMessage {
    /// The lease they are taken under.
    pub lease: Lease,
    /// Now.
    pub now: UnixMicros,
    /// Whose message.
    pub application_id: ApplicationId,
    /// The message.
    pub message_id: MessageId,
}

/// What there was of the message.
#[derive(Clone, Debug, Default)]
pub struct MessageClaims {
    /// The rows.
    pub rows: Vec<Claimed>,
    /// Rows that somebody works on.
    pub under_way: usize,
}

impl Command for ClaimMessage {
    /// `None` if the application has no such message in the queue.
    type Outcome = Option<MessageClaims>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<MessageClaims>, DbError> {
        const LOCK: &str = "SELECT message_id FROM outbound WHERE message_id = $1 AND application_id = $2 {lock}";
        const ROWS: &str = "SELECT id, lease, due_at FROM queue WHERE message_id = $1 ORDER BY id {lock}";
        let message = self.message_id.uuid();
        if tx.query_one(LOCK, params![message, self.application_id.uuid()]).await?.is_none() {
            return Ok(None);
        }
        let mut claims = MessageClaims::default();
        for row in tx.query(ROWS, params![message]).await? {
            let is_leased = row.opt_uuid(1)?.is_some() && row.opt_int(2)?.is_some_and(|due| due > self.now.as_micros());
            if is_leased {
                claims.under_way += 1;
            } else if let Some(row) = take(tx, row.uuid(0)?, &self.lease).await? {
                claims.rows.push(read_claimed(&row, false)?);
            }
        }
        Ok(Some(claims))
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
        if rooms.at(&row.text(0)?) > 0 {
            consider(row.int(1)?);
            break;
        }
    }
    Ok(next)
}
