//! Characters that are not seen: found, named, and left out of what is shown. What a script needs (joiners in emoji,
//! Arabic and Indic scripts, the selector behind an emoji, the tags of three flags) stays.

use postfleet_core::suspicion::Means;
use std::borrow::Cow;

/// Characters of one run whose meaning is looked for.
const SYMBOLS_MAX: usize = 16 << 10;

/// A run of invisible characters of one kind.
pub(crate) struct Run {
    pub(crate) means: Means,
    /// The visible characters before it.
    pub(crate) at: usize,
    pub(crate) characters: usize,
    /// What it spells, if anything.
    pub(crate) text: String,
}

/// The text without what is not seen.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    split(text, &mut [], &mut |_| {})
}

/// The text without what is not seen; each run of the latter goes to `found`. `marks` are octets of `text` in rising
/// order, and become characters of what is returned.
pub(crate) fn split<'t>(text: &'t str, marks: &mut [usize], found: &mut impl FnMut(Run)) -> Cow<'t, str> {
    // Most text is plain. All of it is looked at, and nothing is decided on the way: many octets at once.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') | matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return Cow::Borrowed(text);
    }
    let mut splitter = Splitter { is_mixed: text.chars().any(is_right_to_left), ..Splitter::default() };
    let mut next_mark = 0;
    let mut kept = None;
    for (at, c) in text.char_indices() {
        while marks.get(next_mark).is_some_and(|mark| *mark <= at) {
            marks[next_mark] = splitter.visible;
            next_mark += 1;
        }
        if splitter.take(c, &text[at..], found) {
            if let Some(kept) = &mut kept {
                String::push(kept, c);
            }
        } else if kept.is_none() {
            let mut seen = String::with_capacity(text.len());
            seen.push_str(&text[..at]);
            kept = Some(seen);
        }
    }
    for mark in &mut marks[next_mark..] {
        *mark = splitter.visible;
    }
    splitter.end(found);
    kept.map_or(Cow::Borrowed(text), Cow::Owned)
}

#[derive(Default)]
struct Splitter {
    /// Some of it is written from right to left: marks and isolates order the rest of it (UAX #9), and hide nothing.
    is_mixed: bool,
    visible: usize,
    /// The last character that was kept, and the one before it whatever it was.
    last: Option<char>,
    before: Option<char>,
    run: Option<Open>,
    /// Characters left of the tags of a flag.
    flag: usize,
}

struct Open {
    means: Means,
    at: usize,
    characters: usize,
    symbols: Vec<char>,
}

impl Splitter {
    /// Takes the character at the front of `rest`. Returns whether it is seen.
    fn take(&mut self, c: char, rest: &str, found: &mut impl FnMut(Run)) -> bool {
        let before = self.before.replace(c);
        let Some(means) = means(c) else { return self.keep(c, found) };
        let next = rest[c.len_utf8()..].chars().next();
        if self.flag > 0 {
            self.flag -= 1;
            return self.keep(c, found);
        }
        if self.belongs(c, before, next, rest) {
            return self.keep(c, found);
        }
        if !is_harmless(c, before, next) {
            self.hide(means, c, found);
        }
        false
    }

    fn keep(&mut self, c: char, found: &mut impl FnMut(Run)) -> bool {
        // Blanks between invisible characters are part of one padding.
        if !c.is_whitespace() {
            self.end(found);
        }
        self.visible += 1;
        self.last = Some(c);
        true
    }

    fn hide(&mut self, means: Means, c: char, found: &mut impl FnMut(Run)) {
        if self.run.as_ref().is_some_and(|run| run.means != means) {
            self.end(found);
        }
        let at = self.visible;
        let run = self.run.get_or_insert_with(|| Open { means, at, characters: 0, symbols: Vec::new() });
        run.characters += 1;
        if run.symbols.len() < SYMBOLS_MAX {
            run.symbols.push(c);
        }
    }

    fn end(&mut self, found: &mut impl FnMut(Run)) {
        if let Some(Open { means, at, characters, symbols }) = self.run.take() {
            found(Run { means, at, characters, text: spelled(means, &symbols) });
        }
    }

    /// Whether a script or an emoji needs the character here.
    fn belongs(&mut self, c: char, before: Option<char>, next: Option<char>, rest: &str) -> bool {
        let joins = |test: fn(char) -> bool| before.is_some_and(test) && next.is_some_and(test);
        match c {
            '\u{200d}' => joins(is_emoji) || before.is_some_and(is_joining),
            '\u{200c}' => joins(is_joining),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2066}'..='\u{2069}' => self.is_mixed,
            '\u{fe00}'..='\u{fe0f}' => {
                before.is_some_and(|base| base > '\u{a8}' && means(base).is_none() || is_key(base))
            }
            '\u{e0100}'..='\u{e01ef}' => before.is_some_and(is_han),
            '\u{e0020}'..='\u{e007f}' if before == Some('\u{1f3f4}') => {
                const FLAGS: [&str; 3] = ["gbeng", "gbsct", "gbwls"];
                let tags: String = rest.chars().take(6).filter_map(tag).collect();
                let is_flag = FLAGS.iter().any(|flag| tags.strip_prefix(flag) == Some("\u{7f}"));
                self.flag = if is_flag { 5 } else { 0 };
                is_flag
            }
            _ => false,
        }
    }
}

