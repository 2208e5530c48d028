//! Plans: what an organization may use. Plans are data: three presets, and those that the operator defines. A policy
//! lowers what a plan allows to each mailbox, and never raises it.

use crate::media_range::MediaRange;
use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::rate::SendRates;
use crate::request_rate::RequestRates;
use std::sync::Arc;

/// The allowances of one plan. `None` is unlimited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The name under which an organization has it.
    pub name: String,
    /// Mailboxes that may exist at once in the organization; with overage, those that are included.
    pub grants_max: Option<u64>,
    /// Rules in the organization.
    pub rules_max: Option<u64>,
    /// Lists in the organization.
    pub lists_max: Option<u64>,
    /// Domains below a trial domain in the organization.
    pub trial_domains_max: Option<u64>,
    /// Octets kept by all mailboxes of the organization together.
    pub storage_octets_max: Option<u64>,
    /// Octets of mail in and out of the organization in a calendar month (UTC).
    pub monthly_bandwidth_octets_max: Option<u64>,
    /// Messages that the organization may send in a calendar month (UTC).
    pub monthly_sends_max: Option<u64>,
    /// Messages that may be sent in any second.
    pub send_rates: SendRates,
    /// Requests to the interface that there may be in any second.
    pub request_rates: RequestRates,
    /// Whether the four metered resources go on above their allowance and are billed.
    pub has_overage: bool,
    /// What holds for each mailbox unless its policy lowers it.
    pub limits: Limits,
}

impl Plan {
    /// How many mailboxes the organization may have at once; `None` where it goes on above what is included.
    pub fn grants_cap(&self) -> Option<u64> {
        self.grants_max.filter(|_| !self.has_overage)
    }
}

/// The allowances that hold for one mailbox. `None` is unlimited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Octets of one attachment of an inbound message, decoded.
    pub attachment_octets_max: u64,
    /// Attachments of one inbound message.
    pub attachments_max: u64,
    /// Media types that attachments of inbound messages may have; empty allows all.
    pub attachment_types: Vec<MediaRange>,
    /// Octets of one inbound message.
    pub inbound_message_octets_max: u64,
    /// Octets of the raw MIME of one outbound message, on every path. No policy changes it.
    pub outbound_message_octets_max: u64,
    /// Octets that the mailbox may keep.
    pub storage_octets_max: Option<u64>,
    /// Messages that the mailbox may receive in a UTC day.
    pub daily_received_max: Option<u64>,
    /// Messages that the mailbox may send in a UTC day.
    pub daily_sends_max: Option<u64>,
    /// Days that mail outside junk is kept.
    pub inbox_retention_days: Option<u64>,
    /// Days that junk is kept.
    pub spam_retention_days: Option<u64>,
}

/// What a policy sets below the plan. `None` leaves the plan's allowance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PolicyLimits {
    /// `limit_attachment_size_limit`, octets.
    pub attachment_octets_max: Option<u64>,
    /// `limit_attachment_count_limit`.
    pub attachments_max: Option<u64>,
    /// `limit_attachment_allowed_types`; an empty list sets nothing.
    pub attachment_types: Vec<MediaRange>,
    /// `limit_size_total_mime`, octets.
    pub inbound_message_octets_max: Option<u64>,
    /// `limit_storage_total`, octets.
    pub storage_octets_max: Option<u64>,
    /// `limit_count_daily_message_received`.
    pub daily_received_max: Option<u64>,
    /// `limit_count_daily_email_sent`.
    pub daily_sends_max: Option<u64>,
    /// `limit_inbox_retention_period`, days.
    pub inbox_retention_days: Option<u64>,
    /// `limit_spam_retention_period`, days.
    pub spam_retention_days: Option<u64>,
}

impl Limits {
    /// Applies a policy to what a plan allows. It can lower, never raise.
    pub fn effective(plan: &Self, policy: &PolicyLimits) -> Self {
        let size = |plan: u64, policy: Option<u64>| policy.map_or(plan, |policy| policy.min(plan));
        let types = narrow(&plan.attachment_types, &policy.attachment_types);
        // A list that is empty allows all types. If none is left (the plan has become narrower than the policy), no
        // attachment is allowed.
        let attachments_max = if types.is_some() { plan.attachments_max } else { 0 };
        Self {
            attachment_octets_max: size(plan.attachment_octets_max, policy.attachment_octets_max),
            attachments_max: size(attachments_max, policy.attachments_max),
            attachment_types: types.unwrap_or_else(|| plan.attachment_types.clone()),
            inbound_message_octets_max: size(plan.inbound_message_octets_max, policy.inbound_message_octets_max),
            outbound_message_octets_max: plan.outbound_message_octets_max,
            storage_octets_max: lower(plan.storage_octets_max, policy.storage_octets_max),
            daily_received_max: lower(plan.daily_received_max, policy.daily_received_max),
            daily_sends_max: lower(plan.daily_sends_max, policy.daily_sends_max),
            inbox_retention_days: lower(plan.inbox_retention_days, policy.inbox_retention_days),
            spam_retention_days: lower(plan.spam_retention_days, policy.spam_retention_days),
        }
    }
}

