//! Destinations in the queue: one that is closed or has enough to do keeps nobody else waiting, and loses nothing.

use crate::support::{
    Engine, NOON, Tenant, all_events, at, bounced, claim, fresh, number, on_each_engine, queue_rows, record, report,
    tenant,
};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::id::{AttemptId, AuditId, GrantId, LeaseId, MessageId, QueueId};
use postfleet_core::rule::OutboundType;
use postfleet_core::suppression::Reason;
use postfleet_core::{Domain, EmailAddress, Patch, UnixMicros};
use postfleet_store::organizations::Scope;
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::queue::{
    Answer, Attempted, Claim, ClaimExpired, ClaimMessage, Claimed, Claims, DestinationChange, Filter, News, Operate,
    Operated, Operation, PruneAttempts, Rooms, State, UpdateDestination,
};
use postfleet_store::suppressions::AddSuppressions;
use postfleet_store::{Location, Store, params, queue};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

/// A mailbox that may send as much as it likes.
async fn mailbox(store: &Store) -> (Tenant, GrantId) {
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    (tenant, grant)
}

async fn sends(store: &Store, tenant: &Tenant, grant: GrantId, to: &[&str], kind: OutboundType) -> MessageId {
    let submission = tenant.submission(store, grant, 1, NOON).await;
    let recipients = to.iter().map(|address| (row_id(), EmailAddress::parse(address).expect("address"))).collect();
    let command = Submit { recipients, outbound_type: kind, ..submission };
    let id = command.copy.message_id;
    let outcome = store.run(command).await.expect("submit");
    assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
    id
}

/// Ids of one time that sort in the order of their making.
fn row_id() -> QueueId {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut ten = [0; 10];
    ten[2..].copy_from_slice(&number);
    QueueId::new(NOON, ten)
}

async fn send(store: &Store, tenant: &Tenant, grant: GrantId, to: &str) -> MessageId {
    sends(store, tenant, grant, &[to], OutboundType::Compose).await
}

/// Copies of the queue row of a message, for a backlog that is quicker to make than to send.
async fn multiply(engine: &Engine, message: MessageId, copies: u64) {
    const SQLITE: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2) \
        INSERT INTO queue (id, message_id, recipient, destination, priority, due_at, attempts) \
        SELECT randomblob(16), message_id, recipient, destination, priority, due_at, 0 FROM queue, n \
        WHERE message_id = $1";
    const POSTGRES: &str = "INSERT INTO queue (id, message_id, recipient, destination, priority, due_at, attempts) \
        SELECT gen_random_uuid(), message_id, recipient, destination, priority, due_at, 0 FROM queue, \
        generate_series(1, $2) WHERE message_id = $1";
    const OPEN: &str = "UPDATE outbound SET recipients_open = recipients_open + $2 WHERE message_id = $1";
    let is_sqlite = matches!(engine.location, Location::Sqlite(_));
    for statement in [if is_sqlite { SQLITE } else { POSTGRES }, OPEN] {
        engine.store.run(Copies { statement, message, copies }).await.expect("copies");
    }
}

struct Copies {
    statement: &'static str,
    message: MessageId,
    copies: u64,
}

impl postfleet_store::Command for Copies {
    type Outcome = u64;
    async fn run(&self, tx: &mut postfleet_store::Tx) -> Result<u64, postfleet_store::db::DbError> {
        tx.execute(self.statement, params![self.message.uuid(), self.copies as i64]).await
    }
}

fn rooms(each: usize, of: &[(&str, usize)]) -> Rooms {
    Rooms { each, of: of.iter().map(|(name, room)| ((*name).to_owned(), *room)).collect() }
}

async fn claimed(store: &Store, now: UnixMicros, limit: usize, rooms: Rooms) -> (LeaseId, Claims) {
    let command = Claim { rooms, ..claim("worker", now, limit) };
    (command.lease.id, store.run(command).await.expect("claim"))
}

fn to(claims: &Claims) -> Vec<String> {
    claims.rows.iter().map(|row| row.recipient.to_string()).collect()
}

fn down(destination: &str, began: UnixMicros) -> Option<News> {
    Some(News::Down { destination: destination.into(), began, reply: "connect: refused".into(), jitter: 0 })
}

