//! Many clients side by side, each doing one request after the other until all are done or the time is over. Here each has a
//! thread of its own; `drive` has one for all.

use crate::Failure;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Failures in a row after which a client gives up.
pub const FAILURES_MAX: u32 = 20;

/// How much is to be done, and how fast.
pub struct Plan {
    pub clients: u64,
    pub requests: u64,
    /// Time between the beginnings of two requests of one client; zero for as fast as it goes.
    pub gap: Duration,
    pub limit: Duration,
}

/// One connection's worth of client. `request` does the request of that number, connecting first if need be.
pub trait Client {
    fn request(&mut self, number: u64) -> Result<(), Failure>;
}

/// What was done.
#[derive(Default)]
pub struct Outcome {
    /// Of every request that succeeded, in nanoseconds.
    pub latencies: Vec<u64>,
    pub failures: u64,
    pub first_failure: Option<String>,
    pub elapsed: Duration,
}

impl Outcome {
    /// Takes note of a request that failed.
    pub fn fail(&mut self, failure: &Failure) {
        self.failures += 1;
        self.first_failure.get_or_insert_with(|| failure.to_string());
    }

    /// Adds what another thread did in the same time.
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// Carries the plan out.
pub fn run<C: Client>(plan: &Plan, client: impl Fn() -> C + Sync) -> Outcome {
    let next = AtomicU64::new(0);
    let outcome: Mutex<Outcome> = Mutex::default();
    let start = Instant::now();
    let work = || {
        let mut client = client();
        let mut done = Outcome::default();
        let mut in_a_row = 0;
        let mut due = start;
        while start.elapsed() < plan.limit && in_a_row < FAILURES_MAX {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.requests {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += plan.gap;
            let began = Instant::now();
            match client.request(number) {
                Ok(()) => {
                    in_a_row = 0;
                    done.latencies.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
                Err(failure) => {
                    in_a_row += 1;
                    done.fail(&failure);
                }
            }
        }
        outcome.lock().unwrap().add(done);
    };
    std::thread::scope(|scope| (0..plan.clients).for_each(|_| drop(scope.spawn(work))));
    let elapsed = start.elapsed();
    Outcome { elapsed, ..outcome.into_inner().unwrap() }
}
