//! Judging mail of the past twice: by the rules and lists that are in force, and by changed ones. Nothing is written.
//!
//! Lists are looked up where judging holds them in memory, and in the database otherwise; what was looked up is
//! remembered. So both judgements of a message, and those of all messages of one replay, see a list in one state. A list
//! that is to be changed is the present one with values on top: it is never copied.

use super::book::RuleBook;
use crate::engine::{Reader, Store};
use crate::error::StoreError;
use crate::lists;
use postfleet_core::id::ListId;
use postfleet_core::rule::{Compiled, Direction, Input, Judgement, Lookup, Rule, evaluate};
use std::collections::{HashMap, HashSet};

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
    book: &'a RuleBook,
    overlay: &'a Overlay,
    /// The versions of the lists that were met; none of those that are gone.
    versions: HashMap<ListId, Option<u64>>,
    known: Known,
    known_count: usize,
}

/// What lists were found to have; none for what could not be told.
type Known = HashMap<ListId, HashMap<String, Option<bool>>>;

impl<'a> Anew<'a> {
    /// With lists as they are and as they are to be.
    pub fn new(store: &'a Store, overlay: &'a Overlay) -> Self {
        Self { book: store.rule_book(), overlay, versions: HashMap::new(), known: Known::new(), known_count: 0 }
    }

    /// Meets the lists of a workspace: once, before the first of its messages is judged.
    pub async fn prepare(&mut self, reader: &mut Reader<'_>, sides: &Sides) -> Result<(), StoreError> {
        for list in sides.before.lists().chain(sides.after.iter().flat_map(Compiled::lists)) {
            if !self.versions.contains_key(&list) {
                let state = lists::state(reader, list).await?;
                self.versions.insert(list, state.map(|state| state.version));
            }
        }
        Ok(())
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
        AtHand { book: self.book, versions: &self.versions, known: &self.known, overlay, missing }
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
    book: &'a RuleBook,
    versions: &'a HashMap<ListId, Option<u64>>,
    known: &'a Known,
    overlay: Option<&'a Overlay>,
    missing: &'a mut Vec<(ListId, String)>,
}

/// Why something is not known: it was not looked up, or that failed.
struct Unknown;

impl Lookup for AtHand<'_> {
    type Error = Unknown;

    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, Unknown> {
        let Some(version) = self.versions.get(&list).copied().flatten() else { return Ok(false) };
        if let Some(change) = self.overlay.and_then(|overlay| overlay.get(&list)) {
            if change.added.contains(value) {
                return Ok(true);
            }
            if change.removed.contains(value) {
                return Ok(false);
            }
        }
        // First what was answered already, so that a list that changes meanwhile stays what it was as far as it can.
        match self.known.get(&list).and_then(|values| values.get(value)) {
            Some(answer) => answer.ok_or(Unknown),
            None => match self.book.contains(list, version, value) {
                Some(answer) => Ok(answer),
                None => {
                    self.missing.push((list, value.to_owned()));
                    Err(Unknown)
                }
            },
        }
    }
}
