//! Accepting a message for sending: quota, sent copy, queue rows and event, in one transaction.

use crate::blobs::{self, PreparedBlob};
use crate::db::DbError;
use crate::drafts::{self, CreateDraft, CreateOutcome, FromDraft, Held};
use crate::engine::{Command, Tx};
use crate::evaluations::{self, Evaluation, Stage};
use crate::events::{self, NewEvent};
use crate::idempotency::{self, Earlier, Once};
use crate::judging::{self, Scope};
use crate::limits;
use crate::messages::{self, MailboxCopy, MessageFacts};
use crate::params;
use crate::rates::{self, Senders, Shares};
use crate::schedules::{self, NewSchedule};
use crate::suppressions;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{EvaluationId, EventId, KeyId, LeaseId, MessageId, QueueId, ScheduleId, ThreadId};
use postfleet_core::outbound::{ALL_SUPPRESSED, ClearedToSend, OutboundFacts, Priority, decide, priority};
use postfleet_core::quota::Allowance;
use postfleet_core::rate::{Scope as RateScope, SendRates};
use postfleet_core::rule::{Direction, Input, Judgement, OutboundType, Placement, Verdict, place};
use postfleet_core::suppression::{Suppressed, Undeliverable};
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, UnixMicros, UtcDay};
use serde_json::{Value, json};

/// Accepts a message for sending, or refuses it. The only command that inserts into the queue.
#[derive(Clone, Debug)]
pub struct Submit {
    /// The message as recipients get it, but for the signature.
    pub blob: PreparedBlob,
    /// What it is.
    pub facts: MessageFacts,
    /// The sender's own copy.
    pub copy: MailboxCopy,
    /// The thread of the message that it answers, if it was named.
    pub thread_id: Option<ThreadId>,
    /// The mailbox's address: the sender, as rules see it.
    pub sender: EmailAddress,
    /// Where failures are reported: an address of the message's own.
    pub reverse_path: EmailAddress,
    /// The domain of the From address.
    pub sender_domain: Domain,
    /// Whether it begins a conversation, as rules see it.
    pub outbound_type: OutboundType,
    /// The id of the record of what the rules say, if there are any.
    pub evaluation_id: EvaluationId,
    /// The draft that this sends, if it is one: it has the id of the sent copy, which takes its place.
    pub from_draft: Option<FromDraft>,
    /// Envelope recipients, without repeats, each with the id of its queue row. Those that are suppressed get none.
    pub recipients: Vec<(QueueId, EmailAddress)>,
    /// Those of them that mail cannot reach; `None` if nobody has looked, which is asked for if the policy wants it.
    pub undeliverable: Option<Vec<Undeliverable>>,
    /// The id of the event about those that are suppressed, should there be any.
    pub rejected_event_id: EventId,
    /// What keeps it from being sent twice.
    pub once: Once,
    /// The API key through which it is sent, if it is.
    pub api_key: Option<KeyId>,
    /// Whether it may wait for its turn if it is above the rate of its organization.
    pub turn: Turn,
    /// The lease of the worker that will be handed the message as soon as it is accepted. Without one, its rows are
    /// due for whoever claims them; the caller tells, if they have to be told.
    pub lease: Option<Lease>,
}

/// What becomes of a send above the rate of its organization, where the plan lets some wait.
#[derive(Clone, Debug)]
pub enum Turn {
    /// It is refused.
    Now,
    /// It may wait: [`SubmitOutcome::MustWait`] asks for what it waits as.
    MayWait,
    /// It waits.
    Waits(Box<Waiting>),
}

/// As what a send waits for its turn.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The id of its schedule, which nobody sees.
    pub schedule_id: ScheduleId,
    /// The message that waits; none for a draft, which waits where it is.
    pub message: Option<CreateDraft>,
}

/// The right of one worker to work on rows, until it ends.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its id.
    pub id: LeaseId,
    /// The node that works on them.
    pub owner: String,
    /// When it ends.
    pub until: UnixMicros,
}

/// What became of [`Submit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It will be delivered.
    Accepted {
        /// The thread of the sent copy.
        thread_id: ThreadId,
        /// The daily allowance with this send counted.
        daily: Allowance,
        /// Where the sent copy is, and how it is marked.
        placement: Placement,
        /// Recipients that get nothing, because they are suppressed.
        suppressed: Vec<Suppressed>,
    },
    /// It is above the rate, and waits if it is run again with what it waits as. Nothing was done.
    MustWait,
    /// It waits for its turn, and leaves then.
    Waits {
        /// The thread of the sent copy.
        thread_id: ThreadId,
        /// The daily allowance, of which it takes when it leaves.
        daily: Allowance,
    },
    /// The policy wants that recipients are looked at first: run it again with what was found. Nothing was done.
    Unvalidated,
    /// The same was sent a moment ago, so that it is not sent again, and takes nothing.
    Repeated {
        /// The copy of what was sent.
        message_id: MessageId,
        /// Its thread.
        thread_id: ThreadId,
        /// The daily allowance.
        daily: Allowance,
        /// Recipients that got nothing, because they were suppressed.
        suppressed: Vec<Suppressed>,
    },
    /// It may not be sent.
    Refused(Problem),
    /// The mailbox was removed meanwhile.
    NoSuchGrant,
    /// The draft is no longer as it was read (changed, sent or removed), or its schedule is over or not due.
    Superseded,
}

