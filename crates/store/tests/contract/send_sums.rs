//! The sums of the ledger: each row is in them exactly once, whenever it is written and whoever sums up.

use crate::support::{Engine, Tenant, at, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::send_figures::Sums;
use postfleet_store::Store;
use postfleet_store::activity::PruneActivity;
use postfleet_store::outbound::Submit;
use postfleet_store::send_sums::{self, Dimension, PruneSums, SumUp};
use postfleet_store::senders;

async fn of_engine(engine: &Engine) -> (Tenant, GrantId) {
    let tenant = tenant(&engine.store, "self_hosted", None).await;
    let grant = tenant.mailbox(&engine.store, "sender").await;
    (tenant, grant)
}

async fn accepted(store: &Store, application: ApplicationId) -> u64 {
    let mut reader = store.reader().await.expect("reader");
    let span = (at(0).day(), at(86_400).day());
    let by_day = send_sums::by_day(&mut reader, application, span).await.expect("sums");
    let by_key = send_sums::by_key(&mut reader, application, Dimension::Account, span).await.expect("sums");
    let total = |sums: Vec<Sums>| sums.iter().map(|sums| sums.accepted).sum::<u64>();
    let (by_day, by_key) = (total(by_day.into_values().collect()), total(by_key.into_values().collect()));
    assert_eq!(by_day, by_key);
    by_day
}

async fn sum_up(store: &Store, until: UnixMicros, limit: usize) -> usize {
    let mut rounds = 0;
    while send_sums::is_behind(&mut store.reader().await.expect("reader"), until).await.expect("behind") {
        store.run(SumUp { until, limit }).await.expect("summed");
        rounds += 1;
    }
    rounds
}

/// What has another time than it becomes visible at: a node whose clock is behind, or that was stopped for a while.
#[tokio::test]
async fn a_row_that_is_written_behind_the_head_is_counted_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = of_engine(engine).await;
        tenant.submit(store, grant, 3, at(100)).await;
        assert_eq!(accepted(store, tenant.application).await, 3);
        assert_eq!(sum_up(store, at(1_000), 2).await, 2, "two rows at once");
        assert_eq!(accepted(store, tenant.application).await, 3);
        tenant.submit(store, grant, 2, at(50)).await;
        assert_eq!(accepted(store, tenant.application).await, 5);
        assert_eq!(sum_up(store, at(1_000), 100).await, 0, "nothing is left to the duty");
        tenant.submit(store, grant, 4, at(200)).await;
        assert_eq!(accepted(store, tenant.application).await, 9);
        // What is younger is left.
        assert_eq!(sum_up(store, at(150), 100).await, 0);
        sum_up(store, at(1_000), 100).await;
        assert_eq!(accepted(store, tenant.application).await, 9);
    })
    .await;
}

/// Two nodes that sum up while others write, some of it behind them.
#[tokio::test]
async fn each_row_is_in_the_sums_once_whoever_sums_up_while_others_write() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = Vec::new();
        for name in ["a", "b", "c", "d"] {
            grants.push(tenant.mailbox(store, name).await);
        }
        let writers = grants.iter().enumerate().map(|(index, grant)| {
            let tenant = &tenant;
            async move {
                for number in 0..15 {
                    // Every other message is of a time that the duty has passed.
                    let time = if number % 2 == 0 { 10_000 + number * 10 } else { 5 + number + index as u64 };
                    tenant.submit(store, *grant, 2, at(time)).await;
                }
            }
        });
        let duties = (0..2).map(|_| async {
            for _ in 0..40 {
                store.run(SumUp { until: at(20_000), limit: 3 }).await.expect("summed");
            }
        });
        futures::join!(futures::future::join_all(writers), futures::future::join_all(duties));
        assert_eq!(accepted(store, tenant.application).await, 4 * 15 * 2);
        sum_up(store, at(20_000), 7).await;
        assert_eq!(accepted(store, tenant.application).await, 4 * 15 * 2);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_removed_before_it_is_in_the_sums() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = of_engine(engine).await;
        tenant.submit(store, grant, 3, at(100)).await;
        let prune = PruneActivity { before: at(500), limit: 10 };
        assert_eq!(store.run(prune).await.expect("pruned"), 0);
        sum_up(store, at(1_000), 100).await;
        assert_eq!(store.run(PruneActivity { limit: 2, ..prune }).await.expect("pruned"), 2);
        assert_eq!(store.run(prune).await.expect("pruned"), 1);
        assert_eq!(accepted(store, tenant.application).await, 3);
    })
    .await;
}

#[tokio::test]
async fn who_sent_in_the_last_day_is_counted_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, first) = of_engine(engine).await;
        let second = tenant.mailbox(store, "second").await;
        let other = self::tenant(store, "self_hosted", None).await;
        let third = other.mailbox(store, "third").await;
        // It begins at noon.
        tenant.submit(store, first, 2, at(100)).await;
        tenant.submit(store, first, 1, at(4_000)).await;
        let of_second =
            Submit { sender: tenant.address("second"), ..tenant.submission(store, second, 1, at(200)).await };
        store.run(of_second).await.expect("submitted");
        other.submit(store, third, 1, at(300)).await;
        let sent = async |application, now| {
            let mut reader = store.reader().await.expect("reader");
            senders::in_last_day(&mut reader, application, at(now)).await.expect("count")
        };
        assert_eq!(sent(None, 5_000).await, 0, "nothing is summed up");
        sum_up(store, at(10_000), 2).await;
        // What is written behind the head counts as well, and takes nobody back.
        tenant.submit(store, first, 1, at(150)).await;
        assert_eq!(sent(Some(tenant.application), 5_000).await, 2);
        assert_eq!(sent(Some(other.application), 5_000).await, 1);
        assert_eq!(sent(None, 5_000).await, 3);
        // The hour that was 24 hours ago counts to its beginning.
        assert_eq!(sent(Some(tenant.application), 86_400 + 3_599).await, 2);
        assert_eq!(sent(Some(tenant.application), 86_400 + 3_600).await, 1);
        assert_eq!(sent(Some(tenant.application), 86_400 + 7_200).await, 0);
        let prune = PruneSums { before: at(0).day(), hours_before: at(3_600), limit: 100 };
        assert!(store.run(prune).await.expect("pruned") >= 2);
        assert_eq!((sent(None, 5_000).await, store.run(prune).await.expect("pruned")), (1, 0));
    })
    .await;
}
