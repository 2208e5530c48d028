//! Policies: what an application sets below its plan for the mailboxes of its workspaces. A change is judged by the
//! plan that the organization has while the change is made.

use crate::audit::{self, Change};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::limits;
use crate::params;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, OrganizationId, PolicyId};
use postfleet_core::plan::{Limits, Plan, PolicyLimits};
use postfleet_core::policy::{LimitsChange, SpamDetectionChange};
use postfleet_core::{Patch, Problem, UnixMicros};
use serde_json::{Map, Value};

pub use postfleet_core::policy::SpamDetection;

mod record;

/// Octets of a policy's options as JSON.
pub const OPTIONS_OCTETS_MAX: usize = 16 << 10;

/// The options of a policy that sets none, which the official clients expect to find.
pub const DEFAULT_OPTIONS: &str = r#"{"additional_folders":[],"use_cidr_aliasing":false}"#;

/// The option by which sends look at their recipients first: true or false, and false if absent.
pub const VALIDATE_RECIPIENTS: &str = "validate_recipients";

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// Whose it is.
    pub application_id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// What it sets.
    pub limits: PolicyLimits,
    /// How junk is recognised.
    pub spam: SpamDetection,
    /// Further options that are kept and shown, as a JSON object.
    pub options: String,
    /// Ids of rules that an older client links here, as a JSON list; kept and shown, without effect.
    pub rules: String,
    /// When it was made.
    pub created_at: UnixMicros,
    /// When it was last changed.
    pub updated_at: UnixMicros,
}

impl Policy {
    /// A policy that sets these limits and nothing else.
    pub fn new(id: PolicyId, application_id: ApplicationId, name: &str, limits: PolicyLimits, at: UnixMicros) -> Self {
        Self {
            id,
            application_id,
            name: name.to_owned(),
            limits,
            spam: SpamDetection::default(),
            options: DEFAULT_OPTIONS.to_owned(),
            rules: "[]".to_owned(),
            created_at: at,
            updated_at: at,
        }
    }
}

/// A policy, and what holds under it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyView {
    /// The policy.
    pub policy: Policy,
    /// Whose application has it.
    pub organization_id: OrganizationId,
    /// What the organization's plan leaves of it.
    pub effective: Limits,
}

/// What a request says about a policy; what it does not name stays.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PolicyChange {
    /// The new name.
    pub name: Option<String>,
    /// The limits.
    pub limits: LimitsChange,
    /// How junk is recognised.
    pub spam: SpamDetectionChange,
    /// Options, merged field by field; a null field goes back to its default. Null as a whole: all do.
    pub options: Patch<Map<String, Value>>,
    /// The rules of older clients.
    pub rules: Patch<Vec<String>>,
}

impl PolicyChange {
    fn apply(&self, current: &Policy, plan: &Plan) -> Result<Policy, Problem> {
        Ok(Policy {
            name: self.name.clone().unwrap_or_else(|| current.name.clone()),
            limits: self.limits.apply(&current.limits, plan)?,
            spam: self.spam.apply(current.spam),
            options: self.options(&current.options)?,
            rules: match &self.rules {
                Patch::Keep => current.rules.clone(),
                Patch::Clear => "[]".to_owned(),
                Patch::Set(rules) => Value::from(rules.clone()).to_string(),
            },
            ..current.clone()
        })
    }

    fn options(&self, current: &str) -> Result<String, Problem> {
        let fields = match &self.options {
            Patch::Keep => return Ok(current.to_owned()),
            Patch::Clear => return Ok(DEFAULT_OPTIONS.to_owned()),
            Patch::Set(fields) => fields,
        };
        let (mut merged, defaults) = (object(current), object(DEFAULT_OPTIONS));
        for (name, value) in fields {
            match (value, defaults.get(name)) {
                (Value::Null, Some(default)) => merged.insert(name.clone(), default.clone()),
                (Value::Null, None) => merged.remove(name),
                _ => merged.insert(name.clone(), value.clone()),
            };
        }
        let text = Value::Object(merged).to_string();
        if text.len() > OPTIONS_OCTETS_MAX {
            let text = format!("options must be at most {OPTIONS_OCTETS_MAX} bytes of JSON");
            return Err(Problem::invalid("options", text));
        }
        Ok(text)
    }
}

fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

/// Makes a policy.
#[derive(Clone, Debug)]
pub struct CreatePolicy {
    /// Who.
    pub act: Act,
    /// Its id.
    pub id: PolicyId,
    /// Whose.
    pub application_id: ApplicationId,
    /// What it sets; it must have a name.
    pub change: PolicyChange,
}

/// Changes a policy.
#[derive(Clone, Debug)]
pub struct UpdatePolicy {
    /// Who.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: PolicyId,
    /// What is said about it.
    pub change: PolicyChange,
}

