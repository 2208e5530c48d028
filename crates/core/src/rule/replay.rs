//! What a change of rules or lists would have changed for one message: the judgement before beside the one after.

use super::{Judgement, Verdict};
use crate::id::RuleId;

/// What differs between two judgements of one message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// The rule that blocks it now, and nothing did before.
    pub newly_blocked: Option<RuleId>,
    /// The rule that blocked it before, and nothing does now.
    pub no_longer_blocked: Option<RuleId>,
    /// It cannot be decided now, and could before.
    pub undecidable: bool,
    /// It may go on before and after, at once or once it is approved, and something else is done with it.
    pub actions_changed: bool,
    /// Rules that match now and did not before, whether they act or only watch.
    pub newly_matched: Vec<RuleId>,
    /// Rules that matched before and do not now, or are not reached any more.
    pub no_longer_matched: Vec<RuleId>,
}

/// What differs; none if nothing does.
pub fn difference(before: &Judgement, after: &Judgement) -> Option<Difference> {
    if before == after {
        return None;
    }
    let (was, is) = (blocker(before), blocker(after));
    let goes_on = |judgement: &Judgement| matches!(judgement.verdict, Verdict::Pass | Verdict::Hold);
    let both_pass = goes_on(before) && goes_on(after);
    Some(Difference {
        newly_blocked: is.filter(|_| was.is_none()),
        no_longer_blocked: was.filter(|_| is.is_none()),
        undecidable: after.verdict == Verdict::Undecidable && before.verdict != Verdict::Undecidable,
        actions_changed: both_pass && before.effects != after.effects,
        newly_matched: only_in(after, before),
        no_longer_matched: only_in(before, after),
    })
}

/// The rule that blocks: nothing is looked at after it.
fn blocker(judgement: &Judgement) -> Option<RuleId> {
    judgement.matched_rule_ids.last().copied().filter(|_| judgement.verdict == Verdict::Block)
}

fn matched(judgement: &Judgement) -> impl Iterator<Item = RuleId> {
    judgement.matched_rule_ids.iter().chain(&judgement.shadow.matched_rule_ids).copied()
}

fn only_in(one: &Judgement, other: &Judgement) -> Vec<RuleId> {
    matched(one).filter(|id| matched(other).all(|known| known != *id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::{Action, Effects, Shadow};

    fn id(number: u8) -> RuleId {
        RuleId::new(Default::default(), [number; 10])
    }

    fn judged(verdict: Verdict, matched: &[u8], watching: &[u8]) -> Judgement {
        let ids = |numbers: &[u8]| numbers.iter().map(|number| id(*number)).collect();
        let shadow = Shadow { matched_rule_ids: ids(watching), effects: Effects::default() };
        let effects = Effects { blocked: verdict != Verdict::Pass, ..Effects::default() };
        Judgement { verdict, matched_rule_ids: ids(matched), effects, shadow }
    }

    #[test]
    fn what_differs_is_named_with_its_rule() {
        let (pass, block) = (judged(Verdict::Pass, &[1], &[]), judged(Verdict::Block, &[1, 2], &[]));
        assert_eq!(difference(&pass, &pass.clone()), None);
        let expected = Difference { newly_blocked: Some(id(2)), newly_matched: vec![id(2)], ..Difference::default() };
        assert_eq!(difference(&pass, &block), Some(expected));
        let expected =
            Difference { no_longer_blocked: Some(id(2)), no_longer_matched: vec![id(2)], ..Difference::default() };
        assert_eq!(difference(&block, &pass), Some(expected));
        let by_another = judged(Verdict::Block, &[3], &[]);
        let expected =
            Difference { newly_matched: vec![id(3)], no_longer_matched: vec![id(1), id(2)], ..Difference::default() };
        assert_eq!(difference(&block, &by_another), Some(expected), "it is blocked before and after");
    }

    #[test]
    fn a_rule_that_begins_to_act_matches_as_before() {
        let watched = judged(Verdict::Pass, &[], &[2]);
        let expected = Difference { newly_blocked: Some(id(2)), ..Difference::default() };
        assert_eq!(difference(&watched, &judged(Verdict::Block, &[2], &[])), Some(expected));
        let undecidable = judged(Verdict::Undecidable, &[], &[2]);
        let expected = Difference { undecidable: true, ..Difference::default() };
        assert_eq!(difference(&watched, &undecidable), Some(expected));
    }

    #[test]
    fn other_actions_count_only_where_the_message_goes_on() {
        let before = judged(Verdict::Pass, &[1], &[]);
        let mut after = before.clone();
        after.effects.add(&Action::Archive);
        let expected = Difference { actions_changed: true, ..Difference::default() };
        assert_eq!(difference(&before, &after), Some(expected));
        assert!(!difference(&before, &judged(Verdict::Block, &[1], &[])).unwrap().actions_changed);
    }
}
