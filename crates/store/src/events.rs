//! The event log: what happened, in the order in which it became true. Webhooks and other readers keep a position.

use crate::db::{Db, DbError, Param, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::gaps::{self, Loser};
use crate::meters::Owner;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId};
use postfleet_core::trace::TraceContext;

/// An event about to be logged, in the transaction of the change that it reports.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Stable over every repetition of its delivery: what receivers de-duplicate by.
    pub id: EventId,
    /// Whose event.
    pub application_id: ApplicationId,
    /// Which mailbox it is about.
    pub grant_id: GrantId,
    /// Its number among the events of that mailbox, from 1, without gaps.
    pub grant_sequence: u64,
    /// What happened.
    pub trigger: Trigger,
    /// The message it is about, to be shown as it is when the event is delivered.
    pub message_id: Option<MessageId>,
    /// Facts that are nowhere else, as a JSON object.
    pub data: String,
    /// When.
    pub at: UnixMicros,
}

/// What is logged of a message that goes into junk as it comes in.
pub(crate) const OF_JUNK: &str = r#"{"junk":true}"#;

impl NewEvent {
    /// Whether it announces a message that went into junk as it came in.
    pub fn is_of_junk(&self) -> bool {
        self.trigger == Trigger::MessageCreated && self.data == OF_JUNK
    }

    fn row<'a>(&'a self, position: i64, trace: Option<&'a [u8]>) -> Vec<Param<'a>> {
        params![
            position,
            self.id.uuid(),
            self.application_id.uuid(),
            self.grant_id.uuid(),
            self.grant_sequence as i64,
            self.trigger.name(),
            self.message_id.map(MessageId::uuid),
            &self.data,
            self.at.as_micros(),
            trace
        ]
        .to_vec()
    }
}

/// A logged event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the log.
    pub position: i64,
    /// What was logged.
    pub event: NewEvent,
    /// Where in a trace it happened, if that is recorded.
    pub trace: Option<TraceContext>,
}

/// An event on its way into the log, with the short form of its place in a recorded trace.
pub(crate) type Announced = (NewEvent, Option<[u8; TraceContext::OCTETS]>);

/// Appends a batch's events. Taking the positions locks the head of the log until the commit, so that a reader never
/// sees a position before all smaller ones.
pub(crate) async fn append(db: &mut Db, events: &[Announced]) -> Result<(), DbError> {
    const TAKE: &str = "UPDATE event_head SET position = position + $1 WHERE one = 1 RETURNING position";
    const INSERT: &str = "INSERT INTO events \
        (position, id, application_id, grant_id, grant_sequence, name, message_id, data, created_at, trace) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    if events.is_empty() {
        return Ok(());
    }
    let count = events.len() as i64;
    let head = db.query_one(TAKE, params![count]).await?.ok_or(DbError::Malformed("event head"))?.int(0)?;
    let places = (head - count + 1..).zip(events);
    let rows: Vec<Vec<Param<'_>>> = places
        .map(|(position, (event, trace))| event.row(position, trace.as_ref().map(|octets| &octets[..])))
        .collect();
    db.execute_each(INSERT, &rows).await
}

/// The next number in a mailbox's sequence of events; also the lock on the mailbox. `None` when it is gone.
pub(crate) async fn next_sequence(tx: &mut Tx, grant: GrantId) -> Result<Option<u64>, DbError> {
    Ok(next_with_octets(tx, grant, 0).await?.map(|(sequence, _)| sequence))
}

/// The same, where the mailbox keeps so many octets more from now on; answers whose it is as well.
pub(crate) async fn next_with_octets(
    tx: &mut Tx,
    grant: GrantId,
    octets: i64,
) -> Result<Option<(u64, Owner)>, DbError> {
    next_many(tx, grant, 1, octets).await
}

