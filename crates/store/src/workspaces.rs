//! Workspaces: groups of an application's mailboxes under one policy, with the rules that judge their mail.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::moves::{self, Mover};
use crate::params;
use crate::policies::{self, Policy, SpamDetection};
use crate::reputation;
use crate::rules::{self, used};
use crate::stops::{self, Lift};
use postfleet_core::audit::Act;
use postfleet_core::hold::OnQuota;
use postfleet_core::id::{ApplicationId, AuditId, GrantId, PolicyId, RuleId, StopId, WorkspaceId};
use postfleet_core::plan::Plan;
use postfleet_core::preset::Preset;
use postfleet_core::reputation::SubjectKind;
use postfleet_core::{Domain, Patch, UnixMicros};
use std::sync::Arc;

pub use crate::rules::used::{RulesRefusal, WORKSPACE_RULES_MAX};

/// Workspaces of one application. All of them are one answer.
pub const WORKSPACES_MAX: u64 = 10_000;

/// Mailboxes of a workspace that can be removed: they move in its transaction, during which others wait.
pub const REMOVED_GRANTS_MAX: u64 = 10_000;

/// A workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// The domain whose new mailboxes it takes if it groups them by itself; empty if none.
    pub domain: String,
    /// Whether it takes new mailboxes of its domain that name no workspace.
    pub auto_group: bool,
    /// The policy that governs its mailboxes; without one, the plan alone does.
    pub policy_id: Option<PolicyId>,
    /// What becomes of sends over a quota that resets.
    pub on_quota: OnQuota,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

/// A workspace, and what it is to its application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The workspace.
    pub workspace: Workspace,
    /// Whether it takes the application's mailboxes for which there is no better place.
    pub is_default: bool,
    /// The rules that judge the mail of its mailboxes, in the order in which they were named.
    pub rule_ids: Vec<RuleId>,
}

/// What others need of an application that is locked for a change of its workspaces, or of what is where.
pub(crate) struct Home {
    pub(crate) default_workspace_id: WorkspaceId,
    pub(crate) plan: Arc<Plan>,
}

/// Locks an application: its workspaces and the places of its mailboxes are changed by one transaction at a time.
/// `None` if there is none.
pub(crate) async fn lock_application(tx: &mut Tx, application: ApplicationId) -> Result<Option<Home>, DbError> {
    const LOCK: &str = "SELECT a.default_workspace_id, \
        (SELECT o.plan FROM organizations o WHERE o.id = a.organization_id) \
        FROM applications a WHERE a.id = $1 {lock}";
    let Some(row) = tx.query_one(LOCK, params![application.uuid()]).await? else { return Ok(None) };
    let default_workspace_id = WorkspaceId::from_uuid(row.uuid(0)?);
    Ok(Some(Home { default_workspace_id, plan: tx.plan(row.str(1)?)? }))
}

macro_rules! workspace_columns {
    () => {
        "w.id, w.application_id, w.name, w.domain, w.auto_group, w.policy_id, w.created_at, w.updated_at, \
         w.on_quota, (SELECT a.default_workspace_id FROM applications a WHERE a.id = w.application_id)"
    };
}

/// Finds a workspace of an application and locks it: nobody removes it, and nothing moves into it, before the commit.
pub(crate) async fn lock(tx: &mut Tx, application: ApplicationId, id: WorkspaceId) -> Result<Option<Listed>, DbError> {
    const LOCK: &str =
        concat!("SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.id = $1 AND w.application_id = $2 {lock}");
    let row = tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await?;
    let Some(found) = row.as_ref().map(read).transpose()? else { return Ok(None) };
    Ok(Some(Listed { rule_ids: used::lock_of(tx, id).await?, ..found }))
}

/// Makes a workspace.
#[derive(Clone, Debug)]
pub struct CreateWorkspace {
    /// Who makes it.
    pub act: Act,
    /// The workspace; its policy is said by `policy`.
    pub workspace: Workspace,
    /// Its policy.
    pub policy: PolicyChoice,
    /// Its rules; each once.
    pub rule_ids: Vec<RuleId>,
}

