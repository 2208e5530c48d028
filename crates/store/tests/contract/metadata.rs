//! Pairs of metadata: whatever becomes of a message or a draft, exactly those that it has are found, in the order of lists.

use crate::support::{NOON, Tenant, at, fresh, number, on_each_engine, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::{AuditId, BlobId, EventId, GrantId, ImportId, MessageId};
use postfleet_core::rule::Placement;
use postfleet_store::drafts::{CreateDraft, CreateOutcome, DeleteDraft, DraftOutcome, FromDraft, UpdateDraft};
use postfleet_store::grants::PruneRemoved;
use postfleet_store::imports::{BeginImport, ImportMessages, ImportOutcome, Item, NewMessage};
use postfleet_store::messages::{self, After, Page};
use postfleet_store::outbound::{Submit, SubmitOutcome};
use postfleet_store::purge::{DeleteMessage, DeleteOutcome};
use postfleet_store::refile::{UpdateMessage, UpdateOutcome};
use postfleet_store::{Store, metadata, params};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A pair of a message: its number, the date of the message, its id.
type Kept = BTreeSet<(i64, i64, Uuid)>;

/// What is kept of a mailbox, and what it should be by its messages and drafts.
pub async fn kept(store: &Store, grant: GrantId) -> (Kept, Kept) {
    const KEPT: &str = "SELECT pair, date, message_id FROM metadata_pairs WHERE grant_id = $1";
    const MESSAGES: &str = "SELECT date, id, summary FROM messages WHERE grant_id = $1";
    let mut reader = store.reader().await.expect("reader");
    let rows = reader.query(KEPT, params![grant.uuid()]).await.expect("pairs");
    let kept = rows.iter().map(|row| (row.int(0).expect("pair"), row.int(1).expect("date"), row.uuid(2).expect("id")));
    let mut expected = Kept::new();
    for row in reader.query(MESSAGES, params![grant.uuid()]).await.expect("messages") {
        let summary: Value = serde_json::from_str(&row.text(2).expect("summary")).expect("JSON");
        for (key, value) in summary["metadata"].as_object().into_iter().flatten() {
            let pair = metadata::number(key, value.as_str().expect("text"));
            expected.insert((pair, row.int(0).expect("date"), row.uuid(1).expect("id")));
        }
    }
    (kept.collect(), expected)
}

/// A summary with these pairs.
fn summary(pairs: &[(&str, &str)]) -> String {
    let pairs: BTreeMap<&str, &str> = pairs.iter().copied().collect();
    match pairs.is_empty() {
        true => json!({"subject": "Hello"}).to_string(),
        false => json!({"subject": "Hello", "metadata": pairs}).to_string(),
    }
}

struct Case<'a> {
    store: &'a Store,
    tenant: Tenant,
    grant: GrantId,
}

