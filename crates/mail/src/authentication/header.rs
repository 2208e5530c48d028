//! The header of a message as signatures see it: fields in order, and by name from the last to the first.

use crate::dkim::canonical::{self, Canonicalization};
use crate::syntax::header::{self, Field};
use std::cmp::Ordering;

/// The header and the body of a message.
pub(super) struct Header<'a> {
    pub(super) fields: Vec<Field<'a>>,
    /// The fields by name, those of one name in the order in which they stand: whoever signs may list very many names.
    by_name: Vec<usize>,
    pub(super) block: &'a [u8],
    pub(super) body: &'a [u8],
    /// There is more of it than is read.
    pub(super) is_cut: bool,
    /// Every line ends in CRLF: it means the same to all who read it.
    pub(super) is_clean: bool,
}

impl<'a> Header<'a> {
    pub(super) fn read(raw: &'a [u8]) -> Self {
        let header::Header { fields, block, body, cut, .. } = header::Header::read(raw);
        let mut by_name: Vec<usize> = (0..fields.len()).collect();
        by_name.sort_by(|one, other| compare(fields[*one].name, fields[*other].name));
        Self { fields, by_name, block, body, is_cut: cut, is_clean: canonical::has_only_crlf(raw) }
    }

    /// The fields of a name, in the order in which they stand.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = (usize, &Field<'a>)> {
        self.fields.iter().enumerate().filter(move |(_, field)| field.is(name))
    }

    /// Puts the fields that a signature lists into `out`: of each name the last that was not taken before (RFC 6376
    /// §5.4.2), without the signature's own.
    pub(super) fn put_signed(&self, names: &[String], own: usize, how: Canonicalization, out: &mut Vec<u8>) {
        // How many fields of a name were taken, where the name begins.
        let mut taken = vec![0; self.by_name.len()];
        for name in names {
            let start = self.by_name.partition_point(|at| compare(self.fields[*at].name, name).is_lt());
            let count = self.by_name[start..].partition_point(|at| self.fields[*at].is(name));
            while count > 0 && taken[start] < count {
                taken[start] += 1;
                let at = self.by_name[start + count - taken[start]];
                if at != own {
                    put(&self.fields[at], how, out);
                    break;
                }
            }
        }
    }
}

/// An order of names, in which case does not count. Most names differ in length already.
fn compare(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| {
        one.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(other.bytes().map(|byte| byte.to_ascii_lowercase()))
    })
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
