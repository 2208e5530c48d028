//! What comes back after a message was sent, told apart: reports of delivery in the standard form (RFC 3464) and in
//! those that servers have of their own, complaints (RFC 5965), replies of machines, and requests to prove that a
//! human wrote. All of it is hearsay: who may be believed is decided elsewhere, by the way on which it came.

mod arf;
mod auto_reply;
mod shapes;
mod text_bounce;

pub use arf::{Complaint, ComplaintKind};

use crate::bounce_class::classify_reported;
use crate::dsn::{self, Action};
use crate::message::{content, structure};
use crate::syntax::header::{self, Field, Fields, Header};
use crate::syntax::{transfer, word};
use postfleet_core::EmailAddress;
use postfleet_core::bounce::BounceType;
use structure::Part;

/// The header field in which every message that is sent carries its return path: reporters of complaints often take the
/// envelope's away.
pub const TOKEN_FIELD: &str = "X-Feedback-Token";

/// Octets of text that are looked at.
const TEXT_MAX: usize = 64 << 10;

/// Addresses that are taken from the message that a report quotes.
const QUOTED_MAX: usize = 20;

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Feedback {
    /// A report of what became of a message for its recipients.
    Delivery(DeliveryReport),
    /// A complaint about a message.
    Complaint(Complaint),
    /// A machine answers for a recipient.
    AutoReply,
    /// A machine wants a human to confirm the message.
    Challenge,
}

/// What a report says of some recipients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeliveryReport {
    /// Who reports, as far as it says so.
    pub reporter: String,
    /// Whether it is in the standard form.
    pub is_standard: bool,
    /// The recipients, at least one.
    pub recipients: Vec<ReportedFate>,
    /// Return paths that the quoted message carries.
    pub quoted_paths: Vec<EmailAddress>,
}

/// What a report says of one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportedFate {
    /// The addresses by which it is named; the one that was written to first. None in a report that names nobody.
    pub addresses: Vec<EmailAddress>,
    /// What was done.
    pub action: Action,
    /// Enhanced code, as `5.1.1`; empty if there is none.
    pub status: String,
    /// What was said, in one line.
    pub diagnostic: String,
    /// What that means.
    pub kind: BounceType,
}

/// Tells what a message that came back is; `None` for one that a human may have written. `is_null_sender`: it came with
/// the null reverse path, as reports do (RFC 5321 §4.5.5).
pub fn read(raw: &[u8], is_null_sender: bool) -> Option<Feedback> {
    let parts = structure::parse(raw).parts;
    // Who quotes a report of the other kind with the same boundary does not make one.
    let declared = parts.first().and_then(|top| top.content_type.get("report-type")).unwrap_or_default();
    let may_be = |other: &str| !declared.trim().eq_ignore_ascii_case(other);
    if let Some(complaint) = arf::read(&parts).filter(|_| may_be("delivery-status")) {
        return Some(Feedback::Complaint(complaint));
    }
    if let Some(report) = standard(raw, &parts).filter(|_| may_be("feedback-report")) {
        return Some(Feedback::Delivery(report));
    }
    let header = Header::read(raw);
    let text = content::text_prefix(&parts, TEXT_MAX);
    let message = Shape::of(&header, &text, is_null_sender);
    if let Some(report) = text_bounce::read(&message, &parts) {
        return Some(Feedback::Delivery(report));
    }
    if auto_reply::is_challenge(&message) {
        return Some(Feedback::Challenge);
    }
    auto_reply::is_auto_reply(&message).then_some(Feedback::AutoReply)
}

/// Whether a message is a report or the reply of a machine, by its header fields alone.
pub(crate) fn is_report_or_auto_reply(header: &Header<'_>, is_null_sender: bool) -> bool {
    header.first("Content-Type").is_some_and(is_report)
        || auto_reply::is_auto_reply(&Shape::of(header, "", is_null_sender))
}

/// Whether a message that came to a mailbox may be a report in a standard form, by a look at its first fields.
pub fn may_be_report(raw: &[u8]) -> bool {
    Fields::new(raw).find(|field| field.is("Content-Type")).is_some_and(|field| is_report(&field))
}

