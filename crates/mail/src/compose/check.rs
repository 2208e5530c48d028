//! What a message to be written may hold. Every refusal names the field.

use super::{Attachment, Checked, Compose, ComposeError};
use crate::Participant;
use crate::syntax::parameter::Parameterized;
use crate::syntax::word;
use postfleet_core::EmailAddress;

/// Addresses in one field.
pub const ADDRESSES_MAX: usize = 1_000;
/// Custom headers of a message.
pub const CUSTOM_HEADERS_MAX: usize = 50;
/// Octets of the name of a custom header.
pub const HEADER_NAME_OCTETS_MAX: usize = 76;
/// Octets of the subject, and of the value of a custom header.
pub const HEADER_VALUE_OCTETS_MAX: usize = 998;
/// Characters of a display name.
pub const DISPLAY_NAME_CHARS_MAX: usize = 255;
/// Characters of a file name.
pub const FILENAME_CHARS_MAX: usize = 255;
/// Characters of a Content-ID.
pub const CONTENT_ID_CHARS_MAX: usize = 255;
/// References that are written.
pub const REFERENCES_MAX: usize = 50;

/// Octets of a Message-ID.
const ID_OCTETS_MAX: usize = 900;
/// Octets of a media type with its parameters.
const CONTENT_TYPE_OCTETS_MAX: usize = 500;
/// Octets without a space in a field that cannot hold encoded words: a line has 998 (RFC 5322 §2.1.1).
const TOKEN_OCTETS_MAX: usize = 900;

/// Checks everything, and parses the addresses.
pub(super) fn check(message: &Compose) -> Result<Checked, ComposeError> {
    within("subject", message.subject.len(), HEADER_VALUE_OCTETS_MAX, "octets")?;
    no_controls("subject", &message.subject)?;
    message_id(&message.message_id)?;
    for (index, id) in message.references.iter().enumerate() {
        no_controls(&format!("references[{index}]"), id)?;
    }
    if let Some(id) = &message.in_reply_to {
        no_controls("in_reply_to", id)?;
    }
    custom_headers(&message.custom_headers)?;
    for (index, one) in message.attachments.iter().enumerate() {
        attachment(&format!("attachments[{index}]"), one)?;
    }
    participants("bcc", &message.bcc)?;
    Ok(Checked {
        from: participant("from", &message.from)?,
        to: participants("to", &message.to)?,
        cc: participants("cc", &message.cc)?,
        reply_to: participants("reply_to", &message.reply_to)?,
    })
}

/// Whether a custom header has a grammar of its own, in place of free text.
pub(super) fn is_structured(name: &str) -> bool {
    SETTABLE.iter().any(|(settable, is_free)| settable.eq_ignore_ascii_case(name) && !is_free)
}

/// Whether a Message-ID that other software made can be written down.
pub(super) fn is_writable_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= ID_OCTETS_MAX
        && id.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte))
}

fn refuse<T>(field: &str, reason: impl Into<String>) -> Result<T, ComposeError> {
    Err(ComposeError { field: field.to_owned(), reason: reason.into() })
}

/// A line break in a value would begin a field of the attacker's choice; the other controls have no use there.
fn no_controls(field: &str, value: &str) -> Result<(), ComposeError> {
    match value.chars().find(|c| c.is_control()) {
        Some(c) => refuse(field, format!("must not contain control characters (found U+{:04X})", u32::from(c))),
        None => Ok(()),
    }
}

fn within(field: &str, size: usize, max: usize, unit: &str) -> Result<(), ComposeError> {
    if size > max { refuse(field, format!("must have at most {max} {unit}")) } else { Ok(()) }
}

fn participants(field: &str, list: &[Participant]) -> Result<Vec<EmailAddress>, ComposeError> {
    within(field, list.len(), ADDRESSES_MAX, "addresses")?;
    list.iter().enumerate().map(|(index, one)| participant(&format!("{field}[{index}]"), one)).collect()
}

fn participant(field: &str, one: &Participant) -> Result<EmailAddress, ComposeError> {
    let name = format!("{field}.name");
    no_controls(&name, &one.name)?;
    within(&name, one.name.chars().count(), DISPLAY_NAME_CHARS_MAX, "characters")?;
    let email = format!("{field}.email");
    no_controls(&email, &one.email)?;
    match EmailAddress::parse(&one.email) {
        Err(error) => refuse(&email, error.to_string()),
        // Not every server on the way can take it (RFC 6531), and the header would no longer be ASCII.
        Ok(address) if address.is_internationalized() => refuse(&email, "local part must be ASCII"),
        Ok(address) => Ok(address),
    }
}

fn message_id(id: &str) -> Result<(), ComposeError> {
    no_controls("message_id", id)?;
    if !is_writable_id(id) || id.split('@').filter(|side| !side.is_empty()).count() != 2 {
        return refuse("message_id", "must be printable ASCII of the form left@right without angle brackets");
    }
    Ok(())
}

