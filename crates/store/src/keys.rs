//! Keys and service accounts: who may speak for an application or an organization. Never the secrets themselves.

use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, KeyId, OrganizationId};

/// A key about to be stored: never the key itself.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its id.
    pub id: KeyId,
    /// The application it acts for, or `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
    /// Whether it may also do what concerns all organizations.
    pub is_installation: bool,
    /// What people call it.
    pub name: String,
    /// The keyed hash by which it is found.
    pub hash: [u8; 32],
    /// How it begins, for people to tell it from others.
    pub hint: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
}

impl NewKey {
    /// A key that may do everything that its holder may: the application, or the operator of the installation.
    pub fn unlimited(
        id: KeyId,
        application_id: Option<ApplicationId>,
        name: &str,
        hash: [u8; 32],
        hint: String,
    ) -> Self {
        Self {
            id,
            application_id,
            is_installation: application_id.is_none(),
            name: name.to_owned(),
            hash,
            hint,
            permissions: vec!["*".to_owned()],
            expires_at: None,
        }
    }
}

pub(crate) async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    key: &NewKey,
    at: UnixMicros,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO api_keys (id, organization_id, application_id, installation, name, hash, hint, \
        permissions, expires_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)";
    let permissions = serde_json::to_string(&key.permissions).unwrap_or_default();
    let values = params![
        key.id.uuid(),
        organization.uuid(),
        key.application_id.map(|id| id.uuid()),
        key.is_installation,
        &key.name,
        key.hash.as_slice(),
        &key.hint,
        &permissions,
        key.expires_at.map(UnixMicros::as_micros),
        at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Whom a key speaks for, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The key.
    pub key_id: KeyId,
    /// What people call it.
    pub name: String,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Its application; `None` for an operator's key.
    pub application_id: Option<ApplicationId>,
    /// Whether it may also do what concerns all organizations.
    pub is_installation: bool,
    /// What it may do.
    pub permissions: Vec<String>,
    /// When it ends, if it does.
    pub expires_at: Option<UnixMicros>,
    /// Since when it is worthless, if it is.
    pub revoked_at: Option<UnixMicros>,
    /// When it was last seen, to within a minute.
    pub last_used_at: Option<UnixMicros>,
}

/// Finds a key by its hash, also one that has ended.
pub async fn find(reader: &mut Reader<'_>, hash: &[u8; 32]) -> Result<Option<Credential>, StoreError> {
    const FIND: &str = "SELECT id, name, organization_id, application_id, installation, permissions, expires_at, \
        revoked_at, last_used_at FROM api_keys WHERE hash = $1";
    let Some(row) = reader.query_one(FIND, params![hash.as_slice()]).await? else { return Ok(None) };
    let time = |column| Ok::<_, DbError>(row.opt_int(column)?.map(UnixMicros::from_micros));
    Ok(Some(Credential {
        key_id: KeyId::from_uuid(row.uuid(0)?),
        name: row.text(1)?,
        organization_id: OrganizationId::from_uuid(row.uuid(2)?),
        application_id: row.opt_uuid(3)?.map(ApplicationId::from_uuid),
        is_installation: row.flag(4)?,
        permissions: serde_json::from_str(&row.text(5)?).map_err(|_| DbError::Malformed("permissions"))?,
        expires_at: time(6)?,
        revoked_at: time(7)?,
        last_used_at: time(8)?,
    }))
}
