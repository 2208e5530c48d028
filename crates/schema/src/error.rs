//! The error envelope.

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
    /// The family.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Text for people.
    pub message: String,
    /// Stable word for programs.
    pub code: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The request field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whose allowance is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'static str>,
    /// The allowance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What of it is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// When it resets, in unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<i64>,
}
