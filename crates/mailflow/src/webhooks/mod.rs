//! Webhooks: telling the application what happened, at least once, in order for each mailbox.
//!
//! A [`Worker`] for each webhook reads the events after its position and sends them, the mailboxes beside each other and
//! the events of one mailbox one after the other. Of a mailbox whose event is not taken, or not within a second, that is
//! written down, and everything behind it waits in the log. The position moves beside all that, in one transaction with it. So neither a
//! mailbox nor a receiver that stalls delays another.

pub mod attempted;
mod attempts;
mod bodies;
mod connections;
mod deliveries;
mod envelope;
mod filter;
mod manage;
mod mock;
mod notices;
pub mod payload;
mod redact;
pub mod replay;
mod resume;
mod send;
mod sign;
mod standing;
mod worker;

pub use connections::{Answered, Attempt, Connections, Spread};
pub use deliveries::{Order, Wanted, deliveries, event, events};
pub use manage::{create, find, list, remove, rotate_secret, show, shown, source_addresses, update};
pub use mock::{sample, send_test_event};
pub use notices::notify_once;
pub use resume::resume_once;
pub use worker::Worker;

use crate::alerts;
use crate::platform::Platform;
pub(crate) use envelope::envelope;
use postfleet_core::event::Trigger;
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::events::{self, Event};
use postfleet_store::replays::LeaseReplays;
use postfleet_store::webhooks::{LeaseWebhooks, LeaveWebhooks, ReleaseReader, Webhook};
pub(crate) use send::Outcome;
use std::sync::Arc;
use std::time::Duration;

/// How long a node keeps the webhooks that it works for; to be renewed well before.
const LEASE: Duration = Duration::from_secs(60);

/// How far the times of neighbours in the log may be in the wrong order: an event has the time at which its change was asked for,
/// and its place only when that is committed.
const LATE_MAX: Duration = Duration::from_secs(60);

/// Takes the webhooks that this node works for, and those of which it tells a part of the log once more.
pub async fn lease(platform: &Platform) -> Result<Vec<Webhook>, Problem> {
    let now = platform.clock.now();
    let (owner, until) = (platform.settings.node.clone(), now.plus(LEASE));
    let mut leased = platform.store.run(LeaseWebhooks { owner: owner.clone(), now, until }).await?;
    leased.extend(platform.store.run(LeaseReplays { owner, now, until }).await?);
    Ok(leased)
}

/// Gives back what this node works for no more.
pub async fn release(platform: &Platform, webhook: &Webhook) -> Result<(), Problem> {
    let (owner, replay) = (platform.settings.node.clone(), webhook.replay.as_ref().map(|replay| replay.id));
    Ok(platform.store.run(ReleaseReader { owner, webhook: webhook.id, replay }).await?)
}

/// Leaves all webhooks to the other nodes.
pub async fn leave(platform: &Platform) -> Result<(), Problem> {
    Ok(platform.store.run(LeaveWebhooks { owner: platform.settings.node.clone() }).await?)
}

/// The end of the log.
pub async fn head(platform: &Platform) -> Result<i64, Problem> {
    Ok(events::head(&mut platform.store.reader().await?).await?)
}

/// The body of a notification of an event under its newest name, at its first attempt.
pub(crate) async fn notification(platform: &Platform, event: &Event) -> Result<Vec<u8>, Problem> {
    payload::body(platform, event, event.event.trigger.name(), 1).await
}

/// What a round found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// There may be more at once.
    pub more: bool,
    /// Another node works for the webhook now.
    pub lease_lost: bool,
    /// When something that waits is due.
    pub next_due: Option<UnixMicros>,
}

impl Round {
    /// Both rounds taken together.
    pub fn and(self, other: Self) -> Self {
        Self {
            more: self.more || other.more,
            lease_lost: self.lease_lost || other.lease_lost,
            next_due: [self.next_due, other.next_due].into_iter().flatten().min(),
        }
    }
}

/// Tells one webhook all that can be told now, and moves its position: for whoever tells by hand. The roles keep a
/// [`Worker`] for each webhook.
pub async fn round(platform: &Platform, webhook: &mut Webhook) -> Result<Round, Problem> {
    let connections = Connections::new(platform.settings.webhook_connections);
    let mut worker = Worker::begin(Arc::new(platform.clone()), webhook.clone(), connections).await?;
    worker.run().await?;
    let (position, next_due) = worker.state();
    if !worker.lease_lost() {
        webhook.position = position;
    }
    Ok(Round { more: false, lease_lost: worker.lease_lost(), next_due })
}

/// Whether a webhook or an alert is to be told of an event. Of mail that went into junk as it came in, only those are that
/// asked for it: what is told of mail makes somebody read it, and perhaps answer.
fn wants(webhook: &Webhook, event: &Event) -> bool {
    let is_held_back = event.event.is_of_junk() && !webhook.include_junk;
    name_for(webhook, event.event.trigger).is_some()
        && !is_held_back
        && alerts::wants(webhook, event)
        && replay::asks_for(webhook, event)
}

fn name_for(webhook: &Webhook, trigger: Trigger) -> Option<&'static str> {
    trigger.name_for(webhook.triggers.iter().map(String::as_str))
}
