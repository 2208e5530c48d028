//! Mail in: who may receive, and filing what was received. The same steps serve SMTP and mail that one mailbox here
//! sends to another.

pub(crate) mod authenticate;
mod file;
mod findings;
pub mod foresee;
mod head;
mod judge;
mod limits;
mod marks;
mod recipients;
mod refusals;
mod spam;

pub(crate) use findings::Findings;
pub use postfleet_store::Arriving;
pub use recipients::{Offer, recipient};

use crate::dmarc_reports;
use crate::feedback::{self, Door};
use crate::platform::Platform;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, MessageId, ThreadId};
use postfleet_core::refused_mail::Outcome;
use postfleet_core::{EmailAddress, Problem, ProblemKind, ReversePath, UnixMicros};
use postfleet_mail::message::{MessageView, Parsed};
use postfleet_mail::trace::{self, Protocol};
use postfleet_store::grants::{self, Mailbox};
use postfleet_store::messages::{FiledCopy, MailboxCopy};
use postfleet_store::refused_mail::{Concerning, NewRefusal};
use postfleet_trace::Instrument;
use std::net::IpAddr;
use std::sync::Arc;

/// Received fields after which a message is taken to be going round in circles (RFC 5321 §6.3).
pub const RECEIVED_MAX: usize = 100;

/// A message that somebody hands to us, with its envelope.
#[derive(Debug)]
pub struct Arrival {
    /// Where failures would be reported.
    pub reverse_path: ReversePath,
    /// The recipients that were admitted.
    pub recipients: Vec<EmailAddress>,
    /// What the client called itself.
    pub helo: String,
    /// Where it connected from.
    pub ip: IpAddr,
    /// What was spoken.
    pub protocol: Protocol,
    /// The message, with CRLF line ends.
    pub message: Vec<u8>,
}

impl Arrival {
    /// Whether a mailbox of this installation wrote it: such mail is handed over without a network, and its author signed
    /// in.
    pub(crate) fn is_local(&self) -> bool {
        self.protocol.is_authenticated
    }

    /// Whether nothing may be sent back.
    pub(crate) fn is_null_path(&self) -> bool {
        self.reverse_path == ReversePath::Null
    }

    /// The same message for other recipients.
    pub(crate) fn to(&self, recipients: Vec<EmailAddress>) -> Self {
        Self {
            reverse_path: self.reverse_path.clone(),
            recipients,
            helo: self.helo.clone(),
            ip: self.ip,
            protocol: self.protocol,
            message: self.message.clone(),
        }
    }
}

/// Announces a message that somebody has begun to hand over, until he has: what comes in at the same time is written
/// together.
pub fn announce(platform: &Platform) -> Arriving {
    platform.store.announce()
}

/// Files a message into its recipients' mailboxes. When it returns well, the message is on stable storage; the text
/// is our reference for it.
pub async fn receive(platform: &Platform, arrival: Arrival) -> Result<String, Problem> {
    receive_announced(platform, arrival, announce(platform)).await
}

/// As [`receive`], for a message that was announced.
pub async fn receive_announced(platform: &Platform, arrival: Arrival, announced: Arriving) -> Result<String, Problem> {
    let filed = take(platform, arrival, announced).await;
    platform.metrics.received(match &filed {
        Ok(_) => "accepted",
        Err(problem) => problem.code,
    });
    filed
}

/// Parts what is for mailboxes from what is for return paths. The mailboxes come first: if they do not take it, the
/// sender keeps all of it; a report that then comes again counts once.
async fn take(platform: &Platform, mut arrival: Arrival, announced: Arriving) -> Result<String, Problem> {
    refuse_loops(&arrival.message)?;
    let mut doors = Vec::new();
    let mut mailboxes = Vec::with_capacity(arrival.recipients.len());
    for recipient in std::mem::take(&mut arrival.recipients) {
        let door = feedback::door(platform, &recipient);
        let is_mailbox_too = matches!(door, Some(Door::Complaints | Door::DomainReports))
            && grants::receiving(&mut platform.store.reader().await?, &recipient).await?.is_some();
        match door {
            Some(door) if !is_mailbox_too => doors.push((recipient, door)),
            door => {
                doors.extend(door.map(|door| (recipient.clone(), door)));
                mailboxes.push(recipient);
            }
        }
    }
    let mut reference = None;
    if !mailboxes.is_empty() || doors.is_empty() {
        arrival.recipients = mailboxes.clone();
        let span = postfleet_trace::child!("receive.judge", mailboxes = postfleet_trace::count(mailboxes.len()));
        reference = Some(file(platform, &arrival, announced).instrument(span).await?);
    } else {
        drop(announced);
    }
    for (recipient, door) in doors {
        let is_filed = mailboxes.contains(&recipient);
        arrival.recipients = vec![recipient];
        match feedback::take(platform, &arrival, door).await {
            Ok(taken) => reference = reference.or(Some(taken)),
            // It was mail for the mailbox of that address.
            Err(_) if is_filed => {}
            Err(problem) => return Err(problem),
        }
    }
    Ok(reference.unwrap_or_default())
}

