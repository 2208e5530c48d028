//! Organizations and their applications: who exists.

use crate::db::DbError;
use crate::domains::{self, NewDomain};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::keys::{self, NewKey};
use crate::params;
use crate::policies::{self, Policy};
use crate::workspaces::{self, Workspace};
use postfleet_core::id::{ApplicationId, OrganizationId, WorkspaceId};
use postfleet_core::{Domain, UnixMicros};

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
        Ok(OrganizationOutcome::Created)
    }
}

impl CreateOrganization {
    async fn insert_tenant(&self, tx: &mut Tx) -> Result<(), DbError> {
        const ORGANIZATION: &str =
            "INSERT INTO organizations (id, name, plan, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)";
        const APPLICATION: &str = "INSERT INTO applications \
            (id, organization_id, name, environment, default_workspace_id, details, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, '{}', $6, $6)";
        let (application, at) = (self.application_id.uuid(), self.at.as_micros());
        tx.execute(ORGANIZATION, params![self.id.uuid(), &self.name, &self.plan, at]).await?;
        let workspace = self.workspace_id.uuid();
        let values = params![application, self.id.uuid(), &self.name, &self.environment, workspace, at];
        tx.execute(APPLICATION, values).await?;
        if let Some(policy) = &self.policy {
            policies::insert(tx, policy).await?;
        }
        workspaces::insert(tx, &self.default_workspace()).await
    }

    fn default_workspace(&self) -> Workspace {
        Workspace {
            id: self.workspace_id,
            application_id: self.application_id,
            name: "Default".to_owned(),
            domain: String::new(),
            auto_group: false,
            policy_id: self.policy.as_ref().map(|policy| policy.id),
            created_at: self.at,
            updated_at: self.at,
        }
    }
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
