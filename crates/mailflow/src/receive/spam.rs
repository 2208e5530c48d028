//! How much a message looks like spam, by each mailbox's policy.

use super::{Arrival, Findings};
use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::marks::Marks;
use postfleet_core::spam::SpamVerdict;
use postfleet_mail::message::MessageView;
use postfleet_store::grants::Mailbox;

/// A verdict for one mailbox.
pub(super) async fn score(
    _: &Platform,
    _: &Arrival,
    _: &MessageView,
    _: &Findings,
    _: &Marks,
    _: &Mailbox,
) -> Result<SpamVerdict, Problem> {
    Ok(SpamVerdict::default())
}
