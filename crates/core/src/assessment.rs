//! What was found of a message while it came in: who sent it, what it is, how much it looks like spam, and what in it is
//! meant to deceive its reader. One value for each mailbox that it is filed into, kept beside the message as JSON.
//!
//! Nothing here says that a message is safe: each finding is a reason to be careful, and none is no reason to trust.

use crate::authentication::Authentication;
use crate::marks::Marks;
use crate::spam::SpamVerdict;
use crate::suspicion::Suspicion;
use serde::{Deserialize, Serialize};

/// What was found of a message for one mailbox. Its default means that nothing was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Assessment {
    /// Who sent it, as far as that can be proved.
    #[serde(skip_serializing_if = "is_default")]
    pub authentication: Authentication,
    /// What kind of mail it is, for this mailbox.
    #[serde(skip_serializing_if = "is_default")]
    pub marks: Marks,
    /// How much it looks like spam, by this mailbox's policy.
    #[serde(skip_serializing_if = "is_default")]
    pub spam: SpamVerdict,
    /// What in it is meant to deceive a reader.
    #[serde(skip_serializing_if = "is_default")]
    pub suspicion: Suspicion,
}

/// What says nothing is not written: most of what is looked for is not found, and a message is kept for years.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
