//! What the segments of a mailbox know of messages, in the order of lists: newest first. Beside it stands what is late; what is loose
//! is in the listing alone. Of a reader that is frozen: what is in a segment at one moment is nowhere else.

use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::search::Term;
use postfleet_core::search::narrow::{Clause, narrow};
use postfleet_store::messages::{After, Page};
use postfleet_store::search::{self, Places, Postings, Segment};
use postfleet_store::{Reader, StoreError};

/// Late ones that are read at once.
const LATE_AT_ONCE: usize = 200;

/// Messages of segments that are read together: of many small ones, most are looked into if one is.
const MESSAGES_AT_ONCE: usize = 8_192;

/// Messages that are looked up together.
const PLACES_AT_ONCE: usize = 32;

/// A message that may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    /// Its place.
    pub place: After,
    /// Its thread, where that is known.
    pub thread: Option<ThreadId>,
}

/// The messages that may have a term of each clause, one after the other.
#[derive(Debug)]
pub(crate) struct Gathered {
    grant: GrantId,
    clauses: Vec<Clause>,
    terms: Vec<Term>,
    newer_than: UnixMicros,
    /// Behind which message it goes on.
    after: After,
    /// Segments that are not looked into yet, the last of which has the latest message.
    closed: Vec<Segment>,
    /// What was read of the last ones of them, and how many these are.
    ahead: (usize, Postings),
    open: Vec<Open>,
    late: Late,
}

/// A segment with what may pass in it.
#[derive(Debug)]
struct Open {
    segment: Segment,
    /// Numbers of messages, rising.
    numbers: Vec<u32>,
    head: Option<Key>,
    /// Where those stand that were looked up last.
    places: Places,
}

/// What is late; none of its terms are known.
#[derive(Debug)]
struct Late {
    after: After,
    /// The next ones, the first last.
    next: Vec<After>,
    ended: bool,
}

impl Gathered {
    /// Those behind a message.
    pub(crate) async fn open(
        reader: &mut Reader<'_>,
        grant: GrantId,
        clauses: Vec<Clause>,
        (after, newer_than): (After, UnixMicros),
    ) -> Result<Self, StoreError> {
        let mut terms: Vec<Term> = clauses.iter().flatten().copied().collect();
        terms.sort_unstable();
        terms.dedup();
        let mut closed = search::segments(reader, grant).await?;
        closed.retain(|segment| {
            segment.first_date <= after.date.as_micros() && segment.last_date > newer_than.as_micros()
        });
        closed.sort_by_key(|segment| segment.last_date);
        let late = Late { after, next: Vec::new(), ended: false };
        let ahead = (0, Postings::default());
        Ok(Self { grant, clauses, terms, newer_than, after, closed, ahead, open: Vec::new(), late })
    }

    /// The next ones, at most so many; fewer are the last.
    pub(crate) async fn take(&mut self, reader: &mut Reader<'_>, limit: usize) -> Result<Vec<Key>, StoreError> {
        let mut taken: Vec<Key> = Vec::with_capacity(limit);
        while taken.len() < limit {
            let Some(key) = self.next(reader).await? else { break };
            if taken.last().is_none_or(|last| last.place != key.place) {
                taken.push(key);
            }
        }
        Ok(taken)
    }

    async fn next(&mut self, reader: &mut Reader<'_>) -> Result<Option<Key>, StoreError> {
        self.late.fill(reader, self.grant, self.newer_than).await?;
        loop {
            let heads =
                self.open.iter().enumerate().filter_map(|(at, open)| Some((order(&open.head?.place), Some(at))));
            let late = self.late.next.last().map(|place| (order(place), None));
            let best = heads.chain(late).max();
            // What is in a segment is no later than its last message: most are never looked into.
            if let Some(segment) =
                self.closed.pop_if(|segment| best.is_none_or(|((date, _), _)| date <= segment.last_date))
            {
                self.look_into(reader, segment).await?;
                continue;
            }
            return match best {
                None => Ok(None),
                Some((_, None)) => Ok(self.late.next.pop().map(|place| Key { place, thread: None })),
                Some((_, Some(at))) => {
                    let key = self.open[at].head;
                    self.open[at].advance(reader, self.grant).await?;
                    if self.open[at].head.is_none() {
                        self.open.swap_remove(at);
                    }
                    Ok(key)
                }
            };
        }
    }

