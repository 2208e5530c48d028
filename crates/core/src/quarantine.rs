//! One mailbox that endangers a domain for all others on it: it is held before they suffer.

use crate::reputation::{Counts, Line, REVIEW_BOUNCES, REVIEW_COMPLAINTS, Rate, Rates};

/// From how much of the line of review on a domain is in danger, in percent, unless something else is set.
pub const PART: u64 = 50;

/// The fewest bounces, and complaints, of a mailbox that say anything.
const BOUNCES_MIN: u64 = 10;
const COMPLAINTS_MIN: u64 = 2;

/// By what a mailbox endangers its domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Danger {
    /// Hard bounces.
    Bounces,
    /// Complaints.
    Complaints,
}

impl Danger {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bounces => "bounces",
            Self::Complaints => "complaints",
        }
    }
}

/// Whether a mailbox endangers its domain: the domain has come that part (in percent) of the way to its review, at least
/// half of what it comes from is this mailbox's, which is itself where it would be reviewed, and others send from the domain.
pub fn endangers(domain: Counts, grant: Counts, part: u64) -> Option<Danger> {
    if domain.attempts <= grant.attempts {
        return None;
    }
    let (all, own) = (Rates::of(domain), Rates::of(grant));
    let is_bad = |all: Rate, own: Rate, least: u64, line: Line| {
        let nearer = Line { count: line.count * part, of: line.of * 100 };
        own.count >= least && own.count.saturating_mul(2) >= all.count && own.reaches(line) && all.reaches(nearer)
    };
    if is_bad(all.bounces, own.bounces, BOUNCES_MIN, REVIEW_BOUNCES) {
        return Some(Danger::Bounces);
    }
    is_bad(all.complaints, own.complaints, COMPLAINTS_MIN, REVIEW_COMPLAINTS).then_some(Danger::Complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(attempts: u64, hard_bounces: u64, complaints: u64) -> Counts {
        Counts { attempts, feedback_attempts: attempts, hard_bounces, complaints }
    }

    fn danger(domain: Counts, grant: Counts) -> Option<Danger> {
        endangers(domain, grant, PART)
    }

    #[test]
    fn bounces_at_each_edge() {
        // Half way to 5 % of 1,000 are 25.
        for (domain, grant, expected) in [
            ((1_000, 25), (100, 20), Some(Danger::Bounces)),
            ((1_000, 24), (100, 20), None),
            ((1_000, 25), (100, 13), Some(Danger::Bounces)),
            ((1_000, 25), (100, 12), None),
            ((400, 10), (100, 10), Some(Danger::Bounces)),
            ((360, 9), (100, 9), None),
            ((1_000, 25), (401, 20), None),
            ((1_000, 25), (400, 20), Some(Danger::Bounces)),
            ((100, 20), (100, 20), None),
            ((101, 20), (100, 20), Some(Danger::Bounces)),
        ] {
            let (all, own) = (outcomes(domain.0, domain.1, 0), outcomes(grant.0, grant.1, 0));
            assert_eq!(danger(all, own), expected, "{domain:?} {grant:?}");
        }
    }

    #[test]
    fn complaints_at_each_edge() {
        // Half way to 0.1 % of 4,000 are 2.
        for (domain, grant, expected) in [
            ((4_000, 2), (1_000, 2), Some(Danger::Complaints)),
            ((4_001, 2), (1_000, 2), None),
            ((4_000, 4), (1_000, 2), Some(Danger::Complaints)),
            ((4_000, 5), (1_000, 2), None),
            ((4_000, 2), (2_001, 2), None),
            ((1_000, 1), (10, 1), None),
        ] {
            let (all, own) = (outcomes(domain.0, 0, domain.1), outcomes(grant.0, 0, grant.1));
            assert_eq!(danger(all, own), expected, "{domain:?} {grant:?}");
        }
    }

    #[test]
    fn the_part_of_the_line_can_be_set() {
        let own = outcomes(100, 30, 0);
        assert_eq!(endangers(outcomes(1_000, 49, 0), own, 100), None);
        assert_eq!(endangers(outcomes(1_000, 50, 0), own, 100), Some(Danger::Bounces));
    }
}
