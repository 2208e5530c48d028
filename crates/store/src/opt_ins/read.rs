//! Reading opt-ins, newest first. What has expired is told from what waits by its id, which begins with the time.

use super::{OptIn, opt_in_columns, read_row};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, OptInId};
use postfleet_core::opt_in::{LIFETIME, State};
use postfleet_core::{EmailAddress, UnixMicros};
use std::time::Duration;
use uuid::Uuid;

macro_rules! page {
    ($filter:literal) => {
        concat!(
            "SELECT ",
            opt_in_columns!(),
            " FROM opt_ins WHERE application_id = $1",
            $filter,
            " AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4"
        )
    };
}

pub(crate) const LIST: &str = page!("");
pub(crate) const OF_STATE: &str = page!(" AND state = $5");
pub(crate) const OF_PURPOSE: &str = page!(" AND purpose_hash = $5");
pub(crate) const OF_PURPOSE_AND_STATE: &str = page!(" AND purpose_hash = $5 AND state = $6");
// An address has few.
pub(crate) const OF_ADDRESS: &str = page!(" AND address_key = $5");
pub(crate) const OF_ADDRESS_AND_STATE: &str = page!(" AND address_key = $5 AND state = $6");
pub(crate) const OF_ADDRESS_AND_PURPOSE: &str = page!(" AND address_key = $5 AND purpose_hash = $6");
pub(crate) const OF_ADDRESS_AND_PURPOSE_AND_STATE: &str =
    page!(" AND address_key = $5 AND purpose_hash = $6 AND state = $7");

/// Finds one of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: OptInId,
) -> Result<Option<OptIn>, StoreError> {
    let found = with_id(reader, id).await?;
    Ok(found.filter(|found| found.application_id == application))
}

/// Finds one by its id alone, for whoever has its link.
pub async fn with_id(reader: &mut Reader<'_>, id: OptInId) -> Result<Option<OptIn>, StoreError> {
    const FIND: &str = concat!("SELECT ", opt_in_columns!(), " FROM opt_ins WHERE id = $1");
    let row = reader.query_one(FIND, params![id.uuid()]).await?;
    Ok(row.as_ref().map(read_row).transpose()?)
}

/// Which opt-ins are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only those that are so now.
    pub state: Option<State>,
    /// Only those for the purpose of this hash.
    pub purpose_hash: Option<[u8; 32]>,
    /// Only those of this address.
    pub address: Option<EmailAddress>,
}

/// A page of an application's opt-ins: at most `limit` before `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    filter: &Filter,
    before: Option<OptInId>,
    (now, limit): (UnixMicros, usize),
) -> Result<Vec<OptIn>, StoreError> {
    // The first that waits: whatever was asked as long ago as a link lives has expired.
    let days = UnixMicros::from_micros(now.as_micros().saturating_sub(LIFETIME.as_micros() as i64));
    let waits = OptInId::first_at(days.plus(Duration::from_micros(1))).uuid();
    let before = before.map_or(Uuid::max(), OptInId::uuid);
    let (from, before) = match filter.state {
        Some(State::Pending) => (waits, before),
        Some(State::Expired) => (Uuid::nil(), before.min(waits)),
        _ => (Uuid::nil(), before),
    };
    let state = filter.state.map(|state| if state == State::Expired { State::Pending } else { state }.name());
    let key = filter.address.as_ref().map(EmailAddress::key);
    let purpose = filter.purpose_hash.as_ref().map(<[u8; 32]>::as_slice);
    let (application, limit) = (application.uuid(), limit as i64);
    let rows = match (&key, purpose, state) {
        (None, None, None) => reader.query(LIST, params![application, from, before, limit]).await?,
        (None, None, Some(state)) => reader.query(OF_STATE, params![application, from, before, limit, state]).await?,
        (None, Some(purpose), None) => {
            reader.query(OF_PURPOSE, params![application, from, before, limit, purpose]).await?
        }
        (None, Some(purpose), Some(state)) => {
            let values = params![application, from, before, limit, purpose, state];
            reader.query(OF_PURPOSE_AND_STATE, values).await?
        }
        (Some(key), None, None) => reader.query(OF_ADDRESS, params![application, from, before, limit, key]).await?,
        (Some(key), None, Some(state)) => {
            reader.query(OF_ADDRESS_AND_STATE, params![application, from, before, limit, key, state]).await?
        }
        (Some(key), Some(purpose), None) => {
            let values = params![application, from, before, limit, key, purpose];
            reader.query(OF_ADDRESS_AND_PURPOSE, values).await?
        }
        (Some(key), Some(purpose), Some(state)) => {
            let values = params![application, from, before, limit, key, purpose, state];
            reader.query(OF_ADDRESS_AND_PURPOSE_AND_STATE, values).await?
        }
    };
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}
