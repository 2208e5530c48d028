//! Where the candidates of a list come from, newest first: the listing of a mailbox, those of some of its folders at once,
//! or a thread. What a place in a listing says already narrows them; nothing else of a message is read for that.

use crate::filter::Matcher;
use crate::messages::Filter;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_store::listings::{self, Among, Place};
use postfleet_store::messages::{self, After, Page, StoredMessage};
use postfleet_store::{Reader, StoreError};
use std::cmp::Reverse;

/// A message that may pass.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its date and id.
    pub place: After,
    /// The message itself, where it was read on the way.
    pub stored: Option<StoredMessage>,
}

/// What one step of a stream found.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Those that may pass.
    pub candidates: Vec<Candidate>,
    /// Messages or places that were looked at.
    pub looked_at: usize,
}

/// The places of messages, one after the other.
#[derive(Debug)]
pub(crate) struct Stream<'f> {
    source: Source<'f>,
    after: After,
    newer_than: UnixMicros,
    ended: bool,
    /// Up to when the indexes of listings know their places, once that was read.
    marked: Option<UnixMicros>,
}

#[derive(Debug)]
enum Source<'f> {
    /// Any of these listings.
    Listings(Vec<&'f str>, Among),
    /// The messages of a thread.
    Thread(ThreadId),
}

impl<'f> Stream<'f> {
    /// The stream that leads to what a filter lets pass by the fewest others; folders are ids.
    pub(crate) fn of(filter: &'f Filter, after: After, newer_than: UnixMicros) -> Self {
        let source = match filter.thread_id {
            Some(thread) => Source::Thread(thread),
            None => Source::Listings(listings_of(filter), among(filter)),
        };
        Self { source, after, newer_than, ended: false, marked: None }
    }

    /// Whether nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Lets it end at a date: only later ones are looked at.
    pub(crate) fn end_at(&mut self, date: UnixMicros) {
        self.newer_than = self.newer_than.max(date);
        self.ended |= self.after.date <= self.newer_than;
    }

    /// The last place that was looked at.
    pub(crate) fn last(&self) -> After {
        self.after
    }

    /// Looks at the next places, about so many.
    pub(crate) async fn next(
        &mut self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        matcher: &Matcher<'_>,
        wanted: usize,
    ) -> Result<Step, StoreError> {
        let page = Page { grant_id: grant, folder: "", after: self.after, newer_than: self.newer_than, limit: wanted };
        let step = match &self.source {
            Source::Thread(thread) => {
                let rows = messages::list_thread(reader, *thread, &page).await?;
                self.ended = rows.len() < wanted;
                let looked_at = rows.len();
                let candidate = |stored: StoredMessage| Candidate { place: place_of(&stored), stored: Some(stored) };
                Step { candidates: rows.into_iter().map(candidate).collect(), looked_at }
            }
            Source::Listings(folders, among) => {
                let marked = match self.marked {
                    Some(marked) => marked,
                    None if matches!(among, Among::Unread | Among::Files) => {
                        listings::marked_until(reader, grant).await?
                    }
                    None => UnixMicros::from_micros(i64::MIN),
                };
                self.marked = Some(marked);
                let (places, ended) = merged(reader, &page, folders, (*among, marked)).await?;
                self.ended = ended;
                if let Some(last) = places.last() {
                    self.after = After { date: last.date, id: last.id };
                }
                let looked_at = places.len();
                let may_match = places.iter().filter(|place| matcher.may_match(place.flags));
                let candidate =
                    |place: &Place| Candidate { place: After { date: place.date, id: place.id }, stored: None };
                return Ok(Step { candidates: may_match.map(candidate).collect(), looked_at });
            }
        };
        if let Some(last) = step.candidates.last() {
            self.after = last.place;
        }
        Ok(step)
    }
}

/// The one listing that is read from one end to the other, if there is no other source.
pub(crate) fn only_listing(filter: &Filter) -> Option<&str> {
    match listings_of(filter).as_slice() {
        [folder] if filter.thread_id.is_none() && among(filter) == Among::All => Some(*folder),
        _ => None,
    }
}

pub(crate) fn place_of(stored: &StoredMessage) -> After {
    After { date: stored.date, id: stored.id }
}

/// The index that knows the fewest of those that do not pass.
fn among(filter: &Filter) -> Among {
    match (filter.starred, filter.unread, filter.has_attachment) {
        (Some(true), _, _) => Among::Starred,
        (_, Some(true), _) => Among::Unread,
        (_, _, Some(true)) => Among::Files,
        _ => Among::All,
    }
}

/// The listings in which the messages are that a filter wants.
fn listings_of(filter: &Filter) -> Vec<&str> {
    if filter.folders.is_empty() {
        return vec![""];
    }
    let mut folders: Vec<&str> = filter.folders.iter().map(String::as_str).collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// The next places of several listings in one order, each once, and whether these are the last.
async fn merged(
    reader: &mut Reader<'_>,
    page: &Page<'_>,
    folders: &[&str],
    (among, marked): (Among, UnixMicros),
) -> Result<(Vec<Place>, bool), StoreError> {
    let mut places: Vec<Place> = Vec::new();
    let mut ended = true;
    for folder in folders {
        let of_folder = listings::places(reader, &Page { folder, ..*page }, among, marked).await?;
        ended &= of_folder.len() < page.limit;
        places.extend(of_folder);
    }
    if folders.len() > 1 {
        places.sort_unstable_by_key(|place| Reverse((place.date, place.id)));
        places.dedup_by_key(|place| place.id);
    }
    ended &= places.len() <= page.limit;
    // What is beyond is looked at again: between two places of one listing there may be more of another.
    places.truncate(page.limit);
    Ok((places, ended))
}

/// Ids of candidates that were not read yet.
pub(crate) fn unread_ids(candidates: &[Candidate]) -> Vec<MessageId> {
    candidates.iter().filter(|candidate| candidate.stored.is_none()).map(|candidate| candidate.place.id).collect()
}
