//! What is to be done so that a server has what a fleet file says: ordered steps, each of which is one change that can
//! stand by itself. Whatever prefix of them was carried out, a new plan from there ends in the same state.

use super::document::{BREAKERS, Document, Entry, Habit, Section};
use super::fault::{Fault, did_you_mean};
use super::read_rule::unfit_for_inbound;
use super::spelling;
use super::state::{Held, State};
use postfleet_core::list::ListKind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Faults that say which name may have been meant.
const HINTS_MAX: usize = 100;

/// The steps, and what is left alone.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// In the order in which they must be done.
    pub steps: Vec<Step>,
    /// What the server has in managed sections and the file does not name, and that stays.
    pub unmentioned: Vec<(Section, String)>,
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// What kind of thing it changes.
    pub section: Section,
    /// Which one.
    pub key: String,
    /// How.
    pub change: Change,
}

/// How a thing changes.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// It is made, with these fields.
    Create(BTreeMap<String, Value>),
    /// Fields of it are changed.
    Update(Vec<FieldChange>),
    /// Items are put into a list and taken out of it.
    Items {
        /// New ones.
        added: Vec<String>,
        /// Those that go.
        removed: Vec<String>,
    },
    /// It is removed.
    Delete,
}

/// What becomes of a field.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldChange {
    /// The field.
    pub field: String,
    /// What the server has; nothing is known of a thing that is still to be made.
    pub before: Option<Value>,
    /// What it is to have.
    pub after: Value,
}

/// Plans how a server gets from its state to what the file says. `prune` are the sections of which things that the file
/// does not name are deleted.
pub fn plan(document: &Document, state: &State, prune: &BTreeSet<Section>) -> Result<Plan, Vec<Fault>> {
    let mut planner = Planner { document, state, prune, plan: Plan::default(), faults: Vec::new() };
    planner.references();
    for section in document.sections.keys() {
        planner.section(*section);
    }
    for section in document.sections.keys().rev() {
        planner.deletions(*section);
    }
    if planner.faults.is_empty() {
        return Ok(planner.plan);
    }
    planner.faults.sort_by_key(|fault| fault.at);
    Err(planner.faults)
}

struct Planner<'a> {
    document: &'a Document,
    state: &'a State,
    prune: &'a BTreeSet<Section>,
    plan: Plan,
    faults: Vec<Fault>,
}

