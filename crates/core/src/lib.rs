//! Vocabulary and decisions of postfleet: pure, synchronous, and free of clocks, chance and I/O.
//!
//! Everything here is a value or a function of values. What a decision needs (the time, a counter, a fact about
//! a domain) is an argument; what should happen is the return value. See `docs/glossary.md` for the words.

// vocabulary
pub mod account_levels;
pub mod address;
pub mod domain;
pub mod id;
pub mod media_range;
pub mod metadata;
pub mod patch;
pub mod reverse_path;
pub mod secret;
pub mod time;
mod words;

// what is said to whom
pub mod audit;
pub mod event;
pub mod event_filter;
pub mod event_route;
pub mod problem;
pub mod trace;

// who may do what
pub mod breaker;
pub mod client_rate;
pub mod exchange;
pub mod layout;
pub mod meter;
pub mod permission;
pub mod pkce;
pub mod plan;
pub mod policy;
pub mod preset;
pub mod quarantine;
pub mod quota;
pub mod raise;
pub mod rate;
pub mod redeem;
pub mod redirect_uri;
pub mod throttle;

// what is said about mail
pub mod list;
pub mod rule;

// what the DNS must hold
pub mod block_list;
pub mod dns;
pub mod domain_check;
pub mod domain_health;
pub mod domain_records;
pub mod domain_zone;
pub mod sending_addresses;
pub mod trial_domain;
pub mod unsubscribe_address;

// how mail moves
pub mod dated;
pub mod delivery;
pub mod destination;
pub mod folder;
pub mod hold;
pub mod idempotency;
pub mod import;
pub mod mx;
pub mod opt_in;
pub mod outbound;
pub mod readers;
pub mod recipient;
pub mod recipient_check;
pub mod recovery;
pub mod refused_mail;
pub mod remedy;
pub mod reputation;
pub mod request_rate;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod search;
pub mod send_event;
pub mod send_figures;
pub mod sender_pool;
pub mod simulator;
pub mod stop;
pub mod sts;
pub mod suppression;
pub mod threading;
pub mod warm_up;

// what is found of mail that comes in
pub mod assessment;
pub mod authentication;
pub mod marks;
pub mod spam;
pub mod suspicion;

// what comes back
pub mod bounce;
pub mod bus_send;
pub mod capability;
pub mod dmarc_report;
pub mod feedback;
pub mod return_path;

pub use address::EmailAddress;
pub use domain::Domain;
pub use media_range::MediaRange;
pub use patch::Patch;
pub use problem::{Problem, ProblemKind};
pub use reverse_path::ReversePath;
pub use secret::Secret;
pub use time::{UnixMicros, UtcDay, UtcMonth};
