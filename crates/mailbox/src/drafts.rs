//! Reading drafts: one, or a page of them under filters.

use crate::messages::{self, Filter, PageRequest, Shown};
use crate::view::{self, Fields};
use postfleet_core::Problem;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_schema::message::Message;
use postfleet_store::messages::StoredMessage;
use postfleet_store::{Store, blobs};

/// A page of a mailbox's drafts, the last changed first, and the cursor of the next page.
pub async fn list(
    store: &Store,
    grant: GrantId,
    filter: Filter,
    request: &PageRequest,
) -> Result<(Vec<Message>, Option<String>), Problem> {
    let folders = vec![SystemFolder::Drafts.id().to_owned()];
    let filter = Filter { drafts: true, folders, ..filter };
    match messages::list(store, grant, &filter, request).await? {
        (Shown::Messages(drafts), next) => Ok((drafts, next)),
        (Shown::Raw(_), _) => Err(Problem::internal("drafts are not shown as sources")),
    }
}

/// One draft of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: MessageId) -> Result<Message, Problem> {
    let (stored, raw) = load(store, grant, id).await?;
    Ok(view::message(&stored, Some(&raw), Fields::Standard))
}

/// One draft of a mailbox as it is stored, and its source.
pub async fn load(store: &Store, grant: GrantId, id: MessageId) -> Result<(StoredMessage, Vec<u8>), Problem> {
    let mut reader = store.reader().await?;
    let mut missing = None;
    loop {
        let found = postfleet_store::messages::find(&mut reader, grant, id).await?;
        let stored = found.filter(view::is_seen_draft).ok_or_else(Problem::not_found)?;
        if let Some(blob) = blobs::find(&mut reader, stored.blob_id).await? {
            return Ok((stored, store.blobs().load(&blob).await?));
        }
        // Somebody has changed or sent the draft between the two reads, so there is another body now or no draft.
        if missing == Some(stored.blob_id) {
            return Err(Problem::internal(format!("draft {id} has no body")));
        }
        missing = Some(stored.blob_id);
    }
}
