//! Accepting a message for sending: quota, sent copy, queue rows and event, in one transaction.

mod accept;
mod explain;
mod facts;
mod guard;
mod held;
mod told;
mod turn;

use crate::blobs::PreparedBlob;
use crate::db::DbError;
use crate::drafts::{CreateDraft, FromDraft, Held};
use crate::engine::{Command, Tx};
use crate::holds::{Hold, NewHold};
use crate::idempotency::{Earlier, Once};
use crate::judging::Scope;
use crate::messages::{MailboxCopy, MessageFacts};
use crate::meters::Owner;
use crate::rates::Shares;
use crate::refusals;
use crate::send_events::Sent;
use crate::warm_ups;
pub use explain::{Explain, Explained};
use facts::Loaded;
pub use guard::{Guard, TripIds};
#[cfg(test)]
pub(crate) use guard::{OWN_SINCE, SAID_BEFORE, TURNS};
pub(crate) use guard::{Tripped, evidence, replaced};
use postfleet_core::hold;
use postfleet_core::id::{
    EvaluationId, EventId, KeyId, LeaseId, MessageId, OrganizationId, QueueId, ScheduleId, ThreadId, WorkspaceId,
};
use postfleet_core::outbound::{ALL_SUPPRESSED, ClearedToSend, decide};
use postfleet_core::quota::Allowance;
use postfleet_core::rule::{Input, Judgement, OutboundType, Placement};
use postfleet_core::stop;
use postfleet_core::suppression::{Suppressed, Undeliverable};
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, UnixMicros};

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

/// What the rules say about a message that is to be sent.
struct Judged {
    scope: Scope,
    input: Input,
    judgement: Judgement,
}

/// A send on its way through the steps.
struct Sending {
    loaded: Loaded,
    sent: Sent,
    /// The draft that it sends.
    draft: Option<Held>,
    /// The hold that it is about.
    held: Option<Hold>,
    /// What the rules say, once they are asked.
    judged: Option<Judged>,
}

/// Why there are no further steps.
enum Ended {
    /// The answer is known.
    Early(Box<SubmitOutcome>),
    Failed(DbError),
}

impl From<SubmitOutcome> for Ended {
    fn from(outcome: SubmitOutcome) -> Self {
        Self::Early(Box::new(outcome))
    }
}

impl From<DbError> for Ended {
    fn from(error: DbError) -> Self {
        Self::Failed(error)
    }
}

impl Command for Submit {
    type Outcome = SubmitOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<SubmitOutcome, DbError> {
        match self.send(tx).await {
            Ok(outcome) => Ok(outcome),
            Err(Ended::Early(outcome)) => Ok(*outcome),
            Err(Ended::Failed(error)) => Err(error),
        }
    }
}

/// The steps, in their order.
impl Submit {
    async fn send(&self, tx: &mut Tx) -> Result<SubmitOutcome, Ended> {
        let loaded = self.load_facts(tx).await?.ok_or(SubmitOutcome::NoSuchGrant)?;
        answer_repeated(&loaded)?;
        let draft = self.claim_draft(tx).await?;
        let held = self.held_already(tx, &loaded.terms).await?;
        let sent = self.as_sent(loaded.owner, loaded.workspace);
        let mut sending = Sending { loaded, sent, draft, held, judged: None };
        self.make_room(tx, &mut sending).await?;
        let waits = self.look_at_hold(tx, &mut sending).await?;
        self.ask_for_validation(&sending.loaded)?;
        sending.judged = self.complete(tx, &mut sending.loaded).await?;
        if let Some(hold) = waits {
            return Ok(self.answer_waiting(tx, hold, sending).await?);
        }
        let shares = self.take_turn(tx, &mut sending).await?;
        match self.decide(tx, &mut sending.loaded).await? {
            Ok(cleared) => Ok(self.pass(tx, cleared, &shares, sending).await?),
            Err(problem) => Ok(self.keep_back(tx, problem, sending).await?),
        }
    }

