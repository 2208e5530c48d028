//! Asking to send again, and deciding about it: each in one transaction with its record, and with all that follows.

use super::{Recovery, gather::Subject, read::FIND, read_row, write_checks};
use crate::audit::{self, Change};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::organizations::Scope;
use crate::params;
use crate::stops::{self, Author, Lift, Sender};
use postfleet_core::audit::Act;
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, RecoveryId, StopId, WorkspaceId};
use postfleet_core::recovery::{self, ByRule, Check, Decision, Facts, History, Ramp, Rule, State};
use postfleet_core::{Problem, UnixMicros, UtcDay};
use serde_json::{Value, json};

/// Days of which the highest says how the ramp begins.
const HIGHEST_OF_DAYS: i64 = 30;

/// Asks that a mailbox may send again.
#[derive(Clone, Debug)]
pub struct RequestRecovery {
    /// The id that the case gets.
    pub id: RecoveryId,
    /// Who asks, and when.
    pub act: Act,
    /// For which mailbox.
    pub subject: Subject,
    /// Why it came to the pause.
    pub cause: String,
    /// What was done about it.
    pub fix: String,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What was found just before.
    pub facts: Facts,
}

/// What became of [`RequestRecovery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It waits for a decision.
    Requested(Box<Recovery>),
    /// There is no such mailbox any more.
    NoSuchGrant,
    /// It may not be asked for.
    Refused(Problem),
}

/// Decides about a case.
#[derive(Clone, Debug)]
pub struct DecideRecovery {
    /// Which.
    pub id: RecoveryId,
    /// Who, and when. Its organization and application are set to those of the case.
    pub act: Act,
    /// By what right.
    pub by: By,
    /// What they decide.
    pub decision: Decision,
    /// What they note.
    pub note: Option<String>,
    /// What was found just before.
    pub facts: Facts,
    /// The id of the record that the pause was lifted.
    pub lift_record_id: AuditId,
    /// The id of the event that sending goes on.
    pub event_id: EventId,
}

/// By what right somebody decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An operator, about the cases that they may see.
    Operator(Scope),
    /// Whoever may ask for the mailbox, about taking it back.
    Mailbox(GrantId),
    /// The rule of the configuration.
    Rule(Rule),
}

/// What became of [`DecideRecovery`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecideOutcome {
    /// It is so now.
    Decided(Box<Recovery>),
    /// The rule does not decide; why.
    Waits(String),
    /// There is no such case, for whoever asks.
    NotFound,
    /// It may not be.
    Refused(Problem),
}

impl Command for RequestRecovery {
    type Outcome = RequestOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<RequestOutcome, DbError> {
        const OPEN: &str = "SELECT id FROM recoveries WHERE grant_id = $1 AND state = 'requested'";
        lock_organization(tx, &self.subject).await?;
        let Some(facts) = as_of_now(tx, &self.subject, &self.facts).await? else {
            return Ok(RequestOutcome::NoSuchGrant);
        };
        let Some(pause) = facts.pause() else { return Ok(RequestOutcome::Refused(recovery::not_paused())) };
        if let Some(row) = tx.query_one(OPEN, params![self.subject.grant.uuid()]).await? {
            let id = RecoveryId::from_uuid(row.uuid(0)?);
            return Ok(RequestOutcome::Refused(recovery::pending(id)));
        }
        let case = Recovery {
            id: self.id,
            organization_id: self.subject.organization,
            application_id: self.subject.application,
            grant_id: self.subject.grant,
            email: self.subject.email.clone(),
            stop_id: pause.id,
            paused_since: pause.id.made_at(),
            state: State::Requested,
            cause: self.cause.clone(),
            fix: self.fix.clone(),
            evidence: self.evidence.clone(),
            checks: recovery::checks(&facts),
            checked_at: self.act.at,
            requested_by: Author::of(&self.act.actor),
            decided_by: None,
            decided_at: None,
            note: None,
            created_at: self.act.at,
        };
        insert(tx, &case).await?;
        record(tx, &self.act, "recovery.requested", None, &case).await?;
        announce(tx, (self.act.record_id, Trigger::RecoveryRequested), &case, self.act.at).await?;
        Ok(RequestOutcome::Requested(Box::new(case)))
    }
}

