//! Deleting a message: its rows, its body and its storage go with one commit, and nothing else does.

use crate::support::{Tenant, all_events, at, at_once, claim, fresh, number, on_each_engine, queue_rows, tenant};
use postfleet_core::event::Trigger;
use postfleet_core::folder::FOLDERS_MAX;
use postfleet_core::id::{EventId, FolderId, GrantId, MessageId};
use postfleet_store::folders::{CreateFolder, DeleteFolder, Emptied, EmptyFolder, FolderOutcome};
use postfleet_store::outbound::{Answers, Submit};
use postfleet_store::purge::{DeleteMessage, DeleteOutcome};
use postfleet_store::refile::UpdateMessage;
use postfleet_store::{Store, messages, params};

fn deletion(tenant: &Tenant, grant_id: GrantId, id: MessageId, hard: bool) -> DeleteMessage {
    let application_id = tenant.application;
    DeleteMessage { application_id, grant_id, id, hard, event_seed: [9; 32], at: at(50) }
}

/// Rows of all tables that a message has some in.
async fn rows(store: &Store) -> i64 {
    const ROWS: &str = "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM listings) \
        + (SELECT count(*) FROM threads) + (SELECT count(*) FROM thread_keys) + (SELECT count(*) FROM blobs) \
        + (SELECT count(*) FROM metadata_pairs) \
        + (SELECT coalesce(CAST(sum(total + unread) AS {int}), 0) FROM folder_counts)";
    number(store, ROWS, &[]).await
}

/// Files a message whose summary says its Message-ID, by which its key is forgotten.
async fn named(store: &Store, tenant: &Tenant, grant: GrantId, second: u64) -> MessageId {
    let mut command = tenant.received(store, &[grant], at(second)).await;
    let id = command.facts.thread.message_id.clone();
    command.facts.summary =
        serde_json::json!({"subject": "Hello", "message_id": id, "metadata": {"a": "1"}}).to_string();
    store.run(command).await.expect("deliver").expect("room")[0]
}

async fn stored(store: &Store, grant: GrantId) -> i64 {
    number(store, "SELECT storage_octets FROM mailboxes WHERE grant_id = $1", params![grant.uuid()]).await
}

async fn told(store: &Store, trigger: Trigger) -> usize {
    all_events(store).await.iter().filter(|event| event.event.trigger == trigger).count()
}

#[tokio::test]
async fn nothing_is_left_of_a_message_that_is_purged() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let before = rows(store).await;
        let id = named(store, &tenant, grant, 1).await;
        assert!(stored(store, grant).await > 0);
        let run = async |grant, hard| store.run(deletion(&tenant, grant, id, hard)).await.expect("delete");
        assert_eq!(run(other, true).await, DeleteOutcome::Gone, "of another mailbox");
        assert_eq!(run(grant, false).await, DeleteOutcome::Trashed);
        assert_eq!((told(store, Trigger::MessageUpdated).await, told(store, Trigger::MessageDeleted).await), (1, 0));
        assert_eq!(run(grant, false).await, DeleteOutcome::Purged);
        assert_eq!((told(store, Trigger::MessageUpdated).await, told(store, Trigger::MessageDeleted).await), (1, 1));
        assert_eq!((rows(store).await, stored(store, grant).await), (before, 0));
        assert_eq!(run(grant, true).await, DeleteOutcome::Gone);
        let id = named(store, &tenant, grant, 2).await;
        let command = deletion(&tenant, grant, id, true);
        assert_eq!(store.run(command).await.expect("delete"), DeleteOutcome::Purged);
        assert_eq!((rows(store).await, stored(store, grant).await), (before, 0));
    })
    .await;
}

#[tokio::test]
async fn what_still_goes_out_keeps_its_body_until_it_has_left() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = tenant.submit(store, grant, 2, at(1)).await;
        const COPIES: &str = "SELECT coalesce(CAST(sum(copies) AS {int}), 0) FROM blobs";
        assert_eq!(number(store, COPIES, &[]).await, 2, "the sent copy, and the queue");
        assert_eq!(store.run(deletion(&tenant, grant, id, true)).await.expect("delete"), DeleteOutcome::Purged);
        assert_eq!((number(store, COPIES, &[]).await, queue_rows(store).await), (1, 2));
        assert_eq!(stored(store, grant).await, 0);
        let claimed = store.run(claim("node", at(60), 10)).await.expect("claim").rows;
        assert_eq!(claimed.len(), 2, "it is attempted as if nothing had happened");
    })
    .await;
}

