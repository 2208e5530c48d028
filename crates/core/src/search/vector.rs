//! What is kept of one message so that it is found: its terms, and where in it each of them stands.
//!
//! ```text
//! vector   = version *entry           version = %x01
//! entry    = term first *further      ; in the order in which the terms stand first
//! term     = 5OCTET                   ; the lowest octet first
//! first    = number                   ; twice the way from the first position of the entry before, plus 1 if more follow
//! further  = number                   ; twice the way from the position before, plus 1 if more follow
//! number   = *%x80-FF %x00-7F         ; seven bits an octet, the lowest first
//! ```
//!
//! A word that stands once, as most do, takes six octets so.

use super::{Field, TERM_BITS, Term};

const VERSION: u8 = 1;
const TERM_OCTETS: usize = TERM_BITS as usize / 8;

/// Adds a number of seven bits an octet.
pub fn write_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number from the front; `None` where there is none.
#[inline]
pub fn read_number(octets: &mut &[u8]) -> Option<u32> {
    let (&first, rest) = octets.split_first()?;
    *octets = rest;
    if first < 0x80 {
        return Some(u32::from(first));
    }
    let mut number = u32::from(first & 0x7f);
    for shift in [7, 14, 21, 28] {
        let (&next, rest) = octets.split_first()?;
        *octets = rest;
        number |= u32::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Some(number);
        }
    }
    None
}

pub(super) fn write_term(out: &mut Vec<u8>, term: Term) {
    out.extend_from_slice(&term.to_le_bytes()[..TERM_OCTETS]);
}

#[inline]
pub(super) fn read_term(octets: &mut &[u8]) -> Option<Term> {
    let (term, rest) = octets.split_at_checked(TERM_OCTETS)?;
    *octets = rest;
    let mut wide = [0; 8];
    wide[..TERM_OCTETS].copy_from_slice(term);
    Some(Term::from_le_bytes(wide))
}

/// Gathers the terms of a message, position by position.
#[derive(Debug)]
pub struct Writer {
    /// Places of entries by their term; 0 is free.
    slots: Vec<u32>,
    entries: Vec<Entry>,
    /// Further positions: the position, and the place of the next one of the same term, or 0.
    further: Vec<(u32, u32)>,
}

#[derive(Debug)]
struct Entry {
    term: Term,
    first: u32,
    /// Places in `further`, from 1; 0 is none.
    second: u32,
    last: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self { slots: vec![0; 1_024], entries: Vec::with_capacity(512), further: Vec::with_capacity(512) }
    }
}

impl Writer {
    /// Adds a term at a position that is not before the one that was added last.
    #[inline]
    pub fn add(&mut self, term: Term, position: u32) {
        let mask = self.slots.len() - 1;
        let mut slot = (term ^ (term >> 20)) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                place if self.entries[place as usize - 1].term == term => return self.again(place, position),
                _ => slot = (slot + 1) & mask,
            }
        }
        self.entries.push(Entry { term, first: position, second: 0, last: 0 });
        self.slots[slot] = self.entries.len() as u32;
        if 2 * self.entries.len() > self.slots.len() {
            self.grow();
        }
    }

    fn again(&mut self, place: u32, position: u32) {
        self.further.push((position, 0));
        let at = self.further.len() as u32;
        let entry = &mut self.entries[place as usize - 1];
        match entry.last {
            0 => entry.second = at,
            last => self.further[last as usize - 1].1 = at,
        }
        entry.last = at;
    }

    fn grow(&mut self) {
        let size = 2 * self.slots.len();
        self.slots.clear();
        self.slots.resize(size, 0);
        for (place, entry) in (1..).zip(&self.entries) {
            let mut slot = (entry.term ^ (entry.term >> 20)) as usize & (size - 1);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.slots[slot] = place;
        }
    }

    /// The vector.
    pub fn finish(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + 7 * self.entries.len() + 2 * self.further.len());
        out.push(VERSION);
        let mut before = 0;
        for entry in &self.entries {
            write_term(&mut out, entry.term);
            write_number(&mut out, (entry.first - before) << 1 | u32::from(entry.second != 0));
            before = entry.first;
            let (mut position, mut next) = (entry.first, entry.second);
            while next != 0 {
                let (at, following) = self.further[next as usize - 1];
                write_number(&mut out, (at - position) << 1 | u32::from(following != 0));
                (position, next) = (at, following);
            }
        }
        out
    }
}

