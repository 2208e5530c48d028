//! What a received message says, read once and leniently: the view that is stored and matched by rules, the body, the
//! attachments and the header fields. All come from one reading of the structure, so that what is checked is what
//! is shown. Nothing here fails or panics: what cannot be read is left out, and noted as a [`Defect`].

pub(crate) mod content;
mod parsed;
mod place;
pub(crate) mod structure;
#[cfg(test)]
mod tests;

pub use content::{attachment, body, body_and_form, files, html_as_text, is_plain, plain_text};
pub use parsed::Parsed;
pub use place::{Decoder, Encoding, FileKind, Place};
pub use structure::{NESTING_MAX, PARTS_MAX};

use crate::Participant;
use crate::automation::{self, Automation};
use crate::syntax::header::{self, Field, Fields, Header};
use crate::syntax::{address, date, invisible, transfer, word};
use content::Part;
use postfleet_core::UnixMicros;
use structure::{Structure, note};

/// Octets of a header block that are read.
pub const HEADER_BLOCK_MAX: usize = header::BLOCK_MAX;

/// Fields of a header block that are read.
pub const HEADERS_MAX: usize = header::FIELDS_MAX;

/// Participants of each kind that are kept.
pub const PARTICIPANTS_MAX: usize = 1_000;

/// References that are kept: the last ones, which are the nearest.
pub const REFERENCES_MAX: usize = 100;

/// Characters of a snippet.
pub const SNIPPET_CHARS_MAX: usize = 100;

/// What the header fields and the structure of a message say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageView {
    /// Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Message-IDs of In-Reply-To, at most [`REFERENCES_MAX`].
    pub in_reply_to: Vec<String>,
    /// Message-IDs of References, at most the last [`REFERENCES_MAX`].
    pub references: Vec<String>,
    /// The subject, decoded, without invisible characters.
    pub subject: String,
    /// From. Several From fields are joined, and are a defect.
    pub from: Vec<Participant>,
    /// To.
    pub to: Vec<Participant>,
    /// Cc.
    pub cc: Vec<Participant>,
    /// Bcc.
    pub bcc: Vec<Participant>,
    /// Reply-To.
    pub reply_to: Vec<Participant>,
    /// What the sender says when it was sent; not when it arrived.
    pub date: Option<UnixMicros>,
    /// The beginning of the text, without markup, with single spaces.
    pub snippet: String,
    /// Everything that is not the body, in the order in which it stands; images shown in the text too.
    pub attachments: Vec<AttachmentMeta>,
    /// Sent by a machine on its own (RFC 3834 §5): must not be answered by one.
    pub auto_submitted: bool,
    /// Whether a machine or a list sent it, by all that tells.
    pub automation: Automation,
    /// What is wrong with the message, each kind once.
    pub defects: Vec<Defect>,
}

/// What is known of an attachment without decoding it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttachmentMeta {
    /// The number of its part, by which [`attachment`] finds it.
    pub index: u32,
    /// The file name, decoded, without control characters, at most 255 characters; empty if none was given. It can
    /// hold path separators: it is a label, never a path.
    pub filename: String,
    /// Declared type and subtype, in lower case, without parameters.
    pub content_type: String,
    /// Size after decoding.
    pub size: u64,
    /// Content-ID, without angle brackets.
    pub content_id: Option<String>,
    /// Content-Disposition without parameters, in lower case.
    pub disposition: Option<String>,
    /// Meant to be shown in the text.
    pub is_inline: bool,
    /// Where its octets stand.
    pub place: Place,
}

/// Something that is not as the standards have it, or beyond a limit. Different readers may read such a message
/// differently.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Defect {
    /// A header block is longer than [`HEADER_BLOCK_MAX`] or has more than [`HEADERS_MAX`] fields.
    HeaderTooLarge,
    /// A line of a header block is not a field.
    MalformedHeader,
    /// A field that may stand once (RFC 5322 §3.6) stands there more often.
    DuplicateHeader,
    /// There is no From field with an address in it.
    MissingFrom,
    /// More than [`PARTICIPANTS_MAX`] addresses of one kind.
    TooManyAddresses,
    /// More than [`REFERENCES_MAX`] references.
    TooManyReferences,
    /// Content-Type is not `type/subtype`.
    MalformedContentType,
    /// More parameters than are read.
    TooManyParameters,
    /// A multipart names no boundary, or it does not occur.
    MissingBoundary,
    /// A multipart has no closing boundary.
    UnclosedMultipart,
    /// A multipart with a transfer encoding (RFC 2045 §6.4).
    EncodedMultipart,
    /// More than [`NESTING_MAX`] multiparts inside each other.
    TooDeep,
    /// More than [`PARTS_MAX`] parts.
    TooManyParts,
    /// A parameter that decides how a part is read stands there more often, with other values.
    RepeatedParameter,
    /// From, or Sender, names several: readers show one or the other.
    SeveralSenders,
    /// NUL or a bare carriage return in a header block.
    OddHeaderOctets,
    /// Boundaries of open multiparts of which one begins with another.
    OverlappingBoundaries,
    /// A part has two file names with different endings.
    ConflictingFileNames,
    /// Base64 with other octets between its letters, or letters behind its end.
    JunkInEncoding,
}

/// Reads a message.
pub fn view(raw: &[u8]) -> MessageView {
    Parsed::read(raw).view
}

