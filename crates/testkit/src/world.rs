//! A whole platform for tests: a store in a temporary folder, a clock that stands still until it is moved, chance that
//! repeats from a seed, names from a table. Only sockets on loopback are real. Behind the feature `world`, because the
//! crates below the flows use the rest of this crate and must not wait for them.

use crate::bus::SimulatedBus;
use opentelemetry::global;
use postfleet_bus::Bus;
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::domain_records::DomainSettings;
use postfleet_core::exchange::LoopLimits;
use postfleet_core::id::{ApplicationId, AuditId, DomainId, OrganizationId, PolicyId, WorkspaceId};
use postfleet_core::plan::{Plans, PolicyLimits};
use postfleet_core::recovery::Rule;
use postfleet_core::{Domain, EmailAddress, Problem, ReversePath, Secret, UnixMicros};
use postfleet_fleet::doorkeeper::Doorkeeper;
use postfleet_fleet::grants;
use postfleet_fleet::keys::{self, KeyHasher, KeyKind};
use postfleet_mail::dkim;
use postfleet_mail::suspicion::Lexicon;
use postfleet_mail::trace::Protocol;
use postfleet_mailflow::bus::BusSettings;
use postfleet_mailflow::deliver::{self, Pacing, Signers};
use postfleet_mailflow::dmarc_reports::DmarcReportSettings;
use postfleet_mailflow::receive::{self, Arrival};
use postfleet_mailflow::spam::{SpamMemory, SpamSettings};
use postfleet_mailflow::{AuthenticationSettings, Egress, Metrics, Platform, Relay, RouteSettings, Routing, Settings};
use postfleet_net::mx_transport::{MxTransport, MxTransportConfig};
use postfleet_net::webhook_http::{IpNetwork, WebhookHttpOptions};
use postfleet_net::{CertificateDer, Resolver, SeededEntropy, SimulatedClock, StaticResolver, WebhookHttp};
use postfleet_schema::grant::{CreateGrant, CreateGrantSettings};
use postfleet_store::domains::{DkimKey, NewDomain};
use postfleet_store::grants::{Grant, Origin};
use postfleet_store::keys::NewKey;
use postfleet_store::organizations::{CreateOrganization, OrganizationOutcome};
use postfleet_store::policies::Policy;
use postfleet_store::{Location, Store};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tempfile::TempDir;

/// When every world begins: 2026-03-02, 10:00 UTC, a Monday.
pub const BEGINNING: UnixMicros = UnixMicros::from_seconds(1_772_445_600);

/// How long a socket on loopback may take to answer. Only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A platform and what moves it. Its folder is removed when it is dropped.
pub struct World {
    /// The flows.
    pub platform: Platform,
    /// The time, which passes only when it is told to.
    pub clock: SimulatedClock,
    folder: TempDir,
}

