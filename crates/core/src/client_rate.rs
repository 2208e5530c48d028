//! What the servers of one network may do in a time: connect, bring messages, name recipients, and name recipients that do
//! not exist. Counted in windows that begin with the first of them, in memory of bounded size; each node for itself, since
//! this is about what it costs to be talked to, and nothing is refused for good.
//!
//! What counts is counted before it is done, in one step with the look at the limit, so that connections at once cannot do
//! more than one could.

use crate::dated::Dated;
use crate::throttle::Network;
use crate::time::UnixMicros;
use std::time::Duration;

/// Networks that are remembered for each deed; beyond, those whose windows began first are forgotten.
pub const REMEMBERED_MAX: usize = 50_000;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deed {
    /// A connection was opened.
    Connection,
    /// A message was brought.
    Message,
    /// A recipient was named.
    Recipient,
    /// A recipient was named that does not exist.
    UnknownRecipient,
}

impl Deed {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Connection, Self::Message, Self::Recipient, Self::UnknownRecipient];

    /// How long it counts.
    pub const fn window(self) -> Duration {
        match self {
            Self::Connection => Duration::from_secs(60),
            Self::Message | Self::Recipient | Self::UnknownRecipient => Duration::from_secs(3_600),
        }
    }
}

/// How often each may be done by one network. 0 is as often as it likes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientRates {
    /// New connections.
    pub connections_per_minute: u32,
    /// Messages.
    pub messages_per_hour: u32,
    /// Recipients, over all messages.
    pub recipients_per_hour: u32,
    /// Recipients that do not exist.
    pub unknown_recipients_per_hour: u32,
}

impl ClientRates {
    /// The limit of a deed; `None` if there is none.
    pub const fn of(&self, deed: Deed) -> Option<u32> {
        let limit = match deed {
            Deed::Connection => self.connections_per_minute,
            Deed::Message => self.messages_per_hour,
            Deed::Recipient => self.recipients_per_hour,
            Deed::UnknownRecipient => self.unknown_recipients_per_hour,
        };
        if limit == 0 { None } else { Some(limit) }
    }
}

/// Why something may not be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exceeded {
    /// What.
    pub deed: Deed,
    /// How often it may be done.
    pub limit: u32,
    /// When the window ends.
    pub until: UnixMicros,
}

/// What networks have done.
#[derive(Clone, Debug)]
pub struct Clients {
    rates: ClientRates,
    windows: [Dated<Network, u32>; Deed::ALL.len()],
}

impl Clients {
    /// Nobody has done anything yet.
    pub fn new(rates: ClientRates) -> Self {
        Self::remembering(rates, REMEMBERED_MAX)
    }

    fn remembering(rates: ClientRates, most: usize) -> Self {
        Self { rates, windows: Deed::ALL.map(|_| Dated::new(most)) }
    }

    /// Counts a deed, unless it is one too many.
    pub fn count(&mut self, deed: Deed, network: Network, now: UnixMicros) -> Result<(), Exceeded> {
        self.look(deed, network, now)?;
        if self.rates.of(deed).is_some() {
            let (since, done) = self.window(deed, network, now);
            self.windows[deed as usize].put(network, since, done + 1);
        }
        Ok(())
    }

    /// Whether a deed could be done now, without counting it.
    pub fn look(&self, deed: Deed, network: Network, now: UnixMicros) -> Result<(), Exceeded> {
        let Some(limit) = self.rates.of(deed) else { return Ok(()) };
        let (since, done) = self.window(deed, network, now);
        if done < limit { Ok(()) } else { Err(Exceeded { deed, limit, until: since.plus(deed.window()) }) }
    }

    /// Takes a deed back that was counted in advance and did not come to pass.
    pub fn give_back(&mut self, deed: Deed, network: Network, now: UnixMicros) {
        let (since, done) = self.window(deed, network, now);
        match done {
            0 => {}
            1 => self.windows[deed as usize].remove(&network),
            _ => self.windows[deed as usize].put(network, since, done - 1),
        }
    }

