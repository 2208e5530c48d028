//! The folders of a mailbox: those that every mailbox has, then those that were made in it, the oldest first.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::Problem;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{FolderId, GrantId};
use postfleet_schema::folder::Folder;
use postfleet_store::folders::{FolderCount, OwnFolder};
use postfleet_store::{Reader, Store, folders};

/// A page of the folders of a mailbox, and the cursor of the next one.
pub async fn list(
    store: &Store,
    grant: GrantId,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<Folder>, Option<String>), Problem> {
    let after = cursor.map(Place::read).transpose()?;
    let mut reader = store.reader().await?;
    let mut page = match after {
        Some(Place::Own(_)) => Vec::new(),
        Some(Place::System(last)) => system(&mut reader, grant, |folder| folder as u8 > last as u8).await?,
        None => system(&mut reader, grant, |_| true).await?,
    };
    if page.len() <= limit {
        let last = if let Some(Place::Own(last)) = after { Some(last) } else { None };
        // One more than is shown tells whether there is another page.
        let own = folders::list(&mut reader, grant, last, limit - page.len() + 1).await?;
        page.extend(own.into_iter().map(|folder| show(grant, folder)));
    }
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(&last.id));
    Ok((page, next))
}

/// One folder: by its id or its name, and a system folder by any spelling of it.
pub async fn find(store: &Store, grant: GrantId, named: &str) -> Result<Folder, Problem> {
    let mut reader = store.reader().await?;
    if let Some(wanted) = SystemFolder::named(named) {
        let found = system(&mut reader, grant, |folder| folder == wanted).await?;
        return found.into_iter().next().ok_or_else(Problem::not_found);
    }
    let found = folders::find(&mut reader, grant, named).await?;
    found.map(|folder| show(grant, folder)).ok_or_else(Problem::not_found)
}

/// The ids of the folders that are named by ids or names, as far as there are such folders.
pub async fn ids(reader: &mut Reader<'_>, grant: GrantId, named: &[String]) -> Result<Vec<String>, Problem> {
    let mut ids = Vec::with_capacity(named.len());
    for name in named {
        match SystemFolder::named(name) {
            Some(folder) => ids.push(folder.id().to_owned()),
            None => ids.extend(folders::find(reader, grant, name).await?.map(|folder| folder.id.to_string())),
        }
    }
    Ok(ids)
}

/// Shows a folder that was made.
pub fn show(grant: GrantId, folder: OwnFolder) -> Folder {
    let OwnFolder { id, name, total, unread } = folder;
    Folder { system_folder: false, attributes: Vec::new(), ..shaped(grant, id.to_string(), name, (total, unread)) }
}

async fn system(
    reader: &mut Reader<'_>,
    grant: GrantId,
    wanted: impl Fn(SystemFolder) -> bool,
) -> Result<Vec<Folder>, Problem> {
    let counts = folders::counts_of_system(reader, grant).await?;
    let show = |folder: SystemFolder| {
        let count = counts.iter().find(|count| count.folder == folder.id());
        let held = count.map_or((0, 0), |FolderCount { total, unread, .. }| (*total, *unread));
        let (system_folder, attributes) = (true, vec![folder.attribute()]);
        Folder { system_folder, attributes, ..shaped(grant, folder.id().to_owned(), folder.id().to_owned(), held) }
    };
    Ok(SystemFolder::ALL.iter().copied().filter(|folder| wanted(*folder)).map(show).collect())
}

fn shaped(grant: GrantId, id: String, name: String, (total_count, unread_count): (u64, u64)) -> Folder {
    Folder {
        id,
        grant_id: grant.to_string(),
        object: "folder",
        name,
        parent_id: None,
        background_color: None,
        text_color: None,
        system_folder: false,
        attributes: Vec::new(),
        child_count: 0,
        total_count,
        unread_count,
    }
}

/// After which folder a page begins.
#[derive(Clone, Copy)]
enum Place {
    System(SystemFolder),
    Own(FolderId),
}

impl Place {
    fn read(cursor: &str) -> Result<Self, Problem> {
        let invalid = || Problem::invalid("page_token", "page_token is not a cursor of this list");
        let id = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?).map_err(|_| invalid())?;
        if let Some(folder) = SystemFolder::ALL.iter().find(|folder| folder.id() == id) {
            return Ok(Self::System(*folder));
        }
        id.parse().map(Self::Own).map_err(|_| invalid())
    }
}
