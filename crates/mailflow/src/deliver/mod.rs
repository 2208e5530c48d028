//! Delivery: claim what is due, sign, route, attempt, record.

mod attempt;
mod back;
mod notice;
mod pacing;
mod protection;
mod route;
mod sign;
mod simulate;

pub use pacing::Pacing;
pub use sign::Signers;

use crate::platform::Platform;
use crate::receive::shard;
use crate::stops;
use futures::future::join_all;
use pacing::Permit;
use postfleet_core::audit::Act;
use postfleet_core::delivery::{AfterAttempt, AttemptResult, Reason};
use postfleet_core::destination::sign;
use postfleet_core::id::{ApplicationId, GrantId, LeaseId, MessageId, QueueId};
use postfleet_core::retry::DELIVERY_HORIZON;
use postfleet_core::{Domain, EmailAddress, Problem, UnixMicros};
use postfleet_store::outbound::Lease;
use postfleet_store::queue::{self, Claim, ClaimExpired, Claimed, Depth, ReleaseLease, ReleaseLeases, State};
use postfleet_trace::Instrument;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Recipients that are counted in one read.
const COUNTED_AT_ONCE: u64 = 1_000;

/// One message with those of its recipients that are due, under a lease.
#[derive(Debug)]
pub struct Delivery {
    message_id: MessageId,
    lease: LeaseId,
    recipients: Vec<Claimed>,
    /// Its place at each of its destinations.
    permits: BTreeMap<Domain, Permit>,
    from: Source,
}

/// Where a delivery comes from.
#[derive(Debug)]
enum Source {
    /// It was claimed, and is read.
    Claimed,
    /// It was just accepted, and is still in memory.
    Accepted(Fresh),
    /// Whether it was accepted from this mailbox is not known: the answer of the database was lost.
    InDoubt(GrantId),
}

/// A message that was just accepted, still in memory.
#[derive(Debug)]
struct Fresh {
    grant_id: GrantId,
    application_id: ApplicationId,
    reverse_path: EmailAddress,
    queued_at: UnixMicros,
    raw: Vec<u8>,
    /// Made while it was being accepted.
    signature: Option<Vec<u8>>,
}

/// Room for a message that is about to be accepted: at the delivery role of this node, and at its destinations.
pub(crate) struct Room<'a> {
    slot: mpsc::Permit<'a, Delivery>,
    permits: BTreeMap<Domain, Permit>,
}

impl<'a> Room<'a> {
    /// Takes room, if there is some everywhere and nothing of the application is just coming back from behind a stop: that
    /// was there before. What finds none is accepted all the same, and waits to be claimed.
    pub(crate) fn take(
        platform: &'a Platform,
        application: ApplicationId,
        recipients: &[(QueueId, EmailAddress)],
        now: UnixMicros,
    ) -> Option<Self> {
        if platform.stops.is_releasing(application) {
            return None;
        }
        let slot = platform.handoff.as_ref()?.try_reserve().ok()?;
        let permits = platform.pacing.try_enter(&domains_of(recipients), now)?;
        Some(Self { slot, permits })
    }

    /// The room is for this message, whose command is about to be run.
    pub(crate) fn expect(self, accepted: Accepted) -> Expected<'a> {
        Expected { room: Some((self, accepted)) }
    }
}

/// A message whose command is being run, and the worker that waits for it. If nobody says what came of the command, it may
/// have been committed and the message be leased: whoever waited for the answer went away, or the database did. Then the
/// worker gives it back.
pub(crate) struct Expected<'a> {
    room: Option<(Room<'a>, Accepted)>,
}

impl Expected<'_> {
    /// Hands over a message whose command was just committed, for these of its recipients. Spares a claim and a read.
    pub(crate) fn hand_over(
        mut self,
        raw: Vec<u8>,
        signature: Option<Vec<u8>>,
        goes_to: impl Fn(&EmailAddress) -> bool,
    ) {
        let Some((room, mut accepted)) = self.room.take() else { return };
        accepted.recipients.retain(|(_, address)| goes_to(address));
        let fresh = Fresh {
            grant_id: accepted.grant_id,
            application_id: accepted.application_id,
            reverse_path: accepted.reverse_path.clone(),
            queued_at: accepted.queued_at,
            raw,
            signature,
        };
        room.slot.send(Delivery::of(accepted, room.permits, Source::Accepted(fresh)));
    }

    /// It was not accepted.
    pub(crate) fn dismiss(mut self) {
        self.room = None;
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        if let Some((room, accepted)) = self.room.take() {
            let from = Source::InDoubt(accepted.grant_id);
            room.slot.send(Delivery::of(accepted, BTreeMap::new(), from));
        }
    }
}

