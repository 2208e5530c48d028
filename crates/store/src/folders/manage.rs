//! Making, renaming and deleting folders.

use super::{OwnFolder, held, name_key};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::event::Trigger;
use postfleet_core::folder::{FOLDERS_MAX, key};
use postfleet_core::id::{ApplicationId, EventId, FolderId, GrantId};
use serde_json::json;

/// What became of a folder that somebody makes or renames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderOutcome {
    /// It is there under that name; it may have been so before.
    Done(OwnFolder),
    /// Another one of the mailbox has that name.
    Taken,
    /// The mailbox has as many as it may.
    TooMany,
    /// There is no such folder, or no such mailbox.
    Gone,
}

/// Makes a folder.
#[derive(Clone, Debug)]
pub struct CreateFolder {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The id of the folder.
    pub id: FolderId,
    /// Its name, which was looked at.
    pub name: String,
    /// The id of the event that tells it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

impl Command for CreateFolder {
    type Outcome = FolderOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<FolderOutcome, DbError> {
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(FolderOutcome::Gone);
        }
        if is_taken(tx, self.grant_id, &self.name).await? {
            return Ok(FolderOutcome::Taken);
        }
        if !has_room(tx, self.grant_id).await? {
            return Ok(FolderOutcome::TooMany);
        }
        insert(tx, self.grant_id, (self.id, &self.name), self.at).await?;
        let told = Told { application_id: self.application_id, grant_id: self.grant_id, at: self.at };
        told.announce(tx, Trigger::FolderCreated, self.event_id, (self.id, &self.name)).await?;
        Ok(FolderOutcome::Done(OwnFolder { id: self.id, name: self.name.clone(), total: 0, unread: 0 }))
    }
}

/// Gives a folder another name.
#[derive(Clone, Debug)]
pub struct RenameFolder {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The folder, by its id or its name.
    pub folder: String,
    /// Its new name, which was looked at.
    pub name: String,
    /// The id of the event that tells it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

impl Command for RenameFolder {
    type Outcome = FolderOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<FolderOutcome, DbError> {
        const RENAME: &str =
            "UPDATE folders SET name = $3, name_key = $4, updated_at = $5 WHERE grant_id = $1 AND id = $2";
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(FolderOutcome::Gone);
        }
        let Some(folder) = held(tx, self.grant_id, &self.folder).await? else { return Ok(FolderOutcome::Gone) };
        if folder.name == self.name {
            return Ok(FolderOutcome::Done(folder));
        }
        // It may change the case of its own name.
        if key(&folder.name) != key(&self.name) && is_taken(tx, self.grant_id, &self.name).await? {
            return Ok(FolderOutcome::Taken);
        }
        let (id, key) = (folder.id.to_string(), name_key(&self.name));
        let values = params![self.grant_id.uuid(), &id, &self.name, &key, self.at.as_micros()];
        tx.execute(RENAME, values).await?;
        let told = Told { application_id: self.application_id, grant_id: self.grant_id, at: self.at };
        told.announce(tx, Trigger::FolderUpdated, self.event_id, (folder.id, &self.name)).await?;
        Ok(FolderOutcome::Done(OwnFolder { name: self.name.clone(), ..folder }))
    }
}

/// Deletes a folder, at once for everybody; its messages go a little at a time by [`super::EmptyFolder`].
#[derive(Clone, Debug)]
pub struct DeleteFolder {
    /// Whose.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The folder, by its id or its name.
    pub folder: String,
    /// Whether the messages that are in no other folder go for good in place of into the trash.
    pub hard: bool,
    /// The id of the event that tells it.
    pub event_id: EventId,
    /// When.
    pub at: UnixMicros,
}

impl Command for DeleteFolder {
    /// The folder that is gone; `None` if there was no such folder.
    type Outcome = Option<FolderId>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<FolderId>, DbError> {
        const REMOVE: &str = "DELETE FROM folders WHERE grant_id = $1 AND id = $2";
        const REMEMBER: &str = "INSERT INTO removed_folders (grant_id, id, hard, removed_at) VALUES ($1, $2, $3, $4)";
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(None);
        }
        let Some(folder) = held(tx, self.grant_id, &self.folder).await? else { return Ok(None) };
        let id = folder.id.to_string();
        tx.execute(REMOVE, params![self.grant_id.uuid(), &id]).await?;
        tx.execute(REMEMBER, params![self.grant_id.uuid(), &id, self.hard, self.at.as_micros()]).await?;
        let told = Told { application_id: self.application_id, grant_id: self.grant_id, at: self.at };
        told.announce(tx, Trigger::FolderDeleted, self.event_id, (folder.id, &folder.name)).await?;
        Ok(Some(folder.id))
    }
}

/// Whether the mailbox has a folder of that name, in any case.
pub(super) async fn is_taken(tx: &mut Tx, grant: GrantId, name: &str) -> Result<bool, DbError> {
    const TAKEN: &str = "SELECT 1 FROM folders WHERE grant_id = $1 AND name_key = $2";
    Ok(tx.query_one(TAKEN, params![grant.uuid(), &name_key(name)]).await?.is_some())
}

/// Whether the mailbox, which is locked, may have one folder more.
pub(super) async fn has_room(tx: &mut Tx, grant: GrantId) -> Result<bool, DbError> {
    const COUNT: &str = "SELECT count(*) FROM folders WHERE grant_id = $1";
    let row = tx.query_one(COUNT, params![grant.uuid()]).await?;
    Ok(row.map_or(Ok(0), |row| row.count(0))? < FOLDERS_MAX as u64)
}

pub(super) async fn insert(
    tx: &mut Tx,
    grant: GrantId,
    (id, name): (FolderId, &str),
    at: UnixMicros,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO folders (grant_id, id, name, name_key, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $5)";
    let (id, key) = (id.to_string(), name_key(name));
    let values = params![grant.uuid(), &id, name, &key, at.as_micros()];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// What is told of a folder.
pub(super) struct Told {
    pub(super) application_id: ApplicationId,
    pub(super) grant_id: GrantId,
    pub(super) at: UnixMicros,
}

impl Told {
    pub(super) async fn announce(
        &self,
        tx: &mut Tx,
        trigger: Trigger,
        event_id: EventId,
        (id, name): (FolderId, &str),
    ) -> Result<(), DbError> {
        let Some(sequence) = events::next_sequence(tx, self.grant_id).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: event_id,
            application_id: self.application_id,
            grant_id: self.grant_id,
            grant_sequence: sequence,
            trigger,
            message_id: None,
            // Nowhere else once it is renamed or gone.
            data: json!({"id": id.to_string(), "name": name}).to_string(),
            at: self.at,
        });
        Ok(())
    }
}
