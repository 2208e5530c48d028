//! Accepting a message for sending: quota, sent copy, queue rows and event, in one transaction.

mod explain;
mod facts;
mod guard;
mod held;
mod told;
mod turn;

use crate::blobs::{self, PreparedBlob};
use crate::db::DbError;
use crate::drafts::{self, CreateDraft, FromDraft, Held};
use crate::engine::{Command, Tx};
use crate::folders::{self, Assigned};
use crate::holds::{Hold, NewHold};
use crate::idempotency::{Earlier, Once};
use crate::judging::Scope;
use crate::messages::{self, FiledCopy, MailboxCopy, MessageFacts};
use crate::meters::Owner;
use crate::params;
use crate::refile::UpdateMessage;
use crate::refusals;
use crate::send_events::{SendEvent, Sent};
use crate::sender_pools;
use crate::warm_ups;
pub use explain::{Explain, Explained};
use facts::Loaded;
use guard::Passes;
pub use guard::{Guard, TripIds};
#[cfg(test)]
pub(crate) use guard::{OWN_SINCE, SAID_BEFORE, TURNS};
pub(crate) use guard::{Tripped, evidence, replaced};
use postfleet_core::hold::{self, State};
use postfleet_core::id::{
    EvaluationId, EventId, KeyId, LeaseId, MessageId, OrganizationId, QueueId, ScheduleId, ThreadId, WorkspaceId,
};
use postfleet_core::outbound::{ALL_SUPPRESSED, ClearedToSend, OutboundFacts, Priority, decide, priority};
use postfleet_core::quota::Allowance;
use postfleet_core::rule::{Input, Judgement, OutboundType, Placement, place};
use postfleet_core::send_event::SendEventKind;
use postfleet_core::stop;
use postfleet_core::suppression::{Suppressed, Undeliverable};
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, UnixMicros, UtcDay};

/// Accepts a message for sending, or refuses it. The only command that inserts into the queue.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The message as recipients get it, but for the signature.
    pub blob: PreparedBlob,
    /// What it is.
    pub facts: MessageFacts,
    /// The sender's own copy.
    pub copy: MailboxCopy,
    /// The thread of the message that it answers, if it was named.
    pub thread_id: Option<ThreadId>,
    /// The message of the mailbox that it answers, if that is known.
    pub answers: Option<Answers>,
    /// The mailbox's address: the sender, as rules see it.
    pub sender: EmailAddress,
    /// Where failures are reported: an address of the message's own.
    pub reverse_path: EmailAddress,
    /// The domain of the From address.
    pub sender_domain: Domain,
    /// Whether it begins a conversation, as rules see it.
    pub outbound_type: OutboundType,
    /// What is known of the conversation that it goes on with, and of what it says.
    pub guard: Guard,
    /// The id of the record of what the rules say, if there are any.
    pub evaluation_id: EvaluationId,
    /// The draft that this sends, if it is one: it has the id of the sent copy, which takes its place.
    pub from_draft: Option<FromDraft>,
    /// Envelope recipients, without repeats, each with the id of its queue row. Those that are suppressed get none.
    pub recipients: Vec<(QueueId, EmailAddress)>,
    /// Those of them that mail cannot reach; `None` if nobody has looked, which is asked for if the policy wants it.
    pub undeliverable: Option<Vec<Undeliverable>>,
    /// The hash of the purpose for which each of them must have agreed to mail, if one was named.
    pub require_opt_in: Option<[u8; 32]>,
    /// The id of the event about those that are suppressed, should there be any.
    pub rejected_event_id: EventId,
    /// The id of the event about a quota, should a line of it be crossed.
    pub quota_event_id: EventId,
    /// What keeps it from being sent twice.
    pub once: Once,
    /// The key with which it is sent, or was scheduled; `None` if a person or a mail client sends it.
    pub by: Option<KeyId>,
    /// Whether it may wait for its turn if it is above the rate of its organization.
    pub turn: Turn,
    /// How it is held, should it have to be; asked for if it has to.
    pub hold: Option<NewHold>,
    /// The lease of the worker that will be handed the message as soon as it is accepted. Without one, its rows are
    /// due for whoever claims them; the caller tells, if they have to be told.
    pub lease: Option<Lease>,
}

/// What a message answers: it is marked as answered with the commit that accepts the answer.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// The message that is answered.
    pub id: MessageId,
    /// The id of the event that tells it, should it not be marked yet.
    pub event_id: EventId,
}

/// What becomes of a send above the rate of its organization, where the plan lets some wait.
#[derive(Clone, Debug)]
pub enum Turn {
    /// It is refused.
    Now,
    /// It may wait: [`SubmitOutcome::MustWait`] asks for what it waits as.
    MayWait,
    /// It waits.
    Waits(Box<Waiting>),
}

/// As what a send waits for its turn.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The id of its schedule, which nobody sees.
    pub schedule_id: ScheduleId,
    /// The message that waits; none for a draft, which waits where it is.
    pub message: Option<CreateDraft>,
}

