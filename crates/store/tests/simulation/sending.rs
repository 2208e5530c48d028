//! Sending and handing over: the commands that accept a message, give the queue out and write down what came of it.

use crate::history::{Account, Answer, Fact, Message, What};
use crate::oracle::{Wrong, is_silent};
use crate::script::{self, Wish};
use crate::support::{claim, record, report, trip};
use crate::world::{Pending, Sent, World};
use postfleet_core::EmailAddress;
use postfleet_core::audit::{Actor, ActorKind};
use postfleet_core::bounce::BounceType;
use postfleet_core::delivery::{AfterAttempt, Reason};
use postfleet_core::id::{AuditId, EventId, HoldId, LeaseId, QueueId};
use postfleet_store::holds::{NewHold, Told};
use postfleet_store::messages::MessageFacts;
use postfleet_store::outbound::{Guard, Submit, SubmitOutcome};
use postfleet_store::queue::{self, Claimed, RecordAttempt, Report, SweepStop, TurnBack};
use std::collections::{BTreeMap, BTreeSet};

/// Rows that a worker takes at once.
const TAKEN_AT_ONCE: usize = 400;

/// What one mailbox wants to send now.
pub struct Request {
    pub account: Account,
    pub wish: Wish,
    /// The message in whose conversation it is.
    pub thread: Option<Message>,
}

impl World {
    /// Sends all of it, in this order. Answers the messages that were accepted.
    pub async fn send(&mut self, requests: Vec<Request>) -> Result<Vec<Option<Message>>, Wrong> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Vec::with_capacity(requests.len());
        for request in &requests {
            commands.push(self.submission(request).await);
        }
        let kept: Vec<_> = commands
            .iter()
            .map(|command| (command.copy.message_id, command.facts.date.as_micros(), command.reverse_path.clone()))
            .collect();
        let outcomes = self.run_all(commands).await;
        let mut accepted = Vec::with_capacity(requests.len());
        for ((request, (id, at, return_path)), outcome) in requests.into_iter().zip(kept).zip(outcomes) {
            let Request { account, wish: Wish { to, hops }, thread } = request;
            let message = self.messages.len();
            let answer = match outcome {
                SubmitOutcome::Accepted { suppressed, thread_id, .. } => {
                    self.names.entry(thread_id.to_string()).or_insert(crate::history::Subject::Thread(message));
                    let suppressed: BTreeSet<String> = suppressed.iter().map(|one| one.address.to_string()).collect();
                    Answer::Accepted(to.iter().filter(|to| suppressed.contains(*to)).cloned().collect())
                }
                SubmitOutcome::Refused(problem) => Answer::Refused(problem.code),
                SubmitOutcome::Held(_) => Answer::Held,
                other => return Err(format!("neither sent nor refused: {other:?}")),
            };
            let is_accepted = matches!(answer, Answer::Accepted(_));
            // One that was not accepted leaves its number unused.
            self.by_id.insert(id, message);
            self.messages.push(Sent { id, account, at, return_path, to: to.clone() });
            accepted.push(is_accepted.then_some(message));
            self.fact(Fact::Asked { at, account, message, thread, hops, to, answer })?;
        }
        self.look().await?;
        Ok(accepted)
    }

    async fn submission(&mut self, request: &Request) -> Submit {
        let now = self.now();
        let mailbox = &self.mailboxes[request.account];
        let tenant = self.home(request.account);
        let command = tenant.submission(self.store(), mailbox.id, request.wish.to.len(), now).await;
        let thread_id = request.thread.and_then(|first| self.thread_of(first));
        let path = self.return_paths.make(command.copy.message_id, &tenant.domain, now).expect("a return path");
        let addresses = request.wish.to.iter().map(|to| EmailAddress::parse(to).expect("address"));
        let recipients: Vec<(QueueId, EmailAddress)> =
            command.recipients.iter().map(|(id, _)| *id).zip(addresses).collect();
        let waiting = MessageFacts { folder: "scheduled", unread: false, ..command.facts.clone() };
        let author = Actor { kind: ActorKind::ApiKey, id: "key".into(), name: "agent".into() };
        let told = Told {
            audit_id: AuditId::from_uuid(crate::support::fresh()),
            event_id: EventId::from_uuid(crate::support::fresh()),
            request_id: String::new(),
        };
        let id = HoldId::from_uuid(crate::support::fresh());
        Submit {
            sender: mailbox.email.clone(),
            reverse_path: path,
            recipients,
            thread_id,
            guard: Guard { hops: request.wish.hops, ..Guard::default() },
            hold: Some(NewHold { id, author, waiting, told, trip: trip() }),
            ..command
        }
    }

    fn thread_of(&self, first: Message) -> Option<postfleet_core::id::ThreadId> {
        let is_it = |subject: &crate::history::Subject| *subject == crate::history::Subject::Thread(first);
        let found = self.names.iter().find(|(_, subject)| is_it(subject));
        found.and_then(|(name, _)| name.parse().ok())
    }

    /// Releases what waited behind stops that were lifted.
    async fn sweep(&mut self) {
        while std::mem::take(&mut self.is_lifted) {
            let now = self.now();
            while self.run(SweepStop { now, limit: 1_000 }).await.is_some() {}
        }
    }

    /// Gives the queue out and hands everything over that may leave. `between` happens while a worker has some of it.
    pub async fn deliver(&mut self) -> Result<(), Wrong> {
        self.sweep().await;
        loop {
            let Some((lease, rows)) = self.take().await? else { break };
            let is_all = rows.len() < TAKEN_AT_ONCE / 2;
            let mut messages: Vec<(Message, Vec<Claimed>)> =
                by_message(rows).into_iter().map(|(id, rows)| (self.by_id[&id], rows)).collect();
            // Sometimes a part of it is still in the hands of the worker when something happens.
            let middle = if self.dice.permille(200) { self.dice.below(messages.len()) } else { messages.len() };
            let rest = messages.split_off(middle);
            self.hand_over(lease, messages).await?;
            if !rest.is_empty() {
                self.operate_meanwhile().await?;
                let rest = self.turn_back(lease, rest).await?;
                self.hand_over(lease, rest).await?;
            }
            if is_all {
                break;
            }
        }
        let at = self.now().as_micros();
        self.fact(Fact::Drained { at })
    }

    async fn take(&mut self) -> Result<Option<(LeaseId, Vec<Claimed>)>, Wrong> {
        let now = self.now();
        let command = claim("worker", now, TAKEN_AT_ONCE);
        let lease = command.lease.id;
        let rows = self.run(command).await.rows;
        for row in &rows {
            let (message, to) = (self.by_id[&row.message_id], row.recipient.to_string());
            let suppressed = row.suppressed.is_some();
            self.fact(Fact::Taken { at: now.as_micros(), message, to, suppressed })?;
        }
        Ok((!rows.is_empty()).then_some((lease, rows)))
    }

    /// Turns back whose sender was stopped since it was taken: every hand-over asks before it begins.
    async fn turn_back(
        &mut self,
        lease: LeaseId,
        messages: Vec<(Message, Vec<Claimed>)>,
    ) -> Result<Vec<(Message, Vec<Claimed>)>, Wrong> {
        let mut left = Vec::with_capacity(messages.len());
        for (message, rows) in messages {
            let message_id = self.messages[message].id;
            let stop = {
                let mut reader = self.store().reader().await.expect("reader");
                queue::stop_of(&mut reader, message_id).await.expect("stop")
            };
            if stop.is_none() {
                left.push((message, rows));
                continue;
            }
            let due_at = self.now();
            let ids = rows.iter().map(|row| row.id).collect();
            self.run(TurnBack { message_id, lease, rows: ids, due_at }).await;
            for row in &rows {
                let to = row.recipient.to_string();
                self.fact(Fact::TurnedBack { at: due_at.as_micros(), message, to })?;
            }
        }
        Ok(left)
    }

    async fn hand_over(&mut self, lease: LeaseId, messages: Vec<(Message, Vec<Claimed>)>) -> Result<(), Wrong> {
        if messages.is_empty() {
            return Ok(());
        }
        for (message, rows) in &messages {
            for row in rows.iter().filter(|row| row.suppressed.is_none()) {
                self.fact(Fact::Left { message: *message, to: row.recipient.to_string() })?;
            }
        }
        let mut commands: Vec<RecordAttempt> = Vec::with_capacity(messages.len());
        let mut facts = Vec::new();
        for (message, rows) in messages {
            let now = self.now();
            let accepted_at = self.messages[message].at;
            let mut reports = Vec::with_capacity(rows.len());
            for row in &rows {
                let to = row.recipient.to_string();
                let what = match row.suppressed {
                    Some(_) => What::Suppressed,
                    None => script::attempt(&to, row.attempts, now.as_micros(), accepted_at),
                };
                reports.push(said(row, what));
                if what == What::Delivered {
                    self.expect_reports(message, &to, now.as_micros());
                }
                facts.push(Fact::Outcome { at: now.as_micros(), message, to, what });
            }
            commands.push(record(lease, reports, self.messages[message].id, now));
        }
        for recorded in self.run_all(commands).await {
            assert!(recorded.lost.is_empty(), "{recorded:?}");
        }
        for fact in facts {
            self.fact(fact)?;
        }
        self.look().await
    }

    fn expect_reports(&mut self, message: Message, to: &str, now: i64) {
        for later in script::reports(to, &mut self.dice) {
            let pending = Pending { message, to: to.to_owned(), later };
            self.pending.entry(now + pending.later.after).or_default().push(pending);
        }
    }
}