/// Signs a message that will be handed over, while it is being accepted: storing it waits for the disk, signing for the
/// processor. Where much is under way the processor is what everybody waits for, and whoever asks to send goes first. If
/// it cannot be signed, the attempt says why.
pub(crate) async fn sign_ahead(platform: &Platform, reverse_path: &EmailAddress, raw: &[u8]) -> Option<Vec<u8>> {
    if platform.pacing.is_quiet() { sign::sign(platform, reverse_path, raw).await.ok() } else { None }
}

/// Tells the delivery role that a message without a worker was accepted, unless it claims soon anyway.
pub(crate) fn announce(platform: &Platform, recipients: &[(QueueId, EmailAddress)]) {
    if !platform.pacing.are_awaited(&domains_of(recipients)) {
        platform.store.wake().queue.notify_one();
    }
}

fn domains_of(recipients: &[(QueueId, EmailAddress)]) -> BTreeSet<&Domain> {
    recipients.iter().map(|(_, recipient)| recipient.domain()).collect()
}

impl Delivery {
    /// The delivery of a message that was accepted under that lease.
    fn of(command: Accepted, permits: BTreeMap<Domain, Permit>, from: Source) -> Self {
        let trace = postfleet_trace::current();
        let recipients = command.recipients.into_iter().map(|(id, recipient)| Claimed {
            id,
            message_id: command.message_id,
            recipient,
            attempts: 0,
            is_probe: false,
            suppressed: None,
            trace,
        });
        Self { message_id: command.message_id, lease: command.lease, recipients: recipients.collect(), permits, from }
    }
}

