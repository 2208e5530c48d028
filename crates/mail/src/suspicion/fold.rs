//! Text as it sounds to a reader who does not look at it closely: compatibility forms, case, accents, invisible characters
//! and look-alike letters of other scripts are undone, so that one spelling stands for all that are read the same.
//! Each character remembers where it came from. What is ASCII, nearly all text, is folded octet by octet.

use super::sign::Sign;
use crate::syntax::octets;
use std::ops::Range;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Folded text, in UTF-8: letters and digits, other marks as they are, white space as blanks and line feeds.
#[derive(Default)]
pub(super) struct Folded {
    octets: Vec<u8>,
    /// For each of them, the character of the text that it comes from. None while each comes from one of its own.
    origin: Vec<u32>,
}

impl Folded {
    pub(super) fn of(text: &str) -> Self {
        let mut folded = Self::default();
        folded.fill(text);
        folded
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The octets that come from the first so many characters of the text.
    pub(super) fn octets_of(&self, chars: u32) -> usize {
        if self.origin.is_empty() {
            self.octets.len().min(chars as usize)
        } else {
            self.origin.partition_point(|origin| *origin < chars)
        }
    }

    /// The character of the text that an octet comes from.
    pub(super) fn origin(&self, at: usize) -> u32 {
        if self.origin.is_empty() { at as u32 } else { self.origin[at] }
    }

    /// Folds a text in place of what was there.
    pub(super) fn fill(&mut self, text: &str) {
        self.octets.clear();
        self.origin.clear();
        if text.is_ascii() {
            self.fill_plain(text);
        } else {
            self.fill_mixed(text);
        }
        self.read_digits();
    }

    fn fill_plain(&mut self, text: &str) {
        let start = self.octets.len();
        self.octets.extend_from_slice(text.as_bytes());
        self.octets[start..].iter_mut().for_each(|octet| *octet = plain(*octet));
    }

    fn fill_mixed(&mut self, text: &str) {
        let (mut at, mut rest) = (0, text);
        while !rest.is_empty() {
            let len = rest.bytes().position(|octet| !octet.is_ascii()).unwrap_or(rest.len());
            let (ascii, after) = rest.split_at(len);
            self.fill_plain(ascii);
            self.origin.extend(at..at + len as u32);
            at += len as u32;
            let mut chars = after.chars();
            if let Some(c) = chars.next() {
                self.fold(c, at);
                at += 1;
            }
            rest = chars.as_str();
        }
    }

    fn fold(&mut self, c: char, at: u32) {
        match c {
            // Syllables of Hangul would come apart; ideographs have no other form.
            '\u{ac00}'..='\u{d7a3}' | '\u{3400}'..='\u{9fff}' => self.push(c, at),
            c if is_ignorable(c) => {}
            c => {
                for lower in c.to_lowercase() {
                    decompose_compatible(lower, |part| {
                        if !is_combining_mark(part) && !is_ignorable(part) {
                            part.to_lowercase().for_each(|part| self.spell(part, at));
                        }
                    });
                }
            }
        }
    }

    fn spell(&mut self, c: char, at: u32) {
        let (first, second) = match c {
            'ß' => ('s', Some('s')),
            'æ' => ('a', Some('e')),
            'œ' => ('o', Some('e')),
            c => (alike(c), None),
        };
        self.push(first, at);
        second.into_iter().for_each(|second| self.push(second, at));
    }

    fn push(&mut self, c: char, at: u32) {
        match c {
            c if c.is_ascii() => self.octets.push(plain(c as u8)),
            c if c.is_whitespace() => self.octets.push(b' '),
            c => self.octets.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        self.origin.resize(self.octets.len(), at);
    }

    /// Digits among letters stand for letters.
    fn read_digits(&mut self) {
        let mut read = 0;
        for at in (0..self.octets.len()).step_by(8) {
            for place in octets::digits(octets::eight(&self.octets, at)) {
                if at + place >= read {
                    read = self.read_word(at + place);
                }
            }
        }
    }

    /// Reads the digits of the word around one of them. Returns where the word ends.
    fn read_word(&mut self, digit: usize) -> usize {
        let Range { start, end } = word_around(&self.octets, digit);
        let word = &mut self.octets[start..end];
        if has_letter(word) {
            for octet in word {
                *octet = match *octet {
                    b'0' => b'o',
                    b'1' => b'i',
                    b'3' => b'e',
                    b'4' => b'a',
                    b'5' => b's',
                    b'7' => b't',
                    other => other,
                };
            }
        }
        end
    }
}

/// The small letter of an ASCII one; blanks are one kind, but for line feeds. Letters that look the same in most typefaces
/// are one.
fn plain(octet: u8) -> u8 {
    // Selections instead of a table: many octets are folded at once.
    let is_blank = octet.wrapping_sub(b'\t') <= b'\r' - b'\t' && octet != b'\n';
    let small = if is_blank { b' ' } else { octet.to_ascii_lowercase() };
    if small == b'l' { b'i' } else { small }
}

/// The word around an octet of one, whatever its script.
fn word_around(text: &[u8], at: usize) -> Range<usize> {
    let is_first = |at: &usize| text[*at] & 0xc0 != 0x80;
    let (mut start, mut end) = (at, at + octets::run_len(text, at));
    while let Some(before) = (start.saturating_sub(4)..start).rev().find(is_first)
        && Sign::at(text, before).is_some_and(Sign::is_word)
    {
        start = before;
    }
    while let Some(sign) = Sign::at(text, end).filter(|sign| sign.is_word()) {
        end += sign.len;
    }
    start..end
}

fn has_letter(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_alphabetic)
        || !word.is_ascii() && str::from_utf8(word).is_ok_and(|word| word.contains(char::is_alphabetic))
}

/// The Latin letter that a letter looks like, or is a form of; itself if there is none. Patterns go the same way, so
/// that Russian and Greek words are still told from each other.
fn alike(c: char) -> char {
    match c {
        'а' | 'α' | 'ɑ' | 'ⲁ' | 'ᴀ' => 'a',
        'в' | 'β' | 'ь' | 'ʙ' => 'b',
        'с' | 'ϲ' | 'ᴄ' => 'c',
        'ԁ' | 'đ' | 'ð' | 'ɗ' | 'ᴅ' => 'd',
        'е' | 'ε' | 'є' | 'ҽ' | 'ə' | 'ᴇ' => 'e',
        'ƒ' => 'f',
        'ɡ' | 'ɢ' | 'ց' => 'g',
        'н' | 'һ' | 'հ' | 'ʜ' | 'ħ' => 'h',
        'і' | 'ι' | 'ı' | 'ɩ' | 'ɪ' | 'ӏ' | 'ł' | 'ʟ' | 'ⅼ' | 'ǀ' => 'i',
        'ј' | 'ϳ' => 'j',
        'к' | 'κ' | 'ᴋ' => 'k',
        'м' | 'ᴍ' | 'μ' => 'm',
        'п' | 'η' | 'ո' | 'ɴ' | 'ŋ' => 'n',
        'о' | 'ο' | 'σ' | 'օ' | 'ø' | 'ᴏ' | 'ɵ' => 'o',
        'р' | 'ρ' | 'ᴘ' | 'þ' => 'p',
        'ԛ' => 'q',
        'г' | 'ʀ' => 'r',
        'ѕ' | 'ꜱ' => 's',
        'т' | 'τ' | 'ᴛ' => 't',
        'υ' | 'ս' | 'ᴜ' => 'u',
        'ν' | 'ѵ' | 'ᴠ' => 'v',
        'ԝ' | 'ω' | 'ᴡ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ү' | 'ʏ' => 'y',
        'ᴢ' => 'z',
        c => c,
    }
}

fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::super::sign::Kind;
    use super::*;

