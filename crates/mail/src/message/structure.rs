//! The tree of parts of a message (RFC 2046 §5.1), found in one pass over its lines.
//!
//! A boundary line is matched as a whole line against all open multiparts, the innermost first. Depth and number of
//! parts are limited: beyond a limit the bytes stay part of what encloses them, and the defect is noted. A message
//! inside the message is one part, not descended into.

use super::{Defect, ids};
use crate::syntax::header::{Field, Fields, Header};
use crate::syntax::parameter::Parameterized;
use crate::syntax::transfer::Encoding;
use memchr::{memchr, memchr2_iter, memmem};
use std::borrow::Cow;
use std::sync::OnceLock;

/// Multiparts inside each other that are opened.
pub const NESTING_MAX: usize = 50;

/// Parts of a message that are told apart.
pub const PARTS_MAX: usize = 2_000;

/// Octets of a boundary; RFC 2046 §5.1.1 allows 70, some senders use more.
const BOUNDARY_MAX: usize = 200;

/// A part. The message itself is part 0; the others follow in the order in which they stand.
#[derive(Debug, Default)]
pub(crate) struct Part<'a> {
    /// The enclosing multipart; 0 for part 0.
    pub(crate) parent: usize,
    /// Has parts in it, and no content of its own.
    pub(crate) is_multipart: bool,
    /// The content, encoded as it came.
    pub(crate) content: &'a [u8],
    pub(crate) encoding: Encoding,
    pub(crate) content_type: Parameterized,
    pub(crate) disposition: Option<Parameterized>,
    pub(crate) content_id: Option<String>,
    /// Whether its text is kept once it was decoded.
    pub(super) keeps_text: bool,
    pub(super) text: OnceLock<Cow<'a, str>>,
}

/// The parts of a message, at least one.
#[derive(Debug, Default)]
pub(crate) struct Structure<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) defects: Vec<Defect>,
}

/// Finds the parts. Never fails: what is no multipart is one part.
pub(crate) fn parse(raw: &[u8]) -> Structure<'_> {
    below(raw, &Header::read(raw))
}

/// Finds the parts of a message below its header.
pub(crate) fn below<'a>(raw: &'a [u8], header: &Header<'a>) -> Structure<'a> {
    let dashes = memmem::Finder::new(b"\n--");
    let (open, fields) = (Vec::new(), Vec::new());
    let mut walk = Walk { raw, dashes, open, leaf: None, fields, found: Structure::default() };
    let mut at = raw.len() - header.body.len();
    let top = walk.read_fields(&header.fields, header.block, (header.cut, header.malformed));
    walk.begin(top, at);
    while let Some(delimiter) = walk.next_delimiter(at) {
        at = walk.take(&delimiter);
    }
    walk.leave(0, raw.len());
    walk.found
}

struct Walk<'a> {
    raw: &'a [u8],
    dashes: memmem::Finder<'static>,
    /// The multiparts that we are in, outermost first.
    open: Vec<Open>,
    /// The part being read that is no multipart, and where its content begins.
    leaf: Option<(usize, usize)>,
    /// Room for the header fields of a part.
    fields: Vec<Field<'a>>,
    found: Structure<'a>,
}

struct Open {
    part: usize,
    boundary: Vec<u8>,
    has_children: bool,
    start: usize,
}

/// A boundary line.
struct Delimiter {
    /// Which open multipart it belongs to.
    of: usize,
    is_close: bool,
    start: usize,
    end: usize,
}

impl<'a> Walk<'a> {
    /// Begins a part at its header block. Returns where its content begins.
    fn enter(&mut self, start: usize, parent: usize) -> usize {
        let (block_end, content) = self.header_block(start);
        let block = &self.raw[start..block_end];
        let (mut fields, mut read) = (std::mem::take(&mut self.fields), Fields::new(block));
        fields.clear();
        fields.extend(read.by_ref());
        let mut part = self.read_fields(&fields, block, (read.cut, read.malformed));
        self.fields = fields;
        part.parent = parent;
        self.begin(part, content);
        content
    }

