//! Mail to the address at which the reader of a message wants no more: it does what the link does. What the mail says does
//! not matter, nor from whom it claims to be: whoever has the address got the message.

use super::Found;
use crate::platform::Platform;
use crate::receive::{self, Arrival, shard};
use postfleet_core::Problem;
use postfleet_core::id::{AuditId, EventId};
use postfleet_store::suppressions::{Unsubscribe, UnsubscribeOutcome, Way};

/// Suppresses the one recipient of the message. The answer is our reference for it.
pub(super) async fn take(platform: &Platform, arrival: &Arrival, found: &Found) -> Result<String, Problem> {
    let [recipient] = found.recipients.as_slice() else { return Err(receive::no_mailbox()) };
    let at = platform.clock.now();
    let record_id = AuditId::new(at, platform.entropy.ten());
    let mailbox = &found.holder.mailbox;
    tracing::debug!(message.id = %found.id, helo = arrival.helo, "a reader unsubscribes by mail");
    let command = Unsubscribe {
        application_id: mailbox.application_id,
        grant_id: mailbox.grant_id,
        message_id: found.id,
        address: recipient.clone(),
        way: Way::Mail,
        event_id: EventId::new(at, platform.entropy.ten()),
        record_id,
        request_id: String::new(),
        at,
    };
    match platform.store.run_near(shard(mailbox.grant_id.uuid()), command).await? {
        UnsubscribeOutcome::Suppressed | UnsubscribeOutcome::AlreadySuppressed => Ok(record_id.to_string()),
        UnsubscribeOutcome::ApplicationGone => Err(receive::no_mailbox()),
    }
}
