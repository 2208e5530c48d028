//! Domains: whose they are, whether the DNS bears that out, and the keys that sign for them.

mod checks;
mod keys;
mod manage;

#[cfg(test)]
pub(crate) use checks::DUE;
pub use checks::{CheckOutcome, ClaimChecks, Finding, RecordChecks};
pub use keys::{DkimKey, KeyState, PublishedKey, RotationOutcome, StartRotation, dkim_keys, published_keys};
#[cfg(test)]
pub(crate) use manage::{KEYS_OF_PAGE, LIST, RECORDS_OF_PAGE};
pub use manage::{
    RegisterDomain, RegisterOutcome, RemoveDomain, RemoveDomainOutcome, RenameDomain, check_at, find, find_name, list,
};

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::stops;
use postfleet_core::domain_records::{RecordKind, RecordState, RecordStatus, is_done};
use postfleet_core::id::{DomainId, OrganizationId};
use postfleet_core::{Domain, UnixMicros};
use std::collections::BTreeMap;

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
    /// Whether its ownership alone is known already: it receives, and what sending needs is still to be verified.
    pub is_owned: bool,
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
            is_owned: true,
            ownership_token: String::new(),
            dkim_keys: Vec::new(),
        }
    }

    /// Whether it counts as verified without asking the DNS.
    pub fn is_exempt(&self) -> bool {
        self.is_trusted || self.is_branded
    }
}

/// A domain of an organization.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisteredDomain {
    /// Its id.
    pub id: DomainId,
    /// Whose it is.
    pub organization_id: OrganizationId,
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
    /// How many mailboxes live on it.
    pub grant_count: u64,
    /// Since when it may have mailboxes and receives; `None` if it may not.
    pub owned_at: Option<UnixMicros>,
    /// Since when it may send; `None` if it may not.
    pub verified_at: Option<UnixMicros>,
    /// When it was registered.
    pub created_at: UnixMicros,
    /// When it or one of its records last changed.
    pub updated_at: UnixMicros,
}

impl RegisteredDomain {
    /// Whether it counts as verified without asking the DNS.
    pub fn is_exempt(&self) -> bool {
        self.is_trusted || self.is_branded
    }
}

/// What is known of the records of a domain, by kind and selector.
pub type RecordStates = BTreeMap<(RecordKind, String), RecordState>;

/// A domain with what is known of its records, and its keys without their secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainDetails {
    /// The domain.
    pub domain: RegisteredDomain,
    /// What is known of its records.
    pub states: RecordStates,
    /// Its keys, by selector.
    pub keys: Vec<PublishedKey>,
}

impl DomainDetails {
    /// Whether all records of one kind are right; of the signing keys, those that sign count.
    pub fn is_done(&self, kind: RecordKind) -> bool {
        let kind = kind.published_as();
        let state = |selector: &str| self.states.get(&(kind, selector.to_owned()));
        if self.domain.is_exempt() {
            return true;
        }
        if kind != RecordKind::Dkim {
            return is_done([state("")]);
        }
        let signing = self.keys.iter().filter(|key| key.state == KeyState::Active);
        is_done(signing.map(|key| state(&key.selector)))
    }
}

macro_rules! domain_columns {
    () => {
        "id, organization_id, name, label, branded, trusted, ownership_token, grant_count, owned_at, verified_at, \
         created_at, updated_at"
    };
}
pub(crate) use domain_columns;

fn read(row: &Row) -> Result<RegisteredDomain, DbError> {
    let time = |column| Ok::<_, DbError>(row.opt_int(column)?.map(UnixMicros::from_micros));
    Ok(RegisteredDomain {
        id: DomainId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        name: Domain::parse(row.str(2)?).map_err(|_| DbError::Malformed("domain"))?,
        label: row.text(3)?,
        is_branded: row.flag(4)?,
        is_trusted: row.flag(5)?,
        ownership_token: row.text(6)?,
        grant_count: row.count(7)?,
        owned_at: time(8)?,
        verified_at: time(9)?,
        created_at: UnixMicros::from_micros(row.int(10)?),
        updated_at: UnixMicros::from_micros(row.int(11)?),
    })
}

