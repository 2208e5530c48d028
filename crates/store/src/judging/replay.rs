//! Judging mail of the past twice: by the rules and lists that are in force, and by changed ones. Nothing is written.
//!
//! Lists are looked up where judging holds them in memory. Short ones that it does not hold are read first, and of long
//! ones each value is looked up in the database once. A list that is to be changed is the present one with values on top:
//! it is never copied.

use super::book::{Items, RuleBook};
use crate::engine::{Reader, Store};
use crate::error::StoreError;
use crate::lists;
use parking_lot::RwLock;
use postfleet_core::id::{ListId, WorkspaceId};
use postfleet_core::rule::{Compiled, Direction, Input, ItemSet, Judgement, Lookup, Rule, evaluate};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Items that are read at once.
const ITEMS_PER_ROUND: usize = 10_000;

/// Answers of the database that are remembered at once.
const KNOWN_MAX: usize = 500_000;

/// What is to be different about lists.
pub type Overlay = HashMap<ListId, ListChange>;

/// What is to be different about a list, in the one spelling of its kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListChange {
    /// What it has then.
    pub added: HashSet<String>,
    /// What it does not have then.
    pub removed: HashSet<String>,
}

/// The rules of a workspace, as they are and as they are to be.
#[derive(Clone, Debug)]
pub struct Sides {
    before: Compiled,
    /// None where the change touches neither a rule nor a list of the workspace.
    after: Option<Compiled>,
}

impl Sides {
    /// Of the rules as they are, as they are to be if that is different, and the lists as they are to be.
    pub fn new(before: Vec<Rule>, after: Option<Vec<Rule>>, overlay: &Overlay) -> Self {
        let before = Compiled::new(before, Direction::Outbound);
        let after = match after {
            Some(rules) => Some(Compiled::new(rules, Direction::Outbound)),
            None => before.lists().any(|list| overlay.contains_key(&list)).then(|| before.clone()),
        };
        Self { before, after }
    }
}

/// Judges messages anew.
pub struct Anew<'a> {
    store: &'a Store,
    overlay: &'a Overlay,
    /// Where the lists are that were met.
    lists: HashMap<ListId, Present>,
    /// How many items may still be read.
    room: u64,
    known: Known,
    known_count: usize,
}

/// Where the items of a list are.
enum Present {
    /// It is gone, and has none.
    Gone,
    /// They were read for this replay.
    Read(ItemSet),
    /// Judging holds them in memory; at this version they are those of the beginning.
    Held(Arc<RwLock<Items>>, u64),
    /// In the database alone.
    Stored,
}

/// What lists were found to have; none for what could not be told.
type Known = HashMap<ListId, HashMap<String, Option<bool>>>;

impl<'a> Anew<'a> {
    /// With lists as they are and as they are to be. Of lists that are not in memory at most `items_max` items are read,
    /// of all of them together.
    pub fn new(store: &'a Store, overlay: &'a Overlay, items_max: u64) -> Self {
        Self { store, overlay, lists: HashMap::new(), room: items_max, known: Known::new(), known_count: 0 }
    }

    /// Meets the lists of a workspace: once, before the first of its messages is judged.
    pub async fn prepare(
        &mut self,
        reader: &mut Reader<'_>,
        workspace: WorkspaceId,
        sides: &Sides,
    ) -> Result<(), StoreError> {
        for list in sides.before.lists().chain(sides.after.iter().flat_map(Compiled::lists)) {
            if !self.lists.contains_key(&list) {
                let present = self.meet(reader, list).await?;
                if matches!(present, Present::Stored) {
                    // For those who replay the next page, and for who judges what is sent.
                    self.book().want(workspace);
                    self.store.wake().rules.notify_one();
                }
                self.lists.insert(list, present);
            }
        }
        Ok(())
    }