/// A worker finds that nobody answers.
async fn finds_nobody(store: &Store, lease: LeaseId, row: &Claimed, now: UnixMicros) {
    let retry = report(row, AfterAttempt::RetryAt(at(14_400)), false);
    let mut command = record(lease, vec![retry], row.message_id, now);
    command.news = down(row.recipient.domain().as_str(), now);
    store.run(command).await.expect("record");
}

async fn delivers(store: &Store, lease: LeaseId, row: &Claimed, now: UnixMicros, news: Option<News>) {
    let mut command = record(lease, vec![report(row, AfterAttempt::Delivered, true)], row.message_id, now);
    command.news = news;
    assert!(store.run(command).await.expect("record").lost.is_empty());
}

fn act(tenant: &Tenant, now: UnixMicros) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::OperatorKey, id: "key".into(), name: "operator".into() },
        organization_id: tenant.organization,
        application_id: Some(tenant.application),
        request_id: String::new(),
        at: now,
    }
}

async fn operate(store: &Store, tenant: &Tenant, message_id: MessageId, operation: Operation, now: UnixMicros) -> bool {
    let application_id = Some(tenant.application);
    let command = Operate { act: act(tenant, now), application_id, message_id, operation };
    match store.run(command).await.expect("operate") {
        Operated::Done { is_changed, .. } => is_changed,
        Operated::NotFound => panic!("no such message"),
    }
}

#[tokio::test]
async fn a_backlog_for_a_dead_destination_delays_nobody_else() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let dead = send(store, &tenant, grant, "a@dead.test").await;
        let (lease, claims) = claimed(store, NOON, 100, Rooms::unlimited()).await;
        finds_nobody(store, lease, &claims.rows[0], NOON).await;
        // All of them are due, and were before everybody else.
        multiply(engine, dead, 20_000).await;
        store.run(crate::support::Statement("UPDATE queue SET parked = 0, due_at = 0")).await.expect("due");
        for name in ["one", "two", "three"] {
            send(store, &tenant, grant, &format!("b@{name}.test")).await;
        }
        let mut attempted = Vec::new();
        let mut rounds = 0;
        while attempted.len() < 3 {
            rounds += 1;
            assert!(rounds <= 25, "{attempted:?} after {rounds} claims");
            attempted.extend(to(&claimed(store, at(1), 128, Rooms::unlimited()).await.1));
        }
        assert_eq!(attempted, ["b@one.test", "b@two.test", "b@three.test"]);
        // From then on nobody passes over them any more.
        send(store, &tenant, grant, "b@four.test").await;
        assert_eq!(to(&claimed(store, at(2), 128, Rooms::unlimited()).await.1), ["b@four.test"]);
        // At the destination's turn, one message finds out whether it answers.
        let (lease, claims) = claimed(store, at(60), 128, Rooms::unlimited()).await;
        assert!(claims.rows.iter().all(|row| row.message_id == dead && row.is_probe), "{claims:?}");
        assert!(!claims.rows.is_empty());
        // It does: all go on, as many as there is room for.
        delivers(store, lease, &claims.rows[0], at(60), Some(News::Up { destination: "dead.test".into() })).await;
        let (_, claims) = claimed(store, at(60), 128, Rooms::unlimited()).await;
        // They are all of one message, which has no more recipients than that.
        assert!(claims.rows.len() >= 50 && claims.rows.iter().all(|row| !row.is_probe), "{}", claims.rows.len());
    })
    .await;
}

#[tokio::test]
async fn a_destination_gets_no_more_than_there_is_room_for() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        for number in 0..6 {
            send(store, &tenant, grant, &format!("a{number}@slow.test")).await;
        }
        send(store, &tenant, grant, "b@other.test").await;
        let (lease, claims) = claimed(store, NOON, 100, rooms(2, &[])).await;
        assert_eq!(to(&claims), ["a0@slow.test", "a1@slow.test", "b@other.test"]);
        assert_eq!(claims.waiting, BTreeSet::from(["slow.test".to_owned()]));
        // Full: they wait for their turn, which nobody is woken for.
        let full = rooms(2, &[("slow.test", 0)]);
        let (_, none) = claimed(store, NOON, 100, full.clone()).await;
        assert!(none.rows.is_empty() && none.waiting.contains("slow.test"));
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(queue::next_due(&mut reader, &full).await.expect("due"), Some(at(60)), "the end of the leases");
        assert_eq!(queue::next_due(&mut reader, &rooms(2, &[])).await.expect("due"), Some(NOON));
        // Room for one more, and one more, until nothing waits and the destination is forgotten.
        delivers(store, lease, &claims.rows[0], NOON, None).await;
        let mut rest = Vec::new();
        for _ in 0..4 {
            rest.extend(to(&claimed(store, NOON, 100, rooms(2, &[("slow.test", 1)])).await.1));
        }
        assert_eq!(rest, ["a2@slow.test", "a3@slow.test", "a4@slow.test", "a5@slow.test"]);
        assert!(claimed(store, NOON, 100, rooms(2, &[])).await.1.rows.is_empty());
        assert_eq!(number(store, "SELECT count(*) FROM destinations", &[]).await, 0);
    })
    .await;
}

