//! Applications: the sub-accounts of an organization, each with its own keys, mailboxes, workspaces and webhooks.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::organizations::Scope;
use crate::params;
use crate::redirect_uris::{self, RedirectUriOutcome, WantedRedirectUri};
use crate::workspaces::{self, Workspace};
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, OrganizationId, WorkspaceId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

macro_rules! application_columns {
    () => {
        "id, organization_id, name, environment, default_workspace_id, details, created_at, updated_at"
    };
}

/// An application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What people call it.
    pub name: String,
    /// `production`, `sandbox` or `staging`.
    pub environment: String,
    /// Where its mailboxes go that name no workspace.
    pub default_workspace_id: WorkspaceId,
    /// What is kept and shown: branding, how sign-in looks, and so on, each under its name.
    pub details: Map<String, Value>,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// Makes an application with its default workspace.
#[derive(Clone, Debug)]
pub struct CreateApplication {
    /// The application.
    pub application: Application,
    /// The change.
    pub act: Act,
}

impl Command for CreateApplication {
    /// Whether there is such an organization.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT id FROM organizations WHERE id = $1 {lock}";
        let application = &self.application;
        if tx.query_one(LOCK, params![application.organization_id.uuid()]).await?.is_none() {
            return Ok(false);
        }
        insert(tx, application).await?;
        workspaces::insert(tx, &default_workspace(application)).await?;
        record(tx, &self.act, "application.created", None, Some(application)).await?;
        Ok(true)
    }
}

/// The workspace that every application begins with.
fn default_workspace(application: &Application) -> Workspace {
    Workspace {
        id: application.default_workspace_id,
        application_id: application.id,
        name: "Default".to_owned(),
        domain: String::new(),
        auto_group: false,
        policy_id: None,
        on_quota: postfleet_core::hold::OnQuota::Reject,
        created_at: application.created_at,
        updated_at: application.created_at,
    }
}

pub(crate) async fn insert(tx: &mut Tx, application: &Application) -> Result<(), DbError> {
    const INSERT: &str =
        concat!("INSERT INTO applications (", application_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let details = write_details(&application.details);
    let values = params![
        application.id.uuid(),
        application.organization_id.uuid(),
        &application.name,
        &application.environment,
        application.default_workspace_id.uuid(),
        &details,
        application.created_at.as_micros(),
        application.updated_at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Changes what is named and keeps the rest.
#[derive(Clone, Debug)]
pub struct UpdateApplication {
    /// Which.
    pub id: ApplicationId,
    /// Whose it must be.
    pub scope: Scope,
    /// Its new name.
    pub name: Option<String>,
    /// Its new environment.
    pub environment: Option<String>,
    /// New details: each takes the place of the one of its name; null takes it away.
    pub details: Map<String, Value>,
    /// Redirect URIs that are made or changed with it, one after the other; those that are not named stay.
    pub redirect_uris: Vec<WantedRedirectUri>,
    /// The change.
    pub act: Act,
}

/// What became of [`UpdateApplication`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// It is so now.
    Updated(Application),
    /// There is none.
    Unknown,
    /// This one of the redirect URIs cannot be, and nothing was changed.
    RedirectUri(usize, RedirectUriOutcome),
}

impl Command for UpdateApplication {
    type Outcome = UpdateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        const UPDATE: &str =
            "UPDATE applications SET name = $2, environment = $3, details = $4, updated_at = $5 WHERE id = $1";
        let Some(before) = lock(tx, self.id, self.scope).await? else { return Ok(UpdateOutcome::Unknown) };
        let old_uris =
            if self.redirect_uris.is_empty() { Vec::new() } else { redirect_uris::lock_all(tx, self.id).await? };
        let new_uris = match redirect_uris::together(&old_uris, &self.redirect_uris) {
            Ok(new) => new,
            Err(refused) => {
                let (number, outcome) = *refused;
                return Ok(UpdateOutcome::RedirectUri(number, outcome));
            }
        };
        let mut after = before.clone();
        after.name = self.name.clone().unwrap_or(after.name);
        after.environment = self.environment.clone().unwrap_or(after.environment);
        for (name, value) in &self.details {
            match value {
                Value::Null => after.details.remove(name),
                value => after.details.insert(name.clone(), value.clone()),
            };
        }
        if after == before && new_uris == old_uris {
            return Ok(UpdateOutcome::Updated(before));
        }
        after.updated_at = self.act.at;
        let details = write_details(&after.details);
        let values = params![after.id.uuid(), &after.name, &after.environment, &details, after.updated_at.as_micros()];
        tx.execute(UPDATE, values).await?;
        redirect_uris::write_all(tx, &old_uris, &new_uris).await?;
        let (mut was, mut is) = (facts(&before), facts(&after));
        if new_uris != old_uris {
            was.insert("callback_uris".to_owned(), redirect_uris::differing(&old_uris, &new_uris));
            is.insert("callback_uris".to_owned(), redirect_uris::differing(&new_uris, &old_uris));
        }
        let (was, is) = (Value::Object(was).to_string(), Value::Object(is).to_string());
        record_facts(tx, &self.act, "application.updated", &after, (Some(&was), Some(&is))).await?;
        Ok(UpdateOutcome::Updated(after))
    }
}

/// Removes an application that has no mailboxes, with everything that it has.
#[derive(Clone, Debug)]
pub struct RemoveApplication {
    /// Which.
    pub id: ApplicationId,
    /// Whose it must be.
    pub scope: Scope,
    /// The change.
    pub act: Act,
}

/// What became of [`RemoveApplication`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// It is gone.
    Removed,
    /// There is none.
    Unknown,
    /// It has mailboxes, which would be lost.
    HasGrants,
}

