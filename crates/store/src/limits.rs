//! The limits that hold for a mailbox, read where something is decided: its organization's plan and its workspace's
//! policy, as they are at that moment.

use crate::db::{DbError, Row};
use postfleet_core::MediaRange;
use postfleet_core::plan::{Limits, Plan, PolicyLimits};

/// The columns of the policy `p` that [`policy_limits`] reads.
macro_rules! policy_limit_columns {
    () => {
        "p.attachment_octets_max, p.attachments_max, p.attachment_types, p.inbound_message_octets_max, \
         p.storage_octets_max, p.daily_received_max, p.daily_sends_max, p.inbox_retention_days, \
         p.spam_retention_days"
    };
}
pub(crate) use policy_limit_columns;

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

/// The limits that hold for a mailbox of an organization with that plan, under the policy whose columns begin at
/// `first`.
pub(crate) fn effective(plan: &Plan, row: &Row, first: usize) -> Result<Limits, DbError> {
    Ok(Limits::effective(&plan.limits, &policy_limits(row, first)?))
}

/// Types are kept separated by spaces, which none of them contains.
pub(crate) fn write_types(types: &[MediaRange]) -> String {
    types.iter().map(MediaRange::as_str).collect::<Vec<_>>().join(" ")
}

fn read_types(text: &str) -> Result<Vec<MediaRange>, DbError> {
    let read = |text| MediaRange::parse(text).map_err(|_| DbError::Malformed("media type"));
    text.split_whitespace().map(read).collect()
}
