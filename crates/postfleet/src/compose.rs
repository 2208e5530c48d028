//! The composition root: from configuration to a platform. The only place that knows which engine runs and which
//! world is outside.

use crate::config::Config;
use anyhow::{Context, Result};
use postfleet_bus::{Bus, Nats};
use postfleet_core::UnixMicros;
use postfleet_fleet::doorkeeper::Doorkeeper;
use postfleet_fleet::keys::KeyHasher;
use postfleet_mail::suspicion::Lexicon;
use postfleet_mailflow::deliver::{Pacing, Signers};
use postfleet_mailflow::spam::SpamMemory;
use postfleet_mailflow::wait::Hub;
use postfleet_mailflow::{Metrics, Platform, Routing, Settings};
use postfleet_net::mx_transport::{MxTransport, MxTransportConfig};
use postfleet_net::webhook_http::WebhookHttpOptions;
use postfleet_net::{Clock, Entropy, Resolver, SystemClock, SystemEntropy, SystemResolver, TlsIdentity, WebhookHttp};
use postfleet_store::{Location, Store};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A data directory that this process alone works in.
pub struct DataDir {
    path: PathBuf,
    // The lock lasts as long as the file is open.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and locks it.
    pub fn open(path: &Path) -> Result<Self> {
        let mut builder = DirBuilder::new();
        // Mail, signing keys and secrets are in it: for us alone.
        builder.recursive(true).mode(0o700);
        builder.create(path).with_context(|| format!("failed to make {}", path.display()))?;
        let lock = OpenOptions::new().create(true).append(true).open(path.join("lock"))?;
        lock.try_lock().with_context(|| format!("{} is in use by another postfleet", path.display()))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What is outside: the real world, or a simulated one.
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// DNS; `None` asks the configured servers.
    pub resolver: Option<Arc<dyn Resolver>>,
}

impl World {
    /// The real one.
    pub fn real() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy), resolver: None }
    }
}

/// Opens the store that the configuration names.
pub async fn store(config: &Config, data: &DataDir) -> Result<Store> {
    let url = match config.storage.url.as_str() {
        "" => format!("sqlite:{}", data.path().join("postfleet.db").display()),
        url => url.to_owned(),
    };
    let blobs = match config.storage.blobs.as_str() {
        "" => data.path().join("blobs"),
        text => text.strip_prefix("file:").context("storage.blobs must start with \"file:\"")?.into(),
    };
    let store = Store::open(Location::parse(&url)?, blobs, config.plans.clone()).await?;
    let reputation = &config.reputation;
    store.quarantine_at(reputation.quarantine.then_some(reputation.quarantine_percent));
    Ok(store)
}

