//! Reports of failed delivery (RFC 3464 in the frame of RFC 6522): the one that this server sends, and what others
//! send. What a remote server said is quoted as data: one line, ASCII, bounded.

use crate::message::{ids, structure};
use crate::syntax::header::{self, Field, Fields};
use crate::syntax::{charset, date, transfer};
use crate::write::body::{self, Boundaries};
use crate::write::header as write;
use postfleet_core::{Domain, EmailAddress, UnixMicros};

/// Octets of the original header that a report quotes.
pub const QUOTED_HEADER_MAX: usize = 64 << 10;

/// Characters of a diagnostic text that are kept.
pub const DIAGNOSTIC_CHARS_MAX: usize = 900;

/// Recipients of a report that are read or written.
pub const RECIPIENTS_MAX: usize = 1_000;

/// A report to write.
#[derive(Clone, Debug)]
pub struct Dsn<'a> {
    /// The name of this server.
    pub reporting_mta: &'a Domain,
    /// Who reports, as `mailer-daemon@host`.
    pub from: &'a EmailAddress,
    /// To whom: the reverse path of the message. The report itself has to be sent with the null one.
    pub to: &'a EmailAddress,
    /// The message that failed; only its header is quoted.
    pub original_raw: &'a [u8],
    /// Its Message-ID, without angle brackets.
    pub original_message_id: Option<&'a str>,
    /// For whom it failed.
    pub failed: &'a [FailedRecipient],
    /// When.
    pub now: UnixMicros,
    /// Message-ID of the report, without angle brackets.
    pub message_id: &'a str,
    /// Unpredictable octets, from which the boundary is made.
    pub boundary_seed: [u8; 16],
}

/// A recipient whom the message did not reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedRecipient {
    /// The address.
    pub address: EmailAddress,
    /// Enhanced code, as `5.1.1`; anything else is written as `5.0.0`.
    pub status: String,
    /// What the remote server said, with its reply code.
    pub diagnostic: String,
    /// The remote server, if one was reached.
    pub remote_mta: Option<Domain>,
}

/// Writes a report.
pub fn build(dsn: &Dsn<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(4_096);
    let boundary = Boundaries::new(dsn.boundary_seed).draw();
    write_header(&mut out, dsn);
    body::begin_multipart(&mut out, "multipart/report", &[("report-type", "delivery-status")], &boundary);
    for part in [write_explanation, write_status, write_original] {
        body::begin_part(&mut out, &boundary);
        part(&mut out, dsn);
        body::end_part(&mut out);
    }
    body::end_multipart(&mut out, &boundary);
    out
}

fn write_header(out: &mut Vec<u8>, dsn: &Dsn<'_>) {
    let bracketed = |id: &str| format!("<{}>", one_line(id, 900).replace([' ', '<', '>'], ""));
    write::tokens(out, "Date", date::format(dsn.now).split(' '));
    write::tokens(out, "From", ["Mail", "Delivery", "System", &format!("<{}>", ascii(dsn.from))]);
    write::tokens(out, "To", [ascii(dsn.to).as_str()]);
    write::unstructured(out, "Subject", "Undelivered mail: your message could not be delivered");
    write::tokens(out, "Message-ID", [bracketed(dsn.message_id).as_str()]);
    if let Some(id) = dsn.original_message_id {
        write::tokens(out, "In-Reply-To", [bracketed(id).as_str()]);
        write::tokens(out, "References", [bracketed(id).as_str()]);
    }
    // No machine is to answer (RFC 3834 §5).
    write::tokens(out, "Auto-Submitted", ["auto-replied"]);
    write::tokens(out, "MIME-Version", ["1.0"]);
}

fn write_explanation(out: &mut Vec<u8>, dsn: &Dsn<'_>) {
    let mut text = format!(
        "This is the mail system at {}.\n\nYour message could not be delivered to the following recipients. It will \
         not be tried again.\n",
        dsn.reporting_mta
    );
    for failed in dsn.failed.iter().take(RECIPIENTS_MAX) {
        let diagnostic = one_line(&failed.diagnostic, DIAGNOSTIC_CHARS_MAX);
        let said = if diagnostic.is_empty() { "no details are known" } else { &diagnostic };
        text.push_str(&format!("\n<{}>\n    {said}\n", failed.address));
    }
    write::tokens(out, "Content-Type", ["text/plain;", "charset=utf-8"]);
    body::text(out, &text);
}

