//! From text to terms, octet by octet where it is ASCII, by tables where it is common, and through the rules of Unicode for the rest.

use super::letters;
use postfleet_core::search::{TERM_BITS, Term};
use unicode_normalization::char::{decompose_canonical, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

/// A word as a number, made of its octets in turn.
#[derive(Clone, Copy, Default)]
pub(super) struct Hash {
    mixed: u64,
    pending: u64,
    octets: u32,
}

impl Hash {
    #[inline]
    pub(super) fn push(&mut self, octet: u8) {
        self.pending = self.pending << 8 | u64::from(octet);
        self.octets += 1;
        if self.octets & 7 == 0 {
            self.mix();
        }
    }

    #[inline]
    fn mix(&mut self) {
        let product = u128::from(self.mixed ^ self.pending ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.mixed = product as u64 ^ (product >> 64) as u64;
        self.pending = 0;
    }

    fn push_char(&mut self, c: char) {
        c.encode_utf8(&mut [0; 4]).bytes().for_each(|octet| self.push(octet));
    }

    fn is_empty(&self) -> bool {
        self.octets == 0
    }

    #[inline]
    pub(super) fn finish(mut self) -> Term {
        self.mix();
        self.pending = u64::from(self.octets);
        self.mix();
        self.mixed >> (64 - TERM_BITS)
    }
}

/// ASCII letters, small, and digits; 0 for all else.
const ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut octet = 0;
    while octet < 128 {
        if (octet as u8).is_ascii_alphanumeric() {
            table[octet] = (octet as u8).to_ascii_lowercase();
        }
        octet += 1;
    }
    table
};

/// Splits a text into its words, in turn, until `word` wants no more.
pub(super) fn split(text: &str, word: &mut impl FnMut(Term) -> bool) {
    let mut splitter = Splitter { word, open: Hash::default(), drops_marks: false, wants_more: true };
    let octets = text.as_bytes();
    let mut at = 0;
    while at < octets.len() && splitter.wants_more {
        let octet = octets[at];
        if octet < 0x80 {
            match ASCII[octet as usize] {
                0 => splitter.close(),
                plain => {
                    splitter.open.push(plain);
                    splitter.drops_marks = true;
                }
            }
            at += 1;
        } else {
            let end = octets[at..].iter().position(u8::is_ascii).map_or(octets.len(), |len| at + len);
            splitter.foreign(&text[at..end]);
            at = end;
        }
    }
    splitter.close();
}

struct Splitter<'w, W> {
    word: &'w mut W,
    open: Hash,
    /// Whether the last letter was of a script of which accents are left out.
    drops_marks: bool,
    wants_more: bool,
}

impl<W: FnMut(Term) -> bool> Splitter<'_, W> {
    #[inline]
    fn close(&mut self) {
        if !self.open.is_empty() {
            let word = std::mem::take(&mut self.open).finish();
            self.wants_more = self.wants_more && (self.word)(word);
        }
        self.drops_marks = false;
    }

    /// A character that is a word by itself.
    fn alone(&mut self, c: char) {
        self.close();
        self.open.push_char(c);
        self.close();
    }

    /// A text without ASCII.
    fn foreign(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next().filter(|_| self.wants_more) {
            let after = &rest[c.len_utf8()..];
            if let Some(plain) = letters::plain(c) {
                self.open.push_char(plain);
                self.drops_marks = true;
                rest = after;
            } else if is_complete(c, after.chars().next()) {
                self.alone(c);
                rest = after;
            } else {
                let len = rest.find(|c| letters::plain(c).is_some() || is_ideograph(c)).unwrap_or(rest.len());
                let (odd, after) = rest.split_at(len);
                self.normal(odd);
                rest = after;
            }
        }
    }

    /// The long way.
    fn normal(&mut self, text: &str) {
        if is_nfkc_quick(text.chars()) == IsNormalized::Yes {
            text.chars().for_each(|c| self.take(c));
        } else {
            text.nfkc().for_each(|c| self.take(c));
        }
    }

    fn take(&mut self, c: char) {
        match c {
            c if is_ignorable(c) || is_vowel_point(c) => {}
            c if is_word(c) => self.alone(c),
            c if is_combining_mark(c) => {
                if !self.drops_marks {
                    self.open.push_char(c);
                }
            }
            c if !c.is_alphanumeric() => self.close(),
            // Most scripts of the East have neither case nor accents.
            '\u{590}'..='\u{109f}' | '\u{1100}'..='\u{139f}' => {
                self.open.push_char(c);
                self.drops_marks = false;
            }
            c => {
                let drops_marks = has_accents(c);
                decompose_canonical(c, |part| {
                    if !(drops_marks && is_combining_mark(part)) {
                        self.fold(part);
                    }
                });
                self.drops_marks = drops_marks;
            }
        }
    }

    /// Without case, as Unicode folds it: `ß` is `ss`, and the sigma at the end of a word is a sigma.
    fn fold(&mut self, c: char) {
        for c in c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase) {
            match c {
                'æ' => ['a', 'e'].into_iter().for_each(|c| self.open.push_char(c)),
                'œ' => ['o', 'e'].into_iter().for_each(|c| self.open.push_char(c)),
                // A capital I with a dot has the dot apart when it is small.
                '\u{307}' => {}
                c => self.open.push_char(without_stroke(c)),
            }
        }
    }
}

