//! What comes back: mail to the return path of a message that was sent, and complaints at the addresses that are
//! registered for them. What a report says is believed only if the return path was made here, for a message that is
//! known, and counts once; everything else is written down and counts for nothing.

mod domain_reports;
mod said;
#[cfg(test)]
mod tests;
mod unsubscribe;

use crate::platform::Platform;
use crate::receive::{self, Arrival, shard};
use postfleet_core::feedback::Outcome;
use postfleet_core::id::{BlobId, EventId, FeedbackId, MessageId};
use postfleet_core::recipient::{InboundFacts, accepts};
use postfleet_core::return_path::Reading;
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, ReversePath, UnixMicros};
use postfleet_mail::feedback::{self as content, Feedback};
use postfleet_mail::message::{self, MessageView, Parsed};
use postfleet_mailbox::filing;
use postfleet_mailbox::summary::Summary;
use postfleet_store::feedback::{self, Filing, NewReport, RecordRefused, Sent, TakeFeedback};
use postfleet_store::grants::{self, Holder, Mailbox};
use said::Said;

/// The return path of a message that is sent now.
pub(crate) fn return_path(
    platform: &Platform,
    message: MessageId,
    domain: &Domain,
    now: UnixMicros,
) -> Result<EmailAddress, Problem> {
    let made = platform.keys.return_paths().make(message, domain, now);
    made.ok_or_else(|| Problem::internal("the clock shows a time before 1970"))
}

/// An address that is no mailbox and takes reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    /// The return path of this message.
    ReturnPath(MessageId),
    /// An address that is registered for complaints.
    Complaints,
    /// The address of a domain at which other servers report what they saw of it.
    DomainReports,
    /// The address at which the reader of this message wants no more mail.
    Unsubscribe(MessageId),
}

/// What an address opens, if it is no mailbox.
pub(crate) fn door(platform: &Platform, address: &EmailAddress) -> Option<Door> {
    let key = address.key();
    if platform.settings.feedback_addresses.iter().any(|registered| registered.key() == key) {
        return Some(Door::Complaints);
    }
    if address.local().eq_ignore_ascii_case(&platform.settings.domains.report_mailbox) {
        return Some(Door::DomainReports);
    }
    match platform.keys.return_paths().read(address, platform.clock.now()) {
        Reading::Genuine { message } => Some(Door::ReturnPath(message)),
        _ => platform.keys.unsubscribe_addresses().read(address).map(Door::Unsubscribe),
    }
}

/// Notes that somebody wrote to a return path that was made up or is too old. Nobody waits for that, and under load it
/// is left out: what strangers can cause at will must cost us little.
pub(crate) fn note_refused(platform: &Platform, address: &EmailAddress) {
    let now = platform.clock.now();
    let (outcome, message_id) = match platform.keys.return_paths().read(address, now) {
        Reading::Forged { claimed } => (Outcome::Forged, claimed),
        Reading::Expired { message } => (Outcome::Expired, message),
        Reading::Other | Reading::Genuine { .. } => return,
    };
    platform.metrics.fed_back(outcome.name());
    let command = RecordRefused {
        id: FeedbackId::new(now, platform.entropy.ten()),
        message_id,
        domain: address.domain().clone(),
        outcome,
        reason: said::refusal(outcome),
        at: now,
    };
    platform.store.run_later(shard(message_id.uuid()), command);
}

/// Takes what came to such an address. When it returns well, everything that follows is on stable storage.
pub(crate) async fn take(platform: &Platform, arrival: &Arrival, door: Door) -> Result<String, Problem> {
    if let (Door::DomainReports, [to]) = (door, arrival.recipients.as_slice()) {
        return domain_reports::take(platform, arrival, to.domain()).await;
    }
    let is_null_sender = arrival.reverse_path == ReversePath::Null;
    let read = content::read(&arrival.message, is_null_sender);
    match (door, read) {
        (Door::DomainReports, _) => Err(receive::no_mailbox()),
        (Door::ReturnPath(id), read) => match find(platform, id).await? {
            Some(found) => about(platform, arrival, found, read).await,
            None => of_nobody(platform, arrival, id, read).await,
        },
        (Door::Complaints, Some(Feedback::Complaint(complaint))) => match quoted(platform, &complaint.quoted_paths) {
            Ok(id) => match find(platform, id).await? {
                Some(found) => about(platform, arrival, found, Some(Feedback::Complaint(complaint))).await,
                None => of_nobody(platform, arrival, id, Some(Feedback::Complaint(complaint))).await,
            },
            Err(outcome) => {
                let said = said::disbelieved(&Feedback::Complaint(complaint), outcome);
                write_down(platform, None, None, said, None).await
            }
        },
        (Door::Complaints, _) => Err(not_a_complaint()),
        (Door::Unsubscribe(_), Some(Feedback::Delivery(_) | Feedback::Complaint(_))) => Err(receive::no_mailbox()),
        (Door::Unsubscribe(id), _) => match find(platform, id).await? {
            Some(found) => unsubscribe::take(platform, arrival, &found).await,
            None => Err(receive::no_mailbox()),
        },
    }
}