impl<'a> Planner<'a> {
    fn entries(&self, section: Section) -> &'a [Entry] {
        self.document.sections.get(&section).map(Vec::as_slice).unwrap_or_default()
    }

    fn step(&mut self, section: Section, key: &str, change: Change) {
        self.plan.steps.push(Step { section, key: key.to_owned(), change });
    }

    /// Every name must be that of one thing, in the file or at the server, that will still be there.
    fn references(&mut self) {
        for section in self.document.referenced() {
            let mut known: BTreeSet<&str> = self.entries(section).iter().map(|entry| entry.key.as_str()).collect();
            let twice = self.state.twice(section);
            if !self.prune.contains(&section) {
                known.extend(self.state.of(section).iter().map(|held| held.key.as_str()));
            }
            let defaults = self.state.of(section).iter().filter(|held| held.is_default);
            known.extend(defaults.map(|held| held.key.as_str()));
            let entries = self.document.sections.values().flatten();
            for reference in
                entries.flat_map(|entry| &entry.references).filter(|reference| reference.section == section)
            {
                let name = reference.name.as_str();
                let text = match twice.get(name) {
                    Some(count) => format!("the server has {count} {} named {name}: rename one first", section.name()),
                    None if known.contains(name) => continue,
                    // Looking for the nearest of many names takes its time.
                    None if self.faults.len() >= HINTS_MAX => format!("no {} is named {name}", section.one()),
                    None => {
                        format!("no {} is named {name}{}", section.one(), did_you_mean(name, known.iter().copied()))
                    }
                };
                self.faults.push(Fault::new(reference.at, reference.path.clone(), text));
            }
        }
    }

    fn section(&mut self, section: Section) {
        let twice = self.state.twice(section);
        let held: BTreeMap<&str, &Held> = self.state.of(section).iter().map(|held| (held.key.as_str(), held)).collect();
        let (mut changes, mut items) = (Vec::new(), Vec::new());
        for entry in self.entries(section) {
            if let Some(count) = twice.get(entry.key.as_str()) {
                let text = format!("the server has {count} {} named {}: rename one first", section.name(), entry.key);
                self.faults.push(Fault::new(entry.at, format!("{}.{}", entry.path, section.key_field()), text));
                continue;
            }
            let held = held.get(entry.key.as_str()).copied();
            match held {
                None => changes.extend(self.create(section, entry)),
                Some(held) => {
                    let fields = self.differences(section, entry, held);
                    if !fields.is_empty() {
                        changes.push((entry.key.as_str(), Change::Update(fields)));
                    }
                }
            }
            items.extend(self.item_changes(entry, held).map(|change| (entry.key.as_str(), change)));
        }
        for (key, change) in changes.into_iter().chain(items) {
            self.step(section, key, change);
        }
    }

    fn create(&mut self, section: Section, entry: &'a Entry) -> Vec<(&'a str, Change)> {
        for field in section.fields() {
            let is_needed = matches!(field.habit, Habit::Needed | Habit::NeededAndFixed);
            if is_needed && !entry.fields.contains_key(field.name) {
                let text = format!("missing: there is no {} {} yet, and a new one needs it", section.one(), entry.key);
                self.faults.push(Fault::new(entry.at, format!("{}.{}", entry.path, field.name), text));
            }
        }
        if section == Section::Rules && !entry.fields.contains_key("trigger") {
            // A new rule that says nothing about it is about what arrives.
            self.faults.extend(unfit_for_inbound(entry));
        }
        // What is new has none.
        let is_none =
            |(field, value): &(&String, &Value)| *field == BREAKERS && value.as_array().is_some_and(Vec::is_empty);
        let is_later = |(field, value): &(&String, &Value)| is_only_changed(section, field, value);
        let (later, fields): (Vec<_>, Vec<_>) = entry.fields.iter().filter(|field| !is_none(field)).partition(is_later);
        let fields = fields.into_iter().map(|(field, value)| (field.clone(), value.clone())).collect();
        let mut changes = vec![(entry.key.as_str(), Change::Create(fields))];
        if !later.is_empty() {
            let change = |(field, value): (&String, &Value)| FieldChange {
                field: field.clone(),
                before: None,
                after: value.clone(),
            };
            changes.push((entry.key.as_str(), Change::Update(later.into_iter().map(change).collect())));
        }
        changes
    }

    fn differences(&mut self, section: Section, entry: &Entry, held: &Held) -> Vec<FieldChange> {
        let mut changes = Vec::new();
        for (field, wanted) in &entry.fields {
            let has = held.fields.get(field).unwrap_or(&Value::Null);
            if has == wanted {
                continue;
            }
            let habit = section.fields().iter().find(|known| known.name == field).map(|field| field.habit);
            let is_fixed = matches!(habit, Some(Habit::Fixed | Habit::NeededAndFixed));
            if is_fixed || (held.is_default && field == "auto_group") {
                let at = entry.places.get(field).copied().unwrap_or(entry.at);
                let why = if is_fixed { "cannot be changed" } else { "cannot be changed of the default workspace" };
                let text = format!("{why}: the {} {} has {has}", section.one(), entry.key);
                self.faults.push(Fault::new(at, format!("{}.{field}", entry.path), text));
                continue;
            }
            changes.push(FieldChange { field: field.clone(), before: Some(has.clone()), after: wanted.clone() });
        }
        changes
    }

    fn item_changes(&mut self, entry: &Entry, held: Option<&Held>) -> Option<Change> {
        let wanted = entry.items.as_ref()?;
        let none = BTreeSet::new();
        let has = held.and_then(|held| held.items.as_ref()).unwrap_or(&none);
        let said = entry.fields.get("type").or_else(|| held.and_then(|held| held.fields.get("type")));
        let kind = said.and_then(Value::as_str).and_then(ListKind::named);
        let mut spelled = BTreeSet::new();
        for item in wanted {
            match spelling::item(kind, item) {
                Ok(item) => drop(spelled.insert(item)),
                Err(wrong) => {
                    self.faults.push(Fault::new(entry.at, format!("{}.items", entry.path), format!("{item} {wrong}")));
                }
            }
        }
        let added: Vec<String> = spelled.difference(has).cloned().collect();
        let removed: Vec<String> = has.difference(&spelled).cloned().collect();
        (!added.is_empty() || !removed.is_empty()).then_some(Change::Items { added, removed })
    }

    fn deletions(&mut self, section: Section) {
        let named: BTreeSet<&str> = self.entries(section).iter().map(|entry| entry.key.as_str()).collect();
        let unnamed =
            self.state.of(section).iter().filter(|held| !named.contains(held.key.as_str()) && !held.is_default);
        let keys: Vec<&str> = unnamed.map(|held| held.key.as_str()).collect();
        if !self.prune.contains(&section) {
            self.plan.unmentioned.extend(keys.into_iter().map(|key| (section, key.to_owned())));
            return;
        }
        let twice = self.state.twice(section);
        for key in keys {
            if let Some(count) = twice.get(key) {
                let text = format!("the server has {count} {} named {key}: rename one first", section.name());
                let fault = Fault { file: None, at: None, path: section.name().to_owned(), text };
                if !self.faults.contains(&fault) {
                    self.faults.push(fault);
                }
                continue;
            }
            self.step(section, key, Change::Delete);
        }
    }
}

/// Fields that a request for a new thing does not have.
fn is_only_changed(section: Section, field: &str, value: &Value) -> bool {
    match (section, field) {
        (Section::Accounts, "workspace") => value.is_null(),
        (Section::Webhooks, "status") | (Section::Workspaces, BREAKERS) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
