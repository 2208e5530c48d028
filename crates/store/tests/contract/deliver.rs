//! Filing received messages: one body for all copies, and counters that agree with what is listed.

use crate::support::{NOON, all_events, at, fresh, listed, number, on_each_engine, tenant};
use postfleet_core::event::Trigger;
use postfleet_core::id::BlobId;
use postfleet_core::rule::Placement;
use postfleet_store::folders::{self, FolderCount};
use postfleet_store::grants::PruneRemoved;
use postfleet_store::{StoreError, messages, params, threads};

#[tokio::test]
async fn mailboxes_share_one_body() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grants =
            [tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await, tenant.mailbox(store, "c").await];
        let raw = b"Subject: Hello\r\n\r\nHello, all of you.\r\n";
        let mut command = tenant.received(store, &grants, at(1)).await;
        command.blob = store.blobs().prepare(BlobId::from_uuid(fresh()), raw).await.expect("body");
        command.facts.octets = raw.len() as u64;
        let filed = store.run(command.clone()).await.expect("deliver").expect("room");
        assert_eq!(filed, command.copies.iter().map(|filing| filing.copy.message_id).collect::<Vec<_>>());

        let shared = number(store, "SELECT count(*) FROM blobs WHERE copies = 3", &[]).await;
        assert_eq!((shared, number(store, "SELECT count(*) FROM blobs", &[]).await), (1, 1));
        let mut reader = store.reader().await.expect("reader");
        for copy in command.copies.iter().map(|filing| &filing.copy) {
            let found = messages::find_with_body(&mut reader, copy.grant_id, copy.message_id).await.expect("find");
            let (stored, body) = found.expect("it");
            assert_eq!((stored.thread_id, stored.blob_id), (copy.new_thread_id, command.blob.id()));
            assert_eq!((stored.unread, stored.starred, stored.outgoing), (true, false, false));
            assert_eq!((stored.folders, stored.octets), (vec!["inbox".to_owned()], raw.len() as u64));
            assert_eq!(store.blobs().load(&body).await.expect("load"), raw);
            for folder in ["", "inbox"] {
                let ids: Vec<_> = listed(store, copy.grant_id, folder).await.iter().map(|message| message.id).collect();
                assert_eq!(ids, [copy.message_id], "folder {folder:?}");
            }
            assert!(listed(store, copy.grant_id, "sent").await.is_empty());
            let thread = threads::find_thread(&mut reader, copy.grant_id, copy.new_thread_id).await.expect("find");
            assert_eq!(thread.expect("thread").received_date, Some(at(1)));
        }
    })
    .await;
}

/// However many get a message, it is kept once; each mailbox pays for its copy, and what one loses the others keep.
#[tokio::test]
async fn a_hundred_mailboxes_share_one_body() {
    on_each_engine(async |engine| {
        const EACH: &str = "SELECT count(*) FROM mailboxes WHERE storage_octets = $1";
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = Vec::new();
        for number in 0..100 {
            grants.push(tenant.mailbox(store, &format!("m{number}")).await);
        }
        let raw = b"Subject: Hello\r\n\r\nHello, all of you.\r\n".repeat(5_000);
        let mut command = tenant.received(store, &grants, at(1)).await;
        command.blob = store.blobs().prepare(BlobId::from_uuid(fresh()), &raw).await.expect("body");
        command.facts.octets = raw.len() as u64;
        assert_eq!(store.run(command.clone()).await.expect("deliver").expect("room").len(), 100);
        assert_eq!(number(store, "SELECT count(*) FROM blobs WHERE copies = 100", &[]).await, 1);
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 1);
        assert_eq!(number(store, EACH, params![raw.len() as i64]).await, 100);

        store.run(tenant.removal(grants[7], at(100))).await.expect("remove");
        while store.run(PruneRemoved { limit: 10 }).await.expect("prune") {}
        assert_eq!(number(store, "SELECT count(*) FROM blobs WHERE copies = 99", &[]).await, 1);
        assert_eq!(number(store, EACH, params![raw.len() as i64]).await, 99);
        let mut reader = store.reader().await.expect("reader");
        for filing in command.copies.iter().filter(|filing| filing.copy.grant_id != grants[7]) {
            let copy = &filing.copy;
            let found = messages::find_with_body(&mut reader, copy.grant_id, copy.message_id).await.expect("find");
            let (_, body) = found.expect("it");
            assert_eq!(store.blobs().load(&body).await.expect("load"), raw);
        }
    })
    .await;
}

