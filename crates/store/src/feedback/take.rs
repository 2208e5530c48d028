//! Taking a report: what it says is written down, what of it counts is announced, and the report itself is filed for the
//! sender to read, in one transaction.

use crate::blobs::{self, PreparedBlob};
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::messages::{self, FiledCopy, MessageFacts};
use crate::params;
use crate::refused_mail;
use crate::send_events::{self, SendEvent};
use crate::suppressions::{self, Cause};
use postfleet_core::bounce::{BounceClass, BounceType};
use postfleet_core::event::Trigger;
use postfleet_core::feedback::{Kind, Outcome};
use postfleet_core::id::{ApplicationId, EventId, FeedbackId, GrantId, MessageId, ThreadId};
use postfleet_core::rule::Verdict;
use postfleet_core::send_event::{Counted, SendEventKind};
use postfleet_core::suppression::Reason;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use serde_json::json;

/// Takes what one report says about one message. Reports about the same recipient of the same message count once,
/// whoever sends them again.
#[derive(Clone, Debug)]
pub struct TakeFeedback {
    /// The mailbox that sent the message, and its application; none if it could not be found.
    pub sender: Option<(GrantId, ApplicationId)>,
    /// The message.
    pub message_id: Option<MessageId>,
    /// What is said, of each recipient.
    pub reports: Vec<NewReport>,
    /// The report itself, for the sender's mailbox. One that says nothing new is not filed.
    pub filing: Option<Filing>,
    /// When recipients that are not there may be written to again; never if absent.
    pub suppressed_until: Option<UnixMicros>,
    /// When.
    pub at: UnixMicros,
}

/// A report about to be filed.
#[derive(Clone, Debug)]
pub struct Filing {
    /// The message.
    pub blob: PreparedBlob,
    /// What it is.
    pub facts: MessageFacts,
    /// The copy.
    pub copy: FiledCopy,
    /// The conversation of the message that it is about.
    pub thread_id: Option<ThreadId>,
}

/// What is said of one recipient.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// The id of its record.
    pub id: FeedbackId,
    /// What it is.
    pub kind: Kind,
    /// What becomes of it, unless it was here before.
    pub outcome: Outcome,
    /// Why, for people.
    pub reason: &'static str,
    /// Who it is about, if anybody is named or there is only one.
    pub recipient: Option<EmailAddress>,
    /// What a bounce says about the address.
    pub bounce: Option<BounceType>,
    /// Enhanced code, or the type of a complaint.
    pub status: String,
    /// What was said.
    pub diagnostic: String,
    /// Who says it.
    pub reporter: String,
    /// Whether the recipient's domain is one of which it is known that it reports complaints.
    pub sends_feedback: bool,
    /// The id of the event, should there be one.
    pub event_id: EventId,
}

/// What became of [`TakeFeedback`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Of each report.
    pub outcomes: Vec<Outcome>,
    /// Whether the report was filed.
    pub filed: bool,
}

impl Command for TakeFeedback {
    type Outcome = Taken;

    async fn run(&self, tx: &mut Tx) -> Result<Taken, DbError> {
        let mut taken = Taken::default();
        // Two copies of a report that come at once wait for each other here.
        let has_mailbox = match self.sender {
            Some((grant, _)) => lock_mailbox(tx, grant).await?,
            None => false,
        };
        for report in &self.reports {
            taken.outcomes.push(self.take(tx, report, has_mailbox).await?);
        }
        let says_nothing_new = taken.outcomes.iter().all(|outcome| *outcome == Outcome::Replayed);
        if let Some(filing) = self.filing.as_ref().filter(|_| has_mailbox && !says_nothing_new) {
            let Filing { blob, facts, copy, thread_id } = filing;
            taken.filed = match messages::number(tx, copy, facts.octets).await? {
                None => false,
                // What it says of the send counts all the same. If the rules cannot be decided it is filed: it is no mail of
                // strangers, but proves which send it is about.
                Some(numbered) if numbered.verdict() == Verdict::Block => {
                    numbered.give_back(tx).await?;
                    if let Some(refusal) = numbered.refusal(true) {
                        refused_mail::record(tx, &refusal).await?;
                    }
                    false
                }
                Some(numbered) => {
                    messages::file_numbered(tx, blob.id(), facts, &numbered, *thread_id).await?;
                    blobs::insert(tx, blob, 1).await?;
                    true
                }
            };
        }
        Ok(taken)
    }
}

