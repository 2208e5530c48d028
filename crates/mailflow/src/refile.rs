//! Moving, marking and deleting a message that is in a mailbox.

use crate::platform::Platform;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId};
use postfleet_core::{Problem, metadata};
use postfleet_mailbox::messages::load;
use postfleet_mailbox::refile;
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::{self as schema, Message};
use postfleet_store::messages;
use postfleet_store::purge::{DeleteMessage, DeleteOutcome};
use postfleet_store::refile::{UpdateMessage, UpdateOutcome};

/// Changes a message as a request says, and shows it as it is then.
pub async fn update(
    platform: &Platform,
    application_id: ApplicationId,
    grant_id: GrantId,
    id: MessageId,
    request: schema::UpdateMessage,
) -> Result<Message, Problem> {
    let found = messages::find(&mut platform.store.reader().await?, grant_id, id).await?;
    found.filter(|message| !message.draft).ok_or_else(Problem::not_found)?;
    if let Some(pairs) = &request.metadata {
        metadata::check(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    }
    if let Some(wanted) = &request.folders {
        refile::check(wanted)?;
    }
    let at = platform.clock.now();
    let event_id = EventId::new(at, platform.entropy.ten());
    let update = UpdateMessage {
        folders: request.folders,
        unread: request.unread,
        starred: request.starred,
        answered: request.answered,
        metadata: request.metadata,
        ..UpdateMessage::nothing((application_id, grant_id, id), event_id, at)
    };
    let shard = crate::receive::shard(grant_id.uuid());
    match platform.store.run_near(shard, update).await? {
        UpdateOutcome::Done => {}
        UpdateOutcome::NoSuchFolder(name) => return Err(refile::missing(&name)),
        UpdateOutcome::Gone | UpdateOutcome::Draft => return Err(Problem::not_found()),
    }
    let changed = load(&platform.store, &mut platform.store.reader().await?, grant_id, id).await?;
    let (stored, raw) = changed.ok_or_else(Problem::not_found)?;
    Ok(view::message(&stored, Some(&raw), Fields::Standard))
}

/// Deletes a message: it goes into the trash, from there for good, and `hard` for good at once. A draft is no message.
pub async fn delete(
    platform: &Platform,
    (application_id, grant_id): (ApplicationId, GrantId),
    id: MessageId,
    hard: bool,
) -> Result<(), Problem> {
    let (at, event_seed) = (platform.clock.now(), platform.entropy.thirty_two());
    let command = DeleteMessage { application_id, grant_id, id, hard, event_seed, at };
    match platform.store.run_near(crate::receive::shard(grant_id.uuid()), command).await? {
        DeleteOutcome::Trashed | DeleteOutcome::Purged => Ok(()),
        DeleteOutcome::Gone => Err(Problem::not_found()),
    }
}
