//! Imports: whatever breaks off in between, each message of the source is there once, and counts for storage alone.

use crate::support::{NOON, Tenant, all_events, at, at_once, fresh, listed, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::{BlobId, GrantId, ImportId};
use postfleet_core::import::{OPEN_MAX, Skip, State};
use postfleet_core::rule::Placement;
use postfleet_store::imports::{
    self, BeginImport, BeginOutcome, CancelImport, Import, ImportMessages, ImportOutcome, Item, NewMessage,
    PruneImports,
};
use postfleet_store::{Store, params, recount};
use std::time::Duration;

async fn begin(store: &Store, grant: GrantId, announce: bool) -> ImportId {
    let id = ImportId::from_uuid(fresh());
    let command = BeginImport { id, grant_id: grant, source: "a file".into(), announce, at: NOON };
    assert!(matches!(store.run(command).await.expect("begin"), BeginOutcome::Begun(_)));
    id
}

/// A message of the source, received so long ago.
async fn item(store: &Store, tenant: &Tenant, grant: GrantId, text: &str, days: u64) -> Item {
    let raw = format!("Subject: {text}\r\n\r\nHello.\r\n");
    let blob = store.blobs().prepare(BlobId::from_uuid(fresh()), raw.as_bytes()).await.expect("body");
    let mut facts = tenant.received(store, &[grant], NOON).await.facts;
    facts.date = NOON.minus(Duration::from_secs(days * 86_400));
    (facts.octets, facts.summary) = (blob.octets(), format!("{{\"subject\":\"{text}\"}}"));
    let placement = Placement { folders: vec!["archive".into()], unread: false, starred: true };
    Item::Message(Box::new(NewMessage { blob, facts, placement, copy: tenant.copy(grant) }))
}

fn take(id: ImportId, grant: GrantId, first: u64, items: Vec<Item>, is_last: bool) -> ImportMessages {
    ImportMessages { id, grant_id: grant, first, items, is_last, at: at(60) }
}

async fn taken(store: &Store, command: ImportMessages) -> Import {
    match store.run(command).await.expect("take") {
        ImportOutcome::Import(import) => *import,
        other => panic!("not taken: {other:?}"),
    }
}

async fn subjects(store: &Store, grant: GrantId) -> Vec<String> {
    let mut summaries: Vec<String> = listed(store, grant, "archive").await.into_iter().map(|one| one.summary).collect();
    summaries.sort();
    summaries
}

async fn is_drift_free(store: &Store, tenant: &Tenant) {
    let counted = recount::of_organization(store, tenant.organization, NOON).await.expect("recount").expect("there");
    assert_eq!(counted.drift, [], "counters");
}

#[tokio::test]
async fn an_import_goes_on_wherever_it_broke_off_without_a_message_twice() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = begin(store, grant, false).await;
        let mut items = Vec::new();
        for number in 0..10 {
            items.push(item(store, &tenant, grant, &format!("m{number}"), 10 - number).await);
        }
        // Sent, sent again because no answer came, sent with more, sent from the beginning.
        let first = taken(store, take(id, grant, 0, items[..4].to_vec(), false)).await;
        assert_eq!((first.position, first.imported, first.state), (4, 4, State::Open));
        for span in [0..4, 2..6, 0..10] {
            at_once(store, vec![take(id, grant, span.start as u64, items[span.clone()].to_vec(), false); 4]).await;
        }
        let gap = take(id, grant, 11, items[..1].to_vec(), false);
        assert_eq!(store.run(gap).await.expect("take"), ImportOutcome::Elsewhere(10));
        let end = taken(store, take(id, grant, 10, Vec::new(), true)).await;
        assert_eq!((end.position, end.imported, end.state), (10, 10, State::Done));
        assert_eq!(
            taken(store, take(id, grant, 0, items.clone(), true)).await.imported,
            10,
            "the last answer was lost, too"
        );
        let more = take(id, grant, 10, items[..1].to_vec(), false);
        assert_eq!(store.run(more).await.expect("take"), ImportOutcome::Closed(State::Done));

        let expected: Vec<String> = (0..10).map(|number| format!("{{\"subject\":\"m{number}\"}}")).collect();
        assert_eq!(subjects(store, grant).await, expected);
        let found = listed(store, grant, "").await;
        assert_eq!(found[0].date, NOON.minus(Duration::from_secs(86_400)), "when it was received, newest first");
        assert!(found.iter().all(|one| one.starred && !one.unread));
        let stored = "SELECT storage_octets FROM mailboxes WHERE grant_id = $1";
        assert_eq!(number(store, stored, params![grant.uuid()]).await as u64, end.octets);
        assert_eq!(number(store, "SELECT count(*) FROM blobs", &[]).await, 10);
        assert!(all_events(store).await.iter().all(|event| event.event.message_id.is_none()), "nobody is told");
        let received = "SELECT CAST(coalesce(sum(octets_in), 0) AS BIGINT) FROM usage";
        assert_eq!(number(store, received, &[]).await, 0, "it did not come in");
        is_drift_free(store, &tenant).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_asked_for_is_announced_and_what_cannot_be_kept_is_named() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        // Mail is kept for 30 days.
        let tenant = tenant(store, "free", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = begin(store, grant, true).await;
        let items = vec![
            item(store, &tenant, grant, "old", 31).await,
            item(store, &tenant, grant, "young", 29).await,
            Item::Skip(Skip::Empty, "there is nothing in it".into()),
            item(store, &tenant, grant, "younger", 1).await,
        ];
        let import = taken(store, take(id, grant, 0, items, true)).await;
        assert_eq!((import.position, import.imported, import.skipped, import.state), (4, 2, 2, State::Done));
        let named: Vec<_> = import.skips.iter().map(|skip| (skip.position, skip.code.as_str())).collect();
        assert_eq!(named, [(0, "older_than_retention"), (2, "empty")]);
        assert_eq!(import.skips[0].text, "it is 31 days old, and mail like it is kept for 30 days");
        let told = all_events(store).await;
        let told: Vec<_> = told.iter().filter(|event| event.event.message_id.is_some()).collect();
        assert_eq!(told.len(), 2);
        let sequences: Vec<_> = told.iter().map(|event| event.event.grant_sequence).collect();
        assert_eq!(sequences[1], sequences[0] + 1);
        is_drift_free(store, &tenant).await;
    })
    .await;
}

