//! Which parts are the body, and what is in the parts.
//!
//! The body is made of the text parts that are not attachments; of alternatives to each other (RFC 2046 §5.1.4) only
//! the preferred ones. All other parts are attachments, so that every part shows up somewhere.

use super::place::{FileKind, LOOKED_AT_OCTETS, Place};
pub(super) use super::structure::Part;
use super::{AttachmentMeta, SNIPPET_CHARS_MAX, structure};
use crate::compose::Attachment;
use crate::syntax::html::{self, Links};
use crate::syntax::{charset, invisible, transfer};
use crate::write::header;
use std::borrow::Cow;

/// Characters of a file name that are kept.
const FILENAME_CHARS_MAX: usize = 255;

/// The body for display: HTML if there is any, else plain text. UTF-8, without NULs. Not sanitised.
pub fn body(raw: &[u8]) -> String {
    body_and_form(raw).0
}

/// As [`body`], and whether it is HTML.
pub fn body_and_form(raw: &[u8]) -> (String, bool) {
    let parts = structure::parse(raw).parts;
    let chosen = choose(&parts, "text/html");
    if !chosen.iter().any(|part| part.is_html()) {
        return (join(chosen.iter().map(|part| part.text())), false);
    }
    let html = chosen.iter().map(|part| if part.is_html() { part.text() } else { preformatted(&part.text()).into() });
    (join(html), true)
}

/// The body as plain text: the text alternative if there is one, else the HTML converted. What is not seen is left out.
pub fn plain_text(raw: &[u8]) -> String {
    let parts = structure::parse(raw).parts;
    join(choose(&parts, "text/plain").iter().map(|part| match part.is_html() {
        true => html::to_text(&part.text(), Links::Keep, usize::MAX).into(),
        false => seen(part.text()),
    }))
}

/// The HTML of the body as text, if there is any. What is not seen is left out.
pub fn html_as_text(raw: &[u8]) -> Option<String> {
    let parts = structure::parse(raw).parts;
    let chosen = choose(&parts, "text/html");
    chosen.iter().any(|part| part.is_html()).then(|| {
        join(chosen.iter().map(|part| match part.is_html() {
            true => html::to_text(&part.text(), Links::Keep, usize::MAX).into(),
            false => seen(part.text()),
        }))
    })
}

