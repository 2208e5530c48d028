//! Organizations and their applications: who exists.

use crate::applications::{self, Application};
use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::domains::{self, NewDomain};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::keys::{self, NewKey};
use crate::params;
use crate::policies::{self, Policy};
use crate::stops;
use crate::workspaces::{self, Workspace};
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, OrganizationId, WorkspaceId};
use postfleet_core::{Domain, UnixMicros};
use serde_json::{Map, json};
use uuid::Uuid;

macro_rules! organization_columns {
    () => {
        "id, name, plan, grant_count, created_at, updated_at"
    };
}

/// Whose things an operator may see and change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Everybody's: the operator of the installation.
    All,
    /// Those of one organization.
    Of(OrganizationId),
}

impl Scope {
    /// Whether what belongs to that organization is in it.
    pub fn covers(self, organization: OrganizationId) -> bool {
        match self {
            Self::All => true,
            Self::Of(own) => own == organization,
        }
    }
}

/// An organization.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// What people call it.
    pub name: String,
    /// The name of its plan.
    pub plan: String,
    /// Mailboxes that it has, over all its applications.
    pub grant_count: u64,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// An organization with one application, its default workspace, keys and domains: all in one transaction.
#[derive(Clone, Debug)]
pub struct CreateOrganization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// The name of its plan.
    pub plan: String,
    /// The first application.
    pub application_id: ApplicationId,
    /// `production` or `sandbox`.
    pub environment: String,
    /// The application's default workspace.
    pub workspace_id: WorkspaceId,
    /// A policy for the default workspace.
    pub policy: Option<Policy>,
    /// Keys; those without an application are the operator's.
    pub keys: Vec<NewKey>,
    /// Domains.
    pub domains: Vec<NewDomain>,
    /// When.
    pub at: UnixMicros,
    /// The change.
    pub act: Act,
}

/// What became of [`CreateOrganization`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrganizationOutcome {
    /// It exists.
    Created,
    /// A domain of that name is registered already; nothing was made.
    DomainTaken(Domain),
}

impl Command for CreateOrganization {
    type Outcome = OrganizationOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<OrganizationOutcome, DbError> {
        const TAKEN: &str = "SELECT 1 FROM domains WHERE name = $1";
        if !self.domains.is_empty() {
            stops::lock_names(tx).await?;
        }
        for domain in &self.domains {
            if tx.query_one(TAKEN, params![domain.name.as_str()]).await?.is_some() {
                return Ok(OrganizationOutcome::DomainTaken(domain.name.clone()));
            }
        }
        self.insert_tenant(tx).await?;
        for key in &self.keys {
            keys::insert(tx, self.id, key, self.at).await?;
        }
        for domain in &self.domains {
            if !domains::insert(tx, self.id, domain, self.at).await? {
                return Err(DbError::Serialization(format!("{} was registered meanwhile", domain.name)));
            }
        }
        record(tx, &self.act, "organization.created", None, &self.organization()).await?;
        Ok(OrganizationOutcome::Created)
    }
}

impl CreateOrganization {
    async fn insert_tenant(&self, tx: &mut Tx) -> Result<(), DbError> {
        insert(tx, &self.organization()).await?;
        let application = Application {
            id: self.application_id,
            organization_id: self.id,
            name: self.name.clone(),
            environment: self.environment.clone(),
            default_workspace_id: self.workspace_id,
            details: Map::new(),
            created_at: self.at,
            updated_at: self.at,
        };
        applications::insert(tx, &application).await?;
        if let Some(policy) = &self.policy {
            policies::insert(tx, policy).await?;
        }
        workspaces::insert(tx, &self.default_workspace()).await
    }

    fn organization(&self) -> Organization {
        let (name, plan) = (self.name.clone(), self.plan.clone());
        Organization { id: self.id, name, plan, grant_count: 0, created_at: self.at, updated_at: self.at }
    }

    fn default_workspace(&self) -> Workspace {
        Workspace {
            id: self.workspace_id,
            application_id: self.application_id,
            name: "Default".to_owned(),
            domain: String::new(),
            auto_group: false,
            policy_id: self.policy.as_ref().map(|policy| policy.id),
            on_quota: postfleet_core::hold::OnQuota::Reject,
            created_at: self.at,
            updated_at: self.at,
        }
    }
}

/// Makes an organization that has nothing yet.
#[derive(Clone, Debug)]
pub struct AddOrganization {
    /// The organization.
    pub organization: Organization,
    /// The change.
    pub act: Act,
}

