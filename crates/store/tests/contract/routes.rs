//! What is kept about the ways to other servers: their MTA-STS policies, and how encryption went.

use crate::support::{at, at_once, on_each_engine};
use postfleet_core::{Domain, UtcDay};
use postfleet_store::Store;
use postfleet_store::sts::{self, KeepPolicy, Kept, NoteFailedFetch, NoteUse, PrunePolicies};
use postfleet_store::tls_sessions::{self, Count, CountSessions, PruneSessions, Sessions};

fn domain(text: &str) -> Domain {
    Domain::parse(text).expect("domain")
}

async fn kept(store: &Store, name: &str) -> Option<Kept> {
    sts::find(&mut store.reader().await.expect("reader"), &domain(name)).await.expect("read")
}

async fn due(store: &Store, tried_before: u64, now: u64) -> Vec<String> {
    let mut reader = store.reader().await.expect("reader");
    let found = sts::due(&mut reader, at(tried_before), at(now), 10).await.expect("read");
    found.into_iter().map(|(domain, id)| format!("{domain} {id}")).collect()
}

fn keep(name: &str, id: &str, seconds: u64, is_used: bool) -> KeepPolicy {
    KeepPolicy {
        domain: domain(name),
        policy_id: id.to_owned(),
        policy: format!("policy {id}"),
        expires_at: at(seconds + 1_000),
        is_used,
        at: at(seconds),
    }
}

fn failed(name: &str, id: &str, seconds: u64) -> NoteFailedFetch {
    NoteFailedFetch { domain: domain(name), policy_id: id.to_owned(), failure: "gone".to_owned(), at: at(seconds) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_outlives_what_fails_after_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        assert_eq!(kept(store, "a.test").await, None);
        store.run(failed("a.test", "one", 10)).await.expect("noted");
        let first = kept(store, "a.test").await.expect("row");
        assert_eq!((first.policy.as_str(), first.tried_id.as_str(), first.failure.as_str()), ("", "one", "gone"));
        store.run(keep("a.test", "one", 20, true)).await.expect("kept");
        store.run(failed("a.test", "two", 30)).await.expect("noted");
        let second = kept(store, "a.test").await.expect("row");
        let expected = Kept {
            policy_id: "one".to_owned(),
            policy: "policy one".to_owned(),
            fetched_at: at(20),
            expires_at: at(1_020),
            used_at: at(20),
            tried_at: at(30),
            tried_id: "two".to_owned(),
            failure: "gone".to_owned(),
        };
        assert_eq!(second, expected);
        // What comes late from another node does not take the place of what is newer.
        store.run(keep("a.test", "zero", 15, true)).await.expect("kept");
        store.run(failed("a.test", "zero", 25)).await.expect("noted");
        assert_eq!(kept(store, "a.test").await, Some(expected));
        store.run(keep("a.test", "two", 40, false)).await.expect("kept");
        let third = kept(store, "a.test").await.expect("row");
        assert_eq!((third.policy_id.as_str(), third.failure.as_str(), third.used_at), ("two", "", at(20)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_in_use_are_fetched_anew_and_the_others_end() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        store.run(keep("used.test", "1", 10, true)).await.expect("kept");
        store.run(keep("unused.test", "1", 20, false)).await.expect("kept");
        store.run(failed("never.test", "1", 30)).await.expect("noted");
        assert_eq!(due(store, 10, 100).await, Vec::<String>::new());
        assert_eq!(due(store, 100, 100).await, ["used.test 1"]);
        assert_eq!(due(store, 2_000, 1_010).await, Vec::<String>::new(), "it is over");
        store.run(NoteUse { domain: domain("unused.test"), at: at(50) }).await.expect("noted");
        store.run(NoteUse { domain: domain("unused.test"), at: at(40) }).await.expect("noted");
        assert_eq!(kept(store, "unused.test").await.expect("row").used_at, at(50));
        assert_eq!(due(store, 100, 100).await, ["used.test 1", "unused.test 1"]);
        // Tried again without success: not due until later.
        store.run(failed("used.test", "1", 90)).await.expect("noted");
        assert_eq!(due(store, 90, 100).await, ["unused.test 1"]);
        let prune = |now, tried_before| PrunePolicies { now: at(now), tried_before: at(tried_before), limit: 10 };
        assert_eq!(store.run(prune(100, 30)).await.expect("pruned"), 0);
        assert_eq!(store.run(prune(100, 31)).await.expect("pruned"), 1);
        assert_eq!(store.run(prune(1_010, 5_000)).await.expect("pruned"), 1);
        assert!(kept(store, "used.test").await.is_none() && kept(store, "unused.test").await.is_some());
    })
    .await;
}

fn sessions(domain: &str, result: &str) -> Sessions {
    Sessions {
        policy_domain: domain.to_owned(),
        policy_type: "sts".to_owned(),
        policy: "[]".to_owned(),
        mx_hosts: "[]".to_owned(),
        result: result.to_owned(),
        sending_address: "192.0.2.1".to_owned(),
        receiving_host: "mx.test".to_owned(),
        receiving_address: "192.0.2.2".to_owned(),
    }
}

fn count(day: i64, domain: &str, result: &str, count: u64) -> Count {
    let reason = result.to_uppercase();
    Count { day: UtcDay::from_number(day), sessions: sessions(domain, result), reason, count }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_counted_at_once_are_all_there() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let one = |number: u64| {
            let mut counts = vec![count(5, "b.test", "", 1), count(5, "b.test", "bad", 2), count(5, "a.test", "", 3)];
            // Each comes in another order.
            counts.rotate_left((number % 3) as usize);
            CountSessions { counts }
        };
        at_once(store, (0..32).map(one).collect()).await;
        store.run(CountSessions { counts: vec![count(6, "b.test", "", 7)] }).await.expect("counted");

        let day = UtcDay::from_number(5);
        let mut reader = store.reader().await.expect("reader");
        let all = tls_sessions::domains(&mut reader, day, "", 10).await.expect("read");
        assert_eq!(all, ["a.test", "b.test"]);
        assert_eq!(tls_sessions::domains(&mut reader, day, "", 1).await.expect("read"), ["a.test"]);
        assert_eq!(tls_sessions::domains(&mut reader, day, "a.test", 10).await.expect("read"), ["b.test"]);
        let mut found = tls_sessions::of_domain(&mut reader, day, "b.test").await.expect("read");
        found.sort_by(|a, b| a.sessions.cmp(&b.sessions));
        assert_eq!(found, [count(5, "b.test", "", 32), count(5, "b.test", "bad", 64)]);
        drop(reader);

        let prune = |before| PruneSessions { before: UtcDay::from_number(before), limit: 2 };
        assert_eq!(store.run(prune(5)).await.expect("pruned"), 0);
        assert_eq!(store.run(prune(6)).await.expect("pruned"), 2);
        assert_eq!(store.run(prune(6)).await.expect("pruned"), 1);
        let mut reader = store.reader().await.expect("reader");
        let left = tls_sessions::of_domain(&mut reader, UtcDay::from_number(6), "b.test").await.expect("read");
        assert_eq!(left, [count(6, "b.test", "", 7)]);
    })
    .await;
}
