//! Accepting a message for sending: quota, sent copy, queue rows and event, in one transaction.

use crate::blobs::{self, PreparedBlob};
use crate::db::{DbError, Row};
use crate::drafts::{self, CreateDraft, CreateOutcome, FromDraft, Held};
use crate::engine::{Command, Tx};
use crate::evaluations::{self, Evaluation, Stage};
use crate::events::{self, NewEvent};
use crate::holds::{self, Hold, NewHold, Told};
use crate::idempotency::{self, Earlier, Once};
use crate::judging::{self, Scope};
use crate::key_use;
use crate::limits;
use crate::messages::{self, MailboxCopy, MessageFacts};
use crate::meters::{self, Owner};
use crate::params;
use crate::quota_events;
use crate::raises;
use crate::rates::{self, Senders, Shares, Turns};
use crate::refusals;
use crate::schedules::{self, NewSchedule};
use crate::suppressions;
use postfleet_core::event::Trigger;
use postfleet_core::folder::SystemFolder;
use postfleet_core::hold::{self, OnQuota, State};
use postfleet_core::id::{
    BlobId, EvaluationId, EventId, HoldId, KeyId, LeaseId, MessageId, OrganizationId, PolicyId, QueueId, ScheduleId,
    ThreadId,
};
use postfleet_core::meter::{Caps, Meters, Room, account_storage_cap};
use postfleet_core::outbound::{
    ALL_SUPPRESSED, ClearedToSend, DAILY_QUOTA_EXCEEDED, OutboundFacts, Priority, decide, priority,
};
use postfleet_core::plan::Limits;
use postfleet_core::policy::LimitField;
use postfleet_core::quota::{self, Allowance, Crossing};
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
    /// The id of the event about a quota, should a line of it be crossed.
    pub quota_event_id: EventId,
    /// What keeps it from being sent twice.
    pub once: Once,
    /// The key with which it is sent, or was scheduled; `None` if a person or a mail client sends it.
    pub by: Option<KeyId>,
    /// Whether it may wait for its turn if it is above the rate of its organization.
    pub turn: Turn,
    /// How it is held, should it have to be; asked for if it has to.
    pub hold: Option<NewHold>,
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
    /// It has to be held: run it again with how. Nothing was done.
    Unheld,
    /// It is held, or was already: nothing leaves, and it takes nothing.
    Held(Box<Hold>),
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
        let Loaded { mut facts, owner, scope: rules, validates, key, earlier, quota, pools, terms } = loaded;
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
        let held = self.held_already(tx, &terms).await?;
        self.make_room(tx, &mut facts, draft.as_ref(), held.as_ref()).await?;
        // A key by which something may not be sent is judged before it is told of what waits.
        let mut waits = None;
        if let Some(hold) = &held {
            if self.hold_told().is_none() {
                return Ok(SubmitOutcome::Unheld);
            }
            facts.approved = hold.state == State::Approved && hold.version == terms.version;
            waits = (!facts.approved && self.released_hold().is_none()).then_some(hold);
            if let Some(hold) = waits.filter(|_| key.is_none()) {
                return self.answer_held(tx, hold.clone()).await;
            }
        } else if self.released_hold().is_some() {
            return Ok(SubmitOutcome::Superseded);
        }
        if validates && self.undeliverable.is_none() {
            return Ok(SubmitOutcome::Unvalidated);
        }
        let judged = self.complete(tx, &mut facts, rules, key.as_ref()).await?;
        if let Some(hold) = waits {
            return match facts.key.as_ref().and_then(|key| key.refusals().into_iter().next()) {
                Some(problem) => self.refuse(tx, problem, &facts.suppressed, judged).await,
                None => self.answer_held(tx, hold.clone()).await,
            };
        }
        let shares = self.take_turn(tx, &mut facts, &pools, held.as_ref()).await?;
        match decide(&facts) {
            Ok(cleared) => {
                if let Some(turn_at) = shares.later(self.facts.date) {
                    return self.wait(tx, turn_at, &shares, facts.daily, draft).await;
                }
                shares.keep(tx).await?;
                if let (Some(key), Some(using)) = (&key, &facts.key) {
                    key.count(tx, using, self.facts.date.day()).await?;
                }
                let crossed = quota.crossed(&cleared.daily());
                let outcome = self.accept(tx, cleared, (facts, owner), judged, (draft, held)).await?;
                if let (Some(crossed), SubmitOutcome::Accepted { .. }) = (crossed, &outcome) {
                    self.announce_quota(tx, &crossed).await?;
                }
                Ok(outcome)
            }
            Err(problem) => {
                let crossed = quota.refused(&problem, &facts.daily);
                let outcome = match hold::reason(&problem, terms.on_quota) {
                    Some(reason) => self.hold(tx, (reason, problem), terms, judged, (draft, held)).await?,
                    None => self.refuse(tx, problem, &facts.suppressed, judged).await?,
                };
                // Of what is to be run again nothing is told yet.
                if let Some(crossed) = crossed.filter(|_| outcome != SubmitOutcome::Unheld) {
                    self.announce_quota(tx, &crossed).await?;
                }
                Ok(outcome)
            }
        }
    }
}