fn write_status(out: &mut Vec<u8>, dsn: &Dsn<'_>) {
    write::tokens(out, "Content-Type", ["message/delivery-status"]);
    out.extend_from_slice(b"\r\n");
    write::tokens(out, "Reporting-MTA", ["dns;", dsn.reporting_mta.as_str()]);
    for failed in dsn.failed.iter().take(RECIPIENTS_MAX) {
        out.extend_from_slice(b"\r\n");
        write_recipient(out, failed);
    }
}

/// The fields of one recipient (RFC 3464 §2.3).
fn write_recipient(out: &mut Vec<u8>, failed: &FailedRecipient) {
    let kind = if failed.address.is_internationalized() { "utf-8;" } else { "rfc822;" };
    write::tokens(out, "Final-Recipient", [kind, ascii(&failed.address).as_str()]);
    write::tokens(out, "Action", ["failed"]);
    write::tokens(out, "Status", [if is_status(&failed.status) { failed.status.as_str() } else { "5.0.0" }]);
    if let Some(remote) = &failed.remote_mta {
        write::tokens(out, "Remote-MTA", ["dns;", remote.as_str()]);
    }
    let diagnostic = one_line(&failed.diagnostic, DIAGNOSTIC_CHARS_MAX);
    if !diagnostic.is_empty() {
        write::tokens(out, "Diagnostic-Code", std::iter::once("smtp;").chain(diagnostic.split(' ')));
    }
}

fn write_original(out: &mut Vec<u8>, dsn: &Dsn<'_>) {
    write::tokens(out, "Content-Type", ["text/rfc822-headers"]);
    let (block, _) = header::split(dsn.original_raw);
    let block = &block[..block.len().min(QUOTED_HEADER_MAX)];
    body::text(out, &charset::header_text(block));
}

/// RFC 3463 §2.
fn is_status(text: &str) -> bool {
    let numbers: Vec<_> = text.split('.').collect();
    let is_number = |number: &&str| (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(is_number) && matches!(numbers[0], "4" | "5")
}

/// The first enhanced code in a text.
pub(crate) fn status_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '-' | '#' | '(' | ')' | ';' | ',' | ':'));
    words.map(|word| word.trim_end_matches('.')).find(|word| is_status(word)).map(str::to_owned)
}

/// Printable ASCII in one line; other characters become question marks.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join(" ");
    joined
        .chars()
        .take(max)
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect::<String>()
        .trim()
        .to_owned()
}

/// An address in ASCII: what is not ASCII in the form of RFC 6533 §3, `\x{E9}`.
fn ascii(address: &EmailAddress) -> String {
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) };
    address.to_string().chars().map(escape).collect()
}

/// What a report says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The server that reports.
    pub reporting_mta: Option<String>,
    /// Message-ID of the message it is about, without angle brackets, if its header is quoted.
    pub original_message_id: Option<String>,
    /// What became of the recipients; those whose address cannot be read are left out.
    pub recipients: Vec<ReportedRecipient>,
}

/// What a report says of one recipient. Nothing of it is verified: anybody can send a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportedRecipient {
    /// Final-Recipient.
    pub address: EmailAddress,
    /// Original-Recipient, the address as our side wrote it.
    pub original: Option<EmailAddress>,
    /// What was done.
    pub action: Action,
    /// Enhanced code, as `5.1.1`; empty if there is none.
    pub status: String,
    /// The text of the remote server, in one line.
    pub diagnostic: String,
    /// The remote server.
    pub remote_mta: Option<String>,
}

/// What was done with a message for a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still being tried.
    Delayed,
    /// Delivered.
    Delivered,
    /// Handed to a system that will not report.
    Relayed,
    /// Delivered and sent on to several.
    Expanded,
}

