//! `/v3/connect/custom` and `/v3/grants`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_core::Problem;
use postfleet_fleet::grants;
use postfleet_schema::grant::{CreateGrant, Grant};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const LIST: &[Parameter] = &[
        Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 10 if absent."),
        Parameter::new("offset", Kind::Integer(0, i64::MAX), "How many to skip."),
    ];
    vec![
        Route::post("/v3/connect/custom", "grants.write", create)
            .about("Make a mailbox", "Repeating the call is safe: it answers the mailbox that is there.")
            .takes::<CreateGrant>()
            .creates::<Grant>(),
        Route::get("/v3/grants", "grants.read", list)
            .about("List mailboxes", "Newest first.")
            .query(LIST)
            .lists_by_offset::<Grant>(),
        Route::get("/v3/grants/{grant}", "grants.read", find)
            .about("Find a mailbox", "By its id or its address.")
            .answers::<Grant>(),
        Route::delete("/v3/grants/{grant}", "grants.write", remove)
            .about("Remove a mailbox", "With everything that it holds. Its place in the plan is free at once."),
    ]
}

/// `POST /v3/connect/custom`
pub(crate) async fn create(call: Call) -> Answer {
    let Call { platform, application, id, parts, body, .. } = call;
    let request: CreateGrant = json(&parts, body, BODY_OCTETS_MAX).await?;
    let now = platform.clock.now();
    let grant = grants::provision(&platform.store, &*platform.entropy, now, application, &request).await?;
    Ok(respond::created(&id, grants::show(&grant)))
}

/// `GET /v3/grants`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let limit = query.limit(10, 200)?;
    let offset = query.number("offset")?.unwrap_or(0);
    let too_low = |_| Problem::invalid("offset", "offset must be greater than or equal to 0");
    let offset = usize::try_from(offset).map_err(too_low)?;
    let grants = grants::list(&call.platform.store, call.application, limit, offset).await?;
    Ok(respond::offset_page(&call.id, grants.iter().map(grants::show).collect(), limit, offset))
}

/// `GET /v3/grants/{grant}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.grant().await?;
    Ok(respond::single(&call.id, grants::show(&grant)))
}

/// `DELETE /v3/grants/{grant}`
pub(crate) async fn remove(call: Call) -> Answer {
    let grant = call.grant().await?;
    let platform = &call.platform;
    let now = platform.clock.now();
    grants::remove(&platform.store, &*platform.entropy, now, call.application, grant.id).await?;
    Ok(respond::done(&call.id))
}