impl Case<'_> {
    /// That what is kept is what should be, and how much it is.
    async fn is_right(&self, step: &str, pairs: usize) {
        let (kept, expected) = kept(self.store, self.grant).await;
        assert_eq!(kept, expected, "{step}");
        assert_eq!(kept.len(), pairs, "{step}");
    }

    async fn deliver(&self, second: u64, pairs: &[(&str, &str)]) -> MessageId {
        let mut command = self.tenant.received(self.store, &[self.grant], at(second)).await;
        command.facts.summary = summary(pairs);
        self.store.run(command).await.expect("deliver").expect("room")[0]
    }

    async fn put(&self, id: MessageId, pairs: &[(&str, &str)]) {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let nothing =
            UpdateMessage::nothing((self.tenant.application, self.grant, id), EventId::from_uuid(fresh()), at(50));
        let update = UpdateMessage { metadata: Some(pairs), ..nothing };
        assert_eq!(self.store.run(update).await.expect("update"), UpdateOutcome::Done);
    }

    async fn delete(&self, id: MessageId, hard: bool) -> DeleteOutcome {
        let (application_id, grant_id) = (self.tenant.application, self.grant);
        let command = DeleteMessage { application_id, grant_id, id, hard, event_seed: [1; 32], at: at(60) };
        self.store.run(command).await.expect("delete")
    }

    async fn draft(&self, second: u64, pairs: &[(&str, &str)]) -> CreateDraft {
        let Submit { blob, mut facts, copy, .. } = self.tenant.submission(self.store, self.grant, 1, at(second)).await;
        (facts.folder, facts.summary) = ("drafts", summary(pairs));
        CreateDraft { blob, facts, copy, thread_id: None, starred: false, schedule: None, answer: None }
    }

    /// Makes a draft; answers its id and that of its body.
    async fn made(&self, second: u64, pairs: &[(&str, &str)]) -> (MessageId, BlobId) {
        let command = self.draft(second, pairs).await;
        let (id, blob) = (command.copy.message_id, command.blob.id());
        let outcome = self.store.run(command).await.expect("draft");
        assert!(matches!(outcome, CreateOutcome::Created(_)), "{outcome:?}");
        (id, blob)
    }

    async fn import(&self, pairs: &[(&str, &str)]) {
        let id = ImportId::from_uuid(fresh());
        let begin = BeginImport { id, grant_id: self.grant, source: "a file".into(), announce: false, at: NOON };
        self.store.run(begin).await.expect("begin");
        let command = self.tenant.received(self.store, &[self.grant], at(3)).await;
        let mut facts = command.facts;
        facts.summary = summary(pairs);
        let placement = Placement { folders: vec!["archive".into()], unread: false, starred: false };
        let message = NewMessage { blob: command.blob, facts, placement, copy: self.tenant.copy(self.grant) };
        let items = vec![Item::Message(Box::new(message))];
        let command = ImportMessages { id, grant_id: self.grant, first: 0, items, is_last: true, at: at(4) };
        let outcome = self.store.run(command).await.expect("import");
        assert!(matches!(&outcome, ImportOutcome::Import(import) if import.imported == 1), "{outcome:?}");
    }
}

async fn case<'a>(store: &'a Store) -> Case<'a> {
    let tenant = tenant(store, "self_hosted", None).await;
    let grant = tenant.mailbox(store, "a").await;
    Case { store, tenant, grant }
}

#[tokio::test]
async fn pairs_follow_messages_through_everything() {
    on_each_engine(async |engine| {
        let case = case(&engine.store).await;
        let plain = case.deliver(1, &[]).await;
        case.is_right("mail that comes in has none", 0).await;
        let id = case.deliver(2, &[("a", "1"), ("b", "2")]).await;
        case.is_right("delivered", 2).await;
        case.put(plain, &[("a", "1")]).await;
        case.is_right("put", 3).await;
        case.put(id, &[("a", "1"), ("b", "3"), ("c", "")]).await;
        case.is_right("changed", 4).await;
        case.put(id, &[("a", "1"), ("b", "3"), ("c", "")]).await;
        case.is_right("put again", 4).await;
        case.put(plain, &[]).await;
        case.is_right("taken away", 3).await;
        case.import(&[("a", "1")]).await;
        case.is_right("imported", 4).await;
        let mut sent = case.tenant.submission(case.store, case.grant, 1, at(5)).await;
        sent.facts.summary = summary(&[("d", "x")]);
        let outcome = case.store.run(sent).await.expect("submit");
        assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
        case.is_right("sent", 5).await;
        assert_eq!(case.delete(id, false).await, DeleteOutcome::Trashed);
        case.is_right("in the trash", 5).await;
        assert_eq!(case.delete(id, true).await, DeleteOutcome::Purged);
        case.is_right("purged", 2).await;
    })
    .await;
}

