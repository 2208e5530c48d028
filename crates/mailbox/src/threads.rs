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
use std::collections::{BTreeSet, HashMap};

/// Messages of a thread, or of a page of threads, that are read to show it; a longer one shows its first ones only.
const MESSAGES_MAX: usize = 5_000;

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
    let messages = threads::list_messages(&mut reader, grant, after, page.len(), MESSAGES_MAX).await?;
    let mut by_thread: HashMap<ThreadId, Vec<StoredMessage>> = HashMap::new();
    for message in messages {
        by_thread.entry(message.thread_id).or_default().push(message);
    }
    let next = page.last().filter(|_| more).map(|last| cursor::write(last.sort_date, last.id.uuid().as_bytes()));
    let mut shown = Vec::with_capacity(page.len());
    for thread in page {
        let messages = by_thread.remove(&thread.id).unwrap_or_default();
        shown.extend(show(store, &mut reader, &thread, messages, with_body).await?);
    }
    Ok((shown, next))
}

/// One thread of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: ThreadId) -> Result<Thread, Problem> {
    let mut reader = store.reader().await?;
    let thread = threads::find_thread(&mut reader, grant, id).await?.ok_or_else(Problem::not_found)?;
    let page = Page {
        grant_id: grant,
        folder: "",
        after: After::START,
        newer_than: postfleet_core::UnixMicros::from_micros(i64::MIN),
        limit: MESSAGES_MAX,
    };
    let messages = postfleet_store::messages::list_thread(&mut reader, id, &page).await?;
    show(store, &mut reader, &thread, messages, true).await?.ok_or_else(Problem::not_found)
}

/// `None` for a thread without messages: they are gone, and with them the thread.
async fn show(
    store: &Store,
    reader: &mut Reader<'_>,
    thread: &StoredThread,
    mut messages: Vec<StoredMessage>,
    with_body: bool,
) -> Result<Option<Thread>, Problem> {
    // What only waits to be sent is not in the mailbox yet.
    messages.retain(|message| !message.draft || view::is_seen_draft(message));
    messages.sort_by_key(|message| (message.date, message.id));
    let Some(latest) = messages.last() else { return Ok(None) };
    let body = if with_body { messages::load(store, reader, thread.grant_id, latest.id).await? } else { None };
    let latest = match &body {
        Some((stored, raw)) => view::message(stored, Some(raw), Fields::Standard),
        None => view::message(latest, None, Fields::Standard),
    };
    let ids = |draft: bool| {
        let wanted = messages.iter().filter(|message| message.draft == draft);
        wanted.map(|message| message.id.to_string()).collect()
    };
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

/// Everybody in the thread once, in the order of appearance.
fn participants(summaries: &[Summary]) -> Vec<Participant> {
    let mut seen = BTreeSet::new();
    let everybody = summaries.iter().flat_map(|summary| summary.from.iter().chain(&summary.to).chain(&summary.cc));
    let new = everybody.filter(|person| seen.insert(person.email.to_lowercase()));
    new.take(PARTICIPANTS_MAX)
        .map(|person: &Person| Participant { name: person.name.clone(), email: person.email.clone() })
        .collect()
}