/// Reads a report; `None` if the message is none.
pub fn parse(raw: &[u8]) -> Option<Report> {
    let parts = structure::parse(raw).parts;
    let of_type = |kinds: &[&str]| {
        let found =
            parts.iter().find(|part| !part.is_multipart && kinds.contains(&part.content_type.value.as_str()))?;
        Some(transfer::decode(found.encoding, found.content))
    };
    let status = of_type(&["message/delivery-status", "message/global-delivery-status"])?;
    let original = of_type(&["text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers"]);
    let mut report =
        Report { original_message_id: original.and_then(|header| message_id(&header)), ..Report::default() };
    let (mut group, mut rest) = header::split(&status);
    let about_message = Fields::new(group);
    report.reporting_mta = about_message.filter(|field| field.is("Reporting-MTA")).map(|field| typed(&field)).next();
    // Some servers put the fields of the first recipient into the first group.
    report.recipients.extend(recipient(group));
    while !rest.is_empty() && report.recipients.len() < RECIPIENTS_MAX {
        (group, rest) = header::split(rest);
        report.recipients.extend(recipient(group));
    }
    Some(report)
}

fn message_id(header: &[u8]) -> Option<String> {
    let mut fields = Fields::new(header::split(header).0);
    fields.find(|field| field.is("Message-ID")).and_then(|field| ids(&field.text()).into_iter().next())
}

fn recipient(group: &[u8]) -> Option<ReportedRecipient> {
    let (mut address, mut original, mut action, mut remote_mta) = (None, None, None, None);
    let (mut status, mut diagnostic) = (String::new(), String::new());
    for field in Fields::new(group) {
        if field.is("Final-Recipient") {
            address = reported_address(&field);
        } else if field.is("Original-Recipient") {
            original = reported_address(&field);
        } else if field.is("Action") {
            action = parse_action(&field.text());
        } else if field.is("Status") {
            status =
                field.text().split([' ', '(']).next().filter(|text| is_status(text)).unwrap_or_default().to_owned();
        } else if field.is("Diagnostic-Code") {
            diagnostic = one_line(&typed(&field), DIAGNOSTIC_CHARS_MAX);
        } else if field.is("Remote-MTA") {
            remote_mta = Some(typed(&field));
        }
    }
    Some(ReportedRecipient {
        address: address.or_else(|| original.clone())?,
        original,
        action: action?,
        status,
        diagnostic,
        remote_mta,
    })
}

/// What stands behind the type and its semicolon (RFC 3464 §2.1.2).
fn typed(field: &Field<'_>) -> String {
    let text = field.text();
    one_line(text.split_once(';').map_or(text.as_str(), |(_, value)| value), DIAGNOSTIC_CHARS_MAX)
}

fn reported_address(field: &Field<'_>) -> Option<EmailAddress> {
    let text = field.text();
    let value = text.split_once(';').map_or(text.as_str(), |(_, value)| value).trim();
    EmailAddress::parse(value.trim_start_matches('<').trim_end_matches('>')).ok()
}

