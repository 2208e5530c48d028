//! How many guesses at a password somebody has: failures are counted in windows that begin with the first of them, in
//! memory of bounded size. A guess is counted before it is looked at and forgiven if it was right, so that guesses made at
//! once cannot be more. Nobody's failures keep somebody else out: what all strangers together do at a mailbox leaves each
//! of them one guess, and does not concern those who are known there.

use crate::dated::Dated;
use crate::time::UnixMicros;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Failures of one network at one mailbox in a window.
pub const PAIR_FAILURES_MAX: u32 = 5;

/// Failures of one network at all mailboxes in a window; does not concern those that are known at the mailbox.
pub const PEER_FAILURES_MAX: u32 = 20;

/// Failures of all networks at one mailbox in a window, from which on strangers have fewer guesses.
pub const MAILBOX_FAILURES_MAX: u32 = 20;

/// Failures of a stranger in a window at a mailbox at which so many have guessed.
pub const WARY_FAILURES_MAX: u32 = 1;

/// How long failures count.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);

/// How long a network is known at a mailbox after a right password came from it.
pub const KNOWN_FOR: Duration = Duration::from_secs(30 * 86_400);

/// Windows of each kind, and known networks, that are remembered; beyond, the oldest are forgotten.
pub const REMEMBERED_MAX: usize = 50_000;

/// What one party can easily have for itself: an IPv4 address, or an IPv6 network of 64 bits. What comes from nowhere
/// that is known is one party.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(Option<IpAddr>);

impl Network {
    /// The network of an address.
    pub fn of(ip: Option<IpAddr>) -> Self {
        Self(ip.map(|ip| match ip.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        }))
    }
}

/// Failures in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the first was.
    pub since: UnixMicros,
}

impl Failures {
    /// Those that still count.
    fn now(self, now: UnixMicros) -> Self {
        if self.count == 0 || now >= self.until() { Self { count: 0, since: now } } else { self }
    }

    fn until(self) -> UnixMicros {
        self.since.plus(WINDOW)
    }
}

/// What is remembered of the parties to one guess.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Of this network at this mailbox.
    pub pair: Failures,
    /// Of this network at all mailboxes.
    pub peer: Failures,
    /// Of all networks at this mailbox.
    pub mailbox: Failures,
    /// Whether the network is known at the mailbox.
    pub is_known: bool,
}

/// Why a guess is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// How many may fail.
    pub limit: u32,
    /// When the next one is looked at.
    pub until: UnixMicros,
}

/// Decides whether one more guess may be looked at.
pub fn decide(past: &Past, now: UnixMicros) -> Result<(), Refusal> {
    let is_wary = !past.is_known && past.mailbox.now(now).count >= MAILBOX_FAILURES_MAX;
    let of_pair = (past.pair, if is_wary { WARY_FAILURES_MAX } else { PAIR_FAILURES_MAX });
    let of_peer = (past.peer, if past.is_known { u32::MAX } else { PEER_FAILURES_MAX });
    let used_up = [of_pair, of_peer].into_iter().filter(|(failures, limit)| failures.now(now).count >= *limit);
    let last = used_up.max_by_key(|(failures, _)| failures.until());
    last.map_or(Ok(()), |(failures, limit)| Err(Refusal { limit, until: failures.until() }))
}

/// All that is remembered. `M` stands for a mailbox, whether or not there is one.
#[derive(Clone, Debug)]
pub struct Guesses<M> {
    pairs: Dated<(M, Network), u32>,
    peers: Dated<Network, u32>,
    mailboxes: Dated<M, u32>,
    known: Dated<(M, Network), ()>,
}

/// A guess that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted<M> {
    mailbox: Option<M>,
    peer: Network,
    /// The windows in which it was counted, of the peer and of the mailbox.
    since: (UnixMicros, UnixMicros),
}

impl<M: Copy + Eq + Hash + Ord> Default for Guesses<M> {
    fn default() -> Self {
        Self::remembering(REMEMBERED_MAX)
    }
}

impl<M: Copy + Eq + Hash + Ord> Guesses<M> {
    fn remembering(most: usize) -> Self {
        Self { pairs: Dated::new(most), peers: Dated::new(most), mailboxes: Dated::new(most), known: Dated::new(most) }
    }

