//! Whether a receiver answers at all. A single event that is not taken is a matter of that event: it is attempted a few
//! times and given up. Where nothing is taken it is a matter of the receiver: it *rests*, no attempt is counted, and one
//! event at a time is tried, seldom, until one is taken. So an outage costs no event its attempts, however long it lasts.

use super::Cause;
use crate::time::UnixMicros;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The last answers that are looked at, and how many of them at most are a yes of somebody who rests: 95 % are none.
const ANSWERS: usize = 20;
const TAKEN_MAX: usize = 1;

/// As many events, one after the other, are not taken of somebody who rests before there are so many answers, and nothing
/// else for as long.
const EVENTS: usize = 3;
const QUIET: Duration = Duration::from_secs(60);

/// As often, one after the other, nothing could be sent.
const UNREACHABLE: u32 = 3;

/// The time from one try to the next while a receiver rests.
const PROBES: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    PROBE_MAX,
];
const PROBE_MAX: Duration = Duration::from_secs(300);

/// A receiver's own wish is honoured up to here.
const WISH_MAX: Duration = Duration::from_secs(20 * 60);

/// What is known of how a receiver answers.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether the last answers were a yes.
    answers: VecDeque<bool>,
    /// Events that were not taken since one was; no more than matter.
    events: BTreeSet<i64>,
    taken_at: Option<UnixMicros>,
    unreachable: u32,
    rest: Option<Rest>,
}

#[derive(Debug)]
struct Rest {
    probes: usize,
    probe_at: UnixMicros,
}

impl Health {
    /// One of whom nothing is known but until when it rests, if it does.
    pub fn new(rests_until: Option<UnixMicros>) -> Self {
        Self { rest: rests_until.map(|probe_at| Rest { probes: 0, probe_at }), ..Self::default() }
    }

    /// When it is tried next, if it rests.
    pub fn rests_until(&self) -> Option<UnixMicros> {
        self.rest.as_ref().map(|rest| rest.probe_at)
    }

    /// It has taken an event.
    pub fn taken(&mut self, now: UnixMicros) {
        if self.rest.take().is_some() {
            // What was before says nothing of how it is now.
            self.answers.clear();
        }
        self.events.clear();
        self.taken_at = Some(now);
        self.unreachable = 0;
        self.note(true);
    }

    /// It has not taken the event at this position. `retry_after` is its wish, in seconds.
    pub fn failed(&mut self, position: i64, cause: Cause, retry_after: Option<u64>, now: UnixMicros) {
        if matches!(cause, Cause::Internal | Cause::Mail) {
            return;
        }
        let wish = Duration::from_secs(retry_after.unwrap_or(0)).min(WISH_MAX);
        if let Some(rest) = &mut self.rest {
            // What was under way before is no probe.
            if now >= rest.probe_at {
                rest.probes += 1;
                rest.probe_at = now.plus(pause(rest.probes).max(wish));
            }
            return;
        }
        self.note(false);
        self.unreachable = if cause.is_of_endpoint() { self.unreachable + 1 } else { 0 };
        if self.events.len() < EVENTS {
            self.events.insert(position);
        }
        let taken = self.answers.iter().filter(|is_taken| **is_taken).count();
        let is_refusing = self.answers.len() == ANSWERS && taken <= TAKEN_MAX;
        let is_quiet = self.taken_at.is_none_or(|taken_at| now.since(taken_at) >= QUIET);
        if is_refusing || (is_quiet && self.events.len() == EVENTS) || self.unreachable == UNREACHABLE {
            self.rest = Some(Rest { probes: 0, probe_at: now.plus(pause(0).max(wish)) });
        }
    }

    fn note(&mut self, is_taken: bool) {
        self.answers.push_back(is_taken);
        if self.answers.len() > ANSWERS {
            self.answers.pop_front();
        }
    }
}

