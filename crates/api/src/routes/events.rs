//! `/v3/events`, and what became of telling alerts and webhooks of them.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::event::Trigger;
use postfleet_core::{Problem, UnixMicros};
use postfleet_mailflow::webhooks::{self, Order, Wanted};
use postfleet_schema::event::Event;
use postfleet_store::webhooks::Webhook;

/// Events of a page at most.
const PAGE_MAX: usize = 200;

/// What all of these lists take.
pub(crate) const PARAMETERS: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    Parameter::new("type", Kind::Text, "Events of this trigger only."),
    Parameter::new("grant_id", Kind::Text, "Events of this mailbox only, which may be gone."),
    Parameter::new("since", Kind::Integer(0, 253_402_300_799), "None before this, in unix seconds."),
];

/// What is to be known of the log.
const LIST_DETAILS: &str = "A page may have fewer than `limit`, and even none, while there is a `next_cursor`. Whoever \
    reads along asks with `order=oldest`, and goes on with the `cursor` of the last event that he knows as `page_token`: \
    nothing is left out, and what happens later comes later. Events are kept for as long as the server is told to \
    (`storage.event_retention_days`).";

/// What is to be known of a page of deliveries.
pub(crate) const PAGES: &str = "Newest first. A page may have fewer than `limit`, and even none, while there is a \
    `next_cursor`. Events are kept for as long as the server is told to (`storage.event_retention_days`).";

/// The order of the log alone can be chosen: what became of an event is asked of the last ones.
const ORDERED: &[Parameter] = &[
    PARAMETERS[0],
    PARAMETERS[1],
    PARAMETERS[2],
    PARAMETERS[3],
    PARAMETERS[4],
    Parameter::new("order", Kind::OneOf(&["newest", "oldest"]), "Which come first; the newest if absent."),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/events", "events.read", list)
            .about("List what happened", LIST_DETAILS)
            .query(ORDERED)
            .lists::<Event>(),
        Route::get("/v3/events/{log_event}", "events.read", find)
            .about("Find something that happened", "By the id that notifications have.")
            .answers::<Event>(),
    ]
}

/// `GET /v3/events`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let wanted = Wanted { order: order(&query)?, ..wanted(&query)? };
    let (events, next) = webhooks::events(&call.platform, call.application, wanted).await?;
    Ok(respond::page(&call.id, events, next))
}

/// `GET /v3/events/{log_event}`
pub(crate) async fn find(call: Call) -> Answer {
    let event = webhooks::event(&call.platform, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, event))
}

/// What became of telling a webhook or an alert.
pub(crate) async fn deliveries(call: &Call, webhook: &Webhook) -> Answer {
    let query = Query::of(&call.parts)?;
    let (deliveries, next) = webhooks::deliveries(&call.platform, webhook, wanted(&query)?).await?;
    Ok(respond::page(&call.id, deliveries, next))
}

fn order(query: &Query) -> Result<Order, Problem> {
    match query.get("order").unwrap_or_default() {
        "" | "newest" => Ok(Order::NewestFirst),
        "oldest" => Ok(Order::OldestFirst),
        _ => Err(Problem::invalid("order", "order must be newest or oldest")),
    }
}

fn wanted(query: &Query) -> Result<Wanted<'_>, Problem> {
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    let unknown = |name| Problem::invalid("type", format!("type: {name:?} is not a trigger"));
    let trigger = given("type").map(|name| Trigger::subscribed_as(name).ok_or_else(|| unknown(name))).transpose()?;
    let wrong = |_| Problem::invalid("grant_id", "grant_id must be the id of a mailbox");
    Ok(Wanted {
        order: Order::NewestFirst,
        trigger,
        grant: given("grant_id").map(str::parse).transpose().map_err(wrong)?,
        since: query.number("since")?.map(|seconds| UnixMicros::from_seconds(seconds.clamp(0, 253_402_300_799))),
        limit: query.limit(50, PAGE_MAX)?,
        cursor: given("page_token"),
    })
}
