//! Sends at a later time: accepting them, releasing them, taking them back. A message that waits is a draft; whoever
//! releases it goes through the one door, and its schedule ends in the transaction that accepts it.

use crate::drafts::letter::Letter;
use crate::drafts::{self, Filed};
use crate::platform::Platform;
use crate::receive::{new_copy, shard};
use crate::submit::raw::{self, Envelope};
use crate::submit::{self, Outgoing, Prepared};
use crate::unsent;
use futures::future::join_all;
use postfleet_core::audit::Author;
use postfleet_core::folder::{SCHEDULED, SystemFolder};
use postfleet_core::id::{EventId, KeyId, ScheduleId};
use postfleet_core::problem::Exhausted;
use postfleet_core::schedule::{self as limits, PENDING_MAX};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_mailbox::messages::load;
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::Message;
use postfleet_store::grants::{self, Grant};
use postfleet_store::idempotency::{KeepAnswer, KeyedRequest};
use postfleet_store::messages::{MailboxCopy, StoredMessage};
use postfleet_store::schedules::{
    self, CancelOutcome, CancelSchedule, FailSchedule, NewSchedule, PostponeSchedule, Release, Schedule, ScheduleDraft,
    ScheduleOutcome,
};
use serde_json::{Value, json};

/// Schedules that one round releases, and of them so many at once.
const ROUND: usize = 128;
const AT_ONCE: usize = 16;

/// A send that waits for its time.
#[derive(Debug)]
pub struct Scheduled {
    /// The message, which names its schedule.
    pub message: Message,
    /// The id of the schedule.
    pub schedule_id: ScheduleId,
    /// When it is to be sent, in unix seconds.
    pub send_at: i64,
    /// Whether it is a draft of the mailbox until then.
    pub use_draft: bool,
}

/// The key of a request to send later, under which its answer is kept.
#[derive(Clone)]
pub struct Keeping<'a> {
    /// The key.
    pub key: KeyedRequest,
    /// How the answer is written.
    pub written: &'a (dyn Fn(&Scheduled) -> String + Sync),
}

/// Accepts a message that is to be sent at a time, in unix seconds, perhaps as a draft until then. Whether it may be sent
/// is judged then.
pub async fn send_later(
    platform: &Platform,
    grant: &Grant,
    outgoing: Outgoing,
    send_at: i64,
    use_draft: bool,
    keeping: Option<Keeping<'_>>,
) -> Result<Scheduled, Problem> {
    let schedule =
        NewSchedule { by: outgoing.by.as_ref().and_then(Author::key), ..new_schedule(platform, send_at, use_draft)? };
    let shown = outgoing.shown;
    let letter = Letter::waiting(outgoing, send_at, platform.clock.now());
    wait(platform, grant, (letter, shown), schedule, keeping).await
}

/// As [`send_later`], of a message that is written already: it leaves octet for octet as it is kept now.
pub async fn send_written_later(
    platform: &Platform,
    grant: &Grant,
    (mime, shown, by): (&[u8], Fields, Option<&Author>),
    send_at: i64,
    use_draft: bool,
    keeping: Option<Keeping<'_>>,
) -> Result<Scheduled, Problem> {
    let schedule = NewSchedule { by: by.and_then(Author::key), ..new_schedule(platform, send_at, use_draft)? };
    let field = ("mime", schedule.send_at);
    let prepared = raw::prepare_for(platform, grant, mime, Envelope::OfHeader, field)?;
    let letter = Letter::written(prepared, send_at, platform.clock.now());
    wait(platform, grant, (letter, shown), schedule, keeping).await
}

async fn wait(
    platform: &Platform,
    grant: &Grant,
    (letter, shown): (Letter, Fields),
    schedule: NewSchedule,
    keeping: Option<Keeping<'_>>,
) -> Result<Scheduled, Problem> {
    let now = platform.clock.now();
    let folder = if schedule.use_draft { SystemFolder::Drafts.id() } else { SCHEDULED };
    let show = |Filed { stored, raw }: &Filed| shown_with(view::message(stored, Some(raw), shown), &schedule);
    let answer = |filed: &Filed| keeping.map(|keeping| keeping.answer(&show(filed), now));
    let filed = drafts::file(platform, grant, letter, folder, Some(schedule), answer).await;
    let filed = submit::remembered(platform, grant, schedule.by, filed).await?;
    Ok(show(&filed))
}

