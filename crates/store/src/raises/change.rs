//! Asking for a raise and deciding about it: each with a record and an event, in its transaction.

use super::{Author, Raise, Target, raise_columns, read};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::params;
use crate::workspaces::lock_application;
use postfleet_core::audit::{Act, Actor};
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, RaiseId, WorkspaceId};
use postfleet_core::plan::Plan;
use postfleet_core::raise::{self, Decision, Facts, State};
use postfleet_core::{Problem, UnixMicros};
use serde_json::{Value, json};
use uuid::Uuid;

/// Asks for a raise.
#[derive(Clone, Debug)]
pub struct RequestRaise {
    /// Who, and when.
    pub act: Act,
    /// What is wanted: requested, and decided by nobody.
    pub raise: Raise,
    /// The id of its event.
    pub event_id: EventId,
}

/// What became of [`RequestRaise`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It waits for a decision.
    Requested(Box<Raise>),
    /// There is no such mailbox or workspace.
    NoTarget,
    /// It may not be.
    Refused(Problem),
}

/// Decides about a raise.
#[derive(Clone, Debug)]
pub struct DecideRaise {
    /// Who, and when.
    pub act: Act,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: RaiseId,
    /// What they decide.
    pub decision: Decision,
    /// What they note.
    pub note: Option<String>,
    /// Whether they may decide about raises of others.
    pub may_decide: bool,
    /// The id of its event.
    pub event_id: EventId,
}

/// What became of [`DecideRaise`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecideOutcome {
    /// It is so now.
    Decided(Box<Raise>),
    /// There is no such raise.
    NotFound,
    /// It may not be.
    Refused(Problem),
}

impl Author {
    /// Who acts.
    pub fn of(actor: &Actor) -> Self {
        Self { kind: actor.kind.name().to_owned(), id: actor.id.clone(), name: actor.name.clone() }
    }
}

impl Command for RequestRaise {
    type Outcome = RequestOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RequestOutcome, DbError> {
        let raise = &self.raise;
        let Some(home) = lock_application(tx, raise.application_id).await? else { return Ok(RequestOutcome::NoTarget) };
        let Some(found) = found(tx, raise).await? else { return Ok(RequestOutcome::NoTarget) };
        if let Err(problem) = raise::check_value(raise.value, base(&home.plan, &found), ceiling(&home.plan)) {
            return Ok(RequestOutcome::Refused(problem));
        }
        const OPEN: &str = "SELECT id FROM raises WHERE target_id = $1 AND limit_name = $2 AND state = 'requested' \
            AND ends_at > $3 LIMIT 1";
        let open = params![raise.target.uuid(), &raise.limit_name, self.act.at.as_micros()];
        if tx.query_one(OPEN, open).await?.is_some() {
            return Ok(RequestOutcome::Refused(raise::pending()));
        }
        insert(tx, raise).await?;
        record(tx, &self.act, "raise.requested", None, raise).await?;
        announce(tx, (self.event_id, Trigger::RaiseRequested), raise, &found, self.act.at).await?;
        Ok(RequestOutcome::Requested(Box::new(raise.clone())))
    }
}

impl Command for DecideRaise {
    type Outcome = DecideOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<DecideOutcome, DbError> {
        const FIND: &str =
            concat!("SELECT ", raise_columns!(), " FROM raises WHERE id = $1 AND application_id = $2 {lock}");
        const DECIDE: &str = "UPDATE raises SET state = $2, decided_by_kind = $3, decided_by_id = $4, \
            decided_by_name = $5, decided_at = $6, note = $7 WHERE id = $1";
        let now = self.act.at;
        let Some(home) = lock_application(tx, self.application_id).await? else { return Ok(DecideOutcome::NotFound) };
        let row = tx.query_one(FIND, params![self.id.uuid(), self.application_id.uuid()]).await?;
        let Some(before) = row.as_ref().map(read).transpose()? else { return Ok(DecideOutcome::NotFound) };
        let facts = Facts {
            state: before.state.at(now, before.ends_at),
            requested_by: (&before.requested_by.kind, &before.requested_by.id),
            actor: &self.act.actor,
            may_decide: self.may_decide,
        };
        if let Err(problem) = raise::decide(self.decision, &facts) {
            return Ok(DecideOutcome::Refused(problem));
        }
        let found = found(tx, &before).await?;
        if self.decision == Decision::Grant {
            let Some(found) = &found else { return Ok(DecideOutcome::NotFound) };
            // The plan or the policy may have changed since it was asked for.
            if let Err(problem) = raise::check_value(before.value, base(&home.plan, found), ceiling(&home.plan)) {
                return Ok(DecideOutcome::Refused(problem));
            }
        }
        let author = Author::of(&self.act.actor);
        let values = params![
            self.id.uuid(),
            self.decision.state().name(),
            &author.kind,
            &author.id,
            &author.name,
            now.as_micros(),
            self.note.as_deref()
        ];
        tx.execute(DECIDE, values).await?;
        let after = Raise {
            state: self.decision.state(),
            decided_by: Some(author),
            decided_at: Some(now),
            note: self.note.clone(),
            ..before.clone()
        };
        record(tx, &self.act, self.decision.action(), Some(&before), &after).await?;
        if let Some(found) = &found {
            announce(tx, (self.event_id, Trigger::RaiseDecided), &after, found, now).await?;
        }
        Ok(DecideOutcome::Decided(Box::new(after)))
    }
}

