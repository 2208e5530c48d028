//! How a receiver stands over hours and days: whether nearly nothing is taken for so long that people are to know of it, or
//! that nothing more is sent.

use super::Cause;
use crate::time::UnixMicros;
use std::collections::VecDeque;
use std::time::Duration;

/// The time over which answers are counted, and after which a receiver is failing.
pub const FAILING_AFTER: Duration = Duration::from_secs(15 * 60);

/// After which nothing more is sent to it.
pub const FAILED_AFTER: Duration = Duration::from_secs(72 * 3_600);

/// So many of a hundred answers, or more, are not a yes.
const REFUSED_PERCENT: u64 = 95;

/// Answers are counted by the minute.
const MINUTE: Duration = Duration::from_secs(60);

/// A receiver that is not asked for longer is not known to fail meanwhile. It is the longest time that may lie between two
/// attempts, and a little more.
const SILENCE_MAX: Duration = Duration::from_secs(30 * 60);

/// The status of a receiver: who asked not to be called is not among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// All is well, or not long enough otherwise.
    Active,
    /// For a quarter of an hour nearly nothing was taken. It is still tried.
    Failing,
    /// For three days nearly nothing was taken, or it said that it is gone. Nothing is sent.
    Failed,
}

impl Standing {
    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::Failed => "failed",
        }
    }

    /// What such a word says.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Active, Self::Failing, Self::Failed].into_iter().find(|standing| standing.name() == name)
    }
}

/// What a receiver has answered of late, and for how long it fails.
#[derive(Debug, Default)]
pub struct Record {
    minutes: VecDeque<Minute>,
    failing_for: Option<Duration>,
    heard_at: Option<UnixMicros>,
    is_gone: bool,
}

#[derive(Debug)]
struct Minute {
    start: UnixMicros,
    taken: u64,
    refused: u64,
}

impl Record {
    /// One that has failed for so long, if it does, and of whom nothing else is known.
    pub fn new(failing_for: Option<Duration>) -> Self {
        Self { failing_for, ..Self::default() }
    }

    /// For how long nearly nothing was taken, up to the last answer. Time in which nobody asked is not part of it.
    pub fn failing_for(&self) -> Option<Duration> {
        self.failing_for
    }

    /// An event was taken.
    pub fn taken(&mut self, now: UnixMicros) {
        self.minute(now).taken += 1;
        self.judge(now);
    }

    /// An event was not taken.
    pub fn refused(&mut self, cause: Cause, now: UnixMicros) {
        if matches!(cause, Cause::Internal | Cause::Mail) {
            return;
        }
        self.is_gone |= cause == Cause::Status(410);
        self.minute(now).refused += 1;
        self.judge(now);
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        let failing_for = self.failing_for.unwrap_or_default();
        if self.is_gone || failing_for >= FAILED_AFTER {
            Standing::Failed
        } else if failing_for >= FAILING_AFTER {
            Standing::Failing
        } else {
            Standing::Active
        }
    }

    fn judge(&mut self, now: UnixMicros) {
        let passed = self.heard_at.replace(now).map_or(Duration::ZERO, |heard_at| now.since(heard_at)).min(SILENCE_MAX);
        let (taken, refused) =
            self.minutes.iter().fold((0, 0), |(taken, refused), one| (taken + one.taken, refused + one.refused));
        self.failing_for = if refused * 100 < (taken + refused) * REFUSED_PERCENT {
            None
        } else {
            Some(self.failing_for.map_or(Duration::ZERO, |time| time.saturating_add(passed)))
        };
    }

