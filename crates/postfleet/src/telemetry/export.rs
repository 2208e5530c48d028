//! What carries spans, log lines and metrics to the collector (OTLP over HTTP, in protobuf). It works on the runtime and
//! has no thread of its own, so that a collector that does not answer holds nothing but its queue.

use super::queue::{Counted, Counts, Item};
use super::reader::Reader;
use crate::config::TelemetrySettings;
use anyhow::{Context, Result};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _};
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::trace::SpanExporter as _;
use postfleet_net::Clock;
use postfleet_net::otlp::{EXPORT_DEADLINE, OtlpHttp};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Spans and log lines of one export at most.
const BATCH_MAX: usize = 512;

/// How long the first of a batch waits for others.
const GATHER: Duration = Duration::from_millis(500);

/// How long the last export may take: a collector that is away does not keep the server from stopping.
const LAST: Duration = Duration::from_secs(2);

/// Carries everything to the collector.
pub struct Exporter {
    items: mpsc::Receiver<Item>,
    spans: SpanExporter,
    logs: LogExporter,
    metrics: MetricExporter,
    reader: Reader,
    every: Duration,
    counts: Arc<Counts>,
}

impl Exporter {
    /// Nothing is sent before [`run`](Self::run).
    pub fn new(
        settings: &TelemetrySettings,
        resource: &Resource,
        items: mpsc::Receiver<Item>,
        reader: Reader,
        counts: Arc<Counts>,
    ) -> Result<Self> {
        let http = OtlpHttp::new();
        macro_rules! exporter {
            ($kind:ty, $path:literal) => {
                <$kind>::builder()
                    .with_http()
                    .with_http_client(http.clone())
                    .with_protocol(Protocol::HttpBinary)
                    .with_endpoint(format!("{}{}", settings.endpoint, $path))
                    .with_headers(settings.headers.clone())
                    .with_timeout(EXPORT_DEADLINE)
                    // What is not taken is gone: the next batch waits already.
                    .with_retry_policy(RetryPolicy::disabled())
                    .build()
                    .context("failed to set up telemetry")?
            };
        }
        let mut spans = exporter!(SpanExporter, "/v1/traces");
        spans.set_resource(resource);
        let mut logs = exporter!(LogExporter, "/v1/logs");
        logs.set_resource(resource);
        let metrics = exporter!(MetricExporter, "/v1/metrics");
        Ok(Self { items, spans, logs, metrics, reader, every: settings.metrics_every, counts })
    }

    /// Exports until `stop`, then what is left, as far as that is done soon.
    pub async fn run(mut self, clock: &dyn Clock, stop: CancellationToken) {
        let over = async {
            stop.cancelled().await;
            clock.sleep_until(clock.now().plus(LAST)).await;
        };
        tokio::select! {
            () = self.work(clock, &stop) => {}
            () = over => {}
        }
    }

    async fn work(&mut self, clock: &dyn Clock, stop: &CancellationToken) {
        let mut measured_at = clock.now().plus(self.every);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = clock.sleep_until(measured_at) => {
                    measured_at = clock.now().plus(self.every);
                    self.measure().await;
                }
                taken = self.items.recv_many(&mut batch, BATCH_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.gather(&mut batch, clock) => {}
                    }
                    self.export(&mut batch).await;
                }
            }
        }
        self.finish(&mut batch).await;
    }

    /// Waits a moment for what comes together, unless the batch is full before.
    async fn gather(&mut self, batch: &mut Vec<Item>, clock: &dyn Clock) {
        let until = clock.now().plus(GATHER);
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            tokio::select! {
                taken = self.items.recv_many(batch, room) => if taken == 0 { return },
                () = clock.sleep_until(until) => return,
            }
        }
    }

    async fn finish(&mut self, batch: &mut Vec<Item>) {
        while let Ok(item) = self.items.try_recv() {
            batch.push(item);
            if batch.len() == BATCH_MAX {
                self.export(batch).await;
            }
        }
        self.export(batch).await;
        self.measure().await;
    }

    async fn export(&self, batch: &mut Vec<Item>) {
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for item in batch.drain(..) {
            match item {
                Item::Span(span) => spans.push(*span),
                Item::Log(log) => logs.push(*log),
            }
        }
        if !spans.is_empty() {
            let count = spans.len();
            note(&self.counts.spans, count, "traces", self.spans.export(spans).await);
        }
        if !logs.is_empty() {
            let lines: Vec<_> = logs.iter().map(|(record, scope)| (record, scope)).collect();
            note(&self.counts.logs, lines.len(), "logs", self.logs.export(LogBatch::new(&lines)).await);
        }
    }

    async fn measure(&self) {
        let mut metrics = ResourceMetrics::default();
        let exported = match self.reader.collect(&mut metrics) {
            Ok(()) => self.metrics.export(&metrics).await,
            failed => failed,
        };
        note(&self.counts.metrics, 1, "metrics", exported);
    }
}

fn note(counted: &Counted, count: usize, signal: &'static str, exported: OTelSdkResult) {
    let result = match &exported {
        Ok(()) => &counted.exported,
        Err(_) => &counted.failed,
    };
    let before = result.fetch_add(count as u64, Ordering::Relaxed);
    match exported {
        // Once: how often it happened since is counted.
        Err(error) if before == 0 => {
            tracing::warn!(target: super::TARGET, signal, %error, "failed to export telemetry");
        }
        Err(error) => tracing::debug!(target: super::TARGET, signal, %error, "failed to export telemetry"),
        Ok(()) => {}
    }
}
