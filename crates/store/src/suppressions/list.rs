//! Listing suppressions, newest first: each combination of filters from an index in its order.

use super::{Suppression, read, suppression_columns};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::ApplicationId;
use postfleet_core::suppression::Reason;
use postfleet_core::{Domain, UnixMicros};

macro_rules! page {
    ($filter:literal) => {
        concat!(
            "SELECT ",
            suppression_columns!(),
            " FROM suppressions WHERE application_id = $1",
            $filter,
            " AND (created_at, address_key) < ($2, $3) AND (expires_at IS NULL OR expires_at > $4) \
             ORDER BY created_at DESC, address_key DESC LIMIT $5"
        )
    };
}

pub(crate) const ALL: &str = page!("");
pub(crate) const OF_REASON: &str = page!(" AND reason = $6");
pub(crate) const OF_DOMAIN: &str = page!(" AND domain = $6");
pub(crate) const OF_DOMAIN_AND_REASON: &str = page!(" AND domain = $6 AND reason = $7");

/// Which suppressions are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only those with this reason.
    pub reason: Option<Reason>,
    /// Only those at this domain.
    pub domain: Option<Domain>,
}

/// Where a page goes on: after the entry of this time and key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// When the entry was made.
    pub created_at: UnixMicros,
    /// The key of its address.
    pub key: String,
}

impl Position {
    /// Before all entries.
    pub fn beginning() -> Self {
        Self { created_at: UnixMicros::from_micros(i64::MAX), key: String::new() }
    }
}

/// A page of an application's suppressions that have not expired, newest first: at most `limit` after `after`.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    filter: &Filter,
    after: &Position,
    (now, limit): (UnixMicros, usize),
) -> Result<Vec<Suppression>, StoreError> {
    let application = application.uuid();
    let (from, key, now, limit) = (after.created_at.as_micros(), &after.key, now.as_micros(), limit as i64);
    let rows = match (&filter.domain, filter.reason) {
        (None, None) => reader.query(ALL, params![application, from, key, now, limit]).await?,
        (None, Some(reason)) => {
            reader.query(OF_REASON, params![application, from, key, now, limit, reason.name()]).await?
        }
        (Some(domain), None) => {
            reader.query(OF_DOMAIN, params![application, from, key, now, limit, domain.as_str()]).await?
        }
        (Some(domain), Some(reason)) => {
            let values = params![application, from, key, now, limit, domain.as_str(), reason.name()];
            reader.query(OF_DOMAIN_AND_REASON, values).await?
        }
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}
