//! The folders that a rule or a request names: by id, by name, by path.

use super::manage::{Told, has_room, insert};
use super::{find, held};
use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::folder::{self, SystemFolder};
use postfleet_core::id::{ApplicationId, EventId, FolderId, GrantId, MessageId};
use serde_json::Value;
use std::collections::BTreeMap;

/// The ids of folders by what somebody called them, and those that were made for it.
#[derive(Clone, Debug, Default)]
pub struct Assigned {
    ids: BTreeMap<String, String>,
    made: Vec<(FolderId, String)>,
}

impl Assigned {
    /// The id of the folder that was called so, if there is one.
    pub(crate) fn id(&self, named: &str) -> Option<String> {
        SystemFolder::named(named).map(|folder| folder.id().to_owned()).or_else(|| self.ids.get(named).cloned())
    }

    /// The ids of those of the folders that there are.
    pub fn ids_of(&self, named: &[String]) -> Vec<String> {
        named.iter().filter_map(|name| self.id(name)).collect()
    }

    /// Tells of the folders that were made.
    pub(crate) async fn announce(
        &self,
        tx: &mut Tx,
        (application_id, grant_id): (ApplicationId, GrantId),
        at: UnixMicros,
    ) -> Result<(), DbError> {
        for (id, name) in &self.made {
            let event_id = EventId::new(at, derived(id.uuid().as_bytes(), "folder.created"));
            let told = Told { application_id, grant_id, at };
            told.announce(tx, Trigger::FolderCreated, event_id, (*id, name)).await?;
        }
        Ok(())
    }
}

/// Finds the folders that are named, in a mailbox that is locked. One that is not there is made if the policy of the mailbox
/// has it among its additional folders. Ids of what is made come from the message for which it is made.
pub(crate) async fn assign(
    tx: &mut Tx,
    (grant, message): (GrantId, MessageId),
    named: &[String],
    at: UnixMicros,
) -> Result<Assigned, DbError> {
    look_up(tx, grant, named, Some((message, at))).await
}

/// The same for what is only foreseen. One that would be made is there by its name.
pub async fn foreseen(reader: &mut Reader<'_>, grant: GrantId, named: &[String]) -> Result<Assigned, StoreError> {
    let mut assigned = Assigned::default();
    let mut additional = None;
    for name in named.iter().filter(|name| SystemFolder::named(name).is_none()) {
        let path = path_of(name);
        if let Some(found) = find(reader, grant, path).await? {
            assigned.ids.insert(name.clone(), found.id.to_string());
            continue;
        }
        if additional.is_none() {
            let row = reader.query_one(OPTIONS, params![grant.uuid()]).await?;
            additional = Some(row.as_ref().map(additional_folders).transpose()?.unwrap_or_default());
        }
        if let Some(wanted) = additional.iter().flatten().find(|one| folder::key(one) == folder::key(path)) {
            assigned.ids.insert(name.clone(), wanted.clone());
        }
    }
    Ok(assigned)
}

/// The same for what is only told of: nothing is made.
pub(crate) async fn assigned(tx: &mut Tx, grant: GrantId, named: &[String]) -> Result<Assigned, DbError> {
    look_up(tx, grant, named, None).await
}

async fn look_up(
    tx: &mut Tx,
    grant: GrantId,
    named: &[String],
    make: Option<(MessageId, UnixMicros)>,
) -> Result<Assigned, DbError> {
    let mut assigned = Assigned::default();
    let mut additional = None;
    for name in named.iter().filter(|name| SystemFolder::named(name).is_none()) {
        let path = path_of(name);
        if let Some(found) = held(tx, grant, path).await? {
            assigned.ids.insert(name.clone(), found.id.to_string());
            continue;
        }
        let Some((message, at)) = make else { continue };
        if additional.is_none() {
            let row = tx.query_one(OPTIONS, params![grant.uuid()]).await?;
            additional = Some(row.as_ref().map(additional_folders).transpose()?.unwrap_or_default());
        }
        let is_it = |one: &&String| folder::key(one) == folder::key(path);
        let Some(wanted) = additional.iter().flatten().find(is_it) else { continue };
        if !has_room(tx, grant).await? {
            continue;
        }
        let id = FolderId::new(at, derived(message.uuid().as_bytes(), &folder::key(wanted)));
        insert(tx, grant, (id, wanted), at).await?;
        assigned.ids.insert(name.clone(), id.to_string());
        assigned.made.push((id, wanted.clone()));
    }
    Ok(assigned)
}

/// A path of one part may be written with slashes around it.
fn path_of(name: &str) -> &str {
    name.trim().trim_matches('/')
}

const OPTIONS: &str = "SELECT p.options FROM grants g JOIN workspaces w ON w.id = g.workspace_id \
    JOIN policies p ON p.id = w.policy_id WHERE g.id = $1";

/// The names of the folders that the policy of a mailbox adds, as far as folders can have them.
fn additional_folders(row: &Row) -> Result<Vec<String>, DbError> {
    let options: Value = serde_json::from_str(row.str(0)?).unwrap_or_default();
    let listed = options["additional_folders"].as_array().cloned().unwrap_or_default();
    let names = listed.iter().filter_map(|one| one.as_str().or_else(|| one["name"].as_str()));
    Ok(names.filter_map(|name| folder::name(name).ok()).collect())
}

/// Ten octets that are the same however often the command is run, and that nobody can guess who does not know the id.
fn derived(id: &[u8; 16], what: &str) -> [u8; 10] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(id);
    let hash = blake3::keyed_hash(&key, what.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&hash.as_bytes()[..10]);
    random
}