fn attachment(field: &str, attachment: &Attachment) -> Result<(), ComposeError> {
    let name = format!("{field}.filename");
    no_controls(&name, &attachment.filename)?;
    if word::hides_controls(&attachment.filename) {
        // Many readers decode these in names of files, wherever they stand.
        return refuse(&name, "must not contain control characters in encoded words");
    }
    within(&name, attachment.filename.chars().count(), FILENAME_CHARS_MAX, "characters")?;
    content_type(&format!("{field}.content_type"), &attachment.content_type)?;
    let Some(id) = &attachment.content_id else { return Ok(()) };
    let name = format!("{field}.content_id");
    no_controls(&name, id)?;
    within(&name, id.chars().count(), CONTENT_ID_CHARS_MAX, "characters")?;
    if !is_writable_id(id) {
        return refuse(&name, "must be printable ASCII without spaces and angle brackets");
    }
    Ok(())
}

fn content_type(field: &str, content_type: &str) -> Result<(), ComposeError> {
    no_controls(field, content_type)?;
    within(field, content_type.len(), CONTENT_TYPE_OCTETS_MAX, "octets")?;
    let parsed = Parameterized::parse(content_type);
    if parsed.value.starts_with("multipart/") {
        return refuse(field, "must not be a multipart");
    }
    // Readers put the one together and fetch the other, behind the back of whoever looked at the message on its way.
    if matches!(parsed.value.as_str(), "message/partial" | "message/external-body") {
        return refuse(field, "must not be a message that is elsewhere");
    }
    let is_type = parsed.value.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if !content_type.is_empty() && !is_type {
        return refuse(field, "must have the form type/subtype");
    }
    if !parsed.all().all(|(name, _)| is_token(name)) {
        return refuse(field, "has a parameter whose name is no token");
    }
    Ok(())
}

/// RFC 2045 §5.1, less what RFC 2231 gives a meaning in names.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=*'%".contains(&byte))
}

/// Names that may be set besides `X-…`, each once; the second value tells free text, which can hold encoded words.
const SETTABLE: [(&str, bool); 9] = [
    ("list-unsubscribe", false),
    ("list-unsubscribe-post", false),
    ("list-id", false),
    ("precedence", false),
    ("auto-submitted", false),
    ("importance", false),
    ("priority", false),
    ("organization", true),
    ("feedback-id", false),
];

/// Names by which the server says what the message is, who sent it, and which way it went.
const STRUCTURAL: [&str; 17] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "received",
    "dkim-signature",
    "return-path",
    "authentication-results",
    "domainkey-signature",
    "received-spf",
    "delivered-to",
];

fn custom_headers(headers: &[(String, String)]) -> Result<(), ComposeError> {
    within("custom_headers", headers.len(), CUSTOM_HEADERS_MAX, "entries")?;
    let mut once = Vec::new();
    for (index, (name, value)) in headers.iter().enumerate() {
        header_name(&format!("custom_headers[{index}].name"), name)?;
        header_value(&format!("custom_headers[{index}].value"), name, value)?;
        let lower = name.to_ascii_lowercase();
        if once.contains(&lower) {
            return refuse(&format!("custom_headers[{index}].name"), format!("{name} must be set at most once"));
        }
        if !lower.starts_with("x-") {
            once.push(lower);
        }
    }
    Ok(())
}

fn header_name(field: &str, name: &str) -> Result<(), ComposeError> {
    no_controls(field, name)?;
    within(field, name.len(), HEADER_NAME_OCTETS_MAX, "octets")?;
    let lower = name.to_ascii_lowercase();
    let is_structural = STRUCTURAL.contains(&lower.as_str())
        || ["content-", "arc-", "resent-", "original-"].iter().any(|prefix| lower.starts_with(prefix));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        refuse(field, "must be printable ASCII without spaces and colons")
    } else if lower.starts_with("x-postfleet") {
        refuse(field, format!("{name} is reserved for the server"))
    } else if matches!(lower.as_str(), "in-reply-to" | "references") {
        refuse(field, format!("{name} follows from the message that is answered, and cannot be set"))
    } else if is_structural {
        refuse(field, format!("{name} is written by the server, and cannot be set"))
    } else if lower.len() > 2 && lower.starts_with("x-") || SETTABLE.iter().any(|(settable, _)| *settable == lower) {
        Ok(())
    } else {
        let others = "X-…, List-Unsubscribe, List-Id and a few others";
        refuse(field, format!("{name} is not among the headers that can be set ({others})"))
    }
}

fn header_value(field: &str, name: &str, value: &str) -> Result<(), ComposeError> {
    no_controls(field, value)?;
    within(field, value.len(), HEADER_VALUE_OCTETS_MAX, "octets")?;
    if !is_structured(name) {
        return Ok(());
    }
    // An encoded word has no meaning in these (RFC 2047 §5), so they have to be writable as they are.
    if !value.is_ascii() || value.trim() != value || value.contains("   ") {
        return refuse(field, "must be ASCII without surrounding or repeated spaces");
    }
    if value.split(' ').any(|token| token.len() > TOKEN_OCTETS_MAX) {
        return refuse(field, format!("must have a space at least every {TOKEN_OCTETS_MAX} octets"));
    }
    Ok(())
}