    /// Whether a right password for the mailbox came from that network not long ago.
    pub fn knows(&self, mailbox: Option<M>, peer: Network, now: UnixMicros) -> bool {
        let seen = mailbox.and_then(|mailbox| self.known.get(&(mailbox, peer)));
        seen.is_some_and(|(at, ())| now < at.plus(KNOWN_FOR))
    }

    /// Decides about one more guess without counting it.
    pub fn look(&self, mailbox: Option<M>, peer: Network, now: UnixMicros) -> Result<(), Refusal> {
        decide(&self.past(mailbox, peer, now), now)
    }

    /// Counts one more guess as a failure, with everybody whom it concerns or with nobody. What names no mailbox counts
    /// for its network alone.
    pub fn count(&mut self, mailbox: Option<M>, peer: Network, now: UnixMicros) -> Result<Counted<M>, Refusal> {
        let past = self.past(mailbox, peer, now);
        decide(&past, now)?;
        let since = (past.peer.now(now).since, past.mailbox.now(now).since);
        self.peers.put(peer, since.0, past.peer.now(now).count + 1);
        if let Some(mailbox) = mailbox {
            let pair = past.pair.now(now);
            self.pairs.put((mailbox, peer), pair.since, pair.count + 1);
            self.mailboxes.put(mailbox, since.1, past.mailbox.now(now).count + 1);
        }
        Ok(Counted { mailbox, peer, since })
    }

    /// A guess was right: its network starts anew at its mailbox and is known there; elsewhere that one is forgiven.
    pub fn forgive(&mut self, counted: &Counted<M>, now: UnixMicros) {
        give_back(&mut self.peers, counted.peer, counted.since.0);
        if let Some(mailbox) = counted.mailbox {
            give_back(&mut self.mailboxes, mailbox, counted.since.1);
            self.pairs.remove(&(mailbox, counted.peer));
            self.known.put((mailbox, counted.peer), now, ());
        }
    }

    fn past(&self, mailbox: Option<M>, peer: Network, now: UnixMicros) -> Past {
        let failures = |found: Option<(UnixMicros, &u32)>| {
            found.map_or(Failures::default(), |(since, count)| Failures { count: *count, since })
        };
        Past {
            pair: failures(mailbox.and_then(|mailbox| self.pairs.get(&(mailbox, peer)))),
            peer: failures(self.peers.get(&peer)),
            mailbox: failures(mailbox.and_then(|mailbox| self.mailboxes.get(&mailbox))),
            is_known: self.knows(mailbox, peer, now),
        }
    }
}

