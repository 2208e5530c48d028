//! May this message be sent? One pure function holds the order of refusals, for every way of sending.

use crate::address::EmailAddress;
use crate::capability::KeyUse;
use crate::hold;
use crate::meter::Meters;
use crate::opt_in;
use crate::plan::{Limits, RECIPIENTS_MAX};
use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::quota::Allowance;
use crate::rate::Exceeded;
use crate::rule::{OutboundType, Verdict};
use crate::stop::{self, Stop};
use crate::suppression::{Suppressed, Undeliverable};
use crate::warm_up::WarmUp;

/// What is known about a send, read in the transaction that would accept it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutboundFacts {
    /// The allowances that hold for the mailbox.
    pub limits: Limits,
    /// The mailbox's sends of the UTC day.
    pub daily: Allowance,
    /// Whether that is as little since a pause was lifted a few days ago.
    pub is_ramp: bool,
    /// What the mailbox and its organization keep, send and transfer.
    pub meters: Meters,
    /// Whether the domain of the From address is verified.
    pub domain_verified: bool,
    /// Recipients over to, cc and bcc.
    pub recipients: usize,
    /// Those of them that are not written to.
    pub suppressed: Vec<Suppressed>,
    /// Those that were looked at before, because the policy says so, and that mail cannot reach.
    pub undeliverable: Vec<Undeliverable>,
    /// Those who have not confirmed that they want mail for the purpose that the send names, if it names one.
    pub unconfirmed: Vec<EmailAddress>,
    /// Octets of the raw message.
    pub message_octets: u64,
    /// What the rules of the workspace say.
    pub rules: Verdict,
    /// The key with which it is sent, if it may not send everything.
    pub key: Option<Box<KeyUse>>,
    /// The rate that this send would exceed, if there is one.
    pub exceeded: Option<Exceeded>,
    /// What keeps the sender from sending.
    pub stops: Vec<Stop>,
    /// Sends in an hour that a stop allows, if one does, and how many there were.
    pub throttle: Option<Allowance>,
    /// How far its domain is warmed up, if it is being.
    pub warm_up: Option<WarmUp>,
    /// Whether somebody approved exactly this message, so that no rule holds it any more.
    pub approved: bool,
}

/// The code of the refusal of a message whose recipients are all suppressed.
pub const ALL_SUPPRESSED: &str = "all_recipients_suppressed";

/// The code of the refusal of more than the daily quota.
pub const DAILY_QUOTA_EXCEEDED: &str = "daily_quota_exceeded";

/// The code of the refusal of more than a throttle allows.
pub const THROTTLED: &str = "throttled";

/// Leave to send. Only [`decide`] makes it, so nothing reaches the queue without having been judged.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct ClearedToSend {
    daily: Allowance,
}

impl ClearedToSend {
    /// The daily allowance with this send counted.
    pub fn daily(&self) -> Allowance {
        self.daily
    }
}

/// What may stand against a send, in the order in which it is asked: the key, an abuse restriction, the sender domain, a
/// pause, another stop, recipients (how many, whether mail reaches them, whether anybody is left who may be written to, whether
/// they agreed to it) and size, rules, a stop that holds, storage, daily quota, monthly quota, bandwidth, the warm-up of the domain, throttle, rate.
const CHECKS: &[fn(&OutboundFacts) -> Vec<Problem>] = &[
    of_key,
    of_restriction,
    of_domain,
    of_pause,
    of_stop,
    of_recipients,
    of_size,
    of_rules,
    of_holding_stop,
    of_storage,
    of_quota,
    of_month,
    of_warm_up,
    of_throttle,
    of_rate,
];

/// Judges a send. The first refusal in the order of the checks is the answer.
pub fn decide(facts: &OutboundFacts) -> Result<ClearedToSend, Problem> {
    match CHECKS.iter().find_map(|check| check(facts).into_iter().next()) {
        Some(problem) => Err(problem),
        None => Ok(ClearedToSend { daily: facts.daily.taken() }),
    }
}

/// Everything that stands against a send, in the order of the checks: what is left once the first is mended.
pub fn refusals(facts: &OutboundFacts) -> Vec<Problem> {
    CHECKS.iter().flat_map(|check| check(facts)).collect()
}

fn of_key(facts: &OutboundFacts) -> Vec<Problem> {
    facts.key.as_ref().map(|key| key.refusals()).unwrap_or_default()
}

fn of_restriction(facts: &OutboundFacts) -> Vec<Problem> {
    stop::restriction(&facts.stops).into_iter().collect()
}

