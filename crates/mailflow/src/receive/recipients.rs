//! Who may receive: judged at RCPT, before the message is transferred, and found again when it is there.

use super::{Arrival, judge, no_mailbox, refusals};
use crate::feedback::{self, Door};
use crate::platform::Platform;
use postfleet_core::meter::Meters;
use postfleet_core::recipient::{Known, admit};
use postfleet_core::refused_mail::outcome;
use postfleet_core::{EmailAddress, Problem, ProblemKind, ReversePath};
use postfleet_store::domains;
use postfleet_store::grants::{self, Mailbox};
use postfleet_store::refused_mail::ByRules;
use postfleet_store::{Reader, meters};
use std::net::IpAddr;
use std::sync::Arc;

/// What is known of a message before it is there.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// Where failures would be reported.
    pub reverse_path: &'a ReversePath,
    /// The size that its sender declared (RFC 1870).
    pub declared_octets: Option<u64>,
    /// Where its client connected from; nothing if a mailbox of this installation wrote it.
    pub ip: Option<IpAddr>,
}

impl<'a> Offer<'a> {
    /// A message of which nothing but the envelope sender is known.
    pub fn from(reverse_path: &'a ReversePath) -> Self {
        Self { reverse_path, declared_octets: None, ip: None }
    }
}

/// Judges a recipient, before the message is transferred: by what is known of its mailbox, its limits, and the rules that
/// block the envelope sender.
pub async fn recipient(platform: &Platform, offer: &Offer<'_>, address: &EmailAddress) -> Result<(), Problem> {
    let Admission { mailbox, refusal } = admission(platform, offer, address).await?;
    let Some((problem, rules)) = refusal else { return Ok(()) };
    if problem.kind == ProblemKind::NotFound {
        feedback::note_refused(platform, address);
    }
    if let Some(mailbox) = mailbox {
        let concerning = Arc::new(refusals::offered(platform, offer));
        let what = (outcome(&problem), problem.clone());
        refusals::record(platform, vec![refusals::refusal(platform, &concerning, &mailbox, what, rules)]).await;
    }
    Err(problem)
}

/// What a recipient comes to.
pub(super) struct Admission {
    /// The mailbox that mail to it would go to, if it is one.
    pub(super) mailbox: Option<Mailbox>,
    /// Why it is not admitted, and what rules said, if it is for them.
    pub(super) refusal: Option<(Problem, Option<Box<ByRules>>)>,
}

/// Judges a recipient, and writes nothing down.
pub(super) async fn admission(
    platform: &Platform,
    offer: &Offer<'_>,
    address: &EmailAddress,
) -> Result<Admission, Problem> {
    let mut reader = platform.store.reader().await?;
    let (known, mailbox) = known(platform, &mut reader, address).await?;
    let refusal = match (admit(&known, offer.declared_octets), &mailbox) {
        (Err(problem), _) => Some((problem, None)),
        (Ok(()), None) => None,
        (Ok(()), Some(mailbox)) => {
            let blocked = judge::sender(platform, &mut reader, offer, mailbox).await?;
            blocked.map(|(problem, rules)| (problem, Some(rules)))
        }
    };
    Ok(Admission { mailbox, refusal })
}

async fn known(
    platform: &Platform,
    reader: &mut Reader<'_>,
    address: &EmailAddress,
) -> Result<(Known, Option<Mailbox>), Problem> {
    let door = feedback::door(platform, address);
    if door == Some(Door::Complaints) {
        return Ok((Known::Feedback, None));
    }
    let found = match door {
        None => grants::receiving_at(reader, address).await?,
        Some(_) => None,
    };
    // First: a domain whose ownership was lost receives nothing, whatever mailboxes are left on it.
    let is_ours = match &found {
        Some((_, is_ours)) => *is_ours,
        None => domains::is_ours(reader, address.domain()).await?,
    };
    if !is_ours {
        return Ok((Known::ForeignDomain, None));
    }
    if door.is_some() {
        return Ok((Known::Feedback, None));
    }
    let Some((mailbox, _)) = found else { return Ok((Known::NoMailbox, None)) };
    let meters = meters_of(platform, reader, &mailbox).await?;
    Ok((Known::Mailbox(mailbox.limits.clone(), meters.map(Box::new)), Some(mailbox)))
}

/// What stops a mailbox, if anything can.
pub(super) async fn meters_of(
    platform: &Platform,
    reader: &mut Reader<'_>,
    mailbox: &Mailbox,
) -> Result<Option<Meters>, Problem> {
    if !mailbox.is_capped {
        return Ok(None);
    }
    let today = platform.clock.now().day();
    let found = meters::of_grant(reader, mailbox.application_id, mailbox.grant_id, today).await?;
    Ok(found.map(|found| found.meters))
}

/// The recipients' mailboxes, each once however many recipients lead to it.
pub(super) async fn mailboxes(platform: &Platform, arrival: &Arrival) -> Result<Vec<Mailbox>, Problem> {
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
