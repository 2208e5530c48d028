//! What loops and breakers would do to a send, told without sending it: by what decides it, and nothing is stopped, written
//! or counted.

use super::Watched;
use super::breakers::{in_force, stands_alone};
use crate::db::DbError;
use crate::engine::Tx;
use crate::outbound::Submit;
use postfleet_core::Problem;
use postfleet_core::breaker;
use postfleet_core::exchange::TURNS_READ;
use postfleet_core::id::StopId;
use postfleet_core::outbound::OutboundFacts;
use postfleet_core::stop::{Effect, Kind, Scope, Stop};
use uuid::Uuid;

impl Submit {
    /// Puts among the facts what would be stopped because of this send, each as a stop without an id; answers why it would
    /// be held besides.
    pub(in crate::outbound) async fn foresee(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        watched: &mut Watched,
    ) -> Result<Option<Problem>, DbError> {
        self.find_strangers(tx, facts, watched).await?;
        let turns = self.turns(tx, TURNS_READ).await?;
        if let Some(found) = self.find_loop(tx, watched, &turns).await? {
            let Some(thread) = self.thread_id.filter(|_| found.is_of_conversation()) else {
                return Ok(Some(found.problem()));
            };
            let stop = would_be((Kind::Loop, Effect::Hold), (Scope::Thread, thread.to_string()), found.reason());
            let is_there = |one: &Stop| (one.kind, one.scope, &one.subject) == (stop.kind, stop.scope, &stop.subject);
            if !facts.stops.iter().any(is_there) {
                facts.stops.push(stop);
            }
            return Ok(None);
        }
        for (breaker, reading) in self.trips(tx, watched, &turns).await? {
            let stands = in_force(&facts.stops).map(|stop| breaker::strength(stop.effect));
            let Some(effect) = breaker.action.effect() else { continue };
            if stands.is_none_or(|stands| stands < breaker::strength(effect)) {
                let subject = (Scope::Grant, self.copy.grant_id.to_string());
                let value = breaker.throttle_to.filter(|_| effect == Effect::Throttle);
                let stop = would_be((Kind::Breaker, effect), subject, breaker::reason(&breaker, &reading));
                facts.stops.retain(|one| stands_alone(one, &stop));
                facts.stops.push(Stop { value, ..stop });
            }
        }
        facts.throttle = watched.throttle(&facts.stops, self.facts.date);
        Ok(None)
    }
}

/// A stop that nobody has raised.
fn would_be((kind, effect): (Kind, Effect), (scope, subject): (Scope, String), reason: String) -> Stop {
    Stop { id: StopId::from_uuid(Uuid::nil()), kind, effect, scope, subject, reason, value: None }
}