impl TakeFeedback {
    async fn take(&self, tx: &mut Tx, report: &NewReport, has_mailbox: bool) -> Result<Outcome, DbError> {
        let is_believed = matches!(report.outcome, Outcome::Counted | Outcome::Noted);
        let outcome = match is_believed {
            true if !has_mailbox => Outcome::Unmatched,
            true if self.was_here(tx, report).await? => Outcome::Replayed,
            _ => report.outcome,
        };
        let reason = match outcome {
            Outcome::Replayed => "the same was reported before",
            Outcome::Unmatched if is_believed => "the mailbox is gone",
            _ => report.reason,
        };
        self.record(tx, report, outcome, reason).await?;
        if outcome == Outcome::Counted {
            self.count(tx, report).await?;
        }
        Ok(outcome)
    }

    async fn was_here(&self, tx: &mut Tx, report: &NewReport) -> Result<bool, DbError> {
        const FIND: &str = "SELECT id FROM feedback_reports \
            WHERE message_id = $1 AND recipient = $2 AND kind = $3 AND outcome = $4";
        let Some(message) = self.message_id else { return Ok(false) };
        let recipient = key(report);
        let values = params![message.uuid(), &recipient, report.kind.name(), report.outcome.name()];
        Ok(tx.query_one(FIND, values).await?.is_some())
    }

