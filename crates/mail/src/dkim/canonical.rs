//! Canonicalization (RFC 6376 §3.4): relaxed, as we sign, and simple, as others may.

use aws_lc_rs::digest::{Context, Digest, SHA256};
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use memchr::memchr;

/// Base64 of others: with its padding or without.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether every CR is followed by LF, and every LF preceded by CR.
pub(crate) fn has_only_crlf(raw: &[u8]) -> bool {
    let (Some(first), Some(last)) = (raw.first(), raw.last()) else { return true };
    // All of it is looked at, and nothing is decided on the way: many octets at once.
    let pairs = raw.iter().zip(&raw[1..]);
    let has_odd = pairs.fold(false, |odd, (one, next)| odd | ((*one == b'\r') != (*next == b'\n')));
    *first != b'\n' && *last != b'\r' && !has_odd
}

/// A field: lower-case name, colon, the value in one line with single spaces, without the line end.
pub(crate) fn field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
    out.push(b':');
    let Some(start) = value.iter().position(|byte| !is_blank(*byte)) else { return };
    let mut rest = without_blank_end(&value[start..]);
    // More than a single space between words.
    let is_odd = |one, next| matches!(one, b'\t' | b'\r' | b'\n') | ((one == b' ') & (next <= b' '));
    while let Some(at) = find_pair(rest, is_odd) {
        out.extend_from_slice(&rest[..at]);
        out.push(b' ');
        let blanks = rest[at..].iter().take_while(|byte| is_blank(**byte)).count();
        rest = &rest[at + blanks..];
    }
    out.extend_from_slice(rest);
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn without_blank_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |at| at + 1);
    &text[..end]
}

/// Where the first octet is that makes, with the one behind it, an odd pair. Looks at many octets at once: in most texts
/// such a pair is rare.
fn find_pair(text: &[u8], is_odd: impl Fn(u8, u8) -> bool) -> Option<usize> {
    const STRIDE: usize = 32;
    let mut start = 0;
    while let Some(ahead) = text[start..].first_chunk::<{ STRIDE + 1 }>() {
        let pairs = ahead.iter().zip(&ahead[1..]);
        if pairs.fold(false, |found, (one, next)| found | is_odd(*one, *next)) {
            break;
        }
        start += STRIDE;
    }
    let within = text[start..].windows(2).position(|pair| is_odd(pair[0], pair[1]))?;
    Some(start + within)
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

/// SHA-256 of a canonical body, or of its first `limit` octets (`l=`). Lines end in CRLF: who signs or checks has seen to that.
pub(crate) fn hash_body(body: &[u8], how: Canonicalization, limit: Option<u64>) -> BodyHash {
    let mut sink = Sink::new(limit.unwrap_or(u64::MAX));
    match how {
        Canonicalization::Simple => simple_body(body, &mut sink),
        Canonicalization::Relaxed => relaxed_body(body, &mut sink),
    }
    sink.finish()
}

/// Hashes what it is given up to a limit, and counts all of it. Small pieces are put together: each that is hashed costs a
/// call.
struct Sink {
    hash: Context,
    together: Vec<u8>,
    octets: u64,
    left: u64,
}

impl Sink {
    /// Octets that are put together.
    const TOGETHER: usize = 4_096;

    fn new(limit: u64) -> Self {
        Self { hash: Context::new(&SHA256), together: Vec::with_capacity(Self::TOGETHER), octets: 0, left: limit }
    }

    fn take(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        let hashed = usize::try_from(self.left).unwrap_or(usize::MAX).min(octets.len());
        self.left -= hashed as u64;
        if self.together.len() + hashed > Self::TOGETHER {
            self.hash.update(&self.together);
            self.together.clear();
        }
        match hashed {
            Self::TOGETHER.. => self.hash.update(&octets[..hashed]),
            _ => self.together.extend_from_slice(&octets[..hashed]),
        }
    }

    fn finish(mut self) -> BodyHash {
        self.hash.update(&self.together);
        BodyHash { digest: self.hash.finish(), octets: self.octets }
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

/// The body without empty lines at its end, and with other space than single ones between words made one or none.
fn relaxed_body(body: &[u8], sink: &mut Sink) {
    let mut rest = without_blank_end(body);
    if rest.is_empty() {
        return;
    }
    while let Some(at) = find_pair(rest, |one, next| (one == b'\t') | ((one == b' ') & (next <= b' '))) {
        sink.take(&rest[..at]);
        let blanks = rest[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        rest = &rest[at + blanks..];
        if !rest.starts_with(b"\r\n") {
            sink.take(b" ");
        }
    }
    sink.take(rest);
    sink.take(b"\r\n");
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

    /// RFC 6376 §3.4.2 word by word.
    fn plain_field(value: &str) -> String {
        let words: Vec<&str> = value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty()).collect();
        format!("x:{}", words.join(" "))
    }

    /// RFC 6376 §3.4.4 line by line.
    fn plain_body(body: &str) -> String {
        let line = |line: &str| {
            let words: Vec<&str> = line.trim_end_matches([' ', '\t']).split([' ', '\t']).collect();
            let start = if words.len() > 1 && words[0].is_empty() { " " } else { "" };
            start.to_owned() + &words.iter().copied().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        };
        let text = body.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n");
        let text = text.trim_end_matches("\r\n");
        if text.is_empty() { String::new() } else { format!("{text}\r\n") }
    }

    proptest::proptest! {
        #[test]
        fn as_the_standard_has_it(text in "([abc]{1,9}|[ \t]{1,3}|\u{1}|é|\r\n){0,60}", long in "(word ?word ){0,200}") {
            for text in [&text, &format!("{long}{text}{long}{text}")] {
                let mut out = Vec::new();
                field("X", text.as_bytes(), &mut out);
                proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), plain_field(text));
                let expected = plain_body(text);
                for limit in [expected.len(), expected.len() / 2] {
                    let found = hash_body(text.as_bytes(), Canonicalization::Relaxed, Some(limit as u64));
                    let wanted = digest(&SHA256, &expected.as_bytes()[..limit]);
                    proptest::prop_assert_eq!(found.digest.as_ref(), wanted.as_ref());
                    proptest::prop_assert_eq!(found.octets, expected.len() as u64);
                }
            }
        }

        #[test]
        fn line_ends_anywhere(text in "(a{1,40}|\r\n|\r|\n){0,12}") {
            let bare = text.replace("\r\n", "").contains(['\r', '\n']);
            proptest::prop_assert_eq!(has_only_crlf(text.as_bytes()), !bare);
        }
    }
}
