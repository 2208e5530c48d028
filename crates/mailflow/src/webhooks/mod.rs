//! Webhooks: telling the application what happened, at least once, in order for each mailbox.
//!
//! A round reads the events after a webhook's position and sends them, the mailboxes beside each other and the events
//! of one mailbox one after the other. What is not taken is parked, with everything behind it of the same mailbox, so
//! that one stalled mailbox delays no other. Then the position moves, in one transaction with the parking.

mod deliveries;
mod manage;
mod payload;
mod send;
mod sign;

pub use deliveries::{Wanted, deliveries, events};
pub use manage::{create, find, list, remove, rotate_secret, show, source_addresses, update};

use crate::alerts;
use crate::platform::Platform;
use futures::StreamExt;
use futures::stream;
use postfleet_core::event::Trigger;
use postfleet_core::id::GrantId;
use postfleet_core::{Problem, UnixMicros, retry};
use postfleet_store::events::{self, Event};
use postfleet_store::webhooks::{self, AdvanceWebhook, LeaseWebhooks, Parked, SettleParked, Webhook};
pub(crate) use send::Outcome;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Events that one round reads.
const ROUND_MAX: usize = 256;

/// How long a node keeps the webhooks that it works for; renewed every round.
const LEASE: Duration = Duration::from_secs(60);

/// Takes the webhooks that this node works for.
pub async fn lease(platform: &Platform) -> Result<Vec<Webhook>, Problem> {
    let now = platform.clock.now();
    let command = LeaseWebhooks { owner: platform.settings.node.clone(), now, until: now.plus(LEASE) };
    Ok(platform.store.run(command).await?)
}

/// What a round found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// There may be more at once.
    pub more: bool,
    /// Another node works for the webhook now.
    pub lease_lost: bool,
    /// When something parked is due.
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

/// One round for one webhook: what is parked and due, then what is new. Moves the webhook's position.
pub async fn round(platform: &Platform, webhook: &mut Webhook) -> Result<Round, Problem> {
    retry_parked(platform, webhook).await?;
    let round = send_new(platform, webhook).await?;
    let next_due = webhooks::next_due(&mut platform.store.reader().await?, webhook.id).await?;
    Ok(Round { next_due: next_due.filter(|due| *due != Parked::BEHIND), ..round })
}

async fn send_new(platform: &Platform, webhook: &mut Webhook) -> Result<Round, Problem> {
    let mut reader = platform.store.reader().await?;
    // The head first: everything up to it is visible, so an empty answer means that nothing up to it is wanted.
    let head = events::head(&mut reader).await?;
    if head <= webhook.position {
        return Ok(Round::default());
    }
    let events = events::after_of(&mut reader, webhook.application_id, webhook.position, ROUND_MAX).await?;
    let waiting: HashSet<GrantId> = webhooks::waiting_grants(&mut reader, webhook.id).await?.into_iter().collect();
    drop(reader);
    let more = events.len() == ROUND_MAX;
    // Events may have come after the head was read, and are sent, too: the position must not stay behind them.
    let last = events.last().map_or(0, |event| event.position);
    let position = if more { last } else { last.max(head) };
    let lanes = lanes(webhook, events);
    let Left { parked, given_up } = send_lanes(platform, webhook, lanes, &waiting).await;
    let owner = platform.settings.node.clone();
    let kept = platform.store.run(AdvanceWebhook { id: webhook.id, owner, position, parked, given_up }).await?;
    if kept {
        webhook.position = position;
    }
    Ok(Round { more: more && kept, lease_lost: !kept, next_due: None })
}

/// The wanted events by mailbox, in order.
fn lanes(webhook: &Webhook, events: Vec<Event>) -> BTreeMap<GrantId, Vec<Event>> {
    let mut lanes: BTreeMap<GrantId, Vec<Event>> = BTreeMap::new();
    for event in events {
        if wants(webhook, &event) {
            lanes.entry(event.event.grant_id).or_default().push(event);
        }
    }
    lanes
}

