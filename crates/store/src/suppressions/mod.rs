//! Addresses that an application's mail does not go to: who they are and why.
//!
//! An address has one entry, under its key (`EmailAddress::key`). One that has expired counts as if it were not there,
//! wherever it is read; the janitor removes it. [`suppress`] is what the product calls when it finds something out by
//! itself, inside the transaction of whatever told it; what people ask for goes through [`AddSuppressions`] and
//! [`RemoveSuppression`], with a record.

mod change;
mod check;
mod import;
mod list;
mod prune;
mod unsubscribe;

use crate::db::{DbError, Row};
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::suppression::Reason;
use postfleet_core::{EmailAddress, UnixMicros};

pub(crate) use change::forget_bounce;
pub use change::{AddSuppressions, Added, Cause, RECORDED_ADDRESSES_MAX, RemoveSuppression, suppress};
pub(crate) use check::of_recipients;
pub use check::{check, find};
pub use import::{ImportSuppressions, Imported};
pub use list::{Filter, Position, list};
pub use prune::PruneSuppressions;
pub use unsubscribe::{Unsubscribe, UnsubscribeOutcome, Way};

#[cfg(test)]
pub(crate) use {
    check::{MANY as CHECK_MANY, ONE as CHECK_ONE},
    list::{ALL as LIST, OF_DOMAIN, OF_DOMAIN_AND_REASON, OF_REASON},
    prune::EXPIRED,
};

/// An address that is not written to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suppression {
    /// Whose mail does not go there.
    pub application_id: ApplicationId,
    /// The address, as it was first written.
    pub address: EmailAddress,
    /// Why.
    pub reason: Reason,
    /// Who or what said so, such as `delivery` or `api`.
    pub source: String,
    /// What people noted.
    pub note: Option<String>,
    /// The mailbox whose mail it came from.
    pub grant_id: Option<GrantId>,
    /// The message that it came from.
    pub message_id: Option<MessageId>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
    /// Since when.
    pub created_at: UnixMicros,
}

/// The columns that [`read`] reads.
macro_rules! suppression_columns {
    () => {
        "application_id, address, reason, source, note, grant_id, message_id, expires_at, created_at"
    };
}
use suppression_columns;

fn read(row: &Row) -> Result<Suppression, DbError> {
    Ok(Suppression {
        application_id: ApplicationId::from_uuid(row.uuid(0)?),
        address: EmailAddress::parse(row.str(1)?).map_err(|_| DbError::Malformed("suppressed address"))?,
        reason: Reason::named(row.str(2)?).ok_or(DbError::Malformed("reason"))?,
        source: row.text(3)?,
        note: row.opt_text(4)?,
        grant_id: row.opt_uuid(5)?.map(GrantId::from_uuid),
        message_id: row.opt_uuid(6)?.map(MessageId::from_uuid),
        expires_at: row.opt_int(7)?.map(UnixMicros::from_micros),
        created_at: UnixMicros::from_micros(row.int(8)?),
    })
}
