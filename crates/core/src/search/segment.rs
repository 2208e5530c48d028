//! What is kept of many messages so that those are found that have a term, without looking at the others.
//!
//! The messages of a segment are numbered by date, then id, from 0. Its terms are parted by their highest bits into shards:
//!
//! ```text
//! shard    = *entry                       ; by rising terms
//! entry    = term number *posting         ; octets of the postings
//! posting  = number number *number        ; the way from the message before; 16 times the octets of the positions,
//!                                         ; plus the fields; the positions, each as the way from the one before
//! ```
//!
//! Terms and numbers are written as in a [`vector`](super::vector).

use super::evaluate::{Score, Sought};
use super::vector::{Entries, read_number, read_term, write_number, write_term};
use super::{Field, TERM_BITS, Term};

/// The shard of a term, where there are two to the power of `bits`.
pub const fn shard(term: Term, bits: u32) -> u32 {
    (term >> (TERM_BITS - bits)) as u32
}

/// Shards with something in them, by number.
pub type Shards = Vec<(u32, Vec<u8>)>;

/// Makes the shards of messages from their vectors, in the order of their numbers.
pub fn build<'v>(vectors: impl Iterator<Item = &'v [u8]>, bits: u32) -> Shards {
    build_with(vectors.map(|vector| (vector, [].as_slice())), bits)
}

/// The same with further terms of each message, which are in no field: what lists are narrowed by.
pub fn build_with<'v>(messages: impl Iterator<Item = (&'v [u8], &'v [Term])>, bits: u32) -> Shards {
    let mut postings = Vec::new();
    for (message, (vector, facts)) in (0..).zip(messages) {
        postings.extend(Entries::of(vector).map(|found| (found.term, message, Some(found))));
        postings.extend(facts.iter().map(|term| (*term, message, None)));
    }
    postings.sort_unstable_by_key(|(term, message, _)| (*term, *message));
    let mut writer = ShardWriter::new(bits);
    let mut positions = Vec::new();
    for (term, message, found) in postings {
        let fields = found.map_or(0, |found| found.fields());
        positions.clear();
        // Where facts stand says nothing.
        if let Some(found) = found.filter(|_| fields != 0) {
            let mut before = 0;
            for at in found.positions() {
                write_number(&mut positions, at - before);
                before = at;
            }
        }
        writer.add(term, Posting { message, fields, positions: &positions });
    }
    writer.finish()
}

/// One shard of a segment that is merged with others.
#[derive(Clone, Copy, Debug)]
pub struct Source<'s> {
    /// The shard.
    pub shard: &'s [u8],
    /// The new number of each message; none for what is gone.
    pub renumbered: &'s [Option<u32>],
}

/// Merges the same shard of several segments, parted anew by `bits`.
pub fn merge(sources: &[Source<'_>], bits: u32) -> Shards {
    let mut open: Vec<_> = sources.iter().map(|source| (entries(source.shard).peekable(), source.renumbered)).collect();
    let mut writer = ShardWriter::new(bits);
    let mut postings: Vec<Posting<'_>> = Vec::new();
    while let Some(term) = open.iter_mut().filter_map(|(entries, _)| entries.peek().map(|(term, _)| *term)).min() {
        postings.clear();
        for (entries, renumbered) in &mut open {
            if let Some((_, of)) = entries.next_if(|(one, _)| *one == term) {
                let kept = Postings::of(of).filter_map(|posting| {
                    let message = (*renumbered.get(posting.message as usize)?)?;
                    Some(Posting { message, ..posting })
                });
                postings.extend(kept);
            }
        }
        // Mostly the segments follow each other.
        if !postings.is_sorted_by_key(|posting| posting.message) {
            postings.sort_by_key(|posting| posting.message);
        }
        postings.iter().for_each(|posting| writer.add(term, *posting));
    }
    writer.finish()
}

/// A term in a message.
#[derive(Clone, Copy, Debug)]
struct Posting<'s> {
    message: u32,
    fields: u8,
    positions: &'s [u8],
}

struct ShardWriter {
    bits: u32,
    shards: Shards,
    term: Option<Term>,
    before: u32,
    postings: Vec<u8>,
}

impl ShardWriter {
    fn new(bits: u32) -> Self {
        Self { bits, shards: Vec::new(), term: None, before: 0, postings: Vec::new() }
    }

