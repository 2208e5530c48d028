//! Reading messages: one, or a page of a list under filters.

use crate::cursor;
use crate::summary::{Person, Summary};
use crate::view::{self, Fields};
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::message::{Message, RawMessage};
use postfleet_store::blobs::StoredBlob;
use postfleet_store::messages::{After, Page, StoredMessage};
use postfleet_store::{Reader, Store, messages, threads};
use std::time::Duration;

/// Rows that one request looks at. A filter that few messages pass gives short pages and a cursor instead of a long
/// wait.
pub const SCANNED_MAX: usize = 2_000;

/// What a list is narrowed to. Folder, thread and dates are found by an index; the rest is tested row by row.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Folder ids or names; any of them.
    pub folders: Vec<String>,
    /// Drafts, and nothing else; otherwise everything but drafts.
    pub drafts: bool,
    /// One conversation.
    pub thread_id: Option<ThreadId>,
    /// Only later ones.
    pub received_after: Option<i64>,
    /// Only earlier ones.
    pub received_before: Option<i64>,
    /// Read or not.
    pub unread: Option<bool>,
    /// With a star or not.
    pub starred: Option<bool>,
    /// With attachments or not.
    pub has_attachment: Option<bool>,
    /// Part of the subject, in any case.
    pub subject: Option<String>,
    /// Addresses, any of which must be in that header.
    pub from: Vec<String>,
    /// See `from`.
    pub to: Vec<String>,
    /// See `from`.
    pub cc: Vec<String>,
    /// See `from`.
    pub bcc: Vec<String>,
    /// Addresses, any of which must be in from, to, cc or bcc.
    pub any_email: Vec<String>,
    /// Pairs of the metadata, all of which it must have.
    pub metadata: Vec<(String, String)>,
}

/// How a page is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// At most so many.
    pub limit: usize,
    /// Where it starts.
    pub cursor: Option<String>,
    /// What is shown of each message.
    pub fields: Fields,
    /// Whether the body is shown; without it no raw message is read.
    pub with_body: bool,
}

/// A page, as shown.
#[derive(Debug)]
pub enum Shown {
    /// In the usual shape.
    Messages(Vec<Message>),
    /// Reduced to the sources.
    Raw(Vec<RawMessage>),
}

/// A page of a mailbox's messages, newest first, and the cursor of the next page.
pub async fn list(
    store: &Store,
    grant: GrantId,
    filter: &Filter,
    request: &PageRequest,
) -> Result<(Shown, Option<String>), Problem> {
    let (page, next) = collect(&mut store.reader().await?, grant, filter, request).await?;
    let mut shown = Vec::new();
    let mut sources = Vec::new();
    for (stored, blob) in &page {
        let raw = match blob {
            Some(blob) => Some(store.blobs().load(blob).await?),
            None => None,
        };
        match (request.fields, raw) {
            (Fields::RawMime, raw) => sources.push(view::raw_message(stored, &raw.unwrap_or_default())),
            (fields, raw) => shown.push(view::message(stored, raw.as_deref(), fields)),
        }
    }
    let shown = if request.fields == Fields::RawMime { Shown::Raw(sources) } else { Shown::Messages(shown) };
    Ok((shown, next))
}

/// A message, and where its raw form is if that is needed.
type Row = (StoredMessage, Option<StoredBlob>);

/// Reads listings until the page is full, the listing ends, or enough rows were looked at.
async fn collect(
    reader: &mut Reader<'_>,
    grant: GrantId,
    filter: &Filter,
    request: &PageRequest,
) -> Result<(Vec<Row>, Option<String>), Problem> {
    let Some(folder) = listing(filter)? else { return Ok((Vec::new(), None)) };
    let mut after = start(filter, request)?;
    let mut page = Vec::with_capacity(request.limit);
    let mut scanned = 0;
    while page.len() < request.limit {
        if scanned >= SCANNED_MAX {
            return Ok((page, Some(write_cursor(after))));
        }
        let wanted = batch_size(filter, request.limit - page.len());
        let rows = read_rows(reader, grant, filter, request, folder, after, wanted + 1).await?;
        let beyond = rows.len() > wanted;
        let mut rows = rows.into_iter().take(wanted);
        for (stored, blob) in rows.by_ref() {
            scanned += 1;
            after = After { date: stored.date, id: stored.id };
            if passes(filter, &stored) {
                page.push((stored, blob));
            }
            if page.len() == request.limit {
                break;
            }
        }
        // Rows of this batch that were not looked at belong to the next page as well.
        let more = beyond || rows.len() > 0;
        if !more && page.len() < request.limit {
            return Ok((page, None));
        }
        if page.len() == request.limit {
            // One row more was read than wanted, so a full page knows whether another follows it.
            return Ok((page, more.then(|| write_cursor(after))));
        }
    }
    Ok((page, None))
}

