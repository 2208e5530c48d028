//! The delivery queue: one row per recipient, worked on under a lease.
//!
//! A claim moves a row's due time to the end of the lease, so a row whose worker died becomes due again by itself.
//! What a worker reports is written only while the row still carries its lease: a worker that comes back after its
//! lease ended changes nothing.

use crate::blobs::{self, StoredBlob};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, NewEvent};
use crate::messages::Deliver;
use crate::outbound::Lease;
use crate::params;
use crate::suppressions::{self, Cause};
use postfleet_core::bounce::{BounceClass, BounceType};
use postfleet_core::delivery::AfterAttempt;
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, BlobId, EventId, GrantId, LeaseId, MessageId, QueueId};
use postfleet_core::{EmailAddress, UnixMicros, suppression};

/// Takes up to `limit` due rows for one worker.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The lease they are taken under.
    pub lease: Lease,
    /// Now.
    pub now: UnixMicros,
    /// Rows at most.
    pub limit: usize,
}

/// One recipient to be attempted.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The row.
    pub id: QueueId,
    /// Its message.
    pub message_id: MessageId,
    /// The recipient.
    pub recipient: EmailAddress,
    /// Attempts so far.
    pub attempts: u32,
}

pub(crate) const DUE: &str = "SELECT id FROM queue WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2 {skip_locked}";

impl Command for Claim {
    type Outcome = Vec<Claimed>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Claimed>, DbError> {
        // A row that still has a lease lost its worker, perhaps after the message had been handed over.
        const TAKE: &str = "UPDATE queue SET due_at = $2, lease = $3, owner = $4, \
            ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id = $1 \
            RETURNING id, message_id, recipient, attempts";
        let due = tx.query(DUE, params![self.now.as_micros(), self.limit as i64]).await?;
        let mut claimed = Vec::with_capacity(due.len());
        for row in due {
            let lease = &self.lease;
            let values = params![row.uuid(0)?, lease.until.as_micros(), lease.id.uuid(), &lease.owner];
            if let Some(row) = tx.query_one(TAKE, values).await? {
                claimed.push(read_claimed(&row)?);
            }
        }
        Ok(claimed)
    }
}

fn read_claimed(row: &Row) -> Result<Claimed, DbError> {
    Ok(Claimed {
        id: QueueId::from_uuid(row.uuid(0)?),
        message_id: MessageId::from_uuid(row.uuid(1)?),
        recipient: EmailAddress::parse(&row.text(2)?).map_err(|_| DbError::Malformed("recipient"))?,
        attempts: u32::try_from(row.int(3)?).unwrap_or(u32::MAX),
    })
}

/// Makes the rows that an earlier run of a node had leased due at once: nobody works on them. Whether they had been
/// handed over is not known, so they are ambiguous.
#[derive(Clone, Debug)]
pub struct ReleaseLeases {
    /// The node.
    pub owner: String,
    /// The first lease that this run of the node can have made; earlier ones are those of earlier runs.
    pub before: LeaseId,
    /// Now.
    pub now: UnixMicros,
}

impl Command for ReleaseLeases {
    /// How many rows.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const RELEASE: &str = "UPDATE queue SET due_at = $1, lease = NULL, owner = NULL, ambiguous = 1 \
            WHERE owner = $2 AND lease < $3";
        tx.wake_queue();
        tx.execute(RELEASE, params![self.now.as_micros(), &self.owner, self.before.uuid()]).await
    }
}

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
    grant_id: GrantId,
    application_id: ApplicationId,
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
        let mut recorded = Recorded::default();
        for report in &self.reports {
            if !self.settle(tx, &mut outbound, report).await? {
                recorded.lost.push(report.id);
            }
        }
        // A worker whose leases have gone changes nothing, not even the signature.
        if recorded.lost.len() == self.reports.len() {
            return Ok(recorded);
        }
        self.finish(tx, &outbound).await?;
        let told = |report: &&Report| {
            matches!(report.after, AfterAttempt::Bounced(_) | AfterAttempt::Expired(_))
                && !recorded.lost.contains(&report.id)
        };
        if let Some(notice) = self.notice.as_ref().filter(|_| self.reports.iter().any(|report| told(&report))) {
            notice.run(tx).await?;
        }
        Ok(recorded)
    }
}

impl RecordAttempt {
    async fn lock_outbound(&self, tx: &mut Tx) -> Result<Option<Outbound>, DbError> {
        const LOCK: &str = "SELECT grant_id, application_id, blob_id, recipients_open, quota_day FROM outbound \
            WHERE message_id = $1 {lock}";
        let Some(row) = tx.query_one(LOCK, params![self.message_id.uuid()]).await? else { return Ok(None) };
        Ok(Some(Outbound {
            grant_id: GrantId::from_uuid(row.uuid(0)?),
            application_id: ApplicationId::from_uuid(row.uuid(1)?),
            blob_id: BlobId::from_uuid(row.uuid(2)?),
            recipients_open: row.int(3)?,
            quota_day: row.opt_int(4)?,
        }))
    }

