//! `/v3/admin/destinations`: how the domains of recipients take mail, for operators.

use crate::call::AdminCall;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::pages;
use postfleet_mailflow::queue;
use postfleet_schema::queue::{QueueDestination, UpdateDestination};
use postfleet_store::queue::DestinationChange;

/// Destinations of a page at most.
const PAGE_MAX: usize = 200;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
        Parameter::new("closed", Kind::Flag, "With `true` only those that fail or are paused."),
    ];
    vec![
        Route::get("/v3/admin/destinations", "queue.read", list)
            .about(
                "List destinations",
                "By name: those that fail, that have mail waiting behind them, or that somebody has paused or rerouted. An \
                 organization's operator sees those to which its applications have mail in the queue.",
            )
            .query(LIST)
            .lists::<QueueDestination>(),
        Route::get("/v3/admin/destinations/{destination}", "queue.read", find)
            .about("Find a destination", "By its domain, if there is anything to say of it.")
            .answers::<QueueDestination>(),
        Route::patch("/v3/admin/destinations/{destination}", "queue.write", update)
            .about("Pause, resume or reroute a destination", "For everybody; for the installation's operator.")
            .takes::<UpdateDestination>()
            .answers::<QueueDestination>(),
        Route::post("/v3/admin/destinations/{destination}/retry", "queue.write", retry)
            .about(
                "Try a destination now",
                "With one message, although it is left alone because it does not answer. For the installation's operator.",
            )
            .answers::<QueueDestination>(),
    ]
}

/// `GET /v3/admin/destinations`
pub(crate) async fn list(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let (limit, only_closed) = (query.limit(50, PAGE_MAX)?, query.flag("closed")?.unwrap_or(false));
    let after: Option<String> = pages::after(query.get("page_token"))?;
    let after = after.unwrap_or_default();
    let found = queue::destinations(&call.platform, call.operator().scope(), &after, only_closed, limit).await?;
    let page = pages::cut(found, limit, |destination| destination.name.clone());
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/admin/destinations/{destination}`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let found = queue::destination(&call.platform, call.operator().scope(), &call.path[0]).await?;
    Ok(respond::single(&call.id, found))
}

/// `PATCH /v3/admin/destinations/{destination}`
pub(crate) async fn update(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    let AdminCall { platform, id, parts, body, path, .. } = call;
    operator.for_installation()?;
    let request: UpdateDestination = json(&parts, body, BODY_OCTETS_MAX).await?;
    let change = DestinationChange { paused: request.paused, route: queue::read_route(request.route)? };
    Ok(respond::single(&id, queue::update_destination(&platform, act, &path[0], change).await?))
}

/// `POST /v3/admin/destinations/{destination}/retry`
pub(crate) async fn retry(call: AdminCall) -> Answer {
    call.operator().for_installation()?;
    let found = queue::retry_destination(&call.platform, call.act(None), &call.path[0]).await?;
    Ok(respond::single(&call.id, found))
}
