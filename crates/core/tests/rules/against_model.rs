//! Compiled rules against a slow and obvious model, with failing lookups.
//!
//! The model knows no unknowns: it judges each rule twice, once as if all failing lookups had said yes and once as if
//! they had said no. No condition holds because a list lacks something, so whatever they would have said lies between.

use crate::{Lists, address, list_id, rule_id};
use postfleet_core::id::ListId;
use postfleet_core::rule::{
    AUTHENTICATION_RESULTS, Action, Compiled, Condition, Direction, Effects, Field, Found, Input, Judgement, Lookup,
    MARKS, MatchOperator, Mode, Operand, Operator, OutboundType, Rule, RuleOutcome, Shadow, Traced, Verdict, evaluate,
    trace,
};

/// Chance that is the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    fn of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())].clone()
    }
}

const LOCALS: &[&str] = &["ann", "Bob", "carol", "dave+x"];
const DOMAINS: &[&str] = &["one.example", "Two.example", "sub.one.example", "three.test", "localhost"];
const KINDS: &[&str] = &["hidden_text", "instruction", "link_target"];
/// As they are written, and in hundredths.
const SCORES: &[(&str, i64)] = &[("-2.5", -250), ("0", 0), ("4.99", 499), ("5", 500), ("12.1", 1_210)];
const TLDS: &[&str] = &["example", "test", "localhost"];

fn some_address(dice: &mut Dice) -> String {
    format!("{}@{}", dice.of(LOCALS), dice.of(DOMAINS))
}

/// Lists 0 to 2 hold addresses, 3 to 5 domains, 6 to 8 last labels; 9 to 11, of one kind each, were removed.
fn some_list(dice: &mut Dice, kind: usize) -> u64 {
    if dice.one_in(8) { 9 + kind as u64 } else { (kind * 3 + dice.below(3)) as u64 }
}

fn some_value(dice: &mut Dice, kind: usize) -> String {
    match kind {
        0 => some_address(dice),
        1 => dice.of(DOMAINS).to_owned(),
        _ => dice.of(TLDS).to_owned(),
    }
    .to_lowercase()
}

const FROM: [Field; 3] = [Field::FromAddress, Field::FromDomain, Field::FromTld];
const RECIPIENT: [Field; 3] = [Field::RecipientAddress, Field::RecipientDomain, Field::RecipientTld];

fn some_condition(dice: &mut Dice, direction: Direction) -> Condition {
    let kind = dice.below(3);
    let outbound = direction == Direction::Outbound;
    if !outbound && dice.one_in(5) {
        return some_found_condition(dice);
    }
    if outbound && dice.one_in(6) {
        let operator = dice.of(&[Operator::Is, Operator::IsNot]);
        let word = dice.of(OutboundType::ALL).name().to_owned();
        return Condition { field: Field::OutboundType, operator, operand: Operand::Text(word) };
    }
    let field = if outbound && dice.one_in(2) { RECIPIENT[kind] } else { FROM[kind] };
    let operator = dice.of(field.operators());
    let operand = match operator {
        Operator::InList => Operand::Lists((0..=dice.below(3)).map(|_| list_id(some_list(dice, kind))).collect()),
        Operator::Contains => {
            let value = some_value(dice, kind);
            let start = dice.below(value.len());
            let end = start + 1 + dice.below(value.len() - start);
            Operand::Text(value[start..end].to_owned())
        }
        _ => Operand::Text(some_value(dice, kind)),
    };
    Condition { field, operator, operand }
}

fn some_found_condition(dice: &mut Dice) -> Condition {
    let found = Field::ALL.iter().copied().filter(|field| field.is_found()).collect::<Vec<_>>();
    let field = dice.of(&found);
    let text = match field {
        Field::SpamScore => dice.of(SCORES).0.to_owned(),
        Field::SuspicionKind => dice.of(KINDS).to_owned(),
        Field::MessageMark => dice.of(MARKS).to_owned(),
        _ => dice.of(AUTHENTICATION_RESULTS).to_owned(),
    };
    Condition { field, operator: dice.of(field.operators()), operand: Operand::Text(text) }
}