impl Command for Submit {
    type Outcome = SubmitOutcome;

    async fn run(&self, tx: &mut Tx) -> Result<SubmitOutcome, DbError> {
        let Some(loaded) = self.load_facts(tx).await? else { return Ok(SubmitOutcome::NoSuchGrant) };
        let Loaded { mut facts, scope: rules, validates, earlier, rates, senders } = loaded;
        match earlier {
            Earlier::Nothing => {}
            Earlier::Key(problem) => return Ok(SubmitOutcome::Refused(problem)),
            Earlier::Sent(message_id, thread_id, suppressed) => {
                return Ok(SubmitOutcome::Repeated { message_id, thread_id, daily: facts.daily, suppressed });
            }
        }
        let draft = match &self.from_draft {
            None => None,
            Some(from) => match from.claim(tx, &self.copy, self.facts.date).await? {
                None => return Ok(SubmitOutcome::Superseded),
                draft => draft,
            },
        };
        if validates && self.undeliverable.is_none() {
            return Ok(SubmitOutcome::Unvalidated);
        }
        let recipients = self.recipients.iter().map(|(_, address)| address);
        facts.suppressed =
            suppressions::of_recipients(tx, self.copy.application_id, recipients, self.facts.date).await?;
        // All who were asked for are judged, whoever of them is written to.
        let judged = match rules {
            Some(scope) => self.judge(tx, scope).await?,
            None => None,
        };
        facts.rules = judged.as_ref().map_or(Verdict::Pass, |judged| judged.judgement.verdict);
        let mut shares = Shares::default();
        // Nobody waits for the rates of others for the sake of a send that is refused anyway.
        if !self.has_its_turn() && decide(&facts).is_ok() {
            let rates = match self.turn {
                Turn::Now => SendRates { burst_seconds: 0, ..rates },
                Turn::MayWait | Turn::Waits(_) => rates,
            };
            match rates::judge(tx, &rates, &senders, self.facts.date).await? {
                Ok(room) => shares = room,
                Err(exceeded) => facts.exceeded = Some(exceeded),
            }
        }
        match decide(&facts) {
            Ok(cleared) => match shares.later(self.facts.date) {
                Some(turn_at) => self.wait(tx, turn_at, &shares, facts.daily, draft).await,
                None => {
                    shares.keep(tx).await?;
                    self.accept(tx, cleared, facts, judged, draft).await
                }
            },
            Err(problem) => self.refuse(tx, problem, &facts.suppressed, judged).await,
        }
    }
}

/// What a send is decided by.
struct Loaded {
    facts: OutboundFacts,
    /// The rules, if the workspace has any.
    scope: Option<Scope>,
    /// Whether the policy wants recipients looked at first.
    validates: bool,
    /// What was sent before under the same key, or with the same content.
    earlier: Earlier,
    /// How many there may be in a second, and of whom.
    rates: SendRates,
    senders: Senders,
}

/// What the rules say about a message that is to be sent.
struct Judged {
    scope: Scope,
    input: Input,
    judgement: Judgement,
}

/// The id of a folder that a rule names. There are no others yet than those that every mailbox has.
fn folder_id(name: &str) -> Option<String> {
    SystemFolder::named(name).map(|folder| folder.id().to_owned())
}