#[tokio::test]
async fn recipients_of_one_message_at_one_destination_go_together() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let three = ["a@x.test", "b@x.test", "c@x.test"];
        sends(store, &tenant, grant, &three, OutboundType::Compose).await;
        sends(store, &tenant, grant, &three, OutboundType::Compose).await;
        let (_, claims) = claimed(store, NOON, 100, rooms(1, &[])).await;
        assert_eq!(to(&claims).len(), 3);
        assert!(claims.rows.iter().all(|row| row.message_id == claims.rows[0].message_id));
        assert_eq!(claimed(store, NOON, 1, rooms(1, &[])).await.1.rows.len(), 3, "parked, and together");
    })
    .await;
}

#[tokio::test]
async fn answers_go_first_and_what_goes_to_many_is_not_shut_out() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let many: Vec<String> = (0..20).map(|number| format!("m{number}@many{number}.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        sends(store, &tenant, grant, &many, OutboundType::Compose).await;
        for number in 0..20 {
            send(store, &tenant, grant, &format!("n{number}@normal{number}.test")).await;
        }
        for number in 0..20 {
            let to = format!("r{number}@reply{number}.test");
            sends(store, &tenant, grant, &[&to], OutboundType::Reply).await;
        }
        let (_, claims) = claimed(store, NOON, 16, Rooms::unlimited()).await;
        let first: String = to(&claims).iter().map(|recipient| &recipient[..1]).collect();
        assert_eq!(first, "rrrrrrrrrrrrnnmm");
        let (_, claims) = claimed(store, NOON, 16, Rooms::unlimited()).await;
        let next: String = to(&claims).iter().map(|recipient| &recipient[..1]).collect();
        assert_eq!(next, "rrrrrrrrnnnnnnmm");
    })
    .await;
}

#[tokio::test]
async fn a_paused_message_rests_and_a_worker_that_has_it_comes_to_its_end() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let id = sends(store, &tenant, grant, &["a@x.test", "b@y.test"], OutboundType::Compose).await;
        let (lease, claims) = claimed(store, NOON, 1, Rooms::unlimited()).await;
        assert!(operate(store, &tenant, id, Operation::Pause, at(1)).await);
        assert!(!operate(store, &tenant, id, Operation::Pause, at(1)).await, "paused already");
        assert!(claimed(store, at(59), 10, Rooms::unlimited()).await.1.rows.is_empty());
        // The worker is put off; what it had rests, too.
        let retry = vec![report(&claims.rows[0], AfterAttempt::RetryAt(at(10)), true)];
        store.run(record(lease, retry, id, at(5))).await.expect("record");
        assert!(claimed(store, at(100_000), 10, Rooms::unlimited()).await.1.rows.is_empty());
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(queue::next_due(&mut reader, &Rooms::unlimited()).await.expect("due"), None);
        assert!(operate(store, &tenant, id, Operation::Resume, at(200_000)).await);
        assert_eq!(claimed(store, at(200_000), 10, Rooms::unlimited()).await.1.rows.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_message_paused_under_a_worker_that_died_is_not_taken_up_again() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let id = send(store, &tenant, grant, "a@x.test").await;
        claimed(store, NOON, 10, Rooms::unlimited()).await;
        operate(store, &tenant, id, Operation::Pause, at(1)).await;
        assert!(claimed(store, at(60), 10, Rooms::unlimited()).await.1.rows.is_empty());
        operate(store, &tenant, id, Operation::Resume, at(70)).await;
        let mut reader = store.reader().await.expect("reader");
        assert!(queue::recipients(&mut reader, id).await.expect("rows")[0].is_ambiguous);
        assert_eq!(claimed(store, at(70), 10, Rooms::unlimited()).await.1.rows.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_message_can_be_tried_although_its_destination_is_left_alone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let first = send(store, &tenant, grant, "a@dead.test").await;
        let (lease, claims) = claimed(store, NOON, 10, Rooms::unlimited()).await;
        finds_nobody(store, lease, &claims.rows[0], NOON).await;
        let second = send(store, &tenant, grant, "b@dead.test").await;
        assert!(claimed(store, at(1), 10, Rooms::unlimited()).await.1.rows.is_empty());
        assert!(operate(store, &tenant, second, Operation::Retry, at(2)).await);
        let (lease, claims) = claimed(store, at(2), 10, rooms(0, &[])).await;
        assert_eq!((to(&claims), claims.rows[0].is_probe), (vec!["b@dead.test".to_owned()], true));
        // Once: afterwards it waits like the other.
        finds_nobody(store, lease, &claims.rows[0], at(3)).await;
        assert!(claimed(store, at(4), 10, Rooms::unlimited()).await.1.rows.is_empty());
        assert_eq!(store.run(find(&tenant, first, at(4))).await.expect("claim").expect("message").under_way, 0);
    })
    .await;
}

