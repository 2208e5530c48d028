//! How a list that few messages pass is read: what leads to them. Decided by sizes alone, so that it can be seen here.

use crate::filter::Matcher;
use postfleet_core::search::narrow::Clause;
use postfleet_core::search::{Sought, Term};
use postfleet_mail::terms::{self, Role};

/// What leads to the messages of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leader {
    /// Listings, or a thread: everything in them is looked at.
    Listing,
    /// What is kept of metadata: only messages that have a pair are looked at.
    Pairs,
    /// The term index: only messages that have the terms are looked at.
    Terms,
}

/// What is known of a list before more of it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// Whether the term index knows something of what is asked for.
    pub has_terms: bool,
    /// How many messages have the rarest pair that is asked for, as far as they were counted; nothing if none is asked for.
    pub paired: Option<usize>,
    /// How many messages are in the listings, if that is known.
    pub listed: Option<usize>,
    /// Messages that were read so far.
    pub read: usize,
    /// Those of them that passed.
    pub passed: usize,
}

/// Messages, or places, that are soon looked at.
pub(crate) const FEW: usize = 1_000;

/// Messages of a listing that are looked at in any case: what is common fills a page with them.
const LOOKED_AT_FIRST: usize = 200;

/// As long as one of so many passes, more of the listing are looked at.
const ONE_OF: usize = 20;

/// A clause of more terms is not asked of the index: it would read most of it.
const TERMS_MAX: usize = 128;

/// The same beside what is searched for, where each term costs more.
const SOUGHT_TERMS_MAX: usize = 8;

impl Known {
    /// What leads on.
    pub(crate) fn leader(&self) -> Leader {
        let is_common = self.read < LOOKED_AT_FIRST || self.passed * ONE_OF >= self.read;
        match self.paired {
            _ if self.listed.is_some_and(|listed| listed <= FEW) => Leader::Listing,
            Some(paired) if paired < FEW || !self.has_terms => Leader::Pairs,
            _ if self.has_terms && !is_common => Leader::Terms,
            _ => Leader::Listing,
        }
    }
}

/// The terms that a message has which passes: one of each clause. None where the index knows nothing of it.
pub(crate) fn clauses(matcher: &Matcher<'_>) -> Vec<Clause> {
    let long = terms::long_subject();
    let pieces: Vec<Term> = matcher.part_of_subject().map(terms::pieces_of_part).unwrap_or_default();
    named(matcher)
        .filter(|clause| clause.len() <= TERMS_MAX)
        .chain(pieces.into_iter().map(|piece| vec![piece, long]))
        .collect()
}

/// What is sought, of those alone who are asked for beside it, as far as that is quickly told. It counts nothing.
pub(crate) fn narrowed(sought: &Sought, matcher: &Matcher<'_>) -> Sought {
    let any = |clause: Clause| Sought::Any(clause.into_iter().map(|term| Sought::Terms(vec![term])).collect());
    let named: Vec<Sought> = named(matcher).filter(|clause| clause.len() <= SOUGHT_TERMS_MAX).map(any).collect();
    if named.is_empty() { sought.clone() } else { Sought::All([vec![sought.clone()], named].concat()) }
}

/// Those who are asked for: a clause for each header that is.
fn named(matcher: &Matcher<'_>) -> impl Iterator<Item = Clause> {
    let of = |keys: &[String], roles: &[Role]| -> Clause {
        keys.iter().flat_map(|key| roles.iter().map(|role| terms::keyed_as(*role, key))).collect()
    };
    let [from, to, cc, bcc, any_email] = matcher.addresses();
    let clauses = [
        of(from, &[Role::From]),
        of(to, &[Role::To]),
        of(cc, &[Role::Cc]),
        of(bcc, &[Role::Bcc]),
        of(any_email, &[Role::From, Role::To, Role::Cc, Role::Bcc]),
    ];
    clauses.into_iter().filter(|clause| !clause.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Filter;

    #[test]
    fn what_leads_to_what_is_asked_for() {
        let terms = Known { has_terms: true, ..Known::default() };
        let pairs = |paired: usize| Known { paired: Some(paired), ..Known::default() };
        let read = |known: Known, read: usize, passed: usize| Known { read, passed, ..known };
        let listed = |known: Known, listed: usize| Known { listed: Some(listed), ..known };
        for (name, known, expected) in [
            ("nothing is indexed", read(Known::default(), 5_000, 0), Leader::Listing),
            ("at first", terms, Leader::Listing),
            ("common", read(terms, 400, 20), Leader::Listing),
            ("no more common", read(terms, 400, 19), Leader::Terms),
            ("rare", read(terms, 200, 0), Leader::Terms),
            ("rare in a small folder", listed(read(terms, 200, 0), FEW), Leader::Listing),
            ("rare in a large folder", listed(read(terms, 200, 0), FEW + 1), Leader::Terms),
            ("a rare pair", pairs(3), Leader::Pairs),
            ("a common pair", pairs(FEW), Leader::Pairs),
            ("a pair in a small folder", listed(pairs(3), 10), Leader::Listing),
            ("a rare pair and an address", Known { has_terms: true, ..pairs(3) }, Leader::Pairs),
            ("a common pair and an address", Known { has_terms: true, ..pairs(FEW) }, Leader::Listing),
            ("a common pair and a rare address", read(Known { has_terms: true, ..pairs(FEW) }, 200, 1), Leader::Terms),
        ] {
            assert_eq!(known.leader(), expected, "{name}");
        }
    }

    #[test]
    fn a_filter_comes_to_clauses() {
        let texts = |count: usize| (0..count).map(|number| format!("a{number}@people.test")).collect::<Vec<_>>();
        for (name, filter, expected) in [
            ("nothing", Filter::default(), vec![]),
            ("one", Filter { from: texts(1), ..Filter::default() }, vec![1]),
            ("any of several", Filter { from: texts(3), cc: texts(2), ..Filter::default() }, vec![3, 2]),
            ("anywhere", Filter { any_email: texts(25), ..Filter::default() }, vec![100]),
            ("too many", Filter { to: texts(TERMS_MAX + 1), from: texts(1), ..Filter::default() }, vec![1]),
            ("a subject", Filter { subject: Some("Grüße".into()), ..Filter::default() }, vec![2, 2]),
            ("no subject", Filter { subject: Some(String::new()), ..Filter::default() }, vec![]),
        ] {
            let lengths: Vec<usize> = clauses(&Matcher::of(&filter)).iter().map(Vec::len).collect();
            assert_eq!(lengths, expected, "{name}");
        }
    }
}
