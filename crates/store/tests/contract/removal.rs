//! Removed mailboxes: gone at once for everybody, their content a little at a time, their address free again.

use crate::support::{
    NOON, Tenant, all_events, at, claim, fresh, listed, number, on_each_engine, queue_rows, record, report, tenant,
};
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_store::grants::{self, PruneRemoved, RemoveGrant};
use postfleet_store::outbound::SubmitOutcome;
use postfleet_store::{Store, messages, params, queue};

fn removal(tenant: &Tenant, grant: GrantId) -> RemoveGrant {
    tenant.removal(grant, at(100))
}

async fn prune_all(store: &Store, limit: usize) {
    while store.run(PruneRemoved { limit }).await.expect("prune") {}
}

/// Rows that a mailbox has left anywhere but in the queue and in the log.
async fn rows_of(store: &Store, grant: GrantId) -> i64 {
    const ROWS: &str = "SELECT (SELECT count(*) FROM grants WHERE id = $1) \
        + (SELECT count(*) FROM mailboxes WHERE grant_id = $1) + (SELECT count(*) FROM messages WHERE grant_id = $1) \
        + (SELECT count(*) FROM listings WHERE grant_id = $1) + (SELECT count(*) FROM threads WHERE grant_id = $1) \
        + (SELECT count(*) FROM thread_keys WHERE grant_id = $1) \
        + (SELECT count(*) FROM correspondents WHERE grant_id = $1) \
        + (SELECT count(*) FROM folder_counts WHERE grant_id = $1) \
        + (SELECT count(*) FROM folders WHERE grant_id = $1) \
        + (SELECT count(*) FROM metadata_pairs WHERE grant_id = $1) \
        + (SELECT count(*) FROM removed_folders WHERE grant_id = $1) \
        + (SELECT count(*) FROM daily_sends WHERE grant_id = $1) \
        + (SELECT count(*) FROM rule_evaluations WHERE grant_id = $1) \
        + (SELECT count(*) FROM idempotency_keys WHERE scope_id = $1) \
        + (SELECT count(*) FROM recent_sends WHERE grant_id = $1) \
        + (SELECT count(*) FROM removed_grants WHERE grant_id = $1)";
    number(store, ROWS, params![grant.uuid()]).await
}

#[tokio::test]
async fn a_removed_mailbox_takes_and_sends_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (gone, kept) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let stranger = RemoveGrant { application_id: ApplicationId::from_uuid(fresh()), ..removal(&tenant, gone) };
        assert!(!store.run(stranger).await.expect("remove"), "not theirs");
        assert!(store.run(removal(&tenant, gone)).await.expect("remove"));
        assert!(!store.run(removal(&tenant, gone)).await.expect("remove"), "gone already");
        let last = all_events(store).await.pop().expect("event").event;
        assert_eq!((last.trigger, last.grant_id, last.grant_sequence), (Trigger::GrantDeleted, gone, 2));

        let nobody = tenant.received(store, &[gone], at(101)).await;
        assert!(store.run(nobody).await.expect("deliver").expect("room").is_empty());
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 0, "nobody refers to the body");
        let both = tenant.received(store, &[gone, kept], at(101)).await;
        assert_eq!(store.run(both.clone()).await.expect("deliver").expect("room"), [both.copies[1].copy.message_id]);
        assert_eq!(number(store, "SELECT copies FROM blobs", &[]).await, 1);
        let send = tenant.submission(store, gone, 1, at(101)).await;
        assert_eq!(store.run(send).await.expect("submit"), SubmitOutcome::NoSuchGrant);

        let mut reader = store.reader().await.expect("reader");
        assert_eq!(grants::find(&mut reader, tenant.application, gone).await.expect("find"), None);
        assert_eq!(grants::receiving(&mut reader, &tenant.address("a")).await.expect("find"), None);
    })
    .await;
}

