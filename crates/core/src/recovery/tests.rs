//! Each check on its own, the rule at its edges, the table of decisions, and the ramp day by day.

use super::*;
use crate::id::StopId;
use crate::stop::Effect;
use crate::time::UtcDay;

const NOW: UnixMicros = UnixMicros::from_seconds(20_000 * 86_400);

fn stop(kind: Kind, scope: Scope) -> Stop {
    let id = StopId::new(NOW, [1; 10]);
    Stop { id, kind, effect: Effect::Refuse, scope, subject: "s".into(), reason: "because".into(), value: None }
}

fn well() -> Facts {
    Facts {
        domain: Some(DomainFacts { name: "acme.test".into(), is_verified: true, ..DomainFacts::default() }),
        stops: vec![stop(Kind::Pause, Scope::Grant)],
        ..Facts::default()
    }
}

fn some(count: usize) -> Addresses {
    Addresses { named: (0..count).map(|number| format!("r{number}@x.test")).collect(), has_more: false }
}

#[test]
fn each_check_fails_for_its_own_reason_alone() {
    assert!(all_passed(&checks(&well())), "{:?}", checks(&well()));
    let domain = |change: fn(&mut DomainFacts)| {
        let mut domain = well().domain.expect("domain");
        change(&mut domain);
        Facts { domain: Some(domain), ..well() }
    };
    let with = |kind, scope| Facts { stops: [well().stops, vec![stop(kind, scope)]].concat(), ..well() };
    use CheckCode::*;
    for (facts, code, part) in [
        (Facts { not_suppressed: some(1), ..well() }, ListCleaned, "r0@x.test; suppress them"),
        (Facts { not_suppressed: some(6), ..well() }, ListCleaned, "r4@x.test and others;"),
        (Facts { waiting: some(2), ..well() }, NothingWaitsForThem, "r0@x.test, r1@x.test; cancel"),
        (Facts { domain: None, ..well() }, DomainAuthenticated, "not registered"),
        (domain(|one| one.is_verified = false), DomainAuthenticated, "acme.test is not verified"),
        (domain(|one| one.wrong = vec!["no SPF".into()]), DomainAuthenticated, "acme.test: no SPF"),
        (with(Kind::Restriction, Scope::Application), NoRestriction, "restriction of the application"),
        (with(Kind::Switch, Scope::Workspace), PauseIsTheReason, "by a switch of the workspace: because"),
        (Facts { stops: Vec::new(), ..well() }, PauseIsTheReason, "not paused"),
        (Facts { stops: vec![stop(Kind::Pause, Scope::Application)], ..well() }, PauseIsTheReason, "not paused"),
    ] {
        let checks = checks(&facts);
        let failed: Vec<&Check> = checks.iter().filter(|check| !check.passed).collect();
        assert_eq!(failed.iter().map(|check| check.code).collect::<Vec<_>>(), [code], "{part}");
        assert!(failed[0].text.contains(part), "{}", failed[0].text);
    }
    let trusted = domain(|one| (one.is_exempt, one.wrong) = (true, vec!["not looked at".into()]));
    assert!(all_passed(&checks(&trusted)), "nobody looks at the records of a trusted domain");
}

#[test]
fn the_rule_grants_only_when_everything_is_well_and_long_enough_ago() {
    let rule = Rule { automatic: Automatic::WhenChecked, ..Rule::default() };
    let (good, bad) = (checks(&well()), checks(&Facts { waiting: some(1), ..well() }));
    let day = Duration::from_secs(86_400);
    let micro = Duration::from_micros(1);
    let history = History { paused_since: Some(NOW), last_granted: None };
    let judged = |rule, checks: &[Check], history, now| match decide_by_rule(rule, checks, history, now) {
        ByRule::Granted => String::new(),
        ByRule::Waits(why) => why,
    };
    assert_eq!(judged(rule, &good, history, NOW.plus(day)), "");
    assert_eq!(judged(Rule::default(), &good, history, NOW.plus(day)), "an operator decides about recoveries");
    assert!(judged(rule, &good, history, NOW.plus(day).minus(micro)).contains("24 hours"));
    assert!(judged(rule, &bad, history, NOW.plus(day)).contains("not everything"));
    assert!(judged(rule, &good, History { paused_since: None, ..history }, NOW.plus(day)).contains("not paused"));
    let again = History { last_granted: Some(NOW), ..history };
    assert!(judged(rule, &good, again, NOW.plus(BETWEEN_BY_RULE).minus(micro)).contains("30 days"));
    assert_eq!(judged(rule, &good, again, NOW.plus(BETWEEN_BY_RULE)), "");
}