/// Takes one failure back, if it was counted in the window that there still is.
fn give_back<K: Copy + Eq + Hash + Ord>(windows: &mut Dated<K, u32>, key: K, since: UnixMicros) {
    let Some((began, count)) = windows.get(&key).map(|(began, count)| (began, *count)) else { return };
    match count {
        _ if began != since => {}
        0 | 1 => windows.remove(&key),
        _ => windows.put(key, since, count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros::from_seconds(1_000 + seconds)
    }

    fn failed(count: u32, seconds: i64) -> Failures {
        Failures { count, since: at(seconds) }
    }

    fn peer(number: u32) -> Network {
        Network::of(Some(IpAddr::V4(number.into())))
    }

    const NOBODY: Failures = Failures { count: 0, since: UnixMicros::from_micros(0) };

    #[test]
    fn each_limit_is_reached_and_not_passed() {
        let of = |pair, peer, mailbox, is_known| {
            let past = Past { pair: failed(pair, 0), peer: failed(peer, 0), mailbox: failed(mailbox, 0), is_known };
            decide(&past, at(1)).map_err(|refusal| refusal.limit)
        };
        assert_eq!((of(4, 4, 4, false), of(5, 5, 5, false)), (Ok(()), Err(5)));
        assert_eq!((of(0, 19, 0, false), of(0, 20, 0, false)), (Ok(()), Err(20)));
        // Whoever is new at a mailbox at which many have guessed has one guess.
        assert_eq!((of(1, 1, 19, false), of(1, 1, 20, false), of(0, 0, 1_000, false)), (Ok(()), Err(1), Ok(())));
        // Whoever is known there has as many as ever, whatever others do at the mailbox or in the same network.
        assert_eq!((of(4, 1_000, 1_000, true), of(5, 0, 0, true)), (Ok(()), Err(5)));
    }

    #[test]
    fn a_window_ends_and_the_longest_wait_is_told() {
        let past = Past { pair: failed(5, 0), peer: failed(20, 10), mailbox: NOBODY, is_known: false };
        assert_eq!(decide(&past, at(20)), Err(Refusal { limit: 20, until: at(910) }));
        assert_eq!(decide(&past, at(909)), Err(Refusal { limit: 20, until: at(910) }));
        assert_eq!(decide(&past, at(910)), Ok(()));
        // A clock that was ahead: the window is no shorter for it.
        let ahead = Past { pair: failed(5, 50), ..Past::default() };
        assert_eq!(decide(&ahead, at(0)), Err(Refusal { limit: 5, until: at(950) }));
    }

    #[test]
    fn nobody_is_locked_out_by_what_others_do_at_a_mailbox() {
        let mut guesses = Guesses::default();
        let owner = guesses.count(Some('m'), peer(0), at(0)).expect("first");
        guesses.forgive(&owner, at(0));
        for number in 1..10_000 {
            let looked_at = (0..6).filter(|_| guesses.count(Some('m'), peer(number), at(1)).is_ok()).count();
            assert_eq!(looked_at, if number <= 4 { 5 } else { 1 }, "{number}");
        }
        // The owner, from where it is known and from elsewhere.
        assert!(guesses.look(Some('m'), peer(0), at(2)).is_ok());
        let elsewhere = guesses.count(Some('m'), peer(20_000), at(2)).expect("one guess");
        guesses.forgive(&elsewhere, at(2));
        for number in 0..5 {
            assert!(guesses.count(Some('m'), peer(20_000), at(3)).is_ok(), "known now: {number}");
        }
        assert!(guesses.count(Some('m'), peer(20_000), at(3)).is_err());
        // Other mailboxes are not concerned.
        assert!(guesses.look(Some('n'), peer(20_001), at(3)).is_ok());
    }

    #[test]
    fn a_neighbour_that_guesses_does_not_lock_out_who_is_known() {
        let mut guesses = Guesses::default();
        let owner = guesses.count(Some(0), peer(1), at(0)).expect("first");
        guesses.forgive(&owner, at(0));
        assert_eq!((1..100).filter(|mailbox| guesses.count(Some(*mailbox), peer(1), at(1)).is_ok()).count(), 20);
        assert_eq!(guesses.look(None, peer(1), at(1)).map_err(|refusal| refusal.limit), Err(20));
        assert!(guesses.look(Some(0), peer(1), at(1)).is_ok());
        // To be known ends, too.
        let later = at(0).plus(KNOWN_FOR);
        assert!(guesses.knows(Some(0), peer(1), UnixMicros::from_micros(later.as_micros() - 1)));
        assert!(!guesses.knows(Some(0), peer(1), later));
    }

    #[test]
    fn a_right_guess_is_forgiven_and_no_other() {
        let mut guesses = Guesses::default();
        for round in 0..4 {
            for _ in 0..4 {
                guesses.count(Some('m'), peer(1), at(round)).expect("looked at");
            }
            let right = guesses.count(Some('m'), peer(1), at(round)).expect("looked at");
            guesses.forgive(&right, at(round));
        }
        let past = guesses.past(Some('m'), peer(1), at(5));
        assert_eq!((past.pair, past.peer, past.mailbox), (NOBODY, failed(16, 0), failed(16, 0)));
        // One that was counted in a window that is over is not taken from the next.
        let old = guesses.count(Some('m'), peer(2), at(10)).expect("looked at");
        let _wrong = guesses.count(Some('m'), peer(2), at(910)).expect("looked at");
        guesses.forgive(&old, at(911));
        assert_eq!(guesses.past(None, peer(2), at(911)).peer, failed(1, 910));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut guesses = Guesses::remembering(100);
        for number in 0..1_000_u32 {
            let counted = guesses.count(Some(number), peer(number), at(number.into())).expect("looked at");
            if number % 2 == 0 {
                guesses.forgive(&counted, at(number.into()));
            }
        }
        assert_eq!(guesses.past(Some(1), peer(1), at(1_000)).peer.count, 0, "the oldest went");
        assert_eq!(guesses.past(Some(999), peer(999), at(1_000)).peer.count, 1);
        assert!(!guesses.knows(Some(0), peer(0), at(1_000)) && guesses.knows(Some(998), peer(998), at(1_000)));
    }

    #[test]
    fn neighbours_in_one_network_share_their_guesses() {
        let of = |text: &str| Network::of(Some(text.parse().expect("address")));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.6"), of("192.0.2.7"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(Network::of(None), of("::"));
    }
}
