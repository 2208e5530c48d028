//! Header fields (RFC 5322 §2.2): where the block ends, and the fields in it. Lines may end in CRLF or LF.
//!
//! The same iterator serves the view, loop detection, signing and reports, so that they cannot disagree.

use super::charset;
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Octets of a header block that are read; what lies beyond is not looked at.
pub(crate) const BLOCK_MAX: usize = 1 << 20;

/// Fields of a header block that are read.
pub(crate) const FIELDS_MAX: usize = 4_000;

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    /// The name, printable ASCII without colon (RFC 5322 §2.2 `ftext`).
    pub(crate) name: &'a str,
    /// Everything after the colon, folds included, without the last line end.
    pub(crate) value: &'a [u8],
    /// All of it, as it was sent, without the last line end.
    pub(crate) raw: &'a [u8],
}

impl Field<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value without folds and surrounding space, as UTF-8.
    pub(crate) fn text(&self) -> String {
        charset::header_text(unfold(self.value)).into_owned()
    }
}

/// The header of a message, taken apart once for all who look at it.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    /// The fields in order, within the limits.
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) block: &'a [u8],
    pub(crate) body: &'a [u8],
    /// The block had more octets or fields than are read.
    pub(crate) cut: bool,
    /// A line was not a field.
    pub(crate) malformed: bool,
}

impl<'a> Header<'a> {
    pub(crate) fn read(raw: &'a [u8]) -> Self {
        let mut read = Fields::new(raw);
        let mut fields = Vec::with_capacity(32);
        fields.extend(read.by_ref());
        if is_at_body(read.rest) {
            let (block, rest) = raw.split_at(raw.len().min(BLOCK_MAX) - read.rest.len());
            return Self { fields, block, body: split(rest).1, cut: false, malformed: read.malformed };
        }
        // There is no body, or it is too far away.
        let (block, body) = split(raw);
        let mut read = Fields::new(block);
        fields.clear();
        fields.extend(read.by_ref());
        Self { fields, block, body, cut: read.cut, malformed: read.malformed }
    }

    /// The fields of a name, in the order in which they stand.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &Field<'a>> {
        self.fields.iter().filter(move |field| field.is(name))
    }

    /// The first field of a name.
    pub(crate) fn first(&self, name: &str) -> Option<&Field<'a>> {
        self.all(name).next()
    }
}

/// Splits a message into its header block and its body; the blank line between belongs to neither.
pub(crate) fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    loop {
        match &raw[start..] {
            [b'\n', body @ ..] | [b'\r', b'\n', body @ ..] => return (&raw[..start], body),
            rest => match memchr(b'\n', rest) {
                Some(end) => start += end + 1,
                None => return (raw, &[]),
            },
        }
    }
}

/// The fields of a header block, in order, within the limits. Lines that are no field are skipped and noted.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    seen: usize,
    /// A line was not a field.
    pub(crate) malformed: bool,
    /// The block had more octets or fields than are read.
    pub(crate) cut: bool,
}

impl<'a> Fields<'a> {
    /// Reads a block as [`split`] returns it, or a whole message.
    pub(crate) fn new(block: &'a [u8]) -> Self {
        let cut = block.len() > BLOCK_MAX;
        Self { rest: &block[..block.len().min(BLOCK_MAX)], seen: 0, malformed: false, cut }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while !self.rest.is_empty() && !is_at_body(self.rest) {
            if self.seen == FIELDS_MAX {
                self.cut = true;
                break;
            }
            self.seen += 1;
            let (line, rest) = self.rest.split_at(folded_len(self.rest));
            self.rest = rest;
            match parse(line) {
                Some(field) => return Some(field),
                None => self.malformed = true,
            }
        }
        None
    }
}

/// Whether there is the blank line that ends a header block.
fn is_at_body(rest: &[u8]) -> bool {
    matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..])
}