fn by_message(rows: Vec<Claimed>) -> Vec<(postfleet_core::id::MessageId, Vec<Claimed>)> {
    let mut messages: BTreeMap<_, Vec<Claimed>> = BTreeMap::new();
    for row in rows {
        messages.entry(row.message_id).or_default().push(row);
    }
    messages.into_iter().collect()
}

/// What a worker reports.
fn said(row: &Claimed, what: What) -> Report {
    let reason = |code, status: &str| Reason { code, status: status.into(), text: "said".into() };
    let bounced = |code, status| AfterAttempt::Bounced(reason(code, status));
    let (after, reached, bounce) = match what {
        What::Delivered => (AfterAttempt::Delivered, true, BounceType::General),
        What::Gone => (bounced(550, "5.1.1"), true, BounceType::UnknownUser),
        What::NoDomain => (bounced(0, "5.1.2"), false, BounceType::UnknownDomain),
        What::Disabled => (bounced(550, "5.2.1"), true, BounceType::MailboxDisabled),
        What::Full => (bounced(552, "5.2.2"), true, BounceType::MailboxFull),
        What::Unwanted => (bounced(554, "5.7.1"), true, BounceType::ContentRejected),
        What::Later(due, answered) => {
            (AfterAttempt::RetryAt(postfleet_core::UnixMicros::from_micros(due)), answered, BounceType::Greylisted)
        }
        What::Expired(answered) => (AfterAttempt::Expired(reason(0, "4.4.7")), answered, BounceType::Temporary),
        What::Suppressed => {
            let why = row.suppressed.expect("a suppressed recipient");
            (AfterAttempt::Suppressed(why), false, BounceType::General)
        }
    };
    let sends_feedback = !is_silent(&row.recipient.to_string());
    Report { bounce, sends_feedback, ..report(row, after, reached) }
}
