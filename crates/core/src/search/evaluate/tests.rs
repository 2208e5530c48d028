//! Beside a model that knows nothing of vectors and segments: documents as lists of words.

use super::*;
use crate::search::segment::{self, Source};
use crate::search::vector::Writer;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The words of each field, in the order of [`Field::READ`].
type Document = [Vec<u8>; 4];

fn term(word: u8) -> Term {
    // Spread over the shards.
    (u64::from(word) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - super::super::TERM_BITS)
}

fn vector(document: &Document) -> Vec<u8> {
    let mut writer = Writer::default();
    for (field, words) in Field::READ.iter().zip(document) {
        for (at, word) in (field.base()..).zip(words) {
            writer.add(term(*word), at);
        }
    }
    writer.finish()
}

fn model(sought: &Sought, document: &Document) -> Option<Score> {
    match sought {
        Sought::Terms(terms) => {
            let has = |words: &Vec<u8>| {
                let words: Vec<Term> = words.iter().map(|word| term(*word)).collect();
                words.windows(terms.len()).any(|window| window == terms)
            };
            let score = Field::READ.iter().zip(document).filter(|(_, words)| has(words));
            score.map(|(field, _)| Score::from(field.weight())).reduce(|sum, one| sum + one)
        }
        Sought::All(parts) => {
            let scores: Option<Vec<Score>> = parts.iter().map(|part| model(part, document)).collect();
            scores.map(|scores| scores.iter().sum())
        }
        Sought::Any(parts) => parts.iter().filter_map(|part| model(part, document)).reduce(|sum, one| sum + one),
        Sought::Not(inner) => model(inner, document).is_none().then_some(0),
    }
}

/// Of a segment of such documents.
fn of_segment(sought: &Sought, documents: usize, shards: &[(u32, Vec<u8>)], bits: u32) -> Vec<Option<Score>> {
    let of = |term: Term| {
        let number = segment::shard(term, bits);
        let (_, shard) = shards.iter().find(|(one, _)| *one == number)?;
        segment::postings(shard, term)
    };
    let found = segment::evaluate(sought, documents, &of);
    found.into_iter().map(|score| score.checked_sub(1)).collect()
}

fn documents() -> impl Strategy<Value = Vec<Document>> {
    let words = |most: usize| proptest::collection::vec(0_u8..6, 0..most);
    let document = (words(30), words(4), words(6), words(3))
        .prop_map(|(body, subject, people, files)| [body, subject, people, files]);
    proptest::collection::vec(document, 1..40)
}

fn soughts() -> impl Strategy<Value = Sought> {
    let leaf =
        proptest::collection::vec(0_u8..7, 1..4).prop_map(|words| Sought::Terms(words.into_iter().map(term).collect()));
    leaf.prop_recursive(4, 24, 4, |inner| {
        let parts = || proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            parts().prop_map(Sought::All),
            parts().prop_map(Sought::Any),
            inner.clone().prop_map(|inner| Sought::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn vectors_and_segments_find_what_the_model_finds(documents in documents(), sought in soughts(), cut in 0_usize..40) {
        let expected: Vec<_> = documents.iter().map(|document| model(&sought, document)).collect();
        let vectors: Vec<Vec<u8>> = documents.iter().map(vector).collect();
        let terms = sought.terms();
        let found: Vec<_> = vectors.iter().map(|vector| of_vector(&sought, &terms, vector)).collect();
        prop_assert_eq!(&found, &expected);

        let all = segment::build(vectors.iter().map(Vec::as_slice), 3);
        prop_assert_eq!(of_segment(&sought, documents.len(), &all, 3), expected.clone());

        // Merged of two: every third message is gone, and those of the two take turns.
        let (first, second) = vectors.split_at(cut.min(vectors.len()));
        let sides = [first, second].map(|side| segment::build(side.iter().map(Vec::as_slice), 3));
        let mut order: Vec<usize> = (0..documents.len()).filter(|number| number % 3 != 1).collect();
        order.sort_by_key(|number| (number % 2, *number));
        let place: BTreeMap<usize, u32> = order.iter().copied().zip(0..).collect();
        let renumbered: Vec<Option<u32>> = (0..documents.len()).map(|number| place.get(&number).copied()).collect();
        let (of_first, of_second) = renumbered.split_at(first.len());
        let mut merged = Vec::new();
        for number in 0..8 {
            let of = |shards: &[(u32, Vec<u8>)]| {
                shards.iter().find(|(one, _)| *one == number).map(|(_, shard)| shard.clone()).unwrap_or_default()
            };
            let shards = [of(&sides[0]), of(&sides[1])];
            let sources = [
                Source { shard: &shards[0], renumbered: of_first },
                Source { shard: &shards[1], renumbered: of_second },
            ];
            merged.extend(segment::merge(&sources, 5));
        }
        let left: Vec<_> = order.iter().map(|number| expected[*number]).collect();
        prop_assert_eq!(of_segment(&sought, order.len(), &merged, 5), left);
    }

    #[test]
    fn damaged_octets_find_something_or_nothing(octets: Vec<u8>, sought in soughts()) {
        let _ = of_vector(&sought, &sought.terms(), &octets);
        let _ = segment::evaluate(&sought, 10, &|_| Some(&octets));
        let _ = segment::merge(&[Source { shard: &octets, renumbered: &[Some(3), None, Some(1)] }; 2], 6);
        let _ = segment::postings(&octets, 5);
    }
}
