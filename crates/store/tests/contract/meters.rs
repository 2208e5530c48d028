//! Storage, monthly sends and bandwidth: exact whoever counts at the same time, and given back when nothing happened.

use crate::support::{
    Engine, NOON, Tenant, at_once, bounced, claim, number, on_each_engine_with, record, report, tenant,
};
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use postfleet_core::plan::{Plan, Plans};
use postfleet_store::meters::{self, Usage};
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::{Command, Store, params};
use std::time::Duration;

/// Plans that end nowhere but where the case says.
fn plans(change: impl Fn(&mut Plan)) -> Plans {
    let mut plan = (**Plans::presets().find("self_hosted").expect("plan")).clone();
    plan.name = "tight".into();
    change(&mut plan);
    let more = Plan { name: "metered".into(), has_overage: true, ..plan.clone() };
    Plans::with([plan, more])
}

async fn usage(store: &Store, tenant: &Tenant, at: UnixMicros) -> Usage {
    let (mut reader, month) = (store.reader().await.expect("reader"), at.day().month());
    let of = meters::of_owner(&mut reader, tenant.organization.uuid(), month).await.expect("usage");
    let own = meters::of_owner(&mut reader, tenant.application.uuid(), month).await.expect("usage");
    assert_eq!(of, own, "the only application of the organization");
    of
}

async fn mailboxes(store: &Store, tenant: &Tenant, count: usize) -> Vec<GrantId> {
    let mut grants = Vec::new();
    for index in 0..count {
        grants.push(tenant.mailbox(store, &format!("box{index}")).await);
    }
    grants
}

/// Runs commands at once, each at the writer of its mailbox, so that all writers work for one organization.
async fn spread<C: Command>(store: &Store, commands: Vec<(GrantId, C)>) -> Vec<C::Outcome> {
    let runs = commands.into_iter().map(|(grant, command)| store.run_near(grant.uuid().as_u64_pair().1, command));
    let outcomes = futures::future::join_all(runs).await;
    outcomes.into_iter().map(|outcome| outcome.expect("run")).collect()
}

