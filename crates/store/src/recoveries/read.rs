//! Reading cases.

use super::{Recovery, read_row, recovery_columns};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::organizations::Scope;
use crate::params;
use postfleet_core::id::{GrantId, RecoveryId};
use postfleet_core::recovery::State;
use uuid::Uuid;

macro_rules! page {
    ($which:literal) => {
        concat!(
            "SELECT ",
            recovery_columns!(),
            " FROM recoveries WHERE ",
            $which,
            "id < $1 AND ($2 = '' OR state = $2) ORDER BY id DESC LIMIT $3"
        )
    };
}

pub(crate) const LIST: &str = page!("");
pub(crate) const LIST_OPEN: &str = page!("state = 'requested' AND ");
pub(crate) const LIST_OF_ORGANIZATION: &str = page!("organization_id = $4 AND ");
pub(crate) const LIST_OPEN_OF_ORGANIZATION: &str = page!("organization_id = $4 AND state = 'requested' AND ");
pub(crate) const LIST_OF_GRANT: &str = page!("grant_id = $4 AND ");

/// Whose cases are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of a mailbox.
    Grant(GrantId),
    /// Those that an operator may see.
    Operator(Scope),
}

/// Which cases a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Whose.
    pub whose: Whose,
    /// Only those that are so.
    pub state: Option<State>,
    /// Only those before this one.
    pub before: Option<RecoveryId>,
    /// How many at most.
    pub limit: usize,
}

/// Cases, newest first.
pub async fn list(reader: &mut Reader<'_>, page: Page) -> Result<Vec<Recovery>, StoreError> {
    let before = page.before.map_or(Uuid::max(), RecoveryId::uuid);
    let (state, limit) = (page.state.map_or("", State::name), page.limit as i64);
    let is_open = page.state == Some(State::Requested);
    let rows = match page.whose {
        Whose::Grant(grant) => reader.query(LIST_OF_GRANT, params![before, state, limit, grant.uuid()]).await?,
        Whose::Operator(Scope::All) => {
            let statement = if is_open { LIST_OPEN } else { LIST };
            reader.query(statement, params![before, state, limit]).await?
        }
        Whose::Operator(Scope::Of(organization)) => {
            let statement = if is_open { LIST_OPEN_OF_ORGANIZATION } else { LIST_OF_ORGANIZATION };
            reader.query(statement, params![before, state, limit, organization.uuid()]).await?
        }
    };
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

pub(super) const FIND: &str = concat!("SELECT ", recovery_columns!(), " FROM recoveries WHERE id = $1");

/// Finds a case that an operator may see.
pub async fn find(reader: &mut Reader<'_>, scope: Scope, id: RecoveryId) -> Result<Option<Recovery>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid()]).await?;
    let found = row.as_ref().map(read_row).transpose()?;
    Ok(found.filter(|case| scope.covers(case.organization_id)))
}

/// Finds a case of a mailbox.
pub async fn find_of_grant(
    reader: &mut Reader<'_>,
    grant: GrantId,
    id: RecoveryId,
) -> Result<Option<Recovery>, StoreError> {
    let found = find(reader, Scope::All, id).await?;
    Ok(found.filter(|case| case.grant_id == grant))
}

pub(crate) const OPEN: &str = concat!(
    "SELECT ",
    recovery_columns!(),
    " FROM recoveries WHERE state = 'requested' AND id > $1 ORDER BY id LIMIT $2"
);

/// Cases about which nobody has decided, the oldest first: `limit` of those after one.
pub async fn open(
    reader: &mut Reader<'_>,
    after: Option<RecoveryId>,
    limit: usize,
) -> Result<Vec<Recovery>, StoreError> {
    let after = after.map_or(Uuid::nil(), RecoveryId::uuid);
    let rows = reader.query(OPEN, params![after, limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}