impl MessageView {
    /// What is seen of a message that was taken apart.
    fn of(header: &Header<'_>, structure: &Structure<'_>, is_null_path: Option<bool>) -> Self {
        let automation = automation::read(header, is_null_path);
        let mut view = Self { defects: structure.defects.clone(), automation, ..Self::default() };
        read_fields(&header.fields, &mut view);
        view.snippet = content::snippet(&structure.parts);
        view.attachments = attachments(&structure.parts);
        note_contents(&structure.parts, &mut view.defects);
        view
    }
}

/// The header fields in order, repeated ones too: name, and value as it was sent but for folds, with unreadable octets
/// taken as Windows-1252. At most [`HEADERS_MAX`], of the first [`HEADER_BLOCK_MAX`] octets.
pub fn headers(raw: &[u8]) -> Vec<(String, String)> {
    Fields::new(raw).map(|field| (field.name.to_owned(), field.text())).collect()
}

fn attachments(parts: &[Part<'_>]) -> Vec<AttachmentMeta> {
    let numbered = parts.iter().enumerate();
    numbered.filter(|(_, part)| part.is_attachment()).map(|(index, part)| part.meta(index, parts)).collect()
}

/// Notes where readers may take a part for something else.
fn note_contents(parts: &[Part<'_>], defects: &mut Vec<Defect>) {
    for part in parts {
        if part.has_conflicting_names() {
            note(defects, Defect::ConflictingFileNames);
        }
        if part.encoding == Encoding::Base64 && !part.is_multipart && transfer::has_junk(part.content) {
            note(defects, Defect::JunkInEncoding);
        }
    }
}

fn read_fields(fields: &[Field<'_>], view: &mut MessageView) {
    let mut seen = Seen::default();
    for field in fields {
        read_field(field, view, &mut seen);
    }
    if !view.from.iter().any(|from| from.email.contains('@')) {
        note(&mut view.defects, Defect::MissingFrom);
    }
    if view.from.len() > 1 {
        note(&mut view.defects, Defect::SeveralSenders);
    }
    keep_last(&mut view.in_reply_to, &mut view.defects);
    keep_last(&mut view.references, &mut view.defects);
}

/// Which fields that may stand once were there (RFC 5322 §3.6).
#[derive(Default)]
struct Seen(Vec<&'static str>);

impl Seen {
    /// Whether this is the first; a second one is noted.
    fn first(&mut self, name: &'static str, defects: &mut Vec<Defect>) -> bool {
        let is_first = !self.0.contains(&name);
        if is_first {
            self.0.push(name);
        } else {
            note(defects, Defect::DuplicateHeader);
        }
        is_first
    }
}

fn read_field(field: &Field<'_>, view: &mut MessageView, seen: &mut Seen) {
    let MessageView { defects, .. } = view;
    // Lists are joined when the field is repeated: nobody is hidden by the choice of one.
    let (name, participants) = match field.name.len() {
        4 if field.is("From") => ("from", &mut view.from),
        2 if field.is("To") => ("to", &mut view.to),
        2 if field.is("Cc") => ("cc", &mut view.cc),
        3 if field.is("Bcc") => ("bcc", &mut view.bcc),
        8 if field.is("Reply-To") => ("reply-to", &mut view.reply_to),
        _ => return read_other(field, view, seen),
    };
    seen.first(name, defects);
    if !address::parse(&field.text(), participants, PARTICIPANTS_MAX) {
        note(defects, Defect::TooManyAddresses);
    }
}

fn read_other(field: &Field<'_>, view: &mut MessageView, seen: &mut Seen) {
    let defects = &mut view.defects;
    if field.is("Subject") && seen.first("subject", defects) {
        // An encoded word can stand for a line end; a subject is one line.
        view.subject = invisible::visible(&word::decode(&field.text())).replace(char::is_control, " ");
    } else if field.is("Date") && seen.first("date", defects) {
        view.date = date::parse(&field.text());
    } else if field.is("Message-ID") && seen.first("message-id", defects) {
        view.message_id = ids(&field.text()).into_iter().next();
    } else if field.is("In-Reply-To") {
        seen.first("in-reply-to", defects);
        view.in_reply_to.extend(ids(&field.text()));
    } else if field.is("References") {
        seen.first("references", defects);
        view.references.extend(ids(&field.text()));
    } else if field.is("Auto-Submitted") {
        let text = field.text();
        let keyword = text.split([';', '(']).next().unwrap_or_default().trim();
        view.auto_submitted |= !keyword.is_empty() && !keyword.eq_ignore_ascii_case("no");
    }
}

fn keep_last(ids: &mut Vec<String>, defects: &mut Vec<Defect>) {
    if ids.len() > REFERENCES_MAX {
        note(defects, Defect::TooManyReferences);
        ids.drain(..ids.len() - REFERENCES_MAX);
    }
}

/// The Message-IDs of a value (RFC 5322 §3.6.4), without angle brackets, space and control characters. Text around them
/// is passed over; if there are no brackets at all, not even those that a program took for markup, words with an `@` are
/// taken.
pub(crate) fn ids(text: &str) -> Vec<String> {
    let bare = |id: &str| id.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect::<String>();
    if !text.contains('<') {
        if text.contains("&lt;") {
            return ids(&text.replace("&lt;", "<").replace("&gt;", ">"));
        }
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
        let words = words.map(|word| word.trim_matches(['"', '\'', '(', ')', '[', ']', '>']));
        return words.filter(|word| word.contains('@')).map(bare).filter(|id| !id.is_empty()).collect();
    }
    let bracketed = text.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    bracketed.map(bare).filter(|id| !id.is_empty()).collect()
}
