//! Everything that the flows need from outside, put together once by the binary.

use crate::bus::BusSettings;
use crate::deliver::{Delivery, Pacing, Signers};
use crate::dmarc_reports::{DmarcReportSettings, Tally};
use crate::metrics::Metrics;
use crate::routing::{Relay, RouteSettings, Routing};
use crate::spam::{SpamMemory, SpamSettings};
use crate::stops::Gate;
use crate::submit::once::Underway;
use crate::wait::Hub;
use postfleet_bus::Bus;
use postfleet_core::authentication::DmarcEnforcement;
use postfleet_core::domain_records::DomainSettings;
use postfleet_core::exchange::LoopLimits;
use postfleet_core::recovery::Rule;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_fleet::addresses::Looker;
use postfleet_fleet::domains::Domains;
use postfleet_fleet::doorkeeper::Doorkeeper;
use postfleet_fleet::keys::KeyHasher;
use postfleet_fleet::recoveries::Desk;
use postfleet_fleet::requests::Requests;
use postfleet_fleet::sign_in;
use postfleet_mail::authentication::dkim::KeyCache;
use postfleet_mail::suspicion::Lexicon;
use postfleet_net::mx_transport::MxTransport;
use postfleet_net::webhook_http::IpNetwork;
use postfleet_net::{Clock, Entropy, Resolver, WebhookHttp};
use postfleet_store::Store;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What the flows are given. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// Where the truth is.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// DNS.
    pub resolver: Arc<dyn Resolver>,
    /// SMTP to other servers.
    pub transport: Arc<MxTransport>,
    /// What the ways to other servers need.
    pub routing: Arc<Routing>,
    /// The message bus, if there is one.
    pub bus: Option<Arc<dyn Bus>>,
    /// HTTP to webhooks.
    pub http: Arc<WebhookHttp>,
    /// How keys are hashed.
    pub keys: KeyHasher,
    /// Who remembers those that sign in with passwords.
    pub doorkeeper: Arc<Doorkeeper>,
    /// The way to the delivery role of this node, if it has one.
    pub handoff: Option<mpsc::Sender<Delivery>>,
    /// How much this node gives each destination at once.
    pub pacing: Arc<Pacing>,
    /// Loaded DKIM keys.
    pub signers: Arc<Signers>,
    /// The keys of those who sign, read before.
    pub key_cache: Arc<KeyCache>,
    /// The words by which instructions to the reader of a message are recognised.
    pub lexicon: Arc<Lexicon>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What this node knows of stops.
    pub stops: Arc<Gate>,
    /// Requests under an idempotency key that this node is carrying out.
    pub underway: Arc<Underway>,
    /// Those who wait for messages on this node.
    pub waiting: Arc<Hub>,
    /// Requests of the last second of those who have a rate.
    pub requests: Arc<Requests>,
    /// What this node remembers to tell spam.
    pub spam: Arc<SpamMemory>,
    /// What came in, as far as owners of domains are told of it.
    pub dmarc_tally: Arc<Tally>,
    /// What the operator has set.
    pub settings: Arc<Settings>,
}

impl Platform {
    /// What looking at addresses needs.
    pub fn addresses(&self) -> Looker<'_> {
        Looker {
            store: &self.store,
            clock: &*self.clock,
            resolver: &*self.resolver,
            disposable: &self.settings.disposable_domains,
        }
    }

    /// What signing in with a password needs.
    pub fn gate(&self) -> sign_in::Gate<'_> {
        sign_in::Gate { store: &self.store, doorkeeper: &self.doorkeeper, now: self.clock.now() }
    }

    /// What dealing with recoveries needs.
    pub fn recoveries(&self) -> Desk<'_> {
        Desk { store: &self.store, entropy: &*self.entropy, rule: self.settings.recovery_rule }
    }

    /// What dealing with domains needs.
    pub fn domains(&self) -> Domains<'_> {
        Domains {
            store: &self.store,
            clock: &*self.clock,
            entropy: &*self.entropy,
            resolver: &*self.resolver,
            settings: &self.settings.domains,
        }
    }
}