fn some_found(dice: &mut Dice) -> Found {
    let some =
        |dice: &mut Dice, words: &[&'static str]| words.iter().copied().filter(|_| dice.one_in(2)).collect::<Vec<_>>();
    Found {
        spf: dice.of(AUTHENTICATION_RESULTS),
        dkim: dice.of(AUTHENTICATION_RESULTS),
        dmarc: dice.of(AUTHENTICATION_RESULTS),
        spam_score: dice.of(SCORES).1,
        suspicion_kinds: some(dice, KINDS).into_iter().map(str::to_owned).collect(),
        marks: some(dice, MARKS),
    }
}

fn some_rule(dice: &mut Dice, number: u64) -> Rule {
    let direction = dice.of(Direction::ALL);
    let mild = [
        Action::MarkAsSpam,
        Action::AssignToFolder("Clients/Acme".into()),
        Action::AssignToFolder("inbox".into()),
        Action::MarkAsRead,
        Action::MarkAsStarred,
        Action::Archive,
        Action::Trash,
    ];
    let actions = match dice.below(6) {
        0 | 1 => vec![Action::Block],
        2 if direction == Direction::Outbound => vec![Action::Hold, dice.of(&mild)],
        _ => (0..=dice.below(4)).map(|_| dice.of(&mild)).collect(),
    };
    Rule {
        id: rule_id(number),
        priority: dice.below(4) as u16,
        is_enabled: !dice.one_in(8),
        mode: if dice.one_in(4) { Mode::Shadow } else { Mode::Enforce },
        direction,
        match_operator: if dice.one_in(4) { MatchOperator::Any } else { MatchOperator::All },
        conditions: (0..=dice.below(4)).map(|_| some_condition(dice, direction)).collect(),
        actions,
    }
}

/// A message as a person would write it down.
struct Written {
    from: Vec<String>,
    recipients: Vec<String>,
    found: Option<Found>,
    outbound_type: Option<OutboundType>,
}

fn some_message(dice: &mut Dice, direction: Direction) -> Written {
    if direction == Direction::Inbound {
        let count = if dice.one_in(20) { dice.of(&[0, 2, 3]) } else { 1 };
        let from = (0..count).map(|_| some_address(dice)).collect();
        return Written { from, recipients: Vec::new(), found: Some(some_found(dice)), outbound_type: None };
    }
    let recipients = (0..=dice.below(5)).map(|_| some_address(dice)).collect();
    let outbound_type = Some(dice.of(OutboundType::ALL));
    Written { from: vec![some_address(dice)], recipients, found: None, outbound_type }
}

fn input_of(message: &Written) -> Input {
    let from: Vec<_> = message.from.iter().map(|text| address(text)).collect();
    let recipients: Vec<_> = message.recipients.iter().map(|text| address(text)).collect();
    match message.outbound_type {
        Some(outbound_type) => Input::outbound(&from[0], &recipients, outbound_type),
        None => Input::received(&from, message.found.clone().unwrap()),
    }
}

/// What a field sees, derived anew each time.
fn seen(field: Field, message: &Written) -> Vec<String> {
    let people =
        if FROM.contains(&field) { message.from.iter().collect() } else { message.recipients.iter().collect() };
    let people: Vec<&String> = people;
    let part = |address: &&String| {
        let address = address.to_lowercase();
        match field {
            Field::FromAddress | Field::RecipientAddress => address,
            Field::FromDomain | Field::RecipientDomain => address.split('@').next_back().unwrap().to_owned(),
            _ => address.split(['@', '.']).next_back().unwrap().to_owned(),
        }
    };
    people.iter().map(part).collect()
}

fn condition_holds(condition: &Condition, message: &Written, lists: &Lists, failing_says: bool) -> bool {
    if condition.field == Field::OutboundType {
        let word = message.outbound_type.map(OutboundType::name).unwrap_or_default();
        return (condition.operand == Operand::Text(word.to_owned())) == (condition.operator == Operator::Is);
    }
    if let (Some(found), true, Operand::Text(text)) = (&message.found, condition.field.is_found(), &condition.operand) {
        return found_holds(found, condition, text);
    }
    let seen = seen(condition.field, message);
    match (&condition.operand, condition.operator) {
        (Operand::Text(text), Operator::Is) => seen.iter().any(|value| value == text),
        (Operand::Text(text), Operator::IsNot) => !seen.iter().any(|value| value == text),
        (Operand::Text(text), _) => seen.iter().any(|value| value.contains(text)),
        (Operand::Lists(ids), _) => ids.iter().any(|id| {
            seen.iter().any(|value| {
                let asked = (*id, value.clone());
                if lists.failing.contains(&asked) { failing_says } else { lists.items.contains(&asked) }
            })
        }),
    }
}

fn found_holds(found: &Found, condition: &Condition, text: &str) -> bool {
    let has = match condition.field {
        Field::AuthenticationSpf => found.spf == text,
        Field::AuthenticationDkim => found.dkim == text,
        Field::AuthenticationDmarc => found.dmarc == text,
        Field::SuspicionKind => found.suspicion_kinds.iter().any(|kind| kind == text),
        Field::MessageMark => found.marks.contains(&text),
        _ => found.spam_score >= SCORES.iter().find(|(written, _)| *written == text).unwrap().1,
    };
    has == matches!(condition.operator, Operator::Is | Operator::AtLeast)
}

fn rule_holds(rule: &Rule, message: &Written, lists: &Lists, failing_says: bool) -> bool {
    let mut each = rule.conditions.iter().map(|condition| condition_holds(condition, message, lists, failing_says));
    match rule.match_operator {
        MatchOperator::Any => each.any(|holds| holds),
        MatchOperator::All => each.all(|holds| holds),
    }
}

fn effects_of<'a>(rules: impl Iterator<Item = &'a Rule>) -> Effects {
    let actions: Vec<&Action> = rules.flat_map(|rule| &rule.actions).collect();
    let mut folders: Vec<String> = Vec::new();
    for action in &actions {
        if let Action::AssignToFolder(folder) = action
            && !folders.contains(folder)
        {
            folders.push(folder.clone());
        }
    }
    Effects {
        blocked: actions.contains(&&Action::Block),
        blocked_by_evaluation_error: false,
        held: actions.contains(&&Action::Hold),
        marked_as_spam: actions.contains(&&Action::MarkAsSpam),
        marked_as_read: actions.contains(&&Action::MarkAsRead),
        marked_starred: actions.contains(&&Action::MarkAsStarred),
        archived: actions.contains(&&Action::Archive),
        trashed: actions.contains(&&Action::Trash),
        folders,
    }
}

