//! The connections of a node to receivers, which all of them share.

use parking_lot::Mutex;
use postfleet_core::readers::share;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The connections that a node may have to receivers at once. Clones share them.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: Mutex<usize>,
    freed: Notify,
}

/// A connection that may be made; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Shared>);

impl Connections {
    /// So many of them.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, used: Mutex::new(0), freed: Notify::new() }))
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
