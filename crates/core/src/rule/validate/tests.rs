use super::*;
use crate::time::UnixMicros;

fn id() -> RuleId {
    RuleId::new(UnixMicros::from_micros(1), [1; 10])
}

fn list(number: u8) -> ListId {
    ListId::new(UnixMicros::from_micros(1), [number; 10])
}

fn text(field: &str, operator: &str, value: &str) -> ConditionInput {
    ConditionInput { field: field.into(), operator: operator.into(), value: ValueInput::Text(value.into()) }
}

fn in_list(field: &str, ids: &[String]) -> ConditionInput {
    ConditionInput { field: field.into(), operator: "in_list".into(), value: ValueInput::Texts(ids.to_vec()) }
}

fn on(conditions: Vec<ConditionInput>) -> Patch<MatchInput> {
    Patch::Set(MatchInput { operator: None, conditions })
}

fn act(kind: &str, value: Option<&str>) -> ActionInput {
    ActionInput { kind: kind.into(), value: value.map(str::to_owned) }
}

/// A request that is right.
fn block() -> RuleInput {
    RuleInput {
        name: Patch::Set("Block".into()),
        matching: on(vec![text("from.domain", "is", "spam.example")]),
        actions: Patch::Set(vec![act("block", None)]),
        ..RuleInput::default()
    }
}

fn outbound() -> RuleInput {
    RuleInput { trigger: Patch::Set("outbound".into()), ..block() }
}

fn made(input: RuleInput) -> Result<NamedRule, Problem> {
    RuleChange::of_new(input)?.apply(&NamedRule::blank(id()))
}

#[track_caller]
fn refused(input: RuleInput, field: &str, says: &str) {
    let problem = made(input).expect_err(field);
    assert_eq!(problem.field.as_deref(), Some(field), "{problem}");
    assert!(problem.public.contains(says), "{:?} does not say {says:?}", problem.public);
    assert!(problem.public.contains(field), "{:?} does not name {field}", problem.public);
}

#[test]
fn a_rule_has_every_default() {
    let rule = made(block()).unwrap();
    assert_eq!((rule.name.as_str(), &rule.description), ("Block", &None));
    let Rule { priority, is_enabled, mode, direction, match_operator, conditions, actions, .. } = rule.rule;
    assert_eq!((priority, is_enabled, mode, direction), (10, true, Mode::Enforce, Direction::Inbound));
    assert_eq!((match_operator, actions), (MatchOperator::All, vec![Action::Block]));
    let condition =
        Condition { field: Field::FromDomain, operator: Operator::Is, operand: Operand::Text("spam.example".into()) };
    assert_eq!(conditions, [condition]);
    // Null is the default as well.
    let null = RuleInput {
        description: Patch::Clear,
        priority: Patch::Clear,
        enabled: Patch::Clear,
        trigger: Patch::Clear,
        mode: Patch::Clear,
        ..block()
    };
    assert_eq!(made(null), made(block()));
}

#[test]
fn what_is_given_is_taken() {
    let input = RuleInput {
        name: Patch::Set("n".repeat(NAME_CHARS_MAX)),
        description: Patch::Set("d\n".repeat(DESCRIPTION_CHARS_MAX / 2)),
        priority: Patch::Set(1_000),
        enabled: Patch::Set(false),
        trigger: Patch::Set("outbound".into()),
        mode: Patch::Set("shadow".into()),
        matching: Patch::Set(MatchInput {
            operator: Some("any".into()),
            conditions: vec![text("outbound.type", "is_not", " Reply "); CONDITIONS_MAX],
        }),
        actions: Patch::Set(vec![act("move_to_folder", Some(" Clients/Acme ")); ACTIONS_MAX]),
    };
    let NamedRule { rule, .. } = made(input).unwrap();
    assert_eq!((rule.priority, rule.is_enabled, rule.mode), (1_000, false, Mode::Shadow));
    assert_eq!((rule.direction, rule.match_operator), (Direction::Outbound, MatchOperator::Any));
    assert!(rule.conditions.iter().all(|condition| condition.operand == Operand::Text("reply".into())));
    assert_eq!(rule.actions, vec![Action::AssignToFolder("Clients/Acme".into()); ACTIONS_MAX]);
}

