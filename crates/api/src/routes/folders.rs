//! `/v3/grants/{grant}/folders`.

use super::messages::HARD_DELETE;
use crate::call::Call;
use crate::extract::{BODY_OCTETS_MAX, Query, json};
use crate::respond::{self, Answer};
use crate::route::{Kind, Parameter, Route};
use postfleet_mailbox::folders;
use postfleet_mailflow::folders as change;
use postfleet_schema::folder::{Folder, NewFolder, UpdateFolder};

const FOLDERS: &str = "/v3/grants/{grant}/folders";
const FOLDER: &str = "/v3/grants/{grant}/folders/{folder}";

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get(FOLDERS, "messages.read", list)
            .about("List the folders of a mailbox", LIST_DETAILS)
            .query(LIST)
            .lists::<Folder>(),
        Route::post(FOLDERS, "messages.write", create)
            .about("Make a folder", CREATE_DETAILS)
            .takes::<NewFolder>()
            .answers::<Folder>(),
        Route::get(FOLDER, "messages.read", find)
            .about("Find a folder", "By its id or its name, with its counts of messages.")
            .answers::<Folder>(),
        Route::put(FOLDER, "messages.write", update)
            .about("Rename a folder", UPDATE_DETAILS)
            .takes::<UpdateFolder>()
            .answers::<Folder>(),
        Route::patch(FOLDER, "messages.write", update)
            .about("Rename a folder", UPDATE_DETAILS)
            .takes::<UpdateFolder>()
            .answers::<Folder>(),
        Route::delete(FOLDER, "messages.write", delete).about("Delete a folder", DELETE_DETAILS).query(&[HARD_DELETE]),
    ]
}

const LIST_DETAILS: &str = "Those that every mailbox has, then its own, the oldest first. Folders are in no others: \
    `parent_id`, `single_level` and `include_hidden_folders` are accepted and change nothing.";

const CREATE_DETAILS: &str = "An account may have 1,000 folders of its own. A name that is taken answers 409.";

const UPDATE_DETAILS: &str =
    "Its messages stay in it. The folders that every mailbox has are not renamed (400, `system_folder`).";

const DELETE_DETAILS: &str = "It is gone at once. Messages that are in no other folder go into `trash`, or for good with \
    `hard_delete`: the first 500 with the request, the rest within minutes. The folders that every mailbox has are not \
    deleted (400, `system_folder`).";

const LIST: &[Parameter] = &[
    Parameter::new("limit", Kind::Integer(1, 200), "How many at most; 50 if absent."),
    Parameter::new("page_token", Kind::Text, "The `next_cursor` of the page before."),
];

/// `GET /v3/grants/{grant}/folders`
pub(crate) async fn list(call: Call) -> Answer {
    let query = Query::of(&call.parts)?;
    let (limit, cursor) = (query.limit(50, 200)?, query.get("page_token").filter(|token| !token.is_empty()));
    let grant = call.mailbox().await?;
    let (folders, next) = folders::list(&call.platform.store, grant, limit, cursor).await?;
    Ok(respond::page(&call.id, folders, next))
}

/// `POST /v3/grants/{grant}/folders`
pub(crate) async fn create(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let Call { platform, application, id, parts, body, .. } = call;
    let request: NewFolder = json(&parts, body, BODY_OCTETS_MAX).await?;
    let folder = change::create(&platform, (application, grant), request).await?;
    Ok(respond::single(&id, folder))
}

/// `GET /v3/grants/{grant}/folders/{folder}`
pub(crate) async fn find(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let folder = folders::find(&call.platform.store, grant, &call.path[1]).await?;
    Ok(respond::single(&call.id, folder))
}

/// `PUT` and `PATCH /v3/grants/{grant}/folders/{folder}`
pub(crate) async fn update(call: Call) -> Answer {
    let grant = call.mailbox().await?;
    let Call { platform, application, id, parts, body, path, .. } = call;
    let request: UpdateFolder = json(&parts, body, BODY_OCTETS_MAX).await?;
    let folder = change::update(&platform, (application, grant), &path[1], request).await?;
    Ok(respond::single(&id, folder))
}

/// `DELETE /v3/grants/{grant}/folders/{folder}`
pub(crate) async fn delete(call: Call) -> Answer {
    let hard = Query::of(&call.parts)?.flag("hard_delete")?.unwrap_or_default();
    let grant = call.mailbox().await?;
    change::delete(&call.platform, (call.application, grant), &call.path[1], hard).await?;
    Ok(respond::done(&call.id))
}
