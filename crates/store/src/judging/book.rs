//! What is held in memory: compiled rules of workspaces, and the items of the lists that they look up.

use crate::db::{DbError, Row};
use crate::lists::Changes;
use crate::rules::definition::{read_actions, read_conditions};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use postfleet_core::id::{ListId, RuleId, WorkspaceId};
use postfleet_core::rule::{Compiled, Direction, ItemHasher, ItemSet, MatchOperator, Mode, Rule};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Workspaces whose rules are held at once; those that were not needed for longest go first.
const WORKSPACES_MAX: usize = 10_000;

/// Items of all lists together that are held at once: about 190 MB. Lists beyond are looked up in the database.
const ITEMS_MAX: usize = 8_000_000;

/// What judging holds in memory. A node has one.
#[derive(Debug)]
pub struct RuleBook {
    hasher: ItemHasher,
    /// Goes up with every use of a page.
    uses: AtomicU64,
    pages: RwLock<HashMap<WorkspaceId, Arc<Page>>>,
    lists: RwLock<HashMap<ListId, Arc<RwLock<Items>>>>,
    /// Workspaces that were judged without a page.
    wanted: Mutex<HashSet<WorkspaceId>>,
    /// What is being read into memory.
    pub(super) loading: Mutex<HashMap<ListId, Loading>>,
}

/// The rules of a workspace.
#[derive(Debug)]
pub(super) struct Page {
    /// The version of the application's rules.
    pub version: i64,
    outbound: Compiled,
    inbound: Compiled,
    /// Those of them that can refuse a sender before the message is there.
    at_rcpt: Compiled,
    /// The versions of the lists at that version of the rules; of lists that are gone, none. Not known where the page
    /// was made in a transaction.
    pub lists: Option<HashMap<ListId, u64>>,
    used: AtomicU64,
}

/// The items of a list.
#[derive(Debug)]
pub(super) struct Items {
    pub version: u64,
    pub set: ItemSet,
}

/// Items of a list that are read a little at a time.
#[derive(Debug)]
pub(super) struct Loading {
    /// The list's version when it was begun: what changed since is read at the end.
    pub version: u64,
    pub set: ItemSet,
    /// The last value that was read.
    pub after: String,
}

impl Default for RuleBook {
    fn default() -> Self {
        // The key is chance, and need be known nowhere else.
        let chance = RandomState::new();
        Self {
            hasher: ItemHasher::new([chance.hash_one(0), chance.hash_one(1)]),
            uses: AtomicU64::default(),
            pages: RwLock::default(),
            lists: RwLock::default(),
            wanted: Mutex::default(),
            loading: Mutex::default(),
        }
    }
}

impl RuleBook {
    /// How many workspaces' rules are in memory.
    pub fn pages(&self) -> usize {
        self.pages.read().len()
    }

    /// How many items of lists are in memory.
    pub fn items(&self) -> usize {
        self.lists.read().values().map(|items| items.read().set.len()).sum()
    }

    /// The rules of a workspace, if they are known at that version.
    pub(super) fn page(&self, workspace: WorkspaceId, version: i64) -> Option<Arc<Page>> {
        let page = self.pages.read().get(&workspace).filter(|page| page.version == version).cloned()?;
        page.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(page)
    }

    /// Whether a list has a value, if its items are known at that version.
    pub(super) fn contains(&self, list: ListId, version: u64, value: &str) -> Option<bool> {
        let lists = self.lists.read();
        let items = lists.get(&list)?.read();
        (items.version == version).then(|| items.set.contains(value))
    }

    /// Asks for the rules of a workspace. Only a hint: a transaction that is taken back may give it as well.
    pub(super) fn want(&self, workspace: WorkspaceId) {
        self.wanted.lock().insert(workspace);
    }

    /// The next workspace whose rules are asked for.
    pub(super) fn next_wanted(&self) -> Option<WorkspaceId> {
        let mut wanted = self.wanted.lock();
        let next = wanted.iter().next().copied()?;
        wanted.remove(&next);
        Some(next)
    }