impl Submit {
    /// Reads what the decision needs, under the mailbox's lock, so that no other send of the mailbox is judged by the
    /// same counter.
    async fn load_facts(&self, tx: &mut Tx) -> Result<Option<Loaded>, DbError> {
        const LOCK: &str = "SELECT grant_id FROM mailboxes WHERE grant_id = $1 {lock}";
        const FACTS: &str = concat!(
            "SELECT o.plan, d.verified_at, s.sent, p.validate_recipients, ",
            limits::policy_limit_columns!(),
            ", ",
            judging::scope_columns!(),
            ", ",
            idempotency::earlier_columns!(),
            ", o.id, a.environment, d.id FROM grants g JOIN applications a ON a.id = g.application_id \
             JOIN organizations o ON o.id = a.organization_id \
             LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
             LEFT JOIN domains d ON d.name = $2 AND d.organization_id = o.id \
             LEFT JOIN daily_sends s ON s.grant_id = g.id AND s.day = $3",
            idempotency::earlier_joins!(),
            " WHERE g.application_id = $4 AND g.id = $1"
        );
        const SCOPE: usize = 4 + limits::POLICY_LIMIT_COLUMNS;
        const EARLIER: usize = SCOPE + judging::SCOPE_COLUMNS;
        const SENDERS: usize = EARLIER + idempotency::EARLIER_COLUMNS;
        let grant = self.copy.grant_id.uuid();
        if tx.query_one(LOCK, params![grant]).await?.is_none() {
            return Ok(None);
        }
        let day = self.facts.date.day();
        let application = self.copy.application_id.uuid();
        let (key, keys_since, content, sends_since) = self.once.bounds(self.facts.date);
        let domain = self.sender_domain.as_str();
        let values = params![grant, domain, day.number(), application, key, keys_since, content, sends_since];
        let Some(row) = tx.query_one(FACTS, values).await? else { return Ok(None) };
        let plan = tx.plan(&row.text(0)?)?;
        let limits = limits::effective(&plan, &row, 4)?;
        let sent = row.opt_int(2)?.map_or(0, |sent| sent.max(0) as u64);
        let facts = OutboundFacts {
            daily: Allowance::daily(limits.daily_sends_max, sent, day),
            limits,
            domain_verified: row.opt_int(1)?.is_some(),
            recipients: self.recipients.len(),
            suppressed: Vec::new(),
            undeliverable: self.undeliverable.clone().unwrap_or_default(),
            message_octets: self.blob.octets(),
            rules: Verdict::Pass,
            exceeded: None,
        };
        let scope = judging::scope(&row, SCOPE)?;
        let earlier = self.once.earlier(&row, EARLIER)?;
        let senders = Senders {
            pool: RateScope::of_environment(&row.text(SENDERS + 1)?),
            organization: row.uuid(SENDERS)?,
            domain: row.opt_uuid(SENDERS + 2)?,
            grant,
            key: self.api_key.map(KeyId::uuid),
        };
        let (validates, rates) = (row.opt_int(3)? == Some(1), plan.send_rates);
        Ok(Some(Loaded { facts, scope, validates, earlier, rates, senders }))
    }

    /// Whether its turn was taken when it was accepted.
    fn has_its_turn(&self) -> bool {
        self.from_draft.as_ref().and_then(|draft| draft.release.as_ref()).is_some_and(|release| release.is_burst)
    }

