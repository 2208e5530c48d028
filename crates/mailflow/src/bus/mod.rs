//! The message bus: every event is published there once, in the order of the log, by one node at a time.
//!
//! The log is the truth. While the bus is away events wait in it; when it is back, it is asked what it has, and everything
//! behind that is published. In the other direction sends are taken from the bus ([`Intake`]); those that are refused are put
//! aside ([`parked`]).

mod intake;
mod message;
pub mod parked;
mod publisher;
pub mod routes;
mod send;

pub use intake::Intake;
pub use message::{POSITION, SEQUENCE};
pub use publisher::{Next, Publisher};

use crate::platform::Platform;
use postfleet_bus::{Retention, StreamPlan};
use postfleet_core::Problem;
use postfleet_store::readers::{Kind, LeaseReader, Reader};
use std::time::Duration;

/// How long a node publishes without saying so again; well more than [`RENEW`].
const LEASE: Duration = Duration::from_secs(60);

/// How often it says so.
const RENEW: Duration = Duration::from_secs(15);

/// What the operator has set of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusSettings {
    /// The first token of every subject; in upper case, how the names of streams begin.
    pub prefix: String,
    /// How long a stream keeps what was published.
    pub keep: Duration,
    /// For how long the bus knows the ids of what was published.
    pub duplicates: Duration,
    /// On how many servers of a cluster.
    pub replicas: usize,
    /// Whether mail is told that went into junk as it came in.
    pub include_junk: bool,
    /// Whether sends are taken from the bus.
    pub send: bool,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            prefix: "postfleet".to_owned(),
            keep: Duration::from_secs(7 * 86_400),
            duplicates: Duration::from_secs(600),
            replicas: 1,
            include_junk: false,
            send: false,
        }
    }
}

impl BusSettings {
    /// The stream of all events.
    pub fn events(&self) -> StreamPlan {
        self.stream("events", Retention::For(self.keep))
    }

    /// The stream of events that rules give to subjects.
    pub fn work(&self) -> StreamPlan {
        self.stream("work", Retention::For(self.keep))
    }

    /// The queue of sends.
    pub fn sends(&self) -> StreamPlan {
        self.stream("send", Retention::UntilSettled)
    }

    /// The stream of what became of them.
    pub fn sent(&self) -> StreamPlan {
        self.stream("sent", Retention::For(self.keep))
    }

    /// The stream of everything that is published below `<prefix>.<kind>`.
    fn stream(&self, kind: &str, retention: Retention) -> StreamPlan {
        StreamPlan {
            name: format!("{}_{}", self.prefix, kind).to_uppercase(),
            subject: format!("{}.{kind}.>", self.prefix),
            retention,
            duplicate_window: self.duplicates,
            replicas: self.replicas,
        }
    }
}

/// Takes the work of publishing, unless another node has it.
pub async fn lease(platform: &Platform) -> Result<Option<Reader>, Problem> {
    let now = platform.clock.now();
    let command = LeaseReader { kind: Kind::Bus, owner: platform.settings.node.clone(), now, until: now.plus(LEASE) };
    Ok(platform.store.run(command).await?)
}
