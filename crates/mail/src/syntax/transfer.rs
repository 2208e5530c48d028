//! Content transfer encodings (RFC 2045 §6), read leniently: what is not part of the alphabet is passed over.

use memchr::memchr;
use std::borrow::Cow;

/// How a body is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Encoding {
    /// 7bit, 8bit, binary, and every name that is not known.
    #[default]
    Identity,
    /// RFC 2045 §6.8.
    Base64,
    /// RFC 2045 §6.7.
    QuotedPrintable,
}

impl Encoding {
    pub(crate) fn parse(value: &str) -> Self {
        let name = value.split([';', '(', ' ']).next().unwrap_or_default();
        if name.eq_ignore_ascii_case("base64") {
            Self::Base64
        } else if name.eq_ignore_ascii_case("quoted-printable") {
            Self::QuotedPrintable
        } else {
            Self::Identity
        }
    }
}

/// Decodes a body.
pub(crate) fn decode(encoding: Encoding, body: &[u8]) -> Cow<'_, [u8]> {
    match encoding {
        Encoding::Identity => Cow::Borrowed(body),
        Encoding::Base64 => Cow::Owned(base64(body)),
        Encoding::QuotedPrintable => Cow::Owned(quoted_printable(body)),
    }
}

/// How many octets [`decode`] would return.
pub(crate) fn decoded_len(encoding: Encoding, body: &[u8]) -> usize {
    match encoding {
        Encoding::Identity => body.len(),
        Encoding::Base64 => base64_len(body),
        Encoding::QuotedPrintable => quoted_printable(body).len(),
    }
}

/// Decodes base64; padding ends a group, and another may follow, as concatenated pieces have it.
pub(crate) fn base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in body {
        let value = SEXTETS[usize::from(byte)];
        if value < 64 {
            bits = bits << 6 | u32::from(value);
            held += 1;
            if held == 4 {
                out.extend_from_slice(&bits.to_be_bytes()[1..]);
                held = 0;
            }
        } else if byte == b'=' {
            flush(&mut out, bits, &mut held);
        }
    }
    flush(&mut out, bits, &mut held);
    out
}

fn flush(out: &mut Vec<u8>, bits: u32, held: &mut u32) {
    let group = (bits << (6 * (4 - *held))).to_be_bytes();
    out.extend_from_slice(&group[1..1 + group_len(*held)]);
    *held = 0;
}

/// Octets in a group of `symbols` symbols, fewer than four.
fn group_len(symbols: u32) -> usize {
    symbols.saturating_sub(1).min(2) as usize
}

fn base64_len(body: &[u8]) -> usize {
    let of_symbols = |count: usize| count / 4 * 3 + group_len((count % 4) as u32);
    pieces(body, b'=').map(|piece| of_symbols(piece.iter().filter(|byte| is_symbol(**byte)).count())).sum()
}

/// Whether an octet is one of the 64. Compared rather than looked up: many at once.
fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/')
}

/// A text in pieces, each with the mark at its end but for the last.
fn pieces(text: &[u8], mark: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(memchr(mark, rest).map_or(rest.len(), |at| at + 1));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Whether there are octets in base64 that do not belong there, or letters behind its end: what some readers pass over
/// and others stop at (RFC 4648 §3.3).
pub(crate) fn has_junk(body: &[u8]) -> bool {
    let end = memchr(b'=', body).unwrap_or(body.len());
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let has_other = body[..end].iter().fold(false, |found, byte| found | !(is_symbol(*byte) | is_blank(byte)));
    has_other || !body[end..].iter().all(|byte| *byte == b'=' || is_blank(byte))
}

static SEXTETS: [u8; 256] = sextets();

const fn sextets() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
}

fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in pieces(body, b'\n') {
        let (text, end) = match line {
            [text @ .., b'\r', b'\n'] => (text, b"\r\n".as_slice()),
            [text @ .., b'\n'] => (text, b"\n".as_slice()),
            text => (text, b"".as_slice()),
        };
        // Space before a line end was added on the way (§6.7 rule 3).
        let text = text.trim_ascii_end();
        match text.strip_suffix(b"=") {
            Some(text) => unescape_into(text, b'=', &mut out),
            None => {
                unescape_into(text, b'=', &mut out);
                out.extend_from_slice(end);
            }
        }
    }
    out
}

/// Replaces each `mark` with two hexadecimal digits by the octet; others stay as they are.
pub(crate) fn unescape(text: &[u8], mark: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    unescape_into(text, mark, &mut out);
    out
}

fn unescape_into(mut text: &[u8], mark: u8, out: &mut Vec<u8>) {
    while let Some(at) = memchr(mark, text) {
        out.extend_from_slice(&text[..at]);
        let octet = text.get(at + 1..at + 3).and_then(|digits| Some(hex(digits[0])? << 4 | hex(digits[1])?));
        out.push(octet.unwrap_or(mark));
        text = &text[at + if octet.is_some() { 3 } else { 1 }..];
    }
    out.extend_from_slice(text);
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_forms() {
        for (text, expected) in [
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8=\r\n", "hello"),
            ("aGVsbG8", "hello"),
            ("aGVs!bG8", "hello"),
            ("aGk=aGk=", "hihi"),
            ("====", ""),
            ("a", ""),
            ("", ""),
        ] {
            assert_eq!(base64(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn quoted_printable_forms() {
        for (text, expected) in [
            ("a=3Db", "a=b"),
            ("a=3db=\r\nc", "a=bc"),
            ("a  \r\nb", "a\r\nb"),
            ("a=  \nb", "ab"),
            ("a=ZZ=4", "a=ZZ=4"),
            ("a\nb\n", "a\nb\n"),
            ("a=", "a"),
        ] {
            assert_eq!(quoted_printable(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn lengths_agree(body: Vec<u8>, text in "[A-Za-z0-9+/= \r\n]{0,80}") {
            for encoding in [Encoding::Identity, Encoding::Base64, Encoding::QuotedPrintable] {
                for body in [&body[..], text.as_bytes()] {
                    prop_assert_eq!(decode(encoding, body).len(), decoded_len(encoding, body));
                }
            }
        }
    }
}
