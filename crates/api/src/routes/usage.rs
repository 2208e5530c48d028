//! What mailboxes, applications and organizations use, and what ends them.

use crate::call::{AdminCall, Call};
use crate::extract::{BODY_OCTETS_MAX, Query, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::id::OrganizationId;
use postfleet_fleet::{recount, statement, usage};
use postfleet_schema::recount::{RecountUsage, UsageRecount};
use postfleet_schema::statement::UsageStatement;
use postfleet_schema::usage::{ApplicationUsage, GrantUsage, OrganizationUsage};
use postfleet_store::organizations::Scope;

const MONTH: &[Parameter] =
    &[Parameter::new("month", Kind::Text, "A UTC month such as `2026-10`; this one if absent.")];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/usage", "grants.read", of_grant)
            .about(
                "Find what a mailbox uses",
                "Storage, sends and bandwidth, by the counters that sends and deliveries are held against.",
            )
            .answers::<GrantUsage>(),
        Route::get("/v3/usage", "applications.read", of_own)
            .about("Find what the application uses", "And what its organization uses of its plan.")
            .answers::<ApplicationUsage>(),
        Route::get("/v3/admin/applications/{application}/usage", "applications.read", of_application)
            .about("Find what an application uses", "And what its organization uses of its plan.")
            .answers::<ApplicationUsage>(),
        Route::get("/v3/admin/organizations/{organization}/usage", "organizations.read", of_organization)
            .about("Find what an organization uses", "Of its plan, over all its applications.")
            .answers::<OrganizationUsage>(),
        Route::get("/v3/admin/organizations/{organization}/usage/statement", "organizations.read", statement_of_month)
            .about(
                "Find what an organization used in a month",
                "What its plan meters, what of it is included, and what each application used: by the counters that \
                 senders are stopped by.",
            )
            .query(MONTH)
            .answers::<UsageStatement>(),
        Route::get("/v3/admin/organizations/{organization}/usage/recount", "organizations.read", last_recount)
            .about("Find whether the counters are right", "As it was when they were counted anew the last time.")
            .answers::<UsageRecount>(),
        Route::post("/v3/admin/organizations/{organization}/usage/recount", "organizations.write", recount_usage)
            .about(
                "Count anew what an organization uses",
                "From the messages themselves, as they are at one moment, compared with the counters by which senders \
                 are stopped. Nobody waits for it. The installation's operator may set right what is wrong.",
            )
            .takes::<RecountUsage>()
            .answers::<UsageRecount>(),
    ]
}

/// `GET /v3/grants/{grant}/usage`
pub(crate) async fn of_grant(call: Call) -> Answer {
    let (grant, now) = (call.mailbox().await?, call.platform.clock.now());
    let found = usage::of_grant(&call.platform.store, call.application, grant, now).await?;
    Ok(respond::single(&call.id, found))
}

/// `GET /v3/usage`
pub(crate) async fn of_own(call: Call) -> Answer {
    let (store, now) = (&call.platform.store, call.platform.clock.now());
    let found = usage::of_application(store, Scope::All, call.application, now).await?;
    Ok(respond::single(&call.id, found))
}

/// `GET /v3/admin/applications/{application}/usage`
pub(crate) async fn of_application(call: AdminCall) -> Answer {
    let (store, now) = (&call.platform.store, call.platform.clock.now());
    let found = usage::of_application(store, call.operator().scope(), call.id_at(0)?, now).await?;
    Ok(respond::single(&call.id, found))
}

/// `GET /v3/admin/organizations/{organization}/usage`
pub(crate) async fn of_organization(call: AdminCall) -> Answer {
    let (store, now) = (&call.platform.store, call.platform.clock.now());
    let found = usage::of_organization(store, &call.operator(), call.id_at(0)?, now).await?;
    Ok(respond::single(&call.id, found))
}

/// `GET /v3/admin/organizations/{organization}/usage/recount`
pub(crate) async fn last_recount(call: AdminCall) -> Answer {
    let found = recount::last(&call.platform.store, &call.operator(), call.id_at(0)?).await?;
    Ok(respond::single(&call.id, found))
}

/// `POST /v3/admin/organizations/{organization}/usage/recount`
pub(crate) async fn recount_usage(call: AdminCall) -> Answer {
    let organization: OrganizationId = call.id_at(0)?;
    let (operator, act) = (call.operator(), call.act(None).to(organization));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: RecountUsage = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    let (store, entropy) = (&platform.store, &*platform.entropy);
    let found = recount::by_operator(store, entropy, &operator, organization, (act, &request)).await?;
    Ok(respond::single(&id, found))
}

/// `GET /v3/admin/organizations/{organization}/usage/statement`
pub(crate) async fn statement_of_month(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let (store, now) = (&call.platform.store, call.platform.clock.now());
    let month = query.get("month");
    let found = statement::of_organization(store, &call.operator(), call.id_at(0)?, month, now).await?;
    Ok(respond::single(&call.id, found))
}
