//! Counting anew what organizations use, one after the other: that the counters are right is no matter of belief. And
//! reading, when a month is over, what they have and keep then.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_fleet::recount;
use postfleet_store::readings::TakeReadings;
use postfleet_store::recount::ClaimRecount;
use std::time::Duration;

/// When another node takes an organization that was not counted to the end.
const LEASE: Duration = Duration::from_secs(3_600);

/// Counters of an organization that the log names.
const LOGGED_MAX: usize = 20;

/// Counts anew what the organization uses that waits longest for it; answers whether there may be more to do at once.
/// Of several nodes one has it. Nothing is set right by itself: that something was wrong must be seen.
pub async fn run_once(platform: &Platform) -> Result<bool, Problem> {
    let now = platform.clock.now();
    let Some(id) = platform.store.run(ClaimRecount { now, until: now.plus(LEASE) }).await? else {
        return Ok(false);
    };
    let Some(found) = recount::run(&platform.store, &*platform.entropy, id, now, None).await? else {
        return Ok(true);
    };
    for drift in found.drift.iter().take(LOGGED_MAX) {
        tracing::warn!(
            organization = %id,
            meter = drift.meter,
            scope = drift.scope,
            id = drift.id,
            period = drift.period,
            counted = drift.counted,
            recounted = drift.recounted,
            "a counter is not what was counted anew: `postfleet usage recount --repair` sets it right"
        );
    }
    tracing::debug!(organization = %id, counters = found.counters, drift = found.drift_count, "usage counted anew");
    platform.metrics.recounted(found.drift_count == 0);
    Ok(true)
}

/// Takes the readings of the month before, of organizations of which nobody has taken them.
pub async fn read_once(platform: &Platform) -> Result<(), Problem> {
    while platform.store.run(TakeReadings { now: platform.clock.now() }).await? {}
    Ok(())
}

/// Tells how many counters are wrong, in all organizations.
pub async fn measure_once(platform: &Platform) -> Result<(), Problem> {
    for (meter, counters) in recount::adrift(&platform.store).await? {
        platform.metrics.adrift(meter, counters);
    }
    Ok(())
}