impl Keeping<'_> {
    fn answer(self, scheduled: &Scheduled, at: UnixMicros) -> KeepAnswer {
        const ACCEPTED: u16 = 202;
        KeepAnswer { request: self.key, status: ACCEPTED, body: (self.written)(scheduled), at }
    }
}

/// Schedules a draft that is there already, which may be sent.
pub(crate) async fn draft(
    platform: &Platform,
    grant: &Grant,
    (stored, raw): (&StoredMessage, &[u8]),
    (send_at, by): (i64, Option<KeyId>),
    keeping: Option<Keeping<'_>>,
) -> Result<Scheduled, Problem> {
    let at = platform.clock.now();
    let schedule = NewSchedule { by, ..new_schedule(platform, send_at, true)? };
    let copy = MailboxCopy { message_id: stored.id, ..new_copy(platform, grant.id, grant.application_id, at) };
    let scheduled = shown_with(view::message(stored, Some(raw), Fields::Standard), &schedule);
    let answer = keeping.map(|keeping| keeping.answer(&scheduled, at));
    let command = ScheduleDraft { copy, seen: stored.blob_id, schedule, answer, at };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        ScheduleOutcome::Scheduled => Ok(scheduled),
        ScheduleOutcome::Refused(problem) => Err(problem),
        ScheduleOutcome::Already(id) => {
            let text = format!("the draft is to be sent later already: schedule {id}");
            Err(Problem::new(ProblemKind::Conflict, "draft_scheduled", text))
        }
        ScheduleOutcome::Superseded => Err(drafts::superseded()),
        ScheduleOutcome::TooMany => Err(too_many()),
    }
}

fn new_schedule(platform: &Platform, send_at: i64, use_draft: bool) -> Result<NewSchedule, Problem> {
    let now = platform.clock.now();
    let send_at = limits::check(send_at, now)?;
    Ok(NewSchedule { id: ScheduleId::new(now, platform.entropy.ten()), send_at, use_draft, by: None })
}

fn shown_with(message: Message, schedule: &NewSchedule) -> Scheduled {
    let (schedule_id, send_at, use_draft) = (schedule.id, schedule.send_at.as_seconds(), schedule.use_draft);
    let message = Message {
        schedule_id: Some(schedule_id.to_string()),
        send_at: Some(send_at),
        use_draft: Some(use_draft),
        ..message
    };
    Scheduled { message, schedule_id, send_at, use_draft }
}

/// The refusal of one more send that waits.
pub(crate) fn too_many() -> Problem {
    let text = format!("a mailbox may have at most {PENDING_MAX} scheduled sends waiting");
    let waiting = PENDING_MAX as u64;
    let exhausted = Exhausted { scope: "grant", limit: waiting, used: waiting, resets_at: None };
    Problem {
        field: Some("send_at".into()),
        exhausted: Some(Box::new(exhausted)),
        ..Problem::new(ProblemKind::Conflict, "too_many_schedules", text)
    }
}

/// Takes a send back.
pub async fn cancel(platform: &Platform, grant: &Grant, id: ScheduleId) -> Result<(), Problem> {
    let command = CancelSchedule { grant_id: grant.id, id, at: platform.clock.now() };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        CancelOutcome::Cancelled => Ok(()),
        CancelOutcome::TooLate => {
            let text = format!(
                "a scheduled send cannot be cancelled in the last {} seconds before its time",
                limits::CANCEL_UNTIL.as_secs()
            );
            Err(Problem::new(ProblemKind::Conflict, "schedule_too_late", text))
        }
        CancelOutcome::Over(status) => {
            let text = format!("the scheduled send is over: {}", status.name());
            Err(Problem::new(ProblemKind::Conflict, "schedule_over", text))
        }
        CancelOutcome::Unknown => Err(Problem::not_found()),
    }
}

