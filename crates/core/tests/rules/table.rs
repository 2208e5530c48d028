//! What each field, operator and action means, row by row.

use crate::{Lists, address, in_lists, list_id, rule, rule_id, sent, text};
use postfleet_core::rule::{
    Action, Compiled, Condition, Direction, Effects, Field, Found, Input, MatchOperator, Mode, Operator, OutboundType,
    Rule, Verdict, evaluate,
};

use Direction::{Inbound, Outbound};
use Field::{FromAddress, FromDomain, FromTld, RecipientAddress, RecipientDomain, RecipientTld};
use Operator::{AtLeast, Below, Contains, Is, IsNot};

fn holds(condition: Condition, input: &Input, direction: Direction) -> bool {
    let mut lists = Lists::of(&[
        (1, "bob@one.example"),
        (2, "one.example"),
        (3, "example"),
        (4, "me@agents.test"),
        (5, "agents.test"),
        (6, "test"),
    ]);
    let compiled = Compiled::new([rule(1, direction, vec![condition], vec![Action::MarkAsRead])], direction);
    let judgement = evaluate(&compiled, input, &mut lists);
    assert_eq!(judgement.effects.marked_as_read, !judgement.matched_rule_ids.is_empty());
    judgement.effects.marked_as_read
}

#[test]
fn fields_of_the_author_in_both_directions() {
    let outbound = sent("Me@Agents.Test", &["bob@one.example"], OutboundType::Compose);
    let inbound = Input::inbound(Some(&address("Me@Agents.Test")));
    for (input, direction) in [(outbound, Outbound), (inbound, Inbound)] {
        let table = [
            (text(FromAddress, Is, "me@agents.test"), true),
            (text(FromAddress, Is, "me@agents"), false),
            (text(FromAddress, IsNot, "me@agents.test"), false),
            (text(FromAddress, IsNot, "you@agents.test"), true),
            (text(FromAddress, Contains, "e@a"), true),
            (text(FromAddress, Contains, "bob"), false),
            (in_lists(FromAddress, &[4]), true),
            (in_lists(FromAddress, &[1]), false),
            (text(FromDomain, Is, "agents.test"), true),
            (text(FromDomain, Is, "sub.agents.test"), false),
            (text(FromDomain, IsNot, "agents.test"), false),
            (text(FromDomain, IsNot, "test"), true),
            (text(FromDomain, Contains, "gents."), true),
            (text(FromDomain, Contains, "me@"), false),
            (in_lists(FromDomain, &[2, 5]), true),
            (in_lists(FromDomain, &[2]), false),
            (text(FromTld, Is, "test"), true),
            (text(FromTld, Is, "agents.test"), false),
            (text(FromTld, IsNot, "test"), false),
            (text(FromTld, IsNot, "com"), true),
            (text(FromTld, Contains, "es"), true),
            (text(FromTld, Contains, "."), false),
            (in_lists(FromTld, &[6]), true),
            (in_lists(FromTld, &[3]), false),
            // One that was removed holds nothing.
            (in_lists(FromTld, &[99]), false),
        ];
        for (condition, expected) in table {
            assert_eq!(holds(condition.clone(), &input, direction), expected, "{direction:?} {condition:?}");
        }
    }
}

#[test]
fn fields_of_the_recipients() {
    let input = sent("me@agents.test", &["Ann@Two.Test", "Bob@One.Example"], OutboundType::Compose);
    let table = [
        (text(RecipientAddress, Is, "bob@one.example"), true),
        (text(RecipientAddress, Is, "me@agents.test"), false),
        (text(RecipientAddress, IsNot, "bob@one.example"), false),
        (text(RecipientAddress, IsNot, "carol@one.example"), true),
        (text(RecipientAddress, Contains, "ann@"), true),
        (text(RecipientAddress, Contains, "carol"), false),
        (in_lists(RecipientAddress, &[1]), true),
        (in_lists(RecipientAddress, &[4]), false),
        (text(RecipientDomain, Is, "one.example"), true),
        (text(RecipientDomain, Is, "example"), false),
        (text(RecipientDomain, IsNot, "two.test"), false),
        (text(RecipientDomain, IsNot, "three.test"), true),
        (text(RecipientDomain, Contains, "two"), true),
        (text(RecipientDomain, Contains, "@"), false),
        (in_lists(RecipientDomain, &[5, 2]), true),
        (in_lists(RecipientDomain, &[5]), false),
        (text(RecipientTld, Is, "example"), true),
        (text(RecipientTld, Is, "com"), false),
        (text(RecipientTld, IsNot, "test"), false),
        (text(RecipientTld, IsNot, "com"), true),
        (text(RecipientTld, Contains, "exam"), true),
        (text(RecipientTld, Contains, "com"), false),
        (in_lists(RecipientTld, &[3]), true),
        (in_lists(RecipientTld, &[99]), false),
    ];
    for (condition, expected) in table {
        assert_eq!(holds(condition.clone(), &input, Outbound), expected, "{condition:?}");
    }
}

