//! Bodies: what is read is what was written, or an error; files that no row names are removed, others never.

use crate::support::{Engine, NOON, Tenant, files_below, fresh, on_each_engine, tenant};
use postfleet_core::id::{BlobId, GrantId, MessageId};
use postfleet_store::blobs::INLINE_OCTETS_MAX;
use postfleet_store::db::DbError;
use postfleet_store::{Command, Store, StoreError, Tx, messages, params};
use std::time::Duration;

/// Octets that do not compress.
fn noise(octets: usize, seed: &str) -> Vec<u8> {
    let mut raw = vec![0; octets];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut raw);
    raw
}

/// A delivered message with this body.
async fn stored(store: &Store, tenant: &Tenant, grant: GrantId, raw: &[u8]) -> BlobId {
    let mut command = tenant.received(store, &[grant], NOON).await;
    command.blob = store.blobs().prepare(BlobId::from_uuid(fresh()), raw).await.expect("prepare");
    let id = command.blob.id();
    store.run(command).await.expect("deliver").expect("room");
    id
}

async fn load(store: &Store, id: BlobId) -> Result<Vec<u8>, StoreError> {
    let mut reader = store.reader().await.expect("reader");
    const OWNER: &str = "SELECT grant_id, id FROM messages WHERE blob_id = $1";
    let owner = reader.query_one(OWNER, params![id.uuid()]).await?.expect("a message");
    let (grant, message) = (GrantId::from_uuid(owner.uuid(0)?), MessageId::from_uuid(owner.uuid(1)?));
    let (_, blob) = messages::find_with_body(&mut reader, grant, message).await?.expect("body");
    store.blobs().load(&blob).await
}

async fn mailbox(store: &Store) -> (Tenant, GrantId) {
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    (tenant, grant)
}

#[tokio::test]
async fn bodies_of_every_size_come_back() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let bodies = [
            Vec::new(),
            b"x".to_vec(),
            noise(16 << 10, "small"),
            noise((16 << 10) + 1, "not small"),
            vec![b'a'; 3_000_000],
            noise(64 << 10, "above"),
            noise(1_000_000, "far above"),
        ];
        for (raw, files) in bodies.iter().zip([0, 0, 0, 0, 0, 1, 2]) {
            let id = stored(store, &tenant, grant, raw).await;
            assert!(load(store, id).await.expect("load") == *raw, "{} octets", raw.len());
            assert_eq!(files_below(&engine.bodies()).len(), files, "after {} octets", raw.len());
        }
    })
    .await;
}

/// Lines that resemble each other, as those of mail do.
fn lines(octets: usize) -> Vec<u8> {
    let line = |number: u64| format!("{} of {} was said on line {number}\r\n", number * number % 911, number % 37);
    (0..).flat_map(|number| line(number).into_bytes()).take(octets).collect()
}

#[tokio::test]
async fn how_small_bodies_are_compressed_does_not_reach_large_ones() {
    const PACKED: &str = "SELECT data FROM blobs WHERE id = $1";
    let engine = Engine::sqlite().await;
    let (tenant, grant) = mailbox(&engine.store).await;
    for (octets, is_small) in [(16 << 10, true), ((16 << 10) + 1, false), (1_000, true), (100_000, false)] {
        let raw = lines(octets);
        let id = stored(&engine.store, &tenant, grant, &raw).await;
        let mut reader = engine.store.reader().await.expect("reader");
        let row = reader.query_one(PACKED, params![id.uuid()]).await.expect("query").expect("row");
        let (packed, usual) =
            (row.bytes(0).expect("data").len(), zstd::bulk::compress(&raw, 1).expect("compress").len());
        match is_small {
            true => assert!(packed <= usual + usual / 8, "{octets} octets: {packed}, usually {usual}"),
            false => assert_eq!(packed, usual, "{octets} octets"),
        }
    }
}

