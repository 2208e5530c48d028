//! `/v3/admin/organizations`, `/v3/admin/plans` and `/v3/admin/applications`: what the operator says about who exists.

use crate::call::AdminCall;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::id::{ApplicationId, OrganizationId};
use postfleet_fleet::{applications, organizations};
use postfleet_schema::application::{AdminUpdateApplication, Application, CreateApplication};
use postfleet_schema::organization::{CreateOrganization, Organization, Plan, UpdateOrganization};

const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The next_cursor of the page before."),
];

const LIST_OF_ORGANIZATION: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The next_cursor of the page before."),
    Parameter::new("organization_id", Kind::Text, "Another organization, for the installation's operator."),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = organization_routes();
    routes.extend(application_routes());
    routes
}

fn organization_routes() -> Vec<Route> {
    vec![
        Route::get("/v3/admin/organizations", "organizations.read", list)
            .about("List organizations", "All for the installation's operator, else the own one. Newest first.")
            .query(LIST)
            .lists::<Organization>(),
        Route::post("/v3/admin/organizations", "organizations.write", create)
            .about("Make an organization", "For the installation's operator. It has no keys and applications yet.")
            .takes::<CreateOrganization>()
            .answers::<Organization>(),
        Route::get("/v3/admin/organizations/{organization}", "organizations.read", find)
            .about("Find an organization", "")
            .answers::<Organization>(),
        Route::patch("/v3/admin/organizations/{organization}", "organizations.write", update)
            .about("Change an organization", "Another plan holds at once; the installation's operator gives it.")
            .takes::<UpdateOrganization>()
            .answers::<Organization>(),
        Route::get("/v3/admin/plans", "organizations.read", plans)
            .about("List plans", "What each of them allows.")
            .lists::<Plan>(),
    ]
}

fn application_routes() -> Vec<Route> {
    vec![
        Route::get("/v3/admin/applications", "applications.read", list_applications)
            .about("List applications", "Those of one organization, newest first.")
            .query(LIST_OF_ORGANIZATION)
            .lists::<Application>(),
        Route::post("/v3/admin/applications", "applications.write", create_application)
            .about("Make an application", "A sub-account, with its default workspace. Make a key for it next.")
            .takes::<CreateApplication>()
            .answers::<Application>(),
        Route::get("/v3/admin/applications/{application}", "applications.read", find_application)
            .about("Find an application", "")
            .answers::<Application>(),
        Route::patch("/v3/admin/applications/{application}", "applications.write", update_application)
            .about("Change an application", "Absent fields stay, objects are replaced whole.")
            .takes::<AdminUpdateApplication>()
            .answers::<Application>(),
        Route::delete("/v3/admin/applications/{application}", "applications.write", remove_application)
            .about("Remove an application", "With everything that it has. Its mailboxes must be gone before."),
    ]
}

/// `GET /v3/admin/organizations`
pub(crate) async fn list(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let store = &call.platform.store;
    let page = organizations::list(store, &call.operator(), query.limit(50, 200)?, query.get("page_token")).await?;
    let shown: Result<Vec<_>, _> = page.items.iter().map(|item| organizations::show(item, store.plans())).collect();
    Ok(respond::page(&call.id, shown?, page.next_cursor))
}

/// `POST /v3/admin/organizations`
pub(crate) async fn create(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateOrganization = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = organizations::add(&platform.store, &*platform.entropy, &operator, act, &request).await?;
    Ok(respond::single(&id, organizations::show(&made, platform.store.plans())?))
}

/// `GET /v3/admin/organizations/{organization}`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let store = &call.platform.store;
    let found = organizations::find(store, &call.operator(), call.id_at(0)?).await?;
    Ok(respond::single(&call.id, organizations::show(&found, store.plans())?))
}

/// `PATCH /v3/admin/organizations/{organization}`
pub(crate) async fn update(call: AdminCall) -> Answer {
    let organization: OrganizationId = call.id_at(0)?;
    let (operator, act) = (call.operator(), call.act(None));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: UpdateOrganization = json(&parts, body, BODY_OCTETS_MAX).await?;
    let updated = organizations::update(&platform.store, &operator, organization, act, &request).await?;
    Ok(respond::single(&id, organizations::show(&updated, platform.store.plans())?))
}

/// `GET /v3/admin/plans`
pub(crate) async fn plans(call: AdminCall) -> Answer {
    let plans = call.platform.store.plans().iter().map(organizations::show_plan).collect();
    Ok(respond::page(&call.id, plans, None))
}

/// `GET /v3/admin/applications`
pub(crate) async fn list_applications(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let organization = call.operator().organization(query.get("organization_id"))?;
    let (limit, token) = (query.limit(50, 200)?, query.get("page_token"));
    let page = applications::list(&call.platform.store, organization, limit, token).await?;
    Ok(respond::page(&call.id, page.items.iter().map(applications::show).collect(), page.next_cursor))
}

/// `POST /v3/admin/applications`
pub(crate) async fn create_application(call: AdminCall) -> Answer {
    let (operator, act) = (call.operator(), call.act(None));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateApplication = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = applications::create(&platform.store, &*platform.entropy, &operator, act, &request).await?;
    Ok(respond::single(&id, applications::show(&made)))
}

/// `GET /v3/admin/applications/{application}`
pub(crate) async fn find_application(call: AdminCall) -> Answer {
    let found = applications::find(&call.platform.store, call.operator().scope(), call.id_at(0)?).await?;
    Ok(respond::single(&call.id, applications::show(&found)))
}

/// `PATCH /v3/admin/applications/{application}`
pub(crate) async fn update_application(call: AdminCall) -> Answer {
    let application: ApplicationId = call.id_at(0)?;
    let (operator, act) = (call.operator(), call.act(Some(application)));
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: AdminUpdateApplication = json(&parts, body, BODY_OCTETS_MAX).await?;
    let updated = applications::administer(&platform.store, &operator, application, act, request).await?;
    Ok(respond::single(&id, applications::show(&updated)))
}

/// `DELETE /v3/admin/applications/{application}`
pub(crate) async fn remove_application(call: AdminCall) -> Answer {
    let application: ApplicationId = call.id_at(0)?;
    let act = call.act(Some(application));
    applications::remove(&call.platform.store, &call.operator(), application, act).await?;
    Ok(respond::done(&call.id))
}
