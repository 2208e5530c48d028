//! What happens to the recipients of what is sent, and what of it counts for a sender's reputation.
//!
//! An attempt is the last word about a recipient for which a server answered. Only what says that nobody is there, and
//! complaints, count against a sender: mail that was put off, refused for another reason, never attempted or never
//! answered does not. What was counted is written down with each happening, so that it can be counted anew and explained.

use crate::bounce::{BounceClass, BounceType};
use crate::words::words;

words! {
    /// What happened to one recipient of one message.
    SendEventKind {
        /// The message was accepted for the recipient.
        Accepted = "accepted",
        /// A server took it.
        Delivered = "delivered",
        /// It failed for good.
        Bounced = "bounced",
        /// The recipient complained.
        Complaint = "complaint",
        /// It is not attempted, because the recipient is suppressed.
        Rejected = "rejected",
    }
}

impl SendEventKind {
    /// The number in the store. From [`SendEventKind::Bounced`] on it is something that went wrong.
    pub const fn number(self) -> i64 {
        self as i64 + 1
    }

    /// Finds the one of that number.
    pub fn numbered(number: i64) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.number() == number)
    }
}

/// As what something counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counted {
    /// A recipient for whom a server answered: part of the volume by which bounces are divided.
    pub attempt: bool,
    /// Of a domain that sends feedback: part of the volume by which complaints are divided.
    pub feedback: bool,
    /// Nobody is there.
    pub hard_bounce: bool,
    /// A complaint.
    pub complaint: bool,
}

impl Counted {
    /// It moves nothing.
    pub const NOTHING: Self = Self { attempt: false, feedback: false, hard_bounce: false, complaint: false };

    /// What the last word about a recipient counts as. `answered` tells whether a server ever answered for it,
    /// `counted_before` whether a report has already counted that nobody is there.
    pub fn last_word(said: LastWord, answered: bool, sends_feedback: bool, counted_before: bool) -> Self {
        let is_hard = matches!(said, LastWord::Failed(bounce) if bounce.class() == BounceClass::Hard);
        // That there is no such domain is an answer, too, although no server of it can give it.
        let attempt = match said {
            LastWord::Delivered => true,
            LastWord::Failed(_) => answered || is_hard,
            LastWord::Expired(_) => answered,
            LastWord::Suppressed => false,
        };
        let hard_bounce = is_hard && !counted_before;
        Self { attempt, feedback: attempt && sends_feedback, hard_bounce, complaint: false }
    }

    /// What a report of a failure counts as that comes after the message was taken.
    pub fn late_bounce(bounce: BounceType, counted_before: bool) -> Self {
        Self { hard_bounce: bounce.class() == BounceClass::Hard && !counted_before, ..Self::NOTHING }
    }

    /// What a complaint counts as.
    pub const fn complained(sends_feedback: bool) -> Self {
        Self { complaint: sends_feedback, ..Self::NOTHING }
    }

    /// Whether it moves anything.
    pub fn is_anything(self) -> bool {
        self != Self::NOTHING
    }

    /// The number in the store: 0 for nothing.
    pub const fn number(self) -> i64 {
        self.attempt as i64
            | (self.feedback as i64) << 1
            | (self.hard_bounce as i64) << 2
            | (self.complaint as i64) << 3
    }

    /// What the number says.
    pub const fn numbered(number: i64) -> Self {
        Self {
            attempt: number & 1 != 0,
            feedback: number & 2 != 0,
            hard_bounce: number & 4 != 0,
            complaint: number & 8 != 0,
        }
    }
}

/// The last word about a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWord {
    /// It has the message.
    Delivered,
    /// It never gets it.
    Failed(BounceType),
    /// Time ran out.
    Expired(BounceType),
    /// It was not attempted.
    Suppressed,
}

