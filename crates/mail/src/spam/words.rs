//! The words of a message: small letters, without what nobody sees, each hashed once. Words that are written so that
//! programs do not find them are counted, and read as people read them. Ordinary words, letters and digits of ASCII with
//! something ordinary behind them, are read eight octets at once and stay where they stand; others letter by letter.

use super::phrases;
use super::recent::Recent;
use super::tokens::Tokens;
use super::word::{WORD_OCTETS_MAX, Word};
use crate::syntax::octets;
use postfleet_core::spam::TokenHasher;
use std::ops::Range;

/// Words that are read.
const WORDS_MAX: usize = 4_000;

/// Hashes that are kept.
#[cfg(test)]
pub(super) const TOKENS_MAX: usize = postfleet_core::spam::MESSAGE_TOKENS_MAX;

/// Places in which words are words of their own.
const SUBJECT: u64 = 1;
const PAIR: u64 = 2;
const AUTHOR: u64 = 3;
const LINK: u64 = 4;
const FILE: u64 = 5;

/// What is read so far.
pub(super) struct Words {
    hasher: TokenHasher,
    /// The texts behind each other, and behind each those of its words that had to be written anew.
    letters: String,
    /// Where each word stands.
    places: Vec<Range<u32>>,
    /// The numbers of those that may begin a phrase.
    pub(super) beginnings: Vec<u32>,
    /// Of all words the first so many are the subject's.
    pub(super) of_subject: usize,
    tokens: Tokens,
    recent: Recent,
    last: Option<u64>,
    /// Letters that stand alone, one after the other.
    spelled: String,
    /// The last word that was read letter by letter.
    word: Word,
    /// Words with characters in them that nobody sees.
    pub(super) split: usize,
    /// Words of letters of two scripts that look alike, or of letters in another dress.
    pub(super) mixed: usize,
    /// Words that are told by their sound only: digits and signs in place of letters, or letters with gaps.
    pub(super) disguised: usize,
    /// Characters of the text that are letters.
    pub(super) letters_count: usize,
}

impl Words {
    pub(super) fn new(hasher: TokenHasher) -> Self {
        Self {
            hasher,
            letters: String::new(),
            places: Vec::new(),
            beginnings: Vec::new(),
            of_subject: 0,
            tokens: Tokens::new(),
            recent: Recent::new(),
            last: None,
            spelled: String::new(),
            word: Word::default(),
            split: 0,
            mixed: 0,
            disguised: 0,
            letters_count: 0,
        }
    }

    /// The subject comes first.
    pub(super) fn subject(&mut self, subject: &str) {
        self.read(subject, Some(SUBJECT));
        self.of_subject = self.places.len();
    }

    pub(super) fn text(&mut self, text: &str) {
        self.read(text, None);
    }

    pub(super) fn author(&mut self, email: &str, name: &str) {
        let email = email.to_lowercase();
        if let Some((_, domain)) = email.rsplit_once('@') {
            self.place(AUTHOR, domain);
        }
        self.place(AUTHOR, &email);
        self.place(AUTHOR, &name.to_lowercase());
    }

    pub(super) fn link(&mut self, host: &str) {
        self.place(LINK, host);
        self.place(LINK, super::hosts::site(host));
    }

    pub(super) fn file(&mut self, content_type: &str, extension: &str) {
        self.place(FILE, content_type);
        self.place(FILE, &extension.to_lowercase());
    }

    /// The hashes, each once.
    pub(super) fn into_tokens(self) -> Vec<u64> {
        self.tokens.into_list()
    }

    /// The words in order.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| self.at(place))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The word of that number.
    pub(super) fn get(&self, number: usize) -> Option<&str> {
        self.places.get(number).map(|place| self.at(place))
    }

    /// The first eight octets of the word of that number, the first one lowest; nought if there is none.
    pub(super) fn eight(&self, number: usize) -> u64 {
        let Some(place) = self.places.get(number) else { return 0 };
        octets::first(octets::eight(self.letters.as_bytes(), place.start as usize), place.len())
    }

    fn at(&self, place: &Range<u32>) -> &str {
        self.letters.get(place.start as usize..place.end as usize).unwrap_or_default()
    }

    fn place(&mut self, place: u64, text: &str) {
        if !text.is_empty() {
            self.tokens.insert(self.hasher.joined(place, self.hasher.word(text.as_bytes())));
        }
    }

