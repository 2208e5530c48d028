//! Making, renaming and deleting the folders of a mailbox.

use crate::platform::Platform;
use crate::receive::shard;
use postfleet_core::folder::{self, FOLDERS_MAX, SystemFolder};
use postfleet_core::id::{ApplicationId, EventId, FolderId, GrantId};
use postfleet_core::{Problem, ProblemKind};
use postfleet_mailbox::folders::{find, show};
use postfleet_schema::folder::{Folder, NewFolder, UpdateFolder};
use postfleet_store::folders::{CreateFolder, DeleteFolder, Emptied, EmptyFolder, FolderOutcome, RenameFolder};

/// Messages that one command takes out of a folder: few enough that mail does not wait for it.
pub(crate) const MESSAGES_MAX: usize = 50;

/// Commands that the request runs which deletes a folder; the janitor does the rest.
const STEPS_MAX: usize = 10;

/// Makes a folder.
pub async fn create(
    platform: &Platform,
    (application_id, grant_id): (ApplicationId, GrantId),
    request: NewFolder,
) -> Result<Folder, Problem> {
    let (name, at) = (folder::name(&request.name)?, platform.clock.now());
    let (id, event_id) = (FolderId::new(at, platform.entropy.ten()), EventId::new(at, platform.entropy.ten()));
    let command = CreateFolder { application_id, grant_id, id, name, event_id, at };
    shown(grant_id, platform.store.run_near(shard(grant_id.uuid()), command).await?)
}

/// Renames a folder.
pub async fn update(
    platform: &Platform,
    (application_id, grant_id): (ApplicationId, GrantId),
    named: &str,
    request: UpdateFolder,
) -> Result<Folder, Problem> {
    let Some(name) = request.name else { return find(&platform.store, grant_id, named).await };
    is_no_system_folder(named)?;
    let (name, at) = (folder::name(&name)?, platform.clock.now());
    let event_id = EventId::new(at, platform.entropy.ten());
    let command = RenameFolder { application_id, grant_id, folder: named.to_owned(), name, event_id, at };
    shown(grant_id, platform.store.run_near(shard(grant_id.uuid()), command).await?)
}

/// Deletes a folder. Those of its messages that are in no other one go into the trash, or (`hard`) for good: the first of them
/// before this returns, the rest soon.
pub async fn delete(
    platform: &Platform,
    (application_id, grant_id): (ApplicationId, GrantId),
    named: &str,
    hard: bool,
) -> Result<(), Problem> {
    is_no_system_folder(named)?;
    let at = platform.clock.now();
    let event_id = EventId::new(at, platform.entropy.ten());
    let command = DeleteFolder { application_id, grant_id, folder: named.to_owned(), hard, event_id, at };
    let deleted = platform.store.run_near(shard(grant_id.uuid()), command).await?;
    let id = deleted.ok_or_else(Problem::not_found)?;
    for _ in 0..STEPS_MAX {
        if empty(platform, Some((grant_id, id))).await? == Emptied::Nothing {
            break;
        }
    }
    Ok(())
}

/// Takes some messages out of a folder that is gone.
pub(crate) async fn empty(platform: &Platform, folder: Option<(GrantId, FolderId)>) -> Result<Emptied, Problem> {
    let (at, event_seed) = (platform.clock.now(), platform.entropy.thirty_two());
    let command = EmptyFolder { folder, limit: MESSAGES_MAX, event_seed, at };
    Ok(match folder {
        Some((grant, _)) => platform.store.run_near(shard(grant.uuid()), command).await?,
        None => platform.store.run(command).await?,
    })
}

fn is_no_system_folder(named: &str) -> Result<(), Problem> {
    match SystemFolder::named(named) {
        None => Ok(()),
        Some(folder) => {
            let text = format!("{} is a folder of every mailbox, and is neither renamed nor deleted", folder.id());
            Err(Problem::new(ProblemKind::Invalid, "system_folder", text))
        }
    }
}

fn shown(grant: GrantId, outcome: FolderOutcome) -> Result<Folder, Problem> {
    let refuse = |code, text: String| {
        Err(Problem { field: Some("name".into()), ..Problem::new(ProblemKind::Conflict, code, text) })
    };
    match outcome {
        FolderOutcome::Done(folder) => Ok(show(grant, folder)),
        FolderOutcome::Taken => refuse("folder_name_taken", "the account has a folder of this name already".to_owned()),
        FolderOutcome::TooMany => {
            let text = format!("an account has at most {FOLDERS_MAX} folders of its own");
            Err(Problem::new(ProblemKind::Conflict, "too_many_folders", text))
        }
        FolderOutcome::Gone => Err(Problem::not_found()),
    }
}