impl Command for DecideRecovery {
    type Outcome = DecideOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<DecideOutcome, DbError> {
        let Some(before) = self.find(tx).await? else { return Ok(DecideOutcome::NotFound) };
        let subject = before.subject();
        lock_organization(tx, &subject).await?;
        // Of two who decide at once one does.
        let Some(before) = self.find(tx).await? else { return Ok(DecideOutcome::NotFound) };
        let Some(facts) = as_of_now(tx, &subject, &self.facts).await? else { return Ok(DecideOutcome::NotFound) };
        let checks = recovery::checks(&facts);
        let is_grant = matches!(self.decision, Decision::Grant { .. });
        if let Some(why) = self.left_by_rule(tx, &before, (&facts, &checks)).await? {
            return Ok(DecideOutcome::Waits(why));
        }
        if let Err(problem) = recovery::decide(self.decision, before.state, &checks, self.note.as_deref()) {
            return Ok(DecideOutcome::Refused(problem));
        }
        if is_grant {
            let Some(pause) = facts.pause() else { return Ok(DecideOutcome::Refused(recovery::not_paused())) };
            self.resume(tx, &before, pause.id).await?;
        }
        let after = Recovery {
            state: self.decision.state(),
            checks,
            checked_at: self.act.at,
            decided_by: Some(Author::of(&self.act.actor)),
            decided_at: Some(self.act.at),
            note: self.note.clone(),
            ..before.clone()
        };
        decide(tx, &after).await?;
        let act = Act { application_id: Some(before.application_id), ..self.act.to(before.organization_id) };
        record(tx, &act, self.decision.action(), Some(&before), &after).await?;
        announce(tx, (self.act.record_id, Trigger::RecoveryDecided), &after, self.act.at).await?;
        Ok(DecideOutcome::Decided(Box::new(after)))
    }
}

impl DecideRecovery {
    async fn find(&self, tx: &mut Tx) -> Result<Option<Recovery>, DbError> {
        let row = tx.query_one(FIND, params![self.id.uuid()]).await?;
        let found = row.as_ref().map(read_row).transpose()?;
        Ok(found.filter(|case| match self.by {
            By::Operator(scope) => scope.covers(case.organization_id),
            By::Mailbox(grant) => case.grant_id == grant,
            By::Rule(_) => true,
        }))
    }

    /// Why the rule does not decide, if it is the rule that is asked.
    async fn left_by_rule(
        &self,
        tx: &mut Tx,
        case: &Recovery,
        (facts, checks): (&Facts, &[Check]),
    ) -> Result<Option<String>, DbError> {
        const LAST: &str = "SELECT max(decided_at) FROM recoveries WHERE grant_id = $1 AND state = 'granted'";
        let By::Rule(rule) = self.by else { return Ok(None) };
        let row = tx.query_one(LAST, params![case.grant_id.uuid()]).await?;
        let last_granted = row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros);
        let history = History { paused_since: facts.pause().map(|pause| pause.id.made_at()), last_granted };
        Ok(match recovery::decide_by_rule(rule, checks, history, self.act.at) {
            ByRule::Granted => None,
            ByRule::Waits(why) => Some(why),
        })
    }

    /// Lets the mailbox send again: the pause is lifted, with which its window begins anew, and the ramp begins.
    async fn resume(&self, tx: &mut Tx, case: &Recovery, pause: StopId) -> Result<(), DbError> {
        const RAMP: &str = "UPDATE mailboxes SET ramp = $2 WHERE grant_id = $1";
        let ramp = ramp(tx, case.grant_id, self.act.at.day()).await?;
        tx.execute(RAMP, params![case.grant_id.uuid(), &ramp.to_string()]).await?;
        let act = Act { record_id: self.lift_record_id, ..self.act.clone() };
        let reason = format!("recovery {}: {}; fixed: {}", case.id, case.cause, case.fix);
        stops::lift(tx, pause, &Lift { act, event_id: self.event_id, reason }).await?;
        Ok(())
    }
}

/// The ramp that begins today. Nobody sends from the mailbox meanwhile.
async fn ramp(tx: &mut Tx, grant: GrantId, today: UtcDay) -> Result<Ramp, DbError> {
    const LOCK: &str = "SELECT grant_id FROM mailboxes WHERE grant_id = $1 {lock}";
    const DAYS: &str = "SELECT day, sent FROM daily_sends WHERE grant_id = $1 AND day > $2";
    tx.query_one(LOCK, params![grant.uuid()]).await?;
    let mut ramp = Ramp { began: today, highest: 0, sent_before: 0 };
    for row in tx.query(DAYS, params![grant.uuid(), today.number() - HIGHEST_OF_DAYS]).await? {
        let sent = row.int(1)?.max(0) as u64;
        ramp.highest = ramp.highest.max(sent);
        if row.int(0)? == today.number() {
            ramp.sent_before = sent;
        }
    }
    Ok(ramp)
}

/// Whoever changes what stops the organization's mailboxes waits here.
async fn lock_organization(tx: &mut Tx, subject: &Subject) -> Result<(), DbError> {
    const LOCK: &str = "SELECT id FROM organizations WHERE id = $1 {lock}";
    tx.query_one(LOCK, params![subject.organization.uuid()]).await?;
    Ok(())
}

