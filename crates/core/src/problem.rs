//! What can go wrong, said once. Every front-end has one exhaustive table from [`ProblemKind`] to its own protocol:
//! HTTP in `postfleet-api`, SMTP in `postfleet-wire`. Both tables are kept as snapshots.

use crate::id::StopId;
use crate::stop;
use crate::time::UnixMicros;

/// The closed set of reasons for not doing what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ProblemKind {
    /// The request itself is wrong; it will never succeed as it stands.
    Invalid,
    /// There is no such thing, or it belongs to somebody else: the two look the same.
    NotFound,
    /// It contradicts something that exists.
    Conflict,
    /// No valid credential.
    Unauthenticated,
    /// A valid credential that may not do this.
    Forbidden,
    /// A valid key without the permission that this needs.
    InsufficientScopes,
    /// An operator's abuse restriction matches.
    Restricted,
    /// A rule of the workspace blocks it.
    BlockedByRule,
    /// The domain of its alleged author wants it refused, since nothing proves that it is from there.
    Disowned,
    /// A blocking rule could not be evaluated, so it blocks.
    Undecidable,
    /// A counted allowance is used up until it resets.
    OverQuota,
    /// Too many in too short a time.
    RateLimited,
    /// Sending is paused because of its results.
    SendingPaused,
    /// Sending is stopped: by a switch, a breaker or quarantine.
    Stopped,
    /// The sender's domain is not verified.
    DomainUnverified,
    /// More octets or recipients than allowed.
    TooLarge,
    /// The storage allowance is used up.
    StorageFull,
    /// The disk under the installation is full: nothing more can be kept until the operator makes room.
    OutOfSpace,
    /// Something that is needed does not work just now; trying again later is right.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ProblemKind {
    /// All kinds, in the order in which tables list them.
    pub const ALL: &[Self] = &[
        Self::Invalid,
        Self::NotFound,
        Self::Conflict,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::InsufficientScopes,
        Self::Restricted,
        Self::BlockedByRule,
        Self::Disowned,
        Self::Undecidable,
        Self::OverQuota,
        Self::RateLimited,
        Self::SendingPaused,
        Self::Stopped,
        Self::DomainUnverified,
        Self::TooLarge,
        Self::StorageFull,
        Self::OutOfSpace,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Whether the same request may succeed later without anybody changing it.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Undecidable
                | Self::OverQuota
                | Self::RateLimited
                | Self::OutOfSpace
                | Self::Unavailable
                | Self::Internal
        )
    }
}

/// Which allowance was used up, and when it is whole again, if waiting helps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exhausted {
    /// Whose allowance: `grant`, `application`, `organization`; of mail that comes in also `message`, which alone is over it.
    pub scope: &'static str,
    /// The allowance.
    pub limit: u64,
    /// What of it is used.
    pub used: u64,
    /// When it resets; `None` for what stays used until somebody frees it.
    pub resets_at: Option<UnixMicros>,
}

/// What keeps somebody from sending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoppedBy {
    /// The stop.
    pub id: StopId,
    /// What sort of stop.
    pub kind: stop::Kind,
    /// Whom it concerns: `sender_address`, `sender_domain`, `organization`, `application`, `workspace`, `grant`, `thread`.
    pub scope: &'static str,
}

/// One refusal or failure, on its way to a client.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{public}")]
pub struct Problem {
    /// What sort of problem; decides status codes.
    pub kind: ProblemKind,
    /// Stable snake_case word for programs, such as `daily_quota_exceeded`.
    pub code: &'static str,
    /// Text for people. It may be shown to anybody.
    pub public: String,
    /// The request field that is wrong, where one is.
    pub field: Option<String>,
    /// The allowance that is used up, where one is.
    pub exhausted: Option<Box<Exhausted>>,
    /// What keeps somebody from sending, where something does.
    pub stop: Option<Box<StoppedBy>>,
    /// What lies behind it. Logged once at the edge, never shown.
    pub cause: Option<String>,
}

impl Problem {
    /// A problem with a text for people.
    pub fn new(kind: ProblemKind, code: &'static str, public: impl Into<String>) -> Self {
        Self { kind, code, public: public.into(), field: None, exhausted: None, stop: None, cause: None }
    }

    /// Whether the same request may succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable() || self.code == crate::idempotency::CONCURRENT
    }

    /// Whose allowance is used up, or whom the stop concerns, where there is one or the other.
    pub fn scope(&self) -> Option<&'static str> {
        let exhausted = self.exhausted.as_ref().map(|exhausted| exhausted.scope);
        exhausted.or(self.stop.as_ref().map(|stop| stop.scope))
    }

    /// The request is wrong in `field`; `public` says how, and what the limit is.
    pub fn invalid(field: &str, public: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(ProblemKind::Invalid, "invalid_request", public) }
    }

    /// There is no such thing for this caller.
    pub fn not_found() -> Self {
        Self::new(ProblemKind::NotFound, "not_found", "requested object not found")
    }

    /// Something needed does not work; `cause` is logged and not shown.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(ProblemKind::Unavailable, "unavailable", "temporarily unavailable, please try again shortly")
        }
    }

    /// A fault of ours; `cause` is logged and not shown.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self { cause: Some(cause.to_string()), ..Self::new(ProblemKind::Internal, "internal_error", "internal error") }
    }
}
