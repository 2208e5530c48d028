//! Counted allowances: may one more be taken, and what remains.

use crate::time::{UnixMicros, UtcDay};

/// A counter and its limit, as read in the transaction that will change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// `None` is unlimited.
    pub limit: Option<u64>,
    /// What is taken already.
    pub used: u64,
    /// When it starts anew.
    pub resets_at: UnixMicros,
}

impl Allowance {
    /// The allowance of sends in `day`.
    pub fn daily(limit: Option<u64>, used: u64, day: UtcDay) -> Self {
        Self { limit, used, resets_at: day.end() }
    }

    /// Whether one more may be taken.
    pub fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.used < limit)
    }

    /// What may still be taken; `None` is unlimited.
    pub fn remaining(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }

    /// The allowance after one was taken.
    pub fn taken(self) -> Self {
        Self { used: self.used + 1, ..self }
    }
}

/// The daily quota to suggest where a mailbox has sent so much on its busiest day: twice that, rounded up to two digits,
/// and never more than the plan allows. So a usual day stays far below it, and a mailbox gone wild is stopped early.
pub fn advised(peak: u64, plan: Option<u64>) -> u64 {
    let twice = peak.saturating_mul(2);
    let step = 10_u64.pow(twice.checked_ilog10().unwrap_or(0).saturating_sub(1));
    let rounded = twice.div_ceil(step).saturating_mul(step);
    plan.map_or(rounded, |plan| rounded.min(plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_peak_is_advised_and_never_more_than_the_plan() {
        for (peak, plan, expected) in [
            (1, None, 2),
            (37, None, 74),
            (50, None, 100),
            (51, None, 110),
            (137, None, 280),
            (1_234, None, 2_500),
            (137, Some(200), 200),
            (137, Some(280), 280),
            (0, Some(200), 0),
            (u64::MAX, None, u64::MAX),
            (u64::MAX, Some(5), 5),
        ] {
            assert_eq!(advised(peak, plan), expected, "{peak} {plan:?}");
        }
    }

    #[test]
    fn room_ends_at_the_limit() {
        let day = UtcDay::from_number(20_000);
        assert!(Allowance::daily(Some(2), 1, day).has_room());
        assert!(!Allowance::daily(Some(2), 2, day).has_room());
        assert!(!Allowance::daily(Some(0), 0, day).has_room());
        assert!(Allowance::daily(None, u64::MAX, day).has_room());
        // A limit that was lowered below what is used leaves nothing, and does not wrap.
        assert_eq!(Allowance::daily(Some(2), 9, day).remaining(), Some(0));
    }
}