/// A message that was sent, to whom, and who sent it.
struct Found {
    id: MessageId,
    sent: Sent,
    recipients: Vec<EmailAddress>,
    holder: Holder,
}

async fn find(platform: &Platform, id: MessageId) -> Result<Option<Found>, Problem> {
    let mut reader = platform.store.reader().await?;
    let Some(sent) = feedback::sent(&mut reader, id).await? else { return Ok(None) };
    let Some(holder) = grants::holder(&mut reader, sent.grant_id).await? else { return Ok(None) };
    let summary = Summary::from_json(&sent.summary);
    let people = summary.to.iter().chain(&summary.cc).chain(&summary.bcc);
    let left_out: Vec<String> = addresses(sent.left_out.iter().map(String::as_str)).map(|one| one.key()).collect();
    let recipients = addresses(people.map(|person| person.email.as_str()));
    let recipients = recipients.filter(|one| !left_out.contains(&one.key())).collect();
    Ok(Some(Found { id, sent, recipients, holder }))
}

fn addresses<'a>(texts: impl Iterator<Item = &'a str>) -> impl Iterator<Item = EmailAddress> {
    texts.filter_map(|text| EmailAddress::parse(text).ok())
}

/// Which message a complaint quotes, if it was sent from here.
fn quoted(platform: &Platform, paths: &[EmailAddress]) -> Result<MessageId, Outcome> {
    let (returns, now) = (platform.keys.return_paths(), platform.clock.now());
    let readings: Vec<Reading> = paths.iter().map(|path| returns.read(path, now)).collect();
    let genuine = readings.iter().find_map(|reading| match reading {
        Reading::Genuine { message } => Some(*message),
        _ => None,
    });
    let has = |wanted: fn(&Reading) -> bool| readings.iter().any(wanted);
    genuine.ok_or_else(|| match () {
        () if has(|reading| matches!(reading, Reading::Expired { .. })) => Outcome::Expired,
        () if has(|reading| matches!(reading, Reading::Forged { .. })) => Outcome::Forged,
        () => Outcome::Unsigned,
    })
}

/// Something that came back about a message that is known.
async fn about(
    platform: &Platform,
    arrival: &Arrival,
    found: Found,
    read: Option<Feedback>,
) -> Result<String, Problem> {
    let said = match &read {
        Some(Feedback::Delivery(report)) => said::of_delivery(report, &found.recipients),
        Some(Feedback::Complaint(complaint)) => said::of_complaint(complaint, &found.recipients),
        Some(Feedback::AutoReply | Feedback::Challenge) | None => {
            let author = author(&message::view(&arrival.message));
            // It is mail for the mailbox, and goes the way of all mail.
            let to_mailbox = arrival.to(vec![found.holder.email.clone()]);
            let reference = receive::file(platform, &to_mailbox, receive::announce(platform)).await?;
            let said = said::of_reply(read.as_ref(), author, &found.recipients);
            note(write_down(platform, Some(&found.holder.mailbox), Some(found.id), said, None).await);
            return Ok(reference);
        }
    };
    let filing = filing(platform, arrival, &found).await?;
    write_down(platform, Some(&found.holder.mailbox), Some(found.id), said, filing).await
}

/// Something about a message that is gone, or whose mailbox is. Who writes to it as to a mailbox finds none.
async fn of_nobody(
    platform: &Platform,
    arrival: &Arrival,
    id: MessageId,
    read: Option<Feedback>,
) -> Result<String, Problem> {
    match read {
        Some(report @ (Feedback::Delivery(_) | Feedback::Complaint(_))) => {
            tracing::debug!(message.id = %id, helo = arrival.helo, "a report about a message that is gone");
            let said = said::disbelieved(&report, Outcome::Unmatched);
            write_down(platform, None, Some(id), said, None).await
        }
        _ => Err(receive::no_mailbox()),
    }
}

