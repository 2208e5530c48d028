//! Policies: what an application sets below its plan for the mailboxes of its workspaces.

use crate::db::DbError;
use crate::engine::Tx;
use crate::limits;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, PolicyId};
use postfleet_core::plan::PolicyLimits;

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// What it sets.
    pub limits: PolicyLimits,
    /// How junk is recognised.
    pub spam: SpamDetection,
    /// Further options that are kept and shown, as a JSON object.
    pub options: String,
    /// Ids of rules that an older client links here, as a JSON list; kept and shown, without effect.
    pub rules: String,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// How a policy recognises junk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpamDetection {
    /// Whether lists of bad addresses in the DNS are asked.
    pub use_list_dnsbl: bool,
    /// Whether odd header fields count.
    pub use_header_anomaly_detection: bool,
    /// Thousandths; more marks more. Between 100 and 5,000.
    pub sensitivity_permille: u32,
}

impl Default for SpamDetection {
    fn default() -> Self {
        Self { use_list_dnsbl: false, use_header_anomaly_detection: false, sensitivity_permille: 1_000 }
    }
}

impl Policy {
    /// A policy that sets these limits and nothing else.
    pub fn new(id: PolicyId, application_id: ApplicationId, name: &str, limits: PolicyLimits, at: UnixMicros) -> Self {
        Self {
            id,
            application_id,
            name: name.to_owned(),
            limits,
            spam: SpamDetection::default(),
            options: "{}".to_owned(),
            rules: "[]".to_owned(),
            created_at: at,
            updated_at: at,
        }
    }
}

pub(crate) async fn insert(tx: &mut Tx, policy: &Policy) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO policies (id, application_id, name, attachment_octets_max, attachments_max, \
        attachment_types, inbound_message_octets_max, storage_octets_max, daily_received_max, daily_sends_max, \
        inbox_retention_days, spam_retention_days, use_list_dnsbl, use_header_anomaly_detection, \
        spam_sensitivity_permille, options, rules, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
    let set = &policy.limits;
    let limit = |limit: Option<u64>| limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let types = limits::write_types(&set.attachment_types);
    let values = params![
        policy.id.uuid(),
        policy.application_id.uuid(),
        &policy.name,
        limit(set.attachment_octets_max),
        limit(set.attachments_max),
        &types,
        limit(set.inbound_message_octets_max),
        limit(set.storage_octets_max),
        limit(set.daily_received_max),
        limit(set.daily_sends_max),
        limit(set.inbox_retention_days),
        limit(set.spam_retention_days),
        policy.spam.use_list_dnsbl,
        policy.spam.use_header_anomaly_detection,
        i64::from(policy.spam.sensitivity_permille),
        &policy.options,
        &policy.rules,
        policy.created_at.as_micros(),
        policy.updated_at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}
