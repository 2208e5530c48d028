//! Making, changing and removing lists.

use super::{List, facts, lock, lock_application};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::params;
use crate::rules;
use postfleet_core::Patch;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ListId, OrganizationId};
use postfleet_core::list::ListKind;
use postfleet_core::plan::Cap;

/// Makes a list without items.
#[derive(Clone, Debug)]
pub struct CreateList {
    /// Who, in which organization, and when.
    pub act: Act,
    /// Its id.
    pub id: ListId,
    /// Whose.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What its items are. It stays.
    pub kind: ListKind,
}

/// What became of [`CreateList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was made.
    Created(List),
    /// The organization has as many lists as its plan allows.
    TooMany(Cap),
    /// There is no such application any more.
    ApplicationGone,
}

impl Command for CreateList {
    type Outcome = CreateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CreateOutcome, DbError> {
        const INSERT: &str = "INSERT INTO lists (id, application_id, name, description, kind, items_count, version, \
            removals_since, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, $6)";
        let (organization_id, at) = (self.act.organization_id, self.act.at);
        let cap = lock_organization(tx, organization_id).await?;
        if !lock_application(tx, self.application_id).await? {
            return Ok(CreateOutcome::ApplicationGone);
        }
        if let Some(cap) = cap {
            return Ok(CreateOutcome::TooMany(cap));
        }
        let list = List {
            id: self.id,
            application_id: self.application_id,
            organization_id,
            name: self.name.clone(),
            description: self.description.clone(),
            kind: self.kind,
            items_count: 0,
            version: 0,
            created_at: at,
            updated_at: at,
        };
        let values = params![
            self.id.uuid(),
            self.application_id.uuid(),
            &self.name,
            self.description.as_deref(),
            self.kind.name(),
            at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        let after = facts(&list).to_string();
        record(tx, &self.act, "list.created", &list, (None, Some(&after))).await?;
        rules::changed(tx, self.application_id).await?;
        Ok(CreateOutcome::Created(list))
    }
}

/// Locks an organization, and counts its lists if its plan has a cap: `Some` if that is reached.
async fn lock_organization(tx: &mut Tx, organization: OrganizationId) -> Result<Option<Cap>, DbError> {
    const LOCK: &str = "SELECT plan FROM organizations WHERE id = $1 {lock}";
    const COUNT: &str = "SELECT count(*) FROM applications a JOIN lists l ON l.application_id = a.id \
        WHERE a.organization_id = $1";
    let Some(row) = tx.query_one(LOCK, params![organization.uuid()]).await? else { return Ok(None) };
    let Some(limit) = tx.plan(row.str(0)?)?.lists_max else { return Ok(None) };
    let row = tx.query_one(COUNT, params![organization.uuid()]).await?;
    let used = row.map(|row| row.count(0)).transpose()?.unwrap_or(0);
    Ok((used >= limit).then_some(Cap { limit, used }))
}

/// Changes what people call a list, and what it is said to be for.
#[derive(Clone, Debug)]
pub struct UpdateList {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: ListId,
    /// The new name; what is absent stays.
    pub name: Option<String>,
    /// The new description.
    pub description: Patch<String>,
}

/// What became of [`UpdateList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// It is as wanted.
    Written(List),
    /// The application has no such list.
    NotFound,
}

impl Command for UpdateList {
    type Outcome = UpdateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        const UPDATE: &str = "UPDATE lists SET name = $2, description = $3, updated_at = $4 WHERE id = $1";
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(UpdateOutcome::NotFound) };
        let mut new = List {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            description: self.description.clone().apply(old.description.clone()),
            ..old.clone()
        };
        if new == old {
            return Ok(UpdateOutcome::Written(old));
        }
        new.updated_at = self.act.at;
        let values = params![self.id.uuid(), &new.name, new.description.as_deref(), self.act.at.as_micros()];
        tx.execute(UPDATE, values).await?;
        let (before, after) = (facts(&old).to_string(), facts(&new).to_string());
        record(tx, &self.act, "list.updated", &new, (Some(&before), Some(&after))).await?;
        rules::changed(tx, self.application_id).await?;
        Ok(UpdateOutcome::Written(new))
    }
}

/// Removes a list: at once for everybody, its items a little at a time by [`super::PruneRemovedLists`]. Rules that look
/// something up in it find nothing there from then on.
#[derive(Clone, Debug)]
pub struct RemoveList {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: ListId,
}

impl Command for RemoveList {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMEMBER: &str = "INSERT INTO removed_lists (list_id, removed_at) VALUES ($1, $2)";
        const REMOVE: &str = "DELETE FROM lists WHERE id = $1";
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(false) };
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        tx.execute(REMEMBER, params![self.id.uuid(), self.act.at.as_micros()]).await?;
        let mut before = facts(&old);
        before["items_count"] = old.items_count.into();
        record(tx, &self.act, "list.deleted", &old, (Some(&before.to_string()), None)).await?;
        rules::changed(tx, self.application_id).await?;
        Ok(true)
    }
}

/// Writes the record of a change of a list.
pub(super) async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    list: &List,
    (before, after): (Option<&str>, Option<&str>),
) -> Result<(), DbError> {
    let target = list.id.to_string();
    audit::record(tx, act, Change { action, target_kind: "list", target_id: &target, before, after }).await
}