fn pause(probes: usize) -> Duration {
    PROBES.get(probes).copied().unwrap_or(PROBE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);
    const NO: Cause = Cause::Status(500);
    const AWAY: Cause = Cause::Connection;

    /// What comes one after the other: an event, and why it was not taken.
    type Answers = Vec<(i64, Option<Cause>)>;

    fn repeat(answers: &[(i64, Option<Cause>)], times: usize) -> Answers {
        answers.iter().copied().cycle().take(answers.len() * times).collect()
    }

    #[test]
    fn who_takes_nothing_rests_and_who_takes_something_does_not() {
        let no = |event| (event, Some(NO));
        let away = |event| (event, Some(AWAY));
        let yes = (0, None);
        for (name, answers, rests) in [
            ("nothing was told", vec![], false),
            ("one event is refused again and again, and nothing else is told", repeat(&[no(1)], 19), false),
            ("one event is refused twenty times", repeat(&[no(1)], 20), true),
            ("two events are refused", repeat(&[no(1), no(2)], 9), false),
            ("three events are refused", vec![no(1), no(2), no(3)], true),
            ("three events are refused, and one is taken between", vec![no(1), no(2), yes, no(3)], false),
            ("it cannot be reached twice", repeat(&[away(1)], 2), false),
            ("it cannot be reached three times", repeat(&[away(1)], 3), true),
            ("it answers between", vec![away(1), away(1), no(1), away(1), away(1)], false),
            ("it takes something between", vec![away(1), away(1), yes, away(1), away(1)], false),
            ("a URL that must not be called", vec![(1, Some(Cause::Target)); 3], true),
            ("half of it is taken", repeat(&[no(1), yes], 50), false),
            ("19 of 20 are refused", [vec![yes], repeat(&[no(1), no(2)], 10)[..19].to_vec()].concat(), true),
            ("18 of 20 are refused", [vec![yes, yes], repeat(&[no(1), no(2)], 9)].concat(), false),
            ("what we could not write", repeat(&[(1, Some(Cause::Internal)), (2, Some(Cause::Mail))], 50), false),
        ] {
            let mut health = Health::new(None);
            for (position, cause) in answers {
                match cause {
                    Some(cause) => health.failed(position, cause, None, NOW),
                    None => health.taken(NOW),
                }
            }
            assert_eq!(health.rests_until().is_some(), rests, "{name}");
        }
    }

    #[test]
    fn who_has_taken_something_within_a_minute_does_not_rest_for_a_few_refusals() {
        for (seconds, rests) in [(0, false), (59, false), (60, true)] {
            let mut health = Health::new(None);
            health.taken(NOW);
            for event in 1..=18 {
                health.failed(event, NO, None, NOW.plus(Duration::from_secs(seconds)));
            }
            assert_eq!(health.rests_until().is_some(), rests, "{seconds}");
            health.failed(19, NO, None, NOW.plus(Duration::from_secs(seconds)));
            assert!(health.rests_until().is_some(), "19 of 20");
        }
    }

    #[test]
    fn who_rests_is_tried_less_and_less_often_and_goes_on_when_it_takes_something() {
        let mut health = Health::new(None);
        for event in 1..=3 {
            health.failed(event, NO, None, NOW);
        }
        let (mut now, mut waits) = (NOW, Vec::new());
        for _ in 0..8 {
            let until = health.rests_until().expect("it rests");
            // What was under way before comes to nothing, too.
            health.failed(9, NO, None, now);
            assert_eq!(health.rests_until(), Some(until));
            waits.push(until.since(now).as_secs());
            now = until;
            health.failed(9, NO, None, now);
        }
        assert_eq!(waits, [5, 15, 30, 60, 120, 300, 300, 300]);
        health.taken(now);
        assert_eq!(health.rests_until(), None);
        // It is judged anew.
        let now = now.plus(QUIET);
        health.failed(9, NO, None, now);
        health.failed(10, NO, None, now);
        assert_eq!(health.rests_until(), None);
        health.failed(11, NO, None, now);
        assert_eq!(health.rests_until(), Some(now.plus(Duration::from_secs(5))));
    }

    #[test]
    fn a_receivers_wish_is_honoured_within_reason() {
        for (wish, seconds) in [(None, 5), (Some(2), 5), (Some(100), 100), (Some(u64::MAX), 1_200)] {
            let mut health = Health::new(Some(NOW));
            assert_eq!(health.rests_until(), Some(NOW));
            health.taken(NOW);
            let now = NOW.plus(QUIET);
            for event in 1..=3 {
                health.failed(event, Cause::Status(429), wish, now);
            }
            assert_eq!(health.rests_until(), Some(now.plus(Duration::from_secs(seconds))), "{wish:?}");
        }
    }
}
