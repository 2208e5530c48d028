//! Sends that are held: showing exactly what would leave, deciding on it, taking it back, and releasing it. Whoever releases
//! goes through the one door, where everything is judged again and the send takes its quota.

use crate::drafts;
use crate::platform::Platform;
use crate::receive::shard;
use crate::submit::once::content_of_mime;
use crate::submit::{self, Prepared, Terms};
use crate::unsent;
use postfleet_core::audit::{Act, Actor, ActorKind, Author};
use postfleet_core::folder::SCHEDULED;
use postfleet_core::hold::{self as limits, LOOK_AGAIN, NOTE_CHARS_MAX, Reason, State};
use postfleet_core::id::{ApplicationId, AuditId, EventId, GrantId, HoldId, StopId};
use postfleet_core::stop::{HELD_BY_LOOP, is_of_stop};
use postfleet_core::{EmailAddress, Problem, ProblemKind, UnixMicros};
use postfleet_mailbox::filing;
use postfleet_mailbox::messages::load;
use postfleet_mailbox::summary::{DraftFacts, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::Message;
use postfleet_store::drafts::FromDraft;
use postfleet_store::grants::{self, Grant};
use postfleet_store::holds::{
    self, CancelHold, CancelOutcome, DecideHold, DecideOutcome, Decision, EndHold, Hold, NewHold, PostponeHolds,
    Release, Told,
};
use postfleet_store::messages::{MessageFacts, StoredMessage};
use postfleet_store::outbound::TripIds;
use serde_json::{Value, json};

/// Mailboxes that one round looks at, sends of one of them, and expired ones.
const ROUND: usize = 64;

/// What a reviewer sees of a send that is held.
#[derive(Debug)]
pub struct Review {
    /// The message with its body.
    pub message: Message,
    /// The message as it would leave, but for its signature.
    pub raw: Vec<u8>,
    /// Everyone who would get it.
    pub recipients: Vec<EmailAddress>,
    /// What an approval is bound to.
    pub digest: [u8; 32],
    /// The version of the policy and the rules.
    version: String,
    stored: StoredMessage,
}

/// How a message is held, should it have to be.
pub(crate) fn to_be_held(platform: &Platform, grant: &Grant, sent: &MessageFacts, author: Option<&Author>) -> NewHold {
    let now = sent.date;
    let summary = Summary::from_json(&sent.summary);
    let facts = DraftFacts { created_at: now.as_seconds(), as_written: true, ..DraftFacts::default() };
    let mut waiting = filing::draft(Summary { draft: Some(facts), ..summary }, sent.octets, now, false, SCHEDULED);
    waiting.thread = sent.thread.clone();
    let request_id = author.map(|author| author.request_id.clone()).unwrap_or_default();
    NewHold {
        id: HoldId::new(now, platform.entropy.ten()),
        author: author.map_or_else(|| mailbox_itself(grant), |author| author.actor.clone()),
        waiting,
        trip: TripIds {
            stop_id: StopId::new(now, platform.entropy.ten()),
            audit_id: AuditId::new(now, platform.entropy.ten()),
            event_id: EventId::new(now, platform.entropy.ten()),
            tripped_id: EventId::new(now, platform.entropy.ten()),
        },
        told: Told { request_id, ..told(platform, now) },
    }
}

/// A mail client has no key, and nor has a token of the mailbox: both act for it alone.
fn mailbox_itself(grant: &Grant) -> Actor {
    Actor { kind: ActorKind::AccessToken, id: grant.id.to_string(), name: grant.email.to_string() }
}

fn told(platform: &Platform, at: UnixMicros) -> Told {
    Told {
        audit_id: AuditId::new(at, platform.entropy.ten()),
        event_id: EventId::new(at, platform.entropy.ten()),
        request_id: String::new(),
    }
}

/// The message of a send that is held, or what is left of it.
pub async fn waiting(platform: &Platform, grant: &Grant, hold: &Hold, shown: Fields) -> Result<Message, Problem> {
    let found = load(&platform.store, &mut platform.store.reader().await?, grant.id, hold.message_id).await?;
    let (stored, raw) = found.ok_or_else(Problem::not_found)?;
    Ok(view::message(&stored, Some(&raw), shown))
}

/// Exactly what would leave; none once it is over, or if the message is gone.
pub async fn review(platform: &Platform, hold: &Hold) -> Result<Option<Review>, Problem> {
    if !hold.state.is_open() {
        return Ok(None);
    }
    let Some((grant, stored, raw)) = read(platform, hold).await? else { return Ok(None) };
    let mut reader = platform.store.reader().await?;
    let Some(version) = holds::version_of(&mut reader, hold.application_id, hold.grant_id).await? else {
        return Ok(None);
    };
    drop(reader);
    let prepared = prepared(platform, &grant, hold, &stored, &raw)?;
    let Prepared { recipients, raw: leaves, .. } = prepared;
    let keys: Vec<String> = recipients.iter().map(EmailAddress::key).collect();
    let digest = limits::digest(keys.iter().map(String::as_str), &content_of_mime(&raw), &version);
    let message = view::message(&stored, Some(&raw), Fields::Standard);
    Ok(Some(Review { message, raw: leaves, recipients, digest, version, stored }))
}

async fn read(platform: &Platform, hold: &Hold) -> Result<Option<(Grant, StoredMessage, Vec<u8>)>, Problem> {
    let mut reader = platform.store.reader().await?;
    let Some(grant) = grants::find(&mut reader, hold.application_id, hold.grant_id).await? else { return Ok(None) };
    let found = load(&platform.store, &mut reader, hold.grant_id, hold.message_id).await?;
    Ok(found.filter(|(stored, _)| stored.draft).map(|(stored, raw)| (grant, stored, raw)))
}

/// The message as it leaves. What was no draft leaves as it was judged, and to the same.
fn prepared(
    platform: &Platform,
    grant: &Grant,
    hold: &Hold,
    stored: &StoredMessage,
    raw: &[u8],
) -> Result<Prepared, Problem> {
    let prepared = drafts::prepared(platform, grant, stored, raw, None)?;
    if hold.is_draft {
        return Ok(prepared);
    }
    let recipients: Vec<EmailAddress> =
        hold.recipients.iter().filter_map(|address| EmailAddress::parse(address).ok()).collect();
    Ok(Prepared { recipients, ..prepared })
}

/// A hold of an application.
pub async fn find(platform: &Platform, application: ApplicationId, id: HoldId) -> Result<Hold, Problem> {
    holds::find(&mut platform.store.reader().await?, application, id).await?.ok_or_else(Problem::not_found)
}

/// Approves exactly what the digest says, and releases it. If it may not leave yet, it stays approved and leaves when
/// there is quota; the refusal is answered beside it.
pub async fn approve(
    platform: &Platform,
    act: Act,
    id: HoldId,
    digest: &str,
    note: Option<String>,
) -> Result<(Hold, Option<Problem>), Problem> {
    let application = act.application_id.ok_or_else(Problem::not_found)?;
    let (hold, note) = (find(platform, application, id).await?, checked(note)?);
    if digest.is_empty() {
        return Err(Problem::invalid("digest", "digest must be given: that of the review, in hexadecimal"));
    }
    if !hold.state.is_open() {
        return Err(over(hold.state));
    }
    let review = review(platform, &hold).await?.ok_or_else(limits::changed)?;
    if !digest.eq_ignore_ascii_case(&holds::hex(&review.digest)) {
        return Err(limits::changed());
    }
    let decision = Decision::Approve { seen: review.stored.blob_id, version: review.version, digest: review.digest };
    let approved = decide(platform, act, hold, decision, note).await?;
    let refusal = release(platform, &approved).await?.err();
    Ok((find(platform, application, id).await?, refusal))
}

/// Decides that a send does not leave. A draft of the mailbox stays one.
pub async fn reject(platform: &Platform, act: Act, id: HoldId, note: Option<String>) -> Result<Hold, Problem> {
    let application = act.application_id.ok_or_else(Problem::not_found)?;
    let (hold, note) = (find(platform, application, id).await?, checked(note)?);
    if !hold.state.is_open() {
        return Err(over(hold.state));
    }
    let text = match &note {
        Some(note) => format!("somebody decided that the message is not sent: {note}"),
        None => "somebody decided that the message is not sent".to_owned(),
    };
    let refusal = Problem::new(ProblemKind::BlockedByRule, "hold_rejected", text);
    let stored = read(platform, &hold).await?.map(|(_, stored, _)| stored);
    let data = failure(&hold, stored.as_ref(), &refusal).to_string();
    decide(platform, act, hold, Decision::Reject(data), note).await
}

async fn decide(
    platform: &Platform,
    act: Act,
    hold: Hold,
    decision: Decision,
    note: Option<String>,
) -> Result<Hold, Problem> {
    let event_id = EventId::new(act.at, platform.entropy.ten());
    let shard = shard(hold.grant_id.uuid());
    let command = DecideHold { act, hold, decision, note, event_id };
    match platform.store.run_near(shard, command).await? {
        DecideOutcome::Decided(hold) => Ok(*hold),
        DecideOutcome::Over(state) => Err(over(state)),
        DecideOutcome::Own => {
            let text = "whoever sends a message does not decide on it; use another key";
            Err(Problem::new(ProblemKind::Forbidden, "own_hold", text))
        }
        DecideOutcome::NeedsNoApproval => {
            let text = "the send waits for its quota and needs no approval";
            Err(Problem::new(ProblemKind::Conflict, "hold_needs_no_approval", text))
        }
        DecideOutcome::Changed => Err(limits::changed()),
        DecideOutcome::Unknown => Err(Problem::not_found()),
    }
}

fn checked(note: Option<String>) -> Result<Option<String>, Problem> {
    let note = note.filter(|note| !note.trim().is_empty());
    let is_wrong =
        |note: &String| note.chars().count() > NOTE_CHARS_MAX || note.chars().any(|c| c.is_control() && c != '\n');
    if note.as_ref().is_some_and(is_wrong) {
        let text = format!(
            "reason must have at most {NOTE_CHARS_MAX} characters, none of them a control character but line breaks"
        );
        return Err(Problem::invalid("reason", text));
    }
    Ok(note)
}

fn over(state: State) -> Problem {
    let text = format!("the held send is decided or over: {}", state.name());
    Problem::new(ProblemKind::Conflict, "hold_over", text)
}

/// Takes a send back.
pub async fn cancel(platform: &Platform, grant: &Grant, act: Act, id: HoldId) -> Result<(), Problem> {
    let event_id = EventId::new(act.at, platform.entropy.ten());
    let command = CancelHold { act, grant_id: grant.id, id, event_id };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        CancelOutcome::Cancelled => Ok(()),
        CancelOutcome::Over(state) => Err(over(state)),
        CancelOutcome::Unknown => Err(Problem::not_found()),
    }
}

