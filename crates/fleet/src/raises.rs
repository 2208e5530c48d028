//! Raises: reading what a request wants, carrying it out, and showing what there is.

use crate::input;
use crate::pages::{self, Page};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, EventId, GrantId, RaiseId, WorkspaceId};
use postfleet_core::policy::LimitField;
use postfleet_core::raise::{self, Decision, State, TEXT_CHARS_MAX};
use postfleet_core::{Problem, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::raise as schema;
use postfleet_store::Store;
use postfleet_store::holds::{self, PostponeHolds};
use postfleet_store::raises::{self, Author, DecideOutcome, DecideRaise, Raise, RequestOutcome, RequestRaise, Target};

/// Asks for a raise.
pub async fn request(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    (application_id, target): (ApplicationId, Target),
    request: schema::RequestRaise,
) -> Result<Raise, Problem> {
    let now = act.at;
    let limit_name = LimitField::DailySends.name();
    if request.limit_name.is_some_and(|name| name != limit_name) {
        return Err(Problem::invalid("limit_name", format!("limit_name must be {limit_name}")));
    }
    let number = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let value = request.value.and_then(number);
    let value = value.ok_or_else(|| Problem::invalid("value", "value must be a whole number of at least 1"))?;
    let starts_at = request.starts_at.map_or(Ok(now), |seconds| time("starts_at", seconds))?;
    let missing = || Problem::invalid("ends_at", "ends_at must be given: a raise is for a while");
    let ends_at = time("ends_at", request.ends_at.ok_or_else(missing)?)?;
    raise::check_times(starts_at, ends_at, now)?;
    let reason = request.reason.unwrap_or_default();
    if reason.trim().is_empty() {
        return Err(Problem::invalid("reason", format!("reason must have 1 to {TEXT_CHARS_MAX} characters")));
    }
    input::text("reason", &reason, TEXT_CHARS_MAX)?;
    let raise = Raise {
        id: RaiseId::new(now, entropy.ten()),
        application_id,
        target,
        limit_name: limit_name.to_owned(),
        value,
        starts_at,
        ends_at,
        state: State::Requested,
        reason,
        requested_by: Author::of(&act.actor),
        decided_by: None,
        decided_at: None,
        note: None,
        created_at: now,
    };
    let event_id = EventId::new(now, entropy.ten());
    match store.run(RequestRaise { act, raise, event_id }).await? {
        RequestOutcome::Requested(raise) => Ok(*raise),
        RequestOutcome::NoTarget => Err(Problem::not_found()),
        RequestOutcome::Refused(problem) => Err(problem),
    }
}

/// A time that can be written down with four digits of a year; a number above it is rather of milliseconds.
fn time(field: &str, seconds: i64) -> Result<UnixMicros, Problem> {
    const MAX: i64 = 253_402_300_799;
    if !(0..=MAX).contains(&seconds) {
        return Err(Problem::invalid(field, format!("{field} must be a time in unix seconds")));
    }
    Ok(UnixMicros::from_seconds(seconds))
}

/// What somebody decides about a raise.
#[derive(Debug)]
pub struct Wish {
    /// What.
    pub decision: Decision,
    /// What they note.
    pub note: Option<String>,
    /// Whether they may decide about raises of others.
    pub may_decide: bool,
}

/// Grants, refuses or withdraws a raise.
pub async fn decide(
    store: &Store,
    entropy: &dyn Entropy,
    act: Act,
    (application_id, id): (ApplicationId, RaiseId),
    wish: Wish,
) -> Result<Raise, Problem> {
    let Wish { decision, note, may_decide } = wish;
    let note = note.filter(|note| !note.is_empty());
    input::text("note", note.as_deref().unwrap_or_default(), TEXT_CHARS_MAX)?;
    let (event_id, decided_at) = (EventId::new(act.at, entropy.ten()), act.at);
    match store.run(DecideRaise { act, application_id, id, decision, note, may_decide, event_id }).await? {
        DecideOutcome::Decided(raise) => {
            if decision == Decision::Grant {
                release_held(store, &raise, decided_at).await?;
            }
            Ok(*raise)
        }
        DecideOutcome::NotFound => Err(Problem::not_found()),
        DecideOutcome::Refused(problem) => Err(problem),
    }
}

/// Mailboxes of a workspace whose held sends are tried at once after a raise; those of others are within a minute.
const RELEASED_AT_ONCE: usize = 1_000;

/// Sends that wait for the quota which is raised leave now. A raise that begins later, or a crash before this, is noticed
/// when they are tried again anyway.
async fn release_held(store: &Store, raise: &Raise, now: UnixMicros) -> Result<(), Problem> {
    let waiting =
        holds::of_target(&mut store.reader().await?, raise.application_id, raise.target, RELEASED_AT_ONCE).await?;
    for grant_id in waiting {
        store.run(PostponeHolds { grant_id, only: None, until: now }).await?;
    }
    store.wake().holds.notify_one();
    Ok(())
}

/// One raise of an application.
pub async fn find(store: &Store, application: ApplicationId, id: RaiseId) -> Result<Raise, Problem> {
    raises::find(&mut store.reader().await?, application, id).await?.ok_or_else(Problem::not_found)
}

/// Which raises a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// How many at most.
    pub limit: usize,
    /// Where the page goes on.
    pub page_token: Option<&'a str>,
    /// Only those that are so now.
    pub state: Option<&'a str>,
    /// Only those of this mailbox.
    pub grant_id: Option<&'a str>,
    /// Only those of this workspace.
    pub workspace_id: Option<&'a str>,
}

