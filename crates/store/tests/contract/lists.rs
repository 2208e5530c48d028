//! Lists: counted against the plan, changed by many at once without losing count, and followed by readers that ask only
//! for what changed.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::id::{ApplicationId, ListId, ListItemId};
use postfleet_core::list::{ITEMS_MAX, ListKind};
use postfleet_core::plan::Cap;
use postfleet_core::{Patch, UnixMicros};
use postfleet_store::applications::{RemoveApplication, RemoveOutcome};
use postfleet_store::lists::{
    self, AddItems, CreateList, CreateOutcome, ItemsOutcome, List, NewItem, Position, PruneRemovals, PruneRemovedLists,
    RECORDED_VALUES_MAX, RemoveItems, RemoveList, UpdateList, UpdateOutcome,
};
use postfleet_store::organizations::Scope;
use postfleet_store::{Store, params};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

fn create(tenant: &Tenant, name: &str) -> CreateList {
    CreateList {
        act: tenant.act(NOON),
        id: ListId::from_uuid(fresh()),
        application_id: tenant.application,
        name: name.into(),
        description: None,
        kind: ListKind::Domain,
    }
}

async fn made(store: &Store, tenant: &Tenant, name: &str) -> List {
    match store.run(create(tenant, name)).await.expect("create") {
        CreateOutcome::Created(list) => list,
        other => panic!("not made: {other:?}"),
    }
}

fn add(tenant: &Tenant, id: ListId, values: &[&str], at: UnixMicros) -> AddItems {
    let item = |value: &&str| NewItem { id: ListItemId::from_uuid(fresh()), value: (*value).to_owned() };
    AddItems { act: tenant.act(at), application_id: tenant.application, id, items: values.iter().map(item).collect() }
}

fn remove(tenant: &Tenant, id: ListId, values: &[&str], at: UnixMicros) -> RemoveItems {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    RemoveItems { act: tenant.act(at), application_id: tenant.application, id, values }
}

fn changed(outcome: ItemsOutcome) -> (List, u64) {
    match outcome {
        ItemsOutcome::Changed { list, changed } => (list, changed),
        other => panic!("not changed: {other:?}"),
    }
}

async fn added(store: &Store, command: AddItems) -> (List, u64) {
    changed(store.run(command).await.expect("add"))
}

async fn removed(store: &Store, command: RemoveItems) -> (List, u64) {
    changed(store.run(command).await.expect("remove"))
}

async fn find(store: &Store, tenant: &Tenant, id: ListId) -> Option<List> {
    lists::find(&mut store.reader().await.expect("reader"), tenant.application, id).await.expect("find")
}

async fn rules_version(store: &Store, tenant: &Tenant) -> i64 {
    const VERSION: &str = "SELECT rules_version FROM applications WHERE id = $1";
    number(store, VERSION, params![tenant.application.uuid()]).await
}

/// What was recorded about a list: action, before and after.
async fn records(store: &Store, id: ListId) -> Vec<(String, Value, Value)> {
    const RECORDS: &str = "SELECT action, before, after FROM audit WHERE target_id = $1 AND target_kind = 'list' \
        ORDER BY id";
    let mut reader = store.reader().await.expect("reader");
    let rows = reader.query(RECORDS, params![&id.to_string()]).await.expect("records");
    let parsed = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    let read = |row: &postfleet_store::db::Row| {
        let text = |column| row.opt_text(column).expect("text");
        (row.text(0).expect("action"), parsed(text(1)), parsed(text(2)))
    };
    rows.iter().map(read).collect()
}

