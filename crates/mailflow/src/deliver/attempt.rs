//! One attempt at one destination, and writing down what came of it.

use super::route::Server;
use super::{Message, label, notice};
use crate::platform::Platform;
use crate::receive::{self, Arrival, shard};
use postfleet_core::delivery::{AfterAttempt, AttemptResult, Reason, after_attempt};
use postfleet_core::id::{EventId, LeaseId, MessageId};
use postfleet_core::{EmailAddress, Problem, ProblemKind, ReversePath};
use postfleet_mail::bounce_class;
use postfleet_mail::trace::Protocol;
use postfleet_net::mx_transport::Target;
use postfleet_store::StoreError;
use postfleet_store::queue::{Claimed, RecordAttempt, Recorded, Report};
use postfleet_wire::smtp::client::{RecipientOutcome, RecipientResult, TlsPolicy, Transaction};
use postfleet_wire::smtp::reply::Reply;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Characters of another server's text that are kept.
const REPLY_CHARS_MAX: usize = 500;

/// How often, and how long after each other, a record is written while the database cannot be reached.
const RECORD_TRIES: u32 = 60;
const RECORD_AGAIN: Duration = Duration::from_secs(1);

/// Hands the message to mailboxes here, by the way that all received mail goes.
pub(super) async fn here(platform: &Platform, message: &Message, rows: &[&Claimed]) -> Vec<AttemptResult> {
    let mut results = Vec::with_capacity(rows.len());
    for row in rows {
        let arrival = Arrival {
            reverse_path: ReversePath::Mailbox(message.reverse_path.clone()),
            recipients: vec![row.recipient.clone()],
            helo: platform.settings.hostname.to_string(),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            protocol: Protocol { is_extended: true, is_authenticated: true, ..Protocol::default() },
            message: whole(message),
        };
        results.push(match receive::receive(platform, arrival).await {
            Ok(_) => AttemptResult::Accepted,
            Err(problem) => refused_here(&problem),
        });
    }
    results
}

fn whole(message: &Message) -> Vec<u8> {
    message.signature.iter().chain([&message.raw]).flat_map(|piece| piece.iter().copied()).collect()
}

fn refused_here(problem: &Problem) -> AttemptResult {
    let reason = |code, status: &str| Reason { code, status: status.to_owned(), text: problem.public.clone() };
    match problem.kind {
        ProblemKind::NotFound => AttemptResult::Permanent { reason: reason(550, "5.1.1"), reached: true },
        kind if kind.is_retryable() => {
            AttemptResult::Transient { reason: reason(451, "4.3.0"), reached: false, ambiguous: false }
        }
        ProblemKind::TooLarge => AttemptResult::Permanent { reason: reason(552, "5.3.4"), reached: true },
        ProblemKind::Forbidden => AttemptResult::Permanent { reason: reason(550, "5.7.1"), reached: true },
        _ => AttemptResult::Permanent { reason: reason(554, "5.6.0"), reached: true },
    }
}

/// Tries the servers of a destination in turn, until one has answered.
pub(super) async fn servers(
    platform: &Platform,
    message: &Message,
    rows: &[&Claimed],
    servers: &[Server],
) -> Vec<AttemptResult> {
    // An attempt must end before its lease does, so late in the lease no further server is begun with.
    let last_begin = platform.clock.now().plus(platform.settings.lease / 2);
    let mut results = Vec::new();
    for server in servers {
        let target = Target { address: server.address, host_name: server.name.clone(), tls: TlsPolicy::Opportunistic };
        let outcomes = platform.transport.deliver(&target, transaction(message, rows)).await;
        let nobody_answered =
            outcomes.iter().all(|outcome| matches!(outcome.result, RecipientResult::Lost { ambiguous: false, .. }));
        results = outcomes.into_iter().map(result).collect();
        if !nobody_answered || platform.clock.now() >= last_begin {
            break;
        }
    }
    results
}

fn transaction(message: &Message, rows: &[&Claimed]) -> Transaction {
    let recipients: Vec<EmailAddress> = rows.iter().map(|row| row.recipient.clone()).collect();
    Transaction {
        reverse_path: ReversePath::Mailbox(message.reverse_path.clone()),
        recipients,
        message: message.signature.iter().chain([&message.raw]).cloned().collect(),
        smtputf8: false,
        eight_bit: !message.raw.is_ascii(),
    }
}