#[test]
fn the_type_of_what_is_sent() {
    let is = |operator, word| text(Field::OutboundType, operator, word);
    for (kind, other) in [(OutboundType::Compose, "reply"), (OutboundType::Reply, "compose")] {
        let input = sent("me@agents.test", &["bob@one.example"], kind);
        assert!(holds(is(Is, kind.name()), &input, Outbound));
        assert!(!holds(is(Is, other), &input, Outbound));
        assert!(!holds(is(IsNot, kind.name()), &input, Outbound));
        assert!(holds(is(IsNot, other), &input, Outbound));
    }
}

#[test]
fn an_empty_reverse_path_equals_nothing() {
    let input = Input::inbound(None);
    for field in [FromAddress, FromDomain, FromTld] {
        assert!(!holds(text(field, Is, "test"), &input, Inbound));
        assert!(holds(text(field, IsNot, "test"), &input, Inbound));
        assert!(!holds(text(field, Contains, "e"), &input, Inbound));
        assert!(!holds(in_lists(field, &[1, 2, 3]), &input, Inbound));
    }
}

#[test]
fn what_is_found_of_a_message() {
    let found = Found {
        spf: "softfail",
        dkim: "pass",
        dmarc: "fail",
        spam_score: 750,
        suspicion_kinds: vec!["hidden_text".into(), "instruction".into()],
        marks: vec!["first_contact", "bulk"],
    };
    let input = Input::received([&address("a@one.example")], found);
    let none = Input::received([&address("a@one.example")], Found::default());
    let table = [
        (text(Field::AuthenticationSpf, Is, "softfail"), true, false),
        (text(Field::AuthenticationSpf, Is, "pass"), false, false),
        (text(Field::AuthenticationSpf, IsNot, "pass"), true, true),
        (text(Field::AuthenticationDkim, Is, "pass"), true, false),
        (text(Field::AuthenticationDmarc, IsNot, "fail"), false, true),
        (text(Field::AuthenticationDmarc, Is, "none"), false, true),
        (text(Field::SuspicionKind, Is, "instruction"), true, false),
        (text(Field::SuspicionKind, IsNot, "instruction"), false, true),
        (text(Field::SuspicionKind, IsNot, "link_target"), true, true),
        (text(Field::MessageMark, Is, "bulk"), true, false),
        (text(Field::MessageMark, IsNot, "list"), true, true),
        (text(Field::SpamScore, AtLeast, "7.5"), true, false),
        (text(Field::SpamScore, AtLeast, "7.51"), false, false),
        (text(Field::SpamScore, Below, "7.5"), false, true),
        (text(Field::SpamScore, Below, "7.51"), true, true),
        (text(Field::SpamScore, AtLeast, "0"), true, true),
    ];
    for (condition, of_found, of_none) in table {
        assert_eq!(holds(condition.clone(), &input, Inbound), of_found, "{condition:?}");
        assert_eq!(holds(condition.clone(), &none, Inbound), of_none, "{condition:?}, nothing found");
    }
}

#[test]
fn every_author_counts() {
    let authors = ["ann@one.example", "Bob@Two.Test"].map(address);
    let input = Input::received(&authors, Found::default());
    assert_eq!(input.authors().collect::<Vec<_>>(), ["ann@one.example", "bob@two.test"]);
    for (condition, expected) in [
        (text(FromDomain, Is, "two.test"), true),
        (text(FromDomain, IsNot, "two.test"), false),
        (text(FromDomain, IsNot, "three.test"), true),
        (text(FromAddress, Contains, "bob@"), true),
        (in_lists(FromTld, &[6]), true),
    ] {
        assert_eq!(holds(condition.clone(), &input, Inbound), expected, "{condition:?}");
    }
}