#[tokio::test]
async fn an_answer_marks_what_it_answers_once_and_only_in_its_own_mailbox() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let id = tenant.deliver(store, grant, at(1)).await;
        let is_answered = async || {
            let mut reader = store.reader().await.expect("reader");
            messages::find(&mut reader, grant, id).await.expect("find").expect("a message").answered
        };
        for (sender, expected, events) in [(other, false, 0), (grant, true, 1), (grant, true, 1)] {
            let answers = Some(Answers { id, event_id: EventId::from_uuid(fresh()) });
            let answer = Submit { answers, ..tenant.submission(store, sender, 1, at(2)).await };
            store.run(answer).await.expect("submit");
            assert_eq!((is_answered().await, told(store, Trigger::MessageUpdated).await), (expected, events));
        }
    })
    .await;
}

fn make(tenant: &Tenant, grant_id: GrantId, name: &str) -> CreateFolder {
    CreateFolder {
        application_id: tenant.application,
        grant_id,
        id: FolderId::from_uuid(fresh()),
        name: name.to_owned(),
        event_id: EventId::from_uuid(fresh()),
        at: at(1),
    }
}

#[tokio::test]
async fn a_large_folder_is_gone_at_once_and_emptied_a_little_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let command = make(&tenant, grant, "Clients");
        let folder = command.id;
        assert!(matches!(store.run(command).await.expect("make"), FolderOutcome::Done(_)));
        for second in 0..25 {
            let id = tenant.deliver(store, grant, at(second)).await;
            let nothing =
                UpdateMessage::nothing((tenant.application, grant, id), EventId::from_uuid(fresh()), at(second));
            let folders = Some(vec!["clients".to_owned()]);
            store.run(UpdateMessage { folders, ..nothing }).await.expect("move");
        }
        let remove = DeleteFolder {
            application_id: tenant.application,
            grant_id: grant,
            folder: folder.to_string(),
            hard: false,
            event_id: EventId::from_uuid(fresh()),
            at: at(30),
        };
        assert_eq!(store.run(remove).await.expect("remove"), Some(folder));
        const COUNT: &str =
            "SELECT coalesce(CAST(sum(total) AS {int}), 0) FROM folder_counts WHERE grant_id = $1 AND folder = $2";
        let total = async |name: &str| number(store, COUNT, params![grant.uuid(), name]).await;
        let mut steps = Vec::new();
        let empty = EmptyFolder { folder: None, limit: 10, event_seed: [1; 32], at: at(31) };
        while store.run(empty.clone()).await.expect("empty") == Emptied::More {
            steps.push((total(&folder.to_string()).await, total("trash").await));
        }
        assert_eq!(steps, [(15, 10), (5, 20), (0, 25)]);
        assert_eq!(told(store, Trigger::FolderDeleted).await, 1);
        assert_eq!(number(store, "SELECT count(*) FROM removed_folders", &[]).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_folders_hold_when_many_are_made_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        for number in 0..FOLDERS_MAX - 3 {
            store.run(make(&tenant, grant, &format!("f{number}"))).await.expect("make");
        }
        let commands = (0..8).map(|number| make(&tenant, grant, &format!("late {number}"))).collect();
        let outcomes = at_once(store, commands).await;
        let made = outcomes.iter().filter(|outcome| matches!(outcome, FolderOutcome::Done(_))).count();
        assert_eq!((made, outcomes.contains(&FolderOutcome::TooMany)), (3, true));
        let same = (0..8).map(|_| make(&tenant, grant, "F1")).collect();
        let outcomes = at_once(store, same).await;
        assert!(outcomes.iter().all(|outcome| *outcome == FolderOutcome::Taken), "{outcomes:?}");
    })
    .await;
}
