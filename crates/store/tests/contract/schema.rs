//! The schema is the same on both engines, and a migration that was edited after its release is refused.

use crate::support::{Engine, Statement, on_each_engine};
use postfleet_core::plan::Plans;
use postfleet_store::{Store, StoreError};
use std::collections::BTreeSet;

/// Columns as `table.column kind nullable`.
const SQLITE_COLUMNS: &str = "SELECT t.name || '.' || c.name || ' ' || c.type || CASE c.\"notnull\" WHEN 1 THEN '' \
    ELSE ' nullable' END FROM sqlite_master t JOIN pragma_table_info(t.name) c \
    WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'";
const POSTGRES_COLUMNS: &str = "SELECT table_name || '.' || column_name || ' ' || data_type || \
    CASE is_nullable WHEN 'NO' THEN '' ELSE ' nullable' END FROM information_schema.columns \
    WHERE table_schema = 'public'";

/// Columns of primary keys and of indexes, in order; keys have names of the engine's own making, so those are left
/// out.
const SQLITE_INDEXES: &str = "SELECT t.name || ' ' || i.\"unique\" || i.partial || ' ' || \
    (SELECT group_concat(name, ',') FROM (SELECT c.name FROM pragma_index_info(i.name) c ORDER BY c.seqno)) \
    FROM sqlite_master t JOIN pragma_index_list(t.name) i WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'";
const POSTGRES_INDEXES: &str = "SELECT t.relname || ' ' || i.indisunique::int || (i.indpred IS NOT NULL)::int || ' ' \
    || (SELECT string_agg(a.attname, ',' ORDER BY k.place) FROM unnest(i.indkey::int2[]) \
    WITH ORDINALITY AS k (column_number, place) \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.column_number) \
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid WHERE t.relnamespace = 'public'::regnamespace";

async fn lines(store: &Store, sql: &'static str) -> BTreeSet<String> {
    let mut reader = store.reader().await.expect("reader");
    reader.query(sql, &[]).await.expect("query").iter().map(|row| row.text(0).expect("text")).collect()
}

/// What PostgreSQL calls a kind, by the table in `db/dialect.rs`. SQLite keeps ids and bytes alike.
fn in_sqlite(line: &str) -> String {
    [(" bigint", " INTEGER"), (" uuid", " BLOB"), (" bytea", " BLOB"), (" text", " TEXT")]
        .iter()
        .fold(line.to_owned(), |line, (postgres, sqlite)| line.replace(postgres, sqlite))
}

#[tokio::test]
async fn both_engines_have_the_same_tables_columns_and_indexes() {
    let Some(postgres) = Engine::postgres().await else { return };
    let sqlite = Engine::sqlite().await;
    let columns = lines(&sqlite.store, SQLITE_COLUMNS).await;
    assert!(columns.len() > 100 && columns.contains("queue.due_at INTEGER nullable"), "{columns:?}");
    let theirs = lines(&postgres.store, POSTGRES_COLUMNS).await;
    assert_eq!(columns, theirs.iter().map(|line| in_sqlite(line)).collect());

    let indexes = lines(&sqlite.store, SQLITE_INDEXES).await;
    assert!(indexes.contains("queue 01 priority,due_at,id"), "{indexes:?}");
    let mut theirs = lines(&postgres.store, POSTGRES_INDEXES).await;
    // The key of this table is SQLite's row number, for which it keeps no index.
    for row_number in [
        "events 10 position",
        "event_head 10 one",
        "stops_head 10 one",
        "send_sums_head 10 one",
        "pruning_head 10 one",
        "dmarc_report_days 10 day",
        "schema_migrations 10 version",
    ] {
        assert!(theirs.remove(row_number), "{row_number}");
    }
    assert_eq!(indexes, theirs);
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    on_each_engine(async |engine| {
        let again = Store::open(engine.location.clone(), engine.bodies(), Plans::presets()).await.expect("open");
        let mut reader = again.reader().await.expect("reader");
        let rows = reader.query("SELECT version FROM schema_migrations ORDER BY version", &[]).await.expect("query");
        assert_eq!(rows.iter().map(|row| row.int(0).expect("version")).collect::<Vec<_>>(), [0, 1]);
    })
    .await;
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    on_each_engine(async |engine| {
        // What was applied then had another text than the one compiled in now.
        const EDIT: &str = "UPDATE schema_migrations SET hash = (SELECT hash FROM schema_migrations WHERE version = 0) \
            WHERE version = 1";
        assert_eq!(engine.store.run(Statement(EDIT)).await.expect("edit"), 1);
        let refused =
            Store::open(engine.location.clone(), engine.bodies(), Plans::presets()).await.err().expect("refused");
        assert!(matches!(&refused, StoreError::Fault(text) if text.contains("migration 1 was edited")), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    let Some(server) = postfleet_testkit::postgres::PostgresServer::shared() else { return };
    let url = server.create_database("migrate");
    let folder = tempfile::tempdir().expect("folder");
    let nodes: Vec<_> = (0..6)
        .map(|node| {
            let location = postfleet_store::Location::Postgres { url: url.clone(), writers: 1 };
            tokio::spawn(Store::open(location, folder.path().join(node.to_string()), Plans::presets()))
        })
        .collect();
    for node in nodes {
        node.await.expect("task").expect("open");
    }
}
