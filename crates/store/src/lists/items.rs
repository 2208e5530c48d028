//! What is in a list: adding and removing many at once with few statements, and reading it page by page.

use super::change::record;
use super::{List, lock};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::rules;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ListId, ListItemId};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Values that a record names; it always says how many there were.
pub const RECORDED_VALUES_MAX: usize = 100;

/// An item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its id.
    pub id: ListItemId,
    /// What it says, in its one spelling.
    pub value: String,
    /// The version of the list that brought it.
    pub version: u64,
    /// When it was added.
    pub created_at: UnixMicros,
}

/// An item that somebody wants in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewItem {
    /// Its id if it is new.
    pub id: ListItemId,
    /// What it says, in the one spelling of the list's kind.
    pub value: String,
}

/// Adds items to a list. Those that are there already stay as they are.
#[derive(Clone, Debug)]
pub struct AddItems {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which list.
    pub id: ListId,
    /// What; duplicates among them are added once. At most [`postfleet_core::list::ITEMS_MAX`].
    pub items: Vec<NewItem>,
}

/// Removes items from a list. Those that are not there are passed over.
#[derive(Clone, Debug)]
pub struct RemoveItems {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which list.
    pub id: ListId,
    /// What, in the one spelling of the list's kind. At most [`postfleet_core::list::ITEMS_MAX`].
    pub values: Vec<String>,
}

/// What became of [`AddItems`] and [`RemoveItems`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemsOutcome {
    /// It is done.
    Changed {
        /// The list as it is now.
        list: List,
        /// How many were added, or removed.
        changed: u64,
    },
    /// The application has no such list.
    NotFound,
}

const INSERT: &str = "INSERT INTO list_items (list_id, value, id, version, created_at) \
    SELECT CAST($1 AS {id}), e.value ->> 0, {hex_id}(e.value ->> 1), CAST($2 AS {int}), CAST($3 AS {int}) \
    FROM {json_each}($4) AS e WHERE true ON CONFLICT (list_id, value) DO NOTHING RETURNING value";

pub(crate) const DELETE: &str = "DELETE FROM list_items WHERE list_id = $1 \
    AND value IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e) RETURNING value";

impl Command for AddItems {
    type Outcome = ItemsOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<ItemsOutcome, DbError> {
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(ItemsOutcome::NotFound) };
        let pair = |item: &NewItem| json!([item.value, item.id.uuid().simple().to_string()]);
        let wanted = self.items.iter().map(pair).collect::<Value>().to_string();
        let values = params![self.id.uuid(), next_version(&old), self.act.at.as_micros(), &wanted];
        let added = texts(&tx.query(INSERT, values).await?)?;
        let count = added.len() as u64;
        let list = List { items_count: old.items_count + count, ..old };
        let added =
            Changed { action: "list.items_added", asked: self.items.iter().map(|item| &item.value), set: added };
        write(tx, &self.act, list, added).await
    }
}

impl Command for RemoveItems {
    type Outcome = ItemsOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<ItemsOutcome, DbError> {
        const REMEMBER: &str = "INSERT INTO list_removals (list_id, version, value, removed_at) \
            SELECT CAST($1 AS {id}), CAST($2 AS {int}), e.value ->> 0, CAST($3 AS {int}) FROM {json_each}($4) AS e";
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(ItemsOutcome::NotFound) };
        let singles = |values: &mut dyn Iterator<Item = &String>| values.map(|value| json!([value])).collect::<Value>();
        let wanted = singles(&mut self.values.iter()).to_string();
        let removed = texts(&tx.query(DELETE, params![self.id.uuid(), &wanted]).await?)?;
        if !removed.is_empty() {
            let gone = singles(&mut removed.iter()).to_string();
            let values = params![self.id.uuid(), next_version(&old), self.act.at.as_micros(), &gone];
            tx.execute(REMEMBER, values).await?;
        }
        let count = removed.len() as u64;
        let list = List { items_count: old.items_count.saturating_sub(count), ..old };
        let removed = Changed { action: "list.items_removed", asked: self.values.iter(), set: removed };
        write(tx, &self.act, list, removed).await
    }
}

/// The version of the change that is being made.
fn next_version(list: &List) -> i64 {
    i64::try_from(list.version + 1).unwrap_or(i64::MAX)
}

fn texts(rows: &[Row]) -> Result<HashSet<String>, DbError> {
    rows.iter().map(|row| row.text(0)).collect()
}

/// What a command changed, of what it was asked to.
struct Changed<I> {
    action: &'static str,
    asked: I,
    set: HashSet<String>,
}

/// Writes the list after a change of its items, if there was one, and the record of it.
async fn write<'a>(
    tx: &mut Tx,
    act: &Act,
    list: List,
    mut changed: Changed<impl Iterator<Item = &'a String>>,
) -> Result<ItemsOutcome, DbError> {
    const UPDATE: &str = "UPDATE lists SET items_count = $2, version = $3, updated_at = $4 WHERE id = $1";
    let count = changed.set.len() as u64;
    if count == 0 {
        return Ok(ItemsOutcome::Changed { list, changed: 0 });
    }
    let version = next_version(&list);
    let list = List { version: list.version + 1, updated_at: act.at, ..list };
    let items_count = i64::try_from(list.items_count).unwrap_or(i64::MAX);
    tx.execute(UPDATE, params![list.id.uuid(), items_count, version, act.at.as_micros()]).await?;
    // In the order of the request, each once.
    let named: Vec<&String> =
        changed.asked.filter(|value| changed.set.remove(*value)).take(RECORDED_VALUES_MAX).collect();
    let facts = json!({"count": count, "values": named, "items_count": list.items_count}).to_string();
    let facts = if changed.action == "list.items_added" { (None, Some(&*facts)) } else { (Some(&*facts), None) };
    record(tx, act, changed.action, &list, facts).await?;
    rules::changed(tx, list.application_id).await?;
    Ok(ItemsOutcome::Changed { list, changed: count })
}

/// Where a page of items goes on: after the item of this version and value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The version that brought the item.
    pub version: u64,
    /// The item.
    pub value: String,
}

pub(crate) const PAGE: &str = "SELECT id, value, version, created_at FROM list_items \
    WHERE list_id = $1 AND (version, value) > ($2, $3) ORDER BY version, value LIMIT $4";

/// A page of the items of a list that the caller has found, those that were added first at the beginning: at most
/// `limit` after `after`. What is added meanwhile comes at the end.
pub async fn items(
    reader: &mut Reader<'_>,
    list: ListId,
    after: &Position,
    limit: usize,
) -> Result<Vec<Item>, StoreError> {
    let version = i64::try_from(after.version).unwrap_or(i64::MAX);
    let rows = reader.query(PAGE, params![list.uuid(), version, &after.value, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// One item of a list that the caller has found, by its value in its one spelling.
pub async fn find_item(reader: &mut Reader<'_>, list: ListId, value: &str) -> Result<Option<Item>, StoreError> {
    const FIND: &str = "SELECT id, value, version, created_at FROM list_items WHERE list_id = $1 AND value = $2";
    let row = reader.query_one(FIND, params![list.uuid(), value]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

fn read(row: &Row) -> Result<Item, DbError> {
    Ok(Item {
        id: ListItemId::from_uuid(row.uuid(0)?),
        value: row.text(1)?,
        version: row.count(2)?,
        created_at: UnixMicros::from_micros(row.int(3)?),
    })
}
