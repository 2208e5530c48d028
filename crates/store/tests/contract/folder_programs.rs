//! Counts of folders after random programs: what is filed, moved, marked, deleted, drafted and sent, and folders that come and go,
//! by the store and by a model that keeps nothing but which message is where. In the end, and
//! once all folders that are gone are empty, counts of all folders, listings and storage are those of the rows.

use crate::metadata;
use crate::support::{Engine, NOON, Tenant, fresh, listed, number, tenant};
use postfleet_core::UnixMicros;
use postfleet_core::id::{AuditId, EventId, FolderId, GrantId, MessageId};
use postfleet_store::drafts::{CreateDraft, CreateOutcome, DeleteDraft};
use postfleet_store::folders::{CreateFolder, DeleteFolder, Emptied, EmptyFolder, FolderOutcome, RenameFolder, counts};
use postfleet_store::outbound::Submit;
use postfleet_store::purge::{DeleteMessage, DeleteOutcome};
use postfleet_store::refile::{UpdateMessage, UpdateOutcome};
use postfleet_store::{Store, params, recount};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const STEPS_MAX: usize = 24;

/// One step. Numbers choose among what there is at that moment.
#[derive(Clone, Debug)]
enum Step {
    Receive,
    Send,
    Draft,
    DropDraft(usize),
    /// Into system folders and own ones, by id or by name; a folder that is gone is refused.
    Move(usize, Vec<usize>, bool),
    Mark(usize, bool),
    Delete(usize, bool),
    Make(usize),
    Rename(usize, usize),
    Remove(usize, bool),
    Empty(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let places = prop::collection::vec(0..8_usize, 1..4);
    prop_oneof![
        6 => Just(Step::Receive),
        2 => Just(Step::Send),
        2 => Just(Step::Draft),
        1 => (0..4_usize).prop_map(Step::DropDraft),
        8 => (0..12_usize, places, any::<bool>()).prop_map(|(which, to, by_name)| Step::Move(which, to, by_name)),
        3 => (0..12_usize, any::<bool>()).prop_map(|(which, unread)| Step::Mark(which, unread)),
        4 => (0..12_usize, any::<bool>()).prop_map(|(which, hard)| Step::Delete(which, hard)),
        4 => (0..4_usize).prop_map(Step::Make),
        1 => (0..4_usize, 0..4_usize).prop_map(|(which, name)| Step::Rename(which, name)),
        2 => (0..4_usize, any::<bool>()).prop_map(|(which, hard)| Step::Remove(which, hard)),
        3 => (1..3_usize).prop_map(Step::Empty),
    ]
}

/// A message as the model knows it.
#[derive(Clone, Debug)]
struct Kept {
    folders: BTreeSet<String>,
    unread: bool,
    octets: i64,
    date: UnixMicros,
}

/// A program on its way through both.
struct Run<'a> {
    store: &'a Store,
    tenant: Tenant,
    grant: GrantId,
    now: UnixMicros,
    messages: BTreeMap<MessageId, Kept>,
    drafts: BTreeMap<MessageId, i64>,
    folders: BTreeMap<FolderId, String>,
    removed: Vec<(FolderId, bool)>,
}

type Compared = Result<(), String>;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, store: T, model: T) -> Compared {
    (store == model).then_some(()).ok_or_else(|| format!("{what}: the store says {store:?}, the model {model:?}"))
}

