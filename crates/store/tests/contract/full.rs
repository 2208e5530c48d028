//! A full disk: what does not fit is refused whole, reading goes on, and writing goes on once there is room. And what else
//! keeps PostgreSQL from going on.

use crate::support::{Engine, at, listed, number, tenant};
use postfleet_store::db::DbError;
use postfleet_store::{Command, Store, StoreError, Tx, folders};

/// Limits the database to `extra` pages more than it has; `None` lifts the limit.
struct LimitPages(Option<i64>);

impl Command for LimitPages {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        let pages = match self.0 {
            Some(extra) => tx.query_one("PRAGMA page_count", &[]).await?.map_or(Ok(0), |row| row.int(0))? + extra,
            None => 1 << 30,
        };
        // The limit is no parameter, and statements are static: a few octets are lost in a test.
        let text: &'static str = format!("PRAGMA max_page_count = {pages}").leak();
        tx.query(text, &[]).await.map(drop)
    }
}

/// Delivers until there is no more room; answers how many messages were taken.
async fn fill(store: &Store, tenant: &crate::support::Tenant, grant: postfleet_core::id::GrantId) -> usize {
    for taken in 0..100_000 {
        let command = tenant.received(store, &[grant], at(taken)).await;
        match store.run(command).await {
            Ok(_) => {}
            Err(StoreError::Full) => return taken as usize,
            Err(other) => panic!("not told that it is full: {other}"),
        }
    }
    panic!("never full");
}

#[tokio::test]
async fn a_full_disk_refuses_whole_commands_and_recovers() {
    let engine = Engine::sqlite().await;
    let store = &engine.store;
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    store.run(LimitPages(Some(40))).await.expect("limit");
    let taken = fill(store, &tenant, grant).await;
    assert!(taken > 10, "{taken}");
    assert_eq!(fill(store, &tenant, grant).await, 0, "and it stays full");

    // Everything that counts agrees: nothing is half written.
    assert_eq!(listed(store, grant, "").await.len(), taken);
    assert_eq!(listed(store, grant, "inbox").await.len(), taken);
    let mut reader = store.reader().await.expect("reader");
    assert_eq!(folders::counts(&mut reader, grant).await.expect("counts")[0].total, taken as u64);
    for table in ["messages", "blobs", "threads", "thread_keys"] {
        let count: &'static str = format!("SELECT count(*) FROM {table}").leak();
        assert_eq!(number(store, count, &[]).await, taken as i64, "{table}");
    }
    assert_eq!(number(store, "SELECT max(position) FROM events", &[]).await, taken as i64 + 1);
    assert_eq!(number(store, "SELECT position FROM event_head", &[]).await, taken as i64 + 1);

    store.run(LimitPages(None)).await.expect("limit");
    tenant.deliver(store, grant, at(0)).await;
    assert_eq!(listed(store, grant, "").await.len(), taken + 1);
}

/// Runs a statement that PostgreSQL answers with an error.
struct Raise(&'static str);

impl Command for Raise {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute(self.0, &[]).await.map(drop)
    }
}

#[tokio::test]
async fn a_postgres_that_cannot_go_on_is_told_as_such_and_is_used_again() {
    let Some(engine) = Engine::postgres().await else { return };
    let store = &engine.store;
    let made_up = |code: &str| -> &'static str {
        format!("DO 'BEGIN RAISE EXCEPTION ''made up'' USING ERRCODE = ''{code}''; END'").leak()
    };
    type IsTold = fn(&StoreError) -> bool;
    let cases: [(&str, &str, IsTold); 5] = [
        ("its disk is full", made_up("53100"), |error| matches!(error, StoreError::Full)),
        ("it has no more memory", made_up("53200"), |error| matches!(error, StoreError::Unreachable(_))),
        ("it has become a standby", made_up("25006"), |error| matches!(error, StoreError::Unreachable(_))),
        ("its disk fails", made_up("58030"), |error| matches!(error, StoreError::Stopped(_))),
        ("the session is ended", "SELECT pg_terminate_backend(pg_backend_pid())", |error| {
            matches!(error, StoreError::Unreachable(_))
        }),
    ];
    for (name, statement, is_told) in cases {
        let refused = store.run(Raise(statement)).await.expect_err(name);
        assert!(is_told(&refused), "{name}: {refused}");
        store.probe().await.unwrap_or_else(|error| panic!("after {name}: {error}"));
    }
}
