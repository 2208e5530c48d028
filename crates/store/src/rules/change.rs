//! Making, changing and removing rules. Lists that a rule names must be there and of the right kind; how many rules there
//! are is counted under the lock of the organization.

use super::{KeptRule, changed, definition, read, rule_columns, used};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::workspaces::lock_application;
use postfleet_core::Problem;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, ListId, OrganizationId, RuleId};
use postfleet_core::list::ListKind;
use postfleet_core::plan::Cap;
use postfleet_core::rule::validate::{NamedRule, RuleChange, invalid_list};
use postfleet_core::rule::{Operand, Rule};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// Makes a rule. It judges nothing until a workspace uses it.
#[derive(Clone, Debug)]
pub struct CreateRule {
    /// Who.
    pub act: Act,
    /// Its id.
    pub id: RuleId,
    /// Whose.
    pub application_id: ApplicationId,
    /// What it says.
    pub change: RuleChange,
}

/// Changes a rule.
#[derive(Clone, Debug)]
pub struct UpdateRule {
    /// Who.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: RuleId,
    /// What is said about it.
    pub change: RuleChange,
}

/// What became of [`CreateRule`] and [`UpdateRule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleOutcome {
    /// It is as wanted.
    Written(Box<KeptRule>),
    /// The application has no such rule.
    NotFound,
    /// It contradicts itself, or names a list that will not do; nothing was changed.
    Refused(Problem),
    /// The organization has as many rules as its plan allows.
    TooMany(Cap),
}

impl Command for CreateRule {
    type Outcome = RuleOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RuleOutcome, DbError> {
        let Some(organization) = lock_organization(tx, self.application_id).await? else {
            return Ok(RuleOutcome::NotFound);
        };
        if lock_application(tx, self.application_id).await?.is_none() {
            return Ok(RuleOutcome::NotFound);
        }
        let named = match self.judged(tx).await? {
            Ok(named) => named,
            Err(problem) => return Ok(RuleOutcome::Refused(problem)),
        };
        if let Some(cap) = organization.full(tx).await? {
            return Ok(RuleOutcome::TooMany(cap));
        }
        let kept = KeptRule {
            named,
            application_id: self.application_id,
            organization_id: organization.id,
            created_at: self.act.at,
            updated_at: self.act.at,
        };
        insert(tx, &kept).await?;
        let after = facts(&kept.named).to_string();
        audit::record(tx, &self.act, change("rule.created", &self.id.to_string(), None, Some(&after))).await?;
        changed(tx, self.application_id).await?;
        Ok(RuleOutcome::Written(Box::new(kept)))
    }
}

impl CreateRule {
    async fn judged(&self, tx: &mut Tx) -> Result<Result<NamedRule, Problem>, DbError> {
        match self.change.apply(&NamedRule::blank(self.id)) {
            Ok(named) => Ok(check_lists(tx, self.application_id, &named.rule).await?.map(|()| named)),
            Err(problem) => Ok(Err(problem)),
        }
    }
}

impl Command for UpdateRule {
    type Outcome = RuleOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RuleOutcome, DbError> {
        if lock_application(tx, self.application_id).await?.is_none() {
            return Ok(RuleOutcome::NotFound);
        }
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(RuleOutcome::NotFound) };
        let named = match self.change.apply(&old.named) {
            Ok(named) => named,
            Err(problem) => return Ok(RuleOutcome::Refused(problem)),
        };
        if named == old.named {
            return Ok(RuleOutcome::Written(Box::new(old)));
        }
        // Lists of conditions that stay may be gone by now, and do not stand in the way of another change.
        if named.rule.conditions != old.named.rule.conditions
            && let Err(problem) = check_lists(tx, self.application_id, &named.rule).await?
        {
            return Ok(RuleOutcome::Refused(problem));
        }
        let new = KeptRule { named, updated_at: self.act.at, ..old.clone() };
        update(tx, &new).await?;
        let (before, after) = (facts(&old.named).to_string(), facts(&new.named).to_string());
        let id = self.id.to_string();
        audit::record(tx, &self.act, change("rule.updated", &id, Some(&before), Some(&after))).await?;
        changed(tx, self.application_id).await?;
        Ok(RuleOutcome::Written(Box::new(new)))
    }
}

/// Removes a rule, and takes it from the workspaces that use it.
#[derive(Clone, Debug)]
pub struct RemoveRule {
    /// Who.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: RuleId,
}

impl Command for RemoveRule {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM rules WHERE id = $1";
        // Nobody attaches the rule meanwhile: that is done under the same lock.
        if lock_application(tx, self.application_id).await?.is_none() {
            return Ok(false);
        }
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(false) };
        let workspaces = used::detach(tx, self.id, self.act.at).await?;
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        let mut before = facts(&old.named);
        before["workspaces"] = workspaces.iter().map(|id| id.to_string()).collect::<Vec<_>>().into();
        let before = before.to_string();
        audit::record(tx, &self.act, change("rule.deleted", &self.id.to_string(), Some(&before), None)).await?;
        changed(tx, self.application_id).await?;
        Ok(true)
    }
}

/// An organization whose rules are counted: its row is locked until the end of the transaction.
struct Organization {
    id: OrganizationId,
    rules_max: Option<u64>,
}

/// Locks the organization of an application, which comes before the application everywhere.
async fn lock_organization(tx: &mut Tx, application: ApplicationId) -> Result<Option<Organization>, DbError> {
    const LOCK: &str = "SELECT o.id, o.plan FROM organizations o \
        WHERE o.id = (SELECT a.organization_id FROM applications a WHERE a.id = $1) {lock}";
    let Some(row) = tx.query_one(LOCK, params![application.uuid()]).await? else { return Ok(None) };
    let rules_max = tx.plan(row.str(1)?)?.rules_max;
    Ok(Some(Organization { id: OrganizationId::from_uuid(row.uuid(0)?), rules_max }))
}

