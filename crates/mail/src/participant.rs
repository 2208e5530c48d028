//! A person or mailbox named in an address header, as written there.
//!
//! The address of a received message is whatever the sender wrote: it need not be an address at all. Decisions parse
//! it into [`postfleet_core::EmailAddress`] first.

/// Display name and address. Either may be empty in a received message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Participant {
    /// The display name, decoded.
    pub name: String,
    /// The address, as written.
    pub email: String,
}