fn model(rules: &[Rule], direction: Direction, message: &Written, lists: &Lists) -> Judgement {
    let mut looked_at: Vec<&Rule> =
        rules.iter().filter(|rule| rule.is_enabled && rule.direction == direction).collect();
    looked_at.sort_by(|a, b| a.priority.cmp(&b.priority).then(a.id.cmp(&b.id)));
    let (acting, watching): (Vec<&Rule>, Vec<&Rule>) = looked_at.iter().partition(|rule| rule.mode == Mode::Enforce);
    let surely = |rule: &&&Rule| rule_holds(rule, message, lists, false);
    let blocks = |rule: &&&Rule| rule.actions.contains(&Action::Block);
    let ids = |rules: &[&Rule]| rules.iter().map(|rule| rule.id).collect::<Vec<_>>();

    let seen_by_shadow: Vec<&Rule> = watching.iter().filter(surely).copied().collect();
    let shadow = Shadow { matched_rule_ids: ids(&seen_by_shadow), effects: effects_of(seen_by_shadow.iter().copied()) };
    let ended = acting.iter().position(|rule| blocks(&rule) && surely(&rule));
    let until = ended.map_or(acting.len(), |place| place + 1);
    let matched: Vec<&Rule> = acting[..until].iter().filter(surely).copied().collect();
    let holds = |rule: &&&Rule| rule.actions.contains(&Action::Hold);
    let unsure = |rule: &&Rule| rule_holds(rule, message, lists, true) && !surely(&rule);
    let might = acting.iter().any(|rule| (blocks(&rule) || holds(&rule)) && unsure(rule));
    let waits = matched.iter().any(|rule| holds(&rule));
    let (verdict, effects) = match (ended, might) {
        (Some(_), _) => (Verdict::Block, Effects { blocked: true, ..Effects::default() }),
        (None, true) => {
            let effects = Effects { blocked: true, blocked_by_evaluation_error: true, ..Effects::default() };
            (Verdict::Undecidable, effects)
        }
        (None, false) if waits => (Verdict::Hold, effects_of(matched.iter().copied())),
        (None, false) => (Verdict::Pass, effects_of(matched.iter().copied())),
    };
    Judgement { verdict, matched_rule_ids: ids(&matched), effects, shadow }
}

