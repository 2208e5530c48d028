//! `/v3/raises`, `/v3/grants/{grant}/raises` and `/v3/workspaces/{workspace}/raises`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::{GrantId, RaiseId};
use postfleet_core::raise::{Decision, State};
use postfleet_fleet::raises::{self, Wish};
use postfleet_fleet::workspaces;
use postfleet_schema::raise::{DecideRaise, Raise, RequestRaise};
use postfleet_store::raises::Target;

const LIMIT: Parameter = Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent.");
const TOKEN: Parameter = Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before.");
const STATE: Parameter = Parameter::new("state", Kind::OneOf(State::NAMES), "Only those that are so now.");

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const FILTERS: &[Parameter] = &[
        LIMIT,
        TOKEN,
        STATE,
        Parameter::new("grant_id", Kind::Text, "Only those of this mailbox: its id."),
        Parameter::new("workspace_id", Kind::Text, "Only those of this workspace: its id."),
    ];
    vec![
        Route::get("/v3/raises", "raises.read", list)
            .about("List raises", "Newest first, with those that are over.")
            .query(FILTERS)
            .lists::<Raise>(),
        Route::get("/v3/raises/{raise}", "raises.read", find).about("Find a raise", "").answers::<Raise>(),
        Route::post("/v3/raises/{raise}/grant", "raises.decide", grant)
            .about("Grant a raise", "By another key than the one that asked for it. It ends by itself.")
            .takes::<DecideRaise>()
            .answers::<Raise>(),
        Route::post("/v3/raises/{raise}/refuse", "raises.decide", refuse)
            .about("Refuse a raise", "By another key than the one that asked for it.")
            .takes::<DecideRaise>()
            .answers::<Raise>(),
        Route::post("/v3/raises/{raise}/withdraw", "raises.request", withdraw)
            .about(
                "Withdraw a raise",
                "By the key that asked for it, or one that may decide about raises. One that is in force ends at once.",
            )
            .takes::<DecideRaise>()
            .answers::<Raise>(),
        Route::get("/v3/grants/{grant}/raises", "raises.read", list_of_grant)
            .about("List the raises of a mailbox", "Newest first, with those that are over.")
            .query(&[LIMIT, TOKEN, STATE])
            .lists::<Raise>(),
        Route::post("/v3/grants/{grant}/raises", "raises.request", request_of_grant)
            .about("Ask for a raise of a mailbox's quota", REQUEST)
            .takes::<RequestRaise>()
            .answers::<Raise>(),
        Route::post("/v3/workspaces/{workspace}/raises", "raises.request", request_of_workspace)
            .about("Ask for a raise of the quota of each mailbox in a workspace", REQUEST)
            .takes::<RequestRaise>()
            .answers::<Raise>(),
    ]
}

const REQUEST: &str = "For a while, and with a reason. Nothing changes before another key grants it. What is asked for is \
    above the limit without the raise, and at most what the plan allows. One request waits for a decision at a time.";

async fn page(call: &Call, wanted: raises::Query<'_>) -> Answer {
    let now = call.platform.clock.now();
    let page = raises::list(&call.platform.store, call.application, wanted, now).await?;
    let page = page.map(|raise| raises::show(&raise, now));
    Ok(respond::page(&call.id, page.items, page.next_cursor))
}

/// `GET /v3/raises`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let wanted = raises::Query {
        limit: query.limit(50, 200)?,
        page_token: given("page_token"),
        state: given("state"),
        grant_id: given("grant_id"),
        workspace_id: given("workspace_id"),
    };
    page(&call, wanted).await
}

/// `GET /v3/grants/{grant}/raises`
pub(crate) async fn list_of_grant(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let grant = call.grant().await?.id.to_string();
    let given = |name| query.get(name).filter(|text| !text.is_empty());
    let wanted = raises::Query {
        limit: query.limit(50, 200)?,
        page_token: given("page_token"),
        state: given("state"),
        grant_id: Some(&grant),
        workspace_id: None,
    };
    page(&call, wanted).await
}

/// `GET /v3/raises/{raise}`
pub(crate) async fn find(call: Call) -> Answer {
    let raise = raises::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, raises::show(&raise, call.platform.clock.now())))
}

/// `POST /v3/grants/{grant}/raises`
pub(crate) async fn request_of_grant(call: Call) -> Answer {
    let grant: GrantId = call.grant().await?.id;
    request(call, Target::Grant(grant)).await
}

/// `POST /v3/workspaces/{workspace}/raises`
pub(crate) async fn request_of_workspace(call: Call) -> Answer {
    let found = workspaces::find(&call.platform.store, call.application, &call.path[0]).await?;
    request(call, Target::Workspace(found.workspace.id)).await
}

async fn request(call: Call, target: Target) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: RequestRaise = json(&parts, body, BODY_OCTETS_MAX).await?;
    let now = act.at;
    let raise = raises::request(&platform.store, &*platform.entropy, act, (application, target), request).await?;
    Ok(respond::single(&id, raises::show(&raise, now)))
}

/// `POST /v3/raises/{raise}/grant`
pub(crate) async fn grant(call: Call) -> Answer {
    decide(call, Decision::Grant).await
}

/// `POST /v3/raises/{raise}/refuse`
pub(crate) async fn refuse(call: Call) -> Answer {
    decide(call, Decision::Refuse).await
}

/// `POST /v3/raises/{raise}/withdraw`
pub(crate) async fn withdraw(call: Call) -> Answer {
    decide(call, Decision::Withdraw).await
}

async fn decide(call: Call, decision: Decision) -> Answer {
    let raise: Result<RaiseId, Problem> = call.id_at(0);
    let (raise, act) = (raise?, call.act());
    let may_decide = call.caller.may("raises.decide").is_ok();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: DecideRaise = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    let (now, wish) = (act.at, Wish { decision, note: request.note, may_decide });
    let raise = raises::decide(&platform.store, &*platform.entropy, act, (application, raise), wish).await?;
    Ok(respond::single(&id, raises::show(&raise, now)))
}