fn of_pause(facts: &OutboundFacts) -> Vec<Problem> {
    stop::pause(&facts.stops).into_iter().collect()
}

fn of_stop(facts: &OutboundFacts) -> Vec<Problem> {
    stop::stopped(&facts.stops).into_iter().collect()
}

/// After the rules: what they forbid nobody has to look at.
fn of_holding_stop(facts: &OutboundFacts) -> Vec<Problem> {
    stop::held(&facts.stops, facts.approved).into_iter().collect()
}

fn of_domain(facts: &OutboundFacts) -> Vec<Problem> {
    unless(facts.domain_verified, domain_unverified)
}

fn of_recipients(facts: &OutboundFacts) -> Vec<Problem> {
    let mut refusals = unless(facts.recipients <= RECIPIENTS_MAX, || too_many_recipients(facts.recipients));
    refusals.extend(unless(facts.undeliverable.is_empty(), || undeliverable(&facts.undeliverable)));
    let is_anybody_left = facts.recipients == 0 || facts.suppressed.len() < facts.recipients;
    refusals.extend(unless(is_anybody_left, || all_suppressed(&facts.suppressed)));
    refusals.extend(unless(facts.unconfirmed.is_empty(), || opt_in::not_confirmed(&facts.unconfirmed)));
    refusals
}

fn of_size(facts: &OutboundFacts) -> Vec<Problem> {
    let limit = facts.limits.outbound_message_octets_max;
    unless(facts.message_octets <= limit, || too_large(facts.message_octets, limit))
}

fn of_rules(facts: &OutboundFacts) -> Vec<Problem> {
    match facts.rules {
        Verdict::Pass => Vec::new(),
        Verdict::Hold if facts.approved => Vec::new(),
        Verdict::Hold => vec![hold::held_by_rule()],
        Verdict::Block => vec![blocked_by_rule()],
        Verdict::Undecidable => vec![rules_undecidable()],
    }
}

fn of_storage(facts: &OutboundFacts) -> Vec<Problem> {
    facts.meters.keep(facts.message_octets).err().into_iter().collect()
}

fn of_quota(facts: &OutboundFacts) -> Vec<Problem> {
    unless(facts.daily.has_room(), || over_daily_quota(&facts.daily, facts.is_ramp))
}

fn of_month(facts: &OutboundFacts) -> Vec<Problem> {
    [facts.meters.send(), facts.meters.transfer(facts.message_octets)].into_iter().filter_map(Result::err).collect()
}

fn of_warm_up(facts: &OutboundFacts) -> Vec<Problem> {
    facts.warm_up.iter().filter_map(|warm_up| warm_up.take().err()).collect()
}

fn of_throttle(facts: &OutboundFacts) -> Vec<Problem> {
    facts.throttle.iter().filter(|throttle| !throttle.has_room()).map(throttled).collect()
}

fn of_rate(facts: &OutboundFacts) -> Vec<Problem> {
    facts.exceeded.iter().map(Exceeded::problem).collect()
}

fn unless(is_well: bool, problem: impl FnOnce() -> Problem) -> Vec<Problem> {
    if is_well { Vec::new() } else { vec![problem()] }
}

/// Which of several messages that could be sent now goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    /// The answer to somebody, who may be waiting for it.
    Reply,
    /// Anything else that one writes.
    Normal,
    /// One of many: to many at once, or by a mailbox that has sent much today.
    Bulk,
}

impl Priority {
    /// All, first ones first.
    pub const ALL: [Self; 3] = [Self::Reply, Self::Normal, Self::Bulk];

    /// The number in the store: lower goes first.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The priority of that number; the middle one for any other.
    pub const fn of_number(number: i64) -> Self {
        match number {
            0 => Self::Reply,
            2 => Self::Bulk,
            _ => Self::Normal,
        }
    }