fn find(tenant: &Tenant, message_id: MessageId, now: UnixMicros) -> ClaimMessage {
    ClaimMessage { lease: claim("operator", now, 0).lease, now, application_id: tenant.application, message_id }
}

#[tokio::test]
async fn what_an_operator_gives_up_is_settled_exactly_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let id = sends(store, &tenant, grant, &["a@x.test", "b@y.test"], OutboundType::Compose).await;
        let (worker, claims) = claimed(store, NOON, 1, Rooms::unlimited()).await;
        let events = all_events(store).await.len();
        let taking = find(&tenant, id, at(1));
        let lease = taking.lease.id;
        let taken = store.run(taking).await.expect("claim").expect("message");
        assert_eq!((taken.rows.len(), taken.under_way), (1, 1));
        let notice = Some(tenant.received(store, &[grant], at(1)).await);
        let mut command = record(lease, vec![report(&taken.rows[0], bounced(), false)], id, at(1));
        command.notice = notice;
        assert!(store.run(command.clone()).await.expect("record").lost.is_empty());
        assert_eq!(store.run(command).await.expect("again").lost.len(), 1, "settled already");
        // One report of failure and one event of it; the notice itself is a message, too.
        assert_eq!(all_events(store).await.len(), events + 2);
        assert_eq!(crate::support::listed(store, grant, "inbox").await.len(), 1);
        delivers(store, worker, &claims.rows[0], at(2), None).await;
        assert_eq!(queue_rows(store).await, 0);
        // Another application's message does not exist.
        let other = crate::support::tenant(store, "self_hosted", None).await;
        assert!(store.run(find(&other, id, at(3))).await.expect("claim").is_none());
    })
    .await;
}

#[tokio::test]
async fn a_paused_destination_rests_and_a_rerouted_one_is_known() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let id = send(store, &tenant, grant, "a@x.test").await;
        let name = Domain::parse("x.test").expect("domain");
        let change = |paused, route: Patch<String>, seconds| UpdateDestination {
            act: act(&tenant, at(seconds)),
            name: name.clone(),
            change: DestinationChange { paused, route },
        };
        assert!(store.run(change(Some(true), Patch::Keep, 1)).await.expect("pause").is_changed);
        assert!(!store.run(change(Some(true), Patch::Keep, 1)).await.expect("pause").is_changed);
        assert!(claimed(store, at(100_000), 10, Rooms::unlimited()).await.1.rows.is_empty());
        // Not even by force.
        operate(store, &tenant, id, Operation::Retry, at(100_001)).await;
        assert!(claimed(store, at(100_001), 10, Rooms::unlimited()).await.1.rows.is_empty());
        let mut reader = store.reader().await.expect("reader");
        let found = queue::destination(&mut reader, Scope::All, "x.test").await.expect("read").expect("destination");
        assert!(found.is_paused && found.depth == 1 && found.parked == 1 && found.turn_at.is_none(), "{found:?}");
        assert_eq!(found.oldest, Some(NOON));
        let stranger = crate::support::tenant(store, "self_hosted", None).await.organization;
        let mut listed = Vec::new();
        for scope in [Scope::All, Scope::Of(tenant.organization), Scope::Of(stranger)] {
            let closed = queue::destinations(&mut reader, scope, "", true, 10).await.expect("list");
            let one = queue::destination(&mut reader, scope, "x.test").await.expect("read");
            listed.push((closed.len(), closed.first() == one.as_ref()));
        }
        assert_eq!(listed, [(1, true), (1, true), (0, true)], "nobody sees whom others write to");
        store.run(change(Some(false), Patch::Set("relay.test:25".into()), 100_002)).await.expect("resume");
        assert_eq!(claimed(store, at(100_002), 10, Rooms::unlimited()).await.1.rows.len(), 1);
        let bearing = queue::bearing(&mut reader, id, &name).await.expect("bearing");
        assert_eq!((bearing.is_ours, bearing.route.as_deref()), (false, Some("relay.test:25")));
        // The message's own route goes before.
        operate(store, &tenant, id, Operation::Reroute(Some("own.test:26".into())), at(100_003)).await;
        let bearing = queue::bearing(&mut reader, id, &name).await.expect("bearing");
        assert_eq!(bearing.route.as_deref(), Some("own.test:26"));
        let records = "SELECT count(*) FROM audit WHERE action = 'destination.updated'";
        assert_eq!(number(store, records, &[]).await, 2);
    })
    .await;
}