    /// The draft that is sent, if it is still as it was read.
    async fn claim_draft(&self, tx: &mut Tx) -> Result<Option<Held>, Ended> {
        let Some(from) = &self.from_draft else { return Ok(None) };
        let draft = from.claim(tx, &self.copy, self.facts.date).await?;
        Ok(Some(draft.ok_or(SubmitOutcome::Superseded)?))
    }

    /// Whoever has not looked whether the recipients can be reached does so first, where the policy wants it.
    fn ask_for_validation(&self, loaded: &Loaded) -> Result<(), Ended> {
        let is_wanted = loaded.validates && self.undeliverable.is_none();
        if is_wanted { Err(SubmitOutcome::Unvalidated.into()) } else { Ok(()) }
    }

    /// Decides. Whether it goes round in circles, or trips a breaker, is asked of what would be sent.
    async fn decide(&self, tx: &mut Tx, loaded: &mut Loaded) -> Result<Result<ClearedToSend, Problem>, Ended> {
        let decided = decide(&loaded.facts);
        if decided.is_err() {
            return Ok(decided);
        }
        if !self.look(tx, &mut loaded.facts, &mut loaded.watched).await? {
            return Err(SubmitOutcome::Unheld.into());
        }
        Ok(loaded.watched.problem.take().map_or_else(|| decide(&loaded.facts), Err))
    }

    /// Accepts what may be sent, at once or in its turn, and counts it wherever it counts.
    async fn pass(
        &self,
        tx: &mut Tx,
        cleared: ClearedToSend,
        shares: &Shares,
        sending: Sending,
    ) -> Result<SubmitOutcome, DbError> {
        let Loaded { facts, key, quota, warming, .. } = &sending.loaded;
        if let Some(turn_at) = shares.later(self.facts.date) {
            return self.wait(tx, turn_at, shares, facts.daily, (sending.draft, &sending.sent)).await;
        }
        shares.keep(tx).await?;
        if let (Some(key), Some(using)) = (key, &facts.key) {
            key.count(tx, using, self.facts.date.day()).await?;
        }
        warm_ups::count(tx, *warming, facts.warm_up).await?;
        let crossed = quota.crossed(&cleared.daily());
        let outcome = self.accept(tx, cleared, sending).await?;
        if let Some(crossed) = crossed {
            self.announce_quota(tx, &crossed).await?;
        }
        Ok(outcome)
    }

    /// Holds what may not be sent, or refuses it.
    async fn keep_back(&self, tx: &mut Tx, problem: Problem, sending: Sending) -> Result<SubmitOutcome, DbError> {
        let Loaded { facts, quota, terms, .. } = &sending.loaded;
        let crossed = quota.refused(&problem, &facts.daily);
        let outcome = match hold::reason(&problem, terms.on_quota) {
            Some(reason) => self.hold(tx, (reason, problem), sending).await?,
            None => self.refuse(tx, problem, (&sending.sent, &facts.suppressed), sending.judged).await?,
        };
        // Of what is to be run again nothing is told yet.
        if let Some(crossed) = crossed.filter(|_| outcome != SubmitOutcome::Unheld) {
            self.announce_quota(tx, &crossed).await?;
        }
        Ok(outcome)
    }
}

/// What was sent before under the same key, or with the same content, is not sent again.
fn answer_repeated(loaded: &Loaded) -> Result<(), Ended> {
    match &loaded.earlier {
        Earlier::Nothing => Ok(()),
        Earlier::Key(problem) => Err(SubmitOutcome::Refused(problem.clone()).into()),
        Earlier::Sent(message_id, thread_id, suppressed) => {
            let (daily, suppressed) = (loaded.facts.daily, suppressed.clone());
            let (message_id, thread_id) = (*message_id, *thread_id);
            Err(SubmitOutcome::Repeated { message_id, thread_id, daily, suppressed }.into())
        }
    }
}

impl Submit {
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
            self.record(tx, &judged, false).await?;
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
}
