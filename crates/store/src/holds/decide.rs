//! Deciding on a send that is held. An approval is of exactly what somebody saw, and is given by somebody else than who
//! sent it.

use super::read::{VERSION, read_version};
use super::{Hold, Told, open};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::opt_ins;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::hold::{APPROVAL_PATIENCE, State};
use postfleet_core::id::{BlobId, EventId};

/// What somebody decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It leaves.
    Approve {
        /// The body that was seen.
        seen: BlobId,
        /// The version of the policy and the rules that was seen.
        version: String,
        /// The hash of all that was seen.
        digest: [u8; 32],
    },
    /// It does not; the event says this, as a JSON object.
    Reject(String),
}

/// Decides on a send that is held.
#[derive(Clone, Debug)]
pub struct DecideHold {
    /// Who decides.
    pub act: Act,
    /// What was read.
    pub hold: Hold,
    /// What they decide.
    pub decision: Decision,
    /// What they say of it.
    pub note: Option<String>,
    /// The id of the event.
    pub event_id: EventId,
}

/// What became of [`DecideHold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecideOutcome {
    /// This is what it is now.
    Decided(Box<Hold>),
    /// It is decided or over.
    Over(State),
    /// Whoever decides is who sent it, or changed it since.
    Own,
    /// It waits for nothing but its quota.
    NeedsNoApproval,
    /// It, the policy or the rules are no longer what was seen.
    Changed,
    /// It is gone.
    Unknown,
}

impl Command for DecideHold {
    type Outcome = DecideOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<DecideOutcome, DbError> {
        const STATE: &str = "SELECT state FROM holds WHERE id = $1";
        if !drafts::lock(tx, self.hold.grant_id).await? {
            return Ok(DecideOutcome::Unknown);
        }
        let Some(hold) = open(tx, self.hold.id).await? else {
            let Some(row) = tx.query_one(STATE, params![self.hold.id.uuid()]).await? else {
                return Ok(DecideOutcome::Unknown);
            };
            return Ok(DecideOutcome::Over(State::named(row.str(0)?).ok_or(DbError::Malformed("state"))?));
        };
        let decider = &self.act.actor;
        if hold.is_of(decider) {
            return Ok(DecideOutcome::Own);
        }
        if hold.expires_at <= self.act.at {
            return Ok(DecideOutcome::Over(State::Expired));
        }
        match &self.decision {
            Decision::Reject(data) => self.reject(tx, hold, data).await,
            Decision::Approve { .. } if !hold.reason.needs_approval() => Ok(DecideOutcome::NeedsNoApproval),
            Decision::Approve { seen, version, digest } => self.approve(tx, hold, *seen, version, *digest).await,
        }
    }
}

impl DecideHold {
    async fn approve(
        &self,
        tx: &mut Tx,
        hold: Hold,
        seen: BlobId,
        version: &str,
        digest: [u8; 32],
    ) -> Result<DecideOutcome, DbError> {
        const APPROVE: &str = "UPDATE holds SET state = 'approved', version = $2, digest = $3, due_at = $4, \
            expires_at = $5 WHERE id = $1";
        let now = tx.query_one(VERSION, params![hold.application_id.uuid(), hold.grant_id.uuid()]).await?;
        let now = now.as_ref().map(read_version).transpose()?;
        // What was approved under other rules is as good as not approved.
        if hold.state == State::Approved && now.as_ref() == Some(&hold.version) {
            return Ok(DecideOutcome::Over(State::Approved));
        }
        if hold.blob_id != seen || now.as_deref() != Some(version) {
            return Ok(DecideOutcome::Changed);
        }
        let expires_at = self.act.at.plus(APPROVAL_PATIENCE);
        let due_at = self.act.at.as_micros();
        let values = params![hold.id.uuid(), version, digest.as_slice(), due_at, expires_at.as_micros()];
        tx.execute(APPROVE, values).await?;
        let approved =
            Hold { state: State::Approved, version: version.to_owned(), digest: Some(digest), expires_at, ..hold };
        self.decided(tx, approved, "hold.approved").await
    }

    async fn reject(&self, tx: &mut Tx, hold: Hold, data: &str) -> Result<DecideOutcome, DbError> {
        hold.close(tx, State::Rejected, self.act.at).await?;
        hold.let_go(tx).await?;
        hold.announce(tx, Trigger::MessageSendFailed, data, self.event_id, self.act.at).await?;
        let event_id = EventId::from_uuid(self.act.record_id.uuid());
        opt_ins::not_sent(tx, hold.message_id, event_id, self.act.at).await?;
        let closed_at = Some(self.act.at);
        self.decided(tx, Hold { state: State::Rejected, closed_at, ..hold }, "hold.rejected").await
    }

    async fn decided(&self, tx: &mut Tx, hold: Hold, action: &'static str) -> Result<DecideOutcome, DbError> {
        const DECIDED: &str =
            "UPDATE holds SET decided_kind = $2, decided_id = $3, decided_at = $4, note = $5 WHERE id = $1";
        let actor = self.act.actor.clone();
        let by = (actor.kind.name().to_owned(), actor.id.clone());
        let values = params![hold.id.uuid(), &by.0, &by.1, self.act.at.as_micros(), self.note.as_deref()];
        tx.execute(DECIDED, values).await?;
        let hold = Hold { decided_by: Some(by), decided_at: Some(self.act.at), note: self.note.clone(), ..hold };
        let told =
            Told { audit_id: self.act.record_id, event_id: self.event_id, request_id: self.act.request_id.clone() };
        hold.record(tx, action, actor, &told, self.act.at).await?;
        Ok(DecideOutcome::Decided(Box::new(hold)))
    }
}