#[tokio::test]
async fn what_has_waited_too_long_is_given_up_although_it_was_never_tried() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        send(store, &tenant, grant, "a@dead.test").await;
        let (lease, claims) = claimed(store, NOON, 10, Rooms::unlimited()).await;
        finds_nobody(store, lease, &claims.rows[0], NOON).await;
        send(store, &tenant, grant, "b@dead.test").await;
        claimed(store, at(1), 10, Rooms::unlimited()).await;
        let expired = |before: UnixMicros, limit| ClaimExpired {
            lease: claim("worker", at(500_000), 0).lease,
            now: at(500_000),
            queued_before: before,
            limit,
        };
        assert_eq!(store.run(expired(NOON, 10)).await.expect("claim").len(), 0, "not older");
        let first = store.run(expired(at(1), 1)).await.expect("claim");
        assert_eq!((first.len(), first[0].1.as_str()), (1, "connect: refused"));
        assert_eq!(store.run(expired(at(1), 10)).await.expect("claim").len(), 1, "the other one");
        assert_eq!(store.run(expired(at(1), 10)).await.expect("claim").len(), 0, "both are leased");
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_listed_and_what_was_tried_outlives_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let other = tenant.mailbox(store, "b").await;
        let first = send(store, &tenant, grant, "a@x.test").await;
        let second = send(store, &tenant, other, "b@y.test").await;
        let (lease, claims) = claimed(store, NOON, 1, Rooms::unlimited()).await;
        let mut reader = store.reader().await.expect("reader");
        let mut ids = async |filter: Filter<'_>| {
            let found = queue::list(&mut reader, tenant.application, &filter, 10).await.expect("list");
            found.iter().map(|queued| (queued.message_id, queued.state)).collect::<Vec<_>>()
        };
        let all = vec![(second, State::Queued), (first, State::Sending)];
        assert_eq!(ids(Filter::default()).await, all);
        assert_eq!(ids(Filter { before: Some(second), ..Filter::default() }).await, all[1..]);
        assert_eq!(ids(Filter { grant_id: Some(other), ..Filter::default() }).await, all[..1]);
        assert_eq!(ids(Filter { destination: Some("x.test"), ..Filter::default() }).await, all[1..]);
        assert_eq!(ids(Filter { state: Some(State::Queued), ..Filter::default() }).await, all[..1]);
        assert_eq!(ids(Filter { state: Some(State::Paused), ..Filter::default() }).await, []);

        let attempt = Attempted {
            id: AttemptId::new(NOON, [1; 10]),
            destination: "x.test".into(),
            node: "worker".into(),
            server: "mx.x.test".into(),
            address: "192.0.2.1:25".into(),
            tls: "TLSv1.3 TLS13_AES_256_GCM_SHA384".into(),
            duration: 12_345,
            answers: vec![Answer {
                recipients: vec!["a@x.test".into()],
                result: "delivered".into(),
                class: String::new(),
                code: 250,
                status: "2.0.0".into(),
                lines: vec!["taken".into(), "thank you".into()],
                next: "delivered".into(),
                next_at: None,
            }],
        };
        let mut command = record(lease, vec![report(&claims.rows[0], AfterAttempt::Delivered, true)], first, at(1));
        command.attempts = vec![attempt.clone()];
        store.run(command).await.expect("record");
        assert!(queue::find(&mut reader, tenant.application, first).await.expect("find").is_none());
        let kept = queue::attempts(&mut reader, tenant.application, first, None, 10).await.expect("attempts");
        assert_eq!((kept.len(), &kept[0].attempt, kept[0].grant_id), (1, &attempt, grant));
        let foreign = crate::support::tenant(store, "self_hosted", None).await.application;
        assert!(queue::attempts(&mut reader, foreign, first, None, 10).await.expect("attempts").is_empty());
        assert_eq!(store.run(PruneAttempts { before: NOON, limit: 10 }).await.expect("prune"), 0);
        assert_eq!(store.run(PruneAttempts { before: at(1), limit: 10 }).await.expect("prune"), 1);
    })
    .await;
}

