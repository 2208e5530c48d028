//! Domains: whose they are, whether the DNS bears that out, and the keys that sign for them.

use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{DomainId, OrganizationId};
use postfleet_core::{Domain, Secret, UnixMicros};

/// A domain about to be registered.
#[derive(Clone, Debug)]
pub struct NewDomain {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: Domain,
    /// What people call it; may be empty.
    pub label: String,
    /// Whether it is below one of the installation's trial domains.
    pub is_branded: bool,
    /// Whether it counts as verified on the operator's word.
    pub is_trusted: bool,
    /// What proves its ownership when it is published.
    pub ownership_token: String,
    /// The keys that sign for it.
    pub dkim_keys: Vec<DkimKey>,
}

impl NewDomain {
    /// A domain that counts as verified on the operator's word, and has no keys yet.
    pub fn trusted(id: DomainId, name: Domain) -> Self {
        Self {
            id,
            name,
            label: String::new(),
            is_branded: false,
            is_trusted: true,
            ownership_token: String::new(),
            dkim_keys: Vec::new(),
        }
    }
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

pub(crate) async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    domain: &NewDomain,
    at: UnixMicros,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO domains (id, organization_id, name, label, branded, trusted, ownership_token, \
        owned_at, verified_at, check_at, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $10)";
    const KEY: &str = "INSERT INTO dkim_keys (domain_id, selector, algorithm, private_key, public_record, state, \
        created_at) VALUES ($1, $2, $3, $4, $5, 'active', $6)";
    let (id, micros) = (domain.id.uuid(), at.as_micros());
    let is_verified = domain.is_trusted || domain.is_branded;
    let values = params![
        id,
        organization.uuid(),
        domain.name.as_str(),
        &domain.label,
        domain.is_branded,
        domain.is_trusted,
        &domain.ownership_token,
        is_verified.then_some(micros),
        (!is_verified).then_some(micros),
        micros
    ];
    tx.execute(INSERT, values).await?;
    for key in &domain.dkim_keys {
        let private = key.private_key.expose().as_slice();
        tx.execute(KEY, params![id, &key.selector, &key.algorithm, private, &key.public_record, micros]).await?;
    }
    Ok(())
}

/// Whether mail for a domain is for us.
pub async fn is_ours(reader: &mut Reader<'_>, domain: &Domain) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT 1 FROM domains WHERE name = $1";
    Ok(reader.query_one(FIND, params![domain.as_str()]).await?.is_some())
}

/// The keys that sign for a domain, by selector.
pub async fn dkim_keys(reader: &mut Reader<'_>, domain: &Domain) -> Result<Vec<DkimKey>, StoreError> {
    const LIST: &str = "SELECT k.selector, k.algorithm, k.private_key, k.public_record \
        FROM domains d JOIN dkim_keys k ON k.domain_id = d.id \
        WHERE d.name = $1 AND k.state = 'active' ORDER BY k.selector";
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
