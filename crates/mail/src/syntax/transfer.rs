//! Content transfer encodings (RFC 2045 §6), read leniently: what is not part of the alphabet is passed over.

use memchr::memchr;
use std::borrow::Cow;

/// Octets of white space at the end of a line that are taken for added on the way. More of it is kept: nobody has to hold
/// any number of them until the line ends.
const SPACE_OCTETS_MAX: usize = 4 << 10;

/// How a body is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
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

/// Decodes a body piece by piece, with little memory; what comes out is what [`decode`] returns of the whole.
#[derive(Clone, Debug)]
pub struct Decoder(State);

#[derive(Clone, Debug)]
enum State {
    Identity,
    Base64(Sextets),
    QuotedPrintable(Line),
}

impl Decoder {
    /// A decoder at the beginning of a body.
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::Identity => State::Identity,
            Encoding::Base64 => State::Base64(Sextets::default()),
            Encoding::QuotedPrintable => State::QuotedPrintable(Line::default()),
        })
    }

    /// Takes the next piece, and appends what is certain by now.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(piece),
            State::Base64(sextets) => sextets.feed(piece, out),
            State::QuotedPrintable(line) => line.feed(piece, out),
        }
    }

    /// Appends what is left at the end of the body.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.0 {
            State::Identity => {}
            State::Base64(Sextets { bits, held }) => flush(out, *bits, held),
            State::QuotedPrintable(line) => line.end(out),
        }
    }
}

/// Decodes base64; padding ends a group, and another may follow, as concatenated pieces have it.
pub(crate) fn base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let mut sextets = Sextets::default();
    sextets.feed(body, &mut out);
    flush(&mut out, sextets.bits, &mut sextets.held);
    out
}

/// A group of base64 that is not complete.
#[derive(Clone, Debug, Default)]
struct Sextets {
    bits: u32,
    held: u32,
}

impl Sextets {
    fn feed(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let (mut bits, mut held) = (self.bits, self.held);
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
                flush(out, bits, &mut held);
            }
        }
        *self = Self { bits, held };
    }
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
        quoted_line(line, false, &mut out);
    }
    out
}

/// Decodes a line with its end. `keeps_space`: it goes on one with more white space than was added on the way.
fn quoted_line(line: &[u8], keeps_space: bool, out: &mut Vec<u8>) {
    let (text, end) = match line {
        [text @ .., b'\r', b'\n'] => (text, b"\r\n".as_slice()),
        [text @ .., b'\n'] => (text, b"\n".as_slice()),
        text => (text, b"".as_slice()),
    };
    // Space before a line end was added on the way (§6.7 rule 3).
    let seen = text.trim_ascii_end();
    let is_kept = text.len() - seen.len() > SPACE_OCTETS_MAX || (seen.is_empty() && keeps_space);
    let text = if is_kept { text } else { seen };
    match text.strip_suffix(b"=") {
        Some(text) => unescape_into(text, b'=', out),
        None => {
            unescape_into(text, b'=', out);
            out.extend_from_slice(end);
        }
    }
}

/// A line of quoted-printable that has not ended, as far as it is not decoded yet.
#[derive(Clone, Debug, Default)]
struct Line {
    held: Vec<u8>,
    /// The white space that stands in front of it is kept.
    keeps_space: bool,
}

impl Line {
    fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        for line in pieces(piece, b'\n') {
            if self.held.is_empty() && line.ends_with(b"\n") {
                quoted_line(line, self.keeps_space, out);
                self.keeps_space = false;
                continue;
            }
            self.held.extend_from_slice(line);
            match line.ends_with(b"\n") {
                true => self.end(out),
                false => self.release(out),
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        quoted_line(&self.held, self.keeps_space, out);
        *self = Self::default();
    }

    /// Decodes what does not depend on what follows: not the white space that may be the last, nor an escape or a mark for
    /// a soft line end that may not be complete.
    fn release(&mut self, out: &mut Vec<u8>) {
        // It may belong to the line end.
        let held = self.held.strip_suffix(b"\r").unwrap_or(&self.held);
        let seen = held.trim_ascii_end().len();
        let done = if held.len() - seen > SPACE_OCTETS_MAX {
            self.keeps_space = true;
            unescape_until(held, b'=', held.len(), out)
        } else {
            self.keeps_space &= seen == 0;
            if self.keeps_space {
                out.extend_from_slice(held);
                held.len()
            } else {
                unescape_until(&held[..seen], b'=', seen.saturating_sub(2), out)
            }
        };
        self.held.drain(..done);
    }
}

/// Replaces each `mark` with two hexadecimal digits by the octet; others stay as they are.
pub(crate) fn unescape(text: &[u8], mark: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    unescape_into(text, mark, &mut out);
    out
}

fn unescape_into(text: &[u8], mark: u8, out: &mut Vec<u8>) {
    unescape_until(text, mark, text.len(), out);
}

/// The same for what begins before `end`; answers how far it came.
fn unescape_until(text: &[u8], mark: u8, end: usize, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while at < end {
        let Some(next) = memchr(mark, &text[at..end]) else {
            out.extend_from_slice(&text[at..end]);
            return end;
        };
        out.extend_from_slice(&text[at..at + next]);
        at += next;
        let octet = text.get(at + 1..at + 3).and_then(|digits| Some(hex(digits[0])? << 4 | hex(digits[1])?));
        out.push(octet.unwrap_or(mark));
        at += if octet.is_some() { 3 } else { 1 };
    }
    at
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

    /// Whatever stands in one line, little of it is held.
    #[test]
    fn a_line_without_end_is_decoded_as_it_comes() {
        for octets in [b"=", b" ", b"a", b"\r"] {
            let (mut decoder, mut out) = (Decoder::new(Encoding::QuotedPrintable), Vec::new());
            let piece = octets.repeat(10_000);
            for _ in 0..10 {
                decoder.feed(&piece, &mut out);
                let State::QuotedPrintable(line) = &decoder.0 else { unreachable!() };
                assert!(line.held.len() <= SPACE_OCTETS_MAX + 4, "{} of {octets:?}", line.held.len());
            }
            decoder.finish(&mut out);
            assert_eq!(out, quoted_printable(&octets.repeat(100_000)));
        }
    }

    proptest! {
        /// However a body is cut.
        #[test]
        fn pieces_decode_to_the_same(body in proptest::collection::vec(
            proptest::sample::select(b"=AaZ09 \t\r\n+/x".as_slice()), 0..400), cuts: Vec<u8>, spaces in 0_usize..3)
        {
            // A run of white space about as long as the limit.
            let run = [0, SPACE_OCTETS_MAX, SPACE_OCTETS_MAX + 1][spaces];
            let middle = body.len() / 2;
            let body = [&body[..middle], &b" ".repeat(run)[..], &body[middle..]].concat();
            for encoding in [Encoding::Identity, Encoding::Base64, Encoding::QuotedPrintable] {
                let (mut decoder, mut out, mut rest) = (Decoder::new(encoding), Vec::new(), body.as_slice());
                for cut in &cuts {
                    let (piece, after) = rest.split_at(usize::from(*cut).min(rest.len()));
                    decoder.feed(piece, &mut out);
                    rest = after;
                }
                decoder.feed(rest, &mut out);
                decoder.finish(&mut out);
                prop_assert_eq!(&out, &*decode(encoding, &body));
            }
        }

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
