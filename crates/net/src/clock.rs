//! The time, and waiting for it. The only place that reads the system clock: engines hold a [`Clock`], so that a
//! simulation passes weeks in seconds and a test never waits.

use futures::future::BoxFuture;
use postfleet_core::UnixMicros;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, oneshot};

/// Tells the time and waits for it.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> UnixMicros;

    /// Completes once [`now`](Clock::now) has reached `time`; at once when it already has.
    fn sleep_until(&self, time: UnixMicros) -> BoxFuture<'static, ()>;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The wall clock may be stepped while somebody waits, so long waits look at it again this often.
const LONGEST_NAP: Duration = Duration::from_secs(30);

impl Clock for SystemClock {
    fn now(&self) -> UnixMicros {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixMicros::default().plus(since_epoch)
    }

    fn sleep_until(&self, time: UnixMicros) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let remaining = time.since(SystemClock.now());
                if remaining.is_zero() {
                    return;
                }
                tokio::time::sleep(remaining.min(LONGEST_NAP)).await;
            }
        })
    }
}

/// A clock that stands still until it is moved, or runs at a multiple of real time. Clones show the same time.
#[derive(Clone)]
pub struct SimulatedClock(Arc<Simulation>);

struct Simulation {
    state: Mutex<State>,
    fell_asleep: Notify,
}

struct State {
    base: UnixMicros,
    running: Option<Running>,
    /// Ordered by the time waited for; the number tells apart those that wait for the same time.
    sleepers: BTreeMap<SleeperKey, oneshot::Sender<()>>,
    sleepers_ever: u64,
}

type SleeperKey = (UnixMicros, u64);

#[derive(Clone, Copy)]
struct Running {
    since: Instant,
    speed: u32,
}

impl SimulatedClock {
    /// A clock that shows `start` until [`advance`](Self::advance) or [`set`](Self::set) moves it.
    pub fn stopped_at(start: UnixMicros) -> Self {
        Self::with(start, None)
    }

    /// A clock that shows `start` now and then passes `speed` seconds per real second (at least one).
    pub fn running_from(start: UnixMicros, speed: u32) -> Self {
        Self::with(start, Some(Running { since: Instant::now(), speed: speed.max(1) }))
    }

    fn with(base: UnixMicros, running: Option<Running>) -> Self {
        let state = State { base, running, sleepers: BTreeMap::new(), sleepers_ever: 0 };
        Self(Arc::new(Simulation { state: Mutex::new(state), fell_asleep: Notify::new() }))
    }

    /// Moves the clock forward and wakes whoever waited for a time now reached, the earliest first.
    pub fn advance(&self, by: Duration) {
        let mut state = self.0.lock();
        state.base = state.base.plus(by);
        state.wake_due();
    }

    /// Sets the clock, backwards too (as an operator or NTP may), and wakes whoever waited for a time now reached.
    pub fn set(&self, time: UnixMicros) {
        let mut state = self.0.lock();
        state.base = time;
        if let Some(running) = &mut state.running {
            running.since = Instant::now();
        }
        state.wake_due();
    }

    /// The earliest time that somebody waits for: where a simulation with nothing else to do goes next.
    pub fn next_wake(&self) -> Option<UnixMicros> {
        self.0.lock().sleepers.keys().next().map(|(time, _)| *time)
    }

    /// Completes once at least `count` sleepers wait for this clock.
    pub async fn until_sleeping(&self, count: usize) {
        loop {
            // Made before the look, so that a sleeper that arrives in between is not missed.
            let arrival = self.0.fell_asleep.notified();
            if self.0.lock().sleepers.len() >= count {
                return;
            }
            arrival.await;
        }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> UnixMicros {
        self.0.lock().now()
    }

    fn sleep_until(&self, time: UnixMicros) -> BoxFuture<'static, ()> {
        // Registered here and not at the first poll: whoever advances the clock right after this call wakes it.
        match self.0.register(time) {
            None => Box::pin(std::future::ready(())),
            Some(sleeper) => Box::pin(sleeper.wait()),
        }
    }
}

impl Simulation {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(self: &Arc<Self>, time: UnixMicros) -> Option<Sleeper> {
        let mut state = self.lock();
        if state.now() >= time {
            return None;
        }
        state.sleepers_ever += 1;
        let key = (time, state.sleepers_ever);
        let (alarm, woken) = oneshot::channel();
        state.sleepers.insert(key, alarm);
        drop(state);
        self.fell_asleep.notify_waiters();
        Some(Sleeper { simulation: self.clone(), key, woken })
    }
}

