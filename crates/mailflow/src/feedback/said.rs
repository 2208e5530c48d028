//! From what a report says to what is written down of it. Pure.

use postfleet_core::EmailAddress;
use postfleet_core::bounce::BounceType;
use postfleet_core::feedback::{Kind, Outcome, meant};
use postfleet_mail::dsn::Action;
use postfleet_mail::feedback::{Complaint, DeliveryReport, Feedback, ReportedFate};

/// Recipients of one report that are written down although they count for nothing: whoever writes a report must not fill
/// the store with it.
pub(super) const STRANGERS_MAX: usize = 20;

/// What is said of one recipient, and what becomes of it unless it was said before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Said {
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    pub(super) reason: &'static str,
    pub(super) recipient: Option<EmailAddress>,
    pub(super) bounce: Option<BounceType>,
    pub(super) status: String,
    pub(super) diagnostic: String,
    pub(super) reporter: String,
}

/// Why a report counts for nothing.
pub(super) fn refusal(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Counted => "it came by the return path of the message",
        Outcome::Noted => "it has no consequences",
        Outcome::Replayed => "the same was reported before",
        Outcome::Unmatched => "the message is not there any more",
        Outcome::Unsigned => "it did not come by a return path of ours",
        Outcome::Forged => "its return path was not made here",
        Outcome::Expired => "its return path is too old",
    }
}

/// A report of delivery that came by the return path of a message with these recipients.
pub(super) fn of_delivery(report: &DeliveryReport, recipients: &[EmailAddress]) -> Vec<Said> {
    let mut said: Vec<Said> = report
        .recipients
        .iter()
        .map(|fate| {
            let kind = kind(fate.action);
            let known = meant(recipients, &fate.addresses);
            let outcome = believed(kind, known.is_some());
            let reason = if known.is_some() { refusal(outcome) } else { NOBODY };
            let recipient = known.or(fate.addresses.first()).cloned();
            Said { outcome, reason, recipient, ..of_fate(report, fate, kind) }
        })
        .collect();
    // In the words of a mail system any address may stand: those that nobody wrote to say nothing.
    let is_about_somebody = said.iter().any(|said| said.outcome != Outcome::Unmatched);
    let strangers_max = match report.is_standard {
        true => STRANGERS_MAX,
        false => usize::from(!is_about_somebody),
    };
    let mut strangers = 0;
    said.retain(|said| {
        strangers += usize::from(said.outcome == Outcome::Unmatched);
        said.outcome != Outcome::Unmatched || strangers <= strangers_max
    });
    said
}

const NOBODY: &str = "it names nobody to whom the message was sent";

fn kind(action: Action) -> Kind {
    match action {
        Action::Failed => Kind::Bounce,
        Action::Delayed => Kind::Delay,
        Action::Delivered | Action::Relayed | Action::Expanded => Kind::Delivery,
    }
}

fn believed(kind: Kind, is_known: bool) -> Outcome {
    match (is_known, kind.counts()) {
        (false, _) => Outcome::Unmatched,
        (true, true) => Outcome::Counted,
        (true, false) => Outcome::Noted,
    }
}

fn of_fate(report: &DeliveryReport, fate: &ReportedFate, kind: Kind) -> Said {
    // As the events of refusals on the wire have it.
    let said = match (report.is_standard, fate.diagnostic.is_empty()) {
        (true, true) => format!("smtp; {}", fate.status),
        (true, false) => format!("smtp; {}", fate.diagnostic),
        (false, _) => fate.diagnostic.clone(),
    };
    Said {
        kind,
        outcome: Outcome::Unsigned,
        reason: "",
        recipient: fate.addresses.first().cloned(),
        bounce: (kind == Kind::Bounce).then_some(fate.kind),
        status: fate.status.clone(),
        diagnostic: said.trim().to_owned(),
        reporter: report.reporter.clone(),
    }
}

/// A complaint about a message with these recipients. Reporters often do not say who complains, or leave only the domain
/// of the address as it was (RFC 6590).
pub(super) fn of_complaint(complaint: &Complaint, recipients: &[EmailAddress]) -> Vec<Said> {
    let kind = if complaint.kind.is_complaint() { Kind::Complaint } else { Kind::Notice };
    let about = |recipient: Option<EmailAddress>, is_known: bool| {
        let outcome = believed(kind, is_known);
        let reason = if is_known { refusal(outcome) } else { NOBODY };
        Said { outcome, reason, recipient, ..of_complainant(complaint, kind) }
    };
    if complaint.recipients.is_empty() {
        return vec![about(meant(recipients, &[]).cloned(), true)];
    }
    let named = complaint.recipients.iter().take(STRANGERS_MAX);
    named
        .map(|named| match meant(recipients, std::slice::from_ref(named)).or_else(|| only_one_at(recipients, named)) {
            Some(known) => about(Some(known.clone()), true),
            None => about(Some(named.clone()), false),
        })
        .collect()
}

fn only_one_at<'a>(recipients: &'a [EmailAddress], redacted: &EmailAddress) -> Option<&'a EmailAddress> {
    let mut there = recipients.iter().filter(|recipient| recipient.domain() == redacted.domain());
    there.next().filter(|_| there.next().is_none())
}

fn of_complainant(complaint: &Complaint, kind: Kind) -> Said {
    Said {
        kind,
        outcome: Outcome::Unsigned,
        reason: "",
        recipient: complaint.recipients.first().cloned(),
        bounce: None,
        status: complaint.kind.name().to_owned(),
        diagnostic: String::new(),
        reporter: complaint.user_agent.clone(),
    }
}

/// A reply, of a machine or a human, to the return path of a message with these recipients.
pub(super) fn of_reply(
    read: Option<&Feedback>,
    author: Option<EmailAddress>,
    recipients: &[EmailAddress],
) -> Vec<Said> {
    let kind = match read {
        Some(Feedback::AutoReply) => Kind::AutoReply,
        Some(Feedback::Challenge) => Kind::Challenge,
        _ => Kind::Other,
    };
    let recipient = author.and_then(|author| meant(recipients, &[author]).cloned());
    vec![Said {
        kind,
        outcome: Outcome::Noted,
        reason: refusal(Outcome::Noted),
        recipient,
        bounce: None,
        status: String::new(),
        diagnostic: String::new(),
        reporter: String::new(),
    }]
}

/// A report that is not believed, whatever it says.
pub(super) fn disbelieved(report: &Feedback, outcome: Outcome) -> Vec<Said> {
    let said: Vec<Said> = match report {
        Feedback::Delivery(report) => {
            report.recipients.iter().take(STRANGERS_MAX).map(|fate| of_fate(report, fate, kind(fate.action))).collect()
        }
        Feedback::Complaint(complaint) => {
            let kind = if complaint.kind.is_complaint() { Kind::Complaint } else { Kind::Notice };
            vec![of_complainant(complaint, kind)]
        }
        Feedback::AutoReply | Feedback::Challenge => Vec::new(),
    };
    said.into_iter().map(|said| Said { outcome, reason: refusal(outcome), ..said }).collect()
}
