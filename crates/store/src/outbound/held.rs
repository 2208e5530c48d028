//! Sends that may not leave yet: finding the one that waits already, holding one, answering that it is held.

use super::facts::{HoldTerms, Loaded};
use super::{Ended, Sending, Submit, SubmitOutcome};
use crate::db::DbError;
use crate::drafts::{CreateDraft, CreateOutcome};
use crate::engine::{Command, Tx};
use crate::holds::{self, Hold, NewHold, Told};
use crate::idempotency;
use crate::schedules;
use postfleet_core::event::Trigger;
use postfleet_core::hold::{self, State};
use postfleet_core::id::BlobId;
use postfleet_core::{Problem, UnixMicros};
use serde_json::json;

impl Submit {
    /// The hold that this releases, if it is the release of one.
    pub(super) fn released_hold(&self) -> Option<&holds::Release> {
        self.from_draft.as_ref()?.hold.as_ref()
    }

    /// The ids of what is told of a hold.
    pub(super) fn hold_told(&self) -> Option<&Told> {
        self.released_hold().map(|release| &release.told).or(self.hold.as_ref().map(|hold| &hold.told))
    }

    /// The hold that this is about: the one that is released, that of the draft, or that of the same content. One that
    /// may not leave yet is not released.
    pub(super) async fn held_already(&self, tx: &mut Tx, terms: &HoldTerms) -> Result<Option<Hold>, DbError> {
        let now = self.facts.date;
        let found = match (&self.from_draft, terms.same) {
            (Some(from), _) => match &from.hold {
                Some(release) => {
                    let found = holds::open(tx, release.id).await?;
                    return Ok(found.filter(|hold| hold.may_leave(now) && hold.blob_id == from.seen));
                }
                None => holds::of_message(tx, self.copy.message_id).await?,
            },
            (None, Some(same)) => holds::open(tx, same).await?,
            (None, None) => None,
        };
        Ok(found.filter(|hold| hold.expires_at > now))
    }

    /// Looks at the hold that the send is about, and whether it is approved as it was held. What still waits is answered
    /// here, unless a key may have something against it: then it is given back, to be judged before it is told of.
    pub(super) async fn look_at_hold(&self, tx: &mut Tx, sending: &mut Sending) -> Result<Option<Hold>, Ended> {
        let Sending { loaded: Loaded { facts, terms, key, .. }, held, .. } = sending;
        let is_release = self.released_hold().is_some();
        let Some(hold) = held else {
            return if is_release { Err(SubmitOutcome::Superseded.into()) } else { Ok(None) };
        };
        if self.hold_told().is_none() {
            return Err(SubmitOutcome::Unheld.into());
        }
        let was_approved = hold.state == State::Approved;
        facts.approved = was_approved && hold.version == terms.version;
        if was_approved && !facts.approved && is_release {
            return Err(self.look_again(tx, hold, terms).await?.into());
        }
        if facts.approved || is_release {
            return Ok(None);
        }
        if key.is_none() {
            return Err(self.answer_held(tx, hold.clone()).await?.into());
        }
        Ok(Some(hold.clone()))
    }

    /// Says that a send is held already, or why it may not be sent with this key.
    pub(super) async fn answer_waiting(
        &self,
        tx: &mut Tx,
        hold: Hold,
        sending: Sending,
    ) -> Result<SubmitOutcome, DbError> {
        let facts = &sending.loaded.facts;
        match facts.key.as_ref().and_then(|key| key.refusals().into_iter().next()) {
            Some(problem) => self.refuse(tx, problem, (&sending.sent, &facts.suppressed), sending.judged).await,
            None => self.answer_held(tx, hold).await,
        }
    }

    /// Does not release what was approved under another policy or other rules: somebody looks at it once more.
    pub(super) async fn look_again(
        &self,
        tx: &mut Tx,
        hold: &Hold,
        terms: &HoldTerms,
    ) -> Result<SubmitOutcome, DbError> {
        hold.reopen(tx, hold.reason, &terms.version, self.facts.date).await?;
        if let Some(told) = self.hold_told() {
            let reopened = Hold { state: State::Waiting, digest: None, note: None, ..hold.clone() };
            let by = holds::system("change of the rules");
            reopened.record(tx, "hold.reopened", by, told, self.facts.date).await?;
        }
        Ok(SubmitOutcome::Refused(hold::changed()))
    }

