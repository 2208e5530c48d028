//! Judging by rules: every field, operator, direction and action by a table, and all of it against a model.

mod against_model;
mod failures;
mod table;

use postfleet_core::id::{ListId, RuleId, uuid_v7};
use postfleet_core::rule::{
    Action, Condition, Direction, Field, Input, Lookup, MatchOperator, Mode, Operand, Operator, OutboundType, Rule,
};
use postfleet_core::{EmailAddress, UnixMicros};
use std::collections::HashSet;

pub(crate) fn rule_id(number: u64) -> RuleId {
    RuleId::from_uuid(uuid_v7(UnixMicros::from_micros(number as i64), [0; 10]))
}

pub(crate) fn list_id(number: u64) -> ListId {
    ListId::from_uuid(uuid_v7(UnixMicros::from_micros(number as i64), [1; 10]))
}

pub(crate) fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

/// A rule that acts, made of one condition, for both directions.
pub(crate) fn rule(number: u64, direction: Direction, conditions: Vec<Condition>, actions: Vec<Action>) -> Rule {
    Rule {
        id: rule_id(number),
        priority: 10,
        is_enabled: true,
        mode: Mode::Enforce,
        direction,
        match_operator: MatchOperator::All,
        conditions,
        actions,
    }
}

pub(crate) fn text(field: Field, operator: Operator, value: &str) -> Condition {
    Condition { field, operator, operand: Operand::Text(value.into()) }
}

pub(crate) fn in_lists(field: Field, lists: &[u64]) -> Condition {
    Condition {
        field,
        operator: Operator::InList,
        operand: Operand::Lists(lists.iter().map(|n| list_id(*n)).collect()),
    }
}

pub(crate) fn sent(from: &str, recipients: &[&str], outbound_type: OutboundType) -> Input {
    let recipients: Vec<EmailAddress> = recipients.iter().map(|text| address(text)).collect();
    Input::outbound(&address(from), &recipients, outbound_type)
}

/// Lists by what is in them; some lookups fail. Nothing may be asked twice.
#[derive(Clone, Default)]
pub(crate) struct Lists {
    pub(crate) items: HashSet<(ListId, String)>,
    pub(crate) failing: HashSet<(ListId, String)>,
    pub(crate) asked: HashSet<(ListId, String)>,
}

impl Lists {
    pub(crate) fn of(items: &[(u64, &str)]) -> Self {
        let items = items.iter().map(|(list, value)| (list_id(*list), (*value).to_owned())).collect();
        Self { items, ..Self::default() }
    }

    pub(crate) fn failing(mut self, lookups: &[(u64, &str)]) -> Self {
        self.failing = lookups.iter().map(|(list, value)| (list_id(*list), (*value).to_owned())).collect();
        self
    }
}

impl Lookup for Lists {
    type Error = ();
    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, ()> {
        let asked = (list, value.to_owned());
        assert!(self.asked.insert(asked.clone()), "asked twice: {asked:?}");
        if self.failing.contains(&asked) { Err(()) } else { Ok(self.items.contains(&asked)) }
    }
}
