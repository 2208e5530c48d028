//! Reading rules and lists into memory, from what is committed.

use super::book::{Items, Loading, Page};
use crate::engine::{Reader, Store};
use crate::error::StoreError;
use crate::{lists, params};
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
            if let Some(state) = lists::state(&mut reader, list).await? {
                versions.insert(list, state.version);
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
            match lists::changes_since(&mut reader, list, known, CHANGES_MAX).await? {
                Some(changes) => items.write().follow(&changes),
                None => store.rule_book().drop_items(list),
            }
            Ok(true)
        }
        None => load_some(store, &mut reader, list).await,
    }
}

/// Reads some of the items of a list that is not in memory. When all were read, what changed since the beginning is
/// read like any change: then the list is known as of one version.
async fn load_some(store: &Store, reader: &mut Reader<'_>, list: ListId) -> Result<bool, StoreError> {
    let book = store.rule_book();
    let begun = book.loading.lock().remove(&list);
    let mut loading = match begun {
        Some(loading) => loading,
        None => match lists::state(reader, list).await? {
            Some(state) if book.has_room_for(state.items_count) => {
                Loading { version: state.version, set: book.empty_set(), after: String::new() }
            }
            _ => return Ok(false),
        },
    };
    let values = lists::values(reader, list, &loading.after, ITEMS_PER_ROUND).await?;
    for value in &values {
        loading.set.insert(value);
    }
    if values.len() < ITEMS_PER_ROUND {
        let mut items = Items { version: loading.version, set: loading.set };
        if let Some(changes) = lists::changes_since(reader, list, items.version, CHANGES_MAX).await? {
            items.follow(&changes);
            book.put_items(list, items);
        }
    } else {
        loading.after = values.into_iter().next_back().unwrap_or_default();
        book.loading.lock().insert(list, loading);
    }
    Ok(true)
}
