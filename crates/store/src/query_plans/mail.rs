//! The lists of a mailbox, on both engines: each is read from the index that gives its order, and nothing is sorted.
//!
//! PostgreSQL decides by what it knows of a table: it is asked when there are twenty thousand messages and it has counted
//! them, for plans that do not depend on the values, as those are that it keeps.

use super::{migrated, plan, wasteful};
use crate::db::{Db, dialect, postgres::Postgres};
use crate::{listings, messages, metadata, migrate, schedules, search, threads};
use postfleet_testkit::postgres::PostgresServer;

/// Lists of a mailbox: name, statement, and the index of PostgreSQL that it is read from.
const LISTS: &[(&str, &str, &str)] = &[
    ("messages::LIST", messages::LIST, "listings_pkey"),
    ("messages::LIST_WITHOUT_BODY", messages::LIST_WITHOUT_BODY, "listings_pkey"),
    ("messages::LISTED_FEW", messages::LISTED_FEW, "listings_pkey"),
    ("messages::LISTED", messages::LISTED, "listings_pkey"),
    ("messages::LISTED_WITH_ASSESSMENT", messages::LISTED_WITH_ASSESSMENT, "listings_pkey"),
    ("messages::EXPORT", messages::EXPORT, "listings_pkey"),
    ("messages::NAMED", messages::NAMED, "messages_pkey"),
    ("messages::NAMED_WITH_BODIES", messages::NAMED_WITH_BODIES, "messages_pkey"),
    ("messages::ANYWHERE", messages::ANYWHERE, "messages_pkey"),
    ("messages::ANYWHERE_WITH_BODIES", messages::ANYWHERE_WITH_BODIES, "messages_pkey"),
    ("messages::LIST_THREAD", messages::LIST_THREAD, "messages_by_thread"),
    ("listings::PLACES", listings::PLACES, "listings_pkey"),
    ("listings::STARRED", listings::STARRED, "listings_starred"),
    ("listings::UNREAD", listings::UNREAD, "listings_unread"),
    ("listings::FILES", listings::FILES, "listings_files"),
    ("listings::AMONG_PLACES", listings::AMONG_PLACES, "listings_pkey"),
    ("metadata::PLACES", metadata::PLACES, "metadata_pairs_pkey"),
    ("metadata::COUNT", metadata::COUNT, "metadata_pairs_pkey"),
    ("metadata::AMONG_PLACES", metadata::AMONG_PLACES, "metadata_pairs_pkey"),
    ("search::LATE_PLACES", search::LATE_PLACES, "search_late_pkey"),
    ("search::LATE_TO_GATHER", search::LATE_TO_GATHER, "search_late_pkey"),
    ("search::SHARDS", search::SHARDS, "search_postings_pkey"),
    ("search::SOME_CHUNKS", search::SOME_CHUNKS, "search_messages_pkey"),
    ("search::CHUNKS", search::CHUNKS, "search_messages_pkey"),
    ("search::LOOSE_AFTER", search::LOOSE_AFTER, "listings_pkey"),
    ("search::LATE_AFTER", search::LATE_AFTER, "search_late_pkey"),
    ("threads::LIST", threads::LIST, "threads_by_grant"),
    ("threads::NAMED", threads::NAMED, "threads_pkey"),
    ("threads::IDS", threads::IDS, "messages_by_thread"),
    ("threads::IDS_OF_SOME", threads::IDS_OF_SOME, "messages_by_thread"),
    ("threads::MEMBERS", threads::MEMBERS, "messages_by_thread"),
    ("schedules::LIST", schedules::LIST, "schedules_by_grant"),
];

/// Forty mailboxes of five hundred messages, one in twenty unread with a star and a file, in threads of two, each with one of ten pairs.
const FILL: &str = "
    INSERT INTO blobs (id, hash, octets, data, copies) SELECT md5('b' || n)::uuid, '', 1, '', 1 FROM generate_series(1, 20000) n;
    INSERT INTO threads (id, grant_id, subject, earliest_date, received_date, sent_date, sort_date)
        SELECT md5('t' || n)::uuid, md5('g' || n % 40)::uuid, '', n, n, NULL, n FROM generate_series(1, 10000) n;
    INSERT INTO messages (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, octets, folders, summary)
        SELECT md5('m' || n)::uuid, md5('g' || n % 40)::uuid, md5('t' || n % 10000)::uuid, md5('b' || n)::uuid, 0, n, 0, 0, 1, '[]', '{}'
        FROM generate_series(1, 20000) n;
    INSERT INTO listings (grant_id, folder, date, message_id, flags)
        SELECT md5('g' || n % 40)::uuid, f, n, md5('m' || n)::uuid, CASE WHEN n % 20 = 0 THEN 15 ELSE 0 END
        FROM generate_series(1, 20000) n, unnest(ARRAY['', 'inbox']) f;
    INSERT INTO metadata_pairs (grant_id, pair, date, message_id)
        SELECT md5('g' || n % 40)::uuid, n % 10, n, md5('m' || n)::uuid FROM generate_series(1, 20000) n;
    INSERT INTO search_late (grant_id, date, message_id)
        SELECT md5('g' || n % 40)::uuid, n, md5('m' || n)::uuid FROM generate_series(1, 20000) n;
    INSERT INTO search_postings (grant_id, segment, shard, data)
        SELECT md5('g' || n % 40)::uuid, n / 10, n % 10, '' FROM generate_series(1, 20000) n;
    INSERT INTO search_messages (grant_id, segment, chunk, data)
        SELECT md5('g' || n % 40)::uuid, n / 10, n % 10, '' FROM generate_series(1, 20000) n;
    INSERT INTO schedules (id, grant_id, application_id, message_id, use_draft, send_at, due_at, status, created_at, burst)
        SELECT md5('s' || n)::uuid, md5('g' || n % 40)::uuid, md5('a')::uuid, md5('m' || n)::uuid, 0, n, n, 'pending', n, 0
        FROM generate_series(1, 20000) n;
    ANALYZE;
    SET plan_cache_mode = force_generic_plan;";

