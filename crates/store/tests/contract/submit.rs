//! Accepting messages for sending: the daily quota is exact, and is given back only when nobody was reached.

use crate::support::{
    NOON, at_once, bounced, claim, daily_sends, listed, number, on_each_engine, queue_rows, record, report, tenant,
};
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::queue::Rooms;
use postfleet_store::{folders, params, queue};
use std::time::Duration;

fn refusal(outcome: &SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::Refused(problem) => problem.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daily_quota_is_exact_under_concurrency() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(20)).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut commands = Vec::new();
        for _ in 0..64 {
            commands.push(tenant.submission(store, grant, 1, NOON).await);
        }
        let outcomes = at_once(store, commands).await;
        let mut used: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                SubmitOutcome::Accepted { daily, .. } => Some(daily.used),
                _ => None,
            })
            .collect();
        used.sort_unstable();
        assert_eq!(used, (1..=20).collect::<Vec<_>>());
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, SubmitOutcome::Refused(_)));
        assert_eq!(refused.map(refusal).filter(|code| *code == "daily_quota_exceeded").count(), 44);
        assert_eq!((daily_sends(store, grant, NOON).await, queue_rows(store).await), (20, 20));
        assert_eq!(listed(store, grant, "sent").await.len(), 20);
        assert_eq!(number(store, "SELECT count(*) FROM outbound", &[]).await, 20);
        assert_eq!(number(store, "SELECT count(*) FROM blobs WHERE copies = 2", &[]).await, 20);
    })
    .await;
}

#[tokio::test]
async fn the_quota_is_whole_again_at_midnight() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(1)).await;
        let grant = tenant.mailbox(store, "a").await;
        let midnight = NOON.day().end();
        let before = midnight.minus(Duration::from_micros(1));
        tenant.submit(store, grant, 1, before).await;
        let second = tenant.submission(store, grant, 1, before).await;
        assert_eq!(refusal(&store.run(second).await.expect("submit")), "daily_quota_exceeded");
        tenant.submit(store, grant, 1, midnight).await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_message_leaves_no_trace() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut foreign = tenant.submission(store, grant, 1, NOON).await;
        foreign.sender_domain = Domain::parse("elsewhere.example").expect("domain");
        assert_eq!(refusal(&store.run(foreign).await.expect("submit")), "sender_domain_unverified");
        let crowded = tenant.submission(store, grant, 51, NOON).await;
        assert_eq!(refusal(&store.run(crowded).await.expect("submit")), "too_many_recipients");
        assert_eq!((daily_sends(store, grant, NOON).await, queue_rows(store).await), (0, 0));
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 0);
        assert!(listed(store, grant, "").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_accepted_message_is_filed_and_queued_for_each_recipient() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.submit(store, grant, 50, NOON).await;
        let sent = listed(store, grant, "sent").await;
        assert_eq!((sent[0].id, sent[0].outgoing, sent[0].unread), (id, true, false));
        assert_eq!(queue_rows(store).await, 50);
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(folders::counts(&mut reader, grant).await.expect("counts")[0].total, 1);
        assert_eq!(queue::depth(&mut reader).await.expect("depth"), 50);
        assert_eq!(queue::next_due(&mut reader, &Rooms::unlimited()).await.expect("due"), Some(NOON));
        let outbound = queue::outbound_message(&mut reader, id).await.expect("find").expect("message");
        assert_eq!((outbound.grant_id, outbound.queued_at, outbound.signature), (grant, NOON, None));
        let body = store.blobs().load(&outbound.blob).await.expect("body");
        assert_eq!(body.len() as u64, sent[0].octets);
    })
    .await;
}

#[tokio::test]
async fn those_who_wait_for_events_are_woken() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        tenant.submit(store, grant, 1, NOON).await;
        store.wake().events.notified().await;
    })
    .await;
}

/// Sends to two recipients, reports on both, and tells what is left of the quota that was taken.
async fn quota_after(engine: &crate::support::Engine, reports: [(AfterAttempt, bool); 2], now: UnixMicros) -> i64 {
    let store = &engine.store;
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    let id = tenant.submit(store, grant, 2, NOON).await;
    let taken = claim("worker", now, 10);
    let rows = store.run(taken.clone()).await.expect("claim").rows;
    for (row, (after, reached)) in rows.iter().zip(reports) {
        let command = record(taken.lease.id, vec![report(row, after, reached)], id, now);
        assert!(store.run(command).await.expect("record").lost.is_empty());
    }
    assert_eq!(number(store, "SELECT count(*) FROM outbound", &[]).await, 0);
    const COPIES: &str = "SELECT b.copies FROM messages m JOIN blobs b ON b.id = m.blob_id WHERE m.id = $1";
    assert_eq!(number(store, COPIES, params![id.uuid()]).await, 1, "the queue has let go of the body");
    daily_sends(store, grant, NOON).await
}

#[tokio::test]
async fn quota_is_given_back_when_no_recipient_was_reached() {
    on_each_engine(async |engine| {
        // Reported on the next day: what was taken today is given back to today.
        let tomorrow = NOON.plus(Duration::from_secs(86_400));
        assert_eq!(quota_after(engine, [(bounced(), false), (bounced(), false)], tomorrow).await, 0);
    })
    .await;
}

#[tokio::test]
async fn quota_is_spent_when_one_recipient_was_reached() {
    on_each_engine(async |engine| {
        assert_eq!(quota_after(engine, [(bounced(), false), (bounced(), true)], NOON).await, 1);
        assert_eq!(quota_after(engine, [(AfterAttempt::Delivered, true), (bounced(), false)], NOON).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_only_put_us_off_has_been_reached() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.submit(store, grant, 1, NOON).await;
        for after in [AfterAttempt::RetryAt(NOON), bounced()] {
            let taken = claim("worker", NOON, 1);
            let rows = store.run(taken.clone()).await.expect("claim").rows;
            let reached = matches!(after, AfterAttempt::RetryAt(_));
            let command = record(taken.lease.id, vec![report(&rows[0], after, reached)], id, NOON);
            store.run(command).await.expect("record");
        }
        assert_eq!((daily_sends(store, grant, NOON).await, queue_rows(store).await), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn a_policy_of_nothing_sends_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(0)).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut command = tenant.submission(store, grant, 1, NOON).await;
        command.recipients[0].1 = EmailAddress::parse("müller@elsewhere.example").expect("address");
        assert_eq!(refusal(&store.run(command).await.expect("submit")), "daily_quota_exceeded");
    })
    .await;
}