    /// Since when it counts, and how often it was done. A window that begins later than now is from before the clock was
    /// set back.
    fn window(&self, deed: Deed, network: Network, now: UnixMicros) -> (UnixMicros, u32) {
        let window = self.windows[deed as usize].get(&network);
        let current = window.filter(|(since, _)| *since <= now && now < since.plus(deed.window()));
        current.map_or((now, 0), |(since, done)| (since, *done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const RATES: ClientRates = ClientRates {
        connections_per_minute: 2,
        messages_per_hour: 3,
        recipients_per_hour: 4,
        unknown_recipients_per_hour: 5,
    };

    fn at(seconds: i64) -> UnixMicros {
        UnixMicros::from_seconds(10_000 + seconds)
    }

    fn network(text: &str) -> Network {
        Network::of(Some(text.parse::<IpAddr>().expect("address")))
    }

    #[test]
    fn each_limit_is_reached_and_not_passed_and_its_window_ends() {
        for (deed, limit, seconds) in [
            (Deed::Connection, 2, 60),
            (Deed::Message, 3, 3_600),
            (Deed::Recipient, 4, 3_600),
            (Deed::UnknownRecipient, 5, 3_600),
        ] {
            let mut clients = Clients::new(RATES);
            let one = network("192.0.2.1");
            let counted = (0..10).filter(|second| clients.count(deed, one, at(*second)).is_ok()).count();
            assert_eq!(counted, limit, "{deed:?}");
            let limit = u32::try_from(limit).expect("small");
            let exceeded = Err(Exceeded { deed, limit, until: at(seconds) });
            assert_eq!(clients.count(deed, one, at(seconds - 1)), exceeded, "{deed:?}");
            assert_eq!(clients.count(deed, one, at(seconds)), Ok(()), "{deed:?}");
            // Neither other networks nor other deeds are concerned.
            let mut clients = Clients::new(RATES);
            while clients.count(deed, one, at(0)).is_ok() {}
            assert!(clients.count(deed, network("192.0.2.2"), at(0)).is_ok());
            assert!(Deed::ALL.into_iter().filter(|other| clients.count(*other, one, at(0)).is_ok()).count() == 3);
        }
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut clients = Clients::new(ClientRates::default());
        for deed in Deed::ALL {
            assert!((0..100_000).all(|_| clients.count(deed, network("192.0.2.1"), at(0)).is_ok()));
        }
    }

    #[test]
    fn ipv6_counts_by_the_network_that_one_party_has() {
        let mut clients = Clients::new(RATES);
        assert!(clients.count(Deed::Connection, network("2001:db8:0:1::1"), at(0)).is_ok());
        assert!(clients.count(Deed::Connection, network("2001:db8:0:1:ffff::2"), at(0)).is_ok());
        assert!(clients.count(Deed::Connection, network("2001:db8:0:1:1:2:3:4"), at(0)).is_err());
        assert!(clients.count(Deed::Connection, network("2001:db8:0:2::1"), at(0)).is_ok());
    }

    #[test]
    fn what_did_not_come_to_pass_is_given_back() {
        let mut clients = Clients::new(RATES);
        let one = network("192.0.2.1");
        for _ in 0..100 {
            clients.count(Deed::UnknownRecipient, one, at(0)).expect("room");
            clients.give_back(Deed::UnknownRecipient, one, at(1));
        }
        assert_eq!((0..9).filter(|_| clients.count(Deed::UnknownRecipient, one, at(2)).is_ok()).count(), 5);
        // In a window that is over there is nothing to give back.
        clients.give_back(Deed::UnknownRecipient, one, at(9_999));
        assert_eq!((0..9).filter(|_| clients.count(Deed::UnknownRecipient, one, at(9_999)).is_ok()).count(), 5);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut clients = Clients::new(RATES);
        let one = network("192.0.2.1");
        while clients.count(Deed::Message, one, at(100_000)).is_ok() {}
        assert!(clients.count(Deed::Message, one, at(0)).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut clients = Clients::remembering(RATES, 100);
        for number in 0..1_000_u32 {
            let one = Network::of(Some(IpAddr::V4(number.into())));
            for _ in 0..2 {
                clients.count(Deed::Connection, one, at(i64::from(number) / 100)).expect("room");
            }
        }
        let is_full = |number: u32| {
            clients.clone().count(Deed::Connection, Network::of(Some(IpAddr::V4(number.into()))), at(10)).is_err()
        };
        assert!(!is_full(0) && is_full(999), "the oldest are forgotten");
        assert_eq!((0..1_000).filter(|number| is_full(*number)).count(), 100);
    }
}
