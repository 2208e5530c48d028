//! Counted allowances: may one more be taken, and what remains.

use crate::event::Trigger;
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

/// From how much of a limit on its use is warned of, in percent.
pub const WARNING_PERCENT: u64 = 80;

/// A line that the use of a limit crosses. Each is told once for a limit in its period.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Crossing {
    /// [`WARNING_PERCENT`] of it are used.
    Warning,
    /// All of it is used.
    Reached,
    /// More was wanted, and refused.
    Exceeded,
}

impl Crossing {
    /// The number in the store; 0 is none.
    pub const fn number(self) -> i64 {
        self as i64 + 1
    }

    /// What announces it.
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::Warning => Trigger::QuotaWarning,
            Self::Reached => Trigger::QuotaReached,
            Self::Exceeded => Trigger::QuotaExceeded,
        }
    }
}

/// What was told of a counter in its period: the mark in the counter's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// The last crossing, as its number; 0 for none.
    pub crossing: i64,
    /// Of which limit.
    pub limit: u64,
}

impl Told {
    /// The crossing to tell once `after` holds, if one is new: of several at once the last. A limit that is higher than
    /// the one that was told of begins anew.
    pub fn crossed(self, after: &Allowance) -> Option<Crossing> {
        let limit = after.limit?;
        let line = if after.used >= limit {
            Crossing::Reached
        } else if after.used.saturating_mul(100) >= limit.saturating_mul(WARNING_PERCENT) {
            Crossing::Warning
        } else {
            return None;
        };
        self.is_new(line, limit).then_some(line)
    }

    /// As [`Told::crossed`], when something was refused under `limit`.
    pub fn refused(self, limit: Option<u64>) -> Option<Crossing> {
        limit.filter(|limit| self.is_new(Crossing::Exceeded, *limit)).map(|_| Crossing::Exceeded)
    }

    fn is_new(self, crossing: Crossing, limit: u64) -> bool {
        limit > self.limit || self.crossing < crossing.number()
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
    fn each_line_is_told_once_for_a_limit_and_anew_for_a_higher_one() {
        let at = |used, limit| Allowance::daily(limit, used, UtcDay::from_number(20_000));
        let none = Told::default();
        assert_eq!(none.crossed(&at(79, Some(100))), None);
        assert_eq!(none.crossed(&at(80, Some(100))), Some(Crossing::Warning));
        assert_eq!(none.crossed(&at(99, Some(100))), Some(Crossing::Warning));
        assert_eq!(none.crossed(&at(100, Some(100))), Some(Crossing::Reached));
        // Of a limit so small that two lines fall together the last is told.
        assert_eq!(none.crossed(&at(1, Some(1))), Some(Crossing::Reached));
        assert_eq!(none.crossed(&at(u64::MAX, None)), None);
        assert_eq!((none.refused(Some(0)), none.refused(None)), (Some(Crossing::Exceeded), None));
        let warned = Told { crossing: Crossing::Warning.number(), limit: 100 };
        assert_eq!(warned.crossed(&at(81, Some(100))), None);
        assert_eq!(warned.crossed(&at(100, Some(100))), Some(Crossing::Reached));
        assert_eq!(warned.crossed(&at(160, Some(200))), Some(Crossing::Warning));
        assert_eq!(warned.crossed(&at(80, Some(90))), None);
        let exceeded = Told { crossing: Crossing::Exceeded.number(), limit: 100 };
        assert_eq!((exceeded.refused(Some(100)), exceeded.refused(Some(50))), (None, None));
        assert_eq!(exceeded.refused(Some(101)), Some(Crossing::Exceeded));
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
