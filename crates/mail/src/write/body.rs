//! Bodies: quoted-printable and base64 (RFC 2045 §6), and the framing of multiparts (RFC 2046 §5.1).

use super::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memchr;

/// Octets of an encoded line (RFC 2045 §6.7 and §6.8).
const LINE_MAX: usize = 76;

/// Writes Content-Transfer-Encoding, a blank line and the text, in whichever encoding is shorter.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    let text = with_crlf(text);
    let encoded = quoted_printable(text.as_bytes());
    if encoded.len() <= text.len().div_ceil(3) * 4 + text.len() / 16 {
        header::tokens(out, "Content-Transfer-Encoding", ["quoted-printable"]);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&encoded);
    } else {
        octets(out, text.as_bytes());
    }
}

/// Writes Content-Transfer-Encoding, a blank line and the octets in base64.
pub(crate) fn octets(out: &mut Vec<u8>, content: &[u8]) {
    header::tokens(out, "Content-Transfer-Encoding", ["base64"]);
    out.extend_from_slice(b"\r\n");
    out.reserve(content.len() / 57 * 78 + 80);
    let mut lines = content.chunks(LINE_MAX / 4 * 3);
    if let Some(first) = lines.next() {
        out.extend_from_slice(STANDARD.encode(first).as_bytes());
    }
    for line in lines {
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(STANDARD.encode(line).as_bytes());
    }
}

/// Writes Content-Transfer-Encoding, a blank line and the octets as they are. Only for what [`is_seven_bit`].
pub(crate) fn verbatim(out: &mut Vec<u8>, content: &[u8]) {
    header::tokens(out, "Content-Transfer-Encoding", ["7bit"]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(content);
}

/// Whether octets can travel as they are: ASCII without NUL, CRLF line ends only, no line over 998 octets.
pub(crate) fn is_seven_bit(content: &[u8]) -> bool {
    let is_clean = |line: &[u8]| {
        line.len() <= header::LINE_MAX && line.iter().all(|&byte| byte.is_ascii() && byte != 0 && byte != b'\r')
    };
    let mut rest = content;
    while let Some(at) = memchr(b'\n', rest) {
        if !rest[..at].strip_suffix(b"\r").is_some_and(is_clean) {
            return false;
        }
        rest = &rest[at + 1..];
    }
    is_clean(rest)
}

/// All line ends as CRLF.
fn with_crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str("\r\n");
        let end = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[at + end..];
    }
    out.push_str(rest);
    out
}

/// Encodes text with CRLF line ends. Dots and "From " at the beginning of a line are encoded too: both are changed by
/// careless software on the way.
fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut lines = text.split(|&byte| byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let has_end = lines.peek().is_some();
        let line = if has_end { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        encode_line(line, &mut out);
        if has_end {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn encode_line(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    for (at, &byte) in line.iter().enumerate() {
        let is_last = at + 1 == line.len();
        let width = |column| if is_literal(&line[at..], column) { 1 } else { 3 };
        // Room for the soft line break, unless this ends the line.
        if column + width(column) + usize::from(!is_last) > LINE_MAX {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if is_literal(&line[at..], column) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
        }
        column += width(column);
    }
}

/// Whether the first of the octets, the rest of a line, stands for itself in a column.
fn is_literal(rest: &[u8], column: usize) -> bool {
    match rest {
        [b'=', ..] | [b' ' | b'\t'] => false,
        [b' ' | b'\t', ..] => true,
        [b'.', ..] | [b'F', b'r', b'o', b'm', b' ', ..] => column > 0,
        [byte, ..] => byte.is_ascii_graphic(),
        [] => true,
    }
}

/// Names of boundaries, drawn from a seed. `=_` cannot occur in quoted-printable or base64 (RFC 2045 §6.7 advises it),
/// and nobody who writes a part of the message knows the seed.
pub(crate) struct Boundaries {
    seed: [u8; 16],
    next: u32,
}

impl Boundaries {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        Self { seed, next: 0 }
    }

    /// The next one.
    pub(crate) fn draw(&mut self) -> String {
        self.next += 1;
        let seed: String = self.seed.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("=_{seed}_{}", self.next)
    }
}

/// Writes the Content-Type of a multipart, and the blank line.
pub(crate) fn begin_multipart(out: &mut Vec<u8>, kind: &str, parameters: &[(&str, &str)], boundary: &str) {
    let mut field = header::FieldWriter::new(out, "Content-Type");
    field.token(&format!("{kind};"));
    for (name, value) in parameters {
        field.token(&format!("{name}={};", header::quoted(value)));
    }
    field.token(&format!("boundary={}", header::quoted(boundary))).end();
    out.extend_from_slice(b"\r\n");
}

/// Writes the line before a part.
pub(crate) fn begin_part(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
}

/// Writes the line end that belongs to the next boundary line.
pub(crate) fn end_part(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Writes the line after the last part.
pub(crate) fn end_multipart(out: &mut Vec<u8>, boundary: &str) {
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::transfer::{Encoding, decode};
    use proptest::prelude::*;

    #[test]
    fn quoted_printable_forms() {
        for (text, expected) in [
            ("", ""),
            ("a=b\r\nc ", "a=3Db\r\nc=20"),
            (" a\r\n.\r\nFrom x\r\n", " a\r\n=2E\r\n=46rom x\r\n"),
            ("é", "=C3=A9"),
            (&"a".repeat(76), &"a".repeat(76)),
            (&"a".repeat(77), &format!("{}=\r\naa", "a".repeat(75))),
        ] {
            assert_eq!(String::from_utf8(quoted_printable(text.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn seven_bit() {
        let long = "a".repeat(header::LINE_MAX);
        for (content, expected) in [
            ("", true),
            ("a\r\nb", true),
            ("a\nb", false),
            ("a\rb", false),
            ("a\0", false),
            ("é", false),
            (&long, true),
            (&format!("{long}a"), false),
        ] {
            assert_eq!(is_seven_bit(content.as_bytes()), expected);
        }
    }

    proptest! {
        #[test]
        fn bodies_come_back(body in "([a-z .=\t\u{e9}\u{4e2d}]|From |\n){0,300}") {
            let mut out = Vec::new();
            text(&mut out, &body);
            let written = String::from_utf8(out).unwrap();
            prop_assert!(written.split("\r\n").all(|line| line.len() <= LINE_MAX && line.is_ascii()));
            let (field, encoded) = written.split_once("\r\n\r\n").unwrap();
            let encoding = Encoding::parse(field.rsplit(' ').next().unwrap());
            prop_assert_eq!(String::from_utf8(decode(encoding, encoded.as_bytes()).into_owned()).unwrap(), with_crlf(&body));
        }
    }
}