#[test]
fn every_field_is_judged_and_named() {
    let named = |name: &str| RuleInput { name: Patch::Set(name.into()), ..block() };
    for name in ["", "  ", &"n".repeat(257)] {
        refused(named(name), "name", "1 to 256 characters");
    }
    refused(RuleInput { name: Patch::Keep, ..block() }, "name", "1 to 256 characters");
    refused(RuleInput { name: Patch::Clear, ..block() }, "name", "1 to 256 characters");
    refused(named("a\u{0}"), "name", "control characters");
    let described = |text: String| RuleInput { description: Patch::Set(text), ..block() };
    refused(described("d".repeat(1_025)), "description", "at most 1024");
    refused(described("\u{0}".into()), "description", "control characters");
    for number in [-1, 1_001, i64::MAX, i64::MIN] {
        refused(RuleInput { priority: Patch::Set(number), ..block() }, "priority", "from 0 to 1000");
    }
    refused(RuleInput { trigger: Patch::Set("both".into()), ..block() }, "trigger", "one of inbound, outbound");
    refused(RuleInput { mode: Patch::Set("off".into()), ..block() }, "mode", "one of enforce, shadow");
}

#[test]
fn every_condition_is_judged_and_named() {
    let with = |conditions| RuleInput { matching: on(conditions), ..outbound() };
    let one = |condition| with(vec![text("from.tld", "is", "com"), condition]);
    for matching in [Patch::Keep, Patch::Clear, on(Vec::new())] {
        refused(RuleInput { matching, ..block() }, "match.conditions", "1 to 50");
    }
    refused(with(vec![text("from.tld", "is", "com"); 51]), "match.conditions", "1 to 50");
    let operator = Patch::Set(MatchInput { operator: Some("none".into()), conditions: Vec::new() });
    refused(RuleInput { matching: operator, ..block() }, "match.operator", "one of any, all");
    let at = |name: &str| format!("match.conditions[1].{name}");
    let fields =
        "from.address, from.domain, from.tld, recipient.address, recipient.domain, recipient.tld, outbound.type";
    refused(one(text("", "is", "x")), &at("field"), fields);
    refused(one(text("subject", "is", "x")), &at("field"), fields);
    for operator in ["", "starts_with", "IS"] {
        refused(one(text("from.domain", operator, "x")), &at("operator"), "is, is_not, contains, in_list");
    }
    for operator in ["contains", "in_list"] {
        refused(one(text("outbound.type", operator, "reply")), &at("operator"), "is, is_not for outbound.type");
    }
    refused(one(text("outbound.type", "is", "forward")), &at("value"), "compose, reply");
    for value in ["", " ", &"x".repeat(501)] {
        refused(one(text("from.domain", "contains", value)), &at("value"), "1 to 500 characters");
    }
    refused(one(text("from.domain", "is", "@")), &at("value"), "1 to 500 characters");
    refused(one(text("from.domain", "is", "a\u{7}b")), &at("value"), "control characters");
    let missing = |operator: &str| ConditionInput { value: ValueInput::Missing, ..text("from.tld", operator, "") };
    refused(one(missing("is")), &at("value"), "must be a text");
    refused(one(missing("in_list")), &at("value"), "list of 1 to 100 ids");
    refused(one(text("from.tld", "in_list", &list(1).to_string())), &at("value"), "list of 1 to 100 ids");
    let texts = ConditionInput { operator: "is".into(), ..in_list("from.tld", &["com".into()]) };
    refused(one(texts), &at("value"), "must be a text");
    refused(one(in_list("from.tld", &[])), &at("value"), "1 to 100 ids");
    refused(one(in_list("from.tld", &vec![list(1).to_string(); 101])), &at("value"), "1 to 100 ids");
    refused(one(in_list("from.tld", &["x\u{0}y".into()])), &at("value"), "invalid list ID xy (invalid_field)");
}

