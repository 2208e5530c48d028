//! `/v3/connect/custom` and `/v3/grants`.

use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::router::Call;
use postfleet_core::Problem;
use postfleet_fleet::grants;
use postfleet_schema::grant::CreateGrant;

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
