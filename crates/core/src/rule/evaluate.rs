//! Judging a message by compiled rules.
//!
//! A lookup may fail. What it would have said is then unknown, and the unknown is carried through as such: `any` holds
//! as soon as one condition does, `all` fails as soon as one does not, whatever else is unknown. So a failure can turn
//! an answer into "undecidable", never into the other answer. From there on:
//!
//! - A rule that blocks and is known to match blocks the message, also when another blocking rule before it could not be
//!   decided: whatever that one would have said, the message does not go on.
//! - If none is known to match, but one could not be decided, the message must not go on now (fail closed).
//! - So it is with a rule that holds: what somebody may have to look at does not leave unseen.
//! - Any other undecidable rule is passed over: it does not stop mail.
//! - A rule that only watches acts in no case, and its failures stop nothing. Each of them is judged for itself, also
//!   behind one that blocks.

use super::compile::{Compiled, CompiledRule, Test};
use super::{Effects, Field, Input, Judgement, MatchOperator, Operator, RuleOutcome, Shadow, Verdict};
use crate::id::ListId;

/// Where values are looked up.
pub trait Lookup {
    /// Why it cannot be told.
    type Error;
    /// Whether the value, in lower case, is an item of the list. A list that does not exist has no items.
    /// [`evaluate`] asks at most once for a value and a list.
    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, Self::Error>;
}

/// Judges a message.
pub fn evaluate<L: Lookup>(compiled: &Compiled, input: &Input, lookup: &mut L) -> Judgement {
    let mut facts = Facts::new(compiled, input, lookup);
    let mut judgement = Judgement {
        verdict: Verdict::Pass,
        matched_rule_ids: Vec::new(),
        effects: Effects::default(),
        shadow: Shadow::default(),
    };
    for rule in &compiled.enforced {
        match facts.outcome(rule) {
            RuleOutcome::NoMatch => {}
            RuleOutcome::Undecidable if rule.blocks || rule.holds => judgement.verdict = Verdict::Undecidable,
            RuleOutcome::Undecidable => {}
            RuleOutcome::Matched => {
                judgement.matched_rule_ids.push(rule.id);
                if rule.blocks {
                    judgement.verdict = Verdict::Block;
                    break;
                }
                if rule.holds && judgement.verdict == Verdict::Pass {
                    judgement.verdict = Verdict::Hold;
                }
                rule.actions.iter().for_each(|action| judgement.effects.add(action));
            }
        }
    }
    match judgement.verdict {
        Verdict::Pass | Verdict::Hold => {}
        Verdict::Block => judgement.effects = Effects::refused(false),
        Verdict::Undecidable => judgement.effects = Effects::refused(true),
    }
    for rule in &compiled.shadow {
        if facts.outcome(rule) == RuleOutcome::Matched {
            judgement.shadow.matched_rule_ids.push(rule.id);
            rule.actions.iter().for_each(|action| judgement.shadow.effects.add(action));
        }
    }
    judgement
}

/// Whether something holds; none if that cannot be told.
pub(super) type Known = Option<bool>;

/// What is known about one message so far: nothing is worked out twice.
pub(super) struct Facts<'a, L> {
    compiled: &'a Compiled,
    input: &'a Input,
    lookup: &'a mut L,
    /// Whether the conditions hold.
    tests: Vec<Option<Known>>,
    /// Whether the values are in the lists: of each list, first that of the first value.
    items: Vec<Option<Known>>,
    /// Where in `items` those of a list begin.
    starts: Vec<usize>,
}

impl<'a, L: Lookup> Facts<'a, L> {
    pub(super) fn new(compiled: &'a Compiled, input: &'a Input, lookup: &'a mut L) -> Self {
        let mut items = 0;
        let mut starts = Vec::with_capacity(compiled.lists.len());
        for (_, kind) in &compiled.lists {
            starts.push(items);
            items += input.values(*kind).len();
        }
        Self { compiled, input, lookup, tests: vec![None; compiled.tests.len()], items: vec![None; items], starts }
    }

    pub(super) fn outcome(&mut self, rule: &CompiledRule) -> RuleOutcome {
        let mut unknown = false;
        for condition in &rule.conditions {
            match (self.holds(*condition), rule.operator) {
                (Some(true), MatchOperator::Any) => return RuleOutcome::Matched,
                (Some(false), MatchOperator::All) => return RuleOutcome::NoMatch,
                (Some(_), _) => {}
                (None, _) => unknown = true,
            }
        }
        match (unknown, rule.operator) {
            (true, _) => RuleOutcome::Undecidable,
            (false, MatchOperator::Any) => RuleOutcome::NoMatch,
            (false, MatchOperator::All) => RuleOutcome::Matched,
        }
    }

    pub(super) fn holds(&mut self, place: usize) -> Known {
        if let Some(known) = self.tests[place] {
            return known;
        }
        let compiled = self.compiled;
        let known = match &compiled.tests[place] {
            Test::Word { field, word, is } => Some(self.input.words(*field).contains(&&**word) == *is),
            Test::Score { hundredths, at_least } => Some((self.input.spam_score() >= *hundredths) == *at_least),
            Test::Text { field, kind, operator, text } => {
                let values = self.input.values(*kind);
                let mut seen = values.seen_by(*field).iter().map(|value| values.text(*value));
                Some(match operator {
                    Operator::Is => seen.any(|value| *value == **text),
                    Operator::IsNot => seen.all(|value| *value != **text),
                    Operator::Contains => seen.any(|value| value.contains(&**text)),
                    // Lists have no text, and what is no number is neither high nor low.
                    Operator::InList | Operator::AtLeast | Operator::Below => false,
                })
            }
            Test::Lists { field, lists, .. } => self.any_in_lists(*field, lists),
        };
        self.tests[place] = Some(known);
        known
    }

    fn any_in_lists(&mut self, field: Field, lists: &[usize]) -> Known {
        let mut known = Some(false);
        for list in lists {
            let input = self.input;
            let values = input.values(self.compiled.lists[*list].1);
            for value in values.seen_by(field) {
                match self.is_item(*list, *value, values.text(*value)) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => known = None,
                }
            }
        }
        known
    }

    fn is_item(&mut self, list: usize, value: usize, text: &str) -> Known {
        let place = self.starts[list] + value;
        if let Some(known) = self.items[place] {
            return known;
        }
        let known = self.lookup.contains(self.compiled.lists[list].0, text).ok();
        self.items[place] = Some(known);
        known
    }
}