/// Where the policy of a new workspace comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyChoice {
    /// It gets none.
    None,
    /// It is there.
    Existing(PolicyId),
    /// It is made with the workspace, under this id.
    Preset(&'static Preset, PolicyId),
}

/// What became of [`CreateWorkspace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was made.
    Created(Listed),
    /// The application has no such policy.
    PolicyUnknown,
    /// It cannot use these rules.
    Rules(RulesRefusal),
    /// The application has as many workspaces as it may have.
    TooMany,
    /// There is no such application any more.
    ApplicationGone,
}

impl Command for CreateWorkspace {
    type Outcome = CreateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<CreateOutcome, DbError> {
        let application = self.workspace.application_id;
        let Some(home) = lock_application(tx, application).await? else { return Ok(CreateOutcome::ApplicationGone) };
        if is_full(tx, application).await? {
            return Ok(CreateOutcome::TooMany);
        }
        if let Some(refusal) = used::refusal(tx, application, &self.rule_ids, home.plan.rules_max).await? {
            return Ok(CreateOutcome::Rules(refusal));
        }
        let policy_id = match self.policy {
            PolicyChoice::None => None,
            PolicyChoice::Existing(id) if has_policy(tx, application, id).await? => Some(id),
            PolicyChoice::Existing(_) => return Ok(CreateOutcome::PolicyUnknown),
            PolicyChoice::Preset(preset, id) => {
                policies::insert(tx, &self.policy_of(preset, id, &home.plan)).await?;
                Some(id)
            }
        };
        let workspace = Workspace { policy_id, ..self.workspace.clone() };
        insert(tx, &workspace).await?;
        let listed = Listed { workspace, is_default: false, rule_ids: self.rule_ids.clone() };
        if !listed.rule_ids.is_empty() {
            used::replace(tx, listed.workspace.id, &listed.rule_ids).await?;
            rules::changed(tx, application).await?;
        }
        let after = self.record(&listed);
        record(tx, &self.act, "workspace.created", listed.workspace.id, None, Some(&after)).await?;
        Ok(CreateOutcome::Created(listed))
    }
}

impl CreateWorkspace {
    fn policy_of(&self, preset: &Preset, id: PolicyId, plan: &Plan) -> Policy {
        let (limits, at) = (preset.limits(&plan.limits), self.workspace.created_at);
        let spam = SpamDetection {
            use_list_dnsbl: preset.use_list_dnsbl,
            use_header_anomaly_detection: preset.use_header_anomaly_detection,
            sensitivity_permille: preset.spam_sensitivity_permille,
        };
        Policy { spam, ..Policy::new(id, self.workspace.application_id, preset.name, limits, at) }
    }

    fn record(&self, made: &Listed) -> String {
        let mut after = facts(made);
        if let PolicyChoice::Preset(preset, _) = self.policy {
            after["preset"] = preset.name.into();
        }
        after.to_string()
    }
}

async fn is_full(tx: &mut Tx, application: ApplicationId) -> Result<bool, DbError> {
    const COUNT: &str =
        "SELECT count(*) FROM (SELECT w.id FROM workspaces w WHERE w.application_id = $1 LIMIT $2) AS found";
    let row = tx.query_one(COUNT, params![application.uuid(), WORKSPACES_MAX as i64]).await?;
    Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0) >= WORKSPACES_MAX)
}

/// Whether the application has a policy, which then stays until the commit.
async fn has_policy(tx: &mut Tx, application: ApplicationId, id: PolicyId) -> Result<bool, DbError> {
    const FIND: &str = "SELECT id FROM policies WHERE id = $1 AND application_id = $2 {lock}";
    Ok(tx.query_one(FIND, params![id.uuid(), application.uuid()]).await?.is_some())
}

