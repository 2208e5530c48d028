//! `/v3/domains` and `/v3/admin/domains`: the same under two paths, since official clients of different age use either.

use crate::call::AdminCall;
use crate::extract::{BODY_OCTETS_MAX, Query, json, json_or_nothing};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use postfleet_fleet::domains::{Wanted, show};
use postfleet_schema::domain::{
    CreateDomain, DkimKey, Domain, RotateDkimKeys, UpdateDomain, Verification, VerifyDomain,
};

/// The paths of the resource below one of its two prefixes.
macro_rules! routes_below {
    ($prefix:literal) => {
        vec![
            Route::post($prefix, "domains.write", create)
                .about("Register a domain", "It may have mailboxes once its ownership record was found in the DNS.")
                .takes::<CreateDomain>()
                .answers::<Domain>(),
            Route::get($prefix, "domains.read", list)
                .about("List domains", "Newest first.")
                .query(LIST)
                .lists::<Domain>(),
            Route::get(concat!($prefix, "/{domain}"), "domains.read", find)
                .about("Find a domain", "By its id or its name.")
                .answers::<Domain>(),
            Route::put(concat!($prefix, "/{domain}"), "domains.write", update)
                .about("Rename a domain", "What people call it; the address stays.")
                .takes::<UpdateDomain>()
                .answers::<Domain>(),
            Route::delete(concat!($prefix, "/{domain}"), "domains.write", remove)
                .about("Remove a domain", "One on which no mailbox lives."),
            Route::post(concat!($prefix, "/{domain}/info"), "domains.read", info)
                .about("Say what to publish", "With what is known of it; nobody is asked.")
                .takes::<VerifyDomain>()
                .answers::<Verification>(),
            Route::post(concat!($prefix, "/{domain}/verify"), "domains.write", verify)
                .about("Look at the DNS", "Takes up to ten seconds, and records what was found.")
                .takes::<VerifyDomain>()
                .answers::<Verification>(),
            Route::get(concat!($prefix, "/{domain}/zone"), "domains.read", zone)
                .about("Write the records as a zone file", "To be pasted.")
                .answers_file("text/plain"),
            Route::get(concat!($prefix, "/{domain}/dkim-keys"), "domains.read", keys)
                .about("List signing keys", "Without their private halves.")
                .lists::<DkimKey>(),
            Route::post(concat!($prefix, "/{domain}/dkim-keys"), "domains.write", rotate)
                .about("Rotate signing keys", "The new ones sign once they were found in the DNS. Answers all keys.")
                .takes::<RotateDkimKeys>()
                .lists::<DkimKey>(),
        ]
    };
}

const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "`next_cursor` of the page before."),
    Parameter::new("domain", Kind::Text, "The domain of this name only."),
    Parameter::new("region", Kind::Text, "Domains of this region only."),
];

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    [routes_below!("/v3/domains"), routes_below!("/v3/admin/domains")].into_iter().flatten().collect()
}

/// `POST /v3/domains`
pub(crate) async fn create(call: AdminCall) -> Answer {
    let act = call.act(None);
    let AdminCall { platform, id, parts, body, .. } = call;
    let request: CreateDomain = json(&parts, body, BODY_OCTETS_MAX).await?;
    let made = platform.domains().register(act, &request).await?;
    Ok(respond::single(&id, show(&made, &platform.settings.domains)))
}

/// `GET /v3/domains`
pub(crate) async fn list(call: AdminCall) -> Answer {
    let query = Query::of(&call.parts)?;
    let text = |name: &str| query.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (cursor, domain, region) = (text("page_token"), text("domain"), text("region"));
    let wanted = Wanted { limit: query.limit(50, 200)?, cursor, domain, region };
    let (page, next) = call.platform.domains().list(call.caller.organization, &wanted).await?;
    let settings = &call.platform.settings.domains;
    Ok(respond::page(&call.id, page.iter().map(|details| show(details, settings)).collect(), next))
}

/// `GET /v3/domains/{domain}`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let found = call.platform.domains().find(call.caller.organization, &call.path[0]).await?;
    Ok(respond::single(&call.id, show(&found, &call.platform.settings.domains)))
}

/// `PUT /v3/domains/{domain}`
pub(crate) async fn update(call: AdminCall) -> Answer {
    let act = call.act(None);
    let AdminCall { platform, id, parts, body, path, .. } = call;
    let request: UpdateDomain = json(&parts, body, BODY_OCTETS_MAX).await?;
    let renamed = platform.domains().rename(act, &path[0], &request).await?;
    Ok(respond::single(&id, show(&renamed, &platform.settings.domains)))
}

/// `DELETE /v3/domains/{domain}`
pub(crate) async fn remove(call: AdminCall) -> Answer {
    call.platform.domains().remove(call.act(None), &call.path[0]).await?;
    Ok(respond::done(&call.id))
}

/// `POST /v3/domains/{domain}/info`
pub(crate) async fn info(call: AdminCall) -> Answer {
    let AdminCall { platform, caller, id, parts, body, path } = call;
    let request: VerifyDomain = json(&parts, body, BODY_OCTETS_MAX).await?;
    let info = platform.domains().info(caller.organization, &path[0], &request).await?;
    Ok(respond::single(&id, info))
}

/// `POST /v3/domains/{domain}/verify`
pub(crate) async fn verify(call: AdminCall) -> Answer {
    let act = call.act(None);
    let AdminCall { platform, id, parts, body, path, .. } = call;
    let request: VerifyDomain = json(&parts, body, BODY_OCTETS_MAX).await?;
    let verification = platform.domains().verify(act, &path[0], &request).await?;
    Ok(respond::single(&id, verification))
}

/// `GET /v3/domains/{domain}/zone`
pub(crate) async fn zone(call: AdminCall) -> Answer {
    let zone = call.platform.domains().zone(call.caller.organization, &call.path[0]).await?;
    let mut response = Response::new(Body::from(zone));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}

/// `GET /v3/domains/{domain}/dkim-keys`
pub(crate) async fn keys(call: AdminCall) -> Answer {
    let keys = call.platform.domains().keys(call.caller.organization, &call.path[0]).await?;
    Ok(respond::page(&call.id, keys, None))
}

/// `POST /v3/domains/{domain}/dkim-keys`
pub(crate) async fn rotate(call: AdminCall) -> Answer {
    let act = call.act(None);
    let AdminCall { platform, id, parts, body, path, .. } = call;
    let request: RotateDkimKeys = json_or_nothing(&parts, body, BODY_OCTETS_MAX).await?;
    let keys = platform.domains().start_rotation(act, &path[0], &request).await?;
    Ok(respond::page(&id, keys, None))
}
