//! Header fields: folding (RFC 5322 §2.2.3), encoded words (RFC 2047), display names and parameters (RFC 2231).
//!
//! Values must hold no control characters: the callers refuse or remove them first, and it is checked here again,
//! because a line break in a value would be a field of the attacker's choice.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Octets of a line that are aimed at.
const LINE_WANTED: usize = 76;

/// Octets of a line that are never exceeded (RFC 5322 §2.1.1).
pub(crate) const LINE_MAX: usize = 998;

/// Octets of text in one encoded word, which must have at most 75 octets itself (RFC 2047 §2).
const WORD_TEXT_MAX: usize = 39;

/// Octets of one encoded word in the Q encoding, without its frame.
const WORD_Q_MAX: usize = 52;

/// Octets in one piece of a continued parameter.
const PIECE_MAX: usize = 54;

/// Writes one field from tokens. A fold can come before each token, where a space stands in any case.
pub(crate) struct FieldWriter<'a> {
    out: &'a mut Vec<u8>,
    column: usize,
    /// The line so far is the name only; a fold here is put up with only if the token would not fit otherwise.
    at_name: bool,
}

impl<'a> FieldWriter<'a> {
    /// Begins a field.
    pub(crate) fn new(out: &'a mut Vec<u8>, name: &str) -> Self {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        Self { out, column: name.len() + 1, at_name: true }
    }

    /// Writes a space, or a fold, and the token.
    pub(crate) fn token(&mut self, token: &str) -> &mut Self {
        debug_assert!(token.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{token:?}");
        let limit = if self.at_name && !token.starts_with("=?") { LINE_MAX } else { LINE_WANTED };
        if self.column + 1 + token.len() > limit && !token.trim_ascii().is_empty() {
            self.out.extend_from_slice(b"\r\n");
            self.column = 0;
        }
        self.out.push(b' ');
        self.out.extend(token.bytes().filter(|byte| *byte == b' ' || byte.is_ascii_graphic()));
        self.column += 1 + token.len();
        self.at_name = false;
        self
    }

    /// Ends the field.
    pub(crate) fn end(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Writes a field of tokens that are separated by single spaces.
pub(crate) fn tokens<'t>(out: &mut Vec<u8>, name: &str, tokens: impl IntoIterator<Item = &'t str>) {
    let mut field = FieldWriter::new(out, name);
    for token in tokens {
        field.token(token);
    }
    field.end();
}

/// Writes a field of free text (RFC 5322 §3.2.5): as it is if it can be, else in encoded words.
pub(crate) fn unstructured(out: &mut Vec<u8>, name: &str, text: &str) {
    if is_plain(text) {
        tokens(out, name, text.split(' '));
    } else {
        tokens(out, name, encoded_words(text).iter().map(String::as_str));
    }
}

/// Whether a reader gets back exactly this text if it is written as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim() == text
        && !text.contains("=?")
        && !text.contains("   ")
        && text.split(' ').all(|token| token.len() < LINE_MAX - 1)
}

/// The text as encoded words, none of which splits a character (RFC 2047 §5).
pub(crate) fn encoded_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let base64_end = rest.floor_char_boundary(WORD_TEXT_MAX);
        let q_end = q_fitting(rest);
        // The readable form where it costs little: for text that is mostly ASCII.
        let (piece, after) = rest.split_at(q_end.max(base64_end));
        words.push(if q_end >= base64_end {
            format!("=?utf-8?Q?{}?=", q(piece))
        } else {
            format!("=?utf-8?B?{}?=", STANDARD.encode(piece))
        });
        rest = after;
    }
    words
}

/// How much of the text fits into one word in the Q encoding.
fn q_fitting(text: &str) -> usize {
    let mut width = 0;
    for (at, c) in text.char_indices() {
        width += if is_q_safe(c) { 1 } else { 3 * c.len_utf8() };
        if width > WORD_Q_MAX {
            return at;
        }
    }
    text.len()
}

/// Characters that stand for themselves in an encoded word, wherever it is (RFC 2047 §5 rule 3); `_` is the space.
fn is_q_safe(c: char) -> bool {
    c == ' ' || c.is_ascii_alphanumeric() || matches!(c, '!' | '*' | '+' | '-' | '/')
}

fn q(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            ' ' => out.push('_'),
            c if is_q_safe(c) => out.push(c),
            c => out.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("={byte:02X}"))),
        }
    }
    out
}

/// A display name as tokens: a bare phrase, a quoted string, or encoded words (RFC 5322 §3.2.5, RFC 2047 §5 rule 3).
pub(crate) fn phrase(name: &str) -> Vec<String> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_atext);
    if !is_plain(name) || name.len() > 60 {
        encoded_words(name)
    } else if name.split(' ').all(is_word) {
        name.split(' ').map(str::to_owned).collect()
    } else {
        vec![quoted(name)]
    }
}

/// RFC 5322 §3.2.3.
fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

/// A quoted string (RFC 5322 §3.2.4).
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A parameter as tokens, in pieces and with a charset if need be (RFC 2231 §3 and §4).
pub(crate) fn parameter(name: &str, value: &str) -> Vec<String> {
    let is_plain = is_plain(value) && value.len() <= PIECE_MAX && !value.contains("''");
    if is_plain {
        return vec![format!("{name}={}", quoted(value))];
    }
    let mut pieces = Vec::new();
    let mut piece = String::from("utf-8''");
    for c in value.chars().map(percent) {
        if piece.len() + c.len() > PIECE_MAX {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.push_str(&c);
    }
    if pieces.is_empty() {
        return vec![format!("{name}*={piece}")];
    }
    pieces.push(piece);
    pieces.iter().enumerate().map(|(index, piece)| format!("{name}*{index}*={piece}")).collect()
}

/// A character in an extended parameter value (RFC 2231 §7 `attribute-char`).
fn percent(c: char) -> String {
    if c.is_ascii_alphanumeric() || "!#$&+-.^_`{|}~".contains(c) {
        return c.to_string();
    }
    c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        let mut out = Vec::new();
        unstructured(&mut out, "Subject", value);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn fields() {
        check("hello world", "Subject: hello world\r\n");
        check("", "Subject: \r\n");
        check("a  b", "Subject: a  b\r\n");
        check(" a", "Subject: =?utf-8?Q?_a?=\r\n");
        check("héllo", "Subject: =?utf-8?Q?h=C3=A9llo?=\r\n");
        check("日本語", "Subject: =?utf-8?Q?=E6=97=A5=E6=9C=AC=E8=AA=9E?=\r\n");
        check("日本語日本語", "Subject: =?utf-8?B?5pel5pys6Kqe5pel5pys6Kqe?=\r\n");
        check("x =?utf-8?Q?a?=", "Subject: =?utf-8?Q?x_=3D=3Futf-8=3FQ=3Fa=3F=3D?=\r\n");
        check(
            "one two three four five six seven eight nine ten eleven twelve thirteen fourteen",
            "Subject: one two three four five six seven eight nine ten eleven twelve\r\n thirteen fourteen\r\n",
        );
    }

    #[test]
    fn parameters() {
        assert_eq!(parameter("filename", "a \"b\".txt"), ["filename=\"a \\\"b\\\".txt\""]);
        assert_eq!(parameter("filename", "é.txt"), ["filename*=utf-8''%C3%A9.txt"]);
        let long = parameter("filename", &"é".repeat(20));
        assert_eq!(long.len(), 3);
        assert!(long[0].starts_with("filename*0*=utf-8''%C3%A9"));
        assert!(long.iter().all(|piece| piece.len() <= LINE_WANTED));
    }
}
