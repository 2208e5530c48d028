//! What is found of a message whoever gets it.

use super::{Arrival, authenticate};
use crate::platform::Platform;
use postfleet_core::authentication::Authentication;
use postfleet_core::suspicion::Suspicion;
use postfleet_mail::authentication::dmarc::Published;
use postfleet_mail::message::Parsed;
use postfleet_mail::suspicion;

/// What is the same for all mailboxes that a message goes to.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// Who sent it.
    pub(crate) authentication: Authentication,
    /// What its author's domain wants to be done with mail that fails, and to be told.
    pub(crate) published: Published,
    /// What in it is meant to deceive a reader.
    pub(crate) suspicion: Suspicion,
}

/// Looks at a message, once for all of its recipients.
pub(super) async fn find(platform: &Platform, arrival: &Arrival, message: &Parsed<'_>) -> Findings {
    let (authentication, published) = authenticate::authenticate(platform, arrival, &arrival.message).await;
    Findings { authentication, published, suspicion: suspicion::look(&platform.lexicon, message) }
}
