//! What the check of an application's layout reads. Every read ends somewhere: a fleet may be large.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::limits;
use crate::params;
use crate::rules::definition;
use postfleet_core::id::{ApplicationId, GrantId, ListId, PolicyId, RuleId, WorkspaceId};
use postfleet_core::plan::{Plan, PolicyLimits};
use postfleet_core::rule::Operand;
use std::sync::Arc;

/// An application, as far as the check looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whether it is more than an experiment.
    pub is_production: bool,
    /// Its default workspace.
    pub default_workspace_id: WorkspaceId,
    /// The plan of its organization.
    pub plan: Arc<Plan>,
}

/// A policy without its name: two of the same values are one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyValues {
    /// Which.
    pub id: PolicyId,
    /// What it sets.
    pub limits: PolicyLimits,
    /// Everything else that it says, as one text.
    pub rest: String,
}

/// A rule, as far as the check looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleUse {
    /// Which.
    pub id: RuleId,
    /// Whether it is looked at.
    pub is_enabled: bool,
    /// The lists that its conditions name, each as often as they do.
    pub lists: Vec<ListId>,
}

pub(crate) const BY_DEFAULT: &str = "SELECT id, placement FROM grants WHERE workspace_id = $1 ORDER BY id LIMIT $2";
pub(crate) const IN_NONE: &str =
    "SELECT id FROM grants WHERE application_id = $1 AND workspace_id IS NULL ORDER BY id LIMIT $2";
pub(crate) const POLICIES: &str = concat!(
    "SELECT p.id, p.use_list_dnsbl, p.use_header_anomaly_detection, p.spam_sensitivity_permille, p.options, ",
    limits::policy_limit_columns!(),
    " FROM policies p WHERE p.application_id = $1 ORDER BY p.id LIMIT $2"
);
pub(crate) const RULES: &str =
    "SELECT id, enabled, conditions FROM rules WHERE application_id = $1 ORDER BY id LIMIT $2";
pub(crate) const LISTS: &str = "SELECT id FROM lists WHERE application_id = $1 ORDER BY id LIMIT $2";

/// The application and its plan.
pub async fn application(reader: &mut Reader<'_>, id: ApplicationId) -> Result<Option<Checked>, StoreError> {
    const FIND: &str = "SELECT a.environment, a.default_workspace_id, o.plan FROM applications a \
        JOIN organizations o ON o.id = a.organization_id WHERE a.id = $1";
    let Some(row) = reader.query_one(FIND, params![id.uuid()]).await? else { return Ok(None) };
    Ok(Some(Checked {
        is_production: row.text(0)? == "production",
        default_workspace_id: WorkspaceId::from_uuid(row.uuid(1)?),
        plan: reader.plan(row.str(2)?)?,
    }))
}

/// Mailboxes that came into the default workspace for want of a better one, among its first `limit`, and whether there
/// are more to look at.
pub async fn fell_through(
    reader: &mut Reader<'_>,
    default: WorkspaceId,
    limit: usize,
) -> Result<(Vec<GrantId>, bool), StoreError> {
    let rows = reader.query(BY_DEFAULT, params![default.uuid(), limit as i64 + 1]).await?;
    let mut found = Vec::new();
    for row in rows.iter().take(limit) {
        if row.text(1)? == crate::grants::Placement::Default.name() {
            found.push(GrantId::from_uuid(row.uuid(0)?));
        }
    }
    Ok((found, rows.len() > limit))
}

/// The first `limit` mailboxes of an application that are in no workspace, and whether there are more.
pub async fn in_no_workspace(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
) -> Result<(Vec<GrantId>, bool), StoreError> {
    let rows = reader.query(IN_NONE, params![application.uuid(), limit as i64 + 1]).await?;
    let ids = rows.iter().take(limit).map(|row| Ok(GrantId::from_uuid(row.uuid(0)?)));
    Ok((ids.collect::<Result<_, DbError>>()?, rows.len() > limit))
}

/// The first `limit` policies of an application, and whether there are more.
pub async fn policies(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
) -> Result<(Vec<PolicyValues>, bool), StoreError> {
    let rows = reader.query(POLICIES, params![application.uuid(), limit as i64 + 1]).await?;
    let policies = rows.iter().take(limit).map(read);
    Ok((policies.collect::<Result<_, DbError>>()?, rows.len() > limit))
}

/// The first `limit` rules of an application, and whether there are more.
pub async fn rules(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
) -> Result<(Vec<RuleUse>, bool), StoreError> {
    let rows = reader.query(RULES, params![application.uuid(), limit as i64 + 1]).await?;
    let rules = rows.iter().take(limit).map(read_rule);
    Ok((rules.collect::<Result<_, DbError>>()?, rows.len() > limit))
}

/// The first `limit` lists of an application in the order of their ids, and whether there are more.
pub async fn lists(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    limit: usize,
) -> Result<(Vec<ListId>, bool), StoreError> {
    let rows = reader.query(LISTS, params![application.uuid(), limit as i64 + 1]).await?;
    let ids = rows.iter().take(limit).map(|row| Ok(ListId::from_uuid(row.uuid(0)?)));
    Ok((ids.collect::<Result<_, DbError>>()?, rows.len() > limit))
}

fn read_rule(row: &Row) -> Result<RuleUse, DbError> {
    let conditions = definition::read_conditions(row.str(2)?)?;
    let lists = conditions.into_iter().filter_map(|condition| match condition.operand {
        Operand::Lists(lists) => Some(lists),
        Operand::Text(_) => None,
    });
    Ok(RuleUse { id: RuleId::from_uuid(row.uuid(0)?), is_enabled: row.flag(1)?, lists: lists.flatten().collect() })
}

fn read(row: &Row) -> Result<PolicyValues, DbError> {
    Ok(PolicyValues {
        id: PolicyId::from_uuid(row.uuid(0)?),
        limits: limits::policy_limits(row, 5)?,
        rest: format!("{} {} {} {}", row.flag(1)?, row.flag(2)?, row.int(3)?, row.text(4)?),
    })
}