/// What may differ from world to world.
pub struct WorldOptions {
    /// The DNS. By default every domain lives on 127.0.0.1.
    pub resolver: StaticResolver,
    /// The port on which other servers receive.
    pub mx_port: u16,
    /// The server that takes all mail for other domains.
    pub relay: Option<Relay>,
    /// From where mail is sent.
    pub egress: Egress,
    /// Authorities that are trusted besides the public ones, by mail and by fetches of policies.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The port on which other domains serve their policies, on loopback.
    pub policy_port: u16,
    /// Networks that webhooks may be in although they are not public.
    pub webhooks_allow: Vec<IpNetwork>,
    /// The largest notification.
    pub notification_octets_max: usize,
    /// Domains below which organizations may take names.
    pub trial_domains: Vec<Domain>,
    /// How far it is believed who sent a message, and what follows.
    pub authentication: AuthenticationSettings,
    /// Where others reach the interface.
    pub public_url: Option<String>,
    /// For how long the same message is not sent again; zero by default, since tests send the same all the time.
    pub repeat_window: Duration,
    /// What machines may say to each other.
    pub loops: LoopLimits,
    /// For how long nothing is sent to whom a server said is not there; for ever if absent.
    pub hard_bounce_suppression: Option<Duration>,
    /// The domains whose complaints count; all if there are none.
    pub feedback_domains: Vec<Domain>,
    /// Which pauses end without an operator.
    pub recovery_rule: Rule,
    /// The plans of the installation.
    pub plans: Plans,
    /// What concerns spam.
    pub spam: SpamSettings,
    /// As whom owners of domains are told of mail in their names; nobody is by default.
    pub dmarc_reports: Option<DmarcReportSettings>,
    /// The mailbox that tells people of webhooks that fail; none by default.
    pub webhook_notices_from: Option<EmailAddress>,
    /// The message bus; none by default.
    pub bus: Option<SimulatedBus>,
    /// Where chance starts.
    pub seed: u64,
    /// The store's database; a SQLite file in the world's folder if absent.
    pub database: Option<Location>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            resolver: StaticResolver::everything_at(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            // Nobody listens there, and nobody without privileges can.
            mx_port: 1,
            relay: None,
            egress: Egress::default(),
            extra_roots: Vec::new(),
            policy_port: 1,
            webhooks_allow: vec!["127.0.0.0/8".parse().expect("network")],
            notification_octets_max: 1 << 20,
            trial_domains: Vec::new(),
            authentication: AuthenticationSettings::default(),
            public_url: Some("https://mail.world.test".to_owned()),
            repeat_window: Duration::ZERO,
            loops: LoopLimits::default(),
            hard_bounce_suppression: None,
            feedback_domains: Vec::new(),
            recovery_rule: Rule::default(),
            plans: Plans::presets(),
            spam: SpamSettings::default(),
            dmarc_reports: None,
            webhook_notices_from: None,
            bus: None,
            seed: 1,
            database: None,
        }
    }
}

/// An organization with one application.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The application.
    pub application_id: ApplicationId,
    /// Its default workspace.
    pub workspace_id: WorkspaceId,
    /// Its domain.
    pub domain: Domain,
    /// The application's key.
    pub api_key: String,
    /// The operator's key.
    pub operator_key: String,
}

/// What an organization is to be like.
#[derive(Clone, Copy, Debug)]
pub struct NewTenant {
    /// Its domain, which is also its name.
    pub domain: &'static str,
    /// Whether the domain is verified; if it is not, it receives all the same and does not send.
    pub is_verified: bool,
    /// The name of its plan.
    pub plan: &'static str,
    /// The environment of its application.
    pub environment: &'static str,
    /// Sends a day that its policy allows.
    pub daily_sends_max: Option<u64>,
    /// What its two keys may do.
    pub permissions: &'static [&'static str],
    /// Whether its operator may also do what concerns all organizations.
    pub is_installation: bool,
}

impl NewTenant {
    /// A self-hosted one with a verified domain, no policy, and keys that may do everything.
    pub fn of(domain: &'static str) -> Self {
        let (plan, permissions) = ("self_hosted", ["*"].as_slice());
        Self {
            domain,
            is_verified: true,
            plan,
            environment: "sandbox",
            daily_sends_max: None,
            permissions,
            is_installation: true,
        }
    }
}

impl World {
    /// An ordinary world.
    pub async fn new() -> Self {
        Self::with(WorldOptions::default()).await
    }