/// Releases what is due, and tells when the next is. One that cannot be worked on keeps no other from being released;
/// the round fails after the rest.
pub async fn release_once(platform: &Platform) -> Result<Option<UnixMicros>, Problem> {
    let due = schedules::due(&mut platform.store.reader().await?, platform.clock.now(), ROUND).await?;
    let mut failed = None;
    for some in due.chunks(AT_ONCE) {
        let released = join_all(some.iter().map(|schedule| release(platform, schedule))).await;
        failed = failed.or(released.into_iter().find_map(Result::err));
    }
    match failed {
        Some(problem) => Err(problem),
        None => Ok(schedules::next_due(&mut platform.store.reader().await?).await?),
    }
}

/// Releases one, or tells why not.
async fn release(platform: &Platform, schedule: &Schedule) -> Result<(), Problem> {
    let (message, refusal) = match attempt(platform, schedule).await {
        (_, Ok(())) => return Ok(()),
        (message, Err(problem)) => (message, problem),
    };
    // Somebody else released it, or changed the draft: then it is still due, and read again.
    if drafts::is_superseded(&refusal) {
        return Ok(());
    }
    let now = platform.clock.now();
    let spread = schedule.id.uuid().as_bytes()[15];
    if let Some(due_at) = limits::tried_again_at(&refusal, (schedule.send_at, spread), now) {
        if refusal.kind != ProblemKind::RateLimited {
            tracing::warn!(schedule = %schedule.id, cause = ?refusal.cause, "is tried again: {refusal}");
        }
        let postpone = PostponeSchedule { id: schedule.id, due_at };
        return Ok(platform.store.run_near(shard(schedule.grant_id.uuid()), postpone).await?);
    }
    let fail = FailSchedule {
        schedule: schedule.clone(),
        reason: refusal.public.clone(),
        data: unsent::told(message.as_ref(), &facts(schedule), &refusal).to_string(),
        event_id: EventId::new(now, platform.entropy.ten()),
        at: now,
    };
    platform.store.run_near(shard(schedule.grant_id.uuid()), fail).await?;
    Ok(())
}

/// Reads the message and submits it. What was read is answered beside the result.
async fn attempt(platform: &Platform, schedule: &Schedule) -> (Option<StoredMessage>, Result<(), Problem>) {
    let (grant, stored, raw) = match read(platform, schedule).await {
        Ok(read) => read,
        Err(problem) => return (None, Err(problem)),
    };
    let release = Release {
        id: schedule.id,
        data: facts(schedule).to_string(),
        event_id: EventId::new(platform.clock.now(), platform.entropy.ten()),
        is_burst: schedule.is_burst,
    };
    let prepared = drafts::prepared(platform, &grant, &stored, &raw, Some(release));
    let prepared = prepared.map(|prepared| Prepared { by: schedule.by.map(Author::of_key), ..prepared });
    let sent = submit::submit(platform, &grant, prepared).await;
    (Some(stored), sent.map(|_| ()))
}

async fn read(platform: &Platform, schedule: &Schedule) -> Result<(Grant, StoredMessage, Vec<u8>), Problem> {
    let mut reader = platform.store.reader().await?;
    let gone = || Problem::new(ProblemKind::NotFound, "not_found", "the message is gone");
    let grant = grants::find(&mut reader, schedule.application_id, schedule.grant_id).await?.ok_or_else(gone)?;
    let found = load(&platform.store, &mut reader, schedule.grant_id, schedule.message_id).await?;
    // A message that is no draft any more was sent by somebody else just now.
    let (stored, raw) = found.ok_or_else(gone)?;
    if !stored.draft {
        return Err(drafts::superseded());
    }
    Ok((grant, stored, raw))
}

/// What events say of the schedule; of one that nobody sees, nothing.
fn facts(schedule: &Schedule) -> Value {
    if schedule.is_burst {
        return json!({});
    }
    json!({
        "schedule_id": schedule.id.to_string(),
        "send_at": schedule.send_at.as_seconds(),
        "use_draft": schedule.use_draft,
    })
}
