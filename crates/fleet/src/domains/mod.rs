//! Domains of an organization: registering them, saying what to publish, and looking at what the DNS holds.

mod block_lists;
mod check;
mod health;
mod manage;
mod outside;
mod reports;
mod show;
mod signing;
mod verify;
mod warm_up;

pub use block_lists::Tally;
pub use manage::Wanted;
pub use show::{REGION, records, show};
pub(crate) use signing::signing_keys;

use postfleet_core::domain_records::DomainSettings;
use postfleet_net::{Clock, Entropy, Resolver};
use postfleet_store::Store;

/// What dealing with domains needs.
#[derive(Clone, Copy)]
pub struct Domains<'a> {
    /// Where the truth is.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Chance.
    pub entropy: &'a dyn Entropy,
    /// DNS.
    pub resolver: &'a dyn Resolver,
    /// What the operator has set.
    pub settings: &'a DomainSettings,
}