pub(crate) async fn insert(tx: &mut Tx, workspace: &Workspace) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO workspaces \
        (id, application_id, name, domain, auto_group, policy_id, created_at, updated_at, on_quota) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = params![
        workspace.id.uuid(),
        workspace.application_id.uuid(),
        &workspace.name,
        &workspace.domain,
        workspace.auto_group,
        workspace.policy_id.map(|id| id.uuid()),
        workspace.created_at.as_micros(),
        workspace.updated_at.as_micros(),
        workspace.on_quota.name()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// Changes a workspace.
#[derive(Clone, Debug)]
pub struct UpdateWorkspace {
    /// Who changes it.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: WorkspaceId,
    /// Its new name.
    pub name: Option<String>,
    /// Whether it takes new mailboxes of its domain.
    pub auto_group: Option<bool>,
    /// Its domain as the caller believes it to be; it cannot be changed.
    pub domain: Option<String>,
    /// Its policy.
    pub policy_id: Patch<PolicyId>,
    /// What becomes of sends over a quota that resets.
    pub on_quota: Option<OnQuota>,
    /// Its rules, all of them and each once.
    pub rule_ids: Patch<Vec<RuleId>>,
}

/// What became of [`UpdateWorkspace`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// This is what it is now.
    Updated(Listed),
    /// The application has no such workspace.
    Unknown,
    /// The application has no such policy.
    PolicyUnknown,
    /// It cannot use these rules.
    Rules(RulesRefusal),
    /// The default workspace has neither a name nor a domain of the caller's choice.
    IsDefault,
    /// It has another domain.
    DomainIsFixed,
    /// It has no domain of which it could take mailboxes.
    NoDomain,
}

impl Command for UpdateWorkspace {
    type Outcome = UpdateOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<UpdateOutcome, DbError> {
        let Some(home) = lock_application(tx, self.application_id).await? else { return Ok(UpdateOutcome::Unknown) };
        let Some(found) = lock(tx, self.application_id, self.id).await? else { return Ok(UpdateOutcome::Unknown) };
        if let Some(refusal) = self.refusal(&found) {
            return Ok(refusal);
        }
        if let Patch::Set(policy) = self.policy_id
            && !has_policy(tx, self.application_id, policy).await?
        {
            return Ok(UpdateOutcome::PolicyUnknown);
        }
        if let Patch::Set(wanted) = &self.rule_ids
            && let Some(refusal) = used::refusal(tx, self.application_id, wanted, home.plan.rules_max).await?
        {
            return Ok(UpdateOutcome::Rules(refusal));
        }
        let mut new = self.applied(&found);
        if new == found {
            return Ok(UpdateOutcome::Updated(found));
        }
        new.workspace.updated_at = self.act.at;
        self.write(tx, &new.workspace).await?;
        if new.rule_ids != found.rule_ids {
            used::replace(tx, self.id, &new.rule_ids).await?;
            rules::changed(tx, self.application_id).await?;
        }
        let (before, after) = (facts(&found).to_string(), facts(&new).to_string());
        record(tx, &self.act, "workspace.updated", self.id, Some(&before), Some(&after)).await?;
        Ok(UpdateOutcome::Updated(new))
    }
}

impl UpdateWorkspace {
    fn refusal(&self, found: &Listed) -> Option<UpdateOutcome> {
        if found.is_default && (self.name.is_some() || self.auto_group.is_some()) {
            return Some(UpdateOutcome::IsDefault);
        }
        if self.domain.as_ref().is_some_and(|domain| *domain != found.workspace.domain) {
            return Some(UpdateOutcome::DomainIsFixed);
        }
        let groups_nothing = self.auto_group == Some(true) && found.workspace.domain.is_empty();
        groups_nothing.then_some(UpdateOutcome::NoDomain)
    }

    fn applied(&self, found: &Listed) -> Listed {
        let old = &found.workspace;
        let workspace = Workspace {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            auto_group: self.auto_group.unwrap_or(old.auto_group),
            policy_id: self.policy_id.apply(old.policy_id),
            on_quota: self.on_quota.unwrap_or(old.on_quota),
            ..old.clone()
        };
        let rule_ids = self.rule_ids.clone().apply(Some(found.rule_ids.clone())).unwrap_or_default();
        Listed { workspace, is_default: found.is_default, rule_ids }
    }