/// The letter without the stroke through it, which is no mark to Unicode.
fn without_stroke(c: char) -> char {
    match c {
        'ł' => 'l',
        'ø' => 'o',
        'đ' => 'd',
        'ħ' => 'h',
        'ŧ' => 't',
        c => c,
    }
}

/// Letters of Latin, Greek and Cyrillic.
fn has_accents(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '\u{aa}'..='\u{2af}' | '\u{370}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}'
        | '\u{1d00}'..='\u{1dbf}' | '\u{1e00}'..='\u{1fff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a640}'..='\u{a69f}'
        | '\u{a720}'..='\u{a7ff}')
}

/// Characters of scripts that do not part words by blanks.
fn is_word(c: char) -> bool {
    is_ideograph(c)
        || matches!(c, '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}' | '\u{e81}'..='\u{ece}' | '\u{edc}'..='\u{edf}'
            | '\u{1000}'..='\u{1049}' | '\u{1050}'..='\u{109d}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17d3}'
            | '\u{3041}'..='\u{3096}' | '\u{3099}'..='\u{309a}' | '\u{309d}'..='\u{309f}' | '\u{30a1}'..='\u{30fa}'
            | '\u{30fc}'..='\u{318e}' | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{a960}'..='\u{a97c}'
            | '\u{a9e0}'..='\u{a9fe}' | '\u{aa60}'..='\u{aa7f}' | '\u{ac00}'..='\u{d7fb}' | '\u{1b000}'..='\u{1b16f}')
}

/// Characters that have no other form, and go with no mark.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3005}'..='\u{3007}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{2f7ff}'
        | '\u{30000}'..='\u{323af}')
}

/// Whether a character is a word and takes nothing of the next one into itself.
fn is_complete(c: char, next: Option<char>) -> bool {
    match c {
        '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' => {
            !matches!(next, Some('\u{3099}' | '\u{309a}'))
        }
        '\u{ac00}'..='\u{d7a3}' => !matches!(next, Some('\u{11a8}'..='\u{11c2}')),
        c => is_ideograph(c),
    }
}

/// Points of Hebrew and Arabic, which are written or not as one likes.
fn is_vowel_point(c: char) -> bool {
    matches!(c, '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}')
        && is_combining_mark(c)
}

fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str, take: impl Fn(&mut Splitter<'_, &mut dyn FnMut(Term) -> bool>, &str)) -> Vec<Term> {
        let mut terms = Vec::new();
        let mut word: &mut dyn FnMut(Term) -> bool = &mut |term| {
            terms.push(term);
            true
        };
        let mut splitter = Splitter { word: &mut word, open: Hash::default(), drops_marks: false, wants_more: true };
        take(&mut splitter, text);
        splitter.close();
        terms
    }

    #[test]
    fn the_short_way_comes_to_what_the_long_way_does() {
        for c in ('\u{80}'..='\u{ffff}').chain('\u{1d400}'..='\u{1d800}').chain('\u{20000}'..='\u{20100}') {
            let text = format!("{c}{c}");
            let short = terms(&text, |splitter, text| splitter.foreign(text));
            let long = terms(&text, |splitter, text| splitter.normal(text));
            assert_eq!(short, long, "{c} {:x}", u32::from(c));
        }
    }
}
