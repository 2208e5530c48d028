//! Which messages are found, and how much each of them counts: for one of which the vector is at hand, and for all of a segment at once.
//! Both come to the same.
//!
//! A word, or a phrase, counts for each field in which it is found (see [`Field::weight`]); a message counts as much as all that
//! was sought of it and found in it. What must not be there counts nothing.

use super::vector::{Entries, Found};
use super::{Field, Term};

/// How much a message counts: the more, the earlier it is shown.
pub type Score = u16;

/// Where a message stands among those that are found: those that count more first, then the latest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// How much it counts.
    pub score: Score,
    /// Its date, in microseconds.
    pub date: i64,
    /// Its id.
    pub id: [u8; 16],
}

/// What is sought, in terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sought {
    /// Terms that follow each other in one field; at least one.
    Terms(Vec<Term>),
    /// All of them.
    All(Vec<Sought>),
    /// Any of them.
    Any(Vec<Sought>),
    /// What must not be there.
    Not(Box<Sought>),
}

impl Sought {
    /// Every term of it, once, rising.
    pub fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        self.gather(&mut terms);
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    fn gather(&self, terms: &mut Vec<Term>) {
        match self {
            Self::Terms(of) => terms.extend(of),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.gather(terms)),
            Self::Not(inner) => inner.gather(terms),
        }
    }
}

/// How much the message of a vector counts; `None` if it is not found. `terms` are those of what is sought.
pub fn of_vector(sought: &Sought, terms: &[Term], vector: &[u8]) -> Option<Score> {
    // Most terms of a message are not sought: one bit says so.
    let bit = |term: Term| 1_u64 << (term & 63);
    let bits = terms.iter().fold(0, |bits, term| bits | bit(*term));
    let mut found = vec![None; terms.len()];
    for entry in Entries::of(vector) {
        if bits & bit(entry.term) != 0
            && let Ok(place) = terms.binary_search(&entry.term)
        {
            found[place] = Some(entry);
        }
    }
    let of = |term: Term| terms.binary_search(&term).ok().and_then(|place| found[place]);
    value(sought, &of)
}

fn value<'v>(sought: &Sought, of: &dyn Fn(Term) -> Option<Found<'v>>) -> Option<Score> {
    match sought {
        Sought::Terms(terms) => match terms.as_slice() {
            [term] => of(*term).map(|found| Score::from(found.fields())),
            terms => {
                let found: Option<Vec<_>> = terms.iter().map(|term| of(*term)).collect();
                let positions = found?.into_iter().map(|found| found.positions());
                fields_of_phrase(positions).map(Score::from)
            }
        },
        Sought::All(parts) => parts.iter().try_fold(0, |sum: Score, part| Some(sum.saturating_add(value(part, of)?))),
        Sought::Any(parts) => {
            let found = parts.iter().filter_map(|part| value(part, of));
            found.fold(None, |sum: Option<Score>, score| Some(sum.unwrap_or_default().saturating_add(score)))
        }
        Sought::Not(inner) => value(inner, of).is_none().then_some(0),
    }
}

/// The fields in which words follow each other, of the rising positions of each; `None` if in none.
fn fields_of_phrase<P: Iterator<Item = u32>>(mut words: impl Iterator<Item = P>) -> Option<u8> {
    let mut ends: Vec<u32> = words.next()?.collect();
    for word in words {
        let mut word = word.peekable();
        // Each end moves on to the word behind it, or is dropped.
        ends.retain_mut(|end| {
            *end += 1;
            while word.next_if(|at| *at < *end).is_some() {}
            word.peek() == Some(end)
        });
        if ends.is_empty() {
            return None;
        }
    }
    let fields = ends.iter().fold(0, |fields, at| fields | Field::at(*at).weight());
    (!ends.is_empty()).then_some(fields)
}

#[cfg(test)]
mod tests;
