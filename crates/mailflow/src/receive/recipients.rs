//! Who may receive: judged at RCPT, before the message is transferred, and found again when it is there.

use super::{Arrival, no_mailbox};
use crate::feedback::{self, Door};
use crate::platform::Platform;
use postfleet_core::meter::Meters;
use postfleet_core::recipient::{Known, admit};
use postfleet_core::{EmailAddress, Problem};
use postfleet_store::domains;
use postfleet_store::grants::{self, Mailbox};
use postfleet_store::{Reader, meters};

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
