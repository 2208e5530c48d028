//! `/v3/applications`, with its redirect URIs, which the command-line client calls callback URIs.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, RedirectUriId};
use postfleet_fleet::{applications, redirect_uris};
use postfleet_schema::application::{Application, UpdateApplication};
use postfleet_schema::redirect_uri::{CreateRedirectUri, RedirectUri, UpdateRedirectUri};
use postfleet_store::organizations::Scope;

/// The paths under which redirect URIs are found, each alone and with the id of one.
const REDIRECT_URIS: [(&str, &str); 2] = [
    ("/v3/applications/redirect-uris", "/v3/applications/redirect-uris/{redirect_uri}"),
    ("/v3/applications/callback-uris", "/v3/applications/callback-uris/{redirect_uri}"),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get("/v3/applications", "applications.read", own)
            .about("Show the application", "That of the key.")
            .answers::<Application>(),
        Route::patch("/v3/applications", "applications.write", update)
            .about("Change the application", "Absent fields stay, null takes away, objects are replaced whole. Redirect URIs that are named are made or changed with it.")
            .takes::<UpdateApplication>()
            .answers::<Application>(),
        Route::get("/v3/applications/{application}", "applications.read", find)
            .about("Find the application", "There is no other than that of the key.")
            .answers::<Application>(),
    ];
    for (all, one) in REDIRECT_URIS {
        routes.extend(redirect_uri_routes(all, one));
    }
    routes
}

fn redirect_uri_routes(all: &'static str, one: &'static str) -> Vec<Route> {
    vec![
        Route::get(all, "applications.read", list_redirect_uris)
            .about("List redirect URIs", "All of them, oldest first.")
            .lists::<RedirectUri>(),
        Route::post(all, "applications.write", create_redirect_uri)
            .about("Register a redirect URI", "Where sign-in may lead back to. At most 100 for an application.")
            .takes::<CreateRedirectUri>()
            .answers::<RedirectUri>(),
        Route::get(one, "applications.read", find_redirect_uri)
            .about("Find a redirect URI", "")
            .answers::<RedirectUri>(),
        Route::patch(one, "applications.write", update_redirect_uri)
            .about("Change a redirect URI", "Absent fields stay, the settings are replaced whole.")
            .takes::<UpdateRedirectUri>()
            .answers::<RedirectUri>(),
        Route::put(one, "applications.write", update_redirect_uri)
            .about("Change a redirect URI", "As older clients spell it.")
            .takes::<UpdateRedirectUri>()
            .answers::<RedirectUri>(),
        Route::delete(one, "applications.write", remove_redirect_uri).about("Remove a redirect URI", ""),
    ]
}

/// `GET /v3/applications`
pub(crate) async fn own(call: Call) -> Answer {
    let found = applications::find(&call.platform.store, Scope::All, call.application).await?;
    Ok(respond::single(&call.id, applications::show(&found)))
}

/// `GET /v3/applications/{application}`
pub(crate) async fn find(call: Call) -> Answer {
    let wanted: Result<ApplicationId, Problem> = call.id_at(0);
    if wanted? == call.application { own(call).await } else { Err(Problem::not_found()) }
}

/// `PATCH /v3/applications`
pub(crate) async fn update(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateApplication = json(&parts, body, BODY_OCTETS_MAX).await?;
    let updated = applications::update(&platform.store, &*platform.entropy, application, act, &request).await?;
    Ok(respond::single(&id, applications::show(&updated)))
}

/// `GET /v3/applications/redirect-uris`
pub(crate) async fn list_redirect_uris(call: Call) -> Answer {
    let list = redirect_uris::list(&call.platform.store, call.application).await?;
    Ok(respond::page(&call.id, list.iter().map(redirect_uris::show).collect(), None))
}

/// `POST /v3/applications/redirect-uris`
pub(crate) async fn create_redirect_uri(call: Call) -> Answer {
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateRedirectUri = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = redirect_uris::create(&platform.store, &*platform.entropy, application, act, &request).await?;
    Ok(respond::single(&id, redirect_uris::show(&made)))
}

/// `GET /v3/applications/redirect-uris/{redirect_uri}`
pub(crate) async fn find_redirect_uri(call: Call) -> Answer {
    let found = redirect_uris::find(&call.platform.store, call.application, call.id_at(0)?).await?;
    Ok(respond::single(&call.id, redirect_uris::show(&found)))
}

/// `PATCH /v3/applications/redirect-uris/{redirect_uri}`, and `PUT`.
pub(crate) async fn update_redirect_uri(call: Call) -> Answer {
    let redirect_uri: RedirectUriId = call.id_at(0)?;
    let act = call.act();
    let Call { platform, application, id, parts, body, .. } = call;
    let request: UpdateRedirectUri = json(&parts, body, BODY_OCTETS_MAX).await?;
    let updated = redirect_uris::update(&platform.store, application, redirect_uri, act, &request).await?;
    Ok(respond::single(&id, redirect_uris::show(&updated)))
}

/// `DELETE /v3/applications/redirect-uris/{redirect_uri}`
pub(crate) async fn remove_redirect_uri(call: Call) -> Answer {
    redirect_uris::remove(&call.platform.store, call.application, call.id_at(0)?, call.act()).await?;
    Ok(respond::done(&call.id))
}
