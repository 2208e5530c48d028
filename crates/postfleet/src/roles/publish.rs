//! The message bus: one node of the installation publishes at a time, and all of them take sends.

use super::{AFTER_FAILURE, or_wait};
use postfleet_bus::Bus;
use postfleet_core::Problem;
use postfleet_mailflow::Platform;
use postfleet_mailflow::bus::{self, Intake, Next, Publisher};
use postfleet_mailflow::wait::LOOK_AGAIN;
use postfleet_store::readers::Reader;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often a node asks whether it may publish, while another does.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Publishes whenever no other node does.
pub(super) async fn bus_until(platform: Platform, bus: Arc<dyn Bus>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match or_wait(&platform, "bus", bus::lease(&platform).await).await {
            Some(reader) => {
                or_wait(&platform, "bus", publish_until(&platform, &bus, reader, &stop).await).await;
                AFTER_FAILURE
            }
            None => ASK_AGAIN,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = platform.clock.sleep_until(platform.clock.now().plus(pause)) => {}
        }
    }
}

/// Publishes until another node does, or it is told to stop.
async fn publish_until(
    platform: &Platform,
    bus: &Arc<dyn Bus>,
    reader: Reader,
    stop: &CancellationToken,
) -> Result<(), Problem> {
    let mut grown = platform.store.wake().grown.subscribe();
    let mut publisher = Publisher::begin(platform, &platform.settings.bus, bus.clone(), reader);
    while !stop.is_cancelled() {
        grown.mark_unchanged();
        let due = tokio::select! {
            // What is under way may take until its deadline; it is published again, with the same ids.
            () = stop.cancelled() => break,
            next = publisher.round() => match next? {
                Next::More => continue,
                Next::At(due) => due,
                Next::Lost => return Ok(()),
            },
        };
        // What another node has written is not told here.
        let again = platform.clock.now().plus(LOOK_AGAIN);
        tokio::select! {
            () = stop.cancelled() => {}
            _ = grown.changed() => {}
            () = publisher.changed() => {}
            () = platform.clock.sleep_until(due.min(again)) => {}
        }
    }
    publisher.end().await
}

/// Takes sends from the bus. What was taken is carried out also when it is told to stop meanwhile.
pub(super) async fn sends_until(platform: Platform, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let mut intake = Intake::begin(&platform, bus);
    while !stop.is_cancelled() {
        tokio::select! {
            // What is given out to nobody is given out again.
            () = stop.cancelled() => {}
            taken = intake.take() => intake.work(taken).await,
        }
    }
}
