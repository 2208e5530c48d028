//! Where mail for a domain goes: to a mailbox here, to the relay, or to the domain's own servers (RFC 5321 §5.1), each
//! with how its connections are encrypted and where they come from.

use super::Message;
use super::protection::{self, Protection, Verdict};
use crate::platform::Platform;
use crate::routing::{EgressSource, Relay, RelayTls};
use postfleet_core::delivery::{AttemptResult, Reason};
use postfleet_core::mx::{self, MxOrder};
use postfleet_core::simulator;
use postfleet_core::{Domain, Problem};
use postfleet_net::mx_transport::{Source, Target, TlsRule};
use postfleet_net::{DnsError, MxAnswer, MxHost};
use postfleet_store::{grants, queue};
use std::net::{IpAddr, SocketAddr};

/// Servers of one destination that one attempt tries, and addresses of one of them.
const SERVERS_MAX: usize = 8;
const ADDRESSES_MAX: usize = 3;

/// Names of servers that are looked up before it is given up to find an address.
const HOSTS_MAX: usize = 16;

/// Where to.
pub(super) enum Route {
    /// The domain is ours.
    Here,
    /// It is only tried out, and leaves the server nowhere.
    Simulator,
    /// These, in this order; at least one.
    Servers(Vec<Server>),
    /// There is no way, and this is what follows for every recipient.
    Nowhere(AttemptResult),
}

/// A server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) target: Target,
    pub(super) protection: Protection,
}

pub(super) async fn find(platform: &Platform, message: &Message, domain: &Domain) -> Result<Route, Problem> {
    if simulator::is_simulator(domain) {
        return simulated(platform, message).await;
    }
    let bearing = queue::bearing(&mut platform.store.reader().await?, message.id, domain).await?;
    // What an operator says goes before everything else.
    if let Some(relay) = bearing.route.as_deref().and_then(|route| route.parse::<Relay>().ok()) {
        let egress = egress_of(platform, message).await?;
        return Ok(to_relay(platform, &relay, egress).await);
    }
    if bearing.is_ours {
        return Ok(Route::Here);
    }
    let egress = egress_of(platform, message).await?;
    match &platform.settings.relay {
        Some(relay) => Ok(to_relay(platform, relay, egress).await),
        None => to_servers_of(platform, domain, egress).await,
    }
}

/// The simulator answers sandbox applications alone. That it does not answer others counts against nobody.
async fn simulated(platform: &Platform, message: &Message) -> Result<Route, Problem> {
    if queue::is_of_sandbox(&mut platform.store.reader().await?, message.id).await? {
        return Ok(Route::Simulator);
    }
    let text = format!("{} answers sandbox applications alone", simulator::DOMAIN);
    Ok(Route::Nowhere(never("5.7.1", text)))
}

/// From where the message is sent; `None` if the system chooses.
async fn egress_of<'a>(platform: &'a Platform, message: &Message) -> Result<Option<&'a EgressSource>, Problem> {
    let egress = &platform.settings.routes.egress;
    if egress.is_one_for_all() {
        return Ok(egress.choose(None, None));
    }
    let sender = grants::sender(&mut platform.store.reader().await?, message.grant_id).await?;
    Ok(match &sender {
        Some((address, workspace)) => egress.choose(Some(address.domain()), *workspace),
        // The mailbox is gone, and what is left of it is where its mail comes from.
        None => egress.choose(Some(message.reverse_path.domain()), None),
    })
}

async fn to_relay(platform: &Platform, relay: &Relay, egress: Option<&EgressSource>) -> Route {
    let addresses = match platform.resolver.addresses(&relay.host).await {
        Ok(addresses) => addresses,
        Err(error) => return Route::Nowhere(later(format!("relay {} has no address: {error}", relay.host))),
    };
    let tls = match relay.tls {
        RelayTls::Opportunistic => TlsRule::Opportunistic,
        RelayTls::Required => TlsRule::Verified,
        RelayTls::Implicit => TlsRule::Implicit,
    };
    let reachable = reachable(addresses, egress);
    let server = |(ip, source)| {
        let address = SocketAddr::new(ip, relay.port);
        let target =
            Target { address, host_name: relay.host.clone(), tls: tls.clone(), source, login: relay.login.clone() };
        Server { target, protection: Protection::of_relay(&relay.host, tls.clone()) }
    };
    let servers: Vec<Server> = reachable.into_iter().take(SERVERS_MAX).map(server).collect();
    match (servers.is_empty(), egress) {
        (true, Some(egress)) => Route::Nowhere(other_family(&format!("relay {}", relay.host), egress)),
        _ => Route::Servers(servers),
    }
}

