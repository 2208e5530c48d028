//! Searching a mailbox: what is found in its segments, and in what is in none yet, as one row of hits, those first that fit best.

use crate::cursor;
use crate::filing;
use crate::filter::Matcher;
use crate::messages::{Filter, PageRequest, Row, SCANNED_MAX, newer_than};
use crate::plan;
use postfleet_core::id::{GrantId, MessageId, ThreadId};
use postfleet_core::search::{Key, Query, Score, Sought, Term, Wrong, of_vector, segment};
use postfleet_core::{Problem, UnixMicros};
use postfleet_mail::terms;
use postfleet_store::messages::{After, StoredMessage, named, named_with_bodies};
use postfleet_store::search::{self, Place, Places, Postings, Segment, Vector};
use postfleet_store::{Reader, Store, StoreError};
use std::collections::{BinaryHeap, HashMap, VecDeque};
use uuid::Uuid;

/// Vectors that are read at once.
const VECTORS_AT_ONCE: usize = 256;

/// Postings that are read at once, if each message had all terms: as many segments as have fewer are read together.
const POSTINGS_AT_ONCE: usize = 256 << 10;

/// Rows of messages after which those of earlier pages are forgotten.
const ROWS_MAX: usize = 2_000;

/// Hits among which it is looked for one that is still there, where the first is not.
const PROBED: usize = 50;

/// What is searched for; nothing is found by a query without letters and digits.
#[derive(Clone, Debug)]
pub struct Search {
    pub(crate) sought: Option<Sought>,
}

impl Search {
    /// Reads a query; `None` where there is none.
    pub fn parse(text: &str) -> Result<Option<Self>, Wrong> {
        Ok(Query::parse(text)?.map(|query| Self { sought: terms::of_query(&query) }))
    }

    /// Whether one message is found, by its source and its summary.
    pub fn finds(&self, raw: &[u8], summary: &str) -> bool {
        let found = |sought: &Sought| of_vector(sought, &sought.terms(), &filing::terms_of_source(raw, summary));
        self.sought.as_ref().and_then(found).is_some()
    }
}

/// A message that is found.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// How much it counts, its date and its id: by this hits are ordered, downwards.
    pub key: Key,
    /// Its thread.
    pub thread_id: ThreadId,
}

impl Hit {
    /// Its id.
    pub fn id(&self) -> MessageId {
        MessageId::from_uuid(Uuid::from_bytes(self.key.id))
    }

    fn of(place: &Place, score: Score) -> Self {
        let key = Key { score, date: place.date, id: place.id.into_bytes() };
        Self { key, thread_id: ThreadId::from_uuid(place.thread) }
    }
}

/// Which hits are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Only those behind this one.
    pub after: Option<Key>,
    /// Only later messages.
    pub newer_than: UnixMicros,
    /// Only earlier messages.
    pub older_than: UnixMicros,
}

impl Range {
    /// All of them.
    pub const ALL: Self = Self {
        after: None,
        newer_than: UnixMicros::from_micros(i64::MIN),
        older_than: UnixMicros::from_micros(i64::MAX),
    };

    fn holds(&self, hit: &Hit) -> bool {
        self.after.is_none_or(|after| hit.key < after)
            && hit.key.date > self.newer_than.as_micros()
            && hit.key.date < self.older_than.as_micros()
    }
}

