//! What is on its way out, as people see it, and what they do to it.

mod life;

pub use life::life;

use crate::deliver::{self, new_lease};
use crate::platform::Platform;
use crate::routing::Relay;
use postfleet_core::audit::Act;
use postfleet_core::delivery::{AfterAttempt, Reason};
use postfleet_core::id::{ApplicationId, MessageId};
use postfleet_core::retry::DELIVERY_HORIZON;
use postfleet_core::{Domain, Patch, Problem, ProblemKind};
use postfleet_schema::queue::{QueueDestination, QueuedMessage};
use postfleet_store::organizations::Scope;
use postfleet_store::queue::{
    self, ClaimMessage, Destination, DestinationChange, Filter, Operate, Operated, Operation, Queued, RetryDestination,
    UpdateDestination,
};

/// Characters of a route: a name of 253, a colon and a port.
const ROUTE_CHARS_MAX: usize = 260;

/// Characters of the reason that a sender is told.
const REASON_CHARS_MAX: usize = 256;

/// What a sender is told if nobody says why.
const REASON: &str = "given up by an operator";

/// Messages of an application that are in the queue, the newest first; one more than `limit` if there are more.
pub async fn list(
    platform: &Platform,
    application: ApplicationId,
    filter: &Filter<'_>,
    limit: usize,
) -> Result<Vec<QueuedMessage>, Problem> {
    let found = queue::list(&mut platform.store.reader().await?, application, filter, limit + 1).await?;
    Ok(found.iter().map(show).collect())
}

fn show(queued: &Queued) -> QueuedMessage {
    QueuedMessage {
        id: queued.message_id.to_string(),
        grant_id: queued.grant_id.to_string(),
        state: queued.state.name().to_owned(),
        from: queued.from.clone(),
        queued_at: queued.queued_at.as_seconds(),
        expires_at: queued.queued_at.plus(DELIVERY_HORIZON).as_seconds(),
        next_attempt_at: queued.due_at.map(|due| due.as_seconds()),
        attempts: queued.attempts,
        recipients_open: queued.recipients_open,
        route: queued.route.clone(),
    }
}

/// Pauses, resumes or retries a message of an application; reroutes one of anybody's for `None`. Answers whose it is.
pub async fn operate(
    platform: &Platform,
    act: Act,
    application_id: Option<ApplicationId>,
    message_id: MessageId,
    operation: Operation,
) -> Result<ApplicationId, Problem> {
    match platform.store.run(Operate { act, application_id, message_id, operation }).await? {
        Operated::Done { application_id, .. } => Ok(application_id),
        Operated::NotFound => Err(Problem::not_found()),
    }
}

/// Gives up what is in the queue of a message, and tells its sender. Recipients that are being attempted come to their
/// end; if there are no others, it is refused.
pub async fn bounce(
    platform: &Platform,
    act: Act,
    application_id: ApplicationId,
    message_id: MessageId,
    reason: Option<&str>,
) -> Result<(), Problem> {
    let text = reason.filter(|text| !text.trim().is_empty()).unwrap_or(REASON);
    if text.chars().count() > REASON_CHARS_MAX || text.chars().any(char::is_control) {
        let text = format!("reason must have at most {REASON_CHARS_MAX} characters, none of them control characters");
        return Err(Problem::invalid("reason", text));
    }
    let now = platform.clock.now();
    let lease = new_lease(platform, now);
    let id = lease.id;
    let claims = platform.store.run(ClaimMessage { lease, now, application_id, message_id }).await?;
    let claims = claims.ok_or_else(Problem::not_found)?;
    if claims.rows.is_empty() {
        let text = "every recipient of the message is being attempted right now; try again when that is over";
        return Err(Problem::new(ProblemKind::Conflict, "message_under_way", text));
    }
    let reason = Reason { code: 0, status: "5.7.1".to_owned(), text: text.to_owned() };
    let bounced = |row| (row, AfterAttempt::Bounced(reason.clone()));
    deliver::settle(platform, message_id, id, claims.rows.into_iter().map(bounced).collect(), Some(act)).await
}

/// Where an operator sends mail: nowhere else, or `HOST:PORT`.
pub fn read_route(route: Patch<String>) -> Result<Patch<String>, Problem> {
    let Patch::Set(text) = route else { return Ok(route) };
    let is_word = text.chars().all(|c| c.is_ascii_graphic());
    let relay = text.parse::<Relay>().ok().filter(|relay| relay.port > 0);
    match relay.filter(|_| is_word && text.len() <= ROUTE_CHARS_MAX) {
        Some(_) => Ok(Patch::Set(text)),
        None => {
            let text = format!("route must be HOST:PORT of at most {ROUTE_CHARS_MAX} characters, or null");
            Err(Problem::invalid("route", text))
        }
    }
}

/// Destinations of which there is something to say, by name; one more than `limit` if there are more.
pub async fn destinations(
    platform: &Platform,
    scope: Scope,
    after: &str,
    only_closed: bool,
    limit: usize,
) -> Result<Vec<QueueDestination>, Problem> {
    let mut reader = platform.store.reader().await?;
    let found = queue::destinations(&mut reader, scope, after, only_closed, limit + 1).await?;
    Ok(found.into_iter().map(show_destination).collect())
}

/// One destination, if there is anything to say of it.
pub async fn destination(platform: &Platform, scope: Scope, name: &str) -> Result<QueueDestination, Problem> {
    let name = destination_name(name)?;
    let found = queue::destination(&mut platform.store.reader().await?, scope, name.as_str()).await?;
    found.map(show_destination).ok_or_else(Problem::not_found)
}

/// Pauses, resumes or reroutes a destination.
pub async fn update_destination(
    platform: &Platform,
    act: Act,
    name: &str,
    change: DestinationChange,
) -> Result<QueueDestination, Problem> {
    let name = destination_name(name)?;
    platform.store.run(UpdateDestination { act, name: name.clone(), change }).await?;
    let found = queue::destination(&mut platform.store.reader().await?, Scope::All, name.as_str()).await?;
    // What was set back to how all destinations are may be forgotten already.
    Ok(show_destination(found.unwrap_or_else(|| Destination::open(name.as_str()))))
}

/// Tries a destination now.
pub async fn retry_destination(platform: &Platform, act: Act, name: &str) -> Result<QueueDestination, Problem> {
    let domain = destination_name(name)?;
    platform.store.run(RetryDestination { act, name: domain }).await?;
    destination(platform, Scope::All, name).await
}

/// A domain of one label is none to which mail goes.
fn destination_name(name: &str) -> Result<Domain, Problem> {
    let domain = Domain::parse(name).ok().filter(|domain| domain.as_str().contains('.'));
    domain.ok_or_else(Problem::not_found)
}

fn show_destination(found: Destination) -> QueueDestination {
    let state = match (found.is_paused, found.failures) {
        (true, _) => "paused",
        (false, 0) => "open",
        (false, _) => "failing",
    };
    QueueDestination {
        name: found.name,
        state: state.to_owned(),
        depth: found.depth,
        waiting: found.parked,
        oldest_queued_at: found.oldest.map(|at| at.as_seconds()),
        failures: found.failures,
        failing_since: found.failing_since.map(|at| at.as_seconds()),
        next_attempt_at: found.turn_at.map(|at| at.as_seconds()),
        route: found.route,
        last_reply: found.last_reply,
    }
}
