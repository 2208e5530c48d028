//! Mail out: the one door through which everything that is sent goes. Nothing else puts anything into the queue.

use crate::deliver::{self, Accepted, Room};
use crate::platform::Platform;
use crate::receive::{new_copy, shard};
use postfleet_core::id::{BlobId, EvaluationId, MessageId, QueueId, ThreadId};
use postfleet_core::outbound::{too_large, too_many_recipients};
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::quota::Allowance;
use postfleet_core::rule::{OutboundType, Placement};
use postfleet_core::{EmailAddress, Problem, UnixMicros};
use postfleet_mail::compose::{self, Attachment, Compose};
use postfleet_mail::{Participant, message};
use postfleet_mailbox::filing;
use postfleet_mailbox::summary::{Person, Summary};
use postfleet_mailbox::view::{self, Fields};
use postfleet_schema::message::Message;
use postfleet_store::grants::Grant;
use postfleet_store::messages::{self, StoredMessage};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use std::collections::HashSet;

/// A message that a mailbox wants to send.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// To.
    pub to: Vec<Participant>,
    /// At most one, which must be the mailbox's own address.
    pub from: Vec<Participant>,
    /// Cc.
    pub cc: Vec<Participant>,
    /// Bcc.
    pub bcc: Vec<Participant>,
    /// Reply-To.
    pub reply_to: Vec<Participant>,
    /// The subject.
    pub subject: String,
    /// HTML, or plain text.
    pub body: String,
    /// Whether the body is plain text.
    pub is_plaintext: bool,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The message that is answered: an id of this mailbox.
    pub reply_to_message_id: Option<String>,
    /// Further header fields.
    pub custom_headers: Vec<(String, String)>,
}

/// A message that was accepted for sending.
#[derive(Debug)]
pub struct Sent {
    /// The sent copy.
    pub message: Message,
    /// The daily allowance with this send counted.
    pub daily: Allowance,
}

/// Accepts a message for sending, or says why not. When it returns well, the message is on stable storage and will be
/// delivered or reported.
pub async fn submit(platform: &Platform, grant: &Grant, outgoing: Outgoing) -> Result<Sent, Problem> {
    let sent = accept(platform, grant, outgoing).await;
    platform.metrics.submitted(match &sent {
        Ok(_) => "accepted",
        Err(problem) => problem.code,
    });
    sent
}

async fn accept(platform: &Platform, grant: &Grant, outgoing: Outgoing) -> Result<Sent, Problem> {
    let now = platform.clock.now();
    let recipients = recipients(platform, &outgoing, now)?;
    let from = author(grant, &outgoing)?;
    let answered = answered(platform, grant, &outgoing).await?;
    let copy = new_copy(platform, grant.id, grant.application_id, now);
    let raw = compose(platform, &outgoing, from, answered.as_ref(), copy.message_id, grant, now)?;
    check_size(platform, &raw)?;
    let mut summary = Summary::of(&message::view(&raw));
    let outbound_type = outbound_type(answered.is_some(), &summary);
    summary.bcc = outgoing.bcc.iter().map(Person::from).collect();
    let facts = filing::sent(summary, raw.len() as u64, now);
    let blob = platform.store.blobs().prepare(BlobId::new(now, platform.entropy.ten()), &raw).await?;
    let stored = stored(&facts, &copy, blob.id());
    // Room at the delivery role is taken first: a message that is leased must have its worker.
    let room = Room::take(platform, &recipients, now);
    let lease = room.as_ref().map(|_| deliver::new_lease(platform, now));
    let delivery = lease.as_ref().map(|lease| Accepted {
        message_id: copy.message_id,
        grant_id: grant.id,
        lease: lease.id,
        reverse_path: grant.email.clone(),
        queued_at: now,
        recipients: recipients.clone(),
    });
    let command = Submit {
        blob,
        facts,
        copy,
        thread_id: answered.map(|message| message.thread_id),
        outbound_type,
        evaluation_id: EvaluationId::new(now, platform.entropy.ten()),
        reverse_path: grant.email.clone(),
        sender_domain: grant.email.domain().clone(),
        recipients,
        lease,
    };
    match platform.store.run_near(shard(grant.id.uuid()), command).await? {
        SubmitOutcome::Accepted { thread_id, daily, placement } => {
            let Placement { folders, unread, starred } = placement;
            let stored = StoredMessage { thread_id, folders, unread, starred, ..stored };
            let message = view::message(&stored, Some(&raw), Fields::Standard);
            if let (Some(room), Some(accepted)) = (room, delivery) {
                room.hand_over(accepted, raw);
            }
            Ok(Sent { message, daily })
        }
        SubmitOutcome::Refused(problem) => Err(problem),
        SubmitOutcome::NoSuchGrant => Err(Problem::not_found()),
    }
}