fn pick<K: Copy + Ord, V>(things: &BTreeMap<K, V>, index: usize) -> Option<K> {
    things.keys().nth(index % things.len().max(1)).copied()
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Compared {
        self.now = self.now.plus(Duration::from_secs(1));
        match step {
            Step::Receive => self.receive().await,
            Step::Send => self.send().await,
            Step::Draft => self.draft().await,
            Step::DropDraft(which) => self.drop_draft(*which).await,
            Step::Move(which, to, by_name) => self.refile(*which, to, *by_name).await,
            Step::Mark(which, unread) => self.mark(*which, *unread).await,
            Step::Delete(which, hard) => self.delete(*which, *hard).await,
            Step::Make(name) => self.make(*name).await,
            Step::Rename(which, name) => self.rename(*which, *name).await,
            Step::Remove(which, hard) => self.remove(*which, *hard).await,
            Step::Empty(limit) => self.empty(*limit).await,
        }
    }

    fn keep(&mut self, id: MessageId, folder: &str, unread: bool, octets: u64) {
        let folders = BTreeSet::from([folder.to_owned()]);
        self.messages.insert(id, Kept { folders, unread, octets: octets as i64, date: self.now });
    }

    async fn receive(&mut self) -> Compared {
        let command = self.tenant.received(self.store, &[self.grant], self.now).await;
        let octets = command.facts.octets;
        let id = self.store.run(command).await.expect("deliver").expect("room")[0];
        self.keep(id, "inbox", true, octets);
        Ok(())
    }

    async fn send(&mut self) -> Compared {
        let command = self.tenant.submission(self.store, self.grant, 1, self.now).await;
        let (id, octets) = (command.copy.message_id, command.facts.octets);
        self.store.run(command).await.expect("submit");
        self.keep(id, "sent", false, octets);
        Ok(())
    }

    async fn draft(&mut self) -> Compared {
        let Submit { blob, mut facts, copy, .. } = self.tenant.submission(self.store, self.grant, 1, self.now).await;
        (facts.folder, facts.unread) = ("drafts", false);
        let octets = facts.octets as i64;
        let create = CreateDraft { blob, facts, copy, thread_id: None, starred: false, schedule: None, answer: None };
        let outcome = self.store.run(create).await.expect("draft");
        self.drafts.insert(copy.message_id, octets);
        same("draft", matches!(outcome, CreateOutcome::Created(_)), true)
    }

    async fn drop_draft(&mut self, which: usize) -> Compared {
        let Some(id) = pick(&self.drafts, which) else { return Ok(()) };
        // As a message it is not deleted.
        let outcome = self.store.run(self.deletion(id, true)).await.expect("delete");
        same("a draft is no message", outcome, DeleteOutcome::Gone)?;
        let command = DeleteDraft {
            application_id: self.tenant.application,
            grant_id: self.grant,
            id,
            event_id: EventId::from_uuid(fresh()),
            audit_id: AuditId::from_uuid(fresh()),
            at: self.now,
        };
        self.drafts.remove(&id);
        same("drop", self.store.run(command).await.expect("drop"), true)
    }

    fn change(&self, id: MessageId) -> UpdateMessage {
        UpdateMessage::nothing((self.tenant.application, self.grant, id), EventId::from_uuid(fresh()), self.now)
    }

    async fn refile(&mut self, which: usize, to: &[usize], by_name: bool) -> Compared {
        const SYSTEM: [&str; 4] = ["inbox", "archive", "trash", "junk"];
        let Some(id) = pick(&self.messages, which) else { return Ok(()) };
        let (mut named, mut ids, mut is_known) = (Vec::new(), BTreeSet::new(), true);
        for place in to {
            if let Some(folder) = SYSTEM.get(*place) {
                named.push((*folder).to_uppercase());
                ids.insert((*folder).to_owned());
            } else if let Some(folder) = pick(&self.folders, *place) {
                named.push(if by_name { self.folders[&folder].to_uppercase() } else { folder.to_string() });
                ids.insert(folder.to_string());
            } else if let Some((folder, _)) = self.removed.first() {
                named.push(folder.to_string());
                is_known = false;
            }
        }
        if named.is_empty() {
            return Ok(());
        }
        let outcome = self.store.run(UpdateMessage { folders: Some(named), ..self.change(id) }).await.expect("move");
        if is_known {
            self.messages.get_mut(&id).expect("message").folders = ids;
        }
        same("move", outcome == UpdateOutcome::Done, is_known)
    }

    async fn mark(&mut self, which: usize, unread: bool) -> Compared {
        let Some(id) = pick(&self.messages, which) else { return Ok(()) };
        let (answered, metadata) = (Some(unread), Some(BTreeMap::from([("k".to_owned(), unread.to_string())])));
        let command = UpdateMessage { unread: Some(unread), answered, metadata, ..self.change(id) };
        self.messages.get_mut(&id).expect("message").unread = unread;
        same("mark", self.store.run(command).await.expect("mark"), UpdateOutcome::Done)
    }

    fn deletion(&self, id: MessageId, hard: bool) -> DeleteMessage {
        let (application_id, grant_id) = (self.tenant.application, self.grant);
        DeleteMessage { application_id, grant_id, id, hard, event_seed: [3; 32], at: self.now }
    }

    async fn delete(&mut self, which: usize, hard: bool) -> Compared {
        let Some(id) = pick(&self.messages, which) else { return Ok(()) };
        let trash = BTreeSet::from(["trash".to_owned()]);
        let purges = hard || self.messages[&id].folders == trash;
        let expected = if purges { DeleteOutcome::Purged } else { DeleteOutcome::Trashed };
        same("delete", self.store.run(self.deletion(id, hard)).await.expect("delete"), expected)?;
        if purges {
            self.messages.remove(&id);
            return same("again", self.store.run(self.deletion(id, hard)).await.expect("again"), DeleteOutcome::Gone);
        }
        self.messages.get_mut(&id).expect("message").folders = trash;
        Ok(())
    }

    async fn make(&mut self, name: usize) -> Compared {
        let (id, name) = (FolderId::from_uuid(fresh()), format!("Folder {name}"));
        let command = CreateFolder {
            application_id: self.tenant.application,
            grant_id: self.grant,
            id,
            name: name.clone(),
            event_id: EventId::from_uuid(fresh()),
            at: self.now,
        };
        let is_free = self.folders.values().all(|taken| *taken != name);
        let outcome = self.store.run(command).await.expect("make");
        if is_free {
            self.folders.insert(id, name);
        }
        same("make", matches!(outcome, FolderOutcome::Done(_)), is_free)
    }

    async fn rename(&mut self, which: usize, name: usize) -> Compared {
        let Some(id) = pick(&self.folders, which) else { return Ok(()) };
        let name = format!("Folder {name}");
        let is_free = self.folders.iter().all(|(other, taken)| *other == id || *taken != name);
        let command = RenameFolder {
            application_id: self.tenant.application,
            grant_id: self.grant,
            folder: id.to_string(),
            name: name.clone(),
            event_id: EventId::from_uuid(fresh()),
            at: self.now,
        };
        let outcome = self.store.run(command).await.expect("rename");
        if is_free {
            self.folders.insert(id, name);
        }
        same("rename", matches!(outcome, FolderOutcome::Done(_)), is_free)
    }

    async fn remove(&mut self, which: usize, hard: bool) -> Compared {
        let Some(id) = pick(&self.folders, which) else { return Ok(()) };
        let command = DeleteFolder {
            application_id: self.tenant.application,
            grant_id: self.grant,
            folder: id.to_string(),
            hard,
            event_id: EventId::from_uuid(fresh()),
            at: self.now,
        };
        self.folders.remove(&id);
        self.removed.push((id, hard));
        same("remove", self.store.run(command.clone()).await.expect("remove"), Some(id))?;
        same("remove again", self.store.run(command).await.expect("remove"), None)
    }

    /// Some messages at a time, the oldest first.
    async fn empty(&mut self, limit: usize) -> Compared {
        let Some((folder, hard)) = self.removed.first().copied() else { return Ok(()) };
        let name = folder.to_string();
        let mut inside: Vec<_> = self.messages.iter().filter(|(_, kept)| kept.folders.contains(&name)).collect();
        inside.sort_by_key(|(id, kept)| (kept.date, **id));
        let taken: Vec<MessageId> = inside.iter().take(limit).map(|(id, _)| **id).collect();
        let is_last = taken.len() < limit;
        let command = EmptyFolder { folder: Some((self.grant, folder)), limit, event_seed: [5; 32], at: self.now };
        same("empty", self.store.run(command).await.expect("empty"), Emptied::More)?;
        for id in taken {
            let kept = self.messages.get_mut(&id).expect("message");
            kept.folders.remove(&name);
            if kept.folders.is_empty() && hard {
                self.messages.remove(&id);
            } else if kept.folders.is_empty() {
                kept.folders.insert("trash".to_owned());
            }
        }
        if is_last {
            self.removed.remove(0);
        }
        Ok(())
    }

    /// What is stored beside what the model has.
    async fn compare(&self) -> Compared {
        let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for kept in self.messages.values() {
            for folder in &kept.folders {
                let (total, unread) = expected.entry(folder.clone()).or_default();
                (*total, *unread) = (*total + 1, *unread + u64::from(kept.unread));
            }
        }
        if !self.drafts.is_empty() {
            expected.insert("drafts".to_owned(), (self.drafts.len() as u64, 0));
        }
        let mut reader = self.store.reader().await.expect("reader");
        let counted = counts(&mut reader, self.grant).await.expect("counts").into_iter();
        let counted = counted.map(|one| (one.folder, (one.total, one.unread)));
        same("counts", counted.filter(|(_, held)| *held != (0, 0)).collect(), expected.clone())?;
        drop(reader);
        for (folder, (total, unread)) in expected {
            let rows = listed(self.store, self.grant, &folder).await;
            let held = (rows.len() as u64, rows.iter().filter(|row| row.unread).count() as u64);
            same(&format!("rows of {folder}"), held, (total, unread))?;
        }
        same("rows", listed(self.store, self.grant, "").await.len(), self.messages.len())?;
        const LISTINGS: &str = "SELECT count(*) FROM listings WHERE grant_id = $1";
        let listings: usize = self.messages.values().map(|kept| kept.folders.len() + 1).sum();
        let found = number(self.store, LISTINGS, params![self.grant.uuid()]).await;
        same("listings", found, (listings + self.drafts.len()) as i64)?;
        const STORED: &str = "SELECT storage_octets FROM mailboxes WHERE grant_id = $1";
        let octets: i64 = self.messages.values().map(|kept| kept.octets).chain(self.drafts.values().copied()).sum();
        same("storage", number(self.store, STORED, params![self.grant.uuid()]).await, octets)?;
        const THREADS: &str = "SELECT count(*) FROM threads WHERE grant_id = $1";
        const OF_MESSAGES: &str = "SELECT count(DISTINCT thread_id) FROM messages WHERE grant_id = $1";
        let threads = number(self.store, THREADS, params![self.grant.uuid()]).await;
        same("threads", threads, number(self.store, OF_MESSAGES, params![self.grant.uuid()]).await)?;
        let (kept, expected) = metadata::kept(self.store, self.grant).await;
        same("pairs", kept, expected)
    }
}

