//! Sending once: one acceptance under a key or of the same content, however many ask at once, and exact quotas beside it.

use crate::support::{
    Engine, NOON, Tenant, at, at_once, daily_sends, listed, number, on_each_engine, queue_rows, tenant,
};
use postfleet_core::id::GrantId;
use postfleet_core::{UnixMicros, idempotency};
use postfleet_store::idempotency::{Content, KeepAnswer, KeptAnswer, KeyedRequest, Once, PruneOnce, find};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::{Store, params};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(120);

fn keyed(grant: GrantId, key: u8, request: u8) -> KeyedRequest {
    KeyedRequest {
        scope: grant.uuid(),
        key: [key; 32],
        request: [request; 32],
        request_id: format!("request-{request}"),
        kept: idempotency::KEPT,
    }
}

async fn under_key(store: &Store, tenant: &Tenant, key: KeyedRequest, date: UnixMicros) -> Submit {
    let grant = GrantId::from_uuid(key.scope);
    let once = Once { key: Some(key), content: None, pool: None };
    Submit { once, ..tenant.submission(store, grant, 2, date).await }
}

async fn saying(store: &Store, tenant: &Tenant, grant: GrantId, hash: u8, date: UnixMicros) -> Submit {
    let content = Some(Content { hash: [hash; 32], window: WINDOW, may_repeat: false });
    Submit { once: Once { key: None, content, pool: None }, ..tenant.submission(store, grant, 2, date).await }
}

/// What became of a send, in a word.
fn word(outcome: &SubmitOutcome) -> &'static str {
    match outcome {
        SubmitOutcome::Accepted { .. } => "accepted",
        SubmitOutcome::Repeated { .. } => "repeated",
        SubmitOutcome::MustWait | SubmitOutcome::Waits { .. } => "waits",
        SubmitOutcome::Unvalidated => "unvalidated",
        SubmitOutcome::Superseded => "superseded",
        SubmitOutcome::Unheld => "unheld",
        SubmitOutcome::Held(_) => "held",
        SubmitOutcome::Refused(problem) => problem.code,
        SubmitOutcome::NoSuchGrant => "no such grant",
    }
}

async fn run(store: &Store, command: Submit) -> &'static str {
    word(&store.run(command).await.expect("submit"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_under_one_key_one_is_accepted() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(5)).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut commands = Vec::new();
        for _ in 0..64 {
            commands.push(under_key(store, &tenant, keyed(grant, 1, 1), NOON).await);
        }
        let words: Vec<_> = at_once(store, commands).await.iter().map(word).collect();
        assert_eq!(words.iter().filter(|word| **word == "accepted").count(), 1, "{words:?}");
        assert_eq!(words.iter().filter(|word| **word == idempotency::CONCURRENT).count(), 63, "{words:?}");
        let sent = listed(store, grant, "sent").await;
        assert_eq!((sent.len(), daily_sends(store, grant, NOON).await, queue_rows(store).await), (1, 1, 2));
        let mut reader = store.reader().await.expect("reader");
        let kept = find(&mut reader, grant.uuid(), &[1; 32], NOON).await.expect("find").expect("kept");
        assert_eq!((kept.request, kept.status, kept.request_id), (vec![1; 32], 200, "request-1".to_owned()));
        let KeptAnswer::Sent(message, thread, placement, _) = kept.answer else { panic!("a body") };
        assert_eq!((message, thread, placement.folders), (sent[0].id, sent[0].thread_id, sent[0].folders.clone()));
        assert_eq!((placement.unread, placement.starred), (false, false));
    })
    .await;
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_mailbox_and_for_a_day() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let last = NOON.plus(idempotency::KEPT).minus(Duration::from_micros(1));
        for (key, date, expected) in [
            (keyed(grant, 1, 1), NOON, "accepted"),
            (keyed(grant, 1, 2), NOON, "invalid_idempotent_request"),
            (keyed(grant, 1, 1), last, idempotency::CONCURRENT),
            (keyed(grant, 2, 1), NOON, "accepted"),
            (keyed(other, 1, 2), NOON, "accepted"),
            (keyed(grant, 1, 2), last.plus(Duration::from_micros(1)), "accepted"),
        ] {
            let command = under_key(store, &tenant, key.clone(), date).await;
            assert_eq!(run(store, command).await, expected, "{key:?} at {date:?}");
        }
        let mut reader = store.reader().await.expect("reader");
        let over = NOON.plus(idempotency::KEPT);
        let kept = find(&mut reader, grant.uuid(), &[1; 32], over).await.expect("find").expect("kept");
        assert_eq!(kept.request, [2; 32], "that of the later request");
        assert_eq!(find(&mut reader, grant.uuid(), &[2; 32], over).await.expect("find"), None);
    })
    .await;
}