/// Why something that happened does not count against its sender, for people; none if it does. `is_late` tells that it
/// was reported after the message had been taken.
pub fn why_not_counted(
    kind: SendEventKind,
    bounce: Option<BounceType>,
    is_expired: bool,
    is_late: bool,
    counted: Counted,
) -> Option<&'static str> {
    if counted.hard_bounce || counted.complaint {
        return None;
    }
    Some(match (kind, bounce.map(BounceType::class)) {
        (SendEventKind::Accepted, _) => "it is on its way: only what becomes of it counts",
        (SendEventKind::Delivered, _) => "it arrived: it counts as volume",
        (SendEventKind::Rejected, _) => "the recipient is suppressed and was not attempted",
        (SendEventKind::Complaint, _) => "the recipient's domain is not among those whose feedback counts",
        (SendEventKind::Bounced, _) if is_expired && counted.attempt => {
            "it was put off until time ran out: it counts as volume"
        }
        (SendEventKind::Bounced, _) if is_expired => "no server ever answered for the recipient",
        (SendEventKind::Bounced, Some(BounceClass::Hard)) => "the same failure was counted before",
        (SendEventKind::Bounced, Some(BounceClass::Soft)) if counted.attempt => {
            "the address may be good, the failure says nothing about it: it counts as volume"
        }
        (SendEventKind::Bounced, _) if counted.attempt => "nothing says that nobody is there: it counts as volume",
        (SendEventKind::Bounced, _) if is_late => "the report does not say that nobody is there",
        (SendEventKind::Bounced, _) => "no server was asked",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ATTEMPT: Counted = Counted { attempt: true, feedback: true, hard_bounce: false, complaint: false };
    const HARD: Counted = Counted { hard_bounce: true, ..ATTEMPT };

    #[test]
    fn only_what_says_that_nobody_is_there_counts_against_a_sender() {
        use BounceType::{MailboxFull, UnknownDomain, UnknownUser};
        use LastWord::{Delivered, Expired, Failed, Suppressed};
        for (said, answered, counted) in [
            (Delivered, true, ATTEMPT),
            (Failed(UnknownUser), true, HARD),
            (Failed(UnknownDomain), false, HARD),
            (Failed(MailboxFull), true, ATTEMPT),
            (Failed(BounceType::Greylisted), true, ATTEMPT),
            (Failed(BounceType::General), false, Counted::NOTHING),
            (Expired(UnknownUser), true, ATTEMPT),
            (Expired(BounceType::Greylisted), true, ATTEMPT),
            (Expired(BounceType::Temporary), false, Counted::NOTHING),
            (Suppressed, true, Counted::NOTHING),
        ] {
            assert_eq!(Counted::last_word(said, answered, true, false), counted, "{said:?} {answered}");
        }
        for bounce in BounceType::ALL {
            let is_hard = bounce.class() == BounceClass::Hard;
            assert_eq!(Counted::last_word(Failed(bounce), true, true, false).hard_bounce, is_hard, "{bounce:?}");
            assert_eq!(Counted::late_bounce(bounce, false).hard_bounce, is_hard, "{bounce:?}");
            assert!(!Counted::late_bounce(bounce, false).attempt);
        }
    }

    #[test]
    fn one_failure_counts_once_whoever_tells_it_first() {
        let failed = LastWord::Failed(BounceType::UnknownUser);
        assert_eq!(Counted::last_word(failed, true, true, true), ATTEMPT);
        assert_eq!(Counted::late_bounce(BounceType::UnknownUser, true), Counted::NOTHING);
    }

    #[test]
    fn a_domain_that_sends_no_feedback_is_in_neither_part_of_the_rate_of_complaints() {
        assert!(!Counted::last_word(LastWord::Delivered, true, false, false).feedback);
        assert_eq!(Counted::complained(false), Counted::NOTHING);
        assert!(Counted::complained(true).complaint);
    }

    #[test]
    fn numbers_lead_back() {
        for number in 0..16 {
            assert_eq!(Counted::numbered(number).number(), number);
        }
        for kind in SendEventKind::ALL {
            assert_eq!(SendEventKind::numbered(kind.number()), Some(*kind));
        }
        assert_eq!((SendEventKind::numbered(0), SendEventKind::numbered(6)), (None, None));
    }

    #[test]
    fn everything_that_does_not_count_says_why() {
        use SendEventKind::Bounced;
        let why = |bounce, expired, late, counted| why_not_counted(Bounced, Some(bounce), expired, late, counted);
        assert_eq!(why(BounceType::UnknownUser, false, false, HARD), None);
        assert!(why(BounceType::UnknownUser, false, true, Counted::NOTHING).is_some_and(|why| why.contains("before")));
        assert!(why(BounceType::MailboxFull, false, false, ATTEMPT).is_some_and(|why| why.contains("volume")));
        assert!(why(BounceType::Temporary, true, false, Counted::NOTHING).is_some_and(|why| why.contains("no server")));
        let suppressed = why_not_counted(SendEventKind::Rejected, None, false, false, Counted::NOTHING);
        assert!(suppressed.is_some_and(|why| why.contains("suppressed")));
    }
}
