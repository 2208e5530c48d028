//! May this recipient receive? Decided at RCPT, before the message is transferred.

use crate::plan::Limits;
use crate::problem::{Problem, ProblemKind};

/// What the store knows about an address that somebody writes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// A mailbox here, with the limits that hold for it.
    Mailbox(Limits),
    /// The domain is ours, the mailbox does not exist.
    NoMailbox,
    /// The domain is not ours: we do not relay.
    ForeignDomain,
}

/// Judges a recipient of a message whose sender declared `declared_octets` (RFC 1870), if it did.
pub fn admit(known: &Known, declared_octets: Option<u64>) -> Result<(), Problem> {
    match known {
        Known::Mailbox(limits) => fits(limits, declared_octets.unwrap_or(0)),
        Known::NoMailbox => Err(Problem::new(ProblemKind::NotFound, "no_such_mailbox", "no such mailbox here")),
        Known::ForeignDomain => Err(Problem::new(ProblemKind::Forbidden, "relay_denied", "relaying denied")),
    }
}

/// Judges the size of a message for one recipient.
pub fn fits(limits: &Limits, octets: u64) -> Result<(), Problem> {
    let limit = limits.inbound_message_octets_max;
    if octets > limit {
        let text = format!("message exceeds the size limit of {limit} bytes");
        return Err(Problem::new(ProblemKind::TooLarge, "message_too_large", text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plans;

    #[test]
    fn decision_table() {
        let limits = Plans::presets().find("free").unwrap().limits.clone();
        let limit = limits.inbound_message_octets_max;
        let mailbox = Known::Mailbox(limits);
        for (known, octets, expected) in [
            (&mailbox, None, None),
            (&mailbox, Some(limit), None),
            (&mailbox, Some(limit + 1), Some(ProblemKind::TooLarge)),
            (&Known::NoMailbox, None, Some(ProblemKind::NotFound)),
            (&Known::ForeignDomain, None, Some(ProblemKind::Forbidden)),
        ] {
            assert_eq!(admit(known, octets).err().map(|problem| problem.kind), expected);
        }
    }
}
