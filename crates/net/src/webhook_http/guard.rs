//! Resolves names for the HTTP client and lets through only addresses that may be connected to.

use super::network::IpNetwork;
use super::target::{Demand, TargetRefused, is_listed, judge_address};
use crate::resolver::Resolver;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;

/// What may be reached, and who resolves names.
pub(super) struct Guard {
    pub(super) allow: Vec<IpNetwork>,
    pub(super) resolver: Option<Arc<dyn Resolver>>,
    /// Addresses of the installation, beside those that the machine knows.
    pub(super) own: Vec<IpAddr>,
}

impl Guard {
    /// Whether an address may be connected to.
    pub(super) fn judge(&self, address: IpAddr, demand: Demand) -> Result<(), TargetRefused> {
        judge_address(address, demand, &self.allow)?;
        let address = address.to_canonical();
        if !is_listed(address, &self.allow) && (self.own.contains(&address) || is_of_machine(address)) {
            return Err(TargetRefused::Own(address));
        }
        Ok(())
    }

    /// The addresses of `name`, all of them checked. One bad address among good ones refuses the name: nobody
    /// honest has such a mixture, and it is how a filter that looks at the first answer only is passed.
    pub(super) async fn resolve(&self, name: &str, demand: Demand) -> Result<Vec<IpAddr>, TargetRefused> {
        if is_localhost(name) {
            return self.localhost(demand);
        }
        let addresses = self.look_up(name).await?;
        for address in &addresses {
            self.judge(*address, demand)?;
        }
        match addresses.is_empty() {
            true => Err(TargetRefused::Unresolvable("no address".to_owned())),
            false => Ok(addresses),
        }
    }

    /// `localhost` means loopback whatever a name server says (RFC 6761 §6.3); which of its two addresses may be
    /// reached is up to the operator, who often allows one only.
    fn localhost(&self, demand: Demand) -> Result<Vec<IpAddr>, TargetRefused> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let judged = loopback.map(|address| judge_address(address, demand, &self.allow).map(|()| address));
        let addresses: Vec<IpAddr> = judged.iter().flatten().copied().collect();
        if addresses.is_empty() { judged.into_iter().collect() } else { Ok(addresses) }
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, TargetRefused> {
        match &self.resolver {
            Some(resolver) => resolver.addresses(name).await.map_err(unresolvable),
            None => {
                let found = tokio::net::lookup_host((name, 0)).await.map_err(unresolvable)?;
                Ok(found.map(|address| address.ip()).collect())
            }
        }
    }
}

/// Whether the machine has an address: only then can something be bound to it. Nothing is sent.
fn is_of_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Whether a name is loopback by definition (RFC 6761 §6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn unresolvable(error: impl ToString) -> TargetRefused {
    TargetRefused::Unresolvable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_machine_resolves_when_nobody_else_is_named() {
        let guard = Guard { allow: vec!["127.0.0.0/8".parse().expect("network")], resolver: None, own: Vec::new() };
        // An address as the name, so that no name server is asked.
        assert_eq!(guard.resolve("127.0.0.2", Demand::ForPlainHttp).await, Ok(vec![IpAddr::from([127, 0, 0, 2])]));
        let inside = IpAddr::from([10, 0, 0, 1]);
        assert_eq!(guard.resolve("10.0.0.1", Demand::None).await, Err(TargetRefused::NotPublic(inside)));
    }

    #[tokio::test]
    async fn localhost_is_what_is_listed_of_loopback() {
        let guard = |allow: &[&str]| Guard {
            allow: allow.iter().map(|text| text.parse().expect("network")).collect(),
            resolver: None,
            own: Vec::new(),
        };
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(guard(&["127.0.0.0/8"]).resolve("localhost", Demand::ForPlainHttp).await, Ok(vec![v4]));
        assert_eq!(guard(&["::1"]).resolve("LocalHost.", Demand::ForPlainHttp).await, Ok(vec![v6]));
        assert_eq!(guard(&["::1", "127.0.0.1"]).resolve("a.localhost", Demand::None).await, Ok(vec![v4, v6]));
        assert_eq!(guard(&[]).resolve("localhost", Demand::None).await, Err(TargetRefused::NotPublic(v4)));
    }

    #[test]
    fn own_addresses_are_refused_unless_they_are_listed() {
        let (own, other) = (IpAddr::from([8, 8, 4, 4]), IpAddr::from([8, 8, 8, 8]));
        let guard = |allow: &[&str]| Guard {
            allow: allow.iter().map(|text| text.parse().expect("network")).collect(),
            resolver: None,
            own: vec![own],
        };
        assert_eq!(guard(&[]).judge(own, Demand::None), Err(TargetRefused::Own(own)));
        assert_eq!(guard(&[]).judge(other, Demand::None), Ok(()));
        assert_eq!(guard(&["8.8.4.4"]).judge(own, Demand::None), Ok(()));
        assert!(is_of_machine(IpAddr::V4(Ipv4Addr::LOCALHOST)) && !is_of_machine(other));
    }
}