#[test]
fn every_action_is_judged_and_named() {
    let with = |actions| RuleInput { actions: Patch::Set(actions), ..block() };
    let one = |action| with(vec![act("archive", None), action]);
    for actions in [Patch::Keep, Patch::Clear, Patch::Set(Vec::new()), Patch::Set(vec![act("trash", None); 21])] {
        refused(RuleInput { actions, ..block() }, "actions", "1 to 20");
    }
    for kind in ["", "delete", "Block"] {
        refused(one(act(kind, None)), "actions[1].type", "block, hold, mark_as_spam, assign_to_folder, mark_as_read,");
    }
    refused(one(act("block", None)), "actions", "block must be the only action");
    refused(with(vec![act("block", None); 2]), "actions", "block must be the only action");
    for value in [None, Some(""), Some(" "), Some("a\nb"), Some(&*"f".repeat(257))] {
        refused(one(act("assign_to_folder", value)), "actions[1].value", "1 to 256 characters");
    }
    refused(one(act("mark_as_read", Some("yes"))), "actions[1].value", "only assign_to_folder has a value");
    assert!(made(one(act("mark_as_read", Some("")))).is_ok(), "an empty value says nothing");
}

#[test]
fn an_inbound_rule_does_not_look_at_recipients() {
    for field in ["recipient.address", "recipient.domain", "recipient.tld", "outbound.type"] {
        let matching = on(vec![text("from.tld", "is", "com"), text(field, "is", "reply")]);
        let input = RuleInput { matching, ..block() };
        let says = format!("suspicion.kind, message.mark for the trigger inbound: {field} is for outbound rules");
        refused(input.clone(), "match.conditions[1].field", &says);
        let rule = made(RuleInput { trigger: Patch::Set("outbound".into()), ..input }).unwrap();
        // And so a rule that looks at more does not become inbound.
        let turned = RuleInput { trigger: Patch::Set("inbound".into()), ..RuleInput::default() };
        let problem = RuleChange::read(turned).unwrap().apply(&rule).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("match.conditions[1].field"));
    }
}

#[test]
fn what_is_found_is_for_inbound_rules_and_compared_with_what_it_can_be() {
    let with = |field: &str, operator: &str, value: &str| RuleInput {
        matching: on(vec![text(field, operator, value)]),
        ..block()
    };
    for (field, operator, value, expected) in [
        ("authentication.spf", "is", " SoftFail ", "softfail"),
        ("authentication.dkim", "is_not", "pass", "pass"),
        ("authentication.dmarc", "is", "fail", "fail"),
        ("suspicion.kind", "is", "hidden_text", "hidden_text"),
        ("message.mark", "is", "first_contact", "first_contact"),
        ("spam.score", "at_least", "5.00", "5"),
        ("spam.score", "below", "-1.50", "-1.5"),
        ("spam.score", "at_least", "1000", "1000"),
    ] {
        let made = made(with(field, operator, value)).unwrap_or_else(|problem| panic!("{field}: {problem}"));
        assert_eq!(made.rule.conditions[0].operand, Operand::Text(expected.into()));
        let outbound = RuleInput { trigger: Patch::Set("outbound".into()), ..with(field, operator, value) };
        refused(outbound, "match.conditions[0].field", &format!("{field} is for inbound rules"));
    }
    for (field, operator, says) in [
        ("authentication.dmarc", "contains", "is, is_not for authentication.dmarc"),
        ("message.mark", "at_least", "is, is_not for message.mark"),
        ("spam.score", "is", "at_least, below for spam.score"),
        ("from.domain", "below", "is, is_not, contains, in_list for from.domain"),
    ] {
        refused(with(field, operator, "x"), "match.conditions[0].operator", says);
    }
    for (field, operator, value, says) in [
        ("authentication.dmarc", "is", "failed", "none, pass, fail, softfail"),
        ("message.mark", "is", "spam", "first_contact, automated, list, bulk, display_name_mismatch"),
        ("suspicion.kind", "is", "hidden text", "1 to 64 lower-case letters, digits and underscores"),
        ("suspicion.kind", "is", &*"k".repeat(65), "1 to 64"),
        ("spam.score", "at_least", "high", "from -1000 to 1000 with at most two decimals"),
        ("spam.score", "below", "1000.01", "from -1000 to 1000"),
        ("spam.score", "below", "5.123", "two decimals"),
    ] {
        refused(with(field, operator, value), "match.conditions[0].value", says);
    }
}

