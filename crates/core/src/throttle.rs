//! How many guesses somebody has: failures are counted in a window that begins with the first of them. A guess is
//! counted before it is looked at and given back if it was right, so that guesses made at once cannot be more.

use crate::time::UnixMicros;
use std::net::IpAddr;
use std::time::Duration;

/// Failed sign-ins to one mailbox in a window.
pub const MAILBOX_FAILURES_MAX: u64 = 5;

/// Failed sign-ins from one address in a window.
pub const PEER_FAILURES_MAX: u64 = 20;

/// How long failures count.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// What becomes of one more guess.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// It may be looked at, and counts as a failure until it has proved right.
    Counted {
        /// When its window began.
        started_at: UnixMicros,
        /// Failures in that window, this one included.
        failures: u64,
    },
    /// There were too many already.
    Refused {
        /// When the window ends.
        until: UnixMicros,
    },
}

/// Decides about one more guess after `failures` in the window that began at `started_at`.
pub fn decide(failures: u64, started_at: UnixMicros, now: UnixMicros, limit: u64, window: Duration) -> Decision {
    let until = started_at.plus(window);
    if failures == 0 || now >= until {
        return Decision::Counted { started_at: now, failures: 1 };
    }
    if failures >= limit {
        Decision::Refused { until }
    } else {
        Decision::Counted { started_at, failures: failures + 1 }
    }
}

/// What one party can easily have for itself: an IPv4 address, or an IPv6 network of 64 bits.
pub fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMicros = UnixMicros::from_seconds(1_000);

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros::from_seconds(1_000 + seconds)
    }

    #[test]
    fn the_limit_is_reached_and_not_passed() {
        let decide = |failures| decide(failures, START, at(1), 5, WINDOW);
        assert_eq!(decide(0), Decision::Counted { started_at: at(1), failures: 1 });
        assert_eq!(decide(4), Decision::Counted { started_at: START, failures: 5 });
        assert_eq!(decide(5), Decision::Refused { until: at(900) });
        assert_eq!(decide(6), Decision::Refused { until: at(900) });
    }

    #[test]
    fn a_window_ends_and_a_new_one_begins() {
        let last = UnixMicros::from_micros(at(900).as_micros() - 1);
        assert_eq!(decide(5, START, last, 5, WINDOW), Decision::Refused { until: at(900) });
        assert_eq!(decide(5, START, at(900), 5, WINDOW), Decision::Counted { started_at: at(900), failures: 1 });
        // A clock that was ahead: the window is no shorter for it.
        assert_eq!(decide(5, at(50), START, 5, WINDOW), Decision::Refused { until: at(950) });
    }

    #[test]
    fn neighbours_in_one_network_share_their_guesses() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
