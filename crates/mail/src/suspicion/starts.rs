//! Whether a phrase may begin with a word, told by its first letters, its length, and the first letters of the next word:
//! most words of a text begin none, and are not looked up. Errs to one side only: what is let through may begin none.

use super::sign::{Kind, Sign, word_len};

/// Bits of what the first letters of a word are hashed to.
const WORD_BITS: u32 = 12;

/// Bits of what a word and the first letters of the next are hashed to.
const PAIR_BITS: u32 = 14;

/// Octets of a word that are looked at.
const LETTERS: usize = 4;

/// Octets of a word from which on lengths are one.
const LEN_MAX: usize = 15;

/// The beginnings of phrases.
pub(super) struct Starts {
    words: Vec<Lengths>,
    pairs: Vec<u64>,
}

/// A bit for each length of the words that begin with some letters.
#[derive(Clone, Copy, Default)]
struct Lengths {
    /// Of those to be looked up, whatever comes behind them.
    always: u16,
    /// Of those to be looked up if the next word begins as one of a phrase.
    before_a_word: u16,
}

impl Default for Starts {
    fn default() -> Self {
        Self { words: vec![Lengths::default(); 1 << WORD_BITS], pairs: vec![0; 1 << (PAIR_BITS - 6)] }
    }
}

impl Starts {
    /// Adds a phrase, folded. A `*` stands for the rest of a word.
    pub(super) fn add(&mut self, phrase: &[u8]) {
        let len = word_len(phrase, 0);
        // Blanks beside a letter of a dense script need not be there, and a single letter may be a stem.
        let is_word = |at| Sign::at(phrase, at).is_some_and(|sign| sign.kind != Kind::Dense);
        match &phrase[len..] {
            _ if len == 0 => {}
            [b'*', ..] => self.add_stem(&phrase[..len]),
            // Some marks in a phrase are blanks, too.
            [b' ' | b'\'' | b'-', first, rest @ ..] if is_word(len + 1) && rest.first() != Some(&b'*') => {
                let pair = pair(word(phrase, len), [*first, *rest.first().unwrap_or(&0)]);
                self.pairs[pair / 64] |= 1 << (pair % 64);
                self.words[place(word(phrase, len))].before_a_word |= length(len);
            }
            _ => self.words[place(word(phrase, len))].always |= length(len),
        }
    }

    /// Adds all words that begin with a stem.
    fn add_stem(&mut self, stem: &[u8]) {
        let mut entry = |word: u32, from: usize| {
            self.words[place(word)].always |= (from.min(LEN_MAX)..=LEN_MAX).fold(0, |all, len| all | length(len));
        };
        entry(word(stem, stem.len()), stem.len());
        if stem.len() < LETTERS {
            debug_assert_eq!(stem.len(), LETTERS - 1, "too short for a stem");
            let letters = (0..=u8::MAX).filter(|octet| octet.is_ascii_alphanumeric() || *octet >= 0xc2);
            letters.for_each(|letter| entry(word(&[stem, &[letter]].concat(), LETTERS), LETTERS));
        }
    }

    /// Whether a phrase may begin with the word that stands from `at` to `end`.
    #[inline]
    pub(super) fn may_be(&self, text: &[u8], at: usize, end: usize) -> bool {
        let word = word(&text[at..], end - at);
        let Lengths { always, before_a_word } = self.words[place(word)];
        let length = length(end - at);
        always & length != 0 || before_a_word & length != 0 && self.may_go_on(word, &text[end..])
    }

    /// Whether what comes behind a word may be the next word of a phrase.
    fn may_go_on(&self, word: u32, behind: &[u8]) -> bool {
        match behind {
            [b' ', b' ' | b'\n', ..] => true,
            [b' ', first, rest @ ..] => {
                let pair = pair(word, [*first, *rest.first().unwrap_or(&0)]);
                self.pairs[pair / 64] >> (pair % 64) & 1 == 1
            }
            behind => !behind.is_empty(),
        }
    }
}

/// The first letters of a word of so many octets.
#[inline]
fn word(text: &[u8], len: usize) -> u32 {
    let first = match text {
        [a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
        text => text.iter().rev().fold(0, |all, octet| all << 8 | u32::from(*octet)),
    };
    if len < LETTERS { first & ((1 << (8 * len)) - 1) } else { first }
}

/// The bit of a length.
fn length(octets: usize) -> u16 {
    1 << octets.min(LEN_MAX)
}

fn place(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (u32::BITS - WORD_BITS)) as usize
}

/// The place of a word with the first two octets of what comes behind the blank. The second may be a mark behind the first:
/// it counts if it is surely of the same word.
fn pair(word: u32, [first, second]: [u8; 2]) -> usize {
    let second = if second.is_ascii_alphanumeric() || !first.is_ascii() { second } else { 0 };
    let both = u64::from(word) << 16 | u64::from(u16::from_le_bytes([first, second]));
    (both.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PAIR_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_begin_a_phrase() {
        let mut starts = Starts::default();
        for phrase in
            ["ignore", "the system", "bon* d'achat", "instruction*", "we'ii", "a i", "приказ", "ki-x* y", "llm 助"]
        {
            starts.add(phrase.as_bytes());
        }
        for (text, expected) in [
            ("ignore", true),
            ("ignored", false),
            ("the system", true),
            ("the  system", true),
            ("the\nsystem", true),
            ("the, system", true),
            ("the sun", false),
            ("the s", false),
            ("the", false),
            ("bons d'achat", true),
            ("bonbons", true),
            ("instructional", true),
            ("instructiones", true),
            ("we ii", true),
            ("we'ii", true),
            ("a i.", true),
            ("a in", false),
            ("a i。", true),
            ("приказ", true),
            ("приказы", false),
            ("ki xyz y", true),
            ("llm - 助", true),
            ("the - system", false),
        ] {
            let text = text.as_bytes();
            assert_eq!(starts.may_be(text, 0, word_len(text, 0)), expected, "{}", String::from_utf8_lossy(text));
        }
    }
}