    /// The minute that is now, after those are forgotten that are over for too long.
    fn minute(&mut self, now: UnixMicros) -> &mut Minute {
        while self.minutes.front().is_some_and(|first| now.since(first.start) >= FAILING_AFTER) {
            self.minutes.pop_front();
        }
        let is_new = self.minutes.back().is_none_or(|last| now.since(last.start) >= MINUTE);
        if is_new {
            self.minutes.push_back(Minute { start: now, taken: 0, refused: 0 });
        }
        let last = self.minutes.len() - 1;
        &mut self.minutes[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);
    const NO: Cause = Cause::Status(500);
    const QUARTER: u64 = 15 * 60;
    const DAYS: u64 = 72 * 3_600;

    fn at(seconds: u64) -> UnixMicros {
        NOW.plus(Duration::from_secs(seconds))
    }

    /// Answers of which each `every`th is a yes (none if 0), one in ten seconds, up to and with that time.
    fn answered(record: &mut Record, every: u64, seconds: std::ops::RangeInclusive<u64>) {
        for second in seconds.step_by(10) {
            if every > 0 && (second / 10).is_multiple_of(every) {
                record.taken(at(second));
            } else {
                record.refused(NO, at(second));
            }
        }
    }

    #[test]
    fn who_takes_nearly_nothing_fails_after_a_quarter_of_an_hour_and_has_failed_after_three_days() {
        for (name, every, seconds, expected) in [
            ("20 of 20, a little less than 15 minutes", 0, QUARTER - 10, Standing::Active),
            ("20 of 20 for 15 minutes", 0, QUARTER, Standing::Failing),
            ("29 of 30 for an hour", 30, 4 * QUARTER, Standing::Failing),
            ("9 of 10 for three days", 10, DAYS, Standing::Active),
            ("a little less than three days", 0, DAYS - 10, Standing::Failing),
            ("three days", 0, DAYS, Standing::Failed),
        ] {
            let mut record = Record::new(None);
            answered(&mut record, every, 0..=seconds);
            assert_eq!(record.standing(), expected, "{name}");
        }
    }

    #[test]
    fn of_twenty_answers_nineteen_are_nearly_all_and_eighteen_are_not() {
        for (taken, refused, is_failing) in
            [(0, 20, true), (1, 19, true), (2, 18, false), (5, 95, true), (6, 94, false)]
        {
            let mut record = Record::new(None);
            for _ in 0..taken {
                record.taken(NOW);
            }
            for _ in 0..refused {
                record.refused(NO, at(30));
            }
            assert_eq!(record.failing_for().is_some(), is_failing, "{refused} of {}", taken + refused);
        }
    }

    #[test]
    fn a_yes_among_few_answers_ends_it_and_a_restart_does_not() {
        let mut record = Record::new(None);
        for second in [0, 30, 930] {
            record.refused(NO, at(second));
        }
        assert_eq!((record.standing(), record.failing_for()), (Standing::Failing, Some(Duration::from_secs(930))));
        // However long the restart took: nobody asked meanwhile.
        let mut again = Record::new(record.failing_for());
        again.refused(NO, at(2 * DAYS));
        assert_eq!((again.standing(), again.failing_for()), (Standing::Failing, record.failing_for()));
        record.taken(at(1_000));
        assert_eq!((record.standing(), record.failing_for()), (Standing::Active, None));
        record.refused(Cause::Status(410), at(1_001));
        assert_eq!(record.standing(), Standing::Failed, "it says that it is gone");
    }

    #[test]
    fn who_is_not_asked_for_days_does_not_fail_meanwhile() {
        let mut record = Record::new(None);
        for second in [0, 30, 930, DAYS, DAYS + 30] {
            record.refused(NO, at(second));
        }
        assert_eq!(record.failing_for(), Some(Duration::from_secs(930 + 1_800 + 30)));
        assert_eq!(record.standing(), Standing::Failing);
    }

    #[test]
    fn what_is_no_answer_does_not_count_and_little_is_kept() {
        let mut record = Record::new(None);
        record.refused(Cause::Internal, NOW);
        record.refused(Cause::Mail, NOW);
        assert_eq!((record.failing_for(), record.minutes.len()), (None, 0));
        answered(&mut record, 2, 0..=100_000);
        assert!(record.minutes.len() <= 16);
        for standing in [Standing::Active, Standing::Failing, Standing::Failed] {
            assert_eq!(Standing::named(standing.name()), Some(standing));
        }
        assert_eq!(Standing::named("pause"), None);
    }
}
