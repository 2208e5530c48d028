//! `/v3/grants/{grant}/folders`.

use crate::call::Call;
use crate::respond::{self, Answer};
use crate::route::Route;
use postfleet_mailbox::folders;
use postfleet_schema::folder::Folder;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/grants/{grant}/folders", "messages.read", list)
            .about("List the folders of a mailbox", "All of them, in one page.")
            .lists::<Folder>(),
        Route::get("/v3/grants/{grant}/folders/{folder}", "messages.read", find)
            .about("Find a folder", "With its counts of messages.")
            .answers::<Folder>(),
    ]
}

/// `GET /v3/grants/{grant}/folders`
pub(crate) async fn list(call: Call) -> Answer {
    let grant = call.grant().await?;
    let folders = folders::list(&call.platform.store, grant.id).await?;
    Ok(respond::page(&call.id, folders, None))
}

/// `GET /v3/grants/{grant}/folders/{folder}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.grant().await?;
    let folder = folders::find(&call.platform.store, grant.id, &call.path[1]).await?;
    Ok(respond::single(&call.id, folder))
}
