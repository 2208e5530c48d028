//! Logs and metrics: where they go. What is logged and counted is decided where it happens.

use crate::config::{Log, LogFormat};
use anyhow::{Context, Result};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use postfleet_mailflow::{Metrics, observe_outcomes};
use postfleet_store::Store;
use std::io::IsTerminal;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error.
pub fn start_logs(log: &Log) -> Result<()> {
    let filter =
        EnvFilter::try_new(&log.level).with_context(|| format!("log.level {:?} is not a filter", log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Pretty => builder.try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}

/// The meters, read in Prometheus text format.
#[derive(Clone)]
pub struct Meters {
    registry: prometheus::Registry,
    // Keeps the reader alive, too.
    provider: Arc<SdkMeterProvider>,
    metrics: Arc<Metrics>,
}

impl Meters {
    /// Makes the instruments and their reader.
    pub fn new() -> Result<Self> {
        let registry = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let metrics = Arc::new(Metrics::new(&provider.meter("postfleet")));
        Ok(Self { registry, provider: Arc::new(provider), metrics })
    }

    /// The counters of the flows.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Shows what the store counts where it commits.
    pub fn observe(&self, store: &Store) {
        let counters = store.counters().clone();
        observe_outcomes(&self.provider.meter("postfleet"), move || counters.outcomes());
    }

    /// Everything counted so far.
    pub fn text(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_there_also_when_it_is_zero() {
        let meters = Meters::new().unwrap();
        meters.metrics().adrift("storage", 0);
        meters.metrics().adrift("daily_sends", 2);
        meters.metrics().recounted(false);
        let text = meters.text();
        let value = |name: &str, label: &str| {
            let line = text.lines().find(|line| line.starts_with(name) && line.contains(label));
            line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
        };
        assert_eq!(value("postfleet_usage_drift{", "meter=\"storage\"").as_deref(), Some("0"));
        assert_eq!(value("postfleet_usage_drift{", "meter=\"daily_sends\"").as_deref(), Some("2"));
        assert_eq!(value("postfleet_usage_recounts_total{", "result=\"drift\"").as_deref(), Some("1"));
    }
}
