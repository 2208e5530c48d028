//! What one run of something costs.

mod running;

use running::running;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How often something is measured, and for how long each time.
const ROUNDS: usize = 100;
const ROUND: Duration = Duration::from_millis(10);

/// Microseconds for which this thread runs in one run, in the best round: others use the machine.
pub fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let (mut best, since) = (f64::MAX, Instant::now());
    for _ in 0..ROUNDS {
        let (before, started, mut count) = (running(since), Instant::now(), 0_u32);
        while started.elapsed() < ROUND {
            drop(black_box(run()));
            count += 1;
        }
        best = best.min((running(since) - before).as_secs_f64() * 1e6 / f64::from(count));
    }
    best
}
