//! What is written of a send that is accepted: what it takes, the sent copy, the rows of the queue, what is remembered of it.

use super::facts::Loaded;
use super::{Answers, Sending, Submit, SubmitOutcome};
use crate::blobs;
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::folders::Assigned;
use crate::messages::{self, FiledCopy};
use crate::params;
use crate::refile::UpdateMessage;
use crate::send_events::{SendEvent, Sent};
use crate::sender_pools;
use postfleet_core::outbound::{ClearedToSend, OutboundFacts, Priority, priority};
use postfleet_core::rule::place;
use postfleet_core::send_event::SendEventKind;
use postfleet_core::suppression::Suppressed;
use postfleet_core::{EmailAddress, UtcDay};

impl Submit {
    /// Counts the send, and writes the sent copy, the queue rows and what is remembered of it.
    pub(super) async fn accept(
        &self,
        tx: &mut Tx,
        cleared: ClearedToSend,
        sending: Sending,
    ) -> Result<SubmitOutcome, DbError> {
        let Sending { loaded, mut sent, draft, held, judged } = sending;
        let Loaded { facts, owner, watched, .. } = loaded;
        let OutboundFacts { suppressed, daily, meters, approved, .. } = facts;
        let (grant_id, now) = (self.copy.grant_id, self.facts.date);
        let passes = watched.passes(now);
        let (mut placement, assigned) = match &judged {
            Some(judged) => {
                let effects = &judged.judgement.effects;
                let assigned = self.assigned(tx, judged).await?;
                (place(effects, self.facts.folder, self.facts.unread, |name| assigned.id(name)), assigned)
            }
            None => (self.facts.placement(), Assigned::default()),
        };
        placement.starred |= self.facts.starred;
        count_send(tx, self, now.day(), passes.said.as_deref()).await?;
        passes.keep(tx, grant_id, now.day()).await?;
        let month = now.day().month();
        tx.tally().send(owner, (grant_id, self.copy.message_id), now.day(), self.blob.octets());
        tx.tally().hold(owner.organization, month, meters.caps());
        if let Some(draft) = &draft {
            drafts::remove(tx, grant_id, self.copy.message_id, draft).await?;
        }
        // The sent copy and the queue each hold the message.
        blobs::insert(tx, &self.blob, 2).await?;
        let copy = FiledCopy { copy: self.copy, placement, assessment: None, received: None };
        let filed = messages::file(tx, self.blob.id(), &self.facts, &copy, self.thread_id).await?;
        let placement = copy.placement;
        let Some((thread_id, _)) = filed else { return Err(DbError::Malformed("mailbox")) };
        assigned.announce(tx, (self.copy.application_id, grant_id), now).await?;
        sent.thread_id = Some(thread_id);
        let priority = priority(self.outbound_type, self.recipients.len(), daily.used);
        self.enqueue(tx, (&sent, &suppressed), priority, approved).await?;
        if let Some(Answers { id, event_id }) = self.answers {
            let message = (self.copy.application_id, grant_id, id);
            let marked = UpdateMessage { answered: Some(true), ..UpdateMessage::nothing(message, event_id, now) };
            marked.run(tx).await?;
        }
        if !suppressed.is_empty() {
            self.announce_rejected(tx, &sent, &suppressed).await?;
        }
        if let Some(from) = &self.from_draft {
            from.close(tx, &self.copy, now).await?;
        }
        if let (Some(hold), Some(told)) = (&held, self.hold_told()) {
            hold.released(tx, self.copy.message_id, told, now).await?;
        }
        let answer = (200, self.copy.message_id, thread_id, &placement);
        self.once.remember(tx, grant_id, answer, &suppressed, now).await?;
        if let (Some(pool), Some((_, recipient))) = (self.once.pool, self.recipients.first()) {
            sender_pools::remember(tx, pool, recipient, grant_id, now).await?;
        }
        if let Some(judged) = judged {
            self.record(tx, &judged, (true, &assigned)).await?;
        }
        Ok(SubmitOutcome::Accepted { thread_id, daily: cleared.daily(), placement, suppressed })
    }

    async fn enqueue(
        &self,
        tx: &mut Tx,
        (sent, suppressed): (&Sent, &[Suppressed]),
        priority: Priority,
        is_approved: bool,
    ) -> Result<(), DbError> {
        const OUTBOUND: &str = "INSERT INTO outbound (message_id, grant_id, application_id, blob_id, reverse_path, \
            queued_at, recipients_open, quota_day, approved, organization_id, workspace_id, thread_id, sender) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        const QUEUE: &str = "INSERT INTO queue (id, message_id, recipient, due_at, attempts, lease, owner, destination, \
            priority, trace) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, $9)";
        let (message, now) = (self.copy.message_id.uuid(), self.facts.date);
        let (reverse_path, sender) = (self.reverse_path.to_string(), sent.sender.to_string());
        let values = params![
            message,
            self.copy.grant_id.uuid(),
            self.copy.application_id.uuid(),
            self.blob.id().uuid(),
            &reverse_path,
            now.as_micros(),
            self.recipients.len().saturating_sub(suppressed.len()) as i64,
            now.day().number(),
            is_approved,
            sent.organization_id.uuid(),
            sent.workspace_id.map(|id| id.uuid()),
            sent.thread_id.map(|id| id.uuid()),
            &sender
        ];
        tx.execute(OUTBOUND, values).await?;
        let later = now.plus(self.guard.limits.slowed(self.guard.hops));
        let due = self.lease.as_ref().map_or(later, |lease| lease.until).as_micros();
        let lease = self.lease.as_ref().map(|lease| lease.id.uuid());
        let owner = self.lease.as_ref().map(|lease| lease.owner.as_str());
        let trace = tx.trace();
        let trace = trace.as_ref().map(|octets| &octets[..]);
        let is_suppressed = |address: &EmailAddress| suppressed.iter().any(|one| one.address == *address);
        for (id, recipient) in self.recipients.iter().filter(|(_, address)| !is_suppressed(address)) {
            let (address, destination) = (recipient.to_string(), recipient.domain().as_str());
            let priority = priority.number();
            let values = params![id.uuid(), message, &address, due, lease, owner, destination, priority, trace];
            tx.execute(QUEUE, values).await?;
            tx.tally().happened(SendEvent::new(sent, SendEventKind::Accepted, Some(recipient), (id.uuid(), now)));
        }
        Ok(())
    }
}

async fn count_send(tx: &mut Tx, submit: &Submit, day: UtcDay, said: Option<&str>) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO daily_sends (grant_id, day, sent, said) VALUES ($1, $2, 1, $3) \
        ON CONFLICT (grant_id, day) DO UPDATE SET sent = daily_sends.sent + 1, \
        said = coalesce(excluded.said, daily_sends.said)";
    tx.execute(COUNT, params![submit.copy.grant_id.uuid(), day.number(), said]).await?;
    Ok(())
}
