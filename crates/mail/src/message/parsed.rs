//! A message taken apart once for all who look at it, so that they see the same parts and the same text.

use super::content::Part;
use super::{MessageView, structure};
use crate::syntax::header::Header;

/// Octets of content, of all parts together, whose text is kept once it was decoded: far more than a letter has, and more
/// than is looked through for spam. The text of larger parts is decoded by each who reads its beginning.
const KEPT_OCTETS_MAX: usize = 128 << 10;

/// A message taken apart: its header fields, its parts, and the text of those that are the body, which is decoded when
/// somebody first asks for it.
#[derive(Debug)]
pub struct Parsed<'a> {
    /// What it says.
    pub view: MessageView,
    pub(crate) header: Header<'a>,
    pub(crate) parts: Vec<Part<'a>>,
    /// Of all of it.
    pub(crate) octets: usize,
}

impl<'a> Parsed<'a> {
    /// Reads a message.
    pub fn read(raw: &'a [u8]) -> Self {
        Self::of(raw, None)
    }

    /// Reads a message that is being received: no line of it is from here, and its envelope sender is known.
    pub fn of_arrival(raw: &'a [u8], is_null_path: bool) -> Self {
        Self::of(raw, Some(is_null_path))
    }

    fn of(raw: &'a [u8], is_null_path: Option<bool>) -> Self {
        let header = Header::read(raw);
        let mut structure = structure::below(raw, &header);
        let mut left = KEPT_OCTETS_MAX;
        for part in structure.parts.iter_mut().filter(|part| part.is_body()) {
            part.keeps_text = part.content.len() <= left;
            left -= if part.keeps_text { part.content.len() } else { 0 };
        }
        let view = MessageView::of(&header, &structure, is_null_path);
        Self { view, header, parts: structure.parts, octets: raw.len() }
    }
}