/// The steps of a statement's plan on PostgreSQL, whatever the values.
async fn generic_plan(db: &mut Db, name: &str, sql: &str) -> Vec<String> {
    let asked = name.replace("::", "_");
    db.script(&format!("PREPARE {asked} AS {}", dialect::postgres(sql))).await.expect("prepare");
    let values = (1..).take_while(|number| sql.contains(&format!("${number}"))).map(|_| "NULL");
    // Statements are static; a few octets are lost in a test.
    let explained: &'static str = format!("EXPLAIN EXECUTE {asked}({})", values.collect::<Vec<_>>().join(", ")).leak();
    let rows = db.query(explained, &[]).await.expect("explain");
    db.script(&format!("DEALLOCATE {asked}")).await.expect("deallocate");
    rows.iter().map(|row| row.text(0).expect("step")).collect()
}

/// What is wrong with a plan, if something is.
fn fault(steps: &[String], index: &str) -> Option<String> {
    let is_wrong = |step: &&String| step.contains("Seq Scan") || step.contains("Sort");
    let wrong = steps.iter().find(is_wrong).map(|step| step.trim().to_owned());
    let uses = steps.iter().any(|step| step.contains(index));
    wrong.or_else(|| (!uses).then(|| format!("{index} is not used")))
}

async fn filled() -> Option<Db> {
    let url = PostgresServer::shared()?.create_database("plans");
    let mut db = Db::Postgres(Postgres::connect(&url).await.expect("connect"));
    migrate::run(&mut db).await.expect("migrate");
    db.script(FILL).await.expect("fill");
    Some(db)
}

#[tokio::test]
async fn lists_of_a_mailbox_are_read_from_their_indexes_on_postgresql() {
    let Some(mut db) = filled().await else { return };
    for (name, sql, index) in LISTS {
        let steps = generic_plan(&mut db, name, sql).await;
        assert_eq!(fault(&steps, index), None, "{name}: {steps:#?}");
    }
    println!("{} lists of a mailbox are read from their indexes on PostgreSQL", LISTS.len());
}

/// The control: without its index each of them is noticed.
#[tokio::test]
async fn a_list_of_a_mailbox_without_its_index_is_noticed_on_postgresql() {
    let Some(mut db) = filled().await else { return };
    for (name, sql, index) in LISTS {
        let dropped = match index.strip_suffix("_pkey") {
            Some(table) => format!("BEGIN; ALTER TABLE {table} DROP CONSTRAINT {index} CASCADE"),
            None => format!("BEGIN; DROP INDEX {index}"),
        };
        db.script(&dropped).await.expect("drop");
        let steps = generic_plan(&mut db, name, sql).await;
        assert!(fault(&steps, index).is_some(), "{name} does without {index}: {steps:#?}");
        db.script("ROLLBACK").await.expect("rollback");
    }
}

#[tokio::test]
async fn lists_of_a_mailbox_are_read_from_their_indexes_on_sqlite() {
    let folder = tempfile::tempdir().expect("folder");
    let mut db = migrated(&folder).await;
    for (name, sql, _) in LISTS {
        let steps = plan(&mut db, sql).await;
        // The ids that a request names are read one after the other.
        let wasteful: Vec<_> = wasteful(&steps).into_iter().filter(|step| !step.contains("VIRTUAL TABLE")).collect();
        assert!(wasteful.is_empty(), "{name}: {wasteful:?}");
    }
    for (index, sql) in [
        ("listings_starred (grant_id=? AND folder=?", listings::STARRED),
        ("listings_unread (grant_id=? AND folder=?", listings::UNREAD),
        ("listings_files (grant_id=? AND folder=?", listings::FILES),
        ("PRIMARY KEY (grant_id=? AND folder=? AND date>? AND date<?)", listings::MARK_OLDER),
    ] {
        let steps = plan(&mut db, sql).await;
        assert!(steps.iter().any(|step| step.contains(index)), "{sql}: {steps:#?}");
    }
}