    /// The signs, one blank or line feed for white space.
    fn folded(text: &str) -> String {
        let folded = Folded::of(text);
        let (text, mut at, mut signs) = (folded.octets(), 0, String::new());
        while let Some(sign) = Sign::at(text, at) {
            match sign.kind {
                Kind::Blank => signs.push(' '),
                Kind::Paragraph => signs.push('\n'),
                _ => signs.push_str(str::from_utf8(&text[at..at + sign.len]).expect("UTF-8")),
            }
            at += sign.len;
        }
        signs
    }

    #[test]
    fn one_spelling_for_all_that_read_the_same() {
        for text in [
            "ignore all",
            "IGNORE  ALL",
            "ig\u{200b}nore a\u{ad}ll",
            "ｉｇｎｏｒｅ　ａｌｌ",
            "𝐢𝐠𝐧𝐨𝐫𝐞 𝒂𝒍𝒍",
            "ⓘⓖⓝⓞⓡⓔ ⓐⓛⓛ",
            "іgnоrе аll",
            "1gn0r3 4ll",
            "ígñörè ål\u{301}l",
            "ignore\r\nall",
        ] {
            assert_eq!(folded(text), folded("ignore all"), "{text}");
        }
        assert_eq!(folded("a\n\nb 2026"), "a\nb 2026");
        assert_eq!(folded("Straße"), "strasse");
        assert_eq!(folded("한국어 ガ"), "한국어 カ");
    }

    #[test]
    fn origins_are_characters_of_the_text() {
        let folded = Folded::of("ﬁé\u{200b} ß");
        assert_eq!(folded.octets(), b"fie ss");
        assert_eq!((0..6).map(|at| folded.origin(at)).collect::<Vec<_>>(), [0, 0, 1, 3, 4, 4]);
        assert_eq!(Folded::of("plain").origin(3), 3);
    }
}