fn some_lists(dice: &mut Dice) -> Lists {
    let mut lists = Lists::default();
    for kind in 0..3 {
        for list in 0..3 {
            for _ in 0..dice.below(6) {
                lists.items.insert((list_id((kind * 3 + list) as u64), some_value(dice, kind)));
            }
        }
    }
    lists
}

fn with_failures(dice: &mut Dice, lists: &Lists) -> Lists {
    let mut failing = Lists { items: lists.items.clone(), ..Lists::default() };
    for _ in 0..dice.below(30) {
        let kind = dice.below(3);
        failing.failing.insert((list_id(some_list(dice, kind)), some_value(dice, kind)));
    }
    failing
}

#[test]
fn the_compiled_rules_say_what_the_model_says() {
    let mut dice = Dice(20_261_121);
    let mut verdicts = [0; 4];
    for workspace in 0..50 {
        let rules: Vec<Rule> = (0..10).map(|number| some_rule(&mut dice, workspace * 10 + number)).collect();
        let lists = some_lists(&mut dice);
        for direction in Direction::ALL.iter().copied() {
            let compiled = Compiled::new(rules.clone(), direction);
            for _ in 0..100 {
                let message = some_message(&mut dice, direction);
                let input = input_of(&message);
                let whole = evaluate(&compiled, &input, &mut lists.clone());
                assert_eq!(whole, model(&rules, direction, &message, &lists));
                assert_ne!(whole.verdict, Verdict::Undecidable);

                let failing = with_failures(&mut dice, &lists);
                let judged = evaluate(&compiled, &input, &mut failing.clone());
                assert_eq!(judged, model(&rules, direction, &message, &failing));
                assert_explained(&rules, direction, &input, &failing, &judged);
                verdicts[judged.verdict as usize] += 1;
                // What is blocked when everything works never passes when something fails, and the other way round.
                match (whole.verdict, judged.verdict) {
                    (Verdict::Block, Verdict::Pass | Verdict::Hold) | (Verdict::Hold, Verdict::Pass) => {
                        panic!("a failure let a message through")
                    }
                    (Verdict::Pass | Verdict::Hold, Verdict::Block) => panic!("a failure blocked a message for good"),
                    _ => {}
                }
            }
        }
    }
    assert!(verdicts.iter().all(|count| *count > 300), "all verdicts are met often: {verdicts:?}");
}

