//! What follows when somebody stands otherwise than before: an event, and for a mailbox that got too bad, its pause.

use super::Subject;
use super::apply::Change;
use crate::db::DbError;
use crate::engine::Tx;
use crate::events::{self, NewEvent};
use crate::send_events::follows_from;
use crate::stops::{self, NewStop, Target};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::id::{AuditId, EventId, GrantId, SendEventId, StopId};
use postfleet_core::reputation::{Rate, Standing, State, SubjectKind, Transition};
use postfleet_core::stop::{Effect, Kind, Scope};
use serde_json::{Value, json};
use uuid::Uuid;

/// Tells it, and pauses a mailbox.
pub(super) async fn what_follows(tx: &mut Tx, change: &Change) -> Result<(), DbError> {
    let Change { subject, transition, standing, outcome } = change;
    // What many share is told to the application whose mail moved it.
    let subject = Subject { application_id: Some(outcome.sent.application_id), ..subject.clone() };
    changed(tx, (&subject, *transition, standing), outcome.id).await?;
    if transition.to == State::Paused && subject.kind() == SubjectKind::Grant {
        pause(tx, change).await?;
    }
    Ok(())
}

/// Tells that somebody stands otherwise.
pub(super) async fn changed(
    tx: &mut Tx,
    (subject, transition, standing): (&Subject, Transition, &Standing),
    cause: SendEventId,
) -> Result<(), DbError> {
    let Some(application_id) = subject.application_id else { return Ok(()) };
    let (grant_id, grant_sequence) = match subject.name.parse::<GrantId>() {
        Ok(grant) if subject.kind() == SubjectKind::Grant => match events::next_sequence(tx, grant).await? {
            Some(sequence) => (grant, sequence),
            None => return Ok(()),
        },
        _ => (GrantId::from_uuid(Uuid::nil()), 0),
    };
    let what = format!("{} {} {}", subject.kind().name(), subject.name, transition.to.name());
    tx.announce(NewEvent {
        id: EventId::from_uuid(follows_from(cause, &what)),
        application_id,
        grant_id,
        grant_sequence,
        trigger: Trigger::ReputationChanged,
        message_id: None,
        data: facts(subject, transition, standing).to_string(),
        at: cause.made_at(),
    });
    Ok(())
}

/// What the event says. What an organization has sent in all is not for one of its applications.
fn facts(subject: &Subject, transition: Transition, standing: &Standing) -> Value {
    let kind = subject.kind();
    let mut facts = json!({
        "object": "reputation",
        "subject_type": kind.name(),
        "subject": subject.name,
        "from": transition.from.name(),
        "state": transition.to.name(),
        "since": standing.since.as_seconds(),
    });
    if kind != SubjectKind::Organization {
        let (numbers, room) = (evidence(standing), standing.head_room(kind, standing.since.day()));
        facts["rates"] = numbers["rates"].clone();
        facts["counts"] = numbers["counts"].clone();
        facts["head_room"] = json!({
            "hard_bounces_until_review": room.bounces_until_review,
            "complaints_until_review": room.complaints_until_review,
            "hard_bounces_until_pause": room.bounces_until_pause,
            "complaints_until_pause": room.complaints_until_pause,
            "recipients_until_pause": room.attempts_until_pause,
            "text": room.in_words(),
        });
    }
    facts
}

/// By what somebody was judged.
fn evidence(standing: &Standing) -> Value {
    let (rates, counts) = (standing.rates(), standing.window.counts());
    let percent = |rate: Rate| rate.per_million() as f64 / 10_000.0;
    let rate = |rate: Rate| json!({"percent": percent(rate), "count": rate.count, "of": rate.of});
    json!({
        "rates": {"hard_bounces": rate(rates.bounces), "complaints": rate(rates.complaints)},
        "counts": {
            "recipients": counts.attempts,
            "recipients_of_feedback_domains": counts.feedback_attempts,
            "hard_bounces": counts.hard_bounces,
            "complaints": counts.complaints,
        },
    })
}

/// Refuses what the mailbox sends, from its next send on, until an operator lifts it.
async fn pause(tx: &mut Tx, change: &Change) -> Result<(), DbError> {
    let Change { standing, outcome, .. } = change;
    let (sent, cause) = (&outcome.sent, outcome.id);
    let act = Act {
        record_id: AuditId::from_uuid(follows_from(cause, "audit of pause")),
        actor: Actor { kind: ActorKind::System, id: String::new(), name: "reputation".to_owned() },
        organization_id: sent.organization_id,
        application_id: Some(sent.application_id),
        request_id: String::new(),
        at: cause.made_at(),
    };
    let stop = NewStop {
        id: StopId::from_uuid(follows_from(cause, "pause")),
        act,
        event_id: EventId::from_uuid(follows_from(cause, "event of pause")),
        kind: Kind::Pause,
        effect: Effect::Refuse,
        target: Target {
            organization: sent.organization_id,
            application: Some(sent.application_id),
            workspace: sent.workspace_id,
            grant: Some(sent.grant_id),
            scope: Scope::Grant,
            subject: sent.grant_id.to_string(),
        },
        reason: why(change.transition, standing),
        evidence: evidence(standing).to_string(),
        reference: None,
        value: None,
    };
    stops::raise(tx, &stop).await?;
    Ok(())
}

fn why(transition: Transition, standing: &Standing) -> String {
    let rates = standing.rates();
    let share = |rate: Rate| format!("{} of {} ({}%)", rate.count, rate.of, rate.per_million() as f64 / 10_000.0);
    let (bounces, complaints) = (share(rates.bounces), share(rates.complaints));
    if rates.pauses() {
        return format!("hard bounces {bounces}, complaints {complaints}: at or above 10% or 0.5%");
    }
    format!(
        "stayed {} for too long: hard bounces {bounces}, complaints {complaints}",
        transition.from.name().replace('_', " ")
    )
}
