//! The section `[relay]` and the tables `[egress.<name>]`: how mail leaves, read and checked.

use super::layers::nearest;
use super::{Config, HostName};
use anyhow::{Context, Result, bail, ensure};
use postfleet_core::id::WorkspaceId;
use postfleet_core::sending_addresses::SendingAddresses;
use postfleet_core::{Domain, Secret};
use postfleet_mailflow::{Egress, EgressSource, Relay, RelayTls, RouteSettings};
use postfleet_net::DnssecTrust;
use postfleet_wire::smtp::client::Login;
use serde::Deserialize;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use toml::{Table, Value};

/// Octets of a name and a password for the relay: what fits into one line of the protocol.
const LOGIN_OCTETS_MAX: usize = 255;

const EGRESS_KEYS: &[&str] = &["addresses", "helo", "domains", "workspaces"];

#[derive(Debug, Deserialize)]
pub struct RelaySection {
    pub host: String,
    pub port: u16,
    pub tls: RelayTlsWord,
    pub username: String,
    pub password: Secret<String>,
    pub auth_in_clear: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum RelayTlsWord {
    Opportunistic,
    Required,
    Implicit,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum DnssecWord {
    Loopback,
    Always,
    Never,
}

/// A table `[egress.<name>]`.
#[derive(Clone, Debug)]
pub struct EgressTable {
    source: EgressSource,
    domains: Vec<Domain>,
    workspaces: Vec<WorkspaceId>,
}

impl Config {
    /// Addresses of the installation, as far as it was told: from where its mail leaves, and behind which it is seen.
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        let leaving = self.egress.iter().flat_map(|table| table.source.addresses.iter());
        self.delivery.public_addresses.iter().chain(leaving).copied().collect()
    }

    /// The relay, if there is one.
    pub fn relay(&self) -> Result<Option<Relay>> {
        let section = &self.relay;
        if section.host.is_empty() {
            ensure!(section.username.is_empty(), "relay.username is set and relay.host is not");
            return Ok(None);
        }
        let is_name = Domain::parse(&section.host).is_ok() || section.host.parse::<IpAddr>().is_ok();
        ensure!(is_name, "relay.host: {:?} is neither a name nor an address", section.host);
        ensure!(section.port > 0, "relay.port must be from 1 to 65535");
        let tls = match section.tls {
            RelayTlsWord::Opportunistic => RelayTls::Opportunistic,
            RelayTlsWord::Required => RelayTls::Required,
            RelayTlsWord::Implicit => RelayTls::Implicit,
        };
        Ok(Some(Relay { host: section.host.clone(), port: section.port, tls, login: self.login()? }))
    }

    fn login(&self) -> Result<Option<Arc<Login>>> {
        let RelaySection { tls, username, password, auth_in_clear, .. } = &self.relay;
        if username.is_empty() {
            ensure!(password.expose().is_empty(), "relay.password is set and relay.username is not");
            return Ok(None);
        }
        ensure!(!password.expose().is_empty(), "relay.username is set and relay.password is not");
        for (key, text) in [("relay.username", username), ("relay.password", password.expose())] {
            let is_sayable = text.len() <= LOGIN_OCTETS_MAX && !text.contains('\0');
            ensure!(is_sayable, "{key} must have at most {LOGIN_OCTETS_MAX} octets and no NUL");
        }
        // Whoever stands in the way could take the password with a certificate of their own.
        ensure!(
            *tls != RelayTlsWord::Opportunistic || *auth_in_clear,
            "relay.username needs relay.tls = \"required\" or \"implicit\" (or, for a relay on this machine, \
             relay.auth_in_clear = true)"
        );
        let (username, password) = (username.clone(), password.clone());
        Ok(Some(Arc::new(Login { username, password, in_clear: *auth_in_clear })))
    }

    /// What else is set about routes.
    pub fn route_settings(&self) -> Result<RouteSettings> {
        let days = self.delivery.tls_report_days;
        ensure!((1..=3_650).contains(&days), "delivery.tls_report_days must be from 1 to 3650");
        let report_retention = Duration::from_secs(days * 86_400);
        Ok(RouteSettings { egress: self.egress()?, report_retention, ..RouteSettings::default() })
    }

    fn egress(&self) -> Result<Egress> {
        let default = &self.delivery.egress;
        let is_known = default.is_empty() || self.egress.iter().any(|table| table.source.name == *default);
        ensure!(is_known, "delivery.egress: there is no [egress.{default}]");
        let mut egress = Egress::default();
        let (mut domains, mut workspaces) = (HashSet::new(), HashSet::new());
        for table in &self.egress {
            let name = &table.source.name;
            for domain in &table.domains {
                ensure!(domains.insert(domain), "egress.{name}.domains: {domain} is in another [egress.<name>], too");
            }
            for workspace in &table.workspaces {
                let is_new = workspaces.insert(workspace);
                ensure!(is_new, "egress.{name}.workspaces: {workspace} is in another [egress.<name>], too");
            }
            egress.add(table.source.clone(), &table.domains, &table.workspaces, name == default);
        }
        Ok(egress)
    }

    /// From which addresses mail leaves, as far as that is known without asking.
    pub(super) fn sending_addresses(&self) -> SendingAddresses {
        let mut sending = SendingAddresses {
            told: self.delivery.public_addresses.clone(),
            host: self.relay.host.is_empty().then(|| self.server.hostname.0.clone()),
            ..SendingAddresses::default()
        };
        for EgressTable { source, domains, workspaces } in &self.egress {
            let addresses = || source.addresses.clone();
            if source.name == self.delivery.egress {
                sending.default = addresses();
            }
            sending.by_domain.extend(domains.iter().map(|domain| (domain.clone(), addresses())));
            sending.by_workspace.extend(workspaces.iter().map(|workspace| (*workspace, addresses())));
        }
        sending
    }

    /// When name servers are believed about signatures.
    pub fn dnssec_trust(&self) -> DnssecTrust {
        match self.delivery.dnssec {
            DnssecWord::Loopback => DnssecTrust::Loopback,
            DnssecWord::Always => DnssecTrust::Always,
            DnssecWord::Never => DnssecTrust::Never,
        }
    }
}

/// Reads the section `egress` of the file.
pub(super) fn read_egress(section: Value) -> Result<Vec<EgressTable>> {
    let Value::Table(tables) = section else { bail!("egress must be tables: [egress.<name>]") };
    let read = |(name, table): (&String, &Value)| {
        let Value::Table(table) = table else { bail!("egress.{name} must be a table: [egress.{name}]") };
        read_table(name, table)
    };
    tables.iter().map(read).collect()
}

fn read_table(name: &str, table: &Table) -> Result<EgressTable> {
    if let Some(key) = table.keys().find(|key| !EGRESS_KEYS.contains(&key.as_str())) {
        let known: Vec<String> = EGRESS_KEYS.iter().map(|known| (*known).to_owned()).collect();
        bail!("unknown key egress.{name}.{key}; did you mean egress.{name}.{}?", nearest(key, &known));
    }
    let list = |key: &str| list(table, key).with_context(|| format!("egress.{name}.{key}"));
    let addresses = list("addresses")?.iter().map(|text| text.parse()).collect::<Result<Vec<IpAddr>, _>>();
    let addresses = addresses.with_context(|| format!("egress.{name}.addresses"))?;
    let count = |is_v4: bool| addresses.iter().filter(|address| address.is_ipv4() == is_v4).count();
    ensure!(
        !addresses.is_empty() && count(true) <= 1 && count(false) <= 1,
        "egress.{name}.addresses must be one address, or one of IPv4 and one of IPv6"
    );
    let helo = table.get("helo").and_then(Value::as_str);
    let helo = helo.with_context(|| format!("egress.{name}.helo must be a name such as \"out.example.com\""))?;
    let helo = HostName::try_from(helo.to_owned()).map_err(|error| anyhow::anyhow!("egress.{name}.helo: {error}"))?.0;
    let domain = |text: &String| Domain::parse(text).with_context(|| format!("egress.{name}.domains: {text:?}"));
    let workspace = |text: &String| {
        text.parse::<WorkspaceId>().ok().with_context(|| format!("egress.{name}.workspaces: {text:?} is not an id"))
    };
    Ok(EgressTable {
        source: EgressSource { name: name.to_owned(), addresses, helo },
        domains: list("domains")?.iter().map(domain).collect::<Result<_>>()?,
        workspaces: list("workspaces")?.iter().map(workspace).collect::<Result<_>>()?,
    })
}

fn list(table: &Table, key: &str) -> Result<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("must be a list of texts");
    match table.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => values.iter().map(text).collect(),
        Some(_) => bail!("must be a list of texts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULT, layers};

    const WORKSPACE: &str = "0195f1d8-0000-7000-8000-000000000001";

    fn config(file: &str) -> Result<Config> {
        layers::merge(DEFAULT, file, &[], &[])
    }

    fn refusal(file: &str) -> String {
        let refused = config(file).and_then(|config| {
            config.relay()?;
            config.route_settings().map(drop)
        });
        format!("{:#}", refused.expect_err(file))
    }

    #[test]
    fn a_relay_with_and_without_a_login() {
        assert_eq!(config("").unwrap().relay().unwrap(), None);
        let plain = config("[relay]\nhost = \"smtp.example.com\"").unwrap().relay().unwrap().unwrap();
        let expected = Relay { port: 25, ..("smtp.example.com:25".parse().unwrap()) };
        assert_eq!(plain, expected);
        let file = "[relay]\nhost = \"2001:db8::1\"\nport = 465\ntls = \"implicit\"\nusername = \"ali\"\n\
            password = \"open sesame\"";
        let config = config(file).unwrap();
        let relay = config.relay().unwrap().unwrap();
        assert_eq!((relay.port, relay.tls), (465, RelayTls::Implicit));
        let login = relay.login.as_ref().unwrap();
        assert_eq!((login.username.as_str(), login.password.expose().as_str()), ("ali", "open sesame"));
        assert!(!login.in_clear);
        assert!(!format!("{config:?} {relay:?}").contains("sesame"));
    }

    #[test]
    fn a_login_needs_protection() {
        let login = |rest: &str| format!("[relay]\nhost = \"127.0.0.1\"\nusername = \"a\"\npassword = \"b\"\n{rest}");
        assert!(refusal(&login("")).contains("relay.username needs relay.tls"));
        assert!(config(&login("auth_in_clear = true")).unwrap().relay().unwrap().unwrap().login.unwrap().in_clear);
        assert!(config(&login("tls = \"required\"")).unwrap().relay().is_ok());
        for (file, says) in [
            ("[relay]\nusername = \"a\"", "relay.username is set and relay.host is not"),
            ("[relay]\nhost = \"a.test\"\nusername = \"a\"", "relay.password is not"),
            ("[relay]\nhost = \"a.test\"\npassword = \"a\"", "relay.username is not"),
            ("[relay]\nhost = \"a b\"", "relay.host"),
            ("[relay]\nhost = \"a.test\"\nport = 0", "relay.port"),
            ("[relay]\nhost = \"a.test\"\ntls = \"yes\"", "yes"),
        ] {
            assert!(refusal(file).contains(says), "{file}: {}", refusal(file));
        }
    }

    #[test]
    fn sources_are_read_and_chosen() {
        let file = format!(
            "[delivery]\negress = \"main\"\n[egress.main]\naddresses = [\"192.0.2.1\", \"2001:db8::1\"]\n\
             helo = \"Out.example.com\"\n[egress.news]\naddresses = [\"192.0.2.2\"]\nhelo = \"news.example.com\"\n\
             domains = [\"News.example.com\"]\nworkspaces = [\"{WORKSPACE}\"]"
        );
        let settings = config(&file).unwrap().route_settings().unwrap();
        let name = |domain: &str, workspace: Option<&str>| {
            let (domain, workspace) = (Domain::parse(domain).unwrap(), workspace.map(|id| id.parse().unwrap()));
            settings.egress.choose(Some(&domain), workspace).unwrap().name.clone()
        };
        assert_eq!(name("example.com", None), "main");
        assert_eq!(name("news.example.com", None), "news");
        assert_eq!(name("example.com", Some(WORKSPACE)), "news");
        assert!(config("").unwrap().route_settings().unwrap().egress.choose(None, None).is_none());
    }

    #[test]
    fn every_refusal_names_its_key() {
        let one = |rest: &str| format!("[egress.a]\naddresses = [\"192.0.2.1\"]\nhelo = \"a.test\"\n{rest}");
        for (file, says) in [
            ("egress = 5".to_owned(), "egress must be tables"),
            ("[egress]\na = 5".to_owned(), "egress.a must be a table"),
            (one("domain = []"), "unknown key egress.a.domain; did you mean egress.a.domains?"),
            (one("domains = [\"a b\"]"), "egress.a.domains: \"a b\""),
            (one("domains = 5"), "egress.a.domains: must be a list"),
            (one("workspaces = [\"x\"]"), "egress.a.workspaces: \"x\" is not an id"),
            ("[egress.a]\nhelo = \"a.test\"".to_owned(), "egress.a.addresses must be one address"),
            ("[egress.a]\naddresses = [\"x\"]\nhelo = \"a.test\"".to_owned(), "egress.a.addresses"),
            ("[egress.a]\naddresses = [\"192.0.2.1\", \"192.0.2.2\"]\nhelo = \"a.test\"".to_owned(), "one of IPv4"),
            ("[egress.a]\naddresses = [\"192.0.2.1\"]".to_owned(), "egress.a.helo must be a name"),
            ("[egress.a]\naddresses = [\"192.0.2.1\"]\nhelo = \"-\"".to_owned(), "egress.a.helo"),
            ("[delivery]\negress = \"b\"".to_owned(), "there is no [egress.b]"),
            (
                one("domains = [\"x.test\"]\n[egress.b]\naddresses = [\"192.0.2.2\"]\nhelo = \"b.test\"\n\
                     domains = [\"X.test\"]"),
                "x.test is in another",
            ),
            ("[delivery]\ntls_report_days = 0".to_owned(), "delivery.tls_report_days"),
            ("[delivery]\ndnssec = \"maybe\"".to_owned(), "maybe"),
        ] {
            assert!(refusal(&file).contains(says), "{file}: {}", refusal(&file));
        }
    }

    /// The example of the default configuration is a source, and both it and the document name every key.
    #[test]
    fn every_key_is_described() {
        let (_, example) = DEFAULT.split_once("# [egress.main]").unwrap();
        let lines = example.lines().map(|line| line.trim_start_matches(['#', ' ']));
        let keys: Vec<_> =
            lines.take_while(|line| !line.starts_with("Plans")).filter(|line| line.contains(" = ")).collect();
        config(&format!("[egress.main]\n{}", keys.join("\n"))).unwrap().route_settings().unwrap();
        let document = include_str!("../../../../docs/reference/configuration.md");
        for key in EGRESS_KEYS {
            assert!(keys.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key} is not in default.toml");
            assert!(document.contains(&format!("\n| `{key}` |")), "{key} is not in configuration.md");
        }
    }
}
