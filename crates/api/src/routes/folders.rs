//! `/v3/grants/{grant}/folders`.

use crate::respond::{self, Answer};
use crate::router::Call;
use postfleet_mailbox::folders;

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
