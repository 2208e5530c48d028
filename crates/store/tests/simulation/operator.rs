//! The operator: restricts and stops somebody for a while, looks at pauses, and grants recoveries.

use crate::history::{Account, Fact, Subject};
use crate::oracle::{DAY, Wrong};
use crate::support::fresh;
use crate::world::World;
use postfleet_core::id::{AuditId, EventId, RecoveryId, StopId};
use postfleet_core::recovery::Decision;
use postfleet_core::stop::{Kind, Scope};
use postfleet_store::organizations;
use postfleet_store::recoveries::{
    self, By, DecideOutcome, DecideRecovery, RequestOutcome, RequestRecovery, Subject as Whose,
};
use postfleet_store::stops::{Lift, LiftOutcome, LiftStop, RaiseOutcome, RaiseStop, Within};

/// Everybody's.
const OPERATOR: Within = Within::Operator(organizations::Scope::All);

/// Something that the operator means to do.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    Stop(Kind, Subject),
    Lift(Kind, Subject),
}

fn scope(whom: Subject) -> Scope {
    match whom {
        Subject::Grant(_) => Scope::Grant,
        Subject::Domain(_) => Scope::Domain,
        Subject::Workspace(_) => Scope::Workspace,
        Subject::Application(_) => Scope::Application,
        Subject::Organization(_) => Scope::Organization,
        Subject::Thread(_) => Scope::Thread,
    }
}

impl World {
    /// Stops somebody.
    pub async fn raise(&mut self, kind: Kind, whom: Subject) -> Result<(), Wrong> {
        let at = self.now();
        let act = self.homes[0].0.act(at);
        let command = RaiseStop {
            id: StopId::from_uuid(fresh()),
            act,
            event_id: EventId::from_uuid(fresh()),
            kind,
            scope: scope(whom),
            subject: self.name_of(whom),
            within: OPERATOR,
            reason: "looked at".into(),
            reference: None,
        };
        match self.run(command).await {
            RaiseOutcome::InForce(_, true) => self.fact(Fact::Raised { kind, whom })?,
            RaiseOutcome::InForce(_, false) => {}
            RaiseOutcome::NoSubject => return Err(format!("{whom:?} is not found")),
        }
        self.look().await
    }

    /// Lifts what is in force.
    pub async fn lift(&mut self, kind: Kind, whom: Subject) -> Result<(), Wrong> {
        let Some(id) = self.stops.get(&(kind.name(), whom)).copied() else { return Ok(()) };
        let at = self.now();
        let act = self.homes[0].0.act(at);
        let lift = Lift { act, event_id: EventId::from_uuid(fresh()), reason: "mended".into() };
        match self.run(LiftStop { id, kind: None, within: OPERATOR, lift }).await {
            LiftOutcome::Lifted(_, true) => self.fact(Fact::Lifted { kind, whom })?,
            LiftOutcome::ByRecovery if kind == Kind::Pause => {}
            other => return Err(format!("not lifted: {other:?}")),
        }
        self.look().await
    }

    /// Does what is planned for now.
    pub async fn operate(&mut self, plans: Vec<Plan>) -> Result<(), Wrong> {
        for plan in plans {
            match plan {
                Plan::Stop(kind, whom) => self.raise(kind, whom).await?,
                Plan::Lift(kind, whom) => self.lift(kind, whom).await?,
            }
        }
        Ok(())
    }

    /// Now and then somebody is restricted while a worker has their mail already.
    pub async fn operate_meanwhile(&mut self) -> Result<(), Wrong> {
        if !self.dice.permille(200) {
            return Ok(());
        }
        let account = self.dice.below(self.mailboxes.len());
        let whom = Subject::Workspace(self.homes[self.mailboxes[account].home].1.workspace);
        if self.stops.contains_key(&(Kind::Switch.name(), whom)) {
            return Ok(());
        }
        self.raise(Kind::Switch, whom).await?;
        self.meanwhile.push(whom);
        Ok(())
    }

    /// Lifts what was raised in the middle of something.
    pub async fn settle_meanwhile(&mut self) -> Result<(), Wrong> {
        for whom in std::mem::take(&mut self.meanwhile) {
            self.lift(Kind::Switch, whom).await?;
        }
        Ok(())
    }

    /// Asks for a recovery, and grants it; whether that was so.
    pub async fn recover(&mut self, account: Account) -> Result<bool, Wrong> {
        let whom = Subject::Grant(account);
        // A pause is lifted in no other way.
        self.lift(Kind::Pause, whom).await?;
        let tenant = self.home(account).clone();
        let (organization, application) = (tenant.organization, tenant.application);
        let mailbox = &self.mailboxes[account];
        let subject = Whose { organization, application, grant: mailbox.id, email: mailbox.email.clone() };
        let now = self.now();
        let facts = {
            let mut reader = self.store().reader().await.expect("reader");
            recoveries::gather(&mut reader, &subject, now).await.expect("facts")
        };
        let id = RecoveryId::new(now, *fresh().as_bytes().last_chunk().expect("ten"));
        let request = RequestRecovery {
            id,
            act: tenant.act(now),
            subject,
            cause: "the list was bought".into(),
            fix: "it is gone".into(),
            evidence: Vec::new(),
            facts: facts.clone(),
        };
        match self.run(request).await {
            RequestOutcome::Requested(_) => {}
            RequestOutcome::Refused(problem) => return Err(format!("not requested: {}", problem.code)),
            RequestOutcome::NoSuchGrant => return Ok(false),
        }
        let at = self.now();
        let decide = DecideRecovery {
            id,
            act: tenant.act(at),
            by: By::Operator(organizations::Scope::All),
            decision: Decision::Grant { despite_checks: true },
            note: Some("looked at".into()),
            facts,
            lift_record_id: AuditId::from_uuid(fresh()),
            event_id: EventId::from_uuid(fresh()),
        };
        match self.run(decide).await {
            DecideOutcome::Decided(_) => self.fact(Fact::Recovered { at: at.as_micros(), account })?,
            other => return Err(format!("not granted: {other:?}")),
        }
        self.look().await?;
        Ok(true)
    }
}

/// What the operator does over the days, by itself: everybody is stopped once in some scope, for a while.
pub fn plans(days: i64, places: usize) -> Vec<(i64, Plan)> {
    use Kind::{Restriction, Switch};
    let part = |tenth: i64| days * tenth / 10;
    let mut plans = Vec::new();
    let mut stop = |kind, whom, from: i64, until: i64| {
        plans.push((from, Plan::Stop(kind, whom)));
        plans.push((until, Plan::Lift(kind, whom)));
    };
    stop(Switch, Subject::Workspace(0), part(1), part(1) + 3);
    stop(Restriction, Subject::Domain(1), part(3), part(3) + 2);
    stop(Switch, Subject::Application(2), part(5), part(5) + 1);
    stop(Restriction, Subject::Organization(2), part(6), part(6) + 1);
    stop(Restriction, Subject::Workspace(places - 1), part(7), part(7) + 6);
    plans
}

/// The first moment of a day.
pub fn midnight(day: i64) -> i64 {
    day * DAY
}
