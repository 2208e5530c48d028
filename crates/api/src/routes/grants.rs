//! `/v3/connect/custom` and `/v3/grants`.

use crate::call::Call;
use crate::error;
use crate::extract::{BODY_OCTETS_MAX, BULK_OCTETS_MAX, Query, json, peer};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use postfleet_core::{Patch, Problem};
use postfleet_fleet::grants::{self, Filter, Provided};
use postfleet_fleet::stops;
use postfleet_mailflow::Platform;
use postfleet_schema::bulk::{BulkAnswer, BulkError, BulkResult, CreateGrants};
use postfleet_schema::grant::{CreateGrant, Grant, UpdateGrant};
use postfleet_store::grants::{GrantsPage, Origin};

/// Characters of a client's name that are kept.
const USER_AGENT_CHARS_MAX: usize = 512;

const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 10 if absent."),
    Parameter::new("offset", Kind::Integer(0, i64::MAX), "How many to skip; none if absent."),
    Parameter::new("sort_by", Kind::OneOf(&["created_at", "updated_at"]), "By what; `created_at` if absent."),
    Parameter::new("order_by", Kind::OneOf(&["desc", "asc"]), "Newest or oldest first; `desc` if absent."),
    Parameter::new("since", Kind::Integer(0, i64::MAX), "Made at this time or later, in Unix seconds."),
    Parameter::new("before", Kind::Integer(0, i64::MAX), "Made before this time, in Unix seconds."),
    Parameter::new("email", Kind::Text, "The address."),
    Parameter::new("workspace_id", Kind::Text, "The workspace that they are in."),
    Parameter::new("ip", Kind::Text, "The address from which they were made."),
    Parameter::new("grant_status", Kind::Text, "`valid`: all are. Another status has none."),
    Parameter::new("status", Kind::Text, "The same as `grant_status`."),
    Parameter::new("provider", Kind::Text, "`nylas`: all have it. Another provider has none."),
    Parameter::new("connector_id", Kind::Text, "The application's connector: all have it. Another one has none."),
    Parameter::new("account_id", Kind::Text, "Nothing has one."),
    Parameter::new("account_ids", Kind::List, "Nothing has one."),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const PATH: &str = "/v3/grants/{grant}";
    const CHANGE: &str = "Absent fields stay, null removes. What holds for the mailbox changes with the next message.";
    vec![
        Route::post("/v3/connect/custom", "grants.write", create)
            .about(
                "Make a mailbox",
                "Repeating the call is safe: it answers the mailbox that is there, and gives it what is given anew.",
            )
            .takes::<CreateGrant>()
            .creates::<Grant>(),
        Route::post("/v3/grants/bulk", "grants.write", create_many)
            .about("Make many mailboxes", "Up to 1,000, each judged by itself, all on stable storage with the answer.")
            .takes::<CreateGrants>()
            .answers::<BulkAnswer>(),
        Route::get("/v3/grants", "grants.read", list)
            .about("List mailboxes", "Newest first, unless another order is asked for.")
            .query(LIST)
            .lists_by_offset::<Grant>(),
        Route::get(PATH, "grants.read", find).about("Find a mailbox", "By its id or its address.").answers::<Grant>(),
        Route::patch(PATH, "grants.write", update)
            .about("Change a mailbox", CHANGE)
            .takes::<UpdateGrant>()
            .answers::<Grant>(),
        Route::put(PATH, "grants.write", update)
            .about("Change a mailbox", "As PATCH; older clients spell it so.")
            .takes::<UpdateGrant>()
            .answers::<Grant>(),
        Route::delete(PATH, "grants.write", remove)
            .about("Remove a mailbox", "With everything that it holds. Its place in the plan is free at once."),
    ]
}

/// `POST /v3/connect/custom`
pub(crate) async fn create(call: Call) -> Answer {
    let (act, origin) = (call.act(), origin(&call.parts, &call.platform));
    let Call { platform, caller, application, id, parts, body, .. } = call;
    let request: CreateGrant = json(&parts, body, BODY_OCTETS_MAX).await?;
    if request.settings.app_password.is_some() {
        caller.may_set_password()?;
    }
    let (store, entropy) = (&platform.store, &*platform.entropy);
    let grant = grants::provision(store, entropy, act, origin, application, &request).await?;
    Ok(respond::created(&id, grants::show(&grant)))
}

/// `POST /v3/grants/bulk`
pub(crate) async fn create_many(call: Call) -> Answer {
    let (act, origin) = (call.act(), origin(&call.parts, &call.platform));
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateGrants = json(&parts, body, BULK_OCTETS_MAX).await?;
    let (store, entropy) = (&platform.store, &*platform.entropy);
    let provided = grants::provision_all(store, entropy, act, origin, application, request).await?;
    Ok(respond::single(&id, bulk_answer(&provided)))
}

