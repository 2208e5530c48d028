//! Completing a message that somebody submits (RFC 6409 §8): what it lacks is added, what must not leave is taken out,
//! and what could be read in two ways is refused. The content is not touched.

use crate::message::{self, MessageView};
use crate::syntax::date;
use crate::syntax::header::{self, Fields};
use crate::syntax::word;
use postfleet_core::UnixMicros;

/// Octets of a line, without its end (RFC 5322 §2.1.1).
pub const LINE_OCTETS_MAX: usize = 998;

/// Fields that may stand once (RFC 5322 §3.6): of two, each reader would believe another.
const ONCE: [&str; 11] =
    ["Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject"];

/// Fields that say who gets a message, where nothing else does.
const RECIPIENTS: [&str; 3] = ["To", "Cc", "Bcc"];

/// Fields that must not leave: blind recipients, and what only servers write.
const TAKEN_OUT: [&str; 3] = ["Bcc", "Resent-Bcc", "Return-Path"];

/// A message that can leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completed {
    /// The message, with CRLF line ends.
    pub raw: Vec<u8>,
    /// What it says; with the Bcc that it had, which is no longer in `raw`.
    pub view: MessageView,
    /// A field of recipients that is not written so that every reader finds the same ones.
    pub unclear: Option<&'static str>,
}

/// Why a message cannot be submitted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmissionError {
    /// There is no header.
    #[error("it has no header field")]
    NoHeader,
    /// A line of the header is not a field, or the header is longer than is read.
    #[error("its header has a line that is not a field, or is too long")]
    MalformedHeader,
    /// The header has octets that are not ASCII.
    #[error("its header must be ASCII (RFC 2047 encodes the rest); {0} is not")]
    NotAscii(String),
    /// The header has control characters, which some readers take for line ends.
    #[error("its header must not have control characters; {0} has one")]
    Control(String),
    /// The author is written so that readers find different ones.
    #[error(
        "From must be an address, or a name and an address in angle brackets; a name with other than letters, digits and simple signs must be quoted or encoded"
    )]
    UnclearAuthor,
    /// A field stands more than once that may stand once.
    #[error("{0} may stand only once")]
    Repeated(&'static str),
    /// A line is too long.
    #[error("line {line} has {octets} octets; the limit is {LINE_OCTETS_MAX}")]
    LineTooLong {
        /// Which, from 1.
        line: usize,
        /// Its octets.
        octets: usize,
    },
    /// A NUL (RFC 5321 §4.5.2 has no way to send it).
    #[error("line {0} has a NUL octet")]
    Nul(usize),
    /// Somebody else is named as the one who sent it.
    #[error("Sender must not be given")]
    Sender,
}

