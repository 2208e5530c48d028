//! What a list of threads is narrowed to. Threads are walked in the order of their list, which is that of their dates. What
//! they add up to says of most whether they can be meant, and of many that they are; of the others messages are read. Where few messages can be as wanted, their threads are found by them.

use super::few;
use crate::filter::{Matcher, is_among, key_of};
use crate::folders;
use crate::messages::{Filter, SCANNED_MAX};
use postfleet_core::id::{GrantId, ThreadId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::Reader;
use postfleet_store::messages::{After, Page};
use postfleet_store::threads::{self, AfterThread, PARTICIPANTS_MAX, StoredThread};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

/// Messages of a thread that are read at once.
const MESSAGES_AT_ONCE: usize = 200;

/// Threads that are read at once to be tested.
const THREADS_AT_ONCE: usize = 200;

/// What a list of threads is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct ThreadFilter {
    /// What one message or draft of the thread must be like, in all these respects. Its dates are not looked at.
    pub message: Filter,
    /// Only threads whose latest message came earlier, in unix seconds. The latest is that which came in last, or, of a
    /// thread in which none came in, that which was sent last: as the list is ordered.
    pub latest_before: Option<i64>,
    /// Only threads whose latest message came later.
    pub latest_after: Option<i64>,
    /// Only threads whose first message came then or later.
    pub earliest: Option<i64>,
}

/// Whether a thread is meant, as far as it can be said without its messages.
#[derive(PartialEq)]
enum Said {
    Yes,
    No,
    AskMessages,
}

impl ThreadFilter {
    /// The threads after one of a mailbox that are meant, at most `limit`, and after which to go on.
    pub(super) async fn collect(
        &self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        after: AfterThread,
        limit: usize,
    ) -> Result<(Vec<StoredThread>, Option<AfterThread>), Problem> {
        let mut page = Vec::with_capacity(limit);
        if let Some(id) = self.message.thread_id {
            page.extend(self.one(reader, grant, id, after).await?);
            return Ok((page, None));
        }
        let Some(wanted) = self.message.in_folders_that_are_there(reader, grant).await? else {
            return Ok((page, None));
        };
        let (mut after, mut looked_at, mut has_asked) = (self.start(after), 0, false);
        loop {
            let missing = limit - page.len();
            let size = if self.is_of_dates() { missing } else { THREADS_AT_ONCE.max(missing) };
            // One more, to know whether there are more.
            let rows = threads::list(reader, grant, after, self.since(), size + 1).await?;
            let is_last = rows.len() <= size;
            for thread in rows.into_iter().take(size) {
                if page.len() == limit || looked_at >= SCANNED_MAX {
                    return Ok((page, Some(after)));
                }
                looked_at += 1;
                after = AfterThread { sort_date: thread.sort_date, id: thread.id };
                if self.passes(reader, &wanted, &thread, &mut looked_at).await? {
                    page.push(thread);
                }
            }
            if is_last {
                return Ok((page, None));
            }
            if page.len() == limit {
                return Ok((page, Some(after)));
            }
            if !has_asked {
                has_asked = true;
                if let Some(few) = few::threads(reader, grant, &wanted).await? {
                    let few = self.behind(reader, grant, few, after).await?;
                    return self.sift(reader, &wanted, few, (page, limit), (after, looked_at)).await;
                }
            }
        }
    }

    /// Those of some threads that stand behind a place, in the order of the list.
    async fn behind(
        &self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        ids: BTreeSet<ThreadId>,
        after: AfterThread,
    ) -> Result<Vec<StoredThread>, Problem> {
        let ids: Vec<ThreadId> = ids.into_iter().collect();
        let mut threads = threads::named(reader, grant, &ids).await?;
        threads.retain(|one| one.totals.latest.is_some() && self.stands_behind(one, after));
        threads.sort_unstable_by_key(|thread| Reverse((thread.sort_date, thread.id)));
        Ok(threads)
    }

    /// Fills a page with those of the last threads that are meant.
    async fn sift(
        &self,
        reader: &mut Reader<'_>,
        wanted: &Filter,
        threads: Vec<StoredThread>,
        (mut page, limit): (Vec<StoredThread>, usize),
        (mut after, mut looked_at): (AfterThread, usize),
    ) -> Result<(Vec<StoredThread>, Option<AfterThread>), Problem> {
        for thread in threads {
            if page.len() == limit || looked_at >= SCANNED_MAX {
                return Ok((page, Some(after)));
            }
            looked_at += 1;
            after = AfterThread { sort_date: thread.sort_date, id: thread.id };
            if self.passes(reader, wanted, &thread, &mut looked_at).await? {
                page.push(thread);
            }
        }
        Ok((page, None))
    }

    /// The only thread that can be meant.
    async fn one(
        &self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        id: ThreadId,
        after: AfterThread,
    ) -> Result<Option<StoredThread>, Problem> {
        let Some(thread) = threads::find_thread(reader, grant, id).await? else { return Ok(None) };
        let Some(wanted) = self.message.in_folders_that_are_there(reader, grant).await? else { return Ok(None) };
        let is_there = thread.totals.latest.is_some() && self.stands_behind(&thread, after);
        Ok((is_there && self.passes(reader, &wanted, &thread, &mut 0).await?).then_some(thread))
    }

    /// Whether a thread is among those that the dates leave.
    pub(super) fn is_in_time(&self, thread: &StoredThread) -> bool {
        self.stands_behind(thread, AfterThread::START) && self.has_begun(thread)
    }

    fn stands_behind(&self, thread: &StoredThread, after: AfterThread) -> bool {
        let start = self.start(after);
        (thread.sort_date, thread.id) < (start.sort_date, start.id) && thread.sort_date >= self.since()
    }

