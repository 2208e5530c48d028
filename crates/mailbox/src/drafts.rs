//! Reading drafts: one, or a page of them under filters.

use crate::messages::{self, Filter, PageRequest};
use crate::view::{self, Fields};
use crate::writer::Selection;
use postfleet_core::Problem;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_schema::message::Message;
use postfleet_store::Store;
use postfleet_store::messages::StoredMessage;

/// A page of a mailbox's drafts, the last changed first, written as JSON as [`messages::list_written`] does, and the cursor
/// of the next page.
pub async fn list_written(
    store: &Store,
    grant: GrantId,
    filter: Filter,
    request: &PageRequest,
    selection: Selection,
) -> Result<(Vec<u8>, Option<String>), Problem> {
    let folders = vec![SystemFolder::Drafts.id().to_owned()];
    let filter = Filter { drafts: true, folders, ..filter };
    messages::list_written(store, grant, &filter, request, selection).await
}

/// One draft of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: MessageId) -> Result<Message, Problem> {
    let (stored, raw) = load(store, grant, id).await?;
    Ok(view::message(&stored, Some(&raw), Fields::Standard))
}

/// One draft of a mailbox as it is stored, and its source.
pub async fn load(store: &Store, grant: GrantId, id: MessageId) -> Result<(StoredMessage, Vec<u8>), Problem> {
    let found = messages::load(store, &mut store.reader().await?, grant, id).await?;
    found.filter(|(stored, _)| view::is_seen_draft(stored)).ok_or_else(Problem::not_found)
}
