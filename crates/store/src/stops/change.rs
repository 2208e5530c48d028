//! Raising and lifting stops.

use super::reach;
use super::read::{FIND, read_record};
use super::target::{self, Target, Within};
use super::{Author, Record};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::organizations;
use crate::params;
use crate::reputation;
use crate::send_events::made_of;
use crate::workspaces;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, EventId, GrantId, OrganizationId, SendEventId, StopId};
use postfleet_core::stop::{Effect, Kind, Scope};
use serde_json::{Value, json};
use uuid::Uuid;

/// Applications of one organization that are told of a stop that concerns all of them.
const TOLD_MAX: i64 = 1_000;

/// A stop that is to be raised.
#[derive(Clone, Debug)]
pub struct NewStop {
    /// Its id.
    pub id: StopId,
    /// Who raises it, and when. Its organization and application are set to those of the target.
    pub act: Act,
    /// The id of the event; those of the events of further applications follow from it.
    pub event_id: EventId,
    /// What sort.
    pub kind: Kind,
    /// What it does.
    pub effect: Effect,
    /// Whom it concerns.
    pub target: Target,
    /// Why, for people.
    pub reason: String,
    /// What was seen, as a JSON object.
    pub evidence: String,
    /// The case that it belongs to.
    pub reference: Option<String>,
    /// Sends in an hour, of a throttle.
    pub value: Option<u64>,
}

/// What became of [`raise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The stop that is in force now.
    pub id: StopId,
    /// Whether it was not before.
    pub is_new: bool,
}

/// The end of a stop.
#[derive(Clone, Debug)]
pub struct Lift {
    /// Who lifts it, and when.
    pub act: Act,
    /// The id of the event.
    pub event_id: EventId,
    /// Why, for people.
    pub reason: String,
}

/// Raises a stop. What is in force for the same (kind, scope, subject) already stays as it is, and is answered: then
/// nothing is written.
pub async fn raise(tx: &mut Tx, new: &NewStop) -> Result<Raised, DbError> {
    const LOCK: &str = "SELECT id FROM organizations WHERE id = $1 {lock}";
    const INSERT: &str = "INSERT INTO stops (id, organization_id, application_id, workspace_id, grant_id, kind, effect, \
        scope, subject, value, reason, evidence, reference, raised_kind, raised_id, raised_name, raised_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
        ON CONFLICT (organization_id, subject, kind, scope) WHERE lifted_at IS NULL DO NOTHING";
    const COUNT: &str = "UPDATE organizations SET active_stops = active_stops + 1 WHERE id = $1";
    let (target, actor) = (&new.target, &new.act.actor);
    let reaches_others = reach::reaches_others(new.kind, target.scope);
    if reaches_others {
        reach::lock_names(tx).await?;
        // Of one name there is one, whoever has it by now.
        if let Some(id) = reach::restriction_of(tx, &target.subject).await? {
            return Ok(Raised { id, is_new: false });
        }
    }
    // Who stops somebody waits for nobody who waits for them.
    tx.query_one(LOCK, params![target.organization.uuid()]).await?;
    if let (Scope::Workspace, Some(application)) = (target.scope, target.application) {
        // No mailbox leaves it meanwhile: what it has in the queue would go on waiting here.
        workspaces::lock_application(tx, application).await?;
    }
    let values = params![
        new.id.uuid(),
        target.organization.uuid(),
        target.application.map(|id| id.uuid()),
        target.workspace.map(|id| id.uuid()),
        target.grant.map(|id| id.uuid()),
        new.kind.name(),
        new.effect.name(),
        target.scope.name(),
        &target.subject,
        new.value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
        &new.reason,
        &new.evidence,
        new.reference.as_deref(),
        actor.kind.name(),
        &actor.id,
        &actor.name,
        new.act.at.as_micros()
    ];
    if tx.execute(INSERT, values).await? == 0 {
        let found = in_force(tx, target.organization, (new.kind, target.scope, &target.subject)).await?;
        let id = found.ok_or(DbError::Malformed("stop"))?;
        return Ok(Raised { id, is_new: false });
    }
    tx.execute(COUNT, params![target.organization.uuid()]).await?;
    if reaches_others {
        reach::count_reached(tx, target.organization, &target.subject, 1).await?;
    }
    move_head(tx, 1).await?;
    let record = found(tx, new.id).await?.ok_or(DbError::Malformed("stop"))?;
    let after = facts(&record).to_string();
    write(tx, &new.act, "stop.raised", &record, None, &after).await?;
    announce(tx, (new.event_id, Trigger::SendingStopped), &record, new.act.at).await?;
    tx.wake_stops(false);
    Ok(Raised { id: new.id, is_new: true })
}