/// Tells everything that stands against a send, without sending: by the same facts and checks as [`Submit`], of which
/// what keeps it from being sent twice and the draft do not count.
#[derive(Clone, Debug)]
pub struct Explain {
    /// The send. Without recipients, what holds for any of them.
    pub submit: Submit,
}

/// What became of [`Explain`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// This stands against it, first what is told first; nothing if it would be accepted. If it would be held in place of
    /// being refused, why.
    Refusals(Vec<Problem>, Option<hold::Reason>),
    /// The policy wants that recipients are looked at first: run it again with what was found.
    Unvalidated,
    /// There is no such mailbox.
    NoSuchGrant,
}

impl Command for Explain {
    type Outcome = Explained;

    async fn run(&self, tx: &mut Tx) -> Result<Explained, DbError> {
        let submit = &self.submit;
        let Some(loaded) = submit.load_facts(tx).await? else { return Ok(Explained::NoSuchGrant) };
        let Loaded { mut facts, scope, validates, key, terms, .. } = loaded;
        if validates && submit.undeliverable.is_none() && !submit.recipients.is_empty() {
            return Ok(Explained::Unvalidated);
        }
        submit.complete(tx, &mut facts, scope, key.as_ref()).await?;
        let refusals = postfleet_core::outbound::refusals(&facts);
        let held_for = refusals.first().and_then(|first| hold::reason(first, terms.on_quota));
        Ok(Explained::Refusals(refusals, held_for))
    }
}

/// What a send is decided by.
struct Loaded {
    facts: OutboundFacts,
    owner: Owner,
    /// The rules, if the workspace has any.
    scope: Option<Scope>,
    /// Whether the policy wants recipients looked at first.
    validates: bool,
    /// The key, if it may not send everything.
    key: Option<key_use::Key>,
    /// What was sent before under the same key, or with the same content.
    earlier: Earlier,
    /// What was told of the daily quota.
    quota: DailyMarks,
    /// How many there may be in a second, and of whom.
    pools: Pools,
    /// By what it would be held.
    terms: HoldTerms,
}

/// How many there may be in a second, and of whom.
struct Pools {
    rates: SendRates,
    senders: Senders,
}

/// What was told of the daily quota, as the counter's row says, and whether a raise holds.
struct DailyMarks {
    told: quota::Told,
    is_raised: bool,
}

/// A line of the daily quota that this send crosses.
struct Crossed {
    crossing: Crossing,
    daily: Allowance,
    is_raised: bool,
}

impl DailyMarks {
    /// What is to be told once a send is accepted.
    fn crossed(&self, daily: &Allowance) -> Option<Crossed> {
        let crossing = self.told.crossed(daily)?;
        Some(Crossed { crossing, daily: *daily, is_raised: self.is_raised })
    }

    /// What is to be told of a send that is refused, or held.
    fn refused(&self, problem: &Problem, daily: &Allowance) -> Option<Crossed> {
        let crossing = self.told.refused(daily.limit).filter(|_| problem.code == DAILY_QUOTA_EXCEEDED)?;
        Some(Crossed { crossing, daily: *daily, is_raised: self.is_raised })
    }
}

