//! Delivery: claim what is due, sign, route, attempt, record.

mod attempt;
mod notice;
mod route;
mod sign;

pub use sign::Signers;

use crate::platform::Platform;
use futures::future::join_all;
use postfleet_core::delivery::AttemptResult;
use postfleet_core::id::{LeaseId, MessageId};
use postfleet_core::{Domain, Problem, UnixMicros};
use postfleet_store::queue::{self, Claim, Claimed, OutboundMessage, ReleaseLeases};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One message with those of its recipients that are due, under a lease.
#[derive(Debug)]
pub struct Delivery {
    message_id: MessageId,
    lease: LeaseId,
    recipients: Vec<Claimed>,
}

/// Frees the leases that this node held before it was restarted: nobody works on them.
pub async fn resume(platform: &Platform) -> Result<u64, Problem> {
    let command = ReleaseLeases { owner: platform.settings.node.clone(), now: platform.clock.now() };
    Ok(platform.store.run(command).await?)
}

/// Leases up to `limit` due recipients, and groups them by message.
pub async fn claim(platform: &Platform, limit: usize) -> Result<Vec<Delivery>, Problem> {
    let now = platform.clock.now();
    let lease = LeaseId::new(now, platform.entropy.ten());
    let until = now.plus(platform.settings.lease);
    let owner = platform.settings.node.clone();
    let claimed = platform.store.run(Claim { lease, owner, now, until, limit }).await?;
    let mut deliveries: BTreeMap<MessageId, Delivery> = BTreeMap::new();
    for row in claimed {
        let message_id = row.message_id;
        let delivery = deliveries.entry(message_id);
        delivery.or_insert_with(|| Delivery { message_id, lease, recipients: Vec::new() }).recipients.push(row);
    }
    Ok(deliveries.into_values().collect())
}

/// When something is due next.
pub async fn next_due(platform: &Platform) -> Result<Option<UnixMicros>, Problem> {
    Ok(queue::next_due(&mut platform.store.reader().await?).await?)
}

/// Attempts one message: signs it if it is not signed yet, and tries every destination beside the others.
pub async fn attempt(platform: &Platform, delivery: Delivery) -> Result<(), Problem> {
    let found = queue::outbound_message(&mut platform.store.reader().await?, delivery.message_id).await?;
    // Settled meanwhile, by a worker whose lease had ended.
    let Some(outbound) = found else { return Ok(()) };
    let raw = platform.store.blobs().load(&outbound.blob).await?;
    let new_signature = match outbound.signature {
        Some(_) => None,
        None => Some(sign::sign(platform, outbound.reverse_path.domain(), &raw).await?),
    };
    let signature = new_signature.clone().or_else(|| outbound.signature.clone()).unwrap_or_default();
    let message = Message { outbound, raw: Arc::new(raw), signature: Arc::new(signature), new_signature };
    let destinations = by_domain(&delivery.recipients);
    let attempts = destinations.into_iter().map(|(domain, recipients)| {
        attempt_destination(platform, &message, delivery.message_id, delivery.lease, domain, recipients)
    });
    join_all(attempts).await.into_iter().collect()
}

/// A message on its way, in memory.
struct Message {
    outbound: OutboundMessage,
    raw: Arc<Vec<u8>>,
    signature: Arc<Vec<u8>>,
    new_signature: Option<Vec<u8>>,
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
    let results = match route::find(platform, domain).await? {
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