    fn add(&mut self, term: Term, posting: Posting<'_>) {
        if self.term != Some(term) {
            self.close();
            (self.term, self.before) = (Some(term), 0);
        }
        write_number(&mut self.postings, posting.message.wrapping_sub(self.before));
        self.before = posting.message;
        let octets = u32::try_from(posting.positions.len()).unwrap_or_default();
        write_number(&mut self.postings, octets << 4 | u32::from(posting.fields));
        self.postings.extend_from_slice(posting.positions);
    }

    fn close(&mut self) {
        let Some(term) = self.term.take() else { return };
        let number = shard(term, self.bits);
        if self.shards.last().is_none_or(|(last, _)| *last != number) {
            self.shards.push((number, Vec::new()));
        }
        if let Some((_, shard)) = self.shards.last_mut() {
            write_term(shard, term);
            write_number(shard, u32::try_from(self.postings.len()).unwrap_or_default());
            shard.append(&mut self.postings);
        }
    }

    fn finish(mut self) -> Shards {
        self.close();
        self.shards
    }
}

/// The terms of a shard with their postings.
fn entries(mut shard: &[u8]) -> impl Iterator<Item = (Term, &[u8])> {
    std::iter::from_fn(move || {
        let term = read_term(&mut shard)?;
        let octets = read_number(&mut shard)?;
        let (postings, rest) = shard.split_at_checked(octets as usize)?;
        shard = rest;
        Some((term, postings))
    })
}

/// The postings of a term in its shard.
pub fn postings(shard: &[u8], term: Term) -> Option<&[u8]> {
    entries(shard).take_while(|(one, _)| *one <= term).find(|(one, _)| *one == term).map(|(_, postings)| postings)
}

#[derive(Clone)]
struct Postings<'s> {
    rest: &'s [u8],
    before: u32,
}

impl<'s> Postings<'s> {
    fn of(postings: &'s [u8]) -> Self {
        Self { rest: postings, before: 0 }
    }
}

impl<'s> Iterator for Postings<'s> {
    type Item = Posting<'s>;

    #[inline]
    fn next(&mut self) -> Option<Posting<'s>> {
        self.before = self.before.checked_add(read_number(&mut self.rest)?)?;
        let header = read_number(&mut self.rest)?;
        let (positions, rest) = self.rest.split_at_checked((header >> 4) as usize)?;
        self.rest = rest;
        Some(Posting { message: self.before, fields: (header & 15) as u8, positions })
    }
}

/// The numbers of the messages of postings, rising.
pub(super) fn messages_of(postings: &[u8]) -> impl Iterator<Item = u32> {
    Postings::of(postings).map(|posting| posting.message)
}

/// How much each of the `messages` of a segment counts, plus 1; 0 for what is not found. `of` has the postings of a term.
pub fn evaluate<'s>(sought: &Sought, messages: usize, of: &dyn Fn(Term) -> Option<&'s [u8]>) -> Vec<Score> {
    let mut found = vec![0; messages];
    add(sought, &mut found, of);
    found
}

/// Counts what is found into `found`, where nothing is yet.
fn add<'s>(sought: &Sought, found: &mut [Score], of: &dyn Fn(Term) -> Option<&'s [u8]>) {
    match sought {
        Sought::Terms(terms) => match terms.as_slice() {
            [term] => {
                for posting in of(*term).into_iter().flat_map(Postings::of) {
                    if let Some(score) = found.get_mut(posting.message as usize) {
                        *score = Score::from(posting.fields) + 1;
                    }
                }
            }
            terms => add_phrase(terms, found, of),
        },
        Sought::All(parts) => {
            found.fill(1);
            combine(parts, found, of, |sum, one| if sum == 0 || one == 0 { 0 } else { sum.saturating_add(one - 1) });
        }
        Sought::Any(parts) => combine(parts, found, of, |sum, one| match (sum, one) {
            (0, one) => one,
            (sum, 0) => sum,
            (sum, one) => sum.saturating_add(one - 1),
        }),
        Sought::Not(inner) => {
            add(inner, found, of);
            found.iter_mut().for_each(|score| *score = Score::from(*score == 0));
        }
    }
}

fn combine<'s>(
    parts: &[Sought],
    found: &mut [Score],
    of: &dyn Fn(Term) -> Option<&'s [u8]>,
    both: impl Fn(Score, Score) -> Score,
) {
    let mut one = vec![0; found.len()];
    for part in parts {
        one.fill(0);
        add(part, &mut one, of);
        found.iter_mut().zip(&one).for_each(|(sum, one)| *sum = both(*sum, *one));
    }
}