    /// Begins a part whose content begins there.
    fn begin(&mut self, mut part: Part<'a>, content: usize) {
        let index = self.found.parts.len();
        match self.boundary(&mut part) {
            Some(boundary) => {
                part.is_multipart = true;
                self.leaf = None;
                self.open.push(Open { part: index, boundary, has_children: false, start: content });
            }
            None => self.leaf = Some((index, content)),
        }
        self.found.parts.push(part);
    }

    /// Where the header block ends and the content begins: behind a blank line, or at a boundary line that comes
    /// before one.
    fn header_block(&self, start: usize) -> (usize, usize) {
        let mut at = start;
        loop {
            match &self.raw[at..] {
                [] => return (at, at),
                [b'\n', ..] => return (at, at + 1),
                [b'\r', b'\n', ..] => return (at, at + 2),
                [b'-', b'-', ..] if self.delimiter_at(at).is_some() => return (at, at),
                _ => at = self.line_end(at),
            }
        }
    }

    fn line_end(&self, at: usize) -> usize {
        memchr(b'\n', &self.raw[at..]).map_or(self.raw.len(), |end| at + end + 1)
    }

    /// Reads the fields of a block, of which something was cut off or malformed.
    fn read_fields(&mut self, fields: &[Field<'a>], block: &[u8], (cut, malformed): (bool, bool)) -> Part<'a> {
        let mut part = Part::default();
        let (mut content_type, mut encoding) = (None, None);
        for field in fields.iter().filter(|field| is_of_content(field)) {
            if field.is("Content-Type") && first_of(&content_type, &mut self.found.defects) {
                content_type = Some(Parameterized::parse(&field.text()));
            } else if field.is("Content-Disposition") && first_of(&part.disposition, &mut self.found.defects) {
                part.disposition = Some(Parameterized::parse(&field.text()));
            } else if field.is("Content-Transfer-Encoding") && first_of(&encoding, &mut self.found.defects) {
                encoding = Some(Encoding::parse(&field.text()));
            } else if field.is("Content-ID") && part.content_id.is_none() {
                part.content_id = ids(&field.text()).pop();
            }
        }
        if cut {
            note(&mut self.found.defects, Defect::HeaderTooLarge);
        }
        if malformed {
            note(&mut self.found.defects, Defect::MalformedHeader);
        }
        if has_odd_octets(block) {
            note(&mut self.found.defects, Defect::OddHeaderOctets);
        }
        if content_type.as_ref().is_some_and(|value| value.repeated)
            || part.disposition.as_ref().is_some_and(|value| value.repeated)
        {
            note(&mut self.found.defects, Defect::RepeatedParameter);
        }
        part.content_type = self.usable(content_type);
        part.encoding = encoding.unwrap_or_default();
        part
    }

    /// The declared type, or the default for a part without one (RFC 2045 §5.2, RFC 2046 §5.1.5 for digests).
    fn usable(&mut self, declared: Option<Parameterized>) -> Parameterized {
        let in_digest = self.open.last().is_some_and(|open| {
            self.found.parts.get(open.part).is_some_and(|parent| parent.content_type.value == "multipart/digest")
        });
        match declared {
            None if in_digest => Parameterized::parse("message/rfc822"),
            None => Parameterized::parse("text/plain"),
            Some(content_type) => {
                if content_type.cut {
                    note(&mut self.found.defects, Defect::TooManyParameters);
                }
                if is_media_type(&content_type.value) {
                    return content_type;
                }
                note(&mut self.found.defects, Defect::MalformedContentType);
                Parameterized::parse("text/plain")
            }
        }
    }

    /// The boundary, if the part is a multipart that can be opened.
    fn boundary(&mut self, part: &mut Part<'_>) -> Option<Vec<u8>> {
        if !part.content_type.value.starts_with("multipart/") {
            return None;
        }
        if self.open.len() == NESTING_MAX {
            note(&mut self.found.defects, Defect::TooDeep);
            return None;
        }
        let boundary = part.content_type.get("boundary").unwrap_or_default().trim_end().as_bytes().to_vec();
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
            note(&mut self.found.defects, Defect::MissingBoundary);
            part.content_type = Parameterized::parse("text/plain");
            return None;
        }
        let overlaps = |open: &Open| open.boundary.starts_with(&boundary) || boundary.starts_with(&open.boundary);
        if self.open.iter().any(overlaps) {
            // RFC 2046 §5.1.1 has readers compare the beginning of a line only.
            note(&mut self.found.defects, Defect::OverlappingBoundaries);
        }
        if part.encoding != Encoding::Identity {
            // RFC 2045 §6.4 forbids it; some readers would decode first and find other parts.
            note(&mut self.found.defects, Defect::EncodedMultipart);
        }
        Some(boundary)
    }

    /// The first boundary line at or after `at`, which is the beginning of a line.
    fn next_delimiter(&self, at: usize) -> Option<Delimiter> {
        if self.open.is_empty() || at >= self.raw.len() {
            return None;
        }
        self.delimiter_at(at).or_else(|| {
            let following = self.dashes.find_iter(&self.raw[at..]);
            following.map(|found| at + found + 1).find_map(|start| self.delimiter_at(start))
        })
    }

    /// The boundary line that begins at `start`, if it is one. White space behind the boundary is padding.
    fn delimiter_at(&self, start: usize) -> Option<Delimiter> {
        let end = self.line_end(start);
        let line = self.raw[start..end].trim_ascii_end().strip_prefix(b"--")?;
        self.open.iter().enumerate().rev().find_map(|(of, open)| {
            let is_close = match line.strip_prefix(open.boundary.as_slice())? {
                b"" => false,
                b"--" => true,
                _ => return None,
            };
            Some(Delimiter { of, is_close, start, end })
        })
    }

    /// Ends what a boundary line ends, and begins the next part. Returns where to go on.
    fn take(&mut self, delimiter: &Delimiter) -> usize {
        let content_end = self.without_line_end(delimiter.start);
        self.open[delimiter.of].has_children = true;
        if delimiter.is_close {
            self.leave(delimiter.of + 1, content_end);
            self.open.truncate(delimiter.of);
            return delimiter.end;
        }
        self.leave(delimiter.of + 1, content_end);
        if self.found.parts.len() == PARTS_MAX {
            note(&mut self.found.defects, Defect::TooManyParts);
            self.open.clear();
            return self.raw.len();
        }
        self.enter(delimiter.end, self.open[delimiter.of].part)
    }

    /// The line end before a boundary line belongs to the boundary (RFC 2046 §5.1.1).
    fn without_line_end(&self, start: usize) -> usize {
        match &self.raw[..start] {
            [before @ .., b'\r', b'\n'] | [before @ .., b'\n'] => before.len(),
            before => before.len(),
        }
    }

    /// Ends the leaf and the multiparts from index `from` inwards at `end`; none of the latter saw its closing line.
    fn leave(&mut self, from: usize, end: usize) {
        if let Some((part, start)) = self.leaf.take() {
            self.found.parts[part].content = &self.raw[start..end.max(start)];
        }
        for open in self.open.drain(from.min(self.open.len())..) {
            if open.has_children {
                note(&mut self.found.defects, Defect::UnclosedMultipart);
                continue;
            }
            // The boundary never came: what there is, is shown as text.
            note(&mut self.found.defects, Defect::MissingBoundary);
            let part = &mut self.found.parts[open.part];
            part.is_multipart = false;
            part.content_type = Parameterized::parse("text/plain");
            part.content = &self.raw[open.start..end.max(open.start)];
        }
    }
}

/// Whether a field may say what the content is: most say something else.
fn is_of_content(field: &Field<'_>) -> bool {
    field.name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("Content-"))
}

/// Whether this is the first of its kind; a repeated one is noted, and not read.
fn first_of<T>(have: &Option<T>, defects: &mut Vec<Defect>) -> bool {
    if have.is_some() {
        note(defects, Defect::DuplicateHeader);
    }
    have.is_none()
}

/// NUL, or a carriage return that does not end a line: some readers end the line, or the text, there.
fn has_odd_octets(block: &[u8]) -> bool {
    memchr2_iter(0, b'\r', block).any(|at| block[at] == 0 || block.get(at + 1) != Some(&b'\n'))
}

/// Notes a defect once.
pub(super) fn note(defects: &mut Vec<Defect>, defect: Defect) {
    if !defects.contains(&defect) {
        defects.push(defect);
    }
}

fn is_media_type(text: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}
