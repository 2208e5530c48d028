//! Readers of the log besides webhooks: one node at a time, and what an old owner writes changes nothing.

use crate::support::{NOON, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_store::Store;
use postfleet_store::events;
use postfleet_store::readers::{self, Kind, LeaseReader, Reader, ReleaseReader, SaveReader};
use std::time::Duration;

async fn lease(store: &Store, owner: &str, now: UnixMicros) -> Option<Reader> {
    let until = now.plus(Duration::from_secs(60));
    store.run(LeaseReader { kind: Kind::Bus, owner: owner.into(), now, until }).await.expect("lease")
}

async fn save(store: &Store, reader: Reader, now: UnixMicros) -> bool {
    let until = now.plus(Duration::from_secs(60));
    store.run(SaveReader { kind: Kind::Bus, reader, until }).await.expect("save")
}

#[tokio::test]
async fn one_node_reads_at_a_time_and_an_old_one_changes_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        tenant(store, "self_hosted", None).await.mailbox(store, "a").await;
        let head = events::head(&mut store.reader().await.expect("reader")).await.expect("head");
        let first = lease(store, "a", NOON).await.expect("free");
        assert_eq!((first.position, first.source), (head, None), "it begins at the end of the log");
        assert!(head > 0);
        assert_eq!(lease(store, "b", NOON).await, None, "another node has it");
        let moved = Reader { position: head + 5, source: Some(7), ..first };
        assert!(save(store, moved, NOON).await);
        // The lease ends without having been renewed.
        let later = NOON.plus(Duration::from_secs(61));
        let second = lease(store, "b", later).await.expect("free again");
        assert_eq!((second.position, second.source), (head + 5, Some(7)));
        assert!(!save(store, Reader { position: 0, ..moved }, later).await, "the old owner");
        assert!(save(store, Reader { position: head + 9, ..second }, later).await);
        // Given back, it is free at once.
        store.run(ReleaseReader { kind: Kind::Bus, fence: second.fence, now: later }).await.expect("release");
        assert_eq!(lease(store, "a", later).await.expect("free").position, head + 9);
        let found = readers::find(&mut store.reader().await.expect("reader"), Kind::Bus).await.expect("find");
        assert_eq!(found.expect("there").position, head + 9);
    })
    .await;
}

#[tokio::test]
async fn a_time_is_found_in_the_log() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for name in ["a", "b", "c", "d", "e"] {
            tenant.mailbox(store, name).await;
        }
        let mut reader = store.reader().await.expect("reader");
        let log = events::after(&mut reader, 0, 100).await.expect("events");
        let head = log.last().expect("events").position;
        let first = log[0].event.at;
        for (time, expected) in
            [(first, 0), (UnixMicros::from_micros(0), 0), (first.plus(Duration::from_secs(9)), head)]
        {
            assert_eq!(events::position_at(&mut reader, time).await.expect("position"), expected, "{time:?}");
        }
    })
    .await;
}
