//! Writes a message from its parts. The output depends on the input alone, is ASCII with CRLF line ends, and never has
//! a Bcc field.
//!
//! Nothing is repaired: a value that could end a header field, or that the field cannot hold, is refused by the name
//! of its field, because what is silently dropped is silently wrong.

mod check;
#[cfg(test)]
mod tests;

pub use check::{
    ADDRESSES_MAX, CONTENT_ID_CHARS_MAX, CUSTOM_HEADERS_MAX, DISPLAY_NAME_CHARS_MAX, FILENAME_CHARS_MAX,
    HEADER_NAME_OCTETS_MAX, HEADER_VALUE_OCTETS_MAX, REFERENCES_MAX,
};

use crate::Participant;
use crate::syntax::date;
use crate::syntax::html::{self, Links};
use crate::syntax::parameter::Parameterized;
use crate::write::{body, header};
use body::Boundaries;
use postfleet_core::{EmailAddress, UnixMicros};

/// A message to write.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Compose {
    /// The author.
    pub from: Participant,
    /// To.
    pub to: Vec<Participant>,
    /// Cc.
    pub cc: Vec<Participant>,
    /// Checked like the others, but never written: the envelope has them.
    pub bcc: Vec<Participant>,
    /// Reply-To.
    pub reply_to: Vec<Participant>,
    /// The subject.
    pub subject: String,
    /// HTML, or plain text if `is_plaintext`.
    pub body: String,
    /// Write the body as plain text only; otherwise a plain alternative is made from the HTML.
    pub is_plaintext: bool,
    /// Attachments, in order.
    pub attachments: Vec<Attachment>,
    /// Message-ID of the message that this answers.
    pub in_reply_to: Option<String>,
    /// Message-IDs of the conversation, oldest first. Those that are no printable ASCII (other software made them) are
    /// left out, and of very many the oldest but the first.
    pub references: Vec<String>,
    /// Further fields, from a list of names that may be set.
    pub custom_headers: Vec<(String, String)>,
    /// Date.
    pub date: UnixMicros,
    /// Message-ID, without angle brackets.
    pub message_id: String,
    /// Unpredictable octets, from which the boundaries are made.
    pub boundary_seed: [u8; 16],
}

/// A file to attach.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attachment {
    /// The file name; may be empty.
    pub filename: String,
    /// The media type, with parameters if need be; empty means `application/octet-stream`.
    pub content_type: String,
    /// The octets.
    pub content: Vec<u8>,
    /// Content-ID, without angle brackets, by which HTML refers to it.
    pub content_id: Option<String>,
    /// To be shown in the text.
    pub is_inline: bool,
}

/// Why a message cannot be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ComposeError {
    /// The field of [`Compose`], such as `to[1].name` or `attachments[0].filename`; for a custom header that may not be
    /// set, its name.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Writes the message.
pub fn compose(message: &Compose) -> Result<Vec<u8>, ComposeError> {
    let checked = check::check(message)?;
    let size: usize = message.attachments.iter().map(|attachment| attachment.content.len()).sum();
    let mut out = Vec::with_capacity(size / 3 * 4 + size / 28 + message.body.len() * 3 + 4_096);
    write_header(&mut out, message, &checked);
    write_content(&mut out, message, &mut Boundaries::new(message.boundary_seed));
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    Ok(out)
}

/// What checking the message yielded: its addresses, parsed.
struct Checked {
    from: EmailAddress,
    to: Vec<EmailAddress>,
    cc: Vec<EmailAddress>,
    reply_to: Vec<EmailAddress>,
}

fn write_header(out: &mut Vec<u8>, message: &Compose, checked: &Checked) {
    header::tokens(out, "Date", date::format(message.date).split(' '));
    participants(out, "From", std::slice::from_ref(&message.from), std::slice::from_ref(&checked.from));
    participants(out, "Reply-To", &message.reply_to, &checked.reply_to);
    participants(out, "To", &message.to, &checked.to);
    participants(out, "Cc", &message.cc, &checked.cc);
    header::unstructured(out, "Subject", &message.subject);
    header::tokens(out, "Message-ID", [bracketed(&message.message_id).as_str()]);
    ids(out, "In-Reply-To", message.in_reply_to.as_slice());
    ids(out, "References", &message.references);
    for (name, value) in &message.custom_headers {
        if check::is_structured(name) {
            header::tokens(out, name, value.split(' '));
        } else {
            header::unstructured(out, name, value);
        }
    }
    header::tokens(out, "MIME-Version", ["1.0"]);
}

fn participants(out: &mut Vec<u8>, name: &str, participants: &[Participant], addresses: &[EmailAddress]) {
    if participants.is_empty() {
        return;
    }
    let mut field = header::FieldWriter::new(out, name);
    for (index, (participant, address)) in participants.iter().zip(addresses).enumerate() {
        let comma = if index + 1 < participants.len() { "," } else { "" };
        if participant.name.is_empty() {
            field.token(&format!("{address}{comma}"));
            continue;
        }
        for token in header::phrase(&participant.name) {
            field.token(&token);
        }
        field.token(&format!("<{address}>{comma}"));
    }
    field.end();
}

