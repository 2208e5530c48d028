//! Loops and breakers, where a message would be accepted: what the mailbox has of the conversation and has counted is
//! read, the pure functions of `core` judge it, and what trips raises a stop in the same transaction.

mod breakers;
mod exchange;
mod foresee;

use super::Submit;
use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::holds;
use crate::params;
use crate::stops::{self, NewStop, Target};
use crate::watch;
pub(crate) use breakers::{Tripped, evidence, replaced};
#[cfg(test)]
pub(crate) use exchange::{OWN_SINCE, SAID_BEFORE, TURNS};
use postfleet_core::audit::Act;
use postfleet_core::breaker::{Breaker, Metric, Watch};
use postfleet_core::exchange::{LoopLimits, Said, TURNS_READ, end_of_hour, print};
use postfleet_core::id::{AuditId, EventId, GrantId, OrganizationId, StopId, WorkspaceId};
use postfleet_core::outbound::OutboundFacts;
use postfleet_core::quota::Allowance;
use postfleet_core::stop::{Effect, Kind, Scope, Stop, throttle};
use postfleet_core::{EmailAddress, Problem, UnixMicros, UtcDay};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is known of the conversation that a message goes on with, and of what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// How many mailboxes of the installation have answered one another in turn, with this one; 0 for what begins a
    /// conversation.
    pub hops: u64,
    /// The beginning of what it says ([`compared`](postfleet_core::exchange::compared)).
    pub text: String,
    /// What machines may say to each other.
    pub limits: LoopLimits,
}

/// The ids of what follows when something trips.
#[derive(Clone, Copy, Debug)]
pub struct TripIds {
    /// The stop.
    pub stop_id: StopId,
    /// The record of it.
    pub audit_id: AuditId,
    /// The event of it.
    pub event_id: EventId,
    /// The event that tells which breaker it was.
    pub tripped_id: EventId,
}

/// By what loops and breakers are known of one send.
pub(super) struct Watched {
    organization: OrganizationId,
    workspace: Option<WorkspaceId>,
    breakers: Vec<Breaker>,
    /// What is counted of the mailbox, where something asks for it.
    watch: Option<Watch>,
    /// What the mailbox has said to the fleet; none where the message does not go there.
    said: Option<Said>,
    /// A number for what the message says; 0 for nothing, or where nobody asks.
    print: u64,
    /// Recipients to whom the mailbox has never written, where a breaker asks for them.
    strangers: Vec<String>,
    /// Why the message is held, where no stop says it.
    pub(super) problem: Option<Problem>,
}

/// What is written of a send that passes.
pub(super) struct Passes {
    pub(super) said: Option<String>,
    watch: Option<Watch>,
    strangers: Vec<String>,
}

impl Passes {
    pub(super) async fn keep(&self, tx: &mut Tx, grant: GrantId, day: UtcDay) -> Result<(), DbError> {
        if let Some(watch) = &self.watch {
            watch::keep(tx, grant, watch).await?;
        }
        watch::know(tx, grant, &self.strangers, day).await
    }
}

impl Watched {
    /// What a throttle leaves.
    pub(super) fn throttle(&self, stops: &[Stop], now: UnixMicros) -> Option<Allowance> {
        let limit = throttle(stops)?;
        let used = self.watch.as_ref().map_or(0, |watch| watch.sends);
        Some(Allowance { limit: Some(limit), used, resets_at: end_of_hour(now) })
    }

    /// What is written once the send is accepted.
    pub(super) fn passes(&self, now: UnixMicros) -> Passes {
        let (print, strangers) = (self.print, self.strangers.clone());
        let said = self.said.clone().filter(|_| print != 0).map(|said| said.with(print).write());
        let watch = self.watch.clone().map(|watch| watch.with(print, strangers.len() as u64, now));
        Passes { said, watch, strangers }
    }

    fn has(&self, metric: Metric) -> bool {
        self.breakers.iter().any(|breaker| breaker.enabled && breaker.metric == metric)
    }
}

/// Names that are registered here are those of the fleet.
const OF_FLEET: &str =
    "SELECT d.name FROM domains d WHERE d.name IN (SELECT e.value ->> 0 FROM {json_each}($1) AS e) LIMIT 1";

impl Submit {
    /// The domain of each recipient.
    pub(super) fn destinations(&self) -> impl Iterator<Item = &str> {
        self.recipients.iter().map(|(_, address)| address.domain().as_str())
    }

    /// Whether it goes to a domain of the fleet. Of the first destination it is known.
    async fn goes_to_fleet(&self, tx: &mut Tx, is_first: bool) -> Result<bool, DbError> {
        let first = self.destinations().next();
        let more: BTreeSet<&str> = self.destinations().filter(|name| Some(*name) != first).collect();
        if is_first || more.is_empty() {
            return Ok(is_first);
        }
        let more = more.into_iter().map(|name| json!([name])).collect::<Value>().to_string();
        Ok(tx.query_one(OF_FLEET, params![&more]).await?.is_some())
    }