/// Releases what may leave, mailbox by mailbox and each in its order, ends what has waited for too long, and tells when
/// there is something to do next. A mailbox that cannot be worked on keeps no other from being worked on; the round fails
/// after the rest.
pub async fn release_once(platform: &Platform) -> Result<Option<UnixMicros>, Problem> {
    let now = platform.clock.now();
    let mut failed = None;
    let expired = holds::expired(&mut platform.store.reader().await?, now, ROUND).await?;
    for hold in &expired {
        failed = failed.or(expire(platform, hold).await.err());
    }
    let due = holds::due(&mut platform.store.reader().await?, now, ROUND).await?;
    for grant in due {
        failed = failed.or(drain(platform, grant).await.err());
    }
    match failed {
        Some(problem) => Err(problem),
        None => Ok(holds::next_due(&mut platform.store.reader().await?).await?),
    }
}

/// Releases what a mailbox may send, in order, until its quota is used up.
async fn drain(platform: &Platform, grant: GrantId) -> Result<(), Problem> {
    let waiting = holds::of_grant(&mut platform.store.reader().await?, grant, ROUND).await?;
    for hold in &waiting {
        let Err(refusal) = release(platform, hold).await? else { continue };
        let now = platform.clock.now();
        // Of what somebody else changes at the same time the rest waits, too, and is read again.
        if refusal.is_retryable() || is_of_stop(&refusal) || drafts::is_superseded(&refusal) {
            // Somebody may raise the quota before it resets.
            let soon = now.plus(LOOK_AGAIN);
            let allowed_at = refusal.exhausted.as_ref().and_then(|exhausted| exhausted.resets_at);
            let until = allowed_at.map_or(soon, |at| at.min(soon));
            // What one key may not do keeps nobody else's sends.
            let only = limits::is_of_key(&refusal).then_some(hold.id);
            platform.store.run_near(shard(grant.uuid()), PostponeHolds { grant_id: grant, only, until }).await?;
            if only.is_none() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Releases one. What may not leave now and may later goes on waiting; what never may is over. The refusal is answered.
async fn release(platform: &Platform, hold: &Hold) -> Result<Result<(), Problem>, Problem> {
    let Some((grant, stored, raw)) = read(platform, hold).await? else {
        let gone = Problem::new(ProblemKind::NotFound, "not_found", "the message is gone");
        fail(platform, hold, None, State::Failed, &gone).await?;
        return Ok(Err(gone));
    };
    let release = Release { id: hold.id, told: told(platform, platform.clock.now()) };
    let from_draft = FromDraft { seen: stored.blob_id, release: None, hold: Some(release) };
    let terms = Terms { may_wait: false, key: None, allow_duplicate: true, pool: None };
    // What may be sent with the key may have changed since.
    let by = hold.key().map(Author::of_key);
    let prepared = prepared(platform, &grant, hold, &stored, &raw);
    let prepared = prepared.map(|prepared| Prepared {
        from_draft: Some(from_draft),
        content: hold.content,
        terms,
        by,
        ..prepared
    });
    let refusal = match submit::submit(platform, &grant, prepared).await {
        Ok(_) => return Ok(Ok(())),
        Err(refusal) => refusal,
    };
    let waits_on = drafts::is_superseded(&refusal)
        || refusal.is_retryable()
        || is_of_stop(&refusal)
        || [limits::HELD_BY_RULE, limits::HOLD_CHANGED, HELD_BY_LOOP].contains(&refusal.code);
    if !waits_on {
        fail(platform, hold, Some(&stored), State::Failed, &refusal).await?;
    }
    Ok(Err(refusal))
}

async fn expire(platform: &Platform, hold: &Hold) -> Result<(), Problem> {
    let text = match hold.reason {
        Reason::Quota => "the message has waited for its quota for too long",
        Reason::Rule | Reason::Approval | Reason::Breaker | Reason::Loop => "nobody approved the message in time",
    };
    let refusal = Problem::new(ProblemKind::Conflict, "hold_expired", text);
    let stored = read(platform, hold).await?.map(|(_, stored, _)| stored);
    fail(platform, hold, stored.as_ref(), State::Expired, &refusal).await
}

async fn fail(
    platform: &Platform,
    hold: &Hold,
    stored: Option<&StoredMessage>,
    state: State,
    refusal: &Problem,
) -> Result<(), Problem> {
    let now = platform.clock.now();
    let data = failure(hold, stored, refusal).to_string();
    let (hold, note, told) = (hold.clone(), refusal.public.clone(), told(platform, now));
    let shard = shard(hold.grant_id.uuid());
    platform.store.run_near(shard, EndHold { hold, state, note, data, told, at: now }).await?;
    Ok(())
}

/// What the event says of a send that does not leave.
fn failure(hold: &Hold, message: Option<&StoredMessage>, refusal: &Problem) -> Value {
    let facts = json!({"hold": {"id": hold.id.to_string(), "reason": hold.reason.name()}});
    unsent::told(message, &facts, refusal)
}
