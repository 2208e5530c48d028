//! The folders of a mailbox.

use postfleet_core::Problem;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::GrantId;
use postfleet_schema::folder::Folder;
use postfleet_store::{Store, folders};

/// The folders of a mailbox: the six that every mailbox has.
pub async fn list(store: &Store, grant: GrantId) -> Result<Vec<Folder>, Problem> {
    let counts = folders::counts(&mut store.reader().await?, grant).await?;
    let show = |folder: &SystemFolder| {
        let count = counts.iter().find(|count| count.folder == folder.id());
        Folder {
            id: folder.id().to_owned(),
            grant_id: grant.to_string(),
            object: "folder",
            name: folder.id().to_owned(),
            system_folder: true,
            attributes: vec![folder.attribute()],
            child_count: 0,
            total_count: count.map_or(0, |count| count.total),
            unread_count: count.map_or(0, |count| count.unread),
        }
    };
    Ok(SystemFolder::ALL.iter().map(show).collect())
}

/// One folder, by id or by any spelling of a system folder's name.
pub async fn find(store: &Store, grant: GrantId, id: &str) -> Result<Folder, Problem> {
    let wanted = SystemFolder::named(id).ok_or_else(Problem::not_found)?;
    let folders = list(store, grant).await?;
    folders.into_iter().find(|folder| folder.id == wanted.id()).ok_or_else(Problem::not_found)
}