    async fn write(&self, tx: &mut Tx, new: &Workspace) -> Result<(), DbError> {
        const UPDATE: &str = "UPDATE workspaces SET name = $2, auto_group = $3, policy_id = $4, updated_at = $5, on_quota = $6 \
            WHERE id = $1";
        let policy = new.policy_id.map(|id| id.uuid());
        let (at, on_quota) = (new.updated_at.as_micros(), new.on_quota.name());
        let values = params![new.id.uuid(), &new.name, new.auto_group, policy, at, on_quota];
        tx.execute(UPDATE, values).await?;
        Ok(())
    }
}

/// Removes a workspace. Its mailboxes go into the default one.
#[derive(Clone, Debug)]
pub struct RemoveWorkspace {
    /// Who removes it.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: WorkspaceId,
    /// What the ids of the events are made from that announce its mailboxes.
    pub event_seed: [u8; 32],
}

/// What became of [`RemoveWorkspace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// It is gone; so many mailboxes are in the default workspace now.
    Removed(u64),
    /// The application has no such workspace.
    Unknown,
    /// It is the default workspace, which stays.
    IsDefault,
    /// It has more than [`REMOVED_GRANTS_MAX`] mailboxes.
    TooLarge,
}

impl Command for RemoveWorkspace {
    type Outcome = RemoveOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RemoveOutcome, DbError> {
        const COUNT: &str =
            "SELECT count(*) FROM (SELECT g.id FROM grants g WHERE g.workspace_id = $1 LIMIT $2) AS found";
        const REMOVE: &str = "DELETE FROM workspaces WHERE id = $1";
        let Some(home) = lock_application(tx, self.application_id).await? else { return Ok(RemoveOutcome::Unknown) };
        let Some(found) = lock(tx, self.application_id, self.id).await? else { return Ok(RemoveOutcome::Unknown) };
        if found.is_default {
            return Ok(RemoveOutcome::IsDefault);
        }
        let count = tx.query_one(COUNT, params![self.id.uuid(), REMOVED_GRANTS_MAX as i64 + 1]).await?;
        if count.map(|row| row.count(0)).transpose()?.unwrap_or(0) > REMOVED_GRANTS_MAX {
            return Ok(RemoveOutcome::TooLarge);
        }
        let moved = self.empty(tx, home.default_workspace_id).await?;
        self.lift_stops(tx).await?;
        if !found.rule_ids.is_empty() {
            used::replace(tx, self.id, &[]).await?;
            rules::changed(tx, self.application_id).await?;
        }
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        reputation::forget(tx, SubjectKind::Workspace, &self.id.to_string()).await?;
        let mut before = facts(&found);
        before["grants"] = moved.into();
        record(tx, &self.act, "workspace.deleted", self.id, Some(&before.to_string()), None).await?;
        Ok(RemoveOutcome::Removed(moved))
    }
}

impl RemoveWorkspace {
    /// Nobody is in it any more who could be stopped; what waits is judged by where its mailbox is now.
    async fn lift_stops(&self, tx: &mut Tx) -> Result<(), DbError> {
        const STOPS: &str = "SELECT id FROM stops WHERE organization_id = $1 AND subject = $2 AND scope = 'workspace' \
            AND lifted_at IS NULL ORDER BY id";
        let (own, subject) = (self.act.organization_id, self.id.to_string());
        for row in tx.query(STOPS, params![own.uuid(), &subject]).await? {
            let stop = StopId::from_uuid(row.uuid(0)?);
            let made = moves::event_id(&self.event_seed, GrantId::from_uuid(stop.uuid()), self.act.at);
            let act = Act { record_id: AuditId::from_uuid(made.uuid()), ..self.act.clone() };
            let lift = Lift { act, event_id: made, reason: "the workspace was removed".to_owned() };
            stops::lift(tx, stop, &lift).await?;
        }
        Ok(())
    }