#[tokio::test]
async fn a_list_is_made_changed_and_removed_with_a_record_of_each() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, stranger) = (tenant(store, "full_platform", None).await, tenant(store, "free", None).await);
        let new = CreateList { description: Some("Große".into()), kind: ListKind::Tld, ..create(&tenant, "Spam") };
        let CreateOutcome::Created(list) = store.run(new).await.expect("create") else { panic!("not made") };
        assert_eq!((&*list.name, list.description.as_deref(), list.kind), ("Spam", Some("Große"), ListKind::Tld));
        assert_eq!((list.organization_id, list.items_count, list.version), (tenant.organization, 0, 0));
        assert_eq!(find(store, &tenant, list.id).await.as_ref(), Some(&list));
        assert_eq!(find(store, &stranger, list.id).await, None);
        let before = rules_version(store, &tenant).await;
        assert!(before > 0);

        let update = |name: Option<&str>, description, seconds| UpdateList {
            act: tenant.act(at(seconds)),
            application_id: tenant.application,
            id: list.id,
            name: name.map(str::to_owned),
            description,
        };
        let nothing = store.run(update(Some("Spam"), Patch::Keep, 1)).await.expect("update");
        assert_eq!(nothing, UpdateOutcome::Written(list.clone()));
        assert_eq!(rules_version(store, &tenant).await, before, "nothing changed");
        let foreign = UpdateList { application_id: stranger.application, ..update(Some("x"), Patch::Keep, 1) };
        assert_eq!(store.run(foreign).await.expect("update"), UpdateOutcome::NotFound);
        let written = store.run(update(Some("Ham"), Patch::Clear, 2)).await.expect("update");
        let expected = List { name: "Ham".into(), description: None, updated_at: at(2), ..list.clone() };
        assert_eq!(written, UpdateOutcome::Written(expected.clone()));
        assert_eq!(find(store, &tenant, list.id).await, Some(expected));
        assert_eq!(rules_version(store, &tenant).await, before + 1);

        let removal = RemoveList { act: tenant.act(at(3)), application_id: tenant.application, id: list.id };
        let foreign = RemoveList { application_id: stranger.application, ..removal.clone() };
        assert!(!store.run(foreign).await.expect("remove"));
        assert!(store.run(removal.clone()).await.expect("remove"));
        assert!(!store.run(RemoveList { act: tenant.act(at(3)), ..removal }).await.expect("remove"), "gone already");
        assert_eq!(find(store, &tenant, list.id).await, None);
        assert_eq!(rules_version(store, &tenant).await, before + 2);

        let (first, second) = (
            json!({"name": "Spam", "description": "Große", "type": "tld"}),
            json!({"name": "Ham", "description": null, "type": "tld"}),
        );
        let last = json!({"name": "Ham", "description": null, "type": "tld", "items_count": 0});
        let expected = [
            ("list.created".to_owned(), Value::Null, first.clone()),
            ("list.updated".to_owned(), first, second),
            ("list.deleted".to_owned(), last, Value::Null),
        ];
        assert_eq!(records(store, list.id).await, expected);
    })
    .await;
}

#[tokio::test]
async fn the_plans_cap_counts_all_applications_and_holds_under_concurrency() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (mine, other) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        made(store, &other, "theirs").await;
        let wanted: Vec<_> = (0..14).map(|number| create(&mine, &format!("L{number}"))).collect();
        let outcomes = at_once(store, wanted).await;
        let refused: Vec<_> = outcomes.iter().filter(|outcome| !matches!(outcome, CreateOutcome::Created(_))).collect();
        assert_eq!(refused, [&CreateOutcome::TooMany(Cap { limit: 10, used: 10 }); 4]);
        let mut reader = store.reader().await.expect("reader");
        let listed = lists::list(&mut reader, mine.application, None, 100).await.expect("list");
        assert_eq!(listed.len(), 10);
        assert!(listed.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
        let rest = lists::list(&mut reader, mine.application, Some(listed[6].id), 2).await.expect("list");
        assert_eq!(rest, listed[7..9]);
        drop(reader);

        // One that goes makes room for one.
        let removal = RemoveList { act: mine.act(NOON), application_id: mine.application, id: listed[0].id };
        assert!(store.run(removal).await.expect("remove"));
        made(store, &mine, "again").await;
        let full = store.run(create(&mine, "no")).await.expect("create");
        assert_eq!(full, CreateOutcome::TooMany(Cap { limit: 10, used: 10 }));
        let gone = CreateList { application_id: ApplicationId::from_uuid(fresh()), ..create(&other, "x") };
        assert_eq!(store.run(gone).await.expect("create"), CreateOutcome::ApplicationGone);
    })
    .await;
}

