//! Drafts: making, changing, removing and sending them. A draft is written as a message at once, so that a mail client
//! can go on with it, and what a client wrote is sent as it stands.

pub(crate) mod letter;

pub use letter::DraftChange;

use crate::platform::Platform;
use crate::receive::{new_copy, shard};
use crate::schedules::{self, Keeping, Scheduled};
use crate::submit::{self, Prepared, Sent, Terms, check_size, compose, outbound_type, unsubscribe};
use letter::Letter;
use postfleet_core::audit::Author;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{AuditId, BlobId, EventId, KeyId, MessageId, ThreadId};
use postfleet_core::schedule;
use postfleet_core::{EmailAddress, Patch, Problem, ProblemKind, UnixMicros, exchange};
use postfleet_mail::{message, submission};
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_mailbox::{drafts, filing};
use postfleet_schema::message::Message;
use postfleet_store::blobs::PreparedBlob;
use postfleet_store::drafts::{CreateDraft, CreateOutcome, DeleteDraft, DraftOutcome, FromDraft, UpdateDraft};
use postfleet_store::grants::Grant;
use postfleet_store::idempotency::{KeepAnswer, KeyedRequest};
use postfleet_store::messages::{self, MailboxCopy, MessageFacts, StoredMessage};
use postfleet_store::schedules::{NewSchedule, Release};

/// How often a draft is read again that somebody else changes at the same time.
const ATTEMPTS_MAX: usize = 5;

/// Puts a signature under a body, of which it is said whether it is plain text.
pub type Sign<'a> = dyn Fn(&str, bool) -> String + Sync + 'a;

/// What became of a draft that was to be sent.
#[derive(Debug)]
pub enum Dispatched {
    /// It is on its way.
    Sent(Sent),
    /// It waits for its time.
    Scheduled(Scheduled),
}

/// The key of a request that makes a draft, and how its answer is written.
pub struct KeepingDraft<'a> {
    /// The key.
    pub key: KeyedRequest,
    /// How the answer is written.
    pub written: &'a (dyn Fn(&Message) -> String + Sync),
}

/// Makes a draft. With a key its answer is kept.
pub async fn create(
    platform: &Platform,
    grant: &Grant,
    change: DraftChange,
    keeping: Option<KeepingDraft<'_>>,
) -> Result<Message, Problem> {
    const MADE: u16 = 200;
    let at = platform.clock.now();
    let letter = Letter::default().changed(change, at)?;
    let show = |Filed { stored, raw }: &Filed| view::message(stored, Some(raw), Fields::Standard);
    let answer = |filed: &Filed| {
        keeping.map(|KeepingDraft { key, written }| KeepAnswer {
            request: key,
            status: MADE,
            body: written(&show(filed)),
            at,
        })
    };
    let filed = file(platform, grant, letter, SystemFolder::Drafts.id(), None, answer).await?;
    Ok(show(&filed))
}

/// Changes a draft: what is not mentioned stays.
pub async fn update(
    platform: &Platform,
    grant: &Grant,
    id: MessageId,
    change: DraftChange,
) -> Result<Message, Problem> {
    for _ in 0..ATTEMPTS_MAX {
        let (before, raw) = drafts::load(&platform.store, grant.id, id).await?;
        let by = change.by;
        let letter = Letter::of(&before, &raw).changed(change.clone(), platform.clock.now())?;
        if let Some(filed) = replace(platform, grant, (&before, by), letter).await? {
            return Ok(view::message(&filed.stored, Some(&filed.raw), Fields::Standard));
        }
    }
    Err(superseded())
}

/// Removes a draft. If it was to be sent later, that is cancelled.
pub async fn delete(platform: &Platform, grant: &Grant, id: MessageId) -> Result<(), Problem> {
    let at = platform.clock.now();
    let audit_id = AuditId::new(at, platform.entropy.ten());
    let event_id = EventId::new(at, platform.entropy.ten());
    let command = DeleteDraft { application_id: grant.application_id, grant_id: grant.id, id, event_id, audit_id, at };
    let found = platform.store.run_near(shard(grant.id.uuid()), command).await?;
    if found { Ok(()) } else { Err(Problem::not_found()) }
}

