//! Bodies: quoted-printable and base64 (RFC 2045 §6), and the framing of multiparts (RFC 2046 §5.1).

use super::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

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
    content.split(|&byte| byte == b'\n').enumerate().all(|(index, line)| {
        let is_last = content.len() == line.len() + (content.len() - line.len()) && ends_here(content, line);
        let (line, has_cr) = line.strip_suffix(b"\r").map_or((line, false), |line| (line, true));
        let _ = index;
        (has_cr || is_last)
            && line.len() <= header::LINE_MAX
            && line.iter().all(|&byte| byte.is_ascii() && byte != 0 && byte != b'\r')
    })
}

fn ends_here(content: &[u8], line: &[u8]) -> bool {
    content.as_ptr_range().end == line.as_ptr_range().end
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
        let is_literal = match byte {
            b'=' => false,
            b' ' | b'\t' => !is_last,
            b'.' => column > 0,
            b'F' => column > 0 || !line[at..].starts_with(b"From "),
            byte => byte.is_ascii_graphic(),
        };
        let width = if is_literal { 1 } else { 3 };
        // Room for the soft line break, unless this ends the line.
        if column + width + usize::from(!is_last) > LINE_MAX {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if is_literal && (column > 0 || byte != b'.') {
            out.push(byte);
            column += 1;
        } else {
            out.extend_from_slice(format!("={byte:02X}").as_bytes());
            column += 3;
        }
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