async fn to_servers_of(platform: &Platform, domain: &Domain, egress: Option<&EgressSource>) -> Result<Route, Problem> {
    let (records, is_authenticated) = match platform.resolver.mx_authenticated(domain).await {
        Ok((MxAnswer::Hosts(hosts), is_authenticated)) => (hosts, is_authenticated),
        Ok((MxAnswer::Null, _)) => {
            return Ok(Route::Nowhere(never("5.1.10", format!("{domain} accepts no mail (null MX)"))));
        }
        Ok((MxAnswer::NoSuchDomain, _)) | Err(DnsError::NotFound) => {
            return Ok(Route::Nowhere(never("5.1.2", format!("{domain} has no mail server"))));
        }
        Err(error) => return Ok(Route::Nowhere(later(format!("{domain}: {error}")))),
    };
    let hosts = match order(platform, records) {
        MxOrder::Hosts(hosts) => hosts,
        MxOrder::Loop => {
            let text = format!("mail for {domain} comes back to this server, which has no mailboxes there");
            return Ok(Route::Nowhere(never("5.4.6", text)));
        }
    };
    let mut search = Search { egress, servers: Vec::new(), refused: None, has_other_family: false };
    let policies = protection::Policies::of(platform, domain, is_authenticated).await?;
    for host in hosts.iter().take(HOSTS_MAX) {
        match policies.judge(platform, host).await {
            Verdict::Allowed(protection) => search.look_up(platform, host, &protection).await,
            Verdict::Refused(reason) => search.refused = Some(reason),
        }
        if search.servers.len() >= SERVERS_MAX {
            break;
        }
    }
    Ok(search.into_route(domain))
}

fn order(platform: &Platform, records: Vec<MxHost>) -> MxOrder {
    let records: Vec<(u16, Domain)> = records.into_iter().map(|record| (record.preference, record.host)).collect();
    let ours = [&platform.settings.hostname, &platform.settings.domains.mx_host];
    mx::order(&records, &ours, |below| platform.entropy.below(below))
}

/// What was found among the servers of a domain.
struct Search<'a> {
    egress: Option<&'a EgressSource>,
    servers: Vec<Server>,
    /// Why a policy does not let us use the last server that it did not allow.
    refused: Option<Reason>,
    has_other_family: bool,
}

impl Search<'_> {
    /// Adds the addresses of a server. One without an address just now is passed over; if all are, the message waits.
    async fn look_up(&mut self, platform: &Platform, host: &Domain, protection: &Protection) {
        let addresses = platform.resolver.addresses(host.as_str()).await.unwrap_or_default();
        let has_address = !addresses.is_empty();
        let reachable = reachable(addresses, self.egress);
        self.has_other_family |= has_address && reachable.is_empty();
        for (ip, source) in reachable.into_iter().take(ADDRESSES_MAX) {
            let address = SocketAddr::new(ip, platform.settings.mx_port);
            let target = Target { source, ..Target::new(address, host.as_str(), protection.rule.clone()) };
            self.servers.push(Server { target, protection: protection.clone() });
        }
    }

    fn into_route(mut self, domain: &Domain) -> Route {
        self.servers.truncate(SERVERS_MAX);
        if !self.servers.is_empty() {
            return Route::Servers(self.servers);
        }
        Route::Nowhere(match (self.refused, self.egress) {
            (Some(reason), _) => AttemptResult::Transient { reason, reached: false, ambiguous: false },
            (None, Some(egress)) if self.has_other_family => {
                other_family(&format!("no mail server of {domain}"), egress)
            }
            _ => later(format!("no mail server of {domain} has an address")),
        })
    }
}

/// The addresses that can be reached from the source, of both families in turn: where one family does not work, the
/// other one comes soon.
fn reachable(addresses: Vec<IpAddr>, egress: Option<&EgressSource>) -> Vec<(IpAddr, Option<Source>)> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    let (mut v4, mut v6) = (v4.into_iter(), v6.into_iter());
    let mut spread = Vec::new();
    loop {
        match (v4.next(), v6.next()) {
            (None, None) => break,
            (first, second) => spread.extend(first.into_iter().chain(second)),
        }
    }
    let from = |ip| match egress {
        None => Some((ip, None)),
        Some(egress) => egress.towards(ip).map(|source| (ip, Some(source))),
    };
    spread.into_iter().filter_map(from).collect()
}

fn other_family(what: &str, egress: &EgressSource) -> AttemptResult {
    later(format!("{what} has an address of the family that {} sends from", egress.name))
}

fn later(text: String) -> AttemptResult {
    let reason = Reason { code: 0, status: "4.4.3".into(), text };
    AttemptResult::Transient { reason, reached: false, ambiguous: false }
}

fn never(status: &str, text: String) -> AttemptResult {
    AttemptResult::Permanent { reason: Reason { code: 0, status: status.into(), text }, reached: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_tried_in_turn() {
        let addresses = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];
        let addresses = addresses.map(|text| text.parse().expect("address")).to_vec();
        let order: Vec<String> = reachable(addresses, None).iter().map(|(ip, _)| ip.to_string()).collect();
        assert_eq!(order, ["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]);
    }
}
