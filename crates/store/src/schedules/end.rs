//! The ends of a send that waits, other than being sent.

use super::{Schedule, Status};
use crate::db::DbError;
use crate::drafts::{self, Announcement};
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::id::{EventId, GrantId, MessageId, ScheduleId};
use postfleet_core::schedule::may_cancel;

/// Ends a schedule; false if it is over already.
pub(super) async fn close(
    tx: &mut Tx,
    id: ScheduleId,
    status: Status,
    reason: Option<&str>,
    at: UnixMicros,
) -> Result<bool, DbError> {
    const CLOSE: &str =
        "UPDATE schedules SET status = $2, reason = $3, closed_at = $4 WHERE id = $1 AND closed_at IS NULL";
    Ok(tx.execute(CLOSE, params![id.uuid(), status.name(), reason, at.as_micros()]).await? > 0)
}

/// Removes the message that only waited; a draft of the mailbox stays.
async fn let_go(tx: &mut Tx, grant: GrantId, message: MessageId, use_draft: bool) -> Result<(), DbError> {
    if use_draft {
        return Ok(());
    }
    match drafts::held(tx, grant, message).await? {
        Some(waiting) => drafts::remove(tx, grant, message, &waiting).await,
        None => Ok(()),
    }
}

/// Takes a send back, unless its time is too near.
#[derive(Clone, Copy, Debug)]
pub struct CancelSchedule {
    /// The mailbox.
    pub grant_id: GrantId,
    /// Which.
    pub id: ScheduleId,
    /// Now.
    pub at: UnixMicros,
}

/// What became of [`CancelSchedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It will not be sent; or it was cancelled before.
    Cancelled,
    /// Its time is too near.
    TooLate,
    /// It was sent, or has failed.
    Over(Status),
    /// The mailbox has no such schedule.
    Unknown,
}

impl Command for CancelSchedule {
    type Outcome = CancelOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CancelOutcome, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(CancelOutcome::Unknown);
        }
        let found = tx.query_one(super::read::FIND, params![self.id.uuid(), self.grant_id.uuid()]).await?;
        let Some(schedule) = found.as_ref().map(super::read_row).transpose()? else {
            return Ok(CancelOutcome::Unknown);
        };
        match schedule.status {
            Status::Cancelled => return Ok(CancelOutcome::Cancelled),
            Status::Success | Status::Failed => return Ok(CancelOutcome::Over(schedule.status)),
            Status::Pending => {}
        }
        if !may_cancel(schedule.send_at, self.at) {
            return Ok(CancelOutcome::TooLate);
        }
        close(tx, self.id, Status::Cancelled, None, self.at).await?;
        let_go(tx, self.grant_id, schedule.message_id, schedule.use_draft).await?;
        Ok(CancelOutcome::Cancelled)
    }
}

/// Tells that a message could not be sent at its time.
#[derive(Clone, Debug)]
pub struct FailSchedule {
    /// Which.
    pub schedule: Schedule,
    /// Why, for people.
    pub reason: String,
    /// What the event says, as a JSON object.
    pub data: String,
    /// The id of the event.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

impl Command for FailSchedule {
    /// Whether it was not over already.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FORGET: &str = "DELETE FROM schedules WHERE id = $1";
        let schedule = &self.schedule;
        if !drafts::lock(tx, schedule.grant_id).await? {
            // With the mailbox went everything that it wanted to send.
            tx.execute(FORGET, params![schedule.id.uuid()]).await?;
            return Ok(false);
        }
        if !close(tx, schedule.id, Status::Failed, Some(&self.reason), self.at).await? {
            return Ok(false);
        }
        let_go(tx, schedule.grant_id, schedule.message_id, schedule.use_draft).await?;
        let announcement = Announcement {
            id: self.event_id,
            application_id: schedule.application_id,
            grant_id: schedule.grant_id,
            message_id: schedule.message_id,
            trigger: Trigger::MessageSendFailed,
            data: &self.data,
            at: self.at,
        };
        announcement.make(tx).await?;
        Ok(true)
    }
}

/// Lets a send be tried again later.
#[derive(Clone, Copy, Debug)]
pub struct PostponeSchedule {
    /// Which.
    pub id: ScheduleId,
    /// When it is tried again.
    pub due_at: UnixMicros,
}

impl Command for PostponeSchedule {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const POSTPONE: &str = "UPDATE schedules SET due_at = $2 WHERE id = $1 AND closed_at IS NULL";
        tx.execute(POSTPONE, params![self.id.uuid(), self.due_at.as_micros()]).await?;
        Ok(())
    }
}

/// Forgets what was over before a time.
#[derive(Clone, Copy, Debug)]
pub struct PruneSchedules {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneSchedules {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM schedules WHERE id = $1";
        let closed = tx.query(super::CLOSED, params![self.before.as_micros(), self.limit as i64]).await?;
        for row in &closed {
            tx.execute(REMOVE, params![row.uuid(0)?]).await?;
        }
        Ok(closed.len() as u64)
    }
}
