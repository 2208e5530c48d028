//! The breakers of a workspace, where a message would be accepted: what they ask for is measured, and what trips is acted on.

use super::{TripIds, Watched, raised};
use crate::db::DbError;
use crate::engine::Tx;
use crate::events::{self, NewEvent};
use crate::outbound::Submit;
use crate::stops::{self, Lift, NewStop};
use crate::watch;
use postfleet_core::audit::Act;
use postfleet_core::breaker::{self, Breaker, Metric, Reading, Watch};
use postfleet_core::event::Trigger;
use postfleet_core::exchange::Turn;
use postfleet_core::id::{ApplicationId, AuditId, EventId, GrantId, StopId, WorkspaceId};
use postfleet_core::outbound::OutboundFacts;
use postfleet_core::stop::{Effect, Kind, Scope, Stop};
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::{Value, json};

impl Submit {
    /// Measures what the breakers of the workspace ask for, and acts on those that trip. False if it has to be run again
    /// with the ids of what follows.
    pub(super) async fn look_at_breakers(
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
    pub(super) async fn trips(
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
        let (now, print) = (self.facts.date, watched.print);
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

/// The stop by a breaker that is in force.
pub(super) fn in_force(stops: &[Stop]) -> Option<&Stop> {
    stops.iter().find(|stop| stop.kind == Kind::Breaker && stop.scope == Scope::Grant)
}

pub(super) fn stands_alone(one: &Stop, new: &Stop) -> bool {
    one.kind != new.kind || one.scope != new.scope
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

    async fn announce(&self, tx: &mut Tx, application: ApplicationId) -> Result<(), DbError> {
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
    pub(crate) application: ApplicationId,
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
