//! Logs, metrics and traces: where they go. What is logged, counted and traced is decided where it happens.

mod export;
mod queue;
mod reader;

pub use export::Exporter;

use crate::config::{Config, Log, LogFormat, TelemetrySettings};
use anyhow::{Context, Result};
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{KeyValue, Value};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use postfleet_mailflow::{Metrics, observe_outcomes};
use postfleet_store::Store;
use queue::{Counts, Intake, Logs, Spans};
use reader::Reader;
use std::io::IsTerminal;
use std::sync::Arc;
use tracing_subscriber::filter::{FilterExt, FilterFn, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry};

/// The target of what is said of exporting itself.
const TARGET: &str = "postfleet::telemetry";

/// Targets whose log lines are not exported: they are about exporting, and each export would make others.
const OWN_TARGETS: [&str; 7] = [TARGET, "opentelemetry", "hyper", "reqwest", "h2", "rustls", "tower"];

/// Starts logging and, if there is a collector, what is sent to it.
pub fn start(config: &Config) -> Result<(Meters, Option<Exporter>)> {
    let Some(settings) = config.telemetry_settings()? else {
        start_logs(&config.log)?;
        return Ok((Meters::new()?, None));
    };
    let (resource, counts) = (resource(&settings, &config.server.node), Arc::new(Counts::default()));
    let (intake, items) = Intake::new(queue::WAITING_MAX, counts.clone());
    let reader = Reader::default();
    start_exported(&config.log, &settings, &resource, intake)?;
    let meters = Meters::read_by(Some((reader.clone(), resource.clone())))?;
    observe_exports(&meters.provider.meter("postfleet"), counts.clone());
    let exporter = Exporter::new(&settings, &resource, items, reader, counts)?;
    Ok((meters, Some(exporter)))
}

/// Who it is that is heard of.
fn resource(settings: &TelemetrySettings, node: &str) -> Resource {
    let of = |key: &'static str, value: String| KeyValue::new(key, Value::from(value));
    let attributes = [
        of("service.name", settings.service_name.clone()),
        of("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        of("service.instance.id", node.to_owned()),
    ];
    Resource::builder_empty().with_attributes(attributes).build()
}

/// Starts logging to standard error.
pub fn start_logs(log: &Log) -> Result<()> {
    let builder = tracing_subscriber::fmt().with_env_filter(level(log)?).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Pretty => builder.try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("failed to start logging: {error}"))
}

/// The same, with spans and, where that is wanted, log lines on their way to the collector.
fn start_exported(log: &Log, settings: &TelemetrySettings, resource: &Resource, intake: Intake) -> Result<()> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Pretty => lines.boxed(),
    };
    let lines = lines.with_filter(level(log)?.and(no_spans()));
    let tracers = SdkTracerProvider::builder()
        // Who began a trace has decided whether it is recorded.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.traces_ratio))))
        .with_resource(resource.clone())
        .with_span_processor(Spans(intake.clone()))
        .build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("postfleet"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        // Nothing else: log lines name addresses, and would stand in the span.
        .with_filter(Targets::new().with_target(postfleet_trace::TARGET, LevelFilter::TRACE));
    let logs = match settings.logs {
        true => {
            let loggers = SdkLoggerProvider::builder().with_resource(resource.clone());
            let loggers = loggers.with_log_processor(Logs(intake)).build();
            let filter = level(log)?.and(no_spans()).and(filter_fn(|meta| !is_own(meta.target())));
            Some(OpenTelemetryTracingBridge::new(&loggers).with_filter(filter))
        }
        false => None,
    };
    registry().with(lines).with(spans).with(logs).try_init().context("failed to start logging")?;
    postfleet_trace::turn_on();
    Ok(())
}

fn level(log: &Log) -> Result<EnvFilter> {
    EnvFilter::try_new(&log.level).with_context(|| format!("log.level {:?} is not a filter", log.level))
}

/// Lets log lines through and no spans.
fn no_spans() -> FilterFn {
    filter_fn(|meta| meta.target() != postfleet_trace::TARGET)
}

fn is_own(target: &str) -> bool {
    OWN_TARGETS.iter().any(|own| target.starts_with(own))
}

/// Shows what became of what was to be exported.
fn observe_exports(meter: &Meter, counts: Arc<Counts>) {
    let observe = move |observer: &dyn AsyncInstrument<u64>| {
        for (signal, result, count) in counts.all() {
            observer.observe(count, &[KeyValue::new("signal", signal), KeyValue::new("result", result)]);
        }
    };
    // It lives in the meter.
    let _counter = meter
        .u64_observable_counter("postfleet_telemetry_items")
        .with_description("Spans, log lines and sets of metrics for the collector, by what became of them")
        .with_callback(observe)
        .build();
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
        Self::read_by(None)
    }

    /// The same, with a second reader for whoever sends them away, and who they are said to be of.
    fn read_by(exported: Option<(Reader, Resource)>) -> Result<Self> {
        let registry = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let builder = SdkMeterProvider::builder().with_reader(reader);
        let provider = match exported {
            Some((reader, resource)) => builder.with_reader(reader).with_resource(resource).build(),
            None => builder.build(),
        };
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
