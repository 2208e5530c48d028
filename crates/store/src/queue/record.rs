//! What came of an attempt: rows, quota, events, signature and the record for people, in one transaction.

use super::destinations::News;
use super::life::Attempted;
use crate::audit;
use crate::blobs;
use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::{self, NewEvent};
use crate::messages::Deliver;
use crate::meters;
use crate::params;
use crate::send_events::{self, SendEvent, Sent};
use crate::suppressions::{self, Cause};
use postfleet_core::audit::Act;
use postfleet_core::bounce::{BounceClass, BounceType};
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::destination::Episode;
use postfleet_core::event::Trigger;
use postfleet_core::id::{
    ApplicationId, BlobId, EventId, GrantId, LeaseId, MessageId, OrganizationId, QueueId, ThreadId, WorkspaceId,
};
use postfleet_core::send_event::{Counted, LastWord, SendEventKind};
use postfleet_core::{EmailAddress, UnixMicros, UtcDay, suppression};

/// What a worker found out about one recipient.
#[derive(Clone, Debug)]
pub struct Report {
    /// The row.
    pub id: QueueId,
    /// The recipient, as it appears in events.
    pub recipient: EmailAddress,
    /// What follows.
    pub after: AfterAttempt,
    /// A server answered for the recipient: the quota that the message took is spent for good.
    pub reached: bool,
    /// The server may have the message although it did not say so (RFC 1047); the retry may be a duplicate.
    pub ambiguous: bool,
    /// The last reply, for people.
    pub reply: String,
    /// What a failure says about the address: if it is the last word and says that nobody is there, the recipient is
    /// suppressed.
    pub bounce: BounceType,
    /// Whether the recipient's domain is one of which it is known that it reports complaints.
    pub sends_feedback: bool,
    /// The id of the event, should there be one.
    pub event_id: EventId,
}

/// Writes what came of an attempt at one message: rows, quota, events and the signature, in one transaction.
#[derive(Clone, Debug)]
pub struct RecordAttempt {
    /// The message.
    pub message_id: MessageId,
    /// The lease under which it was attempted.
    pub lease: LeaseId,
    /// The signature header made on the first attempt, kept for the later ones.
    pub signature: Option<Vec<u8>>,
    /// One for each recipient attempted.
    pub reports: Vec<Report>,
    /// What was tried, for people who ask.
    pub attempts: Vec<Attempted>,
    /// What it says about the destination as a whole, if that is to be remembered.
    pub news: Option<News>,
    /// When recipients that are not there may be written to again; never if absent.
    pub suppressed_until: Option<UnixMicros>,
    /// Who decided it, if somebody did.
    pub by: Option<Act>,
    /// The notice to the sender, filed if the attempt counts and so a failure is told exactly once.
    pub notice: Option<Deliver>,
    /// When.
    pub at: UnixMicros,
}

/// What became of [`RecordAttempt`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Rows that were no longer under the lease: somebody else works on them.
    pub lost: Vec<QueueId>,
}

/// What is known of the message whose recipients are reported on.
struct Outbound {
    sent: Sent,
    blob_id: BlobId,
    recipients_open: i64,
    quota_day: Option<i64>,
}

impl Outbound {
    /// A server has answered: what the message took of its quota is spent for good.
    fn keep_quota(&mut self, reached: bool) {
        if reached {
            self.quota_day = None;
        }
    }
}

impl Command for RecordAttempt {
    type Outcome = Recorded;

    async fn run(&self, tx: &mut Tx) -> Result<Recorded, DbError> {
        let Some(mut outbound) = self.lock_outbound(tx).await? else {
            return Ok(Recorded { lost: self.reports.iter().map(|report| report.id).collect() });
        };
        let episode = match &self.news {
            Some(news) => news.judge(tx, self.at).await?,
            None => None,
        };
        let mut recorded = Recorded::default();
        for report in &self.reports {
            if !self.settle(tx, &mut outbound, report, episode).await? {
                recorded.lost.push(report.id);
            }
        }
        // A worker whose leases have gone changes nothing, not even the signature.
        if recorded.lost.len() == self.reports.len() {
            return Ok(recorded);
        }
        self.finish(tx, &outbound).await?;
        for attempt in &self.attempts {
            attempt.write(tx, self.message_id, outbound.sent.grant_id, outbound.sent.application_id).await?;
        }
        if let Some(act) = &self.by {
            self.audit(tx, act, &recorded).await?;
        }
        if let Some(news) = &self.news {
            news.write(tx, episode, self.parks(&recorded), self.at).await?;
        }
        let told = |report: &&Report| {
            !matches!(report.after, AfterAttempt::Delivered | AfterAttempt::RetryAt(_))
                && !recorded.lost.contains(&report.id)
        };
        if let Some(notice) = self.notice.as_ref().filter(|_| self.reports.iter().any(|report| told(&report))) {
            // A notice is ours, which no cap keeps out.
            drop(notice.run(tx).await?);
        }
        Ok(recorded)
    }
}