/// The mailbox or workspace of a raise: what is to be known of it.
struct Found {
    email: Option<String>,
    workspace_id: Option<Uuid>,
    /// What its policy says of the daily sends.
    policy: Option<u64>,
}

/// Finds the target of a raise, if the application has it.
async fn found(tx: &mut Tx, raise: &Raise) -> Result<Option<Found>, DbError> {
    const GRANT: &str = "SELECT g.email, g.workspace_id, p.daily_sends_max FROM grants g \
        LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
        WHERE g.application_id = $1 AND g.id = $2";
    const WORKSPACE: &str = "SELECT w.name, w.id, p.daily_sends_max FROM workspaces w \
        LEFT JOIN policies p ON p.id = w.policy_id WHERE w.application_id = $1 AND w.id = $2";
    let is_grant = matches!(raise.target, Target::Grant(_));
    let statement = if is_grant { GRANT } else { WORKSPACE };
    let Some(row) = tx.query_one(statement, params![raise.application_id.uuid(), raise.target.uuid()]).await? else {
        return Ok(None);
    };
    Ok(Some(Found {
        email: is_grant.then(|| row.text(0)).transpose()?,
        workspace_id: row.opt_uuid(1)?,
        policy: crate::limits::opt_count(&row, 2)?,
    }))
}

/// The limit without a raise.
fn base(plan: &Plan, found: &Found) -> Option<u64> {
    match (plan.limits.daily_sends_max, found.policy) {
        (Some(plan), Some(policy)) => Some(plan.min(policy)),
        (limit, None) | (None, limit) => limit,
    }
}

fn ceiling(plan: &Plan) -> (&str, Option<u64>) {
    (&plan.name, plan.limits.daily_sends_max)
}

async fn insert(tx: &mut Tx, raise: &Raise) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO raises (id, application_id, target_kind, target_id, limit_name, value, starts_at, \
        ends_at, state, reason, requested_by_kind, requested_by_id, requested_by_name, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let values = params![
        raise.id.uuid(),
        raise.application_id.uuid(),
        raise.target.kind(),
        raise.target.uuid(),
        &raise.limit_name,
        i64::try_from(raise.value).unwrap_or(i64::MAX),
        raise.starts_at.as_micros(),
        raise.ends_at.as_micros(),
        State::Requested.name(),
        &raise.reason,
        &raise.requested_by.kind,
        &raise.requested_by.id,
        &raise.requested_by.name,
        raise.created_at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    before: Option<&Raise>,
    after: &Raise,
) -> Result<(), DbError> {
    let (before, after_text) = (before.map(|raise| facts(raise).to_string()), facts(after).to_string());
    let target_id = after.id.to_string();
    let (before, after) = (before.as_deref(), Some(after_text.as_str()));
    audit::record(tx, act, Change { action, target_kind: "raise", target_id: &target_id, before, after }).await
}

/// What records and events say of a raise.
fn facts(raise: &Raise) -> Value {
    let author = |author: &Author| json!({"kind": author.kind, "id": author.id, "name": author.name});
    let (grant_id, workspace_id) = match raise.target {
        Target::Grant(id) => (Some(id.to_string()), None),
        Target::Workspace(id) => (None, Some(id.to_string())),
    };
    json!({
        "object": "raise",
        "id": raise.id.to_string(),
        "grant_id": grant_id,
        "workspace_id": workspace_id,
        "limit_name": raise.limit_name,
        "value": raise.value,
        "starts_at": raise.starts_at.as_seconds(),
        "ends_at": raise.ends_at.as_seconds(),
        "state": raise.state.name(),
        "reason": raise.reason,
        "requested_by": author(&raise.requested_by),
        "decided_by": raise.decided_by.as_ref().map(author),
        "decided_at": raise.decided_at.map(UnixMicros::as_seconds),
        "note": raise.note,
    })
}

/// Announces a raise. That of a workspace is about no mailbox: its event is of none, and has no place in the order of one.
async fn announce(
    tx: &mut Tx,
    (id, trigger): (EventId, Trigger),
    raise: &Raise,
    found: &Found,
    at: UnixMicros,
) -> Result<(), DbError> {
    let (grant_id, grant_sequence) = match raise.target {
        Target::Grant(grant) => match events::next_sequence(tx, grant).await? {
            Some(sequence) => (grant, sequence),
            None => return Ok(()),
        },
        Target::Workspace(_) => (GrantId::from_uuid(Uuid::nil()), 0),
    };
    let mut data = facts(raise);
    data["email"] = found.email.clone().into();
    data["workspace_id"] = found.workspace_id.map(|id| WorkspaceId::from_uuid(id).to_string()).into();
    tx.announce(NewEvent {
        id,
        application_id: raise.application_id,
        grant_id,
        grant_sequence,
        trigger,
        message_id: None,
        data: data.to_string(),
        at,
    });
    Ok(())
}