impl Limits {
    /// Raises the daily sends to `raise`, but never above the plan. Answers whether that is what holds now.
    pub fn raise_daily_sends(&mut self, plan: &Self, raise: Option<u64>) -> bool {
        let before = self.daily_sends_max;
        self.daily_sends_max = before.map(|limit| lower(plan.daily_sends_max, raise).unwrap_or(limit).max(limit));
        self.daily_sends_max = match raise {
            Some(_) => self.daily_sends_max,
            None => before,
        };
        self.daily_sends_max != before
    }
}

impl Limits {
    /// Lowers the daily sends to what a ramp allows today, below the plan, the policy and any raise. Answers whether that is
    /// what holds now.
    pub fn ramp_daily_sends(&mut self, cap: Option<u64>) -> bool {
        let before = self.daily_sends_max;
        self.daily_sends_max = lower(before, cap);
        self.daily_sends_max != before
    }
}

fn lower(plan: Option<u64>, policy: Option<u64>) -> Option<u64> {
    match (plan, policy) {
        (Some(plan), Some(policy)) => Some(plan.min(policy)),
        (limit, None) | (None, limit) => limit,
    }
}

/// The types that both lists allow, where an empty list allows all; `None` if there are none.
fn narrow(plan: &[MediaRange], policy: &[MediaRange]) -> Option<Vec<MediaRange>> {
    if plan.is_empty() || policy.is_empty() {
        return Some(if policy.is_empty() { plan.to_vec() } else { policy.to_vec() });
    }
    let inside = |inner: &[MediaRange], outer: &[MediaRange]| -> Vec<MediaRange> {
        inner.iter().filter(|range| outer.iter().any(|outer| outer.contains(range))).cloned().collect()
    };
    let mut both = inside(policy, plan);
    both.extend(inside(plan, policy).into_iter().filter(|range| !policy.contains(range)));
    (!both.is_empty()).then_some(both)
}

const MEBIBYTE: u64 = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;

/// Recipients of one message over to, cc and bcc, on every plan.
pub const RECIPIENTS_MAX: usize = 50;

/// The rates of the hosted service.
const HOSTED_RATES: SendRates =
    SendRates { organization: Some(5), sandbox: Some(1), mailbox: None, domain: None, key: None, burst_seconds: 0 };

/// `free`, as the hosted service has it: hard caps.
fn free() -> Plan {
    Plan {
        name: "free".into(),
        grants_max: Some(3),
        rules_max: Some(5),
        lists_max: Some(10),
        trial_domains_max: Some(1),
        storage_octets_max: Some(3 * GIBIBYTE),
        monthly_bandwidth_octets_max: Some(3 * GIBIBYTE),
        monthly_sends_max: Some(3_000),
        send_rates: HOSTED_RATES,
        request_rates: RequestRates::default(),
        has_overage: false,
        limits: Limits {
            attachment_octets_max: 50 * MEBIBYTE,
            attachments_max: 10,
            attachment_types: Vec::new(),
            inbound_message_octets_max: 50 * MEBIBYTE,
            outbound_message_octets_max: 25 * MEBIBYTE,
            storage_octets_max: Some(3 * GIBIBYTE),
            daily_received_max: None,
            daily_sends_max: Some(200),
            inbox_retention_days: Some(30),
            spam_retention_days: Some(7),
        },
    }
}

/// `full_platform`, as the hosted service has it: metered above what is included.
fn full_platform() -> Plan {
    Plan {
        name: "full_platform".into(),
        grants_max: Some(20),
        rules_max: Some(30),
        lists_max: Some(50),
        trial_domains_max: Some(1),
        storage_octets_max: Some(10 * GIBIBYTE),
        monthly_bandwidth_octets_max: Some(10 * GIBIBYTE),
        monthly_sends_max: Some(10_000),
        send_rates: HOSTED_RATES,
        request_rates: RequestRates::default(),
        has_overage: true,
        limits: Limits {
            attachment_octets_max: 50 * MEBIBYTE,
            attachments_max: 20,
            attachment_types: Vec::new(),
            inbound_message_octets_max: 100 * MEBIBYTE,
            outbound_message_octets_max: 25 * MEBIBYTE,
            storage_octets_max: Some(10 * GIBIBYTE),
            daily_received_max: None,
            daily_sends_max: None,
            inbox_retention_days: Some(365),
            spam_retention_days: Some(30),
        },
    }
}