    async fn look_into(&mut self, reader: &mut Reader<'_>, segment: Segment) -> Result<(), StoreError> {
        if self.ahead.0 == 0 {
            self.read_ahead(reader, segment).await?;
        }
        self.ahead.0 -= 1;
        let numbers = narrow(&self.clauses, &|term| self.ahead.1.of(&segment, term));
        let mut open = Open { segment, numbers, head: None, places: Places::default() };
        if segment.last_date >= self.after.date.as_micros() {
            let end = open.before(reader, self.grant, self.after).await?;
            open.numbers.truncate(end);
        }
        if segment.first_date <= self.newer_than.as_micros() {
            let newest = After { date: self.newer_than, id: MessageId::from_uuid(uuid::Uuid::max()) };
            let first = open.before(reader, self.grant, newest).await?;
            open.numbers.drain(..first);
        }
        open.advance(reader, self.grant).await?;
        if open.head.is_some() {
            self.open.push(open);
        }
        Ok(())
    }

    /// Reads what a segment has of the terms, and the next ones as far as they are small.
    async fn read_ahead(&mut self, reader: &mut Reader<'_>, segment: Segment) -> Result<(), StoreError> {
        let (mut some, mut messages) = (vec![segment], segment.messages);
        for next in self.closed.iter().rev() {
            messages += next.messages;
            if messages > MESSAGES_AT_ONCE {
                break;
            }
            some.push(*next);
        }
        self.ahead = (some.len(), search::postings(reader, self.grant, &some, &self.terms).await?);
        Ok(())
    }
}

fn order(place: &After) -> (i64, [u8; 16]) {
    (place.date.as_micros(), place.id.uuid().into_bytes())
}

impl Open {
    /// How many of the numbers are those of messages before a place.
    async fn before(&mut self, reader: &mut Reader<'_>, grant: GrantId, end: After) -> Result<usize, StoreError> {
        let (mut low, mut high) = (0, self.numbers.len());
        while low < high {
            let middle = low.midpoint(high);
            let Some(key) = self.key(reader, grant, self.numbers[middle]).await? else { return Ok(low) };
            if order(&key.place) < order(&end) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// Moves on to the next message.
    async fn advance(&mut self, reader: &mut Reader<'_>, grant: GrantId) -> Result<(), StoreError> {
        self.head = None;
        while self.head.is_none() {
            let Some(number) = self.numbers.pop() else { break };
            if !self.places.holds(&self.segment, number as usize) {
                let next = self.numbers.iter().rev().take(PLACES_AT_ONCE).copied();
                let wanted: Vec<u32> = std::iter::once(number).chain(next).collect();
                self.look_up(reader, grant, &wanted).await?;
            }
            self.head = self.key(reader, grant, number).await?;
        }
        Ok(())
    }

    async fn key(&mut self, reader: &mut Reader<'_>, grant: GrantId, number: u32) -> Result<Option<Key>, StoreError> {
        if !self.places.holds(&self.segment, number as usize) {
            self.look_up(reader, grant, &[number]).await?;
        }
        let place = self.places.of(&self.segment, number as usize)?;
        Ok(place.map(|place| Key {
            place: After { date: UnixMicros::from_micros(place.date), id: MessageId::from_uuid(place.id) },
            thread: Some(ThreadId::from_uuid(place.thread)),
        }))
    }

    async fn look_up(&mut self, reader: &mut Reader<'_>, grant: GrantId, numbers: &[u32]) -> Result<(), StoreError> {
        let wanted: Vec<_> = numbers.iter().map(|number| (self.segment, *number as usize)).collect();
        self.places = Places::default();
        search::places(reader, grant, &wanted, &mut self.places).await
    }
}

impl Late {
    async fn fill(
        &mut self,
        reader: &mut Reader<'_>,
        grant: GrantId,
        newer_than: UnixMicros,
    ) -> Result<(), StoreError> {
        if self.ended || !self.next.is_empty() {
            return Ok(());
        }
        let page = Page { grant_id: grant, folder: "", after: self.after, newer_than, limit: LATE_AT_ONCE };
        self.next = search::late_places(reader, &page).await?;
        self.ended = self.next.len() < LATE_AT_ONCE;
        self.after = self.next.last().copied().unwrap_or(self.after);
        self.next.reverse();
        Ok(())
    }
}
