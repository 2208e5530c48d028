//! The header of a message as signatures see it: fields in order, and by name from the last to the first.

use crate::dkim::canonical::{self, Canonicalization};
use crate::syntax::header::{self, Field, Fields};
use std::collections::HashMap;

/// The header and the body of a message.
pub(super) struct Header<'a> {
    pub(super) fields: Vec<Field<'a>>,
    by_name: HashMap<String, Vec<usize>>,
    pub(super) block: &'a [u8],
    pub(super) body: &'a [u8],
    /// There is more of it than is read.
    pub(super) is_cut: bool,
    /// Every line ends in CRLF: it means the same to all who read it.
    pub(super) is_clean: bool,
}

impl<'a> Header<'a> {
    pub(super) fn read(raw: &'a [u8]) -> Self {
        let (block, body) = header::split(raw);
        let mut fields = Fields::new(block);
        let all: Vec<Field<'a>> = fields.by_ref().collect();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::with_capacity(all.len());
        for (index, field) in all.iter().enumerate() {
            by_name.entry(field.name.to_ascii_lowercase()).or_default().push(index);
        }
        Self { fields: all, by_name, block, body, is_cut: fields.cut, is_clean: canonical::has_only_crlf(raw) }
    }

    /// The fields of a name (in lower case), in the order in which they stand.
    pub(super) fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = (usize, &Field<'a>)> {
        let indexes = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        indexes.iter().map(|index| (*index, &self.fields[*index]))
    }

    /// Puts the fields that a signature lists into `out`: of each name the last that was not taken before (RFC 6376
    /// §5.4.2), without the signature's own.
    pub(super) fn put_signed(&self, names: &[String], own: usize, how: Canonicalization, out: &mut Vec<u8>) {
        let mut taken: HashMap<&str, usize> = HashMap::with_capacity(names.len());
        for name in names {
            let Some(indexes) = self.by_name.get(name.as_str()) else { continue };
            let next = taken.entry(name).or_insert(indexes.len());
            while *next > 0 {
                *next -= 1;
                if indexes[*next] != own {
                    put(&self.fields[indexes[*next]], how, out);
                    break;
                }
            }
        }
    }
}

/// Puts a field into `out`, with its line end.
pub(super) fn put(field: &Field<'_>, how: Canonicalization, out: &mut Vec<u8>) {
    match how {
        Canonicalization::Simple => out.extend_from_slice(field.raw),
        Canonicalization::Relaxed => canonical::field(field.name, field.value, out),
    }
    out.extend_from_slice(b"\r\n");
}

/// Puts the field of a signature into `out` as it was when it was signed: its `b=` empty, without its line end (RFC 6376
/// §3.7).
pub(super) fn put_own(field: &Field<'_>, how: Canonicalization, out: &mut Vec<u8>) {
    let head = field.raw.len() - field.value.len();
    let (before, after) = around_signature(field.value);
    match how {
        Canonicalization::Simple => {
            out.extend_from_slice(&field.raw[..head]);
            out.extend_from_slice(before);
            out.extend_from_slice(after);
        }
        Canonicalization::Relaxed => canonical::field(field.name, &[before, after].concat(), out),
    }
}

/// What stands before and after the value of `b=`.
fn around_signature(value: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    for tag in value.split_inclusive(|byte| *byte == b';') {
        let equals = tag.iter().position(|byte| *byte == b'=');
        if let Some(equals) = equals.filter(|equals| tag[..*equals].trim_ascii() == b"b") {
            let end = start + tag.len() - usize::from(tag.ends_with(b";"));
            return (&value[..start + equals + 1], &value[end..]);
        }
        start += tag.len();
    }
    (value, &[])
}
