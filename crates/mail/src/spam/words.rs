//! The words of a message: small letters, without what nobody sees, each hashed once. Words that are written so that
//! programs do not find them are counted, and read as people read them.

use super::letters::{Script, for_sign, is_hiding, is_invisible, latin, script};
use super::phrases;
use postfleet_core::spam::TokenHasher;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// Words that are read.
const WORDS_MAX: usize = 4_000;

/// Octets of a word; longer ones are no words.
const WORD_OCTETS_MAX: usize = 48;

/// Hashes that are kept.
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
    /// All words behind each other.
    letters: String,
    /// Where each stands.
    places: Vec<Range<u32>>,
    /// Of which the first so many are the subject's.
    pub(super) of_subject: usize,
    tokens: Vec<u64>,
    seen: HashSet<u64, BuildHasherDefault<Same>>,
    last: Option<u64>,
    /// Letters that stand alone, one after the other.
    spelled: String,
    /// Words with characters in them that nobody sees.
    pub(super) split: usize,
    /// Words of letters of two scripts that look alike, or of letters in another dress.
    pub(super) mixed: usize,
    /// Words that are told by their sound only: digits and signs in place of letters, or letters with gaps.
    pub(super) disguised: usize,
    /// Characters of the text that are letters.
    pub(super) letters_count: usize,
}

/// The word that is being read.
#[derive(Default)]
struct Word {
    text: String,
    latin: usize,
    lookalike: usize,
    dressed: usize,
    digits: usize,
    signs: usize,
    /// A character that nobody sees came behind a letter of it; and a letter behind that.
    hides: bool,
    is_split: bool,
    chars: usize,
}

impl Word {
    fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self { text, ..Self::default() };
    }
}

impl Words {
    pub(super) fn new(hasher: TokenHasher) -> Self {
        Self {
            hasher,
            letters: String::new(),
            places: Vec::new(),
            of_subject: 0,
            tokens: Vec::new(),
            seen: HashSet::default(),
            last: None,
            spelled: String::new(),
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
        self.place(LINK, super::html::site(host));
    }

    pub(super) fn file(&mut self, content_type: &str, extension: &str) {
        self.place(FILE, content_type);
        self.place(FILE, &extension.to_lowercase());
    }

    /// The hashes, each once.
    pub(super) fn into_tokens(self) -> Vec<u64> {
        self.tokens
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

    fn at(&self, place: &Range<u32>) -> &str {
        self.letters.get(place.start as usize..place.end as usize).unwrap_or_default()
    }

    fn place(&mut self, place: u64, text: &str) {
        if !text.is_empty() {
            let hash = self.hasher.joined(place, self.hasher.word(text.as_bytes()));
            self.token(hash);
        }
    }

    fn token(&mut self, hash: u64) {
        if self.tokens.len() < TOKENS_MAX && self.seen.insert(hash) {
            self.tokens.push(hash);
        }
    }

    fn read(&mut self, text: &str, place: Option<u64>) {
        let mut word = Word::default();
        let mut chars = text.chars().peekable();
        self.last = None;
        while let Some(c) = chars.next() {
            if self.places.len() >= WORDS_MAX {
                return;
            }
            if c.is_ascii_alphanumeric() {
                self.push(&mut word, c.to_ascii_lowercase());
            } else if matches!(c, '\'' | '’') && word.chars > 0 {
                // "don't" is a word; a quote behind one is none of it.
            } else if matches!(c, '@' | '$' | '!')
                && word.latin > 0
                && chars.peek().is_some_and(char::is_ascii_alphabetic)
            {
                word.signs += 1;
                word.text.push(c);
                word.chars += 1;
            } else if c.is_ascii() {
                self.end(&mut word, place, c);
            } else if is_invisible(c) {
                word.hides |= is_hiding(c) && word.chars > 0;
            } else if c.is_alphanumeric() {
                if script(c) == Script::Ideographic {
                    self.end(&mut word, place, ' ');
                    self.push(&mut word, c);
                    self.end(&mut word, place, c);
                } else {
                    for c in c.to_lowercase() {
                        self.push(&mut word, c);
                    }
                }
            } else if script(c) == Script::Dressed {
                self.push(&mut word, c);
            } else {
                self.end(&mut word, place, ' ');
            }
        }
        self.end(&mut word, place, '\n');
        self.end_spelled(place);
    }

    fn push(&mut self, word: &mut Word, c: char) {
        word.is_split |= word.hides;
        word.chars += 1;
        if c.is_ascii() {
            if c.is_ascii_digit() { word.digits += 1 } else { word.latin += 1 }
        } else {
            match script(c) {
                Script::Latin => word.latin += 1,
                Script::Lookalike => word.lookalike += 1,
                Script::Dressed => word.dressed += 1,
                Script::Ideographic | Script::Other => {}
            }
        }
        if word.text.len() <= WORD_OCTETS_MAX * 2 {
            word.text.push(c);
        }
    }

    /// Ends a word at the character behind it.
    fn end(&mut self, word: &mut Word, place: Option<u64>, behind: char) {
        if word.chars == 0 {
            // Two gaps in a row end what is spelled.
            if behind != ' ' || !self.spelled.is_empty() {
                self.end_spelled(place);
            }
            return;
        }
        self.letters_count += word.chars - word.digits.min(word.chars);
        let is_single = word.chars == 1 && word.digits == 0;
        if is_single && word.latin == 1 && self.spelled.len() < WORD_OCTETS_MAX {
            self.spelled.push_str(&word.text);
        } else {
            self.end_spelled(place);
        }
        self.finish(word, place);
        if !matches!(behind, ' ' | '.' | '-' | '_' | '*' | '/' | '|') {
            self.end_spelled(place);
        }
        word.clear();
    }

    /// "v i a g r a" is a word.
    fn end_spelled(&mut self, place: Option<u64>) {
        if self.spelled.len() >= 4 && phrases::is_disguised(&self.spelled) {
            self.disguised += 1;
            let spelled = std::mem::take(&mut self.spelled);
            self.keep(&spelled, place);
        }
        self.spelled.clear();
    }

    fn finish(&mut self, word: &mut Word, place: Option<u64>) {
        if word.is_split && word.chars > 2 {
            self.split += 1;
        }
        let is_mixed = word.latin > 0 && word.lookalike > 0 || word.dressed > 2;
        if is_mixed {
            self.mixed += 1;
            word.text = word.text.chars().map(latin).collect();
        }
        if (word.digits > 0 || word.signs > 0) && word.latin >= 2 {
            let told: String = word.text.chars().map(for_sign).collect();
            if phrases::is_disguised(&told) {
                self.disguised += 1;
                word.text = told;
            }
        }
        if word.text.len() <= WORD_OCTETS_MAX {
            self.keep(&word.text, place);
        }
    }

    fn keep(&mut self, text: &str, place: Option<u64>) {
        let start = self.letters.len() as u32;
        self.letters.push_str(text);
        self.places.push(start..self.letters.len() as u32);
        let word = self.hasher.word(text.as_bytes());
        match place {
            Some(place) => {
                let hash = self.hasher.joined(place, word);
                self.token(hash);
            }
            None => {
                self.token(word);
                if let Some(last) = self.last {
                    let hash = self.hasher.joined(last ^ PAIR, word);
                    self.token(hash);
                }
                self.last = Some(word);
            }
        }
    }
}

/// What is hashed already.
#[derive(Default)]
pub(super) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
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
