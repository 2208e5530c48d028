//! Meters: what a mailbox and its organization use of storage, of the month's sends and of the month's bandwidth, held
//! against what stops them. On a plan with overage only a policy stops anybody: what is above the allowance is counted
//! all the same, and billed.

use crate::plan::{Plan, PolicyLimits};
use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::quota::Allowance;
use crate::time::UtcMonth;

/// Where an organization is stopped. `None` is nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caps {
    /// Octets kept.
    pub storage: Option<u64>,
    /// Messages sent in a month.
    pub sends: Option<u64>,
    /// Octets of mail in and out in a month.
    pub bandwidth: Option<u64>,
}

impl Caps {
    /// The caps of a plan: its allowances, unless it goes on above them.
    pub fn of(plan: &Plan) -> Self {
        if plan.has_overage {
            return Self::default();
        }
        Self {
            storage: plan.storage_octets_max,
            sends: plan.monthly_sends_max,
            bandwidth: plan.monthly_bandwidth_octets_max,
        }
    }
}

/// Where one mailbox is stopped: what its policy says, and what the plan says if that is the end.
pub fn account_storage_cap(plan: &Plan, policy: &PolicyLimits) -> Option<u64> {
    let of_plan = plan.limits.storage_octets_max.filter(|_| !plan.has_overage);
    match (of_plan, policy.storage_octets_max) {
        (Some(plan), Some(policy)) => Some(plan.min(policy)),
        (plan, policy) => plan.or(policy),
    }
}

/// What an organization has used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// Octets that it keeps.
    pub storage: u64,
    /// Messages sent in the month.
    pub sends: u64,
    /// Octets of mail in and out in the month.
    pub bandwidth: u64,
}

/// Room that fills, and is made by removing something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// `None` is unlimited.
    pub limit: Option<u64>,
    /// Octets that are kept.
    pub used: u64,
}

impl Room {
    fn has_room_for(&self, octets: u64) -> bool {
        self.limit.is_none_or(|limit| self.used.saturating_add(octets) <= limit)
    }
}

/// What stops a mailbox and its organization, and how far they are from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meters {
    /// What the mailbox keeps.
    pub account_storage: Room,
    /// What the organization keeps.
    pub storage: Room,
    /// What the organization sends in the month.
    pub sends: Allowance,
    /// Octets of mail in and out of the organization in the month.
    pub bandwidth: Allowance,
    /// Messages that the mailbox gets in the day; without a limit where nothing comes in.
    pub received: Allowance,
}

impl Meters {
    /// The meters of a mailbox in a month.
    pub fn new(account_storage: Room, caps: Caps, used: Used, month: UtcMonth) -> Self {
        let monthly = |limit, used| Allowance { limit, used, resets_at: month.end() };
        Self {
            account_storage,
            storage: Room { limit: caps.storage, used: used.storage },
            sends: monthly(caps.sends, used.sends),
            bandwidth: monthly(caps.bandwidth, used.bandwidth),
            received: monthly(None, 0),
        }
    }

    /// The same for a mailbox that has got so many messages in the day.
    pub fn receiving(self, received: Allowance) -> Self {
        Self { received, ..self }
    }

    /// Whether anything could stop the mailbox at all.
    pub fn are_capped(&self) -> bool {
        let monthly = [self.sends.limit, self.bandwidth.limit, self.received.limit];
        [self.account_storage.limit, self.storage.limit].iter().chain(&monthly).any(Option::is_some)
    }

    /// What stops the organization.
    pub fn caps(&self) -> Caps {
        Caps { storage: self.storage.limit, sends: self.sends.limit, bandwidth: self.bandwidth.limit }
    }

    /// So many octets are removed for what is to be kept.
    pub fn make_room(&mut self, octets: u64) {
        for room in [&mut self.account_storage, &mut self.storage] {
            room.used = room.used.saturating_sub(octets);
        }
    }

    /// May so many octets more be kept? The mailbox's own room is looked at first.
    pub fn keep(&self, octets: u64) -> Result<(), Problem> {
        if !self.account_storage.has_room_for(octets) {
            return Err(storage_full("grant", "the mailbox", &self.account_storage, octets));
        }
        if !self.storage.has_room_for(octets) {
            return Err(storage_full("organization", "the organization", &self.storage, octets));
        }
        Ok(())
    }

    /// May one more be sent this month?
    pub fn send(&self) -> Result<(), Problem> {
        if self.sends.has_room() {
            return Ok(());
        }
        let limit = self.sends.limit.unwrap_or(u64::MAX);
        let text = format!("monthly send quota of {limit} messages is used up until the month ends (UTC)");
        Err(used_up("monthly_quota_exceeded", text, &self.sends))
    }

