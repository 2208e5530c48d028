//! One attempt at one destination, and writing down what came of it.

use super::route::Server;
use super::{Message, label, notice, protection};
use crate::platform::Platform;
use crate::receive::{self, Arrival, Offer, shard};
use crate::stops::Pass;
use postfleet_core::audit::Act;
use postfleet_core::bounce::BounceType;
use postfleet_core::delivery::{AfterAttempt, AttemptResult, Reason, after_attempt};
use postfleet_core::destination::Sign;
use postfleet_core::id::{AttemptId, EventId, LeaseId, MessageId};
use postfleet_core::retry::class_of;
use postfleet_core::simulator::{self, Behaviour};
use postfleet_core::{Domain, EmailAddress, Problem, ReversePath, UnixMicros};
use postfleet_mail::bounce_class;
use postfleet_mail::trace::Protocol;
use postfleet_net::mx_transport::{HandedOver, MaySend};
use postfleet_store::queue::{Answer, Attempted, Claimed, News, RecordAttempt, Report};
use postfleet_store::{Command, StoreError};
use postfleet_trace::{Empty, Instrument, Span, child, count};
use postfleet_wire::smtp::client::{RecipientOutcome, RecipientResult, Transaction};
use postfleet_wire::smtp::problem::receiving_reply_for;
use postfleet_wire::smtp::reply::{Reply, Severity};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Characters of another server's text that are kept.
const REPLY_CHARS_MAX: usize = 500;

/// How often, and how long after each other, something is written while the database cannot be reached.
const WRITE_TRIES: u32 = 60;
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// What an attempt brought: at each server that was asked, and for each recipient.
pub(super) struct Tried {
    /// The servers asked, in order; the last one's answers are the results.
    visits: Vec<Visit>,
}

/// What one server said.
struct Visit {
    id: AttemptId,
    server: String,
    address: String,
    tls: String,
    duration: i64,
    answers: Vec<Said>,
}

/// What was said to one recipient, and what it means.
#[derive(Clone)]
struct Said {
    result: AttemptResult,
    code: u16,
    status: String,
    lines: Vec<String>,
}

impl Said {
    fn of(result: AttemptResult) -> Self {
        match &result {
            AttemptResult::Accepted => Self { result, code: 250, status: String::new(), lines: Vec::new() },
            AttemptResult::Transient { reason, .. } | AttemptResult::Permanent { reason, .. } => {
                let Reason { code, status, text } = reason.clone();
                Self { result, code, status, lines: vec![text] }
            }
        }
    }

    fn is_alike(&self, other: &Self) -> bool {
        (self.code, &self.status, &self.lines) == (other.code, &other.status, &other.lines)
            && label(&self.result) == label(&other.result)
    }
}

impl Tried {
    fn at_nowhere(platform: &Platform, began: UnixMicros, server: &str, answers: Vec<Said>) -> Self {
        let (server, address, tls) = (server.to_owned(), String::new(), String::new());
        Self { visits: vec![Visit { id: attempt_id(platform, began), server, address, tls, duration: 0, answers }] }
    }

    /// One for each recipient.
    pub(super) fn results(&self) -> Vec<AttemptResult> {
        self.visits.last().into_iter().flat_map(|visit| &visit.answers).map(|said| said.result.clone()).collect()
    }
}

fn attempt_id(platform: &Platform, began: UnixMicros) -> AttemptId {
    AttemptId::new(began, platform.entropy.ten())
}

/// There is no way to the destination.
pub(super) fn nowhere(platform: &Platform, rows: &[&Claimed], result: &AttemptResult) -> Tried {
    Tried::at_nowhere(platform, platform.clock.now(), "", vec![Said::of(result.clone()); rows.len()])
}

/// What the attempt says about the destination as a whole, if that is to be remembered.
pub(super) fn news(
    platform: &Platform,
    domain: &Domain,
    sign: Sign,
    is_probe: bool,
    began: UnixMicros,
    tried: &Tried,
) -> Option<News> {
    let destination = domain.as_str().to_owned();
    if sign != Sign::Down {
        return is_probe.then_some(News::Up { destination });
    }
    let said = tried.visits.last().and_then(|visit| visit.answers.first());
    let reply = said.map(|said| said.lines.join(" ")).unwrap_or_default();
    Some(News::Down { destination, began, reply, jitter: platform.entropy.ten()[0] })
}

