//! `/v3/policies`, and the limits that hold for a mailbox.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json, typed};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_core::id::PolicyId;
use postfleet_fleet::{limits, policies};
use postfleet_schema::limits::GrantLimits;
use postfleet_schema::policy::{CreatePolicy, Policy, UpdatePolicy};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, i64::MAX), "How many at most; 10 if absent, and never above 200."),
        Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
    ];
    const CHANGE: (&str, &str) = (
        "Change a policy",
        "What is absent stays; limits, spam_detection and options merge field by field; null gives the default back. \
         What holds for the mailboxes changes at once.",
    );
    vec![
        Route::get("/v3/policies", "policies.read", list)
            .about("List policies", "Newest first.")
            .query(LIST)
            .lists::<Policy>(),
        Route::post("/v3/policies", "policies.write", create)
            .about("Make a policy", "It has no effect until a workspace has it.")
            .takes::<CreatePolicy>()
            .answers::<Policy>(),
        Route::get("/v3/policies/{policy}", "policies.read", find).about("Find a policy", "").answers::<Policy>(),
        Route::put("/v3/policies/{policy}", "policies.write", update)
            .about(CHANGE.0, CHANGE.1)
            .takes::<UpdatePolicy>()
            .answers::<Policy>(),
        Route::patch("/v3/policies/{policy}", "policies.write", update)
            .about(CHANGE.0, CHANGE.1)
            .takes::<UpdatePolicy>()
            .answers::<Policy>(),
        Route::delete("/v3/policies/{policy}", "policies.write", remove)
            .about("Remove a policy", "It is taken from the workspaces that have it, in the same transaction."),
        Route::get("/v3/grants/{grant}/limits", "grants.read", of_grant)
            .about(
                "Find the limits of a mailbox",
                "What holds for it, whether the plan or the policy says so, and what is used of today's sends.",
            )
            .answers::<GrantLimits>(),
    ]
}

/// Policies of a page at most. A larger `limit` is taken as this: clients of the hosted service know no maximum.
const PAGE_MAX: usize = 200;

/// `GET /v3/policies`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let limit = query.limit(10, usize::MAX >> 1)?.min(PAGE_MAX);
    let cursor = query.get("page_token").filter(|token| !token.is_empty());
    let (found, next) = policies::list(&call.platform.store, call.application, limit, cursor).await?;
    Ok(respond::page(&call.id, found.iter().map(policies::show).collect(), next))
}

/// `POST /v3/policies`
pub(crate) async fn create(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let (request, warnings) = read::<CreatePolicy>(json(&parts, body, BODY_OCTETS_MAX).await?)?;
    let made = policies::create(&platform.store, &*platform.entropy, act, application, request).await?;
    Ok(respond::single(&id, policies::show_one(&made, warnings)))
}

/// `GET /v3/policies/{policy}`
pub(crate) async fn find(call: Call) -> Answer {
    let found = policies::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, policies::show_one(&found, Vec::new())))
}

/// `PUT /v3/policies/{policy}`, and `PATCH`.
pub(crate) async fn update(call: Call) -> Answer {
    let (policy, act): (PolicyId, _) = (call.id_at(0)?, call.act());
    let Call { platform, application, id, parts, body, .. } = call;
    let (request, warnings) = read::<UpdatePolicy>(json(&parts, body, BODY_OCTETS_MAX).await?)?;
    let changed = policies::update(&platform.store, act, application, policy, request).await?;
    Ok(respond::single(&id, policies::show_one(&changed, warnings)))
}

/// `DELETE /v3/policies/{policy}`
pub(crate) async fn remove(call: Call) -> Answer {
    policies::remove(&call.platform.store, call.act(), call.application, call.id_at(0)?).await?;
    Ok(respond::done(&call.id))
}

/// `GET /v3/grants/{grant}/limits`
pub(crate) async fn of_grant(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let now = call.platform.clock.now();
    let found = limits::find(&call.platform.store, call.application, grant, now).await?;
    Ok(respond::single(&call.id, found))
}

fn read<T: DeserializeOwned>(body: Map<String, Value>) -> Result<(T, Vec<String>), Problem> {
    let warnings = policies::check_places(&body)?;
    Ok((typed(body)?, warnings))
}
