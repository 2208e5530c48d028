//! The whole life of a message: where each recipient stands and why, what was tried, what rules said, what people did.

use crate::platform::Platform;
use postfleet_core::id::{ApplicationId, GrantId, MessageId};
use postfleet_core::retry::DELIVERY_HORIZON;
use postfleet_core::{Problem, UnixMicros};
use postfleet_fleet::{audit, evaluations};
use postfleet_schema::queue::{DeliveryAnswer, DeliveryAttempt, MessageLife, QueueRecipient};
use postfleet_store::Reader;
use postfleet_store::audit::Of;
use postfleet_store::organizations::Scope;
use postfleet_store::queue::{self, Answer, AttemptRecord, Destination, QueuedRecipient, State};
use std::collections::BTreeMap;

/// Attempts, evaluations and changes that are shown.
const ATTEMPTS_MAX: usize = 500;
const EVALUATIONS_MAX: usize = 20;
const CHANGES_MAX: usize = 100;

/// Everything that is known of a message that an application has sent, also after it has left the queue.
pub async fn life(platform: &Platform, application: ApplicationId, message: MessageId) -> Result<MessageLife, Problem> {
    let mut reader = platform.store.reader().await?;
    let queued = queue::find(&mut reader, application, message).await?;
    let attempts = queue::attempts(&mut reader, application, message, None, ATTEMPTS_MAX).await?;
    let Some(grant_id) = queued.as_ref().map(|queued| queued.grant_id).or(attempts.first().map(|first| first.grant_id))
    else {
        return Err(Problem::not_found());
    };
    let open = match queued {
        Some(_) => queue::recipients(&mut reader, message).await?,
        None => Vec::new(),
    };
    let destinations = destinations(&mut reader, &open).await?;
    drop(reader);
    let now = platform.clock.now();
    let mut recipients: Vec<QueueRecipient> =
        open.iter().map(|recipient| waiting(recipient, destinations.get(&recipient.destination), now)).collect();
    recipients.extend(settled(&attempts, &open));
    Ok(MessageLife {
        id: message.to_string(),
        grant_id: grant_id.to_string(),
        state: queued.as_ref().map_or("done", |queued| queued.state.name()).to_owned(),
        from: queued.as_ref().map(|queued| queued.from.clone()),
        queued_at: queued.as_ref().map(|queued| queued.queued_at.as_seconds()),
        expires_at: queued.as_ref().map(|queued| queued.queued_at.plus(DELIVERY_HORIZON).as_seconds()),
        next_attempt_at: queued.as_ref().and_then(|queued| queued.due_at).map(|due| due.as_seconds()),
        route: queued.and_then(|queued| queued.route),
        recipients,
        attempts: attempts.iter().map(show).collect(),
        evaluations: said(platform, grant_id, message).await?,
        changes: changes(platform, application, message).await?,
    })
}

async fn said(
    platform: &Platform,
    grant: GrantId,
    message: MessageId,
) -> Result<Vec<postfleet_schema::evaluation::RuleEvaluation>, Problem> {
    let message = message.to_string();
    Ok(evaluations::list(&platform.store, grant, Some(&message), EVALUATIONS_MAX, None).await?.0)
}

async fn changes(
    platform: &Platform,
    application: ApplicationId,
    message: MessageId,
) -> Result<Vec<postfleet_schema::audit::AuditRecord>, Problem> {
    let filter = audit::Filter { target_id: Some(message.to_string()), ..audit::Filter::default() };
    let page = audit::list(&platform.store, Of::Application(application), &filter, CHANGES_MAX, None).await?;
    Ok(page.items.into_iter().map(audit::show).collect())
}

/// What is known of the destinations of those that wait.
async fn destinations(
    reader: &mut Reader<'_>,
    open: &[QueuedRecipient],
) -> Result<BTreeMap<String, Destination>, Problem> {
    let mut known = BTreeMap::new();
    for recipient in open {
        if !known.contains_key(&recipient.destination)
            && let Some(found) = queue::destination(reader, Scope::All, &recipient.destination).await?
        {
            known.insert(recipient.destination.clone(), found);
        }
    }
    Ok(known)
}

fn waiting(recipient: &QueuedRecipient, destination: Option<&Destination>, now: UnixMicros) -> QueueRecipient {
    // What waits behind its destination is tried at the destination's turn.
    let turn = destination.and_then(|destination| destination.turn_at);
    let next = match recipient.state {
        State::Waiting => recipient.due_at.and(turn.map(|turn| turn.max(recipient.due_at.unwrap_or(turn)))),
        // When that is, is for whoever lifts the stop.
        State::Stopped => None,
        _ => recipient.due_at,
    };
    QueueRecipient {
        email: recipient.recipient.clone(),
        destination: recipient.destination.clone(),
        state: recipient.state.name().to_owned(),
        why: why(recipient, destination, next, now),
        priority: Some(recipient.priority.name().to_owned()),
        attempts: recipient.attempts,
        next_attempt_at: next.map(|next| next.as_seconds()),
        ambiguous: recipient.is_ambiguous,
        last_reply: recipient.last_reply.clone(),
        stop_id: recipient.stop_id.map(|id| id.to_string()),
    }
}

