//! `/v3/reputation` and the reputation of a mailbox, a workspace, a domain or an organization.

use crate::call::{AdminCall, Call};
use crate::extract::Query;
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_fleet::{organizations, reputation, workspaces};
use postfleet_schema::reputation::{ApplicationReputation, Reputation};

const PAGE: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many mailboxes at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
];

const RECOUNT: &[Parameter] = &[Parameter::new(
    "recount",
    Kind::Flag,
    "Whether to count the window anew from the record of outcomes, and say whether both agree.",
)];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/reputation", "grants.read", of_application)
            .about(
                "See where an application stands",
                "With its workspaces, the domains that they have or that it sent from in the last 30 days, and the \
                 mailboxes that are not healthy, the worst first.",
            )
            .query(PAGE)
            .answers::<ApplicationReputation>(),
        Route::get("/v3/grants/{grant}/reputation", "grants.read", of_grant)
            .about(
                "See where a mailbox stands",
                "Its rates beside the lines that they must not reach, how many more it takes, and what of the last that \
                 went wrong counted, or why not.",
            )
            .query(RECOUNT)
            .answers::<Reputation>(),
        Route::get("/v3/workspaces/{workspace}/reputation", "workspaces.read", of_workspace)
            .about("See where a workspace stands", "All of its mailboxes together. It is never paused for them.")
            .answers::<Reputation>(),
        Route::get("/v3/domains/{domain}/reputation", "domains.read", of_domain)
            .about("See where a domain stands", "All that is sent from it. By its id or its name.")
            .answers::<Reputation>(),
        Route::get("/v3/admin/organizations/{organization}/reputation", "organizations.read", of_organization)
            .about("See where an organization stands", "All of its applications together.")
            .answers::<Reputation>(),
    ]
}

/// `GET /v3/reputation`
pub(crate) async fn of_application(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let page = (query.limit(50, 200)?, query.get("page_token"));
    let now = call.platform.clock.now();
    let shown = reputation::of_application(&call.platform.store, call.application, page, now).await?;
    Ok(respond::single(&call.id, shown))
}

/// `GET /v3/grants/{grant}/reputation`
pub(crate) async fn of_grant(call: Call) -> Answer {
    let grant = call.grant().await?;
    let recounts = Query::of(&call.parts)?.flag("recount")?.unwrap_or(false);
    let now = call.platform.clock.now();
    let shown = reputation::of_grant(&call.platform.store, &grant, recounts, now).await?;
    Ok(respond::single(&call.id, shown))
}

/// `GET /v3/workspaces/{workspace}/reputation`
pub(crate) async fn of_workspace(call: Call) -> Answer {
    let store = &call.platform.store;
    let workspace = workspaces::find(store, call.application, &call.path[0]).await?;
    let shown = reputation::of_workspace(store, &workspace, call.platform.clock.now()).await?;
    Ok(respond::single(&call.id, shown))
}

/// `GET /v3/domains/{domain}/reputation`
pub(crate) async fn of_domain(call: AdminCall) -> Answer {
    let organization = call.caller.organization;
    let found = call.platform.domains().find(organization, &call.path[0]).await?;
    let (store, now) = (&call.platform.store, call.platform.clock.now());
    let shown = reputation::of_domain(store, organization, found.domain.name.as_str(), now).await?;
    Ok(respond::single(&call.id, shown))
}

/// `GET /v3/admin/organizations/{organization}/reputation`
pub(crate) async fn of_organization(call: AdminCall) -> Answer {
    let store = &call.platform.store;
    let found = organizations::find(store, &call.operator(), call.id_at(0)?).await?;
    let shown = reputation::of_organization(store, found.id, call.platform.clock.now()).await?;
    Ok(respond::single(&call.id, shown))
}
