//! The figures of what was sent: bringing the sums up to date, and telling who wants to be told that a rate is beyond a line.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_store::send_alerts::WatchRates;
use postfleet_store::send_sums::{self, SumUp};
use std::time::Duration;

/// Rows that one command adds: few enough that mail does not wait for it.
const ROWS_MAX: usize = 1_000;

/// What is younger is left for the next time, so that those who write are seldom behind the head.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// How often a rule about rates is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(300);

/// Rules that one command looks at.
const RULES_AT_ONCE: usize = 50;

/// Adds some of what is not in the sums; answers whether there is more.
pub async fn sum_up_once(platform: &Platform) -> Result<bool, Problem> {
    let until = platform.clock.now().minus(SETTLED_AFTER);
    if !send_sums::is_behind(&mut platform.store.reader().await?, until).await? {
        return Ok(false);
    }
    platform.store.run(SumUp { until, limit: ROWS_MAX }).await?;
    Ok(true)
}

/// Looks at the rules about rates that are due.
pub async fn watch_once(platform: &Platform) -> Result<(), Problem> {
    loop {
        let now = platform.clock.now();
        let looked_at = platform.store.run(WatchRates { now, every: WATCH_EVERY, limit: RULES_AT_ONCE }).await?;
        if looked_at < RULES_AT_ONCE {
            return Ok(());
        }
    }
}
