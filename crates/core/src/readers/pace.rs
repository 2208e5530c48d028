//! How many events a second a receiver is told at most.

use crate::time::UnixMicros;

/// An event, in the parts in which it is counted: with a rate of one a second each microsecond brings one of them.
const EVENT: u64 = 1_000_000;

/// What was not used is kept for a tenth of a second, and always one event, so that whoever looks now and then keeps up with the
/// rate.
const KEPT_MICROS: u64 = 100_000;

/// A rate, and what of it may be used now. In any second there are no more events than the rate, a tenth of it and one.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u64,
    left: u64,
    at: UnixMicros,
}

impl Pace {
    /// So many events a second; at the beginning nothing is left, so that whoever begins again has not used it twice.
    pub(super) fn new(rate: u32, now: UnixMicros) -> Self {
        Self { rate: u64::from(rate.max(1)), left: 0, at: now }
    }

    /// The rate, in events a second.
    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    /// Whether one more may be told now.
    pub(super) fn may(&self, now: UnixMicros) -> bool {
        self.left_at(now) >= EVENT
    }

    /// One is told.
    pub(super) fn take(&mut self, now: UnixMicros) {
        self.left = self.left_at(now).saturating_sub(EVENT);
        self.at = self.at.max(now);
    }

    /// When one more may be told.
    pub(super) fn next_at(&self) -> UnixMicros {
        let missing = EVENT.saturating_sub(self.left);
        self.at.plus(std::time::Duration::from_micros(missing.div_ceil(self.rate)))
    }

    fn left_at(&self, now: UnixMicros) -> u64 {
        let passed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let most = self.rate.saturating_mul(KEPT_MICROS).saturating_add(EVENT);
        self.left.saturating_add(passed.saturating_mul(self.rate)).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);

    /// How many are told in so many milliseconds by somebody who looks as often as that, in microseconds.
    fn told(pace: &mut Pace, from: UnixMicros, millis: u64, every: u64) -> u64 {
        let mut count = 0;
        let mut passed = 0;
        while passed <= millis * 1_000 {
            let now = from.plus(Duration::from_micros(passed));
            while pace.may(now) {
                pace.take(now);
                count += 1;
            }
            passed += every;
        }
        count
    }

    #[test]
    fn the_rate_is_kept_and_reached_however_seldom_one_looks() {
        for (rate, every, expected) in [
            (1, 10_000, 10),
            (3, 10_000, 30),
            (7, 1_000, 70),
            (64, 10_000, 640),
            (1_000, 10_000, 10_000),
            (10_000, 10_000, 100_000),
            // Once a second: what was not used for longer is gone.
            (1_000, 1_000_000, 1_010),
            (1, 1_000_000, 10),
        ] {
            let mut pace = Pace::new(rate, NOW);
            let count = told(&mut pace, NOW, 10_000, every);
            assert_eq!(count, expected, "{rate} a second, looked at every {every} microseconds");
        }
    }

    #[test]
    fn after_a_silence_little_comes_at_once_and_at_the_beginning_nothing() {
        for (rate, most) in [(1, 1), (5, 1), (10, 2), (100, 11), (10_000, 1_001)] {
            let mut pace = Pace::new(rate, NOW);
            assert!(!pace.may(NOW), "{rate}");
            assert_eq!(pace.next_at(), NOW.plus(Duration::from_micros(1_000_000 / u64::from(rate))), "{rate}");
            assert!(!pace.may(pace.next_at().minus(Duration::from_micros(1))) && pace.may(pace.next_at()), "{rate}");
            let later = NOW.plus(Duration::from_secs(3_600));
            assert_eq!(told(&mut pace, later, 0, 1), most, "{rate}");
            let in_a_second = told(&mut pace, later.plus(Duration::from_micros(1)), 999, 1_000);
            assert!(in_a_second <= u64::from(rate), "{rate}: {in_a_second}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_away() {
        let mut pace = Pace::new(10, NOW);
        let later = NOW.plus(Duration::from_secs(1));
        pace.take(later);
        pace.take(later);
        assert!(!pace.may(NOW));
        pace.take(NOW);
        assert_eq!(pace.next_at(), later.plus(Duration::from_micros(100_000)));
    }
}
