//! The span of a request: part of the caller's trace, if it says which that is (W3C Trace Context).

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use postfleet_core::trace::TraceContext;
use postfleet_trace::{Empty, Span};

/// The header by which a caller says to which trace a request belongs.
const TRACEPARENT: &str = "traceparent";

/// Begins the span of a request. It knows the route and not the path, which names mailboxes.
pub(crate) fn of(request: &Request) -> Span {
    if !postfleet_trace::is_on() {
        return Span::none();
    }
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = postfleet_trace::span!(
        "http.request",
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        http.route = route,
        http.response.status_code = Empty
    );
    let header = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    if let Some(parent) = header.and_then(TraceContext::from_traceparent) {
        postfleet_trace::follow(&span, parent);
    }
    span
}

/// Notes what was answered.
pub(crate) fn answered(span: &Span, status: StatusCode) {
    if !span.is_disabled() {
        span.record("http.response.status_code", i64::from(status.as_u16()));
    }
}