/// Completes a message. `date` and `message_id` (without angle brackets) are what it gets if it has none.
pub fn complete(message: &[u8], date: UnixMicros, message_id: &str) -> Result<Completed, SubmissionError> {
    let message = with_crlf(message);
    check_lines(&message)?;
    let (block, _) = header::split(&message);
    check_header(block)?;
    let view = message::view(&message);
    let is_unclear = |name: &&str| Fields::new(block).any(|field| field.is(name) && !is_clear_list(&field.text()));
    let unclear = RECIPIENTS.into_iter().find(is_unclear);
    let author = Fields::new(block).find(|field| field.is("From"));
    if view.from.len() == 1 && !author.is_some_and(|field| is_clear_mailbox(&field.text())) {
        return Err(SubmissionError::UnclearAuthor);
    }
    let mut raw = Vec::with_capacity(message.len() + 256);
    let has = |name: &str| Fields::new(block).any(|field| field.is(name));
    if !has("Date") {
        raw.extend_from_slice(format!("Date: {}\r\n", date::format(date)).as_bytes());
    }
    if view.message_id.is_none() {
        raw.extend_from_slice(format!("Message-ID: <{message_id}>\r\n").as_bytes());
    }
    for field in Fields::new(block) {
        let is_empty_id = field.is("Message-ID") && view.message_id.is_none();
        if TAKEN_OUT.iter().any(|name| field.is(name)) || is_ours(field.name) || is_empty_id {
            continue;
        }
        raw.extend_from_slice(field.name.as_bytes());
        raw.push(b':');
        raw.extend_from_slice(field.value);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(&message[block.len()..]);
    let message_id = view.message_id.clone().unwrap_or_else(|| message_id.to_owned());
    Ok(Completed { raw, view: MessageView { message_id: Some(message_id), ..view }, unclear })
}

/// The message under another date, in place of the one that it had.
pub fn redated(message: &[u8], date: UnixMicros) -> Vec<u8> {
    let (block, _) = header::split(message);
    let mut raw = Vec::with_capacity(message.len() + 64);
    raw.extend_from_slice(format!("Date: {}\r\n", date::format(date)).as_bytes());
    for field in Fields::new(block).filter(|field| !field.is("Date")) {
        raw.extend_from_slice(field.name.as_bytes());
        raw.push(b':');
        raw.extend_from_slice(field.value);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(&message[block.len()..]);
    raw
}

/// The same text with CRLF at every line end, the last included.
fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len() + 2);
    let mut before = 0;
    for &octet in message {
        match (before, octet) {
            (b'\r', b'\n') => {}
            (_, b'\r') => text.extend_from_slice(b"\r\n"),
            (_, b'\n') => text.extend_from_slice(b"\r\n"),
            (_, octet) => text.push(octet),
        }
        before = octet;
    }
    if !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

fn check_lines(message: &[u8]) -> Result<(), SubmissionError> {
    for (index, line) in message.split(|octet| *octet == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_OCTETS_MAX {
            return Err(SubmissionError::LineTooLong { line: index + 1, octets: line.len() });
        }
        if memchr::memchr(0, line).is_some() {
            return Err(SubmissionError::Nul(index + 1));
        }
    }
    Ok(())
}

fn check_header(block: &[u8]) -> Result<(), SubmissionError> {
    let mut fields = Fields::new(block);
    let mut seen = [0_u32; ONCE.len()];
    let mut count = 0;
    for field in fields.by_ref() {
        count += 1;
        if !field.value.is_ascii() {
            return Err(SubmissionError::NotAscii(field.name.to_owned()));
        }
        if field.value.iter().any(|octet| octet.is_ascii_control() && !matches!(octet, b'\r' | b'\n' | b'\t')) {
            return Err(SubmissionError::Control(field.name.to_owned()));
        }
        if field.is("Sender") {
            return Err(SubmissionError::Sender);
        }
        if let Some(which) = ONCE.iter().position(|name| field.is(name)) {
            seen[which] += 1;
        }
    }
    if fields.malformed || fields.cut {
        return Err(SubmissionError::MalformedHeader);
    }
    if count == 0 {
        return Err(SubmissionError::NoHeader);
    }
    match seen.iter().position(|times| *times > 1) {
        Some(which) => Err(SubmissionError::Repeated(ONCE[which])),
        None => Ok(()),
    }
}

/// Whether every reader finds the same people: mailboxes with commas between them, or a group of nobody, as a message has
/// that goes to blind recipients only.
fn is_clear_list(text: &str) -> bool {
    let nobody = text.strip_suffix(';').and_then(|text| text.trim_end().strip_suffix(':'));
    nobody.is_some_and(|name| is_clear_name(name.trim())) || pieces(text).iter().all(|one| is_clear_mailbox(one))
}

/// What stands between commas outside of quoted strings, but for nothing.
fn pieces(text: &str) -> Vec<&str> {
    let (mut begin, mut is_quoted, mut is_escaped) = (0, false, false);
    let mut pieces = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            ',' if !is_quoted => {
                pieces.push(&text[begin..at]);
                begin = at + 1;
            }
            '"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && c == '\\' && !is_escaped;
    }
    pieces.push(&text[begin..]);
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

/// Whether every reader finds the same: an address, with a name before it (RFC 5322 §3.4 without what is obsolete but for
/// dots in names) or, as in the oldest mail, behind it.
fn is_clear_mailbox(text: &str) -> bool {
    let text = text.trim();
    let is_address =
        |text: &str| !text.is_empty() && !text.contains([' ', '\t', '<', '>', ',', ';', ':', '(', ')', '"', '\\']);
    if let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        return is_address(address) && is_clear_name(name.trim());
    }
    if let Some((address, comment)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        return is_address(address.trim()) && !comment.contains(['(', ')', '\\', '<', '>', '@', '"', ',']);
    }
    is_address(text)
}