fn add_phrase<'s>(terms: &[Term], found: &mut [Score], of: &dyn Fn(Term) -> Option<&'s [u8]>) {
    let postings: Option<Vec<_>> = terms.iter().map(|term| of(*term)).collect();
    let Some(postings) = postings else { return };
    // The rarest word leads.
    let Some(lead) = (0..postings.len()).min_by_key(|place| postings[*place].len()) else { return };
    let words: Option<Vec<_>> = postings.into_iter().map(Word::of).collect();
    let Some(mut words) = words else { return };
    let mut together = Vec::with_capacity(words.len());
    let mut message = words[lead].posting.message;
    while let Some(with_all) = next_with_all(&mut words, message) {
        if may_follow(&words) {
            together.clear();
            together.extend(words.iter().filter_map(|word| Positions::of(word.posting.positions)));
            if together.len() == words.len()
                && let Some(fields) = fields_of_phrase(&mut together, words[lead].posting.fields)
                && let Some(score) = found.get_mut(with_all as usize)
            {
                *score = Score::from(fields) + 1;
            }
        }
        let Some(next) = with_all.checked_add(1).and_then(|next| words[lead].seek(next)) else { return };
        message = next;
    }
}

/// The first message from one on that has all words; those stand at it then.
fn next_with_all(words: &mut [Word<'_>], from: u32) -> Option<u32> {
    let mut message = from;
    loop {
        let mut latest = message;
        for word in words.iter_mut() {
            latest = word.seek(latest)?;
        }
        if latest == message {
            return Some(message);
        }
        message = latest;
    }
}

/// A word of a phrase, and the message that it stands at.
struct Word<'s> {
    posting: Posting<'s>,
    behind: Postings<'s>,
}

impl<'s> Word<'s> {
    fn of(postings: &'s [u8]) -> Option<Self> {
        let mut behind = Postings::of(postings);
        Some(Self { posting: behind.next()?, behind })
    }

    /// Passes messages before one.
    #[inline]
    fn seek(&mut self, least: u32) -> Option<u32> {
        while self.posting.message < least {
            self.posting = self.behind.next()?;
        }
        Some(self.posting.message)
    }
}

/// False if the words nowhere follow each other in the message that they stand at. True may be wrong. Most messages with two common
/// words have them nowhere side by side: this says so without a branch for each position, which no processor could foresee. Positions are
/// bits by what they leave when divided by how many bits there are.
fn may_follow(words: &[Word<'_>]) -> bool {
    const WORDS: usize = 8;
    let place = |at: u32| (at >> 6) as usize % WORDS;
    let mut behind = [u64::MAX; WORDS];
    for word in words {
        let (mut next, mut any, mut at) = ([0; WORDS], 0, 0_u32);
        let mut rest = word.posting.positions;
        while let Some(way) = read_number(&mut rest) {
            at = at.wrapping_add(way);
            let follows = behind[place(at)] >> (at & 63) & 1;
            let end = at.wrapping_add(1);
            next[place(end)] |= follows << (end & 63);
            any |= follows;
        }
        if any == 0 {
            return false;
        }
        behind = next;
    }
    true
}

/// The positions of a term in a message, the first of which that was not passed.
struct Positions<'s> {
    at: u32,
    rest: &'s [u8],
}

impl<'s> Positions<'s> {
    fn of(mut positions: &'s [u8]) -> Option<Self> {
        Some(Self { at: read_number(&mut positions)?, rest: positions })
    }

    /// Passes those before one.
    #[inline]
    fn seek(&mut self, least: u32) -> Option<u32> {
        while self.at < least {
            self.at = self.at.checked_add(read_number(&mut self.rest)?)?;
        }
        Some(self.at)
    }
}

/// The fields in which words follow each other; `None` if in none. When they do so in each of `all`, in which the last of them stands, no more
/// is looked for: common words do so early.
fn fields_of_phrase(words: &mut [Positions<'_>], all: u8) -> Option<u8> {
    let (mut first, mut found) = (0_u32, None);
    'from: loop {
        let mut end = first;
        for (behind, word) in (0..).zip(words.iter_mut()) {
            let wanted = first.checked_add(behind);
            let Some(at) = wanted.and_then(|wanted| word.seek(wanted)) else { return found };
            end = at;
            if at - behind > first {
                first = at - behind;
                continue 'from;
            }
        }
        let fields = found.unwrap_or_default() | Field::at(end).weight();
        found = Some(fields);
        let Some(next) = first.checked_add(1).filter(|_| fields != all) else { return found };
        first = next;
    }
}