/// Lifts a stop; `None` if it is not in force.
pub async fn lift(tx: &mut Tx, id: StopId, lift: &Lift) -> Result<Option<Record>, DbError> {
    const LIFT: &str = "UPDATE stops SET lifted_kind = $2, lifted_id = $3, lifted_name = $4, lifted_at = $5, \
        lifted_why = $6 WHERE id = $1 AND lifted_at IS NULL";
    const COUNT: &str = "UPDATE organizations SET active_stops = active_stops - 1 WHERE id = $1";
    let Some(before) = found(tx, id).await? else { return Ok(None) };
    let actor = &lift.act.actor;
    let organization = before.organization_id.uuid();
    let reaches_others = reach::reaches_others(before.stop.kind, before.stop.scope);
    if reaches_others {
        reach::lock_names(tx).await?;
    }
    tx.execute(COUNT, params![organization]).await?;
    let values = params![id.uuid(), actor.kind.name(), &actor.id, &actor.name, lift.act.at.as_micros(), &lift.reason];
    if tx.execute(LIFT, values).await? == 0 {
        const BACK: &str = "UPDATE organizations SET active_stops = active_stops + 1 WHERE id = $1";
        tx.execute(BACK, params![organization]).await?;
        return Ok(None);
    }
    if reaches_others {
        reach::count_reached(tx, before.organization_id, &before.stop.subject, -1).await?;
    }
    move_head(tx, -1).await?;
    let record = Record {
        lifted_by: Some(Author::of(actor)),
        lifted_at: Some(lift.act.at),
        lifted_why: Some(lift.reason.clone()),
        ..before.clone()
    };
    let (before, after) = (facts(&before).to_string(), facts(&record).to_string());
    write(tx, &lift.act, "stop.lifted", &record, Some(&before), &after).await?;
    announce(tx, (lift.event_id, Trigger::SendingResumed), &record, lift.act.at).await?;
    if let (Kind::Pause, Scope::Grant, Some(grant)) = (record.stop.kind, record.stop.scope, record.grant_id) {
        let cause = SendEventId::from_uuid(made_of(lift.event_id.uuid(), lift.act.at));
        reputation::begin_anew(tx, grant, cause).await?;
    }
    tx.wake_stops(true);
    tx.wake_queue();
    Ok(Some(record))
}

/// Lifts the stop of that (kind, scope, subject) that is in force, if there is one.
pub async fn lift_of(
    tx: &mut Tx,
    organization: OrganizationId,
    of: (Kind, Scope, &str),
    end: &Lift,
) -> Result<Option<Record>, DbError> {
    match in_force(tx, organization, of).await? {
        Some(id) => lift(tx, id, end).await,
        None => Ok(None),
    }
}

