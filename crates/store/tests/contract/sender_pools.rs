//! Pools of senders: a key is used once, whichever mailboxes the same request is given to at once.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::id::{GrantId, SenderPoolId};
use postfleet_core::idempotency;
use postfleet_store::Store;
use postfleet_store::idempotency::{KeyedRequest, Once};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::sender_pools::{self, PoolOutcome, PrunePoolRecipients, PutSenderPool, REMEMBERED};

async fn pool(store: &Store, tenant: &Tenant, grants: Vec<GrantId>) -> SenderPoolId {
    let id = SenderPoolId::from_uuid(fresh());
    let (act, application_id, name) = (tenant.act(NOON), tenant.application, Some("Pool".to_owned()));
    let command = PutSenderPool { act, application_id, id, is_new: true, name, grants: Some(grants) };
    assert!(matches!(store.run(command).await.expect("pool"), PoolOutcome::Done(_)));
    id
}

/// A send through a pool, under a key of it.
async fn keyed(store: &Store, tenant: &Tenant, pool: SenderPoolId, grant: GrantId, key: u8) -> Submit {
    let command = tenant.submission(store, grant, 1, NOON).await;
    let request = KeyedRequest {
        scope: pool.uuid(),
        key: [key; 32],
        request: [7; 32],
        request_id: "r".to_owned(),
        kept: idempotency::KEPT,
    };
    Submit { once: Once { key: Some(request), content: None, pool: Some(pool) }, ..command }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_leaves_from_one_mailbox_alone_however_many_get_it_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut grants = Vec::new();
        for name in ["a", "b", "c", "d"] {
            grants.push(tenant.mailbox(store, name).await);
        }
        let pool = pool(store, &tenant, grants.clone()).await;
        let mut commands = Vec::new();
        for turn in 0..48 {
            commands.push(keyed(store, &tenant, pool, grants[turn % 4], (turn / 4) as u8).await);
        }
        let outcomes = at_once(store, commands).await;
        let sent = outcomes.iter().filter(|outcome| matches!(outcome, SubmitOutcome::Accepted { .. })).count();
        assert_eq!(sent, 12, "once for each key");
        let is_concurrent = |outcome: &&SubmitOutcome| {
            matches!(outcome, SubmitOutcome::Refused(problem) if problem.code == "concurrent_idempotent_request")
        };
        assert_eq!(outcomes.iter().filter(is_concurrent).count(), 36);
        assert_eq!(number(store, "SELECT count(*) FROM outbound", &[]).await, 12);
        // The mailbox that wrote to somebody is remembered, and forgotten long after.
        let command = keyed(store, &tenant, pool, grants[2], 100).await;
        let recipient = command.recipients[0].1.clone();
        store.run(command).await.expect("submit");
        let wrote = async || {
            let mut reader = store.reader().await.expect("reader");
            sender_pools::wrote_to(&mut reader, pool, &recipient).await.expect("read")
        };
        assert_eq!(wrote().await, Some(grants[2]));
        for (time, left) in [(NOON.plus(REMEMBERED).minus(std::time::Duration::from_secs(1)), 1), (at(1).plus(REMEMBERED), 0)] {
            store.run(PrunePoolRecipients { at: time, limit: 10 }).await.expect("prune");
            assert_eq!(number(store, "SELECT count(*) FROM sender_pool_recipients", &[]).await, left);
        }
    })
    .await;
}

#[tokio::test]
async fn a_pool_is_of_one_application_and_loses_mailboxes_that_are_removed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (ours, theirs) = (tenant(store, "self_hosted", Some(9)).await, tenant(store, "self_hosted", None).await);
        let (a, b) = (ours.mailbox(store, "a").await, ours.mailbox(store, "b").await);
        let foreign = theirs.mailbox(store, "a").await;
        let id = pool(store, &ours, vec![b, a, b]).await;
        let put = |tenant: &Tenant, is_new, grants| PutSenderPool {
            act: tenant.act(at(1)),
            application_id: tenant.application,
            id,
            is_new,
            name: Some("Changed".to_owned()),
            grants: Some(grants),
        };
        let outcome = store.run(put(&ours, false, vec![a, foreign])).await.expect("put");
        assert_eq!(outcome, PoolOutcome::NoSuchGrant(foreign));
        assert_eq!(store.run(put(&theirs, false, vec![foreign])).await.expect("put"), PoolOutcome::NotFound);
        let mut reader = store.reader().await.expect("reader");
        let found = sender_pools::find(&mut reader, ours.application, id).await.expect("read").expect("pool");
        assert_eq!((found.name.as_str(), found.grants), ("Pool", vec![a, b]), "each once, in the order of their ids");
        assert_eq!(sender_pools::find(&mut reader, theirs.application, id).await.expect("read"), None);
        drop(reader);
        ours.submit(store, a, 1, NOON).await;
        let members = sender_pools::members(&mut store.reader().await.expect("reader"), id, at(2)).await.expect("read");
        let shown: Vec<_> =
            members.iter().map(|one| (one.grant, one.is_verified, one.daily.remaining(), one.sent_lately)).collect();
        assert_eq!(shown, [(a, true, Some(8), 1), (b, true, Some(9), 0)]);
        assert!(store.run(ours.removal(a, at(3))).await.expect("removal"));
        let found = sender_pools::find(&mut store.reader().await.expect("reader"), ours.application, id).await;
        assert_eq!(found.expect("read").expect("pool").grants, [b]);
    })
    .await;
}
