//! The only crate that speaks SQL, and the keeper of all truth.
//!
//! Writes are [`Command`]s: plain values that are run in batches, so that one flush to stable storage serves many
//! ([`engine`]). Reads are functions over a [`Reader`]. One module per concept holds both. When a command's outcome
//! comes back, it is on stable storage.

pub mod blobs;
pub mod db;
pub mod engine;
mod error;
mod migrate;
pub mod wake;

// who exists and what they may do, one module per concept
pub mod applications;
pub mod audit;
pub mod block_answers;
pub mod breakers;
pub mod bus_parked;
pub mod connectors;
pub mod correspondents;
pub mod dmarc_reports;
pub mod domain_reports;
pub mod domains;
pub mod evaluations;
pub mod findings;
pub mod jobs;
pub mod key_use;
pub mod keys;
pub mod lag;
pub mod layout;
pub mod limits;
pub mod listings;
pub mod lists;
pub mod moves;
pub mod organizations;
pub mod peaks;
pub mod policies;
pub mod raises;
mod rates;
pub mod readers;
pub mod readings;
pub mod recount;
pub mod recoveries;
pub mod redirect_uris;
pub mod rules;
pub mod service_accounts;
pub mod sign_in;
pub mod tokens;
pub mod workspaces;

// what moves and is kept, one module per concept
pub mod acquaintance;
pub mod activity;
pub mod addresses;
pub mod alerts;
pub mod deliveries;
pub mod drafts;
pub mod event_routes;
pub mod events;
pub mod feedback;
pub mod folders;
pub mod gaps;
pub mod grants;
pub mod holds;
pub mod idempotency;
pub mod imports;
pub mod judging;
pub mod lanes;
pub mod messages;
pub mod metadata;
pub mod meters;
pub mod opt_ins;
pub mod outbound;
pub mod past;
pub mod purge;
pub mod queue;
mod quota_events;
pub mod refile;
pub mod refusals;
pub mod refused_mail;
pub mod replays;
pub mod reputation;
pub mod retention;
pub mod schedules;
pub mod search;
pub mod send_alerts;
pub mod send_events;
pub mod send_sums;
pub mod sender_pools;
pub mod senders;
pub mod signatures;
pub mod spam;
pub mod standing;
pub mod stops;
pub mod sts;
pub mod suppressions;
pub mod templates;
pub mod threads;
pub mod tls_sessions;
pub mod transfers;
pub mod warm_ups;
pub mod watch;
pub mod webhook_attempts;
pub mod webhooks;

#[cfg(test)]
mod query_plans;

pub use engine::{Arriving, Command, Location, Reader, Store, Tx};
pub use error::StoreError;
