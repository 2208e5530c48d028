//! Delivery: claim what is due, sign, route, attempt, record.

mod attempt;
mod notice;
mod protection;
mod route;
mod sign;

pub use sign::Signers;

use crate::platform::Platform;
use futures::future::join_all;
use postfleet_core::delivery::AttemptResult;
use postfleet_core::id::{GrantId, LeaseId, MessageId, QueueId};
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros};
use postfleet_store::outbound::Lease;
use postfleet_store::queue::{self, Claim, Claimed, ReleaseLeases};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One message with those of its recipients that are due, under a lease.
#[derive(Debug)]
pub struct Delivery {
    message_id: MessageId,
    lease: LeaseId,
    recipients: Vec<Claimed>,
    /// The message itself, when it was handed over by the one who accepted it.
    fresh: Option<Fresh>,
}

/// A message that was just accepted, still in memory.
#[derive(Debug)]
struct Fresh {
    grant_id: GrantId,
    reverse_path: EmailAddress,
    queued_at: UnixMicros,
    raw: Vec<u8>,
}

impl Delivery {
    /// The delivery of a message whose command was just committed under that lease. Spares a claim and a read.
    pub(crate) fn of_accepted(command: Accepted, raw: Vec<u8>) -> Self {
        let recipients = command.recipients.into_iter().map(|(id, recipient)| Claimed {
            id,
            message_id: command.message_id,
            recipient,
            attempts: 0,
        });
        Self {
            message_id: command.message_id,
            lease: command.lease,
            recipients: recipients.collect(),
            fresh: Some(Fresh {
                grant_id: command.grant_id,
                reverse_path: command.reverse_path,
                queued_at: command.queued_at,
                raw,
            }),
        }
    }
}

/// What a delivery needs to know of an accepted message.
pub(crate) struct Accepted {
    pub(crate) message_id: MessageId,
    pub(crate) grant_id: GrantId,
    pub(crate) lease: LeaseId,
    pub(crate) reverse_path: EmailAddress,
    pub(crate) queued_at: UnixMicros,
    pub(crate) recipients: Vec<(QueueId, EmailAddress)>,
}

/// Frees the leases of earlier runs of this node, which began before `started`: nobody works on them.
pub async fn resume(platform: &Platform, started: UnixMicros) -> Result<u64, Problem> {
    let before = LeaseId::new(started, [0; 10]);
    let command = ReleaseLeases { owner: platform.settings.node.clone(), before, now: platform.clock.now() };
    Ok(platform.store.run(command).await?)
}

/// Leases up to `limit` due recipients, and groups them by message.
pub async fn claim(platform: &Platform, limit: usize) -> Result<Vec<Delivery>, Problem> {
    let now = platform.clock.now();
    let lease = new_lease(platform, now);
    let id = lease.id;
    let claimed = platform.store.run(Claim { lease, now, limit }).await?;
    let mut deliveries: BTreeMap<MessageId, Delivery> = BTreeMap::new();
    for row in claimed {
        let message_id = row.message_id;
        let delivery = deliveries.entry(message_id);
        let empty = || Delivery { message_id, lease: id, recipients: Vec::new(), fresh: None };
        delivery.or_insert_with(empty).recipients.push(row);
    }
    Ok(deliveries.into_values().collect())
}

/// A lease for this node that begins now.
pub(crate) fn new_lease(platform: &Platform, now: UnixMicros) -> Lease {
    let id = LeaseId::new(now, platform.entropy.ten());
    Lease { id, owner: platform.settings.node.clone(), until: now.plus(platform.settings.lease) }
}

/// When something is due next.
pub async fn next_due(platform: &Platform) -> Result<Option<UnixMicros>, Problem> {
    Ok(queue::next_due(&mut platform.store.reader().await?).await?)
}

/// Attempts one message: signs it if it is not signed yet, and tries every destination beside the others.
pub async fn attempt(platform: &Platform, delivery: Delivery) -> Result<(), Problem> {
    let Delivery { message_id, lease, recipients, fresh } = delivery;
    let message = match fresh {
        Some(fresh) => Message::of(fresh),
        None => match load(platform, message_id).await? {
            Some(message) => message,
            // Settled meanwhile, by a worker whose lease had ended.
            None => return Ok(()),
        },
    };
    let message = signed(platform, message).await?;
    let attempts = by_domain(&recipients)
        .into_iter()
        .map(|(domain, recipients)| attempt_destination(platform, &message, message_id, lease, domain, recipients));
    join_all(attempts).await.into_iter().collect()
}

/// A message on its way, in memory.
struct Message {
    grant_id: GrantId,
    reverse_path: EmailAddress,
    queued_at: UnixMicros,
    raw: Arc<Vec<u8>>,
    signature: Option<Arc<Vec<u8>>>,
    /// The signature was made in this attempt and has to be kept for later ones.
    is_newly_signed: bool,
}

impl Message {
    fn of(fresh: Fresh) -> Self {
        Self {
            grant_id: fresh.grant_id,
            reverse_path: fresh.reverse_path,
            queued_at: fresh.queued_at,
            raw: Arc::new(fresh.raw),
            signature: None,
            is_newly_signed: false,
        }
    }
}

async fn load(platform: &Platform, id: MessageId) -> Result<Option<Message>, Problem> {
    let found = queue::outbound_message(&mut platform.store.reader().await?, id).await?;
    let Some(outbound) = found else { return Ok(None) };
    Ok(Some(Message {
        grant_id: outbound.grant_id,
        reverse_path: outbound.reverse_path,
        queued_at: outbound.queued_at,
        raw: Arc::new(platform.store.blobs().load(&outbound.blob).await?),
        signature: outbound.signature.map(Arc::new),
        is_newly_signed: false,
    }))
}

async fn signed(platform: &Platform, message: Message) -> Result<Message, Problem> {
    if message.signature.is_some() {
        return Ok(message);
    }
    let signature = sign::sign(platform, &message.reverse_path, &message.raw).await?;
    Ok(Message { signature: Some(Arc::new(signature)), is_newly_signed: true, ..message })
}

fn by_domain(recipients: &[Claimed]) -> BTreeMap<&Domain, Vec<&Claimed>> {
    let mut destinations: BTreeMap<&Domain, Vec<&Claimed>> = BTreeMap::new();
    for row in recipients {
        destinations.entry(row.recipient.domain()).or_default().push(row);
    }
    destinations
}

async fn attempt_destination(
    platform: &Platform,
    message: &Message,
    message_id: MessageId,
    lease: LeaseId,
    domain: &Domain,
    recipients: Vec<&Claimed>,
) -> Result<(), Problem> {
    let results = match route::find(platform, message, domain).await? {
        route::Route::Here => attempt::here(platform, message, &recipients).await,
        route::Route::Servers(servers) => attempt::servers(platform, message, &recipients, &servers).await,
        route::Route::Nowhere(result) => vec![result; recipients.len()],
    };
    attempt::record(platform, message, message_id, lease, &recipients, results).await
}

/// What a result is counted as.
fn label(result: &AttemptResult) -> &'static str {
    match result {
        AttemptResult::Accepted => "delivered",
        AttemptResult::Transient { ambiguous: true, .. } => "ambiguous",
        AttemptResult::Transient { .. } => "deferred",
        AttemptResult::Permanent { .. } => "refused",
    }
}