fn bulk_answer(provided: &[Result<Provided, Problem>]) -> BulkAnswer {
    let existing = provided.iter().flatten().filter(|provided| !provided.is_new).count();
    let failed = provided.iter().filter(|provided| provided.is_err()).count();
    BulkAnswer {
        created: provided.len() - existing - failed,
        existing,
        failed,
        results: provided.iter().enumerate().map(|(index, provided)| bulk_result(index, provided)).collect(),
    }
}

fn bulk_result(index: usize, provided: &Result<Provided, Problem>) -> BulkResult {
    match provided {
        Ok(provided) => {
            let status = if provided.is_new { "created" } else { "existing" };
            BulkResult { index, status, grant: Some(grants::show(&provided.grant)), error: None }
        }
        Err(problem) => {
            let (_, kind) = error::status_and_type(problem.kind);
            let (message, field) = (problem.public.clone(), problem.field.clone());
            let error = BulkError { kind, message, code: problem.code, field };
            BulkResult { index, status: "failed", grant: None, error: Some(error) }
        }
    }
}

/// `GET /v3/grants`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let page = page(&query, GrantsPage::newest(call.application, query.limit(10, 200)?, query.offset()?))?;
    let (limit, offset) = (page.limit, page.offset);
    // A token of one mailbox sees no other.
    let filter = Filter { only: call.caller.grant, ..filter(&query)? };
    let grants = grants::list(&call.platform.store, page, &filter).await?;
    Ok(respond::offset_page(&call.id, grants.iter().map(grants::show).collect(), limit, offset))
}

/// The order that a query asks for. Some clients spell their parameters in camel case.
fn page(query: &Query, page: GrantsPage) -> Result<GrantsPage, Problem> {
    let sort = match query.text("sort_by", "sortBy") {
        None => page.sort,
        Some(name) => grants::sort(&name)
            .ok_or_else(|| Problem::invalid("sort_by", "sort_by must be created_at or updated_at"))?,
    };
    let is_ascending = match query.text("order_by", "orderBy").as_deref() {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(_) => return Err(Problem::invalid("order_by", "order_by must be desc or asc")),
    };
    Ok(GrantsPage { sort, is_ascending, ..page })
}

fn filter(query: &Query) -> Result<Filter, Problem> {
    let text = |name| query.text(name, name);
    let workspace = text("workspace_id").or_else(|| text("workspaceId"));
    let no_id = |_| Problem::invalid("workspace_id", "workspace_id must be a valid UUID");
    Ok(Filter {
        email: text("email"),
        workspace_id: workspace.map(|id| id.parse().map_err(no_id)).transpose()?,
        since: query.number("since")?,
        before: query.number("before")?,
        ip: text("ip"),
        grant_status: query.text("grant_status", "grantStatus").or_else(|| text("status")),
        provider: text("provider"),
        connector_id: query.text("connector_id", "connectorId"),
        account_ids: ["account_id", "account_ids", "accountId", "accountIds"]
            .iter()
            .flat_map(|n| query.list(n))
            .collect(),
        only: None,
    })
}

/// `GET /v3/grants/{grant}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.grant().await?;
    let sending = stops::of_grant(&call.platform.store, call.application, grant.id).await?;
    Ok(respond::single(&call.id, Grant { sending, ..grants::show(&grant) }))
}

/// `PATCH /v3/grants/{grant}`, and `PUT` as older clients spell it.
pub(crate) async fn update(call: Call) -> Answer {
    let (grant, act) = (call.grant().await?, call.act());
    let Call { platform, caller, id, parts, body, .. } = call;
    let request: UpdateGrant = json(&parts, body, BODY_OCTETS_MAX).await?;
    if let Patch::Set(settings) = &request.settings
        && matches!(settings.app_password, Patch::Set(_))
    {
        caller.may_set_password()?;
    }
    let grant = grants::update(&platform.store, &*platform.entropy, act, &grant, request).await?;
    Ok(respond::single(&id, grants::show(&grant)))
}

/// `DELETE /v3/grants/{grant}`
pub(crate) async fn remove(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let platform = &call.platform;
    grants::remove(&platform.store, &*platform.entropy, call.act(), call.application, grant).await?;
    Ok(respond::done(&call.id))
}

/// Where a request comes from.
fn origin(parts: &Parts, platform: &Platform) -> Origin {
    let user_agent = parts.headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let printable = user_agent.iter().flat_map(|text| text.chars()).filter(|character| !character.is_control());
    Origin {
        ip: peer(parts, platform).map(|ip| ip.to_string()).unwrap_or_default(),
        user_agent: printable.take(USER_AGENT_CHARS_MAX).collect(),
    }
}
