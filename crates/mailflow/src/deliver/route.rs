//! Where mail for a domain goes: to a mailbox here, to the relay, or to the domain's own servers (RFC 5321 §5.1).

use crate::platform::{Platform, Relay};
use postfleet_core::delivery::{AttemptResult, Reason};
use postfleet_core::id::MessageId;
use postfleet_core::{Domain, Problem};
use postfleet_net::{DnsError, MxAnswer};
use postfleet_store::queue;
use std::net::SocketAddr;

/// Servers of one destination that one attempt tries.
const SERVERS_MAX: usize = 5;

/// Where to.
pub(super) enum Route {
    /// The domain is ours.
    Here,
    /// These, in this order.
    Servers(Vec<Server>),
    /// There is no way, and this is what follows for every recipient.
    Nowhere(AttemptResult),
}

/// A server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) address: SocketAddr,
}

pub(super) async fn find(platform: &Platform, message: MessageId, domain: &Domain) -> Result<Route, Problem> {
    let bearing = queue::bearing(&mut platform.store.reader().await?, message, domain).await?;
    // What an operator says goes before everything else.
    if let Some(route) = bearing.route.as_deref().and_then(|route| route.parse::<Relay>().ok()) {
        return Ok(to_relay(platform, &route).await);
    }
    if bearing.is_ours {
        return Ok(Route::Here);
    }
    Ok(match &platform.settings.relay {
        Some(relay) => to_relay(platform, relay).await,
        None => to_servers_of(platform, domain).await,
    })
}

async fn to_relay(platform: &Platform, relay: &Relay) -> Route {
    match platform.resolver.addresses(&relay.host).await {
        Ok(addresses) => {
            let server = |ip| Server { name: relay.host.clone(), address: SocketAddr::new(ip, relay.port) };
            Route::Servers(addresses.into_iter().take(SERVERS_MAX).map(server).collect())
        }
        Err(error) => Route::Nowhere(later(format!("relay {} has no address: {error}", relay.host))),
    }
}

async fn to_servers_of(platform: &Platform, domain: &Domain) -> Route {
    let hosts = match platform.resolver.mx(domain).await {
        Ok(MxAnswer::Hosts(hosts)) => hosts,
        Ok(MxAnswer::Null) => return Route::Nowhere(never("5.1.10", format!("{domain} accepts no mail (null MX)"))),
        Ok(MxAnswer::NoSuchDomain) | Err(DnsError::NotFound) => {
            return Route::Nowhere(never("5.1.2", format!("{domain} has no mail server")));
        }
        Err(error) => return Route::Nowhere(later(format!("{domain}: {error}"))),
    };
    let mut servers = Vec::new();
    for host in hosts {
        let name = host.host.to_string();
        // A server without an address just now is passed over; if all are, the message waits.
        for ip in platform.resolver.addresses(&name).await.unwrap_or_default() {
            servers.push(Server { name: name.clone(), address: SocketAddr::new(ip, platform.settings.mx_port) });
        }
        if servers.len() >= SERVERS_MAX {
            break;
        }
    }
    if servers.is_empty() {
        return Route::Nowhere(later(format!("no mail server of {domain} has an address")));
    }
    servers.truncate(SERVERS_MAX);
    Route::Servers(servers)
}

fn later(text: String) -> AttemptResult {
    let reason = Reason { code: 0, status: "4.4.3".into(), text };
    AttemptResult::Transient { reason, reached: false, ambiguous: false }
}

fn never(status: &str, text: String) -> AttemptResult {
    AttemptResult::Permanent { reason: Reason { code: 0, status: status.into(), text }, reached: false }
}
