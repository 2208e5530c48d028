//! How many mailboxes an organization has, and had: the number at the end of a month, and the most in it.

use crate::time::UtcMonth;

/// What is known of the number of mailboxes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountLevels {
    /// How many there are.
    pub count: u64,
    /// The month in which that changed the last time.
    pub changed_in: UtcMonth,
    /// The most in that month.
    pub peak: u64,
    /// The month in which it changed before that.
    pub changed_before_in: UtcMonth,
    /// How many there were when that last month began.
    pub count_before: u64,
    /// The most in the month in which it changed before.
    pub peak_before: u64,
}

impl AccountLevels {
    /// How many there were at the end of a month, or are if it is not over, and the most in it. What was before the last
    /// two months with a change is taken to have been as at the beginning of the last.
    pub fn of(&self, month: UtcMonth) -> (u64, u64) {
        if month > self.changed_in {
            return (self.count, self.count);
        }
        if month == self.changed_in {
            return (self.count, self.peak);
        }
        let peak = if month == self.changed_before_in { self.peak_before } else { self.count_before };
        (self.count_before, peak)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_with_and_without_a_change() {
        let month = UtcMonth::from_number;
        let levels = AccountLevels {
            count: 5,
            changed_in: month(10),
            peak: 9,
            changed_before_in: month(7),
            count_before: 6,
            peak_before: 8,
        };
        for (at, expected) in [(12, (5, 5)), (11, (5, 5)), (10, (5, 9)), (9, (6, 6)), (8, (6, 6)), (7, (6, 8))] {
            assert_eq!(levels.of(month(at)), expected, "month {at}");
        }
    }
}