/// A page of an application's raises, newest first.
pub async fn list(
    store: &Store,
    application: ApplicationId,
    query: Query<'_>,
    now: UnixMicros,
) -> Result<Page<Raise>, Problem> {
    let named = |name| State::named(name).ok_or_else(bad_state);
    let state = query.state.map(named).transpose()?;
    let grant = |text: &str| text.parse::<GrantId>().map_err(|_| not_id("grant_id"));
    let workspace = |text: &str| text.parse::<WorkspaceId>().map_err(|_| not_id("workspace_id"));
    let target = match (query.grant_id, query.workspace_id) {
        (Some(_), Some(_)) => return Err(Problem::invalid("workspace_id", "give grant_id or workspace_id, not both")),
        (Some(text), None) => Some(Target::Grant(grant(text)?)),
        (None, Some(text)) => Some(Target::Workspace(workspace(text)?)),
        (None, None) => None,
    };
    let before = pages::after(query.page_token)?;
    let page = raises::Page { target, state, before, limit: query.limit + 1, now };
    let found = raises::list(&mut store.reader().await?, application, page).await?;
    Ok(pages::cut(found, query.limit, |raise| raise.id))
}

fn bad_state() -> Problem {
    Problem::invalid("state", format!("state must be one of {}", State::NAMES.join(", ")))
}

fn not_id(field: &str) -> Problem {
    Problem::invalid(field, format!("{field} must be an id"))
}

/// Shows a raise as it is at `now`.
pub fn show(raise: &Raise, now: UnixMicros) -> schema::Raise {
    let (grant_id, workspace_id) = match raise.target {
        Target::Grant(id) => (Some(id.to_string()), None),
        Target::Workspace(id) => (None, Some(id.to_string())),
    };
    let author = |author: &Author| schema::RaiseAuthor {
        kind: author.kind.clone(),
        id: author.id.clone(),
        name: author.name.clone(),
    };
    let state = raise.state.at(now, raise.ends_at);
    schema::Raise {
        id: raise.id.to_string(),
        grant_id,
        workspace_id,
        limit_name: raise.limit_name.clone(),
        value: raise.value,
        starts_at: raise.starts_at.as_seconds(),
        ends_at: raise.ends_at.as_seconds(),
        state: state.name(),
        is_in_force: state == State::Granted && raise.starts_at <= now,
        reason: raise.reason.clone(),
        requested_by: author(&raise.requested_by),
        decided_by: raise.decided_by.as_ref().map(author),
        decided_at: raise.decided_at.map(UnixMicros::as_seconds),
        note: raise.note.clone(),
        created_at: raise.created_at.as_seconds(),
    }
}
