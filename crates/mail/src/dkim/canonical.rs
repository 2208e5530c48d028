//! Canonicalization (RFC 6376 §3.4): relaxed, as we sign, and simple, as others may.

use aws_lc_rs::digest::{Context, Digest, SHA256};
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use memchr::{memchr, memchr2, memchr2_iter};

/// Base64 of others: with its padding or without.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether every CR is followed by LF, and every LF preceded by CR.
pub(crate) fn has_only_crlf(raw: &[u8]) -> bool {
    memchr2_iter(b'\r', b'\n', raw).all(|at| match raw[at] {
        b'\r' => raw.get(at + 1) == Some(&b'\n'),
        _ => at > 0 && raw[at - 1] == b'\r',
    })
}

/// A field: lower-case name, colon, the value in one line with single spaces, without the line end.
pub(crate) fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.to_ascii_lowercase().as_bytes());
    out.push(b':');
    let mut words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).filter(|word| !word.is_empty());
    out.extend_from_slice(words.next().unwrap_or_default());
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// The signature field itself, up to `b=` (§3.7).
pub(super) fn own_field(unsigned: &[u8]) -> Vec<u8> {
    let colon = memchr(b':', unsigned).map_or(0, |at| at + 1);
    let mut out = Vec::with_capacity(unsigned.len());
    field("DKIM-Signature", &unsigned[colon..], &mut out);
    out
}

/// SHA-256 of the body, relaxed: lines without trailing space, runs of space as one, no empty lines at the end.
pub(super) fn body_hash(body: &[u8]) -> Digest {
    hash_body(body, Canonicalization::Relaxed, None).digest
}

/// How a header or a body is made alike before it is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Canonicalization {
    /// As it is, but for empty lines at the end of a body (§3.4.1, §3.4.3).
    #[default]
    Simple,
    /// Without what servers on the way may change (§3.4.2, §3.4.4).
    Relaxed,
}

/// The hash of a body.
pub(crate) struct BodyHash {
    pub(crate) digest: Digest,
    /// Octets of the whole canonical body, hashed or not.
    pub(crate) octets: u64,
}

/// SHA-256 of a canonical body, or of its first `limit` octets (`l=`).
pub(crate) fn hash_body(body: &[u8], how: Canonicalization, limit: Option<u64>) -> BodyHash {
    let mut sink = Sink { hash: Context::new(&SHA256), octets: 0, left: limit.unwrap_or(u64::MAX) };
    match how {
        Canonicalization::Simple => simple_body(body, &mut sink),
        Canonicalization::Relaxed => relaxed_body(body, &mut sink),
    }
    BodyHash { digest: sink.hash.finish(), octets: sink.octets }
}

/// Hashes what it is given up to a limit, and counts all of it.
struct Sink {
    hash: Context,
    octets: u64,
    left: u64,
}

impl Sink {
    fn take(&mut self, octets: &[u8]) {
        let hashed = usize::try_from(self.left).unwrap_or(usize::MAX).min(octets.len());
        self.hash.update(&octets[..hashed]);
        self.left -= hashed as u64;
        self.octets += octets.len() as u64;
    }
}

/// The body with exactly one line end at its end.
fn simple_body(body: &[u8], sink: &mut Sink) {
    let mut rest = body;
    while let Some(shorter) = rest.strip_suffix(b"\r\n") {
        rest = shorter;
    }
    sink.take(rest);
    sink.take(b"\r\n");
}

fn relaxed_body(body: &[u8], sink: &mut Sink) {
    let mut line = Vec::with_capacity(1_024);
    let mut empty_lines = 0_usize;
    for text in body.split_inclusive(|&byte| byte == b'\n') {
        let text = text.strip_suffix(b"\r\n").unwrap_or(text);
        line.clear();
        relax(text, &mut line);
        if line.is_empty() {
            empty_lines += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut empty_lines) {
            sink.take(b"\r\n");
        }
        line.extend_from_slice(b"\r\n");
        sink.take(&line);
    }
}

fn relax(text: &[u8], line: &mut Vec<u8>) {
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    let mut rest = &text[..end];
    while let Some(at) = memchr2(b' ', b'\t', rest) {
        line.extend_from_slice(&rest[..at]);
        line.push(b' ');
        let next = rest[at..].iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(rest.len() - at);
        rest = &rest[at + next..];
    }
    line.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::digest::digest;

    #[test]
    fn fields() {
        // RFC 6376 §3.4.5, example 1.
        for (name, value, expected) in [("A", " X", "a:X"), ("B ", " Y\t\r\n\tZ  ", "b :Y Z")] {
            let mut out = Vec::new();
            field(name, value.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn bodies() {
        for (body, expected) in [
            (" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            ("", ""),
            ("\r\n\r\n", ""),
            (" \r\n", ""),
            ("a", "a\r\n"),
            ("a\r\n\r\nb", "a\r\n\r\nb\r\n"),
        ] {
            assert_eq!(body_hash(body.as_bytes()).as_ref(), digest(&SHA256, expected.as_bytes()).as_ref(), "{body:?}");
        }
    }

    #[test]
    fn line_ends() {
        for (raw, expected) in
            [("", true), ("a\r\nb\r\n", true), ("a\n", false), ("\n", false), ("a\rb", false), ("a\r", false)]
        {
            assert_eq!(has_only_crlf(raw.as_bytes()), expected, "{raw:?}");
        }
    }
}