    fn read(&mut self, text: &str, place: Option<u64>) {
        if self.places.len() >= WORDS_MAX {
            return;
        }
        let mut at = self.letters.len();
        self.letters.reserve(text.len() + 1);
        self.places.reserve((text.len() / 8).min(WORDS_MAX));
        self.letters.push_str(text);
        self.letters[at..].make_ascii_lowercase();
        // Ends the last word.
        self.letters.push('\n');
        let end = self.letters.len();
        self.last = None;
        while at < end && self.places.len() < WORDS_MAX {
            at = self.step(at, end, place);
        }
    }

    /// Reads a word with what is behind it, or what is none; where to go on.
    fn step(&mut self, at: usize, end: usize, place: Option<u64>) -> usize {
        let text = self.letters.as_bytes();
        let eight = octets::eight(text, at);
        let mut len = octets::word_len(eight);
        if len == 0 {
            let gap = octets::gap_len(eight);
            if gap == 0 {
                return self.odd(at, end, place);
            }
            // Two gaps in a row end what is spelled.
            self.end_spelled(place);
            return at + gap;
        }
        let mut has_digit = octets::has_digit(eight, len);
        let mut stop = at + len;
        while len == 8 {
            let more = octets::eight(text, stop);
            len = octets::word_len(more);
            has_digit |= octets::has_digit(more, len);
            stop += len;
        }
        let behind = text.get(stop).copied().unwrap_or(b'\n');
        if !behind.is_ascii() || matches!(behind, b'\'' | b'@' | b'$' | b'!') {
            return self.odd(at, end, place);
        }
        if has_digit {
            self.with_digit(at..stop, place);
        } else {
            self.letters_count += stop - at;
            self.spell(at..stop, place);
            self.keep(at..stop, place);
        }
        self.behind(behind.into(), place);
        stop + 1
    }

    /// Takes a word of digits, and letters of ASCII.
    fn with_digit(&mut self, word: Range<usize>, place: Option<u64>) {
        self.end_spelled(place);
        let text = self.letters.get(word.clone()).unwrap_or_default();
        let letters = text.bytes().filter(u8::is_ascii_lowercase).count();
        let told = if letters >= 2 { phrases::disguised(text) } else { None };
        self.letters_count += letters;
        match told {
            Some(told) => self.disguised(told, place),
            None => self.keep(word, place),
        }
    }

    /// Reads a word letter by letter.
    fn odd(&mut self, at: usize, end: usize, place: Option<u64>) -> usize {
        let mut word = std::mem::take(&mut self.word);
        let (len, behind) = word.read(self.letters.get(at..end).unwrap_or_default());
        if word.chars > 0 {
            self.finish(&mut word, place);
            self.behind(behind, place);
        } else {
            self.end_spelled(place);
        }
        self.word = word;
        at + len.max(1)
    }

    fn finish(&mut self, word: &mut Word, place: Option<u64>) {
        self.letters_count += word.chars - word.digits;
        let is_single = word.chars == 1 && word.latin == 1;
        if is_single && self.spelled.len() < WORD_OCTETS_MAX {
            self.spelled.push_str(&word.text);
        } else {
            self.end_spelled(place);
        }
        self.split += usize::from(word.is_split());
        self.mixed += usize::from(word.is_mixed());
        let told = if word.may_be_disguised() { phrases::disguised(&word.text) } else { None };
        match told {
            Some(told) => self.disguised(told, place),
            None => self.keep_anew(&word.text, place),
        }
    }

    /// A letter that stands alone goes on with what is spelled; other words end it.
    fn spell(&mut self, word: Range<usize>, place: Option<u64>) {
        if word.len() > 1 || self.spelled.len() >= WORD_OCTETS_MAX {
            return self.end_spelled(place);
        }
        self.spelled.push_str(self.letters.get(word).unwrap_or_default());
    }

    /// What stands behind a word may end what is spelled.
    fn behind(&mut self, behind: char, place: Option<u64>) {
        if !matches!(behind, ' ' | '.' | '-' | '_' | '*' | '/' | '|') {
            self.end_spelled(place);
        }
    }

    fn end_spelled(&mut self, place: Option<u64>) {
        if !self.spelled.is_empty() {
            self.take_spelled(place);
        }
    }