/// What an application has besides mailboxes, in an order in which nothing is left that refers to what is gone.
const BELONGINGS: &[&str] = &[
    "DELETE FROM usage WHERE owner_id = $1",
    "DELETE FROM readings WHERE owner_id = $1",
    "DELETE FROM webhook_lanes WHERE webhook_id IN (SELECT id FROM webhooks WHERE application_id = $1)",
    "DELETE FROM webhook_given_up WHERE webhook_id IN (SELECT id FROM webhooks WHERE application_id = $1)",
    "DELETE FROM webhook_lanes WHERE webhook_id IN (SELECT r.id FROM webhook_replays r \
        JOIN webhooks w ON w.id = r.webhook_id WHERE w.application_id = $1)",
    "DELETE FROM webhook_given_up WHERE webhook_id IN (SELECT r.id FROM webhook_replays r \
        JOIN webhooks w ON w.id = r.webhook_id WHERE w.application_id = $1)",
    "DELETE FROM webhook_attempts WHERE webhook_id IN (SELECT id FROM webhooks WHERE application_id = $1)",
    "DELETE FROM webhook_replays WHERE webhook_id IN (SELECT id FROM webhooks WHERE application_id = $1)",
    "DELETE FROM webhooks WHERE application_id = $1",
    "DELETE FROM bus_parked WHERE application_id = $1",
    "DELETE FROM event_routes WHERE application_id = $1",
    "DELETE FROM jobs WHERE application_id = $1",
    "DELETE FROM connectors WHERE application_id = $1",
    "DELETE FROM workspace_rules WHERE workspace_id IN (SELECT id FROM workspaces WHERE application_id = $1)",
    "DELETE FROM rules WHERE application_id = $1",
    "DELETE FROM workspaces WHERE application_id = $1",
    "INSERT INTO removed_lists (list_id, removed_at) SELECT id, updated_at FROM lists WHERE application_id = $1",
    "DELETE FROM lists WHERE application_id = $1",
    "DELETE FROM policies WHERE application_id = $1",
    "DELETE FROM suppressions WHERE application_id = $1",
    "DELETE FROM opt_ins WHERE application_id = $1",
    "DELETE FROM raises WHERE application_id = $1",
    "DELETE FROM reputation WHERE application_id = $1",
    "DELETE FROM spam_models WHERE application_id = $1",
    "DELETE FROM redirect_uris WHERE application_id = $1",
    "DELETE FROM api_keys WHERE application_id = $1",
];

