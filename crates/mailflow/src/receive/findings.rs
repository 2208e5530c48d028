//! What is found of a message whoever gets it.

use super::{Arrival, authenticate};
use crate::platform::Platform;
use postfleet_core::authentication::Authentication;
use postfleet_core::suspicion::Suspicion;
use postfleet_mail::message::MessageView;
use postfleet_mail::suspicion;

/// What is the same for all mailboxes that a message goes to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Who sent it.
    pub(crate) authentication: Authentication,
    /// What in it is meant to deceive a reader.
    pub(crate) suspicion: Suspicion,
}

/// Looks at a message, once for all of its recipients.
pub(super) async fn find(platform: &Platform, arrival: &Arrival, view: &MessageView) -> Findings {
    Findings {
        authentication: authenticate::authenticate(platform, arrival, &arrival.message).await,
        suspicion: suspicion::look(&platform.lexicon, &arrival.message, view),
    }
}
