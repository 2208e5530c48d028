//! Reading messages: one, or a page of a list under filters.

use crate::course::Course;
use crate::cursor;
use crate::filter::Matcher;
use crate::folders;
use crate::search::{self, Search};
use crate::streams::{Candidate, only_listing, unread_ids};
use crate::summary::Summary;
use crate::view::{self, Fields};
use crate::writer::{Selection, Writer};
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_schema::message::{Message, RawMessage};
use postfleet_store::blobs::StoredBlob;
use postfleet_store::messages::{After, Listed, Page, ReadMessage, StoredMessage};
use postfleet_store::{Reader, Store, messages, threads};
use std::collections::HashMap;
use std::time::Duration;

/// Messages that one request reads to test them. Where indexes lead to many that do not pass, it gives a short page and a cursor
/// instead of a long wait.
pub const SCANNED_MAX: usize = 2_000;

/// Places in listings that one request looks at.
pub const PLACES_MAX: usize = 20_000;

/// What a list is narrowed to. Everything is found by an index; what passes is tested once more, message by message.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Folder ids or names, and ids once they are looked up; any of them.
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
    /// What is searched for: then those that fit best come first.
    pub search: Option<Search>,
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

/// A page of a mailbox's messages, newest first or, where something is searched for, those first that fit best; and the cursor
/// of the next page.
pub async fn list(
    store: &Store,
    grant: GrantId,
    filter: &Filter,
    request: &PageRequest,
) -> Result<(Shown, Option<String>), Problem> {
    let reader = &mut store.reader().await?;
    let Some(named) = named(reader, grant, filter).await? else { return Ok((Shown::Messages(Vec::new()), None)) };
    let (page, next) = collect(store, reader, grant, &named, request).await?;
    let mut shown = Vec::new();
    let mut sources = Vec::new();
    for (stored, blob) in &page {
        let raw = body(store, blob.as_ref()).await?;
        match (request.fields, raw) {
            (Fields::RawMime, raw) => sources.push(view::raw_message(stored, &raw.unwrap_or_default())),
            (fields, raw) => shown.push(view::message(stored, raw.as_deref(), fields)),
        }
    }
    let shown = if request.fields == Fields::RawMime { Shown::Raw(sources) } else { Shown::Messages(shown) };
    Ok((shown, next))
}

/// As [`list`], written as JSON: the items of the page, separated by commas, each with what is selected of it. What is not
/// selected is not read. Not for sources.
pub async fn list_written(
    store: &Store,
    grant: GrantId,
    filter: &Filter,
    request: &PageRequest,
    selection: Selection,
) -> Result<(Vec<u8>, Option<String>), Problem> {
    let reader = &mut store.reader().await?;
    let Some(named) = named(reader, grant, filter).await? else { return Ok((Vec::new(), None)) };
    let mut writer = Writer::new(grant, request.fields, selection);
    let next = match listing_as_it_is(&named).filter(|_| !needs_raw(request)) {
        Some(folder) => take(reader, grant, (&named, folder), request, &mut writer).await?,
        None => {
            let (page, next) = collect(store, reader, grant, &named, request).await?;
            for (stored, blob) in &page {
                writer.write(&Listed::of(stored), body(store, blob.as_ref()).await?.as_deref());
            }
            next
        }
    };
    Ok((writer.finish(), next))
}

/// The filter with the ids of its folders. None where these are not there: no message can be in them.
async fn named(reader: &mut Reader<'_>, grant: GrantId, filter: &Filter) -> Result<Option<Filter>, Problem> {
    let named = Filter { folders: folders::ids(reader, grant, &filter.folders).await?, ..filter.clone() };
    Ok(Some(named).filter(|named| !named.folders.is_empty() || filter.folders.is_empty()))
}

/// The listing whose messages are shown one after the other, if nothing is asked for that is not said by where it begins and ends.
fn listing_as_it_is(named: &Filter) -> Option<&str> {
    only_listing(named).filter(|_| named.search.is_none() && Matcher::of(named).takes_all())
}

async fn body(store: &Store, blob: Option<&StoredBlob>) -> Result<Option<Vec<u8>>, Problem> {
    match blob {
        Some(blob) => Ok(Some(store.blobs().load(blob).await?)),
        None => Ok(None),
    }
}

/// A message, and where its raw form is if that is needed.
pub(crate) type Row = ReadMessage;

/// Writes a page of a listing as it is: one statement reads it. Answers the cursor of the next page.
async fn take(
    reader: &mut Reader<'_>,
    grant: GrantId,
    (named, folder): (&Filter, &str),
    request: &PageRequest,
    writer: &mut Writer,
) -> Result<Option<String>, Problem> {
    let (after, newer_than) = (start(named, request)?, newer_than(named));
    let page = Page { grant_id: grant, folder, after, newer_than, limit: request.limit };
    let extent = writer.extent();
    let show = &mut |listed: &Listed<'_>| {
        // What waits to be sent is in no listing that is asked for, and drafts are in theirs alone.
        if view::is_kind(listed, named.drafts) {
            writer.write(listed, None);
        }
    };
    let next = messages::listed(reader, &page, extent, show).await?.map(write_cursor);
    Ok(next)
}

