//! How many sends there may be in a second. A rate is a rolling window: no second of time, wherever it begins, ever holds
//! more than the limit. What decides are the times of the last sends, as many as the limit.
//!
//! Where a short burst may wait, a send above the rate is given the next time at which there is room, and that time is
//! remembered like any other: so those who wait go in order, nobody overtakes them, and the rate holds when they go.

use crate::problem::{Exhausted, Problem, ProblemKind};
use crate::time::UnixMicros;
use std::time::Duration;

/// The length of the window.
pub const WINDOW: Duration = Duration::from_secs(1);

/// From one turn to that which takes its place in the window. A send leaves a little after its turn, and the window is that
/// of those that leave: without slack the next turn would come too early each time, and all would be later and later.
const TURNS_APART: Duration = WINDOW.saturating_add(Duration::from_millis(20));

/// The highest rate: as many times are remembered.
pub const PER_SECOND_MAX: u64 = 1_000;

/// How long a send of a burst may wait at most, in seconds.
pub const BURST_SECONDS_MAX: u64 = 90;

/// How far the clocks of nodes may be apart. Times that are farther ahead than that, and than anybody may wait, were
/// written before a clock was set back, and are forgotten.
pub const CLOCKS_APART: Duration = Duration::from_secs(5);

/// The rates of sending of a plan, per second. `None` is unlimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendRates {
    /// Of all applications of an organization together, but for its sandboxes.
    pub organization: Option<u64>,
    /// Of all sandbox applications of an organization together.
    pub sandbox: Option<u64>,
    /// Of one mailbox.
    pub mailbox: Option<u64>,
    /// From one sending domain.
    pub domain: Option<u64>,
    /// Through one API key.
    pub key: Option<u64>,
    /// How long a send above the organization's rate may wait for its turn, in seconds; 0 refuses it.
    pub burst_seconds: u64,
}

/// The environment of applications that have a pool of their own.
const SANDBOX: &str = "sandbox";

/// Whose rate it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All applications of an organization together, but for its sandboxes.
    Organization,
    /// All sandbox applications of an organization together.
    Sandbox,
    /// A sending domain.
    Domain,
    /// A mailbox.
    Mailbox,
    /// An API key.
    Key,
}

impl Scope {
    /// The pool in which an application of that environment sends.
    pub fn of_environment(environment: &str) -> Self {
        if environment == SANDBOX { Self::Sandbox } else { Self::Organization }
    }

    /// The number in the store.
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The word on the wire: whose allowance it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization | Self::Sandbox => "organization",
            Self::Domain => "domain",
            Self::Mailbox => "grant",
            Self::Key => "api_key",
        }
    }
}

impl SendRates {
    /// The rate of one scope.
    pub const fn of(&self, scope: Scope) -> Option<u64> {
        match scope {
            Scope::Organization => self.organization,
            Scope::Sandbox => self.sandbox,
            Scope::Domain => self.domain,
            Scope::Mailbox => self.mailbox,
            Scope::Key => self.key,
        }
    }

    /// How long a send above the rate of a scope may wait.
    pub const fn patience(&self, scope: Scope) -> Duration {
        match scope {
            Scope::Organization | Scope::Sandbox => Duration::from_secs(self.burst_seconds),
            Scope::Domain | Scope::Mailbox | Scope::Key => Duration::ZERO,
        }
    }
}

/// A rate as it stands, read in the transaction that would count the send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Whose.
    pub scope: Scope,
    /// How many in a second.
    pub limit: u64,
    /// How long one above it may wait.
    pub patience: Duration,
}

/// Room for one send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// When it may go: now, or later.
    pub at: UnixMicros,
    /// The times to remember, the earliest first.
    pub times: Vec<UnixMicros>,
}

/// No room for a send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exceeded {
    /// Whose rate it is.
    pub scope: Scope,
    /// How many there may be in a second.
    pub limit: u64,
    /// From when on one more is accepted.
    pub until: UnixMicros,
}

