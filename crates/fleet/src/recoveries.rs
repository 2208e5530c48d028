//! Recoveries: reading what a request says, looking at everything, carrying it out, and showing what there is.

use crate::input;
use crate::operator::Operator;
use crate::pages::{self, Page};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{AuditId, EventId, GrantId, RecoveryId};
use postfleet_core::recovery::{self, Automatic, Decision, EVIDENCE_MAX, Rule, State, TEXT_CHARS_MAX};
use postfleet_core::{Problem, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::recovery as schema;
use postfleet_store::Store;
use postfleet_store::grants::Grant;
use postfleet_store::organizations::Scope;
use postfleet_store::recoveries::{
    self, By, DecideOutcome, DecideRecovery, Recovery, RequestOutcome, RequestRecovery, Subject, Whose,
};
use postfleet_store::stops::Author;

/// Cases that a rule looks at in one read.
const AT_ONCE: usize = 50;

/// What dealing with recoveries needs.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Where everything is kept.
    pub store: &'a Store,
    /// For new ids.
    pub entropy: &'a dyn Entropy,
    /// What happens by itself.
    pub rule: Rule,
}

impl Desk<'_> {
    /// Asks that a mailbox may send again. If a rule grants that, it does at once.
    pub async fn request(
        &self,
        act: Act,
        grant: &Grant,
        request: schema::RequestRecovery,
    ) -> Result<Recovery, Problem> {
        let cause = told("cause", request.cause)?;
        let fix = told("fix", request.fix)?;
        let evidence = evidence(request.evidence.unwrap_or_default())?;
        let subject = Subject {
            organization: act.organization_id,
            application: grant.application_id,
            grant: grant.id,
            email: grant.email.clone(),
        };
        let now = act.at;
        let facts = recoveries::gather(&mut self.store.reader().await?, &subject, now).await?;
        let id = RecoveryId::new(now, self.entropy.ten());
        let command = RequestRecovery { id, act, subject, cause, fix, evidence, facts };
        match self.store.run(command).await? {
            RequestOutcome::Requested(case) => Ok(self.by_rule(*case, now).await?.0),
            RequestOutcome::NoSuchGrant => Err(Problem::not_found()),
            RequestOutcome::Refused(problem) => Err(problem),
        }
    }

    /// Grants a case if the rule says so. Answers how the case is then, and whether it was granted.
    async fn by_rule(&self, case: Recovery, now: UnixMicros) -> Result<(Recovery, bool), Problem> {
        if self.rule.automatic == Automatic::Never || case.state != State::Requested {
            return Ok((case, false));
        }
        let actor = Actor { kind: ActorKind::System, id: String::new(), name: "recovery rule".to_owned() };
        let act = Act {
            record_id: AuditId::new(now, self.entropy.ten()),
            actor,
            organization_id: case.organization_id,
            application_id: Some(case.application_id),
            request_id: String::new(),
            at: now,
        };
        let wish = Wish { decision: Decision::Grant { despite_checks: false }, note: None };
        match self.run(act, By::Rule(self.rule), &case, wish).await? {
            DecideOutcome::Decided(decided) => Ok((*decided, true)),
            _ => Ok((case, false)),
        }
    }

    /// Grants the cases that the rule grants by now. Answers how many.
    pub async fn round(&self, now: UnixMicros) -> Result<u64, Problem> {
        let (mut after, mut granted) = (None, 0);
        if self.rule.automatic == Automatic::Never {
            return Ok(granted);
        }
        loop {
            let open = recoveries::open(&mut self.store.reader().await?, after, AT_ONCE).await?;
            after = open.last().map(|case| case.id);
            let is_last = open.len() < AT_ONCE;
            for case in open {
                // What is too young need not be looked at.
                if now.since(case.paused_since) >= self.rule.after {
                    granted += u64::from(self.by_rule(case, now).await?.1);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(granted)
    }

    /// Decides about a case that an operator may see.
    pub async fn decide(
        &self,
        operator: Operator,
        act: Act,
        id: RecoveryId,
        request: schema::DecideRecovery,
    ) -> Result<Recovery, Problem> {
        let scope = operator.scope();
        let case = find_any(self.store, scope, id).await?;
        operator.for_installation()?;
        let decision = match request.decision.as_deref() {
            Some("grant") => Decision::Grant { despite_checks: request.despite_checks.unwrap_or(false) },
            Some("refuse") => Decision::Refuse,
            _ => return Err(Problem::invalid("decision", "decision must be grant or refuse")),
        };
        self.carry_out(act, By::Operator(scope), &case, Wish { decision, note: note(request.note)? }).await
    }

    /// Takes a case back.
    pub async fn withdraw(&self, act: Act, grant: GrantId, id: RecoveryId) -> Result<Recovery, Problem> {
        let case = find(self.store, grant, id).await?;
        self.carry_out(act, By::Mailbox(grant), &case, Wish { decision: Decision::Withdraw, note: None }).await
    }

    async fn carry_out(&self, act: Act, by: By, case: &Recovery, wish: Wish) -> Result<Recovery, Problem> {
        match self.run(act, by, case, wish).await? {
            DecideOutcome::Decided(case) => Ok(*case),
            DecideOutcome::NotFound | DecideOutcome::Waits(_) => Err(Problem::not_found()),
            DecideOutcome::Refused(problem) => Err(problem),
        }
    }

    async fn run(&self, act: Act, by: By, case: &Recovery, wish: Wish) -> Result<DecideOutcome, Problem> {
        let subject = case.subject();
        let facts = recoveries::gather(&mut self.store.reader().await?, &subject, act.at).await?;
        let command = DecideRecovery {
            id: case.id,
            by,
            decision: wish.decision,
            note: wish.note,
            facts,
            lift_record_id: AuditId::new(act.at, self.entropy.ten()),
            event_id: EventId::new(act.at, self.entropy.ten()),
            act,
        };
        Ok(self.store.run(command).await?)
    }
}

struct Wish {
    decision: Decision,
    note: Option<String>,
}

/// One case of a mailbox.
pub async fn find(store: &Store, grant: GrantId, id: RecoveryId) -> Result<Recovery, Problem> {
    recoveries::find_of_grant(&mut store.reader().await?, grant, id).await?.ok_or_else(Problem::not_found)
}

async fn find_any(store: &Store, scope: Scope, id: RecoveryId) -> Result<Recovery, Problem> {
    recoveries::find(&mut store.reader().await?, scope, id).await?.ok_or_else(Problem::not_found)
}

/// A page of cases, newest first.
pub async fn list(
    store: &Store,
    whose: Whose,
    (state, page_token, limit): (Option<&str>, Option<&str>, usize),
) -> Result<Page<Recovery>, Problem> {
    let state = state.map(|name| State::named(name).ok_or_else(bad_state)).transpose()?;
    let page = recoveries::Page { whose, state, before: pages::after(page_token)?, limit: limit + 1 };
    let found = recoveries::list(&mut store.reader().await?, page).await?;
    Ok(pages::cut(found, limit, |case| case.id))
}

fn bad_state() -> Problem {
    let names: Vec<&str> = State::ALL.iter().map(|state| state.name()).collect();
    Problem::invalid("state", format!("state must be one of {}", names.join(", ")))
}

/// A text that must be there.
fn told(field: &str, text: Option<String>) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Problem::invalid(field, format!("{field} must have 1 to {TEXT_CHARS_MAX} characters")));
    }
    input::text(field, &text, TEXT_CHARS_MAX)?;
    Ok(text)
}

