//! Organizations, applications, keys, domains, policies and workspaces: who exists.

use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, DomainId, KeyId, OrganizationId, PolicyId, WorkspaceId};
use postfleet_core::{Domain, Secret, UnixMicros};

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
    /// A policy for the default workspace: its id, its name, sends a day.
    pub policy: Option<(PolicyId, String, Option<u64>)>,
    /// Keys; those without an application are the operator's.
    pub keys: Vec<NewKey>,
    /// Domains.
    pub domains: Vec<NewDomain>,
    /// When.
    pub at: UnixMicros,
}

/// A key about to be stored: never the key itself.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// The application it acts for, or `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
    /// What people call it.
    pub name: String,
    /// The keyed hash by which it is found.
    pub hash: [u8; 32],
}

/// A domain about to be registered.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: Domain,
    /// When it was verified, if it is.
    pub verified_at: Option<UnixMicros>,
    /// The keys that sign for it.
    pub dkim_keys: Vec<DkimKey>,
}

/// A key that signs for a domain (RFC 6376).
#[derive(Clone, Debug)]
pub struct DkimKey {
    /// The selector under which its public half is published.
    pub selector: String,
    /// `rsa` or `ed25519`.
    pub algorithm: String,
    /// PKCS #8, or the seed of an Ed25519 key, as `postfleet-mail` made it.
    pub private_key: Secret<Vec<u8>>,
    /// The TXT record to publish.
    pub public_record: String,
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
            self.insert_key(tx, key).await?;
        }
        for domain in &self.domains {
            self.insert_domain(tx, domain).await?;
        }
        Ok(OrganizationOutcome::Created)
    }
}

impl CreateOrganization {
    async fn insert_tenant(&self, tx: &mut Tx) -> Result<(), DbError> {
        const ORGANIZATION: &str = "INSERT INTO organizations (id, name, plan, created_at) VALUES ($1, $2, $3, $4)";
        const APPLICATION: &str = "INSERT INTO applications \
            (id, organization_id, name, environment, default_workspace_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
        const POLICY: &str = "INSERT INTO policies (id, application_id, name, daily_sends_max, created_at) \
            VALUES ($1, $2, $3, $4, $5)";
        const WORKSPACE: &str = "INSERT INTO workspaces (id, application_id, name, policy_id, created_at) \
            VALUES ($1, $2, 'Default', $3, $4)";
        let (application, workspace, at) = (self.application_id.uuid(), self.workspace_id.uuid(), self.at.as_micros());
        tx.execute(ORGANIZATION, params![self.id.uuid(), &self.name, &self.plan, at]).await?;
        let values = params![application, self.id.uuid(), &self.name, &self.environment, workspace, at];
        tx.execute(APPLICATION, values).await?;
        if let Some((id, name, daily_sends_max)) = &self.policy {
            let limit = daily_sends_max.map(|limit| limit as i64);
            tx.execute(POLICY, params![id.uuid(), application, name, limit, at]).await?;
        }
        let policy = self.policy.as_ref().map(|(id, ..)| id.uuid());
        tx.execute(WORKSPACE, params![workspace, application, policy, at]).await?;
        Ok(())
    }

    async fn insert_key(&self, tx: &mut Tx, key: &NewKey) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO api_keys (id, organization_id, application_id, name, hash, created_at) \
            VALUES ($1, $2, $3, $4, $5, $6)";
        let application = key.application_id.map(|id| id.uuid());
        let at = self.at.as_micros();
        let values = params![key.id.uuid(), self.id.uuid(), application, &key.name, key.hash.as_slice(), at];
        tx.execute(INSERT, values).await?;
        Ok(())
    }

    async fn insert_domain(&self, tx: &mut Tx, domain: &NewDomain) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO domains (id, organization_id, name, verified_at, created_at) \
            VALUES ($1, $2, $3, $4, $5)";
        const KEY: &str = "INSERT INTO dkim_keys (domain_id, selector, algorithm, private_key, public_record) \
            VALUES ($1, $2, $3, $4, $5)";
        let (id, at) = (domain.id.uuid(), self.at.as_micros());
        let verified = domain.verified_at.map(UnixMicros::as_micros);
        tx.execute(INSERT, params![id, self.id.uuid(), domain.name.as_str(), verified, at]).await?;
        for key in &domain.dkim_keys {
            let private = key.private_key.expose().as_slice();
            tx.execute(KEY, params![id, &key.selector, &key.algorithm, private, &key.public_record]).await?;
        }
        Ok(())
    }
}

/// Whom a key speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The key.
    pub key_id: KeyId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its application; `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
}

/// Finds a key by its hash.
pub async fn find_key(reader: &mut Reader<'_>, hash: &[u8; 32]) -> Result<Option<Credential>, StoreError> {
    const FIND: &str = "SELECT id, organization_id, application_id FROM api_keys WHERE hash = $1";
    let Some(row) = reader.query_one(FIND, params![hash.as_slice()]).await? else { return Ok(None) };
    Ok(Some(Credential {
        key_id: KeyId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        application_id: row.opt_uuid(2)?.map(ApplicationId::from_uuid),
    }))
}

/// How many organizations there are: `init` makes the first.
pub async fn count_organizations(reader: &mut Reader<'_>) -> Result<u64, StoreError> {
    let row = reader.query_one("SELECT count(*) FROM organizations", params![]).await?;
    Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
}

/// Whether mail for a domain is for us.
pub async fn is_our_domain(reader: &mut Reader<'_>, domain: &Domain) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT 1 FROM domains WHERE name = $1";
    Ok(reader.query_one(FIND, params![domain.as_str()]).await?.is_some())
}

/// The keys that sign for a domain, by selector.
pub async fn dkim_keys(reader: &mut Reader<'_>, domain: &Domain) -> Result<Vec<DkimKey>, StoreError> {
    const LIST: &str = "SELECT k.selector, k.algorithm, k.private_key, k.public_record \
        FROM domains d JOIN dkim_keys k ON k.domain_id = d.id WHERE d.name = $1 ORDER BY k.selector";
    let rows = reader.query(LIST, params![domain.as_str()]).await?;
    let keys = rows.iter().map(|row| {
        Ok(DkimKey {
            selector: row.text(0)?,
            algorithm: row.text(1)?,
            private_key: Secret::new(row.bytes(2)?),
            public_record: row.text(3)?,
        })
    });
    Ok(keys.collect::<Result<_, DbError>>()?)
}
