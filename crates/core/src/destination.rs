//! How a destination is treated as a whole: what an attempt says about it, how much it is given at once, and how long it
//! is left alone.
//!
//! A destination is the domain of a recipient. Two things are decided here. The *pace* is what one node does at once, and
//! follows every answer: it grows while all goes well and is halved when the other side has too much. The *episode* is a
//! time of failure, shared by all nodes: as long as nobody answers, one message in a while is tried, and all others wait
//! without being touched.

use crate::delivery::{AttemptResult, Reason};
use crate::retry::{AnswerClass, class_of};
use crate::time::UnixMicros;
use std::time::Duration;

/// Messages under way at once to a destination of which nothing is known.
const CONCURRENCY_AT_FIRST: u32 = 5;

/// Attempts in a row to which a destination said no more than "later", after which it is given less.
const DEFERRALS_PATIENCE: u32 = 5;

/// The least and the most time between two attempts at a destination that has too much with one at a time.
const GAP_LEAST: Duration = Duration::from_secs(1);
const GAP_MOST: Duration = Duration::from_secs(60);

/// How long a destination is left alone after it did not answer: the first time, and at most.
const BACK_OFF_FIRST: Duration = Duration::from_secs(60);
const BACK_OFF_MOST: Duration = Duration::from_secs(30 * 60);

/// What one attempt says about its destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sign {
    /// It answered for somebody, yes or never.
    Well,
    /// It answered, and said "later" to everybody.
    Deferring,
    /// It has too much: 421, too many connections, too fast.
    Busy,
    /// There was no server that would talk to us at all.
    Down,
}

/// Reads the sign in what an attempt brought for its recipients.
pub fn sign(results: &[AttemptResult]) -> Sign {
    let mut sign = Sign::Down;
    for result in results {
        let one = match result {
            AttemptResult::Accepted => Sign::Well,
            // No such domain, no mail there: nobody was asked, and nobody has to be left alone.
            AttemptResult::Permanent { .. } => Sign::Well,
            AttemptResult::Transient { reason, .. } if is_busy(reason) => return Sign::Busy,
            AttemptResult::Transient { reached, reason, .. } if *reached || reason.code != 0 => Sign::Deferring,
            AttemptResult::Transient { .. } => Sign::Down,
        };
        sign = match (sign, one) {
            (Sign::Well, _) | (_, Sign::Well) => Sign::Well,
            (Sign::Deferring, _) | (_, Sign::Deferring) => Sign::Deferring,
            (sign, _) => sign,
        };
    }
    sign
}

fn is_busy(reason: &Reason) -> bool {
    class_of(reason) == AnswerClass::Busy
}

/// How much a node gives a destination at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pace {
    concurrency: u32,
    /// Good answers since the pace was last changed.
    successes: u32,
    /// Deferrals in a row.
    deferrals: u32,
    /// The time between two beginnings; none for a destination that keeps up.
    gap: Duration,
    last_begun: Option<UnixMicros>,
}

impl Pace {
    /// The pace for a destination of which nothing is known.
    pub fn at_first(most: u32) -> Self {
        let concurrency = CONCURRENCY_AT_FIRST.min(most).max(1);
        Self { concurrency, successes: 0, deferrals: 0, gap: Duration::ZERO, last_begun: None }
    }

    /// How many messages may be under way at once.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }

    /// The time between two beginnings.
    pub fn gap(&self) -> Duration {
        self.gap
    }

    /// How many more may begin now, while so many are under way.
    pub fn room(&self, under_way: u32, now: UnixMicros) -> u32 {
        let is_too_soon = self.last_begun.is_some_and(|last| now < last.plus(self.gap));
        let room = self.concurrency.saturating_sub(under_way);
        match self.gap {
            Duration::ZERO => room,
            _ if is_too_soon => 0,
            _ => room.min(1),
        }
    }

    /// An attempt begins.
    pub fn begin(&mut self, now: UnixMicros) {
        self.last_begun = Some(now);
    }

    /// An attempt has ended: grows by one for as many good answers as may be under way, is halved when the destination
    /// has too much, and begins anew with one when it does not answer.
    pub fn learn(&mut self, sign: Sign, most: u32) {
        match sign {
            Sign::Well => self.grow(most),
            Sign::Busy => self.shrink(),
            Sign::Down => {
                self.concurrency = 1;
                (self.successes, self.deferrals) = (0, 0);
            }
            Sign::Deferring => {
                self.deferrals += 1;
                if self.deferrals >= DEFERRALS_PATIENCE {
                    self.shrink();
                }
            }
        }
    }

    fn grow(&mut self, most: u32) {
        self.deferrals = 0;
        self.successes += 1;
        if self.successes < self.concurrency {
            return;
        }
        self.successes = 0;
        if self.gap > Duration::ZERO {
            self.gap = if self.gap > GAP_LEAST { self.gap / 2 } else { Duration::ZERO };
        } else {
            self.concurrency = (self.concurrency + 1).min(most).max(1);
        }
    }

    fn shrink(&mut self) {
        (self.successes, self.deferrals) = (0, 0);
        if self.concurrency > 1 {
            self.concurrency /= 2;
        } else {
            self.gap = (self.gap * 2).clamp(GAP_LEAST, GAP_MOST);
        }
    }
}

/// How many more attempts at one destination may begin, so that attempts at others always find a place: of `slots` a
/// quarter is for destinations at which nothing is under way.
pub fn fair_room(slots: usize, free: usize, under_way: u32) -> usize {
    if under_way == 0 && free > 0 {
        return (free - free.min(slots / 4)).max(1);
    }
    free.saturating_sub(slots / 4)
}

