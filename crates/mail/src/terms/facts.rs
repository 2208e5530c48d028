//! What lists are narrowed by, as terms: who wrote to whom, and the pieces of a subject. No word of a text begins as they do.

use super::words::Hash;
use super::{Role, cut};
use crate::fold::fold;
use postfleet_core::EmailAddress;
use postfleet_core::search::Term;
use std::borrow::Cow;

/// Characters of a subject, folded, up to which it comes to its pieces.
pub const SUBJECT_CHARS_MAX: usize = 2_048;

/// Characters of a piece of a subject, at most.
pub const PIECE_CHARS_MAX: usize = 3;

/// Pieces of a part of a subject that are sought: what has these is looked at.
pub const SOUGHT_PIECES_MAX: usize = 6;

/// What the terms of pieces of subjects begin with, behind those of [`Role`].
const PIECE: u8 = 6;
const LONG_SUBJECT: u8 = 7;

/// The spelling under which an address that is asked for is compared. What is no address is compared as it is, but for its case.
pub fn key_of(email: &str) -> String {
    EmailAddress::parse(email.trim()).map_or_else(|_| email.to_lowercase(), |address| address.key())
}

/// The spelling under which an address of a message is compared, in any case of ASCII.
pub fn spelled(email: &str) -> Cow<'_, str> {
    // Nearly all addresses are ASCII without quotes, and differ from their key in case at most.
    let is_plain = email.is_ascii() && !email.contains('"');
    if is_plain { Cow::Borrowed(email) } else { Cow::Owned(key_of(email)) }
}

/// The term of those whom a message names by this address in a header.
pub fn named_as(role: Role, email: &str) -> Term {
    keyed_as(role, &spelled(email))
}

/// The same, by the key of the address.
pub fn keyed_as(role: Role, key: &str) -> Term {
    let mut hash = Hash::default();
    hash.push(role as u8);
    key.bytes().for_each(|octet| hash.push(octet.to_ascii_lowercase()));
    hash.finish()
}

/// The pieces of a subject: every run of one, two and three characters of its folded form, once each. A subject that is longer than
/// [`SUBJECT_CHARS_MAX`] comes to [`long_subject`] alone.
pub fn pieces(subject: &str) -> Vec<Term> {
    // Folded, a text may be longer, but not that much shorter.
    let folded = fold(cut(subject, 32 * SUBJECT_CHARS_MAX));
    let starts = starts(&folded);
    if starts.len() > SUBJECT_CHARS_MAX + 1 {
        return vec![long_subject()];
    }
    let mut terms: Vec<Term> = Vec::with_capacity(PIECE_CHARS_MAX * starts.len());
    for chars in 1..=PIECE_CHARS_MAX {
        terms.extend(starts.windows(chars + 1).map(|window| piece(&folded[window[0]..window[chars]])));
    }
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// The term of all subjects that are too long for pieces.
pub fn long_subject() -> Term {
    let mut hash = Hash::default();
    hash.push(LONG_SUBJECT);
    hash.finish()
}

/// Pieces that every subject has in which this part is, which is folded: at most [`SOUGHT_PIECES_MAX`], spread over it. None
/// of an empty part.
pub fn pieces_of_part(part: &str) -> Vec<Term> {
    let starts = starts(part);
    let chars = starts.len() - 1;
    if chars <= PIECE_CHARS_MAX {
        return if chars == 0 { Vec::new() } else { vec![piece(part)] };
    }
    let last = chars - PIECE_CHARS_MAX;
    let count = chars.div_ceil(PIECE_CHARS_MAX).clamp(2, SOUGHT_PIECES_MAX);
    let at = |number: usize| number * last / (count - 1);
    let mut terms: Vec<Term> =
        (0..count).map(at).map(|at| piece(&part[starts[at]..starts[at + PIECE_CHARS_MAX]])).collect();
    terms.sort_unstable();
    terms.dedup();
    terms
}

/// Where the characters of a text start, and where it ends.
fn starts(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
}

fn piece(text: &str) -> Term {
    let mut hash = Hash::default();
    hash.push(PIECE);
    text.bytes().for_each(|octet| hash.push(octet));
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whoever_is_named_has_the_term_of_whoever_is_asked_for() {
        for (name, asked, named, expected) in [
            ("case", "Ada@People.test", "ada@people.TEST", true),
            ("case beyond ASCII", "ÜNAL@people.test", "ünal@people.test", true),
            ("domain in its own script", "a@bücher.test", "a@xn--bcher-kva.test", true),
            ("domain in ASCII", "a@xn--bcher-kva.test", "a@bücher.test", true),
            ("needless quotes", "ada@people.test", "\"ada\"@people.test", true),
            ("space around", " ada@people.test ", "ada@people.test", true),
            ("another", "ada@people.test", "ada@people.test.example", false),
            ("no address", "Undisclosed", "undisclosed", true),
            ("no address beyond ASCII", "ÜNBEKANNT", "ünbekannt", true),
        ] {
            let is = keyed_as(Role::To, &key_of(asked)) == named_as(Role::To, named);
            assert_eq!(is, expected, "{name}");
            assert_ne!(keyed_as(Role::To, &key_of(asked)), named_as(Role::Cc, named), "{name}");
        }
    }

    #[test]
    fn a_subject_that_is_too_long_has_a_term_of_its_own() {
        let subject = |chars: usize| "ab".repeat(chars / 2);
        assert_eq!(pieces(&subject(SUBJECT_CHARS_MAX)).len(), 6, "a, b, ab, ba, aba, bab");
        assert_eq!(pieces(&subject(SUBJECT_CHARS_MAX + 2)), [long_subject()]);
        assert_eq!(pieces(&"\u{1F3F4}".repeat(1 << 20)), [long_subject()]);
        assert!(pieces("").is_empty());
    }

    #[test]
    fn of_a_long_part_some_pieces_are_sought() {
        for (part, expected) in
            [("", 0), ("a", 1), ("abc", 1), ("abcd", 2), ("abcdefg", 3), ("abcdefghijklmnopqrst", 6)]
        {
            assert_eq!(pieces_of_part(part).len(), expected, "{part}");
        }
        assert_eq!(pieces_of_part(&"a".repeat(1_000)).len(), 1);
    }

    proptest! {
        #[test]
        fn a_subject_has_the_pieces_of_each_of_its_parts(subject in "\\PC{0,60}", from in 0_usize..60, chars in 0_usize..60) {
            let folded = fold(&subject);
            let part: String = folded.chars().skip(from).take(chars).collect();
            let all = pieces(&subject);
            for sought in pieces_of_part(&part) {
                prop_assert!(all.contains(&sought), "{:?} in {:?}", part, folded);
            }
            prop_assert_eq!(pieces_of_part(&part).is_empty(), part.is_empty());
        }
    }
}
