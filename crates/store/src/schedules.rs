//! Sends that wait for their time. Each waits as a draft, and is released by the one command that accepts messages: in
//! the transaction that sends the draft its schedule ends, so that it is sent once, whoever tries, and however often.
//!
//! The time is compared in that transaction with the time of whoever releases; what was released is over, whichever way
//! clocks are set after that.

mod end;
mod read;

pub use end::{CancelOutcome, CancelSchedule, FailSchedule, PostponeSchedule, PruneSchedules};
pub(crate) use read::CLOSED;
#[cfg(test)]
pub(crate) use read::{DUE, LIST};
pub use read::{due, find, list, next_due};

use crate::db::{DbError, Row};
use crate::drafts::{self, Announcement};
use crate::engine::{Command, Tx};
use crate::idempotency::KeepAnswer;
use crate::messages::MailboxCopy;
use crate::params;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, KeyId, MessageId, ScheduleId};
use postfleet_core::schedule::PENDING_MAX;
use postfleet_core::{Problem, UnixMicros};

/// A send that waits, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Whose.
    pub application_id: ApplicationId,
    /// The draft, and later the sent copy.
    pub message_id: MessageId,
    /// Whether the message is a draft of the mailbox until then.
    pub use_draft: bool,
    /// When it is to be sent.
    pub send_at: UnixMicros,
    /// What became of it.
    pub status: Status,
    /// Why it failed.
    pub reason: Option<String>,
    /// When it was over.
    pub closed_at: Option<UnixMicros>,
    /// The key with which it is sent, if one scheduled it or changed the message since.
    pub by: Option<KeyId>,
    /// Whether it is a send above a rate that waits for its turn, which is taken already. It is shown to nobody.
    pub is_burst: bool,
}

/// What became of a send that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits.
    Pending,
    /// It was sent.
    Success,
    /// It could not be sent.
    Failed,
    /// It was taken back.
    Cancelled,
}

impl Status {
    const ALL: [Self; 4] = [Self::Pending, Self::Success, Self::Failed, Self::Cancelled];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

macro_rules! schedule_columns {
    () => {
        "id, grant_id, application_id, message_id, use_draft, send_at, status, reason, closed_at, key_id, burst"
    };
}
pub(crate) use schedule_columns;

fn read_row(row: &Row) -> Result<Schedule, DbError> {
    let name = row.text(6)?;
    let status = Status::ALL.into_iter().find(|status| status.name() == name);
    Ok(Schedule {
        id: ScheduleId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        application_id: ApplicationId::from_uuid(row.uuid(2)?),
        message_id: MessageId::from_uuid(row.uuid(3)?),
        use_draft: row.flag(4)?,
        send_at: UnixMicros::from_micros(row.int(5)?),
        status: status.ok_or(DbError::Malformed("status"))?,
        reason: row.opt_text(7)?,
        closed_at: row.opt_int(8)?.map(UnixMicros::from_micros),
        by: row.opt_uuid(9)?.map(KeyId::from_uuid),
        is_burst: row.flag(10)?,
    })
}

/// A schedule to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewSchedule {
    /// Its id.
    pub id: ScheduleId,
    /// When the message is to be sent.
    pub send_at: UnixMicros,
    /// Whether the message is a draft of the mailbox until then.
    pub use_draft: bool,
    /// The key that schedules it, if one does.
    pub by: Option<KeyId>,
}

impl NewSchedule {
    pub(crate) async fn insert(&self, tx: &mut Tx, copy: &MailboxCopy, at: UnixMicros) -> Result<(), DbError> {
        self.write(tx, copy, at, false).await
    }

    /// As [`NewSchedule::insert`], of a send above a rate whose turn comes then.
    pub(crate) async fn insert_burst(&self, tx: &mut Tx, copy: &MailboxCopy, at: UnixMicros) -> Result<(), DbError> {
        self.write(tx, copy, at, true).await
    }

    async fn write(&self, tx: &mut Tx, copy: &MailboxCopy, at: UnixMicros, is_burst: bool) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO schedules \
            (id, grant_id, application_id, message_id, use_draft, send_at, due_at, status, created_at, key_id, burst) \
            VALUES ($1, $2, $3, $4, $5, $6, $6, 'pending', $7, $8, $9)";
        let values = params![
            self.id.uuid(),
            copy.grant_id.uuid(),
            copy.application_id.uuid(),
            copy.message_id.uuid(),
            self.use_draft,
            self.send_at.as_micros(),
            at.as_micros(),
            self.by.map(|key| key.uuid()),
            is_burst
        ];
        tx.execute(INSERT, values).await?;
        tx.wake_schedules();
        Ok(())
    }
}

/// Schedules a draft that is there already.
#[derive(Clone, Debug)]
pub struct ScheduleDraft {
    /// The mailbox, and the draft's id.
    pub copy: MailboxCopy,
    /// The body that was read.
    pub seen: BlobId,
    /// The schedule.
    pub schedule: NewSchedule,
    /// What is answered, if the request came with a key.
    pub answer: Option<KeepAnswer>,
    /// Now.
    pub at: UnixMicros,
}

/// What became of [`ScheduleDraft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleOutcome {
    /// It waits.
    Scheduled,
    /// It waits already.
    Already(ScheduleId),
    /// Somebody else changed the draft meanwhile, or it is gone.
    Superseded,
    /// As many sends of the mailbox wait as may.
    TooMany,
    /// The key of the request was used.
    Refused(Problem),
}

