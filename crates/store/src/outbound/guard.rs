//! Loops and breakers, where a message would be accepted: what the mailbox has of the conversation and has counted is
//! read, the pure functions of `core` judge it, and what trips raises a stop in the same transaction.

mod foresee;

use super::Submit;
use crate::breakers;
use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::events::{self, NewEvent};
use crate::holds;
use crate::params;
use crate::stops::{self, Lift, NewStop, Target};
use crate::watch;
use postfleet_core::audit::Act;
use postfleet_core::breaker::{self, Breaker, Metric, Reading, Watch};
use postfleet_core::event::Trigger;
use postfleet_core::exchange::{
    COMPARED, Exchange, Loop, LoopLimits, Run, Said, TURNS_READ, Turn, end_of_hour, own_today, repeats,
};
use postfleet_core::id::{AuditId, EventId, GrantId, OrganizationId, StopId, ThreadId, WorkspaceId};
use postfleet_core::outbound::OutboundFacts;
use postfleet_core::quota::Allowance;
use postfleet_core::stop::{Effect, Kind, Scope, Stop, throttle};
use postfleet_core::{EmailAddress, Problem, UnixMicros, UtcDay};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is known of the conversation that a message goes on with, and of what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// How many mailboxes of the installation have answered one another in turn, with this one; 0 for what begins a
    /// conversation.
    pub hops: u64,
    /// A number for what it says; 0 for nothing.
    pub print: u64,
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
    pub(super) fn passes(&self, guard: &Guard, now: UnixMicros) -> Passes {
        let (print, strangers) = (guard.print, self.strangers.clone());
        let said = self.said.clone().filter(|_| print != 0).map(|said| said.with(print).write());
        let watch = self.watch.clone().map(|watch| watch.with(print, strangers.len() as u64, now));
        Passes { said, watch, strangers }
    }

    fn has(&self, metric: Metric) -> bool {
        self.breakers.iter().any(|breaker| breaker.enabled && breaker.metric == metric)
    }
}

pub(crate) const TURNS: &str = "SELECT date, outgoing FROM messages WHERE thread_id = $1 AND draft = 0 \
    ORDER BY date DESC, id DESC LIMIT $2";
pub(crate) const OWN_SINCE: &str = "SELECT count(*) FROM messages WHERE thread_id = $1 AND date >= $2 \
    AND outgoing = 1 AND draft = 0";