#[tokio::test]
async fn the_inline_limit_is_exact() {
    let engine = Engine::sqlite().await;
    let packed = |octets| zstd::bulk::compress(&noise(octets, "edge"), 1).expect("compress").len();
    let edge = (INLINE_OCTETS_MAX - 64..).find(|octets| packed(octets + 1) > INLINE_OCTETS_MAX).expect("edge");
    for (octets, files) in [(edge, 0), (edge + 1, 1)] {
        let raw = noise(octets, "edge");
        engine.store.blobs().prepare(BlobId::from_uuid(fresh()), &raw).await.expect("prepare");
        assert_eq!(files_below(&engine.bodies()).len(), files, "{octets} octets");
    }
}

/// Turns one bit of an inline body around.
struct FlipBit {
    id: BlobId,
    octet: usize,
}

impl Command for FlipBit {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        let row = tx.query_one("SELECT data FROM blobs WHERE id = $1", params![self.id.uuid()]).await?;
        let mut data = row.ok_or(DbError::Malformed("blob"))?.bytes(0)?;
        let octet = self.octet % data.len();
        data[octet] ^= 1;
        let values = params![self.id.uuid(), data.as_slice()];
        tx.execute("UPDATE blobs SET data = $2 WHERE id = $1", values).await.map(drop)
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_row_is_noticed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        for octet in (0..400).step_by(7) {
            let raw = noise(300, &octet.to_string());
            let id = stored(store, &tenant, grant, &raw).await;
            store.run(FlipBit { id, octet }).await.expect("flip");
            match load(store, id).await {
                Err(StoreError::Damaged(_)) => {}
                // A bit of the compressed form that does not matter: what is read is right all the same.
                Ok(read) => assert!(read == raw, "octet {octet}: served damaged"),
                Err(other) => panic!("octet {octet}: {other}"),
            }
            store.run(FlipBit { id, octet }).await.expect("flip back");
            assert!(load(store, id).await.expect("load") == raw);
        }
    })
    .await;
}

#[tokio::test]
async fn a_damaged_or_missing_file_is_noticed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let raw = noise(100_000, "file");
        let id = stored(store, &tenant, grant, &raw).await;
        let file = files_below(&engine.bodies()).pop().expect("file");
        let good = std::fs::read(&file).expect("read");
        let mut flipped = good.clone();
        flipped[50_000] ^= 1;
        let torn = &good[..good.len() / 2];
        for damaged in [flipped.as_slice(), torn, &[]] {
            std::fs::write(&file, damaged).expect("write");
            assert!(matches!(load(store, id).await, Err(StoreError::Damaged(_))));
        }
        std::fs::remove_file(&file).expect("remove");
        assert!(matches!(load(store, id).await, Err(StoreError::Damaged(_))));
        std::fs::create_dir_all(file.parent().expect("folder")).expect("folder");
        std::fs::write(&file, good).expect("write");
        assert!(load(store, id).await.expect("load") == raw);
    })
    .await;
}

#[tokio::test]
async fn orphaned_files_are_collected_and_named_ones_kept() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let named = stored(store, &tenant, grant, &noise(100_000, "named")).await;
        store.blobs().prepare(BlobId::from_uuid(fresh()), &noise(100_000, "orphan")).await.expect("prepare");
        assert_eq!(files_below(&engine.bodies()).len(), 2);
        let mut reader = store.reader().await.expect("reader");
        let hour = Duration::from_secs(3_600);
        let collected = store.blobs().collect_orphans(&mut reader, hour).await.expect("collect");
        assert_eq!(collected, 0, "a young file may be named in a moment");
        for expected in [1, 0] {
            let collected = store.blobs().collect_orphans(&mut reader, Duration::ZERO).await.expect("collect");
            assert_eq!(collected, expected);
        }
        assert_eq!(load(store, named).await.expect("load").len(), 100_000);
    })
    .await;
}

