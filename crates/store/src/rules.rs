//! Rules about mail: making, changing, removing and finding them. Which of them a workspace uses is in [`used`].

mod change;
pub(crate) mod definition;
pub(crate) mod used;

pub use change::{CreateRule, RemoveRule, RuleOutcome, UpdateRule, lists_refusal};

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, OrganizationId, RuleId, WorkspaceId};
use postfleet_core::rule::validate::NamedRule;
use postfleet_core::rule::{Direction, MatchOperator, Mode, Rule};
use uuid::Uuid;

/// A rule as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRule {
    /// What it says, and what people call it.
    pub named: NamedRule,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Whose application has it.
    pub organization_id: OrganizationId,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// Says that the rules of an application, its lists, or what its workspaces use of them are not what they were. Every
/// command that changes any of them ends with this, so that nobody judges by what was read before.
pub(crate) async fn changed(tx: &mut Tx, application: ApplicationId) -> Result<(), DbError> {
    const CHANGED: &str = "UPDATE applications SET rules_version = rules_version + 1 WHERE id = $1";
    tx.execute(CHANGED, params![application.uuid()]).await?;
    Ok(())
}

macro_rules! rule_columns {
    () => {
        "r.id, r.application_id, r.name, r.description, r.priority, r.enabled, r.mode, r.direction, r.match_operator, \
         r.conditions, r.actions, r.created_at, r.updated_at, \
         (SELECT a.organization_id FROM applications a WHERE a.id = r.application_id)"
    };
}
use rule_columns;

const FIND: &str = concat!("SELECT ", rule_columns!(), " FROM rules r WHERE r.id = $1 AND r.application_id = $2");

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    rule_columns!(),
    " FROM rules r WHERE r.application_id = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT $3"
);

pub(crate) const OF_WORKSPACE: &str = concat!(
    "SELECT ",
    rule_columns!(),
    " FROM workspace_rules u JOIN rules r ON r.id = u.rule_id WHERE u.workspace_id = $1 ORDER BY u.position"
);

/// The rules that a workspace uses, in the order in which it names them.
pub async fn of_workspace(reader: &mut Reader<'_>, workspace: WorkspaceId) -> Result<Vec<KeptRule>, StoreError> {
    let rows = reader.query(OF_WORKSPACE, params![workspace.uuid()]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Finds a rule of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: RuleId,
) -> Result<Option<KeptRule>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// An application's rules, newest first: at most `limit` of those made before `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    before: Option<RuleId>,
    limit: usize,
) -> Result<Vec<KeptRule>, StoreError> {
    let before = before.map_or(Uuid::max(), RuleId::uuid);
    let rows = reader.query(LIST, params![application.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<KeptRule, DbError> {
    let rule = Rule {
        id: RuleId::from_uuid(row.uuid(0)?),
        priority: u16::try_from(row.int(4)?).map_err(|_| DbError::Malformed("priority"))?,
        is_enabled: row.flag(5)?,
        mode: Mode::named(row.str(6)?).ok_or(DbError::Malformed("mode"))?,
        direction: Direction::named(row.str(7)?).ok_or(DbError::Malformed("direction"))?,
        match_operator: MatchOperator::named(row.str(8)?).ok_or(DbError::Malformed("match operator"))?,
        conditions: definition::read_conditions(row.str(9)?)?,
        actions: definition::read_actions(row.str(10)?)?,
    };
    Ok(KeptRule {
        named: NamedRule { name: row.text(2)?, description: row.opt_text(3)?, rule },
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        organization_id: OrganizationId::from_uuid(row.uuid(13)?),
        created_at: UnixMicros::from_micros(row.int(11)?),
        updated_at: UnixMicros::from_micros(row.int(12)?),
    })
}
