//! Reading holds: those of a mailbox, of an application, and those that may leave or are over.

use super::{Hold, hold_columns, read_row};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use crate::raises::Target;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, HoldId, PolicyId};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", hold_columns!(), " FROM holds WHERE ", $rest)
    };
}

pub(super) const FIND: &str = select!("id = $1 AND grant_id = $2");
pub(crate) const LIST_OF_GRANT: &str = select!("grant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
pub(crate) const LIST: &str = select!("application_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
pub(crate) const LIST_OPEN: &str =
    select!("application_id = $1 AND closed_at IS NULL AND id < $2 ORDER BY id DESC LIMIT $3");
pub(crate) const DUE: &str =
    "SELECT grant_id FROM holds WHERE due_at <= $1 AND closed_at IS NULL ORDER BY due_at LIMIT $2";
pub(crate) const OF_GRANT: &str =
    select!("grant_id = $1 AND due_at IS NOT NULL AND closed_at IS NULL ORDER BY created_at, id LIMIT $2");
pub(crate) const EXPIRED: &str = select!("expires_at <= $1 AND closed_at IS NULL ORDER BY expires_at LIMIT $2");
pub(crate) const CLOSED: &str =
    "SELECT id FROM holds WHERE closed_at IS NOT NULL AND closed_at < $1 ORDER BY closed_at LIMIT $2";

/// Finds a hold of an application.
pub async fn find(reader: &mut Reader<'_>, application: ApplicationId, id: HoldId) -> Result<Option<Hold>, StoreError> {
    const FIND: &str = select!("id = $1 AND application_id = $2");
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read_row).transpose()?)
}

/// Finds a hold of a mailbox.
pub async fn find_of_grant(reader: &mut Reader<'_>, grant: GrantId, id: HoldId) -> Result<Option<Hold>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), grant.uuid()]).await?;
    Ok(row.as_ref().map(read_row).transpose()?)
}

/// The holds of a mailbox before one of them, the newest first.
pub async fn list_of_grant(
    reader: &mut Reader<'_>,
    grant: GrantId,
    before: Option<HoldId>,
    limit: usize,
) -> Result<Vec<Hold>, StoreError> {
    let before = before.map_or(uuid::Uuid::max(), HoldId::uuid);
    let rows = reader.query(LIST_OF_GRANT, params![grant.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

/// The holds of an application before one of them, or only those that are not over; the newest first.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    only_open: bool,
    before: Option<HoldId>,
    limit: usize,
) -> Result<Vec<Hold>, StoreError> {
    let before = before.map_or(uuid::Uuid::max(), HoldId::uuid);
    let statement = if only_open { LIST_OPEN } else { LIST };
    let rows = reader.query(statement, params![application.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

/// Mailboxes with sends that may leave by now, each once.
pub async fn due(reader: &mut Reader<'_>, now: UnixMicros, limit: usize) -> Result<Vec<GrantId>, StoreError> {
    let rows = reader.query(DUE, params![now.as_micros(), limit as i64]).await?;
    let mut grants = Vec::new();
    for row in &rows {
        let grant = GrantId::from_uuid(row.uuid(0)?);
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    Ok(grants)
}

/// The sends of a mailbox that leave as soon as there is quota, in their order.
pub async fn of_grant(reader: &mut Reader<'_>, grant: GrantId, limit: usize) -> Result<Vec<Hold>, StoreError> {
    let rows = reader.query(OF_GRANT, params![grant.uuid(), limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

/// How many sends of a mailbox are held.
pub async fn count_open(reader: &mut Reader<'_>, grant: GrantId) -> Result<u64, StoreError> {
    let row = reader.query_one(super::COUNT_OPEN, params![grant.uuid()]).await?;
    Ok(row.map_or(Ok(0), |row| row.count(0))?)
}

/// The mailboxes of which sends wait for their quota: the one, or those of the workspace.
pub async fn of_target(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    target: Target,
    limit: usize,
) -> Result<Vec<GrantId>, StoreError> {
    const WAITING: &str = "SELECT DISTINCT h.grant_id FROM holds h JOIN grants g ON g.id = h.grant_id \
        WHERE h.application_id = $1 AND h.closed_at IS NULL AND h.due_at IS NOT NULL \
        AND g.application_id = $1 AND g.workspace_id = $2 LIMIT $3";
    let workspace = match target {
        Target::Grant(grant) => return Ok(vec![grant]),
        Target::Workspace(workspace) => workspace.uuid(),
    };
    let rows = reader.query(WAITING, params![application.uuid(), workspace, limit as i64]).await?;
    Ok(rows.iter().map(|row| row.uuid(0).map(GrantId::from_uuid)).collect::<Result<_, DbError>>()?)
}

/// Those that have waited for too long.
pub async fn expired(reader: &mut Reader<'_>, now: UnixMicros, limit: usize) -> Result<Vec<Hold>, StoreError> {
    let rows = reader.query(EXPIRED, params![now.as_micros(), limit as i64]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, DbError>>()?)
}

/// When something is next to be done with one, if any is not over.
pub async fn next_due(reader: &mut Reader<'_>) -> Result<Option<UnixMicros>, StoreError> {
    const LEAVES: &str = "SELECT min(due_at) FROM holds WHERE closed_at IS NULL AND due_at IS NOT NULL";
    const EXPIRES: &str = "SELECT min(expires_at) FROM holds WHERE closed_at IS NULL";
    let mut next = None;
    for statement in [LEAVES, EXPIRES] {
        let row = reader.query_one(statement, params![]).await?;
        let at = row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros);
        next = match (next, at) {
            (Some(one), Some(other)) => Some(std::cmp::min(one, other)),
            (one, other) => one.or(other),
        };
    }
    Ok(next)
}

pub(super) const VERSION: &str = "SELECT p.id, p.updated_at, a.rules_version FROM grants g \
    JOIN applications a ON a.id = g.application_id LEFT JOIN workspaces w ON w.id = g.workspace_id \
    LEFT JOIN policies p ON p.id = w.policy_id WHERE g.application_id = $1 AND g.id = $2";

pub(super) fn read_version(row: &crate::db::Row) -> Result<String, DbError> {
    let policy = match row.opt_uuid(0)? {
        Some(id) => Some((PolicyId::from_uuid(id), row.int(1)?)),
        None => None,
    };
    Ok(super::version(policy, row.int(2)?))
}

/// The version of the policy and the rules of a mailbox; none if there is no such mailbox.
pub async fn version_of(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
) -> Result<Option<String>, StoreError> {
    let row = reader.query_one(VERSION, params![application.uuid(), grant.uuid()]).await?;
    Ok(row.as_ref().map(read_version).transpose()?)
}