#[tokio::test]
async fn items_are_counted_and_duplicates_and_missing_ones_ignored() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (mine, stranger) = (tenant(store, "self_hosted", None).await, tenant(store, "free", None).await);
        let list = made(store, &mine, "L").await;
        let before = rules_version(store, &mine).await;
        let (now, count) = added(store, add(&mine, list.id, &["b.test", "a.test", "b.test"], at(1))).await;
        assert_eq!((now.items_count, now.version, count, now.updated_at), (2, 1, 2, at(1)));
        assert_eq!(find(store, &mine, list.id).await, Some(now.clone()));
        // A quotation mark and a backslash are letters of an address like others.
        let (now, count) = added(store, add(&mine, list.id, &["a.test", "\"a\\\\ 'ü\"@c.test"], at(2))).await;
        assert_eq!((now.items_count, now.version, count), (3, 2, 1));
        let (same, count) = added(store, add(&mine, list.id, &["a.test", "b.test"], at(3))).await;
        assert_eq!((same, count), (now, 0), "nothing changed");
        assert_eq!(rules_version(store, &mine).await, before + 2);
        let (now, count) = removed(store, remove(&mine, list.id, &["x.test", "b.test", "b.test"], at(4))).await;
        assert_eq!((now.items_count, now.version, count, now.updated_at), (2, 3, 1, at(4)));
        let (same, count) = removed(store, remove(&mine, list.id, &["x.test", "b.test"], at(5))).await;
        assert_eq!((same, count), (now, 0), "nothing changed");
        assert_eq!(rules_version(store, &mine).await, before + 3);

        let foreign = AddItems { application_id: stranger.application, ..add(&mine, list.id, &["y.test"], at(6)) };
        assert_eq!(store.run(foreign).await.expect("add"), ItemsOutcome::NotFound);
        let foreign =
            RemoveItems { application_id: stranger.application, ..remove(&mine, list.id, &["a.test"], at(6)) };
        assert_eq!(store.run(foreign).await.expect("remove"), ItemsOutcome::NotFound);

        let mut reader = store.reader().await.expect("reader");
        for (value, expected) in [("a.test", true), ("b.test", false), ("\"a\\\\ 'ü\"@c.test", true), ("", false)] {
            let item = lists::find_item(&mut reader, list.id, value).await.expect("find");
            assert_eq!(item.map(|item| item.value), expected.then(|| value.to_owned()), "{value}");
        }
        let recorded = [
            ("list.created".to_owned(), Value::Null, json!({"name": "L", "description": null, "type": "domain"})),
            (
                "list.items_added".to_owned(),
                Value::Null,
                json!({"count": 2, "values": ["b.test", "a.test"], "items_count": 2}),
            ),
            (
                "list.items_added".to_owned(),
                Value::Null,
                json!({"count": 1, "values": ["\"a\\\\ 'ü\"@c.test"], "items_count": 3}),
            ),
            ("list.items_removed".to_owned(), json!({"count": 1, "values": ["b.test"], "items_count": 2}), Value::Null),
        ];
        assert_eq!(records(store, list.id).await, recorded);
    })
    .await;
}

#[tokio::test]
async fn many_items_are_one_change_and_are_read_page_by_page() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let list = made(store, &tenant, "L").await;
        let values: Vec<String> = (0..ITEMS_MAX).map(|number| format!("d{number:04}.test")).collect();
        let all: Vec<&str> = values.iter().map(String::as_str).collect();
        let (now, count) = added(store, add(&tenant, list.id, &all, at(1))).await;
        assert_eq!((now.items_count, now.version, count), (1_000, 1, 1_000));
        added(store, add(&tenant, list.id, &["a.test"], at(2))).await;

        let mut reader = store.reader().await.expect("reader");
        let (mut after, mut read) = (Position::default(), Vec::new());
        loop {
            let page = lists::items(&mut reader, list.id, &after, 300).await.expect("page");
            let Some(last) = page.last() else { break };
            after = Position { version: last.version, value: last.value.clone() };
            read.extend(page);
        }
        drop(reader);
        let shown: Vec<&str> = read.iter().map(|item| &*item.value).collect();
        assert_eq!(shown, [all.clone(), vec!["a.test"]].concat(), "in the order of their making");
        assert_eq!((read[0].version, read[0].created_at, read[1_000].version), (1, at(1), 2));
        assert_eq!(read.iter().map(|item| item.id).collect::<BTreeSet<_>>().len(), 1_001);

        let (now, count) = removed(store, remove(&tenant, list.id, &all, at(3))).await;
        assert_eq!((now.items_count, now.version, count), (1, 3, 1_000));
        let records = records(store, list.id).await;
        for values in [&records[1].2["values"], &records[3].1["values"]] {
            assert_eq!(values.as_array().map(Vec::len), Some(RECORDED_VALUES_MAX));
            assert_eq!(values[1], "d0001.test");
        }
    })
    .await;
}

