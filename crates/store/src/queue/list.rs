//! What is in the queue, as people see it: messages with where they stand.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, MessageId, StopId};
use postfleet_core::outbound::Priority;
use uuid::Uuid;

/// Where a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Somebody has paused it.
    Paused,
    /// Its sender is stopped.
    Stopped,
    /// A worker has it.
    Sending,
    /// It waits behind its destination, which does not answer, is paused, or has enough to do.
    Waiting,
    /// It was tried and is tried again.
    Deferred,
    /// It was not tried yet.
    Queued,
}

impl State {
    /// All, in the order in which one of several stands for the message.
    pub const ALL: [Self; 6] =
        [Self::Paused, Self::Stopped, Self::Sending, Self::Waiting, Self::Deferred, Self::Queued];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::Deferred => "deferred",
            Self::Queued => "queued",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The number of a row's state in [`State::ALL`].
macro_rules! state {
    () => {
        "CASE WHEN q.paused = 1 THEN CAST(0 AS {int}) WHEN q.lease IS NOT NULL THEN CAST(2 AS {int}) \
         WHEN q.parked = 2 THEN CAST(1 AS {int}) WHEN q.parked = 1 THEN CAST(3 AS {int}) \
         WHEN q.attempts > 0 THEN CAST(4 AS {int}) ELSE CAST(5 AS {int}) END"
    };
}
pub(super) use state;

/// A message in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The message.
    pub message_id: MessageId,
    /// The mailbox that sent it.
    pub grant_id: GrantId,
    /// The mailbox's address; empty if it was removed.
    pub from: String,
    /// When it was accepted.
    pub queued_at: UnixMicros,
    /// Where an operator sends it.
    pub route: Option<String>,
    /// Recipients that are not settled.
    pub recipients_open: u64,
    /// The state that stands for it.
    pub state: State,
    /// When the first of its recipients is due.
    pub due_at: Option<UnixMicros>,
    /// The most attempts that one of its recipients has had.
    pub attempts: u64,
}

/// Which messages are meant.
#[derive(Clone, Debug, Default)]
pub struct Filter<'a> {
    /// Those for this destination.
    pub destination: Option<&'a str>,
    /// Those of this mailbox.
    pub grant_id: Option<GrantId>,
    /// Those with a recipient in this state.
    pub state: Option<State>,
    /// Those before this one.
    pub before: Option<MessageId>,
}

macro_rules! queued {
    ($source:literal, $tail:literal) => {
        concat!(
            "SELECT o.message_id, o.grant_id, COALESCE((SELECT g.email FROM grants g WHERE g.id = o.grant_id), ''), \
             o.queued_at, o.route, o.recipients_open, (SELECT min(",
            state!(),
            ") FROM queue q WHERE q.message_id = o.message_id), (SELECT min(q.due_at) FROM queue q \
             WHERE q.message_id = o.message_id), (SELECT max(q.attempts) FROM queue q \
             WHERE q.message_id = o.message_id) FROM ",
            $source,
            $tail
        )
    };
}

macro_rules! filtered {
    ($source:literal) => {
        concat!(
            queued!(
                $source,
                " AND o.message_id < $2 AND ($3 = CAST(-1 AS {int}) OR EXISTS \
            (SELECT 1 FROM queue q WHERE q.message_id = o.message_id AND $3 = "
            ),
            state!(),
            ")) AND ($4 = '' OR EXISTS (SELECT 1 FROM queue q WHERE q.message_id = o.message_id \
             AND q.destination = $4)) AND ($5 = CAST(0 AS {int}) OR o.grant_id = $6) \
             ORDER BY o.message_id DESC LIMIT $7"
        )
    };
}

pub(crate) const LIST: &str = filtered!("outbound o WHERE o.application_id = $1");

/// Messages of an application that are in the queue, the newest first.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    filter: &Filter<'_>,
    limit: usize,
) -> Result<Vec<Queued>, StoreError> {
    let before = filter.before.map_or(Uuid::max(), MessageId::uuid);
    let state = filter.state.map_or(-1, |state| state as i64);
    let grant = filter.grant_id.map_or(Uuid::nil(), GrantId::uuid);
    let destination = filter.destination.unwrap_or("");
    let is_of_grant = filter.grant_id.is_some();
    let values = params![application.uuid(), before, state, destination, is_of_grant, grant, limit as i64];
    let rows = reader.query(LIST, values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// A message of an application that is in the queue.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    message: MessageId,
) -> Result<Option<Queued>, StoreError> {
    const FIND: &str = queued!("outbound o WHERE o.application_id = $1", " AND o.message_id = $2");
    let row = reader.query_one(FIND, params![application.uuid(), message.uuid()]).await?;
    Ok(row.map(|row| read(&row)).transpose()?)
}

fn read(row: &Row) -> Result<Queued, DbError> {
    Ok(Queued {
        message_id: MessageId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        from: row.text(2)?,
        queued_at: UnixMicros::from_micros(row.int(3)?),
        route: row.opt_text(4)?,
        recipients_open: row.count(5)?,
        state: state_of(row.opt_int(6)?),
        due_at: row.opt_int(7)?.map(UnixMicros::from_micros),
        attempts: row.opt_int(8)?.map_or(0, |attempts| attempts.max(0) as u64),
    })
}

fn state_of(number: Option<i64>) -> State {
    let index = number.and_then(|number| usize::try_from(number).ok());
    index.and_then(|index| State::ALL.get(index)).copied().unwrap_or(State::Queued)
}

/// A recipient in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRecipient {
    /// The address.
    pub recipient: String,
    /// Its destination.
    pub destination: String,
    /// How early it goes.
    pub priority: Priority,
    /// Where it stands.
    pub state: State,
    /// When it is due, or when the lease of its worker ends.
    pub due_at: Option<UnixMicros>,
    /// Attempts so far.
    pub attempts: u64,
    /// A server may have the message already.
    pub is_ambiguous: bool,
    /// What was said last.
    pub last_reply: Option<String>,
    /// The stop behind which it waits, if it does.
    pub stop_id: Option<StopId>,
}

/// The recipients of a message that are in the queue.
pub async fn recipients(reader: &mut Reader<'_>, message: MessageId) -> Result<Vec<QueuedRecipient>, StoreError> {
    const FIND: &str = concat!(
        "SELECT q.recipient, q.destination, q.priority, q.due_at, q.attempts, q.ambiguous, q.last_reply, ",
        state!(),
        ", CASE WHEN q.parked = 2 THEN q.stop_id ELSE NULL END FROM queue q WHERE q.message_id = $1 ORDER BY q.id"
    );
    let rows = reader.query(FIND, params![message.uuid()]).await?;
    let read = |row: &Row| {
        Ok(QueuedRecipient {
            recipient: row.text(0)?,
            destination: row.text(1)?,
            priority: Priority::of_number(row.int(2)?),
            due_at: row.opt_int(3)?.map(UnixMicros::from_micros),
            attempts: row.count(4)?,
            is_ambiguous: row.flag(5)?,
            last_reply: row.opt_text(6)?,
            state: state_of(Some(row.int(7)?)),
            stop_id: row.opt_uuid(8)?.map(StopId::from_uuid),
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}
