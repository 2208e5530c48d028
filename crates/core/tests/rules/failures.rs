//! Lookups that fail: a blocking rule fails closed, everything else goes on.

use crate::{Lists, in_lists, rule, rule_id, sent, text};
use postfleet_core::rule::{
    Action, Compiled, Direction, Effects, Field, Judgement, MatchOperator, Mode, Operator, OutboundType, Rule, Verdict,
    evaluate,
};

fn blocking(number: u64, list: u64) -> Rule {
    rule(number, Direction::Outbound, vec![in_lists(Field::RecipientDomain, &[list])], vec![Action::Block])
}

/// Judges mail to one.example, which is in list 2; list 1 cannot be looked up.
fn judge(rules: impl IntoIterator<Item = Rule>) -> Judgement {
    let input = sent("me@agents.test", &["bob@one.example"], OutboundType::Compose);
    let mut lists = Lists::of(&[(2, "one.example")]).failing(&[(1, "one.example")]);
    evaluate(&Compiled::new(rules, Direction::Outbound), &input, &mut lists)
}

#[test]
fn a_block_that_cannot_be_decided_refuses_for_now() {
    let judgement = judge([blocking(1, 1)]);
    assert_eq!(judgement.verdict, Verdict::Undecidable);
    let effects = Effects { blocked: true, blocked_by_evaluation_error: true, ..Effects::default() };
    assert_eq!((judgement.effects, judgement.matched_rule_ids), (effects, vec![]));
}

#[test]
fn a_certain_block_is_the_answer_whatever_else_fails() {
    for rules in [[blocking(1, 1), blocking(2, 2)], [blocking(2, 1), blocking(1, 2)]] {
        let certain = rules[1].id;
        let judgement = judge(rules);
        assert_eq!((judgement.verdict, judgement.matched_rule_ids), (Verdict::Block, vec![certain]));
        assert!(!judgement.effects.blocked_by_evaluation_error);
    }
}

#[test]
fn other_rules_that_cannot_be_decided_are_passed_over() {
    let marking = Rule { actions: vec![Action::MarkAsRead], ..blocking(1, 1) };
    let starring = Rule { actions: vec![Action::MarkAsStarred], ..blocking(2, 2) };
    let watching = Rule { mode: Mode::Shadow, ..blocking(3, 1) };
    let judgement = judge([marking, starring, watching]);
    assert_eq!((judgement.verdict, judgement.matched_rule_ids), (Verdict::Pass, vec![rule_id(2)]));
    assert_eq!(judgement.effects, Effects { marked_starred: true, ..Effects::default() });
    assert!(judgement.shadow.matched_rule_ids.is_empty());
}

#[test]
fn what_decides_anyway_is_decided() {
    let unknown = || in_lists(Field::RecipientDomain, &[1]);
    let yes = || text(Field::FromTld, Operator::Is, "test");
    let no = || text(Field::FromTld, Operator::Is, "com");
    let table = [
        (MatchOperator::Any, vec![unknown(), yes()], Verdict::Block),
        (MatchOperator::Any, vec![yes(), unknown()], Verdict::Block),
        (MatchOperator::Any, vec![no(), unknown()], Verdict::Undecidable),
        (MatchOperator::All, vec![unknown(), no()], Verdict::Pass),
        (MatchOperator::All, vec![no(), unknown()], Verdict::Pass),
        (MatchOperator::All, vec![yes(), unknown()], Verdict::Undecidable),
        // One list has it: the other one does not matter.
        (MatchOperator::All, vec![in_lists(Field::RecipientDomain, &[1, 2])], Verdict::Block),
    ];
    for (match_operator, conditions, expected) in table {
        let judgement = judge([Rule { match_operator, conditions: conditions.clone(), ..blocking(1, 1) }]);
        assert_eq!(judgement.verdict, expected, "{match_operator:?} {conditions:?}");
    }
}