/// What became of [`CreatePolicy`] and [`UpdatePolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyOutcome {
    /// It is as wanted.
    Written(Box<PolicyView>),
    /// The application has no such policy.
    NotFound,
    /// The plan does not allow it, or it contradicts itself; nothing was changed.
    Refused(Problem),
}

impl Command for CreatePolicy {
    type Outcome = PolicyOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<PolicyOutcome, DbError> {
        let (organization_id, plan) = lock_plan(tx, self.application_id).await?;
        let blank = Policy::new(self.id, self.application_id, "", PolicyLimits::default(), self.act.at);
        let policy = match self.change.apply(&blank, &plan) {
            Ok(policy) => policy,
            Err(problem) => return Ok(PolicyOutcome::Refused(problem)),
        };
        insert(tx, &policy).await?;
        let after = record::show(&policy).to_string();
        audit::record(tx, &self.act, change("policy.created", &self.id.to_string(), None, Some(&after))).await?;
        Ok(written(policy, organization_id, &plan))
    }
}

impl Command for UpdatePolicy {
    type Outcome = PolicyOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<PolicyOutcome, DbError> {
        let (organization_id, plan) = lock_plan(tx, self.application_id).await?;
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(PolicyOutcome::NotFound) };
        let mut new = match self.change.apply(&old, &plan) {
            Ok(policy) => policy,
            Err(problem) => return Ok(PolicyOutcome::Refused(problem)),
        };
        if new != old {
            new.updated_at = self.act.at;
            update(tx, &new).await?;
            let (before, after) = (record::show(&old).to_string(), record::show(&new).to_string());
            let id = self.id.to_string();
            audit::record(tx, &self.act, change("policy.updated", &id, Some(&before), Some(&after))).await?;
        }
        Ok(written(new, organization_id, &plan))
    }
}

fn written(policy: Policy, organization_id: OrganizationId, plan: &Plan) -> PolicyOutcome {
    let effective = Limits::effective(&plan.limits, &policy.limits);
    PolicyOutcome::Written(Box::new(PolicyView { policy, organization_id, effective }))
}

fn change<'a>(action: &'static str, target_id: &'a str, before: Option<&'a str>, after: Option<&'a str>) -> Change<'a> {
    Change { action, target_kind: "policy", target_id, before, after }
}

/// Removes a policy. The workspaces that had it have none from then on: what the plan allows holds for them.
#[derive(Clone, Debug)]
pub struct RemovePolicy {
    /// Who.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: PolicyId,
}

impl Command for RemovePolicy {
    /// Whether there was one.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const DETACH: &str =
            "UPDATE workspaces SET policy_id = NULL, updated_at = $2 WHERE policy_id = $1 RETURNING id";
        const REMOVE: &str = "DELETE FROM policies WHERE id = $1";
        // The organization's lock comes first, as everywhere; nobody attaches the policy meanwhile.
        lock_plan(tx, self.application_id).await?;
        let Some(old) = lock(tx, self.application_id, self.id).await? else { return Ok(false) };
        let detached = tx.query(DETACH, params![self.id.uuid(), self.act.at.as_micros()]).await?;
        let mut workspaces = detached.iter().map(|row| row.uuid(0)).collect::<Result<Vec<_>, _>>()?;
        workspaces.sort_unstable();
        tx.execute(REMOVE, params![self.id.uuid()]).await?;
        let mut before = record::show(&old);
        before["workspaces"] = workspaces.iter().map(|id| id.to_string()).collect::<Vec<_>>().into();
        let before = before.to_string();
        audit::record(tx, &self.act, change("policy.deleted", &self.id.to_string(), Some(&before), None)).await?;
        Ok(true)
    }
}

/// The organization's plan, which stays as it is until the end of the transaction.
async fn lock_plan(tx: &mut Tx, application: ApplicationId) -> Result<(OrganizationId, std::sync::Arc<Plan>), DbError> {
    const LOCK: &str = "SELECT o.id, o.plan FROM organizations o JOIN applications a ON a.organization_id = o.id \
        WHERE a.id = $1 {lock}";
    let row = tx.query_one(LOCK, params![application.uuid()]).await?.ok_or(DbError::Malformed("application"))?;
    Ok((OrganizationId::from_uuid(row.uuid(0)?), tx.plan(row.str(1)?)?))
}

macro_rules! policy_columns {
    () => {
        concat!(
            "p.id, p.application_id, p.name, p.use_list_dnsbl, p.use_header_anomaly_detection, \
             p.spam_sensitivity_permille, p.options, p.rules, p.created_at, p.updated_at, ",
            limits::policy_limit_columns!()
        )
    };
}

async fn lock(tx: &mut Tx, application: ApplicationId, id: PolicyId) -> Result<Option<Policy>, DbError> {
    const LOCK: &str =
        concat!("SELECT ", policy_columns!(), " FROM policies p WHERE p.id = $1 AND p.application_id = $2 {lock}");
    tx.query_one(LOCK, params![id.uuid(), application.uuid()]).await?.as_ref().map(read).transpose()
}

