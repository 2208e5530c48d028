//! What the ways to other servers need besides the message: relays, addresses to send from, policies of other domains,
//! and the count of how encryption went.

mod egress;
pub mod reports;
pub mod sts;
mod tally;

pub use egress::{Egress, EgressSource};
pub(crate) use tally::{PolicyKind, PolicyRef, Receiver};

use postfleet_net::WebhookHttp;
use postfleet_wire::smtp::client::Login;
use std::sync::Arc;
use std::time::Duration;

/// Shared by everything that delivers on this node.
pub struct Routing {
    /// HTTP to the hosts that serve policies: public addresses over TLS alone.
    pub policies: WebhookHttp,
    fetches: sts::Fetches,
    pub(crate) tally: tally::Tally,
}

impl Routing {
    /// Routing whose policies are fetched so.
    pub fn new(policies: WebhookHttp) -> Self {
        Self { policies, fetches: sts::Fetches::default(), tally: tally::Tally::default() }
    }
}

/// What the operator has set about routes.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// From where mail is sent.
    pub egress: Egress,
    /// The port on which policies are served: 443 but for simulations.
    pub policy_port: u16,
    /// How long counts of encrypted connections are kept.
    pub report_retention: Duration,
}

impl Default for RouteSettings {
    fn default() -> Self {
        let report_retention = Duration::from_secs(30 * 86_400);
        Self { egress: Egress::default(), policy_port: 443, report_retention }
    }
}

/// A server to hand mail to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub tls: RelayTls,
    /// Who we are there, if it wants to know.
    pub login: Option<Arc<Login>>,
}

/// How the connection to a relay is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayTls {
    /// If the relay offers it; any certificate will do.
    Opportunistic,
    /// By STARTTLS, with a certificate that is verified.
    Required,
    /// From the first octet on, with a certificate that is verified.
    Implicit,
}

impl std::str::FromStr for Relay {
    type Err = String;

    /// Reads `host:port` or `[v6]:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().map_err(|_| wrong())?;
        let relay = || Self { host: host.to_owned(), port, tls: RelayTls::Opportunistic, login: None };
        if host.is_empty() { Err(wrong()) } else { Ok(relay()) }
    }
}
