//! A word that is read letter by letter: one with letters beyond ASCII, with signs in place of letters, or with characters
//! in it that nobody sees.

use super::letters::{Script, is_hiding, is_invisible, is_plain, latin, script};

/// Octets of a word; longer ones are no words.
pub(super) const WORD_OCTETS_MAX: usize = 48;

#[derive(Default)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) latin: usize,
    lookalike: usize,
    dressed: usize,
    pub(super) digits: usize,
    signs: usize,
    /// A character that nobody sees came behind a letter of it; and a letter behind that.
    hides: bool,
    is_split: bool,
    pub(super) chars: usize,
}

impl Word {
    /// Makes it the next word of a text in which ASCII has small letters only; an empty one, if what comes first is none.
    /// The octets that were read, and what ended it.
    pub(super) fn read(&mut self, text: &str) -> (usize, char) {
        self.clear();
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c.is_ascii_alphanumeric() {
                self.push(c);
            } else if matches!(c, '\'' | '’') && self.chars > 0 {
                // "don't" is a word; a quote behind one is none of it.
            } else if matches!(c, '@' | '$' | '!')
                && self.latin > 0
                && chars.peek().is_some_and(|(_, next)| next.is_ascii_alphabetic())
            {
                self.signs += 1;
                self.text.push(c);
                self.chars += 1;
            } else if c.is_ascii() {
                return (at + 1, c);
            } else if !is_plain(c) && is_invisible(c) {
                self.hides |= is_hiding(c) && self.chars > 0;
            } else if is_plain(c) || c.is_alphanumeric() {
                match script(c) {
                    Script::Ideographic if self.chars > 0 => return (at, ' '),
                    Script::Ideographic => {
                        self.push(c);
                        return (at + c.len_utf8(), c);
                    }
                    _ if is_plain(c) => self.push(c),
                    _ => c.to_lowercase().for_each(|c| self.push(c)),
                }
            } else if script(c) == Script::Dressed {
                self.push(c);
            } else {
                return (at + c.len_utf8(), ' ');
            }
        }
        (text.len(), '\n')
    }

    fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = Self { text, ..Self::default() };
    }

    fn push(&mut self, c: char) {
        self.is_split |= self.hides;
        self.chars += 1;
        if c.is_ascii() {
            if c.is_ascii_digit() { self.digits += 1 } else { self.latin += 1 }
        } else {
            match script(c) {
                Script::Latin => self.latin += 1,
                Script::Lookalike => self.lookalike += 1,
                Script::Dressed => self.dressed += 1,
                Script::Ideographic | Script::Other => {}
            }
        }
        if self.text.len() <= WORD_OCTETS_MAX * 2 {
            self.text.push(c);
        }
    }

    /// Whether it is parted by characters that nobody sees.
    pub(super) fn is_split(&self) -> bool {
        self.is_split && self.chars > 2
    }

    /// Whether it has letters of two scripts that look alike, or letters in another dress. If so, it is written in Latin
    /// letters from now on.
    pub(super) fn is_mixed(&mut self) -> bool {
        let is_mixed = self.latin > 0 && self.lookalike > 0 || self.dressed > 2;
        if is_mixed {
            self.text = self.text.chars().map(latin).collect();
        }
        is_mixed
    }

    /// Whether digits or signs may stand for letters in it.
    pub(super) fn may_be_disguised(&self) -> bool {
        (self.digits > 0 || self.signs > 0) && self.latin >= 2
    }
}