/// Before a message is there, only its envelope sender is known: what is refused then is what the rules would refuse of a
/// message whose author that is, whatever else may be found of it; and what they cannot refuse then is left to it.
#[test]
fn what_is_refused_before_the_message_is_refused_whatever_is_found_of_it() {
    let mut dice = Dice(20_261_122);
    let mut met = [0; 3];
    for workspace in 0..200 {
        let rules: Vec<Rule> = (0..6).map(|number| some_rule(&mut dice, workspace * 10 + number)).collect();
        let lists = some_lists(&mut dice);
        let whole = Compiled::new(rules.clone(), Direction::Inbound);
        let early = Compiled::at_rcpt(rules);
        for _ in 0..50 {
            let sender = address(&some_address(&mut dice));
            let first = evaluate(&early, &Input::inbound(Some(&sender)), &mut lists.clone());
            let of_message = |found| evaluate(&whole, &Input::received([&sender], found), &mut lists.clone());
            let verdicts: Vec<Verdict> = (0..8).map(|_| of_message(some_found(&mut dice)).verdict).collect();
            match first.verdict {
                Verdict::Block => {
                    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Block));
                    met[0] += 1;
                }
                _ if verdicts.contains(&Verdict::Block) => met[1] += 1,
                _ => met[2] += 1,
            }
        }
    }
    assert!(met.iter().all(|count| *count > 300), "all are met often: {met:?}");
}

/// Lists that may be asked twice.
struct Again<'a>(&'a Lists);

impl Lookup for Again<'_> {
    type Error = ();
    fn contains(&mut self, list: ListId, value: &str) -> Result<bool, ()> {
        let asked = (list, value.to_owned());
        if self.0.failing.contains(&asked) { Err(()) } else { Ok(self.0.items.contains(&asked)) }
    }
}

/// Asserts that what is told of each rule comes to what all of them together said, and its conditions to its outcome.
fn assert_explained(rules: &[Rule], direction: Direction, input: &Input, lists: &Lists, judged: &Judgement) {
    let traces = trace(rules, direction, input, &mut Again(lists));
    assert_eq!(traces.len(), rules.len());
    let rule_of = |id| rules.iter().find(|rule| rule.id == id).unwrap();
    let matched = |mode| {
        let matched = traces.iter().filter(|trace| trace.outcome == Traced::Judged(RuleOutcome::Matched));
        matched.map(|trace| trace.rule_id).filter(|id| rule_of(*id).mode == mode).collect::<Vec<_>>()
    };
    assert_eq!(matched(Mode::Enforce), judged.matched_rule_ids);
    assert_eq!(matched(Mode::Shadow), judged.shadow.matched_rule_ids);
    let does = |action, outcome| {
        traces.iter().any(|trace| {
            let rule = rule_of(trace.rule_id);
            trace.outcome == Traced::Judged(outcome) && rule.mode == Mode::Enforce && rule.actions.contains(&action)
        })
    };
    let is_unsure = [Action::Block, Action::Hold].into_iter().any(|action| does(action, RuleOutcome::Undecidable));
    let verdict = match (does(Action::Block, RuleOutcome::Matched), is_unsure) {
        (true, _) => Verdict::Block,
        (false, true) => Verdict::Undecidable,
        (false, false) if does(Action::Hold, RuleOutcome::Matched) => Verdict::Hold,
        (false, false) => Verdict::Pass,
    };
    assert_eq!(verdict, judged.verdict);
    for trace in &traces {
        let rule = rule_of(trace.rule_id);
        let Traced::Judged(outcome) = trace.outcome else {
            assert!(trace.conditions.is_empty());
            assert!(!rule.is_enabled || rule.direction != direction || judged.verdict == Verdict::Block);
            continue;
        };
        assert_eq!(trace.conditions.len(), rule.conditions.len());
        let holds = |wanted| trace.conditions.iter().any(|condition| condition.holds == wanted);
        let decided = if rule.match_operator == MatchOperator::Any { Some(true) } else { Some(false) };
        let expected = match (holds(decided), holds(None), rule.match_operator) {
            (true, _, MatchOperator::Any) | (false, false, MatchOperator::All) => RuleOutcome::Matched,
            (true, _, MatchOperator::All) | (false, false, MatchOperator::Any) => RuleOutcome::NoMatch,
            (false, true, _) => RuleOutcome::Undecidable,
        };
        assert_eq!(outcome, expected);
    }
}