    /// The word for it on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// Recipients from which on a message that begins a conversation is bulk.
pub const BULK_RECIPIENTS: usize = 20;
/// Sends of a mailbox on one day after which those that begin a conversation are bulk.
pub const BULK_DAILY_SENDS: u64 = 200;

/// The priority of a send: an answer first, what goes to many last.
pub fn priority(kind: OutboundType, recipients: usize, sent_today: u64) -> Priority {
    match kind {
        OutboundType::Reply => Priority::Reply,
        _ if recipients >= BULK_RECIPIENTS || sent_today > BULK_DAILY_SENDS => Priority::Bulk,
        _ => Priority::Normal,
    }
}

fn domain_unverified() -> Problem {
    let text = "sender domain is not verified for sending";
    Problem::new(ProblemKind::DomainUnverified, "sender_domain_unverified", text)
}

/// The refusal of more recipients than a message may have.
pub fn too_many_recipients(recipients: usize) -> Problem {
    let text = format!("a message may have at most {RECIPIENTS_MAX} recipients over to, cc and bcc, not {recipients}");
    Problem { field: Some("to".into()), ..Problem::new(ProblemKind::Invalid, "too_many_recipients", text) }
}

fn undeliverable(recipients: &[Undeliverable]) -> Problem {
    let named = recipients.iter().map(|recipient| format!("{} {}", recipient.address, recipient.why));
    let text = format!("mail cannot reach: {}", named.collect::<Vec<_>>().join("; "));
    Problem { field: Some("to".into()), ..Problem::new(ProblemKind::Invalid, "recipient_undeliverable", text) }
}

fn all_suppressed(recipients: &[Suppressed]) -> Problem {
    let named = recipients.iter().map(|recipient| format!("{} ({})", recipient.address, recipient.reason.name()));
    let text = format!("every recipient is suppressed, so nothing is sent: {}", named.collect::<Vec<_>>().join(", "));
    Problem { field: Some("to".into()), ..Problem::new(ProblemKind::Invalid, ALL_SUPPRESSED, text) }
}

/// The refusal of a message over the outbound limit.
pub fn too_large(octets: u64, limit: u64) -> Problem {
    let text = format!("the message is {octets} bytes of raw MIME; the limit is {limit} bytes");
    Problem::new(ProblemKind::TooLarge, "message_too_large", text)
}

fn blocked_by_rule() -> Problem {
    let text = "a rule of the workspace blocks this message; the mailbox's rule evaluations say which";
    Problem::new(ProblemKind::BlockedByRule, "blocked_by_rule", text)
}

fn rules_undecidable() -> Problem {
    let text = "a blocking rule of the workspace could not be evaluated, please try again shortly";
    Problem::new(ProblemKind::Undecidable, "rules_undecidable", text)
}

fn over_daily_quota(daily: &Allowance, is_ramp: bool) -> Problem {
    let limit = daily.limit.unwrap_or(u64::MAX);
    let text = match is_ramp {
        false => format!("daily send quota of {limit} messages is used up until 00:00 UTC"),
        true => format!(
            "the ramp after a pause allows {limit} messages today, which are used up until 00:00 UTC; it doubles each day"
        ),
    };
    let exhausted = Exhausted { scope: "grant", limit, used: daily.used, resets_at: Some(daily.resets_at) };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::OverQuota, DAILY_QUOTA_EXCEEDED, text) }
}

