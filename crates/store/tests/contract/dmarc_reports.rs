//! What is counted for owners of domains, and the reports that are made of it: nothing is lost or counted twice, limits hold,
//! and each report is made by one node at a time.

use crate::support::{at_once, on_each_engine};
use postfleet_core::authentication::{AuthResult, DmarcPolicy};
use postfleet_core::dmarc_report::{Sighting, Spf, due};
use postfleet_core::{UnixMicros, UtcDay};
use postfleet_store::Store;
use postfleet_store::dmarc_reports::{
    self, ClaimReport, Count, CountSightings, PruneReports, ReportState, SettleReport, Waiting,
};
use std::net::IpAddr;
use std::time::Duration;

const DAY: UtcDay = UtcDay::from_number(20_000);

fn sighting(number: u32) -> Sighting {
    Sighting {
        source: IpAddr::V4(number.into()),
        disposition: DmarcPolicy::Reject,
        dkim_aligned: false,
        spf_aligned: false,
        exception: None,
        header_from: "a.test".to_owned(),
        envelope_from: String::new(),
        signatures: Vec::new(),
        spf: Spf { domain: "a.test".to_owned(), is_helo: true, result: AuthResult::Fail },
    }
}

fn count(day: UtcDay, domain: &str, number: u32, messages: u64) -> Count {
    Count { day, domain: domain.to_owned(), sighting: sighting(number), messages }
}

async fn rows(store: &Store, domain: &str) -> Vec<(Sighting, u64)> {
    dmarc_reports::rows(&mut store.reader().await.expect("reader"), DAY, domain, 100).await.expect("read")
}

async fn state(store: &Store, day: UtcDay, domain: &str) -> Option<ReportState> {
    dmarc_reports::find(&mut store.reader().await.expect("reader"), day, domain).await.expect("read")
}

fn later(moment: UnixMicros, seconds: u64) -> UnixMicros {
    moment.plus(Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_counted_at_once_is_all_there() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let one = |number: usize| {
            let mut counts = vec![
                count(DAY, "a.test", 1, 1),
                count(DAY, "b.test", 1, 2),
                count(DAY, "b.test", 2, 3),
                // The same once more: it is one kind.
                count(DAY, "b.test", 2, 4),
            ];
            counts.rotate_left(number % 4);
            CountSightings::of(counts)
        };
        at_once(store, (0..32).map(one).collect()).await;
        assert_eq!(rows(store, "a.test").await, [(sighting(1), 32)]);
        assert_eq!(rows(store, "b.test").await, [(sighting(2), 7 * 32), (sighting(1), 2 * 32)]);
        let kept = state(store, DAY, "b.test").await.expect("report");
        let expected =
            ReportState { kinds: 2, left_out: 0, due_at: Some(due(DAY, "b.test")), state: "waiting".to_owned() };
        assert_eq!(kept, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_and_domains_have_limits_that_hold_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let one = |number: u32| CountSightings {
            counts: vec![count(DAY, "a.test", number, 1), count(DAY, &format!("d{number}.test"), 1, 1)],
            kinds_max: 5,
            domains_max: 4,
        };
        at_once(store, (0..16).map(one).collect()).await;
        let kept = state(store, DAY, "a.test").await.expect("report");
        assert_eq!((kept.kinds, kept.left_out), (5, 11));
        assert_eq!(rows(store, "a.test").await.len(), 5);
        let mut domains = 0;
        for number in 0..16 {
            domains += u64::from(state(store, DAY, &format!("d{number}.test")).await.is_some());
        }
        assert_eq!(domains, 3, "and a.test");
        // What is known goes on counting, and another day is another day.
        let more = CountSightings {
            counts: vec![count(DAY, "a.test", 0, 5), count(DAY, "new.test", 0, 5)],
            kinds_max: 5,
            domains_max: 4,
        };
        assert_eq!(store.run(more).await.expect("counted"), 5);
        let tomorrow = UtcDay::from_number(DAY.number() + 1);
        let more = CountSightings { counts: vec![count(tomorrow, "new.test", 0, 5)], kinds_max: 5, domains_max: 4 };
        assert_eq!(store.run(more).await.expect("counted"), 0);
        assert!(state(store, tomorrow, "new.test").await.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_made_by_one_at_a_time_until_it_is_over() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let all: Vec<String> = (0..10).map(|number| format!("d{number}.test")).collect();
        let counts = all.iter().map(|domain| count(DAY, domain, 1, 1)).collect();
        store.run(CountSightings::of(counts)).await.expect("counted");
        let early = ClaimReport { now: DAY.end(), until: later(DAY.end(), 900) };
        assert_eq!(store.run(early).await.expect("claim"), None, "the day is hardly over");

        let now = later(DAY.end(), 6 * 3_600);
        let claim = ClaimReport { now, until: later(now, 900) };
        let claimed = at_once(store, vec![claim; 12]).await;
        let mut domains: Vec<String> = claimed.into_iter().flatten().map(|waiting| waiting.domain).collect();
        domains.sort_unstable();
        assert_eq!(domains, all, "each once");

        // Whose lease is over has nothing to say any more.
        let now = later(now, 900);
        let claim = ClaimReport { now, until: later(now, 900) };
        let again = store.run(claim).await.expect("claim").expect("one");
        let late = Waiting { leased_until: now, ..again.clone() };
        let settle = |report: &Waiting, next, state| SettleReport { report: report.clone(), again: next, state };
        assert!(!store.run(settle(&late, None, "sent")).await.expect("settled"));
        assert!(store.run(settle(&again, Some(later(now, 3_600)), "unknown")).await.expect("settled"));
        let kept = state(store, DAY, &again.domain).await.expect("report");
        assert_eq!((kept.due_at, kept.state.as_str()), (Some(later(now, 3_600)), "unknown"));
        for _ in 1..10 {
            let next = store.run(claim).await.expect("claim").expect("one");
            assert!(store.run(settle(&next, None, "sent")).await.expect("settled"));
        }
        assert_eq!(store.run(claim).await.expect("claim"), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_is_forgotten_a_little_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let next = UtcDay::from_number(DAY.number() + 1);
        let counts = vec![
            count(DAY, "a.test", 1, 1),
            count(DAY, "a.test", 2, 1),
            count(DAY, "b.test", 1, 1),
            count(next, "a.test", 1, 1),
        ];
        store.run(CountSightings::of(counts)).await.expect("counted");
        let prune = |before| PruneReports { before, limit: 2 };
        assert_eq!(store.run(prune(DAY)).await.expect("pruned"), 0);
        let mut forgotten = 0;
        loop {
            match store.run(prune(next)).await.expect("pruned") {
                0 => break,
                some => forgotten += some,
            }
        }
        assert_eq!(forgotten, 5);
        assert!(rows(store, "a.test").await.is_empty() && state(store, DAY, "a.test").await.is_none());
        assert!(state(store, next, "a.test").await.is_some());
    })
    .await;
}