#[test]
fn a_case_is_decided_once_and_not_in_spite_of_what_is_missing_without_saying_why() {
    let (good, bad) = (checks(&well()), checks(&Facts { waiting: some(1), not_suppressed: some(1), ..well() }));
    let judge =
        |decision, state, checks: &[Check], note| decide(decision, state, checks, note).map_err(|problem| problem.code);
    let grant = Decision::Grant { despite_checks: false };
    let despite = Decision::Grant { despite_checks: true };
    assert_eq!(judge(grant, State::Requested, &good, None), Ok(()));
    assert_eq!(judge(grant, State::Requested, &bad, Some("I know")), Err("recovery_checks_failed"));
    assert_eq!(judge(despite, State::Requested, &bad, None), Err("invalid_request"));
    assert_eq!(judge(despite, State::Requested, &bad, Some(" ")), Err("invalid_request"));
    assert_eq!(judge(despite, State::Requested, &bad, Some("they are gone")), Ok(()));
    let problem = decide(grant, State::Requested, &bad, None).expect_err("refused");
    assert!(problem.public.contains("suppress them") && problem.public.contains("; cancel what"), "{}", problem.public);
    for decision in [Decision::Refuse, Decision::Withdraw] {
        assert_eq!(judge(decision, State::Requested, &bad, None), Ok(()));
    }
    for state in [State::Granted, State::Refused, State::Withdrawn] {
        for decision in [grant, despite, Decision::Refuse, Decision::Withdraw] {
            assert_eq!(judge(decision, state, &good, Some("x")), Err("recovery_closed"), "{state:?}");
        }
    }
}

#[test]
fn the_ramp_doubles_each_day_until_it_was_above_the_highest_day() {
    let days = |highest| (0..20).map_while(|day| ramp_cap(day, highest)).collect::<Vec<u64>>();
    assert_eq!(days(0), [20]);
    assert_eq!(days(19), [20]);
    assert_eq!(days(20), [20, 40]);
    assert_eq!(days(200), [20, 40, 80, 160, 320]);
    assert_eq!(days(201), [21, 42, 84, 168, 336]);
    assert_eq!(days(1_000), [100, 200, 400, 800, 1_600]);
    // A tenth doubled thirteen times is far above any highest day; only numbers that are too great come to the end.
    let greatest = days(u64::MAX);
    assert!(greatest.len() as u64 == RAMP_DAYS && greatest.is_sorted(), "{greatest:?}");
    assert_eq!(ramp_cap(RAMP_DAYS, u64::MAX), None);
    assert_eq!(ramp_cap(u64::MAX, 1), None);
}

#[test]
fn what_was_sent_before_on_the_first_day_is_not_taken_away() {
    let ramp = Ramp { began: UtcDay::from_number(100), highest: 500, sent_before: 480 };
    let on = |day| ramp.cap(UtcDay::from_number(day));
    assert_eq!((on(100), on(101), on(104), on(105)), (Some(530), Some(100), Some(800), None));
    // A clock that went back.
    assert_eq!(on(99), Some(530));
    assert_eq!(ramp.ends(), UtcDay::from_number(105));
    assert_eq!(ramp.to_string().parse(), Ok(ramp));
    for bad in ["", "1", "1 2", "1 2 3 4", "a 2 3", "1 -2 3"] {
        assert_eq!(bad.parse::<Ramp>(), Err(NotARamp), "{bad}");
    }
}

#[test]
fn words_are_read_back() {
    assert!(State::ALL.iter().all(|one| State::named(one.name()) == Some(*one)));
    assert!(CheckCode::ALL.iter().all(|one| CheckCode::named(one.name()) == Some(*one)));
    assert_eq!(checks(&well()).len(), CheckCode::ALL.len(), "everything is looked at");
}