pub(crate) const SAID_BEFORE: &str = "SELECT summary FROM messages WHERE thread_id = $1 AND outgoing = 1 AND draft = 0 \
    ORDER BY date DESC, id DESC LIMIT $2";

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
        let breakers = breakers::read(row.opt_text(first)?.as_deref())?;
        let is_counted = throttle(stops).is_some() || breakers.iter().any(|one| one.enabled && !one.metric.is_rate());
        let watch = if is_counted { Some(watch::of(tx, self.copy.grant_id, now).await?) } else { None };
        let goes_to_fleet = self.goes_to_fleet(tx, row.int(first + 2)? > 0).await?;
        let said = goes_to_fleet.then_some(row.opt_text(first + 1)?.unwrap_or_default());
        Ok(Watched {
            organization: OrganizationId::from_uuid(row.uuid(organization)?),
            workspace: row.opt_uuid(workspace)?.map(WorkspaceId::from_uuid),
            breakers,
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
        if watched.has(Metric::NewRecipientsPerDay) {
            let is_written_to = |address: &&EmailAddress| facts.suppressed.iter().all(|one| one.address != **address);
            let recipients = self.recipients.iter().map(|(_, address)| address).filter(is_written_to);
            let day = self.facts.date.day();
            watched.strangers = watch::never_written_to(tx, self.copy.grant_id, recipients, day).await?;
        }
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

    /// The latest messages of the conversation that it goes on with; none where it begins one.
    async fn turns(&self, tx: &mut Tx, most: usize) -> Result<Vec<Turn>, DbError> {
        let Some(thread) = self.thread_id.filter(|_| self.guard.hops > 0) else { return Ok(Vec::new()) };
        let rows = tx.query(TURNS, params![thread.uuid(), most as i64]).await?;
        let turn = |row: &Row| Ok(Turn { at: UnixMicros::from_micros(row.int(0)?), is_own: row.flag(1)? });
        rows.iter().map(turn).collect()
    }

    async fn find_loop(&self, tx: &mut Tx, watched: &Watched, turns: &[Turn]) -> Result<Option<Loop>, DbError> {
        let found = self.judge_exchange(tx, watched, turns, None).await?;
        let (Some(_), Some(thread)) = (&found, self.thread_id) else { return Ok(found) };
        // Whoever lifted a stop has seen what was there until then.
        match stops::lifted_at(tx, self.copy.grant_id, (Kind::Loop, &thread.to_string())).await? {
            Some(lifted_at) => {
                let since: Vec<Turn> = turns.iter().copied().filter(|turn| turn.at > lifted_at).collect();
                self.judge_exchange(tx, watched, &since, Some(lifted_at)).await
            }
            None => Ok(found),
        }
    }

    async fn judge_exchange(
        &self,
        tx: &mut Tx,
        watched: &Watched,
        turns: &[Turn],
        since: Option<UnixMicros>,
    ) -> Result<Option<Loop>, DbError> {
        let (now, limits) = (self.facts.date, &self.guard.limits);
        let run = Run::of(turns, now, limits.pause);
        let repeats = run.asks_what_was_said(limits) && self.repeats(tx).await?;
        let said = watched.said.as_ref().filter(|_| self.guard.print != 0).map(|said| said.count(self.guard.print));
        let own_today = self.own_today(tx, turns, since).await?;
        let exchange = Exchange { own_today, run, repeats, hops: self.guard.hops, said };
        Ok(exchange.judge(limits))
    }

    /// Messages of the mailbox in the conversation on this day, since a time.
    async fn own_today(&self, tx: &mut Tx, turns: &[Turn], since: Option<UnixMicros>) -> Result<u64, DbError> {
        let now = self.facts.date;
        let Some(thread) = self.thread_id else { return Ok(0) };
        if let Some(own) = own_today(turns, now) {
            return Ok(own);
        }
        let from = since.map_or(now.day().start(), |since| since.max(now.day().start()));
        let row = tx.query_one(OWN_SINCE, params![thread.uuid(), from.as_micros()]).await?;
        Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
    }

    /// Whether it says what the mailbox said before in the conversation.
    async fn repeats(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let Some(thread) = self.thread_id else { return Ok(false) };
        let rows = tx.query(SAID_BEFORE, params![thread.uuid(), COMPARED as i64]).await?;
        let earlier = rows.iter().map(|row| Ok(snippet(&row.text(0)?))).collect::<Result<Vec<_>, DbError>>()?;
        Ok(repeats(&snippet(&self.facts.summary), &earlier))
    }

    /// Stops the conversation.
    async fn stop_loop(
        &self,
        tx: &mut Tx,
        watched: &Watched,
        (thread, found): (ThreadId, &Loop),
        ids: &TripIds,
    ) -> Result<Stop, DbError> {
        let recipients = self.recipients.iter().take(10).map(|(_, address)| address.to_string());
        let evidence = json!({
            "sign": found.sign.name(),
            "count": found.count,
            "limit": found.limit,
            "pauses_ms": found.pauses.iter().take(20).collect::<Vec<_>>(),
            "thread_id": thread.to_string(),
            "correspondents": recipients.collect::<Vec<_>>(),
            "hops": self.guard.hops,
        });
        let new = NewStop {
            kind: Kind::Loop,
            effect: Effect::Hold,
            target: self.target(watched, Scope::Thread, thread.to_string()),
            reason: found.reason(),
            evidence: evidence.to_string(),
            ..self.new_stop(watched, ids)
        };
        raised(tx, new).await
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

    /// Measures what the breakers of the workspace ask for, and acts on those that trip. False if it has to be run again
    /// with the ids of what follows.
    async fn look_at_breakers(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        watched: &mut Watched,
        turns: &[Turn],
    ) -> Result<bool, DbError> {
        let tripped = self.trips(tx, watched, turns).await?;
        if tripped.is_empty() {
            return Ok(true);
        }
        self.act_on(tx, facts, watched, &tripped).await
    }

    /// The breakers that trip. What was counted until a stop was lifted is forgotten.
    async fn trips(
        &self,
        tx: &mut Tx,
        watched: &mut Watched,
        turns: &[Turn],
    ) -> Result<Vec<(Breaker, Reading)>, DbError> {
        let Some(watch) = &watched.watch else { return Ok(Vec::new()) };
        let mut tripped = self.tripped(tx, watched, watch, turns).await?;
        if tripped.is_empty() {
            return Ok(tripped);
        }
        let grant = self.copy.grant_id;
        let lifted_at = stops::lifted_at(tx, grant, (Kind::Breaker, &grant.to_string())).await?;
        if let Some(lifted_at) = lifted_at.filter(|at| watch.since.is_none_or(|since| since < *at)) {
            // Whoever lifted the stop has seen what was counted until then.
            let anew = watch.clone().anew(lifted_at);
            tripped = self.tripped(tx, watched, &anew, turns).await?;
            watched.watch = Some(anew);
        }
        Ok(tripped)
    }

    async fn tripped(
        &self,
        tx: &mut Tx,
        watched: &Watched,
        watch: &Watch,
        turns: &[Turn],
    ) -> Result<Vec<(Breaker, Reading)>, DbError> {
        let (now, print) = (self.facts.date, self.guard.print);
        let replies = match watched.has(Metric::RepliesPerThreadPerDay) && self.guard.hops > 0 {
            true => {
                let is_since = |turn: &Turn| watch.since.is_none_or(|since| turn.at > since);
                let turns: Vec<Turn> = turns.iter().copied().filter(is_since).collect();
                Some(self.own_today(tx, &turns, watch.since).await? + 1)
            }
            false => None,
        };
        let strangers = watched.strangers.len() as u64;
        Ok(breaker::tripped(&watched.breakers, |metric| match metric {
            Metric::SendsPerHour => Some(Reading::of(watch.sends + 1)),
            Metric::NewRecipientsPerDay => (strangers > 0).then(|| Reading::of(watch.new_recipients + strangers)),
            Metric::RepeatedContent => (print != 0).then(|| Reading::of(watch.repeated(print, now) + 1)),
            Metric::RepliesPerThreadPerDay => replies.map(Reading::of),
            // These are judged where outcomes are counted.
            Metric::BounceRate | Metric::ComplaintRate | Metric::RejectionRate => None,
        }))
    }

    async fn act_on(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        watched: &mut Watched,
        tripped: &[(Breaker, Reading)],
    ) -> Result<bool, DbError> {
        let (now, grant) = (self.facts.date, self.copy.grant_id);
        let mut watch = watched.watch.clone().unwrap_or_default();
        let mut told = 0;
        for (breaker, reading) in tripped {
            let stands = in_force(&facts.stops);
            let is_stronger =
                |effect: Effect| stands.is_none_or(|stop| breaker::strength(stop.effect) < breaker::strength(effect));
            let effect = breaker.action.effect().filter(|effect| is_stronger(*effect));
            let is_told = effect.is_none() && breaker.action.effect().is_none() && watch.tells(breaker.metric, now);
            if effect.is_none() && !is_told {
                continue;
            }
            let Some(ids) = self.hold.as_ref().map(|hold| hold.trip.nth(told)) else { return Ok(false) };
            told += 1;
            let seen = Seen { watched, grant, email: &self.sender, breaker, reading, ids: &ids, at: now };
            seen.announce(tx, self.copy.application_id).await?;
            if let Some(effect) = effect {
                let new = NewStop {
                    effect,
                    reason: breaker::reason(breaker, reading),
                    evidence: seen.evidence().to_string(),
                    value: breaker.throttle_to.filter(|_| effect == Effect::Throttle),
                    ..self.new_stop(watched, &ids)
                };
                let stop = replaced(tx, new, stands.map(|stop| stop.id)).await?;
                facts.stops.retain(|one| stands_alone(one, &stop));
                facts.stops.push(stop);
            }
        }
        watched.watch = Some(watch);
        facts.throttle = watched.throttle(&facts.stops, now);
        // What does not leave counts nothing, and what was told of it is remembered all the same.
        if let Some(watch) = watched.watch.as_ref().filter(|_| told > 0) {
            watch::keep(tx, grant, watch).await?;
        }
        Ok(true)
    }
}

/// The beginning of a message, as its summary has it.
fn snippet(summary: &str) -> String {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Seen {
        snippet: String,
    }
    serde_json::from_str::<Seen>(summary).unwrap_or_default().snippet
}

/// The stop by a breaker that is in force.
fn in_force(stops: &[Stop]) -> Option<&Stop> {
    stops.iter().find(|stop| stop.kind == Kind::Breaker && stop.scope == Scope::Grant)
}

fn stands_alone(one: &Stop, new: &Stop) -> bool {
    one.kind != new.kind || one.scope != new.scope
}

/// Raises a stop, and answers it as the decision sees it.
async fn raised(tx: &mut Tx, new: NewStop) -> Result<Stop, DbError> {
    let raised = stops::raise(tx, &new).await?;
    let NewStop { kind, effect, target, reason, value, .. } = new;
    Ok(Stop { id: raised.id, kind, effect, scope: target.scope, subject: target.subject, reason, value })
}

/// The same, in place of a weaker one.
pub(crate) async fn replaced(tx: &mut Tx, new: NewStop, weaker: Option<StopId>) -> Result<Stop, DbError> {
    if let Some(weaker) = weaker {
        let lift = Lift {
            act: Act { record_id: AuditId::from_uuid(new.event_id.uuid()), ..new.act.clone() },
            event_id: EventId::from_uuid(new.act.record_id.uuid()),
            reason: "a stronger breaker takes its place".to_owned(),
        };
        stops::lift(tx, weaker, &lift).await?;
    }
    raised(tx, new).await
}

impl TripIds {
    /// Ids of the same kind for the next thing that trips.
    fn nth(&self, index: u128) -> Self {
        let moved = |id: uuid::Uuid| uuid::Uuid::from_u128(id.as_u128().wrapping_add(index));
        Self {
            stop_id: StopId::from_uuid(moved(self.stop_id.uuid())),
            audit_id: AuditId::from_uuid(moved(self.audit_id.uuid())),
            event_id: EventId::from_uuid(moved(self.event_id.uuid())),
            tripped_id: EventId::from_uuid(moved(self.tripped_id.uuid())),
        }
    }
}

/// A breaker that trips, and by what.
struct Seen<'a> {
    watched: &'a Watched,
    grant: GrantId,
    email: &'a EmailAddress,
    breaker: &'a Breaker,
    reading: &'a Reading,
    ids: &'a TripIds,
    at: UnixMicros,
}

impl Seen<'_> {
    fn evidence(&self) -> Value {
        evidence(self.breaker, self.reading, self.watched.workspace)
    }

    async fn announce(&self, tx: &mut Tx, application: postfleet_core::id::ApplicationId) -> Result<(), DbError> {
        let workspace = self.watched.workspace;
        let told = Tripped {
            id: self.ids.tripped_id,
            application,
            grant: self.grant,
            workspace,
            email: self.email,
            at: self.at,
        };
        told.announce(tx, self.breaker, self.reading).await
    }
}

