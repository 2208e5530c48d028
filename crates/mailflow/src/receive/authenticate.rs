//! Who sent a message, as far as that can be proved.

use super::Arrival;
use crate::platform::Platform;
use postfleet_core::authentication::Authentication;

/// Authenticates a message that came in, as it was transferred. What a mailbox here wrote needs no proof: its author
/// signed in, and it never left.
pub(super) async fn authenticate(_: &Platform, arrival: &Arrival, _raw: &[u8]) -> Authentication {
    Authentication { is_local: arrival.is_local(), ..Authentication::default() }
}
