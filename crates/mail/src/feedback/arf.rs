//! Complaints in the Abuse Reporting Format (RFC 5965, with the types of RFC 6430 and RFC 6591).

use super::{QUOTED_MAX, bare_address, quoted_paths};
use crate::message::structure::Part;
use crate::syntax::header::Fields;
use crate::syntax::transfer;
use postfleet_core::EmailAddress;

/// Recipients of a complaint that are read.
const RECIPIENTS_MAX: usize = 100;

/// What somebody complains of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ComplaintKind {
    /// Unwanted mail.
    Abuse,
    /// Fraud or phishing.
    Fraud,
    /// A virus.
    Virus,
    /// Something else.
    Other,
    /// The recipient wants no more of it.
    OptOut,
    /// No complaint: the recipient says that it is not junk.
    NotSpam,
    /// No complaint: the message failed authentication (RFC 6591).
    AuthFailure,
}

impl ComplaintKind {
    /// The word of the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abuse => "abuse",
            Self::Fraud => "fraud",
            Self::Virus => "virus",
            Self::Other => "other",
            Self::OptOut => "opt-out",
            Self::NotSpam => "not-spam",
            Self::AuthFailure => "auth-failure",
        }
    }

    /// Whether the recipient does not want the message.
    pub const fn is_complaint(self) -> bool {
        !matches!(self, Self::NotSpam | Self::AuthFailure)
    }

    /// A type that is not known is a complaint: the format is made for them (RFC 5965 §3.5).
    fn named(name: &str) -> Self {
        match name {
            "abuse" | "complaint" => Self::Abuse,
            "fraud" | "phishing" => Self::Fraud,
            "virus" => Self::Virus,
            "opt-out" | "opt-out-list" | "unsubscribe" => Self::OptOut,
            "not-spam" => Self::NotSpam,
            "auth-failure" | "dmarc" => Self::AuthFailure,
            _ => Self::Other,
        }
    }
}

/// A complaint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// Of what.
    pub kind: ComplaintKind,
    /// The program that made the report.
    pub user_agent: String,
    /// Who complains; often nobody is named.
    pub recipients: Vec<EmailAddress>,
    /// Return paths by which the message can be found: in the report, and in the message that it quotes.
    pub quoted_paths: Vec<EmailAddress>,
}

/// Reads a complaint; `None` if there is no such part.
pub(super) fn read(parts: &[Part<'_>]) -> Option<Complaint> {
    let is_report = |part: &&Part<'_>| !part.is_multipart && part.content_type.value == "message/feedback-report";
    let part = parts.iter().find(is_report)?;
    let report = transfer::decode(part.encoding, part.content);
    let mut complaint = Complaint {
        kind: ComplaintKind::Other,
        user_agent: String::new(),
        recipients: Vec::new(),
        quoted_paths: Vec::new(),
    };
    for field in Fields::new(skip_blank(&report)) {
        if field.is("Feedback-Type") {
            complaint.kind = ComplaintKind::named(&field.text().trim().to_ascii_lowercase());
        } else if field.is("User-Agent") {
            complaint.user_agent = field.text().chars().filter(|c| !c.is_control()).take(200).collect();
        } else if field.is("Original-Rcpt-To") || field.is("Removal-Recipient") {
            complaint.recipients.extend(bare_address(&field));
        } else if field.is("Original-Mail-From") {
            complaint.quoted_paths.extend(bare_address(&field));
        }
        if complaint.recipients.len() >= RECIPIENTS_MAX || complaint.quoted_paths.len() >= QUOTED_MAX {
            break;
        }
    }
    complaint.quoted_paths.extend(quoted_paths(parts));
    Some(complaint)
}

/// Some reporters leave a blank line before the fields.
fn skip_blank(report: &[u8]) -> &[u8] {
    let blank = report.iter().take_while(|octet| octet.is_ascii_whitespace()).count();
    &report[blank..]
}