#[tokio::test]
async fn a_kept_refusal_answers_for_a_day_and_never_takes_the_place_of_a_send() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let refusal = |key, request, body: &str, at| {
            let request = keyed(grant, key, request);
            KeepAnswer { request, status: 400, body: body.to_owned(), at }
        };
        let body = async |key, at| {
            let mut reader = store.reader().await.expect("reader");
            match find(&mut reader, grant.uuid(), &[key; 32], at).await.expect("find").map(|kept| kept.answer) {
                Some(KeptAnswer::Body(body)) => body,
                Some(KeptAnswer::Sent(..)) => "sent".to_owned(),
                Some(KeptAnswer::Held(..)) => "held".to_owned(),
                None => String::new(),
            }
        };
        let command = under_key(store, &tenant, keyed(grant, 1, 1), NOON).await;
        assert_eq!(run(store, command).await, "accepted");
        store.run(refusal(1, 1, "no", NOON)).await.expect("keep");
        assert_eq!(body(1, NOON).await, "sent");
        store.run(refusal(2, 1, "first", NOON)).await.expect("keep");
        store.run(refusal(2, 2, "second", NOON)).await.expect("keep");
        assert_eq!(body(2, NOON).await, "first");
        let command = under_key(store, &tenant, keyed(grant, 2, 1), NOON).await;
        assert_eq!(run(store, command).await, idempotency::CONCURRENT);
        store.run(refusal(2, 2, "second", NOON.plus(idempotency::KEPT))).await.expect("keep");
        assert_eq!(body(2, NOON.plus(idempotency::KEPT)).await, "second");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_that_say_the_same_one_is_accepted() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(2)).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut commands = Vec::new();
        for _ in 0..64 {
            commands.push(saying(store, &tenant, grant, 1, NOON).await);
        }
        let outcomes = at_once(store, commands).await;
        let sent = listed(store, grant, "sent").await;
        assert_eq!((sent.len(), daily_sends(store, grant, NOON).await), (1, 1));
        let is_first = |outcome: &&SubmitOutcome| match outcome {
            SubmitOutcome::Repeated { message_id, thread_id, daily, .. } => {
                (*message_id, *thread_id, daily.used) == (sent[0].id, sent[0].thread_id, 1)
            }
            _ => false,
        };
        assert_eq!(outcomes.iter().filter(is_first).count(), 63, "{outcomes:?}");
    })
    .await;
}

#[tokio::test]
async fn the_same_content_waits_for_the_end_of_the_window() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        for (grant, hash, seconds, expected) in [
            (grant, 1, 0, "accepted"),
            (grant, 1, 119, "repeated"),
            (grant, 2, 119, "accepted"),
            (other, 1, 119, "accepted"),
            // Counted from what was sent, not from what was asked for.
            (grant, 1, 120, "accepted"),
            (grant, 1, 239, "repeated"),
        ] {
            let command = saying(store, &tenant, grant, hash, at(seconds)).await;
            assert_eq!(run(store, command).await, expected, "{hash} after {seconds} seconds");
        }
        let mut meant = saying(store, &tenant, grant, 1, at(239)).await;
        meant.once.content = meant.once.content.map(|content| Content { may_repeat: true, ..content });
        let id = meant.copy.message_id;
        assert_eq!(run(store, meant).await, "accepted");
        let again = saying(store, &tenant, grant, 1, at(240)).await;
        let outcome = store.run(again).await.expect("submit");
        assert!(matches!(outcome, SubmitOutcome::Repeated { message_id, .. } if message_id == id), "{outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn what_no_longer_counts_is_removed_a_little_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for number in 0..5 {
            let mut command = saying(store, &tenant, grant, number, at(u64::from(number))).await;
            command.once.key = Some(keyed(grant, number, 1));
            assert_eq!(run(store, command).await, "accepted");
        }
        let rows = async || {
            let keys = number(store, "SELECT count(*) FROM idempotency_keys", &[]).await;
            (keys, number(store, "SELECT count(*) FROM recent_sends", &[]).await)
        };
        let prune = |at, limit| PruneOnce { at, window: WINDOW, limit };
        assert_eq!(store.run(prune(at(119), 2)).await.expect("prune"), 0);
        assert_eq!(store.run(prune(at(122), 2)).await.expect("prune"), 2);
        assert_eq!(store.run(prune(at(122), 2)).await.expect("prune"), 1);
        assert_eq!(rows().await, (5, 2));
        let later = at(2).plus(idempotency::KEPT);
        assert_eq!(store.run(prune(later, 10)).await.expect("prune"), 5);
        assert_eq!(rows().await, (2, 0));
    })
    .await;
}

/// 64 senders of one mailbox with 1,000 messages a day, from a little before midnight to a little after it: what each
/// sends has the time at which it is sent.
async fn send_over_midnight(engine: &Engine) {
    const SENDERS: u64 = 64;
    const DAILY: u64 = 1_000;
    const ASKED_EACH_DAY: u64 = 1_088;
    let store = &engine.store;
    let tenant = tenant(store, "self_hosted", Some(DAILY)).await;
    let grant = tenant.mailbox(store, "a").await;
    let midnight = NOON.day().end();
    let asked = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (store, tenant, asked) = (store.clone(), tenant.clone(), asked.clone());
            tokio::spawn(async move {
                let mut accepted = [0_u64; 2];
                loop {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    if number >= 2 * ASKED_EACH_DAY {
                        return accepted;
                    }
                    let date =
                        midnight.minus(Duration::from_micros(ASKED_EACH_DAY)).plus(Duration::from_micros(number));
                    let command = tenant.submission(&store, grant, 1, date).await;
                    match store.run_near(sender, command).await.expect("submit") {
                        SubmitOutcome::Accepted { .. } => accepted[(number / ASKED_EACH_DAY) as usize] += 1,
                        outcome => assert_eq!(word(&outcome), "daily_quota_exceeded"),
                    }
                }
            })
        })
        .collect();
    let mut accepted = [0; 2];
    for sender in senders {
        let of_sender = sender.await.expect("sender");
        accepted = [accepted[0] + of_sender[0], accepted[1] + of_sender[1]];
    }
    assert_eq!(accepted, [DAILY, DAILY]);
    let counted = (daily_sends(store, grant, NOON).await, daily_sends(store, grant, midnight).await);
    assert_eq!(counted, (1_000, 1_000));
    const OF_DAY: &str = "SELECT count(*) FROM outbound WHERE quota_day = $1";
    for day in [NOON.day(), midnight.day()] {
        assert_eq!(number(store, OF_DAY, params![day.number()]).await, 1_000);
    }
    assert_eq!(queue_rows(store).await, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_senders_share_a_thousand_messages_a_day_over_midnight() {
    on_each_engine(send_over_midnight).await;
}
