//! Moving, marking and deleting a whole conversation: some messages at a time, so that mail does not wait for it.

use crate::platform::Platform;
use crate::receive::shard;
use postfleet_core::Problem;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, GrantId, ThreadId};
use postfleet_mailbox::{refile, threads};
use postfleet_schema::thread::{Thread, UpdateThread};
use postfleet_store::threads::{AfterMember, Change, ChangeOutcome, ChangeThread, find_thread};

/// Messages that are changed at once.
const STEP: usize = 100;

/// Changes all messages of a thread as a request says, and shows it as it is then. What comes in meanwhile stays as it is.
pub async fn update(
    platform: &Platform,
    (application, grant): (ApplicationId, GrantId),
    id: ThreadId,
    request: UpdateThread,
) -> Result<Thread, Problem> {
    let UpdateThread { folders, unread, starred } = request;
    find_thread(&mut platform.store.reader().await?, grant, id).await?.ok_or_else(Problem::not_found)?;
    if let Some(wanted) = &folders {
        refile::check(wanted)?;
    }
    if folders.is_some() || unread.is_some() || starred.is_some() {
        change(platform, (application, grant), id, Change::Mark { folders, unread, starred }).await?;
    }
    threads::find(&platform.store, grant, id).await
}

/// Puts all messages of a thread into the trash; they go for good if they are all there already, or if that is asked for. Its
/// drafts stay: they have a way of their own.
pub async fn delete(
    platform: &Platform,
    (application, grant): (ApplicationId, GrantId),
    id: ThreadId,
    hard: bool,
) -> Result<(), Problem> {
    let found = find_thread(&mut platform.store.reader().await?, grant, id).await?.ok_or_else(Problem::not_found)?;
    let mut others = found.totals.folders.keys().filter(|folder| *folder != SystemFolder::Drafts.id());
    let is_thrown_away = others.all(|folder| folder == SystemFolder::Trash.id());
    let how = if hard || is_thrown_away { Change::Purge } else { Change::Trash };
    change(platform, (application, grant), id, how).await
}

async fn change(
    platform: &Platform,
    (application_id, grant_id): (ApplicationId, GrantId),
    thread: ThreadId,
    change: Change,
) -> Result<(), Problem> {
    let (at, event_seed) = (platform.clock.now(), platform.entropy.thirty_two());
    let mut after = AfterMember::START;
    loop {
        let change = change.clone();
        let step = ChangeThread { application_id, grant_id, thread, change, after, limit: STEP, event_seed, at };
        match platform.store.run_near(shard(grant_id.uuid()), step).await? {
            ChangeOutcome::More(last) => after = last,
            ChangeOutcome::Done => return Ok(()),
            ChangeOutcome::NoSuchFolder(name) => return Err(refile::missing(&name)),
            ChangeOutcome::Gone if after == AfterMember::START => return Err(Problem::not_found()),
            // It was removed meanwhile.
            ChangeOutcome::Gone => return Ok(()),
        }
    }
}
