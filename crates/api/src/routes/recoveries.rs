//! `/v3/grants/{grant}/recoveries` and `/v3/admin/recoveries`: coming back from a pause.

use crate::call::{AdminCall, Call};
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::RecoveryId;
use postfleet_fleet::recoveries;
use postfleet_schema::recovery::{DecideRecovery, Recovery, RequestRecovery};
use postfleet_store::recoveries::Whose;

const PAGES: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    Parameter::new("state", Kind::OneOf(STATES), "Only those that are so."),
];

const STATES: &[&str] = &["requested", "granted", "refused", "withdrawn"];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/recoveries", "recoveries.read", list_of_grant)
            .about("List the recoveries of a mailbox", "Newest first, with what was decided.")
            .query(PAGES)
            .lists::<Recovery>(),
        Route::post("/v3/grants/{grant}/recoveries", "recoveries.request", request)
            .about("Ask that a paused mailbox may send again", REQUEST)
            .takes::<RequestRecovery>()
            .creates::<Recovery>(),
        Route::get("/v3/grants/{grant}/recoveries/{recovery}", "recoveries.read", find)
            .about("Find a recovery", "")
            .answers::<Recovery>(),
        Route::post("/v3/grants/{grant}/recoveries/{recovery}/withdraw", "recoveries.request", withdraw)
            .about("Withdraw a recovery", "Before anybody has decided about it.")
            .answers::<Recovery>(),
        Route::get("/v3/admin/recoveries", "recoveries.read", list)
            .about("List recoveries", "Those of all mailboxes that the operator may see, newest first.")
            .query(PAGES)
            .lists::<Recovery>(),
        Route::post("/v3/admin/recoveries/{recovery}/decide", "recoveries.decide", decide)
            .about("Decide about a recovery", DECIDE)
            .takes::<DecideRecovery>()
            .answers::<Recovery>(),
    ]
}

const REQUEST: &str = "With the cause, the fix and what shows it. The answer says what was looked at, and what is missing. \
    Only an operator lifts the pause, or the rule `recovery.automatic` of the configuration. One request of a mailbox waits \
    at a time.";

const DECIDE: &str = "Everything is looked at once more. Granting lifts the pause, lets the mailbox's rates begin anew and \
    begins the ramp of its daily sends, all at once. What is not well refuses it, unless `despite_checks` says otherwise, \
    with a note.";

/// `GET /v3/grants/{grant}/recoveries`
pub(crate) async fn list_of_grant(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.mailbox().await?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let asked = (given("state"), given("page_token"), query.limit(50, 200)?);
    let page = recoveries::list(&call.platform.store, Whose::Grant(grant), asked).await?;
    let page = page.map(|case| recoveries::show(&case));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `POST /v3/grants/{grant}/recoveries`
pub(crate) async fn request(call: Call) -> Answer {
    let (grant, act) = (call.grant().await?, call.act());
    let Call { platform, id, parts, body, .. } = call;
    let request: RequestRecovery = json(&parts, body, BODY_OCTETS_MAX).await?;
    let case = platform.recoveries().request(act, &grant, request).await?;
    Ok(respond::created(&id, recoveries::show(&case)))
}

/// `GET /v3/grants/{grant}/recoveries/{recovery}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let case = recoveries::find(&call.platform.store, grant, call.id_at(1)?).await?;
    Ok(respond::single(&call.id, recoveries::show(&case)))
}

/// `POST /v3/grants/{grant}/recoveries/{recovery}/withdraw`
pub(crate) async fn withdraw(call: Call) -> Answer {
    let (grant, act) = (call.mailbox().await?, call.act());
    let recovery: Result<RecoveryId, Problem> = call.id_at(1);
    let case = call.platform.recoveries().withdraw(act, grant, recovery?).await?;
    Ok(respond::single(&call.id, recoveries::show(&case)))
}

/// `GET /v3/admin/recoveries`
pub(crate) async fn list(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let asked = (given("state"), given("page_token"), query.limit(50, 200)?);
    let whose = Whose::Operator(call.operator().scope());
    let page = recoveries::list(&call.platform.store, whose, asked).await?;
    let page = page.map(|case| recoveries::show(&case));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `POST /v3/admin/recoveries/{recovery}/decide`
pub(crate) async fn decide(call: AdminCall) -> Answer {
    let recovery: Result<RecoveryId, Problem> = call.id_at(0);
    let (recovery, act, operator) = (recovery?, call.act(None), call.operator());
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: DecideRecovery = json(&parts, body, BODY_OCTETS_MAX).await?;
    let case = platform.recoveries().decide(operator, act, recovery, request).await?;
    Ok(respond::single(&id, recoveries::show(&case)))
}