/// A time in which a destination does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Episode {
    /// Attempts that failed, those at the same time counted once.
    pub failures: u32,
    /// Since when.
    pub since: UnixMicros,
    /// When the last of them was noted.
    pub failed_at: UnixMicros,
    /// Until when it is left alone.
    pub until: UnixMicros,
}

impl Episode {
    /// What follows from an attempt that began at `began` and found nobody. Attempts that were under way when another
    /// one failed say nothing new.
    pub fn after(previous: Option<Self>, began: UnixMicros, now: UnixMicros, jitter: u8) -> Self {
        match previous {
            Some(episode) if began <= episode.failed_at => episode,
            previous => {
                let failures = previous.map_or(0, |episode| episode.failures).saturating_add(1);
                let since = previous.map_or(now, |episode| episode.since);
                Self { failures, since, failed_at: now, until: now.plus(back_off(failures, jitter)) }
            }
        }
    }
}

/// 1, 2, 4, … minutes, at most half an hour, less up to a quarter by `jitter`.
fn back_off(failures: u32, jitter: u8) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let delay = BACK_OFF_FIRST.saturating_mul(1 << doublings).min(BACK_OFF_MOST);
    delay - (delay / 4) * u32::from(jitter) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient(code: u16, status: &str, text: &str) -> AttemptResult {
        let reason = Reason { code, status: status.into(), text: text.into() };
        AttemptResult::Transient { reason, reached: code != 0, ambiguous: false }
    }

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn what_an_attempt_says_about_its_destination() {
        let lost = || transient(0, "4.4.2", "connect: refused");
        let later = || transient(451, "4.3.0", "later");
        let never = AttemptResult::Permanent {
            reason: Reason { code: 550, status: "5.1.1".into(), text: "no".into() },
            reached: true,
        };
        assert_eq!(sign(&[AttemptResult::Accepted, later()]), Sign::Well);
        assert_eq!(sign(&[later(), never]), Sign::Well);
        assert_eq!(sign(&[later(), later()]), Sign::Deferring);
        assert_eq!(sign(&[lost(), lost()]), Sign::Down);
        assert_eq!(sign(&[AttemptResult::Accepted, transient(421, "4.7.0", "too many")]), Sign::Busy);
        assert_eq!(sign(&[transient(450, "4.7.28", "rate limit")]), Sign::Busy);
    }

    #[test]
    fn the_pace_grows_with_success_and_is_halved_by_too_much() {
        let mut pace = Pace::at_first(8);
        assert_eq!((pace.concurrency(), pace.room(2, at(0)), pace.room(9, at(0))), (5, 3, 0));
        for _ in 0..4 {
            pace.learn(Sign::Well, 8);
        }
        assert_eq!(pace.concurrency(), 5, "not before all of a round went well");
        pace.learn(Sign::Well, 8);
        assert_eq!(pace.concurrency(), 6);
        for _ in 0..100 {
            pace.learn(Sign::Well, 8);
        }
        assert_eq!(pace.concurrency(), 8, "never above what is allowed");
        for expected in [4, 2, 1] {
            pace.learn(Sign::Busy, 8);
            assert_eq!(pace.concurrency(), expected);
        }
        assert_eq!(Pace::at_first(0).concurrency(), 1);
    }

    #[test]
    fn one_at_a_time_that_is_still_too_much_is_spread_out() {
        let mut pace = Pace::at_first(1);
        pace.learn(Sign::Busy, 1);
        assert_eq!(pace.gap(), Duration::from_secs(1));
        pace.begin(at(0));
        assert_eq!((pace.room(0, at(0)), pace.room(0, at(1))), (0, 1));
        for _ in 0..20 {
            pace.learn(Sign::Busy, 1);
        }
        assert_eq!(pace.gap(), Duration::from_secs(60));
        for _ in 0..7 {
            pace.learn(Sign::Well, 1);
        }
        assert_eq!(pace.gap(), Duration::ZERO, "and forgotten again");
    }

    #[test]
    fn nobody_there_begins_anew_and_deferrals_count_in_a_row() {
        let mut pace = Pace::at_first(20);
        pace.learn(Sign::Down, 20);
        assert_eq!(pace.concurrency(), 1);
        let mut pace = Pace::at_first(20);
        for _ in 0..4 {
            pace.learn(Sign::Deferring, 20);
        }
        pace.learn(Sign::Well, 20);
        pace.learn(Sign::Deferring, 20);
        assert_eq!(pace.concurrency(), 5);
        for _ in 0..4 {
            pace.learn(Sign::Deferring, 20);
        }
        assert_eq!(pace.concurrency(), 2);
    }

    #[test]
    fn others_always_find_a_place() {
        assert_eq!(fair_room(64, 64, 0), 48);
        assert_eq!(fair_room(64, 20, 3), 4);
        assert_eq!(fair_room(64, 16, 3), 0, "the last quarter is for others");
        assert_eq!((fair_room(64, 1, 0), fair_room(64, 0, 0)), (1, 0));
        assert_eq!(fair_room(1, 1, 0), 1);
    }

    #[test]
    fn failures_at_the_same_time_count_once() {
        let first = Episode::after(None, at(0), at(30), 0);
        assert_eq!((first.failures, first.since, first.until), (1, at(30), at(90)));
        assert_eq!(Episode::after(Some(first), at(30), at(60), 0), first, "was under way already");
        let second = Episode::after(Some(first), at(90), at(100), 0);
        assert_eq!((second.failures, second.since, second.until), (2, at(30), at(220)));
        let worst = Episode { failures: u32::MAX, ..second };
        assert_eq!(Episode::after(Some(worst), at(300), at(300), 0).until, at(300 + 1_800));
        assert_eq!(Episode::after(None, at(0), at(0), 255).until, at(45));
    }
}