fn why(
    recipient: &QueuedRecipient,
    destination: Option<&Destination>,
    next: Option<UnixMicros>,
    now: UnixMicros,
) -> String {
    let name = &recipient.destination;
    let last = |reply: &Option<String>| reply.as_deref().map(|reply| format!(": {reply}")).unwrap_or_default();
    let wait = next.map_or(0, |next| next.since(now).as_secs());
    match recipient.state {
        State::Paused => "somebody has paused it".to_owned(),
        State::Stopped => "sending of the mailbox is stopped; stop_id says by what".to_owned(),
        State::Sending => format!("it is being attempted; if that does not end well, again in {wait} s at the latest"),
        State::Waiting => match destination {
            Some(destination) if destination.is_paused => format!("an operator has paused {name}"),
            Some(destination) if destination.failures > 0 => {
                let (failures, reply) = (destination.failures, last(&destination.last_reply));
                format!("{name} does not answer ({failures} in a row{reply}); it is tried again in {wait} s")
            }
            _ => format!("{name} is given no more at once than it takes; this waits for its turn"),
        },
        State::Deferred => format!("put off{}; it is tried again in {wait} s", last(&recipient.last_reply)),
        State::Queued => "it was accepted and waits for the first attempt".to_owned(),
    }
}

/// What became of recipients that are not in the queue any more, by the last thing that was said of each.
fn settled(attempts: &[AttemptRecord], open: &[QueuedRecipient]) -> Vec<QueueRecipient> {
    let mut order: Vec<&str> = Vec::new();
    let mut last: BTreeMap<&str, (u64, &AttemptRecord, &Answer)> = BTreeMap::new();
    for record in attempts {
        for answer in record.attempt.answers.iter().filter(|answer| !answer.next.is_empty()) {
            for recipient in &answer.recipients {
                let entry = last.entry(recipient).or_insert_with(|| {
                    order.push(recipient);
                    (0, record, answer)
                });
                *entry = (entry.0 + 1, record, answer);
            }
        }
    }
    let is_open = |email: &str| open.iter().any(|recipient| recipient.recipient == email);
    let gone = order.into_iter().filter(|email| !is_open(email));
    let settled = |email| {
        let (count, record, answer) = last.get(email)?;
        Some(QueueRecipient { ambiguous: was_ambiguous(attempts, email), ..outcome(email, *count, record, answer) })
    };
    gone.filter_map(settled).collect()
}

/// Whether a server may have taken the message for a recipient without saying so, in any attempt.
fn was_ambiguous(attempts: &[AttemptRecord], email: &str) -> bool {
    let answers = attempts.iter().flat_map(|record| &record.attempt.answers);
    answers.into_iter().any(|answer| answer.result == "ambiguous" && answer.recipients.iter().any(|one| one == email))
}

fn outcome(email: &str, attempts: u64, record: &AttemptRecord, answer: &Answer) -> QueueRecipient {
    let said = answer.lines.join(" ");
    let why = match answer.next.as_str() {
        "delivered" if record.attempt.server.is_empty() => "it was delivered".to_owned(),
        "delivered" => format!("{} took it", record.attempt.server),
        "expired" => format!("it was given up after five days: {said}"),
        "suppressed" => said.clone(),
        _ => format!("it was refused or given up: {said}"),
    };
    let last_reply = [
        (answer.code > 0).then(|| answer.code.to_string()),
        (!answer.status.is_empty()).then(|| answer.status.clone()),
        (!said.is_empty()).then_some(said),
    ];
    let last_reply: Vec<String> = last_reply.into_iter().flatten().collect();
    QueueRecipient {
        email: email.to_owned(),
        destination: record.attempt.destination.clone(),
        state: answer.next.clone(),
        why,
        priority: None,
        attempts,
        next_attempt_at: None,
        ambiguous: false,
        last_reply: (!last_reply.is_empty()).then(|| last_reply.join(" ")),
        stop_id: None,
    }
}

fn show(record: &AttemptRecord) -> DeliveryAttempt {
    let attempt = &record.attempt;
    DeliveryAttempt {
        id: attempt.id.to_string(),
        at: attempt.id.made_at().as_seconds(),
        destination: attempt.destination.clone(),
        node: attempt.node.clone(),
        server: attempt.server.clone(),
        address: attempt.address.clone(),
        tls: (!attempt.tls.is_empty()).then(|| attempt.tls.clone()),
        duration_ms: attempt.duration / 1_000,
        answers: attempt.answers.iter().map(show_answer).collect(),
    }
}

fn show_answer(answer: &Answer) -> DeliveryAnswer {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    DeliveryAnswer {
        recipients: answer.recipients.clone(),
        result: answer.result.clone(),
        class: some(&answer.class),
        code: (answer.code > 0).then_some(answer.code),
        status: some(&answer.status),
        reply_lines: answer.lines.clone(),
        next: some(&answer.next),
        next_attempt_at: answer.next_at.map(|at| UnixMicros::from_micros(at).as_seconds()),
    }
}