/// Sends a draft now, or at the time that it names. What is refused leaves it as it was; of two who send it at once, one
/// does. With a key its answer is kept: by the one door, or as it is written if the draft waits.
pub async fn send(
    platform: &Platform,
    grant: &Grant,
    id: MessageId,
    (shown, by): (Fields, Option<Author>),
    sign: Option<&Sign<'_>>,
    keeping: Option<Keeping<'_>>,
) -> Result<Dispatched, Problem> {
    for _ in 0..ATTEMPTS_MAX {
        let loaded = match drafts::load(&platform.store, grant.id, id).await {
            Ok(draft) => draft,
            Err(problem) if problem.kind == ProblemKind::NotFound => return Err(gone(platform, grant, id).await?),
            Err(problem) => return Err(problem),
        };
        let signed = match sign {
            Some(sign) => signed(platform, grant, loaded, by.as_ref().and_then(Author::key), sign).await?,
            None => Some(loaded),
        };
        let Some((stored, raw)) = signed else { continue };
        let key = keeping.as_ref().map(|keeping| keeping.key.clone());
        let terms = Terms { may_wait: true, key, allow_duplicate: false, pool: None };
        let prepared = prepared(platform, grant, &stored, &raw, None);
        let prepared = prepared.map(|prepared| Prepared { shown, terms, by: by.clone(), ..prepared });
        let wish = Summary::from_json(&stored.summary).draft.and_then(|draft| draft.send_at);
        let dispatched = match wish {
            Some(send_at) => {
                let Prepared { recipients, summary, thread_id, .. } = prepared?;
                let by = by.as_ref().and_then(Author::key);
                let envelope = submit::envelope(platform, recipients.clone(), platform.clock.now());
                submit::remembered(platform, grant, by, envelope).await?;
                let facts = filing::sent(summary, raw.len() as u64, platform.clock.now());
                submit::judge_key(platform, grant, by, recipients, (&facts, thread_id)).await?;
                let draft = (&stored, raw.as_slice());
                let scheduled = schedules::draft(platform, grant, draft, (send_at, by), keeping.clone()).await;
                submit::remembered(platform, grant, by, scheduled).await.map(Dispatched::Scheduled)
            }
            None => submit::submit(platform, grant, prepared).await.map(Dispatched::Sent),
        };
        match dispatched {
            Err(problem) if problem.code == CHANGED => {}
            settled => return settled,
        }
    }
    Err(superseded())
}

/// A draft with a signature under its body. One that is sent now is changed in what leaves alone, so that it stays as it was if
/// it is refused; one that waits has it from now on. `None` if somebody else changes it meanwhile.
async fn signed(
    platform: &Platform,
    grant: &Grant,
    (stored, raw): (StoredMessage, Vec<u8>),
    by: Option<KeyId>,
    sign: &Sign<'_>,
) -> Result<Option<(StoredMessage, Vec<u8>)>, Problem> {
    let letter = Letter::of(&stored, &raw);
    if letter.written.is_some() {
        let text = "signature_id must be absent: this message leaves as it was written";
        return Err(Problem::invalid("signature_id", text));
    }
    let body = sign(&letter.outgoing.body, letter.outgoing.is_plaintext);
    let change = DraftChange { body: Patch::Set(body), ..DraftChange::default() };
    let letter = letter.changed(change, platform.clock.now())?;
    if letter.facts.send_at.is_some() {
        let filed = replace(platform, grant, (&stored, by), letter).await?;
        return Ok(filed.map(|filed| (filed.stored, filed.raw)));
    }
    let Letter { mut outgoing, facts, .. } = letter;
    // The link is its recipient's, and comes on top when it is sent.
    outgoing.has_unsubscribe_link = false;
    let Prepared { raw, summary, .. } = compose::prepare(platform, grant, outgoing).await?;
    check_size(platform, &raw)?;
    let summary = Summary { draft: Some(facts), ..summary }.to_json();
    Ok(Some((StoredMessage { summary, ..stored }, raw)))
}

const CHANGED: &str = "draft_changed";

/// The refusal of what was asked of a draft that is no longer as it was.
pub(crate) fn superseded() -> Problem {
    Problem::new(ProblemKind::Conflict, CHANGED, "the draft is being changed, sent or removed by somebody else")
}

/// Whether a refusal means that the draft has to be read again.
pub(crate) fn is_superseded(problem: &Problem) -> bool {
    problem.code == CHANGED
}

/// What to say of a draft that is not there: the sent copy has its id. What came in was never one.
async fn gone(platform: &Platform, grant: &Grant, id: MessageId) -> Result<Problem, Problem> {
    let found = messages::find(&mut platform.store.reader().await?, grant.id, id).await?;
    if found.is_none_or(|message| message.draft || !message.outgoing) {
        return Ok(Problem::not_found());
    }
    let text = "the draft was sent already; the message has the same id";
    Ok(Problem::new(ProblemKind::Conflict, "draft_already_sent", text))
}

