//! Lists in which rules look things up, and their items.
//!
//! Every change of a list's items gives the list the next version. An item carries the version that brought it; what is
//! removed is remembered with the version that took it away (`list_removals`), for a day. So whoever keeps the items as
//! of one version in memory reads only what changed since:
//!
//! 1. Read [`changes_since`] that version: it tells all of one moment. If that is not to be had, read all [`values`] page
//!    by page, and after the last page what changed since the [`state`] that was read before the first one.
//! 2. Take away what was removed, then add what is present: a value that was removed and added again is in both, and is
//!    there. That is why adding it again forgets no removal.
//!
//! A list is removed at once for everybody; its items go a little at a time ([`PruneRemovedLists`]). Until then they are
//! rows that nothing reads: each read asks for the list as well.
//!
//! Commands lock the organization (where lists are counted), then the application, then the list, and end with
//! `rules::changed`: all that was judged by before is read anew.

mod change;
mod items;
mod lookup;
mod prune;

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, ListId, OrganizationId};
use postfleet_core::list::ListKind;
use serde_json::{Value, json};

pub use change::{CreateList, CreateOutcome, RemoveList, UpdateList, UpdateOutcome};
pub use items::{AddItems, Item, ItemsOutcome, NewItem, Position, RECORDED_VALUES_MAX, RemoveItems, find_item, items};
pub use lookup::{Changes, State, changes_since, state, values};
pub(crate) use lookup::{contains, has};
pub use prune::{PruneRemovals, PruneRemovedLists};

#[cfg(test)]
pub(crate) use {
    items::DELETE as REMOVE_ITEMS, items::PAGE as ITEMS, lookup::LISTS as LOOKUPS, prune::LISTS as PRUNED,
};

/// A list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Whose application has it.
    pub organization_id: OrganizationId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What its items are.
    pub kind: ListKind,
    /// How many it has.
    pub items_count: u64,
    /// Goes up with every change of its items.
    pub version: u64,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it or its items were last changed.
    pub updated_at: UnixMicros,
}

/// What a record shows of a list.
fn facts(list: &List) -> Value {
    json!({"name": list.name, "description": list.description, "type": list.kind.name()})
}

macro_rules! list_columns {
    () => {
        "l.id, l.application_id, \
         (SELECT a.organization_id FROM applications a WHERE a.id = l.application_id), \
         l.name, l.description, l.kind, l.items_count, l.version, l.created_at, l.updated_at"
    };
}

const FIND: &str = concat!("SELECT ", list_columns!(), " FROM lists l WHERE l.id = $1 AND l.application_id = $2");

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    list_columns!(),
    " FROM lists l WHERE l.application_id = $1 AND l.id < $2 ORDER BY l.id DESC LIMIT $3"
);

/// Finds a list of an application.
pub async fn find(reader: &mut Reader<'_>, application: ApplicationId, id: ListId) -> Result<Option<List>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// An application's lists, newest first: at most `limit` of those made before `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    before: Option<ListId>,
    limit: usize,
) -> Result<Vec<List>, StoreError> {
    let before = before.map_or(uuid::Uuid::max(), ListId::uuid);
    let rows = reader.query(LIST, params![application.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Locks an application and one of its lists, in this order. `None` if there is no such list.
async fn lock(tx: &mut Tx, application: ApplicationId, id: ListId) -> Result<Option<List>, DbError> {
    const LOCK: &str =
        concat!("SELECT ", list_columns!(), " FROM lists l WHERE l.id = $1 AND l.application_id = $2 {lock}");
    if !lock_application(tx, application).await? {
        return Ok(None);
    }
    tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await?.as_ref().map(read).transpose()
}

async fn lock_application(tx: &mut Tx, application: ApplicationId) -> Result<bool, DbError> {
    const LOCK: &str = "SELECT id FROM applications WHERE id = $1 {lock}";
    Ok(tx.query_one(LOCK, params![application.uuid()]).await?.is_some())
}

fn read(row: &Row) -> Result<List, DbError> {
    Ok(List {
        id: ListId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        organization_id: OrganizationId::from_uuid(row.uuid(2)?),
        name: row.text(3)?,
        description: row.opt_text(4)?,
        kind: kind(row.str(5)?)?,
        items_count: row.count(6)?,
        version: row.count(7)?,
        created_at: UnixMicros::from_micros(row.int(8)?),
        updated_at: UnixMicros::from_micros(row.int(9)?),
    })
}

fn kind(name: &str) -> Result<ListKind, DbError> {
    ListKind::named(name).ok_or(DbError::Malformed("kind of a list"))
}
