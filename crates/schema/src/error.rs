//! The error envelope.

use postfleet_core::ProblemKind;
use serde::Serialize;
use utoipa::ToSchema;

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorEnvelope {
    /// The id of the request, also in `X-Request-Id`.
    pub request_id: String,
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong. `type` and `message` are those of the hosted service; the rest is for programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The family of the error.
    #[serde(rename = "type")]
    #[schema(example = "not_found_error")]
    pub kind: &'static str,
    /// Text for people; it names the field and the limit where there is one.
    #[schema(max_length = 1000)]
    pub message: String,
    /// Stable word for programs; errors.md and the answers below say what each means.
    pub code: &'static str,
    /// Whether the same request may succeed later without anybody changing it.
    pub retryable: bool,
    /// The request field that is wrong; absent if no single one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// Whose allowance is used up: `grant`, `application` or `organization`; or whom the stop concerns that keeps the mailbox
    /// from sending: `sender_address`, `sender_domain`, `organization`, `application`, `workspace`, `grant` or `thread`.
    /// Absent if there is neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scope: Option<&'static str>,
    /// The stop that keeps the mailbox from sending; absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stop_id: Option<String>,
    /// The allowance; absent if none is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<u64>,
    /// What of the allowance is used; absent if none is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub used: Option<u64>,
    /// When the allowance is whole again, in unix seconds; absent if none is used up, and if it stays used until
    /// somebody frees some of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub resets_at: Option<i64>,
}

/// The one table from problems to HTTP: the status, and the `type` of the error. Notifications show them, too.
pub const fn status_and_type(kind: ProblemKind) -> (u16, &'static str) {
    match kind {
        ProblemKind::Invalid => (400, "invalid_request_error"),
        ProblemKind::NotFound => (404, "not_found_error"),
        ProblemKind::Conflict => (409, "conflict"),
        ProblemKind::Unauthenticated => (401, "unauthorized"),
        ProblemKind::Forbidden => (403, "forbidden_access"),
        ProblemKind::InsufficientScopes => (403, "insufficient_scopes"),
        ProblemKind::Restricted => (403, "forbidden_access"),
        ProblemKind::BlockedByRule => (403, "forbidden_access"),
        ProblemKind::Disowned => (403, "forbidden_access"),
        ProblemKind::Undecidable => (503, "service_unavailable"),
        ProblemKind::OverQuota => (429, "too_many_requests"),
        ProblemKind::RateLimited => (429, "rate_limit_error"),
        ProblemKind::SendingPaused => (400, "bad_request"),
        ProblemKind::Stopped => (403, "forbidden_access"),
        ProblemKind::DomainUnverified => (403, "forbidden_access"),
        ProblemKind::TooLarge => (413, "invalid_request_error"),
        ProblemKind::StorageFull => (403, "forbidden_access"),
        ProblemKind::OutOfSpace => (503, "service_unavailable"),
        ProblemKind::Unavailable => (503, "service_unavailable"),
        ProblemKind::Internal => (500, "internal_error"),
    }
}
