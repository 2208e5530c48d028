//! Reading rules and lists into memory, from what is committed.

use super::book::{Items, Loading, Page};
use crate::engine::{Reader, Store};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ListId, WorkspaceId};
use std::collections::{HashMap, HashSet};

/// Items that are read at once.
const ITEMS_PER_ROUND: usize = 2_000;

/// Changes of a list that are read at once; after more, all of it is read anew.
const CHANGES_MAX: usize = 20_000;

/// How often a workspace is read anew that changes while it is read.
const TRIES: usize = 3;

/// The rules of a workspace, in the order in which it names them, with the version of the application's rules.
pub(crate) const RULES: &str = "SELECT a.rules_version, r.id, r.priority, r.enabled, r.mode, r.direction, \
    r.match_operator, r.conditions, r.actions FROM workspaces w JOIN applications a ON a.id = w.application_id \
    LEFT JOIN workspace_rules u ON u.workspace_id = w.id LEFT JOIN rules r ON r.id = u.rule_id \
    WHERE w.id = $1 ORDER BY u.position";

/// The items of a list, by value.
pub(crate) const ITEMS: &str = "SELECT value FROM list_items WHERE list_id = $1 AND value > $2 ORDER BY value LIMIT $3";

/// What became of a list since a version, as of one moment: itself (0), what was removed (1), what is there (2).
pub(crate) const CHANGES: &str = "SELECT CAST(0 AS {int}), l.version, l.removals_since, '' FROM lists l WHERE l.id = $1 \
    UNION ALL SELECT CAST(1 AS {int}), r.version, r.version, r.value FROM list_removals r \
    WHERE r.list_id = $1 AND r.version > $2 \
    UNION ALL SELECT CAST(2 AS {int}), i.version, i.version, i.value FROM list_items i \
    WHERE i.list_id = $1 AND i.version > $2 LIMIT $3";

/// Reads a little of what was missed in memory: the rules of a workspace, or some items of a list. False when there is
/// nothing more to read.
pub async fn refresh_once(store: &Store) -> Result<bool, StoreError> {
    let book = store.rule_book();
    if let Some(workspace) = book.next_wanted() {
        refresh_rules(store, workspace).await?;
        return Ok(true);
    }
    // Lists for which there is no room are looked up in the database.
    let mut without_room = HashSet::new();
    while let Some(list) = book.next_stale(&without_room) {
        if refresh_list(store, list).await? {
            return Ok(true);
        }
        without_room.insert(list);
    }
    Ok(false)
}

/// Reads rules and the versions of their lists, all as of one version of the application's rules.
async fn refresh_rules(store: &Store, workspace: WorkspaceId) -> Result<(), StoreError> {
    const LIST: &str = "SELECT version FROM lists WHERE id = $1";
    const VERSION: &str = "SELECT a.rules_version FROM workspaces w JOIN applications a ON a.id = w.application_id \
        WHERE w.id = $1";
    let book = store.rule_book();
    let mut reader = store.reader().await?;
    for _ in 0..TRIES {
        let rows = reader.query(RULES, params![workspace.uuid()]).await?;
        let Some(mut page) = Page::read(&rows)? else {
            book.forget(workspace);
            return Ok(());
        };
        let mut versions = HashMap::new();
        for list in page.list_ids().collect::<HashSet<_>>() {
            if let Some(row) = reader.query_one(LIST, params![list.uuid()]).await? {
                versions.insert(list, row.int(0)?);
            }
        }
        let now = reader.query_one(VERSION, params![workspace.uuid()]).await?;
        // Every change moves the version: what was read between two equal ones belongs together.
        if now.map(|row| row.int(0)).transpose()? == Some(page.version) {
            page.lists = Some(versions);
            book.keep(workspace, page);
            return Ok(());
        }
    }
    Ok(())
}

/// Brings the items of a list nearer to what is committed; false if there is no room for them.
async fn refresh_list(store: &Store, list: ListId) -> Result<bool, StoreError> {
    let mut reader = store.reader().await?;
    match store.rule_book().items_of(list) {
        Some(items) => {
            let known = items.read().version;
            match read_changes(&mut reader, list, known).await? {
                Some(changes) => changes.apply(&mut items.write()),
                None => store.rule_book().drop_items(list),
            }
            Ok(true)
        }
        None => load_some(store, &mut reader, list).await,
    }
}

/// What became of a list since it was known.
struct Changes {
    version: i64,
    removed: Vec<String>,
    present: Vec<String>,
}

impl Changes {
    fn apply(&self, items: &mut Items) {
        // What was removed and added again is among both.
        for value in &self.removed {
            items.set.remove(value);
        }
        for value in &self.present {
            items.set.insert(value);
        }
        items.version = self.version;
    }
}

/// None if the list is gone, or has to be read from the beginning.
async fn read_changes(reader: &mut Reader<'_>, list: ListId, known: i64) -> Result<Option<Changes>, StoreError> {
    let rows = reader.query(CHANGES, params![list.uuid(), known, CHANGES_MAX as i64]).await?;
    if rows.len() >= CHANGES_MAX {
        return Ok(None);
    }
    let (mut version, mut removed, mut present) = (None, Vec::new(), Vec::new());
    for row in &rows {
        match row.int(0)? {
            0 => version = (row.int(2)? <= known).then_some(row.int(1)?),
            1 => removed.push(row.text(3)?),
            _ => present.push(row.text(3)?),
        }
    }
    Ok(version.map(|version| Changes { version, removed, present }))
}

/// Reads some of the items of a list that is not in memory. When all were read, what changed since the beginning is
/// read like any change: then the list is known as of one version.
async fn load_some(store: &Store, reader: &mut Reader<'_>, list: ListId) -> Result<bool, StoreError> {
    const BEGIN: &str = "SELECT version, items_count FROM lists WHERE id = $1";
    let book = store.rule_book();
    let begun = book.loading.lock().remove(&list);
    let mut loading = match begun {
        Some(loading) => loading,
        None => match reader.query_one(BEGIN, params![list.uuid()]).await? {
            Some(row) if book.has_room_for(row.count(1)?) => {
                Loading { version: row.int(0)?, set: book.empty_set(), after: String::new() }
            }
            _ => return Ok(false),
        },
    };
    let rows = reader.query(ITEMS, params![list.uuid(), &loading.after, ITEMS_PER_ROUND as i64]).await?;
    for row in &rows {
        loading.after = row.text(0)?;
        loading.set.insert(&loading.after);
    }
    if rows.len() < ITEMS_PER_ROUND {
        let mut items = Items { version: loading.version, set: loading.set };
        if let Some(changes) = read_changes(reader, list, loading.version).await? {
            changes.apply(&mut items);
            book.put_items(list, items);
        }
    } else {
        book.loading.lock().insert(list, loading);
    }
    Ok(true)
}