/// By what a send is held.
struct HoldTerms {
    /// What the workspace wants of sends over a quota.
    on_quota: OnQuota,
    /// The version of its policy and rules.
    version: String,
    /// Whose the application is.
    organization: OrganizationId,
    /// The send of the mailbox with the same content that is held.
    same: Option<HoldId>,
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
        const LOCK: &str = "SELECT storage_octets, organization_id, application_id FROM mailboxes \
            WHERE grant_id = $1 {lock}";
        const FACTS: &str = concat!(
            "SELECT o.plan, d.verified_at, s.sent, p.validate_recipients, s.told, s.told_limit, ",
            raises::in_force!("$9"),
            ", ",
            key_use::columns!(),
            ", ",
            limits::policy_limit_columns!(),
            ", ",
            judging::scope_columns!(),
            ", ",
            idempotency::earlier_columns!(),
            ", ",
            meters::usage_columns!(),
            ", o.id, a.environment, d.id",
            ", w.on_quota, p.id, p.updated_at, (SELECT h.id FROM holds h WHERE h.grant_id = g.id AND h.content = $7 \
             AND h.closed_at IS NULL ORDER BY h.id LIMIT 1)",
            " FROM grants g JOIN applications a ON a.id = g.application_id \
             JOIN organizations o ON o.id = a.organization_id \
             LEFT JOIN workspaces w ON w.id = g.workspace_id LEFT JOIN policies p ON p.id = w.policy_id \
             LEFT JOIN domains d ON d.name = $2 AND d.organization_id = o.id \
             LEFT JOIN daily_sends s ON s.grant_id = g.id AND s.day = $3 \
             LEFT JOIN api_keys ak ON ak.id = $11 AND ak.application_id = a.id",
            idempotency::earlier_joins!(),
            meters::usage_joins!("$10"),
            " WHERE g.application_id = $4 AND g.id = $1"
        );
        const KEY: usize = 7;
        const LIMITS: usize = KEY + key_use::COLUMNS;
        const SCOPE: usize = LIMITS + limits::POLICY_LIMIT_COLUMNS;
        const EARLIER: usize = SCOPE + judging::SCOPE_COLUMNS;
        const USAGE: usize = EARLIER + idempotency::EARLIER_COLUMNS;
        const SENDERS: usize = USAGE + meters::USAGE_COLUMNS;
        const HOLD: usize = SENDERS + 3;
        let grant = self.copy.grant_id.uuid();
        let Some(mailbox) = tx.query_one(LOCK, params![grant]).await? else { return Ok(None) };
        let owner = Owner::read(&mailbox, 1)?;
        let day = self.facts.date.day();
        let month = day.month();
        let application = self.copy.application_id.uuid();
        let (key, keys_since, content, sends_since) = self.once.bounds(self.facts.date);
        let domain = self.sender_domain.as_str();
        let values = params![
            grant,
            domain,
            day.number(),
            application,
            key,
            keys_since,
            content,
            sends_since,
            self.facts.date.as_micros(),
            month.number(),
            self.by.map(|key| key.uuid())
        ];
        let Some(row) = tx.query_one(FACTS, values).await? else { return Ok(None) };
        let (plan, policy) = (tx.plan(&row.text(0)?)?, limits::policy_limits(&row, LIMITS)?);
        let account = Room { limit: account_storage_cap(&plan, &policy), used: mailbox.int(0)?.max(0) as u64 };
        let used = meters::used(tx.tally(), owner.organization, month, &row, USAGE)?;
        let mut limits = Limits::effective(&plan.limits, &policy);
        let is_raised = limits.raise_daily_sends(&plan.limits, limits::opt_count(&row, 6)?);
        let quota = DailyMarks {
            told: quota::Told {
                crossing: row.opt_int(4)?.unwrap_or(0),
                limit: limits::opt_count(&row, 5)?.unwrap_or(0),
            },
            is_raised,
        };
        let sent = row.opt_int(2)?.map_or(0, |sent| sent.max(0) as u64);
        let facts = OutboundFacts {
            daily: Allowance::daily(limits.daily_sends_max, sent, day),
            meters: Meters::new(account, Caps::of(&plan), used, month),
            limits,
            domain_verified: row.opt_int(1)?.is_some(),
            recipients: self.recipients.len(),
            suppressed: Vec::new(),
            undeliverable: self.undeliverable.clone().unwrap_or_default(),
            message_octets: self.blob.octets(),
            rules: Verdict::Pass,
            key: None,
            exceeded: None,
            approved: false,
        };
        let is_release = self.from_draft.as_ref().is_some_and(|from| from.release.is_some() || from.hold.is_some());
        let key = key_use::of_row(&row, KEY, self.by, is_release)?;
        let scope = judging::scope(&row, SCOPE)?;
        let earlier = self.once.earlier(&row, EARLIER)?;
        let senders = Senders {
            pool: RateScope::of_environment(&row.text(SENDERS + 1)?),
            organization: row.uuid(SENDERS)?,
            domain: row.opt_uuid(SENDERS + 2)?,
            grant,
            key: self.by.filter(|_| !is_release).map(KeyId::uuid),
        };
        let pools = Pools { rates: plan.send_rates, senders };
        let terms = hold_terms(&row, SCOPE, HOLD)?;
        let validates = row.opt_int(3)? == Some(1);
        Ok(Some(Loaded { facts, owner, scope, validates, key, earlier, quota, pools, terms }))
    }

    /// The sent copy takes the place of the draft, or of what waited.
    async fn make_room(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        draft: Option<&Held>,
        hold: Option<&Hold>,
    ) -> Result<(), DbError> {
        let waiting = match hold.filter(|hold| draft.is_none() && !hold.is_draft) {
            Some(hold) => drafts::held(tx, hold.grant_id, hold.message_id).await?,
            None => None,
        };
        if let Some(draft) = draft.or(waiting.as_ref()) {
            facts.meters.make_room(draft.octets.max(0) as u64);
        }
        Ok(())
    }

    /// Reads what is asked about the recipients: who is suppressed, what the rules say, what the key knows of them.
    async fn complete(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        rules: Option<Scope>,
        key: Option<&key_use::Key>,
    ) -> Result<Option<Judged>, DbError> {
        let recipients = self.recipients.iter().map(|(_, address)| address);
        facts.suppressed =
            suppressions::of_recipients(tx, self.copy.application_id, recipients, self.facts.date).await?;
        // All who were asked for are judged, whoever of them is written to.
        let judged = match rules {
            Some(scope) => self.judge(tx, scope).await?,
            None => None,
        };
        facts.rules = judged.as_ref().map_or(Verdict::Pass, |judged| judged.judgement.verdict);
        if let Some(key) = key {
            facts.key = Some(Box::new(key.used(tx, self.as_sent_with_key(), &facts.suppressed).await?));
        }
        Ok(judged)
    }

    fn as_sent_with_key(&self) -> key_use::Message<'_> {
        key_use::Message {
            grant_id: self.copy.grant_id,
            sender: &self.sender,
            recipients: self.recipients.iter().map(|(_, address)| address.clone()).collect(),
            summary: &self.facts.summary,
            thread_id: self.thread_id,
            hints: &self.facts.thread,
            date: self.facts.date,
        }
    }

    /// Asks for a turn in every rate that the send counts for. Nobody waits for the rates of others for the sake of a
    /// send that is refused anyway.
    async fn take_turn(
        &self,
        tx: &mut Tx,
        facts: &mut OutboundFacts,
        pools: &Pools,
        held: Option<&Hold>,
    ) -> Result<Shares, DbError> {
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
                CreateOutcome::Refused(problem) => return self.refuse(tx, problem, &[], None).await,
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
        (facts, owner): (OutboundFacts, Owner),
        judged: Option<Judged>,
        (draft, held): (Option<Held>, Option<Hold>),
    ) -> Result<SubmitOutcome, DbError> {
        let OutboundFacts { suppressed, daily, meters, .. } = facts;
        let (grant_id, now) = (self.copy.grant_id, self.facts.date);
        let placement = match &judged {
            Some(judged) => place(&judged.judgement.effects, self.facts.folder, self.facts.unread, folder_id),
            None => self.facts.placement(),
        };
        count_send(tx, self, now.day()).await?;
        let month = now.day().month();
        tx.tally().send(owner, (grant_id, self.copy.message_id), now.day(), self.blob.octets());
        tx.tally().hold(owner.organization, month, meters.caps());
        if let Some(draft) = &draft {
            drafts::remove(tx, grant_id, self.copy.message_id, draft).await?;
        }
        // The sent copy and the queue each hold the message.
        blobs::insert(tx, &self.blob, 2).await?;
        let filed = messages::file(tx, self.blob.id(), &self.facts, &placement, &self.copy, self.thread_id).await?;
        let Some((thread_id, _)) = filed else { return Err(DbError::Malformed("mailbox")) };
        self.enqueue(tx, &suppressed, priority(self.outbound_type, self.recipients.len(), daily.used)).await?;
        if !suppressed.is_empty() {
            self.announce_rejected(tx, &suppressed).await?;
        }
        if let Some(from) = &self.from_draft {
            from.close(tx, &self.copy, now).await?;
        }
        if let (Some(hold), Some(told)) = (&held, self.hold_told()) {
            hold.released(tx, self.copy.message_id, told, now).await?;
        }
        let sent = (200, self.copy.message_id, thread_id, &placement);
        self.once.remember(tx, grant_id, sent, &suppressed, now).await?;
        if let Some(judged) = judged {
            self.record(tx, &judged, true).await?;
        }
        Ok(SubmitOutcome::Accepted { thread_id, daily: cleared.daily(), placement, suppressed })
    }

    /// The hold that this releases, if it is the release of one.
    fn released_hold(&self) -> Option<&holds::Release> {
        self.from_draft.as_ref()?.hold.as_ref()
    }

    /// The ids of what is told of a hold.
    fn hold_told(&self) -> Option<&Told> {
        self.released_hold().map(|release| &release.told).or(self.hold.as_ref().map(|hold| &hold.told))
    }

    /// The hold that this is about: the one that is released, that of the draft, or that of the same content. One that
    /// may not leave yet is not released.
    async fn held_already(&self, tx: &mut Tx, terms: &HoldTerms) -> Result<Option<Hold>, DbError> {
        let now = self.facts.date;
        let found = match (&self.from_draft, terms.same) {
            (Some(from), _) => match &from.hold {
                Some(release) => {
                    let found = holds::open(tx, release.id).await?;
                    return Ok(found.filter(|hold| hold.may_leave(now) && hold.blob_id == from.seen));
                }
                None => holds::of_message(tx, self.copy.message_id).await?,
            },
            (None, Some(same)) => holds::open(tx, same).await?,
            (None, None) => None,
        };
        Ok(found.filter(|hold| hold.expires_at > now))
    }

    /// Holds what may not leave yet.
    async fn hold(
        &self,
        tx: &mut Tx,
        (reason, problem): (hold::Reason, Problem),
        terms: HoldTerms,
        judged: Option<Judged>,
        (draft, held): (Option<Held>, Option<Hold>),
    ) -> Result<SubmitOutcome, DbError> {
        let now = self.facts.date;
        match held {
            Some(hold) if self.released_hold().is_some() => {
                // What waits for its quota goes on waiting. What was approved under other rules is looked at anew.
                if reason == hold::Reason::Rule {
                    hold.reopen(tx, reason, &terms.version, now).await?;
                }
                return Ok(SubmitOutcome::Refused(problem));
            }
            Some(hold) => return self.answer_held(tx, hold).await,
            None => {}
        }
        let Some(new) = &self.hold else { return Ok(SubmitOutcome::Unheld) };
        if !holds::has_room(tx, self.copy.grant_id).await? {
            return self.refuse(tx, hold::too_many(), &[], None).await;
        }
        let blob_id = match &draft {
            Some(draft) => draft.blob_id,
            None => match self.keep_waiting(tx, new).await? {
                Ok(blob_id) => blob_id,
                Err(problem) => return self.refuse(tx, problem, &[], None).await,
            },
        };
        if self.from_draft.is_some() {
            // It waits for something else than its time now.
            schedules::follow(tx, self.copy.message_id, None, now).await?;
        }
        let due_at = (!reason.needs_approval()).then(|| self.tried_again(&problem));
        let hold = self.held_as(new, reason, terms, (blob_id, holds::is_seen(draft.as_ref())));
        hold.insert(tx, due_at).await?;
        hold.record(tx, "hold.created", new.author.clone(), &new.told, now).await?;
        let data = json!({"hold": hold.facts()}).to_string();
        hold.announce(tx, Trigger::MessageHeld, &data, new.told.event_id, now).await?;
        if let Some(judged) = judged.filter(|_| reason == hold::Reason::Rule) {
            self.record(tx, &judged, true).await?;
        }
        self.answer_held(tx, hold).await
    }

    /// When it is tried for the first time whether there is quota: somebody may raise it before it resets.
    fn tried_again(&self, problem: &Problem) -> UnixMicros {
        let soon = self.facts.date.plus(hold::LOOK_AGAIN);
        hold::resets_at(problem).map_or(soon, |resets_at| resets_at.min(soon))
    }

    /// Keeps the message where nobody sees it, if there is room for it.
    async fn keep_waiting(&self, tx: &mut Tx, new: &NewHold) -> Result<Result<BlobId, Problem>, DbError> {
        let kept = CreateDraft {
            blob: self.blob.clone(),
            facts: new.waiting.clone(),
            copy: self.copy,
            thread_id: self.thread_id,
            starred: false,
            schedule: None,
            answer: None,
        };
        match kept.run(tx).await? {
            CreateOutcome::Created(_) => Ok(Ok(self.blob.id())),
            CreateOutcome::Refused(problem) => Ok(Err(problem)),
            _ => Err(DbError::Malformed("mailbox")),
        }
    }

    fn held_as(&self, new: &NewHold, reason: hold::Reason, terms: HoldTerms, kept: (BlobId, bool)) -> Hold {
        let now = self.facts.date;
        Hold {
            id: new.id,
            grant_id: self.copy.grant_id,
            application_id: self.copy.application_id,
            organization_id: terms.organization,
            message_id: self.copy.message_id,
            is_draft: kept.1,
            blob_id: kept.0,
            reason,
            state: State::Waiting,
            recipients: holds::named(self.recipients.iter().map(|(_, address)| address)),
            content: self.once.content.as_ref().map(|content| content.hash),
            version: terms.version,
            digest: None,
            author: (new.author.kind.name().to_owned(), new.author.id.clone()),
            editor: None,
            decided_by: None,
            decided_at: None,
            note: None,
            expires_at: now.plus(reason.patience()),
            created_at: now,
            closed_at: None,
        }
    }

    /// Remembers under the key of the request that the send is held.
    async fn answer_held(&self, tx: &mut Tx, hold: Hold) -> Result<SubmitOutcome, DbError> {
        if let Some(key) = &self.once.key {
            idempotency::keep_held(tx, key, hold.message_id, hold.id, self.facts.date).await?;
        }
        Ok(SubmitOutcome::Held(Box::new(hold)))
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
        // What is tried again by itself was told of when it was held.
        if self.released_hold().is_none() || !problem.is_retryable() {
            refusals::record(tx, self.copy.grant_id, &problem, self.by, self.facts.date).await?;
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

    /// Tells that a line of the daily quota is crossed, and marks in its counter that this was told.
    async fn announce_quota(&self, tx: &mut Tx, crossed: &Crossed) -> Result<(), DbError> {
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

/// Reads what is asked of holds, which begins at `first`; the columns of the rules begin at `scope`.
fn hold_terms(row: &Row, scope: usize, first: usize) -> Result<HoldTerms, DbError> {
    let policy = match row.opt_uuid(first + 1)? {
        Some(id) => Some((PolicyId::from_uuid(id), row.int(first + 2)?)),
        None => None,
    };
    Ok(HoldTerms {
        on_quota: row.opt_text(first)?.and_then(|word| OnQuota::named(&word)).unwrap_or(OnQuota::Reject),
        version: holds::version(policy, row.int(scope + 2)?),
        organization: OrganizationId::from_uuid(row.uuid(scope)?),
        same: row.opt_uuid(first + 3)?.map(HoldId::from_uuid),
    })
}

async fn count_send(tx: &mut Tx, submit: &Submit, day: UtcDay) -> Result<(), DbError> {
    const COUNT: &str = "INSERT INTO daily_sends (grant_id, day, sent) VALUES ($1, $2, 1) \
        ON CONFLICT (grant_id, day) DO UPDATE SET sent = daily_sends.sent + 1";
    tx.execute(COUNT, params![submit.copy.grant_id.uuid(), day.number()]).await?;
    Ok(())
}
