//! Configuration: the defaults, one TOML file, the environment, the command line, in that order. A key that nobody
//! reads is refused with the nearest one that somebody does.

mod bus;
mod dmarc_reports;
mod domains;
mod inbound;
mod layers;
mod loops;
mod plans;
mod recipients;
mod routes;
mod spam;
mod telemetry;

use anyhow::{Context, Result};
use loops::Loops;
use postfleet_api::{NotAnOrigin, Origins};
use postfleet_core::plan::Plans;
use postfleet_core::recovery::{Automatic, Rule};
use postfleet_core::{Domain, EmailAddress, return_path};
use postfleet_net::webhook_http::IpNetwork;
use routes::{DnssecWord, EgressTable, RelaySection};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use telemetry::TelemetrySection;
pub use telemetry::TelemetrySettings;

/// The commented defaults, as `postfleet config default` prints them.
pub const DEFAULT: &str = include_str!("default.toml");

/// Everything that can be set.
#[derive(Debug, Deserialize)]
pub struct Config {
    pub server: Server,
    pub storage: Storage,
    pub http: Http,
    pub smtp: Smtp,
    pub inbound: inbound::Inbound,
    pub submission: Submission,
    pub tls: Tls,
    pub sending: Sending,
    pub loops: Loops,
    pub delivery: Delivery,
    pub relay: RelaySection,
    pub webhooks: Webhooks,
    pub bus: bus::BusSection,
    pub domains: Domains,
    pub block_lists: BlockListSection,
    pub spam: SpamSection,
    pub rules: Rules,
    pub feedback: Feedback,
    pub dmarc_reports: DmarcReports,
    pub activity: Activity,
    pub recipients: Recipients,
    pub reputation: Reputation,
    pub recovery: Recovery,
    pub metrics: Metrics,
    pub telemetry: TelemetrySection,
    pub log: Log,
    /// The presets, and those of the tables `[plans.<name>]`.
    #[serde(skip, default = "Plans::presets")]
    pub plans: Plans,
    /// Those of the tables `[egress.<name>]`.
    #[serde(skip)]
    pub egress: Vec<EgressTable>,
}

#[derive(Debug, Deserialize)]
pub struct Server {
    pub hostname: HostName,
    pub node: String,
    pub roles: Vec<Role>,
    pub drain_seconds: u64,
    pub public_url: String,
}

#[derive(Debug, Deserialize)]
pub struct Storage {
    pub url: String,
    pub blobs: String,
    pub event_retention_days: u64,
    pub prune_every_minutes: u64,
}

#[derive(Debug, Deserialize)]
pub struct Http {
    pub listen: SocketAddr,
    pub trusted_proxies: Vec<String>,
    pub cors_origins: Vec<String>,
    pub connections: usize,
    pub waiting: usize,
    pub waiting_per_application: usize,
}

#[derive(Debug, Deserialize)]
pub struct Smtp {
    pub listen: SocketAddr,
    pub connections: usize,
    pub connections_per_address: usize,
    pub connections_per_minute: u32,
    pub messages_per_hour: u32,
    pub recipients_per_hour: u32,
    pub unknown_recipients_per_hour: u32,
    pub greeting_delay_ms: u64,
    pub tarpit_after: u32,
    pub tarpit_seconds: u64,
    pub tarpit_sessions: usize,
    pub trusted_networks: Vec<String>,
    pub proxy_protocol: Vec<String>,
    pub recipients: usize,
    pub transactions: u32,
    pub errors: u32,
    pub idle_seconds: u64,
    pub session_seconds: u64,
    pub buffered_bytes: usize,
}

#[derive(Debug, Deserialize)]
pub struct Submission {
    pub listen: Listen,
    pub tls_listen: Listen,
    pub failed_sign_ins: u32,
}

#[derive(Debug, Deserialize)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Deserialize)]
pub struct Sending {
    pub repeat_window_seconds: u64,
}

#[derive(Debug, Deserialize)]
pub struct Delivery {
    pub nameservers: Vec<SocketAddr>,
    pub dnssec: DnssecWord,
    pub egress: String,
    pub public_addresses: Vec<IpAddr>,
    pub tls_report_days: u64,
    pub mx_port: u16,
    pub concurrency: usize,
    pub destination_concurrency: u32,
    pub lease_seconds: u64,
    pub attempt_days: u64,
}

#[derive(Debug, Deserialize)]
pub struct Webhooks {
    pub allow: Vec<String>,
    pub source_addresses: Vec<IpAddr>,
    pub concurrency: usize,
    pub connections: usize,
    pub deadline_seconds: u64,
    pub notification_bytes: usize,
    pub notices_from: String,
    pub attempt_days: u64,
}

