//! The delivery queue: a row has one worker at a time, and only that worker's report counts.

use crate::support::{
    NOON, Statement, Tenant, all_events, at, bounced, claim, fresh, listed, number, on_each_engine, queue_rows, record,
    report, tenant,
};
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::event::Trigger;
use postfleet_core::id::{GrantId, LeaseId, MessageId, QueueId};
use postfleet_store::queue::{Claimed, RecordAttempt, Recorded, ReleaseLeases, Rooms, State};
use postfleet_store::{Store, params, queue};
use std::collections::BTreeSet;

/// A mailbox with one message on its way to so many recipients.
async fn sending(store: &Store, recipients: usize) -> (Tenant, GrantId, MessageId) {
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    let id = tenant.submit(store, grant, recipients, NOON).await;
    (tenant, grant, id)
}

async fn claimed(store: &Store, worker: &str, now: postfleet_core::UnixMicros) -> (LeaseId, Vec<Claimed>) {
    let command = claim(worker, now, 100);
    (command.lease.id, store.run(command).await.expect("claim").rows)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_claim_at_once_never_get_the_same_row() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, _) = sending(store, 50).await;
        for _ in 0..3 {
            tenant.submit(store, grant, 50, NOON).await;
        }
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut mine: Vec<QueueId> = Vec::new();
                    loop {
                        let command = claim(&format!("worker{worker}"), NOON, 3);
                        let rows = store.run_near(worker, command).await.expect("claim").rows;
                        if rows.is_empty() {
                            return mine;
                        }
                        mine.extend(rows.iter().map(|row| row.id));
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.await.expect("worker"));
        }
        assert_eq!(all.len(), 200);
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 200);
    })
    .await;
}

#[tokio::test]
async fn rows_are_claimed_when_due_and_longest_due_first() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, _) = sending(store, 1).await;
        for seconds in [30, 10, 20] {
            tenant.submit(store, grant, 1, at(seconds)).await;
        }
        let mut due = Vec::new();
        for row in store.run(claim("worker", at(20), 100)).await.expect("claim").rows {
            const QUEUED: &str = "SELECT queued_at FROM outbound WHERE message_id = $1";
            due.push(number(store, QUEUED, params![row.message_id.uuid()]).await);
        }
        assert_eq!(due, [NOON, at(10), at(20)].map(|time| time.as_micros()));
        assert_eq!(store.run(claim("worker", at(30), 100)).await.expect("claim").rows.len(), 1);
        let none = store.run(claim("worker", at(31), 0)).await.expect("claim").rows;
        assert!(none.is_empty(), "no more than asked for");
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ended_goes_to_the_next_and_the_old_report_is_lost() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (_, _, id) = sending(store, 2).await;
        let (old, rows) = claimed(store, "old", NOON).await;
        assert_eq!(rows.len(), 2);
        assert!(claimed(store, "new", at(59)).await.1.is_empty(), "still leased");
        let (new, again) = claimed(store, "new", at(60)).await;
        assert_eq!(again.len(), 2);
        let events = all_events(store).await.len();

        let mut late = record(old, vec![report(&rows[0], AfterAttempt::Delivered, true)], id, at(61));
        late.reports.push(report(&rows[1], bounced(), false));
        late.signature = Some(b"DKIM-Signature: old".to_vec());
        let lost = rows.iter().map(|row| row.id).collect();
        assert_eq!(store.run(late).await.expect("record"), Recorded { lost });
        assert_eq!((queue_rows(store).await, all_events(store).await.len()), (2, events));
        let mut reader = store.reader().await.expect("reader");
        let outbound = queue::outbound_message(&mut reader, id).await.expect("find").expect("message");
        assert_eq!(outbound.signature, None, "a report that is lost changes nothing at all");

        let reports = again.iter().map(|row| report(row, AfterAttempt::Delivered, true)).collect();
        let accepted = store.run(record(new, reports, id, at(62))).await.expect("record");
        assert_eq!((accepted, queue_rows(store).await), (Recorded::default(), 0));
        let reports = again.iter().map(|row| report(row, AfterAttempt::Delivered, true)).collect();
        assert_eq!(store.run(record(new, reports, id, at(63))).await.expect("record").lost.len(), 2, "all is done");
    })
    .await;
}

