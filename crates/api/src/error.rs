//! Problems over HTTP: status and `error.type` by the table of the schema, and headers.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use postfleet_core::{Problem, ProblemKind, UnixMicros};
use postfleet_schema::error::{self as schema, ErrorBody, ErrorEnvelope};

/// What a kind of problem is on the wire.
pub fn status_and_type(kind: ProblemKind) -> (StatusCode, &'static str) {
    let (status, name) = schema::status_and_type(kind);
    (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), name)
}

/// The word that a problem is called on the wire: that of its kind, but for a few that clients look for.
fn type_of(problem: &Problem) -> &'static str {
    match problem.code {
        "invalid_idempotency_key" => "api.invalid_idempotency_key",
        "invalid_idempotent_request" => "api.invalid_idempotent_request",
        "concurrent_idempotent_request" => "api.concurrent_idempotent_request",
        "webhook_invalid" => "70001",
        "webhook_unverified" => "70005",
        _ => status_and_type(problem.kind).1,
    }
}

/// Seconds after which a request that may succeed later is worth repeating, when nothing better is known.
const RETRY_SECONDS: i64 = 5;

/// The headers that go with a problem: every 429 and 503 says when to come back. Where waiting does not help, nothing
/// says so.
pub fn headers(problem: &Problem, now: UnixMicros) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let (status, _) = status_and_type(problem.kind);
    let reset = problem.exhausted.as_deref().and_then(|exhausted| Some((exhausted, exhausted.resets_at?)));
    if let Some((exhausted, resets_at)) = reset {
        let seconds = reset_seconds(resets_at, now);
        set(&mut headers, header::RETRY_AFTER, seconds);
        rate_limit(&mut headers, exhausted.limit, exhausted.limit.saturating_sub(exhausted.used), seconds);
    }
    ensure_retry_after(status, &mut headers);
    headers
}

/// Whole seconds until an allowance resets: at least one, and never one too few.
pub fn reset_seconds(resets_at: UnixMicros, now: UnixMicros) -> i64 {
    UnixMicros::from_micros(resets_at.as_micros().saturating_sub(now.as_micros())).as_seconds_up().max(1)
}

/// Whether the `RateLimit-*` header fields are there.
pub fn has_rate_limit(headers: &HeaderMap) -> bool {
    headers.contains_key("ratelimit-limit")
}

/// Every 429 and 503 says when to come back, whoever made the answer.
pub fn ensure_retry_after(status: StatusCode, headers: &mut HeaderMap) {
    let is_later = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if is_later && !headers.contains_key(header::RETRY_AFTER) {
        set(headers, header::RETRY_AFTER, RETRY_SECONDS);
    }
}

/// The `RateLimit-*` header fields.
pub fn rate_limit(headers: &mut HeaderMap, limit: u64, remaining: u64, reset_seconds: i64) {
    let fields = [("ratelimit-limit", limit.to_string()), ("ratelimit-remaining", remaining.to_string())];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(header::HeaderName::from_static(name), value);
        }
    }
    set(headers, header::HeaderName::from_static("ratelimit-reset"), reset_seconds);
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: i64) {
    headers.insert(name, HeaderValue::from(value));
}

/// Characters of a text for people. Some quote the request, which may be large.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// The body of a refusal.
pub fn envelope(problem: &Problem, request_id: &str) -> ErrorEnvelope {
    let exhausted = problem.exhausted.as_ref();
    ErrorEnvelope {
        request_id: request_id.to_owned(),
        error: ErrorBody {
            kind: type_of(problem),
            message: problem.public.chars().take(MESSAGE_CHARS_MAX).collect(),
            code: problem.code,
            retryable: problem.is_retryable(),
            field: problem.field.clone(),
            scope: problem.scope(),
            stop_id: problem.stop.as_ref().map(|stop| stop.id.to_string()),
            limit: exhausted.map(|exhausted| exhausted.limit),
            used: exhausted.map(|exhausted| exhausted.used),
            resets_at: exhausted.and_then(|exhausted| exhausted.resets_at).map(UnixMicros::as_seconds_up),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::problem::Exhausted;

    #[test]
    fn the_table() {
        let row = |kind: &ProblemKind| {
            let (status, name) = status_and_type(*kind);
            let retry = headers(&Problem::new(*kind, "x", "x"), UnixMicros::default()).contains_key("retry-after");
            let retryable = if kind.is_retryable() { "retryable" } else { "final" };
            format!("{kind:?}: {} {name}, {retryable}{}", status.as_u16(), if retry { ", Retry-After" } else { "" })
        };
        let table: Vec<String> = ProblemKind::ALL.iter().map(row).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    /// Whatever the kind, and whether or not it is known when the allowance resets.
    #[test]
    fn every_429_and_503_says_when_to_come_back() {
        let exhausted = |resets_at| Some(Box::new(Exhausted { scope: "grant", limit: 1, used: 1, resets_at }));
        let mut later = 0;
        for kind in ProblemKind::ALL {
            for exhausted in [None, exhausted(None), exhausted(Some(UnixMicros::from_seconds(60)))] {
                let is_known = exhausted.as_ref().is_some_and(|exhausted| exhausted.resets_at.is_some());
                let headers = headers(&Problem { exhausted, ..Problem::new(*kind, "x", "x") }, UnixMicros::default());
                let is_later = matches!(status_and_type(*kind).0.as_u16(), 429 | 503);
                assert_eq!(headers.contains_key("retry-after"), is_later || is_known, "{kind:?}");
                later += u32::from(is_later);
            }
        }
        assert_eq!(later, 15);
        let mut foreign = HeaderMap::new();
        ensure_retry_after(StatusCode::OK, &mut foreign);
        assert!(foreign.is_empty());
        ensure_retry_after(StatusCode::TOO_MANY_REQUESTS, &mut foreign);
        assert_eq!(foreign["retry-after"], "5");
        foreign.insert("retry-after", HeaderValue::from(9));
        ensure_retry_after(StatusCode::SERVICE_UNAVAILABLE, &mut foreign);
        assert_eq!(foreign["retry-after"], "9");
    }

    #[test]
    fn what_does_not_reset_does_not_ask_to_come_back() {
        let problem = |kind, resets_at| {
            let exhausted = Exhausted { scope: "organization", limit: 3, used: 4, resets_at };
            Problem { exhausted: Some(Box::new(exhausted)), ..Problem::new(kind, "x", "x") }
        };
        let now = UnixMicros::from_micros(10_000_001);
        let stays = problem(ProblemKind::Forbidden, None);
        assert!(headers(&stays, now).is_empty());
        let error = envelope(&stays, "").error;
        assert_eq!((error.scope, error.limit, error.used), (Some("organization"), Some(3), Some(4)));
        assert_eq!(error.resets_at, None);

        let resets = problem(ProblemKind::RateLimited, Some(UnixMicros::from_micros(70_000_000)));
        let headers = headers(&resets, now);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        // Rounded up, but no further.
        assert_eq!((text("retry-after"), text("ratelimit-reset"), text("ratelimit-remaining")), ("60", "60", "0"));
        assert_eq!(envelope(&resets, "").error.resets_at, Some(70));
        assert_eq!(reset_seconds(UnixMicros::from_seconds(5), now), 1, "what is over");
    }
}