fn is_report(content_type: &Field<'_>) -> bool {
    const REPORT: &str = "multipart/report";
    let text = content_type.text();
    text.trim_start().get(..REPORT.len()).is_some_and(|start| start.eq_ignore_ascii_case(REPORT))
}

/// What a message that is in no standard form is recognised by.
struct Shape<'a> {
    header: &'a Header<'a>,
    /// In lower case.
    subject: String,
    /// The author's address and name, in lower case.
    from: String,
    /// The readable text.
    text: &'a str,
    is_null_sender: bool,
}

impl<'a> Shape<'a> {
    fn of(header: &'a Header<'a>, text: &'a str, is_null_sender: bool) -> Self {
        let text_of = |name| {
            let value = header.first(name).map(Field::text).unwrap_or_default();
            word::decode(&value).to_lowercase()
        };
        Self { header, subject: text_of("Subject"), from: text_of("From"), text, is_null_sender }
    }

    fn has(&self, name: &str) -> bool {
        self.header.first(name).is_some()
    }

    fn field(&self, name: &str) -> Option<String> {
        self.header.first(name).map(|field| field.text().to_lowercase())
    }
}

/// A report in the standard form; `None` if there is none in it, or it names nobody.
fn standard(raw: &[u8], parts: &[Part<'_>]) -> Option<DeliveryReport> {
    let report = dsn::parse(raw).filter(|report| !report.recipients.is_empty())?;
    let is_about_one = report.recipients.len() == 1;
    let recipients = report.recipients.into_iter().map(|recipient| {
        let kind = match recipient.action {
            Action::Failed if is_about_one && tells_nothing(&recipient) => {
                classify_reported(&recipient.status, &told_to_people(parts, &recipient.address))
            }
            Action::Failed => classify_reported(&recipient.status, &recipient.diagnostic),
            _ => BounceType::Undetermined,
        };
        ReportedFate {
            addresses: recipient.original.into_iter().chain([recipient.address]).collect(),
            action: recipient.action,
            status: recipient.status,
            diagnostic: recipient.diagnostic,
            kind,
        }
    });
    Some(DeliveryReport {
        recipients: recipients.collect(),
        reporter: report.reporting_mta.unwrap_or_default(),
        is_standard: true,
        quoted_paths: quoted_paths(parts),
    })
}

/// Whether the part for machines gives no reason at all.
fn tells_nothing(recipient: &dsn::ReportedRecipient) -> bool {
    recipient.diagnostic.is_empty() && (recipient.status.is_empty() || recipient.status.ends_with(".0.0"))
}

/// What the part for people says behind the address.
fn told_to_people(parts: &[Part<'_>], address: &EmailAddress) -> String {
    let text = content::text_prefix(parts, TEXT_MAX);
    text.split_once(&address.to_string()).map(|(_, told)| told.to_owned()).unwrap_or_default()
}

/// The return paths that a quoted message carries, as a part of its own.
fn quoted_paths(parts: &[Part<'_>]) -> Vec<EmailAddress> {
    const QUOTES: [&str; 4] = ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"];
    let quoted = parts.iter().filter(|part| QUOTES.contains(&part.content_type.value.as_str()));
    let quoted = quoted.map(|part| transfer::decode(part.encoding, part.content));
    quoted.flat_map(|quoted| paths_in(header::split(&quoted).0)).take(QUOTED_MAX).collect()
}

/// The return paths in a header block.
fn paths_in(block: &[u8]) -> Vec<EmailAddress> {
    let fields = Fields::new(block).filter(|field| field.is("Return-Path") || field.is(TOKEN_FIELD));
    fields.filter_map(|field| bare_address(&field)).take(QUOTED_MAX).collect()
}

fn bare_address(field: &Field<'_>) -> Option<EmailAddress> {
    let text = field.text();
    EmailAddress::parse(text.trim().trim_start_matches('<').trim_end_matches('>')).ok()
}