#[test]
fn before_the_message_only_what_blocks_its_sender_is_judged() {
    let author = || text(FromDomain, Is, "bad.test");
    let found = || text(Field::SpamScore, AtLeast, "0");
    let block =
        |operator, conditions| Rule { match_operator: operator, ..rule(1, Inbound, conditions, vec![Action::Block]) };
    let table = [
        ("all of the author", block(MatchOperator::All, vec![author()]), Verdict::Block),
        ("all, something is not known yet", block(MatchOperator::All, vec![author(), found()]), Verdict::Pass),
        ("any, the author is enough", block(MatchOperator::Any, vec![found(), author()]), Verdict::Block),
        ("any, nothing about the author", block(MatchOperator::Any, vec![found()]), Verdict::Pass),
        ("another action", rule(1, Inbound, vec![author()], vec![Action::Trash]), Verdict::Pass),
        ("another direction", rule(1, Outbound, vec![author()], vec![Action::Block]), Verdict::Pass),
        ("a disabled rule", Rule { is_enabled: false, ..block(MatchOperator::All, vec![author()]) }, Verdict::Pass),
    ];
    let input = Input::inbound(Some(&address("x@bad.test")));
    for (name, rule, expected) in table {
        let judgement = evaluate(&Compiled::at_rcpt([rule]), &input, &mut Lists::default());
        assert_eq!(judgement.verdict, expected, "{name}");
        assert_eq!(judgement.matched_rule_ids.len(), usize::from(expected == Verdict::Block), "{name}");
    }
}

#[test]
fn all_and_any() {
    let yes = || text(FromTld, Is, "test");
    let no = || text(FromTld, Is, "com");
    let input = sent("me@agents.test", &["bob@one.example"], OutboundType::Compose);
    let table = [
        (MatchOperator::All, vec![yes(), yes()], true),
        (MatchOperator::All, vec![yes(), no()], false),
        (MatchOperator::Any, vec![no(), yes()], true),
        (MatchOperator::Any, vec![no(), no()], false),
    ];
    for (match_operator, conditions, expected) in table {
        let rule = Rule { match_operator, ..rule(1, Outbound, conditions.clone(), vec![Action::Block]) };
        let judgement = evaluate(&Compiled::new([rule], Outbound), &input, &mut Lists::default());
        assert_eq!(judgement.verdict == Verdict::Block, expected, "{match_operator:?} {conditions:?}");
    }
}

#[test]
fn each_action_in_each_direction() {
    let none = Effects::default();
    let table = [
        (Action::Block, Effects { blocked: true, ..none.clone() }),
        (Action::Hold, Effects { held: true, ..none.clone() }),
        (Action::MarkAsSpam, Effects { marked_as_spam: true, ..none.clone() }),
        (Action::AssignToFolder("A/B".into()), Effects { folders: vec!["A/B".into()], ..none.clone() }),
        (Action::MarkAsRead, Effects { marked_as_read: true, ..none.clone() }),
        (Action::MarkAsStarred, Effects { marked_starred: true, ..none.clone() }),
        (Action::Archive, Effects { archived: true, ..none.clone() }),
        (Action::Trash, Effects { trashed: true, ..none.clone() }),
    ];
    let inputs = [
        (Outbound, sent("me@agents.test", &["bob@one.example"], OutboundType::Compose)),
        (Inbound, Input::inbound(Some(&address("me@agents.test")))),
    ];
    for (direction, input) in inputs {
        for (action, effects) in &table {
            let acting = rule(1, direction, vec![text(FromTld, Is, "test")], vec![action.clone()]);
            let judge =
                |rule: Rule, direction| evaluate(&Compiled::new([rule], direction), &input, &mut Lists::default());
            let judgement = judge(acting.clone(), direction);
            let expected = match action {
                Action::Block => Verdict::Block,
                Action::Hold => Verdict::Hold,
                _ => Verdict::Pass,
            };
            assert_eq!((judgement.verdict, &judgement.effects), (expected, effects), "{direction:?}");
            assert_eq!(judgement.matched_rule_ids, [rule_id(1)]);
            assert!(judgement.shadow.matched_rule_ids.is_empty());

            let watching = judge(Rule { mode: Mode::Shadow, ..acting.clone() }, direction);
            assert_eq!((watching.verdict, watching.effects), (Verdict::Pass, none.clone()));
            assert_eq!((&watching.shadow.matched_rule_ids[..], &watching.shadow.effects), (&[rule_id(1)][..], effects));
            assert!(watching.matched_rule_ids.is_empty());

            let other = if direction == Inbound { Outbound } else { Inbound };
            assert!(Compiled::new([acting.clone()], other).is_empty(), "a rule of the other direction");
            assert!(Compiled::new([Rule { is_enabled: false, ..acting }], direction).is_empty(), "a disabled one");
        }
    }
}