/// `self_hosted`: every metered resource unlimited, message sizes as `full_platform`.
fn self_hosted() -> Plan {
    Plan {
        name: "self_hosted".into(),
        grants_max: None,
        rules_max: None,
        lists_max: None,
        trial_domains_max: None,
        storage_octets_max: None,
        monthly_bandwidth_octets_max: None,
        monthly_sends_max: None,
        send_rates: SendRates::default(),
        request_rates: RequestRates::default(),
        has_overage: false,
        limits: Limits {
            attachment_octets_max: 50 * MEBIBYTE,
            attachments_max: 1_000,
            attachment_types: Vec::new(),
            inbound_message_octets_max: 100 * MEBIBYTE,
            outbound_message_octets_max: 25 * MEBIBYTE,
            storage_octets_max: None,
            daily_received_max: None,
            daily_sends_max: None,
            inbox_retention_days: None,
            spam_retention_days: None,
        },
    }
}

/// All plans of an installation, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plans(Arc<[Arc<Plan>]>);

impl Plans {
    /// The presets alone.
    pub fn presets() -> Self {
        Self([free(), full_platform(), self_hosted()].map(Arc::new).into())
    }

    /// The presets and further plans; one of the name of a preset takes its place.
    pub fn with(further: impl IntoIterator<Item = Plan>) -> Self {
        let mut plans: Vec<Arc<Plan>> = Self::presets().0.to_vec();
        for plan in further {
            plans.retain(|known| known.name != plan.name);
            plans.push(Arc::new(plan));
        }
        Self(plans.into())
    }

    /// Finds a plan by name.
    pub fn find(&self, name: &str) -> Option<&Arc<Plan>> {
        self.0.iter().find(|plan| plan.name == name)
    }

    /// All plans.
    pub fn iter(&self) -> impl Iterator<Item = &Plan> {
        self.0.iter().map(|plan| &**plan)
    }

    /// The largest inbound message that any plan accepts: what the SMTP listener announces as SIZE.
    pub fn inbound_octets_ceiling(&self) -> u64 {
        self.iter().map(|plan| plan.limits.inbound_message_octets_max).max().unwrap_or(0)
    }

    /// The largest outbound message that any plan accepts.
    pub fn outbound_octets_ceiling(&self) -> u64 {
        self.iter().map(|plan| plan.limits.outbound_message_octets_max).max().unwrap_or(0)
    }
}

/// A number that the plan caps for an organization, and how many there are: more than allowed, if the plan was changed
/// for a smaller one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    /// What the plan allows.
    pub limit: u64,
    /// How many there are.
    pub used: u64,
}

/// The refusal of one more of something that the plan caps; official clients look for "for this plan".
pub fn cap_reached(code: &'static str, what: &str, cap: Cap) -> Problem {
    let Cap { limit, used } = cap;
    let text = format!("Maximum number of {what} ({limit}) reached for this plan");
    let exhausted = Exhausted { scope: "organization", limit, used, resets_at: None };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::Forbidden, code, text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_lowers_and_never_raises() {
        let plans = Plans::presets();
        for (plan, policy, expected) in [
            ("free", None, Some(200)),
            ("free", Some(50), Some(50)),
            ("free", Some(500), Some(200)),
            ("free", Some(0), Some(0)),
            ("self_hosted", None, None),
            ("self_hosted", Some(500), Some(500)),
        ] {
            let plan = plans.find(plan).unwrap();
            let policy = PolicyLimits { daily_sends_max: policy, ..PolicyLimits::default() };
            assert_eq!(Limits::effective(&plan.limits, &policy).daily_sends_max, expected);
        }
    }

    #[test]
    fn the_free_plan_is_that_of_the_plan_table() {
        let plans = Plans::presets();
        let free = plans.find("free").unwrap();
        assert_eq!(free.limits.daily_sends_max, Some(200));
        assert_eq!(free.limits.storage_octets_max, Some(3_221_225_472));
        assert_eq!((free.limits.inbox_retention_days, free.limits.spam_retention_days), (Some(30), Some(7)));
        let full = plans.find("full_platform").unwrap();
        assert_eq!(full.limits.daily_sends_max, None);
        assert_eq!(full.limits.storage_octets_max, Some(10_737_418_240));
        assert_eq!((full.limits.inbox_retention_days, full.limits.spam_retention_days), (Some(365), Some(30)));
    }

    #[test]
    fn the_mailboxes_of_a_plan_with_overage_are_included_and_no_cap() {
        let plans = Plans::presets();
        let shown = |name: &str| plans.find(name).map(|plan| (plan.grants_max, plan.grants_cap())).unwrap();
        assert_eq!(shown("free"), (Some(3), Some(3)));
        assert_eq!(shown("full_platform"), (Some(20), None));
        assert_eq!(shown("self_hosted"), (None, None));
    }

    #[test]
    fn a_plan_of_the_name_of_a_preset_takes_its_place() {
        let mine = Plan { grants_max: Some(7), ..free() };
        let plans = Plans::with([mine, Plan { name: "gold".into(), ..full_platform() }]);
        assert_eq!(plans.find("free").unwrap().grants_max, Some(7));
        assert!(plans.find("gold").is_some() && plans.find("silver").is_none());
        assert_eq!(plans.iter().count(), 4);
    }
}
