//! Reading threads: conversations with what their messages add up to.

use crate::cursor;
use crate::messages;
use crate::summary::{Person, Summary};
use crate::view::{self, Fields};
use postfleet_core::Problem;
use postfleet_core::id::{GrantId, ThreadId};
use postfleet_schema::message::Participant;
use postfleet_schema::thread::Thread;
use postfleet_store::messages::{After, Page, StoredMessage};
use postfleet_store::threads::{self, AfterThread, StoredThread};
use postfleet_store::{Reader, Store};
use std::collections::BTreeSet;

/// Ids that are shown of one thread: those of its latest messages and drafts.
const IDS_MAX: usize = 1_000;

/// Ids that are shown of a page of threads.
const PAGE_IDS_MAX: usize = 10_000;

/// Messages of a thread that are looked at to show it, the latest.
const MESSAGES_MAX: usize = 200;

/// Participants that are shown of one thread.
const PARTICIPANTS_MAX: usize = 200;

/// A page of a mailbox's threads, latest first, and the cursor of the next page.
pub async fn list(
    store: &Store,
    grant: GrantId,
    limit: usize,
    cursor: Option<&str>,
    with_body: bool,
) -> Result<(Vec<Thread>, Option<String>), Problem> {
    let after = match cursor.map(cursor::read).transpose()? {
        Some((sort_date, id)) => AfterThread { sort_date, id: ThreadId::from_uuid(uuid::Uuid::from_bytes(id)) },
        None => AfterThread::START,
    };
    let mut reader = store.reader().await?;
    // One more than wanted, to know whether another page follows.
    let mut page = threads::list(&mut reader, grant, after, limit + 1).await?;
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|last| cursor::write(last.sort_date, last.id.uuid().as_bytes()));
    let mut shown = Vec::with_capacity(page.len());
    let mut ids_left = PAGE_IDS_MAX;
    for thread in page {
        shown.extend(show(store, &mut reader, &thread, &mut ids_left, with_body).await?);
    }
    Ok((shown, next))
}

/// One thread of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: ThreadId) -> Result<Thread, Problem> {
    let mut reader = store.reader().await?;
    let thread = threads::find_thread(&mut reader, grant, id).await?.ok_or_else(Problem::not_found)?;
    let shown = show(store, &mut reader, &thread, &mut IDS_MAX.clone(), true).await?;
    shown.ok_or_else(Problem::not_found)
}

/// `None` for a thread without messages: they are gone, and with them the thread.
async fn show(
    store: &Store,
    reader: &mut Reader<'_>,
    thread: &StoredThread,
    ids_left: &mut usize,
    with_body: bool,
) -> Result<Option<Thread>, Problem> {
    let wanted = IDS_MAX.min(*ids_left);
    // One more, to know whether there are more.
    let mut ids = threads::ids(reader, thread.id, wanted + 1).await?;
    let is_truncated = ids.len() > wanted;
    ids.truncate(wanted);
    *ids_left -= ids.len();
    ids.reverse();
    let messages = latest(reader, thread).await?;
    let Some(latest) = messages.last() else { return Ok(None) };
    let body = if with_body { messages::load(store, reader, thread.grant_id, latest.id).await? } else { None };
    let latest = match &body {
        Some((stored, raw)) => view::message(stored, Some(raw), Fields::Standard),
        None => view::message(latest, None, Fields::Standard),
    };
    let ids = |draft: bool| ids.iter().filter(|(_, is_draft)| *is_draft == draft).map(|(id, _)| id.to_string()).collect();
    let summaries: Vec<Summary> = messages.iter().map(|message| Summary::from_json(&message.summary)).collect();
    Ok(Some(Thread {
        id: thread.id.to_string(),
        object: "thread",
        grant_id: thread.grant_id.to_string(),
        subject: thread.subject.clone(),
        snippet: latest.snippet.clone(),
        participants: participants(&summaries),
        message_ids: ids(false),
        draft_ids: ids(true),
        message_ids_truncated: is_truncated.then_some(true),
        latest_draft_or_message: latest,
        has_attachments: summaries.iter().any(|summary| !summary.attachments.is_empty()),
        has_drafts: messages.iter().any(|message| message.draft),
        starred: messages.iter().any(|message| message.starred),
        unread: messages.iter().any(|message| message.unread),
        earliest_message_date: thread.earliest_date.as_seconds(),
        latest_message_received_date: thread.received_date.map(|date| date.as_seconds()),
        latest_message_sent_date: thread.sent_date.map(|date| date.as_seconds()),
        folders: messages
            .iter()
            .flat_map(|message| message.folders.clone())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    }))
}

/// The latest messages and drafts of a thread, the latest last.
async fn latest(reader: &mut Reader<'_>, thread: &StoredThread) -> Result<Vec<StoredMessage>, Problem> {
    let page = Page {
        grant_id: thread.grant_id,
        folder: "",
        after: After::START,
        newer_than: postfleet_core::UnixMicros::from_micros(i64::MIN),
        limit: MESSAGES_MAX,
    };
    let mut messages = postfleet_store::messages::list_thread(reader, thread.id, &page).await?;
    // What only waits to be sent is not in the mailbox yet.
    messages.retain(|message| !message.draft || view::is_seen_draft(message));
    messages.reverse();
    Ok(messages)
}

/// Everybody in the thread once, in the order of appearance.
fn participants(summaries: &[Summary]) -> Vec<Participant> {
    let mut seen = BTreeSet::new();
    let everybody = summaries.iter().flat_map(|summary| summary.from.iter().chain(&summary.to).chain(&summary.cc));
    let new = everybody.filter(|person| seen.insert(person.email.to_lowercase()));
    new.take(PARTICIPANTS_MAX)
        .map(|person: &Person| Participant { name: person.name.clone(), email: person.email.clone() })
        .collect()
}