fn refused(outcomes: &[SubmitOutcome], code: &str) -> usize {
    let is_that = |outcome: &&SubmitOutcome| matches!(outcome, SubmitOutcome::Refused(problem) if problem.code == code);
    outcomes.iter().filter(is_that).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_monthly_quota_is_exact_under_concurrency_over_the_end_of_a_month() {
    on_each_engine_with(plans(|plan| plan.monthly_sends_max = Some(20)), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "tight", None).await;
        let grants = mailboxes(store, &tenant, 16).await;
        let end = NOON.day().month().end();
        let times = [end.minus(Duration::from_micros(1)), end];
        let mut commands = Vec::new();
        for index in 0..128 {
            let grant = grants[index % grants.len()];
            commands.push((grant, tenant.submission(store, grant, 1, times[index / 16 % 2]).await));
        }
        let outcomes = spread(store, commands).await;
        assert_eq!(refused(&outcomes, "monthly_quota_exceeded"), 128 - 40);
        for time in times {
            assert_eq!(usage(store, &tenant, time).await.sent, 20);
        }
        assert_eq!(number(store, "SELECT count(*) FROM outbound", &[]).await, 40);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_is_exact_under_deliveries_and_removals() {
    let octets = 2_000;
    on_each_engine_with(plans(|plan| plan.storage_octets_max = Some(octets)), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "tight", None).await;
        let grants = mailboxes(store, &tenant, 16).await;
        for round in 0..3 {
            let mut deliveries = Vec::new();
            for index in 0..64 {
                let grant = grants[(index * 5 + round) % grants.len()];
                deliveries.push((grant, tenant.received(store, &[grant], NOON).await));
            }
            let size = deliveries[0].1.facts.octets;
            let removal = tenant.removal(grants[round], NOON);
            let (outcomes, removed) = tokio::join!(spread(store, deliveries), store.run(removal));
            assert!(removed.expect("removal"));
            let stored = usage(store, &tenant, NOON).await.stored;
            assert!(stored <= octets, "{stored} octets are kept");
            assert_eq!(
                stored as i64,
                number(store, "SELECT CAST(sum(storage_octets) AS {int}) FROM mailboxes", &[]).await
            );
            let full = outcomes.iter().filter(|outcome| outcome.is_err()).count();
            assert!(full > 0, "64 messages of {size} octets do not fit");
            for problem in outcomes.into_iter().filter_map(Result::err) {
                assert_eq!(problem.code, "storage_full");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_to_many_counts_once_and_is_kept_by_each() {
    on_each_engine_with(plans(|_| {}), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "tight", None).await;
        let grants = mailboxes(store, &tenant, 3).await;
        let command = tenant.received(store, &grants, NOON).await;
        let octets = command.facts.octets;
        store.run(command).await.expect("deliver").expect("room");
        let sent = tenant.submission(store, grants[0], 50, NOON).await;
        let out = sent.facts.octets;
        assert!(matches!(store.run(sent).await.expect("submit"), SubmitOutcome::Accepted { .. }));
        let expected = Usage { stored: 3 * octets + out, sent: 1, octets_in: octets, octets_out: out };
        assert_eq!(usage(store, &tenant, NOON).await, expected);
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_to_nobody_takes_nothing_of_the_month_in_which_it_was_accepted() {
    on_each_engine_with(plans(|plan| plan.monthly_sends_max = Some(1)), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "tight", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let end = NOON.day().month().end();
        let last = end.minus(Duration::from_secs(1));
        let id = tenant.submit(store, grant, 1, last).await;
        assert_eq!(usage(store, &tenant, last).await.sent, 1);
        let taken = claim("worker", end, 10);
        let rows = store.run(taken.clone()).await.expect("claim").rows;
        let command = record(taken.lease.id, vec![report(&rows[0], bounced(), false)], id, end);
        assert!(store.run(command).await.expect("record").lost.is_empty());
        let after = usage(store, &tenant, last).await;
        assert_eq!((after.sent, after.octets_out), (0, 0), "given back to the month of acceptance");
        assert_eq!(usage(store, &tenant, end).await.sent, 0);
        tenant.submit(store, grant, 1, last).await;
    })
    .await;
}

#[tokio::test]
async fn a_plan_with_overage_goes_on_and_counts() {
    let tight = |plan: &mut Plan| {
        (plan.monthly_sends_max, plan.storage_octets_max) = (Some(1), Some(1));
        (plan.monthly_bandwidth_octets_max, plan.limits.storage_octets_max) = (Some(1), Some(1));
    };
    on_each_engine_with(plans(tight), async |engine: &Engine| {
        let store = &engine.store;
        let tenant = tenant(store, "metered", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for _ in 0..3 {
            tenant.submit(store, grant, 1, NOON).await;
            tenant.deliver(store, grant, NOON).await;
        }
        assert_eq!(usage(store, &tenant, NOON).await.sent, 3);
        let capped = crate::support::tenant(store, "tight", None).await;
        let grant = capped.mailbox(store, "a").await;
        let outcomes = at_once(store, vec![capped.submission(store, grant, 1, NOON).await]).await;
        assert_eq!(refused(&outcomes, "storage_full"), 1);
        const ROWS: &str = "SELECT count(*) FROM usage WHERE owner_id = $1";
        let rows = number(store, ROWS, params![capped.organization.uuid()]).await;
        assert_eq!(rows, 0, "what is refused leaves no trace");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_mailbox_receives_in_a_day_is_exact_under_concurrency_and_begins_anew_at_midnight() {
    on_each_engine_with(plans(|plan| plan.limits.daily_received_max = Some(5)), async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "tight", None).await;
        let grants = mailboxes(store, &tenant, 3).await;
        let midnight = NOON.day().end();
        for time in [NOON, midnight] {
            let mut deliveries = Vec::new();
            for index in 0..48 {
                // To one mailbox, or to two at once: then both have room, or none gets it.
                let (one, other) = (grants[index % 3], grants[(index + 1) % 3]);
                let to = if index % 4 == 0 { vec![one.min(other), one.max(other)] } else { vec![one] };
                deliveries.push((one, tenant.received(store, &to, time).await));
            }
            let outcomes = spread(store, deliveries).await;
            let mut received = 0;
            for grant in &grants {
                const RECEIVED: &str = "SELECT received FROM daily_sends WHERE grant_id = $1 AND day = $2";
                let counted = number(store, RECEIVED, params![grant.uuid(), time.day().number()]).await;
                assert!(counted <= 5, "{counted} messages");
                received += counted;
            }
            let filed: usize = outcomes.iter().flatten().map(Vec::len).sum();
            assert_eq!((filed as i64, received), (received, 15), "there was more than enough for each");
            for problem in outcomes.into_iter().filter_map(Result::err) {
                assert_eq!(problem.code, "daily_received_exceeded");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_every_mailbox_uses_is_read_in_pages_in_the_order_of_their_ids() {
    on_each_engine_with(plans(|_| {}), async |engine| {
        let store = &engine.store;
        let (one, two) = (tenant(store, "tight", None).await, tenant(store, "tight", None).await);
        let (ones, twos) = (mailboxes(store, &one, 2).await, mailboxes(store, &two, 1).await);
        let mut grants = [&ones[..], &twos[..]].concat();
        grants.sort_unstable();
        let owner = if ones.contains(&grants[0]) { &one } else { &two };
        let letter = owner.received(store, &[grants[0]], NOON).await;
        assert!(store.run(letter).await.expect("run").is_ok());
        owner.submit(store, grants[0], 1, NOON).await;
        let read = async |day, after, limit| {
            let mut reader = store.reader().await.expect("reader");
            meters::of_accounts(&mut reader, day, after, limit).await.expect("accounts")
        };
        let today = read(NOON.day(), None, 10).await;
        assert_eq!(today.iter().map(|account| account.grant_id).collect::<Vec<_>>(), grants);
        assert_eq!(
            today.iter().map(|account| (account.sent, account.received)).collect::<Vec<_>>(),
            [(1, 1), (0, 0), (0, 0)]
        );
        const STORED: &str = "SELECT storage_octets FROM mailboxes WHERE grant_id = $1";
        for account in &today {
            let stored = number(store, STORED, params![account.grant_id.uuid()]).await;
            assert_eq!(account.stored, stored as u64);
        }
        assert!(today[0].stored > 0 && today[0].email.contains('@'));
        let (first, rest) = (read(NOON.day(), None, 1).await, read(NOON.day(), Some(grants[0]), 10).await);
        assert_eq!((first.as_slice(), rest.as_slice()), today.split_at(1));
        // A day later what is kept stays, and the day's counts begin anew.
        let later = read(NOON.day().end().day(), None, 1).await;
        assert_eq!((later[0].sent, later[0].received, later[0].stored), (0, 0, today[0].stored));
    })
    .await;
}