    /// Holds what may not leave yet.
    pub(super) async fn hold(
        &self,
        tx: &mut Tx,
        (reason, problem): (hold::Reason, Problem),
        sending: Sending,
    ) -> Result<SubmitOutcome, DbError> {
        let Sending { loaded: Loaded { terms, .. }, sent, draft, held, judged } = sending;
        let now = self.facts.date;
        match held {
            Some(hold) if self.released_hold().is_some() => {
                // What waits for its quota goes on waiting. What was approved under other rules is looked at anew.
                if reason.is_seen() {
                    hold.reopen(tx, reason, &terms.version, now).await?;
                }
                return Ok(SubmitOutcome::Refused(problem));
            }
            Some(hold) => return self.answer_held(tx, hold).await,
            None => {}
        }
        let Some(new) = &self.hold else { return Ok(SubmitOutcome::Unheld) };
        if !holds::has_room(tx, self.copy.grant_id).await? {
            return self.refuse(tx, hold::too_many(), (&sent, &[]), None).await;
        }
        let blob_id = match &draft {
            Some(draft) => draft.blob_id,
            None => match self.keep_waiting(tx, new).await? {
                Ok(blob_id) => blob_id,
                Err(problem) => return self.refuse(tx, problem, (&sent, &[]), None).await,
            },
        };
        if self.from_draft.is_some() {
            // It waits for something else than its time now.
            schedules::follow(tx, self.copy.message_id, None, now).await?;
        }
        let due_at = (!reason.needs_approval()).then(|| self.tried_again(&problem));
        let hold = self.held_as(new, reason, terms, (blob_id, holds::is_seen(draft.as_ref())));
        hold.insert(tx, due_at).await?;
        hold.record(tx, "hold.created", new.author.clone(), &new.told, now).await?;
        let data = json!({"hold": hold.facts()}).to_string();
        hold.announce(tx, Trigger::MessageHeld, &data, new.told.event_id, now).await?;
        if let Some(judged) = judged.filter(|_| reason == hold::Reason::Rule) {
            self.record(tx, &judged, true).await?;
        }
        self.answer_held(tx, hold).await
    }

    /// When it is tried for the first time whether there is quota: somebody may raise it before it resets.
    pub(super) fn tried_again(&self, problem: &Problem) -> UnixMicros {
        let soon = self.facts.date.plus(hold::LOOK_AGAIN);
        hold::resets_at(problem).map_or(soon, |resets_at| resets_at.min(soon))
    }

    /// Keeps the message where nobody sees it, if there is room for it.
    pub(super) async fn keep_waiting(&self, tx: &mut Tx, new: &NewHold) -> Result<Result<BlobId, Problem>, DbError> {
        let kept = CreateDraft {
            blob: self.blob.clone(),
            facts: new.waiting.clone(),
            copy: self.copy,
            thread_id: self.thread_id,
            starred: false,
            schedule: None,
            answer: None,
        };
        match kept.run(tx).await? {
            CreateOutcome::Created(_) => Ok(Ok(self.blob.id())),
            CreateOutcome::Refused(problem) => Ok(Err(problem)),
            _ => Err(DbError::Malformed("mailbox")),
        }
    }

    pub(super) fn held_as(&self, new: &NewHold, reason: hold::Reason, terms: HoldTerms, kept: (BlobId, bool)) -> Hold {
        let now = self.facts.date;
        Hold {
            id: new.id,
            grant_id: self.copy.grant_id,
            application_id: self.copy.application_id,
            organization_id: terms.organization,
            message_id: self.copy.message_id,
            is_draft: kept.1,
            blob_id: kept.0,
            reason,
            state: State::Waiting,
            recipients: holds::named(self.recipients.iter().map(|(_, address)| address)),
            content: self.once.content.as_ref().map(|content| content.hash),
            version: terms.version,
            digest: None,
            author: (new.author.kind.name().to_owned(), new.author.id.clone()),
            editor: None,
            decided_by: None,
            decided_at: None,
            note: None,
            expires_at: now.plus(reason.patience()),
            created_at: now,
            closed_at: None,
        }
    }

    /// Remembers under the key of the request that the send is held.
    pub(super) async fn answer_held(&self, tx: &mut Tx, hold: Hold) -> Result<SubmitOutcome, DbError> {
        if let Some(key) = &self.once.key {
            idempotency::keep_held(tx, key, hold.message_id, hold.id, self.facts.date).await?;
        }
        Ok(SubmitOutcome::Held(Box::new(hold)))
    }
}
