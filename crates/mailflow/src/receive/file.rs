//! Filing: one command that writes a message into all of its mailboxes, or into none.

use super::judge::Judged;
use super::{Arrival, Findings, head, new_copy, no_mailbox, shard};
use crate::platform::Platform;
use crate::submit::exchange::hops_of_answer;
use postfleet_core::id::BlobId;
use postfleet_core::{Problem, UnixMicros};
use postfleet_mail::message::Parsed;
use postfleet_mailbox::filing;
use postfleet_store::Arriving;
use postfleet_store::grants::Mailbox;
use postfleet_store::messages::{Deliver, FiledCopy, Incoming, Provenance};
use postfleet_store::refused_mail::NewRefusal;

/// Files a message into the mailboxes for which it was judged. The answer is our reference for it.
pub(super) async fn file(
    platform: &Platform,
    arrival: &Arrival,
    (message, findings): (&Parsed<'_>, &Findings),
    (mailboxes, judged, dropped): (&[Mailbox], Vec<Judged>, Vec<NewRefusal>),
    (now, announced): (UnixMicros, Arriving),
) -> Result<String, Problem> {
    let blob_id = BlobId::new(now, platform.entropy.ten());
    let reference = blob_id.to_string();
    let (view, raw) = (&message.view, head::written(platform, arrival, findings, &reference, now));
    let mut facts = filing::received(view, raw.len() as u64, now);
    if let Some((hops, counted_at)) = hops_of_answer(platform, &raw, view) {
        (facts.thread.hops, facts.thread.counted_at) = (hops, Some(counted_at));
    }
    let terms = filing::terms_of(message);
    let blob = platform.store.blobs().prepare(blob_id, &raw).await?.with_terms(terms);
    let mut copies: Vec<FiledCopy> = mailboxes
        .iter()
        .zip(judged)
        .map(|(mailbox, judged)| judged.of(new_copy(platform, mailbox.grant_id, mailbox.application_id, now)))
        .collect();
    // One order for all: two messages to the same mailboxes never wait for each other's locks.
    copies.sort_by_key(|filing| filing.copy.grant_id);
    let capped = mailboxes.iter().filter(|mailbox| mailbox.is_capped).map(|mailbox| mailbox.grant_id).collect();
    let shard = copies.first().map_or(0, |first| shard(first.copy.grant_id.uuid()));
    let provenance = Provenance::Received(Incoming { capped, dropped });
    // Somebody else may have taken the room meanwhile. Then nobody gets the message; when it comes again, each recipient
    // has an answer of its own.
    let command = Deliver { blob, facts, copies, provenance };
    let filed = platform.store.run_announced(announced, shard, command).await??;
    if filed.is_empty() { Err(no_mailbox()) } else { Ok(reference) }
}
