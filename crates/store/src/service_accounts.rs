//! Service accounts: parties that sign their requests with a key of their own. Only the public half is here.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::keys::{SEEN_EVERY, read_permissions, write_permissions};
use crate::organizations::Scope;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{OrganizationId, ServiceAccountId};
use serde_json::json;
use uuid::Uuid;

macro_rules! account_columns {
    () => {
        "id, organization_id, name, public_key, permissions, revoked_at, last_used_at, created_at"
    };
}

/// A service account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceAccount {
    /// Its id, which is also that of its key.
    pub id: ServiceAccountId,
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// What people call it.
    pub name: String,
    /// SubjectPublicKeyInfo in DER.
    pub public_key: Vec<u8>,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Since when it is worthless, if it is.
    pub revoked_at: Option<UnixMicros>,
    /// When it was last seen, to within a minute.
    pub last_used_at: Option<UnixMicros>,
    /// When it was made.
    pub created_at: UnixMicros,
}

/// Makes a service account.
#[derive(Clone, Debug)]
pub struct CreateServiceAccount {
    /// The account.
    pub account: ServiceAccount,
    /// The change.
    pub act: Act,
}

impl Command for CreateServiceAccount {
    /// Whether there is such an organization.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = "SELECT id FROM organizations WHERE id = $1 {lock}";
        const INSERT: &str = "INSERT INTO service_accounts \
            (id, organization_id, name, public_key, permissions, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
        let new = &self.account;
        let organization = new.organization_id.uuid();
        if tx.query_one(LOCK, params![organization]).await?.is_none() {
            return Ok(false);
        }
        let permissions = write_permissions(&new.permissions);
        let (key, at) = (new.public_key.as_slice(), new.created_at.as_micros());
        tx.execute(INSERT, params![new.id.uuid(), organization, &new.name, key, &permissions, at]).await?;
        record(tx, &self.act, "service_account.created", None, Some(new)).await?;
        Ok(true)
    }
}

/// Makes a service account worthless, at once.
#[derive(Clone, Debug)]
pub struct RevokeServiceAccount {
    /// Which.
    pub id: ServiceAccountId,
    /// Whose it must be.
    pub scope: Scope,
    /// The change.
    pub act: Act,
}

impl Command for RevokeServiceAccount {
    /// Whether there is one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const LOCK: &str = concat!("SELECT ", account_columns!(), " FROM service_accounts WHERE id = $1 {lock}");
        const REVOKE: &str = "UPDATE service_accounts SET revoked_at = $2 WHERE id = $1";
        let found = tx.query_one(LOCK, params![self.id.uuid()]).await?.as_ref().map(read).transpose()?;
        let Some(before) = found.filter(|account| self.scope.covers(account.organization_id)) else {
            return Ok(false);
        };
        if before.revoked_at.is_none() {
            let after = ServiceAccount { revoked_at: Some(self.act.at), ..before.clone() };
            tx.execute(REVOKE, params![self.id.uuid(), self.act.at.as_micros()]).await?;
            record(tx, &self.act, "service_account.revoked", Some(&before), Some(&after)).await?;
        }
        Ok(true)
    }
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    before: Option<&ServiceAccount>,
    after: Option<&ServiceAccount>,
) -> Result<(), DbError> {
    let Some(any) = after.or(before) else { return Ok(()) };
    let (target, before, after) = (any.id.to_string(), before.map(snapshot), after.map(snapshot));
    let (before, after) = (before.as_deref(), after.as_deref());
    let change = Change { action, target_kind: "service_account", target_id: &target, before, after };
    audit::record(tx, &act.to(any.organization_id), change).await
}

fn snapshot(account: &ServiceAccount) -> String {
    let revoked_at = account.revoked_at.map(UnixMicros::as_seconds);
    json!({"name": account.name, "permissions": account.permissions, "revoked_at": revoked_at}).to_string()
}

/// Takes the nonce of a signed request, once. Notes that the account was seen, at most once a minute.
#[derive(Clone, Debug)]
pub struct UseNonce {
    /// Whose.
    pub account_id: ServiceAccountId,
    /// The nonce.
    pub nonce: String,
    /// When the request is refused by its time alone, so that the nonce may be forgotten.
    pub expires_at: UnixMicros,
    /// When.
    pub at: UnixMicros,
}

impl Command for UseNonce {
    /// Whether it is used for the first time, by an account that is still good.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const GOOD: &str = "SELECT last_used_at FROM service_accounts WHERE id = $1 AND revoked_at IS NULL";
        const USE: &str = "INSERT INTO used_nonces (account_id, nonce, expires_at) VALUES ($1, $2, $3) \
            ON CONFLICT (account_id, nonce) DO NOTHING";
        const SEEN: &str = "UPDATE service_accounts SET last_used_at = $2 WHERE id = $1";
        let id = self.account_id.uuid();
        let Some(row) = tx.query_one(GOOD, params![id]).await? else { return Ok(false) };
        if tx.execute(USE, params![id, &self.nonce, self.expires_at.as_micros()]).await? == 0 {
            return Ok(false);
        }
        let last = row.opt_int(0)?.map(UnixMicros::from_micros);
        if last.is_none_or(|last| self.at.since(last) >= SEEN_EVERY) {
            tx.execute(SEEN, params![id, self.at.as_micros()]).await?;
        }
        Ok(true)
    }
}

/// Forgets nonces of requests that are refused by their time alone.
#[derive(Clone, Copy, Debug)]
pub struct PruneNonces {
    /// The time.
    pub now: UnixMicros,
    /// Rows at once.
    pub limit: usize,
}

impl Command for PruneNonces {
    /// How many were forgotten.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const PRUNE: &str = "DELETE FROM used_nonces WHERE (account_id, nonce) IN \
            (SELECT account_id, nonce FROM used_nonces WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        tx.execute(PRUNE, params![self.now.as_micros(), self.limit as i64]).await
    }
}

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    account_columns!(),
    " FROM service_accounts WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);

/// Finds a service account, also one that is revoked.
pub async fn find(reader: &mut Reader<'_>, id: ServiceAccountId) -> Result<Option<ServiceAccount>, StoreError> {
    const FIND: &str = concat!("SELECT ", account_columns!(), " FROM service_accounts WHERE id = $1");
    Ok(reader.query_one(FIND, params![id.uuid()]).await?.as_ref().map(read).transpose()?)
}

/// An organization's service accounts, newest first, after `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    before: Option<ServiceAccountId>,
    limit: usize,
) -> Result<Vec<ServiceAccount>, StoreError> {
    let before = before.map_or(Uuid::max(), ServiceAccountId::uuid);
    let rows = reader.query(LIST, params![organization.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<ServiceAccount, DbError> {
    let time = |column| Ok::<_, DbError>(row.opt_int(column)?.map(UnixMicros::from_micros));
    Ok(ServiceAccount {
        id: ServiceAccountId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        public_key: row.bytes(3)?,
        permissions: read_permissions(row.str(4)?)?,
        revoked_at: time(5)?,
        last_used_at: time(6)?,
        created_at: UnixMicros::from_micros(row.int(7)?),
    })
}
