//! The ends of a send that is held, other than being sent or rejected; and letting it wait a little longer.

use super::read::FIND;
use super::{Hold, Told, read_row, system};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::opt_ins;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::hold::State;
use postfleet_core::id::{EventId, GrantId, HoldId};

/// Takes a send back that is held.
#[derive(Clone, Debug)]
pub struct CancelHold {
    /// Who takes it back.
    pub act: Act,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Which.
    pub id: HoldId,
    /// The id of the event that tells that a question was not sent, if it was one.
    pub event_id: EventId,
}

/// What became of [`CancelHold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It will not be sent; or it was cancelled before.
    Cancelled,
    /// It is over otherwise.
    Over(State),
    /// The mailbox has no such hold.
    Unknown,
}

impl Command for CancelHold {
    type Outcome = CancelOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CancelOutcome, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(CancelOutcome::Unknown);
        }
        let found = tx.query_one(FIND, params![self.id.uuid(), self.grant_id.uuid()]).await?;
        let Some(hold) = found.as_ref().map(read_row).transpose()? else { return Ok(CancelOutcome::Unknown) };
        match hold.state {
            State::Cancelled => return Ok(CancelOutcome::Cancelled),
            state if !state.is_open() => return Ok(CancelOutcome::Over(state)),
            _ => {}
        }
        hold.close(tx, State::Cancelled, self.act.at).await?;
        hold.let_go(tx).await?;
        opt_ins::not_sent(tx, hold.message_id, self.event_id, self.act.at).await?;
        let cancelled = Hold { state: State::Cancelled, ..hold };
        let told =
            Told { audit_id: self.act.record_id, event_id: self.event_id, request_id: self.act.request_id.clone() };
        cancelled.record(tx, "hold.cancelled", self.act.actor.clone(), &told, self.act.at).await?;
        Ok(CancelOutcome::Cancelled)
    }
}

/// Ends a send that has waited for too long (`Expired`), or that was to leave and may not (`Failed`).
#[derive(Clone, Debug)]
pub struct EndHold {
    /// Which, as it was read.
    pub hold: Hold,
    /// How it ends.
    pub state: State,
    /// Why, for people.
    pub note: String,
    /// What the event says, as a JSON object.
    pub data: String,
    /// The ids of what is told of it.
    pub told: Told,
    /// When.
    pub at: UnixMicros,
}

impl Command for EndHold {
    /// Whether it was not over already.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FORGET: &str = "DELETE FROM holds WHERE id = $1";
        if !drafts::lock(tx, self.hold.grant_id).await? {
            // With the mailbox went everything that it wanted to send.
            tx.execute(FORGET, params![self.hold.id.uuid()]).await?;
            return Ok(false);
        }
        let Some(hold) = super::open(tx, self.hold.id).await? else { return Ok(false) };
        let is_so = match self.state {
            State::Expired => hold.expires_at <= self.at,
            // Somebody decided or edited it meanwhile, and it is tried anew.
            _ => hold.state == self.hold.state && hold.blob_id == self.hold.blob_id,
        };
        if !is_so {
            return Ok(false);
        }
        let ended = Hold { state: self.state, note: Some(self.note.clone()), ..hold };
        ended.close(tx, self.state, self.at).await?;
        ended.let_go(tx).await?;
        let action = if self.state == State::Expired { "hold.expired" } else { "hold.failed" };
        ended.record(tx, action, system("holds"), &self.told, self.at).await?;
        ended.announce(tx, Trigger::MessageSendFailed, &self.data, self.told.event_id, self.at).await?;
        let event_id = EventId::from_uuid(self.told.audit_id.uuid());
        opt_ins::not_sent(tx, ended.message_id, event_id, self.at).await?;
        Ok(true)
    }
}

/// Lets the sends of a mailbox that only wait for their quota be tried again later, or sooner.
#[derive(Clone, Copy, Debug)]
pub struct PostponeHolds {
    /// Whose.
    pub grant_id: GrantId,
    /// Only this one, if it alone has to wait.
    pub only: Option<HoldId>,
    /// When they are tried again.
    pub until: UnixMicros,
}

impl Command for PostponeHolds {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const POSTPONE: &str = "UPDATE holds SET due_at = $2 \
            WHERE grant_id = $1 AND closed_at IS NULL AND due_at IS NOT NULL AND due_at <> $2";
        const POSTPONE_ONE: &str = "UPDATE holds SET due_at = $2 \
            WHERE id = $1 AND closed_at IS NULL AND due_at IS NOT NULL AND due_at <> $2";
        if drafts::lock(tx, self.grant_id).await? {
            let (statement, id) = match self.only {
                Some(hold) => (POSTPONE_ONE, hold.uuid()),
                None => (POSTPONE, self.grant_id.uuid()),
            };
            tx.execute(statement, params![id, self.until.as_micros()]).await?;
        }
        Ok(())
    }
}

/// Forgets what was over before a time.
#[derive(Clone, Copy, Debug)]
pub struct PruneHolds {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneHolds {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM holds WHERE id = $1";
        let closed = tx.query(super::read::CLOSED, params![self.before.as_micros(), self.limit as i64]).await?;
        for row in &closed {
            tx.execute(REMOVE, params![row.uuid(0)?]).await?;
        }
        Ok(closed.len() as u64)
    }
}