impl State {
    fn now(&self) -> UnixMicros {
        match self.running {
            None => self.base,
            Some(Running { since, speed }) => self.base.plus(since.elapsed().saturating_mul(speed)),
        }
    }

    fn wake_due(&mut self) {
        let now = self.now();
        while let Some(sleeper) = self.sleepers.first_entry().filter(|entry| entry.key().0 <= now) {
            // A sleeper that gave up meanwhile does not listen any more.
            let _ = sleeper.remove().send(());
        }
    }
}

struct Sleeper {
    simulation: Arc<Simulation>,
    key: SleeperKey,
    woken: oneshot::Receiver<()>,
}

impl Sleeper {
    async fn wait(mut self) {
        loop {
            let Some(nap) = self.real_time_left() else {
                let _ = (&mut self.woken).await;
                return;
            };
            if nap.is_zero() {
                return;
            }
            tokio::select! {
                _ = &mut self.woken => return,
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// How long a running clock takes to get there; `None` for one that stands still.
    fn real_time_left(&self) -> Option<Duration> {
        let state = self.simulation.lock();
        let speed = state.running?.speed;
        let left = self.key.0.since(state.now());
        // Rounded up, so that a nap does not end just before its time.
        Some(if left.is_zero() { left } else { left / speed + Duration::from_micros(1) })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.simulation.lock().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const START: UnixMicros = UnixMicros::from_seconds(1_700_000_000);

    #[test]
    fn a_stopped_clock_moves_only_when_moved() {
        let clock = SimulatedClock::stopped_at(START);
        assert_eq!(clock.now(), START);
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.clone().now(), UnixMicros::from_seconds(1_700_000_005));
        clock.set(START);
        assert_eq!(clock.now(), START);
    }

    #[test]
    fn sleepers_wake_exactly_when_their_time_is_reached() {
        let clock = SimulatedClock::stopped_at(START);
        let mut early = clock.sleep_until(START.plus(Duration::from_secs(1)));
        let mut late = clock.sleep_until(START.plus(Duration::from_secs(2)));
        assert_eq!(clock.next_wake(), Some(START.plus(Duration::from_secs(1))));

        clock.advance(Duration::from_micros(999_999));
        assert!((&mut early).now_or_never().is_none());
        clock.advance(Duration::from_micros(1));
        assert!((&mut early).now_or_never().is_some());
        assert!((&mut late).now_or_never().is_none());

        clock.set(START.plus(Duration::from_secs(60)));
        assert!((&mut late).now_or_never().is_some());
        assert_eq!(clock.next_wake(), None);
    }

    #[test]
    fn a_time_already_reached_is_not_waited_for() {
        for clock in [SimulatedClock::stopped_at(START), SimulatedClock::running_from(START, 10)] {
            assert!(clock.sleep_until(START).now_or_never().is_some());
        }
        assert!(SystemClock.sleep_until(START).now_or_never().is_some());
        assert!(SystemClock.now() > START);
    }

    #[test]
    fn a_sleeper_that_gives_up_is_forgotten() {
        let clock = SimulatedClock::stopped_at(START);
        drop(clock.sleep_until(START.plus(Duration::from_secs(1))));
        assert_eq!(clock.next_wake(), None);
    }

    #[tokio::test]
    async fn a_driver_can_wait_until_somebody_sleeps() {
        let clock = SimulatedClock::stopped_at(START);
        let sleeper = tokio::spawn(clock.sleep_until(START.plus(Duration::from_secs(3_600))));
        clock.until_sleeping(1).await;
        clock.advance(Duration::from_secs(3_600));
        sleeper.await.expect("sleeper");
    }

    #[tokio::test]
    async fn a_running_clock_passes_days_in_a_moment_and_can_still_be_moved() {
        let clock = SimulatedClock::running_from(START, 100_000_000);
        let tomorrow = START.plus(Duration::from_secs(86_400));
        clock.sleep_until(tomorrow).await;
        assert!(clock.now() >= tomorrow);

        let slow = SimulatedClock::running_from(START, 1);
        let waiting = slow.sleep_until(tomorrow);
        slow.advance(Duration::from_secs(86_400));
        waiting.await;
    }
}
