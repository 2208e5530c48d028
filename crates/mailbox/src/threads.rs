//! Reading threads: conversations with what their messages add up to.

mod few;
mod filter;
mod search;

pub use filter::ThreadFilter;

use crate::cursor;
use crate::view::{self, Fields};
use postfleet_core::Problem;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_schema::message::{Message, Participant};
use postfleet_schema::thread::Thread;
use postfleet_store::threads::{self, AfterThread, StoredThread};
use postfleet_store::{Reader, Store, messages};
use std::collections::HashMap;

/// Ids that are shown of one thread: those of its latest messages and drafts.
const IDS_MAX: usize = 1_000;

/// Ids that are shown of a page of threads.
const PAGE_IDS_MAX: usize = 10_000;

/// How a page is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// At most so many.
    pub limit: usize,
    /// Where it starts.
    pub cursor: Option<String>,
    /// Whether the bodies of the latest messages are shown; without them no raw message is read.
    pub with_body: bool,
}

/// A page of a mailbox's threads, latest first or, where something is searched for, those first that fit best; and the cursor of the next page. Like messages, threads that few pass may be
/// found on a later page.
pub async fn list(
    store: &Store,
    grant: GrantId,
    filter: &ThreadFilter,
    request: &PageRequest,
) -> Result<(Vec<Thread>, Option<String>), Problem> {
    let mut reader = store.reader().await?;
    if let Some(wanted) = &filter.message.search {
        let (page, next) = search::collect((store, &mut reader), grant, (filter, wanted), request).await?;
        return Ok((show(store, &mut reader, &page, request.with_body).await?, next));
    }
    let after = match request.cursor.as_deref().map(cursor::read).transpose()? {
        Some((sort_date, id)) => AfterThread { sort_date, id: ThreadId::from_uuid(uuid::Uuid::from_bytes(id)) },
        None => AfterThread::START,
    };
    let (page, next) = filter.collect(&mut reader, grant, after, request.limit).await?;
    let next = next.map(|last| cursor::write(last.sort_date, last.id.uuid().as_bytes()));
    Ok((show(store, &mut reader, &page, request.with_body).await?, next))
}

/// One thread of a mailbox. One that has only what waits to be sent is not there yet.
pub async fn find(store: &Store, grant: GrantId, id: ThreadId) -> Result<Thread, Problem> {
    let mut reader = store.reader().await?;
    let thread = threads::find_thread(&mut reader, grant, id).await?.ok_or_else(Problem::not_found)?;
    show(store, &mut reader, &[thread], true).await?.pop().ok_or_else(Problem::not_found)
}

/// Threads as they are shown, each with its latest message or draft. One whose messages are all gone meanwhile is left out.
async fn show(
    store: &Store,
    reader: &mut Reader<'_>,
    page: &[StoredThread],
    with_body: bool,
) -> Result<Vec<Thread>, Problem> {
    let mut latest = latest(store, reader, page, with_body).await?;
    let lost: Vec<ThreadId> = page.iter().map(|thread| thread.id).filter(|id| !latest.contains_key(id)).collect();
    if !lost.is_empty() {
        // Another one is the latest now.
        let again = threads::named(reader, page[0].grant_id, &lost).await?;
        latest.extend(self::latest(store, reader, &again, with_body).await?);
    }
    let mut ids = ids(reader, page).await?;
    let shown = page.iter().filter_map(|thread| {
        let latest = latest.remove(&thread.id)?;
        Some(shown(thread, latest, ids.remove(&thread.id).unwrap_or_default()))
    });
    Ok(shown.collect())
}

async fn latest(
    store: &Store,
    reader: &mut Reader<'_>,
    page: &[StoredThread],
    with_body: bool,
) -> Result<HashMap<ThreadId, Message>, Problem> {
    let mut latest = HashMap::with_capacity(page.len());
    let Some(first) = page.first() else { return Ok(latest) };
    let ids: Vec<MessageId> = page.iter().filter_map(|thread| thread.totals.latest).map(|(_, id)| id).collect();
    if with_body {
        for (stored, blob) in messages::named_with_bodies(reader, first.grant_id, &ids).await? {
            let raw = store.blobs().load(&blob).await?;
            latest.insert(stored.thread_id, view::message(&stored, Some(&raw), Fields::Standard));
        }
    } else {
        for stored in messages::named(reader, first.grant_id, &ids).await? {
            latest.insert(stored.thread_id, view::message(&stored, None, Fields::Standard));
        }
    }
    Ok(latest)
}

/// The ids of a thread's messages and drafts, latest first, and whether there are more.
#[derive(Default)]
struct Ids {
    ids: Vec<(MessageId, bool)>,
    is_truncated: bool,
}

/// What is in each of some threads. Most have one message, which is known; of the others short ones are read at once.
async fn ids(reader: &mut Reader<'_>, page: &[StoredThread]) -> Result<HashMap<ThreadId, Ids>, Problem> {
    let (mut found, mut short) = (HashMap::<ThreadId, Ids>::with_capacity(page.len()), Vec::new());
    let mut left = PAGE_IDS_MAX;
    for thread in page {
        let totals = &thread.totals;
        let count = usize::try_from(totals.messages + totals.drafts).unwrap_or(0);
        if let (1, Some((_, id))) = (count, totals.latest) {
            found.insert(thread.id, Ids { ids: vec![(id, totals.drafts == 1)], is_truncated: false });
        } else if count <= IDS_MAX.min(left) {
            short.push(thread.id);
        } else {
            let ids = threads::ids(reader, thread.id, IDS_MAX.min(left)).await?;
            found.insert(thread.id, Ids { is_truncated: ids.len() < count, ids });
        }
        left -= count.min(IDS_MAX).min(left);
    }
    for (thread, id, is_draft) in threads::ids_of_some(reader, &short, PAGE_IDS_MAX).await? {
        found.entry(thread).or_default().ids.push((id, is_draft));
    }
    Ok(found)
}

fn shown(thread: &StoredThread, latest: Message, Ids { ids, is_truncated }: Ids) -> Thread {
    let ids = |draft: bool| {
        let wanted = ids.iter().rev().filter(|(_, is_draft)| *is_draft == draft);
        wanted.map(|(id, _)| id.to_string()).collect()
    };
    let totals = &thread.totals;
    let person = |one: &threads::Participant| Participant { name: one.name.clone(), email: one.email.clone() };
    Thread {
        id: thread.id.to_string(),
        object: "thread",
        grant_id: thread.grant_id.to_string(),
        subject: thread.subject.clone(),
        snippet: latest.snippet.clone(),
        participants: totals.participants.iter().map(person).collect(),
        message_ids: ids(false),
        draft_ids: ids(true),
        message_ids_truncated: is_truncated.then_some(true),
        latest_draft_or_message: latest,
        has_attachments: totals.files > 0,
        has_drafts: totals.drafts > 0,
        starred: totals.starred > 0,
        unread: totals.unread > 0,
        earliest_message_date: thread.earliest_date.as_seconds(),
        latest_message_received_date: thread.received_date.map(|date| date.as_seconds()),
        latest_message_sent_date: thread.sent_date.map(|date| date.as_seconds()),
        folders: totals.folders.keys().cloned().collect(),
    }
}