/// However claims, reports, deaths of workers, pauses and closed destinations follow on each other, every recipient is
/// settled exactly once, or is still in the queue.
#[tokio::test]
async fn no_row_is_lost_or_settled_twice() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let mut chance = Chance(0x9e37_79b9);
        let mut messages = Vec::new();
        let mut sent = 0_usize;
        let mut settled: BTreeMap<QueueId, usize> = BTreeMap::new();
        let mut held: Vec<(LeaseId, Claimed)> = Vec::new();
        let mut seconds = 0_i64;
        for step in 0..400 {
            seconds += chance.below(30) as i64;
            let now = at(seconds as u64);
            match chance.below(10) {
                0 | 1 if sent < 60 => {
                    let to = format!("u{step}@d{}.test", chance.below(4));
                    messages.push(send(store, &tenant, grant, &to).await);
                    sent += 1;
                }
                0..=3 => {
                    let full = format!("d{}.test", chance.below(4));
                    let rooms = rooms(1 + chance.below(3), &[(&full, 0)]);
                    let (lease, claims) = claimed(store, now, 1 + chance.below(8), rooms).await;
                    held.extend(claims.rows.into_iter().map(|row| (lease, row)));
                }
                4 if !messages.is_empty() => {
                    let message = messages[chance.below(messages.len())];
                    let operation = [Operation::Pause, Operation::Resume, Operation::Retry][chance.below(3)].clone();
                    let application_id = Some(tenant.application);
                    let command = Operate { act: act(&tenant, now), application_id, message_id: message, operation };
                    store.run(command).await.expect("operate");
                }
                // A worker dies.
                5 if !held.is_empty() => drop(held.swap_remove(chance.below(held.len()))),
                _ if !held.is_empty() => {
                    let (lease, row) = held.swap_remove(chance.below(held.len()));
                    let domain = row.recipient.domain().as_str().to_owned();
                    let (after, news) = match chance.below(4) {
                        0 => (AfterAttempt::RetryAt(at(seconds as u64 + 60)), down(&domain, now)),
                        1 => (AfterAttempt::RetryAt(at(seconds as u64 + 60)), None),
                        2 => (bounced(), Some(News::Up { destination: domain })),
                        _ => (AfterAttempt::Delivered, None),
                    };
                    let is_final = !matches!(after, AfterAttempt::RetryAt(_));
                    let mut command = record(lease, vec![report(&row, after, true)], row.message_id, now);
                    command.news = news;
                    let lost = store.run(command).await.expect("record").lost;
                    if is_final && lost.is_empty() {
                        *settled.entry(row.id).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(settled.values().all(|times| *times == 1), "{settled:?}");
        assert_eq!(settled.len() + queue_rows(store).await as usize, sent);
        // What is left comes out once everybody answers and nothing is paused.
        let mut now = at(seconds as u64);
        for message in &messages {
            let application_id = Some(tenant.application);
            let (act, operation) = (act(&tenant, now), Operation::Resume);
            store.run(Operate { act, application_id, message_id: *message, operation }).await.expect("resume");
        }
        for _ in 0..200 {
            let (lease, claims) = claimed(store, now, 10, Rooms::unlimited()).await;
            for row in &claims.rows {
                let destination = row.recipient.domain().as_str().to_owned();
                let news = row.is_probe.then_some(News::Up { destination });
                delivers(store, lease, row, now, news).await;
                *settled.entry(row.id).or_default() += 1;
            }
            now = now.plus(std::time::Duration::from_secs(60));
        }
        assert_eq!((queue_rows(store).await, settled.len()), (0, sent));
        assert!(settled.values().all(|times| *times == 1), "{settled:?}");
    })
    .await;
}

/// A small generator, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

fn suppressed(claims: &Claims) -> Vec<(String, Option<Reason>)> {
    claims.rows.iter().map(|row| (row.recipient.to_string(), row.suppressed)).collect()
}

async fn suppress(store: &Store, tenant: &Tenant, addresses: &[String], expires_at: Option<UnixMicros>) {
    let command = AddSuppressions {
        act: act(tenant, NOON),
        application_id: tenant.application,
        addresses: addresses.iter().map(|text| EmailAddress::parse(text).expect("address")).collect(),
        reason: Reason::Manual,
        source: "api".into(),
        note: None,
        expires_at,
    };
    store.run(command).await.expect("add").expect("application");
}

#[tokio::test]
async fn a_claim_says_who_was_suppressed_since() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let (other, other_grant) = mailbox(store).await;
        for to in ["Ada@x.example", "bob@x.example", "cy@x.example"] {
            send(store, &tenant, grant, to).await;
            send(store, &other, other_grant, to).await;
        }
        suppress(store, &tenant, &["ada@X.example".into()], None).await;
        suppress(store, &tenant, &["bob@x.example".into()], Some(at(10))).await;
        suppress(store, &other, &["cy@x.example".into()], None).await;
        let (_, claims) = claimed(store, at(10), 10, Rooms::unlimited()).await;
        let left_out: Vec<_> = suppressed(&claims).into_iter().filter(|(_, why)| why.is_some()).collect();
        let manual = |to: &str| (to.to_owned(), Some(Reason::Manual));
        assert_eq!(claims.rows.len(), 6);
        assert_eq!(left_out, [manual("Ada@x.example"), manual("cy@x.example")], "what has ended says nothing");
    })
    .await;
}