/// Writes down that a report came to a mailbox and not to a return path: it is mail like any other, and filed already.
pub(crate) async fn note_unsigned(platform: &Platform, raw: &[u8], is_null_sender: bool, mailboxes: &[Mailbox]) {
    if !content::may_be_report(raw) {
        return;
    }
    let Some(report @ (Feedback::Delivery(_) | Feedback::Complaint(_))) = content::read(raw, is_null_sender) else {
        return;
    };
    for mailbox in mailboxes {
        let said = said::disbelieved(&report, Outcome::Unsigned);
        note(write_down(platform, Some(mailbox), None, said, None).await);
    }
}

/// A record of what counts for nothing may be missed: the message is filed, and a failure now would bring it again.
fn note(written: Result<String, Problem>) {
    if let Err(problem) = written {
        tracing::warn!(code = problem.code, cause = ?problem.cause, "failed to record what came back");
    }
}

/// The report itself, for the sender to read in the conversation that it is about. What the mailbox's limits do not let
/// in is not filed, and is believed all the same.
async fn filing(platform: &Platform, arrival: &Arrival, found: &Found) -> Result<Option<Filing>, Problem> {
    let now = platform.clock.now();
    let mailbox = &found.holder.mailbox;
    let message = Parsed::of_arrival(&arrival.message, arrival.is_null_path());
    let view = &message.view;
    let attachments: Vec<_> = view.attachments.iter().map(|file| (file.size, file.content_type.as_str())).collect();
    let facts = InboundFacts { octets: arrival.message.len() as u64, attachments: &attachments };
    if let Err(problem) = accepts(&mailbox.limits, &facts) {
        tracing::warn!(grant = %mailbox.grant_id, code = problem.code, "a report is not filed: the mailbox does not take it");
        receive::left_out(platform, arrival, view, mailbox, problem).await;
        return Ok(None);
    }
    let blob_id = BlobId::new(now, platform.entropy.ten());
    let (copy, raw) = receive::single(platform, arrival, &message, mailbox, (blob_id, now)).await?;
    Ok(Some(Filing {
        facts: filing::received(view, raw.len() as u64, now),
        copy,
        blob: platform.store.blobs().prepare(blob_id, &raw).await?.with_terms(filing::terms_of(&message)),
        thread_id: Some(found.sent.thread_id),
    }))
}

/// Carries everything out. The answer is our reference for the report.
async fn write_down(
    platform: &Platform,
    mailbox: Option<&Mailbox>,
    message_id: Option<MessageId>,
    said: Vec<Said>,
    filing: Option<Filing>,
) -> Result<String, Problem> {
    let now = platform.clock.now();
    let reports: Vec<NewReport> = said.into_iter().map(|said| new_report(platform, said, now)).collect();
    let reference = filing.as_ref().map(|filing| filing.blob.id().to_string());
    let first = reports.first().map(|report| report.id.to_string());
    let sender = mailbox.map(|mailbox| (mailbox.grant_id, mailbox.application_id));
    let near = sender.map_or(0, |(grant, _)| shard(grant.uuid()));
    let suppressed_until = platform.settings.suppressed_until(now);
    let command = TakeFeedback { sender, message_id, reports, filing, suppressed_until, at: now };
    let taken = platform.store.run_near(near, command).await?;
    for outcome in taken.outcomes {
        platform.metrics.fed_back(outcome.name());
    }
    Ok(reference.or(first).unwrap_or_default())
}

fn new_report(platform: &Platform, said: Said, now: UnixMicros) -> NewReport {
    let domain = said.recipient.as_ref().map(EmailAddress::domain);
    NewReport {
        sends_feedback: domain.is_none_or(|domain| platform.settings.sends_feedback(domain)),
        id: FeedbackId::new(now, platform.entropy.ten()),
        kind: said.kind,
        outcome: said.outcome,
        reason: said.reason,
        recipient: said.recipient,
        bounce: said.bounce,
        status: said.status,
        diagnostic: said.diagnostic,
        reporter: said.reporter,
        event_id: EventId::new(now, platform.entropy.ten()),
    }
}

fn author(view: &MessageView) -> Option<EmailAddress> {
    view.from.first().and_then(|from| EmailAddress::parse(&from.email).ok())
}

fn not_a_complaint() -> Problem {
    Problem::new(ProblemKind::Forbidden, "not_a_complaint", "only complaints in the format of RFC 5965 are taken here")
}