/// A text without its invisible characters.
fn seen(text: Cow<'_, str>) -> Cow<'_, str> {
    match invisible::visible(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(seen) => Cow::Owned(seen),
    }
}

/// The beginning of the body as plain text: as [`plain_text`], of about so many octets.
pub(crate) fn text_prefix(parts: &[Part<'_>], octets: usize) -> String {
    join(choose(parts, "text/plain").iter().map(|part| match part.is_html() {
        true => html::to_text(&part.prefix(4 * octets), Links::Keep, octets).into(),
        false => seen(part.prefix(octets)),
    }))
}

/// A text part of the body, as far as it was read.
pub(crate) struct Text<'p> {
    pub(crate) text: Cow<'p, str>,
    pub(crate) is_html: bool,
    /// It was packed as base64.
    pub(crate) is_base64: bool,
}

/// The text parts of the body, alternatives too, in their order: of all together about so many octets of plain text, and
/// as many of markup.
pub(crate) fn texts<'p>(parts: &'p [Part<'_>], octets: usize) -> Vec<Text<'p>> {
    let (mut plain, mut markup) = (octets, octets);
    let mut texts = Vec::new();
    for part in parts.iter().filter(|part| part.is_body()) {
        let is_html = part.is_html();
        let left = if is_html { &mut markup } else { &mut plain };
        if *left == 0 {
            continue;
        }
        let text = part.prefix(*left);
        *left = left.saturating_sub(text.len().max(1));
        texts.push(Text { text, is_html, is_base64: part.encoding == transfer::Encoding::Base64 });
    }
    texts
}

/// An attachment, decoded, by the number in [`AttachmentMeta::index`].
pub fn attachment(raw: &[u8], index: u32) -> Option<(AttachmentMeta, Vec<u8>)> {
    let parts = structure::parse(raw).parts;
    let index = usize::try_from(index).ok()?;
    let part = parts.get(index).filter(|part| part.is_attachment())?;
    Some((part.meta(index, &parts), part.bytes()))
}

/// Whether the body has no HTML.
pub fn is_plain(raw: &[u8]) -> bool {
    !structure::parse(raw).parts.iter().any(|part| part.is_body() && part.is_html())
}

/// Every attachment, as it would be given to be written again.
pub fn files(raw: &[u8]) -> Vec<Attachment> {
    let parts = structure::parse(raw).parts;
    let files = parts.iter().enumerate().filter(|(_, part)| part.is_attachment());
    let file = |(index, part): (usize, &Part<'_>)| {
        let meta = part.meta(index, &parts);
        let parameters = part.content_type.all().flat_map(|(name, value)| header::parameter(name, value));
        let content_type = parameters.fold(meta.content_type, |before, parameter| format!("{before}; {parameter}"));
        let AttachmentMeta { filename, content_id, is_inline, .. } = meta;
        Attachment { filename, content_type, content: part.bytes(), content_id, is_inline }
    };
    files.map(file).collect()
}

/// The first characters of the text, without markup, with single spaces. Only as much is decoded as may be needed.
pub(super) fn snippet(parts: &[Part<'_>]) -> String {
    let mut snippet = String::new();
    for part in choose(parts, "text/plain") {
        // Most HTML has its first words in the first octets; some begins with a long style sheet.
        for octets in if part.is_html() { [8 << 10, 256 << 10] } else { [1 << 10, 16 << 10] } {
            let text = part.prefix(octets);
            let text = if part.is_html() {
                html::to_text(&text, Links::Drop, 4 * SNIPPET_CHARS_MAX).into()
            } else {
                seen(text)
            };
            let candidate = single_spaced(&snippet, &text);
            if candidate.chars().count() >= SNIPPET_CHARS_MAX || part.content.len() <= octets || octets > 8 << 10 {
                snippet = candidate;
                break;
            }
        }
        if snippet.chars().count() >= SNIPPET_CHARS_MAX {
            break;
        }
    }
    snippet
}

/// `text` behind `before`, words separated by one space, cut to the length of a snippet.
fn single_spaced(before: &str, text: &str) -> String {
    let mut out = before.to_owned();
    let mut left = SNIPPET_CHARS_MAX.saturating_sub(out.chars().count());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let space = usize::from(!out.is_empty());
        if left <= space {
            break;
        }
        if space == 1 {
            out.push(' ');
        }
        let before = out.len();
        out.extend(word.chars().take(left - space));
        left -= space + out[before..].chars().count();
    }
    out
}

/// The parts that make up the body when `preferred` is wanted: of each group of alternatives those of the preferred
/// type if there are any, else the others.
pub(crate) fn choose<'p, 'a>(parts: &'p [Part<'a>], preferred: &str) -> Vec<&'p Part<'a>> {
    let mut texts: Vec<_> = parts.iter().enumerate().filter(|(_, part)| part.is_body()).collect();
    // An empty alternative must not hide the other one.
    if texts.iter().any(|(_, part)| !part.is_blank()) {
        texts.retain(|(_, part)| !part.is_blank());
    }
    let groups: Vec<_> = texts.iter().map(|(index, _)| group(parts, *index)).collect();
    let has_preferred = |wanted: usize| {
        texts.iter().zip(&groups).any(|((_, part), &group)| group == wanted && part.content_type.value == preferred)
    };
    let mut known: Option<(usize, bool)> = None;
    let chosen = texts.iter().zip(&groups).filter(|((_, part), group)| {
        let found = match known {
            Some((of, found)) if of == **group => found,
            _ => has_preferred(**group),
        };
        known = Some((**group, found));
        !found || part.content_type.value == preferred
    });
    chosen.map(|((_, part), _)| *part).collect()
}

/// The outermost multipart/alternative around a part; the part itself when there is none.
fn group(parts: &[Part<'_>], index: usize) -> usize {
    let mut group = index;
    let mut at = index;
    while at != 0 {
        at = parts[at].parent;
        if parts[at].content_type.value == "multipart/alternative" {
            group = at;
        }
    }
    group
}

fn join<'t>(texts: impl Iterator<Item = Cow<'t, str>>) -> String {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() && !joined.ends_with('\n') {
            joined.push('\n');
        }
        if joined.is_empty() {
            joined = text.into_owned();
        } else {
            joined.push_str(&text);
        }
    }
    joined
}

