//! What was read of segments lately, in memory. A segment that is searched never changes, and no other ever has its number and its time: what
//! is known of it is as good as its rows, as long as the segments themselves are read from the database. So nothing here grows old.

use super::Segment;
use parking_lot::Mutex;
use postfleet_core::id::GrantId;
use postfleet_core::search::Term;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Octets that are kept at most, of all mailboxes together.
pub(crate) const KNOWN_OCTETS_MAX: usize = 48 << 20;

/// What an entry takes beside its octets, no less than it does.
const ENTRY_OCTETS: usize = 192;

/// One part of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    grant: Uuid,
    segment: i64,
    made_at: i64,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Part {
    /// The postings of a term; no octets where there are none.
    Postings(Term),
    /// A row of messages.
    Chunk(usize),
}

/// Keeps what was asked for lately: what was asked for in the younger half, and in the older one. When the younger half is full, it
/// becomes the older one, and what nobody asked for since is gone.
pub(crate) struct Known {
    most: usize,
    halves: Mutex<Halves>,
}

#[derive(Default)]
struct Halves {
    younger: HashMap<Key, Arc<[u8]>>,
    older: HashMap<Key, Arc<[u8]>>,
    /// What the younger half takes.
    octets: usize,
}

impl Known {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, halves: Mutex::default() }
    }

    pub(super) fn get(&self, grant: GrantId, segment: &Segment, part: Part) -> Option<Arc<[u8]>> {
        let key = Key::of(grant, segment, part);
        let mut halves = self.halves.lock();
        if let Some(octets) = halves.younger.get(&key) {
            return Some(octets.clone());
        }
        let octets = halves.older.remove(&key)?;
        let over = halves.add(key, octets.clone(), self.most / 2);
        drop(halves);
        drop(over);
        Some(octets)
    }

    /// Keeps a part, unless it is so large that many others would have to go.
    pub(super) fn put(&self, grant: GrantId, segment: &Segment, (part, octets): (Part, &Arc<[u8]>)) {
        if taken(octets) <= self.most / 8 {
            let mut halves = self.halves.lock();
            let over = halves.add(Key::of(grant, segment, part), octets.clone(), self.most / 2);
            // It takes a while to give that back: nobody waits for it.
            drop(halves);
            drop(over);
        }
    }

    /// Octets that are kept.
    #[cfg(test)]
    fn octets(&self) -> usize {
        let halves = self.halves.lock();
        halves.younger.values().chain(halves.older.values()).map(taken).sum()
    }
}

impl Halves {
    /// Answers what is no longer kept.
    fn add(&mut self, key: Key, octets: Arc<[u8]>, half: usize) -> HashMap<Key, Arc<[u8]>> {
        let more = taken(&octets);
        let mut over = HashMap::new();
        if self.octets + more > half {
            over = std::mem::replace(&mut self.older, std::mem::take(&mut self.younger));
            self.octets = 0;
        }
        if self.younger.insert(key, octets).is_none() {
            self.octets += more;
        }
        over
    }
}

impl Key {
    fn of(grant: GrantId, segment: &Segment, part: Part) -> Self {
        Self { grant: grant.uuid(), segment: segment.number, made_at: segment.made_at, part }
    }
}

fn taken(octets: &Arc<[u8]>) -> usize {
    octets.len() + ENTRY_OCTETS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 64 << 10;

    fn segment(number: i64, made_at: i64) -> Segment {
        Segment { number, level: 0, messages: 1, first_date: 1, last_date: 1, made_at }
    }

    fn grant(number: u128) -> GrantId {
        GrantId::from_uuid(Uuid::from_u128(number))
    }

    fn octets(count: usize) -> Arc<[u8]> {
        vec![7; count].into()
    }

    #[test]
    fn each_part_of_each_segment_of_each_mailbox_is_one_of_its_own() {
        let known = Known::new(MOST);
        let first = (grant(1), segment(1, 10), Part::Postings(5));
        known.put(first.0, &first.1, (first.2, &octets(3)));
        for (name, grant, segment, part) in [
            ("another mailbox", grant(2), segment(1, 10), Part::Postings(5)),
            ("another segment", grant(1), segment(2, 10), Part::Postings(5)),
            ("another one of the same number", grant(1), segment(1, 11), Part::Postings(5)),
            ("another term", grant(1), segment(1, 10), Part::Postings(6)),
            ("messages", grant(1), segment(1, 10), Part::Chunk(5)),
        ] {
            assert_eq!(known.get(grant, &segment, part), None, "{name}");
        }
        assert_eq!(known.get(first.0, &first.1, first.2), Some(octets(3)));
    }

    #[test]
    fn what_is_kept_has_a_limit_whatever_is_asked_for() {
        let known = Known::new(MOST);
        for round in 0..3_000_usize {
            known.put(grant(1), &segment(1, 1), (Part::Chunk(round), &octets(round * 37 % 2_000)));
            if round % 3 == 0 {
                known.get(grant(1), &segment(1, 1), Part::Chunk(round / 2));
            }
            assert!(known.octets() <= MOST, "{} after {round}", known.octets());
        }
        assert!(known.octets() > MOST / 3);
        for (name, count) in [("nothing", 0), ("one octet", 1)] {
            for round in 0..3_000 {
                known.put(grant(2), &segment(1, 1), (Part::Chunk(round), &octets(count)));
            }
            assert!(known.octets() <= MOST, "{name}: {}", known.octets());
        }
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_too_large_is_not_kept() {
        let known = Known::new(MOST);
        let of = |part| known.get(grant(1), &segment(1, 1), part);
        let put = |part, count| known.put(grant(1), &segment(1, 1), (part, &octets(count)));
        put(Part::Postings(1), 100);
        put(Part::Postings(2), 100);
        for round in 0..1_000 {
            put(Part::Chunk(round), 500);
            assert!(of(Part::Postings(1)).is_some(), "{round}");
        }
        assert_eq!(of(Part::Postings(2)), None);
        for (count, is_kept) in [(MOST / 8 - ENTRY_OCTETS, true), (MOST / 8 - ENTRY_OCTETS + 1, false)] {
            put(Part::Postings(3), count);
            assert_eq!(of(Part::Postings(3)).is_some(), is_kept, "{count}");
            known.halves.lock().younger.remove(&Key::of(grant(1), &segment(1, 1), Part::Postings(3)));
        }
    }
}
