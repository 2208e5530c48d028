//! `/v3/domains/{domain}/warm-up`, and the same below `/v3/admin/domains`: how much a new sending domain may send.

use crate::call::AdminCall;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_schema::warm_up::{SetWarmUp, WarmUp};

/// The paths of the resource below one of its two prefixes.
macro_rules! routes_below {
    ($prefix:literal) => {
        vec![
            Route::get(concat!($prefix, "/{domain}/warm-up"), "domains.read", find)
                .about("Show a warm-up", "What may be sent today, and when it ends if every day counts.")
                .answers::<WarmUp>(),
            Route::put(concat!($prefix, "/{domain}/warm-up"), "domains.write", set)
                .about("Warm a domain up", "Or change where its warm-up goes; the day on which it is stays.")
                .takes::<SetWarmUp>()
                .answers::<WarmUp>(),
            Route::delete(concat!($prefix, "/{domain}/warm-up"), "domains.write", end)
                .about("End a warm-up", "Nothing is capped any more."),
        ]
    };
}

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    [routes_below!("/v3/domains"), routes_below!("/v3/admin/domains")].into_iter().flatten().collect()
}

/// `GET /v3/domains/{domain}/warm-up`
pub(crate) async fn find(call: AdminCall) -> Answer {
    let found = call.platform.domains().warm_up(call.caller.organization, &call.path[0]).await?;
    Ok(respond::single(&call.id, found))
}

/// `PUT /v3/domains/{domain}/warm-up`
pub(crate) async fn set(call: AdminCall) -> Answer {
    let act = call.act(None);
    let AdminCall { platform, id, parts, body, path, .. } = call;
    let request: SetWarmUp = json(&parts, body, BODY_OCTETS_MAX).await?;
    Ok(respond::single(&id, platform.domains().set_warm_up(act, &path[0], &request).await?))
}

/// `DELETE /v3/domains/{domain}/warm-up`
pub(crate) async fn end(call: AdminCall) -> Answer {
    call.platform.domains().end_warm_up(call.act(None), &call.path[0]).await?;
    Ok(respond::done(&call.id))
}
