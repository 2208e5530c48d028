//! Registering, finding, renaming and removing domains.

use super::keys::key_columns;
use super::{DomainDetails, NewDomain, RegisteredDomain, domain_columns, keys, read, read_record, record_columns};
use crate::audit;
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::rates;
use crate::reputation;
use crate::stops;
use postfleet_core::audit::Act;
use postfleet_core::id::{DomainId, OrganizationId};
use postfleet_core::plan::Cap;
use postfleet_core::rate::Scope;
use postfleet_core::reputation::SubjectKind;
use postfleet_core::{Domain, UnixMicros};
use std::collections::HashMap;
use uuid::Uuid;

/// Registers a domain for the act's organization.
#[derive(Clone, Debug)]
pub struct RegisterDomain {
    /// The domain.
    pub domain: NewDomain,
    /// By whom.
    pub act: Act,
}

/// What became of [`RegisterDomain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterOutcome {
    /// It is registered.
    Registered,
    /// Somebody has it already.
    Taken,
    /// The organization has as many trial domains as its plan allows.
    TooManyTrials(Cap),
}

impl Command for RegisterDomain {
    type Outcome = RegisterOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RegisterOutcome, DbError> {
        const TAKEN: &str = "SELECT 1 FROM domains WHERE name = $1";
        const TRIALS: &str = "SELECT count(*) FROM domains WHERE organization_id = $1 AND branded = 1";
        let organization = self.act.organization_id;
        stops::lock_names(tx).await?;
        let plan = lock_organization(tx, organization).await?;
        // First, so that repeating a request says the same however full the plan is by now.
        if tx.query_one(TAKEN, params![self.domain.name.as_str()]).await?.is_some() {
            return Ok(RegisterOutcome::Taken);
        }
        if let Some(limit) = tx.plan(&plan)?.trial_domains_max.filter(|_| self.domain.is_branded) {
            let trials = tx.query_one(TRIALS, params![organization.uuid()]).await?;
            let used = trials.map(|row| row.count(0)).transpose()?.unwrap_or(0);
            if used >= limit {
                return Ok(RegisterOutcome::TooManyTrials(Cap { limit, used }));
            }
        }
        if !super::insert(tx, organization, &self.domain, self.act.at).await? {
            return Ok(RegisterOutcome::Taken);
        }
        let after = describe(&self.domain.name, &self.domain.label);
        record(tx, &self.act, self.domain.id, "domain.created", None, Some(&after)).await?;
        Ok(RegisterOutcome::Registered)
    }
}

/// Locks an organization: its mailboxes and domains are counted under that lock. Answers the name of its plan.
async fn lock_organization(tx: &mut Tx, organization: OrganizationId) -> Result<String, DbError> {
    const LOCK: &str = "SELECT plan FROM organizations WHERE id = $1 {lock}";
    let row = tx.query_one(LOCK, params![organization.uuid()]).await?;
    row.ok_or(DbError::Malformed("organization"))?.text(0)
}

fn describe(name: &Domain, label: &str) -> String {
    serde_json::json!({"domain_address": name.as_str(), "name": label}).to_string()
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    id: DomainId,
    action: &'static str,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<(), DbError> {
    let target_id = id.to_string();
    let change = audit::Change { action, target_kind: "domain", target_id: &target_id, before, after };
    audit::record(tx, act, change).await
}

/// A domain of an organization, which no other command changes until the end of the transaction.
pub(super) const LOCK: &str =
    concat!("SELECT ", domain_columns!(), " FROM domains WHERE id = $1 AND organization_id = $2 {lock}");

/// Changes what people call a domain.
#[derive(Clone, Debug)]
pub struct RenameDomain {
    /// Which domain of the act's organization.
    pub id: DomainId,
    /// What people call it.
    pub label: String,
    /// By whom.
    pub act: Act,
}

impl Command for RenameDomain {
    /// Whether the organization has such a domain.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const RENAME: &str = "UPDATE domains SET label = $1, updated_at = $2 WHERE id = $3";
        let (id, organization) = (self.id.uuid(), self.act.organization_id.uuid());
        let Some(row) = tx.query_one(LOCK, params![id, organization]).await? else { return Ok(false) };
        let domain = read(&row)?;
        if domain.label != self.label {
            tx.execute(RENAME, params![&self.label, self.act.at.as_micros(), id]).await?;
            let (before, after) = (describe(&domain.name, &domain.label), describe(&domain.name, &self.label));
            record(tx, &self.act, self.id, "domain.updated", Some(&before), Some(&after)).await?;
        }
        Ok(true)
    }
}

/// Removes a domain on which no mailbox lives, with its keys.
#[derive(Clone, Debug)]
pub struct RemoveDomain {
    /// Which domain of the act's organization.
    pub id: DomainId,
    /// By whom.
    pub act: Act,
}

/// What became of [`RemoveDomain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveDomainOutcome {
    /// It is gone.
    Removed,
    /// So many mailboxes live on it.
    InUse(u64),
    /// The organization has no such domain.
    Unknown,
}