/// The message of a draft as it leaves: under the present date, to everyone whom it names.
pub(crate) fn prepared(
    platform: &Platform,
    grant: &Grant,
    stored: &StoredMessage,
    raw: &[u8],
    release: Option<Release>,
) -> Result<Prepared, Problem> {
    let now = platform.clock.now();
    let summary = Summary::from_json(&stored.summary);
    check_author(grant, &summary)?;
    let recipients = recipients(&summary)?;
    let as_written = summary.draft.as_ref().is_some_and(|draft| draft.as_written);
    let (raw, message_id) = if as_written {
        (raw.to_vec(), summary.message_id.clone())
    } else {
        dated(grant, (stored, raw), &summary, now)?
    };
    let wants_link = summary.draft.as_ref().is_some_and(|draft| draft.list_unsubscribe);
    let raw = if wants_link { with_link(platform, grant, stored.id, raw, &recipients)? } else { raw };
    // A message without a Message-ID is known by its id alone.
    let answers = summary.draft.as_ref().and_then(|draft| draft.reply_to_message_id.as_ref()?.parse().ok());
    let summary = Summary { message_id, draft: None, ..summary };
    Ok(Prepared {
        answers,
        message_id: stored.id,
        text: exchange::compared(&message::body(&raw)).to_owned(),
        raw,
        recipients,
        outbound_type: outbound_type(false, &summary),
        starred: stored.starred,
        summary,
        // Of a message that is written the header tells which conversation it belongs to.
        thread_id: Some(stored.thread_id).filter(|_| !as_written),
        own_thread_id: Some(stored.thread_id),
        date: now,
        shown: Fields::Standard,
        terms: Terms::default(),
        // A draft is sent once as it is, and two that say the same are meant.
        content: None,
        from_draft: Some(FromDraft { seen: stored.blob_id, release, hold: None }),
        by: None,
    })
}

/// The message with what its one recipient needs to get no more mail.
fn with_link(
    platform: &Platform,
    grant: &Grant,
    id: MessageId,
    raw: Vec<u8>,
    recipients: &[EmailAddress],
) -> Result<Vec<u8>, Problem> {
    let names = message::headers(&raw);
    unsubscribe::check(platform, recipients, names.iter().map(|(name, _)| name.as_str()))?;
    Ok(unsubscribe::on_top(&raw, &unsubscribe::fields(platform, grant, id, recipients)?))
}

/// The message under the present date, with what it lacks, and its Message-ID.
fn dated(
    grant: &Grant,
    (stored, raw): (&StoredMessage, &[u8]),
    summary: &Summary,
    now: UnixMicros,
) -> Result<(Vec<u8>, Option<String>), Problem> {
    let own_id = format!("{}@{}", stored.id, grant.email.domain());
    let completed = submission::complete(&submission::redated(raw, now), now, &own_id)
        .map_err(|error| Problem::invalid("draft", format!("draft: {error}")))?;
    // What we wrote ourselves every reader reads as we do.
    if let (Some(header), None) = (completed.unclear, &summary.draft) {
        let text = format!("draft: {header} must be addresses, or names with addresses in angle brackets, and commas");
        return Err(Problem::invalid("draft", text));
    }
    Ok((completed.raw, completed.view.message_id))
}

/// The author is the mailbox, whoever wrote the draft.
fn check_author(grant: &Grant, summary: &Summary) -> Result<(), Problem> {
    let own = grant.email.key();
    match summary.from.as_slice() {
        [from] if EmailAddress::parse(&from.email).is_ok_and(|email| email.key() == own) => Ok(()),
        _ => {
            let text = format!("from must be the account's own address {} and nothing else", grant.email);
            Err(Problem::invalid("from", text))
        }
    }
}

pub(crate) fn recipients(summary: &Summary) -> Result<Vec<EmailAddress>, Problem> {
    let headers = [("to", &summary.to), ("cc", &summary.cc), ("bcc", &summary.bcc)];
    let named =
        headers.into_iter().flat_map(|(header, people)| people.iter().enumerate().map(move |one| (header, one)));
    let parse = |(header, (index, person)): (&str, (usize, &Person))| {
        let field = format!("{header}[{index}].email");
        EmailAddress::parse(&person.email)
            .map_err(|error| Problem::invalid(&field, format!("{field} is not an address: {error}")))
    };
    named.map(parse).collect()
}

/// A draft that was filed.
pub(crate) struct Filed {
    pub(crate) stored: StoredMessage,
    pub(crate) raw: Vec<u8>,
}

/// What is filed of a draft.
struct Parts {
    message_id: MessageId,
    raw: Vec<u8>,
    facts: MessageFacts,
    blob: PreparedBlob,
    /// The thread of what it answers.
    thread_id: Option<ThreadId>,
    recipients: Vec<EmailAddress>,
}

