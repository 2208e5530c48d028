//! Changing a mailbox: its display name, its password for mail clients, what its maker wants to see again, and its
//! workspace.

use super::{Grant, Placement, has_workspace, lock, lock_tenant};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::params;
use crate::queue;
use crate::tokens;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, WorkspaceId};
use postfleet_core::{Patch, Secret, UnixMicros};

/// What of a mailbox is to change.
#[derive(Clone, Debug, Default)]
pub struct GrantChange {
    /// The display name.
    pub name: Patch<String>,
    /// What its maker wants to see again.
    pub state: Patch<String>,
    /// The workspace; cleared, it is in none.
    pub workspace_id: Patch<WorkspaceId>,
    /// The hash of the password for mail clients; cleared, none can log in.
    pub app_password: Patch<Secret<String>>,
}

/// Changes a mailbox of an application.
#[derive(Clone, Debug)]
pub struct UpdateGrant {
    /// Who does it, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: GrantId,
    /// What is to change.
    pub change: GrantChange,
    /// The id of the event that announces it.
    pub event_id: EventId,
}

/// What became of [`UpdateGrant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// It is like this now.
    Done(Box<Grant>),
    /// The application has no such mailbox.
    NoSuchGrant,
    /// The application has no such workspace; nothing was changed.
    WorkspaceUnknown,
}

impl Command for UpdateGrant {
    type Outcome = UpdateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        // So that the workspace is still there when the mailbox comes, and none is stopped meanwhile.
        if !self.change.workspace_id.is_keep()
            && lock_tenant(tx, self.act.organization_id, self.application_id).await?.is_none()
        {
            return Ok(UpdateOutcome::NoSuchGrant);
        }
        if let Patch::Set(workspace) = self.change.workspace_id
            && !has_workspace(tx, self.application_id, workspace).await?
        {
            return Ok(UpdateOutcome::WorkspaceUnknown);
        }
        let Some(before) = lock(tx, self.application_id, self.id).await? else {
            return Ok(UpdateOutcome::NoSuchGrant);
        };
        let Some(after) = apply(tx, &before, &self.change, self.event_id, self.act.at).await? else {
            return Ok(UpdateOutcome::Done(Box::new(before)));
        };
        record(tx, &self.act, &before, &after, !self.change.app_password.is_keep()).await?;
        Ok(UpdateOutcome::Done(Box::new(after)))
    }
}

/// Changes a mailbox that is locked. `None` if it is like that already: then nothing is written and nobody told.
pub(super) async fn apply(
    tx: &mut Tx,
    before: &Grant,
    change: &GrantChange,
    event_id: EventId,
    at: UnixMicros,
) -> Result<Option<Grant>, DbError> {
    let after = changed(before, change, at);
    let is_password_changed = match change.app_password {
        Patch::Keep => false,
        Patch::Clear => before.has_app_password,
        // Two hashes of one password differ, so that this always counts as a change.
        Patch::Set(_) => true,
    };
    if !is_password_changed && after == (Grant { updated_at: at, ..before.clone() }) {
        return Ok(None);
    }
    write(tx, &after).await?;
    if after.workspace_id != before.workspace_id {
        queue::left_workspace(tx, (before.application_id, before.id), before.workspace_id, at).await?;
    }
    if is_password_changed {
        write_password(tx, &after, change.app_password.value()).await?;
        // Whoever signed in with the old one has to do so again.
        tokens::remove_of_grant(tx, before.id).await?;
    }
    let sequence = events::next_sequence(tx, before.id).await?.ok_or(DbError::Malformed("mailbox"))?;
    tx.announce(NewEvent {
        id: event_id,
        application_id: before.application_id,
        grant_id: before.id,
        grant_sequence: sequence,
        trigger: Trigger::GrantUpdated,
        message_id: None,
        data: "{}".into(),
        at,
    });
    Ok(Some(after))
}

/// The mailbox after the change. Where it is already counts as no move: how it came there is still told.
fn changed(before: &Grant, change: &GrantChange, at: UnixMicros) -> Grant {
    let workspace_id = change.workspace_id.apply(before.workspace_id);
    Grant {
        workspace_id,
        placement: if workspace_id == before.workspace_id { before.placement } else { Placement::Moved },
        name: change.name.clone().apply(Some(before.name.clone())).unwrap_or_default(),
        state: change.state.clone().apply(before.state.clone()),
        has_app_password: change.app_password.clone().apply(before.has_app_password.then(no_secret)).is_some(),
        updated_at: at,
        ..before.clone()
    }
}

/// Stands for a hash that nobody looks at.
fn no_secret() -> Secret<String> {
    Secret::new(String::new())
}

async fn write(tx: &mut Tx, grant: &Grant) -> Result<(), DbError> {
    const UPDATE: &str = "UPDATE grants SET workspace_id = $3, placement = $4, name = $5, state = $6, updated_at = $7 \
        WHERE application_id = $1 AND id = $2";
    let values = params![
        grant.application_id.uuid(),
        grant.id.uuid(),
        grant.workspace_id.map(|id| id.uuid()),
        grant.placement.name(),
        &grant.name,
        grant.state.as_ref(),
        grant.updated_at.as_micros()
    ];
    tx.execute(UPDATE, values).await?;
    Ok(())
}

async fn write_password(tx: &mut Tx, grant: &Grant, hash: Option<&Secret<String>>) -> Result<(), DbError> {
    const UPDATE: &str = "UPDATE grants SET app_password = $3 WHERE application_id = $1 AND id = $2";
    let values = params![grant.application_id.uuid(), grant.id.uuid(), hash.map(Secret::expose)];
    tx.execute(UPDATE, values).await?;
    Ok(())
}

/// Records a change. Of a password nothing is shown but that it was given anew.
pub(super) async fn record(
    tx: &mut Tx,
    act: &Act,
    before: &Grant,
    after: &Grant,
    is_password_given: bool,
) -> Result<(), DbError> {
    let (id, was, mut is) = (after.id.to_string(), before.facts().to_string(), after.facts());
    if is_password_given {
        is["is_password_changed"] = true.into();
    }
    let is = is.to_string();
    let change =
        Change { action: "grant.updated", target_kind: "grant", target_id: &id, before: Some(&was), after: Some(&is) };
    audit::record(tx, act, change).await
}