/// Words of plain characters, encoded words and quoted strings.
fn is_clear_name(name: &str) -> bool {
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let Some(end) = end_of_quoted(rest) else { return false };
            rest = &rest[end..];
        } else if first.is_ascii_alphanumeric() || " \t!#$%&'*+-/=?^_`{|}~.".contains(first) {
            rest = &rest[1..];
        } else {
            return false;
        }
    }
    !word::hides_controls(name)
}

/// Where a quoted string ends that begins `text`.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(at + 1)
    })
}

/// Fields by which this server tells things to itself.
fn is_ours(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with("x-postfleet")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(message: &str) -> Completed {
        complete(message.as_bytes(), UnixMicros::from_seconds(1_700_000_000), "id@here").unwrap()
    }

    fn text(message: &str) -> String {
        String::from_utf8(done(message).raw).unwrap()
    }

    fn refused(message: &str) -> SubmissionError {
        complete(message.as_bytes(), UnixMicros::from_seconds(0), "id@here").unwrap_err()
    }

    #[test]
    fn what_is_lacking_is_added_and_the_rest_is_kept() {
        let full =
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <own@there>\r\nFrom: a@b.example\r\n\r\nhi\r\n";
        assert_eq!(text(full), full);
        let bare = text("From: a@b.example\nSubject: folded\n subject\n\nline\nline");
        assert_eq!(
            bare,
            "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <id@here>\r\nFrom: a@b.example\r\n\
             Subject: folded\r\n subject\r\n\r\nline\r\nline\r\n"
        );
        assert_eq!(done(&bare).view.message_id.as_deref(), Some("id@here"));
    }

    #[test]
    fn blind_recipients_do_not_leave_and_are_known() {
        let done = done(
            "From: a@b.example\r\nBcc: c@d.example,\r\n e@f.example\r\nReturn-Path: <x@y>\r\nResent-Bcc: e@f.example\r\n\
            X-Postfleet-Trust: 1\r\n\r\n",
        );
        let text = String::from_utf8(done.raw).unwrap();
        assert!(text.ends_with("From: a@b.example\r\n\r\n"), "{text}");
        for hidden in ["Bcc", "e@f.example", "Return-Path", "X-Postfleet"] {
            assert!(!text.contains(hidden), "{text}");
        }
        assert_eq!(done.view.bcc.len(), 2);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        assert_eq!(refused("From: a@b\r\nFrom: c@d\r\n\r\n"), SubmissionError::Repeated("From"));
        assert_eq!(refused("From: a@b\r\nsubject: 1\r\nSUBJECT: 2\r\n\r\n"), SubmissionError::Repeated("Subject"));
        assert_eq!(refused("From: a@b\r\nSender: c@d\r\n\r\n"), SubmissionError::Sender);
        assert_eq!(refused("From: a@b\r\nno field\r\n\r\n"), SubmissionError::MalformedHeader);
        assert_eq!(refused("\r\nbody"), SubmissionError::NoHeader);
        assert_eq!(refused("From: a@b\r\nSubject: \u{e9}\r\n\r\n"), SubmissionError::NotAscii("Subject".into()));
        assert_eq!(refused("From: a@b\r\n\r\na\0b"), SubmissionError::Nul(3));
        let long = format!("From: a@b\r\n\r\n{}", "x".repeat(LINE_OCTETS_MAX + 1));
        assert_eq!(refused(&long), SubmissionError::LineTooLong { line: 3, octets: LINE_OCTETS_MAX + 1 });
        let at = format!("From: a@b\r\n\r\n{}", "x".repeat(LINE_OCTETS_MAX));
        assert!(text(&at).ends_with(&format!("{}\r\n", "x".repeat(LINE_OCTETS_MAX))));
    }

    #[test]
    fn a_message_gets_another_date_and_nothing_else() {
        let message =
            "From: a@b.example\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nSubject: folded\r\n subject\r\n\r\nhi\r\n";
        let redated = String::from_utf8(redated(message.as_bytes(), UnixMicros::from_seconds(1_700_000_001))).unwrap();
        assert_eq!(
            redated,
            "Date: Tue, 14 Nov 2023 22:13:21 +0000\r\nFrom: a@b.example\r\nSubject: folded\r\n subject\r\n\r\nhi\r\n"
        );
    }

    #[test]
    fn an_author_is_read_in_one_way() {
        for (clear, text) in [
            (true, "a@b.example"),
            (true, "<a@b.example>"),
            (true, "John Q. Public <a@b.example>"),
            (true, "=?utf-8?Q?J=C3=BCrgen?= =?utf-8?B?aMOp?= <a@b.example>"),
            (true, "\"Public, John (x) <c@d.example> \\\"Q\\\"\" <a@b.example>"),
            (true, "\"John\" Q \"Public\"<a@b.example>"),
            (true, "root@b.example (Cron Daemon)"),
            (false, "x Bcc: c@d.example <a@b.example>"),
            (false, "c@d.example <a@b.example>"),
            (false, "John (c@d.example) <a@b.example>"),
            (false, "\"c@d.example <a@b.example>"),
            (false, "\"x\\\" <a@b.example>"),
            (false, "group: a@b.example;"),
            (false, "<@c.example:a@b.example>"),
            (false, "=?utf-8?Q?x=0D=0ABcc:_c@d.example?= <a@b.example>"),
            (false, "a@b.example (c@d.example)"),
        ] {
            assert_eq!(is_clear_mailbox(text), clear, "{text}");
            let message = format!("From: {text}\r\n\r\nx\r\n");
            let done = complete(message.as_bytes(), UnixMicros::from_seconds(0), "id@here");
            assert_eq!(done.is_ok(), clear, "{text}: {done:?}");
        }
        assert_eq!(refused("From: a@b\r\nSubject: a\x0bb\r\n\r\n"), SubmissionError::Control("Subject".into()));
    }

    #[test]
    fn recipients_are_read_in_one_way() {
        for (clear, text) in [
            (true, ""),
            (true, "a@b.example"),
            (true, "a@b.example, \"C, D\" <c@d.example>,\r\n E <e@f.example>"),
            (true, "undisclosed-recipients:;"),
            (true, "Undisclosed recipients: ;"),
            (false, "a b@c.example"),
            (false, "a@b.example; c@d.example"),
            (false, "friends: a@b.example;"),
            (false, "x To: a@b.example"),
            (false, "\"a b\"@c.example"),
            (false, "a@b.example, x\\, <c@d.example>"),
        ] {
            for name in ["To", "cc", "Bcc"] {
                let found = done(&format!("From: a@b\r\n{name}: {text}\r\n\r\n")).unclear;
                assert_eq!(found.is_none(), clear, "{name}: {text}");
            }
        }
    }

    #[test]
    fn line_ends_of_all_kinds_become_one() {
        assert!(text("From: a@b\n\nx\ry\r\nz\n\nw").ends_with("\r\n\r\nx\r\ny\r\nz\r\n\r\nw\r\n"));
    }
}