#[tokio::test]
async fn the_count_is_exact_whoever_changes_a_list_at_the_same_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let list = made(store, &tenant, "L").await;
        let before = rules_version(store, &tenant).await;
        // Each value is wanted by three.
        let wanted: Vec<_> = (0..30)
            .map(|number| {
                let values: Vec<String> =
                    (0..20).map(|value| format!("d{}.test", (number % 10) * 20 + value)).collect();
                add(&tenant, list.id, &values.iter().map(String::as_str).collect::<Vec<_>>(), at(number))
            })
            .collect();
        let outcomes: Vec<_> = at_once(store, wanted).await.into_iter().map(changed).collect();
        assert_eq!(outcomes.iter().map(|(_, count)| count).sum::<u64>(), 200);
        let versions: BTreeSet<u64> =
            outcomes.iter().filter(|(_, count)| *count > 0).map(|(list, _)| list.version).collect();
        assert_eq!(versions, (1..=10).collect(), "each change has a version of its own, and others have none");
        let unwanted = (0..20).map(|number| {
            let values: Vec<String> = (0..10).map(|value| format!("d{}.test", (number % 5) * 10 + value)).collect();
            remove(&tenant, list.id, &values.iter().map(String::as_str).collect::<Vec<_>>(), at(number))
        });
        let removed: u64 = at_once(store, unwanted.collect()).await.into_iter().map(|outcome| changed(outcome).1).sum();
        let list = find(store, &tenant, list.id).await.expect("list");
        assert_eq!((removed, list.items_count, list.version), (50, 150, 15));
        const COUNT: &str = "SELECT count(*) FROM list_items WHERE list_id = $1";
        assert_eq!(number(store, COUNT, params![list.id.uuid()]).await, 150);
        assert_eq!(rules_version(store, &tenant).await, before + 15);
    })
    .await;
}

/// Somebody who keeps a list in memory, as the head of `lists` says.
#[derive(Default)]
struct Follower {
    version: u64,
    values: BTreeSet<String>,
    /// How often everything was read.
    loads: u32,
}

impl Follower {
    async fn follow(&mut self, store: &Store, list: ListId) {
        let mut reader = store.reader().await.expect("reader");
        let changes = lists::changes_since(&mut reader, list, self.version, 1_000).await.expect("changes");
        let state = lists::state(&mut reader, list).await.expect("state");
        match (changes, state) {
            (None, None) => *self = Self { loads: self.loads, ..Self::default() },
            (None, Some(state)) => {
                (self.loads, self.version, self.values) = (self.loads + 1, state.version, BTreeSet::new());
                let mut after = String::new();
                loop {
                    let page = lists::values(&mut reader, list, &after, 3).await.expect("values");
                    let Some(last) = page.last() else { break };
                    after = last.clone();
                    self.values.extend(page);
                }
            }
            (Some(changes), _) => {
                self.values.retain(|value| !changes.removed.contains(value));
                self.values.extend(changes.present);
                self.version = changes.version;
            }
        }
        // Nobody changes it meanwhile: it is known now.
        let known = state.map(|state| (state.version, state.items_count)).unwrap_or_default();
        assert_eq!((self.version, self.values.len() as u64), known);
    }
}

/// What is in a list.
async fn held(store: &Store, list: ListId) -> BTreeSet<String> {
    let mut reader = store.reader().await.expect("reader");
    lists::values(&mut reader, list, "", 10_000).await.expect("values").into_iter().collect()
}

#[tokio::test]
async fn who_knows_a_version_needs_only_what_changed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let list = made(store, &tenant, "L").await.id;
        // One follows every change, one every third, one never but at the end.
        let (mut close, mut lazy, mut late) = (Follower::default(), Follower::default(), Follower::default());
        let names: Vec<String> = (0..12).map(|number| format!("d{number}.test")).collect();
        // Repeats, so that values come, go and come again, in an order that a little arithmetic makes.
        let mut dice = 7_u32;
        for step in 0..60 {
            let mut some = Vec::new();
            for _ in 0..4 {
                dice = dice.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                some.push(&*names[(dice >> 16) as usize % names.len()]);
            }
            if dice >> 8 & 1 == 0 {
                added(store, add(&tenant, list, &some, at(step))).await;
            } else {
                removed(store, remove(&tenant, list, &some, at(step))).await;
            }
            close.follow(store, list).await;
            assert_eq!(close.values, held(store, list).await, "step {step}");
            if step % 3 == 0 {
                lazy.follow(store, list).await;
                assert_eq!(lazy.values, held(store, list).await, "step {step}");
            }
        }
        late.follow(store, list).await;
        assert_eq!(late.values, held(store, list).await);
        assert_eq!((close.loads, lazy.loads, late.loads), (0, 0, 0), "nobody read everything");
    })
    .await;
}