    /// A world of its own kind.
    pub async fn with(options: WorldOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = SimulatedClock::stopped_at(BEGINNING);
        let file = folder.path().join("postfleet.db");
        let database = options.database.clone().unwrap_or(Location::Sqlite(file));
        let store = Store::open(database, folder.path().join("blobs"), options.plans.clone()).await.expect("store");
        let resolver: Arc<dyn Resolver> = Arc::new(options.resolver.clone());
        let policies = WebhookHttpOptions {
            allow: vec!["127.0.0.0/8".parse().expect("network")],
            extra_roots: options.extra_roots.clone(),
            resolver: Some(resolver.clone()),
            own: Vec::new(),
        };
        let http = WebhookHttpOptions { allow: options.webhooks_allow.clone(), ..WebhookHttpOptions::default() };
        let platform = Platform {
            store,
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::new(options.seed)),
            transport: Arc::new(transport(&options.extra_roots)),
            routing: Arc::new(Routing::new(WebhookHttp::with_options(policies))),
            bus: options.bus.clone().map(|bus| Arc::new(bus) as Arc<dyn Bus>),
            http: Arc::new(WebhookHttp::with_options(http)),
            keys: KeyHasher::new([7; 32]),
            doorkeeper: Arc::new(Doorkeeper::new(&SeededEntropy::new(options.seed))),
            handoff: None,
            pacing: Pacing::new(64, 20),
            signers: Arc::new(Signers::default()),
            key_cache: Arc::default(),
            // Counted by nobody.
            lexicon: Arc::new(Lexicon::new()),
            metrics: Arc::new(Metrics::new(&global::meter("world"))),
            stops: Arc::default(),
            underway: Arc::default(),
            waiting: Arc::default(),
            requests: Arc::default(),
            spam: Arc::new(SpamMemory::new(&KeyHasher::new([7; 32]))),
            dmarc_tally: Arc::default(),
            settings: Arc::new(settings(&options)),
            resolver,
        };
        Self { platform, clock, folder }
    }

    /// The data directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets time pass.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Makes an organization. Its signing keys are the same in every world of a test process: making them is slow.
    pub async fn tenant(&self, new: NewTenant) -> Tenant {
        let platform = &self.platform;
        let (now, entropy) = (platform.clock.now(), &*platform.entropy);
        let tenant = Tenant {
            organization_id: OrganizationId::new(now, entropy.ten()),
            application_id: ApplicationId::new(now, entropy.ten()),
            workspace_id: WorkspaceId::new(now, entropy.ten()),
            domain: Domain::parse(new.domain).expect("domain"),
            api_key: keys::generate(KeyKind::Test, entropy).expose().clone(),
            operator_key: keys::generate(KeyKind::Operator, entropy).expose().clone(),
        };
        let key = |name, application: Option<ApplicationId>, key: &str| NewKey {
            is_installation: application.is_none() && new.is_installation,
            permissions: new.permissions.iter().map(|&permission| permission.to_owned()).collect(),
            ..keys::unlimited(&platform.keys, entropy, now, name, application, &Secret::new(key.to_owned()))
        };
        let policy = |limit| {
            let limits = PolicyLimits { daily_sends_max: Some(limit), ..PolicyLimits::default() };
            Policy::new(PolicyId::new(now, entropy.ten()), tenant.application_id, "Default", limits, now)
        };
        let command = CreateOrganization {
            id: tenant.organization_id,
            name: new.domain.to_owned(),
            plan: new.plan.to_owned(),
            application_id: tenant.application_id,
            environment: new.environment.to_owned(),
            workspace_id: tenant.workspace_id,
            policy: new.daily_sends_max.map(policy),
            keys: vec![
                key("first key", Some(tenant.application_id), &tenant.api_key),
                key("operator", None, &tenant.operator_key),
            ],
            domains: vec![NewDomain {
                is_trusted: new.is_verified,
                is_owned: true,
                dkim_keys: signing_keys().to_vec(),
                ..NewDomain::trusted(DomainId::new(now, entropy.ten()), tenant.domain.clone())
            }],
            at: now,
            act: Act::of_command_line(AuditId::new(now, entropy.ten()), tenant.organization_id, now),
        };
        let outcome = platform.store.run(command).await.expect("organization");
        assert_eq!(outcome, OrganizationOutcome::Created);
        tenant
    }

    /// Makes a mailbox `name` at the tenant's domain.
    pub async fn mailbox(&self, tenant: &Tenant, name: &str) -> Grant {
        let request = CreateGrant {
            provider: "nylas".to_owned(),
            name: Some(format!("{name} agent")),
            settings: CreateGrantSettings { email: format!("{name}@{}", tenant.domain), ..Default::default() },
            ..Default::default()
        };
        let (store, entropy) = (&self.platform.store, &*self.platform.entropy);
        let (act, origin) = (self.act(tenant), Origin::default());
        let made = grants::provision(store, entropy, act, origin, tenant.application_id, &request).await;
        made.expect("mailbox")
    }

    /// A change that the product makes by itself to a tenant's application.
    pub fn act(&self, tenant: &Tenant) -> Act {
        let at = self.platform.clock.now();
        Act {
            record_id: AuditId::new(at, self.platform.entropy.ten()),
            actor: Actor { kind: ActorKind::System, id: String::new(), name: "world".to_owned() },
            organization_id: tenant.organization_id,
            application_id: Some(tenant.application_id),
            request_id: String::new(),
            at,
        }
    }

    /// Offers a message to a mailbox, as the SMTP listener would; from nobody if `from` is empty. `Ok` is our reference
    /// for it.
    pub async fn receive(&self, from: &str, to: &str, message: impl Into<Vec<u8>>) -> Result<String, Problem> {
        let arrival = Arrival {
            reverse_path: match from {
                "" => ReversePath::Null,
                from => ReversePath::Mailbox(EmailAddress::parse(from).expect("address")),
            },
            recipients: vec![EmailAddress::parse(to).expect("address")],
            helo: "mx.sender.test".to_owned(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            protocol: Protocol { is_extended: true, ..Protocol::default() },
            message: message.into(),
        };
        receive::receive(&self.platform, arrival).await
    }

    /// Attempts everything that is due now; answers how many messages that were.
    pub async fn deliver_due(&self) -> usize {
        let deliveries = deliver::claim(&self.platform, 100).await.expect("claim");
        let count = deliveries.len();
        for delivery in deliveries {
            deliver::attempt(&self.platform, delivery).await.expect("attempt");
        }
        count
    }
}

