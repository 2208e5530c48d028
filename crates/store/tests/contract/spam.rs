//! Moving messages between folders, and learning from what goes into junk and comes out of it: once for each state in which
//! a message is left, by one node, for one application.

use crate::support::{Tenant, all_events, at, fresh, listed, number, on_each_engine, tenant};
use postfleet_core::event::Trigger;
use postfleet_core::id::{EventId, GrantId, MessageId};
use postfleet_core::spam::{MESSAGES_MIN, Trained};
use postfleet_store::refile::{UpdateMessage, UpdateOutcome};
use postfleet_store::spam::{self, Due, LearnSpam, PruneSpamMoves};
use postfleet_store::{Store, folders};

fn moving(tenant: &Tenant, grant: GrantId, id: MessageId, folder: &str, seconds: u64) -> UpdateMessage {
    UpdateMessage {
        application_id: tenant.application,
        grant_id: grant,
        id,
        folders: Some(vec![folder.to_owned()]),
        unread: None,
        starred: None,
        answered: None,
        metadata: None,
        event_id: EventId::from_uuid(fresh()),
        at: at(seconds),
    }
}

async fn move_to(store: &Store, tenant: &Tenant, grant: GrantId, id: MessageId, folder: &str, seconds: u64) {
    let outcome = store.run(moving(tenant, grant, id, folder, seconds)).await.expect("move");
    assert_eq!(outcome, UpdateOutcome::Done);
}

async fn due(store: &Store) -> Vec<Due> {
    spam::due(&mut store.reader().await.expect("reader"), 10).await.expect("due")
}

/// Learns all that waits, each message with the words given.
async fn learn(store: &Store, words: &[u64]) -> usize {
    let due = due(store).await;
    let Some(first) = due.first() else { return 0 };
    let application_id = first.application_id;
    let messages = due.into_iter().map(|due| (due, Some(words.to_vec()))).collect();
    store.run(LearnSpam { application_id, messages, at: at(100) }).await.expect("learn")
}

async fn learned(store: &Store, tenant: &Tenant) -> (u32, u32) {
    let mut reader = store.reader().await.expect("reader");
    spam::model(&mut reader, tenant.application, -1).await.expect("model").map_or((0, 0), |(_, model)| model.messages())
}

/// The totals and unread ones of folders that have any.
async fn counts(store: &Store, grant: GrantId) -> Vec<(String, u64, u64)> {
    let counts = folders::counts(&mut store.reader().await.expect("reader"), grant).await.expect("counts");
    counts.into_iter().filter(|one| one.total > 0).map(|one| (one.folder, one.total, one.unread)).collect()
}