async fn compare(store: &Store, tenant: &Tenant, program: &[Step], number: u64) -> Compared {
    let (messages, drafts, folders, removed) = Default::default();
    let grant = tenant.mailbox(store, &format!("box{number}")).await;
    let mut run = Run { store, tenant: tenant.clone(), grant, now: NOON, messages, drafts, folders, removed };
    for step in program {
        run.step(step).await?;
    }
    run.compare().await?;
    while !run.removed.is_empty() {
        run.empty(2).await?;
    }
    run.compare().await
}

fn check(engine: Option<Engine>, runtime: &tokio::runtime::Runtime, cases: u32) {
    let Some(engine) = engine else { return };
    let tenant = runtime.block_on(tenant(&engine.store, "self_hosted", None));
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let count = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..STEPS_MAX), |program| {
        count.set(count.get() + 1);
        runtime.block_on(compare(&engine.store, &tenant, &program, count.get())).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, program)) => panic!("{why}\nafter {program:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let recounted = recount::of_organization(&engine.store, tenant.organization, NOON);
    let drift = runtime.block_on(recounted).expect("recount").expect("an organization").drift;
    assert!(drift.is_empty(), "{drift:?}");
    println!("{} programs", count.get());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime")
}

#[test]
fn counts_equal_rows_after_a_thousand_programs_on_sqlite() {
    let runtime = runtime();
    check(Some(runtime.block_on(Engine::sqlite())), &runtime, 1_000);
}

#[test]
fn counts_equal_rows_after_a_thousand_programs_on_postgres() {
    let runtime = runtime();
    check(runtime.block_on(Engine::postgres()), &runtime, 1_000);
}