async fn in_force(
    tx: &mut Tx,
    organization: OrganizationId,
    (kind, scope, subject): (Kind, Scope, &str),
) -> Result<Option<StopId>, DbError> {
    const SAME: &str = "SELECT id FROM stops WHERE organization_id = $1 AND subject = $2 AND kind = $3 AND scope = $4 \
        AND lifted_at IS NULL";
    let row = tx.query_one(SAME, params![organization.uuid(), subject, kind.name(), scope.name()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(StopId::from_uuid))
}

async fn found(tx: &mut Tx, id: StopId) -> Result<Option<Record>, DbError> {
    let row = tx.query_one(FIND, params![id.uuid()]).await?;
    row.as_ref().map(read_record).transpose()
}

/// After everything else: whoever raises or lifts waits here for the others.
async fn move_head(tx: &mut Tx, more: i64) -> Result<(), DbError> {
    const MOVE: &str = "UPDATE stops_head SET version = version + 1, active = active + $1 WHERE one = 1";
    tx.execute(MOVE, params![more]).await?;
    Ok(())
}

/// Nothing waits any more behind a stop that was lifted.
pub(crate) async fn tell_swept(tx: &mut Tx) -> Result<(), DbError> {
    move_head(tx, 0).await
}

async fn write(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    stop: &Record,
    before: Option<&str>,
    after: &str,
) -> Result<(), DbError> {
    let act = Act { application_id: stop.application_id, ..act.to(stop.organization_id) };
    let id = stop.stop.id.to_string();
    audit::record(tx, &act, Change { action, target_kind: "stop", target_id: &id, before, after: Some(after) }).await
}

/// What events and records say of a stop.
fn facts(record: &Record) -> Value {
    let stop = &record.stop;
    let evidence: Value = serde_json::from_str(&record.evidence).unwrap_or_default();
    json!({
        "object": "stop",
        "id": stop.id.to_string(),
        "kind": stop.kind.name(),
        "effect": stop.effect.name(),
        "scope": stop.scope.shown(),
        "subject": stop.subject,
        "reason": stop.reason,
        "evidence": evidence,
        "sends_per_hour": stop.value,
        "reference": record.reference,
        "application_id": record.application_id.map(|id| id.to_string()),
        "workspace_id": record.workspace_id.map(|id| id.to_string()),
        "grant_id": record.grant_id.map(|id| id.to_string()),
        "email": record.email,
        "raised_at": record.raised_at.as_seconds(),
        "lifted_at": record.lifted_at.map(UnixMicros::as_seconds),
        "lifted_why": record.lifted_why,
    })
}

/// Tells the mailbox's application; of what concerns no single mailbox, each application that it concerns.
async fn announce(
    tx: &mut Tx,
    (id, trigger): (EventId, Trigger),
    record: &Record,
    at: UnixMicros,
) -> Result<(), DbError> {
    const ALL: &str = "SELECT id FROM applications WHERE organization_id = $1 ORDER BY id LIMIT $2";
    let data = facts(record).to_string();
    let event = |index: u128, application_id, grant_id, grant_sequence| NewEvent {
        id: EventId::from_uuid(Uuid::from_u128(id.uuid().as_u128().wrapping_add(index))),
        application_id,
        grant_id,
        grant_sequence,
        trigger,
        message_id: None,
        data: data.clone(),
        at,
    };
    let nobody = GrantId::from_uuid(Uuid::nil());
    match (record.application_id, record.grant_id) {
        (Some(application), Some(grant)) => {
            if let Some(sequence) = events::next_sequence(tx, grant).await? {
                tx.announce(event(0, application, grant, sequence));
            }
        }
        (Some(application), None) => tx.announce(event(0, application, nobody, 0)),
        (None, _) => {
            let rows = tx.query(ALL, params![record.organization_id.uuid(), TOLD_MAX]).await?;
            for (index, row) in (0u128..).zip(&rows) {
                tx.announce(event(index, ApplicationId::from_uuid(row.uuid(0)?), nobody, 0));
            }
            // Others are not told to which case it belongs.
            let data = facts(&Record { reference: None, ..record.clone() }).to_string();
            let others = reach::applications_reached(tx, record, TOLD_MAX).await?;
            for (index, application) in (TOLD_MAX as u128..).zip(others) {
                tx.announce(NewEvent { data: data.clone(), ..event(index, application, nobody, 0) });
            }
        }
    }
    Ok(())
}

impl Command for NewStop {
    type Outcome = Raised;

    async fn run(&self, tx: &mut Tx) -> Result<Raised, DbError> {
        raise(tx, self).await
    }
}

/// Raises a stop of whom somebody names.
#[derive(Clone, Debug)]
pub struct RaiseStop {
    /// The id that it gets.
    pub id: StopId,
    /// Who, and when.
    pub act: Act,
    /// The id of its event.
    pub event_id: EventId,
    /// What sort: a restriction or a switch. It refuses.
    pub kind: Kind,
    /// What the subject is.
    pub scope: Scope,
    /// Whom they name: an address, a domain, an id.
    pub subject: String,
    /// What may be stopped.
    pub within: Within,
    /// Why.
    pub reason: String,
    /// The case that it belongs to.
    pub reference: Option<String>,
}

/// What became of [`RaiseStop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaiseOutcome {
    /// It is in force; whether it was not before.
    InForce(Box<Record>, bool),
    /// There is nobody of that name, for whoever asks.
    NoSubject,
}

