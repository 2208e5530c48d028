//! The queue before the collector: one for spans and log lines, of a fixed length. Who puts something in never waits; what
//! finds it full is counted and gone.

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Spans and log lines that may wait. A span takes about half a kilobyte.
pub const WAITING_MAX: usize = 8_192;

/// What waits.
pub enum Item {
    Span(Box<SpanData>),
    Log(Box<(SdkLogRecord, InstrumentationScope)>),
}

/// What became of what was to be exported.
#[derive(Debug, Default)]
pub struct Counts {
    pub spans: Counted,
    pub logs: Counted,
    pub metrics: Counted,
}

/// The same of one signal.
#[derive(Debug, Default)]
pub struct Counted {
    /// The collector has it.
    pub exported: AtomicU64,
    /// The collector did not take it.
    pub failed: AtomicU64,
    /// There was no room in the queue.
    pub dropped: AtomicU64,
}

impl Counts {
    /// Each count with its signal and result.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let signals = [("traces", &self.spans), ("logs", &self.logs), ("metrics", &self.metrics)];
        signals.into_iter().flat_map(|(signal, counted)| {
            let Counted { exported, failed, dropped } = counted;
            [("exported", exported), ("failed", failed), ("dropped", dropped)]
                .map(|(result, count)| (signal, result, count.load(Ordering::Relaxed)))
        })
    }
}

/// The way into the queue.
#[derive(Clone, Debug)]
pub struct Intake {
    queue: mpsc::Sender<Item>,
    counts: Arc<Counts>,
}

impl Intake {
    /// The two ends of a queue.
    pub fn new(waiting: usize, counts: Arc<Counts>) -> (Self, mpsc::Receiver<Item>) {
        let (queue, items) = mpsc::channel(waiting);
        (Self { queue, counts }, items)
    }

    fn put(&self, item: Item) {
        if let Err(full) = self.queue.try_send(item) {
            let counted = match full.into_inner() {
                Item::Span(_) => &self.counts.spans,
                Item::Log(_) => &self.counts.logs,
            };
            counted.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Takes spans that have ended.
#[derive(Debug)]
pub struct Spans(pub Intake);

impl SpanProcessor for Spans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.put(Item::Span(Box::new(span)));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Takes log lines.
#[derive(Debug)]
pub struct Logs(pub Intake);

impl LogProcessor for Logs {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.put(Item::Log(Box::new((record.clone(), scope.clone()))));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    #[test]
    fn what_finds_the_queue_full_is_counted_and_nobody_waits() {
        let counts = Arc::new(Counts::default());
        let (intake, mut items) = Intake::new(3, counts.clone());
        let provider = SdkTracerProvider::builder().with_span_processor(Spans(intake)).build();
        let tracer = provider.tracer("test");
        (0..10).for_each(|_| tracer.start("span").end());
        let count = |signal: &str, result: &str| {
            counts.all().find(|(of, what, _)| (*of, *what) == (signal, result)).map(|(.., count)| count)
        };
        assert_eq!((count("traces", "dropped"), count("logs", "dropped")), (Some(7), Some(0)));
        let waiting = std::iter::from_fn(|| items.try_recv().ok()).count();
        assert_eq!(waiting, 3);
        // There is room again.
        tracer.start("span").end();
        assert!(items.try_recv().is_ok());
        assert_eq!(count("traces", "dropped"), Some(7));
    }
}