fn bracketed(id: &str) -> String {
    format!("<{id}>")
}

/// Writes Message-IDs: all that can be written, and of very many the first and the last ones (RFC 5322 §3.6.4 only asks
/// for them, and RFC 5537 §3.4.4 keeps these).
fn ids(out: &mut Vec<u8>, name: &str, ids: &[String]) {
    let mut ids: Vec<_> = ids.iter().filter(|id| check::is_writable_id(id)).map(|id| bracketed(id)).collect();
    if ids.len() > REFERENCES_MAX {
        ids.drain(1..=ids.len() - REFERENCES_MAX);
    }
    if !ids.is_empty() {
        header::tokens(out, name, ids.iter().map(String::as_str));
    }
}

/// Writes the content: mixed(related(alternative(text, html), images), files), without the layers that hold one thing.
fn write_content(out: &mut Vec<u8>, message: &Compose, boundaries: &mut Boundaries) {
    let is_related =
        |attachment: &&Attachment| !message.is_plaintext && attachment.is_inline && attachment.content_id.is_some();
    let (related, mixed): (Vec<_>, Vec<_>) = message.attachments.iter().partition(is_related);
    wrapped(out, "multipart/mixed", &[], &mixed, boundaries, |out, boundaries| {
        let kind = [("type", "multipart/alternative")];
        wrapped(out, "multipart/related", &kind, &related, boundaries, |out, boundaries| {
            write_body(out, message, boundaries);
        });
    });
}

/// Writes what `first` writes and the attachments as parts of a multipart; without attachments, what `first` writes.
fn wrapped(
    out: &mut Vec<u8>,
    kind: &str,
    parameters: &[(&str, &str)],
    attachments: &[&Attachment],
    boundaries: &mut Boundaries,
    first: impl FnOnce(&mut Vec<u8>, &mut Boundaries),
) {
    if attachments.is_empty() {
        return first(out, boundaries);
    }
    let boundary = boundaries.draw();
    body::begin_multipart(out, kind, parameters, &boundary);
    body::begin_part(out, &boundary);
    first(out, boundaries);
    body::end_part(out);
    for attachment in attachments {
        body::begin_part(out, &boundary);
        write_attachment(out, attachment);
        body::end_part(out);
    }
    body::end_multipart(out, &boundary);
}

fn write_body(out: &mut Vec<u8>, message: &Compose, boundaries: &mut Boundaries) {
    if message.is_plaintext {
        return write_text(out, "plain", &message.body);
    }
    let boundary = boundaries.draw();
    let plain = html::to_text(&message.body, Links::Keep, usize::MAX);
    body::begin_multipart(out, "multipart/alternative", &[], &boundary);
    for (subtype, text) in [("plain", plain.as_str()), ("html", message.body.as_str())] {
        body::begin_part(out, &boundary);
        write_text(out, subtype, text);
        body::end_part(out);
    }
    body::end_multipart(out, &boundary);
}

fn write_text(out: &mut Vec<u8>, subtype: &str, text: &str) {
    header::tokens(out, "Content-Type", [format!("text/{subtype};").as_str(), "charset=utf-8"]);
    body::text(out, text);
}

fn write_attachment(out: &mut Vec<u8>, attachment: &Attachment) {
    let declared = Parameterized::parse(&attachment.content_type);
    // A message must not be encoded (RFC 2046 §5.2); one that cannot travel as it is goes as a file.
    let is_message = declared.value.starts_with("message/");
    let is_verbatim = is_message && body::is_seven_bit(&attachment.content);
    let (kind, parameters) = match declared.value.as_str() {
        "" => ("application/octet-stream", None),
        _ if is_message && !is_verbatim => ("application/octet-stream", None),
        kind => (kind, Some(&declared)),
    };
    let parameters = parameters.into_iter().flat_map(Parameterized::all);
    // The file name has one place, so that two readers cannot see two names.
    parameterized(out, "Content-Type", kind, parameters.filter(|(name, _)| *name != "name"));
    let disposition = if attachment.is_inline { "inline" } else { "attachment" };
    let filename = [("filename", attachment.filename.as_str())];
    parameterized(out, "Content-Disposition", disposition, filename.into_iter().filter(|(_, name)| !name.is_empty()));
    if let Some(id) = &attachment.content_id {
        header::tokens(out, "Content-ID", [bracketed(id).as_str()]);
    }
    if is_verbatim {
        body::verbatim(out, &attachment.content);
    } else {
        body::octets(out, &attachment.content);
    }
}

fn parameterized<'p>(out: &mut Vec<u8>, name: &str, value: &str, parameters: impl Iterator<Item = (&'p str, &'p str)>) {
    let mut tokens = vec![value.to_owned()];
    for (name, value) in parameters {
        tokens.extend(header::parameter(name, value));
    }
    let last = tokens.len() - 1;
    for token in &mut tokens[..last] {
        token.push(';');
    }
    header::tokens(out, name, tokens.iter().map(String::as_str));
}
