//! Encoded words (RFC 2047), read leniently: anywhere in a text, and with a character split over two words.

use super::{charset, transfer};
use memchr::memmem;

/// Decodes all encoded words of an unfolded value. White space between two of them is not part of the text (§6.2).
pub(crate) fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut run = Run::default();
    let mut rest = text;
    let beginning = memmem::Finder::new(b"=?");
    while let Some(at) = beginning.find(rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        match read(from) {
            Some((word, len)) => {
                if !before.trim_ascii().is_empty() || run.bytes.is_empty() {
                    run.flush(&mut decoded);
                    decoded.push_str(before);
                }
                run.push(word, &mut decoded);
                rest = &from[len..];
            }
            None => {
                run.flush(&mut decoded);
                decoded.push_str(&rest[..at + 2]);
                rest = &from[2..];
            }
        }
    }
    run.flush(&mut decoded);
    decoded.push_str(rest);
    decoded
}

/// Whether any encoded word stands for control characters.
pub(crate) fn hides_controls(text: &str) -> bool {
    text.match_indices("=?").filter_map(|(at, _)| read(&text[at..])).any(|(word, _)| {
        charset::decode(word.charset, &word.bytes).chars().any(char::is_control) || word.bytes.contains(&0)
    })
}

/// The charsets of all encoded words, in small letters, each once; at most four.
pub(crate) fn charsets(text: &str) -> Vec<String> {
    let mut charsets: Vec<String> = Vec::new();
    for (word, _) in text.match_indices("=?").take(100).filter_map(|(at, _)| read(&text[at..])) {
        let charset = word.charset.to_ascii_lowercase();
        if charsets.len() < 4 && !charsets.contains(&charset) {
            charsets.push(charset);
        }
    }
    charsets
}

/// Length of the encoded word at the beginning of `text`, if there is one without spaces.
pub(crate) fn len_at(text: &str) -> Option<usize> {
    let (_, len) = read(text)?;
    (!text[..len].contains([' ', '\t'])).then_some(len)
}

struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// Neighbouring words of one charset, decoded together: senders split multi-byte characters although §5 forbids it.
#[derive(Default)]
struct Run<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Run<'a> {
    fn push(&mut self, word: Word<'a>, decoded: &mut String) {
        if !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush(decoded);
        }
        self.charset = word.charset;
        self.bytes.extend_from_slice(&word.bytes);
    }

    fn flush(&mut self, decoded: &mut String) {
        decoded.push_str(&charset::decode(self.charset, &self.bytes));
        self.bytes.clear();
    }
}

/// Reads `=?charset*language?encoding?text?=` at the beginning of `text`; returns the word and its length.
fn read(text: &str) -> Option<(Word<'_>, usize)> {
    let (label, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (payload, rest) = rest.split_once('?')?;
    let rest = rest.strip_prefix('=')?;
    if label.is_empty() || label.contains(char::is_whitespace) {
        return None;
    }
    let bytes = match encoding {
        "B" | "b" => transfer::base64(payload.as_bytes()),
        "Q" | "q" => q(payload),
        _ => return None,
    };
    let charset = label.split_once('*').map_or(label, |(charset, _language)| charset);
    Some((Word { charset, bytes }, text.len() - rest.len()))
}

/// The Q encoding (RFC 2047 §4.2): quoted-printable without line breaks, and `_` for space.
fn q(payload: &str) -> Vec<u8> {
    transfer::unescape(payload.replace('_', " ").as_bytes(), b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (text, expected) in [
            ("plain text", "plain text"),
            ("=?iso-8859-1?Q?caf=E9?=", "café"),
            ("=?ISO-8859-1*fr?q?caf=E9_noir?= x", "café noir x"),
            ("=?utf-8?B?aMOp?=", "hé"),
            ("=?utf-8?B?aMM=?= =?utf-8?B?qQ==?=", "hé"),
            ("=?utf-8?Q?a?=  =?iso-8859-1?Q?=E9?= b", "aé b"),
            ("x=?utf-8?Q?a?=y", "xay"),
            ("a =?utf-8?Q?b?= =?utf-8?X?c?= d", "a b =?utf-8?X?c?= d"),
            ("=?shift_jis?B?k/qWew==?=", "日本"),
            ("=?koi8-r?B?8NLJ18XU?=", "Привет"),
            ("=?utf-8?Q?with space?=", "with space"),
            ("=?utf-8?Q??=", ""),
            ("=? =?? =??? =?x", "=? =?? =??? =?x"),
            ("=?utf-8?Q?=ZZ=4?=", "=ZZ=4"),
            ("1=?=2", "1=?=2"),
        ] {
            assert_eq!(decode(text), expected, "{text}");
        }
    }

    #[test]
    fn controls_in_words() {
        for (text, expected) in [
            ("a =?utf-8?Q?b=0D=0A?=", true),
            ("=?x?B?eA0K?=", true),
            ("=?utf-8?Q?=00?=", true),
            ("=?utf-8?Q?=C2=85?=", true),
            ("=? =?utf-8?Q?=7F?=", true),
            ("=?utf-8?Q?b?= =0D", false),
            ("", false),
        ] {
            assert_eq!(hides_controls(text), expected, "{text}");
        }
    }

    #[test]
    fn unfinished_words_cost_linear_time() {
        for piece in ["=?utf-8?Q?a", "=?utf-8?", "=?", "=?u?B?"] {
            let text = piece.repeat((1 << 20) / piece.len());
            assert_eq!(decode(&text).is_empty(), text.is_empty());
        }
    }
}
