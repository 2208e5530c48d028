//! What is told of a send beside its answer: evaluation records, events about recipients and quotas.

use super::{Judged, Submit};
use crate::db::DbError;
use crate::engine::Tx;
use crate::evaluations::{self, Evaluation, Stage};
use crate::events::{self, NewEvent};
use crate::folders::Assigned;
use crate::params;
use crate::quota_events;
use crate::send_events::{SendEvent, Sent};
use postfleet_core::Problem;
use postfleet_core::event::Trigger;
use postfleet_core::outbound::DAILY_QUOTA_EXCEEDED;
use postfleet_core::policy::LimitField;
use postfleet_core::quota::{self, Allowance, Crossing};
use postfleet_core::send_event::SendEventKind;
use postfleet_core::suppression::Suppressed;
use serde_json::{Value, json};

/// What was told of the daily quota, as the counter's row says, and whether a raise holds.
pub(super) struct DailyMarks {
    pub(super) told: quota::Told,
    pub(super) is_raised: bool,
}

/// A line of the daily quota that this send crosses.
pub(super) struct Crossed {
    pub(super) crossing: Crossing,
    pub(super) daily: Allowance,
    pub(super) is_raised: bool,
}

impl DailyMarks {
    /// What is to be told once a send is accepted.
    pub(super) fn crossed(&self, daily: &Allowance) -> Option<Crossed> {
        let crossing = self.told.crossed(daily)?;
        Some(Crossed { crossing, daily: *daily, is_raised: self.is_raised })
    }

    /// What is to be told of a send that is refused, or held.
    pub(super) fn refused(&self, problem: &Problem, daily: &Allowance) -> Option<Crossed> {
        let crossing = self.told.refused(daily.limit).filter(|_| problem.code == DAILY_QUOTA_EXCEEDED)?;
        Some(Crossed { crossing, daily: *daily, is_raised: self.is_raised })
    }
}

impl Submit {
    pub(super) async fn record(
        &self,
        tx: &mut Tx,
        judged: &Judged,
        (sent, assigned): (bool, &Assigned),
    ) -> Result<(), DbError> {
        let folder_ids = assigned.ids_of(&judged.judgement.effects.folders);
        let evaluation = Evaluation {
            id: self.evaluation_id,
            organization_id: judged.scope.organization,
            application_id: self.copy.application_id,
            grant_id: self.copy.grant_id,
            message_id: sent.then_some(self.copy.message_id),
            stage: Stage::OutboundSend,
            input: &judged.input,
            judgement: &judged.judgement,
            folder_ids: &folder_ids,
            at: self.facts.date,
        };
        evaluations::record(tx, &evaluation).await
    }

    /// Tells that recipients get nothing. If that is all of them there is no sent copy, so the event says what it was.
    pub(super) async fn announce_rejected(
        &self,
        tx: &mut Tx,
        sent: &Sent,
        suppressed: &[Suppressed],
    ) -> Result<(), DbError> {
        self.write_rejected(tx, sent, suppressed);
        let grant_id = self.copy.grant_id;
        let Some(grant_sequence) = events::next_sequence(tx, grant_id).await? else { return Ok(()) };
        let one = |one: &Suppressed| json!({"email": one.address.to_string(), "reason": one.reason.name()});
        let mut data = json!({
            "at": self.facts.date.as_seconds(),
            "reason": "suppressed",
            "recipients": suppressed.iter().map(one).collect::<Value>(),
        });
        if suppressed.len() >= self.recipients.len() {
            data["summary"] = serde_json::from_str(&self.facts.summary).unwrap_or_default();
        }
        tx.announce(NewEvent {
            id: self.rejected_event_id,
            application_id: self.copy.application_id,
            grant_id,
            grant_sequence,
            trigger: Trigger::MessageRejected,
            message_id: Some(self.copy.message_id),
            data: data.to_string(),
            at: self.facts.date,
        });
        Ok(())
    }

    fn write_rejected(&self, tx: &mut Tx, sent: &Sent, suppressed: &[Suppressed]) {
        for one in suppressed {
            let row = self.recipients.iter().find(|(_, address)| *address == one.address);
            let Some((id, recipient)) = row else { continue };
            let of = (id.uuid(), self.facts.date);
            let event = SendEvent::new(sent, SendEventKind::Rejected, Some(recipient), of);
            tx.tally().happened(SendEvent { reason: one.reason.name().to_owned(), ..event });
        }
    }

    /// Tells that a line of the daily quota is crossed, and marks in its counter that this was told.
    pub(super) async fn announce_quota(&self, tx: &mut Tx, crossed: &Crossed) -> Result<(), DbError> {
        const MARK: &str = "INSERT INTO daily_sends (grant_id, day, sent, told, told_limit) VALUES ($1, $2, 0, $3, $4) \
            ON CONFLICT (grant_id, day) DO UPDATE SET told = $3, told_limit = $4";
        let (now, daily) = (self.facts.date, &crossed.daily);
        let limit = i64::try_from(daily.limit.unwrap_or(0)).unwrap_or(i64::MAX);
        let grant = self.copy.grant_id.uuid();
        tx.execute(MARK, params![grant, now.day().number(), crossed.crossing.number(), limit]).await?;
        let line = quota_events::Line {
            event_id: self.quota_event_id,
            application_id: self.copy.application_id,
            grant_id: self.copy.grant_id,
            crossing: crossed.crossing,
            limit_name: LimitField::DailySends.name(),
            counter: *daily,
            is_raised: crossed.is_raised,
            at: now,
        };
        quota_events::announce(tx, &line).await
    }
}
