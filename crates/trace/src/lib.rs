//! Spans: what happens to a message or a request, from the socket to its end, also where that is another process.
//!
//! A span is made by [`span!`] where something begins that nobody began before, by [`child!`] inside of one that is
//! recorded, and by [`continued!`] where a row says to which trace it belongs. While nobody exports traces, all of them
//! make nothing: the price is one look at a flag. Names and attributes are listed in `docs/telemetry.md`; addresses,
//! subjects and bodies are none of them.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use postfleet_core::trace::TraceContext;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use tracing::field::Empty;
pub use tracing::{Instrument, Span};

#[doc(hidden)]
pub use tracing as __tracing;

/// The target of all spans, so that they are told from log lines.
pub const TARGET: &str = "postfleet::span";

static IS_ON: AtomicBool = AtomicBool::new(false);

/// From now on spans are made. For whoever has installed what takes them.
pub fn turn_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

/// Whether spans are made.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Begins a span, the first of a trace unless it is inside of another: `span!("name", attribute = value)`.
#[macro_export]
macro_rules! span {
    ($name:literal $(, $($attributes:tt)*)?) => {
        match $crate::is_on() {
            true => $crate::__tracing::info_span!(target: $crate::TARGET, $name $(, $($attributes)*)?),
            false => $crate::Span::none(),
        }
    };
}

/// Begins a span inside of the current one, if that is recorded.
#[macro_export]
macro_rules! child {
    ($name:literal $(, $($attributes:tt)*)?) => {
        match $crate::current() {
            Some(_) => $crate::__tracing::info_span!(target: $crate::TARGET, $name $(, $($attributes)*)?),
            None => $crate::Span::none(),
        }
    };
}

/// Goes on with a trace that was begun elsewhere, if there is one: `continued!(context, "name", attribute = value)`.
#[macro_export]
macro_rules! continued {
    ($context:expr, $name:literal $(, $($attributes:tt)*)?) => {
        match ($crate::is_on(), $context) {
            (true, Some(context)) => {
                let span = $crate::__tracing::info_span!(target: $crate::TARGET, parent: None, $name $(, $($attributes)*)?);
                $crate::follow(&span, context);
                span
            }
            _ => $crate::Span::none(),
        }
    };
}

/// The place in its trace of what runs, if the trace is recorded.
pub fn current() -> Option<TraceContext> {
    if !is_on() {
        return None;
    }
    Context::map_current(|context| {
        let span = context.span();
        let place = span.span_context();
        let is_recorded = place.is_valid() && place.is_sampled();
        is_recorded.then(|| TraceContext {
            trace: place.trace_id().to_bytes(),
            span: place.span_id().to_bytes(),
            flags: place.trace_flags().to_u8(),
        })
    })
}

/// A count as an attribute. Numbers without a sign would be exported as text.
pub fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The current span, to be taken along into another task.
pub fn current_span() -> Span {
    if is_on() { Span::current() } else { Span::none() }
}

/// Makes `parent`, which is of another process, the parent of a span that nobody has entered yet.
pub fn follow(span: &Span, parent: TraceContext) {
    let place = SpanContext::new(
        TraceId::from_bytes(parent.trace),
        SpanId::from_bytes(parent.span),
        TraceFlags::new(parent.flags),
        true,
        TraceState::default(),
    );
    // It fails where the span is not recorded: then there is nothing to be the parent of.
    drop(span.set_parent(Context::new().with_remote_span_context(place)));
}
