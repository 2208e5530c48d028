//! `/v3/workspaces/{workspace}/breakers`.

use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, json};
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_core::Problem;
use postfleet_core::id::WorkspaceId;
use postfleet_fleet::{breakers, workspaces};
use postfleet_schema::breaker::{Breakers, SetBreakers};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    const PATH: &str = "/v3/workspaces/{workspace}/breakers";
    vec![
        Route::get(PATH, "workspaces.read", find)
            .about(
                "List the breakers of a workspace",
                "Each beside the lines of the platform, with the mailboxes that are nearest to it now.",
            )
            .answers::<Breakers>(),
        Route::put(PATH, "workspaces.write", set)
            .about(
                "Set the breakers of a workspace",
                "All of them at once. A breaker judges each mailbox of the workspace for itself. What it stops is in \
                 `GET /v3/stops`; once that is lifted, it judges by what came since.",
            )
            .takes::<SetBreakers>()
            .answers::<Breakers>(),
        Route::delete(PATH, "workspaces.write", remove)
            .about("Remove the breakers of a workspace", "What they have stopped stays stopped until it is lifted."),
    ]
}

async fn workspace(call: &Call) -> Result<WorkspaceId, Problem> {
    Ok(workspaces::find(&call.platform.store, call.application, &call.path[0]).await?.workspace.id)
}

/// `GET /v3/workspaces/{workspace}/breakers`
pub(crate) async fn find(call: Call) -> Answer {
    let whose = (call.application, workspace(&call).await?);
    let (platform, now) = (&call.platform, call.platform.clock.now());
    let shown = breakers::show(&platform.store, &platform.settings.loops, whose, now).await?;
    Ok(respond::single(&call.id, shown))
}

/// `PUT /v3/workspaces/{workspace}/breakers`
pub(crate) async fn set(call: Call) -> Answer {
    let (act, whose) = (call.act(), (call.application, workspace(&call).await?));
    let Call { platform, id, parts, body, .. } = call;
    let request: SetBreakers = json(&parts, body, BODY_OCTETS_MAX).await?;
    let now = act.at;
    breakers::set(&platform.store, act, whose, request).await?;
    let shown = breakers::show(&platform.store, &platform.settings.loops, whose, now).await?;
    Ok(respond::single(&id, shown))
}

/// `DELETE /v3/workspaces/{workspace}/breakers`
pub(crate) async fn remove(call: Call) -> Answer {
    let (act, whose) = (call.act(), (call.application, workspace(&call).await?));
    breakers::remove(&call.platform.store, act, whose).await?;
    Ok(respond::done(&call.id))
}