impl RecordAttempt {
    async fn lock_outbound(&self, tx: &mut Tx) -> Result<Option<Outbound>, DbError> {
        const LOCK: &str = "SELECT grant_id, application_id, blob_id, recipients_open, quota_day, organization_id, \
            workspace_id, thread_id, sender FROM outbound WHERE message_id = $1 {lock}";
        let Some(row) = tx.query_one(LOCK, params![self.message_id.uuid()]).await? else { return Ok(None) };
        Ok(Some(Outbound {
            sent: Sent {
                organization_id: OrganizationId::from_uuid(row.uuid(5)?),
                application_id: ApplicationId::from_uuid(row.uuid(1)?),
                grant_id: GrantId::from_uuid(row.uuid(0)?),
                workspace_id: row.opt_uuid(6)?.map(WorkspaceId::from_uuid),
                message_id: self.message_id,
                thread_id: row.opt_uuid(7)?.map(ThreadId::from_uuid),
                sender: EmailAddress::parse(row.str(8)?).map_err(|_| DbError::Malformed("sender"))?,
            },
            blob_id: BlobId::from_uuid(row.uuid(2)?),
            recipients_open: row.int(3)?,
            quota_day: row.opt_int(4)?,
        }))
    }

    async fn audit(&self, tx: &mut Tx, act: &Act, recorded: &Recorded) -> Result<(), DbError> {
        let settled = self.reports.iter().filter(|report| !recorded.lost.contains(&report.id));
        let recipients: Vec<String> = settled.map(|report| report.recipient.to_string()).collect();
        let after = serde_json::json!({"recipients": recipients}).to_string();
        let change = audit::Change {
            action: "queue.bounced",
            target_kind: "message",
            target_id: &self.message_id.to_string(),
            before: None,
            after: Some(&after),
        };
        audit::record(tx, act, change).await
    }

    /// Whether one of the rows is to be tried again.
    fn parks(&self, recorded: &Recorded) -> bool {
        let is_retried = |report: &Report| matches!(report.after, AfterAttempt::RetryAt(_));
        self.reports.iter().any(|report| is_retried(report) && !recorded.lost.contains(&report.id))
    }

    /// Carries out one report; false when the row is not under our lease any more.
    async fn settle(
        &self,
        tx: &mut Tx,
        outbound: &mut Outbound,
        report: &Report,
        episode: Option<Episode>,
    ) -> Result<bool, DbError> {
        // What was paused meanwhile stays so.
        const RETRY: &str = "UPDATE queue SET due_at = CASE WHEN paused = 1 THEN NULL ELSE CAST($3 AS {int}) END, \
            attempts = attempts + 1, answered = CASE WHEN $7 = 1 THEN 1 ELSE answered END, lease = NULL, owner = NULL, last_reply = $4, parked = $6, forced = 0, \
            ambiguous = CASE WHEN $5 = 1 THEN 1 ELSE ambiguous END WHERE id = $1 AND lease = $2";
        const DONE: &str = "DELETE FROM queue WHERE id = $1 AND lease = $2 RETURNING ambiguous, answered";
        let (id, lease) = (report.id.uuid(), self.lease.uuid());
        if let AfterAttempt::RetryAt(due) = &report.after {
            // Behind a destination that does not answer, its turn is what counts.
            let due = episode.map_or(*due, |episode| episode.until.min(*due));
            let (is_ambiguous, is_parked) = (report.ambiguous, episode.is_some());
            let values = params![id, lease, due.as_micros(), &report.reply, is_ambiguous, is_parked, report.reached];
            let is_ours = tx.execute(RETRY, values).await? > 0;
            outbound.keep_quota(is_ours && report.reached);
            return Ok(is_ours);
        }
        let Some(row) = tx.query_one(DONE, params![id, lease]).await? else { return Ok(false) };
        outbound.keep_quota(report.reached);
        outbound.recipients_open -= 1;
        let has_mailbox = self.announce(tx, &outbound.sent, report, row.flag(0)? || report.ambiguous).await?;
        self.write_outcome(tx, &outbound.sent, report, (row.flag(1)? || report.reached, has_mailbox)).await?;
        if report.bounce.class() == BounceClass::Hard && matches!(report.after, AfterAttempt::Bounced(_)) {
            self.suppress(tx, &outbound.sent, report).await?;
        }
        Ok(true)
    }

    /// Nothing more is sent to whom there is not.
    async fn suppress(&self, tx: &mut Tx, sent: &Sent, report: &Report) -> Result<(), DbError> {
        let cause = Cause {
            reason: suppression::Reason::HardBounce,
            source: "delivery",
            grant_id: Some(sent.grant_id),
            message_id: Some(self.message_id),
            expires_at: self.suppressed_until,
        };
        suppressions::suppress(tx, sent.application_id, &report.recipient, &cause, self.at).await?;
        Ok(())
    }