impl Command for RemoveDomain {
    type Outcome = RemoveDomainOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RemoveDomainOutcome, DbError> {
        const REMOVE: [&str; 7] = [
            "DELETE FROM domain_report_rows WHERE domain_id = $1",
            "DELETE FROM domain_reports WHERE domain_id = $1",
            "DELETE FROM block_answers WHERE domain_id = $1",
            "DELETE FROM warm_ups WHERE domain_id = $1",
            "DELETE FROM domain_records WHERE domain_id = $1",
            "DELETE FROM dkim_keys WHERE domain_id = $1",
            "DELETE FROM domains WHERE id = $1",
        ];
        stops::lock_names(tx).await?;
        // A mailbox is made under the organization's lock: none can appear on the domain meanwhile.
        lock_organization(tx, self.act.organization_id).await?;
        let (id, organization) = (self.id.uuid(), self.act.organization_id.uuid());
        let Some(row) = tx.query_one(LOCK, params![id, organization]).await? else {
            return Ok(RemoveDomainOutcome::Unknown);
        };
        let domain = read(&row)?;
        if domain.grant_count > 0 {
            return Ok(RemoveDomainOutcome::InUse(domain.grant_count));
        }
        for statement in REMOVE {
            tx.execute(statement, params![id]).await?;
        }
        stops::name_went(tx, self.act.organization_id, &domain.name).await?;
        rates::forget(tx, Scope::Domain, id).await?;
        reputation::forget(tx, SubjectKind::Domain, domain.name.as_str()).await?;
        let before = describe(&domain.name, &domain.label);
        record(tx, &self.act, self.id, "domain.deleted", Some(&before), None).await?;
        Ok(RemoveDomainOutcome::Removed)
    }
}

pub(super) const RECORDS_OF_DOMAIN: &str =
    concat!("SELECT ", record_columns!(), " FROM domain_records WHERE domain_id = $1");

/// Finds a domain of an organization by id.
pub async fn find(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    id: DomainId,
) -> Result<Option<DomainDetails>, StoreError> {
    const FIND: &str = concat!("SELECT ", domain_columns!(), " FROM domains WHERE id = $1 AND organization_id = $2");
    let row = reader.query_one(FIND, params![id.uuid(), organization.uuid()]).await?;
    let Some(domain) = row.as_ref().map(read).transpose()? else { return Ok(None) };
    with_details(reader, domain).await.map(Some)
}

/// Finds a domain of an organization by name.
pub async fn find_name(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    name: &Domain,
) -> Result<Option<DomainDetails>, StoreError> {
    const FIND: &str = concat!("SELECT ", domain_columns!(), " FROM domains WHERE name = $1 AND organization_id = $2");
    let row = reader.query_one(FIND, params![name.as_str(), organization.uuid()]).await?;
    let Some(domain) = row.as_ref().map(read).transpose()? else { return Ok(None) };
    with_details(reader, domain).await.map(Some)
}

async fn with_details(reader: &mut Reader<'_>, domain: RegisteredDomain) -> Result<DomainDetails, StoreError> {
    let rows = reader.query(RECORDS_OF_DOMAIN, params![domain.id.uuid()]).await?;
    let states = rows.iter().map(read_record).collect::<Result<_, DbError>>()?;
    let keys = keys::published_keys(reader, domain.id).await?;
    Ok(DomainDetails { domain, states, keys })
}

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    domain_columns!(),
    " FROM domains WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);
pub(crate) const RECORDS_OF_PAGE: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM domain_records WHERE domain_id IN \
     (SELECT id FROM domains WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3)"
);
pub(crate) const KEYS_OF_PAGE: &str = concat!(
    "SELECT ",
    key_columns!(),
    " FROM dkim_keys WHERE domain_id IN \
     (SELECT id FROM domains WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3)"
);

/// An organization's domains, newest first, from below a place on.
pub async fn list(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    below: Option<DomainId>,
    limit: usize,
) -> Result<Vec<DomainDetails>, StoreError> {
    let below = below.map_or(Uuid::max(), DomainId::uuid);
    let values: &[_] = params![organization.uuid(), below, limit as i64];
    let mut page = Vec::new();
    let mut places: HashMap<Uuid, usize> = HashMap::new();
    for row in reader.query(LIST, values).await? {
        let domain = read(&row)?;
        places.insert(domain.id.uuid(), page.len());
        page.push(DomainDetails { domain, states: Default::default(), keys: Vec::new() });
    }
    // A domain that was registered between two of these reads is in none of the earlier ones.
    for row in reader.query(RECORDS_OF_PAGE, values).await? {
        if let Some(place) = places.get(&row.uuid(0)?) {
            let (record, state) = read_record(&row)?;
            page[*place].states.insert(record, state);
        }
    }
    for row in reader.query(KEYS_OF_PAGE, values).await? {
        if let Some(place) = places.get(&row.uuid(0)?) {
            page[*place].keys.push(keys::read(&row)?);
        }
    }
    for details in &mut page {
        details.keys.sort_by(|a, b| a.selector.cmp(&b.selector));
    }
    Ok(page)
}

/// When a domain is due to be looked at; `None` if it never is.
pub async fn check_at(reader: &mut Reader<'_>, id: DomainId) -> Result<Option<UnixMicros>, StoreError> {
    const FIND: &str = "SELECT check_at FROM domains WHERE id = $1";
    let row = reader.query_one(FIND, params![id.uuid()]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros))
}