/// The secret of the installation, made at first start. Nodes that share a database must share it.
pub fn secret(data: &DataDir, entropy: &dyn Entropy) -> Result<KeyHasher> {
    let path = data.path().join("secret");
    let mut secret = [0; 32];
    match File::open(&path) {
        Ok(mut file) => file.read_exact(&mut secret).with_context(|| format!("{} is too short", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            entropy.fill(&mut secret);
            write_secret(data.path(), &path, &secret).with_context(|| format!("failed to write {}", path.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
    Ok(KeyHasher::new(secret))
}

/// Readable by us alone, whole or not at all, and on stable storage before any key is hashed with it.
fn write_secret(folder: &Path, path: &Path, secret: &[u8]) -> std::io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(secret)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    File::open(folder)?.sync_all()
}

/// Puts the platform together.
pub async fn platform(config: &Config, data: &DataDir, world: World, metrics: Arc<Metrics>) -> Result<Platform> {
    let resolver = match world.resolver {
        Some(resolver) => resolver,
        None => resolver(config)?,
    };
    let own = config.own_addresses();
    let options = WebhookHttpOptions { allow: config.webhooks_allow()?, own, ..WebhookHttpOptions::default() };
    // Public addresses alone, whatever webhooks may reach: who serves a policy is chosen by whoever mail goes to.
    let policies = WebhookHttpOptions { resolver: Some(resolver.clone()), ..WebhookHttpOptions::default() };
    let settings = settings(config, world.clock.now())?;
    let keys = secret(data, &*world.entropy)?;
    Ok(Platform {
        store: store(config, data).await?,
        spam: Arc::new(SpamMemory::new(&keys)),
        dmarc_tally: Arc::default(),
        keys,
        doorkeeper: Arc::new(Doorkeeper::new(&*world.entropy)),
        clock: world.clock,
        entropy: world.entropy,
        resolver,
        transport: Arc::new(transport(config)),
        routing: Arc::new(Routing::new(WebhookHttp::with_options(policies))),
        bus: bus(config).await?,
        http: Arc::new(WebhookHttp::with_options(options)),
        handoff: None,
        pacing: Pacing::new(config.delivery.concurrency, config.delivery.destination_concurrency),
        signers: Arc::new(Signers::default()),
        stops: Arc::default(),
        underway: Arc::default(),
        waiting: Arc::new(Hub::new(config.http.waiting, config.http.waiting_per_application)),
        requests: Arc::default(),
        key_cache: Arc::default(),
        lexicon: Arc::new(Lexicon::new()),
        metrics,
        settings: Arc::new(settings),
    })
}

/// The message bus. It is reached in the background: the start does not wait for it.
async fn bus(config: &Config) -> Result<Option<Arc<dyn Bus>>> {
    let Some(options) = config.bus.options() else { return Ok(None) };
    let nats = Nats::connect(&options).await.context("failed to set up the bus: see the section [bus]")?;
    Ok(Some(Arc::new(nats)))
}

/// How mail is handed to other servers. No delivery may outlast a lease: see `deliver`, which begins none after half of
/// it is over. A handshake that hangs leaves time for a connection in the clear.
fn transport(config: &Config) -> MxTransport {
    let third = Duration::from_secs(config.delivery.lease_seconds) / 3;
    let mut options = MxTransportConfig::new(config.server.hostname.0.to_string());
    options.transaction_timeout = options.transaction_timeout.min(third);
    options.data_timeout = options.data_timeout.min(third);
    options.command_timeout = options.command_timeout.min(third);
    options.connect_timeout = options.connect_timeout.min(third / 2);
    MxTransport::new(options, &[])
}

fn resolver(config: &Config) -> Result<Arc<dyn Resolver>> {
    let servers = &config.delivery.nameservers;
    let resolver = if servers.is_empty() {
        SystemResolver::from_system(config.dnssec_trust())
    } else {
        SystemResolver::from_nameservers(servers, Duration::from_secs(5), config.dnssec_trust())
    };
    Ok(Arc::new(resolver.context("failed to set up DNS")?))
}

fn settings(config: &Config, read_at: UnixMicros) -> Result<Settings> {
    Ok(Settings {
        hostname: config.server.hostname.0.clone(),
        node: config.server.node.clone(),
        relay: config.relay()?,
        mx_port: config.delivery.mx_port,
        routes: config.route_settings()?,
        lease: Duration::from_secs(config.delivery.lease_seconds),
        event_retention: Duration::from_secs(config.storage.event_retention_days * 86_400),
        webhook_attempt_retention: Duration::from_secs(config.webhooks.attempt_days * 86_400),
        prune_every: Duration::from_secs(config.storage.prune_every_minutes * 60),
        attempt_retention: Duration::from_secs(config.delivery.attempt_days * 86_400),
        evaluation_retention: Duration::from_secs(config.rules.evaluation_days * 86_400),
        feedback_addresses: config.feedback_addresses()?,
        domain_report_retention: config.report_retention()?,
        feedback_retention: Duration::from_secs(config.feedback.report_days * 86_400),
        loops: config.loops.limits(),
        activity_retention: Duration::from_secs(config.activity.days * 86_400),
        repeat_window: Duration::from_secs(config.sending.repeat_window_seconds),
        hard_bounce_suppression: Some(config.recipients.hard_bounce_days)
            .filter(|days| *days > 0)
            .map(|days| Duration::from_secs(days * 86_400)),
        feedback_domains: config.feedback_domains()?,
        recovery_rule: config.recovery_rule(),
        bus: config.bus.settings(),
        webhook_deadline: Duration::from_secs(config.webhooks.deadline_seconds),
        webhook_concurrency: config.webhooks.concurrency,
        webhook_connections: config.webhooks.connections,
        notification_octets_max: config.webhooks.notification_bytes,
        trusted_proxies: config.trusted_proxies()?,
        webhook_notices_from: config.webhook_notices_from()?,
        webhook_sources: config.webhooks.source_addresses.clone(),
        authentication: config.authentication()?,
        domains: config.domain_settings()?,
        public_url: config.public_url()?,
        disposable_domains: config.disposable_domains()?,
        spam: config.spam_settings()?,
        dmarc_reports: config.dmarc_reports()?,
        read_at,
    })
}

/// The certificate that the configuration names, or one made in the data directory.
pub fn tls_identity(config: &Config, data: &DataDir) -> Result<TlsIdentity> {
    let (certificate, key) = (&config.tls.certificate, &config.tls.key);
    if certificate.as_os_str().is_empty() && key.as_os_str().is_empty() {
        return Ok(TlsIdentity::load_or_create(data.path(), &[config.server.hostname.0.to_string()])?);
    }
    Ok(TlsIdentity::load(certificate, key)?)
}
