//! Writing down what mailboxes do not take, so that somebody can ask why mail did not arrive.

use super::Arrival;
use super::recipients::Offer;
use crate::platform::Platform;
use postfleet_core::id::RefusalId;
use postfleet_core::refused_mail::{Outcome, Stage, outcome};
use postfleet_core::{EmailAddress, Problem};
use postfleet_mail::message::MessageView;
use postfleet_store::grants::Mailbox;
use postfleet_store::refused_mail::{ByRules, Concerning, NewRefusal, RecordRefusedMail};
use std::sync::Arc;

/// Characters of a Message-ID that are kept.
const MESSAGE_ID_CHARS_MAX: usize = 200;

/// A message that is offered, of which its envelope is known.
pub(super) fn offered(platform: &Platform, offer: &Offer<'_>) -> Concerning {
    Concerning {
        stage: Stage::Rcpt,
        reverse_path: offer.reverse_path.clone(),
        author: None,
        message_id_header: None,
        octets: offer.declared_octets,
        ip: offer.ip,
        at: platform.clock.now(),
    }
}

/// A message that is there.
pub(super) fn arrived(platform: &Platform, arrival: &Arrival, view: &MessageView) -> Arc<Concerning> {
    let message_id = view.message_id.as_deref();
    Arc::new(Concerning {
        stage: Stage::Data,
        reverse_path: arrival.reverse_path.clone(),
        author: view.from.first().and_then(|author| EmailAddress::parse(&author.email).ok()),
        message_id_header: message_id
            .map(|id| format!("<{}>", id.chars().take(MESSAGE_ID_CHARS_MAX).collect::<String>())),
        octets: Some(arrival.message.len() as u64),
        ip: (!arrival.is_local()).then_some(arrival.ip),
        at: platform.clock.now(),
    })
}

/// That a mailbox does not take a message.
pub(super) fn refusal(
    platform: &Platform,
    concerning: &Arc<Concerning>,
    mailbox: &Mailbox,
    (outcome, problem): (Outcome, Problem),
    rules: Option<Box<ByRules>>,
) -> NewRefusal {
    NewRefusal {
        id: RefusalId::new(concerning.at, platform.entropy.ten()),
        grant_id: mailbox.grant_id,
        application_id: mailbox.application_id,
        recipient: mailbox.address.clone(),
        outcome,
        problem,
        concerning: concerning.clone(),
        rules,
    }
}

/// Writes down that nobody takes a message: the mailboxes that would have, and those that had a reason of their own.
pub(super) async fn record_for_all(
    platform: &Platform,
    concerning: &Arc<Concerning>,
    (mailboxes, mut refusals): (&[Mailbox], Vec<NewRefusal>),
    problem: &Problem,
) {
    let refused = |mailbox| refusal(platform, concerning, mailbox, (outcome(problem), problem.clone()), None);
    refusals.extend(mailboxes.iter().map(refused));
    record(platform, refusals).await;
}

/// Writes refusals down. Whatever becomes of that, they are refusals.
pub(super) async fn record(platform: &Platform, mut refusals: Vec<NewRefusal>) {
    if refusals.is_empty() {
        return;
    }
    // One order for all: two messages to the same mailboxes never wait for each other's locks.
    refusals.sort_by_key(|refusal| refusal.grant_id);
    if let Err(error) = platform.store.run(RecordRefusedMail(refusals)).await {
        tracing::warn!(%error, "refused mail was not recorded");
    }
}
