//! How much this node gives each destination at once. What is decided is in `postfleet_core::destination`; here is what
//! is remembered for it, in memory only: after a restart every destination is met as if for the first time.

use postfleet_core::destination::{Pace, Sign, fair_room};
use postfleet_core::id::LeaseId;
use postfleet_core::{Domain, UnixMicros};
use postfleet_store::queue::{Claims, Rooms};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Destinations that are remembered; beyond, those at which nothing is under way are forgotten.
const LANES_MAX: usize = 10_000;

/// Messages under way at once while it is quiet.
const QUIET: usize = 2;

/// The paces of all destinations.
#[derive(Debug)]
pub struct Pacing {
    /// Messages attempted at once, at all destinations together.
    slots: usize,
    /// The same at one destination, at most.
    most: u32,
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    of: HashMap<Domain, Lane>,
    under_way: usize,
    /// Claims that were begun.
    claims: u64,
    /// The lease of the last one, until it is known what it took.
    in_doubt: Option<LeaseId>,
}

/// One destination.
#[derive(Debug)]
struct Lane {
    pace: Pace,
    under_way: u32,
    /// Nobody answered last.
    is_failing: bool,
    /// There is more for it in the queue than there was room for.
    is_awaited: bool,
    /// A claim was asked for when so many had begun, as there is room for what waits: until one that began later is over,
    /// nothing that was just accepted goes ahead of that.
    called: Option<u64>,
    /// What had waited behind a stop was released, and no claim has come to it yet.
    is_released: bool,
}

impl Pacing {
    /// Paces for a node that attempts `slots` messages at once, `most` of them at one destination.
    pub fn new(slots: usize, most: u32) -> Arc<Self> {
        Arc::new(Self { slots, most, lanes: Mutex::default() })
    }

    /// A claim begins: how many messages may begin at each destination now.
    pub(super) fn begin_claim(&self, lease: LeaseId, now: UnixMicros) -> Rooms {
        {
            let mut lanes = self.lanes();
            lanes.claims += 1;
            lanes.in_doubt = Some(lease);
        }
        self.rooms(now)
    }

    /// The lease of the last claim, if that never came to its end.
    pub(super) fn claim_in_doubt(&self) -> Option<LeaseId> {
        self.lanes().in_doubt
    }

    /// How many messages may begin at each destination now.
    pub(super) fn rooms(&self, now: UnixMicros) -> Rooms {
        let mut lanes = self.lanes();
        if lanes.of.len() > LANES_MAX {
            lanes.of.retain(|_, lane| lane.under_way > 0 || lane.is_released);
        }
        let free = self.slots.saturating_sub(lanes.under_way);
        let each = (Pace::at_first(self.most).concurrency() as usize).min(fair_room(self.slots, free, 0));
        let mut of = BTreeMap::new();
        for (domain, lane) in &mut lanes.of {
            let room = lane.room(self.slots, free, now);
            lane.is_awaited |= room == 0;
            // What is awaited is claimed many at a time.
            let room = if lane.is_awaited && !lane.is_worth_a_claim(room) { 0 } else { room };
            // Most are at rest, and like those that are not remembered.
            if room != each {
                of.insert(domain.as_str().to_owned(), room);
            }
        }
        Rooms { each, of }
    }

    /// The claim is over. Remembers that more is due for these than there was room for.
    pub(super) fn end_claim(&self, claims: &Claims) {
        let mut lanes = self.lanes();
        lanes.in_doubt = None;
        let begun = lanes.claims;
        for (domain, lane) in &mut lanes.of {
            let is_awaited = claims.waiting.contains(domain.as_str());
            lane.is_awaited |= is_awaited;
            lane.called = lane.called.filter(|called| *called >= begun);
            lane.is_released &= lane.called.is_some() || !(is_awaited || claims.saw_all);
        }
    }

    /// What had waited behind a stop was released at these destinations: nothing that is accepted from now on goes ahead of it.
    pub(crate) fn released(&self, destinations: &BTreeSet<String>) {
        let mut lanes = self.lanes();
        let lanes = &mut *lanes;
        for domain in destinations.iter().filter_map(|name| Domain::parse(name).ok()) {
            let lane = lanes.of.entry(domain).or_insert_with(|| Lane::new(self.most));
            lane.called = Some(lanes.claims);
            lane.is_released = true;
        }
    }

    /// A message that was claimed begins at a destination.
    pub(super) fn enter(self: &Arc<Self>, domain: &Domain, now: UnixMicros) -> Permit {
        self.lanes().enter(domain, self.most, now);
        Permit { pacing: self.clone(), domain: domain.clone(), is_over: false }
    }