#[tokio::test]
async fn without_room_an_import_waits_at_the_message_for_which_there_was_none() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let id = begin(store, grant, false).await;
        let mut items = Vec::new();
        for number in 0..4 {
            items.push(item(store, &tenant, grant, &format!("m{number}"), 1).await);
        }
        let Item::Message(message) = &items[0] else { unreachable!() };
        let octets = message.facts.octets as i64;
        let limit = 3_i64 << 30;
        store.run(Occupy(grant, limit - 2 * octets - octets / 2)).await.expect("occupied");
        let full = taken(store, take(id, grant, 0, items.clone(), true)).await;
        assert_eq!((full.position, full.state), (2, State::Paused));
        assert!(full.reason.as_deref().is_some_and(|reason| reason.contains("3221225472")), "{:?}", full.reason);
        let still = taken(store, take(id, grant, 2, items[2..].to_vec(), true)).await;
        assert_eq!((still.position, still.state), (2, State::Paused));
        store.run(Occupy(grant, -(limit - 2 * octets - octets / 2))).await.expect("freed");
        let done = taken(store, take(id, grant, 2, items[2..].to_vec(), true)).await;
        assert_eq!((done.position, done.imported, done.state, done.reason), (4, 4, State::Done, None));
        assert_eq!(subjects(store, grant).await.len(), 4);
    })
    .await;
}

/// Uses room of a mailbox.
struct Occupy(GrantId, i64);

impl postfleet_store::Command for Occupy {
    type Outcome = u64;
    async fn run(&self, tx: &mut postfleet_store::Tx) -> Result<u64, postfleet_store::db::DbError> {
        const KEEP: &str = "UPDATE mailboxes SET storage_octets = storage_octets + $2 WHERE grant_id = $1";
        tx.execute(KEEP, params![self.0.uuid(), self.1]).await
    }
}

#[tokio::test]
async fn imports_are_few_found_listed_cancelled_and_forgotten() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let mut ids = Vec::new();
        for _ in 0..OPEN_MAX {
            ids.push(begin(store, grant, false).await);
        }
        let one_more = BeginImport {
            id: ImportId::from_uuid(fresh()),
            grant_id: grant,
            source: String::new(),
            announce: false,
            at: NOON,
        };
        assert_eq!(store.run(one_more.clone()).await.expect("begin"), BeginOutcome::TooMany);
        let cancel = CancelImport { id: ids[0], grant_id: grant, at: at(1) };
        assert!(store.run(cancel).await.expect("cancel"));
        assert!(store.run(cancel).await.expect("cancel"), "twice is once");
        assert!(!store.run(CancelImport { grant_id: other, ..cancel }).await.expect("cancel"), "another mailbox's");
        assert!(matches!(store.run(one_more).await.expect("begin"), BeginOutcome::Begun(_)));
        let late = take(ids[0], grant, 0, vec![item(store, &tenant, grant, "late", 1).await], false);
        assert_eq!(store.run(late).await.expect("take"), ImportOutcome::Closed(State::Cancelled));
        let mut reader = store.reader().await.expect("reader");
        let page = imports::list(&mut reader, grant, None, 3).await.expect("list");
        let next = imports::list(&mut reader, grant, Some(page[2].id), 100).await.expect("list");
        assert_eq!((page.len(), next.len()), (3, OPEN_MAX as usize - 2));
        assert_eq!(imports::find(&mut reader, other, ids[0]).await.expect("find"), None);
        let pruned = store.run(PruneImports { before: at(1), limit: 100 }).await.expect("prune");
        assert_eq!(pruned, OPEN_MAX, "all but the one that was cancelled later");
        let nothing = store.run(PruneImports { before: UnixMicros::from_micros(0), limit: 100 }).await.expect("prune");
        assert_eq!(nothing, 0);
    })
    .await;
}
