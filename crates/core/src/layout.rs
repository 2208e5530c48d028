//! Which mailbox belongs into which workspace: an ordered list of assignments of which the first match wins. The same
//! function judges for a preview, for a re-layout and for the grouping by domain.

use crate::id::WorkspaceId;
use crate::{Domain, EmailAddress, UnixMicros};
use std::collections::HashMap;

/// Mailboxes that match go into the workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Where they go.
    pub workspace_id: WorkspaceId,
    /// Which.
    pub wanted: Match,
}

/// What a mailbox must be like: everything that is said here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Match {
    /// Its address has exactly this domain.
    pub domain: Option<Domain>,
    /// It is in one of these workspaces; `None` among them is no workspace. Empty: wherever it is.
    pub current: Vec<Option<WorkspaceId>>,
    /// Its address has this text somewhere, in any case.
    pub email_contains: Option<String>,
    /// It was made then or later.
    pub created_from: Option<UnixMicros>,
    /// It was made earlier.
    pub created_before: Option<UnixMicros>,
}

/// A mailbox as far as assignments look at it.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Its address.
    pub email: &'a EmailAddress,
    /// Where it is.
    pub workspace_id: Option<WorkspaceId>,
    /// When it was made.
    pub created_at: UnixMicros,
}

/// What is to become of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes into that workspace.
    Move(WorkspaceId),
    /// It is where it belongs.
    Stay,
    /// No assignment matches.
    Unmatched,
}

/// Assignments, ready to be asked about many mailboxes: there may be one for each of thousands of domains.
#[derive(Clone, Debug)]
pub struct Layout {
    assignments: Vec<Assignment>,
    by_domain: HashMap<Domain, Vec<usize>>,
    of_any_domain: Vec<usize>,
}

impl Layout {
    /// Assignments in the order in which they are asked.
    pub fn new(assignments: Vec<Assignment>) -> Self {
        let (mut by_domain, mut of_any_domain) = (HashMap::<Domain, Vec<usize>>::new(), Vec::new());
        for (place, assignment) in assignments.iter().enumerate() {
            match &assignment.wanted.domain {
                Some(domain) => by_domain.entry(domain.clone()).or_default().push(place),
                None => of_any_domain.push(place),
            }
        }
        Self { assignments, by_domain, of_any_domain }
    }

    /// What the first assignment that matches says.
    pub fn judge(&self, mailbox: &Placed<'_>) -> Verdict {
        let of_domain = self.by_domain.get(mailbox.email.domain()).map_or([].as_slice(), Vec::as_slice);
        let first = [self.first(of_domain, mailbox), self.first(&self.of_any_domain, mailbox)];
        match first.into_iter().flatten().min_by_key(|(place, _)| *place) {
            None => Verdict::Unmatched,
            Some((_, workspace)) if mailbox.workspace_id == Some(workspace) => Verdict::Stay,
            Some((_, workspace)) => Verdict::Move(workspace),
        }
    }

    fn first(&self, places: &[usize], mailbox: &Placed<'_>) -> Option<(usize, WorkspaceId)> {
        let assignments = places.iter().filter_map(|place| Some((*place, self.assignments.get(*place)?)));
        let mut matching = assignments.filter(|(_, assignment)| assignment.wanted.covers(mailbox));
        matching.next().map(|(place, assignment)| (place, assignment.workspace_id))
    }
}

impl Match {
    fn covers(&self, mailbox: &Placed<'_>) -> bool {
        let contains = |part: &String| mailbox.email.to_string().to_lowercase().contains(&part.to_lowercase());
        self.domain.as_ref().is_none_or(|domain| domain == mailbox.email.domain())
            && (self.current.is_empty() || self.current.contains(&mailbox.workspace_id))
            && self.created_from.is_none_or(|from| mailbox.created_at >= from)
            && self.created_before.is_none_or(|before| mailbox.created_at < before)
            && self.email_contains.as_ref().is_none_or(contains)
    }
}

/// What grouping by domain is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grouping {
    /// Only mailboxes that were made then or later.
    pub created_from: Option<UnixMicros>,
    /// Only mailboxes of this domain.
    pub domain: Option<Domain>,
}

