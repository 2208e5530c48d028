//! What is looked up before it can be sent, so that a receiver that has taken one event is told the next at once.

use super::ToSend;
use crate::webhooks::payload::Found;
use postfleet_core::UnixMicros;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What was found longer ago is looked up again: messages are shown as they are now.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Events by their place in the log, that are looked up and not sent yet.
#[derive(Default)]
pub(super) struct Ahead {
    events: BTreeMap<i64, Known>,
    is_asking: bool,
}

enum Known {
    /// It is being looked up; with what is to be sent when that is done, if it could be sent meanwhile.
    Asked(Option<Box<ToSend>>),
    Found(Box<Found>, UnixMicros),
}

/// What is known of an event that is to be sent.
pub(super) enum Taken {
    Found(ToSend, Box<Found>),
    /// It is sent when it is known.
    Waits,
    Unknown(ToSend),
}

impl Ahead {
    /// How many events may be looked up now, where so many requests may be under way: so many at least, and at most. Few at a time
    /// would cost more than to look them up when they can be sent.
    pub(super) fn room(&self, concurrency: usize) -> Option<RangeInclusive<usize>> {
        let (least, most) = (concurrency.div_ceil(4).max(2), concurrency.saturating_sub(self.events.len()));
        (!self.is_asking && least <= most).then_some(least..=most)
    }

    /// Whether nothing is known of an event yet.
    pub(super) fn lacks(&self, position: i64) -> bool {
        !self.events.contains_key(&position)
    }

    /// They are being looked up.
    pub(super) fn ask(&mut self, positions: impl Iterator<Item = i64>) {
        self.is_asking = true;
        self.events.extend(positions.map(|position| (position, Known::Asked(None))));
    }

    /// That is done. Answers what waited for it.
    pub(super) fn answered(&mut self, found: Vec<(i64, Found)>, now: UnixMicros) -> Vec<(ToSend, Found)> {
        self.is_asking = false;
        let mut waited = Vec::new();
        for (position, found) in found {
            match self.events.remove(&position) {
                Some(Known::Asked(Some(send))) => waited.push((*send, found)),
                Some(_) => drop(self.events.insert(position, Known::Found(Box::new(found), now))),
                // Nobody wants it any more.
                None => {}
            }
        }
        waited
    }

    /// Nobody could say. Answers what waited for it.
    pub(super) fn failed(&mut self, positions: &[i64]) -> Vec<ToSend> {
        self.is_asking = false;
        let gone = positions.iter().filter_map(|position| self.events.remove(position));
        gone.filter_map(|known| if let Known::Asked(send) = known { send } else { None }).map(|send| *send).collect()
    }

    /// An event can be sent.
    pub(super) fn take(&mut self, send: ToSend, now: UnixMicros) -> Taken {
        match self.events.get_mut(&send.next.position) {
            Some(Known::Asked(waiting)) => {
                *waiting = Some(Box::new(send));
                return Taken::Waits;
            }
            Some(Known::Found(..)) => {}
            None => return Taken::Unknown(send),
        }
        match self.events.remove(&send.next.position) {
            Some(Known::Found(found, at)) if now.since(at) < AGE_MAX => Taken::Found(send, found),
            _ => Taken::Unknown(send),
        }
    }

    /// An event is not to be sent from here any more, unless it is being sent.
    pub(super) fn forget(&mut self, position: i64) {
        if !matches!(self.events.get(&position), Some(Known::Asked(Some(_)))) {
            self.events.remove(&position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhooks::Connections;
    use postfleet_core::event::Trigger;
    use postfleet_core::id::{ApplicationId, EventId, GrantId};
    use postfleet_core::readers::Next;
    use postfleet_store::events::{Event, NewEvent};

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);

    fn send(position: i64) -> ToSend {
        let event = NewEvent {
            id: EventId::first_at(NOW),
            application_id: ApplicationId::first_at(NOW),
            grant_id: GrantId::first_at(NOW),
            grant_sequence: 1,
            trigger: Trigger::GrantUpdated,
            message_id: None,
            data: String::new(),
            at: NOW,
        };
        ToSend {
            next: Next { grant: event.grant_id, position, attempt: 1 },
            event: Event { position, event, trace: None },
            ticket: Connections::new(1).take(0, false).expect("a ticket"),
            promise: None,
        }
    }

    fn found(positions: &[i64]) -> Vec<(i64, Found)> {
        positions.iter().map(|position| (*position, Found::default())).collect()
    }

    #[test]
    fn what_was_found_is_taken_once_and_not_when_it_is_old() {
        let mut ahead = Ahead::default();
        ahead.ask([1, 2].into_iter());
        assert!(ahead.answered(found(&[1, 2]), NOW).is_empty());
        assert!(matches!(ahead.take(send(1), NOW), Taken::Found(..)));
        assert!(matches!(ahead.take(send(1), NOW), Taken::Unknown(_)));
        assert!(matches!(ahead.take(send(2), NOW.plus(AGE_MAX)), Taken::Unknown(_)));
        assert!(ahead.lacks(2));
    }

    #[test]
    fn what_can_be_sent_meanwhile_waits_for_what_is_looked_up() {
        let mut ahead = Ahead::default();
        ahead.ask([1, 2].into_iter());
        assert!(matches!(ahead.take(send(2), NOW), Taken::Waits));
        // It is being sent, and the other one is not any more.
        ahead.forget(2);
        ahead.forget(1);
        let waited = ahead.answered(found(&[1, 2]), NOW);
        assert_eq!(waited.iter().map(|(send, _)| send.next.position).collect::<Vec<_>>(), [2]);
        assert!(ahead.lacks(1) && ahead.lacks(2));
        ahead.ask([3, 4].into_iter());
        assert!(matches!(ahead.take(send(4), NOW), Taken::Waits));
        assert_eq!(ahead.failed(&[3, 4]).iter().map(|send| send.next.position).collect::<Vec<_>>(), [4]);
        assert!(ahead.lacks(3) && ahead.lacks(4));
    }

    #[test]
    fn much_is_asked_at_once_and_seldom() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.room(8), Some(2..=8));
        ahead.ask(1..=8);
        assert_eq!(ahead.room(8), None);
        ahead.answered(found(&[1, 2, 3, 4, 5, 6, 7, 8]), NOW);
        for (position, room) in [(1, None), (2, Some(2..=2)), (3, Some(2..=3))] {
            assert!(matches!(ahead.take(send(position), NOW), Taken::Found(..)));
            assert_eq!(ahead.room(8), room);
        }
        assert_eq!(Ahead::default().room(1), None, "what is sent one by one is looked up one by one");
    }
}