fn parse_action(text: &str) -> Option<Action> {
    match text.split([' ', '(']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "failed" => Some(Action::Failed),
        "delayed" => Some(Action::Delayed),
        "delivered" => Some(Action::Delivered),
        "relayed" => Some(Action::Relayed),
        "expanded" => Some(Action::Expanded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    fn address(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn failed() -> Vec<FailedRecipient> {
        vec![
            FailedRecipient {
                address: address("bob@example.net"),
                status: "5.1.1".into(),
                diagnostic: "550 5.1.1 <bob@example.net>:\r\n user\tunknown\0 \u{e9}\r\nX-Evil: 1".into(),
                remote_mta: Some(Domain::parse("mx.example.net").unwrap()),
            },
            FailedRecipient {
                address: address("müller@example.net"),
                status: "nonsense\r\n".into(),
                diagnostic: String::new(),
                remote_mta: None,
            },
        ]
    }

    fn sample(failed: &[FailedRecipient]) -> Vec<u8> {
        build(&Dsn {
            reporting_mta: &Domain::parse("out.example.com").unwrap(),
            from: &address("mailer-daemon@out.example.com"),
            to: &address("ann@example.com"),
            original_raw:
                "From: ann@example.com\r\nSubject: h\u{e9}llo\r\nMessage-ID: <orig@example.com>\r\n\r\nsecret body"
                    .as_bytes(),
            original_message_id: Some("orig@example.com"),
            failed,
            now: UnixMicros::from_seconds(880_127_706),
            message_id: "dsn-1@out.example.com",
            boundary_seed: [7; 16],
        })
    }

    #[test]
    fn written_out() {
        let raw = sample(&failed());
        assert!(body::is_seven_bit(&raw));
        let text = String::from_utf8(raw).unwrap().replace("\r\n", "\n");
        assert!(!text.contains("secret body") && !text.contains("\nX-Evil"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_is_written_is_read() {
        let raw = sample(&failed());
        let view = message::view(&raw);
        assert!(view.auto_submitted && view.defects.is_empty());
        assert_eq!(view.in_reply_to, ["orig@example.com"]);
        let report = parse(&raw).unwrap();
        assert_eq!(report.reporting_mta.as_deref(), Some("out.example.com"));
        assert_eq!(report.original_message_id.as_deref(), Some("orig@example.com"));
        let bob = &report.recipients[0];
        assert_eq!(
            (&bob.address, bob.action, bob.status.as_str()),
            (&address("bob@example.net"), Action::Failed, "5.1.1")
        );
        assert_eq!(bob.diagnostic, "550 5.1.1 <bob@example.net>: user unknown ? X-Evil: 1");
        assert_eq!(bob.remote_mta.as_deref(), Some("mx.example.net"));
    }

    #[test]
    fn reports_of_others() {
        let raw = "From: <>\nContent-Type: multipart/report; boundary=b\n\n--b\n\nSorry\n--b\n\
            Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\nArrival-Date: x\n\n\
            Original-Recipient: rfc822;Bob@Example.net\nFinal-Recipient: RFC822; <x@example.net>\nAction: Failed (x)\n\
            Status: 5.2.2 (full)\nDiagnostic-Code: smtp;552\n full\n\n\
            Final-Recipient: rfc822;y@example.net\nAction: delayed\nStatus: 4.0.0\n\n\
            Final-Recipient: rfc822;not an address\nAction: failed\n\n--b\nContent-Type: message/rfc822\n\n\
            Message-ID: <m@x>\n\nbody\n--b--\n";
        let report = parse(raw.as_bytes()).unwrap();
        assert_eq!(report.original_message_id.as_deref(), Some("m@x"));
        let read: Vec<_> = report
            .recipients
            .iter()
            .map(|one| (one.address.to_string(), one.action, one.status.as_str(), one.diagnostic.as_str()))
            .collect();
        assert_eq!(
            read,
            [
                ("x@example.net".to_owned(), Action::Failed, "5.2.2", "552 full"),
                ("y@example.net".to_owned(), Action::Delayed, "4.0.0", ""),
            ]
        );
        assert_eq!(report.recipients[0].original, Some(address("bob@example.net")).map(|_| address("Bob@Example.net")));
        assert_eq!(parse(b"From: a@b\r\n\r\nno report"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_status_part(text in "([a-zA-Z:;@. -]|\n|Action: failed\n|Final-Recipient: ){0,80}") {
            parse(format!("Content-Type: message/delivery-status\n\n{text}").as_bytes());
        }

        #[test]
        fn any_diagnostic_stays_one_line(diagnostic: String, status: String) {
            let mut one = failed();
            one.truncate(1);
            one[0].diagnostic = diagnostic;
            one[0].status = status;
            let raw = sample(&one);
            proptest::prop_assert!(body::is_seven_bit(&raw));
            let report = parse(&raw).unwrap();
            proptest::prop_assert_eq!(report.recipients.len(), 1);
            proptest::prop_assert_eq!(message::view(&raw).defects, vec![]);
        }
    }
}