/// An idle mailbox costs the mail of others nothing: a message writes the same rows whatever stands beside its mailbox.
#[tokio::test]
async fn what_a_message_writes_does_not_depend_on_how_many_mailboxes_there_are() {
    const TABLES: [&str; 14] = [
        "SELECT count(*) FROM mailboxes",
        "SELECT count(*) FROM messages",
        "SELECT count(*) FROM blobs",
        "SELECT count(*) FROM listings",
        "SELECT count(*) FROM folder_counts",
        "SELECT count(*) FROM threads",
        "SELECT count(*) FROM thread_keys",
        "SELECT count(*) FROM correspondents",
        "SELECT count(*) FROM daily_sends",
        "SELECT count(*) FROM usage",
        "SELECT count(*) FROM queue",
        "SELECT count(*) FROM send_events",
        "SELECT count(*) FROM rule_evaluations",
        "SELECT count(*) FROM events",
    ];
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let count = async || {
            let mut counts = Vec::new();
            for table in TABLES {
                counts.push(number(store, table, &[]).await);
            }
            counts
        };
        let (mut made, mut written) = (0, Vec::new());
        for fleet in [1, 10, 200] {
            for next in made..fleet {
                tenant.mailbox(store, &format!("idle{next}")).await;
            }
            made = fleet;
            let busy = tenant.mailbox(store, &format!("busy{fleet}")).await;
            let before = count().await;
            let mut command = tenant.received(store, &[busy], at(fleet)).await;
            command.facts.thread.correspondents = vec!["ada@elsewhere.example".to_owned()];
            store.run(command).await.expect("deliver").expect("room");
            let after = count().await;
            written.push(after.iter().zip(&before).map(|(after, before)| after - before).collect::<Vec<_>>());
        }
        // The row of the month's usage is there after the first.
        written[0][9] = 0;
        assert_eq!(written[0], written[1]);
        assert_eq!(written[1], written[2]);
        assert!(written[2].iter().sum::<i64>() <= 12, "{written:?}");
    })
    .await;
}

#[tokio::test]
async fn each_copy_goes_where_it_is_placed_with_what_was_found_of_it() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grants = [tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await];
        let mut command = tenant.received(store, &grants, at(1)).await;
        let found = ["{\"a\":1}", "{\"b\":2}"];
        for (filing, found) in command.copies.iter_mut().zip(found) {
            filing.assessment = Some(found.to_owned());
        }
        command.copies[1].placement = Placement { folders: vec!["junk".to_owned()], unread: false, starred: true };
        store.run(command.clone()).await.expect("deliver").expect("room");
        let mut reader = store.reader().await.expect("reader");
        for (grant, folder, found, marks) in
            [(grants[0], "inbox", found[0], (true, false)), (grants[1], "junk", found[1], (false, true))]
        {
            let stored = listed(store, grant, folder).await.remove(0);
            assert_eq!((stored.assessment.as_deref(), (stored.unread, stored.starred)), (Some(found), marks));
            let (stored, _) = messages::find_with_body(&mut reader, grant, stored.id).await.expect("find").expect("it");
            assert_eq!(stored.assessment.as_deref(), Some(found));
            assert_eq!(
                number(store, "SELECT count(*) FROM listings WHERE grant_id = $1", params![grant.uuid()]).await,
                2
            );
        }
        let sent = tenant.submit(store, grants[0], 1, NOON).await;
        let sent = messages::find(&mut reader, grants[0], sent).await.expect("find").expect("it");
        assert_eq!(sent.assessment, None);
    })
    .await;
}

#[tokio::test]
async fn a_message_of_another_mailbox_is_not_found() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (one, two) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let id = tenant.deliver(store, one, at(1)).await;
        let mut reader = store.reader().await.expect("reader");
        assert!(messages::find(&mut reader, one, id).await.expect("find").is_some());
        assert!(messages::find(&mut reader, two, id).await.expect("find").is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_agree_with_what_was_filed_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let mut commands = Vec::new();
        for index in 0..50 {
            let mut command = tenant.received(store, &[grant], at(index)).await;
            command.facts.octets = 1_000 + index;
            command.facts.unread = index % 5 != 0;
            command.facts.folder = if index % 2 == 0 { "inbox" } else { "junk" };
            commands.push(crate::support::placed(command));
        }
        crate::support::at_once(store, commands).await;

        let mut reader = store.reader().await.expect("reader");
        let count = |folder: &str, total, unread| FolderCount { folder: folder.into(), total, unread };
        let counts = folders::counts(&mut reader, grant).await.expect("counts");
        assert_eq!(counts, [count("inbox", 25, 20), count("junk", 25, 20)]);
        assert_eq!(listed(store, grant, "inbox").await.len(), 25);
        const OCTETS: &str = "SELECT storage_octets FROM mailboxes WHERE grant_id = $1";
        assert_eq!(number(store, OCTETS, params![grant.uuid()]).await, 50 * 1_000 + (0..50).sum::<i64>());
    })
    .await;
}

#[tokio::test]
async fn a_repeated_delivery_changes_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let command = tenant.received(store, &[grant], at(1)).await;
        store.run(command.clone()).await.expect("deliver").expect("room");
        let events = all_events(store).await.len();
        let refused = store.run(command).await.expect_err("the same ids again");
        assert!(matches!(refused, StoreError::Fault(_)), "{refused}");
        assert_eq!(listed(store, grant, "").await.len(), 1);
        assert_eq!(all_events(store).await.len(), events);
        assert_eq!(number(store, "SELECT copies FROM blobs", &[]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn each_copy_is_announced_with_its_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grants = [tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await];
        let command = tenant.received(store, &grants, at(1)).await;
        store.run(command.clone()).await.expect("deliver").expect("room");
        let events = all_events(store).await;
        for (event, copy) in events[2..].iter().zip(command.copies.iter().map(|filing| &filing.copy)) {
            assert_eq!(event.event.trigger, Trigger::MessageCreated);
            assert_eq!((event.event.id, event.event.grant_id), (copy.event_id, copy.grant_id));
            assert_eq!((event.event.message_id, event.event.grant_sequence), (Some(copy.message_id), 2));
        }
        assert_eq!(events.len(), 4);
    })
    .await;
}
