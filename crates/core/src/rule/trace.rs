//! Why rules say what they say: each of them with what its conditions compared. Slower than [`super::evaluate()`], which
//! stops as soon as it knows; the conditions are judged by the same code.

use super::compile::Compiled;
use super::evaluate::{Facts, Lookup};
use super::found::decimal;
use super::{Condition, Direction, Form, Input, Mode, Rule, RuleOutcome};
use crate::id::RuleId;

/// What became of one rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleTrace {
    /// Which rule.
    pub rule_id: RuleId,
    /// What became of it.
    pub outcome: Traced,
    /// Its conditions, in the order in which they were written; empty if it was not looked at.
    pub conditions: Vec<ConditionTrace>,
}

/// What became of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traced {
    /// It was looked at.
    Judged(RuleOutcome),
    /// A rule before it blocked the message.
    NotReached,
    /// It is disabled.
    Disabled,
    /// It is about mail of the other direction.
    OtherTrigger,
}

impl Traced {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Judged(RuleOutcome::Matched) => "matched",
            Self::Judged(RuleOutcome::NoMatch) => "no_match",
            Self::Judged(RuleOutcome::Undecidable) => "undecidable",
            Self::NotReached => "not_reached",
            Self::Disabled => "disabled",
            Self::OtherTrigger => "other_trigger",
        }
    }
}

/// What one condition came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConditionTrace {
    /// What of the message it looked at.
    pub values: Vec<String>,
    /// Whether it holds; none if that cannot be told.
    pub holds: Option<bool>,
}

/// Tells of each rule what became of it, in the order in which they are looked at. Every condition of a rule that is
/// looked at is judged, also where one of them decided alone; a value may be looked up again for another condition.
pub fn trace<L: Lookup>(rules: &[Rule], direction: Direction, input: &Input, lookup: &mut L) -> Vec<RuleTrace> {
    let mut ordered: Vec<&Rule> = rules.iter().collect();
    ordered.sort_by_key(|rule| (rule.priority, rule.id));
    ordered.dedup_by_key(|rule| rule.id);
    let mut is_blocked = false;
    let mut traces = Vec::with_capacity(ordered.len());
    for rule in ordered {
        let (outcome, conditions) = if !rule.is_enabled {
            (Traced::Disabled, Vec::new())
        } else if rule.direction != direction {
            (Traced::OtherTrigger, Vec::new())
        } else if is_blocked && rule.mode == Mode::Enforce {
            (Traced::NotReached, Vec::new())
        } else {
            let (outcome, conditions, blocks) = judge(rule, input, lookup);
            is_blocked |= blocks && outcome == RuleOutcome::Matched && rule.mode == Mode::Enforce;
            (Traced::Judged(outcome), conditions)
        };
        traces.push(RuleTrace { rule_id: rule.id, outcome, conditions });
    }
    traces
}

fn judge<L: Lookup>(rule: &Rule, input: &Input, lookup: &mut L) -> (RuleOutcome, Vec<ConditionTrace>, bool) {
    let (compiled, alone) = Compiled::of_one(rule);
    let mut facts = Facts::new(&compiled, input, lookup);
    let conditions = rule
        .conditions
        .iter()
        .zip(&alone.conditions)
        .map(|(condition, place)| ConditionTrace { values: seen(condition, input), holds: facts.holds(*place) });
    let conditions = conditions.collect();
    (facts.outcome(&alone), conditions, alone.blocks)
}

/// What a condition looks at.
fn seen(condition: &Condition, input: &Input) -> Vec<String> {
    match condition.field.form() {
        Form::Values(kind) => {
            let values = input.values(kind);
            values.seen_by(condition.field).iter().map(|value| values.text(*value).to_owned()).collect()
        }
        Form::Words(_) | Form::Label => input.words(condition.field).into_iter().map(str::to_owned).collect(),
        Form::Number => vec![decimal(input.spam_score())],
    }
}
