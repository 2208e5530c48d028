//! The limits that hold for one mailbox, and where each comes from.

use serde::Serialize;
use utoipa::ToSchema;

/// `GET /v3/grants/{grant}/limits`.
#[derive(Debug, Serialize, ToSchema)]
pub struct GrantLimits {
    /// The mailbox.
    pub grant_id: String,
    /// The name of its organization's plan.
    pub plan: String,
    /// Its workspace; null if it is in none.
    pub workspace_id: Option<String>,
    /// The policy of that workspace; null if it has none.
    pub policy_id: Option<String>,
    /// The raise that says how many messages it may send in a day; null if none is in force.
    pub raise: Option<RaiseInForce>,
    /// What limits it in the days after a pause was lifted; null if nothing does.
    pub recovery_ramp: Option<RecoveryRamp>,
    /// The limits, by the names that they have in policies.
    pub limits: LimitsInForce,
    /// What is used of the messages that it may send today.
    pub daily_sends: DailySends,
}

/// A raise that is in force.
#[derive(Debug, Serialize, ToSchema)]
pub struct RaiseInForce {
    /// Its id.
    pub id: String,
    /// The limit that it asked for; the plan's if that is lower by now.
    pub value: u64,
    /// When it ends, in unix seconds: the limit is as before from then on.
    pub ends_at: i64,
}

/// The ramp after a recovery: less than usual, and twice as much each day.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecoveryRamp {
    /// Messages that it allows in this UTC day, whatever a raise says; what was sent on the first day before the pause was
    /// lifted comes on top.
    pub value: u64,
    /// Messages that the mailbox had sent on the highest of the 30 days before: the ramp ends above it.
    pub highest_day: u64,
    /// From when on it limits nothing any more, in unix seconds: at most 14 days after it began.
    pub ends_at: i64,
}

/// Every limit of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsInForce {
    /// Bytes of one attachment of an inbound message, decoded.
    pub limit_attachment_size_limit: LimitInForce,
    /// Attachments of one inbound message.
    pub limit_attachment_count_limit: LimitInForce,
    /// Media types that attachments may have.
    pub limit_attachment_allowed_types: TypesInForce,
    /// Bytes of one inbound message.
    pub limit_size_total_mime: LimitInForce,
    /// Bytes that it may keep.
    pub limit_storage_total: LimitInForce,
    /// Messages that it may receive in a UTC day.
    pub limit_count_daily_message_received: LimitInForce,
    /// Messages that it may send in a UTC day.
    pub limit_count_daily_email_sent: LimitInForce,
    /// Days that mail outside junk is kept.
    pub limit_inbox_retention_period: LimitInForce,
    /// Days that junk is kept.
    pub limit_spam_retention_period: LimitInForce,
}

/// One limit.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitInForce {
    /// The number; -1 is unlimited.
    pub value: i64,
    /// `plan`, `policy` if the policy says it, `raise` while a raise holds that is above both, or `recovery_ramp` while the
    /// ramp after a pause is below all of them.
    pub source: &'static str,
}

/// The media types that are allowed.
#[derive(Debug, Serialize, ToSchema)]
pub struct TypesInForce {
    /// Types, or families such as `image/*`; an empty list allows all.
    pub value: Vec<String>,
    /// `plan`, or `policy` if the policy says it.
    pub source: &'static str,
}

/// The counter that sends are held against.
#[derive(Debug, Serialize, ToSchema)]
pub struct DailySends {
    /// Messages sent since 00:00 UTC.
    pub used: u64,
    /// Messages that may still be sent; null is unlimited.
    pub remaining: Option<u64>,
    /// When it begins anew: unix seconds.
    pub resets_at: i64,
}
