//! The figures of what was sent: bringing the sums up to date, telling who wants to be told that a rate is beyond a line, and
//! counting for the metrics who sends and who is stopped.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_store::send_alerts::WatchRates;
use postfleet_store::send_sums::{self, SumUp};
use postfleet_store::{senders, stops};
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

/// Counts who has sent lately and what is stopped, for whoever reads the metrics.
pub async fn measure_once(platform: &Platform) -> Result<(), Problem> {
    let mut reader = platform.store.reader().await?;
    let senders = senders::in_last_day(&mut reader, None, platform.clock.now()).await?;
    platform.metrics.sent_lately(senders);
    for (kind, stops) in stops::count_by_kind(&mut reader).await? {
        platform.metrics.stopped(kind, stops);
    }
    Ok(())
}
