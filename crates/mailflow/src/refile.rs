//! Moving and marking a message that is in a mailbox.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, EventId, GrantId, MessageId};
use postfleet_mailbox::messages::load;
use postfleet_mailbox::refile;
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::{self as schema, Message};
use postfleet_store::messages;
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
    let found = found.filter(|message| !message.draft).ok_or_else(Problem::not_found)?;
    let folders = request.folders.map(|wanted| refile::folders(&wanted, &found.folders)).transpose()?;
    let at = platform.clock.now();
    let update = UpdateMessage {
        application_id,
        grant_id,
        id,
        folders,
        unread: request.unread,
        starred: request.starred,
        event_id: EventId::new(at, platform.entropy.ten()),
        at,
    };
    let shard = crate::receive::shard(grant_id.uuid());
    match platform.store.run_near(shard, update).await? {
        UpdateOutcome::Done => {}
        UpdateOutcome::Gone | UpdateOutcome::Draft => return Err(Problem::not_found()),
    }
    let changed = load(&platform.store, &mut platform.store.reader().await?, grant_id, id).await?;
    let (stored, raw) = changed.ok_or_else(Problem::not_found)?;
    Ok(view::message(&stored, Some(&raw), Fields::Standard))
}