    /// Tells it; answers whether the mailbox is still there.
    async fn announce(&self, tx: &mut Tx, sent: &Sent, report: &Report, ambiguous: bool) -> Result<bool, DbError> {
        // A removed mailbox has no more events; its accepted mail is delivered all the same.
        let Some(grant_sequence) = events::next_sequence(tx, sent.grant_id).await? else { return Ok(false) };
        let (trigger, data) = announcement(report, ambiguous, self.at);
        tx.announce(NewEvent {
            id: report.event_id,
            application_id: sent.application_id,
            grant_id: sent.grant_id,
            grant_sequence,
            trigger,
            message_id: Some(self.message_id),
            data,
            at: self.at,
        });
        Ok(true)
    }

    /// Writes down the last word about a recipient, and as what it counts.
    async fn write_outcome(
        &self,
        tx: &mut Tx,
        sent: &Sent,
        report: &Report,
        (answered, has_mailbox): (bool, bool),
    ) -> Result<(), DbError> {
        let (kind, said) = match &report.after {
            AfterAttempt::Delivered | AfterAttempt::RetryAt(_) => (SendEventKind::Delivered, LastWord::Delivered),
            AfterAttempt::Bounced(_) => (SendEventKind::Bounced, LastWord::Failed(report.bounce)),
            AfterAttempt::Expired(_) => (SendEventKind::Bounced, LastWord::Expired(report.bounce)),
            AfterAttempt::Suppressed(_) => (SendEventKind::Rejected, LastWord::Suppressed),
        };
        let counted_before = match said {
            LastWord::Failed(bounce) if bounce.class() == BounceClass::Hard => {
                send_events::has_bounced(tx, self.message_id, &report.recipient).await?
            }
            _ => false,
        };
        let (status, reason) = match &report.after {
            AfterAttempt::Bounced(reason) | AfterAttempt::Expired(reason) => {
                (reason.status.clone(), reason.to_string())
            }
            AfterAttempt::Suppressed(why) => (String::new(), why.name().to_owned()),
            AfterAttempt::Delivered | AfterAttempt::RetryAt(_) => Default::default(),
        };
        let of = (report.event_id.uuid(), self.at);
        tx.tally().happened(SendEvent {
            bounce: (kind == SendEventKind::Bounced).then_some(report.bounce),
            is_expired: matches!(said, LastWord::Expired(_)),
            counted: Counted::last_word(said, answered, report.sends_feedback, counted_before),
            status,
            reason,
            is_of_removed: !has_mailbox,
            ..SendEvent::new(sent, kind, Some(&report.recipient), of)
        });
        Ok(())
    }

    /// Updates the message's row, or removes it with its last recipient; gives the quota back if no server ever
    /// answered for any of them.
    async fn finish(&self, tx: &mut Tx, outbound: &Outbound) -> Result<(), DbError> {
        const UPDATE: &str = "UPDATE outbound SET recipients_open = $2, quota_day = $3, \
            signature = coalesce(signature, $4) WHERE message_id = $1";
        const REMOVE: &str = "DELETE FROM outbound WHERE message_id = $1";
        let message = self.message_id.uuid();
        if outbound.recipients_open > 0 {
            let signature = self.signature.as_deref();
            tx.execute(UPDATE, params![message, outbound.recipients_open, outbound.quota_day, signature]).await?;
            return Ok(());
        }
        if let Some(day) = outbound.quota_day {
            let day = UtcDay::from_number(day);
            let sent = (outbound.sent.grant_id, self.message_id);
            meters::give_back(tx, outbound.sent.application_id, sent, outbound.blob_id, day).await?;
        }
        tx.execute(REMOVE, params![message]).await?;
        blobs::release(tx, outbound.blob_id).await
    }
}

/// The trigger and the facts of a settled recipient. `ambiguous` tells that an earlier attempt may have arrived too.
fn announcement(report: &Report, ambiguous: bool, at: UnixMicros) -> (Trigger, String) {
    let recipient = report.recipient.to_string();
    let (trigger, data) = match &report.after {
        AfterAttempt::Bounced(reason) | AfterAttempt::Expired(reason) => {
            let expired = matches!(report.after, AfterAttempt::Expired(_));
            let code = format!("smtp; {reason}");
            let data = serde_json::json!({"recipient": recipient, "at": at.as_seconds(), "status": reason.status,
                "diagnostic_code": code.trim(), "bounce_type": report.bounce.name(),
                "bounce_class": report.bounce.class().name(), "expired": expired, "ambiguous": ambiguous});
            (Trigger::MessageBounced, data)
        }
        AfterAttempt::Suppressed(why) => {
            let left_out = serde_json::json!([{"email": recipient, "reason": why.name()}]);
            let data = serde_json::json!({"at": at.as_seconds(), "reason": "suppressed", "recipients": left_out,
                "ambiguous": ambiguous});
            (Trigger::MessageRejected, data)
        }
        AfterAttempt::Delivered | AfterAttempt::RetryAt(_) => {
            let data = serde_json::json!({"recipient": recipient, "at": at.as_seconds(), "ambiguous": ambiguous});
            (Trigger::MessageDelivered, data)
        }
    };
    (trigger, data.to_string())
}