#[tokio::test]
async fn a_lease_that_ended_but_went_to_nobody_still_counts() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (_, _, id) = sending(store, 1).await;
        let (lease, rows) = claimed(store, "slow", NOON).await;
        let late = record(lease, vec![report(&rows[0], AfterAttempt::Delivered, true)], id, at(3_600));
        assert_eq!(store.run(late).await.expect("record"), Recorded::default());
    })
    .await;
}

#[tokio::test]
async fn a_restarted_node_gets_its_rows_back_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, id) = sending(store, 1).await;
        let (lease, rows) = claimed(store, "one", NOON).await;
        tenant.submit(store, grant, 1, NOON).await;
        claimed(store, "two", NOON).await;
        let release = |owner: &str, before| ReleaseLeases { owner: owner.into(), before, now: at(1) };
        let later = LeaseId::from_uuid(fresh());
        assert_eq!(store.run(release("one", lease)).await.expect("release"), 0, "a lease of this run is kept");
        assert_eq!(store.run(release("one", later)).await.expect("release"), 1);
        let late = record(lease, vec![report(&rows[0], AfterAttempt::Delivered, true)], id, at(1));
        assert_eq!(store.run(late).await.expect("record").lost, [rows[0].id]);
        let (_, again) = claimed(store, "one", at(1)).await;
        assert_eq!(again.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[0].id]);
        assert_eq!(store.run(release("three", later)).await.expect("release"), 0);
    })
    .await;
}

#[tokio::test]
async fn what_came_of_each_recipient_is_written_and_told() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant, id) = sending(store, 3).await;
        let (lease, rows) = claimed(store, "worker", NOON).await;
        let before = all_events(store).await.len();
        let mut command = record(lease, Vec::new(), id, at(5));
        command.reports = vec![
            report(&rows[0], AfterAttempt::Delivered, true),
            report(&rows[1], AfterAttempt::RetryAt(at(300)), true),
            report(&rows[2], bounced(), true),
        ];
        command.signature = Some(b"DKIM-Signature: first".to_vec());
        assert_eq!(store.run(command.clone()).await.expect("record"), Recorded::default());

        let told = all_events(store).await.split_off(before);
        let triggers: Vec<_> = told.iter().map(|event| event.event.trigger).collect();
        assert_eq!(triggers, [Trigger::MessageDelivered, Trigger::MessageBounced], "a retry is nobody's business");
        for (event, report) in told.iter().zip([&command.reports[0], &command.reports[2]]) {
            assert_eq!((event.event.id, event.event.grant_id), (report.event_id, grant));
            assert_eq!((event.event.message_id, event.event.application_id), (Some(id), tenant.application));
            assert!(event.event.data.contains(&report.recipient.to_string()), "{}", event.event.data);
        }
        assert!(told[1].event.data.contains("5.1.1") && told[1].event.data.contains("\"expired\":false"));

        let mut reader = store.reader().await.expect("reader");
        assert_eq!(queue::next_due(&mut reader, &Rooms::unlimited()).await.expect("due"), Some(at(300)));
        let (lease, again) = claimed(store, "worker", at(300)).await;
        assert_eq!((again.len(), again[0].id, again[0].attempts), (1, rows[1].id, 1));
        let outbound = queue::outbound_message(&mut reader, id).await.expect("find").expect("message");
        assert_eq!(outbound.signature.as_deref(), Some(b"DKIM-Signature: first".as_slice()));

        let AfterAttempt::Bounced(reason) = bounced() else { unreachable!("it bounced") };
        let last = vec![report(&again[0], AfterAttempt::Expired(reason), true)];
        store.run(record(lease, last, id, at(301))).await.expect("record");
        let event = all_events(store).await.pop().expect("event").event;
        assert_eq!(event.trigger, Trigger::MessageBounced);
        assert!(event.data.contains("\"expired\":true"), "{}", event.data);
        assert!(queue::outbound_message(&mut reader, id).await.expect("find").is_none());
    })
    .await;
}

