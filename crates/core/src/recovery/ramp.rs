//! The ramp: what a mailbox may send in the days after it came back, beside everything else that limits it.

use crate::time::UtcDay;

/// The fewest that it may send on the first day.
pub const RAMP_START_MIN: u64 = 20;
/// From this day on there is no ramp, whatever was sent before.
pub const RAMP_DAYS: u64 = 14;
/// The first day's part of the highest day.
const START_PART: u64 = 10;

/// The most that may be sent so many days after sending went on, by a mailbox that had sent `highest` on its highest day;
/// `None` when the ramp is over. It begins with a tenth, at least 20, and doubles each day, until it was above the highest
/// day or 14 days are over. The first day is always part of it.
pub fn ramp_cap(days: u64, highest: u64) -> Option<u64> {
    let start = highest.div_ceil(START_PART).max(RAMP_START_MIN);
    let on = |day: u64| start.saturating_mul(2_u64.saturating_pow(u32::try_from(day).unwrap_or(u32::MAX)));
    let is_over = days >= RAMP_DAYS || (days > 0 && on(days - 1) > highest);
    (!is_over).then(|| on(days))
}

/// The ramp of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ramp {
    /// The day on which sending went on.
    pub began: UtcDay,
    /// What the mailbox had sent on its highest day before.
    pub highest: u64,
    /// What it had sent on that first day already, which the ramp does not take away.
    pub sent_before: u64,
}

impl Ramp {
    /// The most that the mailbox may have sent at the end of `today`; `None` when the ramp is over.
    pub fn cap(&self, today: UtcDay) -> Option<u64> {
        let days = u64::try_from(today.number() - self.began.number()).unwrap_or(0);
        let cap = ramp_cap(days, self.highest)?;
        Some(if days == 0 { cap.saturating_add(self.sent_before) } else { cap })
    }

    /// The first day on which it is over.
    pub fn ends(&self) -> UtcDay {
        let days = (1..=RAMP_DAYS).find(|days| ramp_cap(*days, self.highest).is_none()).unwrap_or(RAMP_DAYS);
        UtcDay::from_number(self.began.number().saturating_add(days as i64))
    }
}

/// As it is kept: three whole numbers with blanks between them.
impl std::fmt::Display for Ramp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.began.number(), self.highest, self.sent_before)
    }
}

/// The text is not a ramp.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a ramp")]
pub struct NotARamp;

impl std::str::FromStr for Ramp {
    type Err = NotARamp;

    fn from_str(text: &str) -> Result<Self, NotARamp> {
        let numbers: Vec<&str> = text.split(' ').collect();
        let [began, highest, sent_before] = numbers[..] else { return Err(NotARamp) };
        Ok(Self {
            began: UtcDay::from_number(began.parse().map_err(|_| NotARamp)?),
            highest: highest.parse().map_err(|_| NotARamp)?,
            sent_before: sent_before.parse().map_err(|_| NotARamp)?,
        })
    }
}