impl Command for ScheduleDraft {
    type Outcome = ScheduleOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<ScheduleOutcome, DbError> {
        let (grant, message) = (self.copy.grant_id, self.copy.message_id);
        if !drafts::lock(tx, grant).await? {
            return Ok(ScheduleOutcome::Superseded);
        }
        if let Some(answer) = &self.answer
            && let Some(problem) = answer.refusal(tx).await?
        {
            return Ok(ScheduleOutcome::Refused(problem));
        }
        if drafts::held(tx, grant, message).await?.is_none_or(|draft| draft.blob_id != self.seen) {
            return Ok(ScheduleOutcome::Superseded);
        }
        if let Some(pending) = pending_of(tx, message).await? {
            return Ok(ScheduleOutcome::Already(pending));
        }
        if !has_room(tx, grant).await? {
            return Ok(ScheduleOutcome::TooMany);
        }
        self.schedule.insert(tx, &self.copy, self.at).await?;
        if let Some(answer) = &self.answer {
            answer.run(tx).await?;
        }
        Ok(ScheduleOutcome::Scheduled)
    }
}

async fn pending_of(tx: &mut Tx, message: MessageId) -> Result<Option<ScheduleId>, DbError> {
    const FIND: &str = "SELECT id FROM schedules WHERE message_id = $1 AND closed_at IS NULL";
    let row = tx.query_one(FIND, params![message.uuid()]).await?;
    row.map(|row| Ok(ScheduleId::from_uuid(row.uuid(0)?))).transpose()
}

/// Whether one more send of a mailbox may wait.
pub(crate) async fn has_room(tx: &mut Tx, grant: GrantId) -> Result<bool, DbError> {
    const COUNT: &str = "SELECT count(*) FROM schedules WHERE grant_id = $1 AND closed_at IS NULL AND burst = 0";
    let row = tx.query_one(COUNT, params![grant.uuid()]).await?.ok_or(DbError::Malformed("count"))?;
    Ok(row.count(0)? < PENDING_MAX as u64)
}

/// Makes a draft that waits be sent with the key that changed it: nobody has something else sent with another's key.
pub(crate) async fn take_over(tx: &mut Tx, message: MessageId, by: Option<KeyId>) -> Result<(), DbError> {
    const TAKE: &str = "UPDATE schedules SET key_id = $2 WHERE message_id = $1 AND closed_at IS NULL";
    tx.execute(TAKE, params![message.uuid(), by.map(|key| key.uuid())]).await?;
    Ok(())
}

/// Whether a draft waits for its turn already.
pub(crate) async fn is_in_turn(tx: &mut Tx, message: MessageId) -> Result<bool, DbError> {
    const FIND: &str = "SELECT id FROM schedules WHERE message_id = $1 AND closed_at IS NULL AND burst = 1";
    Ok(tx.query_one(FIND, params![message.uuid()]).await?.is_some())
}

/// Cancels whatever was to send a draft, which is gone or sent.
pub(crate) async fn cancel_of(tx: &mut Tx, message: MessageId, at: UnixMicros) -> Result<(), DbError> {
    const CANCEL: &str = "UPDATE schedules SET status = 'cancelled', closed_at = $2 \
        WHERE message_id = $1 AND closed_at IS NULL";
    tx.execute(CANCEL, params![message.uuid(), at.as_micros()]).await?;
    Ok(())
}

/// Lets the schedule of a draft, if it has one, follow what the draft says: it moves, or is cancelled. A draft that was
/// sent, and only waits for its turn, leaves all the same.
pub(crate) async fn follow(
    tx: &mut Tx,
    message: MessageId,
    send_at: Option<UnixMicros>,
    at: UnixMicros,
) -> Result<(), DbError> {
    const MOVE: &str = "UPDATE schedules SET send_at = $2, due_at = $2 \
        WHERE message_id = $1 AND closed_at IS NULL AND burst = 0 AND send_at <> $2";
    const CANCEL: &str = "UPDATE schedules SET status = 'cancelled', closed_at = $2 \
        WHERE message_id = $1 AND closed_at IS NULL AND burst = 0";
    match send_at {
        Some(send_at) => {
            tx.wake_schedules();
            tx.execute(MOVE, params![message.uuid(), send_at.as_micros()]).await?
        }
        None => tx.execute(CANCEL, params![message.uuid(), at.as_micros()]).await?,
    };
    Ok(())
}

/// Whether a schedule waits and its time has come.
pub(crate) async fn is_due(tx: &mut Tx, id: ScheduleId, at: UnixMicros) -> Result<bool, DbError> {
    const FIND: &str = "SELECT id FROM schedules WHERE id = $1 AND closed_at IS NULL AND send_at <= $2";
    Ok(tx.query_one(FIND, params![id.uuid(), at.as_micros()]).await?.is_some())
}

/// The release of a schedule whose time has come.
#[derive(Clone, Debug)]
pub struct Release {
    /// Which.
    pub id: ScheduleId,
    /// What the event says beside the message, as a JSON object.
    pub data: String,
    /// The id of the event.
    pub event_id: EventId,
    /// Whether its turn at a rate is taken already.
    pub is_burst: bool,
}

impl Release {
    pub(crate) async fn succeed(&self, tx: &mut Tx, copy: &MailboxCopy, at: UnixMicros) -> Result<(), DbError> {
        end::close(tx, self.id, Status::Success, None, at).await?;
        let announcement = Announcement {
            id: self.event_id,
            application_id: copy.application_id,
            grant_id: copy.grant_id,
            message_id: copy.message_id,
            trigger: Trigger::MessageSendSuccess,
            data: &self.data,
            at,
        };
        announcement.make(tx).await
    }
}
