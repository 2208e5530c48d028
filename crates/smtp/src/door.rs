//! Who is let in, and what those inside may still do: connections in all, connections and deeds of one network, and how
//! many are made to wait. All of it is memory of this process, bounded, and forgotten when it ends.

use crate::listener::Limits;
use postfleet_core::UnixMicros;
use postfleet_core::client_rate::{Clients, Deed, Exceeded};
use postfleet_core::throttle::Network;
use postfleet_wire::smtp::Reply;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The door of one listener.
pub(crate) struct Door {
    total: AtomicUsize,
    delayed: AtomicUsize,
    open: Mutex<HashMap<Network, usize>>,
    clients: Mutex<Clients>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest {
    pub(crate) network: Network,
    /// Whether nothing is counted by its network, and it is never made to wait.
    pub(crate) is_trusted: bool,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TurnedAway {
    /// There is no room for anybody.
    Full,
    /// Its network has as many connections as it may.
    FullOfNetwork,
    /// Its network connects too often.
    TooOften,
}

impl TurnedAway {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Full | Self::FullOfNetwork => Reply::too_many_connections(),
            Self::TooOften => Reply::connecting_too_often(),
        }
    }

    /// A word for it, as metrics name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Full => "connections",
            Self::FullOfNetwork => "connections_per_address",
            Self::TooOften => "connection_rate",
        }
    }
}

/// What is said when a network has done too much, and a word for it.
pub(crate) fn refusal(exceeded: Exceeded) -> (Reply, &'static str) {
    match exceeded.deed {
        Deed::Connection => (Reply::connecting_too_often(), "connection_rate"),
        Deed::Message => (Reply::too_many_messages(), "messages"),
        Deed::Recipient => (Reply::too_many_recipients_in_an_hour(), "recipients"),
        Deed::UnknownRecipient => (Reply::too_many_unknown_recipients(), "unknown_recipients"),
    }
}

impl Door {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            total: AtomicUsize::new(0),
            delayed: AtomicUsize::new(0),
            open: Mutex::default(),
            clients: Mutex::new(Clients::new(limits.rates)),
        }
    }

    /// A place for a connection, whoever's it is.
    pub(crate) fn enter(&self, limits: &Limits) -> Result<Place<'_>, TurnedAway> {
        Place::take(&self.total, limits.connections).ok_or(TurnedAway::Full)
    }

    /// A place for one of that address.
    pub(crate) fn enter_from(
        &self,
        limits: &Limits,
        ip: IpAddr,
        now: UnixMicros,
    ) -> Result<PlaceOfNetwork<'_>, TurnedAway> {
        let is_trusted = limits.trusted.iter().any(|network| network.contains(ip));
        let guest = Guest { network: Network::of(Some(ip)), is_trusted };
        let mut open = self.open();
        let of_network = open.get(&guest.network).copied().unwrap_or(0);
        if !is_trusted && of_network >= limits.connections_per_address {
            return Err(TurnedAway::FullOfNetwork);
        }
        self.count(Deed::Connection, guest, now).map_err(|_| TurnedAway::TooOften)?;
        open.insert(guest.network, of_network + 1);
        Ok(PlaceOfNetwork { door: self, guest })
    }

    /// A place among those that are made to wait.
    pub(crate) fn delay(&self, limits: &Limits) -> Option<Place<'_>> {
        Place::take(&self.delayed, limits.tarpit.sessions)
    }

    /// Counts what a guest does, unless it is one too many.
    pub(crate) fn count(&self, deed: Deed, guest: Guest, now: UnixMicros) -> Result<(), Exceeded> {
        if guest.is_trusted { Ok(()) } else { self.clients().count(deed, guest.network, now) }
    }

    /// Whether a guest could do it now.
    pub(crate) fn look(&self, deed: Deed, guest: Guest, now: UnixMicros) -> Result<(), Exceeded> {
        if guest.is_trusted { Ok(()) } else { self.clients().look(deed, guest.network, now) }
    }

    /// Takes back what was counted in advance.
    pub(crate) fn give_back(&self, deed: Deed, guest: Guest, now: UnixMicros) {
        if !guest.is_trusted {
            self.clients().give_back(deed, guest.network, now);
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of so many places; given back when dropped.
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, most: usize) -> Option<Self> {
        let has_room = |taken: usize| (taken < most).then_some(taken + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room).ok().map(|_| Self(taken))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place among those of a network; given back when dropped.
pub(crate) struct PlaceOfNetwork<'a> {
    door: &'a Door,
    pub(crate) guest: Guest,
}

impl Drop for PlaceOfNetwork<'_> {
    fn drop(&mut self) {
        let mut open = self.door.open();
        if let Some(count) = open.get_mut(&self.guest.network) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.guest.network);
            }
        }
    }
}