fn result(outcome: RecipientOutcome) -> AttemptResult {
    match outcome.result {
        RecipientResult::Accepted(_) => AttemptResult::Accepted,
        RecipientResult::Transient(reply) => {
            AttemptResult::Transient { reason: reason(&reply, "4.0.0"), reached: true, ambiguous: false }
        }
        RecipientResult::Permanent(reply) => {
            AttemptResult::Permanent { reason: reason(&reply, "5.0.0"), reached: true }
        }
        RecipientResult::Lost { during, ambiguous, cause } => {
            let text = bounded(&format!("{during}: {cause}"));
            let reason = Reason { code: 0, status: "4.4.2".into(), text };
            AttemptResult::Transient { reason, reached: ambiguous, ambiguous }
        }
    }
}

fn reason(reply: &Reply, status: &str) -> Reason {
    let status = reply.enhanced().map_or_else(|| status.to_owned(), |enhanced| enhanced.to_string());
    Reason { code: reply.code(), status, text: bounded(reply.text()) }
}

fn bounded(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(REPLY_CHARS_MAX).collect()
}

/// Decides what follows for every recipient and writes it down, with the notice to the sender if any failed for good.
pub(super) async fn record(
    platform: &Platform,
    message: &Message,
    message_id: MessageId,
    lease: LeaseId,
    rows: &[&Claimed],
    results: Vec<AttemptResult>,
) -> Result<(), Problem> {
    let now = platform.clock.now();
    let reports: Vec<Report> = rows
        .iter()
        .zip(&results)
        .map(|(row, result)| {
            platform.metrics.attempted(label(result));
            let jitter = platform.entropy.ten()[0];
            let after = after_attempt(result, row.attempts + 1, message.queued_at, now, jitter);
            report(platform, row, result, after)
        })
        .collect();
    let notice = notice::build(platform, message, &reports, now).await?;
    let kept = message.signature.as_ref().filter(|_| message.is_newly_signed);
    let signature = kept.map(|signature| signature.to_vec());
    let command = RecordAttempt { message_id, lease, signature, reports, notice, at: now };
    let recorded = write_down(platform, shard(message.grant_id.uuid()), command).await?;
    if !recorded.lost.is_empty() {
        tracing::warn!(message.id = %message_id, rows = recorded.lost.len(), "lease had ended before the attempt did");
    }
    Ok(())
}

/// Writes a record, also if the database is away for a moment: what was found out on the wire is known to nobody else,
/// and forgetting it sends the message again.
async fn write_down(platform: &Platform, shard: u64, command: RecordAttempt) -> Result<Recorded, Problem> {
    for _ in 1..RECORD_TRIES {
        match platform.store.run_near(shard, command.clone()).await {
            Err(StoreError::Unreachable(cause)) => {
                tracing::warn!(message.id = %command.message_id, cause, "failed to record an attempt, trying again");
                platform.clock.sleep_until(platform.clock.now().plus(RECORD_AGAIN)).await;
            }
            recorded => return Ok(recorded?),
        }
    }
    Ok(platform.store.run_near(shard, command).await?)
}

fn report(platform: &Platform, row: &Claimed, result: &AttemptResult, after: AfterAttempt) -> Report {
    let (reached, ambiguous, reply) = match result {
        AttemptResult::Accepted => (true, false, String::new()),
        AttemptResult::Transient { reason, reached, ambiguous } => (*reached, *ambiguous, said(reason)),
        AttemptResult::Permanent { reason, reached } => (*reached, false, said(reason)),
    };
    let event_id = EventId::new(platform.clock.now(), platform.entropy.ten());
    let is_dead = says_nobody_is_there(result);
    Report { id: row.id, recipient: row.recipient.clone(), after, reached, ambiguous, reply, is_dead, event_id }
}

/// Whether a failure is about the address, and not about this message or its sender.
fn says_nobody_is_there(result: &AttemptResult) -> bool {
    use bounce_class::{BounceClass::Hard, HardKind};
    let AttemptResult::Permanent { reason, .. } = result else { return false };
    let class = bounce_class::classify(reason.code, &reason.status, &reason.text);
    matches!(class, Hard(HardKind::UnknownAddress | HardKind::UnknownDomain | HardKind::Disabled))
}

fn said(reason: &Reason) -> String {
    format!("{} {} {}", reason.code, reason.status, reason.text)
}