/// Files a message into its recipients' mailboxes.
pub(crate) async fn file(platform: &Platform, arrival: &Arrival, announced: Arriving) -> Result<String, Problem> {
    let now = platform.clock.now();
    let mut mailboxes = recipients::mailboxes(platform, arrival).await?;
    let message = Parsed::of_arrival(&arrival.message, arrival.is_null_path());
    let concerning = refusals::arrived(platform, arrival, &message.view);
    let octets = arrival.message.len() as u64;
    let dropped = limits::keep_accepting(platform, &mut mailboxes, octets, (&message.view, &concerning)).await?;
    let findings = findings::find(platform, arrival, &message).await;
    let found = (&message, &findings, &concerning);
    let filed = place(platform, arrival, found, (mailboxes, dropped), (now, announced)).await;
    dmarc_reports::count(platform, arrival, &findings, &filed);
    filed
}

/// Files a message of which it is known who sent it, unless it is refused for that, or by rules.
async fn place(
    platform: &Platform,
    arrival: &Arrival,
    (message, findings, concerning): (&Parsed<'_>, &Findings, &Arc<Concerning>),
    (mailboxes, dropped): (Vec<Mailbox>, Vec<NewRefusal>),
    (now, announced): (UnixMicros, Arriving),
) -> Result<String, Problem> {
    if let Some(refusal) = findings.authentication.refusal() {
        refusals::record_for_all(platform, concerning, (&mailboxes, dropped), &refusal).await;
        return Err(refusal);
    }
    let judged = judge::judge(platform, arrival, message, findings, (&mailboxes, concerning)).await?;
    judged.iter().for_each(|judged| judged.count(platform));
    let copies = (mailboxes.as_slice(), judged, dropped);
    let reference = file::file(platform, arrival, (message, findings), copies, (now, announced)).await?;
    feedback::note_unsigned(platform, &arrival.message, arrival.is_null_path(), &mailboxes).await;
    Ok(reference)
}

/// One mailbox's copy of a message that comes in beside others, such as a report: judged as all mail is, and what is
/// written of it.
pub(crate) async fn single(
    platform: &Platform,
    arrival: &Arrival,
    message: &Parsed<'_>,
    mailbox: &Mailbox,
    (id, now): (BlobId, UnixMicros),
) -> Result<(FiledCopy, Vec<u8>), Problem> {
    let findings = findings::find(platform, arrival, message).await;
    let concerning = refusals::arrived(platform, arrival, &message.view);
    let mailboxes = (std::slice::from_ref(mailbox), &concerning);
    let judged = judge::judge(platform, arrival, message, &findings, mailboxes).await?;
    let raw = head::written(platform, arrival, &findings, &id.to_string(), now);
    let copy = judged.into_iter().next().ok_or_else(|| Problem::internal("a mailbox without a judgement"))?;
    copy.count(platform);
    Ok((copy.of(new_copy(platform, mailbox.grant_id, mailbox.application_id, now)), raw))
}

/// Writes down that a mailbox gets no copy of a message that counts all the same.
pub(crate) async fn left_out(
    platform: &Platform,
    arrival: &Arrival,
    view: &MessageView,
    mailbox: &Mailbox,
    problem: Problem,
) {
    let concerning = refusals::arrived(platform, arrival, view);
    let what = (Outcome::Dropped, problem);
    refusals::record(platform, vec![refusals::refusal(platform, &concerning, mailbox, what, None)]).await;
}

pub(crate) fn refuse_loops(raw: &[u8]) -> Result<(), Problem> {
    if trace::count_received(raw) > RECEIVED_MAX {
        let text = format!("message has more than {RECEIVED_MAX} Received fields: it goes round in circles");
        return Err(Problem::new(ProblemKind::Invalid, "mail_loop", text));
    }
    Ok(())
}

pub(crate) fn no_mailbox() -> Problem {
    Problem::new(ProblemKind::NotFound, "no_such_mailbox", "no such mailbox here")
}

/// A mailbox's copy of a message, with fresh ids.
pub(crate) fn new_copy(
    platform: &Platform,
    grant_id: GrantId,
    application_id: ApplicationId,
    now: UnixMicros,
) -> MailboxCopy {
    let entropy = &platform.entropy;
    MailboxCopy {
        grant_id,
        application_id,
        message_id: MessageId::new(now, entropy.ten()),
        new_thread_id: ThreadId::new(now, entropy.ten()),
        event_id: EventId::new(now, entropy.ten()),
    }
}

/// Which writer a mailbox's commands go to.
pub(crate) fn shard(id: uuid::Uuid) -> u64 {
    id.as_u64_pair().1
}
