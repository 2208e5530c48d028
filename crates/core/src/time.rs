//! Points in time. The store keeps microseconds, the interface shows seconds, quotas count UTC days.

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct UnixMicros(i64);

impl UnixMicros {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    /// From seconds since the epoch; saturates.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }
    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    /// Whole seconds since the epoch, as the interface shows them.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// Whole seconds since the epoch, upwards: the first moment of that second is not before this time.
    pub const fn as_seconds_up(self) -> i64 {
        self.0.div_euclid(1_000_000) + (self.0.rem_euclid(1_000_000) > 0) as i64
    }
    /// This time plus `duration`; saturates.
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
    /// This time minus `duration`; saturates.
    pub fn minus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }
    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    /// The UTC day it falls on.
    pub const fn day(self) -> UtcDay {
        UtcDay(self.0.div_euclid(86_400_000_000))
    }
}

/// A UTC calendar day, as the number of days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UtcDay(i64);

impl UtcDay {
    /// From a number of days since the epoch.
    pub const fn from_number(days: i64) -> Self {
        Self(days)
    }
    /// Days since the epoch.
    pub const fn number(self) -> i64 {
        self.0
    }
    /// Its first moment.
    pub const fn start(self) -> UnixMicros {
        UnixMicros(self.0 * 86_400_000_000)
    }
    /// The first moment of the following day: when daily quotas reset.
    pub const fn end(self) -> UnixMicros {
        UnixMicros((self.0 + 1) * 86_400_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_down_and_up() {
        for (micros, down, up) in
            [(0, 0, 0), (1, 0, 1), (999_999, 0, 1), (1_000_000, 1, 1), (-1, -1, 0), (-1_000_001, -2, -1)]
        {
            let time = UnixMicros::from_micros(micros);
            assert_eq!((time.as_seconds(), time.as_seconds_up()), (down, up), "{micros}");
        }
    }

    #[test]
    fn a_day_ends_at_midnight_utc_and_not_a_microsecond_earlier() {
        let day = UnixMicros::from_seconds(1_700_000_000).day();
        assert_eq!(day.end().day().number(), day.number() + 1);
        assert_eq!(UnixMicros::from_micros(day.end().as_micros() - 1).day(), day);
        assert_eq!(UnixMicros::from_micros(-1).day().number(), -1);
    }
}