/// Reads until the page is full, nothing is left, or enough was looked at.
async fn collect(
    store: &Store,
    reader: &mut Reader<'_>,
    grant: GrantId,
    named: &Filter,
    request: &PageRequest,
) -> Result<(Vec<Row>, Option<String>), Problem> {
    let with_bodies = needs_raw(request);
    if let Some(search) = &named.search {
        return search::collect((store, reader), grant, (named, search), request, with_bodies).await;
    }
    let matcher = Matcher::of(named);
    let range = (start(named, request)?, newer_than(named));
    let course = Course::plan(reader, grant, (named, &matcher), range).await?;
    let page = sift(reader, grant, (course, &matcher), request, with_bodies).await?;
    reader.thaw().await?;
    Ok(page)
}

/// A page of what passes. Of what does not, no more is read than says so; bodies are read of what is shown alone.
async fn sift(
    reader: &mut Reader<'_>,
    grant: GrantId,
    (mut course, matcher): (Course<'_>, &Matcher<'_>),
    request: &PageRequest,
    with_bodies: bool,
) -> Result<(Vec<Row>, Option<String>), Problem> {
    let mut found: Vec<Candidate> = Vec::with_capacity(request.limit + 1);
    let (mut places, mut read) = (0, 0);
    while found.len() <= request.limit && !course.has_ended() && places < PLACES_MAX && read < SCANNED_MAX {
        let missing = request.limit + 1 - found.len();
        let wanted = if matcher.takes_all() { missing } else { (missing * 4).clamp(100, 500) };
        let mut step = course.next(reader, grant, matcher, wanted, (read, found.len())).await?;
        places += step.looked_at;
        if matcher.looks_into_messages() {
            read_all(reader, grant, &mut step.candidates).await?;
        }
        read += step.candidates.iter().filter(|one| one.stored.is_some()).count();
        let passes = |stored: &StoredMessage| matcher.is_of_thread(stored) && matcher.matches(stored);
        let is_wrong = |one: &Candidate| one.stored.as_ref().is_some_and(|stored| !passes(stored));
        step.candidates.retain(|one| !is_wrong(one));
        found.extend(step.candidates);
    }
    let next = match found.get(request.limit) {
        Some(_) => found.get(request.limit - 1).map(|last| write_cursor(last.place)),
        None => (!course.has_ended()).then(|| write_cursor(course.last())),
    };
    found.truncate(request.limit);
    Ok((shown(reader, grant, found, matcher, with_bodies).await?, next))
}

/// Reads the messages of candidates; those that are gone meanwhile are left out.
async fn read_all(reader: &mut Reader<'_>, grant: GrantId, candidates: &mut Vec<Candidate>) -> Result<(), Problem> {
    let ids = unread_ids(candidates);
    if ids.is_empty() {
        return Ok(());
    }
    let read = messages::named(reader, grant, &ids).await?;
    let mut read: HashMap<MessageId, StoredMessage> = read.into_iter().map(|stored| (stored.id, stored)).collect();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.stored.is_none()) {
        candidate.stored = read.remove(&candidate.place.id);
    }
    candidates.retain(|candidate| candidate.stored.is_some());
    Ok(())
}

/// The rows of what is shown, in its order.
async fn shown(
    reader: &mut Reader<'_>,
    grant: GrantId,
    mut found: Vec<Candidate>,
    matcher: &Matcher<'_>,
    with_bodies: bool,
) -> Result<Vec<Row>, Problem> {
    if !with_bodies {
        read_all(reader, grant, &mut found).await?;
        let rows = found.into_iter().filter_map(|candidate| candidate.stored);
        // It may have changed since its place was looked at.
        return Ok(rows.filter(|stored| matcher.matches(stored)).map(|stored| (stored, None)).collect());
    }
    let ids: Vec<MessageId> = found.iter().map(|candidate| candidate.place.id).collect();
    let rows = messages::named_with_bodies(reader, grant, &ids).await?;
    let mut rows: HashMap<MessageId, (StoredMessage, StoredBlob)> =
        rows.into_iter().map(|row| (row.0.id, row)).collect();
    let in_order = ids.iter().filter_map(|id| rows.remove(id));
    Ok(in_order.filter(|row| matcher.matches(&row.0)).map(|(stored, blob)| (stored, Some(blob))).collect())
}

/// Dates are shown in seconds, so "after" means a later second.
pub(crate) fn newer_than(filter: &Filter) -> UnixMicros {
    filter.received_after.map_or(UnixMicros::from_micros(i64::MIN), |after| {
        UnixMicros::from_seconds(after).plus(Duration::from_micros(999_999))
    })
}

pub(crate) fn needs_raw(request: &PageRequest) -> bool {
    request.with_body || !matches!(request.fields, Fields::Standard | Fields::IncludeTrackingOptions)
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

/// Whether one message is what a list under the filter would show, but for its search; folders are ids.
pub fn matches(filter: &Filter, stored: &StoredMessage) -> bool {
    let seconds = stored.date.as_seconds();
    filter.thread_id.is_none_or(|thread| thread == stored.thread_id)
        && filter.received_after.is_none_or(|after| seconds > after)
        && filter.received_before.is_none_or(|before| seconds < before)
        && filter.matches(stored)
}

/// Shows one message as a list would.
pub async fn show(
    store: &Store,
    stored: &StoredMessage,
    blob: Option<&StoredBlob>,
    fields: Fields,
) -> Result<Message, Problem> {
    Ok(view::message(stored, body(store, blob).await?.as_deref(), fields))
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
