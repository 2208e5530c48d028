//! Connectors: at most one for an application, and mailboxes do not depend on it.

use crate::support::{Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::Patch;
use postfleet_core::id::ConnectorId;
use postfleet_store::connectors::{self, Connector, CreateConnector, RemoveConnector, UpdateConnector};
use postfleet_store::grants;

fn new(tenant: &Tenant) -> CreateConnector {
    let connector = Connector {
        id: ConnectorId::from_uuid(fresh()),
        application_id: tenant.application,
        name: "nylas".into(),
        settings: r#"{"a":1}"#.into(),
        scope: vec!["x".into()],
        created_at: at(0),
        updated_at: at(0),
    };
    CreateConnector { act: tenant.act(at(0)), connector }
}

fn change(tenant: &Tenant) -> UpdateConnector {
    let (name, settings, scope) = (Patch::Keep, Patch::Keep, Patch::Keep);
    UpdateConnector { act: tenant.act(at(5)), application_id: tenant.application, name, settings, scope }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_has_one_however_often_it_is_asked_for() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let made = at_once(store, (0..8).map(|_| new(&tenant)).collect()).await;
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
        assert!(store.run(new(&other)).await.expect("run"));
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(connectors::list(&mut reader, tenant.application, 10, 0).await.expect("list").len(), 1);
        assert_eq!(connectors::list(&mut reader, tenant.application, 10, 1).await.expect("list"), []);
        assert_eq!(number(store, "SELECT count(*) FROM audit WHERE action = 'connector.created'", &[]).await, 2);
    })
    .await;
}

#[tokio::test]
async fn it_is_changed_and_removed_and_its_mailboxes_stay() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        assert_eq!(store.run(change(&tenant)).await.expect("run"), None);
        let made = new(&tenant);
        assert!(store.run(made.clone()).await.expect("run"));
        let grant = tenant.mailbox(store, "a").await;
        let mut reader = store.reader().await.expect("reader");
        let found = grants::find(&mut reader, tenant.application, grant).await.expect("find").expect("grant");
        assert_eq!(found.connector_id, Some(made.connector.id));

        assert_eq!(store.run(change(&tenant)).await.expect("run"), Some(made.connector.clone()), "nothing changed");
        let change = UpdateConnector { name: Patch::Set("other".into()), settings: Patch::Clear, ..change(&tenant) };
        let after = store.run(change).await.expect("run").expect("connector");
        let expected =
            Connector { name: "other".into(), settings: "{}".into(), updated_at: at(5), ..made.connector.clone() };
        assert_eq!(after, expected);
        assert_eq!(connectors::find(&mut reader, tenant.application).await.expect("find"), Some(expected));

        let remove = || RemoveConnector { act: tenant.act(at(6)), application_id: tenant.application };
        assert!(store.run(remove()).await.expect("run"));
        assert!(!store.run(remove()).await.expect("run"));
        let found = grants::find(&mut reader, tenant.application, grant).await.expect("find").expect("grant");
        assert_eq!(found.connector_id, None);
        // The change that changed nothing has no record, and no record shows the settings.
        assert_eq!(number(store, "SELECT count(*) FROM audit WHERE target_kind = 'connector'", &[]).await, 3);
        const SHOWN: &str = "SELECT count(*) FROM audit WHERE before LIKE '%\"a\"%' OR after LIKE '%\"a\"%'";
        assert_eq!(number(store, SHOWN, &[]).await, 0);
    })
    .await;
}
