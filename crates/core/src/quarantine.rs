//! One mailbox that endangers a domain for all others on it: it is held before they suffer.

/// What was sent by a mailbox or from a domain, and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcomes {
    /// Recipients for whom a server answered.
    pub attempts: u64,
    /// Those of them at domains that send feedback.
    pub feedback: u64,
    /// Hard bounces.
    pub bounces: u64,
    /// Complaints.
    pub complaints: u64,
}

/// From when on somebody is under review, in parts of a million; and from how much of that on a domain is in danger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lines {
    /// The rate of hard bounces.
    pub bounces: u64,
    /// The rate of complaints.
    pub complaints: u64,
    /// The part of either, in percent, at which a domain is in danger.
    pub part: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self { bounces: 50_000, complaints: 1_000, part: 50 }
    }
}

/// The fewest attempts by which a rate of bounces is taken.
const ATTEMPTS_MIN: u64 = 100;
/// The fewest attempts by which a rate of complaints is taken.
const FEEDBACK_MIN: u64 = 1_000;
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

/// Whether a mailbox endangers its domain: the domain is half way to review, at least half of what it comes from is this
/// mailbox's, which is itself where it would be reviewed, and others send from the domain.
pub fn endangers(domain: &Outcomes, grant: &Outcomes, lines: &Lines) -> Option<Danger> {
    if domain.attempts <= grant.attempts {
        return None;
    }
    let reaches = |bad: u64, volume: u64, line: u64| bad.saturating_mul(1_000_000) >= line.saturating_mul(volume);
    let is_bad = |bad: (u64, u64), least: u64, volume: (u64, u64), line: u64| {
        let (of_domain, of_grant) = bad;
        // The domain is measured against a part of the line: its count is raised instead, so that nothing is rounded.
        let raised = of_domain.saturating_mul(100);
        of_grant >= least
            && of_grant.saturating_mul(2) >= of_domain
            && reaches(of_grant, volume.1, line)
            && reaches(raised, volume.0, line.saturating_mul(lines.part))
    };
    let bounces = (domain.bounces, grant.bounces);
    let attempts = (domain.attempts.max(ATTEMPTS_MIN), grant.attempts.max(ATTEMPTS_MIN));
    if is_bad(bounces, BOUNCES_MIN, attempts, lines.bounces) {
        return Some(Danger::Bounces);
    }
    let complaints = (domain.complaints, grant.complaints);
    let feedback = (domain.feedback.max(FEEDBACK_MIN), grant.feedback.max(FEEDBACK_MIN));
    is_bad(complaints, COMPLAINTS_MIN, feedback, lines.complaints).then_some(Danger::Complaints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(attempts: u64, bounces: u64, complaints: u64) -> Outcomes {
        Outcomes { attempts, feedback: attempts, bounces, complaints }
    }

    fn danger(domain: Outcomes, grant: Outcomes) -> Option<Danger> {
        endangers(&domain, &grant, &Lines::default())
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
        let lines = Lines { part: 100, ..Lines::default() };
        let own = outcomes(100, 30, 0);
        assert_eq!(endangers(&outcomes(1_000, 49, 0), &own, &lines), None);
        assert_eq!(endangers(&outcomes(1_000, 50, 0), &own, &lines), Some(Danger::Bounces));
    }
}