    fn has_begun(&self, thread: &StoredThread) -> bool {
        self.earliest.is_none_or(|earliest| thread.earliest_date >= UnixMicros::from_seconds(earliest))
    }

    /// Whether no more is asked than dates.
    fn is_of_dates(&self) -> bool {
        self.earliest.is_none() && self.message.asks() == [false; 5]
    }

    /// Where the walk begins.
    fn start(&self, after: AfterThread) -> AfterThread {
        let before = self.latest_before.map(|before| AfterThread {
            sort_date: UnixMicros::from_seconds(before),
            id: ThreadId::from_uuid(uuid::Uuid::nil()),
        });
        let earlier = |one: AfterThread, two: AfterThread| {
            if (one.sort_date, one.id) < (two.sort_date, two.id) { one } else { two }
        };
        before.map_or(after, |before| earlier(before, after))
    }

    /// Where it ends. Dates are shown in seconds, so "after" means a later second. No thread stands before its first message.
    fn since(&self) -> UnixMicros {
        let after = self.latest_after.map(|after| UnixMicros::from_seconds(after).plus(Duration::from_secs(1)));
        let earliest = self.earliest.map(UnixMicros::from_seconds);
        after.max(earliest).unwrap_or(UnixMicros::from_micros(i64::MIN))
    }

    async fn passes(
        &self,
        reader: &mut Reader<'_>,
        wanted: &Filter,
        thread: &StoredThread,
        looked_at: &mut usize,
    ) -> Result<bool, Problem> {
        if !self.has_begun(thread) {
            return Ok(false);
        }
        match said(wanted, thread) {
            Said::Yes => Ok(true),
            Said::No => Ok(false),
            Said::AskMessages => has_one(reader, wanted, thread, looked_at).await,
        }
    }
}

impl Filter {
    /// What is asked of a message: whether it is unread, has a star, has files, in which folders it is, anything else.
    fn asks(&self) -> [bool; 5] {
        let Self { unread, starred, has_attachment, folders, subject, from, to, cc, bcc, any_email, metadata, .. } =
            self;
        let others = subject.is_some()
            || !metadata.is_empty()
            || [from, to, cc, bcc, any_email].iter().any(|list| !list.is_empty());
        [unread.is_some(), starred.is_some(), has_attachment.is_some(), !folders.is_empty(), others]
    }

    /// With the ids of the folders that it names, as far as they are there; nothing if none is.
    pub(super) async fn in_folders_that_are_there(
        &self,
        reader: &mut Reader<'_>,
        grant: GrantId,
    ) -> Result<Option<Self>, Problem> {
        let folders = folders::ids(reader, grant, &self.folders).await?;
        let is_nowhere = folders.is_empty() && !self.folders.is_empty();
        Ok((!is_nowhere).then(|| Self { folders, thread_id: None, ..self.clone() }))
    }
}

/// What a thread adds up to says whether a message in it is as wanted.
fn said(wanted: &Filter, thread: &StoredThread) -> Said {
    let totals = &thread.totals;
    let all = totals.messages + totals.drafts;
    // One that has it, or one that has not.
    let has = |wanted: Option<bool>, count: i64| wanted.is_none_or(|has| if has { count > 0 } else { count < all });
    let in_folders = wanted.folders.is_empty() || wanted.folders.iter().any(|id| totals.folders.contains_key(id));
    let may_be = has(wanted.unread, totals.unread)
        && has(wanted.starred, totals.starred)
        && has(wanted.has_attachment, totals.files)
        && in_folders
        && [&wanted.from, &wanted.to, &wanted.cc].into_iter().all(|addresses| takes_part(thread, addresses));
    let asks = wanted.asks();
    let count = asks.iter().filter(|asked| **asked).count();
    match may_be {
        false => Said::No,
        // The counts know of one respect whether a message has it, and of one message everything but its text.
        true if count == 0 || (!asks[4] && (count == 1 || all == 1)) => Said::Yes,
        true => Said::AskMessages,
    }
}

/// Whether any of these addresses may be among the participants: of many not all are known.
fn takes_part(thread: &StoredThread, addresses: &[String]) -> bool {
    let people = &thread.totals.participants;
    let wanted: Vec<String> = addresses.iter().map(|address| key_of(address)).collect();
    let is_there = || people.iter().any(|one| is_among(&wanted, &one.email));
    addresses.is_empty() || people.len() >= PARTICIPANTS_MAX || is_there()
}

/// Whether one message or draft of a thread is as wanted. What only waits to be sent is not in the mailbox yet.
async fn has_one(
    reader: &mut Reader<'_>,
    wanted: &Filter,
    thread: &StoredThread,
    looked_at: &mut usize,
) -> Result<bool, Problem> {
    let of_drafts = Filter { drafts: true, ..wanted.clone() };
    let (wanted, of_drafts) = (Matcher::of(wanted), Matcher::of(&of_drafts));
    let mut after = After::START;
    loop {
        let newer_than = UnixMicros::from_micros(i64::MIN);
        let page = Page { grant_id: thread.grant_id, folder: "", after, newer_than, limit: MESSAGES_AT_ONCE };
        let read = postfleet_store::messages::list_thread(reader, thread.id, &page).await?;
        *looked_at += read.len();
        if read.iter().any(|one| wanted.matches(one) || of_drafts.matches(one)) {
            return Ok(true);
        }
        let Some(last) = read.last().filter(|_| read.len() == MESSAGES_AT_ONCE) else { return Ok(false) };
        after = After { date: last.date, id: last.id };
    }
}
