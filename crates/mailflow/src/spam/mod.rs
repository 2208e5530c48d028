//! What telling spam needs besides the message: what lists in the DNS say, what applications have learned, and a server of
//! rspamd where the operator runs one. Everything here is bounded in time and memory, and nothing that fails stops mail:
//! who does not answer says nothing, and is counted.

mod learn;
mod lists;
mod models;
mod rspamd;

pub use learn::learn_once;
pub(crate) use lists::{Listed, ask as ask_lists};
pub(crate) use models::of as model_of;
pub(crate) use rspamd::check as ask_rspamd;
pub use rspamd::{Rspamd, RspamdMode};

use crate::platform::Platform;
use lists::Lists;
use models::Models;
use postfleet_core::Domain;
use postfleet_core::spam::TokenHasher;
use postfleet_fleet::keys::KeyHasher;
use postfleet_mail::message::Parsed;
use postfleet_mail::spam::{Looked, Surroundings, look};
use std::time::Duration;

/// What the operator has set for spam.
#[derive(Clone, Debug)]
pub struct SpamSettings {
    /// Lists that are asked about the addresses from which mail comes.
    pub address_zones: Vec<Domain>,
    /// Lists that are asked about the domains of authors and links.
    pub domain_zones: Vec<Domain>,
    /// How long all questions about a message may take together.
    pub list_deadline: Duration,
    /// The server of rspamd, if there is one.
    pub rspamd: Option<Rspamd>,
}

impl Default for SpamSettings {
    fn default() -> Self {
        Self {
            address_zones: Vec::new(),
            domain_zones: Vec::new(),
            list_deadline: Duration::from_millis(1_500),
            rspamd: None,
        }
    }
}

/// What a node remembers to tell spam.
#[derive(Debug)]
pub struct SpamMemory {
    hasher: TokenHasher,
    lists: Lists,
    models: Models,
}

impl SpamMemory {
    /// An empty one; words are hashed under the installation's secret.
    pub fn new(keys: &KeyHasher) -> Self {
        Self { hasher: TokenHasher::new(keys.spam_words()), lists: Lists::default(), models: Models::default() }
    }
}

/// Looks at a message as it came.
pub(crate) fn look_at(platform: &Platform, message: &Parsed<'_>) -> Looked {
    let around = Surroundings {
        now: platform.clock.now(),
        hostname: platform.settings.hostname.as_str(),
        hasher: platform.spam.hasher,
    };
    look(message, &around)
}
