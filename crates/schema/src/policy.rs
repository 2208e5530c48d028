//! Policies: what an application sets below its plan for the mailboxes of its workspaces.

use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// `POST /v3/policies`. With a name alone, every limit is at the plan's maximum.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreatePolicy {
    /// What people call it.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 256)]
    pub name: String,
    /// Limits below those of the plan.
    #[serde(default)]
    #[schema(value_type = Option<PolicyLimitsChange>)]
    pub limits: Patch<PolicyLimitsChange>,
    /// How junk is recognised.
    #[serde(default)]
    #[schema(value_type = Option<SpamDetectionChange>)]
    pub spam_detection: Patch<SpamDetectionChange>,
    /// Further options, kept and shown without effect; at most 16 KiB of JSON.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub options: Patch<Map<String, Value>>,
    /// Ids of rules, kept and shown without effect: rules are attached to workspaces. At most 100.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub rules: Patch<Vec<String>>,
}

/// `PUT /v3/policies/{policy}`. What is absent stays; `limits`, `spam_detection` and `options` merge field by field; null
/// gives the default back.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdatePolicy {
    /// What people call it; never null.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 256)]
    pub name: Patch<String>,
    /// Limits below those of the plan. Null gives all of them back to the plan.
    #[serde(default)]
    #[schema(value_type = Option<PolicyLimitsChange>)]
    pub limits: Patch<PolicyLimitsChange>,
    /// How junk is recognised.
    #[serde(default)]
    #[schema(value_type = Option<SpamDetectionChange>)]
    pub spam_detection: Patch<SpamDetectionChange>,
    /// Further options, kept and shown without effect; at most 16 KiB of JSON.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub options: Patch<Map<String, Value>>,
    /// Ids of rules, kept and shown without effect: rules are attached to workspaces. At most 100.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub rules: Patch<Vec<String>>,
}

/// Limits to set. None may be above the plan's maximum; null, and what is never set, is that maximum.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct PolicyLimitsChange {
    /// Bytes of one attachment of an inbound message, decoded.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub limit_attachment_size_limit: Patch<i64>,
    /// Attachments of one inbound message.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub limit_attachment_count_limit: Patch<i64>,
    /// Media types of attachments, such as `application/pdf` or `image/*`; an empty list sets nothing. At most 100.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub limit_attachment_allowed_types: Patch<Vec<String>>,
    /// Bytes of one inbound message.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 0)]
    pub limit_size_total_mime: Patch<i64>,
    /// Bytes that each mailbox may keep; -1 is unlimited, where the plan is.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub limit_storage_total: Patch<i64>,
    /// Messages that each mailbox may receive in a UTC day; -1 is unlimited, where the plan is.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub limit_count_daily_message_received: Patch<i64>,
    /// Another spelling of `limit_count_daily_message_received`, of older clients.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub limit_count_daily_message_per_grant: Patch<i64>,
    /// Messages that each mailbox may send in a UTC day; -1 is unlimited, where the plan is.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub limit_count_daily_email_sent: Patch<i64>,
    /// Days that mail outside junk is kept; -1 is unlimited, where the plan is.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub limit_inbox_retention_period: Patch<i64>,
    /// Days that junk is kept, fewer than other mail; -1 is unlimited, where the plan is.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = -1)]
    pub limit_spam_retention_period: Patch<i64>,
}

/// How junk is to be recognised; null gives the default back.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct SpamDetectionChange {
    /// Whether lists of bad addresses in the DNS are asked; false if it is never set.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub use_list_dnsbl: Patch<bool>,
    /// Whether odd header fields count; false if it is never set.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub use_header_anomaly_detection: Patch<bool>,
    /// More marks more; 1.0 if it is never set. Kept with three decimals.
    #[serde(default)]
    #[schema(value_type = Option<f64>, minimum = 0.1, maximum = 5.0)]
    pub spam_sensitivity: Patch<f64>,
}

/// A policy.
#[derive(Debug, Serialize, ToSchema)]
pub struct Policy {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The application that has it.
    pub application_id: String,
    /// The organization of that application.
    pub organization_id: String,
    /// What holds for the mailboxes under it: its own limits, lowered by the plan.
    pub limits: PolicyLimits,
    /// How junk is recognised.
    pub spam_detection: SpamDetection,
    /// Further options, as they were given. `additional_folders` and `use_cidr_aliasing` are always there. With
    /// `validate_recipients` true, sends look at their recipients' domains first and refuse those that mail cannot reach.
    #[schema(value_type = Object)]
    pub options: Value,
    /// Ids of rules, as they were given.
    #[schema(value_type = Vec<String>)]
    pub rules: Value,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
    /// What may not be as intended, in words for people. In answers with one policy, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub warnings: Option<Vec<String>>,
}

/// The limits that hold for each mailbox under a policy; -1 is unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyLimits {
    /// Bytes of one attachment of an inbound message, decoded.
    pub limit_attachment_size_limit: i64,
    /// Attachments of one inbound message.
    pub limit_attachment_count_limit: i64,
    /// Media types that attachments may have, or families such as `image/*`; an empty list allows all.
    pub limit_attachment_allowed_types: Vec<String>,
    /// Bytes of one inbound message.
    pub limit_size_total_mime: i64,
    /// Bytes that each mailbox may keep.
    pub limit_storage_total: i64,
    /// Messages that each mailbox may receive in a UTC day.
    pub limit_count_daily_message_received: i64,
    /// Messages that each mailbox may send in a UTC day.
    pub limit_count_daily_email_sent: i64,
    /// Days that mail outside junk is kept.
    pub limit_inbox_retention_period: i64,
    /// Days that junk is kept.
    pub limit_spam_retention_period: i64,
}

/// How junk is recognised.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpamDetection {
    /// Whether lists of bad addresses in the DNS are asked.
    pub use_list_dnsbl: bool,
    /// Whether odd header fields count.
    pub use_header_anomaly_detection: bool,
    /// More marks more: 0.1 to 5.0.
    #[schema(minimum = 0.1, maximum = 5.0)]
    pub spam_sensitivity: f64,
}
