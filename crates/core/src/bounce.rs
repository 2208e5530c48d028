//! What a failure says about the address it is for: whether to stop writing to it, to try another time, or nothing at
//! all. The words of events, records and suppression.
//!
//! The class is about the address, not about the queue and not about the message: a full mailbox is soft although its
//! reply code is permanent, and so is a message that was refused for its content. Only what says that there is nobody
//! at the address is hard, and only hard failures count against a sender.

/// The class of a failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BounceClass {
    /// Nobody is there. Nothing should be sent there again.
    Hard,
    /// The address may be good: another message, or another time, may do better.
    Soft,
    /// Nothing can be told.
    Undetermined,
}

impl BounceClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Hard, Self::Soft, Self::Undetermined];

    /// Finds the one of that word.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::Soft => "soft",
            Self::Undetermined => "undetermined",
        }
    }
}

/// Why it failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BounceType {
    /// There is no such mailbox.
    UnknownUser,
    /// There is no such domain, or it takes no mail.
    UnknownDomain,
    /// The mailbox was closed or disabled.
    MailboxDisabled,
    /// The mailbox is over its quota.
    MailboxFull,
    /// The receiver asks unknown senders to come again.
    Greylisted,
    /// Too many messages, connections or recipients.
    RateLimited,
    /// The sender is blocked: reputation, or a block list.
    Blocked,
    /// The content was refused: spam, a virus, a forbidden attachment.
    ContentRejected,
    /// The receiver's policy forbids it.
    Policy,
    /// The sender failed authentication (SPF, DKIM, DMARC).
    AuthenticationFailed,
    /// The message is too large.
    MessageTooLarge,
    /// The receiver does not support what the message needs, or refuses its form.
    Unsupported,
    /// The receiver's servers could not be reached, or were not ready.
    Temporary,
    /// A permanent failure without a reason that could be understood.
    General,
    /// Not even that.
    Undetermined,
}

impl BounceType {
    /// Every type.
    pub const ALL: [Self; 15] = [
        Self::UnknownUser,
        Self::UnknownDomain,
        Self::MailboxDisabled,
        Self::MailboxFull,
        Self::Greylisted,
        Self::RateLimited,
        Self::Blocked,
        Self::ContentRejected,
        Self::Policy,
        Self::AuthenticationFailed,
        Self::MessageTooLarge,
        Self::Unsupported,
        Self::Temporary,
        Self::General,
        Self::Undetermined,
    ];

    /// The word on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownUser => "UnknownUser",
            Self::UnknownDomain => "UnknownDomain",
            Self::MailboxDisabled => "MailboxDisabled",
            Self::MailboxFull => "MailboxFull",
            Self::Greylisted => "Greylisted",
            Self::RateLimited => "RateLimited",
            Self::Blocked => "Blocked",
            Self::ContentRejected => "ContentRejected",
            Self::Policy => "Policy",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::MessageTooLarge => "MessageTooLarge",
            Self::Unsupported => "Unsupported",
            Self::Temporary => "Temporary",
            Self::General => "General",
            Self::Undetermined => "Undetermined",
        }
    }

    /// Finds the one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Whether a server refused because of the sender, what it says, or its authentication: what a sender can mend.
    pub const fn is_rejection(self) -> bool {
        matches!(self, Self::Blocked | Self::ContentRejected | Self::Policy | Self::AuthenticationFailed)
    }

    /// Its class.
    pub const fn class(self) -> BounceClass {
        match self {
            Self::UnknownUser | Self::UnknownDomain | Self::MailboxDisabled => BounceClass::Hard,
            Self::MailboxFull
            | Self::Greylisted
            | Self::RateLimited
            | Self::Blocked
            | Self::ContentRejected
            | Self::Policy
            | Self::AuthenticationFailed
            | Self::MessageTooLarge
            | Self::Unsupported
            | Self::Temporary => BounceClass::Soft,
            Self::General | Self::Undetermined => BounceClass::Undetermined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_type_has_a_name_of_its_own_and_hard_is_only_who_is_not_there() {
        let names: HashSet<_> = BounceType::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), BounceType::ALL.len());
        let hard = BounceType::ALL.iter().filter(|kind| kind.class() == BounceClass::Hard).map(|kind| kind.name());
        assert_eq!(hard.collect::<Vec<_>>(), ["UnknownUser", "UnknownDomain", "MailboxDisabled"]);
    }
}
