//! The limits that hold for a mailbox, read where something is decided: its organization's plan and its workspace's
//! policy, as they are at that moment.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, GrantId, PolicyId, WorkspaceId};
use postfleet_core::plan::{Limits, Plan, PolicyLimits};
use postfleet_core::recovery::Ramp;
use postfleet_core::{MediaRange, UtcDay};
use std::sync::Arc;

/// The columns of the policy `p` that [`policy_limits`] reads.
macro_rules! policy_limit_columns {
    () => {
        "p.attachment_octets_max, p.attachments_max, p.attachment_types, p.inbound_message_octets_max, \
         p.storage_octets_max, p.daily_received_max, p.daily_sends_max, p.inbox_retention_days, \
         p.spam_retention_days"
    };
}
pub(crate) use policy_limit_columns;

/// How many columns `policy_limit_columns!` names.
pub(crate) const POLICY_LIMIT_COLUMNS: usize = 9;

/// Reads the columns of `policy_limit_columns!`, of which the first is at `first`. All are null where a mailbox has no
/// policy.
pub(crate) fn policy_limits(row: &Row, first: usize) -> Result<PolicyLimits, DbError> {
    let limit = |offset: usize| {
        let value = row.opt_int(first + offset)?;
        value.map(u64::try_from).transpose().map_err(|_| DbError::Malformed("limit"))
    };
    Ok(PolicyLimits {
        attachment_octets_max: limit(0)?,
        attachments_max: limit(1)?,
        attachment_types: read_types(row.opt_text(first + 2)?.as_deref().unwrap_or_default())?,
        inbound_message_octets_max: limit(3)?,
        storage_octets_max: limit(4)?,
        daily_received_max: limit(5)?,
        daily_sends_max: limit(6)?,
        inbox_retention_days: limit(7)?,
        spam_retention_days: limit(8)?,
    })
}

/// A number that may be absent, and is never below zero.
pub(crate) fn opt_count(row: &Row, column: usize) -> Result<Option<u64>, DbError> {
    let value = row.opt_int(column)?;
    value.map(u64::try_from).transpose().map_err(|_| DbError::Malformed("count"))
}

/// What the ramp of a mailbox allows on a day, if it has one that is not over.
pub(crate) fn ramp_cap(row: &Row, column: usize, day: UtcDay) -> Result<Option<u64>, DbError> {
    Ok(read_ramp(row, column)?.and_then(|ramp| ramp.cap(day)))
}

fn read_ramp(row: &Row, column: usize) -> Result<Option<Ramp>, DbError> {
    row.opt_text(column)?.map(|text| text.parse().map_err(|_| DbError::Malformed("ramp"))).transpose()
}

/// The limits that hold for a mailbox of an organization with that plan, under the policy whose columns begin at
/// `first`.
pub(crate) fn effective(plan: &Plan, row: &Row, first: usize) -> Result<Limits, DbError> {
    Ok(Limits::effective(&plan.limits, &policy_limits(row, first)?))
}

/// What decides about one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLimits {
    /// Its organization's plan.
    pub plan: Arc<Plan>,
    /// Its workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// That workspace's policy.
    pub policy_id: Option<PolicyId>,
    /// What the policy sets.
    pub policy: PolicyLimits,
    /// What limits it since a pause was lifted, if one was.
    pub ramp: Option<Ramp>,
    /// Sends of the day that count: those that are held against the daily limit.
    pub sent_today: u64,
}

/// Reads what decides about a mailbox of an application.
pub async fn of_grant(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
    day: UtcDay,
) -> Result<Option<GrantLimits>, StoreError> {
    const READ: &str = concat!(
        "SELECT o.plan, w.id, w.policy_id, s.sent, m.ramp, ",
        policy_limit_columns!(),
        " FROM grants g JOIN applications a ON a.id = g.application_id JOIN organizations o ON o.id = a.organization_id \
         LEFT JOIN mailboxes m ON m.grant_id = g.id \
         LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
         LEFT JOIN daily_sends s ON s.grant_id = g.id AND s.day = $3 WHERE g.application_id = $1 AND g.id = $2"
    );
    let values = params![application.uuid(), grant.uuid(), day.number()];
    let Some(row) = reader.query_one(READ, values).await? else { return Ok(None) };
    Ok(Some(GrantLimits {
        plan: reader.plan(row.str(0)?)?,
        workspace_id: row.opt_uuid(1)?.map(WorkspaceId::from_uuid),
        policy_id: row.opt_uuid(2)?.map(PolicyId::from_uuid),
        policy: policy_limits(&row, 5)?,
        ramp: read_ramp(&row, 4)?,
        sent_today: row.opt_int(3)?.map_or(0, |sent| sent.max(0) as u64),
    }))
}

/// Types are kept separated by spaces, which none of them contains.
pub(crate) fn write_types(types: &[MediaRange]) -> String {
    types.iter().map(MediaRange::as_str).collect::<Vec<_>>().join(" ")
}

fn read_types(text: &str) -> Result<Vec<MediaRange>, DbError> {
    let read = |text| MediaRange::parse(text).map_err(|_| DbError::Malformed("media type"));
    text.split_whitespace().map(read).collect()
}
