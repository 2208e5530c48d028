//! `/v3/webhooks/{webhook}/attempts`: what was sent to a webhook, and what came back.

use crate::call::Call;
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_mailflow::webhooks::{self, attempted};
use postfleet_schema::attempt::WebhookAttempt;

/// Attempts of a page at most.
const PAGE_MAX: usize = 200;

const PARAMETERS: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, PAGE_MAX as i64), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    Parameter::new("event_id", Kind::Text, "Those of this event only."),
    Parameter::new("outcome", Kind::OneOf(&["taken", "failed"]), "Only what was taken, or only what was not."),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/webhooks/{webhook}/attempts", "webhooks.read", list)
            .about("List what was sent to a webhook, and what came back", LIST_DETAILS)
            .query(PARAMETERS)
            .lists::<WebhookAttempt>(),
        Route::get("/v3/webhooks/{webhook}/attempts/{webhook_attempt}", "webhooks.read", find)
            .about("Find what was sent to a webhook", FIND_DETAILS)
            .answers::<WebhookAttempt>(),
    ]
}

const LIST_DETAILS: &str = "Newest first: every attempt that was not taken and the first that was taken after one, for \
    `webhooks.attempt_days` and at most 10,000 of them; of the others the last 50, which are written down every 15 seconds at most. \
    What became of every event is at `GET /v3/webhooks/{webhook}/deliveries`.";

const FIND_DETAILS: &str = "With the body of the request, made again of what is there now: `request_body_is_as_sent` says whether it is \
    still what was sent.";

/// `GET /v3/webhooks/{webhook}/attempts`
pub(crate) async fn list(call: Call) -> Answer {
    let webhook = webhooks::find(&call.platform, call.application, call.id_at(0)?).await?;
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text: &&str| !text.is_empty());
    let wanted = attempted::wanted(given("event_id"), given("outcome"))?;
    let page = (given("page_token"), query.limit(50, PAGE_MAX)?);
    let (attempts, next) = attempted::attempts(&call.platform, &webhook, wanted, page).await?;
    Ok(respond::page(&call.id, attempts, next))
}

/// `GET /v3/webhooks/{webhook}/attempts/{webhook_attempt}`
pub(crate) async fn find(call: Call) -> Answer {
    let webhook = webhooks::find(&call.platform, call.application, call.id_at(0)?).await?;
    let id: String = call.id_at(1)?;
    Ok(respond::single(&call.id, attempted::attempt(&call.platform, &webhook, &id).await?))
}
