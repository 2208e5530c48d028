//! From which addresses the mail of a domain leaves, as other servers see them: what block lists are asked about, and
//! what tells our mail from others' in reports.

use crate::domain::Domain;
use crate::id::WorkspaceId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the configuration says of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SendingAddresses {
    /// What the operator says they are, for all domains; empty if nothing.
    pub told: Vec<IpAddr>,
    /// Those of everybody who has none of their own; empty if the system chooses.
    pub default: Vec<IpAddr>,
    /// Those of domains.
    pub by_domain: BTreeMap<Domain, Vec<IpAddr>>,
    /// Those of workspaces.
    pub by_workspace: Vec<(WorkspaceId, Vec<IpAddr>)>,
    /// The server whose addresses in the DNS they are where the system chooses; none if mail leaves through a relay.
    pub host: Option<Domain>,
}

/// Where the addresses of a domain are to be found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// These are all.
    These(Vec<IpAddr>),
    /// These, and those of that server.
    AndOf(Vec<IpAddr>, Domain),
    /// It is not known, besides these.
    Unknown(Vec<IpAddr>),
}

impl SendingAddresses {
    /// Those of a domain of which the organization has these workspaces.
    pub fn of(&self, domain: &Domain, has_workspace: impl Fn(WorkspaceId) -> bool) -> Found {
        if !self.told.is_empty() {
            return Found::These(self.told.clone());
        }
        let of_workspaces = self.by_workspace.iter().filter(|(workspace, _)| has_workspace(*workspace));
        let mut known: Vec<IpAddr> = of_workspaces.flat_map(|(_, addresses)| addresses.clone()).collect();
        let general = self.by_domain.get(domain).unwrap_or(&self.default);
        known.extend(general);
        known.sort();
        known.dedup();
        match (&self.host, general.is_empty()) {
            (None, _) => Found::Unknown(Vec::new()),
            (_, false) => Found::These(known),
            (Some(host), true) => Found::AndOf(known, host.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_wins_and_else_it_is_as_mail_leaves() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let domain = |text: &str| Domain::parse(text).unwrap();
        let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(1));
        let (acme, other, host) = (domain("acme.test"), domain("other.test"), domain("mx.test"));
        let mut all = SendingAddresses { host: Some(host.clone()), ..SendingAddresses::default() };
        assert_eq!(all.of(&acme, |_| true), Found::AndOf(Vec::new(), host.clone()));
        all.by_domain.insert(acme.clone(), vec![address("192.0.2.2")]);
        all.by_workspace.push((workspace, vec![address("192.0.2.3")]));
        assert_eq!(all.of(&acme, |_| true), Found::These(vec![address("192.0.2.2"), address("192.0.2.3")]));
        assert_eq!(all.of(&acme, |_| false), Found::These(vec![address("192.0.2.2")]));
        assert_eq!(all.of(&other, |_| true), Found::AndOf(vec![address("192.0.2.3")], host));
        all.default = vec![address("192.0.2.1")];
        assert_eq!(all.of(&other, |_| false), Found::These(vec![address("192.0.2.1")]));
        all.host = None;
        assert_eq!(all.of(&other, |_| true), Found::Unknown(Vec::new()));
        all.told = vec![address("198.51.100.1")];
        assert_eq!(all.of(&other, |_| true), Found::These(vec![address("198.51.100.1")]));
    }
}