#[tokio::test]
async fn an_address_made_again_starts_empty() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", Some(1)).await;
        let old = tenant.mailbox(store, "a").await;
        let mut first = tenant.received(store, &[old], at(1)).await;
        first.facts.thread.message_id = Some("one@x".into());
        let (message, thread) = (first.copies[0].copy.message_id, first.copies[0].copy.new_thread_id);
        store.run(first).await.expect("deliver").expect("room");
        tenant.submit(store, old, 1, NOON).await;
        store.run(removal(&tenant, old)).await.expect("remove");

        let new = tenant.mailbox(store, "a").await;
        assert_ne!(old, new);
        assert!(listed(store, new, "").await.is_empty());
        let mut reader = store.reader().await.expect("reader");
        assert!(messages::find(&mut reader, new, message).await.expect("find").is_none());
        tenant.submit(store, new, 1, NOON).await;
        let mut answer = tenant.received(store, &[new], at(200)).await;
        answer.facts.thread.in_reply_to = vec!["one@x".into()];
        let copy = answer.copies[0].copy;
        store.run(answer).await.expect("deliver").expect("room");
        let filed = messages::find(&mut reader, new, copy.message_id).await.expect("find").expect("message");
        assert_ne!(filed.thread_id, thread);

        prune_all(store, 1).await;
        assert_eq!((rows_of(store, old).await, listed(store, new, "").await.len()), (0, 2));
    })
    .await;
}

#[tokio::test]
async fn pruning_removes_every_row_and_lets_go_of_bodies() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (gone, kept) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        for number in 0..9 {
            let grants = if number % 3 == 0 { vec![gone, kept] } else { vec![gone] };
            let mut command = tenant.received(store, &grants, at(number)).await;
            command.facts.thread.correspondents = vec!["bob@elsewhere.example".into()];
            store.run(command).await.expect("deliver").expect("room");
        }
        let sent = tenant.submit(store, gone, 1, NOON).await;
        for seconds in 0..5 {
            crate::evaluations::record(store, &tenant, gone, None, seconds).await;
        }
        crate::evaluations::record(store, &tenant, kept, None, 5).await;
        store.run(removal(&tenant, gone)).await.expect("remove");
        prune_all(store, 2).await;
        assert_eq!(rows_of(store, gone).await, 0);
        assert_eq!(number(store, "SELECT count(*) FROM rule_evaluations", &[]).await, 1, "the other mailbox's");
        // Three bodies are the other mailbox's, one is still to be sent.
        assert_eq!(number(store, "SELECT count(*) FROM blobs WHERE copies = 1", &[]).await, 4);
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 4);
        assert_eq!(listed(store, kept, "").await.len(), 3);

        // What was accepted is delivered all the same; its mailbox is told nothing.
        let events = all_events(store).await.len();
        let taken = claim("worker", NOON, 10);
        let rows = store.run(taken.clone()).await.expect("claim").rows;
        let mut reader = store.reader().await.expect("reader");
        assert!(queue::outbound_message(&mut reader, sent).await.expect("find").is_some());
        let done = record(taken.lease.id, vec![report(&rows[0], AfterAttempt::Delivered, true)], sent, at(101));
        assert!(store.run(done).await.expect("record").lost.is_empty());
        assert_eq!((queue_rows(store).await, all_events(store).await.len()), (0, events));
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 3);
    })
    .await;
}

/// Two nodes that prune the same mailbox must not each take a reference away: the body is somebody else's, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pruning_at_once_takes_each_reference_away_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let kept = tenant.mailbox(store, "kept").await;
        for round in 0..4 {
            let gone = tenant.mailbox(store, &format!("gone{round}")).await;
            for number in 0..20 {
                let command = tenant.received(store, &[gone, kept], at(number)).await;
                store.run(command).await.expect("deliver").expect("room");
            }
            store.run(removal(&tenant, gone)).await.expect("remove");
            crate::support::at_once(store, vec![PruneRemoved { limit: 20 }; 8]).await;
            prune_all(store, 20).await;
            assert_eq!(rows_of(store, gone).await, 0);
        }
        assert_eq!(number(store, "SELECT count(*) FROM blobs WHERE copies = 1", &[]).await, 80);
    })
    .await;
}