/// What is written down of a breaker that trips.
pub(crate) fn evidence(breaker: &Breaker, reading: &Reading, workspace: Option<WorkspaceId>) -> Value {
    let shown = |value: u64| match breaker.metric.is_rate() {
        true => json!(breaker::percent(value).parse::<f64>().unwrap_or_default()),
        false => json!(value),
    };
    json!({
        "metric": breaker.metric.name(),
        "value": shown(reading.value(breaker.metric)),
        "threshold": shown(breaker.threshold),
        "count": reading.count,
        "volume": breaker.metric.is_rate().then_some(reading.volume),
        "action": breaker.action.name(),
        "throttle_to": breaker.throttle_to,
        "workspace_id": workspace.map(|id| id.to_string()),
    })
}

/// Whom the event is about that tells of a breaker.
pub(crate) struct Tripped<'a> {
    pub(crate) id: EventId,
    pub(crate) application: postfleet_core::id::ApplicationId,
    pub(crate) grant: GrantId,
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) email: &'a EmailAddress,
    pub(crate) at: UnixMicros,
}

impl Tripped<'_> {
    pub(crate) async fn announce(&self, tx: &mut Tx, breaker: &Breaker, reading: &Reading) -> Result<(), DbError> {
        let Some(grant_sequence) = events::next_sequence(tx, self.grant).await? else { return Ok(()) };
        let mut data = evidence(breaker, reading, self.workspace);
        data["object"] = json!("breaker");
        data["grant_id"] = json!(self.grant.to_string());
        data["email"] = json!(self.email.to_string());
        data["reason"] = json!(breaker::reason(breaker, reading));
        tx.announce(NewEvent {
            id: self.id,
            application_id: self.application,
            grant_id: self.grant,
            grant_sequence,
            trigger: Trigger::BreakerTripped,
            message_id: None,
            data: data.to_string(),
            at: self.at,
        });
        Ok(())
    }
}