#[derive(Debug, Deserialize)]
pub struct Domains {
    pub trial: Vec<String>,
    pub mx_host: String,
    pub spf: String,
    pub feedback_label: String,
    pub required_to_send: Vec<String>,
    pub recheck_hours: u64,
    pub report_mailbox: String,
    pub report_days: u64,
}

#[derive(Debug, Deserialize)]
pub struct BlockListSection {
    pub address_zones: Vec<String>,
    pub domain_zones: Vec<String>,
    pub recheck_hours: u64,
}

#[derive(Debug, Deserialize)]
pub struct SpamSection {
    pub address_zones: Vec<String>,
    pub domain_zones: Vec<String>,
    pub list_deadline_ms: u64,
    pub rspamd_url: String,
    pub rspamd_mode: String,
    pub rspamd_deadline_ms: u64,
}

#[derive(Debug, Deserialize)]
pub struct Rules {
    pub evaluation_days: u64,
}

#[derive(Debug, Deserialize)]
pub struct Feedback {
    pub addresses: Vec<String>,
    pub report_days: u64,
}

#[derive(Debug, Deserialize)]
pub struct DmarcReports {
    pub from: String,
    pub organization: String,
    pub contact: String,
}

#[derive(Debug, Deserialize)]
pub struct Activity {
    pub days: u64,
}

#[derive(Debug, Deserialize)]
pub struct Recipients {
    pub disposable_domains: Vec<String>,
    pub hard_bounce_days: u64,
}

#[derive(Debug, Deserialize)]
pub struct Reputation {
    pub feedback_domains: Vec<String>,
    pub quarantine: bool,
    pub quarantine_percent: u64,
}

#[derive(Debug, Deserialize)]
pub struct Recovery {
    pub automatic: AutomaticWord,
    pub after_hours: u64,
}

/// What happens by itself.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AutomaticWord {
    Never,
    WhenChecked,
}

#[derive(Debug, Deserialize)]
pub struct Metrics {
    pub by_account: bool,
}

#[derive(Debug, Deserialize)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Pretty,
}

/// What a node does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Api,
    Mx,
    Submission,
    Deliver,
    Webhooks,
    Janitor,
}

/// A domain name in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct HostName(pub Domain);

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Domain::parse(&text).map(Self).map_err(|error| error.to_string())
    }
}

/// Where to listen, if anywhere: an empty text is nowhere.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen(pub Option<SocketAddr>);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let address = text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT"))?;
        Ok(Self(Some(address)))
    }
}

