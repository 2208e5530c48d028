//! How far those who are told of events are behind, for whoever reads the metrics.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_store::lag;

/// Measures once.
pub async fn measure_once(platform: &Platform) -> Result<(), Problem> {
    let lags = lag::by_kind(&mut platform.store.reader().await?).await?;
    let now = platform.clock.now();
    for (kind, lag) in lags {
        let seconds = lag.oldest.map_or(0, |oldest| now.since(oldest).as_secs());
        platform.metrics.lagging(kind, (lag.events, seconds), lag.held_lanes);
    }
    Ok(())
}
