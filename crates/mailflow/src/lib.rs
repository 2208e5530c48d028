//! How mail moves: receiving, submitting, delivering, telling. Each flow reads as a list of steps; what can be decided
//! without I/O is decided in `postfleet-core`, inside the store's transaction.
//!
//! Nothing here loops or spawns: `claim`, `attempt` and `*_once` functions do one round, the roles of the binary call
//! them again.

pub mod metrics;
mod platform;

// mail in, mail out
pub mod deliver;
pub mod drafts;
pub mod folders;
pub mod queue;
pub mod receive;
pub mod refile;
pub mod routing;
pub mod schedules;
pub mod sender_pools;
pub mod spam;
pub mod stops;
pub mod submit;
pub mod threads;
mod unsent;

// what comes back
pub mod feedback;
pub mod figures;
pub mod holds;
pub mod imports;
pub mod opt_ins;

// what is told
pub mod alerts;
pub mod bus;
pub mod dmarc_reports;
pub mod wait;
pub mod webhooks;

// what is cleaned up, and what goes over many mailboxes
pub mod janitor;
pub mod jobs;
pub mod lag;
pub mod recount;
pub mod retention;
pub mod search;

pub use metrics::{Metrics, observe_outcomes};
pub use platform::{AuthenticationSettings, Platform, Settings};
pub use routing::{Egress, EgressSource, Relay, RelayTls, RouteSettings, Routing};