/// Files a new draft in a folder, and perhaps schedules it. What is answered is kept with it, if it is under a key.
pub(crate) async fn file(
    platform: &Platform,
    grant: &Grant,
    letter: Letter,
    folder: &'static str,
    schedule: Option<NewSchedule>,
    answer: impl FnOnce(&Filed) -> Option<KeepAnswer>,
) -> Result<Filed, Problem> {
    let (starred, now) = (letter.starred, platform.clock.now());
    let wants_link = letter.facts.list_unsubscribe;
    let parts = write(platform, grant, letter, folder).await?;
    if schedule.is_some() {
        if wants_link {
            with_link(platform, grant, parts.message_id, parts.raw.clone(), &parts.recipients)?;
        }
        submit::envelope(platform, parts.recipients.clone(), now)?;
    }
    if let Some(schedule) = &schedule {
        let (recipients, thread) = (parts.recipients, parts.thread_id);
        submit::judge_key(platform, grant, schedule.by, recipients, (&parts.facts, thread)).await?;
    }
    let fresh = new_copy(platform, grant.id, grant.application_id, now);
    let copy = MailboxCopy { message_id: parts.message_id, ..fresh };
    let stored = submit::stored(&parts.facts, &copy, parts.blob.id());
    let (facts, blob, thread_id) = (parts.facts, parts.blob, parts.thread_id);
    let begun = thread_id.unwrap_or(copy.new_thread_id);
    let stored = StoredMessage { thread_id: begun, starred, unread: facts.unread, draft: true, ..stored };
    let filed = Filed { stored, raw: parts.raw };
    let answer = answer(&filed);
    let command = CreateDraft { blob, facts, copy, thread_id, starred, schedule, answer };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        CreateOutcome::Created(_) => Ok(filed),
        CreateOutcome::Refused(problem) => Err(problem),
        CreateOutcome::TooManySchedules => Err(schedules::too_many()),
        CreateOutcome::NoSuchGrant => Err(Problem::not_found()),
    }
}

/// Puts a draft in the place of another; `None` if that is not as it was read.
async fn replace(
    platform: &Platform,
    grant: &Grant,
    (before, by): (&StoredMessage, Option<KeyId>),
    letter: Letter,
) -> Result<Option<Filed>, Problem> {
    let (starred, now) = (letter.starred, platform.clock.now());
    let send_at = letter.facts.send_at.map(UnixMicros::from_seconds);
    let parts = write(platform, grant, letter, SystemFolder::Drafts.id()).await?;
    let thread_id = parts.thread_id.unwrap_or(before.thread_id);
    let fresh = new_copy(platform, grant.id, grant.application_id, now);
    let copy = MailboxCopy { message_id: before.id, ..fresh };
    let stored = submit::stored(&parts.facts, &copy, parts.blob.id());
    let stored = StoredMessage { thread_id, starred, unread: parts.facts.unread, draft: true, ..stored };
    let (facts, blob, seen) = (parts.facts, parts.blob, before.blob_id);
    let command = UpdateDraft { copy, seen, blob, facts, thread_id, starred, send_at, by };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        DraftOutcome::Done => Ok(Some(Filed { stored, raw: parts.raw })),
        DraftOutcome::Changed => Ok(None),
        DraftOutcome::Gone => Err(Problem::not_found()),
        DraftOutcome::Refused(problem) => Err(problem),
    }
}

async fn write(platform: &Platform, grant: &Grant, letter: Letter, folder: &'static str) -> Result<Parts, Problem> {
    let Letter { mut outgoing, facts, unread, written, .. } = letter;
    // The link is its recipient's, who is known when it is sent.
    outgoing.has_unsubscribe_link = false;
    let prepared = match written {
        Some(raw) => compose::written(platform, raw, outgoing)?,
        None => compose::prepare(platform, grant, outgoing).await?,
    };
    check_size(platform, &prepared.raw)?;
    let summary = Summary { draft: Some(facts), ..prepared.summary };
    let (raw, now) = (prepared.raw, prepared.date);
    let facts = filing::draft(summary, raw.len() as u64, now, unread, folder);
    let blob = platform.store.blobs().prepare(BlobId::new(now, platform.entropy.ten()), &raw).await?;
    let (message_id, thread_id, recipients) = (prepared.message_id, prepared.thread_id, prepared.recipients);
    Ok(Parts { message_id, raw, facts, blob, thread_id, recipients })
}

/// A time to send at, checked.
fn send_time(seconds: i64, now: UnixMicros) -> Result<Option<i64>, Problem> {
    // Some clients say nothing by naming the beginning of all time.
    if seconds == 0 { Ok(None) } else { schedule::check(seconds, now).map(|_| Some(seconds)) }
}
