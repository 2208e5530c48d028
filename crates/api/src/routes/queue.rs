//! `/v3/queue`: what an application has on its way out.

use crate::call::{AdminCall, Call};
use crate::extract::{BODY_OCTETS_MAX, Query, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::id::{GrantId, MessageId};
use postfleet_core::{Domain, Patch, Problem, ProblemKind};
use postfleet_fleet::{grants, pages};
use postfleet_mailflow::queue;
use postfleet_schema::queue::{BounceQueued, MessageLife, QueuedMessage, RerouteQueued};
use postfleet_store::queue::{Filter, Operation, State};

/// Messages of a page at most.
const PAGE_MAX: usize = 200;

const STATES: &[&str] = &["paused", "sending", "waiting", "deferred", "queued"];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("destination", Kind::Text, "Those with a recipient of this domain in the queue."),
        Parameter::new("grant_id", Kind::Text, "Those of this mailbox, by its id or its address."),
        Parameter::new("state", Kind::OneOf(STATES), "Those with a recipient in this state."),
    ];
    vec![
        Route::get("/v3/queue", "queue.read", list)
            .about("List messages on their way out", "Newest first.")
            .query(LIST)
            .lists::<QueuedMessage>(),
        Route::get("/v3/queue/{message}", "queue.read", find)
            .about(
                "Tell the whole life of a sent message",
                "Where each recipient stands and why, every attempt with every line that was said, what the rules said, \
                 and what people did. Also after it has left the queue, for as long as attempts are kept.",
            )
            .answers::<MessageLife>(),
        Route::post("/v3/queue/{message}/pause", "queue.write", pause)
            .about("Pause a message", "Nothing is attempted until it is resumed. What is under way comes to its end.")
            .answers::<MessageLife>(),
        Route::post("/v3/queue/{message}/resume", "queue.write", resume)
            .about("Resume a message", "What was due meanwhile is due at once.")
            .answers::<MessageLife>(),
        Route::post("/v3/queue/{message}/retry", "queue.write", retry)
            .about(
                "Try a message now",
                "Once, even if its destination is left alone because it does not answer. Not if it is paused.",
            )
            .answers::<MessageLife>(),
        Route::post("/v3/queue/{message}/bounce", "queue.write", bounce)
            .about(
                "Give a message up",
                "For all recipients that are not being attempted: the sender gets a report, and `message.bounced` tells \
                 it.",
            )
            .takes::<BounceQueued>()
            .answers::<MessageLife>(),
        Route::post("/v3/admin/queue/{message}/reroute", "queue.write", reroute)
            .about(
                "Send a message elsewhere",
                "To one server, whatever its destinations; null undoes it. For the installation's operator.",
            )
            .takes::<RerouteQueued>()
            .answers::<MessageLife>(),
    ]
}

/// `GET /v3/queue`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let limit = query.limit(50, PAGE_MAX)?;
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    let wrong = |_| Problem::invalid("destination", "destination must be a domain");
    let destination = given("destination").map(Domain::parse).transpose().map_err(wrong)?;
    let state = given("state").map(|name| {
        let text = format!("state must be one of {}", STATES.join(", "));
        State::named(name).ok_or_else(|| Problem::invalid("state", text))
    });
    let grant_id = match given("grant_id") {
        Some(grant) => Some(find_grant(&call, grant).await?),
        None => None,
    };
    let filter = Filter {
        destination: destination.as_ref().map(Domain::as_str),
        grant_id,
        state: state.transpose()?,
        before: pages::after(given("page_token"))?,
    };
    let found = queue::list(&call.platform, call.application, &filter, limit).await?;
    let page = pages::cut(found, limit, |message| message.id.clone());
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

async fn find_grant(call: &Call, grant: &str) -> Result<GrantId, Problem> {
    match grants::find(&call.platform.store, call.application, grant).await {
        Ok(found) => Ok(found.id),
        Err(problem) if problem.kind == ProblemKind::NotFound => {
            Err(Problem::invalid("grant_id", "grant_id names no account of this application"))
        }
        Err(problem) => Err(problem),
    }
}

/// `GET /v3/queue/{message}`
pub(crate) async fn find(call: Call) -> Answer {
    let message = call.id_at(0)?;
    Ok(respond::single(&call.id, queue::life(&call.platform, call.application, message).await?))
}

/// `POST /v3/queue/{message}/pause`
pub(crate) async fn pause(call: Call) -> Answer {
    operate(call, Operation::Pause).await
}

/// `POST /v3/queue/{message}/resume`
pub(crate) async fn resume(call: Call) -> Answer {
    operate(call, Operation::Resume).await
}

/// `POST /v3/queue/{message}/retry`
pub(crate) async fn retry(call: Call) -> Answer {
    operate(call, Operation::Retry).await
}

async fn operate(call: Call, operation: Operation) -> Answer {
    let message: MessageId = call.id_at(0)?;
    queue::operate(&call.platform, call.act(), Some(call.application), message, operation).await?;
    Ok(respond::single(&call.id, queue::life(&call.platform, call.application, message).await?))
}

/// `POST /v3/queue/{message}/bounce`
pub(crate) async fn bounce(call: Call) -> Answer {
    let (message, act) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let request: BounceQueued = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    queue::bounce(&platform, act, application, message, request.reason.as_deref()).await?;
    Ok(respond::single(&id, queue::life(&platform, application, message).await?))
}

/// `POST /v3/admin/queue/{message}/reroute`
pub(crate) async fn reroute(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    let message: MessageId = call.id_at(0)?;
    // Where mail goes concerns the whole installation; to others there is nothing here.
    if !operator.is_installation {
        return Err(Problem::not_found());
    }
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: RerouteQueued = json(&parts, body, BODY_OCTETS_MAX).await?;
    let route = match queue::read_route(request.route)? {
        Patch::Set(route) => Some(route),
        Patch::Clear => None,
        Patch::Keep => return Err(Problem::invalid("route", "route must be HOST:PORT, or null")),
    };
    let application = queue::operate(&platform, act, None, message, Operation::Reroute(route)).await?;
    Ok(respond::single(&id, queue::life(&platform, application, message).await?))
}
