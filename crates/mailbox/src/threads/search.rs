//! Threads that are searched for: those first in which a message fits best.

use super::{PageRequest, ThreadFilter};
use crate::cursor;
use crate::filter::Matcher;
use crate::plan;
use crate::search::{Hit, Hits, Range, Search};
use postfleet_core::Problem;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::search::Key;
use postfleet_store::threads::StoredThread;
use postfleet_store::{Reader, Store, messages, threads};
use std::collections::{HashMap, HashSet};

/// Messages found that one request looks at, those first that fit best.
const HITS_MAX: usize = 20_000;

/// Messages found that are looked at at once.
const HITS_AT_ONCE: usize = 200;

/// A page of the threads in which a message is found that is as wanted, each once, and the cursor of the next page.
pub(super) async fn collect(
    (store, reader): (&Store, &mut Reader<'_>),
    grant: GrantId,
    (filter, search): (&ThreadFilter, &Search),
    request: &PageRequest,
) -> Result<(Vec<StoredThread>, Option<String>), Problem> {
    let after = request.cursor.as_deref().map(cursor::read_found).transpose()?;
    let Some(sought) = &search.sought else { return Ok((Vec::new(), None)) };
    let Some(wanted) = filter.message.in_folders_that_are_there(reader, grant).await? else {
        return Ok((Vec::new(), None));
    };
    reader.freeze().await?;
    // From the first on, also for a later page: a thread is where its best message is, and nowhere else.
    let matcher = Matcher::of(&wanted);
    let mut hits = Hits::find((store, reader), grant, &plan::narrowed(sought, &matcher), Range::ALL).await?;
    let (mut seen, mut page, mut looked_at) = (HashSet::new(), Vec::new(), 0);
    while page.len() <= request.limit && looked_at < HITS_MAX {
        // Most threads are found by one message of theirs.
        let wanted = if looked_at == 0 { request.limit + 1 } else { HITS_AT_ONCE };
        let batch = hits.take(reader, wanted.min(HITS_AT_ONCE)).await?;
        if batch.is_empty() {
            break;
        }
        looked_at += batch.len();
        let threads = threads_of(reader, grant, &matcher, &batch).await?;
        let found = batch.iter().filter_map(|hit| Some((*threads.get(&hit.id())?, hit.key)));
        let mut wanted: Vec<(ThreadId, Key)> = found.filter(|(thread, _)| seen.insert(*thread)).collect();
        wanted.retain(|(thread, key)| {
            filter.message.thread_id.is_none_or(|wanted| wanted == *thread) && after.is_none_or(|after| *key < after)
        });
        let ids: Vec<ThreadId> = wanted.iter().map(|(thread, _)| *thread).collect();
        let read = threads::named(reader, grant, &ids).await?.into_iter().filter(|thread| filter.is_in_time(thread));
        let mut read: HashMap<ThreadId, StoredThread> = read.map(|thread| (thread.id, thread)).collect();
        page.extend(wanted.into_iter().filter_map(|(id, key)| Some((read.remove(&id)?, key))));
    }
    reader.thaw().await?;
    let last = page.get(request.limit.saturating_sub(1)).filter(|_| page.len() > request.limit);
    let next = last.map(|(_, key)| cursor::write_found(key));
    page.truncate(request.limit);
    Ok((page.into_iter().map(|(thread, _)| thread).collect(), next))
}

/// The threads of those messages that are still there and as wanted.
async fn threads_of(
    reader: &mut Reader<'_>,
    grant: GrantId,
    matcher: &Matcher<'_>,
    hits: &[Hit],
) -> Result<HashMap<MessageId, ThreadId>, Problem> {
    let ids: Vec<MessageId> = hits.iter().map(Hit::id).collect();
    let found = messages::named(reader, grant, &ids).await?;
    let wanted = found.iter().filter(|message| matcher.matches(message));
    Ok(wanted.map(|message| (message.id, message.thread_id)).collect())
}