#[tokio::test]
async fn pairs_follow_drafts_through_everything() {
    on_each_engine(async |engine| {
        let case = case(&engine.store).await;
        let (id, seen) = case.made(1, &[("a", "1"), ("b", "2")]).await;
        case.is_right("made", 2).await;
        let CreateDraft { blob, facts, copy, .. } = case.draft(2, &[("a", "1"), ("c", "3"), ("d", "4")]).await;
        let copy = messages::MailboxCopy { message_id: id, ..copy };
        let (draft, edited) = (stored(&case, id).await, blob.id());
        let thread_id = draft.thread_id;
        let edit = UpdateDraft { copy, seen, blob, facts, thread_id, starred: false, send_at: None, by: None };
        assert_eq!(case.store.run(edit).await.expect("edit"), DraftOutcome::Done);
        case.is_right("edited, at another date", 3).await;
        let submission = case.tenant.submission(case.store, case.grant, 1, at(3)).await;
        let copy = messages::MailboxCopy { message_id: id, new_thread_id: thread_id, ..submission.copy };
        let from_draft = Some(FromDraft { seen: edited, release: None, hold: None });
        let mut sending = Submit { copy, thread_id: Some(thread_id), from_draft, ..submission };
        sending.facts.summary = summary(&[("a", "1")]);
        let outcome = case.store.run(sending).await.expect("send");
        assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
        case.is_right("sent", 1).await;
        let (id, _) = case.made(4, &[("a", "1")]).await;
        case.is_right("another", 2).await;
        let delete = DeleteDraft {
            application_id: case.tenant.application,
            grant_id: case.grant,
            id,
            event_id: EventId::from_uuid(fresh()),
            audit_id: AuditId::from_uuid(fresh()),
            at: at(5),
        };
        assert!(case.store.run(delete).await.expect("delete"));
        case.is_right("deleted", 1).await;
    })
    .await;
}

async fn stored(case: &Case<'_>, id: MessageId) -> messages::StoredMessage {
    let mut reader = case.store.reader().await.expect("reader");
    messages::find(&mut reader, case.grant, id).await.expect("find").expect("draft")
}

#[tokio::test]
async fn nothing_is_left_of_the_pairs_of_a_removed_mailbox() {
    on_each_engine(async |engine| {
        let case = case(&engine.store).await;
        let other = case.tenant.mailbox(case.store, "b").await;
        for second in 0..12 {
            case.deliver(second, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
        }
        let mut kept = case.tenant.received(case.store, &[other], at(1)).await;
        kept.facts.summary = summary(&[("a", "1")]);
        case.store.run(kept).await.expect("deliver").expect("room");
        assert!(case.store.run(case.tenant.removal(case.grant, at(100))).await.expect("remove"));
        while case.store.run(PruneRemoved { limit: 5 }).await.expect("prune") {}
        assert_eq!(number(case.store, "SELECT count(*) FROM metadata_pairs", &[]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn what_has_a_pair_is_paged_through_newest_first() {
    on_each_engine(async |engine| {
        let case = case(&engine.store).await;
        let mut filed: Vec<After> = Vec::new();
        for turn in 0..23_u64 {
            // Several come at the same time.
            let second = turn * 7 % 23 / 3;
            let id = case.deliver(second, &[("a", if turn % 4 == 0 { "2" } else { "1" }), ("b", "x")]).await;
            if turn % 4 != 0 {
                filed.push(After { date: at(second), id });
            }
        }
        filed.sort_by_key(|place| std::cmp::Reverse((place.date, place.id)));
        let mut reader = case.store.reader().await.expect("reader");
        let pair = metadata::number("a", "1");
        let ever = UnixMicros::from_micros(0);
        let mut page = Page { grant_id: case.grant, folder: "", after: After::START, newer_than: ever, limit: 5 };
        let mut found = Vec::new();
        loop {
            let places = metadata::places(&mut reader, &page, pair).await.expect("page");
            let Some(last) = places.last() else { break };
            page.after = *last;
            found.extend(places);
        }
        assert_eq!(found, filed);
        let all = Page { after: After::START, limit: 100, ..page };
        assert_eq!(metadata::count(&mut reader, &all, pair).await.expect("count"), filed.len());
        assert_eq!(metadata::count(&mut reader, &Page { limit: 3, ..all }, pair).await.expect("count"), 3);
        assert_eq!(metadata::count(&mut reader, &Page { newer_than: at(7), ..all }, pair).await.expect("count"), 0);
        let nowhere = After { date: at(90), id: MessageId::from_uuid(fresh()) };
        let asked: Vec<After> = filed.iter().take(3).copied().chain([nowhere]).collect();
        let mut among = metadata::among_places(&mut reader, case.grant, pair, &asked).await.expect("among");
        among.sort_by_key(|place| std::cmp::Reverse((place.date, place.id)));
        assert_eq!(among, filed[..3]);
        let none = metadata::among_places(&mut reader, case.grant, metadata::number("a", "2"), &asked).await;
        assert!(none.expect("among").is_empty());
    })
    .await;
}
