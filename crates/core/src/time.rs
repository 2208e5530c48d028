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
    /// The month it is in.
    pub const fn month(self) -> UtcMonth {
        let (year, month, _) = self.date();
        UtcMonth(year * 12 + month - 1)
    }
    /// Its year, month (from 1) and day of the month (from 1), by the Gregorian calendar.
    const fn date(self) -> (i64, i64, i64) {
        let days = self.0 + DAYS_BEFORE_EPOCH;
        let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + (month <= 2) as i64;
        (year, month, day)
    }
    /// The day of that date.
    const fn of_date(year: i64, month: i64, day: i64) -> Self {
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * month + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * DAYS_OF_ERA + day_of_era - DAYS_BEFORE_EPOCH)
    }
}

/// A UTC calendar month, as the number of months since the year 0: what monthly allowances are counted by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UtcMonth(i64);

impl UtcMonth {
    /// From a number of months since January of the year 0.
    pub const fn from_number(months: i64) -> Self {
        Self(months)
    }
    /// Months since January of the year 0.
    pub const fn number(self) -> i64 {
        self.0
    }
    /// Its first day.
    pub const fn first_day(self) -> UtcDay {
        UtcDay::of_date(self.0.div_euclid(12), self.0.rem_euclid(12) + 1, 1)
    }
    /// The month before it.
    pub const fn previous(self) -> Self {
        Self(self.0 - 1)
    }
    /// The first moment of the following month: when monthly allowances reset.
    pub const fn end(self) -> UnixMicros {
        Self(self.0 + 1).first_day().start()
    }
}

/// As `2026-03`.
impl std::fmt::Display for UtcMonth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// The text is not a month such as `2026-03`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be a month such as 2026-03")]
pub struct InvalidMonth;

impl std::str::FromStr for UtcMonth {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let day: UtcDay = format!("{text}-01").parse().map_err(|_| InvalidMonth)?;
        Ok(day.month())
    }
}

/// Days from 0000-03-01 to 1970-01-01. Years that begin in March have their leap day at the end.
const DAYS_BEFORE_EPOCH: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_ERA: i64 = 146_097;

/// As `2026-03-02`, by the Gregorian calendar.
impl std::fmt::Display for UtcDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The text is not a day such as `2026-03-02`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be a day such as 2026-03-02")]
pub struct InvalidDay;

impl std::str::FromStr for UtcDay {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|c| c.is_ascii_digit()));
            part.and_then(|part| part.parse::<i64>().ok()).ok_or(InvalidDay)
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let found = Self::of_date(year, month, day);
        // What does not come back as it went in was no day of the calendar.
        if found.to_string() == text { Ok(found) } else { Err(InvalidDay) }
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

    #[test]
    fn a_month_begins_and_ends_with_its_days() {
        for (day, month, end) in [
            ("1970-01-01", "1970-01", "1970-02-01"),
            ("1969-12-31", "1969-12", "1970-01-01"),
            ("2024-02-29", "2024-02", "2024-03-01"),
            ("2026-12-31", "2026-12", "2027-01-01"),
        ] {
            let day: UtcDay = day.parse().unwrap();
            assert_eq!((day.month().to_string().as_str(), month.parse()), (month, Ok(day.month())));
            assert_eq!(day.month().end().day().to_string(), end);
            assert_eq!(day.month().first_day().to_string(), format!("{month}-01"));
            assert_eq!(UnixMicros::from_micros(day.month().end().as_micros() - 1).day().month(), day.month());
        }
        for number in -20_000..60_000 {
            let day = UtcDay::from_number(number);
            assert_eq!(day.month().to_string(), day.to_string()[..7]);
        }
        for text in ["", "2026", "2026-1", "2026-13", "2026-00", "2026-01-01"] {
            assert_eq!(text.parse::<UtcMonth>(), Err(InvalidMonth), "{text}");
        }
    }

    #[test]
    fn days_have_dates() {
        for (number, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_514, "2026-03-02"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            let day = UtcDay::from_number(number);
            assert_eq!((day.to_string().as_str(), text.parse()), (text, Ok(day)));
        }
        for number in -200_000..200_000 {
            let day = UtcDay::from_number(number);
            assert_eq!(day.to_string().parse(), Ok(day));
        }
        for text in [
            "",
            "2026",
            "2026-3-2",
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-01-32",
            "+026-01-01",
            "2026-01-01-01",
            "x026-01-01",
        ] {
            assert_eq!(text.parse::<UtcDay>(), Err(InvalidDay), "{text}");
        }
    }
}
