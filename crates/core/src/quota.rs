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

#[cfg(test)]
mod tests {
    use super::*;

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