/// Judges one more send by the times of the last ones, the earliest first.
pub fn take(rate: Rate, times: &[UnixMicros], now: UnixMicros) -> Result<Taken, Exceeded> {
    let limit = usize::try_from(rate.limit).unwrap_or(usize::MAX);
    let Rate { scope, patience, .. } = rate;
    let trusted_until = now.plus(longest(patience)).plus(CLOCKS_APART);
    let mut times: Vec<UnixMicros> = times.iter().copied().filter(|time| *time <= trusted_until).collect();
    let exceeded = |until| Err(Exceeded { scope, limit: rate.limit, until });
    if limit == 0 {
        return exceeded(now.plus(WINDOW));
    }
    let at = match times.last() {
        // All that is remembered is over a window away, or so near that it is counted whole. What was forgotten is
        // older than as many times as the limit, so it cannot matter.
        Some(last) if *last < now.plus(WINDOW) => {
            let near = times.iter().filter(|time| time.plus(WINDOW) > now).count();
            if near < limit { now } else { next(rate, &times, now) }
        }
        Some(_) => next(rate, &times, now),
        None => now,
    };
    let longest = longest(patience);
    if at > now.plus(longest) {
        return exceeded(at.minus(longest));
    }
    let place = times.partition_point(|time| *time <= at);
    times.insert(place, at);
    times.drain(..times.len().saturating_sub(limit));
    Ok(Taken { at, times })
}

/// The earliest time after all others at which there is room.
fn next(rate: Rate, times: &[UnixMicros], now: UnixMicros) -> UnixMicros {
    let limit = usize::try_from(rate.limit).unwrap_or(usize::MAX);
    let apart = if rate.patience.is_zero() { WINDOW } else { TURNS_APART };
    let after_last = times.last().map_or(now, |last| now.max(*last));
    let full_until = times.len().checked_sub(limit).map(|index| times[index].plus(apart));
    full_until.map_or(after_last, |until| until.max(after_last))
}

/// How long a send may wait, with the slack of so many turns.
fn longest(patience: Duration) -> Duration {
    let seconds = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX);
    patience.saturating_add((TURNS_APART - WINDOW).saturating_mul(seconds))
}

impl Exceeded {
    /// The refusal.
    pub fn problem(&self) -> Problem {
        let (code, text) = match self.scope {
            Scope::Organization | Scope::Sandbox => (PER_SECOND, "per-second rate limit exceeded"),
            Scope::Domain | Scope::Mailbox | Scope::Key => ("rate_limit_exceeded", "rate limit exceeded"),
        };
        let exhausted =
            Exhausted { scope: self.scope.name(), limit: self.limit, used: self.limit, resets_at: Some(self.until) };
        Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(ProblemKind::RateLimited, code, text) }
    }
}

