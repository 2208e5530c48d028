//! What will soon be there to be written. A writer that knows of it waits a moment, so that one flush serves more of it.

use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// Commands that were announced and are not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How often the writer has waited in vain for all of them.
    waits: u64,
    /// Those that were announced since it did so last, and those of the time before. Who was waited for in vain twice is
    /// slow, and not waited for any more.
    on_their_way: [usize; 2],
    /// Those that have arrived since the writer took what was there.
    arrived: usize,
    /// Whether somebody waits who did not announce himself: he is not to wait for others.
    is_hurried: bool,
}

impl State {
    /// As long as more than a third is still on its way. To wait for all would have the writer idle while they are looked
    /// at, and them while it writes.
    fn is_worth_waiting(&self) -> bool {
        2 * self.on_their_way.iter().sum::<usize>() > self.arrived && !self.is_hurried
    }
}

impl Arrivals {
    /// Waits until two thirds of what was announced lately are handed over, until somebody is in a hurry, or for so long at most.
    pub(super) fn wait(&self, limit: Duration) {
        let mut state = self.state.lock();
        if self.changed.wait_while_for(&mut state, |state| state.is_worth_waiting(), limit).timed_out() {
            state.waits += 1;
            state.on_their_way = [0, state.on_their_way[0]];
        }
    }

    /// Says that something which was announced is handed over.
    pub(super) fn arrived(&self) {
        self.change(|state| state.arrived += 1);
    }

    /// Says that somebody waits who did not announce himself. He does until [`Arrivals::served`].
    pub(super) fn hurry(&self) {
        self.change(|state| state.is_hurried = true);
    }

    /// Changes what is known; the writer is told if it need not wait any more.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let was_worth_waiting = state.is_worth_waiting();
        change(&mut state);
        if was_worth_waiting && !state.is_worth_waiting() {
            self.changed.notify_one();
        }
    }

    /// Says that the writer takes what is there.
    pub(super) fn served(&self) {
        let mut state = self.state.lock();
        (state.arrived, state.is_hurried) = (0, false);
    }
}

/// An announcement that a command will follow. It is over when it is dropped.
#[derive(Debug)]
pub struct Arriving {
    arrivals: Arc<Arrivals>,
    /// How often the writer had waited in vain when it was made.
    since: u64,
}

impl Arriving {
    pub(super) fn new(arrivals: Arc<Arrivals>) -> Self {
        let mut state = arrivals.state.lock();
        state.on_their_way[0] += 1;
        let since = state.waits;
        drop(state);
        Self { arrivals, since }
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.arrivals.change(|state| {
            let age = usize::try_from(state.waits - self.since).unwrap_or(usize::MAX);
            if let Some(count) = state.on_their_way.get_mut(age) {
                *count -= 1;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Arriving};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// Longer than any test may take: what waits for it has failed.
    const LONG: Duration = Duration::from_secs(600);

    /// Waits on another thread; answers how long it took.
    fn waiting(arrivals: &Arc<Arrivals>) -> std::thread::JoinHandle<Duration> {
        let arrivals = arrivals.clone();
        std::thread::spawn(move || {
            let started = Instant::now();
            arrivals.wait(LONG);
            started.elapsed()
        })
    }

    #[test]
    fn nobody_is_waited_for_where_nothing_is_announced() {
        let arrivals = Arc::new(Arrivals::default());
        drop(Arriving::new(arrivals.clone()));
        assert!(waiting(&arrivals).join().unwrap() < LONG);
    }

    #[test]
    fn two_thirds_of_what_is_announced_are_waited_for() {
        for (announced, enough) in [(1, 1), (2, 2), (3, 2), (4, 3), (9, 6), (20, 14)] {
            let arrivals = Arc::new(Arrivals::default());
            let mut on_their_way: Vec<_> = (0..announced).map(|_| Arriving::new(arrivals.clone())).collect();
            let writer = waiting(&arrivals);
            for arrived in 0..enough {
                assert!(arrivals.state.lock().is_worth_waiting(), "{arrived} of {announced}");
                arrivals.arrived();
                on_their_way.pop();
            }
            assert!(!arrivals.state.lock().is_worth_waiting(), "{enough} of {announced}");
            assert!(writer.join().unwrap() < LONG);
            arrivals.served();
            assert_eq!(arrivals.state.lock().is_worth_waiting(), enough < announced, "{announced}");
        }
    }

    #[test]
    fn who_is_in_a_hurry_waits_for_nobody() {
        let arrivals = Arc::new(Arrivals::default());
        let announced = Arriving::new(arrivals.clone());
        let writer = waiting(&arrivals);
        arrivals.hurry();
        assert!(writer.join().unwrap() < LONG);
        arrivals.served();
        let writer = waiting(&arrivals);
        assert!(!writer.is_finished());
        drop(announced);
        assert!(writer.join().unwrap() < LONG);
    }

    #[test]
    fn who_was_waited_for_in_vain_twice_is_waited_for_no_more() {
        let arrivals = Arc::new(Arrivals::default());
        let slow = Arriving::new(arrivals.clone());
        arrivals.wait(Duration::ZERO);
        let quick = Arriving::new(arrivals.clone());
        assert!(arrivals.state.lock().is_worth_waiting());
        arrivals.wait(Duration::ZERO);
        drop(quick);
        assert!(waiting(&arrivals).join().unwrap() < LONG);
        drop(slow);
        let next = Arriving::new(arrivals.clone());
        assert!(arrivals.state.lock().is_worth_waiting());
        drop(next);
        assert!(!arrivals.state.lock().is_worth_waiting());
    }
}