/// The same, and until when the mailbox is searched by segments.
pub(crate) async fn next_filed(
    tx: &mut Tx,
    grant: GrantId,
    octets: i64,
) -> Result<Option<(u64, Owner, UnixMicros)>, DbError> {
    let Some(row) = take(tx, grant, 1, octets).await? else { return Ok(None) };
    Ok(Some((row.count(0)?, Owner::read(&row, 1)?, UnixMicros::from_micros(row.int(3)?))))
}

/// The same for so many events: answers the last of their numbers.
pub(crate) async fn next_many(
    tx: &mut Tx,
    grant: GrantId,
    events: usize,
    octets: i64,
) -> Result<Option<(u64, Owner)>, DbError> {
    let Some(row) = take(tx, grant, events, octets).await? else { return Ok(None) };
    Ok(Some((row.count(0)?, Owner::read(&row, 1)?)))
}

async fn take(tx: &mut Tx, grant: GrantId, events: usize, octets: i64) -> Result<Option<Row>, DbError> {
    const TAKE: &str = "UPDATE mailboxes SET event_sequence = event_sequence + $3, \
        storage_octets = storage_octets + $2 WHERE grant_id = $1 \
        RETURNING event_sequence, organization_id, application_id, searched_until";
    let values = params![grant.uuid(), octets, events as i64];
    let taken = tx.query_one(TAKE, values).await?;
    if let Some(row) = &taken {
        tx.tally().store(Owner::read(row, 1)?, octets);
    }
    Ok(taken)
}

macro_rules! event_columns {
    () => {
        "position, id, application_id, grant_id, grant_sequence, name, message_id, data, created_at, trace"
    };
    // With what stands between each two of them.
    ($between:literal) => {
        concat!(
            "position",
            $between,
            "id",
            $between,
            "application_id",
            $between,
            "grant_id",
            $between,
            "grant_sequence",
            $between,
            "name",
            $between,
            "message_id",
            $between,
            "data",
            $between,
            "created_at",
            $between,
            "trace"
        )
    };
}
pub(crate) use event_columns;

pub(crate) const AFTER: &str =
    concat!("SELECT ", event_columns!(), " FROM events WHERE position > $1 ORDER BY position LIMIT $2");
pub(crate) const AFTER_OF: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE application_id = $1 AND position > $2 ORDER BY position LIMIT $3"
);
pub(crate) const AT: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE position = $1");

