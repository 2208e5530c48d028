//! From which of our addresses mail is sent: by the workspace of its mailbox, else by the domain of its sender, else the
//! one for all.

use postfleet_core::Domain;
use postfleet_core::id::WorkspaceId;
use postfleet_net::mx_transport::Source;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Addresses to send from, and what we call ourselves there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressSource {
    /// What the operator calls it.
    pub name: String,
    /// Addresses of this machine: one, or one of each family.
    pub addresses: Vec<IpAddr>,
    /// The name in EHLO, which should resolve to these addresses and back.
    pub helo: Domain,
}

impl EgressSource {
    /// From where a server of that address is reached; `None` if we have no address of its family.
    pub fn towards(&self, server: IpAddr) -> Option<Source> {
        let address = self.addresses.iter().find(|own| own.is_ipv4() == server.is_ipv4());
        address.map(|address| Source { address: *address, helo: self.helo.to_string() })
    }
}

/// All of them, and which is for whom. Without any, the system chooses.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    default: Option<Arc<EgressSource>>,
    by_domain: HashMap<Domain, Arc<EgressSource>>,
    by_workspace: HashMap<WorkspaceId, Arc<EgressSource>>,
}

impl Egress {
    /// Adds a source, for these domains and workspaces, and for everybody else if it `is_default`.
    pub fn add(&mut self, source: EgressSource, domains: &[Domain], workspaces: &[WorkspaceId], is_default: bool) {
        let source = Arc::new(source);
        self.by_domain.extend(domains.iter().map(|domain| (domain.clone(), source.clone())));
        self.by_workspace.extend(workspaces.iter().map(|workspace| (*workspace, source.clone())));
        if is_default {
            self.default = Some(source);
        }
    }

    /// Whether everybody sends from the same place, so that nobody has to know who sends.
    pub fn is_one_for_all(&self) -> bool {
        self.by_domain.is_empty() && self.by_workspace.is_empty()
    }

    /// The source for mail of a domain from a mailbox in that workspace. The workspace's wins over the domain's.
    pub fn choose(&self, domain: Option<&Domain>, workspace: Option<WorkspaceId>) -> Option<&EgressSource> {
        let of_workspace = workspace.and_then(|workspace| self.by_workspace.get(&workspace));
        let of_domain = || domain.and_then(|domain| self.by_domain.get(domain));
        of_workspace.or_else(of_domain).or(self.default.as_ref()).map(|source| &**source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, addresses: &[&str]) -> EgressSource {
        EgressSource {
            name: name.to_owned(),
            addresses: addresses.iter().map(|address| address.parse().expect("address")).collect(),
            helo: Domain::parse(&format!("{name}.test")).expect("domain"),
        }
    }

    #[test]
    fn a_workspace_wins_over_a_domain_and_that_over_the_default() {
        let (a, b) = (Domain::parse("a.test").expect("domain"), Domain::parse("b.test").expect("domain"));
        let workspace = |number: u128| WorkspaceId::from_uuid(uuid::Uuid::from_u128(number));
        let mut egress = Egress::default();
        let name = |egress: &Egress, domain: Option<&Domain>, workspace| {
            egress.choose(domain, workspace).map(|source| source.name.clone())
        };
        assert_eq!((name(&egress, Some(&a), Some(workspace(1))), egress.is_one_for_all()), (None, true));
        egress.add(source("one", &["192.0.2.1"]), &[], &[], true);
        assert!(egress.is_one_for_all());
        egress.add(source("two", &["192.0.2.2"]), std::slice::from_ref(&a), &[], false);
        egress.add(source("three", &["192.0.2.3"]), &[], &[workspace(3)], false);
        assert!(!egress.is_one_for_all());
        for (domain, in_workspace, expected) in [
            (None, None, "one"),
            (Some(&b), Some(1), "one"),
            (Some(&a), None, "two"),
            (Some(&a), Some(1), "two"),
            (Some(&a), Some(3), "three"),
            (Some(&b), Some(3), "three"),
            (None, Some(3), "three"),
        ] {
            assert_eq!(name(&egress, domain, in_workspace.map(workspace)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn families_must_match() {
        let server = |text: &str| text.parse::<IpAddr>().expect("address");
        let both = source("both", &["2001:db8::1", "192.0.2.1"]);
        let from = |source: &EgressSource, to: &str| source.towards(server(to)).map(|from| from.address.to_string());
        assert_eq!(from(&both, "198.51.100.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(from(&both, "2001:db8:1::1").as_deref(), Some("2001:db8::1"));
        let old = source("old", &["192.0.2.1"]);
        assert_eq!((from(&old, "198.51.100.1").is_some(), from(&old, "2001:db8:1::1")), (true, None));
    }
}