impl Organization {
    /// The plan's cap on rules, if it is reached.
    async fn full(&self, tx: &mut Tx) -> Result<Option<Cap>, DbError> {
        const COUNT: &str = "SELECT count(*) FROM rules r \
            WHERE r.application_id IN (SELECT a.id FROM applications a WHERE a.organization_id = $1)";
        let Some(limit) = self.rules_max else { return Ok(None) };
        let row = tx.query_one(COUNT, params![self.id.uuid()]).await?;
        let used = row.map(|row| row.count(0)).transpose()?.unwrap_or(0);
        Ok((used >= limit).then_some(Cap { limit, used }))
    }
}

const FIND_LIST: &str = "SELECT kind FROM lists WHERE id = $1 AND application_id = $2";

/// Whether the application has every list that a rule names, with items of the kind that the rule looks at. The lock of
/// the application keeps them there until the commit.
async fn check_lists(tx: &mut Tx, application: ApplicationId, rule: &Rule) -> Result<Result<(), Problem>, DbError> {
    let mut kinds = HashMap::new();
    for list in lists_of(rule) {
        let row = tx.query_one(FIND_LIST, params![list.uuid(), application.uuid()]).await?;
        kinds.insert(list, row.map(|row| row.text(0)).transpose()?);
    }
    Ok(misfit(rule, &kinds).map_or(Ok(()), Err))
}

/// Why a rule that nobody keeps cannot name the lists that it names, if so.
pub async fn lists_refusal(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    rule: &Rule,
) -> Result<Option<Problem>, StoreError> {
    let mut kinds = HashMap::new();
    for list in lists_of(rule) {
        let row = reader.query_one(FIND_LIST, params![list.uuid(), application.uuid()]).await?;
        kinds.insert(list, row.map(|row| row.text(0)).transpose()?);
    }
    Ok(misfit(rule, &kinds))
}

/// The lists that a rule names, each once.
fn lists_of(rule: &Rule) -> HashSet<ListId> {
    let operands = rule.conditions.iter().map(|condition| &condition.operand);
    operands
        .filter_map(|operand| if let Operand::Lists(lists) = operand { Some(lists) } else { None })
        .flatten()
        .copied()
        .collect()
}

/// The first list that a condition cannot use, by the kinds of those that the application has.
fn misfit(rule: &Rule, kinds: &HashMap<ListId, Option<String>>) -> Option<Problem> {
    for (index, condition) in rule.conditions.iter().enumerate() {
        let Operand::Lists(lists) = &condition.operand else { continue };
        for list in lists {
            let kind = kinds.get(list).cloned().flatten().and_then(|kind| ListKind::named(&kind));
            if kind.is_none() || kind != condition.field.list_kind() {
                return Some(invalid_list(index, &list.to_string(), condition.field, kind));
            }
        }
    }
    None
}

async fn lock(tx: &mut Tx, application: ApplicationId, id: RuleId) -> Result<Option<KeptRule>, DbError> {
    const LOCK: &str =
        concat!("SELECT ", rule_columns!(), " FROM rules r WHERE r.id = $1 AND r.application_id = $2 {lock}");
    tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await?.as_ref().map(read).transpose()
}

async fn insert(tx: &mut Tx, kept: &KeptRule) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO rules (id, application_id, name, description, priority, enabled, mode, direction, \
        match_operator, conditions, actions, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    write(tx, INSERT, kept).await
}

async fn update(tx: &mut Tx, kept: &KeptRule) -> Result<(), DbError> {
    // The time of its making is given and stays: both statements take the same values.
    const UPDATE: &str = "UPDATE rules SET name = $3, description = $4, priority = $5, enabled = $6, mode = $7, \
        direction = $8, match_operator = $9, conditions = $10, actions = $11, created_at = $12, updated_at = $13 \
        WHERE id = $1 AND application_id = $2";
    write(tx, UPDATE, kept).await
}

async fn write(tx: &mut Tx, statement: &'static str, kept: &KeptRule) -> Result<(), DbError> {
    let NamedRule { name, description, rule } = &kept.named;
    let conditions = definition::write_conditions(&rule.conditions);
    let actions = definition::write_actions(&rule.actions);
    let values = params![
        rule.id.uuid(),
        kept.application_id.uuid(),
        name,
        description.as_deref(),
        i64::from(rule.priority),
        rule.is_enabled,
        rule.mode.name(),
        rule.direction.name(),
        rule.match_operator.name(),
        &conditions,
        &actions,
        kept.created_at.as_micros(),
        kept.updated_at.as_micros()
    ];
    tx.execute(statement, values).await?;
    Ok(())
}

/// A rule as records of changes show it: in the words of the interface.
fn facts(named: &NamedRule) -> Value {
    let NamedRule { name, description, rule } = named;
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    json!({
        "name": name,
        "description": description,
        "priority": rule.priority,
        "enabled": rule.is_enabled,
        "mode": rule.mode.name(),
        "trigger": rule.direction.name(),
        "match": {
            "operator": rule.match_operator.name(),
            "conditions": parsed(&definition::write_conditions(&rule.conditions)),
        },
        "actions": parsed(&definition::write_actions(&rule.actions)),
    })
}

fn change<'a>(action: &'static str, target_id: &'a str, before: Option<&'a str>, after: Option<&'a str>) -> Change<'a> {
    Change { action, target_kind: "rule", target_id, before, after }
}