/// The code of the refusal of a send above the rate of its organization.
const PER_SECOND: &str = "per_second_rate_limit_exceeded";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_700_000_000_000_000;

    fn ms(milliseconds: i64) -> UnixMicros {
        UnixMicros::from_micros(START + milliseconds * 1_000)
    }

    fn rate(limit: u64, patience_seconds: u64) -> Rate {
        Rate { scope: Scope::Organization, limit, patience: Duration::from_secs(patience_seconds) }
    }

    /// Sends at each of some times; answers when each may go.
    fn send(rate: Rate, at: &[i64]) -> Vec<Result<i64, i64>> {
        let mut times = Vec::new();
        let since = |time: UnixMicros| (time.as_micros() - START) / 1_000;
        let one = |at: &i64| match take(rate, &times, ms(*at)) {
            Ok(taken) => {
                times = taken.times;
                Ok(since(taken.at))
            }
            Err(exceeded) => Err(since(exceeded.until)),
        };
        at.iter().map(one).collect()
    }

    #[test]
    fn the_window_rolls() {
        let sent = send(rate(2, 0), &[0, 900, 950, 999, 1_000, 1_001, 1_899, 1_900, 5_000, 5_000, 5_000]);
        let expected = [
            Ok(0),
            Ok(900),
            Err(1_000),
            Err(1_000),
            Ok(1_000),
            Err(1_900),
            Err(1_900),
            Ok(1_900),
            Ok(5_000),
            Ok(5_000),
        ];
        assert_eq!(sent[..10], expected);
        assert_eq!(sent[10], Err(6_000));
    }

    #[test]
    fn a_burst_waits_in_order_until_the_queue_is_full() {
        // Two a second, three seconds of patience: six wait.
        let sent = send(rate(2, 3), &[0; 9]);
        let slots = [0, 0, 1_020, 1_020, 2_040, 2_040, 3_060, 3_060].map(Ok);
        assert_eq!((&sent[..8], sent[8]), (&slots[..], Err(1_020)));
        // Who comes later goes after those who wait, and at once when nobody does.
        assert_eq!(send(rate(1, 3), &[0, 0, 500, 1_500, 9_000])[1..], [Ok(1_020), Ok(2_040), Ok(3_060), Ok(9_000)]);
    }

    #[test]
    fn clocks_that_differ_a_little_are_no_reason_to_wait() {
        assert_eq!(send(rate(3, 0), &[100, 90, 80, 70, 1_090]), [Ok(100), Ok(90), Ok(80), Err(1_080), Ok(1_090)]);
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nobody() {
        let hour = 3_600_000;
        assert_eq!(send(rate(1, 90), &[hour, 0]), [Ok(hour), Ok(0)]);
    }

    #[test]
    fn the_refusal_says_whose_rate_and_until_when() {
        let exceeded = take(rate(1, 0), &[ms(0)], ms(400)).unwrap_err();
        let problem = exceeded.problem();
        assert_eq!((problem.code, problem.public.as_str()), (PER_SECOND, "per-second rate limit exceeded"));
        let exhausted = problem.exhausted.unwrap();
        assert_eq!((exhausted.scope, exhausted.limit, exhausted.used), ("organization", 1, 1));
        assert_eq!(exhausted.resets_at, Some(ms(1_000)));
        let of = |scope| Exceeded { scope, ..exceeded }.problem();
        for (scope, name) in [(Scope::Domain, "domain"), (Scope::Mailbox, "grant"), (Scope::Key, "api_key")] {
            let problem = of(scope);
            assert_eq!((problem.code, problem.public.as_str()), ("rate_limit_exceeded", "rate limit exceeded"));
            assert_eq!(problem.exhausted.unwrap().scope, name);
        }
        assert!(take(rate(0, 90), &[], ms(0)).is_err(), "nothing at all");
    }

    #[test]
    fn sandboxes_have_a_pool_of_their_own() {
        assert_eq!(Scope::of_environment("sandbox"), Scope::Sandbox);
        assert_eq!(Scope::of_environment("production"), Scope::Organization);
        assert_eq!(Scope::of_environment("staging"), Scope::Organization);
    }

    proptest! {
        /// Whatever the order of the times at which nodes ask (their clocks differ), and whoever waits: no second holds
        /// more than the limit, nobody goes before asking or later than the patience allows, and whoever is refused is
        /// right to come back at the time that was named.
        #[test]
        fn no_second_ever_holds_more_than_the_limit(
            limit in 1_u64..8,
            patience in prop_oneof![Just(0_u64), 1_u64..6],
            steps in prop::collection::vec((0_i64..400, 0_i64..1_500), 1..200),
        ) {
            let rate = rate(limit, patience);
            let (mut clock, mut times, mut gone) = (0, Vec::new(), Vec::new());
            for (step, behind) in steps {
                clock += step;
                let now = ms(clock - behind);
                match take(rate, &times, now) {
                    Ok(taken) => {
                        prop_assert!(taken.at >= now && taken.at <= now.plus(longest(rate.patience)));
                        prop_assert!(taken.times.len() <= limit as usize && taken.times.is_sorted());
                        gone.push(taken.at);
                        times = taken.times;
                    }
                    Err(exceeded) => {
                        prop_assert!(exceeded.until > now);
                        prop_assert!(take(rate, &times, exceeded.until).is_ok());
                    }
                }
            }
            gone.sort_unstable();
            for pair in gone.windows(limit as usize + 1) {
                prop_assert!(pair[pair.len() - 1].since(pair[0]) >= WINDOW, "{gone:?}");
            }
        }

        /// The same as counting all that were ever accepted, where time only goes forward.
        #[test]
        fn nobody_is_refused_without_need(limit in 1_u64..6, steps in prop::collection::vec(0_i64..700, 1..150)) {
            let (mut clock, mut times, mut gone) = (0, Vec::new(), Vec::<UnixMicros>::new());
            for step in steps {
                clock += step;
                let now = ms(clock);
                let in_window = gone.iter().filter(|time| now.since(**time) < WINDOW).count() as u64;
                let taken = take(rate(limit, 0), &times, now);
                prop_assert_eq!(taken.is_ok(), in_window < limit);
                if let Ok(taken) = taken {
                    times = taken.times;
                    gone.push(now);
                }
            }
        }
    }
}