#[test]
fn rules_come_by_priority_and_then_by_age_and_end_with_a_block() {
    let assigns = |number: u64, priority, folder: &str| Rule {
        priority,
        ..rule(number, Outbound, vec![text(FromTld, Is, "test")], vec![Action::AssignToFolder(folder.into())])
    };
    let input = sent("me@agents.test", &["bob@one.example"], OutboundType::Compose);
    let rules =
        vec![assigns(5, 20, "c"), assigns(4, 10, "b"), assigns(2, 10, "a"), assigns(9, 0, "z"), assigns(1, 30, "a")];
    let judgement = evaluate(&Compiled::new(rules.clone(), Outbound), &input, &mut Lists::default());
    assert_eq!(judgement.effects.folders, ["z", "a", "b", "c"]);
    assert_eq!(judgement.matched_rule_ids, [9, 2, 4, 5, 1].map(rule_id));

    let block = |priority, mode| Rule { priority, mode, actions: vec![Action::Block], ..assigns(3, 0, "") };
    let with = |block: Rule| Compiled::new(rules.iter().cloned().chain([block]), Outbound);
    let judgement = evaluate(&with(block(10, Mode::Enforce)), &input, &mut Lists::default());
    assert_eq!(judgement.verdict, Verdict::Block);
    assert_eq!(judgement.matched_rule_ids, [9, 2, 3].map(rule_id), "none behind the block");
    assert_eq!(judgement.effects, Effects { blocked: true, ..Effects::default() }, "nothing is done but refuse");

    let judgement = evaluate(&with(block(0, Mode::Shadow)), &input, &mut Lists::default());
    assert_eq!((judgement.verdict, judgement.matched_rule_ids.len()), (Verdict::Pass, 5));
    assert_eq!((judgement.shadow.matched_rule_ids, judgement.shadow.effects.blocked), (vec![rule_id(3)], true));
}

#[test]
fn what_is_shared_is_there_once() {
    let conditions = vec![in_lists(RecipientDomain, &[1, 2]), in_lists(FromDomain, &[1])];
    let rules = (0..20).map(|number| rule(number, Outbound, conditions.clone(), vec![Action::MarkAsRead]));
    let compiled = Compiled::new(rules, Outbound);
    assert_eq!(compiled.lists().collect::<Vec<_>>(), [list_id(1), list_id(2)]);
    // The lists refuse to be asked twice for a value: here the author's domain is a recipient's, too.
    let input = sent("me@agents.test", &["you@agents.test", "bob@one.example"], OutboundType::Compose);
    let mut lists = Lists::of(&[(2, "one.example"), (1, "agents.test")]);
    assert_eq!(evaluate(&compiled, &input, &mut lists).matched_rule_ids.len(), 20);
    assert!(lists.asked.len() <= 4);
}

#[test]
fn what_decides_without_a_lookup_spares_it() {
    let input = sent("me@agents.test", &["bob@one.example"], OutboundType::Compose);
    for (match_operator, tld) in [(MatchOperator::All, "com"), (MatchOperator::Any, "test")] {
        let conditions = vec![in_lists(RecipientDomain, &[1]), text(FromTld, Is, tld)];
        let rule = Rule { match_operator, ..rule(1, Outbound, conditions, vec![Action::Block]) };
        let mut lists = Lists::default();
        evaluate(&Compiled::new([rule], Outbound), &input, &mut lists);
        assert!(lists.asked.is_empty(), "{match_operator:?}");
    }
}