/// The envelope's recipients: every address once.
fn recipients(
    platform: &Platform,
    outgoing: &Outgoing,
    now: UnixMicros,
) -> Result<Vec<(QueueId, EmailAddress)>, Problem> {
    let headers = [("to", &outgoing.to), ("cc", &outgoing.cc), ("bcc", &outgoing.bcc)];
    let count = headers.iter().map(|(_, people)| people.len()).sum();
    if count == 0 {
        return Err(Problem::invalid("to", "to must name at least one recipient"));
    }
    if count > RECIPIENTS_MAX {
        return Err(too_many_recipients(count));
    }
    let mut seen = HashSet::new();
    let mut recipients = Vec::with_capacity(count);
    for (header, people) in headers {
        for (index, person) in people.iter().enumerate() {
            let field = format!("{header}[{index}].email");
            let address = EmailAddress::parse(&person.email)
                .map_err(|error| Problem::invalid(&field, format!("{field} is not an address: {error}")))?;
            if seen.insert(address.key()) {
                recipients.push((QueueId::new(now, platform.entropy.ten()), address));
            }
        }
    }
    Ok(recipients)
}

/// The From: the mailbox's own address, with its name unless another one is given.
fn author(grant: &Grant, outgoing: &Outgoing) -> Result<Participant, Problem> {
    let own = || Participant { name: grant.name.clone(), email: grant.email.to_string() };
    match outgoing.from.as_slice() {
        [] => Ok(own()),
        [from] if EmailAddress::parse(&from.email).is_ok_and(|email| email.key() == grant.email.key()) => {
            let name = if from.name.is_empty() { grant.name.clone() } else { from.name.clone() };
            Ok(Participant { name, ..own() })
        }
        [from] => {
            let text = format!("from[0].email must be the account's own address {}, not {}", grant.email, from.email);
            Err(Problem::invalid("from[0].email", text))
        }
        _ => Err(Problem::invalid("from", "from must have at most one entry")),
    }
}

/// The message that is answered, if one is named.
async fn answered(platform: &Platform, grant: &Grant, outgoing: &Outgoing) -> Result<Option<StoredMessage>, Problem> {
    let Some(id) = outgoing.reply_to_message_id.as_deref().filter(|id| !id.is_empty()) else { return Ok(None) };
    let unknown = || Problem::invalid("reply_to_message_id", "reply_to_message_id is not a message of this account");
    let id: MessageId = id.parse().map_err(|_| unknown())?;
    let found = messages::find(&mut platform.store.reader().await?, grant.id, id).await?;
    found.map(Some).ok_or_else(unknown)
}

/// What the message is to its conversation: it answers if it names what it answers, in the request or in its header.
fn outbound_type(answers: bool, summary: &Summary) -> OutboundType {
    let refers = summary.in_reply_to.is_some() || !summary.references.is_empty();
    if answers || refers { OutboundType::Reply } else { OutboundType::Compose }
}

fn compose(
    platform: &Platform,
    outgoing: &Outgoing,
    from: Participant,
    answered: Option<&StoredMessage>,
    id: MessageId,
    grant: &Grant,
    now: UnixMicros,
) -> Result<Vec<u8>, Problem> {
    let answered = answered.map(|message| Summary::from_json(&message.summary)).unwrap_or_default();
    let references = answered.references.into_iter().chain(answered.message_id.clone()).collect();
    let message = Compose {
        from,
        to: outgoing.to.clone(),
        cc: outgoing.cc.clone(),
        bcc: outgoing.bcc.clone(),
        reply_to: outgoing.reply_to.clone(),
        subject: outgoing.subject.clone(),
        body: outgoing.body.clone(),
        is_plaintext: outgoing.is_plaintext,
        attachments: outgoing.attachments.clone(),
        in_reply_to: answered.message_id,
        references,
        custom_headers: outgoing.custom_headers.clone(),
        date: now,
        message_id: format!("{id}@{}", grant.email.domain()),
        boundary_seed: platform.entropy.sixteen(),
    };
    compose::compose(&message).map_err(|error| {
        // A message has one author, a request a list of at most one.
        let field = match error.field.strip_prefix("from.") {
            Some(rest) => format!("from[0].{rest}"),
            None => error.field,
        };
        Problem::invalid(&field, format!("{field}: {}", error.reason))
    })
}

/// Refuses what no plan allows before it is compressed and stored; the plan's own limit is judged with the rest.
fn check_size(platform: &Platform, raw: &[u8]) -> Result<(), Problem> {
    let limit = platform.store.plans().outbound_octets_ceiling();
    if raw.len() as u64 > limit { Err(too_large(raw.len() as u64, limit)) } else { Ok(()) }
}

/// The sent copy as it will be read back; thread, folders and marks are known once it is accepted.
fn stored(facts: &messages::MessageFacts, copy: &messages::MailboxCopy, blob_id: BlobId) -> StoredMessage {
    StoredMessage {
        id: copy.message_id,
        grant_id: copy.grant_id,
        thread_id: ThreadId::from_uuid(copy.new_thread_id.uuid()),
        blob_id,
        outgoing: true,
        date: facts.date,
        unread: false,
        starred: false,
        octets: facts.octets,
        folders: vec![facts.folder.to_owned()],
        summary: facts.summary.clone(),
    }
}