/// Does with it what the simulator does with mail to such recipients.
pub(super) fn simulated(platform: &Platform, rows: &[&Claimed]) -> Tried {
    let answer = |row: &&Claimed| match simulator::behaviour(&row.recipient) {
        Behaviour::Deliver | Behaviour::Complaint => Said::of(AttemptResult::Accepted),
        Behaviour::Bounce => {
            let reason = Reason { code: 550, status: "5.1.1".into(), text: "no such user".into() };
            Said::of(AttemptResult::Permanent { reason, reached: true })
        }
    };
    Tried::at_nowhere(platform, platform.clock.now(), simulator::DOMAIN, rows.iter().map(answer).collect())
}

/// Hands the message to mailboxes here, by the way that all received mail goes.
pub(super) async fn here(platform: &Platform, message: &Message, rows: &[&Claimed]) -> Tried {
    let began = platform.clock.now();
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
        results.push(Said::of(match offered(platform, &row.recipient, arrival).await {
            Ok(_) => AttemptResult::Accepted,
            Err(problem) => refused_here(&problem),
        }));
    }
    Tried::at_nowhere(platform, began, platform.settings.hostname.as_str(), results)
}

/// As another server would: first the envelope, then the message.
async fn offered(platform: &Platform, recipient: &EmailAddress, arrival: Arrival) -> Result<String, Problem> {
    let declared_octets = Some(arrival.message.len() as u64);
    let offer = Offer { reverse_path: &arrival.reverse_path, declared_octets, ip: None };
    receive::recipient(platform, &offer, recipient).await?;
    receive::receive(platform, arrival).await
}

fn whole(message: &Message) -> Vec<u8> {
    message.signature.iter().chain([&message.raw]).flat_map(|piece| piece.iter().copied()).collect()
}

/// What another server would be told.
fn refused_here(problem: &Problem) -> AttemptResult {
    let reply = receiving_reply_for(problem);
    let status = reply.enhanced().map(|status| status.to_string()).unwrap_or_default();
    let reason = Reason { code: reply.code(), status, text: problem.public.clone() };
    match reply.severity() {
        Severity::Transient => AttemptResult::Transient { reason, reached: false, ambiguous: false },
        _ => AttemptResult::Permanent { reason, reached: true },
    }
}

/// Tries the servers of a destination in turn, until one has answered. `None` if the message may not leave any more, and
/// nothing of it has.
pub(super) async fn servers(
    platform: &Platform,
    message: &Message,
    rows: &[&Claimed],
    servers: &[Server],
    pass: Pass,
) -> Option<Tried> {
    let stops = platform.stops.clone();
    let may_send: MaySend = Arc::new(move || stops.still_lets(pass));
    // An attempt must end before its lease does, so late in the lease no further server is begun with.
    let last_begin = platform.clock.now().plus(platform.settings.lease / 2);
    let mut tried = Tried { visits: Vec::new() };
    for server in servers {
        let began = platform.clock.now();
        let Server { target, protection } = server;
        let recipients = count(rows.len());
        let span = child!("smtp.exchange", otel.kind = "client", recipients, accepted = Empty, encrypted = Empty);
        let exchange = platform.transport.deliver_if(target, transaction(message, rows), &may_send);
        let handed_over = exchange.instrument(span.clone()).await;
        note(&span, &handed_over);
        if handed_over.withheld {
            return None;
        }
        let name = (target.host_name.as_str(), target.address.ip());
        let unprotected = protection::observe(platform, name, protection, &handed_over, platform.clock.now());
        let nobody_answered = handed_over
            .recipients
            .iter()
            .all(|outcome| matches!(outcome.result, RecipientResult::Lost { ambiguous: false, .. }));
        tried.visits.push(Visit {
            id: attempt_id(platform, began),
            server: target.host_name.clone(),
            address: target.address.to_string(),
            tls: handed_over.encryption.unwrap_or_default(),
            duration: platform.clock.now().since(began).as_micros() as i64,
            answers: handed_over.recipients.into_iter().map(|outcome| said(outcome, unprotected.as_ref())).collect(),
        });
        if !nobody_answered || platform.clock.now() >= last_begin {
            break;
        }
        if !platform.stops.still_lets(pass) {
            return None;
        }
    }
    Some(tried)
}