/// How a character is not seen; nothing for one that is.
fn means(c: char) -> Option<Means> {
    match c {
        _ if c < '\u{7f}' => (c.is_ascii_control() && !is_layout(c)).then_some(Means::Control),
        '\u{85}' => None,
        '\u{7f}'..='\u{9f}' | '\u{fff9}'..='\u{fffb}' => Some(Means::Control),
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' => Some(Means::ZeroWidth),
        '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' => Some(Means::ZeroWidth),
        '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{1d173}'..='\u{1d17a}' => Some(Means::ZeroWidth),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(Means::Bidi),
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            Some(Means::VariationSelector)
        }
        '\u{e0000}'..='\u{e007f}' => Some(Means::Tag),
        _ => None,
    }
}

fn is_layout(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{c}')
}

/// What honest text has: a place to break a word, an order mark at the beginning.
fn is_harmless(c: char, before: Option<char>, next: Option<char>) -> bool {
    match c {
        '\u{ad}' => before.is_some_and(char::is_alphabetic) && next.is_some_and(char::is_alphabetic),
        '\u{feff}' => before.is_none(),
        _ => false,
    }
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}')
}

/// Keys of a telephone, which emoji are made of.
fn is_key(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '#' | '*')
}

fn is_joining(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{18af}')
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

fn tag(c: char) -> Option<char> {
    char::from_u32((c as u32).checked_sub(0xe0000)?).filter(char::is_ascii)
}

/// What invisible characters spell: tags ASCII, selectors octets, two kinds of blanks bits.
fn spelled(means: Means, symbols: &[char]) -> String {
    match means {
        Means::Tag => symbols.iter().filter_map(|c| tag(*c)).filter(|c| !c.is_control()).collect(),
        Means::VariationSelector => readable(symbols.iter().filter_map(|c| selector(*c)).collect()),
        Means::ZeroWidth => bits(symbols),
        _ => String::new(),
    }
}

fn selector(c: char) -> Option<u8> {
    match c as u32 {
        code @ 0xfe00..=0xfe0f => u8::try_from(code - 0xfe00).ok(),
        code @ 0xe0100..=0xe01ef => u8::try_from(code - 0xe0100 + 16).ok(),
        _ => None,
    }
}

fn bits(symbols: &[char]) -> String {
    let Some(&first) = symbols.first().filter(|_| symbols.len() >= 24) else { return String::new() };
    let Some(&second) = symbols.iter().find(|c| **c != first) else { return String::new() };
    if symbols.iter().any(|c| *c != first && *c != second) {
        return String::new();
    }
    let octets = |one: char| -> Vec<u8> {
        symbols.chunks_exact(8).map(|eight| eight.iter().fold(0, |octet, c| octet << 1 | u8::from(*c == one))).collect()
    };
    let read = readable(octets(second));
    if read.is_empty() { readable(octets(first)) } else { read }
}

/// Octets as text, if they are any.
fn readable(octets: Vec<u8>) -> String {
    let text = String::from_utf8(octets).unwrap_or_default();
    let is_text = text.chars().count() >= 3 && text.chars().all(|c| !c.is_control() || is_layout(c));
    if is_text { text } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, runs: &[(Means, usize, usize, &str)]) {
        let mut found = Vec::new();
        let shown = split(text, &mut [], &mut |run| found.push((run.means, run.at, run.characters, run.text)));
        assert_eq!(shown, expected, "{text:?}");
        let expected: Vec<_> =
            runs.iter().map(|&(means, at, count, text)| (means, at, count, text.to_owned())).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    fn tags(text: &str) -> String {
        text.chars().filter_map(|c| char::from_u32(c as u32 + 0xe0000)).collect()
    }

    #[test]
    fn what_is_not_seen_is_named_and_left_out() {
        check("plain\ttext\r\n", "plain\ttext\r\n", &[]);
        check("a\u{200b}b\u{200b}\u{2060}c", "abc", &[(Means::ZeroWidth, 1, 1, ""), (Means::ZeroWidth, 2, 2, "")]);
        check("x\u{34f} \u{200c} \u{34f} \u{200c}y", "x   y", &[(Means::ZeroWidth, 1, 4, "")]);
        check(&format!("hi{} you", tags("obey")), "hi you", &[(Means::Tag, 2, 4, "obey")]);
        check("abc\u{202e}fdp.exe", "abcfdp.exe", &[(Means::Bidi, 3, 1, "")]);
        check("a\u{1b}[31mb", "a[31mb", &[(Means::Control, 1, 1, "")]);
        let data: String = "hide".bytes().filter_map(|byte| char::from_u32(0xe0100 + u32::from(byte) - 16)).collect();
        check(&format!("😀{data}"), "😀", &[(Means::VariationSelector, 1, 4, "hide")]);
        let bits: String = "cat"
            .bytes()
            .flat_map(|byte| (0..8).rev().map(move |bit| if byte >> bit & 1 == 1 { '\u{200c}' } else { '\u{200b}' }))
            .collect();
        check(&format!("a{bits}b"), "ab", &[(Means::ZeroWidth, 1, 24, "cat")]);
    }

    #[test]
    fn what_a_script_needs_stays() {
        for text in [
            "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}!",
            "葛\u{e0100}飾",
            "żółw 日本語 ÄÖÜ",
        ] {
            check(text, text, &[]);
        }
        for text in ["שלום\u{200f}!", "English עברית, \u{2067}right\u{2069}\u{200e}"] {
            check(text, text, &[]);
        }
        check("\u{feff}Silben\u{ad}trennung", "Silbentrennung", &[]);
    }

    #[test]
    fn marks_become_characters_of_what_is_seen() {
        let mut marks = [0, 1, 4, 5, 6];
        assert_eq!(split("a\u{200b}éb", &mut marks, &mut |_| {}), "aéb");
        assert_eq!(marks, [0, 1, 1, 2, 2]);
    }
}
