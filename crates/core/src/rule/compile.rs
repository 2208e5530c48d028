//! Rules in the form in which they are evaluated. Made when something changes, never per message: conditions that
//! several rules share are there once, and so is every list.

use super::found::hundredths;
use super::{Action, Condition, Direction, Field, Form, MatchOperator, Mode, Operand, Operator, Rule};
use crate::id::{ListId, RuleId};
use crate::list::ListKind;
use std::collections::HashMap;
use std::hash::Hash;

/// The rules of one workspace for one direction.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// Those that act, in their order.
    pub(super) enforced: Vec<CompiledRule>,
    /// Those that only watch, in their order.
    pub(super) shadow: Vec<CompiledRule>,
    /// Distinct conditions.
    pub(super) tests: Vec<Test>,
    /// Distinct lists, with the kind of the values that are looked up in them.
    pub(super) lists: Vec<(ListId, ListKind)>,
}

/// A rule whose conditions are places in [`Compiled::tests`].
#[derive(Clone, Debug)]
pub(super) struct CompiledRule {
    pub(super) id: RuleId,
    pub(super) operator: MatchOperator,
    pub(super) conditions: Box<[usize]>,
    pub(super) actions: Box<[Action]>,
    pub(super) blocks: bool,
    pub(super) holds: bool,
}

/// A condition.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Test {
    /// About words: whether one of them is that one.
    Word { field: Field, word: Box<str>, is: bool },
    /// About the spam score, in hundredths.
    Score { hundredths: i64, at_least: bool },
    /// About texts.
    Text { field: Field, kind: ListKind, operator: Operator, text: Box<str> },
    /// About lists: places in [`Compiled::lists`].
    Lists { field: Field, kind: ListKind, lists: Box<[usize]> },
}

impl Compiled {
    /// Takes the enabled rules of a direction, orders them by priority and then by age, and shares what they share.
    pub fn new(rules: impl IntoIterator<Item = Rule>, direction: Direction) -> Self {
        let taken = |rule: &Rule| rule.is_enabled && rule.direction == direction;
        let mut rules: Vec<Rule> = rules.into_iter().filter(taken).collect();
        rules.sort_by_key(|rule| (rule.priority, rule.id));
        // A workspace may name a rule twice; it acts once.
        rules.dedup_by_key(|rule| rule.id);
        let (mut tests, mut lists) = (Interned::default(), Interned::default());
        let mut compiled = Self::default();
        for rule in rules {
            // What needs no lookup comes first: it may decide alone.
            let mut conditions: Vec<&Condition> = rule.conditions.iter().collect();
            conditions.sort_by_key(|condition| condition.operator == Operator::InList);
            let conditions = conditions.iter().map(|condition| tests.place(test(condition, &mut lists))).collect();
            let blocks = rule.actions.contains(&Action::Block);
            let holds = rule.actions.contains(&Action::Hold);
            let (id, operator, actions) = (rule.id, rule.match_operator, rule.actions.into());
            let rule_list = match rule.mode {
                Mode::Enforce => &mut compiled.enforced,
                Mode::Shadow => &mut compiled.shadow,
            };
            rule_list.push(CompiledRule { id, operator, conditions, actions, blocks, holds });
        }
        Self { tests: tests.things, lists: lists.things, ..compiled }
    }

    /// Those of the rules for what comes in that block and can tell it of the envelope sender alone, before the message
    /// is there. What else they look at waits: a rule that needs all of its conditions is left to the message, and one
    /// of which any is enough keeps those about the author. Rules that only watch are left to the message, too.
    pub fn at_rcpt(rules: impl IntoIterator<Item = Rule>) -> Self {
        let acts = |rule: &Rule| rule.mode == Mode::Enforce && rule.actions.contains(&Action::Block);
        let blocks = rules.into_iter().filter(acts);
        let decidable = blocks.filter_map(|mut rule| {
            if rule.match_operator == MatchOperator::Any {
                rule.conditions.retain(|condition| condition.field.is_of_author());
            }
            let has_all = rule.conditions.iter().all(|condition| condition.field.is_of_author());
            (has_all && !rule.conditions.is_empty()).then_some(rule)
        });
        Self::new(decidable, Direction::Inbound)
    }

    /// One rule alone, whose conditions stand in the order in which they were written.
    pub(super) fn of_one(rule: &Rule) -> (Self, CompiledRule) {
        let (mut tests, mut lists) = (Interned::default(), Interned::default());
        let conditions = rule.conditions.iter().map(|condition| tests.place(test(condition, &mut lists))).collect();
        let compiled = CompiledRule {
            id: rule.id,
            operator: rule.match_operator,
            conditions,
            actions: rule.actions.clone().into(),
            blocks: rule.actions.contains(&Action::Block),
            holds: rule.actions.contains(&Action::Hold),
        };
        (Self { tests: tests.things, lists: lists.things, ..Self::default() }, compiled)
    }

    /// Whether there is no rule to look at.
    pub fn is_empty(&self) -> bool {
        self.enforced.is_empty() && self.shadow.is_empty()
    }

    /// The lists that are looked up, each once.
    pub fn lists(&self) -> impl Iterator<Item = ListId> {
        let mut ids: Vec<ListId> = self.lists.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter()
    }
}

fn test(condition: &Condition, lists: &mut Interned<(ListId, ListKind)>) -> Test {
    let field = condition.field;
    let text = || if let Operand::Text(text) = &condition.operand { text.as_str() } else { "" };
    match (field.form(), &condition.operand) {
        (Form::Values(kind), Operand::Lists(ids)) => {
            let mut places: Vec<usize> = ids.iter().map(|id| lists.place((*id, kind))).collect();
            places.sort_unstable();
            places.dedup();
            Test::Lists { field, kind, lists: places.into() }
        }
        (Form::Values(kind), Operand::Text(text)) => {
            Test::Text { field, kind, operator: condition.operator, text: text.as_str().into() }
        }
        (Form::Words(_) | Form::Label, _) => {
            Test::Word { field, word: text().into(), is: condition.operator != Operator::IsNot }
        }
        // Every number that is kept was one when it was made.
        (Form::Number, _) => Test::Score {
            hundredths: hundredths(text()).unwrap_or(i64::MAX),
            at_least: condition.operator != Operator::Below,
        },
    }
}

/// Things that are there once, each with its place.
struct Interned<T> {
    things: Vec<T>,
    places: HashMap<T, usize>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { things: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interned<T> {
    fn place(&mut self, thing: T) -> usize {
        *self.places.entry(thing).or_insert_with_key(|thing| {
            self.things.push(thing.clone());
            self.things.len() - 1
        })
    }
}
