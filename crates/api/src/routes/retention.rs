//! How long mail is kept, and what was removed when its time was over.

use crate::call::Call;
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_fleet::retention;
use postfleet_schema::retention::GrantRetention;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/retention", "grants.read", of_grant)
            .about(
                "Find how long a mailbox keeps its mail",
                "And what was removed from it by that, by day and limit, and what is due next.",
            )
            .answers::<GrantRetention>(),
    ]
}

/// `GET /v3/grants/{grant}/retention`
pub(crate) async fn of_grant(call: Call) -> Answer {
    let (grant, now) = (call.mailbox().await?, call.platform.clock.now());
    let found = retention::of_grant(&call.platform.store, call.application, grant, now).await?;
    Ok(respond::single(&call.id, found))
}