    /// Reads by what loops and breakers are known, from columns of what is read with every send.
    pub(super) async fn watched(
        &self,
        tx: &mut Tx,
        row: &Row,
        (organization, workspace, first): (usize, usize, usize),
        stops: &[Stop],
    ) -> Result<Watched, DbError> {
        let now = self.facts.date;
        let breakers = crate::breakers::read(row.opt_text(first)?.as_deref())?;
        let is_counted = throttle(stops).is_some() || breakers.iter().any(|one| one.enabled && !one.metric.is_rate());
        let watch = if is_counted { Some(watch::of(tx, self.copy.grant_id, now).await?) } else { None };
        let goes_to_fleet = self.goes_to_fleet(tx, row.int(first + 2)? > 0).await?;
        let said = goes_to_fleet.then_some(row.opt_text(first + 1)?.unwrap_or_default());
        Ok(Watched {
            organization: OrganizationId::from_uuid(row.uuid(organization)?),
            workspace: row.opt_uuid(workspace)?.map(WorkspaceId::from_uuid),
            breakers,
            print: if watch.is_some() || goes_to_fleet { print(&self.guard.text) } else { 0 },
            watch,
            said: said.map(|said| Said::read(&said, now)),
            strangers: Vec::new(),
            problem: None,
        })
    }

    /// Looks whether the message goes round in circles or trips a breaker, and stops what does: then the facts say so.
    /// False if it has to be run again with the ids of what follows.
    pub(super) async fn look(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        watched: &mut Watched,
    ) -> Result<bool, DbError> {
        self.find_strangers(tx, facts, watched).await?;
        if facts.approved {
            return Ok(true);
        }
        let turns = self.turns(tx, TURNS_READ).await?;
        if let Some(found) = self.find_loop(tx, watched, &turns).await? {
            let Some(ids) = self.hold.as_ref().map(|hold| hold.trip) else { return Ok(false) };
            match self.thread_id.filter(|_| found.is_of_conversation()) {
                Some(thread) => facts.stops.push(self.stop_loop(tx, watched, (thread, &found), &ids).await?),
                None => watched.problem = Some(found.problem()),
            }
            return Ok(true);
        }
        self.look_at_breakers(tx, facts, watched, &turns).await
    }

    /// Finds out to whom of those that are written to the mailbox has never written, where a breaker asks for it.
    async fn find_strangers(&self, tx: &mut Tx, facts: &OutboundFacts, watched: &mut Watched) -> Result<(), DbError> {
        if !watched.has(Metric::NewRecipientsPerDay) {
            return Ok(());
        }
        let is_written_to = |address: &&EmailAddress| facts.suppressed.iter().all(|one| one.address != **address);
        let recipients = self.recipients.iter().map(|(_, address)| address).filter(is_written_to);
        let day = self.facts.date.day();
        watched.strangers = watch::never_written_to(tx, self.copy.grant_id, recipients, day).await?;
        Ok(())
    }

    fn target(&self, watched: &Watched, scope: Scope, subject: String) -> Target {
        Target {
            organization: watched.organization,
            application: Some(self.copy.application_id),
            workspace: watched.workspace,
            grant: Some(self.copy.grant_id),
            scope,
            subject,
        }
    }

    /// A stop of the mailbox by a breaker of which nothing more is said yet.
    fn new_stop(&self, watched: &Watched, ids: &TripIds) -> NewStop {
        NewStop {
            id: ids.stop_id,
            act: self.act(watched, ids),
            event_id: ids.event_id,
            kind: Kind::Breaker,
            effect: Effect::Hold,
            target: self.target(watched, Scope::Grant, self.copy.grant_id.to_string()),
            reason: String::new(),
            evidence: "{}".to_owned(),
            reference: None,
            value: None,
        }
    }

    fn act(&self, watched: &Watched, ids: &TripIds) -> Act {
        Act {
            record_id: ids.audit_id,
            actor: holds::system("guard"),
            organization_id: watched.organization,
            application_id: Some(self.copy.application_id),
            request_id: String::new(),
            at: self.facts.date,
        }
    }
}

/// Raises a stop, and answers it as the decision sees it.
async fn raised(tx: &mut Tx, new: NewStop) -> Result<Stop, DbError> {
    let raised = stops::raise(tx, &new).await?;
    let NewStop { kind, effect, target, reason, value, .. } = new;
    Ok(Stop { id: raised.id, kind, effect, scope: target.scope, subject: target.subject, reason, value })
}