#[tokio::test]
async fn removals_are_forgotten_after_a_while_and_who_knows_too_little_reads_everything() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let list = made(store, &tenant, "L").await.id;
        let values = ["a.test", "b.test", "c.test", "d.test", "e.test"];
        added(store, add(&tenant, list, &values, at(0))).await;
        let (mut old, mut newer) = (Follower::default(), Follower::default());
        old.follow(store, list).await;
        removed(store, remove(&tenant, list, &values[..3], at(10))).await;
        newer.follow(store, list).await;
        removed(store, remove(&tenant, list, &values[3..4], at(20))).await;

        let prune = |seconds, limit| PruneRemovals { before: at(seconds), limit };
        assert_eq!(store.run(prune(10, 100)).await.expect("prune"), 0, "none is older than that");
        assert_eq!(store.run(prune(20, 2)).await.expect("prune"), 2);
        assert_eq!(store.run(prune(20, 2)).await.expect("prune"), 1);
        assert_eq!(store.run(prune(20, 2)).await.expect("prune"), 0);
        const LEFT: &str = "SELECT count(*) FROM list_removals WHERE list_id = $1";
        assert_eq!(number(store, LEFT, params![list.uuid()]).await, 1);
        let mut reader = store.reader().await.expect("reader");
        let state = lists::state(&mut reader, list).await.expect("state").expect("list");
        assert_eq!((state.version, state.items_count), (3, 1));
        assert_eq!(lists::changes_since(&mut reader, list, 1, 100).await.expect("changes"), None, "some are forgotten");
        drop(reader);
        for (follower, loads) in [(&mut old, 1), (&mut newer, 0)] {
            follower.follow(store, list).await;
            assert_eq!(follower.values, BTreeSet::from(["e.test".to_owned()]));
            assert_eq!(follower.loads, loads);
        }
    })
    .await;
}

#[tokio::test]
async fn a_removed_list_holds_nothing_at_once_and_goes_a_little_at_a_time() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (gone, kept) = (made(store, &tenant, "gone").await.id, made(store, &tenant, "kept").await.id);
        let values: Vec<String> = (0..25).map(|number| format!("d{number}.test")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        for list in [gone, kept] {
            added(store, add(&tenant, list, &values, at(0))).await;
            removed(store, remove(&tenant, list, &values[..7], at(1))).await;
        }
        let removal = RemoveList { act: tenant.act(at(2)), application_id: tenant.application, id: gone };
        assert!(store.run(removal).await.expect("remove"));
        let mut reader = store.reader().await.expect("reader");
        assert_eq!(lists::state(&mut reader, gone).await.expect("state"), None);
        assert_eq!(lists::changes_since(&mut reader, gone, 0, 100).await.expect("changes"), None);
        let kept_state = lists::state(&mut reader, kept).await.expect("state").expect("list");
        assert_eq!((kept_state.version, kept_state.items_count), (2, 18));
        drop(reader);
        let late = store.run(add(&tenant, gone, &["x.test"], at(3))).await.expect("add");
        assert_eq!(late, ItemsOutcome::NotFound);

        const ROWS: &str = "SELECT (SELECT count(*) FROM list_items WHERE list_id = $1) \
            + (SELECT count(*) FROM list_removals WHERE list_id = $1)";
        let mut left = number(store, ROWS, params![gone.uuid()]).await;
        assert_eq!(left, 18 + 7);
        while store.run(PruneRemovedLists { limit: 4 }).await.expect("prune") {
            let now = number(store, ROWS, params![gone.uuid()]).await;
            assert!(left - now <= 8, "{} rows at once", left - now);
            left = now;
        }
        assert_eq!(left, 0);
        assert_eq!(number(store, "SELECT count(*) FROM removed_lists", &[]).await, 0);
        assert_eq!(number(store, ROWS, params![kept.uuid()]).await, 25);
    })
    .await;
}

#[tokio::test]
async fn lists_go_with_their_application() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let list = made(store, &tenant, "L").await.id;
        added(store, add(&tenant, list, &["a.test"], at(0))).await;
        let act = tenant.act(NOON.plus(Duration::from_secs(60)));
        let removal = RemoveApplication { id: tenant.application, scope: Scope::Of(tenant.organization), act };
        assert_eq!(store.run(removal).await.expect("remove"), RemoveOutcome::Removed);
        assert_eq!(find(store, &tenant, list).await, None);
        while store.run(PruneRemovedLists { limit: 10 }).await.expect("prune") {}
        assert_eq!(number(store, "SELECT count(*) FROM list_items", &[]).await, 0);
    })
    .await;
}