/// Whether a webhook or an alert is to be told of an event. Of mail that went into junk as it came in, only those are that
/// asked for it: what is told of mail makes somebody read it, and perhaps answer.
fn wants(webhook: &Webhook, event: &Event) -> bool {
    let is_held_back = event.event.is_of_junk() && !webhook.include_junk;
    name_for(webhook, event.event.trigger).is_some() && !is_held_back && alerts::wants(webhook, event)
}

fn name_for(webhook: &Webhook, trigger: Trigger) -> Option<&'static str> {
    trigger.name_for(webhook.triggers.iter().map(String::as_str))
}

async fn send_lanes(
    platform: &Platform,
    webhook: &Webhook,
    lanes: BTreeMap<GrantId, Vec<Event>>,
    waiting: &HashSet<GrantId>,
) -> Left {
    let sends = lanes.into_iter().map(|(grant, lane)| send_lane(platform, webhook, lane, waiting.contains(&grant)));
    let lanes = stream::iter(sends).buffer_unordered(platform.settings.webhook_concurrency);
    lanes.fold(Left::default(), |all, lane| std::future::ready(all.and(lane))).await
}

/// What was not told.
#[derive(Default)]
struct Left {
    /// What is tried again, and what waits behind it.
    parked: Vec<Parked>,
    /// What is not.
    given_up: Vec<i64>,
}

impl Left {
    fn and(mut self, more: Self) -> Self {
        self.parked.extend(more.parked);
        self.given_up.extend(more.given_up);
        self
    }
}

/// Sends one mailbox's events until one is not taken; that one and the rest are parked.
async fn send_lane(platform: &Platform, webhook: &Webhook, lane: Vec<Event>, is_waiting: bool) -> Left {
    let mut left = Left::default();
    for event in &lane {
        if is_waiting || !left.parked.is_empty() {
            left.parked.push(parked_at(event, 0, Parked::BEHIND));
            continue;
        }
        let due = match send::send(platform, webhook, event, 1).await {
            Outcome::Done => continue,
            Outcome::Again(retry_after) => retry::webhook_due(platform.clock.now(), 1, retry_after),
            Outcome::GivenUp => None,
        };
        match due {
            Some(due) => left.parked.push(parked_at(event, 1, due)),
            None => left.given_up.push(event.position),
        }
    }
    left
}

fn parked_at(event: &Event, attempts: u32, due_at: UnixMicros) -> Parked {
    Parked { grant_id: event.event.grant_id, position: event.position, attempts, due_at }
}

/// Attempts what is parked and due: at most one event of each mailbox, its first.
async fn retry_parked(platform: &Platform, webhook: &Webhook) -> Result<(), Problem> {
    let mut reader = platform.store.reader().await?;
    let due = webhooks::due(&mut reader, webhook.id, platform.clock.now(), ROUND_MAX).await?;
    drop(reader);
    let retries = due.into_iter().map(|parked| retry_one(platform, webhook, parked));
    let results: Vec<Result<(), Problem>> =
        stream::iter(retries).buffer_unordered(platform.settings.webhook_concurrency).collect().await;
    results.into_iter().collect()
}

async fn retry_one(platform: &Platform, webhook: &Webhook, parked: Parked) -> Result<(), Problem> {
    let event = events::at(&mut platform.store.reader().await?, parked.position).await?;
    let attempts = parked.attempts + 1;
    let outcome = match &event {
        Some(event) => send::send(platform, webhook, event, attempts).await,
        // Pruned: it is too old to tell.
        None => Outcome::Done,
    };
    let now = platform.clock.now();
    let again = match outcome {
        Outcome::Again(retry_after) => retry::webhook_due(now, attempts, retry_after),
        Outcome::Done | Outcome::GivenUp => None,
    };
    let again = again.map(|due_at| Parked { attempts, due_at, ..parked });
    let is_given_up = outcome != Outcome::Done && again.is_none();
    let owner = platform.settings.node.clone();
    platform.store.run(SettleParked { id: webhook.id, owner, done: parked, again, is_given_up, now }).await?;
    Ok(())
}
