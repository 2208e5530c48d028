//! Which messages of a segment a list has to look at: those that have all of what it is narrowed by, as far as terms tell. It is never
//! one too few; whoever reads them finds out which are too many.

use super::Term;
use super::segment::messages_of;

/// Any of these terms.
pub type Clause = Vec<Term>;

/// Octets of postings that are passed in the time in which one message is looked at.
const OCTETS_PER_MESSAGE: usize = 4 << 10;

/// The numbers of the messages that have a term of each clause, rising; `of` has the postings of a term. Some that have not, where
/// it costs less to look at them. Nothing is known without a clause.
pub fn narrow<'s>(clauses: &[Clause], of: &dyn Fn(Term) -> Option<&'s [u8]>) -> Vec<u32> {
    let mut clauses: Vec<Vec<&[u8]>> =
        clauses.iter().map(|clause| clause.iter().filter_map(|term| of(*term)).collect()).collect();
    let octets = |postings: &Vec<&[u8]>| postings.iter().map(|of| of.len()).sum::<usize>();
    // The rarest leads.
    clauses.sort_by_key(octets);
    let Some((first, others)) = clauses.split_first() else { return Vec::new() };
    let mut found: Vec<u32> = first.iter().flat_map(|postings| messages_of(postings)).collect();
    found.sort_unstable();
    found.dedup();
    for clause in others {
        if octets(clause) > found.len() * OCTETS_PER_MESSAGE {
            break;
        }
        found = in_any(&found, clause);
    }
    found
}

/// Those of the messages that are among some postings.
fn in_any(messages: &[u32], clause: &[&[u8]]) -> Vec<u32> {
    let mut has = vec![false; messages.len()];
    for postings in clause {
        let mut at = 0;
        for message in messages_of(postings) {
            while messages.get(at).is_some_and(|one| *one < message) {
                at += 1;
            }
            match messages.get(at) {
                Some(one) if *one == message => has[at] = true,
                Some(_) => {}
                None => break,
            }
        }
    }
    messages.iter().zip(has).filter_map(|(message, has)| has.then_some(*message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::segment::{self, build_with};
    use crate::search::vector::Writer;
    use proptest::prelude::*;

    fn term(number: u8) -> Term {
        (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - super::super::TERM_BITS)
    }

    fn found(messages: &[Vec<u8>], clauses: &[Vec<u8>]) -> Vec<u32> {
        let nothing = Writer::default().finish();
        let facts: Vec<Vec<Term>> = messages.iter().map(|all| all.iter().copied().map(term).collect()).collect();
        let shards = build_with(facts.iter().map(|facts| (nothing.as_slice(), facts.as_slice())), 3);
        let of = |term: Term| {
            let (_, shard) = shards.iter().find(|(number, _)| *number == segment::shard(term, 3))?;
            segment::postings(shard, term)
        };
        let clauses: Vec<Clause> = clauses.iter().map(|all| all.iter().copied().map(term).collect()).collect();
        narrow(&clauses, &of)
    }

    #[test]
    fn a_term_of_each_clause() {
        let messages = [vec![1, 2], vec![2], vec![1, 3], vec![], vec![3, 2, 1]];
        for (name, clauses, expected) in [
            ("one", vec![vec![1]], vec![0, 2, 4]),
            ("any", vec![vec![1, 2]], vec![0, 1, 2, 4]),
            ("all", vec![vec![1], vec![3]], vec![2, 4]),
            ("any and all", vec![vec![2, 3], vec![1, 9]], vec![0, 2, 4]),
            ("unknown", vec![vec![9]], vec![]),
            ("one of them unknown", vec![vec![1], vec![9]], vec![]),
            ("of nothing", vec![vec![1], vec![]], vec![]),
            ("nothing asked", vec![], vec![]),
        ] {
            assert_eq!(found(&messages, &clauses), expected, "{name}");
        }
    }

    #[test]
    fn what_is_common_is_not_read_for_what_is_rare() {
        // Common in a hundred thousand, beside one message that is rare and not common.
        let mut messages = vec![vec![1]; 20_000];
        messages[777] = vec![2];
        assert_eq!(found(&messages, &[vec![1], vec![2]]), [777], "the list finds out that it is not common");
        assert_eq!(found(&messages[..1_000], &[vec![1], vec![2]]), Vec::<u32>::new());
    }

    proptest! {
        #[test]
        fn none_is_missing(
            messages in proptest::collection::vec(proptest::collection::vec(0_u8..9, 0..5), 1..60),
            clauses in proptest::collection::vec(proptest::collection::vec(0_u8..10, 0..4), 1..4),
        ) {
            let has = |message: &Vec<u8>| clauses.iter().all(|clause| clause.iter().any(|term| message.contains(term)));
            let expected: Vec<u32> = (0..).zip(&messages).filter(|(_, message)| has(message)).map(|(number, _)| number).collect();
            // So few postings are always read.
            prop_assert_eq!(found(&messages, &clauses), expected);
        }
    }
}