#[tokio::test]
async fn whoever_is_suppressed_is_no_probe_of_a_dead_destination() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        send(store, &tenant, grant, "first@dead.test").await;
        let (lease, claims) = claimed(store, NOON, 100, Rooms::unlimited()).await;
        finds_nobody(store, lease, &claims.rows[0], NOON).await;
        let gone: Vec<String> = (0..20).map(|number| format!("gone{number}@dead.test")).collect();
        for to in &gone {
            send(store, &tenant, grant, to).await;
        }
        send(store, &tenant, grant, "last@dead.test").await;
        suppress(store, &tenant, &gone, None).await;
        // They are parked, and at the turn of their destination all of them are taken, with one that finds out.
        claimed(store, at(1), 100, Rooms::unlimited()).await;
        let (_, claims) = claimed(store, at(7_200), 100, Rooms::unlimited()).await;
        let (left_out, probes): (Vec<_>, Vec<_>) = suppressed(&claims).into_iter().partition(|(_, why)| why.is_some());
        assert_eq!((left_out.len(), probes.len()), (20, 1), "{probes:?}");
    })
    .await;
}

#[tokio::test]
async fn claims_and_suppressions_at_once_let_nothing_leave_afterwards() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let everybody: Vec<String> = (0..40).map(|number| format!("one{number}@x.example")).collect();
        for to in &everybody {
            send(store, &tenant, grant, to).await;
        }
        let suppressing = async {
            for some in everybody.chunks(8) {
                suppress(store, &tenant, some, None).await;
            }
        };
        let claiming = async {
            let mut claims = Vec::new();
            for _ in 0..4 {
                claims.extend(suppressed(&claimed(store, NOON, 5, Rooms::unlimited()).await.1));
            }
            claims
        };
        let ((), claims) = tokio::join!(suppressing, claiming);
        assert_eq!(claims.len(), 20);
        // All are on the list now: what is claimed from here on is not attempted.
        let rest = suppressed(&claimed(store, NOON, 100, Rooms::unlimited()).await.1);
        assert!(rest.len() == 20 && rest.iter().all(|(_, why)| *why == Some(Reason::Manual)), "{rest:?}");
    })
    .await;
}