/// What a delivery needs to know of an accepted message.
pub(crate) struct Accepted {
    pub(crate) message_id: MessageId,
    pub(crate) grant_id: GrantId,
    pub(crate) application_id: ApplicationId,
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

/// Leases up to `limit` recipients that are due or whose destination's turn it is, and groups them by message.
pub async fn claim(platform: &Platform, limit: usize) -> Result<Vec<Delivery>, Problem> {
    let now = platform.clock.now();
    // A claim that has failed may have been committed all the same: nobody knows of what it took.
    if let Some(lease) = platform.pacing.claim_in_doubt() {
        platform.store.run(ReleaseLease { lease, now }).await?;
    }
    let lease = new_lease(platform, now);
    let id = lease.id;
    let rooms = platform.pacing.begin_claim(id, now);
    let mut claims = platform.store.run(Claim { lease, now, limit, rooms }).await?;
    let mut deliveries: BTreeMap<MessageId, Delivery> = BTreeMap::new();
    for row in std::mem::take(&mut claims.rows) {
        let message_id = row.message_id;
        let empty = || Delivery {
            message_id,
            lease: id,
            recipients: Vec::new(),
            permits: BTreeMap::new(),
            from: Source::Claimed,
        };
        let delivery = deliveries.entry(message_id).or_insert_with(empty);
        let domain = row.recipient.domain();
        if row.suppressed.is_none() && !delivery.permits.contains_key(domain) {
            delivery.permits.insert(domain.clone(), platform.pacing.enter(domain, now));
        }
        delivery.recipients.push(row);
    }
    platform.pacing.end_claim(&claims);
    Ok(deliveries.into_values().collect())
}

/// Gives up up to `limit` recipients that have waited behind a destination for too long, and tells their senders. The
/// answer is how many there were.
pub async fn expire_once(platform: &Platform, limit: usize) -> Result<usize, Problem> {
    let now = platform.clock.now();
    let lease = new_lease(platform, now);
    let id = lease.id;
    let queued_before = now.minus(DELIVERY_HORIZON);
    let expired = platform.store.run(ClaimExpired { lease, now, queued_before, limit }).await?;
    let count = expired.len();
    let mut messages: BTreeMap<MessageId, Vec<(Claimed, AfterAttempt)>> = BTreeMap::new();
    for (row, said) in expired {
        let text = if said.is_empty() { "not delivered in time".to_owned() } else { said };
        let after = AfterAttempt::Expired(Reason { code: 0, status: "4.4.7".to_owned(), text });
        messages.entry(row.message_id).or_default().push((row, after));
    }
    for (message, rows) in messages {
        settle(platform, message, id, rows, None).await?;
    }
    Ok(count)
}

/// Counts what waits, for whoever reads the metrics: in stretches, between which others go on.
pub async fn measure_once(platform: &Platform) -> Result<(), Problem> {
    let mut depths = State::ALL.map(|state| Depth { state, recipients: 0, oldest: None });
    let mut after = Some(QueueId::from_uuid(Uuid::nil()));
    while let Some(begin) = after {
        let (counted, next) = queue::state_depths(&mut platform.store.reader().await?, begin, COUNTED_AT_ONCE).await?;
        for one in counted {
            let Some(depth) = depths.iter_mut().find(|depth| depth.state == one.state) else { continue };
            depth.recipients += one.recipients;
            // Those that came first are counted first.
            depth.oldest = depth.oldest.or(one.oldest);
        }
        after = next;
        tokio::task::yield_now().await;
    }
    let now = platform.clock.now();
    for depth in depths {
        let age = depth.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
        platform.metrics.queued(depth.state.name(), depth.recipients, age);
    }
    let closed = queue::closed_destinations(&mut platform.store.reader().await?).await?;
    platform.metrics.destinations_closed(closed);
    Ok(())
}

/// Writes down what somebody has decided about recipients that are leased, without an attempt.
pub(crate) async fn settle(
    platform: &Platform,
    message_id: MessageId,
    lease: LeaseId,
    rows: Vec<(Claimed, AfterAttempt)>,
    by: Option<Act>,
) -> Result<(), Problem> {
    let Some(message) = load(platform, message_id).await? else { return Ok(()) };
    attempt::record_decision(platform, &message, lease, rows, by).await
}

/// A lease for this node that begins now.
pub(crate) fn new_lease(platform: &Platform, now: UnixMicros) -> Lease {
    let id = LeaseId::new(now, platform.entropy.ten());
    Lease { id, owner: platform.settings.node.clone(), until: now.plus(platform.settings.lease) }
}

/// When something is due next.
pub async fn next_due(platform: &Platform) -> Result<Option<UnixMicros>, Problem> {
    let rooms = platform.pacing.rooms(platform.clock.now());
    Ok(queue::next_due(&mut platform.store.reader().await?, &rooms).await?)
}

/// Attempts one message: signs it if it is not signed yet, and tries every destination beside the others.
pub async fn attempt(platform: &Platform, delivery: Delivery) -> Result<(), Problem> {
    let recipients = &delivery.recipients;
    let begun = recipients.iter().find_map(|row| row.trace);
    let attempt = recipients.iter().map(|row| i64::from(row.attempts) + 1).max();
    let recipients = postfleet_trace::count(recipients.len());
    let span = postfleet_trace::continued!(begun, "deliver.attempt", recipients, attempt);
    try_all(platform, delivery).instrument(span).await
}

async fn try_all(platform: &Platform, delivery: Delivery) -> Result<(), Problem> {
    let Delivery { message_id, lease, recipients, mut permits, from } = delivery;
    let rows = || recipients.iter().map(|row| row.id).collect();
    let begun = match from {
        Source::Accepted(fresh) => Ok(Some(Message::of(message_id, fresh))),
        Source::Claimed => load(platform, message_id).await,
        Source::InDoubt(grant) => {
            // Behind the command, should that still wait to be run.
            let near = shard(grant.uuid());
            return back::give(platform, near, message_id, lease, rows(), platform.clock.now()).await;
        }
    };
    let begun = match begun {
        Ok(Some(message)) => begin(platform, message, lease, &recipients).await,
        // Settled meanwhile, by a worker whose lease had ended.
        Ok(None) => return Ok(()),
        Err(problem) => Err(problem),
    };
    let message = back::unless_begun(platform, message_id, lease, rows, begun).await?;
    let recipients: Vec<_> = recipients.into_iter().filter(|row| row.suppressed.is_none()).collect();
    let attempts = by_domain(&recipients).into_iter().map(|(domain, recipients)| {
        let permit = permits.remove(domain).unwrap_or_else(|| platform.pacing.enter(domain, platform.clock.now()));
        attempt_destination(platform, &message, lease, permit, domain, recipients)
    });
    join_all(attempts.collect::<Vec<_>>()).await.into_iter().collect()
}

/// What is done before any destination is attempted.
async fn begin(
    platform: &Platform,
    message: Message,
    lease: LeaseId,
    recipients: &[Claimed],
) -> Result<Message, Problem> {
    leave_out(platform, &message, lease, recipients).await?;
    let is_for_nobody = recipients.iter().all(|row| row.suppressed.is_some());
    if is_for_nobody { Ok(message) } else { signed(platform, message).await }
}

/// Gives up recipients who were suppressed while the message waited for them, and tells its sender.
async fn leave_out(
    platform: &Platform,
    message: &Message,
    lease: LeaseId,
    recipients: &[Claimed],
) -> Result<(), Problem> {
    let given_up = |row: &Claimed| row.suppressed.map(|why| (row.clone(), AfterAttempt::Suppressed(why)));
    let rows: Vec<_> = recipients.iter().filter_map(given_up).collect();
    if rows.is_empty() { Ok(()) } else { attempt::record_decision(platform, message, lease, rows, None).await }
}

/// A message on its way, in memory.
struct Message {
    id: MessageId,
    grant_id: GrantId,
    application_id: ApplicationId,
    reverse_path: EmailAddress,
    queued_at: UnixMicros,
    raw: Arc<Vec<u8>>,
    signature: Option<Arc<Vec<u8>>>,
    /// The signature was made for this attempt and has to be kept for later ones.
    is_newly_signed: bool,
}

impl Message {
    fn of(id: MessageId, fresh: Fresh) -> Self {
        Self {
            id,
            grant_id: fresh.grant_id,
            application_id: fresh.application_id,
            reverse_path: fresh.reverse_path,
            queued_at: fresh.queued_at,
            raw: Arc::new(fresh.raw),
            is_newly_signed: fresh.signature.is_some(),
            signature: fresh.signature.map(Arc::new),
        }
    }
}

async fn load(platform: &Platform, id: MessageId) -> Result<Option<Message>, Problem> {
    let found = queue::outbound_message(&mut platform.store.reader().await?, id).await?;
    let Some(outbound) = found else { return Ok(None) };
    Ok(Some(Message {
        id,
        grant_id: outbound.grant_id,
        application_id: outbound.application_id,
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
    lease: LeaseId,
    permit: Permit,
    domain: &Domain,
    recipients: Vec<&Claimed>,
) -> Result<(), Problem> {
    let began = platform.clock.now();
    let rows = || recipients.iter().map(|row| row.id).collect();
    let way = back::unless_begun(platform, message.id, lease, rows, way(platform, message, domain).await).await?;
    let Some((pass, route)) = way else { return turn_back(platform, message, lease, &recipients).await };
    let mut complaining = Vec::new();
    let tried = match route {
        route::Route::Simulator => {
            complaining = simulate::complaining(&recipients);
            Some(attempt::simulated(platform, &recipients))
        }
        route::Route::Here => Some(attempt::here(platform, message, &recipients).await),
        route::Route::Servers(servers) => attempt::servers(platform, message, &recipients, &servers, pass).await,
        route::Route::Nowhere(result) => Some(attempt::nowhere(platform, &recipients, &result)),
    };
    let Some(tried) = tried else { return turn_back(platform, message, lease, &recipients).await };
    let sign = sign(&tried.results());
    let is_probe = permit.is_failing() || recipients.iter().any(|row| row.is_probe);
    let news = attempt::news(platform, domain, sign, is_probe, began, &tried);
    // Written down before the place is free: whoever comes next knows what was learnt.
    let recorded = attempt::record(platform, message, lease, &recipients, tried, news).await;
    simulate::complain(platform, message, &complaining).await;
    if permit.leave(sign, platform.clock.now()).is_awaited {
        platform.store.wake().queue.notify_one();
    }
    recorded
}

/// Where a message goes from here. `None` if it may not leave: it was claimed, or accepted with a worker, before its sender
/// was stopped.
async fn way(
    platform: &Platform,
    message: &Message,
    domain: &Domain,
) -> Result<Option<(stops::Pass, route::Route)>, Problem> {
    let Some(pass) = stops::let_through(platform, message.application_id, message.id).await? else { return Ok(None) };
    let route = route::find(platform, message, domain).await?;
    Ok(platform.stops.still_lets(pass).then_some((pass, route)))
}

/// Gives back what may not leave just now. Nothing was attempted, so nothing is learnt about the destination; it is due when
/// it was accepted, or now if it was attempted before, so that it comes in its order again.
async fn turn_back(
    platform: &Platform,
    message: &Message,
    lease: LeaseId,
    recipients: &[&Claimed],
) -> Result<(), Problem> {
    let was_tried = recipients.iter().any(|row| row.attempts > 0);
    let due_at = if was_tried { platform.clock.now() } else { message.queued_at };
    let rows = recipients.iter().map(|row| row.id).collect();
    back::give(platform, shard(message.grant_id.uuid()), message.id, lease, rows, due_at).await
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
