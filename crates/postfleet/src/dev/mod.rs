//! `postfleet dev`: a throw-away server with a simulated internet. Needs nothing, keeps nothing.

mod simulation;
mod tour;

use crate::compose::{self, DataDir, World};
use crate::config::Config;
use crate::roles::{self, Running};
use crate::telemetry::{self, Meters};
use anyhow::{Context, Result};
use postfleet_core::Domain;
use postfleet_fleet::organizations::{self, Created, NewOrganization};
use postfleet_mailflow::Platform;
use postfleet_net::{Clock, Entropy, SimulatedClock, StaticResolver, SystemClock, SystemEntropy};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use toml::Value;

/// The domain of the mailboxes that are made.
const DOMAIN: &str = "fleet.test";

/// Sends a day that the policy allows each mailbox.
const DAILY_SENDS_MAX: u64 = 500;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where the JSON interface listens.
    #[arg(long, default_value = "127.0.0.1:8280")]
    http: SocketAddr,
    /// Where mail is received.
    #[arg(long, default_value = "127.0.0.1:8225")]
    smtp: SocketAddr,
    /// Where mail clients send, with STARTTLS.
    #[arg(long, default_value = "127.0.0.1:8587")]
    submission: SocketAddr,
    /// Where mail clients send, with TLS from the start.
    #[arg(long, default_value = "127.0.0.1:8465")]
    submissions: SocketAddr,
    /// Let time pass this many times faster, to see retries and expiry.
    #[arg(long, default_value_t = 1)]
    fast_clock: u32,
    /// Stop after the round trip instead of staying up.
    #[arg(long)]
    once: bool,
    /// What is logged.
    #[arg(long, default_value = "warn")]
    log: String,
}

/// Starts everything, takes one message in and one out, and stays up.
pub async fn run(arguments: Arguments) -> Result<()> {
    let folder = tempfile::tempdir().context("failed to make a temporary folder")?;
    let stop = CancellationToken::new();
    let simulated = simulation::start(stop.clone()).await?;
    let config = config(&arguments, simulated.port).await?;
    telemetry::start_logs(&config.log)?;
    let data = DataDir::open(folder.path())?;
    let meters = Meters::new()?;
    let platform = compose::platform(&config, &data, world(&arguments), meters.metrics()).await?;
    meters.observe(&platform.store);
    let created = seed(&platform).await?;
    let identity = compose::tls_identity(&config, &data)?;
    let running = roles::start(&config, platform.clone(), &meters, &identity, stop.clone()).await?;
    let addresses = Addresses::of(&running)?;
    simulated.knows_platform(addresses.smtp);
    let password = app_password(&*platform.entropy);
    let tour = tour::Tour { platform: &platform, created: &created, addresses, password, stop: stop.clone() };
    tour.run().await?;
    if !arguments.once {
        tour.invite();
        tokio::signal::ctrl_c().await?;
    }
    stop.cancel();
    running.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// Where the server listens.
#[derive(Clone, Copy)]
struct Addresses {
    http: SocketAddr,
    smtp: SocketAddr,
    submission: SocketAddr,
    submissions: SocketAddr,
}

impl Addresses {
    fn of(running: &Running) -> Result<Self> {
        let missing = "a listener did not start";
        Ok(Self {
            http: running.http.context(missing)?,
            smtp: running.smtp.context(missing)?,
            submission: running.submission.context(missing)?,
            submissions: running.submissions.context(missing)?,
        })
    }
}

fn world(arguments: &Arguments) -> World {
    let clock: Arc<dyn Clock> = match arguments.fast_clock {
        0 | 1 => Arc::new(SystemClock),
        speed => Arc::new(SimulatedClock::running_from(SystemClock.now(), speed)),
    };
    let everywhere = StaticResolver::everything_at(IpAddr::V4(Ipv4Addr::LOCALHOST));
    World { clock, entropy: Arc::new(SystemEntropy), resolver: Some(Arc::new(everywhere)) }
}

async fn config(arguments: &Arguments, mx_port: u16) -> Result<Config> {
    let http = free(arguments.http).await;
    let overrides = [
        ("http.listen", Value::String(http.to_string())),
        ("server.public_url", Value::String(format!("http://{http}"))),
        ("smtp.listen", Value::String(free(arguments.smtp).await.to_string())),
        ("submission.listen", Value::String(free(arguments.submission).await.to_string())),
        ("submission.tls_listen", Value::String(free(arguments.submissions).await.to_string())),
        ("server.hostname", Value::String(format!("mx.{DOMAIN}"))),
        ("delivery.mx_port", Value::Integer(mx_port.into())),
        ("webhooks.allow", Value::Array(vec![Value::String("127.0.0.0/8".into()), Value::String("::1/128".into())])),
        ("log.level", Value::String(arguments.log.clone())),
    ];
    Config::load(None, &overrides)
}

/// A password with which a mail client may sign in.
fn app_password(entropy: &dyn Entropy) -> String {
    let hexadecimal = entropy.sixteen().map(|octet| format!("{octet:02x}")).concat();
    format!("Dev1-{hexadecimal}")
}

/// The address if it is free, else the same one with any free port.
async fn free(wanted: SocketAddr) -> SocketAddr {
    match TcpListener::bind(wanted).await {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(wanted.ip(), 0),
    }
}

async fn seed(platform: &Platform) -> Result<Created> {
    let new = NewOrganization {
        name: "Try-out".into(),
        domains: vec![Domain::parse(DOMAIN)?],
        trust_domains: true,
        plan: "self_hosted".into(),
        environment: "sandbox".into(),
        daily_sends_max: Some(DAILY_SENDS_MAX),
    };
    let entropy: &dyn Entropy = &*platform.entropy;
    Ok(organizations::create(&platform.store, &platform.keys, entropy, platform.clock.now(), &new).await?)
}