/// What the operator has set, as far as the flows are concerned.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name under which this server speaks SMTP.
    pub hostname: Domain,
    /// The name of this node among those that share a database. Leases carry it, so it must be its own.
    pub node: String,
    /// The server that takes all mail for other domains, instead of their own.
    pub relay: Option<Relay>,
    /// The port on which other servers listen: 25 but for simulations.
    pub mx_port: u16,
    /// What else concerns the ways to other servers.
    pub routes: RouteSettings,
    /// How long a queue row stays leased: longer than the longest attempt.
    pub lease: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
    /// How long it can be asked what was sent to a webhook, and what came back.
    pub webhook_attempt_retention: Duration,
    /// How often it is looked for mail whose time is over.
    pub prune_every: Duration,
    /// How long records of what rules said are kept.
    pub evaluation_retention: Duration,
    /// Where complaints are taken beside the return paths: the addresses that are registered with mailbox providers.
    pub feedback_addresses: Vec<EmailAddress>,
    /// How long records of what came back are kept.
    pub feedback_retention: Duration,
    /// How long reports of other servers about domains are kept.
    pub domain_report_retention: Duration,
    /// How long it is kept what became of each recipient of what was sent.
    pub activity_retention: Duration,
    /// How long what was tried with a message is kept.
    pub attempt_retention: Duration,
    /// For how long a mailbox does not send the same message again unless it is meant; zero: it always does.
    pub repeat_window: Duration,
    /// What machines may say to each other.
    pub loops: LoopLimits,
    /// For how long nothing is sent to whom a server said is not there; for ever if absent.
    pub hard_bounce_suppression: Option<Duration>,
    /// The domains whose complaints count, since they are known to report them; all if there are none.
    pub feedback_domains: Vec<Domain>,
    /// Which pauses end without an operator.
    pub recovery_rule: Rule,
    /// How long a webhook has to answer.
    pub webhook_deadline: Duration,
    /// Webhook requests under way at once, for one webhook.
    pub webhook_concurrency: usize,
    /// Webhook requests under way at once on this node, for all webhooks and alerts together.
    pub webhook_connections: usize,
    /// The largest notification; above it the body is left out.
    pub notification_octets_max: usize,
    /// Proxies before the interface that are believed when they say where a request comes from.
    pub trusted_proxies: Vec<IpNetwork>,
    /// The mailbox that tells people of webhooks that fail; nobody is told without.
    pub webhook_notices_from: Option<EmailAddress>,
    /// From where webhooks are called, for the firewalls of their receivers.
    pub webhook_sources: Vec<IpAddr>,
    /// How far it is believed who sent a message, and what follows.
    pub authentication: AuthenticationSettings,
    /// What concerns domains.
    pub domains: DomainSettings,
    /// Where others reach the interface: `https://host` without a slash at the end. Without it no links to it are made.
    pub public_url: Option<String>,
    /// Domains that give addresses for a few minutes, besides those that the product knows.
    pub disposable_domains: Vec<Domain>,
    /// What concerns spam.
    pub spam: SpamSettings,
    /// What concerns the message bus.
    pub bus: BusSettings,
    /// As whom owners of domains are told of mail in their names; nobody is if absent.
    pub dmarc_reports: Option<DmarcReportSettings>,
    /// When all this was read.
    pub read_at: UnixMicros,
}

/// How far it is believed who sent a message, and what follows.
#[derive(Clone, Debug, Default)]
pub struct AuthenticationSettings {
    /// How far the wishes of owners of domains are followed for mail that fails DMARC.
    pub dmarc: DmarcEnforcement,
    /// Who is believed when they say that a message passed before they forwarded it (`d=` of their seals).
    pub trusted_arc_sealers: Vec<Domain>,
}

impl Settings {
    /// Whether complaints from the domain count, and what is sent there with them.
    pub(crate) fn sends_feedback(&self, domain: &Domain) -> bool {
        self.feedback_domains.is_empty() || self.feedback_domains.contains(domain)
    }

    /// When whoever is found not to be there now may be written to again; `None` for never.
    pub(crate) fn suppressed_until(&self, now: UnixMicros) -> Option<UnixMicros> {
        self.hard_bounce_suppression.map(|time| now.plus(time))
    }
}