/// Events after `position`, oldest first.
pub async fn after(reader: &mut Reader<'_>, position: i64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let rows = reader.query(AFTER, params![position, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Events of one application after `position`, oldest first.
pub async fn after_of(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    position: i64,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let rows = reader.query(AFTER_OF, params![application.uuid(), position, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The place before the first event of this moment or later, taking the log to be in the order of time: who needs all of them
/// asks for a moment that is a little earlier.
pub async fn before(reader: &mut Reader<'_>, at: UnixMicros) -> Result<i64, StoreError> {
    // What is up to `low` is earlier; of what is after `high` nothing is.
    let (mut low, mut high) = (0, head(reader).await?);
    while low < high {
        let middle = low + (high - low) / 2;
        match after(reader, middle, 1).await?.first() {
            Some(event) if event.event.at < at => low = event.position,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// A message that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// The place of the announcement in the log.
    pub position: i64,
    /// Whose message.
    pub grant_id: GrantId,
    /// Which.
    pub message_id: MessageId,
}

pub(crate) const CREATED_BETWEEN: &str = "SELECT position, grant_id, message_id FROM events \
    WHERE position > $1 AND position <= $2 AND name = 'message.created' AND message_id IS NOT NULL \
    ORDER BY position LIMIT $3";

/// Messages that were announced after `after` and not after `upto`, oldest first.
pub async fn created_between(
    reader: &mut Reader<'_>,
    after: i64,
    upto: i64,
    limit: usize,
) -> Result<Vec<Created>, StoreError> {
    let rows = reader.query(CREATED_BETWEEN, params![after, upto, limit as i64]).await?;
    let read = |row: &Row| {
        let (grant_id, message_id) = (GrantId::from_uuid(row.uuid(1)?), MessageId::from_uuid(row.uuid(2)?));
        Ok::<_, DbError>(Created { position: row.int(0)?, grant_id, message_id })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// The event at `position`, if it has not been pruned.
pub async fn at(reader: &mut Reader<'_>, position: i64) -> Result<Option<Event>, StoreError> {
    Ok(reader.query_one(AT, params![position]).await?.as_ref().map(read).transpose()?)
}

pub(crate) const FIND: &str = concat!("SELECT ", event_columns!(), " FROM events WHERE id = $1");

/// The event with that id, whosever it is, if it has not been pruned.
pub async fn find(reader: &mut Reader<'_>, id: EventId) -> Result<Option<Event>, StoreError> {
    Ok(reader.query_one(FIND, params![id.uuid()]).await?.as_ref().map(read).transpose()?)
}

/// The positions of the first event that is still there and of the last one; `None` if there is none.
pub async fn bounds(reader: &mut Reader<'_>) -> Result<Option<(i64, i64)>, StoreError> {
    const FIRST: &str = "SELECT min(position) FROM events";
    let row = reader.query_one(FIRST, params![]).await?;
    let first = row.map(|row| row.opt_int(0)).transpose()?.flatten();
    Ok(match first {
        Some(first) => Some((first, head(reader).await?)),
        None => None,
    })
}

/// Behind which position the events are that were logged at `time` or later, as far as they are still there. Nodes may
/// disagree about the time by a little, so it is good to ask for an earlier one.
pub async fn position_at(reader: &mut Reader<'_>, time: UnixMicros) -> Result<i64, StoreError> {
    let Some((first, head)) = bounds(reader).await? else { return self::head(reader).await };
    // Positions have no gaps, so what was logged when is found by halving. What is not there was pruned meanwhile.
    let (mut before, mut after) = (first - 1, head + 1);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        match at(reader, middle).await? {
            Some(event) if event.event.at >= time => after = middle,
            _ => before = middle,
        }
    }
    Ok(before)
}

pub(crate) const BEFORE_OF: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE application_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3"
);

/// Events of one application before a position, newest first.
pub async fn before_of(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    position: i64,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let rows = reader.query(BEFORE_OF, params![application.uuid(), position, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

pub(crate) const OF_REPUTATION: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE application_id = $1 AND name = 'reputation.changed' ORDER BY position DESC LIMIT $2"
);

pub(crate) const BEFORE_OF_GRANT: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE grant_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3"
);

/// Events of one mailbox before a position, newest first.
pub async fn before_of_grant(
    reader: &mut Reader<'_>,
    grant: GrantId,
    position: i64,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let rows = reader.query(BEFORE_OF_GRANT, params![grant.uuid(), position, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

pub(crate) const AFTER_OF_GRANT: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE grant_id = $1 AND position > $2 ORDER BY position LIMIT $3"
);

/// Events of one mailbox after a position, oldest first.
pub async fn after_of_grant(
    reader: &mut Reader<'_>,
    grant: GrantId,
    position: i64,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let rows = reader.query(AFTER_OF_GRANT, params![grant.uuid(), position, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The last events that tell an application that somebody stands otherwise than before, newest first.
pub async fn of_reputation(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let rows = reader.query(OF_REPUTATION, params![application.uuid(), limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// The position of the newest event.
pub async fn head(reader: &mut Reader<'_>) -> Result<i64, StoreError> {
    const HEAD: &str = "SELECT position FROM event_head WHERE one = 1";
    let row = reader.query_one(HEAD, params![]).await?;
    Ok(row.map(|row| row.int(0)).transpose()?.unwrap_or(0))
}

pub(crate) fn read(row: &Row) -> Result<Event, DbError> {
    let name = row.text(5)?;
    let trigger = Trigger::ALL.iter().copied().find(|trigger| trigger.name() == name);
    let event = NewEvent {
        id: EventId::from_uuid(row.uuid(1)?),
        application_id: ApplicationId::from_uuid(row.uuid(2)?),
        grant_id: GrantId::from_uuid(row.uuid(3)?),
        grant_sequence: row.count(4)?,
        trigger: trigger.ok_or(DbError::Malformed("event name"))?,
        message_id: row.opt_uuid(6)?.map(MessageId::from_uuid),
        data: row.text(7)?,
        at: UnixMicros::from_micros(row.int(8)?),
    };
    let trace = row.opt_bytes(9)?.and_then(|octets| TraceContext::from_octets(&octets));
    Ok(Event { position: row.int(0)?, event, trace })
}

/// Removes old events, at most `limit` of them, and notes who has lost them.
#[derive(Clone, Copy, Debug)]
pub struct PruneEvents {
    /// Older ones go that every webhook that is told and every other reader has passed.
    pub before: UnixMicros,
    /// Older ones go whoever is still to be told of them: nobody keeps the log for ever.
    pub unread_before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many events.
    pub events: u64,
    /// Who was not told of some of them.
    pub losers: Vec<Loser>,
}

/// An event that is being removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed {
    pub(crate) position: i64,
    pub(crate) application: ApplicationId,
    pub(crate) grant: GrantId,
    pub(crate) at: UnixMicros,
}

impl Command for PruneEvents {
    type Outcome = Pruned;

    async fn run(&self, tx: &mut Tx) -> Result<Pruned, DbError> {
        const OLDEST: &str =
            "SELECT position, created_at, application_id, grant_id FROM events ORDER BY position LIMIT $1";
        const GIVEN_UP: &str = "DELETE FROM webhook_given_up WHERE position <= $1";
        const REMOVE: &str = "DELETE FROM events WHERE position <= $1";
        let read = self.read_by_all(tx).await?;
        let mut removed = Vec::new();
        for row in tx.query(OLDEST, params![self.limit as i64]).await? {
            let (position, at) = (row.int(0)?, UnixMicros::from_micros(row.int(1)?));
            let before = if position <= read { self.before } else { self.unread_before };
            if at >= before {
                break;
            }
            let (application, grant) = (ApplicationId::from_uuid(row.uuid(2)?), GrantId::from_uuid(row.uuid(3)?));
            removed.push(Removed { position, application, grant, at });
        }
        let Some(last) = removed.last() else { return Ok(Pruned::default()) };
        let position = last.position;
        let losers = gaps::note(tx, &removed).await?;
        tx.execute(GIVEN_UP, params![position]).await?;
        Ok(Pruned { events: tx.execute(REMOVE, params![position]).await?, losers })
    }
}

impl PruneEvents {
    /// Up to where everybody has been told who is told.
    async fn read_by_all(&self, tx: &mut Tx) -> Result<i64, DbError> {
        const PASSED: &str = "SELECT min(position) FROM webhooks WHERE status IN ('active', 'failing')";
        const WAITING: &str = "SELECT min((SELECT min(position) FROM webhook_lanes WHERE webhook_id = w.id)) \
            FROM webhooks w WHERE status IN ('active', 'failing')";
        // One that nobody has worked for since then is not there any more.
        const READ: &str = "SELECT min(position) FROM readers WHERE lease_until > $1";
        let passed = tx.query_one(PASSED, params![]).await?.map(|row| row.opt_int(0)).transpose()?.flatten();
        let waiting = tx.query_one(WAITING, params![]).await?.map(|row| row.opt_int(0)).transpose()?.flatten();
        let read = tx.query_one(READ, params![self.before.as_micros()]).await?.map(|row| row.opt_int(0)).transpose()?;
        let told = passed.unwrap_or(i64::MAX).min(read.flatten().unwrap_or(i64::MAX));
        Ok(told.min(waiting.map_or(i64::MAX, |position| position - 1)))
    }
}