    /// A message that was just accepted begins at its destinations, if there is room at all of them.
    pub(super) fn try_enter(
        self: &Arc<Self>,
        domains: &BTreeSet<&Domain>,
        now: UnixMicros,
    ) -> Option<BTreeMap<Domain, Permit>> {
        let has_room = {
            let lanes = self.lanes();
            let free = self.slots.saturating_sub(lanes.under_way);
            domains.iter().all(|domain| match lanes.of.get(*domain) {
                Some(lane) => !lane.is_failing && !lane.is_sought() && lane.room(self.slots, free, now) > 0,
                None => fair_room(self.slots, free, 0) > 0,
            })
        };
        has_room.then(|| domains.iter().map(|domain| ((*domain).clone(), self.enter(domain, now))).collect())
    }

    /// Whether so little is under way that there is a processor to spare.
    pub(super) fn is_quiet(&self) -> bool {
        self.lanes().under_way <= QUIET
    }

    /// Whether each of these has more in the queue than there was room for, so that a claim comes as soon as there is room
    /// and nobody has to ask for one.
    pub(super) fn are_awaited(&self, domains: &BTreeSet<&Domain>) -> bool {
        let lanes = self.lanes();
        // After a claim it is looked what is due next, so that what was written before its end is seen.
        let is_awaited = |lane: &Lane| lane.called.is_some() || lane.is_awaited && lane.under_way > 0;
        domains.iter().all(|domain| lanes.of.get(*domain).is_some_and(is_awaited))
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Every change is one statement or its numbers are only hints, so that a panic elsewhere leaves it usable.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn enter(&mut self, domain: &Domain, most: u32, now: UnixMicros) {
        let lane = self.of.entry(domain.clone()).or_insert_with(|| Lane::new(most));
        lane.pace.begin(now);
        lane.under_way += 1;
        self.under_way += 1;
    }

    fn leave(&mut self, domain: &Domain) -> Option<&mut Lane> {
        self.under_way = self.under_way.saturating_sub(1);
        let lane = self.of.get_mut(domain)?;
        lane.under_way = lane.under_way.saturating_sub(1);
        Some(lane)
    }
}

impl Lane {
    fn new(most: u32) -> Self {
        let pace = Pace::at_first(most);
        Self { pace, under_way: 0, is_failing: false, is_awaited: false, called: None, is_released: false }
    }

    /// Whether others wait for the room that there is.
    fn is_sought(&self) -> bool {
        self.is_awaited || self.called.is_some() || self.is_released
    }

    fn room(&self, slots: usize, free: usize, now: UnixMicros) -> usize {
        (self.pace.room(self.under_way, now) as usize).min(fair_room(slots, free, self.under_way))
    }

    /// Whether a claim brings enough with that room: half of what may be under way. A claim costs about as much for one
    /// message as for many, and what is still under way gives it time.
    fn is_worth_a_claim(&self, room: usize) -> bool {
        let is_spread_out = !self.pace.gap().is_zero();
        is_spread_out || self.under_way == 0 || room >= self.pace.concurrency().div_ceil(2) as usize
    }
}

/// The place of one message at one destination, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    pacing: Arc<Pacing>,
    domain: Domain,
    is_over: bool,
}

/// What was known of the destination when an attempt ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Nobody had answered before.
    pub(super) was_failing: bool,
    /// More waits for the room, and there is enough of it.
    pub(super) is_awaited: bool,
}

impl Permit {
    /// Whether nobody answered at this destination last.
    pub(super) fn is_failing(&self) -> bool {
        self.pacing.lanes().of.get(&self.domain).is_some_and(|lane| lane.is_failing)
    }