async fn read_rows(
    reader: &mut Reader<'_>,
    grant: GrantId,
    filter: &Filter,
    request: &PageRequest,
    folder: &str,
    after: After,
    limit: usize,
) -> Result<Vec<Row>, Problem> {
    // Dates are shown in seconds, so "after" means a later second.
    let newer_than = filter.received_after.map_or(UnixMicros::from_micros(i64::MIN), |after| {
        UnixMicros::from_seconds(after).plus(Duration::from_micros(999_999))
    });
    let page = Page { grant_id: grant, folder, after, newer_than, limit };
    let without = |messages: Vec<StoredMessage>| messages.into_iter().map(|message| (message, None)).collect();
    let with = |messages: Vec<(StoredMessage, StoredBlob)>| {
        messages.into_iter().map(|(message, blob)| (message, Some(blob))).collect()
    };
    Ok(match (filter.thread_id, needs_raw(request)) {
        (Some(thread), true) => with(messages::list_thread_with_bodies(reader, thread, &page).await?),
        (Some(thread), false) => without(messages::list_thread(reader, thread, &page).await?),
        (None, true) => with(messages::list_page(reader, &page).await?),
        (None, false) => without(messages::list_page_without_bodies(reader, &page).await?),
    })
}

fn needs_raw(request: &PageRequest) -> bool {
    request.with_body || request.fields != Fields::Standard
}

/// The listing to read: a folder's, or the whole mailbox's. `None` when no message can be in what was asked for.
fn listing(filter: &Filter) -> Result<Option<&'static str>, Problem> {
    let named: Vec<_> = filter.folders.iter().map(|name| SystemFolder::named(name)).collect();
    match named.as_slice() {
        [] => Ok(Some("")),
        [Some(folder)] => Ok(Some(folder.id())),
        [None] => Ok(None),
        // Several folders are read from the whole mailbox and tested row by row.
        _ => Ok(Some("")),
    }
}

fn start(filter: &Filter, request: &PageRequest) -> Result<After, Problem> {
    let place = request.cursor.as_deref().map(cursor::read).transpose()?;
    let cursor = place.map(|(date, id)| After { date, id: MessageId::from_uuid(uuid::Uuid::from_bytes(id)) });
    let before = filter
        .received_before
        .map(|before| After { date: UnixMicros::from_seconds(before), id: MessageId::from_uuid(uuid::Uuid::nil()) });
    let earlier = |a: After, b: After| if (a.date, a.id) < (b.date, b.id) { a } else { b };
    Ok(cursor.into_iter().chain(before).fold(After::START, earlier))
}

/// Rows to read at once: exactly the page when every row passes, else more, since many may not.
fn batch_size(filter: &Filter, missing: usize) -> usize {
    if is_indexed(filter) { missing } else { (missing * 4).clamp(100, 500) }
}

fn is_indexed(filter: &Filter) -> bool {
    let untested =
        Filter { folders: Vec::new(), thread_id: None, received_after: None, received_before: None, ..filter.clone() };
    let folders_tested = filter.folders.len() > 1 || (filter.thread_id.is_some() && !filter.folders.is_empty());
    untested.is_empty() && !folders_tested
}

impl Filter {
    fn is_empty(&self) -> bool {
        let Self { unread, starred, has_attachment, subject, from, to, cc, bcc, any_email, metadata, .. } = self;
        unread.is_none()
            && starred.is_none()
            && has_attachment.is_none()
            && subject.is_none()
            && metadata.is_empty()
            && [from, to, cc, bcc, any_email].iter().all(|list| list.is_empty())
    }
}

/// Whether one message is what a list under the filter would show.
pub fn matches(filter: &Filter, stored: &StoredMessage) -> bool {
    let seconds = stored.date.as_seconds();
    filter.thread_id.is_none_or(|thread| thread == stored.thread_id)
        && filter.received_after.is_none_or(|after| seconds > after)
        && filter.received_before.is_none_or(|before| seconds < before)
        && passes(filter, stored)
}