impl Grouping {
    /// The assignments that group mailboxes which nobody has placed: those in the default workspace or in none go into
    /// the oldest workspace that takes mailboxes of their domain. `workspaces` are those that do so, oldest first.
    pub fn assignments(&self, default: WorkspaceId, workspaces: &[(WorkspaceId, Domain)]) -> Vec<Assignment> {
        let mut seen = std::collections::HashSet::new();
        let wanted = workspaces.iter().filter(|(_, domain)| self.domain.as_ref().is_none_or(|only| only == domain));
        let oldest = wanted.filter(|(_, domain)| seen.insert(domain));
        oldest
            .map(|(workspace_id, domain)| Assignment {
                workspace_id: *workspace_id,
                wanted: Match {
                    domain: Some(domain.clone()),
                    current: vec![Some(default), None],
                    created_from: self.created_from,
                    ..Match::default()
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(number: u8) -> WorkspaceId {
        WorkspaceId::new(UnixMicros::from_seconds(i64::from(number)), [number; 10])
    }

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    fn assignment(number: u8, wanted: Match) -> Assignment {
        Assignment { workspace_id: workspace(number), wanted }
    }

    fn judge(layout: &Layout, email: &str, current: Option<u8>, created: i64) -> Verdict {
        let email = EmailAddress::parse(email).unwrap();
        let created_at = UnixMicros::from_seconds(created);
        layout.judge(&Placed { email: &email, workspace_id: current.map(workspace), created_at })
    }

    #[test]
    fn the_first_assignment_that_matches_wins_with_and_without_a_domain() {
        let of = |name: &str| Match { domain: Some(domain(name)), ..Match::default() };
        let containing = |part: &str| Match { email_contains: Some(part.into()), ..Match::default() };
        let layout = Layout::new(vec![
            assignment(1, containing("VIP")),
            assignment(2, of("a.test")),
            assignment(3, containing("@A.")),
            assignment(4, Match { created_before: Some(UnixMicros::from_seconds(10)), ..of("b.test") }),
            assignment(5, of("b.test")),
        ]);
        for (email, current, created, expected) in [
            ("vip@a.test", None, 0, Verdict::Move(workspace(1))),
            ("Bob@A.test", None, 0, Verdict::Move(workspace(2))),
            ("bob@a.test", Some(2), 0, Verdict::Stay),
            // Only the first match counts, also when the mailbox is where a later one would have it.
            ("bob@a.test", Some(3), 0, Verdict::Move(workspace(2))),
            ("bob@a.other", None, 0, Verdict::Move(workspace(3))),
            ("bob@b.test", None, 9, Verdict::Move(workspace(4))),
            ("bob@b.test", None, 10, Verdict::Move(workspace(5))),
            // No subdomains.
            ("bob@sub.b.test", None, 0, Verdict::Unmatched),
        ] {
            assert_eq!(judge(&layout, email, current, created), expected, "{email} {current:?} {created}");
        }
    }

    #[test]
    fn everything_that_a_match_says_must_hold() {
        let wanted = Match {
            domain: Some(domain("a.test")),
            current: vec![Some(workspace(1)), None],
            email_contains: Some("x".into()),
            created_from: Some(UnixMicros::from_seconds(5)),
            created_before: Some(UnixMicros::from_seconds(8)),
        };
        let layout = Layout::new(vec![assignment(9, wanted)]);
        let moved = Verdict::Move(workspace(9));
        for (email, current, created, expected) in [
            ("x@a.test", None, 5, moved),
            ("x@a.test", Some(1), 7, moved),
            ("x@a.test", Some(2), 7, Verdict::Unmatched),
            ("y@a.test", None, 7, Verdict::Unmatched),
            ("x@b.test", None, 7, Verdict::Unmatched),
            ("x@a.test", None, 4, Verdict::Unmatched),
            ("x@a.test", None, 8, Verdict::Unmatched),
        ] {
            assert_eq!(judge(&layout, email, current, created), expected, "{email} {current:?} {created}");
        }
    }

    #[test]
    fn grouping_takes_the_oldest_workspace_of_a_domain_and_leaves_placed_mailboxes_alone() {
        let workspaces =
            [(workspace(2), domain("a.test")), (workspace(3), domain("a.test")), (workspace(4), domain("b.test"))];
        let all = Layout::new(Grouping::default().assignments(workspace(1), &workspaces));
        assert_eq!(judge(&all, "x@a.test", Some(1), 0), Verdict::Move(workspace(2)));
        assert_eq!(judge(&all, "x@a.test", None, 0), Verdict::Move(workspace(2)));
        assert_eq!(judge(&all, "x@b.test", None, 0), Verdict::Move(workspace(4)));
        for (email, current) in [("x@a.test", Some(3)), ("x@a.test", Some(9)), ("x@c.test", Some(1))] {
            assert_eq!(judge(&all, email, current, 0), Verdict::Unmatched, "{email} {current:?}");
        }
        let grouping = Grouping { domain: Some(domain("b.test")), created_from: Some(UnixMicros::from_seconds(5)) };
        let some = Layout::new(grouping.assignments(workspace(1), &workspaces));
        assert_eq!(judge(&some, "x@a.test", None, 9), Verdict::Unmatched);
        assert_eq!(judge(&some, "x@b.test", None, 4), Verdict::Unmatched);
        assert_eq!(judge(&some, "x@b.test", None, 5), Verdict::Move(workspace(4)));
    }
}
