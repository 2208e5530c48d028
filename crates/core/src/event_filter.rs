//! Of which mailboxes somebody is told, out of those of an application.

use crate::id::{GrantId, WorkspaceId};

/// A mailbox is meant if it is named, or is in a workspace or at a domain that is named. Nothing named means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Mailboxes.
    pub grants: Vec<GrantId>,
    /// Workspaces.
    pub workspaces: Vec<WorkspaceId>,
    /// Domains, in lower case.
    pub domains: Vec<String>,
}

impl EventFilter {
    /// Whether it means every mailbox.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty() && !self.needs_place()
    }

    /// Whether it depends on where a mailbox is, and not only on which one it is.
    pub fn needs_place(&self) -> bool {
        !self.workspaces.is_empty() || !self.domains.is_empty()
    }

    /// Whether something is told that is of a mailbox, of a workspace, and of a domain, as far as it is.
    pub fn passes(&self, grant: Option<GrantId>, workspace: Option<WorkspaceId>, domain: Option<&str>) -> bool {
        self.is_empty()
            || grant.is_some_and(|id| self.grants.contains(&id))
            || workspace.is_some_and(|id| self.workspaces.contains(&id))
            || domain.is_some_and(|domain| self.domains.iter().any(|named| named.eq_ignore_ascii_case(domain)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn any_of_what_is_named_is_enough() {
        let (grants, workspaces) = ([1, 2].map(Uuid::from_u128), [3, 4].map(Uuid::from_u128));
        let (grant, other) = (GrantId::from_uuid(grants[0]), GrantId::from_uuid(grants[1]));
        let (workspace, elsewhere) = (WorkspaceId::from_uuid(workspaces[0]), WorkspaceId::from_uuid(workspaces[1]));
        let none = EventFilter::default();
        let by_grant = EventFilter { grants: vec![grant], ..none.clone() };
        let by_workspace = EventFilter { workspaces: vec![workspace], ..none.clone() };
        let by_domain = EventFilter { domains: vec!["acme.test".to_owned()], ..none.clone() };
        let by_all = EventFilter { grants: vec![grant], ..by_workspace.clone() };
        for (name, filter, of, expected) in [
            ("all", &none, (Some(other), None, None), true),
            ("all, of no mailbox", &none, (None, None, None), true),
            ("the mailbox", &by_grant, (Some(grant), Some(elsewhere), Some("x.test")), true),
            ("another mailbox", &by_grant, (Some(other), Some(workspace), Some("acme.test")), false),
            ("no mailbox", &by_grant, (None, Some(workspace), None), false),
            ("its workspace", &by_workspace, (Some(other), Some(workspace), None), true),
            ("another workspace", &by_workspace, (Some(grant), Some(elsewhere), None), false),
            ("a workspace itself", &by_workspace, (None, Some(workspace), None), true),
            ("no workspace", &by_workspace, (Some(grant), None, None), false),
            ("its domain", &by_domain, (Some(other), None, Some("ACME.test")), true),
            ("a domain below", &by_domain, (Some(other), None, Some("a.acme.test")), false),
            ("one of both", &by_all, (Some(grant), Some(elsewhere), None), true),
            ("the other of both", &by_all, (Some(other), Some(workspace), None), true),
            ("none of both", &by_all, (Some(other), Some(elsewhere), None), false),
        ] {
            let (grant, workspace, domain) = of;
            assert_eq!(filter.passes(grant, workspace, domain), expected, "{name}");
        }
        assert!(none.is_empty() && !by_grant.needs_place() && by_domain.needs_place());
    }
}
