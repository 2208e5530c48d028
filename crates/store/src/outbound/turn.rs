//! The rates of a send: its turn in each of them, and waiting for it.

use super::facts::Loaded;
use super::{Sending, Submit, SubmitOutcome, Turn};
use crate::db::DbError;
use crate::drafts::{CreateOutcome, Held};
use crate::engine::{Command, Tx};
use crate::rates::{self, Shares, Turns};
use crate::schedules::{self, NewSchedule};
use crate::send_events::Sent;
use crate::warm_ups;
use postfleet_core::UnixMicros;
use postfleet_core::outbound::decide;
use postfleet_core::quota::Allowance;
use postfleet_core::rate::SendRates;

impl Submit {
    /// Asks for a turn in the warm-up of its domain, and in every rate that the send counts for. Nobody waits for the rates of others for the sake of a
    /// send that is refused anyway.
    pub(super) async fn take_turn(
        &self,
        tx: &mut Tx,
        Sending { loaded, held, .. }: &mut Sending,
    ) -> Result<Shares, DbError> {
        let Loaded { facts, pools, warming, .. } = loaded;
        facts.warm_up = warm_ups::lock(tx, *warming, self.facts.date.day()).await?;
        if decide(facts).is_err() {
            return Ok(Shares::default());
        }
        let turns = match pools.rates.burst_seconds {
            0 => Turns::None,
            _ if self.has_its_turn() => Turns::Come,
            _ => Turns::Asked,
        };
        // What was held waits as it is.
        let rates = match self.turn {
            _ if held.is_some() => SendRates { burst_seconds: 0, ..pools.rates },
            Turn::Now => SendRates { burst_seconds: 0, ..pools.rates },
            Turn::MayWait | Turn::Waits(_) => pools.rates,
        };
        match rates::judge(tx, &rates, &pools.senders, turns, self.facts.date).await? {
            Ok(shares) => Ok(shares),
            Err(exceeded) => {
                facts.exceeded = Some(exceeded);
                Ok(Shares::default())
            }
        }
    }

    /// Whether its turn was given to it when it was accepted.
    pub(super) fn has_its_turn(&self) -> bool {
        self.from_draft.as_ref().and_then(|draft| draft.release.as_ref()).is_some_and(|release| release.is_burst)
    }

    /// Lets the send wait for its turn, which is taken now. Its quota is that of the day on which it leaves.
    pub(super) async fn wait(
        &self,
        tx: &mut Tx,
        turn_at: UnixMicros,
        shares: &Shares,
        daily: Allowance,
        (draft, sent): (Option<Held>, &Sent),
    ) -> Result<SubmitOutcome, DbError> {
        let Turn::Waits(waiting) = &self.turn else { return Ok(SubmitOutcome::MustWait) };
        let (copy, now) = (&self.copy, self.facts.date);
        let thread_id = match (&waiting.message, draft) {
            (_, Some(draft)) if schedules::is_in_turn(tx, copy.message_id).await? => {
                return Ok(SubmitOutcome::Waits { thread_id: draft.thread_id, daily });
            }
            // It leaves sooner than it was to.
            (_, Some(draft)) => {
                schedules::cancel_of(tx, copy.message_id, now).await?;
                draft.thread_id
            }
            (Some(message), None) => match message.run(tx).await? {
                CreateOutcome::Created(thread_id) => thread_id,
                CreateOutcome::Refused(problem) => return self.refuse(tx, problem, (sent, &[]), None).await,
                CreateOutcome::TooManySchedules | CreateOutcome::NoSuchGrant => return Ok(SubmitOutcome::NoSuchGrant),
            },
            (None, None) => return Ok(SubmitOutcome::Superseded),
        };
        shares.keep_turn(tx).await?;
        let use_draft = self.from_draft.is_some();
        let schedule = NewSchedule { id: waiting.schedule_id, send_at: turn_at, use_draft, by: self.by };
        schedule.insert_burst(tx, copy, now).await?;
        let kept = (202, copy.message_id, thread_id, &self.facts.placement());
        self.once.remember(tx, copy.grant_id, kept, &[], now).await?;
        Ok(SubmitOutcome::Waits { thread_id, daily })
    }
}