/// The right of one worker to work on rows, until it ends.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The node that works on them.
    pub owner: String,
    /// When it ends.
    pub until: UnixMicros,
}

/// What became of [`Submit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It will be delivered.
    Accepted {
        /// The thread of the sent copy.
        thread_id: ThreadId,
        /// The daily allowance with this send counted.
        daily: Allowance,
        /// Where the sent copy is, and how it is marked.
        placement: Placement,
        /// Recipients that get nothing, because they are suppressed.
        suppressed: Vec<Suppressed>,
    },
    /// It is above the rate, and waits if it is run again with what it waits as. Nothing was done.
    MustWait,
    /// It waits for its turn, and leaves then.
    Waits {
        /// The thread of the sent copy.
        thread_id: ThreadId,
        /// The daily allowance, of which it takes when it leaves.
        daily: Allowance,
    },
    /// The policy wants that recipients are looked at first: run it again with what was found. Nothing was done.
    Unvalidated,
    /// The same was sent a moment ago, so that it is not sent again, and takes nothing.
    Repeated {
        /// The copy of what was sent.
        message_id: MessageId,
        /// Its thread.
        thread_id: ThreadId,
        /// The daily allowance.
        daily: Allowance,
        /// Recipients that got nothing, because they were suppressed.
        suppressed: Vec<Suppressed>,
    },
    /// It has to be held: run it again with how. Nothing was done.
    Unheld,
    /// It is held, or was already: nothing leaves, and it takes nothing.
    Held(Box<Hold>),
    /// It may not be sent.
    Refused(Problem),
    /// The mailbox was removed meanwhile.
    NoSuchGrant,
    /// The draft is no longer as it was read (changed, sent or removed), or its schedule is over or not due.
    Superseded,
}

impl Command for Submit {
    type Outcome = SubmitOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<SubmitOutcome, DbError> {
        let Some(loaded) = self.load_facts(tx).await? else { return Ok(SubmitOutcome::NoSuchGrant) };
        let Loaded {
            mut facts,
            owner,
            workspace,
            scope: rules,
            validates,
            key,
            earlier,
            quota,
            pools,
            warming,
            terms,
            mut watched,
        } = loaded;
        match earlier {
            Earlier::Nothing => {}
            Earlier::Key(problem) => return Ok(SubmitOutcome::Refused(problem)),
            Earlier::Sent(message_id, thread_id, suppressed) => {
                return Ok(SubmitOutcome::Repeated { message_id, thread_id, daily: facts.daily, suppressed });
            }
        }
        let draft = match &self.from_draft {
            None => None,
            Some(from) => match from.claim(tx, &self.copy, self.facts.date).await? {
                None => return Ok(SubmitOutcome::Superseded),
                draft => draft,
            },
        };
        let held = self.held_already(tx, &terms).await?;
        self.make_room(tx, &mut facts, draft.as_ref(), held.as_ref()).await?;
        let sent = self.as_sent(owner, workspace);
        // A key by which something may not be sent is judged before it is told of what waits.
        let mut waits = None;
        if let Some(hold) = &held {
            if self.hold_told().is_none() {
                return Ok(SubmitOutcome::Unheld);
            }
            facts.approved = hold.state == State::Approved && hold.version == terms.version;
            if hold.state == State::Approved && !facts.approved && self.released_hold().is_some() {
                return self.look_again(tx, hold, &terms).await;
            }
            waits = (!facts.approved && self.released_hold().is_none()).then_some(hold);
            if let Some(hold) = waits.filter(|_| key.is_none()) {
                return self.answer_held(tx, hold.clone()).await;
            }
        } else if self.released_hold().is_some() {
            return Ok(SubmitOutcome::Superseded);
        }
        if validates && self.undeliverable.is_none() {
            return Ok(SubmitOutcome::Unvalidated);
        }
        let judged = self.complete(tx, &mut facts, rules, key.as_ref()).await?;
        if let Some(hold) = waits {
            return match facts.key.as_ref().and_then(|key| key.refusals().into_iter().next()) {
                Some(problem) => self.refuse(tx, problem, (&sent, &facts.suppressed), judged).await,
                None => self.answer_held(tx, hold.clone()).await,
            };
        }
        facts.warm_up = warm_ups::lock(tx, warming, self.facts.date.day()).await?;
        let shares = self.take_turn(tx, &mut facts, &pools, held.as_ref()).await?;
        let decided = match decide(&facts) {
            // Whether it goes round in circles, or trips a breaker, is asked of what would be sent.
            Ok(_) if !self.look(tx, &mut facts, &mut watched).await? => return Ok(SubmitOutcome::Unheld),
            Ok(_) if watched.problem.is_some() => watched.problem.take().map_or_else(|| decide(&facts), Err),
            _ => decide(&facts),
        };
        match decided {
            Ok(cleared) => {
                if let Some(turn_at) = shares.later(self.facts.date) {
                    return self.wait(tx, turn_at, &shares, facts.daily, (draft, &sent)).await;
                }
                shares.keep(tx).await?;
                if let (Some(key), Some(using)) = (&key, &facts.key) {
                    key.count(tx, using, self.facts.date.day()).await?;
                }
                warm_ups::count(tx, warming, facts.warm_up).await?;
                let crossed = quota.crossed(&cleared.daily());
                let passes = watched.passes(self.facts.date);
                let sender = (facts, owner, sent);
                let outcome = self.accept(tx, cleared, sender, judged, (draft, held), &passes).await?;
                if let (Some(crossed), SubmitOutcome::Accepted { .. }) = (crossed, &outcome) {
                    self.announce_quota(tx, &crossed).await?;
                }
                Ok(outcome)
            }
            Err(problem) => {
                let crossed = quota.refused(&problem, &facts.daily);
                let outcome = match hold::reason(&problem, terms.on_quota) {
                    Some(reason) => self.hold(tx, (reason, problem), (&sent, terms), judged, (draft, held)).await?,
                    None => self.refuse(tx, problem, (&sent, &facts.suppressed), judged).await?,
                };
                // Of what is to be run again nothing is told yet.
                if let Some(crossed) = crossed.filter(|_| outcome != SubmitOutcome::Unheld) {
                    self.announce_quota(tx, &crossed).await?;
                }
                Ok(outcome)
            }
        }
    }
}