/// Plain text between HTML.
fn preformatted(text: &str) -> String {
    format!("<pre>{}</pre>", text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

impl<'a> Part<'a> {
    pub(crate) fn is_html(&self) -> bool {
        self.content_type.value == "text/html"
    }

    fn is_blank(&self) -> bool {
        self.content.trim_ascii().is_empty()
    }

    /// Text that is no attachment: a name or the disposition makes it one.
    pub(super) fn is_body(&self) -> bool {
        !self.is_multipart
            && matches!(self.content_type.value.as_str(), "text/plain" | "text/html")
            && self.filename().is_empty()
            && self.disposition.as_ref().is_none_or(|disposition| disposition.value != "attachment")
    }

    pub(crate) fn is_attachment(&self) -> bool {
        !self.is_multipart && !self.is_body()
    }

    pub(super) fn meta(&self, index: usize, parts: &[Part<'_>]) -> AttachmentMeta {
        let disposition = self.disposition.as_ref().map(|disposition| disposition.value.clone());
        let is_related = index != 0 && parts[self.parent].content_type.value == "multipart/related";
        AttachmentMeta {
            index: u32::try_from(index).unwrap_or(u32::MAX),
            filename: self.filename(),
            content_type: self.content_type.value.clone(),
            size: transfer::decoded_len(self.encoding, self.content) as u64,
            is_inline: match disposition.as_deref() {
                Some("inline") => true,
                Some("attachment") => false,
                _ => is_related && self.content_id.is_some(),
            },
            content_id: self.content_id.clone(),
            disposition,
            place: self.place(),
        }
    }

    fn place(&self) -> Place {
        // Enough of it for the first octets, whatever the encoding.
        let beginning = &self.content[..self.content.len().min(4 * LOOKED_AT_OCTETS)];
        Place {
            from_end: self.from_end as u64,
            octets: self.content.len() as u64,
            encoding: self.encoding,
            kind: FileKind::of(&transfer::decode(self.encoding, beginning)),
        }
    }

    fn filename(&self) -> String {
        let name = invisible::visible(self.given_name());
        name.chars().filter(|c| !c.is_control()).take(FILENAME_CHARS_MAX).collect::<String>().trim().to_owned()
    }

    /// Whether both fields that can name the file do, with different endings.
    pub(super) fn has_conflicting_names(&self) -> bool {
        let ending = |name: &str| name.trim().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let disposition = self.disposition.as_ref().and_then(|disposition| disposition.get("filename"));
        let names = disposition.zip(self.content_type.get("name"));
        names.is_some_and(|(one, other)| ending(one) != ending(other))
    }

    /// The file name as it was given.
    pub(crate) fn given_name(&self) -> &str {
        let disposition = self.disposition.as_ref().and_then(|disposition| disposition.get("filename"));
        disposition.or_else(|| self.content_type.get("name")).unwrap_or_default()
    }

    fn bytes(&self) -> Vec<u8> {
        transfer::decode(self.encoding, self.content).into_owned()
    }

    fn text(&self) -> Cow<'a, str> {
        charset::decode(self.charset(), transfer::decode(self.encoding, self.content))
    }

    /// The beginning of the text, of about `octets` octets before decoding.
    pub(crate) fn prefix(&self, octets: usize) -> Cow<'_, str> {
        if self.content.len() > octets {
            return self.cut(octets);
        }
        if self.keeps_text { Cow::Borrowed(self.text.get_or_init(|| self.text())) } else { self.text() }
    }

    /// The beginning of a text that has more.
    fn cut(&self, octets: usize) -> Cow<'a, str> {
        let cut = &self.content[..octets];
        // An escape or line that the cut broke is left out.
        let cut = match self.encoding {
            transfer::Encoding::QuotedPrintable => {
                let keep = cut.len().saturating_sub(3);
                &cut[..keep + cut[keep..].iter().position(|&byte| byte == b'=').unwrap_or(cut.len() - keep)]
            }
            _ => cut,
        };
        charset::decode_prefix(self.charset(), transfer::decode(self.encoding, cut))
    }

    fn charset(&self) -> &str {
        self.content_type.get("charset").unwrap_or_default()
    }
}
