//! Mail out: the one door through which everything that is sent goes. Nothing else puts anything into the queue.
//!
//! A caller makes a [`Prepared`] message, from fields ([`compose`]) or from a message that is written already ([`raw`]),
//! and hands it to [`submit`]. What a mail client submits by SMTP ([`client`]) is one of the latter.

pub mod client;
pub mod compose;
pub(crate) mod exchange;
pub mod explain;
pub mod files;
pub mod once;
pub mod raw;
pub mod request;
pub(crate) mod unsubscribe;

pub use compose::Outgoing;
pub use once::Terms;

use crate::deliver::{self, Accepted, Room};
use crate::drafts;
use crate::feedback;
use crate::holds;
use crate::platform::Platform;
use crate::receive::{new_copy, shard};
use futures::future::join;
use postfleet_core::audit::Author;
use postfleet_core::folder::SCHEDULED;
use postfleet_core::id::{BlobId, EvaluationId, EventId, KeyId, MessageId, QueueId, ScheduleId, ThreadId};
use postfleet_core::outbound::{too_large, too_many_recipients};
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::quota::Allowance;
use postfleet_core::rule::{OutboundType, Placement};
use postfleet_core::suppression::Suppressed;
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_fleet::opt_ins::purpose_hash;
use postfleet_mailbox::filing;
use postfleet_mailbox::messages::with_message_id;
use postfleet_mailbox::summary::{DraftFacts, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::{Message, SuppressedRecipient};
use postfleet_store::drafts::{CreateDraft, FromDraft};
use postfleet_store::grants::Grant;
use postfleet_store::holds::Hold;
use postfleet_store::key_use::JudgeKey;
use postfleet_store::messages::{MailboxCopy, MessageFacts, StoredMessage};
use postfleet_store::outbound::{Answers, Guard, Submit, SubmitOutcome, Turn, Waiting};
use postfleet_store::refusals::RecordRefusal;
use postfleet_trace::Instrument;
use std::collections::HashSet;
use std::sync::Arc;

/// A message as it will leave, with its envelope.
#[derive(Debug)]
pub struct Prepared {
    /// The id of the sent copy.
    pub message_id: MessageId,
    /// The message as recipients get it, but for the signature. It has no Bcc field.
    pub raw: Vec<u8>,
    /// Everyone who gets it, each once.
    pub recipients: Vec<EmailAddress>,
    /// What lists show of it, with those who get it unseen.
    pub summary: Summary,
    /// The thread of the message that it answers, if that was named.
    pub thread_id: Option<ThreadId>,
    /// The message of the mailbox that it answers, if that was named by its id.
    pub answers: Option<MessageId>,
    /// The thread that it begins if it joins none, should that be known.
    pub own_thread_id: Option<ThreadId>,
    /// Whether it begins a conversation, as rules see it.
    pub outbound_type: OutboundType,
    /// Whether the sent copy has a star.
    pub starred: bool,
    /// When it was prepared.
    pub date: UnixMicros,
    /// What the answer shows of the sent copy.
    pub shown: Fields,
    /// What the caller says about repeats.
    pub terms: Terms,
    /// The hash of whom it goes to and what it says: the same is not sent twice in a short time. None where a repeat is
    /// meant, as it is when a mail client submits a message again.
    pub content: Option<[u8; 32]>,
    /// The draft that it is, if it is one.
    pub from_draft: Option<FromDraft>,
    /// The beginning of what it says, as far as it is compared with what was said before.
    pub text: String,
    /// Who sends it: should it be held, they are not who approves it. `None` if the mailbox itself does: a mail client, or
    /// one of its tokens some time ago.
    pub by: Option<Author>,
}

/// A message that was accepted for sending.
#[derive(Debug)]
pub struct Sent {
    /// The sent copy.
    pub message: Message,
    /// The daily allowance with this send counted.
    pub daily: Allowance,
    /// Recipients that get nothing, because they are suppressed.
    pub suppressed: Vec<Suppressed>,
    /// Whether it is a message that was sent a moment ago, and which was not sent again.
    pub is_duplicate: bool,
    /// Whether it waits for its turn, because it is above the rate of its organization.
    pub waits: bool,
    /// Why nothing leaves yet, if it is held: the message waits then, and of the allowance nothing is taken.
    pub held: Option<Box<Hold>>,
}

/// Writes a message and accepts it for sending, or says why not. When it returns well, the message is on stable storage
/// and will be delivered or reported.
pub async fn send(platform: &Platform, grant: &Grant, outgoing: Outgoing) -> Result<Sent, Problem> {
    let prepared = compose::prepare(platform, grant, outgoing).await;
    submit(platform, grant, prepared).await
}

/// Accepts a message for sending, unless it could not even be prepared, and counts what became of it.
pub async fn submit(platform: &Platform, grant: &Grant, prepared: Result<Prepared, Problem>) -> Result<Sent, Problem> {
    let sent = match prepared {
        Ok(prepared) => accept(platform, grant, prepared).instrument(postfleet_trace::child!("submit")).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &sent {
        platform.metrics.refused(problem);
    }
    if let Ok(Sent { held: Some(hold), .. }) = &sent {
        platform.metrics.held(hold.reason);
    }
    platform.metrics.submitted(match &sent {
        Ok(sent) if sent.is_duplicate => "duplicate",
        Ok(sent) if sent.waits => "queued",
        Ok(sent) if sent.held.is_some() => "held",
        Ok(_) => "accepted",
        Err(problem) => problem.code,
    });
    sent
}

async fn accept(platform: &Platform, grant: &Grant, prepared: Prepared) -> Result<Sent, Problem> {
    let (shown, now, author) = (prepared.shown, prepared.date, prepared.by.clone());
    let by = author.as_ref().and_then(Author::key);
    remembered(platform, grant, by, exchange::check(platform, grant, &prepared).await).await?;
    let (command, raw) = remembered(platform, grant, by, command(platform, grant, prepared).await).await?;
    // Room at the delivery role is taken first: a message that is leased must have its worker. What goes round waits.
    let is_slowed = !command.guard.limits.slowed(command.guard.hops).is_zero();
    let room = match is_slowed {
        true => None,
        false => Room::take(platform, grant.application_id, &command.recipients, now),
    };
    let command = Arc::new(Submit { lease: room.as_ref().map(|_| deliver::new_lease(platform, now)), ..command });
    let mut worker = room.zip(to_deliver(&command)).map(|(room, accepted)| room.expect(accepted));
    let signing = async {
        match &worker {
            Some(_) => deliver::sign_ahead(platform, &command.reverse_path, &raw).await,
            None => None,
        }
    };
    let (outcome, signature) = join(decided(platform, grant, command.clone(), author), signing).await;
    // Without an answer it may be accepted; the worker looks.
    let outcome = outcome?;
    if !matches!(outcome, SubmitOutcome::Accepted { .. })
        && let Some(worker) = worker.take()
    {
        worker.dismiss();
    }
    match outcome {
        SubmitOutcome::Accepted { thread_id, daily, placement, suppressed } => {
            let Placement { folders, unread, starred } = placement;
            let stored = stored(&command.facts, &command.copy, command.blob.id());
            let stored = StoredMessage { thread_id, folders, unread, starred, ..stored };
            let mut message = view::message(&stored, Some(&raw), shown);
            message.suppressed_recipients = Some(left_out(&suppressed));
            match worker {
                Some(worker) => {
                    worker.hand_over(raw, signature, |address| suppressed.iter().all(|one| one.address != *address));
                }
                None => deliver::announce(platform, &command.recipients),
            }
            Ok(Sent { message, daily, suppressed, is_duplicate: false, waits: false, held: None })
        }
        SubmitOutcome::Repeated { message_id, thread_id, daily, suppressed } => {
            let sent = (message_id, thread_id, None);
            let message = once::sent_before(platform, grant.id, sent, &suppressed, shown).await?;
            Ok(Sent { message, daily, suppressed, is_duplicate: true, waits: false, held: None })
        }
        SubmitOutcome::Waits { thread_id, daily } => {
            let stored = StoredMessage { thread_id, ..stored(&command.facts, &command.copy, command.blob.id()) };
            let message = Message { headers: None, ..view::message(&stored, Some(&raw), shown) };
            Ok(Sent { message, daily, suppressed: Vec::new(), is_duplicate: false, waits: true, held: None })
        }
        SubmitOutcome::Held(hold) => {
            let message = holds::waiting(platform, grant, &hold, shown).await?;
            let daily = Allowance::daily(None, 0, now.day());
            Ok(Sent { message, daily, suppressed: Vec::new(), is_duplicate: false, waits: false, held: Some(hold) })
        }
        SubmitOutcome::Refused(problem) => Err(problem),
        SubmitOutcome::MustWait => Err(Problem::internal("a send does not know as what it waits")),
        SubmitOutcome::Unvalidated => Err(Problem::internal("recipients were not looked at")),
        SubmitOutcome::Unheld => Err(Problem::internal("nothing was said of how it is held")),
        SubmitOutcome::NoSuchGrant => Err(Problem::not_found()),
        SubmitOutcome::Superseded => Err(drafts::superseded()),
    }
}

/// Refusals of a send that are known before it is a command, or that are given where it only waits. What is wrong in a
/// request is none of them.
const REMEMBERED: [&str; 6] = [
    "too_many_recipients",
    "message_too_large",
    "storage_full",
    "too_many_schedules",
    exchange::ANSWERS_ITSELF,
    exchange::AUTOMATIC_ANSWER_REFUSED,
];

/// Counts such a refusal with those that the one door gives, so that whoever asks why a mailbox could not send is told.
pub(crate) async fn remembered<T>(
    platform: &Platform,
    grant: &Grant,
    by: Option<KeyId>,
    result: Result<T, Problem>,
) -> Result<T, Problem> {
    if let Err(problem) = &result
        && REMEMBERED.contains(&problem.code)
    {
        let (problem, at) = (problem.clone(), platform.clock.now());
        let command = RecordRefusal { grant_id: grant.id, problem, by, at };
        platform.store.run_near(shard(grant.id.uuid()), command).await?;
    }
    result
}

/// The command that sends a message, for whatever worker there will be, and the message itself.
async fn command(platform: &Platform, grant: &Grant, prepared: Prepared) -> Result<(Submit, Vec<u8>), Problem> {
    let answers = answered(platform, grant, &prepared).await?;
    let Prepared { message_id, raw, recipients, summary, thread_id, outbound_type, text, date: now, .. } = prepared;
    let (may_wait, starred) = (prepared.terms.may_wait, prepared.starred);
    let once = prepared.terms.into_once(platform, prepared.content);
    let recipients = envelope(platform, recipients, now)?;
    let require_opt_in = summary.require_opt_in.as_deref().map(purpose_hash);
    let terms = filing::terms_of_sent(&summary, &raw);
    let mut facts = MessageFacts { starred, ..filing::sent(summary, raw.len() as u64, now) };
    let going_on = (outbound_type, thread_id);
    let continued = exchange::continued(platform, grant, going_on, &facts.thread, now).await?;
    let raw = exchange::counted(platform, raw, (continued.hops, now), facts.thread.message_id.as_deref());
    (facts.octets, facts.thread.hops) = (raw.len() as u64, continued.hops);
    check_size(platform, &raw)?;
    let thread_id = continued.thread_id;
    let fresh = new_copy(platform, grant.id, grant.application_id, now);
    let reverse_path = feedback::return_path(platform, message_id, grant.email.domain(), now)?;
    // The thread of a draft ends with it, and begins anew with the sent copy.
    let new_thread_id = thread_id.or(prepared.own_thread_id).unwrap_or(fresh.new_thread_id);
    let command = Submit {
        blob: platform.store.blobs().prepare(BlobId::new(now, platform.entropy.ten()), &raw).await?.with_terms(terms),
        facts,
        guard: Guard { hops: continued.hops, text, limits: platform.settings.loops },
        copy: MailboxCopy { message_id, new_thread_id, ..fresh },
        thread_id,
        answers: answers.map(|id| Answers { id, event_id: EventId::new(now, platform.entropy.ten()) }),
        outbound_type,
        from_draft: prepared.from_draft,
        by: prepared.by.as_ref().and_then(Author::key),
        evaluation_id: EvaluationId::new(now, platform.entropy.ten()),
        sender: grant.email.clone(),
        reverse_path,
        sender_domain: grant.email.domain().clone(),
        recipients,
        undeliverable: None,
        require_opt_in,
        hold: None,
        rejected_event_id: EventId::new(now, platform.entropy.ten()),
        quota_event_id: EventId::new(now, platform.entropy.ten()),
        once,
        turn: if may_wait { Turn::MayWait } else { Turn::Now },
        lease: None,
    };
    Ok((command, raw))
}

/// The message of the mailbox that is answered: the one that was named, else the one that the header names.
async fn answered(platform: &Platform, grant: &Grant, prepared: &Prepared) -> Result<Option<MessageId>, Problem> {
    match (prepared.answers, &prepared.summary.in_reply_to) {
        (Some(id), _) => Ok(Some(id)),
        (None, Some(header)) => Ok(with_message_id(&platform.store, grant.id, header).await?.map(|message| message.id)),
        (None, None) => Ok(None),
    }
}

/// What the worker of a message is told, if it is to have one at once.
fn to_deliver(command: &Submit) -> Option<Accepted> {
    command.lease.as_ref().map(|lease| Accepted {
        message_id: command.copy.message_id,
        grant_id: command.copy.grant_id,
        application_id: command.copy.application_id,
        lease: lease.id,
        reverse_path: command.reverse_path.clone(),
        queued_at: command.facts.date,
        recipients: command.recipients.clone(),
    })
}

/// Runs the command; once more with what is found out about the recipients, if the policy wants them looked at, and with
/// how it is held or as what it waits, if it has to. Nothing is locked meanwhile.
async fn decided(
    platform: &Platform,
    grant: &Grant,
    mut command: Arc<Submit>,
    author: Option<Author>,
) -> Result<SubmitOutcome, Problem> {
    let shard = shard(grant.id.uuid());
    loop {
        let outcome = platform.store.run_near(shard, command.clone()).await?;
        let again = match outcome {
            SubmitOutcome::Unvalidated if command.undeliverable.is_none() => {
                let recipients: Vec<&EmailAddress> = command.recipients.iter().map(|(_, address)| address).collect();
                let undeliverable = platform.addresses().undeliverable(grant.application_id, &recipients).await?;
                Submit { undeliverable: Some(undeliverable), ..Arc::unwrap_or_clone(command) }
            }
            SubmitOutcome::Unheld if command.hold.is_none() => {
                let hold = holds::to_be_held(platform, grant, &command.facts, author.as_ref());
                Submit { hold: Some(hold), ..Arc::unwrap_or_clone(command) }
            }
            SubmitOutcome::MustWait if !matches!(command.turn, Turn::Waits(_)) => {
                let turn = Turn::Waits(Box::new(waiting(platform, &command)));
                Submit { turn, ..Arc::unwrap_or_clone(command) }
            }
            outcome => return Ok(outcome),
        };
        command = Arc::new(again);
    }
}

/// As what a send waits for its turn: it is written already, and leaves as it is.
fn waiting(platform: &Platform, command: &Submit) -> Waiting {
    let now = command.facts.date;
    let message = command.from_draft.is_none().then(|| {
        let draft = DraftFacts { created_at: now.as_seconds(), as_written: true, ..DraftFacts::default() };
        let summary = Summary { draft: Some(draft), ..Summary::from_json(&command.facts.summary) };
        CreateDraft {
            blob: command.blob.clone(),
            facts: filing::draft(summary, command.facts.octets, now, false, SCHEDULED),
            copy: command.copy,
            thread_id: command.thread_id,
            starred: command.facts.starred,
            schedule: None,
            answer: None,
        }
    });
    Waiting { schedule_id: ScheduleId::new(now, platform.entropy.ten()), message }
}

/// The envelope: every recipient once, each with the id of its queue row.
pub(crate) fn envelope(
    platform: &Platform,
    recipients: Vec<EmailAddress>,
    now: UnixMicros,
) -> Result<Vec<(QueueId, EmailAddress)>, Problem> {
    if recipients.is_empty() {
        return Err(Problem::invalid("to", "to must name at least one recipient"));
    }
    if recipients.len() > RECIPIENTS_MAX {
        return Err(too_many_recipients(recipients.len()));
    }
    let mut seen = HashSet::new();
    let once: Vec<_> = recipients.into_iter().filter(|address| seen.insert(address.key())).collect();
    // Ids of one moment are in no order of their own, and recipients are attempted in that of their ids.
    let mut ids: Vec<_> = once.iter().map(|_| QueueId::new(now, platform.entropy.ten())).collect();
    ids.sort_unstable();
    Ok(ids.into_iter().zip(once).collect())
}

/// Refuses a message that may not be sent later with the key that asks for it. It is asked again when its time comes.
pub(crate) async fn judge_key(
    platform: &Platform,
    grant: &Grant,
    by: Option<KeyId>,
    recipients: Vec<EmailAddress>,
    (facts, thread_id): (&MessageFacts, Option<ThreadId>),
) -> Result<(), Problem> {
    let Some(by) = by else { return Ok(()) };
    let command = JudgeKey {
        by,
        application_id: grant.application_id,
        grant_id: grant.id,
        sender: grant.email.clone(),
        recipients,
        summary: facts.summary.clone(),
        thread_id,
        hints: facts.thread.clone(),
        at: platform.clock.now(),
    };
    platform.store.run_near(shard(grant.id.uuid()), command).await?.map_or(Ok(()), Err)
}

/// What the message is to its conversation: it answers if it names what it answers, in the request or in its header.
pub(crate) fn outbound_type(answers: bool, summary: &Summary) -> OutboundType {
    let refers = summary.in_reply_to.is_some() || !summary.references.is_empty();
    if answers || refers { OutboundType::Reply } else { OutboundType::Compose }
}

/// Refuses what no plan allows before it is compressed and stored; the plan's own limit is judged with the rest.
pub(crate) fn check_size(platform: &Platform, raw: &[u8]) -> Result<(), Problem> {
    let limit = platform.store.plans().outbound_octets_ceiling();
    if raw.len() as u64 > limit { Err(too_large(raw.len() as u64, limit)) } else { Ok(()) }
}

/// Who does not get it, as the answer says it.
fn left_out(suppressed: &[Suppressed]) -> Vec<SuppressedRecipient> {
    let shown = |one: &Suppressed| SuppressedRecipient { email: one.address.to_string(), reason: one.reason.name() };
    suppressed.iter().map(shown).collect()
}

/// The sent copy as it will be read back; thread, folders and marks are known once it is accepted.
pub(crate) fn stored(facts: &MessageFacts, copy: &MailboxCopy, blob_id: BlobId) -> StoredMessage {
    StoredMessage {
        id: copy.message_id,
        grant_id: copy.grant_id,
        thread_id: ThreadId::from_uuid(copy.new_thread_id.uuid()),
        blob_id,
        outgoing: true,
        date: facts.date,
        unread: false,
        starred: facts.starred,
        octets: facts.octets,
        folders: vec![facts.folder.to_owned()],
        summary: facts.summary.clone(),
        draft: false,
        assessment: None,
        answered: false,
    }
}
