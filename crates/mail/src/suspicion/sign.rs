//! What stands at a place of a folded text ([`super::fold`]): a letter, white space, another mark. Nearly all of it is small
//! letters of ASCII, which are told eight at a time.

use crate::syntax::octets;

/// What kind of sign stands there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A letter or digit of a script that sets its words apart.
    Letter,
    /// A letter of a script that does not.
    Dense,
    /// White space.
    Blank,
    /// White space with an empty line in it.
    Paragraph,
    /// Anything else.
    Mark,
}

/// A character; white space that stands together is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sign {
    pub(super) kind: Kind,
    /// Its octets.
    pub(super) len: usize,
}

impl Sign {
    /// The sign that begins at an octet; none behind the end.
    #[inline]
    pub(super) fn at(text: &[u8], at: usize) -> Option<Self> {
        Some(match *text.get(at)? {
            b'a'..=b'z' | b'0'..=b'9' => Self { kind: Kind::Letter, len: 1 },
            b' ' | b'\n' => Self::blank(&text[at..]),
            first if first.is_ascii() => Self { kind: Kind::Mark, len: 1 },
            _ => Self::beyond_ascii(text, at),
        })
    }

    fn beyond_ascii(text: &[u8], at: usize) -> Self {
        let c = char_at(text, at).unwrap_or_default();
        let kind = match c {
            c if is_dense(c) => Kind::Dense,
            c if c.is_alphanumeric() => Kind::Letter,
            _ => Kind::Mark,
        };
        Self { kind, len: c.len_utf8() }
    }

    /// The white space at the front.
    #[inline]
    fn blank(text: &[u8]) -> Self {
        if !matches!(text, [_, b' ' | b'\n', ..]) {
            return Self { kind: Kind::Blank, len: 1 };
        }
        let len = text.iter().position(|octet| !matches!(octet, b' ' | b'\n')).unwrap_or(text.len());
        let lines = text[..len].iter().filter(|octet| **octet == b'\n').count();
        Self { kind: if lines >= 2 { Kind::Paragraph } else { Kind::Blank }, len }
    }

    /// Whether words are made of it.
    pub(super) fn is_word(self) -> bool {
        matches!(self.kind, Kind::Letter | Kind::Dense)
    }
}

/// Whether words are not set apart by blanks in the script of a character.
pub(super) fn is_dense(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// The character that begins at an octet.
pub(super) fn char_at(text: &[u8], at: usize) -> Option<char> {
    let len = match *text.get(at)? {
        first if first.is_ascii() => return Some(char::from(first)),
        0xf0.. => 4,
        0xe0.. => 3,
        _ => 2,
    };
    std::str::from_utf8(text.get(at..at + len)?).ok()?.chars().next()
}

/// Octets of the word that begins at an octet, of a script that sets words apart; 0 if none begins there.
#[inline]
pub(super) fn word_len(text: &[u8], at: usize) -> usize {
    let len = octets::run_len(text, at);
    match text.get(at + len) {
        Some(octet) if !octet.is_ascii() => mixed_len(text, at, at + len),
        _ => len,
    }
}

/// The same of a word that has letters beyond ASCII, or ends before another sign there, at `end` at the earliest.
fn mixed_len(text: &[u8], at: usize, mut end: usize) -> usize {
    while let Some(Sign { kind: Kind::Letter, len }) = Sign::at(text, end) {
        end += len;
    }
    end - at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_signs() {
        for (text, word, kind, len) in [
            ("word two", 4, Kind::Letter, 1),
            ("привет!", 12, Kind::Letter, 2),
            ("ai助手", 2, Kind::Letter, 1),
            ("助手", 0, Kind::Dense, 3),
            ("  \n x", 0, Kind::Blank, 4),
            (" \n \nx", 0, Kind::Paragraph, 4),
            ("\u{2014}x", 0, Kind::Mark, 3),
            ("<x", 0, Kind::Mark, 1),
        ] {
            assert_eq!(word_len(text.as_bytes(), 0), word, "{text}");
            assert_eq!(Sign::at(text.as_bytes(), 0), Some(Sign { kind, len }), "{text}");
        }
        assert_eq!(Sign::at(b"a", 1), None);
    }
}
