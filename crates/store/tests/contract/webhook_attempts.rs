//! What was attempted: numbered for each webhook, bounded, kept for a while.

use crate::support::{at, fresh, number, on_each_engine, tenant};
use crate::webhooks::webhook;
use postfleet_core::id::{EventId, GrantId, ReplayId};
use postfleet_core::readers::{Cause, Save};
use postfleet_store::Store;
use postfleet_store::lanes::{Course, SaveWebhook};
use postfleet_store::webhook_attempts::{
    self, KEPT_MAX, NewAttempt, PASSING_MAX, PruneWebhookAttempts, Wanted, WithAttempts, WriteAttempts,
};
use postfleet_store::webhooks::{CreateWebhook, LeaseWebhooks, RemoveWebhook, Webhook};
use std::time::Duration;

fn attempt(seconds: u64, cause: Option<Cause>, is_passing: bool) -> NewAttempt {
    NewAttempt {
        event_id: EventId::from_uuid(fresh()),
        grant_id: GrantId::from_uuid(fresh()),
        name: "message.created",
        replay_id: Some(ReplayId::from_uuid(fresh())),
        at: at(seconds),
        took: Duration::from_millis(7),
        attempt: 2,
        status: cause.is_none().then_some(202),
        cause,
        is_passing,
        url: "https://one.example/?…".into(),
        request_headers: "[]".into(),
        body_octets: 9,
        body_hash: [7; 32],
        answer_headers: r#"[["a","b"]]"#.into(),
        answer_body: vec![0, 159, 1],
    }
}

async fn write(store: &Store, hook: &Webhook, attempts: Vec<NewAttempt>) {
    store.run(WriteAttempts { webhook: hook.id, attempts }).await.expect("write");
}

/// The numbers of those that are wanted, newest first.
async fn numbers(store: &Store, hook: &Webhook, wanted: Wanted, before: i64) -> Vec<i64> {
    let mut reader = store.reader().await.expect("reader");
    let found = webhook_attempts::list(&mut reader, hook.id, wanted, (before, 20_000)).await.expect("list");
    found.iter().map(|one| one.number).collect()
}

#[tokio::test]
async fn attempts_are_written_with_the_position_and_found_by_event_and_outcome() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (hook, other) = (webhook(&tenant, "https://one.example/"), webhook(&tenant, "https://two.example/"));
        for one in [&hook, &other] {
            store.run(CreateWebhook(one.clone())).await.expect("create");
        }
        let until = at(60);
        store.run(LeaseWebhooks { owner: "node".into(), now: at(0), until }).await.expect("lease");
        let [failed, taken, passing] =
            [attempt(1, Some(Cause::Deadline), false), attempt(2, None, false), attempt(3, None, true)];
        let again = NewAttempt { event_id: failed.event_id, ..attempt(4, None, true) };
        // Whether or not the lease is there still: it was attempted.
        for (owner, kept, attempts) in
            [("node", true, vec![failed.clone(), taken]), ("other", false, vec![passing, again])]
        {
            let save = Save { position: 3, ..Save::default() };
            let command = SaveWebhook { id: hook.id, owner: owner.into(), save, course: Course::default() };
            let command = WithAttempts { command, webhook: hook.id, attempts };
            assert_eq!(store.run(command).await.expect("save"), kept, "{owner}");
        }
        write(store, &other, vec![attempt(5, None, true)]).await;
        let of = |event, is_taken| Wanted { event, is_taken };
        let event = Some(failed.event_id);
        for (name, wanted, before, expected) in [
            ("all", of(None, None), i64::MAX, vec![4, 3, 2, 1]),
            ("a page", of(None, None), 3, vec![2, 1]),
            ("taken", of(None, Some(true)), i64::MAX, vec![4, 3, 2]),
            ("failed", of(None, Some(false)), i64::MAX, vec![1]),
            ("an event", of(event, None), i64::MAX, vec![4, 1]),
            ("an event, taken", of(event, Some(true)), i64::MAX, vec![4]),
            ("an event, failed", of(event, Some(false)), i64::MAX, vec![1]),
            ("an event, a page", of(event, None), 4, vec![1]),
        ] {
            assert_eq!(numbers(store, &hook, wanted, before).await, expected, "{name}");
        }
        assert_eq!(numbers(store, &other, of(None, None), i64::MAX).await, [1]);
        let mut reader = store.reader().await.expect("reader");
        let found = webhook_attempts::find(&mut reader, hook.id, 1).await.expect("find").expect("attempt");
        assert_eq!(
            (found.event_id, found.grant_id, found.replay_id),
            (failed.event_id, failed.grant_id, failed.replay_id)
        );
        assert_eq!(
            (found.name.as_str(), found.attempt, found.at, found.took),
            ("message.created", 2, at(1), failed.took)
        );
        assert_eq!((found.status, found.cause), (None, Some(Cause::Deadline)));
        assert_eq!((&found.url, &found.request_headers, found.body_octets), (&failed.url, &failed.request_headers, 9));
        assert_eq!((&found.body_hash[..], &found.answer_body), (&failed.body_hash[..], &failed.answer_body));
        assert_eq!(found.answer_headers, failed.answer_headers);
        assert!(webhook_attempts::find(&mut reader, other.id, 2).await.expect("find").is_none());
        drop(reader);

        // They go with their webhook, and nothing is written of one that is gone.
        let removal = RemoveWebhook { application_id: hook.application_id, id: hook.id };
        assert!(store.run(removal).await.expect("remove"));
        write(store, &hook, vec![attempt(6, None, true)]).await;
        assert_eq!(number(store, "SELECT count(*) FROM webhook_attempts", &[]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn of_what_was_taken_the_last_are_kept_and_of_the_others_so_many_and_for_so_long() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let hook = webhook(&tenant, "https://one.example/");
        store.run(CreateWebhook(hook.clone())).await.expect("create");
        let all = Wanted::default();
        write(store, &hook, vec![attempt(1, Some(Cause::Deadline), false)]).await;
        for second in 0..3 {
            write(store, &hook, vec![attempt(10 + second, None, true); PASSING_MAX - 10]).await;
        }
        let last = 1 + 3 * (PASSING_MAX as i64 - 10);
        let mut expected: Vec<i64> = (last - PASSING_MAX as i64 + 1..=last).rev().collect();
        expected.push(1);
        assert_eq!(numbers(store, &hook, all, i64::MAX).await, expected);

        for _ in 0..KEPT_MAX / 500 + 3 {
            write(store, &hook, vec![attempt(20, Some(Cause::Deadline), false); 500]).await;
            let kept = number(store, "SELECT count(*) FROM webhook_attempts", &[]).await;
            assert!(kept <= KEPT_MAX, "{kept}");
        }
        let kept = numbers(store, &hook, all, i64::MAX).await;
        assert!(kept.len() as i64 > KEPT_MAX - 500, "{}", kept.len());
        assert!(kept.windows(2).all(|pair| pair[0] == pair[1] + 1), "the oldest went");

        // Those before a time go, so many at once.
        write(store, &hook, vec![attempt(30, None, true); 3]).await;
        for (before, limit, gone) in [(at(20), 100, 0), (at(21), 100, 100), (at(21), 20_000, kept.len() as u64 - 100)] {
            let pruned = store.run(PruneWebhookAttempts { before, limit }).await.expect("prune");
            assert_eq!(pruned, gone, "{before:?}");
        }
        assert_eq!(numbers(store, &hook, all, i64::MAX).await.len(), 3);
    })
    .await;
}
