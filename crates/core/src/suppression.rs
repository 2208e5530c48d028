//! Addresses that are not written to: why, and which reason prevails when there are two.

use crate::address::EmailAddress;

/// Addresses that one request may add or ask about.
pub const ADDRESSES_MAX: usize = 1_000;

/// Characters of a note.
pub const NOTE_CHARS_MAX: usize = 1_024;

/// Why an address is not written to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Its server said that nobody is there.
    HardBounce,
    /// Whoever is there said that our mail is spam.
    Complaint,
    /// Whoever is there wants no more.
    Unsubscribe,
    /// Somebody here said so.
    Manual,
    /// It was found to be no address that takes mail.
    Invalid,
}

impl Reason {
    /// All of them.
    pub const ALL: &[Self] = &[Self::HardBounce, Self::Complaint, Self::Unsubscribe, Self::Manual, Self::Invalid];

    /// Their words.
    pub const NAMES: &[&str] = &["hard_bounce", "complaint", "unsubscribe", "manual", "invalid"];

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HardBounce => "hard_bounce",
            Self::Complaint => "complaint",
            Self::Unsubscribe => "unsubscribe",
            Self::Manual => "manual",
            Self::Invalid => "invalid",
        }
    }

    /// Finds the reason of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.name() == name)
    }

    /// What the product finds out by itself may replace what it found out before, if it weighs more: that people want no
    /// mail outlasts that their mailbox was gone, and a complaint outlasts both. What somebody here said stays until
    /// people say something themselves.
    pub const fn weight(self) -> u8 {
        match self {
            Self::Invalid => 0,
            Self::HardBounce => 1,
            Self::Manual => 2,
            Self::Unsubscribe => 3,
            Self::Complaint => 4,
        }
    }
}

/// A recipient that is not written to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suppressed {
    /// Who.
    pub address: EmailAddress,
    /// Why.
    pub reason: Reason,
}

/// A recipient that was found, before sending, to be none that mail can reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undeliverable {
    /// Who.
    pub address: EmailAddress,
    /// Why, for people.
    pub why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_and_people_outweigh_machines() {
        for (reason, name) in Reason::ALL.iter().zip(Reason::NAMES) {
            assert_eq!((reason.name(), Reason::named(name)), (*name, Some(*reason)));
        }
        assert_eq!(Reason::named("bored"), None);
        let mut by_weight = Reason::ALL.to_vec();
        by_weight.sort_by_key(|reason| reason.weight());
        assert_eq!(
            by_weight,
            [Reason::Invalid, Reason::HardBounce, Reason::Manual, Reason::Unsubscribe, Reason::Complaint]
        );
    }
}