/// Length of the first line together with its continuation lines (RFC 5322 §2.2.3) and line ends.
pub(crate) fn folded_len(rest: &[u8]) -> usize {
    let mut end = 0;
    loop {
        end += memchr(b'\n', &rest[end..]).map_or(rest.len() - end, |at| at + 1);
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

/// The field of a line and its continuations; none if it is no field.
pub(crate) fn parse(line: &[u8]) -> Option<Field<'_>> {
    let colon = memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let raw = line.strip_suffix(b"\n").unwrap_or(line);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let value = raw.get(colon + 1..).unwrap_or_default();
    Some(Field { name: std::str::from_utf8(name).ok()?, value, raw })
}

/// Takes the line ends out, which leaves the folding space (RFC 5322 §2.2.3).
fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    match memchr2(b'\r', b'\n', value) {
        None => Cow::Borrowed(value),
        Some(_) => value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &[(&str, &str)], body: &str) {
        let (block, rest) = split(raw.as_bytes());
        let fields: Vec<_> = Fields::new(block).map(|field| (field.name, field.text())).collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(fields, expected, "{raw:?}");
        assert_eq!(rest, body.as_bytes(), "{raw:?}");
    }

    #[test]
    fn blocks() {
        check("", &[], "");
        check("\r\nbody", &[], "body");
        check("A: 1\r\nB : 2\r\n  3\r\n\tx\r\n\r\nbody\r\n\r\n", &[("A", "1"), ("B", "2  3\tx")], "body\r\n\r\n");
        check("A: 1\nB:2\n\nbody", &[("A", "1"), ("B", "2")], "body");
        check("A: 1", &[("A", "1")], "");
        check(
            "From x@y Mon\nA: 1\n folded\nno colon\n and more\nb c: 3\n: 4\nA: 2\n\n",
            &[("A", "1 folded"), ("A", "2")],
            "",
        );
    }

    #[test]
    fn limits() {
        let at = "A: 1\r\n".repeat(FIELDS_MAX);
        let mut fields = Fields::new(at.as_bytes());
        assert_eq!(fields.by_ref().count(), FIELDS_MAX);
        assert!(!fields.cut);
        let above = format!("{at}A: 1\r\n");
        let mut fields = Fields::new(above.as_bytes());
        assert_eq!(fields.by_ref().count(), FIELDS_MAX);
        assert!(fields.cut);
        assert!(!Fields::new(&vec![b'a'; BLOCK_MAX]).cut);
        assert!(Fields::new(&vec![b'a'; BLOCK_MAX + 1]).cut);
    }

    #[test]
    fn taken_apart_at_once_as_in_steps() {
        let (many, more) = ("A: 1\r\n".repeat(FIELDS_MAX), "A: 1\r\n".repeat(FIELDS_MAX + 1));
        let wide = |octets: usize| format!("A: {}\r\n", "a".repeat(octets - 5));
        for head in [
            String::new(),
            "A: 1".to_owned(),
            "A: 1\n b\n".to_owned(),
            "no field\r\nA: 1\r\n".to_owned(),
            many,
            more,
            wide(BLOCK_MAX - 2),
            wide(BLOCK_MAX - 1),
            wide(BLOCK_MAX),
            wide(BLOCK_MAX + 1),
            "A: 1\r\n".to_owned() + &wide(BLOCK_MAX),
        ] {
            for body in ["", "\r\n", "\n", "\r\nbody\r\n", "\n x: y\n"] {
                let raw = format!("{head}{body}");
                let header = Header::read(raw.as_bytes());
                let (block, rest) = split(raw.as_bytes());
                let mut fields = Fields::new(block);
                let values: Vec<_> = fields.by_ref().map(|field| (field.name, field.value)).collect();
                let found: Vec<_> = header.fields.iter().map(|field| (field.name, field.value)).collect();
                let start: String = raw.chars().take(20).collect();
                assert!(found == values, "{start:?} {body:?}");
                assert!((header.block, header.body, header.cut) == (block, rest, fields.cut), "{start:?} {body:?}");
                assert_eq!(header.malformed, fields.malformed, "{start:?} {body:?}");
            }
        }
    }
}
