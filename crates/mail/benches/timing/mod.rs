//! What one run of something costs.

mod running;

use running::running;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How often something is measured, and for how long each time.
const ROUNDS: usize = 100;
const ROUND: Duration = Duration::from_millis(10);

/// What takes long is measured less often, once that has taken so much time.
const FEW_ROUNDS: usize = 5;
const LONG: Duration = Duration::from_millis(1_100);

/// Microseconds for which this thread runs in one run, in the best round: others use the machine.
pub fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let (mut best, since) = (f64::MAX, Instant::now());
    for round in 0..ROUNDS {
        if round >= FEW_ROUNDS && since.elapsed() > LONG {
            break;
        }
        let (before, started, mut count) = (running(since), Instant::now(), 0_u32);
        while started.elapsed() < ROUND {
            drop(black_box(run()));
            count += 1;
        }
        best = best.min((running(since) - before).as_secs_f64() * 1e6 / f64::from(count));
    }
    best
}