pub(crate) async fn insert(tx: &mut Tx, policy: &Policy) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO policies (id, application_id, name, attachment_octets_max, attachments_max, \
        attachment_types, inbound_message_octets_max, storage_octets_max, daily_received_max, daily_sends_max, \
        inbox_retention_days, spam_retention_days, use_list_dnsbl, use_header_anomaly_detection, \
        spam_sensitivity_permille, options, rules, created_at, updated_at, validate_recipients) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)";
    write(tx, INSERT, policy).await
}

async fn update(tx: &mut Tx, policy: &Policy) -> Result<(), DbError> {
    // The time of its making is given and stays: both statements take the same values.
    const UPDATE: &str = "UPDATE policies SET name = $3, attachment_octets_max = $4, attachments_max = $5, \
        attachment_types = $6, inbound_message_octets_max = $7, storage_octets_max = $8, daily_received_max = $9, \
        daily_sends_max = $10, inbox_retention_days = $11, spam_retention_days = $12, use_list_dnsbl = $13, \
        use_header_anomaly_detection = $14, spam_sensitivity_permille = $15, options = $16, rules = $17, \
        created_at = $18, updated_at = $19, validate_recipients = $20 WHERE id = $1 AND application_id = $2";
    write(tx, UPDATE, policy).await
}

async fn write(tx: &mut Tx, statement: &'static str, policy: &Policy) -> Result<(), DbError> {
    let set = &policy.limits;
    let limit = |limit: Option<u64>| limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let types = limits::write_types(&set.attachment_types);
    let values = params![
        policy.id.uuid(),
        policy.application_id.uuid(),
        &policy.name,
        limit(set.attachment_octets_max),
        limit(set.attachments_max),
        &types,
        limit(set.inbound_message_octets_max),
        limit(set.storage_octets_max),
        limit(set.daily_received_max),
        limit(set.daily_sends_max),
        limit(set.inbox_retention_days),
        limit(set.spam_retention_days),
        policy.spam.use_list_dnsbl,
        policy.spam.use_header_anomaly_detection,
        i64::from(policy.spam.sensitivity_permille),
        &policy.options,
        &policy.rules,
        policy.created_at.as_micros(),
        policy.updated_at.as_micros(),
        object(&policy.options).get(VALIDATE_RECIPIENTS).and_then(Value::as_bool).unwrap_or(false)
    ];
    tx.execute(statement, values).await?;
    Ok(())
}

const FIND: &str = concat!(
    "SELECT ",
    policy_columns!(),
    ", o.id, o.plan FROM policies p JOIN applications a ON a.id = p.application_id \
     JOIN organizations o ON o.id = a.organization_id WHERE p.id = $1 AND p.application_id = $2"
);

pub(crate) const LIST: &str = concat!(
    "SELECT ",
    policy_columns!(),
    ", o.id, o.plan FROM policies p JOIN applications a ON a.id = p.application_id \
     JOIN organizations o ON o.id = a.organization_id \
     WHERE p.application_id = $1 AND p.id < $2 ORDER BY p.id DESC LIMIT $3"
);

/// The column after those of `policy_columns!`.
const ORGANIZATION: usize = 19;

/// Finds a policy of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: PolicyId,
) -> Result<Option<PolicyView>, StoreError> {
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    row.as_ref().map(|row| view(reader, row)).transpose()
}

/// An application's policies, newest first: at most `limit` of those made before `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    before: Option<PolicyId>,
    limit: usize,
) -> Result<Vec<PolicyView>, StoreError> {
    let before = before.map_or(uuid::Uuid::max(), PolicyId::uuid);
    let rows = reader.query(LIST, params![application.uuid(), before, limit as i64]).await?;
    rows.iter().map(|row| view(reader, row)).collect()
}

fn view(reader: &Reader<'_>, row: &Row) -> Result<PolicyView, StoreError> {
    let policy = read(row)?;
    let plan = reader.plan(row.str(ORGANIZATION + 1)?)?;
    Ok(PolicyView {
        organization_id: OrganizationId::from_uuid(row.uuid(ORGANIZATION)?),
        effective: Limits::effective(&plan.limits, &policy.limits),
        policy,
    })
}

fn read(row: &Row) -> Result<Policy, DbError> {
    let permille = u32::try_from(row.int(5)?).map_err(|_| DbError::Malformed("sensitivity"))?;
    Ok(Policy {
        id: PolicyId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        name: row.text(2)?,
        limits: limits::policy_limits(row, 10)?,
        spam: SpamDetection {
            use_list_dnsbl: row.flag(3)?,
            use_header_anomaly_detection: row.flag(4)?,
            sensitivity_permille: permille,
        },
        options: row.text(6)?,
        rules: row.text(7)?,
        created_at: UnixMicros::from_micros(row.int(8)?),
        updated_at: UnixMicros::from_micros(row.int(9)?),
    })
}