    /// Lets the send wait for its turn, which is taken now. Its quota is that of the day on which it leaves.
    async fn wait(
        &self,
        tx: &mut Tx,
        turn_at: UnixMicros,
        shares: &Shares,
        daily: Allowance,
        draft: Option<Held>,
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
                CreateOutcome::Refused(problem) => return Ok(SubmitOutcome::Refused(problem)),
                CreateOutcome::TooManySchedules | CreateOutcome::NoSuchGrant => return Ok(SubmitOutcome::NoSuchGrant),
            },
            (None, None) => return Ok(SubmitOutcome::Superseded),
        };
        shares.keep(tx).await?;
        let use_draft = self.from_draft.is_some();
        let schedule = NewSchedule { id: waiting.schedule_id, send_at: turn_at, use_draft };
        schedule.insert_burst(tx, copy, now).await?;
        let kept = (202, copy.message_id, thread_id, &self.facts.placement());
        self.once.remember(tx, copy.grant_id, kept, &[], now).await?;
        Ok(SubmitOutcome::Waits { thread_id, daily })
    }

    /// Asks the rules. Everyone who gets the message is seen, whatever header names them, or none.
    async fn judge(&self, tx: &mut Tx, scope: Scope) -> Result<Option<Judged>, DbError> {
        let recipients = self.recipients.iter().map(|(_, address)| address);
        let input = Input::outbound(&self.sender, recipients, self.outbound_type);
        let judgement = judging::judge(tx, &scope, Direction::Outbound, &input).await?;
        Ok(judgement.map(|judgement| Judged { scope, input, judgement }))
    }

    /// Counts the send, and writes the sent copy, the queue rows and what is remembered of it.
    async fn accept(
        &self,
        tx: &mut Tx,
        cleared: ClearedToSend,
        facts: OutboundFacts,
        judged: Option<Judged>,
        draft: Option<Held>,
    ) -> Result<SubmitOutcome, DbError> {
        let OutboundFacts { suppressed, daily, .. } = facts;
        let (grant_id, now) = (self.copy.grant_id, self.facts.date);
        let placement = match &judged {
            Some(judged) => place(&judged.judgement.effects, self.facts.folder, self.facts.unread, folder_id),
            None => self.facts.placement(),
        };
        count_send(tx, self, now.day()).await?;
        if let Some(draft) = &draft {
            drafts::remove(tx, grant_id, self.copy.message_id, draft).await?;
        }
        // The sent copy and the queue each hold the message.
        blobs::insert(tx, &self.blob, 2).await?;
        let filed = messages::file(tx, self.blob.id(), &self.facts, &placement, &self.copy, self.thread_id).await?;
        let Some(thread_id) = filed else { return Err(DbError::Malformed("mailbox")) };
        self.enqueue(tx, &suppressed, priority(self.outbound_type, self.recipients.len(), daily.used)).await?;
        if !suppressed.is_empty() {
            self.announce_rejected(tx, &suppressed).await?;
        }
        if let Some(from) = &self.from_draft {
            from.close(tx, &self.copy, now).await?;
        }
        let sent = (200, self.copy.message_id, thread_id, &placement);
        self.once.remember(tx, grant_id, sent, &suppressed, now).await?;
        if let Some(judged) = judged {
            self.record(tx, &judged, true).await?;
        }
        Ok(SubmitOutcome::Accepted { thread_id, daily: cleared.daily(), placement, suppressed })
    }

    /// Writes what is told of a send that is refused.
    async fn refuse(
        &self,
        tx: &mut Tx,
        problem: Problem,
        suppressed: &[Suppressed],
        judged: Option<Judged>,
    ) -> Result<SubmitOutcome, DbError> {
        // What is refused for another reason is not judged.
        let by_rules = matches!(problem.kind, ProblemKind::BlockedByRule | ProblemKind::Undecidable);
        if let Some(judged) = judged.filter(|_| by_rules) {
            self.record(tx, &judged, false).await?;
        }
        if problem.code == ALL_SUPPRESSED {
            self.announce_rejected(tx, suppressed).await?;
        }
        Ok(SubmitOutcome::Refused(problem))
    }

    async fn record(&self, tx: &mut Tx, judged: &Judged, sent: bool) -> Result<(), DbError> {
        let assigned = judged.judgement.effects.folders.iter();
        let folder_ids: Vec<String> = assigned.filter_map(|name| folder_id(name)).collect();
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
    async fn announce_rejected(&self, tx: &mut Tx, suppressed: &[Suppressed]) -> Result<(), DbError> {
        let grant_id = self.copy.grant_id;
        let Some(grant_sequence) = events::next_sequence(tx, grant_id, 0).await? else { return Ok(()) };
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

    async fn enqueue(&self, tx: &mut Tx, suppressed: &[Suppressed], priority: Priority) -> Result<(), DbError> {
        const OUTBOUND: &str = "INSERT INTO outbound (message_id, grant_id, application_id, blob_id, reverse_path, \
            queued_at, recipients_open, quota_day) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        const QUEUE: &str = "INSERT INTO queue (id, message_id, recipient, due_at, attempts, lease, owner, destination, \
            priority) VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8)";
        let (message, now) = (self.copy.message_id.uuid(), self.facts.date);
        let reverse_path = self.reverse_path.to_string();
        let values = params![
            message,
            self.copy.grant_id.uuid(),
            self.copy.application_id.uuid(),
            self.blob.id().uuid(),
            &reverse_path,
            now.as_micros(),
            self.recipients.len().saturating_sub(suppressed.len()) as i64,
            now.day().number()
        ];
        tx.execute(OUTBOUND, values).await?;
        let due = self.lease.as_ref().map_or(now, |lease| lease.until).as_micros();
        let lease = self.lease.as_ref().map(|lease| lease.id.uuid());
        let owner = self.lease.as_ref().map(|lease| lease.owner.as_str());
        let is_suppressed = |address: &EmailAddress| suppressed.iter().any(|one| one.address == *address);
        for (id, recipient) in self.recipients.iter().filter(|(_, address)| !is_suppressed(address)) {
            let (address, destination) = (recipient.to_string(), recipient.domain().as_str());
            let values = params![id.uuid(), message, &address, due, lease, owner, destination, priority.number()];
            tx.execute(QUEUE, values).await?;
        }
        Ok(())
    }
}

async fn count_send(tx: &mut Tx, submit: &Submit, day: UtcDay) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO daily_sends (grant_id, day, sent) VALUES ($1, $2, 1) \
        ON CONFLICT (grant_id, day) DO UPDATE SET sent = daily_sends.sent + 1";
    tx.execute(COUNT, params![submit.copy.grant_id.uuid(), day.number()]).await?;
    Ok(())
}