impl Command for RemoveApplication {
    type Outcome = RemoveOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RemoveOutcome, DbError> {
        // Mailboxes are made under the lock of the organization, which comes first everywhere.
        const LOCK: &str = "SELECT id FROM organizations \
            WHERE id = (SELECT organization_id FROM applications WHERE id = $1) {lock}";
        const GRANT: &str = "SELECT id FROM grants WHERE application_id = $1 LIMIT 1";
        const REMOVE: &str = "DELETE FROM applications WHERE id = $1";
        let id = self.id.uuid();
        tx.query_one(LOCK, params![id]).await?;
        let Some(before) = lock(tx, self.id, self.scope).await? else { return Ok(RemoveOutcome::Unknown) };
        if tx.query_one(GRANT, params![id]).await?.is_some() {
            return Ok(RemoveOutcome::HasGrants);
        }
        for belonging in BELONGINGS {
            tx.execute(belonging, params![id]).await?;
        }
        tx.execute(REMOVE, params![id]).await?;
        tx.wake_webhooks();
        record(tx, &self.act, "application.deleted", Some(&before), None).await?;
        Ok(RemoveOutcome::Removed)
    }
}

/// Locks an application and reads it; `None` if there is none in that scope.
pub(crate) async fn lock(tx: &mut Tx, id: ApplicationId, scope: Scope) -> Result<Option<Application>, DbError> {
    const LOCK: &str = concat!("SELECT ", application_columns!(), " FROM applications WHERE id = $1 {lock}");
    let found = tx.query_one(LOCK, params![id.uuid()]).await?.as_ref().map(read).transpose()?;
    Ok(found.filter(|application| scope.covers(application.organization_id)))
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    before: Option<&Application>,
    after: Option<&Application>,
) -> Result<(), DbError> {
    let Some(any) = after.or(before) else { return Ok(()) };
    let snapshot = |application| Value::Object(facts(application)).to_string();
    let (before, after) = (before.map(snapshot), after.map(snapshot));
    record_facts(tx, act, action, any, (before.as_deref(), after.as_deref())).await
}

async fn record_facts(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    application: &Application,
    facts: (Option<&str>, Option<&str>),
) -> Result<(), DbError> {
    let (target, (before, after)) = (application.id.to_string(), facts);
    let change = Change { action, target_kind: "application", target_id: &target, before, after };
    audit::record(tx, &act.to(application.organization_id), change).await
}

fn facts(application: &Application) -> Map<String, Value> {
    let mut shown = application.details.clone();
    shown.insert("name".to_owned(), json!(application.name));
    shown.insert("environment".to_owned(), json!(application.environment));
    shown
}

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    application_columns!(),
    " FROM applications WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);

/// Finds an application.
pub async fn find(reader: &mut Reader<'_>, id: ApplicationId) -> Result<Option<Application>, StoreError> {
    const FIND: &str = concat!("SELECT ", application_columns!(), " FROM applications WHERE id = $1");
    Ok(reader.query_one(FIND, params![id.uuid()]).await?.as_ref().map(read).transpose()?)
}

/// An organization's applications, newest first, after `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    before: Option<ApplicationId>,
    limit: usize,
) -> Result<Vec<Application>, StoreError> {
    let before = before.map_or(Uuid::max(), ApplicationId::uuid);
    let rows = reader.query(LIST, params![organization.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn write_details(details: &Map<String, Value>) -> String {
    serde_json::to_string(details).unwrap_or_else(|_| "{}".to_owned())
}

fn read(row: &Row) -> Result<Application, DbError> {
    Ok(Application {
        id: ApplicationId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        environment: row.text(3)?,
        default_workspace_id: WorkspaceId::from_uuid(row.uuid(4)?),
        details: serde_json::from_str(row.str(5)?).map_err(|_| DbError::Malformed("details"))?,
        created_at: UnixMicros::from_micros(row.int(6)?),
        updated_at: UnixMicros::from_micros(row.int(7)?),
    })
}