    async fn record(
        &self,
        tx: &mut Tx,
        report: &NewReport,
        outcome: Outcome,
        reason: &'static str,
    ) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO feedback_reports (id, grant_id, message_id, report_id, kind, outcome, reason, \
            recipient, bounce_type, status, diagnostic, reporter, reported_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
            ON CONFLICT (message_id, recipient, kind, outcome) DO NOTHING";
        let recipient = key(report);
        let values = params![
            report.id.uuid(),
            self.sender.map(|(grant, _)| grant.uuid()),
            self.message_id.map(|id| id.uuid()),
            self.filing.as_ref().filter(|_| outcome != Outcome::Replayed).map(|filing| filing
                .copy
                .copy
                .message_id
                .uuid()),
            report.kind.name(),
            outcome.name(),
            reason,
            &recipient,
            report.bounce.map(BounceType::name),
            &report.status,
            &report.diagnostic,
            &report.reporter,
            self.at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        Ok(())
    }

    /// What follows from a bounce or a complaint that counts. All of it: whatever else is to follow belongs here.
    async fn count(&self, tx: &mut Tx, report: &NewReport) -> Result<(), DbError> {
        let (Some((grant_id, application_id)), Some(message_id)) = (self.sender, self.message_id) else {
            return Ok(());
        };
        if let (Some(recipient), Some((reason, source))) = (&report.recipient, suppresses(report)) {
            let expires_at = self.suppressed_until.filter(|_| reason == Reason::HardBounce);
            let (grant_id, message_id) = (Some(grant_id), Some(message_id));
            let cause = Cause { reason, source, grant_id, message_id, expires_at };
            suppressions::suppress(tx, application_id, recipient, &cause, self.at).await?;
        }
        self.write_outcome(tx, report, grant_id, message_id).await?;
        let Some((trigger, data)) = announcement(report, self.at) else { return Ok(()) };
        let Some(grant_sequence) = events::next_sequence(tx, grant_id).await? else { return Ok(()) };
        tx.announce(NewEvent {
            id: report.event_id,
            application_id,
            grant_id,
            grant_sequence,
            trigger,
            message_id: Some(message_id),
            data,
            at: self.at,
        });
        Ok(())
    }
}

impl TakeFeedback {
    /// Writes down what came back, and as what it counts. The mailbox is there, and locked.
    async fn write_outcome(
        &self,
        tx: &mut Tx,
        report: &NewReport,
        grant: GrantId,
        message: MessageId,
    ) -> Result<(), DbError> {
        let Some(sent) = send_events::sent(tx, grant, message).await? else { return Ok(()) };
        let of = (report.event_id.uuid(), self.at);
        let event = |kind| SendEvent {
            status: report.status.clone(),
            reason: report.diagnostic.clone(),
            is_late: true,
            ..SendEvent::new(&sent, kind, report.recipient.as_ref(), of)
        };
        match report.kind {
            Kind::Bounce => {
                let bounce = report.bounce.unwrap_or(BounceType::Undetermined);
                let counted_before = match &report.recipient {
                    Some(recipient) => send_events::has_bounced(tx, message, recipient).await?,
                    None => false,
                };
                let counted = Counted::late_bounce(bounce, counted_before);
                tx.tally().happened(SendEvent { bounce: Some(bounce), counted, ..event(SendEventKind::Bounced) });
            }
            Kind::Complaint => {
                let counted = Counted::complained(report.sends_feedback);
                tx.tally().happened(SendEvent { counted, ..event(SendEventKind::Complaint) });
            }
            _ => {}
        }
        Ok(())
    }
}

/// How a recipient is told from others in records.
fn key(report: &NewReport) -> String {
    report.recipient.as_ref().map(EmailAddress::key).unwrap_or_default()
}

/// Why nothing more is written to whom a report that counts is about, and who said so.
fn suppresses(report: &NewReport) -> Option<(Reason, &'static str)> {
    match report.kind {
        Kind::Bounce if report.bounce.is_some_and(|bounce| bounce.class() == BounceClass::Hard) => {
            Some((Reason::HardBounce, "dsn"))
        }
        Kind::Complaint => Some((Reason::Complaint, "feedback_loop")),
        _ => None,
    }
}

/// The event of a report that counts, with the facts that it tells.
fn announcement(report: &NewReport, at: UnixMicros) -> Option<(Trigger, String)> {
    let recipient = report.recipient.as_ref().map(ToString::to_string);
    match report.kind {
        Kind::Bounce => {
            let kind = report.bounce.unwrap_or(BounceType::Undetermined);
            let data = json!({"recipient": recipient, "at": at.as_seconds(), "status": report.status,
                "diagnostic_code": report.diagnostic, "bounce_type": kind.name(), "bounce_class": kind.class().name(),
                "expired": false, "ambiguous": false});
            Some((Trigger::MessageBounced, data.to_string()))
        }
        Kind::Complaint => {
            let data = json!({"recipient": recipient, "at": at.as_seconds(), "type": report.status});
            Some((Trigger::MessageComplaint, data.to_string()))
        }
        _ => None,
    }
}

async fn lock_mailbox(tx: &mut Tx, grant: GrantId) -> Result<bool, DbError> {
    const LOCK: &str = "SELECT grant_id FROM mailboxes WHERE grant_id = $1 {lock}";
    Ok(tx.query_one(LOCK, params![grant.uuid()]).await?.is_some())
}

/// Records that somebody wrote to a return path that was made up or is too old, and was refused. Only where the message
/// that it names is one of that domain, and once for each message: strangers cannot fill the store.
#[derive(Clone, Debug)]
pub struct RecordRefused {
    /// The id of the record.
    pub id: FeedbackId,
    /// The message that the address names.
    pub message_id: MessageId,
    /// The domain of the address.
    pub domain: Domain,
    /// Forged or expired.
    pub outcome: Outcome,
    /// Why, for people.
    pub reason: &'static str,
    /// When.
    pub at: UnixMicros,
}

impl Command for RecordRefused {
    /// Whether there is such a message.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FIND: &str = "SELECT m.grant_id, g.email FROM messages m JOIN grants g ON g.id = m.grant_id \
            WHERE m.id = $1 AND m.outgoing = 1";
        const INSERT: &str = "INSERT INTO feedback_reports (id, grant_id, message_id, kind, outcome, reason, recipient, \
            status, diagnostic, reporter, reported_at) VALUES ($1, $2, $3, $4, $5, $6, '', '', '', '', $7) \
            ON CONFLICT (message_id, recipient, kind, outcome) DO NOTHING";
        let Some(row) = tx.query_one(FIND, params![self.message_id.uuid()]).await? else { return Ok(false) };
        let email = EmailAddress::parse(row.str(1)?).map_err(|_| DbError::Malformed("address"))?;
        if *email.domain() != self.domain {
            return Ok(false);
        }
        let values = params![
            self.id.uuid(),
            row.uuid(0)?,
            self.message_id.uuid(),
            Kind::Other.name(),
            self.outcome.name(),
            self.reason,
            self.at.as_micros()
        ];
        tx.execute(INSERT, values).await?;
        Ok(true)
    }
}