/// What a span says of an exchange.
fn note(span: &Span, handed_over: &HandedOver) {
    let is_accepted = |outcome: &&RecipientOutcome| matches!(outcome.result, RecipientResult::Accepted(_));
    if !span.is_disabled() {
        span.record("accepted", count(handed_over.recipients.iter().filter(is_accepted).count()));
        span.record("encrypted", handed_over.encryption.is_some());
    }
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

/// What was said. `unprotected` says why there was no connection, if the protection of the message is the reason.
fn said(outcome: RecipientOutcome, unprotected: Option<&Reason>) -> Said {
    let (result, reply) = match outcome.result {
        RecipientResult::Accepted(reply) => (AttemptResult::Accepted, reply),
        RecipientResult::Transient(reply) => {
            let reason = reason(&reply, "4.0.0");
            (AttemptResult::Transient { reason, reached: true, ambiguous: false }, reply)
        }
        RecipientResult::Permanent(reply) => {
            (AttemptResult::Permanent { reason: reason(&reply, "5.0.0"), reached: true }, reply)
        }
        RecipientResult::Lost { ambiguous, cause, reply, .. } => {
            let lost = || {
                let code = reply.map_or(0, |reply| reply.code());
                Reason { code, status: "4.4.2".into(), text: bounded(&cause) }
            };
            let reason = unprotected.map_or_else(lost, |why| Reason { text: bounded(&why.text), ..why.clone() });
            return Said::of(AttemptResult::Transient { reason, reached: ambiguous, ambiguous });
        }
    };
    let status = reply.enhanced().map(|status| status.to_string()).unwrap_or_default();
    Said { result, code: reply.code(), status, lines: reply.text().split('\n').map(bounded).collect() }
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
    lease: LeaseId,
    rows: &[&Claimed],
    tried: Tried,
    news: Option<News>,
) -> Result<(), Problem> {
    let now = platform.clock.now();
    // One for all, so that those who are put off together come again together.
    let jitter = platform.entropy.ten()[0];
    let reports: Vec<Report> = rows
        .iter()
        .zip(tried.results())
        .map(|(row, result)| {
            platform.metrics.attempted(label(&result));
            let after = after_attempt(&result, row.attempts + 1, message.queued_at, now, jitter);
            report(platform, row, &result, after)
        })
        .collect();
    let attempts = shown(platform, &tried, &reports);
    write(platform, message, lease, reports, Told { attempts, news, by: None }).await
}

/// Writes down what somebody has decided about recipients, without having asked a server.
pub(super) async fn record_decision(
    platform: &Platform,
    message: &Message,
    lease: LeaseId,
    rows: Vec<(Claimed, AfterAttempt)>,
    by: Option<Act>,
) -> Result<(), Problem> {
    let now = platform.clock.now();
    let mut answers = Vec::with_capacity(rows.len());
    let mut reports = Vec::with_capacity(rows.len());
    for (row, after) in rows {
        let nothing = || Reason { code: 0, status: String::new(), text: String::new() };
        let reason = after.failure().unwrap_or_else(nothing);
        let result = AttemptResult::Permanent { reason, reached: false };
        reports.push(report(platform, &row, &result, after));
        answers.push(Said::of(result));
    }
    let attempts = shown(platform, &Tried::at_nowhere(platform, now, "", answers), &reports);
    write(platform, message, lease, reports, Told { attempts, news: None, by }).await
}

/// What is written down beside the reports.
struct Told {
    attempts: Vec<Attempted>,
    news: Option<News>,
    by: Option<Act>,
}

async fn write(
    platform: &Platform,
    message: &Message,
    lease: LeaseId,
    reports: Vec<Report>,
    told: Told,
) -> Result<(), Problem> {
    let Told { attempts, news, by } = told;
    let (message_id, now) = (message.id, platform.clock.now());
    let notice = notice::build(platform, message, &reports, now).await?;
    let kept = message.signature.as_ref().filter(|_| message.is_newly_signed);
    let signature = kept.map(|signature| signature.to_vec());
    let suppressed_until = platform.settings.suppressed_until(now);
    let command =
        RecordAttempt { message_id, lease, signature, reports, attempts, news, suppressed_until, by, notice, at: now };
    let recorded = insist(platform, shard(message.grant_id.uuid()), message_id, command).await?;
    if !recorded.lost.is_empty() {
        tracing::warn!(message.id = %message_id, rows = recorded.lost.len(), "lease had ended before the attempt did");
    }
    Ok(())
}

/// What was tried, for people who ask: one entry for each server and destination, recipients with the same answer
/// together.
fn shown(platform: &Platform, tried: &Tried, reports: &[Report]) -> Vec<Attempted> {
    let destination = reports.first().map(|report| report.recipient.domain().as_str().to_owned()).unwrap_or_default();
    let last = tried.visits.len().saturating_sub(1);
    let visits = tried.visits.iter().enumerate();
    let attempted = |(index, visit): (usize, &Visit)| Attempted {
        id: visit.id,
        destination: destination.clone(),
        node: platform.settings.node.clone(),
        server: visit.server.clone(),
        address: visit.address.clone(),
        tls: visit.tls.clone(),
        duration: visit.duration,
        answers: answers(visit, reports, index == last),
    };
    visits.map(attempted).collect()
}

fn answers(visit: &Visit, reports: &[Report], is_last: bool) -> Vec<Answer> {
    let mut answers: Vec<(&Said, Answer)> = Vec::new();
    for (said, report) in visit.answers.iter().zip(reports) {
        let recipient = report.recipient.to_string();
        let (next, next_at) = if is_last { next(&report.after) } else { ("", None) };
        match answers.iter_mut().find(|(other, answer)| other.is_alike(said) && answer.next == next) {
            Some((_, answer)) => answer.recipients.push(recipient),
            None => answers.push((said, answer(said, recipient, is_last, next, next_at))),
        }
    }
    answers.into_iter().map(|(_, answer)| answer).collect()
}

fn answer(said: &Said, recipient: String, is_last: bool, next: &str, next_at: Option<i64>) -> Answer {
    let class = match &said.result {
        AttemptResult::Transient { reason, .. } => class_of(reason).name(),
        _ => "",
    };
    Answer {
        recipients: vec![recipient],
        result: if is_last { label(&said.result) } else { "passed_over" }.to_owned(),
        class: class.to_owned(),
        code: said.code,
        status: said.status.clone(),
        lines: said.lines.clone(),
        next: next.to_owned(),
        next_at,
    }
}

fn next(after: &AfterAttempt) -> (&'static str, Option<i64>) {
    match after {
        AfterAttempt::Delivered => ("delivered", None),
        AfterAttempt::RetryAt(at) => ("retry", Some(at.as_micros())),
        AfterAttempt::Bounced(_) => ("bounced", None),
        AfterAttempt::Expired(_) => ("expired", None),
        AfterAttempt::Suppressed(_) => ("suppressed", None),
    }
}

/// Writes down what became of a message, also if the database is away for a moment: what was found out on the wire is known
/// to nobody else, and forgetting it sends the message again.
pub(super) async fn insist<C: Command + Clone>(
    platform: &Platform,
    shard: u64,
    message: MessageId,
    command: C,
) -> Result<C::Outcome, Problem> {
    for _ in 1..WRITE_TRIES {
        match platform.store.run_near(shard, command.clone()).await {
            Err(StoreError::Unreachable(cause)) => {
                tracing::warn!(message.id = %message, cause, "failed to write down what became of a message, trying again");
                platform.clock.sleep_until(platform.clock.now().plus(WRITE_AGAIN)).await;
            }
            outcome => return Ok(outcome?),
        }
    }
    Ok(platform.store.run_near(shard, command).await?)
}

fn report(platform: &Platform, row: &Claimed, result: &AttemptResult, after: AfterAttempt) -> Report {
    let (reached, ambiguous, reply) = match result {
        AttemptResult::Accepted => (true, false, String::new()),
        AttemptResult::Transient { reason, reached, ambiguous } => (*reached, *ambiguous, reason.to_string()),
        AttemptResult::Permanent { reason, reached } => (*reached, false, reason.to_string()),
    };
    let event_id = EventId::new(platform.clock.now(), platform.entropy.ten());
    let bounce = bounce(result);
    let sends_feedback = platform.settings.sends_feedback(row.recipient.domain());
    let recipient = row.recipient.clone();
    Report { id: row.id, recipient, after, reached, ambiguous, reply, bounce, sends_feedback, event_id }
}

/// What a failure says about the address, should it be the last word.
fn bounce(result: &AttemptResult) -> BounceType {
    match result {
        AttemptResult::Accepted => BounceType::Undetermined,
        AttemptResult::Transient { reason, .. } | AttemptResult::Permanent { reason, .. } => {
            bounce_class::classify(reason.code, &reason.status, &reason.text)
        }
    }
}
