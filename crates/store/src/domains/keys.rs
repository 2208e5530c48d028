//! The keys that sign for a domain, and their succession: the next ones are published before they sign, the retired
//! ones stay published while mail that they signed is on its way.

use crate::audit;
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::DomainId;
use postfleet_core::{Domain, Secret, UnixMicros};

/// A key that signs for a domain (RFC 6376).
#[derive(Clone, Debug)]
pub struct DkimKey {
    /// The selector under which its public half is published.
    pub selector: String,
    /// `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: String,
    /// PKCS #8, or the seed of an Ed25519 key, as `postfleet-mail` made it.
    pub private_key: Secret<Vec<u8>>,
    /// The TXT record to publish.
    pub public_record: String,
}

/// Where a key stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// It signs.
    Active,
    /// It is to be published, and signs once it was found in the DNS.
    Next,
    /// It signs no more, and stays published for mail under way.
    Retired,
}

impl KeyState {
    /// The word in the store and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Next => "next",
            Self::Retired => "retired",
        }
    }

    pub(super) fn named(name: &str) -> Result<Self, DbError> {
        let all = [Self::Active, Self::Next, Self::Retired];
        all.into_iter().find(|state| state.name() == name).ok_or(DbError::Malformed("key state"))
    }
}

/// A key without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedKey {
    /// The selector under which it is published.
    pub selector: String,
    /// `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: String,
    /// The TXT record to publish.
    pub public_record: String,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it ceased to sign.
    pub retired_at: Option<UnixMicros>,
}

pub(super) async fn insert(
    tx: &mut Tx,
    domain: DomainId,
    key: &DkimKey,
    state: KeyState,
    at: UnixMicros,
) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO dkim_keys (domain_id, selector, algorithm, private_key, public_record, state, \
        created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let private = key.private_key.expose().as_slice();
    let values = params![
        domain.uuid(),
        &key.selector,
        &key.algorithm,
        private,
        &key.public_record,
        state.name(),
        at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
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

macro_rules! key_columns {
    () => {
        "domain_id, selector, algorithm, public_record, state, created_at, retired_at"
    };
}
pub(crate) use key_columns;

pub(super) fn read(row: &crate::db::Row) -> Result<PublishedKey, DbError> {
    Ok(PublishedKey {
        selector: row.text(1)?,
        algorithm: row.text(2)?,
        public_record: row.text(3)?,
        state: KeyState::named(row.str(4)?)?,
        created_at: UnixMicros::from_micros(row.int(5)?),
        retired_at: row.opt_int(6)?.map(UnixMicros::from_micros),
    })
}

pub(super) const OF_DOMAIN: &str =
    concat!("SELECT ", key_columns!(), " FROM dkim_keys WHERE domain_id = $1 ORDER BY selector");

/// All keys of a domain without their secrets, by selector.
pub async fn published_keys(reader: &mut Reader<'_>, domain: DomainId) -> Result<Vec<PublishedKey>, StoreError> {
    let rows = reader.query(OF_DOMAIN, params![domain.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Gives a domain the keys that are to sign for it next.
#[derive(Clone, Debug)]
pub struct StartRotation {
    /// Which domain of the act's organization.
    pub id: DomainId,
    /// The keys.
    pub keys: Vec<DkimKey>,
    /// By whom.
    pub act: Act,
}

/// What became of [`StartRotation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// They are to be published.
    Started,
    /// Other keys wait to be published.
    UnderWay,
    /// The organization has no such domain.
    Unknown,
}

impl Command for StartRotation {
    type Outcome = RotationOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RotationOutcome, DbError> {
        const LOCK: &str = "SELECT name FROM domains WHERE id = $1 AND organization_id = $2 {lock}";
        const NEXT: &str = "SELECT 1 FROM dkim_keys WHERE domain_id = $1 AND state = 'next'";
        const CHECK: &str = "UPDATE domains SET check_at = $1, updated_at = $1 WHERE id = $2";
        let (id, at) = (self.id.uuid(), self.act.at);
        if tx.query_one(LOCK, params![id, self.act.organization_id.uuid()]).await?.is_none() {
            return Ok(RotationOutcome::Unknown);
        }
        if tx.query_one(NEXT, params![id]).await?.is_some() {
            return Ok(RotationOutcome::UnderWay);
        }
        for key in &self.keys {
            insert(tx, self.id, key, KeyState::Next, at).await?;
        }
        tx.execute(CHECK, params![at.as_micros(), id]).await?;
        let selectors: Vec<String> = self.keys.iter().map(|key| format!("{:?}", key.selector)).collect();
        let after = format!("{{\"next_selectors\":[{}]}}", selectors.join(","));
        let target_id = self.id.to_string();
        let change = audit::Change {
            action: "domain.dkim_rotation_started",
            target_kind: "domain",
            target_id: &target_id,
            before: None,
            after: Some(&after),
        };
        audit::record(tx, &self.act, change).await?;
        Ok(RotationOutcome::Started)
    }
}