/// Reads a vector, entry by entry. One that is damaged ends early.
#[derive(Clone, Debug)]
pub struct Entries<'v> {
    rest: &'v [u8],
    before: u32,
}

/// A term of a message: see [`Entries`].
#[derive(Clone, Copy, Debug)]
pub struct Found<'v> {
    /// The term.
    pub term: Term,
    /// Where it stands first.
    pub first: u32,
    /// The numbers behind it, if there are more.
    further: &'v [u8],
}

impl<'v> Entries<'v> {
    /// Of a vector; nothing of what is none.
    pub fn of(vector: &'v [u8]) -> Self {
        let rest = vector.strip_prefix(&[VERSION]).unwrap_or_default();
        Self { rest, before: 0 }
    }
}

impl<'v> Iterator for Entries<'v> {
    type Item = Found<'v>;

    #[inline]
    fn next(&mut self) -> Option<Found<'v>> {
        let term = read_term(&mut self.rest)?;
        let number = read_number(&mut self.rest)?;
        self.before = self.before.checked_add(number >> 1)?;
        let start = self.rest;
        let mut more = number & 1 == 1;
        while more {
            more = read_number(&mut self.rest)? & 1 == 1;
        }
        let further = &start[..start.len() - self.rest.len()];
        Some(Found { term, first: self.before, further })
    }
}

impl<'v> Found<'v> {
    /// All positions, rising.
    pub fn positions(&self) -> impl Iterator<Item = u32> + use<'v> {
        let (mut at, mut rest) = (self.first, self.further);
        let further = std::iter::from_fn(move || {
            at = at.checked_add(read_number(&mut rest)? >> 1)?;
            Some(at)
        });
        std::iter::once(self.first).chain(further)
    }

    /// The fields in which it stands, by the bits of their weights.
    pub fn fields(&self) -> u8 {
        self.positions().fold(0, |fields, at| fields | Field::at(at).weight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn read(vector: &[u8]) -> BTreeMap<Term, Vec<u32>> {
        Entries::of(vector).map(|found| (found.term, found.positions().collect())).collect()
    }

    #[test]
    fn a_word_that_stands_once_takes_six_octets() {
        let mut writer = Writer::default();
        for (term, at) in [(7, 0), (8, 1), (7, 2), (9, 3), (9, 0x8000)] {
            writer.add(term, at);
        }
        let vector = writer.finish();
        assert_eq!(read(&vector), BTreeMap::from([(7, vec![0, 2]), (8, vec![1]), (9, vec![3, 0x8000])]));
        let fields: Vec<u8> = Entries::of(&vector).map(|found| found.fields()).collect();
        assert_eq!(fields, [1, 1, 9]);
        assert_eq!(vector.len(), 1 + 7 + 6 + 9);
        assert_eq!(read(&[]), BTreeMap::new());
        assert_eq!(read(&[2, 1, 2, 3, 4, 5, 6]), BTreeMap::new());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(terms in proptest::collection::vec((0_u64..3_000, 0_u32..40), 0..3_000)) {
            let (mut writer, mut expected, mut at) = (Writer::default(), BTreeMap::<Term, Vec<u32>>::new(), 0);
            for (term, step) in terms {
                at += step;
                writer.add(term, at);
                expected.entry(term).or_default().push(at);
            }
            prop_assert_eq!(read(&writer.finish()), expected);
        }

        #[test]
        fn anything_is_read(mut octets: Vec<u8>) {
            octets.insert(0, VERSION);
            for found in Entries::of(&octets) {
                let _ = found.positions().count();
            }
        }
    }
}