fn evidence(texts: Vec<String>) -> Result<Vec<String>, Problem> {
    if texts.len() > EVIDENCE_MAX {
        return Err(Problem::invalid("evidence", format!("evidence must have at most {EVIDENCE_MAX} texts")));
    }
    texts.into_iter().map(|text| told("evidence", Some(text))).collect()
}

fn note(note: Option<String>) -> Result<Option<String>, Problem> {
    let note = note.filter(|note| !note.is_empty());
    input::text("note", note.as_deref().unwrap_or_default(), TEXT_CHARS_MAX)?;
    Ok(note)
}

/// Shows a case.
pub fn show(case: &Recovery) -> schema::Recovery {
    let author = |author: &Author| schema::RecoveryAuthor {
        kind: author.kind.clone(),
        id: author.id.clone(),
        name: author.name.clone(),
    };
    let check = |check: &recovery::Check| schema::RecoveryCheck {
        code: check.code.name(),
        passed: check.passed,
        text: check.text.clone(),
    };
    let failed = case.checks.iter().filter(|check| !check.passed);
    schema::Recovery {
        id: case.id.to_string(),
        organization_id: case.organization_id.to_string(),
        application_id: case.application_id.to_string(),
        grant_id: case.grant_id.to_string(),
        email: case.email.to_string(),
        stop_id: case.stop_id.to_string(),
        paused_since: case.paused_since.as_seconds(),
        state: case.state.name(),
        cause: case.cause.clone(),
        fix: case.fix.clone(),
        evidence: case.evidence.clone(),
        checks: case.checks.iter().map(check).collect(),
        checked_at: case.checked_at.as_seconds(),
        missing: failed.map(|check| check.text.clone()).collect(),
        requested_by: author(&case.requested_by),
        decided_by: case.decided_by.as_ref().map(author),
        decided_at: case.decided_at.map(UnixMicros::as_seconds),
        note: case.note.clone(),
        created_at: case.created_at.as_seconds(),
    }
}