    /// Carries out one report; false when the row is not under our lease any more.
    async fn settle(&self, tx: &mut Tx, outbound: &mut Outbound, report: &Report) -> Result<bool, DbError> {
        const RETRY: &str = "UPDATE queue SET due_at = $3, attempts = attempts + 1, lease = NULL, owner = NULL, \
            last_reply = $4, ambiguous = CASE WHEN $5 = 1 THEN 1 ELSE ambiguous END WHERE id = $1 AND lease = $2";
        const DONE: &str = "DELETE FROM queue WHERE id = $1 AND lease = $2 RETURNING ambiguous";
        let (id, lease) = (report.id.uuid(), self.lease.uuid());
        if let AfterAttempt::RetryAt(due) = &report.after {
            let values = params![id, lease, due.as_micros(), &report.reply, i64::from(report.ambiguous)];
            let is_ours = tx.execute(RETRY, values).await? > 0;
            outbound.keep_quota(is_ours && report.reached);
            return Ok(is_ours);
        }
        let Some(row) = tx.query_one(DONE, params![id, lease]).await? else { return Ok(false) };
        outbound.keep_quota(report.reached);
        outbound.recipients_open -= 1;
        self.announce(tx, outbound, report, row.flag(0)? || report.ambiguous).await?;
        if report.bounce.class() == BounceClass::Hard && matches!(report.after, AfterAttempt::Bounced(_)) {
            self.suppress(tx, outbound, report).await?;
        }
        Ok(true)
    }

    /// Nothing more is sent to whom there is not.
    async fn suppress(&self, tx: &mut Tx, outbound: &Outbound, report: &Report) -> Result<(), DbError> {
        let cause = Cause {
            reason: suppression::Reason::HardBounce,
            source: "delivery",
            grant_id: Some(outbound.grant_id),
            message_id: Some(self.message_id),
        };
        suppressions::suppress(tx, outbound.application_id, &report.recipient, &cause, self.at).await?;
        Ok(())
    }

    async fn announce(
        &self,
        tx: &mut Tx,
        outbound: &Outbound,
        report: &Report,
        ambiguous: bool,
    ) -> Result<(), DbError> {
        // A removed mailbox has no more events; its accepted mail is delivered all the same.
        let Some(grant_sequence) = events::next_sequence(tx, outbound.grant_id, 0).await? else { return Ok(()) };
        let (trigger, data) = announcement(report, ambiguous, self.at);
        tx.announce(NewEvent {
            id: report.event_id,
            application_id: outbound.application_id,
            grant_id: outbound.grant_id,
            grant_sequence,
            trigger,
            message_id: Some(self.message_id),
            data,
            at: self.at,
        });
        Ok(())
    }

    /// Updates the message's row, or removes it with its last recipient; gives the quota back if no server ever
    /// answered for any of them.
    async fn finish(&self, tx: &mut Tx, outbound: &Outbound) -> Result<(), DbError> {
        const UPDATE: &str = "UPDATE outbound SET recipients_open = $2, quota_day = $3, \
            signature = coalesce(signature, $4) WHERE message_id = $1";
        const REMOVE: &str = "DELETE FROM outbound WHERE message_id = $1";
        const GIVE_BACK: &str = "UPDATE daily_sends SET sent = sent - 1 WHERE grant_id = $1 AND day = $2 AND sent > 0";
        let message = self.message_id.uuid();
        if outbound.recipients_open > 0 {
            let signature = self.signature.as_deref();
            tx.execute(UPDATE, params![message, outbound.recipients_open, outbound.quota_day, signature]).await?;
            return Ok(());
        }
        if let Some(day) = outbound.quota_day {
            tx.execute(GIVE_BACK, params![outbound.grant_id.uuid(), day]).await?;
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
            let code = format!("smtp; {} {} {}", reason.code, reason.status, reason.text);
            let data = serde_json::json!({"recipient": recipient, "at": at.as_seconds(), "status": reason.status,
                "diagnostic_code": code.trim(), "bounce_type": report.bounce.name(),
                "bounce_class": report.bounce.class().name(), "expired": expired, "ambiguous": ambiguous});
            (Trigger::MessageBounced, data)
        }
        _ => {
            let data = serde_json::json!({"recipient": recipient, "at": at.as_seconds(), "ambiguous": ambiguous});
            (Trigger::MessageDelivered, data)
        }
    };
    (trigger, data.to_string())
}

/// A message on its way out, with its body.
#[derive(Clone, Debug)]
pub struct OutboundMessage {
    /// The mailbox that sent it.
    pub grant_id: GrantId,
    /// Where failures are reported.
    pub reverse_path: EmailAddress,
    /// When it was accepted.
    pub queued_at: UnixMicros,
    /// The signature header, once there is one.
    pub signature: Option<Vec<u8>>,
    /// The stored message.
    pub blob: StoredBlob,
}

/// Finds a message on its way out.
pub async fn outbound_message(reader: &mut Reader<'_>, id: MessageId) -> Result<Option<OutboundMessage>, StoreError> {
    const FIND: &str = "SELECT o.grant_id, o.reverse_path, o.queued_at, o.signature, b.hash, b.octets, b.data \
        FROM outbound o JOIN blobs b ON b.id = o.blob_id WHERE o.message_id = $1";
    let Some(row) = reader.query_one(FIND, params![id.uuid()]).await? else { return Ok(None) };
    Ok(Some(OutboundMessage {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        reverse_path: EmailAddress::parse(&row.text(1)?).map_err(|_| DbError::Malformed("reverse path"))?,
        queued_at: UnixMicros::from_micros(row.int(2)?),
        signature: row.opt_bytes(3)?,
        blob: StoredBlob::from_row(&row, 4)?,
    }))
}

/// When the next row is due, if any is.
pub async fn next_due(reader: &mut Reader<'_>) -> Result<Option<UnixMicros>, StoreError> {
    const NEXT: &str = "SELECT min(due_at) FROM queue";
    let row = reader.query_one(NEXT, params![]).await?;
    Ok(row.map(|row| row.opt_int(0)).transpose()?.flatten().map(UnixMicros::from_micros))
}

/// How many recipients wait, and the due time of the one that has waited longest.
pub async fn depth(reader: &mut Reader<'_>) -> Result<u64, StoreError> {
    let row = reader.query_one("SELECT count(*) FROM queue", params![]).await?;
    Ok(row.map(|row| row.count(0)).transpose()?.unwrap_or(0))
}