    fn book(&self) -> &'a RuleBook {
        self.store.rule_book()
    }

    async fn meet(&mut self, reader: &mut Reader<'_>, list: ListId) -> Result<Present, StoreError> {
        let Some(state) = lists::state(reader, list).await? else { return Ok(Present::Gone) };
        if let Some(items) = self.book().items_of(list).filter(|items| items.read().version == state.version) {
            return Ok(Present::Held(items, state.version));
        }
        if state.items_count > self.room {
            return Ok(Present::Stored);
        }
        self.room -= state.items_count;
        let (mut set, mut after) = (self.book().empty_set(), String::new());
        loop {
            let values = lists::values(reader, list, &after, ITEMS_PER_ROUND).await?;
            values.iter().for_each(|value| {
                set.insert(value);
            });
            match values.into_iter().next_back() {
                Some(last) => after = last,
                None => return Ok(Present::Read(set)),
            }
        }
    }

    /// Judges a message by the rules as they are, and as they are to be if that can be different.
    pub async fn judge(
        &mut self,
        reader: &mut Reader<'_>,
        sides: &Sides,
        input: &Input,
    ) -> Result<(Judgement, Option<Judgement>), StoreError> {
        loop {
            // What is not at hand counts as unknown at first, so that only what matters is looked up.
            let mut missing = Vec::new();
            let before = evaluate(&sides.before, input, &mut self.lookup(None, &mut missing));
            let with_overlay = |after| evaluate(after, input, &mut self.lookup(Some(self.overlay), &mut missing));
            let after = sides.after.as_ref().map(with_overlay);
            if missing.is_empty() {
                return Ok((before, after));
            }
            self.look_up(reader, missing).await?;
        }
    }

    fn lookup<'b>(&'b self, overlay: Option<&'b Overlay>, missing: &'b mut Vec<(ListId, String)>) -> AtHand<'b> {
        AtHand { lists: &self.lists, known: &self.known, overlay, missing }
    }

    async fn look_up(&mut self, reader: &mut Reader<'_>, missing: Vec<(ListId, String)>) -> Result<(), StoreError> {
        if self.known_count + missing.len() > KNOWN_MAX {
            self.known.clear();
            self.known_count = 0;
        }
        for (list, value) in missing {
            let answer = match lists::has(reader, list, &value).await {
                Ok(answer) => Some(answer),
                Err(StoreError::Fault(cause)) => {
                    tracing::error!(cause, "a lookup of rules failed");
                    None
                }
                Err(error) => return Err(error),
            };
            self.known.entry(list).or_default().insert(value, answer);
            self.known_count += 1;
        }
        Ok(())
    }
}

/// What is known without asking the database.
struct AtHand<'a> {
    lists: &'a HashMap<ListId, Present>,
    known: &'a Known,
    overlay: Option<&'a Overlay>,
    missing: &'a mut Vec<(ListId, String)>,
}

/// Why something is not known: it was not looked up, or that failed.
struct Unknown;

impl Lookup for AtHand<'_> {
    type Error = Unknown;

    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, Unknown> {
        let present = self.lists.get(&list).unwrap_or(&Present::Gone);
        if matches!(present, Present::Gone) {
            return Ok(false);
        }
        if let Some(change) = self.overlay.and_then(|overlay| overlay.get(&list)) {
            if change.added.contains(value) {
                return Ok(true);
            }
            if change.removed.contains(value) {
                return Ok(false);
            }
        }
        match present {
            Present::Gone => Ok(false),
            Present::Read(set) => Ok(set.contains(value)),
            Present::Held(items, version) => {
                let items = items.read();
                if items.version == *version { Ok(items.set.contains(value)) } else { self.stored(list, value) }
            }
            Present::Stored => self.stored(list, value),
        }
    }
}

impl AtHand<'_> {
    fn stored(&mut self, list: ListId, value: &str) -> Result<bool, Unknown> {
        match self.known.get(&list).and_then(|values| values.get(value)) {
            Some(answer) => answer.ok_or(Unknown),
            None => {
                self.missing.push((list, value.to_owned()));
                Err(Unknown)
            }
        }
    }
}