/// Shows one message as a list would.
pub async fn show(
    store: &Store,
    stored: &StoredMessage,
    blob: Option<&StoredBlob>,
    fields: Fields,
) -> Result<Message, Problem> {
    let raw = match blob {
        Some(blob) => Some(store.blobs().load(blob).await?),
        None => None,
    };
    Ok(view::message(stored, raw.as_deref(), fields))
}

fn passes(filter: &Filter, stored: &StoredMessage) -> bool {
    let in_folders = filter.folders.is_empty()
        || filter
            .folders
            .iter()
            .filter_map(|name| SystemFolder::named(name))
            .any(|folder| stored.folders.iter().any(|id| id == folder.id()));
    in_folders
        && if filter.drafts { view::is_seen_draft(stored) } else { !stored.draft }
        && filter.unread.is_none_or(|unread| unread == stored.unread)
        && filter.starred.is_none_or(|starred| starred == stored.starred)
        && (is_indexed(filter) || passes_summary(filter, &Summary::from_json(&stored.summary)))
}

fn passes_summary(filter: &Filter, summary: &Summary) -> bool {
    let has_attachment = !summary.attachments.is_empty();
    let subject = || summary.subject.to_lowercase();
    filter.has_attachment.is_none_or(|wanted| wanted == has_attachment)
        && filter.subject.as_ref().is_none_or(|part| subject().contains(&part.to_lowercase()))
        && filter.metadata.iter().all(|(key, value)| summary.metadata.get(key) == Some(value))
        && among(&filter.from, &[&summary.from])
        && among(&filter.to, &[&summary.to])
        && among(&filter.cc, &[&summary.cc])
        && among(&filter.bcc, &[&summary.bcc])
        && among(&filter.any_email, &[&summary.from, &summary.to, &summary.cc, &summary.bcc])
}

fn among(wanted: &[String], headers: &[&Vec<Person>]) -> bool {
    let is_there = |email: &String| {
        headers.iter().any(|people| people.iter().any(|person| person.email.eq_ignore_ascii_case(email)))
    };
    wanted.is_empty() || wanted.iter().any(is_there)
}

fn write_cursor(after: After) -> String {
    cursor::write(after.date, after.id.uuid().as_bytes())
}

/// One message of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: MessageId, fields: Fields) -> Result<Shown, Problem> {
    let mut reader = store.reader().await?;
    let found = load(store, &mut reader, grant, id).await?.filter(|(stored, _)| !stored.draft);
    let (stored, raw) = found.ok_or_else(Problem::not_found)?;
    Ok(match fields {
        Fields::RawMime => Shown::Raw(vec![view::raw_message(&stored, &raw)]),
        _ => Shown::Messages(vec![view::message(&stored, Some(&raw), fields)]),
    })
}

/// The message of a mailbox that has this Message-ID, without brackets; of several the newest.
pub async fn with_message_id(
    store: &Store,
    grant: GrantId,
    message_id: &str,
) -> Result<Option<StoredMessage>, Problem> {
    let mut reader = store.reader().await?;
    let mut looked_at = 0;
    for thread in threads::with_message_id(&mut reader, grant, message_id).await? {
        let mut after = After::START;
        while looked_at < SCANNED_MAX {
            let page =
                Page { grant_id: grant, folder: "", after, newer_than: UnixMicros::from_micros(i64::MIN), limit: 200 };
            let messages = messages::list_thread(&mut reader, thread, &page).await?;
            let Some(last) = messages.last() else { break };
            after = After { date: last.date, id: last.id };
            looked_at += messages.len();
            let has_it =
                |stored: &StoredMessage| Summary::from_json(&stored.summary).message_id.as_deref() == Some(message_id);
            let has_it = |stored: &StoredMessage| !stored.draft && has_it(stored);
            if let Some(found) = messages.into_iter().find(has_it) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// A message of a mailbox, and its raw form.
pub async fn load(
    store: &Store,
    reader: &mut Reader<'_>,
    grant: GrantId,
    id: MessageId,
) -> Result<Option<(StoredMessage, Vec<u8>)>, Problem> {
    let Some((stored, blob)) = messages::find_with_body(reader, grant, id).await? else { return Ok(None) };
    Ok(Some((stored, store.blobs().load(&blob).await?)))
}
