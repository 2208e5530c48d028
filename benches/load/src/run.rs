//! Many clients side by side, each doing one request after the other until all are done or the time is over.

use crate::Failure;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Failures in a row after which a client gives up.
const FAILURES_MAX: u32 = 20;

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
pub struct Outcome {
    /// Of every request that succeeded, in nanoseconds.
    pub latencies: Vec<u64>,
    pub failures: u64,
    pub first_failure: Option<String>,
    pub elapsed: Duration,
}

/// Carries the plan out.
pub fn run<C: Client>(plan: &Plan, client: impl Fn() -> C + Sync) -> Outcome {
    let next = AtomicU64::new(0);
    let failed: Mutex<(u64, Option<String>)> = Mutex::default();
    let start = Instant::now();
    let work = || {
        let mut client = client();
        let mut latencies = Vec::new();
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
                    latencies.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
                Err(failure) => {
                    in_a_row += 1;
                    let mut failed = failed.lock().unwrap();
                    failed.0 += 1;
                    failed.1.get_or_insert_with(|| failure.to_string());
                }
            }
        }
        latencies
    };
    let latencies = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..plan.clients).map(|_| scope.spawn(work)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let elapsed = start.elapsed();
    let (failures, first_failure) = failed.into_inner().unwrap();
    Outcome { latencies, failures, first_failure, elapsed }
}
