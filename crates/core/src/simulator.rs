//! Recipients that are nowhere: with them a sandbox application tries out what bounces and complaints lead to. Mail to them
//! never leaves the server, and what becomes of it counts for the mailbox and its application alone.

use crate::address::EmailAddress;
use crate::domain::Domain;

/// The domain of these recipients. Nobody can ever register it (RFC 6761).
pub const DOMAIN: &str = "simulator.postfleet.invalid";

/// What becomes of mail to such a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// It is delivered.
    Deliver,
    /// Nobody is there.
    Bounce,
    /// It is delivered, and the recipient complains.
    Complaint,
}

/// Whether the domain is that of these recipients.
pub fn is_simulator(domain: &Domain) -> bool {
    domain.as_str() == DOMAIN
}

/// What becomes of mail to a recipient of this domain: by the word before `+`. Nobody has any other name.
pub fn behaviour(recipient: &EmailAddress) -> Behaviour {
    match recipient.local().split('+').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "deliver" => Behaviour::Deliver,
        "complaint" => Behaviour::Complaint,
        _ => Behaviour::Bounce,
    }
}

/// Whether what happened to the recipient says nothing about the world outside.
pub fn is_simulated(recipient: Option<&EmailAddress>) -> bool {
    recipient.is_some_and(|recipient| is_simulator(recipient.domain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_before_the_plus_says_what_happens() {
        let of = |local: &str| behaviour(&EmailAddress::parse(&format!("{local}@{DOMAIN}")).unwrap());
        assert_eq!(of("deliver"), Behaviour::Deliver);
        assert_eq!(of("Complaint+1"), Behaviour::Complaint);
        assert_eq!(of("bounce+a+b"), Behaviour::Bounce);
        assert_eq!(of("anybody"), Behaviour::Bounce);
        let is_simulated = |text| super::is_simulated(Some(&EmailAddress::parse(text).unwrap()));
        assert!(is_simulated("x@simulator.postfleet.invalid") && !is_simulated("x@a.simulator.postfleet.invalid"));
        assert!(!super::is_simulated(None));
    }
}