/// What the rules say about a message that is to be sent.
struct Judged {
    scope: Scope,
    input: Input,
    judgement: Judgement,
}

impl Submit {
    /// Counts the send, and writes the sent copy, the queue rows and what is remembered of it.
    async fn accept(
        &self,
        tx: &mut Tx,
        cleared: ClearedToSend,
        (facts, owner, mut sent): (OutboundFacts, Owner, Sent),
        judged: Option<Judged>,
        (draft, held): (Option<Held>, Option<Hold>),
        passes: &Passes,
    ) -> Result<SubmitOutcome, DbError> {
        let OutboundFacts { suppressed, daily, meters, approved, .. } = facts;
        let (grant_id, now) = (self.copy.grant_id, self.facts.date);
        let (placement, assigned) = match &judged {
            Some(judged) => {
                let effects = &judged.judgement.effects;
                let assigned = self.assigned(tx, judged).await?;
                (place(effects, self.facts.folder, self.facts.unread, |name| assigned.id(name)), assigned)
            }
            None => (self.facts.placement(), Assigned::default()),
        };
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

    /// The folders that rules assign.
    async fn assigned(&self, tx: &mut Tx, judged: &Judged) -> Result<Assigned, DbError> {
        let MailboxCopy { grant_id, message_id, .. } = self.copy;
        folders::assign(tx, (grant_id, message_id), &judged.judgement.effects.folders, self.facts.date).await
    }

    /// Those of them that are there: for what does not leave none is made.
    async fn named(&self, tx: &mut Tx, judged: &Judged) -> Result<Assigned, DbError> {
        folders::assigned(tx, self.copy.grant_id, &judged.judgement.effects.folders).await
    }

    /// Whose message it is, as its outcomes are counted.
    fn as_sent(&self, owner: Owner, workspace_id: Option<WorkspaceId>) -> Sent {
        Sent {
            organization_id: OrganizationId::from_uuid(owner.organization),
            application_id: self.copy.application_id,
            grant_id: self.copy.grant_id,
            workspace_id,
            message_id: self.copy.message_id,
            thread_id: self.thread_id,
            sender: self.sender.clone(),
        }
    }

    /// Writes what is told of a send that is refused.
    async fn refuse(
        &self,
        tx: &mut Tx,
        problem: Problem,
        (sent, suppressed): (&Sent, &[Suppressed]),
        judged: Option<Judged>,
    ) -> Result<SubmitOutcome, DbError> {
        // What is refused for another reason is not judged.
        let by_rules = matches!(problem.kind, ProblemKind::BlockedByRule | ProblemKind::Undecidable);
        if let Some(judged) = judged.filter(|_| by_rules) {
            let named = self.named(tx, &judged).await?;
            self.record(tx, &judged, (false, &named)).await?;
        }
        if problem.code == ALL_SUPPRESSED {
            self.announce_rejected(tx, sent, suppressed).await?;
        }
        // What is tried again by itself was told of when it was held.
        if self.released_hold().is_none() || !(problem.is_retryable() || stop::is_of_stop(&problem)) {
            refusals::record(tx, self.copy.grant_id, &problem, self.by, self.facts.date).await?;
        }
        Ok(SubmitOutcome::Refused(problem))
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
            priority) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8)";
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
        let is_suppressed = |address: &EmailAddress| suppressed.iter().any(|one| one.address == *address);
        for (id, recipient) in self.recipients.iter().filter(|(_, address)| !is_suppressed(address)) {
            let (address, destination) = (recipient.to_string(), recipient.domain().as_str());
            let values = params![id.uuid(), message, &address, due, lease, owner, destination, priority.number()];
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
