//! The envelope sender (RFC 5321 §4.1.1.2).

use crate::address::EmailAddress;

/// Where a failure is reported to. Bounces themselves carry the null path, so that they can never loop.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum ReversePath {
    /// `<>`: nobody; nothing is ever sent back.
    Null,
    /// A mailbox.
    Mailbox(EmailAddress),
}

impl ReversePath {
    /// The address, unless it is the null path.
    pub fn mailbox(&self) -> Option<&EmailAddress> {
        match self {
            Self::Null => None,
            Self::Mailbox(address) => Some(address),
        }
    }
}

impl std::fmt::Display for ReversePath {
    /// Without the angle brackets; empty for the null path.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.mailbox().map_or(Ok(()), |address| address.fmt(f))
    }
}
