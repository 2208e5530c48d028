//! What is sent of an event, made once for the webhooks of an application that are told it at about the same time: the first
//! of them promises it, and the others wait for that instead of looking up the same.
//!
//! What is shared is at most a second old. Nobody depends on anybody else: who has promised something and does not keep it, in
//! whatever way, leaves those who wait to make it themselves.

use super::connections::Connections;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::Shared;
use parking_lot::Mutex;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, EventId};
use postfleet_store::webhooks::{Channel, Webhook};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is older is not told any more: messages are shown as they are now.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Bodies that are kept for others at most.
const KEPT_MAX: usize = 1_024;

/// A body that is longer, in octets, is not kept for others: so all of them are at most 64 MiB.
const OCTETS_MAX: usize = 64 << 10;

/// The bodies that the workers of a node share. Clones share them, too.
#[derive(Clone, Debug, Default)]
pub(super) struct Bodies(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// How many are told what happens in an application.
    told: HashMap<ApplicationId, usize>,
    bodies: HashMap<Key, Awaited>,
    /// Since when they are kept, the oldest first.
    since: VecDeque<(UnixMicros, Key)>,
}

/// What a body depends on, beside the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) event: EventId,
    /// The name under which it is told.
    pub(super) name: &'static str,
    pub(super) is_packed: bool,
}

/// A worker's part in the bodies; over when it is dropped.
#[derive(Debug)]
pub(super) struct Sharer {
    bodies: Bodies,
    application: ApplicationId,
}

/// A body that another worker makes.
#[derive(Clone, Debug)]
pub(super) struct Awaited(Shared<oneshot::Receiver<Bytes>>);

/// A body that others may wait for.
#[derive(Debug)]
pub(super) struct Promise(oneshot::Sender<Bytes>);

/// Who makes a body.
#[derive(Debug)]
pub(super) enum Maker {
    /// Whoever asks, for nobody else.
    Alone,
    /// Whoever asks, for others as well.
    Me(Promise),
    Another(Awaited),
}

impl Bodies {
    /// One more is told what happens in an application.
    fn join(&self, application: ApplicationId) -> Sharer {
        *self.0.lock().told.entry(application).or_default() += 1;
        Sharer { bodies: self.clone(), application }
    }

    /// Lets go what is too old.
    pub(super) fn tidy(&self, now: UnixMicros) {
        self.0.lock().tidy(now);
    }
}

impl Sharer {
    /// Of the worker of a webhook. A replay tells what was told, and an alert says something else.
    pub(super) fn of(webhook: &Webhook, connections: &Connections) -> Option<Self> {
        let shares = webhook.channel == Channel::Webhook && webhook.replay.is_none();
        shares.then(|| connections.bodies().join(webhook.application_id))
    }

    /// Who makes a body; whoever is told to makes it now.
    pub(super) fn maker(&self, key: Key, now: UnixMicros) -> Maker {
        let mut kept = self.bodies.0.lock();
        if kept.told.get(&self.application).is_none_or(|told| *told < 2) {
            return Maker::Alone;
        }
        kept.tidy(now);
        if let Some(awaited) = kept.bodies.get(&key) {
            return Maker::Another(awaited.clone());
        }
        let (promise, body) = oneshot::channel();
        kept.keep(key, Awaited(body.shared()), now);
        Maker::Me(Promise(promise))
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        let mut kept = self.bodies.0.lock();
        if let Some(told) = kept.told.get_mut(&self.application) {
            *told -= 1;
            if *told == 0 {
                kept.told.remove(&self.application);
            }
        }
    }
}

impl Kept {
    fn keep(&mut self, key: Key, body: Awaited, now: UnixMicros) {
        if self.since.len() >= KEPT_MAX {
            let oldest = self.since.pop_front();
            oldest.map(|(_, key)| self.bodies.remove(&key));
        }
        self.bodies.insert(key, body);
        self.since.push_back((now, key));
    }

    fn tidy(&mut self, now: UnixMicros) {
        while let Some((_, key)) = self.since.pop_front_if(|(since, _)| now.since(*since) >= AGE_MAX) {
            self.bodies.remove(&key);
        }
    }
}