/// What was found, with the stops as they are now; `None` if the mailbox is gone.
async fn as_of_now(tx: &mut Tx, subject: &Subject, found: &Facts) -> Result<Option<Facts>, DbError> {
    const WORKSPACE: &str = "SELECT workspace_id FROM grants WHERE application_id = $1 AND id = $2";
    let values = params![subject.application.uuid(), subject.grant.uuid()];
    let Some(row) = tx.query_one(WORKSPACE, values).await? else { return Ok(None) };
    let sender = Sender {
        organization: subject.organization,
        application: subject.application,
        workspace: row.opt_uuid(0)?.map(WorkspaceId::from_uuid),
        grant: subject.grant,
        address: subject.email.clone(),
        thread: None,
    };
    let stops = stops::of_sender(tx, &sender).await?;
    Ok(Some(Facts { stops, ..found.clone() }))
}

impl Recovery {
    /// Whose case it is.
    pub fn subject(&self) -> Subject {
        let Self { organization_id, application_id, grant_id, .. } = *self;
        let email = self.email.clone();
        Subject { organization: organization_id, application: application_id, grant: grant_id, email }
    }
}

async fn insert(tx: &mut Tx, case: &Recovery) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO recoveries (id, organization_id, application_id, grant_id, email, stop_id, \
        paused_since, state, cause, fix, evidence, checks, checked_at, requested_kind, requested_id, requested_name, \
        created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    let email = case.email.to_string();
    let (evidence, checks) = (json!(case.evidence).to_string(), write_checks(&case.checks));
    let values = params![
        case.id.uuid(),
        case.organization_id.uuid(),
        case.application_id.uuid(),
        case.grant_id.uuid(),
        &email,
        case.stop_id.uuid(),
        case.paused_since.as_micros(),
        case.state.name(),
        &case.cause,
        &case.fix,
        &evidence,
        &checks,
        case.checked_at.as_micros(),
        &case.requested_by.kind,
        &case.requested_by.id,
        &case.requested_by.name,
        case.created_at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

async fn decide(tx: &mut Tx, case: &Recovery) -> Result<(), DbError> {
    const DECIDE: &str = "UPDATE recoveries SET state = $2, checks = $3, checked_at = $4, decided_kind = $5, \
        decided_id = $6, decided_name = $7, decided_at = $8, note = $9 WHERE id = $1";
    let (by, checks) = (case.decided_by.as_ref(), write_checks(&case.checks));
    let values = params![
        case.id.uuid(),
        case.state.name(),
        &checks,
        case.checked_at.as_micros(),
        by.map(|by| by.kind.as_str()),
        by.map(|by| by.id.as_str()),
        by.map(|by| by.name.as_str()),
        case.decided_at.map(UnixMicros::as_micros),
        case.note.as_deref()
    ];
    tx.execute(DECIDE, values).await?;
    Ok(())
}

async fn record(
    tx: &mut Tx,
    act: &Act,
    action: &'static str,
    before: Option<&Recovery>,
    after: &Recovery,
) -> Result<(), DbError> {
    let (before, after_text) = (before.map(|case| facts(case).to_string()), facts(after).to_string());
    let target_id = after.id.to_string();
    let (before, after) = (before.as_deref(), Some(after_text.as_str()));
    audit::record(tx, act, Change { action, target_kind: "recovery", target_id: &target_id, before, after }).await
}

/// Tells the mailbox's application. The event has the number of the record.
async fn announce(
    tx: &mut Tx,
    (record, trigger): (AuditId, Trigger),
    case: &Recovery,
    at: UnixMicros,
) -> Result<(), DbError> {
    let Some(grant_sequence) = events::next_sequence(tx, case.grant_id).await? else { return Ok(()) };
    let author = |author: &Author| json!({"type": author.kind, "id": author.id, "name": author.name});
    let mut data = facts(case);
    data["object"] = json!("recovery");
    data["id"] = json!(case.id.to_string());
    data["requested_by"] = author(&case.requested_by);
    data["created_at"] = json!(case.created_at.as_seconds());
    data["decided_by"] = json!(case.decided_by.as_ref().map(author));
    data["decided_at"] = json!(case.decided_at.map(UnixMicros::as_seconds));
    tx.announce(NewEvent {
        id: EventId::from_uuid(record.uuid()),
        application_id: case.application_id,
        grant_id: case.grant_id,
        grant_sequence,
        trigger,
        message_id: None,
        data: data.to_string(),
        at,
    });
    Ok(())
}

/// What records say of a case.
fn facts(case: &Recovery) -> Value {
    let check = |check: &Check| json!({"code": check.code.name(), "passed": check.passed, "text": check.text});
    json!({
        "grant_id": case.grant_id.to_string(),
        "email": case.email.to_string(),
        "stop_id": case.stop_id.to_string(),
        "state": case.state.name(),
        "cause": case.cause,
        "fix": case.fix,
        "evidence": case.evidence,
        "checks": case.checks.iter().map(check).collect::<Value>(),
        "note": case.note,
    })
}
