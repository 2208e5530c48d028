//! How far a restriction of a domain reaches: to all that is below the domain, whoever has registered it.
//!
//! An organization asks for stops only if its count of them says that there may be one. So each of these counts once more
//! for every domain that it reaches and that belongs to another organization than the one under which it is kept. Names
//! come, go and are restricted one after the other, so that none is missed: [`lock_names`], before everything else.

use super::Record;
use crate::db::DbError;
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::Domain;
use postfleet_core::id::{ApplicationId, OrganizationId, StopId};
use postfleet_core::stop::{Kind, Scope, with_parents};
use serde_json::{Value, json};

/// Whether a name is another one or below it: SQL. Of both kinds of statement the parameter is compared first, which says
/// what it is.
macro_rules! is_under {
    ($name:literal, $above:literal) => {
        concat!(
            "(",
            $name,
            " = ",
            $above,
            " OR substr(",
            $name,
            ", length(",
            $name,
            ") - length(",
            $above,
            ")) = '.' || ",
            $above,
            ")"
        )
    };
}
pub(super) use is_under;

/// Whether a stop concerns all that is below its domain, whoever has registered it.
pub(super) fn reaches_others(kind: Kind, scope: Scope) -> bool {
    kind == Kind::Restriction && scope == Scope::Domain
}

/// Lets nobody else register, remove or restrict a name before the commit.
pub(crate) async fn lock_names(tx: &mut Tx) -> Result<(), DbError> {
    const LOCK: &str = "SELECT one FROM stops_head WHERE one = 2 {lock}";
    tx.query_one(LOCK, params![]).await?;
    Ok(())
}

/// A domain was registered. The names are locked.
pub(crate) async fn name_came(tx: &mut Tx, organization: OrganizationId, name: &Domain) -> Result<(), DbError> {
    count_name(tx, organization, name, 1).await
}

/// A domain was removed. The names are locked.
pub(crate) async fn name_went(tx: &mut Tx, organization: OrganizationId, name: &Domain) -> Result<(), DbError> {
    count_name(tx, organization, name, -1).await
}

async fn count_name(tx: &mut Tx, organization: OrganizationId, name: &Domain, each: i64) -> Result<(), DbError> {
    const ABOVE: &str = "SELECT count(*) FROM stops WHERE kind = 'restriction' AND scope = 'domain' \
        AND lifted_at IS NULL AND organization_id <> $1 AND subject IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e)";
    const COUNT: &str = "UPDATE organizations SET active_stops = active_stops + $2 WHERE id = $1";
    const NEWS: &str = "UPDATE stops_head SET version = version + 1 WHERE one = 1";
    let names: Value = with_parents(name).into_iter().map(|name| json!([name])).collect();
    let row = tx.query_one(ABOVE, params![organization.uuid(), &names.to_string()]).await?;
    let above = row.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    if above > 0 {
        tx.execute(COUNT, params![organization.uuid(), above * each]).await?;
        tx.execute(NEWS, params![]).await?;
        tx.wake_stops(false);
    }
    Ok(())
}

/// Counts a stop, or its end, for those of other organizations whom it reaches. The names are locked.
pub(super) async fn count_reached(tx: &mut Tx, home: OrganizationId, subject: &str, each: i64) -> Result<(), DbError> {
    const REACHED: &str = concat!(
        "SELECT d.organization_id, count(*) FROM domains d WHERE ",
        is_under!("d.name", "$1"),
        " AND d.organization_id <> $2 GROUP BY d.organization_id ORDER BY d.organization_id"
    );
    const COUNT: &str = "UPDATE organizations SET active_stops = active_stops + $2 WHERE id = $1";
    for row in tx.query(REACHED, params![subject, home.uuid()]).await? {
        tx.execute(COUNT, params![row.uuid(0)?, row.int(1)? * each]).await?;
    }
    Ok(())
}

/// The restriction of a domain that is in force, under whatever organization it is kept. The names are locked.
pub(super) async fn restriction_of(tx: &mut Tx, subject: &str) -> Result<Option<StopId>, DbError> {
    const SAME: &str = "SELECT id FROM stops WHERE subject = $1 AND kind = 'restriction' AND scope = 'domain' \
        AND lifted_at IS NULL ORDER BY id LIMIT 1";
    let row = tx.query_one(SAME, params![subject]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(StopId::from_uuid))
}

/// Whose the oldest domain below a name is that nobody has registered.
pub(super) async fn home_below(tx: &mut Tx, name: &Domain) -> Result<Option<OrganizationId>, DbError> {
    const BELOW: &str = concat!(
        "SELECT d.organization_id FROM domains d WHERE ",
        is_under!("d.name", "$1"),
        " ORDER BY d.created_at, d.id LIMIT 1"
    );
    let row = tx.query_one(BELOW, params![name.as_str()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(OrganizationId::from_uuid))
}

/// Applications of other organizations whom a restriction of a domain reaches.
pub(super) async fn applications_reached(
    tx: &mut Tx,
    record: &Record,
    most: i64,
) -> Result<Vec<ApplicationId>, DbError> {
    const REACHED: &str = concat!(
        "SELECT a.id FROM applications a WHERE a.organization_id <> $2 AND a.organization_id IN \
         (SELECT d.organization_id FROM domains d WHERE ",
        is_under!("d.name", "$1"),
        ") ORDER BY a.id LIMIT $3"
    );
    if !reaches_others(record.stop.kind, record.stop.scope) {
        return Ok(Vec::new());
    }
    let rows = tx.query(REACHED, params![&record.stop.subject, record.organization_id.uuid(), most]).await?;
    rows.iter().map(|row| Ok(ApplicationId::from_uuid(row.uuid(0)?))).collect()
}

/// A stop as an organization sees it that is not its home: nothing if it does not concern it. Of whom it was kept under
/// and in which case it says nothing.
pub(super) async fn as_seen_by(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    record: Record,
) -> Result<Option<Record>, StoreError> {
    const REACHES: &str =
        concat!("SELECT d.id FROM domains d WHERE ", is_under!("d.name", "$1"), " AND d.organization_id = $2 LIMIT 1");
    if !reaches_others(record.stop.kind, record.stop.scope) {
        return Ok(None);
    }
    let found = reader.query_one(REACHES, params![&record.stop.subject, organization.uuid()]).await?;
    Ok(found.is_some().then(|| veiled(organization, record)))
}

/// The same of one that is known to concern them.
pub(super) fn veiled(organization: OrganizationId, record: Record) -> Record {
    Record { organization_id: organization, reference: None, is_from_above: true, ..record }
}
