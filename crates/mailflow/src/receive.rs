//! Mail in: who may receive, and filing what was received. The same steps serve SMTP and mail that one mailbox here
//! sends to another.

pub(crate) mod authenticate;

use crate::feedback::{self, Door};
use crate::platform::Platform;
use crate::submit::exchange::hops_of_answer;
use postfleet_core::id::{BlobId, EventId, MessageId, ThreadId};
use postfleet_core::meter::Meters;
use postfleet_core::recipient::{InboundFacts, Known, accepts, admit, has_room};
use postfleet_core::{EmailAddress, Problem, ProblemKind, ReversePath, UnixMicros};
use postfleet_mail::message::{self, MessageView};
use postfleet_mail::trace::{self, Hop, Protocol};
use postfleet_mailbox::filing;
use postfleet_store::domains;
use postfleet_store::grants::{self, Mailbox};
use postfleet_store::messages::{Deliver, MailboxCopy, Provenance};
use postfleet_store::{Reader, meters};
use std::net::IpAddr;

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

/// Judges a recipient, before the message is transferred.
pub async fn recipient(
    platform: &Platform,
    address: &EmailAddress,
    declared_octets: Option<u64>,
) -> Result<(), Problem> {
    let known = known(platform, address).await?;
    admit(&known, declared_octets)
}

async fn known(platform: &Platform, address: &EmailAddress) -> Result<Known, Problem> {
    let mut reader = platform.store.reader().await?;
    let door = feedback::door(platform, address);
    if door == Some(Door::Complaints) {
        return Ok(Known::Feedback);
    }
    // First: a domain whose ownership was lost receives nothing, whatever mailboxes are left on it.
    if !domains::is_ours(&mut reader, address.domain()).await? {
        return Ok(Known::ForeignDomain);
    }
    if door.is_some() {
        return Ok(Known::Feedback);
    }
    let mailbox = grants::receiving(&mut reader, address).await?;
    if mailbox.is_none() {
        feedback::note_refused(platform, address);
    }
    let Some(mailbox) = mailbox else { return Ok(Known::NoMailbox) };
    let meters = meters_of(platform, &mut reader, &mailbox).await?;
    Ok(Known::Mailbox(mailbox.limits, meters.map(Box::new)))
}

/// What stops a mailbox, if anything can.
async fn meters_of(platform: &Platform, reader: &mut Reader<'_>, mailbox: &Mailbox) -> Result<Option<Meters>, Problem> {
    if !mailbox.is_capped {
        return Ok(None);
    }
    let today = platform.clock.now().day();
    let found = meters::of_grant(reader, mailbox.application_id, mailbox.grant_id, today).await?;
    Ok(found.map(|found| found.meters))
}

/// Files a message into its recipients' mailboxes. When it returns well, the message is on stable storage; the text
/// is our reference for it.
pub async fn receive(platform: &Platform, arrival: Arrival) -> Result<String, Problem> {
    let filed = take(platform, arrival).await;
    platform.metrics.received(match &filed {
        Ok(_) => "accepted",
        Err(problem) => problem.code,
    });
    filed
}