    /// "v i a g r a" is a word.
    fn take_spelled(&mut self, place: Option<u64>) {
        if self.spelled.len() >= 4
            && let Some(word) = phrases::disguised(&self.spelled)
        {
            self.disguised(word, place);
        }
        self.spelled.clear();
    }

    fn disguised(&mut self, word: &str, place: Option<u64>) {
        self.disguised += 1;
        self.keep_anew(word, place);
    }

    /// Keeps a word that does not stand in the text like that.
    fn keep_anew(&mut self, word: &str, place: Option<u64>) {
        let start = self.letters.len();
        self.letters.push_str(word);
        self.keep(start..self.letters.len(), place);
    }

    /// Keeps a word that stands there, unless it is too long to be one.
    fn keep(&mut self, at: Range<usize>, place: Option<u64>) {
        let len = at.len();
        if len > WORD_OCTETS_MAX {
            return;
        }
        let eight = octets::first(octets::eight(self.letters.as_bytes(), at.start), len);
        if phrases::may_begin(eight) {
            self.beginnings.push(self.places.len() as u32);
        }
        self.places.push(at.start as u32..at.end as u32);
        if self.tokens.is_full() {
            return;
        }
        let is_short = len < 8;
        let known = if is_short && place.is_none() { self.recent.get(eight) } else { None };
        let word = known.unwrap_or_else(|| match is_short {
            true => self.hasher.short_word(eight, len),
            false => self.hasher.word(self.letters.as_bytes().get(at).unwrap_or_default()),
        });
        if let Some(place) = place {
            return self.tokens.insert(self.hasher.joined(place, word));
        }
        if known.is_none() {
            self.tokens.insert(word);
            if is_short {
                self.recent.put(eight, word);
            }
        }
        if let Some(last) = self.last.replace(word) {
            self.tokens.insert(self.hasher.joined(last ^ PAIR, word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Words {
        let mut words = Words::new(TokenHasher::new([1, 2]));
        words.text(text);
        words
    }

    #[test]
    fn words_are_read_as_people_read_them() {
        for (text, expected, split, mixed, disguised) in [
            ("Don't stop, it's 10 o'clock", "dont stop its 10 oclock", 0, 0, 0),
            ("Straße ÉTÉ", "straße été", 0, 0, 0),
            ("pay\u{200b}pal pay\u{ad}pal", "paypal paypal", 1, 0, 0),
            ("раypаl and привет", "paypal and привет", 0, 2 - 1, 0),
            ("V1AGRA v.i.a.g.r.a c4sin0 h4x0r", "viagra v i a g r a viagra casino h4x0r", 0, 0, 3),
            ("a b c d e", "a b c d e", 0, 0, 0),
            ("𝓬𝓪𝓼𝓲𝓷𝓸 ｆｒｅｅ", "casino free", 0, 2, 0),
            ("日本語 text", "日 本 語 text", 0, 0, 0),
            ("mail ada@x.test now!", "mail ada@x test now", 0, 0, 0),
            ("می\u{200c}خواهم", "میخواهم", 0, 0, 0),
        ] {
            let words = read(text);
            assert_eq!(words.iter().collect::<Vec<_>>().join(" "), expected, "{text}");
            assert_eq!((words.split, words.mixed, words.disguised), (split, mixed, disguised), "{text}");
        }
    }

    #[test]
    fn what_is_read_is_bounded() {
        let words = read(&"ab ".repeat(20_000));
        assert_eq!(words.len(), WORDS_MAX);
        let many: String = (0..20_000).map(|number| format!("w{number} ")).collect();
        assert_eq!(read(&many).into_tokens().len(), TOKENS_MAX);
        assert!(read(&"x".repeat(1 << 20)).into_tokens().is_empty());
        read(&"\u{200b}".repeat(100_000));
        read(&"a ".repeat(100_000));
    }

    #[test]
    fn places_make_words_of_their_own() {
        let mut words = Words::new(TokenHasher::new([1, 2]));
        words.subject("hello");
        words.text("hello hello hello");
        words.author("Hello@x.test", "");
        words.link("hello");
        assert_eq!(words.of_subject, 1);
        // The word, the pair, the subject's, the author's domain and address, the link.
        assert_eq!(words.into_tokens().len(), 6);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "([a-zA-Z0-9 .@$!'-]|\\PC|\u{200b}){0,200}") {
            let words = read(&text);
            proptest::prop_assert!(words.into_tokens().len() <= TOKENS_MAX);
        }
    }
}