    /// The attempt is over, and says this about the destination.
    pub(super) fn leave(mut self, sign: Sign, now: UnixMicros) -> Left {
        self.is_over = true;
        let (slots, most) = (self.pacing.slots, self.pacing.most);
        let mut lanes = self.pacing.lanes();
        let claims = lanes.claims;
        let free = slots.saturating_sub(lanes.under_way.saturating_sub(1));
        let Some(lane) = lanes.leave(&self.domain) else { return Left::default() };
        lane.pace.learn(sign, most);
        let room = lane.room(slots, free, now);
        let left = Left { was_failing: lane.is_failing, is_awaited: lane.is_awaited && lane.is_worth_a_claim(room) };
        lane.is_failing = sign == Sign::Down;
        if left.is_awaited {
            lane.is_awaited = false;
            lane.called = Some(claims);
        }
        left
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_over {
            self.pacing.lanes().leave(&self.domain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);

    #[test]
    fn a_destination_takes_its_own_places_and_leaves_others_theirs() {
        let pacing = Pacing::new(16, 100);
        let (slow, other) = (domain("slow.test"), domain("other.test"));
        let mut held: Vec<Permit> = (0..5).map(|_| pacing.enter(&slow, NOW)).collect();
        let rooms = pacing.rooms(NOW);
        assert_eq!((rooms.of["slow.test"], rooms.each), (0, 5));
        assert!(pacing.try_enter(&BTreeSet::from([&slow]), NOW).is_none());
        assert!(pacing.try_enter(&BTreeSet::from([&slow, &other]), NOW).is_none(), "all or none");
        let permits = pacing.try_enter(&BTreeSet::from([&other]), NOW).expect("room elsewhere");
        assert_eq!(permits.len(), 1);
        // It was awaited since it was found full, and is claimed for when there is room for many.
        assert!(pacing.are_awaited(&BTreeSet::from([&slow])));
        let mut leave = || held.pop().expect("held").leave(Sign::Well, NOW);
        assert_eq!((leave(), leave()), (Left::default(), Left::default()));
        assert_eq!(pacing.rooms(NOW).of["slow.test"], 0, "too little for a claim");
        assert_eq!(leave(), Left { was_failing: false, is_awaited: true });
        assert_eq!(pacing.rooms(NOW).of["slow.test"], 3);
        assert!(pacing.are_awaited(&BTreeSet::from([&slow])), "by that claim");
        pacing.begin_claim(LeaseId::new(NOW, [0; 10]), NOW);
        pacing.end_claim(&claims(&[], true));
        assert!(!pacing.are_awaited(&BTreeSet::from([&slow])));
        drop(held);
        assert_eq!(pacing.rooms(NOW).of.get("slow.test"), None, "as any other");
    }

    fn claims(waiting: &[&str], saw_all: bool) -> Claims {
        let waiting = waiting.iter().map(|&name| name.to_owned()).collect();
        Claims { rows: Vec::new(), waiting, saw_all }
    }

    #[test]
    fn nothing_goes_ahead_of_what_a_claim_was_asked_for() {
        let pacing = Pacing::new(16, 100);
        let slow = domain("slow.test");
        let own = BTreeSet::from([&slow]);
        let mut held: Vec<Permit> = (0..5).map(|_| pacing.enter(&slow, NOW)).collect();
        pacing.begin_claim(LeaseId::new(NOW, [0; 10]), NOW);
        pacing.end_claim(&claims(&["slow.test"], true));
        let is_awaited = |permit: Option<Permit>| permit.expect("held").leave(Sign::Well, NOW).is_awaited;
        assert_eq!([is_awaited(held.pop()), is_awaited(held.pop()), is_awaited(held.pop())], [false, false, true]);
        assert!(pacing.try_enter(&own, NOW).is_none(), "there is room, for those that wait");
        pacing.begin_claim(LeaseId::new(NOW, [0; 10]), NOW);
        assert!(pacing.try_enter(&own, NOW).is_none(), "nor while they are claimed");
        pacing.end_claim(&claims(&[], true));
        assert!(pacing.try_enter(&own, NOW).is_some(), "none wait any more");
    }

    #[test]
    fn nothing_goes_ahead_of_what_a_lifted_stop_released() {
        let pacing = Pacing::new(16, 100);
        let (freed, other) = (domain("freed.test"), domain("other.test"));
        let own = BTreeSet::from([&freed]);
        pacing.begin_claim(LeaseId::new(NOW, [0; 10]), NOW);
        pacing.released(&BTreeSet::from(["freed.test".to_owned()]));
        pacing.end_claim(&claims(&[], true));
        assert!(pacing.try_enter(&own, NOW).is_none(), "that claim may have begun before");
        assert!(pacing.try_enter(&BTreeSet::from([&other]), NOW).is_some());
        pacing.begin_claim(LeaseId::new(NOW, [0; 10]), NOW);
        pacing.end_claim(&claims(&[], false));
        assert!(pacing.try_enter(&own, NOW).is_none(), "no claim has come to it");
        pacing.begin_claim(LeaseId::new(NOW, [0; 10]), NOW);
        pacing.end_claim(&claims(&[], true));
        assert!(pacing.try_enter(&own, NOW).is_some());
    }

    #[test]
    fn a_destination_that_fails_gets_nothing_that_was_just_accepted() {
        let pacing = Pacing::new(16, 100);
        let dead = domain("dead.test");
        pacing.enter(&dead, NOW).leave(Sign::Down, NOW);
        assert!(pacing.try_enter(&BTreeSet::from([&dead]), NOW).is_none());
        assert_eq!(pacing.rooms(NOW).of["dead.test"], 1, "one, to see whether it answers");
        assert!(pacing.enter(&dead, NOW).leave(Sign::Well, NOW).was_failing);
        assert!(pacing.try_enter(&BTreeSet::from([&dead]), NOW).is_some());
    }

    #[test]
    fn however_many_are_slow_another_finds_a_place() {
        let pacing = Pacing::new(16, 100);
        let mut held = Vec::new();
        for number in 0..100 {
            let domain = domain(&format!("slow{number}.test"));
            while pacing.rooms(NOW).of.get(domain.as_str()).copied().unwrap_or(pacing.rooms(NOW).each) > 1 {
                held.push(pacing.enter(&domain, NOW));
            }
        }
        assert!(held.len() <= 12, "{} of 16", held.len());
        assert!(pacing.try_enter(&BTreeSet::from([&domain("new.test")]), NOW).is_some());
    }
}