#[tokio::test]
async fn the_same_body_written_twice_is_one_file_until_both_rows_are_gone() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let raw = noise(100_000, "twice");
        let one = stored(store, &tenant, grant, &raw).await;
        let two = stored(store, &tenant, grant, &raw).await;
        assert_eq!(files_below(&engine.bodies()).len(), 1);
        let mut reader = store.reader().await.expect("reader");
        for (id, left) in [(one, 0), (two, 1)] {
            store.run(Forget(id)).await.expect("forget");
            let collected = store.blobs().collect_orphans(&mut reader, Duration::ZERO).await.expect("collect");
            assert_eq!(collected, left);
        }
        assert!(files_below(&engine.bodies()).is_empty());
    })
    .await;
}

/// Removes the row of a body.
struct Forget(BlobId);

impl Command for Forget {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        tx.execute("DELETE FROM blobs WHERE id = $1", params![self.0.uuid()]).await.map(drop)
    }
}

/// What is left where a volume was: an empty folder.
fn unmount(engine: &Engine) -> std::path::PathBuf {
    let away = engine.bodies().with_extension("away");
    std::fs::rename(engine.bodies(), &away).expect("rename");
    std::fs::create_dir(engine.bodies()).expect("folder");
    away
}

fn mount(engine: &Engine, away: &std::path::Path) {
    std::fs::remove_dir(engine.bodies()).expect("it is empty");
    std::fs::rename(away, engine.bodies()).expect("rename");
}

#[tokio::test]
async fn a_folder_whose_volume_is_gone_takes_no_bodies_until_it_is_back() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, grant) = mailbox(store).await;
        let raw = noise(100_000, "there");
        let large = stored(store, &tenant, grant, &raw).await;
        let away = unmount(engine);
        let refused = store.blobs().prepare(BlobId::from_uuid(fresh()), &noise(100_000, "meanwhile")).await;
        assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
        assert!(files_below(&engine.bodies()).is_empty(), "nothing is written into the wrong folder");
        assert!(matches!(load(store, large).await, Err(StoreError::Unreachable(_))), "it is not damaged");
        let small = stored(store, &tenant, grant, b"small").await;
        assert_eq!(load(store, small).await.expect("load"), b"small");

        mount(engine, &away);
        assert!(load(store, large).await.expect("load") == raw);
        stored(store, &tenant, grant, &noise(100_000, "later")).await;
    })
    .await;
}

#[tokio::test]
async fn a_volume_that_is_mounted_anew_is_known_by_its_bodies() {
    let engine = Engine::sqlite().await;
    let (tenant, grant) = mailbox(&engine.store).await;
    stored(&engine.store, &tenant, grant, &noise(100_000, "before")).await;
    let away = unmount(&engine);
    for file in files_below(&away) {
        let copy = engine.bodies().join(file.strip_prefix(&away).expect("below"));
        std::fs::create_dir_all(copy.parent().expect("folder")).expect("folder");
        std::fs::copy(&file, copy).expect("copy");
    }
    stored(&engine.store, &tenant, grant, &noise(100_000, "after")).await;
    assert_eq!(files_below(&engine.bodies()).len(), 2);
}

#[tokio::test]
async fn an_empty_folder_is_refused_at_the_start_where_the_database_names_bodies() {
    on_each_engine(async |engine| {
        let (tenant, grant) = mailbox(&engine.store).await;
        stored(&engine.store, &tenant, grant, b"small").await;
        let away = unmount(engine);
        assert!(engine.refusal_to_open().await.is_none(), "a small body is in its row");
        mount(engine, &away);
        stored(&engine.store, &tenant, grant, &noise(100_000, "large")).await;
        assert!(engine.refusal_to_open().await.is_none());

        unmount(engine);
        let refusal = engine.refusal_to_open().await.expect("its volume is not mounted");
        assert!(refusal.to_string().contains("is empty, and the database names bodies in it"), "{refusal}");
        std::fs::write(engine.bodies().join("lost"), "for good").expect("write");
        assert!(engine.refusal_to_open().await.is_none(), "the operator says that it is so");
    })
    .await;
}
