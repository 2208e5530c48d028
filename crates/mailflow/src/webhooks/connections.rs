//! What the workers of a node share: its connections to receivers, where requests over them are made, and what is sent.

use super::bodies::Bodies;
use super::worker::Sent;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use postfleet_core::UnixMicros;
use postfleet_core::readers::share;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// One attempt to tell one event, to be carried out wherever there is a processor for it.
pub type Attempt = BoxFuture<'static, Answered>;

/// What came of it, for the worker that has begun it.
pub struct Answered(pub(super) Sent);

/// Carries attempts out elsewhere than in the turn of their worker. One that is dropped is given up.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Has one carried out.
    pub carry_out: fn(Attempt) -> Attempt,
    /// How many can be, at the same time.
    pub processors: usize,
}

/// The connections that a node may have to receivers at once. Clones share them.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    spread: Spread,
    used: Mutex<usize>,
    freed: Notify,
    bodies: Bodies,
}

/// A connection that may be made; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Shared>);

impl Connections {
    /// So many of them. What a worker attempts it does in its own turn.
    pub fn new(limit: usize) -> Self {
        Self::spread(limit, Spread { carry_out: std::convert::identity, processors: 1 })
    }

    /// So many of them, and what one worker has much of to attempt is done by whoever takes it.
    pub fn spread(limit: usize, spread: Spread) -> Self {
        Self(Arc::new(Shared { limit, spread, used: Mutex::new(0), freed: Notify::new(), bodies: Bodies::default() }))
    }

    /// What is sent over them.
    pub(super) fn bodies(&self) -> &Bodies {
        &self.0.bodies
    }

    /// Lets go what nobody needs any more; to be called now and then.
    pub fn tidy(&self, now: UnixMicros) {
        self.0.bodies.tidy(now);
    }

    /// Has an attempt carried out for a receiver that has `own` under way, this one among them.
    pub(super) fn carry_out(&self, attempt: Attempt, own: usize) -> Attempt {
        let (used, spread) = (*self.0.used.lock(), self.0.spread);
        if share::is_spread(used, own, spread.processors) { (spread.carry_out)(attempt) } else { attempt }
    }

    /// One more for a receiver that has `own` under way, if it may have one now.
    pub(super) fn take(&self, own: usize, is_slow: bool) -> Option<Ticket> {
        let mut used = self.0.used.lock();
        if !share::may_take(self.0.limit, *used, own, is_slow) {
            return None;
        }
        *used += 1;
        Some(Ticket(self.0.clone()))
    }

    /// Completes when one was given back after this call.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.0.freed.notified()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        *self.0.used.lock() -= 1;
        self.0.freed.notify_waiters();
    }
}