    async fn empty(&self, tx: &mut Tx, default: WorkspaceId) -> Result<u64, DbError> {
        const MOVE: &str = "UPDATE grants SET workspace_id = $2, placement = 'default', updated_at = $3 \
            WHERE workspace_id = $1 RETURNING id";
        let rows = tx.query(MOVE, params![self.id.uuid(), default.uuid(), self.act.at.as_micros()]).await?;
        let ids = rows.iter().map(|row| Ok(GrantId::from_uuid(row.uuid(0)?)));
        let mut ids = ids.collect::<Result<Vec<_>, DbError>>()?;
        // In one order everywhere: each takes the lock of its mailbox.
        ids.sort_unstable();
        let mover = Mover { application_id: self.application_id, event_seed: &self.event_seed, at: self.act.at };
        for id in &ids {
            mover.announce(tx, *id).await?;
        }
        Ok(ids.len() as u64)
    }
}

/// A workspace as records of changes show it.
fn facts(listed: &Listed) -> serde_json::Value {
    let workspace = &listed.workspace;
    serde_json::json!({
        "name": workspace.name,
        "domain": workspace.domain,
        "auto_group": workspace.auto_group,
        "policy_id": workspace.policy_id.map(|id| id.to_string()),
        "on_quota": workspace.on_quota.name(),
        "rule_ids": listed.rule_ids.iter().map(RuleId::to_string).collect::<Vec<_>>(),
    })
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    id: WorkspaceId,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<(), DbError> {
    let target_id = id.to_string();
    audit::record(tx, act, Change { action, target_kind: "workspace", target_id: &target_id, before, after }).await
}

pub(crate) const LIST: &str =
    concat!("SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.application_id = $1 ORDER BY w.id LIMIT $2");
pub(crate) const OF_DOMAIN: &str = concat!(
    "SELECT ",
    workspace_columns!(),
    " FROM workspaces w WHERE w.application_id = $1 AND w.domain = $2 ORDER BY w.id LIMIT 1"
);

/// All workspaces of an application, oldest first.
pub async fn list(reader: &mut Reader<'_>, application: ApplicationId) -> Result<Vec<Listed>, StoreError> {
    let rows = reader.query(LIST, params![application.uuid(), WORKSPACES_MAX as i64]).await?;
    let mut listed = rows.iter().map(read).collect::<Result<Vec<_>, DbError>>()?;
    // A workspace that is made between the two reads is not in the first.
    let mut rules = used::of_all(reader, application).await?;
    for one in &mut listed {
        one.rule_ids = rules.remove(&one.workspace.id).unwrap_or_default();
    }
    Ok(listed)
}

/// Finds a workspace of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: WorkspaceId,
) -> Result<Option<Listed>, StoreError> {
    const FIND: &str =
        concat!("SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.id = $1 AND w.application_id = $2");
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    with_rules(reader, row).await
}

/// Finds the oldest workspace of an application that has this domain.
pub async fn of_domain(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    domain: &Domain,
) -> Result<Option<Listed>, StoreError> {
    let row = reader.query_one(OF_DOMAIN, params![application.uuid(), domain.as_str()]).await?;
    with_rules(reader, row).await
}

async fn with_rules(reader: &mut Reader<'_>, row: Option<Row>) -> Result<Option<Listed>, StoreError> {
    let Some(found) = row.as_ref().map(read).transpose()? else { return Ok(None) };
    Ok(Some(Listed { rule_ids: used::of(reader, found.workspace.id).await?, ..found }))
}

/// A workspace without its rules, which another statement reads.
fn read(row: &Row) -> Result<Listed, DbError> {
    let id = row.uuid(0)?;
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(id),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        domain: row.text(3)?,
        auto_group: row.flag(4)?,
        policy_id: row.opt_uuid(5)?.map(PolicyId::from_uuid),
        created_at: UnixMicros::from_micros(row.int(6)?),
        updated_at: UnixMicros::from_micros(row.int(7)?),
        on_quota: OnQuota::named(row.str(8)?).ok_or(DbError::Malformed("on_quota"))?,
    };
    Ok(Listed { workspace, is_default: row.opt_uuid(9)? == Some(id), rule_ids: Vec::new() })
}
