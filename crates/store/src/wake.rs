//! Hints that there is something to look at. The truth is in the tables: a lost hint costs time, never work.

use tokio::sync::{Notify, watch};

/// The places where somebody waits for a change.
#[derive(Debug, Default)]
pub struct Wake {
    /// Rows became due in the delivery queue.
    pub queue: Notify,
    /// The event log grew. Of those who wait here one is told: who works for webhooks.
    pub events: Notify,
    /// How often the event log grew, for everybody else.
    pub grown: watch::Sender<u64>,
    /// Webhooks were made, changed or removed.
    pub webhooks: Notify,
    /// Jobs were begun.
    pub jobs: Notify,
    /// Rules were needed that are not in memory.
    pub rules: Notify,
    /// Sends at a later time were made or moved.
    pub schedules: Notify,
    /// A quota was raised for which sends wait.
    pub holds: Notify,
    /// Stops were raised or lifted: what a node knows of them is old.
    pub stops: Notify,
    /// Stops were lifted behind which mail may wait.
    pub lifted: Notify,
}

/// Which hints a command asks for; given after its batch is committed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints {
    /// See [`Wake::queue`].
    pub queue: bool,
    /// See [`Wake::events`].
    pub events: bool,
    /// See [`Wake::webhooks`].
    pub webhooks: bool,
    /// See [`Wake::jobs`].
    pub jobs: bool,
    /// See [`Wake::rules`].
    pub rules: bool,
    /// See [`Wake::schedules`].
    pub schedules: bool,
    /// See [`Wake::stops`].
    pub stops: bool,
    /// See [`Wake::lifted`].
    pub lifted: bool,
}

impl Wake {
    pub(crate) fn give(&self, hints: Hints) {
        if hints.queue {
            self.queue.notify_one();
        }
        if hints.events {
            self.events.notify_one();
            self.grown.send_modify(|times| *times = times.wrapping_add(1));
        }
        if hints.webhooks {
            self.webhooks.notify_one();
        }
        if hints.jobs {
            self.jobs.notify_one();
        }
        if hints.rules {
            self.rules.notify_one();
        }
        if hints.schedules {
            self.schedules.notify_one();
        }
        if hints.stops {
            self.stops.notify_one();
        }
        if hints.lifted {
            self.lifted.notify_one();
        }
    }
}