impl Command for RaiseStop {
    type Outcome = RaiseOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RaiseOutcome, DbError> {
        let home = match self.within {
            Within::Application(application) => target::home(tx, application).await?,
            Within::Operator(_) => None,
        };
        let mut target = target::find(tx, self.scope, &self.subject).await?;
        if target.is_none() && reach::reaches_others(self.kind, self.scope) {
            target = target::of_those_below(tx, &self.subject).await?;
        }
        let Some(target) = target.filter(|target| self.within.covers(target, home)) else {
            return Ok(RaiseOutcome::NoSubject);
        };
        let new = NewStop {
            id: self.id,
            act: self.act.clone(),
            event_id: self.event_id,
            kind: self.kind,
            effect: Effect::Refuse,
            target,
            reason: self.reason.clone(),
            evidence: "{}".to_owned(),
            reference: self.reference.clone(),
            value: None,
        };
        let raised = raise(tx, &new).await?;
        let record = found(tx, raised.id).await?.ok_or(DbError::Malformed("stop"))?;
        Ok(RaiseOutcome::InForce(Box::new(record), raised.is_new))
    }
}

/// Lifts a stop.
#[derive(Clone, Debug)]
pub struct LiftStop {
    /// Which.
    pub id: StopId,
    /// Only one of this kind, if one is named.
    pub kind: Option<Kind>,
    /// What may be lifted.
    pub within: Within,
    /// By whom and why.
    pub lift: Lift,
}

/// What became of [`LiftStop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiftOutcome {
    /// It is not in force any more; whether it was before.
    Lifted(Box<Record>, bool),
    /// Only the operator of the installation lifts it.
    NotYours,
    /// It is the pause of a mailbox, which a recovery lifts: with its cause and its fix.
    ByRecovery,
    /// There is none, for whoever asks.
    NotFound,
}

impl Command for LiftStop {
    type Outcome = LiftOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<LiftOutcome, DbError> {
        let Some(record) = found(tx, self.id).await? else { return Ok(LiftOutcome::NotFound) };
        if self.kind.is_some_and(|kind| kind != record.stop.kind) {
            return Ok(LiftOutcome::NotFound);
        }
        match self.within {
            Within::Operator(scope) if !scope.covers(record.organization_id) => return Ok(LiftOutcome::NotFound),
            // What the installation raised its operator lifts.
            Within::Operator(organizations::Scope::Of(_)) if !record.stop.kind.is_own() => {
                return Ok(LiftOutcome::NotYours);
            }
            Within::Operator(_) => {}
            Within::Application(application) => {
                let home = target::home(tx, application).await?;
                // Everybody whom it concerns sees it.
                let is_seen = home == Some(record.organization_id)
                    && record.application_id.is_none_or(|concerned| concerned == application);
                if !is_seen {
                    return Ok(LiftOutcome::NotFound);
                }
                if !record.stop.kind.is_own() || record.stop.scope == Scope::Organization {
                    return Ok(LiftOutcome::NotYours);
                }
            }
        }
        let is_pause = record.stop.kind == Kind::Pause && record.stop.scope == Scope::Grant;
        if is_pause && record.lifted_at.is_none() {
            return Ok(LiftOutcome::ByRecovery);
        }
        Ok(match lift(tx, self.id, &self.lift).await? {
            Some(lifted) => LiftOutcome::Lifted(Box::new(lifted), true),
            None => LiftOutcome::Lifted(Box::new(record), false),
        })
    }
}