impl Awaited {
    /// The body; `None` if who promised it has not made it.
    pub(super) async fn body(self) -> Option<Bytes> {
        self.0.await.ok()
    }
}

impl Promise {
    /// Gives the body to those who wait for it, and to who else wants it soon.
    pub(super) fn keep(self, body: &Bytes) {
        if body.len() <= OCTETS_MAX {
            // Nobody may have waited.
            let _ = self.0.send(body.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros::from_seconds(1_000_000);
    const BODY: Bytes = Bytes::from_static(b"{}");

    fn application(number: i64) -> ApplicationId {
        ApplicationId::first_at(UnixMicros::from_seconds(number))
    }

    fn key(number: i64) -> Key {
        Key { event: EventId::first_at(UnixMicros::from_seconds(number)), name: "message.created", is_packed: false }
    }

    fn promise(maker: Maker) -> Promise {
        match maker {
            Maker::Me(promise) => promise,
            other => panic!("{other:?}"),
        }
    }

    fn awaited(maker: Maker) -> Awaited {
        match maker {
            Maker::Another(awaited) => awaited,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn the_first_makes_a_body_and_the_others_wait_for_it() {
        let bodies = Bodies::default();
        let [first, second, third] = [1, 1, 1].map(|number| bodies.join(application(number)));
        let promised = promise(first.maker(key(1), NOW));
        let [early, also_early] = [&second, &third].map(|other| awaited(other.maker(key(1), NOW)));
        promised.keep(&BODY);
        let late = awaited(third.maker(key(1), NOW.plus(AGE_MAX / 2)));
        for awaited in [early, also_early, late] {
            assert_eq!(awaited.body().await, Some(BODY));
        }
    }

    #[test]
    fn what_differs_is_not_shared_and_nothing_where_one_is_told() {
        let bodies = Bodies::default();
        let [alone, first, second] = [1, 2, 2].map(|number| bodies.join(application(number)));
        assert!(matches!(alone.maker(key(1), NOW), Maker::Alone));
        let others =
            [key(1), key(2), Key { name: "message.created.cleaned", ..key(1) }, Key { is_packed: true, ..key(1) }];
        for key in others {
            promise(first.maker(key, NOW));
        }
        drop(second);
        assert!(matches!(first.maker(key(1), NOW), Maker::Alone));
    }

    #[tokio::test]
    async fn nobody_depends_on_who_has_promised_it() {
        let bodies = Bodies::default();
        let [first, second] = [1, 1].map(|number| bodies.join(application(number)));
        let promised = promise(first.maker(key(1), NOW));
        let awaiting = awaited(second.maker(key(1), NOW));
        drop(promised);
        assert_eq!(awaiting.body().await, None);
        // Nor on what takes too much room.
        let promised = promise(first.maker(key(2), NOW));
        let awaiting = awaited(second.maker(key(2), NOW));
        promised.keep(&Bytes::from(vec![b' '; OCTETS_MAX + 1]));
        assert_eq!(awaiting.body().await, None);
    }

    #[test]
    fn what_is_old_or_too_much_is_let_go() {
        let bodies = Bodies::default();
        let [first, _second] = [1, 1].map(|number| bodies.join(application(number)));
        promise(first.maker(key(1), NOW)).keep(&BODY);
        promise(first.maker(key(1), NOW.plus(AGE_MAX)));
        for number in 2..=KEPT_MAX as i64 + 1 {
            promise(first.maker(key(number), NOW.plus(AGE_MAX)));
        }
        // The oldest had to go, and its place is taken by itself now.
        awaited(first.maker(key(2), NOW.plus(AGE_MAX)));
        promise(first.maker(key(1), NOW.plus(AGE_MAX)));
        promise(first.maker(key(2), NOW.plus(AGE_MAX)));
        assert_eq!(bodies.0.lock().bodies.len(), KEPT_MAX);
        bodies.tidy(NOW.plus(2 * AGE_MAX));
        let kept = bodies.0.lock();
        assert!(kept.bodies.is_empty() && kept.since.is_empty());
    }
}