macro_rules! record_columns {
    () => {
        "domain_id, kind, selector, status, message, failures, checked_at, verified_at"
    };
}
pub(crate) use record_columns;

/// Reads a row of `record_columns!`: the record's kind and selector, and what is known of it.
fn read_record(row: &Row) -> Result<((RecordKind, String), RecordState), DbError> {
    let kind = RecordKind::named(row.str(1)?).ok_or(DbError::Malformed("record kind"))?;
    let state = RecordState {
        status: RecordStatus::named(row.str(3)?).ok_or(DbError::Malformed("record status"))?,
        message: row.text(4)?,
        failures: u32::try_from(row.int(5)?).map_err(|_| DbError::Malformed("failures"))?,
        checked_at: row.opt_int(6)?.map(UnixMicros::from_micros),
        verified_at: row.opt_int(7)?.map(UnixMicros::from_micros),
    };
    Ok(((kind, row.text(2)?), state))
}

async fn write_record(
    tx: &mut Tx,
    domain: DomainId,
    (kind, selector): &(RecordKind, String),
    state: &RecordState,
) -> Result<(), DbError> {
    const WRITE: &str = concat!(
        "INSERT INTO domain_records (",
        record_columns!(),
        ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (domain_id, kind, selector) DO UPDATE SET \
         status = excluded.status, message = excluded.message, failures = excluded.failures, \
         checked_at = excluded.checked_at, verified_at = excluded.verified_at"
    );
    let values = params![
        domain.uuid(),
        kind.name(),
        selector,
        state.status.name(),
        &state.message,
        i64::from(state.failures),
        state.checked_at.map(|at| at.as_micros()),
        state.verified_at.map(|at| at.as_micros())
    ];
    tx.execute(WRITE, values).await?;
    Ok(())
}

/// Registers a domain; answers whether the name was free. The names are locked.
pub(crate) async fn insert(
    tx: &mut Tx,
    organization: OrganizationId,
    domain: &NewDomain,
    at: UnixMicros,
) -> Result<bool, DbError> {
    const INSERT: &str = "INSERT INTO domains (id, organization_id, name, label, branded, trusted, ownership_token, \
        owned_at, verified_at, check_at, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT (name) DO NOTHING";
    let (id, micros) = (domain.id.uuid(), at.as_micros());
    let is_exempt = domain.is_exempt();
    let values = params![
        id,
        organization.uuid(),
        domain.name.as_str(),
        &domain.label,
        domain.is_branded,
        domain.is_trusted,
        &domain.ownership_token,
        (is_exempt || domain.is_owned).then_some(micros),
        is_exempt.then_some(micros),
        (!is_exempt).then_some(micros),
        micros
    ];
    if tx.execute(INSERT, values).await? == 0 {
        return Ok(false);
    }
    stops::name_came(tx, organization, &domain.name).await?;
    for key in &domain.dkim_keys {
        keys::insert(tx, domain.id, key, KeyState::Active, at).await?;
    }
    if domain.is_owned && !is_exempt {
        let proven = RecordState { status: RecordStatus::Done, verified_at: Some(at), ..RecordState::default() };
        write_record(tx, domain.id, &(RecordKind::Ownership, String::new()), &proven).await?;
    }
    Ok(true)
}

/// Whether mail for a domain is for us: it is registered, and known to be its organization's. A name that somebody
/// has merely registered attracts nobody's mail.
pub async fn is_ours(reader: &mut Reader<'_>, domain: &Domain) -> Result<bool, StoreError> {
    const FIND: &str = "SELECT 1 FROM domains WHERE name = $1 AND owned_at IS NOT NULL";
    Ok(reader.query_one(FIND, params![domain.as_str()]).await?.is_some())
}
