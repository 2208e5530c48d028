//! `postfleet serve`: the production server.

use crate::compose::{self, DataDir, World};
use crate::config::Config;
use crate::roles;
use crate::telemetry::{self, Meters};
use anyhow::{Context, Result, bail};
use postfleet_mailflow::routing::reports;
use postfleet_mailflow::{Platform, Relay};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use toml::Value;

#[derive(clap::Args)]
pub struct Arguments {
    /// Where everything is kept.
    #[arg(long)]
    data_dir: PathBuf,
    /// The configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where the JSON interface listens, as ADDRESS:PORT.
    #[arg(long)]
    http: Option<String>,
    /// Where mail from other servers is received.
    #[arg(long)]
    smtp: Option<String>,
    /// Where mail clients send, with STARTTLS, as ADDRESS:PORT.
    #[arg(long)]
    submission: Option<String>,
    /// Where mail clients send, with TLS from the start.
    #[arg(long)]
    submissions: Option<String>,
    /// IMAP with STARTTLS. Not available yet.
    #[arg(long)]
    imap: Option<String>,
    /// IMAP over TLS. Not available yet.
    #[arg(long)]
    imaps: Option<String>,
    /// A server that takes all mail for other domains, as HOST:PORT.
    #[arg(long)]
    relay: Option<String>,
    /// What this node does: api, mx, submission, deliver, webhooks, janitor.
    #[arg(long, value_delimiter = ',')]
    roles: Vec<String>,
}

/// Runs until SIGTERM or SIGINT, then drains.
pub async fn run(arguments: Arguments) -> Result<()> {
    let config = Config::load(arguments.config.as_deref(), &overrides(&arguments)?)?;
    let (meters, exporter) = telemetry::start(&config)?;
    let data = DataDir::open(&arguments.data_dir)?;
    let platform = compose::platform(&config, &data, World::real(), meters.metrics()).await?;
    meters.observe(&platform.store);
    let exported = CancellationToken::new();
    let exporting = async {
        if let Some(exporter) = exporter {
            exporter.run(&*platform.clock, exported.clone()).await;
        }
    };
    let serving = async {
        let served = serve(&config, &data, &platform, &meters).await;
        // What it said at its end is exported, too.
        exported.cancel();
        served
    };
    tokio::join!(serving, exporting).0
}

/// Runs the roles.
async fn serve(config: &Config, data: &DataDir, platform: &Platform, meters: &Meters) -> Result<()> {
    let identity = compose::tls_identity(config, data)?;
    let stop = CancellationToken::new();
    let running = roles::start(config, platform.clone(), meters, &identity, stop.clone()).await?;
    running.report();
    let failed = tokio::select! {
        signal = stop_signal() => { tracing::info!(signal = signal?, "stopping"); false }
        () = platform.store.failed() => true,
        () = running.ended_early() => true,
    };
    stop.cancel();
    running.drain(std::time::Duration::from_secs(config.server.drain_seconds)).await;
    if let Err(problem) = reports::flush_once(platform).await {
        tracing::warn!(cause = ?problem.cause, "failed to write down the last counts of encrypted connections");
    }
    if failed {
        bail!("stopped because storage or a role failed; see the log");
    }
    tracing::info!("stopped");
    Ok(())
}

fn overrides(arguments: &Arguments) -> Result<Vec<(&'static str, Value)>> {
    let unavailable = [("--imap", &arguments.imap), ("--imaps", &arguments.imaps)];
    for (flag, value) in unavailable {
        if value.is_some() {
            bail!(
                "{flag} is not available yet: this version has no IMAP; mailboxes are read through the JSON interface"
            );
        }
    }
    let given = [
        ("http.listen", &arguments.http),
        ("smtp.listen", &arguments.smtp),
        ("submission.listen", &arguments.submission),
        ("submission.tls_listen", &arguments.submissions),
    ];
    let mut overrides: Vec<(&'static str, Value)> =
        given.into_iter().filter_map(|(key, value)| value.clone().map(|value| (key, Value::String(value)))).collect();
    if let Some(relay) = &arguments.relay {
        let relay: Relay = relay.parse().map_err(|error| anyhow::anyhow!("--relay: {error}"))?;
        overrides.push(("relay.host", Value::String(relay.host)));
        overrides.push(("relay.port", Value::Integer(relay.port.into())));
    }
    if !arguments.roles.is_empty() {
        let roles = arguments.roles.iter().cloned().map(Value::String).collect();
        overrides.push(("server.roles", Value::Array(roles)));
    }
    Ok(overrides)
}

async fn stop_signal() -> Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