#[test]
fn values_have_one_spelling() {
    for (field, operator, value, expected) in [
        ("from.address", "is", " Ada@Example.COM ", "ada@example.com"),
        ("from.address", "is", "Ada@Bücher.example", "ada@xn--bcher-kva.example"),
        ("from.address", "is_not", "no address", "no address"),
        ("from.address", "contains", "@Example.", "@example."),
        ("from.domain", "is", "@Example.com.", "example.com"),
        ("from.domain", "is_not", "Bücher.example", "xn--bcher-kva.example"),
        ("from.domain", "contains", ".Example", ".example"),
        ("from.tld", "is", ".COM", "com"),
        ("recipient.tld", "is", "рф", "xn--p1ai"),
        ("recipient.domain", "is", "exa mple", "exa mple"),
        ("recipient.domain", "is", "@@example", "@@example"),
        ("outbound.type", "is", "COMPOSE", "compose"),
    ] {
        let rule = made(RuleInput { matching: on(vec![text(field, operator, value)]), ..outbound() }).unwrap();
        assert_eq!(rule.rule.conditions[0].operand, Operand::Text(expected.into()), "{field} {operator} {value}");
    }
    let ids: Vec<_> = [1, 2, 1].map(|number| list(number).to_string()).into();
    let rule = made(RuleInput { matching: on(vec![in_list("from.domain", &ids)]), ..block() }).unwrap();
    assert_eq!(rule.rule.conditions[0].operand, Operand::Lists(vec![list(1), list(2)]));
}

#[test]
fn a_change_replaces_what_it_names() {
    let old = made(RuleInput { description: Patch::Set("d".into()), priority: Patch::Set(5), ..block() }).unwrap();
    let changed = |input| RuleChange::read(input).unwrap().apply(&old).unwrap();
    assert_eq!(changed(RuleInput::default()), old);
    let new = changed(RuleInput { name: Patch::Set("New".into()), enabled: Patch::Set(false), ..RuleInput::default() });
    assert_eq!((new.name.as_str(), new.rule.is_enabled, new.rule.priority), ("New", false, 5));
    assert_eq!((&new.description, &new.rule.conditions), (&old.description, &old.rule.conditions));
    let new = changed(RuleInput { priority: Patch::Clear, description: Patch::Clear, ..RuleInput::default() });
    assert_eq!((new.rule.priority, new.description), (10, None));
    let matching = Patch::Set(MatchInput {
        operator: Some("any".into()),
        conditions: vec![text("from.tld", "is", "com"), text("from.tld", "is", "net")],
    });
    let any = changed(RuleInput { matching, actions: Patch::Set(vec![act("trash", None)]), ..RuleInput::default() });
    assert_eq!((any.rule.match_operator, any.rule.conditions.len()), (MatchOperator::Any, 2));
    assert_eq!(any.rule.actions, [Action::Trash]);
    // Replaced whole: the operator goes back to its default.
    let input = RuleInput { matching: on(vec![text("from.tld", "is", "org")]), ..RuleInput::default() };
    let all = RuleChange::read(input).unwrap().apply(&any).unwrap();
    assert_eq!((all.rule.match_operator, all.rule.conditions.len()), (MatchOperator::All, 1));
    for (input, field) in [
        (RuleInput { name: Patch::Clear, ..RuleInput::default() }, "name"),
        (RuleInput { matching: Patch::Clear, ..RuleInput::default() }, "match.conditions"),
        (RuleInput { actions: Patch::Clear, ..RuleInput::default() }, "actions"),
    ] {
        assert_eq!(RuleChange::read(input).unwrap_err().field.as_deref(), Some(field));
    }
}

proptest::proptest! {
    /// What is shown of a rule can be sent again and means the same.
    #[test]
    fn what_was_spelled_stays(
        field in proptest::sample::select(Field::ALL),
        value in "[.@]{0,2}\\PC{0,12}(@?[a-zA-ZäßİΣ]{1,6}\\.[a-zA-Zä]{2,4}[. ]?)?",
    ) {
        for operator in ["is", "contains"] {
            let made = |value: &str| made(RuleInput { matching: on(vec![text(field.name(), operator, value)]), ..outbound() });
            let Ok(first) = made(&value) else { continue };
            let Operand::Text(spelled) = &first.rule.conditions[0].operand else { unreachable!() };
            proptest::prop_assert_eq!(made(spelled), Ok(first.clone()));
        }
    }
}