fn throttled(throttle: &Allowance) -> Problem {
    let Allowance { limit, used, resets_at } = *throttle;
    let limit = limit.unwrap_or(u64::MAX);
    let text =
        format!("the mailbox is throttled to {limit} messages in an hour, and they are sent until the hour ends");
    let exhausted = Exhausted { scope: "grant", limit, used, resets_at: Some(resets_at) };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::OverQuota, THROTTLED, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Caps, Room, Used};
    use crate::plan::Plans;
    use crate::rate::Scope;
    use crate::suppression::Reason;
    use crate::time::UtcDay;
    use crate::warm_up::Course;

    fn facts() -> OutboundFacts {
        let limits = Plans::presets().find("free").unwrap().limits.clone();
        OutboundFacts {
            daily: Allowance::daily(limits.daily_sends_max, 0, UtcDay::from_number(20_000)),
            is_ramp: false,
            meters: Meters::new(Room::default(), Caps::default(), Used::default(), UtcDay::from_number(20_000).month()),
            limits,
            domain_verified: true,
            recipients: 1,
            suppressed: Vec::new(),
            undeliverable: Vec::new(),
            unconfirmed: Vec::new(),
            message_octets: 1_000,
            rules: Verdict::Pass,
            key: None,
            exceeded: None,
            stops: Vec::new(),
            throttle: None,
            warm_up: None,
            approved: false,
        }
    }

    #[test]
    fn stops_have_their_places_in_the_order() {
        let stop = |number: u8, kind, effect| Stop {
            id: crate::id::StopId::new(crate::UnixMicros::from_seconds(1), [number; 10]),
            kind,
            effect,
            scope: stop::Scope::Grant,
            subject: String::new(),
            reason: "because".into(),
            value: None,
        };
        use stop::{Effect, Kind};
        let stops = vec![
            stop(1, Kind::Breaker, Effect::Hold),
            stop(2, Kind::Switch, Effect::Refuse),
            stop(3, Kind::Pause, Effect::Refuse),
            stop(4, Kind::Restriction, Effect::Refuse),
        ];
        let wrong = OutboundFacts {
            stops,
            domain_verified: false,
            recipients: RECIPIENTS_MAX + 1,
            rules: Verdict::Hold,
            daily: Allowance { used: 200, ..facts().daily },
            ..facts()
        };
        let all: Vec<&str> = refusals(&wrong).iter().map(|problem| problem.code).collect();
        let expected = "abuse_restriction sender_domain_unverified account_paused sending_paused too_many_recipients \
            held_by_rule held_by_breaker daily_quota_exceeded";
        assert_eq!(all.join(" "), expected);
        assert_eq!(refusal(wrong), "abuse_restriction");
    }

    fn refusal(facts: OutboundFacts) -> &'static str {
        decide(&facts).expect_err("must be refused").code
    }

    #[test]
    fn each_limit_at_its_edge() {
        let at_limits = OutboundFacts {
            recipients: RECIPIENTS_MAX,
            message_octets: facts().limits.outbound_message_octets_max,
            daily: Allowance { used: 199, ..facts().daily },
            ..facts()
        };
        assert_eq!(decide(&at_limits).unwrap().daily().used, 200);
        assert_eq!(refusal(OutboundFacts { recipients: RECIPIENTS_MAX + 1, ..facts() }), "too_many_recipients");
        let octets = facts().limits.outbound_message_octets_max + 1;
        assert_eq!(refusal(OutboundFacts { message_octets: octets, ..facts() }), "message_too_large");
        let daily = Allowance { used: 200, ..facts().daily };
        assert_eq!(refusal(OutboundFacts { daily, ..facts() }), "daily_quota_exceeded");
        assert_eq!(refusal(OutboundFacts { domain_verified: false, ..facts() }), "sender_domain_unverified");
        assert_eq!(refusal(OutboundFacts { rules: Verdict::Block, ..facts() }), "blocked_by_rule");
        assert_eq!(refusal(OutboundFacts { rules: Verdict::Undecidable, ..facts() }), "rules_undecidable");
        assert_eq!(refusal(OutboundFacts { rules: Verdict::Hold, ..facts() }), "held_by_rule");
        assert!(decide(&OutboundFacts { rules: Verdict::Hold, approved: true, ..facts() }).is_ok());
        let blocked = OutboundFacts { rules: Verdict::Block, approved: true, ..facts() };
        assert_eq!(refusal(blocked), "blocked_by_rule", "nobody approves what is forbidden");
    }

    fn suppressed(count: usize) -> Vec<Suppressed> {
        let address = |number| EmailAddress::parse(&format!("r{number}@example.com")).unwrap();
        (0..count).map(|number| Suppressed { address: address(number), reason: Reason::HardBounce }).collect()
    }

    #[test]
    fn somebody_must_be_left_who_may_be_written_to() {
        let two = OutboundFacts { recipients: 2, ..facts() };
        assert!(decide(&OutboundFacts { suppressed: suppressed(1), ..two.clone() }).is_ok());
        let refused = decide(&OutboundFacts { suppressed: suppressed(2), ..two.clone() }).unwrap_err();
        assert_eq!((refused.code, refused.kind), ("all_recipients_suppressed", ProblemKind::Invalid));
        assert!(refused.public.ends_with("r0@example.com (hard_bounce), r1@example.com (hard_bounce)"));
        let nowhere = Undeliverable { address: suppressed(1)[0].address.clone(), why: "has no mail server" };
        let refused = decide(&OutboundFacts { undeliverable: vec![nowhere], ..two }).unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), ("recipient_undeliverable", Some("to")));
        assert_eq!(refused.public, "mail cannot reach: r0@example.com has no mail server");
    }

    #[test]
    fn answers_go_before_what_goes_to_many() {
        let compose = |recipients, sent| priority(OutboundType::Compose, recipients, sent);
        assert_eq!(priority(OutboundType::Reply, 50, 10_000), Priority::Reply);
        assert_eq!(compose(BULK_RECIPIENTS - 1, BULK_DAILY_SENDS), Priority::Normal);
        assert_eq!(compose(BULK_RECIPIENTS, 0), Priority::Bulk);
        assert_eq!(compose(1, BULK_DAILY_SENDS + 1), Priority::Bulk);
        assert_eq!(Priority::ALL.map(|one| Priority::of_number(one.number())), Priority::ALL);
    }

    #[test]
    fn the_first_reason_in_the_order_is_reported() {
        let daily = Allowance { used: 200, ..facts().daily };
        let full = Room { limit: Some(1_000), used: 1_000 };
        let caps = Caps { storage: None, sends: Some(3_000), bandwidth: Some(2_000) };
        let used = Used { storage: 1_000, sends: 3_000, bandwidth: 1_500 };
        let meters = Meters::new(full, caps, used, UtcDay::from_number(20_000).month());
        let exceeded = Exceeded { scope: Scope::Organization, limit: 5, until: daily.resets_at };
        let everything = OutboundFacts {
            meters,
            exceeded: Some(exceeded),
            warm_up: Some(WarmUp { used: 23, ..WarmUp::new(Course::to(1_000), UtcDay::from_number(20_000)) }),
            domain_verified: false,
            recipients: 51,
            suppressed: suppressed(51),
            unconfirmed: vec![suppressed(1)[0].address.clone()],
            message_octets: u64::MAX,
            rules: Verdict::Block,
            daily,
            ..facts()
        };
        let all: Vec<&str> = refusals(&everything).iter().map(|problem| problem.code).collect();
        let expected = "sender_domain_unverified too_many_recipients all_recipients_suppressed no_opt_in message_too_large \
            blocked_by_rule storage_full daily_quota_exceeded monthly_quota_exceeded bandwidth_exceeded \
            domain_warm_up_exceeded per_second_rate_limit_exceeded";
        assert_eq!(
            all.join(" "),
            expected,
            "all of them, in the order in which each is reported once those before are mended"
        );
        assert_eq!(refusal(everything.clone()), "sender_domain_unverified");
        let everything = OutboundFacts { domain_verified: true, ..everything };
        assert_eq!(refusal(everything.clone()), "too_many_recipients");
        let everything = OutboundFacts { recipients: 50, ..everything };
        assert_eq!(refusal(everything.clone()), "all_recipients_suppressed");
        let everything = OutboundFacts { suppressed: suppressed(49), ..everything };
        assert_eq!(refusal(everything.clone()), "no_opt_in");
        let everything = OutboundFacts { unconfirmed: Vec::new(), ..everything };
        assert_eq!(refusal(everything.clone()), "message_too_large");
        let everything = OutboundFacts { message_octets: 1_000, ..everything };
        assert_eq!(refusal(everything.clone()), "blocked_by_rule");
        let everything = OutboundFacts { rules: Verdict::Undecidable, ..everything };
        assert_eq!(refusal(everything.clone()), "rules_undecidable");
        let everything = OutboundFacts { rules: Verdict::Pass, ..everything };
        assert_eq!(refusal(everything.clone()), "storage_full");
        let meters = Meters { account_storage: Room::default(), ..meters };
        let everything = OutboundFacts { meters, ..everything };
        assert_eq!(refusal(everything.clone()), "daily_quota_exceeded");
        let everything = OutboundFacts { daily: facts().daily, ..everything };
        assert_eq!(refusal(everything.clone()), "monthly_quota_exceeded");
        let meters = Meters { sends: Allowance { limit: None, ..meters.sends }, ..meters };
        let everything = OutboundFacts { meters, ..everything };
        assert_eq!(refusal(everything.clone()), "bandwidth_exceeded");
        let meters = Meters { bandwidth: Allowance { used: 1_000, ..meters.bandwidth }, ..meters };
        let everything = OutboundFacts { meters, ..everything };
        assert_eq!(refusal(everything.clone()), "domain_warm_up_exceeded");
        let everything = OutboundFacts { warm_up: None, ..everything };
        assert_eq!(refusal(everything.clone()), "per_second_rate_limit_exceeded");
        assert!(decide(&OutboundFacts { exceeded: None, ..everything }).is_ok(), "to the last octet");
    }

    #[test]
    fn the_quota_refusal_says_whose_how_much_and_until_when() {
        let daily = Allowance { used: 200, ..facts().daily };
        let problem = decide(&OutboundFacts { daily, ..facts() }).unwrap_err();
        let exhausted = problem.exhausted.unwrap();
        assert_eq!((exhausted.scope, exhausted.limit, exhausted.used), ("grant", 200, 200));
        assert_eq!(exhausted.resets_at, Some(UtcDay::from_number(20_000).end()));
    }
}