impl Command for AddOrganization {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        insert(tx, &self.organization).await?;
        record(tx, &self.act, "organization.created", None, &self.organization).await
    }
}

async fn insert(tx: &mut Tx, organization: &Organization) -> Result<(), DbError> {
    const INSERT: &str =
        "INSERT INTO organizations (id, name, plan, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)";
    let values =
        params![organization.id.uuid(), &organization.name, &organization.plan, organization.created_at.as_micros()];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Changes what is named and keeps the rest. Another plan holds from the commit on.
#[derive(Clone, Debug)]
pub struct UpdateOrganization {
    /// Which.
    pub id: OrganizationId,
    /// Its new name.
    pub name: Option<String>,
    /// The name of its new plan, which exists.
    pub plan: Option<String>,
    /// The change.
    pub act: Act,
}

impl Command for UpdateOrganization {
    /// The organization as it is then, if there is one.
    type Outcome = Option<Organization>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Organization>, DbError> {
        const LOCK: &str = concat!("SELECT ", organization_columns!(), " FROM organizations WHERE id = $1 {lock}");
        const UPDATE: &str = "UPDATE organizations SET name = $2, plan = $3, updated_at = $4 WHERE id = $1";
        let found = tx.query_one(LOCK, params![self.id.uuid()]).await?;
        let Some(before) = found.as_ref().map(read).transpose()? else { return Ok(None) };
        let mut after = before.clone();
        after.name = self.name.clone().unwrap_or(after.name);
        after.plan = self.plan.clone().unwrap_or(after.plan);
        if after == before {
            return Ok(Some(before));
        }
        after.updated_at = self.act.at;
        let at = after.updated_at.as_micros();
        tx.execute(UPDATE, params![self.id.uuid(), &after.name, &after.plan, at]).await?;
        record(tx, &self.act, "organization.updated", Some(&before), &after).await?;
        Ok(Some(after))
    }
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    before: Option<&Organization>,
    after: &Organization,
) -> Result<(), DbError> {
    let snapshot =
        |organization: &Organization| json!({"name": organization.name, "plan": organization.plan}).to_string();
    let (target, before, shown) = (after.id.to_string(), before.map(snapshot), snapshot(after));
    let (before, shown) = (before.as_deref(), Some(shown.as_str()));
    let change = Change { action, target_kind: "organization", target_id: &target, before, after: shown };
    audit::record(tx, &act.to(after.id), change).await
}

pub(crate) const LIST: &str =
    concat!("SELECT ", organization_columns!(), " FROM organizations WHERE id < $1 ORDER BY id DESC LIMIT $2");

/// Finds an organization.
pub async fn find(reader: &mut Reader<'_>, id: OrganizationId) -> Result<Option<Organization>, StoreError> {
    const FIND: &str = concat!("SELECT ", organization_columns!(), " FROM organizations WHERE id = $1");
    Ok(reader.query_one(FIND, params![id.uuid()]).await?.as_ref().map(read).transpose()?)
}

/// All organizations, newest first, after `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    before: Option<OrganizationId>,
    limit: usize,
) -> Result<Vec<Organization>, StoreError> {
    let before = before.map_or(Uuid::max(), OrganizationId::uuid);
    let rows = reader.query(LIST, params![before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Organization, DbError> {
    Ok(Organization {
        id: OrganizationId::from_uuid(row.uuid(0)?),
        name: row.text(1)?,
        plan: row.text(2)?,
        grant_count: row.count(3)?,
        created_at: UnixMicros::from_micros(row.int(4)?),
        updated_at: UnixMicros::from_micros(row.int(5)?),
    })
}

/// How many organizations there are: `init` makes the first.
pub async fn count(reader: &mut Reader<'_>) -> Result<u64, StoreError> {
    let row = reader.query_one("SELECT count(*) FROM organizations", params![]).await?;
    Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
}

/// Refuses to go on with an organization whose plan nobody defines any more.
pub(crate) async fn check_plans(reader: &mut Reader<'_>) -> Result<(), StoreError> {
    const NAMES: &str = "SELECT DISTINCT plan FROM organizations";
    for row in reader.query(NAMES, params![]).await? {
        let name = row.text(0)?;
        if reader.plan(&name).is_err() {
            let text = format!("an organization has the plan {name:?}, which the configuration does not define");
            return Err(StoreError::Fault(text));
        }
    }
    Ok(())
}
