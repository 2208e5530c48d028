//! What a node knows of stops while it hands messages over. A message that was claimed, or accepted with a worker, before its
//! sender was stopped must not begin to be sent afterwards: every attempt asks before it connects, and once more before the
//! message itself is sent.
//!
//! Where no stop concerns the application this costs a look at memory. It is brought up to date at once on the node on
//! which somebody is stopped, and several times a second on the others.

use crate::platform::Platform;
use parking_lot::RwLock;
use postfleet_core::Problem;
use postfleet_core::id::{ApplicationId, MessageId};
use postfleet_store::queue;
use postfleet_store::stops::{self, Known};
use std::time::Duration;

/// How often a node looks whether stops were raised or lifted on another.
pub const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Recipients that one sweep goes through.
const SWEPT_AT_ONCE: usize = 1_000;

/// What a node knows of stops.
#[derive(Debug, Default)]
pub struct Gate {
    known: RwLock<Known>,
}

/// That a message was allowed to leave, and when: good until something is raised or lifted for its application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    application: ApplicationId,
    version: i64,
}

impl Gate {
    /// The version of the stops that is known.
    fn version(&self) -> i64 {
        self.known.read().version
    }

    /// Whether something of an application comes back from behind a stop just now.
    pub(crate) fn is_releasing(&self, application: ApplicationId) -> bool {
        self.known.read().releasing.contains(&application)
    }

    /// Whether a message that was let through may still leave. If anything was raised or lifted meanwhile that may concern
    /// it, it has to be judged again.
    pub(crate) fn still_lets(&self, pass: Pass) -> bool {
        let known = self.known.read();
        known.version == pass.version || !known.applications.contains(&pass.application)
    }
}

/// Lets a message through, unless its sender is stopped.
pub(crate) async fn let_through(
    platform: &Platform,
    application: ApplicationId,
    message: MessageId,
) -> Result<Option<Pass>, Problem> {
    let (version, is_concerned) = {
        let known = platform.stops.known.read();
        (known.version, known.applications.contains(&application))
    };
    let pass = Pass { application, version };
    if !is_concerned {
        return Ok(Some(pass));
    }
    let stop = queue::stop_of(&mut platform.store.reader().await?, message).await?;
    if let Some(stop) = stop {
        tracing::debug!(message.id = %message, stop.id = %stop, "a message is turned back, because its sender is stopped");
    }
    Ok(stop.is_none().then_some(pass))
}

/// Brings what this node knows up to date; whether anything was raised or lifted.
pub async fn refresh_once(platform: &Platform) -> Result<bool, Problem> {
    let version = platform.stops.version();
    let news = stops::news(&mut platform.store.reader().await?, version).await?;
    let is_new = news.is_some();
    if let Some(news) = news {
        let mut known = platform.stops.known.write();
        // Somebody else may have looked meanwhile.
        if news.version > known.version {
            *known = news;
        }
    }
    Ok(is_new)
}

/// Goes through some of what waits behind stops that were lifted; whether there may be more.
pub async fn sweep_once(platform: &Platform) -> Result<bool, Problem> {
    let swept = platform.store.run(queue::SweepStop { now: platform.clock.now(), limit: SWEPT_AT_ONCE }).await?;
    if let Some(swept) = &swept {
        platform.pacing.released(&swept.destinations);
        refresh_once(platform).await?;
    }
    Ok(swept.is_some())
}
