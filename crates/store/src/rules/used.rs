//! Which rules a workspace uses, in the order in which it names them. All of it is changed under the lock of the
//! application.

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, RuleId, WorkspaceId};
use std::collections::HashMap;

/// Rules of one workspace where the plan has no limit.
pub const WORKSPACE_RULES_MAX: u64 = 100;

pub(crate) const OF_WORKSPACE: &str =
    "SELECT u.workspace_id, u.rule_id FROM workspace_rules u WHERE u.workspace_id = $1 ORDER BY u.position";

pub(crate) const OF_APPLICATION: &str = "SELECT u.workspace_id, u.rule_id FROM workspaces w \
    JOIN workspace_rules u ON u.workspace_id = w.id WHERE w.application_id = $1 ORDER BY w.id, u.position";

/// The rules of a workspace, inside a transaction.
pub(crate) async fn lock_of(tx: &mut Tx, workspace: WorkspaceId) -> Result<Vec<RuleId>, DbError> {
    let rows = tx.query(OF_WORKSPACE, params![workspace.uuid()]).await?;
    rows.iter().map(rule_id).collect()
}

/// The rules of a workspace.
pub(crate) async fn of(reader: &mut Reader<'_>, workspace: WorkspaceId) -> Result<Vec<RuleId>, StoreError> {
    let rows = reader.query(OF_WORKSPACE, params![workspace.uuid()]).await?;
    Ok(rows.iter().map(rule_id).collect::<Result<_, _>>()?)
}

/// The rules of every workspace of an application that uses any.
pub(crate) async fn of_all(
    reader: &mut Reader<'_>,
    application: ApplicationId,
) -> Result<HashMap<WorkspaceId, Vec<RuleId>>, StoreError> {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for row in reader.query(OF_APPLICATION, params![application.uuid()]).await? {
        all.entry(WorkspaceId::from_uuid(row.uuid(0)?)).or_default().push(rule_id(&row)?);
    }
    Ok(all)
}

fn rule_id(row: &Row) -> Result<RuleId, DbError> {
    Ok(RuleId::from_uuid(row.uuid(1)?))
}

/// Why a workspace cannot use some rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RulesRefusal {
    /// The application does not have one of them.
    Unknown,
    /// There are more than so many.
    TooMany(u64),
}

/// Whether a workspace may use these rules, which are there until the commit then.
pub(crate) async fn refusal(
    tx: &mut Tx,
    application: ApplicationId,
    rules: &[RuleId],
    rules_max: Option<u64>,
) -> Result<Option<RulesRefusal>, DbError> {
    const FIND: &str = "SELECT id FROM rules WHERE id = $1 AND application_id = $2";
    let limit = rules_max.unwrap_or(WORKSPACE_RULES_MAX);
    if rules.len() as u64 > limit {
        return Ok(Some(RulesRefusal::TooMany(limit)));
    }
    for rule in rules {
        if tx.query_one(FIND, params![rule.uuid(), application.uuid()]).await?.is_none() {
            return Ok(Some(RulesRefusal::Unknown));
        }
    }
    Ok(None)
}

/// Lets a workspace use these rules and no others.
pub(crate) async fn replace(tx: &mut Tx, workspace: WorkspaceId, rules: &[RuleId]) -> Result<(), DbError> {
    const REMOVE: &str = "DELETE FROM workspace_rules WHERE workspace_id = $1";
    const INSERT: &str = "INSERT INTO workspace_rules (workspace_id, position, rule_id) VALUES ($1, $2, $3)";
    tx.execute(REMOVE, params![workspace.uuid()]).await?;
    for (position, rule) in rules.iter().enumerate() {
        tx.execute(INSERT, params![workspace.uuid(), position as i64, rule.uuid()]).await?;
    }
    Ok(())
}

/// Takes a rule from all workspaces that use it; answers them in the order of their making.
pub(crate) async fn detach(tx: &mut Tx, rule: RuleId, at: UnixMicros) -> Result<Vec<WorkspaceId>, DbError> {
    const DETACH: &str = "DELETE FROM workspace_rules WHERE rule_id = $1 RETURNING workspace_id";
    const TOUCH: &str = "UPDATE workspaces SET updated_at = $2 WHERE id = $1";
    let rows = tx.query(DETACH, params![rule.uuid()]).await?;
    let ids = rows.iter().map(|row| Ok(WorkspaceId::from_uuid(row.uuid(0)?)));
    let mut workspaces = ids.collect::<Result<Vec<_>, DbError>>()?;
    workspaces.sort_unstable();
    workspaces.dedup();
    for workspace in &workspaces {
        tx.execute(TOUCH, params![workspace.uuid(), at.as_micros()]).await?;
    }
    Ok(workspaces)
}