/// A page of what is found. Bodies are read of what is shown alone.
pub(crate) async fn collect(
    (store, reader): (&Store, &mut Reader<'_>),
    grant: GrantId,
    (filter, search): (&Filter, &Search),
    request: &PageRequest,
    with_bodies: bool,
) -> Result<(Vec<Row>, Option<String>), Problem> {
    let after = request.cursor.as_deref().map(cursor::read_found).transpose()?;
    let Some(sought) = &search.sought else { return Ok((Vec::new(), None)) };
    let range = Range {
        after,
        newer_than: newer_than(filter),
        older_than: filter.received_before.map_or(Range::ALL.older_than, UnixMicros::from_seconds),
    };
    reader.freeze().await?;
    let matcher = Matcher::of(filter);
    let mut hits = Hits::find((store, reader), grant, &plan::narrowed(sought, &matcher), range).await?;
    let (mut page, mut scanned, mut last) = (Vec::new(), 0, None);
    while page.len() < request.limit && scanned < SCANNED_MAX {
        let batch = hits.take(reader, request.limit - page.len()).await?;
        if batch.is_empty() {
            break;
        }
        scanned += batch.len();
        last = batch.last().map(|hit| hit.key);
        page.extend(shown(reader, grant, (filter.thread_id, &matcher), with_bodies, &batch).await?);
    }
    let more = hits.has_more(reader).await?;
    reader.thaw().await?;
    Ok((page, last.filter(|_| more).map(|last| cursor::write_found(&last))))
}

/// The messages of hits that are still there and pass the filter, in the order of the hits.
async fn shown(
    reader: &mut Reader<'_>,
    grant: GrantId,
    (thread, matcher): (Option<ThreadId>, &Matcher<'_>),
    with_bodies: bool,
    hits: &[Hit],
) -> Result<Vec<Row>, StoreError> {
    let ids: Vec<MessageId> = hits.iter().map(Hit::id).collect();
    let is_shown =
        |message: &StoredMessage| thread.is_none_or(|thread| thread == message.thread_id) && matcher.matches(message);
    let mut rows: Vec<Row> =
        named(reader, grant, &ids).await?.into_iter().filter(is_shown).map(|row| (row, None)).collect();
    if with_bodies {
        let ids: Vec<MessageId> = rows.iter().map(|(message, _)| message.id).collect();
        let with_bodies = named_with_bodies(reader, grant, &ids).await?;
        rows = with_bodies.into_iter().map(|(message, blob)| (message, Some(blob))).collect();
    }
    let place: HashMap<MessageId, usize> = ids.iter().copied().zip(0..).collect();
    rows.sort_by_key(|(message, _)| place.get(&message.id).copied());
    Ok(rows)
}

/// Messages that are found, those first that fit best. Of a reader that is frozen: what is in a segment at one moment is nowhere else.
#[derive(Debug)]
pub struct Hits {
    grant: GrantId,
    /// What is in no segment, the first last.
    loose: Vec<Hit>,
    segments: Vec<Open>,
    /// Where messages stand that were looked up.
    places: Places,
}

/// A segment with what was found in it.
#[derive(Debug)]
struct Open {
    segment: Segment,
    /// Scores and numbers of messages.
    found: BinaryHeap<(Score, u32)>,
    /// The best of them, in their order.
    next: VecDeque<(Score, u32)>,
    head: Option<Hit>,
}

impl Open {
    /// What is found at a place from the next on.
    fn at(&mut self, place: usize) -> Option<(Score, u32)> {
        while self.next.len() <= place {
            self.next.push_back(self.found.pop()?);
        }
        self.next.get(place).copied()
    }
}

impl Hits {
    /// Finds what is sought in a range.
    pub async fn find(
        (store, reader): (&Store, &mut Reader<'_>),
        grant: GrantId,
        sought: &Sought,
        range: Range,
    ) -> Result<Self, StoreError> {
        let mut hits = Self { grant, loose: Vec::new(), segments: Vec::new(), places: Places::default() };
        let Some(until) = search::searched_until(reader, grant).await? else { return Ok(hits) };
        let terms = sought.terms();
        hits.find_loose((store, reader), until, (sought, &terms), range).await?;
        let mut segments = search::segments(reader, grant).await?;
        segments.retain(|segment| {
            segment.last_date > range.newer_than.as_micros() && segment.first_date < range.older_than.as_micros()
        });
        for some in together(&segments, POSTINGS_AT_ONCE / terms.len().max(1)) {
            let postings = search::postings(reader, grant, some, &terms).await?;
            for segment in some {
                hits.find_in(reader, *segment, (sought, &postings), range).await?;
            }
        }
        Ok(hits)
    }

    /// Looks through what is in no segment.
    async fn find_loose(
        &mut self,
        (store, reader): (&Store, &mut Reader<'_>),
        until: UnixMicros,
        (sought, terms): (&Sought, &[Term]),
        range: Range,
    ) -> Result<(), StoreError> {
        let mut after = After::START;
        loop {
            let mut vectors = search::loose(reader, self.grant, after, until, VECTORS_AT_ONCE).await?;
            self.look_at(store, &mut vectors, (sought, terms), range).await?;
            match vectors.last().filter(|_| vectors.len() == VECTORS_AT_ONCE) {
                Some(Vector { place, .. }) => {
                    after = After { date: UnixMicros::from_micros(place.date), id: MessageId::from_uuid(place.id) };
                }
                None => break,
            }
        }
        let mut after = (i64::MIN, Uuid::nil());
        loop {
            let mut vectors = search::late(reader, self.grant, after, VECTORS_AT_ONCE).await?;
            self.look_at(store, &mut vectors, (sought, terms), range).await?;
            match vectors.last().filter(|_| vectors.len() == VECTORS_AT_ONCE) {
                Some(last) => after = (last.place.date, last.place.id),
                None => break,
            }
        }
        self.loose.sort_unstable_by_key(|hit| hit.key);
        Ok(())
    }

    async fn look_at(
        &mut self,
        store: &Store,
        vectors: &mut [Vector],
        (sought, terms): (&Sought, &[Term]),
        range: Range,
    ) -> Result<(), StoreError> {
        for vector in vectors {
            filing::terms_of_stored(store, vector).await?;
            let hit = of_vector(sought, terms, &vector.terms).map(|score| Hit::of(&vector.place, score));
            self.loose.extend(hit.filter(|hit| range.holds(hit)));
        }
        Ok(())
    }

    /// Looks into a segment.
    async fn find_in(
        &mut self,
        reader: &mut Reader<'_>,
        segment: Segment,
        (sought, postings): (&Sought, &Postings),
        range: Range,
    ) -> Result<(), StoreError> {
        let scores = segment::evaluate(sought, segment.messages, &|term| postings.of(&segment, term));
        let first = self.before(reader, &segment, (range.newer_than.as_micros(), Uuid::max()), true).await?;
        let end = self.before(reader, &segment, (range.older_than.as_micros(), Uuid::nil()), false).await?;
        let behind = match range.after {
            Some(after) => self.before(reader, &segment, (after.date, Uuid::from_bytes(after.id)), false).await?,
            None => usize::MAX,
        };
        let is_behind = |score: Score, number: usize| match range.after {
            Some(after) => score < after.score || (score == after.score && number < behind),
            None => true,
        };
        let numbered = scores.into_iter().enumerate().take(end).skip(first);
        let found = numbered.filter_map(|(number, score)| Some((score.checked_sub(1)?, number)));
        let found: Vec<(Score, u32)> = found
            .filter(|(score, number)| is_behind(*score, *number))
            .map(|(score, number)| (score, number as u32))
            .collect();
        if !found.is_empty() {
            self.segments.push(Open { segment, found: found.into(), next: VecDeque::new(), head: None });
        }
        Ok(())
    }

    /// How many messages of a segment are before a date and an id, or at it.
    async fn before(
        &mut self,
        reader: &mut Reader<'_>,
        segment: &Segment,
        (date, id): (i64, Uuid),
        or_at: bool,
    ) -> Result<usize, StoreError> {
        if date < segment.first_date {
            return Ok(0);
        }
        if date > segment.last_date {
            return Ok(segment.messages);
        }
        let (mut low, mut high) = (0, segment.messages);
        while low < high {
            let middle = low.midpoint(high);
            let Some(place) = self.place(reader, segment, middle).await? else { return Ok(low) };
            let is_before = (place.date, place.id) < (date, id) || (or_at && (place.date, place.id) == (date, id));
            if is_before { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    async fn place(
        &mut self,
        reader: &mut Reader<'_>,
        segment: &Segment,
        number: usize,
    ) -> Result<Option<Place>, StoreError> {
        if !self.places.holds(segment, number) {
            search::places(reader, self.grant, &[(*segment, number)], &mut self.places).await?;
        }
        Ok(self.places.of(segment, number)?)
    }

    /// Moves on to the next hit of a segment.
    async fn advance(&mut self, reader: &mut Reader<'_>, open: &mut Open) -> Result<(), StoreError> {
        open.head = None;
        while let Some((score, number)) = open.at(0) {
            open.next.pop_front();
            if let Some(place) = self.place(reader, &open.segment, number as usize).await? {
                open.head = Some(Hit::of(&place, score));
                break;
            }
        }
        Ok(())
    }

    /// Looks up at once where those stand that will be taken next. Mostly the dates of segments do not overlap, and it is known which ones.
    async fn foresee(&mut self, reader: &mut Reader<'_>, limit: usize) -> Result<(), StoreError> {
        if self.places.len() > ROWS_MAX {
            self.places = Places::default();
        }
        let mut wanted = Vec::with_capacity(self.segments.len() + limit);
        // Those that are compared first, and then those that follow.
        wanted.extend(self.segments.iter_mut().filter_map(|open| Some((open.segment, open.at(0)?.1 as usize))));
        let mut taken = vec![0; self.segments.len()];
        for _ in 0..limit {
            let next = self.segments.iter_mut().zip(&taken).enumerate();
            let best = next.filter_map(|(at, (open, taken))| {
                let (score, number) = open.at(*taken)?;
                Some((score, open.segment.last_date, number, at))
            });
            let Some((_, _, number, at)) = best.max() else { break };
            taken[at] += 1;
            wanted.push((self.segments[at].segment, number as usize));
        }
        search::places(reader, self.grant, &wanted, &mut self.places).await
    }

    /// Finds the first hit of each segment that has none yet.
    async fn begin(&mut self, reader: &mut Reader<'_>) -> Result<(), StoreError> {
        for at in (0..self.segments.len()).rev() {
            if self.segments[at].head.is_none() {
                let mut open = self.segments.swap_remove(at);
                self.advance(reader, &mut open).await?;
                if open.head.is_some() {
                    self.segments.push(open);
                }
            }
        }
        Ok(())
    }

    /// The next hits, at most so many. Some of the messages may be gone.
    pub async fn take(&mut self, reader: &mut Reader<'_>, limit: usize) -> Result<Vec<Hit>, StoreError> {
        // And whether there is one more.
        self.foresee(reader, limit + 1).await?;
        self.begin(reader).await?;
        let mut taken = Vec::with_capacity(limit.min(256));
        while taken.len() < limit {
            let heads = self.segments.iter().enumerate();
            let best = heads.filter_map(|(place, open)| Some((open.head?.key, place))).max();
            match (best, self.loose.last()) {
                (Some((key, _)), Some(loose)) if loose.key > key => taken.extend(self.loose.pop()),
                (None, Some(_)) => taken.extend(self.loose.pop()),
                (Some((_, place)), _) => {
                    let mut open = self.segments.swap_remove(place);
                    taken.extend(open.head);
                    self.advance(reader, &mut open).await?;
                    if open.head.is_some() {
                        self.segments.push(open);
                    }
                }
                (None, None) => break,
            }
        }
        Ok(taken)
    }

    /// Whether there is one more whose message is still there.
    async fn has_more(&mut self, reader: &mut Reader<'_>) -> Result<bool, StoreError> {
        let mut probed = 1;
        loop {
            let batch = self.take(reader, probed).await?;
            if batch.is_empty() {
                return Ok(false);
            }
            let ids: Vec<Uuid> = batch.iter().map(|hit| hit.id().uuid()).collect();
            if !search::there(reader, &ids).await?.is_empty() {
                return Ok(true);
            }
            probed = PROBED;
        }
    }
}

/// Segments in groups of so many messages at most, or of one that has more.
fn together(segments: &[Segment], messages: usize) -> impl Iterator<Item = &[Segment]> {
    let mut rest = segments;
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = |segment: &&Segment| {
            sum += segment.messages;
            sum <= messages
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (group, behind) = rest.split_at(count);
        rest = behind;
        Some(group).filter(|group| !group.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_together_as_far_as_they_are_small() {
        for (name, messages, expected) in [
            ("none", vec![], vec![]),
            ("one", vec![5], vec![1]),
            ("as many as fit", vec![40, 60, 1, 99, 1], vec![2, 2, 1]),
            ("one that is too large is read alone", vec![1, 101, 1, 2], vec![1, 1, 2]),
        ] {
            let of = |messages| Segment { number: 1, level: 0, messages, first_date: 0, last_date: 0, made_at: 0 };
            let segments: Vec<Segment> = messages.into_iter().map(of).collect();
            let groups: Vec<usize> = together(&segments, 100).map(<[Segment]>::len).collect();
            assert_eq!(groups, expected, "{name}");
        }
    }
}