#[tokio::test]
async fn the_first_signature_is_kept() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (_, _, id) = sending(store, 1).await;
        for (seconds, signature) in [(0, "first"), (1, "second")] {
            let (lease, rows) = claimed(store, "worker", at(seconds)).await;
            let retry = report(&rows[0], AfterAttempt::RetryAt(at(seconds + 1)), false);
            let mut command = record(lease, vec![retry], id, at(seconds));
            command.signature = Some(signature.into());
            store.run(command).await.expect("record");
        }
        let mut reader = store.reader().await.expect("reader");
        let outbound = queue::outbound_message(&mut reader, id).await.expect("find").expect("message");
        assert_eq!(outbound.signature.as_deref(), Some(b"first".as_slice()));
    })
    .await;
}

#[tokio::test]
async fn a_report_on_an_unknown_message_is_lost() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        sending(store, 1).await;
        let (lease, rows) = claimed(store, "worker", NOON).await;
        let unknown = MessageId::from_uuid(fresh());
        let command = record(lease, vec![report(&rows[0], AfterAttempt::Delivered, true)], unknown, NOON);
        assert_eq!(store.run(command).await.expect("record").lost, [rows[0].id]);
        assert_eq!(queue_rows(store).await, 1);
    })
    .await;
}

/// Sends to two recipients and reports on both with a notice to the sender; tells how many notices were filed.
async fn notices_after(store: &Store, after: [AfterAttempt; 2], is_late: bool) -> usize {
    let (tenant, grant, id) = sending(store, 2).await;
    let (lease, rows) = claimed(store, "worker", NOON).await;
    if is_late {
        claimed(store, "other", at(60)).await;
    }
    let reports = rows.iter().zip(after).map(|(row, after)| report(row, after, true)).collect();
    let notice = Some(tenant.received(store, &[grant], at(60)).await);
    let command = RecordAttempt { notice, ..record(lease, reports, id, at(60)) };
    for _ in 0..2 {
        // The second time stands for a worker that did not hear that the first was written.
        store.run(command.clone()).await.expect("record");
    }
    store.run(Statement("DELETE FROM queue")).await.expect("wipe");
    listed(store, grant, "inbox").await.len()
}

#[tokio::test]
async fn a_failure_is_told_to_its_sender_exactly_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let retry = || AfterAttempt::RetryAt(at(300));
        assert_eq!(notices_after(store, [bounced(), bounced()], false).await, 1);
        assert_eq!(notices_after(store, [AfterAttempt::Delivered, bounced()], false).await, 1);
        assert_eq!(notices_after(store, [retry(), bounced()], false).await, 1);
        assert_eq!(notices_after(store, [AfterAttempt::Delivered, retry()], false).await, 0);
        assert_eq!(notices_after(store, [bounced(), bounced()], true).await, 0, "another worker will tell");
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_counted_by_stretches() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        sending(store, 2).await;
        store.run(claim("worker", NOON, 2)).await.expect("claim");
        sending(store, 3).await;
        let mut reader = store.reader().await.expect("reader");
        let (mut counted, mut stretches) = ([0; 2], 0);
        let mut after = Some(QueueId::first_at(NOON));
        while let Some(begin) = after {
            let (depths, next) = queue::state_depths(&mut reader, begin, 2).await.expect("depths");
            for depth in depths {
                assert!(depth.recipients > 0 && depth.oldest >= Some(NOON), "{depth:?}");
                counted[usize::from(depth.state == State::Queued)] += depth.recipients;
                assert!([State::Sending, State::Queued].contains(&depth.state), "{depth:?}");
            }
            (after, stretches) = (next, stretches + 1);
        }
        assert_eq!((counted, stretches), ([2, 3], 3));
        assert_eq!(queue::closed_destinations(&mut reader).await.expect("closed"), 0);
    })
    .await;
}