impl Config {
    /// Reads the file, if one is given, then the environment, then `overrides` (`section.key` and a TOML value).
    pub fn load(file: Option<&Path>, overrides: &[(&str, toml::Value)]) -> Result<Self> {
        let environment = std::env::vars().collect::<Vec<_>>();
        let text = match file {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?
            }
            None => String::new(),
        };
        let config = layers::merge(DEFAULT, &text, &environment, overrides)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        anyhow::ensure!(!self.server.roles.is_empty(), "server.roles must name at least one role");
        anyhow::ensure!(!self.server.node.is_empty(), "server.node must not be empty");
        let positive = [
            ("smtp.connections", self.smtp.connections),
            ("smtp.connections_per_address", self.smtp.connections_per_address),
            ("smtp.recipients", self.smtp.recipients),
            ("submission.failed_sign_ins", self.submission.failed_sign_ins as usize),
            ("delivery.concurrency", self.delivery.concurrency),
            ("webhooks.concurrency", self.webhooks.concurrency),
            ("webhooks.connections", self.webhooks.connections),
        ];
        for (key, value) in positive {
            anyhow::ensure!(value > 0, "{key} must be at least 1");
        }
        anyhow::ensure!(
            self.delivery.destination_concurrency > 0,
            "delivery.destination_concurrency must be at least 1"
        );
        let days = self.delivery.attempt_days;
        anyhow::ensure!((1..=3_650).contains(&days), "delivery.attempt_days must be from 1 to 3650");
        let window = self.sending.repeat_window_seconds;
        anyhow::ensure!(window <= 3_600, "sending.repeat_window_seconds must be from 0 to 3600");
        self.loops.check()?;
        let percent = self.reputation.quarantine_percent;
        anyhow::ensure!((10..=100).contains(&percent), "reputation.quarantine_percent must be from 10 to 100");
        let days = self.rules.evaluation_days;
        anyhow::ensure!((1..=3_650).contains(&days), "rules.evaluation_days must be from 1 to 3650");
        let days = self.feedback.report_days;
        // A return path that is still good must not be forgotten: what came by it would count again.
        let least = return_path::DAYS_MAX.unsigned_abs() + 1;
        anyhow::ensure!((least..=3_650).contains(&days), "feedback.report_days must be from {least} to 3650");
        let days = self.webhooks.attempt_days;
        anyhow::ensure!((1..=3_650).contains(&days), "webhooks.attempt_days must be from 1 to 3650");
        let days = self.storage.event_retention_days;
        anyhow::ensure!((1..=3_650).contains(&days), "storage.event_retention_days must be from 1 to 3650");
        let days = self.activity.days;
        anyhow::ensure!((1..=3_650).contains(&days), "activity.days must be from 1 to 3650");
        let days = self.recipients.hard_bounce_days;
        anyhow::ensure!(days <= 3_650, "recipients.hard_bounce_days must be from 0 to 3650");
        let hours = self.recovery.after_hours;
        anyhow::ensure!((1..=8_760).contains(&hours), "recovery.after_hours must be from 1 to 8760");
        let delay = self.smtp.greeting_delay_ms;
        anyhow::ensure!(delay <= 60_000, "smtp.greeting_delay_ms must be from 0 to 60000");
        let seconds = self.smtp.tarpit_seconds;
        anyhow::ensure!(seconds <= 60, "smtp.tarpit_seconds must be from 0 to 60");
        self.smtp.trusted_networks()?;
        self.smtp.proxies()?;
        self.authentication()?;
        self.feedback_addresses()?;
        self.dmarc_reports()?;
        self.relay()?;
        self.route_settings()?;
        self.domain_settings()?;
        self.public_url()?;
        self.disposable_domains()?;
        self.feedback_domains()?;
        self.trusted_proxies()?;
        self.origins()?;
        let Http { connections, waiting, waiting_per_application, .. } = self.http;
        anyhow::ensure!((2..=1_000_000).contains(&connections), "http.connections must be from 2 to 1000000");
        // Who waits must leave room for those who ask.
        anyhow::ensure!(waiting < connections, "http.waiting must be lower than http.connections");
        anyhow::ensure!(
            (1..=1_000_000).contains(&waiting_per_application),
            "http.waiting_per_application must be from 1 to 1000000"
        );
        self.webhooks_allow()?;
        self.webhook_notices_from()?;
        self.bus.check()?;
        self.telemetry_settings()?;
        Ok(())
    }

    /// The proxies that are believed.
    pub fn trusted_proxies(&self) -> Result<Vec<IpNetwork>> {
        networks("http.trusted_proxies", &self.http.trusted_proxies)
    }

    /// The places whose pages may ask the interface from a browser.
    pub fn origins(&self) -> Result<Origins> {
        Origins::parse(&self.http.cors_origins).map_err(|NotAnOrigin(text)| {
            anyhow::anyhow!(
                "http.cors_origins: {text:?} is not an origin such as \"https://console.example.com\", or \"*\""
            )
        })
    }

    /// The mailbox that tells people of webhooks that fail.
    pub fn webhook_notices_from(&self) -> Result<Option<EmailAddress>> {
        dmarc_reports::address("webhooks.notices_from", &self.webhooks.notices_from)
    }

    /// The networks that webhooks may be in although they are not public.
    pub fn webhooks_allow(&self) -> Result<Vec<IpNetwork>> {
        networks("webhooks.allow", &self.webhooks.allow)
    }

    /// Which pauses end without an operator.
    pub fn recovery_rule(&self) -> Rule {
        let automatic = match self.recovery.automatic {
            AutomaticWord::Never => Automatic::Never,
            AutomaticWord::WhenChecked => Automatic::WhenChecked,
        };
        Rule { automatic, after: Duration::from_secs(self.recovery.after_hours * 3_600) }
    }

    /// Where complaints are taken.
    pub fn feedback_addresses(&self) -> Result<Vec<EmailAddress>> {
        let parse = |text: &String| {
            EmailAddress::parse(text).map_err(|error| anyhow::anyhow!("feedback.addresses: {text:?}: {error}"))
        };
        self.feedback.addresses.iter().map(parse).collect()
    }
}

impl Smtp {
    /// The networks that are not limited by address.
    pub fn trusted_networks(&self) -> Result<Vec<IpNetwork>> {
        networks("smtp.trusted_networks", &self.trusted_networks)
    }

    /// The balancers that say whose connections they pass on.
    pub fn proxies(&self) -> Result<Vec<IpNetwork>> {
        networks("smtp.proxy_protocol", &self.proxy_protocol)
    }
}

/// The networks in the list under `key`.
fn networks(key: &str, texts: &[String]) -> Result<Vec<IpNetwork>> {
    let parse = |text: &String| text.parse().with_context(|| format!("{key}: {text:?} is not a network"));
    texts.iter().map(parse).collect()
}
