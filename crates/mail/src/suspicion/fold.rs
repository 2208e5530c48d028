//! Text as it sounds to a reader who does not look at it closely: compatibility forms, case, accents, invisible characters
//! and look-alike letters of other scripts are undone, so that one spelling stands for all that are read the same.
//! Each character remembers where it came from.

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Folded text: letters and digits, other marks as they are, one blank for white space, a line feed for a paragraph.
#[derive(Default)]
pub(super) struct Folded {
    pub(super) chars: Vec<char>,
    /// For each of them, the character of the text that it comes from.
    pub(super) origin: Vec<u32>,
    word: usize,
    has_letter: bool,
    has_digit: bool,
}

impl Folded {
    pub(super) fn of(text: &str) -> Self {
        let mut folded = Self::default();
        folded.fill(text);
        folded
    }

    /// Folds a text in place of what was there.
    pub(super) fn fill(&mut self, text: &str) {
        (self.word, self.has_letter, self.has_digit) = (0, false, false);
        self.chars.clear();
        self.origin.clear();
        let mut lines = 0;
        for (at, c) in text.chars().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            lines = if c == '\n' {
                lines + 1
            } else if c.is_whitespace() {
                lines
            } else {
                0
            };
            if c.is_ascii() {
                self.push(simple(c.to_ascii_lowercase()), at, lines);
            } else if !is_ignorable(c) {
                self.fold(c, at, lines);
            }
        }
        self.end_word();
    }

    fn fold(&mut self, c: char, at: u32, lines: u32) {
        if matches!(c, '\u{ac00}'..='\u{d7a3}') {
            return self.push(c, at, lines);
        }
        for lower in c.to_lowercase() {
            decompose_compatible(lower, |part| {
                if !is_combining_mark(part) && !is_ignorable(part) {
                    for part in part.to_lowercase() {
                        self.spell(part, at, lines);
                    }
                }
            });
        }
    }

    fn spell(&mut self, c: char, at: u32, lines: u32) {
        match c {
            'ß' => {
                self.push('s', at, lines);
                self.push('s', at, lines);
            }
            'æ' => {
                self.push('a', at, lines);
                self.push('e', at, lines);
            }
            'œ' => {
                self.push('o', at, lines);
                self.push('e', at, lines);
            }
            c => self.push(simple(alike(c)), at, lines),
        }
    }

    fn push(&mut self, c: char, at: u32, lines: u32) {
        if !is_word(c) {
            self.end_word();
        }
        if c.is_whitespace() {
            match self.chars.last_mut() {
                Some(last @ (' ' | '\n')) if lines >= 2 => *last = '\n',
                Some(' ' | '\n') => {}
                _ => self.add(if lines >= 2 { '\n' } else { ' ' }, at),
            }
            return;
        }
        self.has_digit |= c.is_ascii_digit();
        self.has_letter |= c.is_alphabetic();
        self.add(c, at);
        if !is_word(c) {
            self.word = self.chars.len();
        }
    }

    fn add(&mut self, c: char, at: u32) {
        self.chars.push(c);
        self.origin.push(at);
    }

    /// Digits among letters stand for letters.
    fn end_word(&mut self) {
        if self.has_letter && self.has_digit {
            for c in &mut self.chars[self.word..] {
                *c = match *c {
                    '0' => 'o',
                    '1' => 'i',
                    '3' => 'e',
                    '4' => 'a',
                    '5' => 's',
                    '7' => 't',
                    other => other,
                };
            }
        }
        (self.has_letter, self.has_digit) = (false, false);
        self.word = self.chars.len();
    }
}

/// Whether a character is part of a word.
pub(super) fn is_word(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() }
}

/// Whether words are not set apart by blanks in the script of a character.
pub(super) fn is_dense(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters that look the same in most typefaces.
fn simple(c: char) -> char {
    match c {
        'l' => 'i',
        c => c,
    }
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
    use super::*;

    fn folded(text: &str) -> String {
        Folded::of(text).chars.into_iter().collect()
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
        assert_eq!(folded.chars.iter().collect::<String>(), "fie ss");
        assert_eq!(folded.origin, [0, 0, 1, 3, 4, 4]);
    }
}