    /// May the mailbox get one more today?
    pub fn receive(&self) -> Result<(), Problem> {
        if self.received.has_room() {
            return Ok(());
        }
        let (limit, used) = (self.received.limit.unwrap_or(u64::MAX), self.received.used);
        let text = format!("the mailbox has got the {limit} messages that it may get until the day ends (UTC)");
        let exhausted = Exhausted { scope: "grant", limit, used, resets_at: Some(self.received.resets_at) };
        let problem = Problem::new(ProblemKind::OverQuota, "daily_received_exceeded", text);
        Err(Problem { exhausted: Some(Box::new(exhausted)), ..problem })
    }

    /// May so many octets of mail go in or out this month?
    pub fn transfer(&self, octets: u64) -> Result<(), Problem> {
        let bandwidth = &self.bandwidth;
        if bandwidth.limit.is_none_or(|limit| bandwidth.used.saturating_add(octets) <= limit) {
            return Ok(());
        }
        let (limit, used) = (bandwidth.limit.unwrap_or(u64::MAX), bandwidth.used);
        let text = format!(
            "monthly bandwidth of {limit} bytes does not suffice until the month ends (UTC): {used} are used, and this \
             needs {octets}"
        );
        Err(used_up("bandwidth_exceeded", text, bandwidth))
    }
}

fn storage_full(scope: &'static str, whose: &str, room: &Room, octets: u64) -> Problem {
    let (limit, used) = (room.limit.unwrap_or(u64::MAX), room.used);
    let text = format!("storage of {whose} is full: {used} of {limit} bytes are kept, and this needs {octets} more");
    let exhausted = Exhausted { scope, limit, used, resets_at: None };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::StorageFull, "storage_full", text) }
}

fn used_up(code: &'static str, text: String, allowance: &Allowance) -> Problem {
    let exhausted = Exhausted {
        scope: "organization",
        limit: allowance.limit.unwrap_or(u64::MAX),
        used: allowance.used,
        resets_at: Some(allowance.resets_at),
    };
    Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::OverQuota, code, text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plans;

    fn meters(caps: Caps, used: Used) -> Meters {
        Meters::new(Room { limit: Some(100), used: 40 }, caps, used, UtcMonth::from_number(24_000))
    }

    fn code(result: Result<(), Problem>) -> Option<(&'static str, &'static str, u64, u64)> {
        let problem = result.err()?;
        let exhausted = problem.exhausted.unwrap();
        Some((problem.code, exhausted.scope, exhausted.limit, exhausted.used))
    }

    #[test]
    fn each_meter_at_its_edge_and_one_above() {
        let caps = Caps { storage: Some(1_000), sends: Some(3), bandwidth: Some(500) };
        let meters = meters(caps, Used { storage: 950, sends: 2, bandwidth: 490 });
        assert_eq!(code(meters.keep(50)), None);
        assert_eq!(code(meters.keep(51)), Some(("storage_full", "organization", 1_000, 950)));
        assert_eq!(code(meters.keep(61)), Some(("storage_full", "grant", 100, 40)));
        assert_eq!(code(meters.send()), None);
        let full = Meters { sends: meters.sends.taken(), ..meters };
        assert_eq!(code(full.send()), Some(("monthly_quota_exceeded", "organization", 3, 3)));
        let day = crate::time::UtcDay::from_number(20_000);
        let getting = |used| meters.receiving(Allowance::daily(Some(2), used, day)).receive();
        assert_eq!(code(getting(1)), None);
        assert_eq!(code(getting(2)), Some(("daily_received_exceeded", "grant", 2, 2)));
        assert_eq!(code(meters.receive()), None);
        assert_eq!(code(meters.transfer(10)), None);
        assert_eq!(code(meters.transfer(11)), Some(("bandwidth_exceeded", "organization", 500, 490)));
        let resets = full.send().unwrap_err().exhausted.unwrap().resets_at;
        assert_eq!(resets, Some(UtcMonth::from_number(24_001).first_day().start()));
        assert_eq!(meters.keep(51).unwrap_err().exhausted.unwrap().resets_at, None);
    }

    #[test]
    fn a_plan_with_overage_stops_nobody_and_a_policy_still_does() {
        let plans = Plans::presets();
        let policy = |limit| PolicyLimits { storage_octets_max: limit, ..PolicyLimits::default() };
        let (free, full) = (plans.find("free").unwrap(), plans.find("full_platform").unwrap());
        assert_eq!(Caps::of(free).sends, Some(3_000));
        assert_eq!(Caps::of(full), Caps::default());
        assert_eq!(account_storage_cap(free, &policy(None)), free.limits.storage_octets_max);
        assert_eq!(account_storage_cap(free, &policy(Some(7))), Some(7));
        assert_eq!(account_storage_cap(free, &policy(Some(u64::MAX))), free.limits.storage_octets_max);
        assert_eq!(account_storage_cap(full, &policy(None)), None);
        assert_eq!(account_storage_cap(full, &policy(Some(7))), Some(7));
        let nothing = Meters::new(Room::default(), Caps::of(full), Used::default(), UtcMonth::from_number(24_000));
        assert!(!nothing.are_capped() && meters(Caps::default(), Used::default()).are_capped());
    }
}