#[tokio::test]
async fn a_message_moves_with_its_listings_counts_and_event() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.deliver(store, grant, at(1)).await;
        let change = UpdateMessage {
            folders: Some(vec!["archive".to_owned(), "inbox".to_owned()]),
            unread: Some(false),
            starred: Some(true),
            ..moving(&tenant, grant, id, "", 2)
        };
        assert_eq!(store.run(change.clone()).await.expect("update"), UpdateOutcome::Done);
        let found = &listed(store, grant, "archive").await[0];
        assert_eq!((found.id, found.unread, found.starred), (id, false, true));
        assert_eq!(counts(store, grant).await, [("archive".to_owned(), 1, 0), ("inbox".to_owned(), 1, 0)]);
        move_to(store, &tenant, grant, id, "archive", 3).await;
        assert!(listed(store, grant, "inbox").await.is_empty());
        assert_eq!((listed(store, grant, "").await.len(), counts(store, grant).await.len()), (1, 1));
        let told = |events: Vec<postfleet_store::events::Event>| {
            events.iter().filter(|event| event.event.trigger == Trigger::MessageUpdated).count()
        };
        assert_eq!(told(all_events(store).await), 2);
        // What is so already is told to nobody.
        move_to(store, &tenant, grant, id, "archive", 4).await;
        assert_eq!(told(all_events(store).await), 2);
        let stranger = tenant.mailbox(store, "b").await;
        let outcome = store.run(UpdateMessage { grant_id: stranger, ..change }).await.expect("update");
        assert_eq!(outcome, UpdateOutcome::Gone);
        assert!(due(store).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_moved_is_learned_once_for_each_state() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.deliver(store, grant, at(1)).await;
        move_to(store, &tenant, grant, id, "junk", 2).await;
        let waiting = due(store).await;
        assert_eq!(waiting.iter().map(|due| (due.message_id, due.wanted)).collect::<Vec<_>>(), [(id, Trained::Spam)]);
        assert_eq!(learn(store, &[1, 2]).await, 1);
        assert_eq!((learned(store, &tenant).await, due(store).await.len()), ((1, 0), 0));
        // The same once more, as another node would that had read it before.
        let again = LearnSpam {
            application_id: tenant.application,
            messages: waiting.iter().map(|due| (*due, Some(vec![1, 2]))).collect(),
            at: at(100),
        };
        assert_eq!(store.run(again).await.expect("learn"), 0);
        assert_eq!(learned(store, &tenant).await, (1, 0));
        // It was a mistake: taken back, and learned as the other.
        move_to(store, &tenant, grant, id, "inbox", 3).await;
        assert_eq!(learn(store, &[1, 2]).await, 1);
        assert_eq!(learned(store, &tenant).await, (0, 1));
        // In and out before anybody looked: it is as it was.
        move_to(store, &tenant, grant, id, "junk", 4).await;
        move_to(store, &tenant, grant, id, "inbox", 5).await;
        assert_eq!((due(store).await.len(), learned(store, &tenant).await), (0, (0, 1)));
        // From junk into the trash says nothing new.
        move_to(store, &tenant, grant, id, "junk", 6).await;
        learn(store, &[1, 2]).await;
        move_to(store, &tenant, grant, id, "trash", 7).await;
        assert_eq!((due(store).await.len(), learned(store, &tenant).await), (0, (1, 0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_learn_at_once_learn_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for second in 0..8 {
            let id = tenant.deliver(store, grant, at(second)).await;
            move_to(store, &tenant, grant, id, "junk", 10 + second).await;
        }
        let learned_at_once = futures::future::join_all((0..4).map(|_| learn(store, &[7]))).await;
        assert_eq!(learned_at_once.iter().sum::<usize>(), 8);
        assert_eq!(learned(store, &tenant).await, (8, 0));
    })
    .await;
}

#[tokio::test]
async fn tenants_learn_nothing_of_each_other() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (one, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let (mine, theirs) = (one.mailbox(store, "a").await, other.mailbox(store, "b").await);
        for (tenant, grant) in [(&one, mine), (&other, theirs)] {
            let id = tenant.deliver(store, grant, at(1)).await;
            move_to(store, tenant, grant, id, "junk", 2).await;
        }
        let batch = due(store).await;
        assert_eq!(batch.len(), 1, "one application at a time");
        // Even words of another application's message do not get into a model.
        let wrong = if batch[0].application_id == one.application { &other } else { &one };
        let messages = batch.iter().map(|due| (*due, Some(vec![1]))).collect();
        let stray = LearnSpam { application_id: wrong.application, messages, at: at(3) };
        assert_eq!(store.run(stray).await.expect("learn"), 0);
        assert_eq!(learn(store, &[1]).await + learn(store, &[2]).await, 2);
        for tenant in [&one, &other] {
            assert_eq!(learned(store, tenant).await, (1, 0));
        }
        let mut reader = store.reader().await.expect("reader");
        let (version, model) = spam::model(&mut reader, one.application, -1).await.expect("read").expect("model");
        assert!(!model.is_ready() && MESSAGES_MIN > 1);
        assert!(spam::model(&mut reader, one.application, version).await.expect("read").is_none());
    })
    .await;
}

#[tokio::test]
async fn moves_are_forgotten_in_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.deliver(store, grant, at(1)).await;
        move_to(store, &tenant, grant, id, "junk", 2).await;
        let prune = PruneSpamMoves { before: at(10), limit: 10 };
        assert_eq!(store.run(prune).await.expect("prune"), 0, "it waits to be learned");
        learn(store, &[1]).await;
        assert_eq!(store.run(PruneSpamMoves { before: at(2), limit: 10 }).await.expect("prune"), 0);
        assert_eq!(store.run(prune).await.expect("prune"), 1);
        assert_eq!(number(store, "SELECT count(*) FROM spam_training", &[]).await, 0);
    })
    .await;
}