    /// Keeps what was read of a workspace, and forgets lists that no workspace needs any more.
    pub(super) fn keep(&self, workspace: WorkspaceId, page: Page) {
        let mut pages = self.pages.write();
        page.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        if pages.len() >= WORKSPACES_MAX && !pages.contains_key(&workspace) {
            let oldest = pages.iter().min_by_key(|(_, page)| page.used.load(Ordering::Relaxed)).map(|(id, _)| *id);
            oldest.map(|id| pages.remove(&id));
        }
        pages.insert(workspace, Arc::new(page));
        // Nobody who judges waits for the rest.
        let pages = RwLockWriteGuard::downgrade(pages);
        let needed: HashSet<ListId> =
            pages.values().flat_map(|page| page.lists.iter().flat_map(HashMap::keys)).copied().collect();
        self.lists.write().retain(|id, _| needed.contains(id));
        self.loading.lock().retain(|id, _| needed.contains(id));
    }

    /// Forgets a workspace that is gone.
    pub(super) fn forget(&self, workspace: WorkspaceId) {
        self.pages.write().remove(&workspace);
    }

    /// A list whose items some workspace needs and which are not known at the version that it needs.
    pub(super) fn next_stale(&self, passed_over: &HashSet<ListId>) -> Option<ListId> {
        let pages = self.pages.read();
        let needed = pages.values().flat_map(|page| page.lists.iter().flatten());
        let lists = self.lists.read();
        let is_stale = |id: &ListId, version: u64| lists.get(id).is_none_or(|items| items.read().version < version);
        needed
            .filter(|(id, _)| !passed_over.contains(id))
            .find(|(id, version)| is_stale(id, **version))
            .map(|(id, _)| *id)
    }

    /// The items of a list as far as they are known.
    pub(super) fn items_of(&self, list: ListId) -> Option<Arc<RwLock<Items>>> {
        self.lists.read().get(&list).cloned()
    }

    pub(super) fn put_items(&self, list: ListId, items: Items) {
        self.lists.write().insert(list, Arc::new(RwLock::new(items)));
    }

    pub(super) fn drop_items(&self, list: ListId) {
        self.lists.write().remove(&list);
    }

    pub(super) fn empty_set(&self) -> ItemSet {
        ItemSet::new(self.hasher)
    }

    /// Whether so many items more may be held.
    pub(super) fn has_room_for(&self, items: u64) -> bool {
        self.items() as u64 + items <= ITEMS_MAX as u64
    }
}

impl Items {
    /// Takes over what changed since the version that is known.
    pub fn follow(&mut self, changes: &Changes) {
        // What was removed and added again is among both.
        for value in &changes.removed {
            self.set.remove(value);
        }
        for value in &changes.present {
            self.set.insert(value);
        }
        self.version = changes.version;
    }
}

impl Page {
    /// Reads the rows of `RULES`: the version of the application's rules, then of each rule its columns. The lists are
    /// added by who may know their versions.
    pub fn read(rows: &[Row]) -> Result<Option<Self>, DbError> {
        let Some(first) = rows.first() else { return Ok(None) };
        let version = first.int(0)?;
        let mut rules = Vec::new();
        for row in rows {
            // A workspace without rules has one row, with nothing in it; what is disabled is not looked at.
            if row.opt_uuid(1)?.is_some() && row.flag(3)? {
                rules.push(read_rule(row)?);
            }
        }
        let outbound = Compiled::new(rules.iter().cloned(), Direction::Outbound);
        let at_rcpt = Compiled::at_rcpt(rules.iter().cloned());
        let inbound = Compiled::new(rules, Direction::Inbound);
        Ok(Some(Self { version, outbound, inbound, at_rcpt, lists: None, used: AtomicU64::default() }))
    }

    pub fn compiled(&self, direction: Direction) -> &Compiled {
        match direction {
            Direction::Outbound => &self.outbound,
            Direction::Inbound => &self.inbound,
        }
    }

    /// Those that can refuse a sender before the message is there.
    pub fn at_rcpt(&self) -> &Compiled {
        &self.at_rcpt
    }

    /// The lists that are looked up.
    pub fn list_ids(&self) -> impl Iterator<Item = ListId> {
        self.outbound.lists().chain(self.inbound.lists())
    }
}

fn read_rule(row: &Row) -> Result<Rule, DbError> {
    let malformed = || DbError::Malformed("rule");
    Ok(Rule {
        id: RuleId::from_uuid(row.uuid(1)?),
        priority: u16::try_from(row.int(2)?).map_err(|_| malformed())?,
        is_enabled: row.flag(3)?,
        mode: Mode::named(row.str(4)?).ok_or_else(malformed)?,
        direction: Direction::named(row.str(5)?).ok_or_else(malformed)?,
        match_operator: MatchOperator::named(row.str(6)?).ok_or_else(malformed)?,
        conditions: read_conditions(row.str(7)?)?,
        actions: read_actions(row.str(8)?)?,
    })
}