fn transport(extra_roots: &[CertificateDer<'static>]) -> MxTransport {
    let mut config = MxTransportConfig::new("mx.world.test");
    (config.connect_timeout, config.command_timeout, config.data_timeout) = (PATIENCE, PATIENCE, PATIENCE);
    MxTransport::new(config, extra_roots)
}

fn settings(options: &WorldOptions) -> Settings {
    Settings {
        hostname: Domain::parse("mx.world.test").expect("domain"),
        node: "node-1".to_owned(),
        relay: options.relay.clone(),
        mx_port: options.mx_port,
        routes: RouteSettings {
            egress: options.egress.clone(),
            policy_port: options.policy_port,
            ..RouteSettings::default()
        },
        lease: Duration::from_secs(1_800),
        event_retention: Duration::from_secs(7 * 86_400),
        webhook_attempt_retention: Duration::from_secs(7 * 86_400),
        prune_every: Duration::from_secs(3_600),
        evaluation_retention: Duration::from_secs(30 * 86_400),
        feedback_addresses: vec![EmailAddress::parse("complaints@mx.world.test").expect("address")],
        feedback_retention: Duration::from_secs(90 * 86_400),
        domain_report_retention: Duration::from_secs(90 * 86_400),
        activity_retention: Duration::from_secs(90 * 86_400),
        attempt_retention: Duration::from_secs(30 * 86_400),
        repeat_window: options.repeat_window,
        loops: options.loops,
        hard_bounce_suppression: options.hard_bounce_suppression,
        feedback_domains: options.feedback_domains.clone(),
        recovery_rule: options.recovery_rule,
        webhook_deadline: PATIENCE,
        webhook_concurrency: 8,
        webhook_connections: 1_024,
        notification_octets_max: options.notification_octets_max,
        trusted_proxies: vec!["203.0.113.1".parse().expect("network")],
        webhook_notices_from: options.webhook_notices_from.clone(),
        webhook_sources: vec!["192.0.2.7".parse().expect("address"), "2001:db8::7".parse().expect("address")],
        authentication: options.authentication.clone(),
        domains: DomainSettings {
            trial: options.trial_domains.clone(),
            ..DomainSettings::of(&Domain::parse("mx.world.test").expect("domain"))
        },
        public_url: options.public_url.clone(),
        disposable_domains: vec![Domain::parse("throwaway.test").expect("domain")],
        spam: options.spam.clone(),
        bus: BusSettings::default(),
        dmarc_reports: options.dmarc_reports.clone(),
        read_at: BEGINNING,
    }
}

fn signing_keys() -> &'static [DkimKey] {
    static KEYS: OnceLock<Vec<DkimKey>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let make = |algorithm: dkim::Algorithm, selector: &str| {
            let key = dkim::generate(algorithm).expect("signing key");
            DkimKey {
                selector: selector.to_owned(),
                algorithm: algorithm.name().to_owned(),
                private_key: key.pkcs8,
                public_record: key.public_dns,
            }
        };
        vec![make(dkim::Algorithm::RsaSha256, "rsa"), make(dkim::Algorithm::Ed25519Sha256, "ed")]
    })
}