/// Parts what is for mailboxes from what is for return paths. The mailboxes come first: if they do not take it, the
/// sender keeps all of it; a report that then comes again counts once.
async fn take(platform: &Platform, mut arrival: Arrival) -> Result<String, Problem> {
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
        reference = Some(file(platform, &arrival).await?);
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
pub(crate) async fn file(platform: &Platform, arrival: &Arrival) -> Result<String, Problem> {
    let now = platform.clock.now();
    let mut mailboxes = mailboxes(platform, arrival).await?;
    let blob_id = BlobId::new(now, platform.entropy.ten());
    let reference = blob_id.to_string();
    let raw = with_trace(platform, arrival, &reference, now);
    let view = message::view(&raw);
    keep_accepting(platform, &mut mailboxes, arrival.message.len() as u64, &view).await?;
    // One order for all: two messages to the same mailboxes never wait for each other's locks.
    mailboxes.sort_by_key(|mailbox| mailbox.grant_id);
    let mut facts = filing::received(&view, raw.len() as u64, now);
    if let Some((hops, counted_at)) = hops_of_answer(platform, &raw, &view) {
        (facts.thread.hops, facts.thread.counted_at) = (hops, Some(counted_at));
    }
    let blob = platform.store.blobs().prepare(blob_id, &raw).await?;
    let copies: Vec<MailboxCopy> = mailboxes.iter().map(|mailbox| copy(platform, mailbox, now)).collect();
    let capped = mailboxes.iter().filter(|mailbox| mailbox.is_capped).map(|mailbox| mailbox.grant_id).collect();
    let shard = shard(copies[0].grant_id.uuid());
    let provenance = Provenance::Received(capped);
    // Somebody else may have taken the room meanwhile. Then nobody gets the message; when it comes again, each recipient
    // has an answer of its own.
    let filed = platform.store.run_near(shard, Deliver { blob, facts, copies, provenance }).await??;
    if filed.is_empty() {
        return Err(no_mailbox());
    }
    let is_null_sender = arrival.reverse_path == ReversePath::Null;
    feedback::note_unsigned(platform, &arrival.message, is_null_sender, &mailboxes).await;
    Ok(reference)
}

pub(crate) fn refuse_loops(raw: &[u8]) -> Result<(), Problem> {
    if trace::count_received(raw) > RECEIVED_MAX {
        let text = format!("message has more than {RECEIVED_MAX} Received fields: it goes round in circles");
        return Err(Problem::new(ProblemKind::Invalid, "mail_loop", text));
    }
    Ok(())
}

/// The recipients' mailboxes, each once however many recipients lead to it.
async fn mailboxes(platform: &Platform, arrival: &Arrival) -> Result<Vec<Mailbox>, Problem> {
    let mut reader = platform.store.reader().await?;
    let mut mailboxes: Vec<Mailbox> = Vec::with_capacity(arrival.recipients.len());
    for recipient in &arrival.recipients {
        let Some(mailbox) = grants::receiving(&mut reader, recipient).await? else {
            feedback::note_refused(platform, recipient);
            continue;
        };
        if mailboxes.iter().all(|known| known.grant_id != mailbox.grant_id) {
            mailboxes.push(mailbox);
        }
    }
    if mailboxes.is_empty() { Err(no_mailbox()) } else { Ok(mailboxes) }
}

/// Leaves the mailboxes whose limits the message keeps to. The message has one answer for all (docs/adr/0010): if none is
/// left, it is the reason of the first; otherwise the copies of the others are dropped, which is logged and counted.
async fn keep_accepting(
    platform: &Platform,
    mailboxes: &mut Vec<Mailbox>,
    octets: u64,
    view: &MessageView,
) -> Result<(), Problem> {
    let attachments: Vec<_> = view.attachments.iter().map(|file| (file.size, file.content_type.as_str())).collect();
    let facts = InboundFacts { octets, attachments: &attachments };
    let (mut accepting, mut refused) = (Vec::with_capacity(mailboxes.len()), Vec::new());
    let mut reader = platform.store.reader().await?;
    for mailbox in mailboxes.drain(..) {
        let meters = meters_of(platform, &mut reader, &mailbox).await?;
        match accepts(&mailbox.limits, &facts).and_then(|()| has_room(meters.as_ref(), octets)) {
            Ok(()) => accepting.push(mailbox),
            Err(problem) => refused.push((mailbox.grant_id, problem)),
        }
    }
    *mailboxes = accepting;
    if mailboxes.is_empty() {
        return refused.into_iter().next().map_or(Ok(()), |(_, problem)| Err(problem));
    }
    for (grant, problem) in &refused {
        tracing::warn!(%grant, code = problem.code, "a copy was dropped: the mailbox does not take the message");
        platform.metrics.received(problem.code);
    }
    Ok(())
}

pub(crate) fn no_mailbox() -> Problem {
    Problem::new(ProblemKind::NotFound, "no_such_mailbox", "no such mailbox here")
}

pub(crate) fn with_trace(platform: &Platform, arrival: &Arrival, reference: &str, now: UnixMicros) -> Vec<u8> {
    let single_recipient = match arrival.recipients.as_slice() {
        [recipient] => Some(recipient),
        _ => None,
    };
    let mut raw = trace::received_header(&Hop {
        reverse_path: &arrival.reverse_path,
        helo: &arrival.helo,
        ip: arrival.ip,
        host: platform.settings.hostname.as_str(),
        protocol: arrival.protocol,
        id: reference,
        single_recipient,
        received_at: now,
    });
    raw.extend_from_slice(&arrival.message);
    raw
}

fn copy(platform: &Platform, mailbox: &Mailbox, now: UnixMicros) -> MailboxCopy {
    new_copy(platform, mailbox.grant_id, mailbox.application_id, now)
}

/// A mailbox's copy of a message, with fresh ids.
pub(crate) fn new_copy(
    platform: &Platform,
    grant_id: postfleet_core::id::GrantId,
    application_id: postfleet_core::id::ApplicationId,
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
