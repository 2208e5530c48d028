//! Reading the records of what came back, finding what it is about, and removing what is old.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::send_events::ids_of;
use postfleet_core::UnixMicros;
use postfleet_core::id::{FeedbackId, GrantId, MessageId, ThreadId};
use postfleet_core::send_event::SendEventKind;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A message that was sent, as a report finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The mailbox that sent it.
    pub grant_id: GrantId,
    /// Its conversation.
    pub thread_id: ThreadId,
    /// What lists show of it, as JSON: its recipients are in it.
    pub summary: String,
    /// Recipients that are in it and got nothing, because they were suppressed when it was accepted.
    pub left_out: Vec<String>,
}

/// The recipients of a message that were accepted (1) or refused at once (5).
pub(crate) const BEGAN: &str = concat!(
    "SELECT recipient, kind FROM ",
    ids_of!("message_id", "$4"),
    " CROSS JOIN send_events WHERE id = ids.found AND kind IN (1, 5)"
);

/// Rows of a message that are looked at: more than all that can happen to as many recipients as it may have.
const ROWS_OF_MESSAGE: i64 = 100_000;

/// Finds a message that was sent, whosever it is.
pub async fn sent(reader: &mut Reader<'_>, id: MessageId) -> Result<Option<Sent>, StoreError> {
    const FIND: &str = "SELECT grant_id, thread_id, summary FROM messages WHERE id = $1 AND outgoing = 1";
    let Some(row) = reader.query_one(FIND, params![id.uuid()]).await? else { return Ok(None) };
    Ok(Some(Sent {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        thread_id: ThreadId::from_uuid(row.uuid(1)?),
        summary: row.text(2)?,
        left_out: left_out(reader, id).await?,
    }))
}

/// Who was suppressed later was accepted before, and may have got it.
async fn left_out(reader: &mut Reader<'_>, id: MessageId) -> Result<Vec<String>, StoreError> {
    let (mut accepted, mut rejected) = (BTreeSet::new(), Vec::new());
    for row in reader.query(BEGAN, params![id.uuid(), Uuid::max(), Uuid::nil(), ROWS_OF_MESSAGE]).await? {
        match SendEventKind::numbered(row.int(1)?) {
            Some(SendEventKind::Accepted) => _ = accepted.insert(row.text(0)?),
            _ => rejected.push(row.text(0)?),
        }
    }
    rejected.retain(|recipient| !accepted.contains(recipient));
    Ok(rejected)
}

/// A record, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its id.
    pub id: FeedbackId,
    /// The message that it is about, if it was found.
    pub message_id: Option<MessageId>,
    /// The report itself in the mailbox, if it was filed.
    pub report_id: Option<MessageId>,
    /// What it is: see `postfleet_core::feedback`.
    pub kind: String,
    /// What became of it.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// Who it is about; empty if that is not known.
    pub recipient: String,
    /// What a bounce says about the address.
    pub bounce_type: Option<String>,
    /// Enhanced code, or the type of a complaint; may be empty.
    pub status: String,
    /// What was said; may be empty.
    pub diagnostic: String,
    /// Who says it; may be empty.
    pub reporter: String,
    /// When it came.
    pub reported_at: UnixMicros,
}

macro_rules! list {
    ($of:literal) => {
        concat!(
            "SELECT id, message_id, report_id, kind, outcome, reason, recipient, bounce_type, status, diagnostic, \
             reporter, reported_at FROM feedback_reports WHERE id < $1 AND ",
            $of,
            " ORDER BY id DESC LIMIT $2"
        )
    };
}

pub(crate) const LIST: &str = list!("grant_id = $3");
pub(crate) const LIST_OF_NOBODY: &str = list!("grant_id IS NULL");

/// Records of a mailbox, or of none; newest first, those before `before`.
pub async fn list(
    reader: &mut Reader<'_>,
    grant: Option<GrantId>,
    before: Option<FeedbackId>,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let before = before.map_or(Uuid::max(), FeedbackId::uuid);
    let rows = match grant {
        Some(grant) => reader.query(LIST, params![before, limit as i64, grant.uuid()]).await?,
        None => reader.query(LIST_OF_NOBODY, params![before, limit as i64]).await?,
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Record, DbError> {
    Ok(Record {
        id: FeedbackId::from_uuid(row.uuid(0)?),
        message_id: row.opt_uuid(1)?.map(MessageId::from_uuid),
        report_id: row.opt_uuid(2)?.map(MessageId::from_uuid),
        kind: row.text(3)?,
        outcome: row.text(4)?,
        reason: row.text(5)?,
        recipient: row.text(6)?,
        bounce_type: row.opt_text(7)?,
        status: row.text(8)?,
        diagnostic: row.text(9)?,
        reporter: row.text(10)?,
        reported_at: UnixMicros::from_micros(row.int(11)?),
    })
}

/// Removes records of before a time, the oldest first. Those of a mailbox that is removed go with its other rows.
#[derive(Clone, Copy, Debug)]
pub struct PruneFeedback {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

pub(crate) const PRUNE: &str = "DELETE FROM feedback_reports WHERE id IN \
    (SELECT f.id FROM feedback_reports f WHERE f.id < $1 ORDER BY f.id LIMIT $2)";

impl Command for PruneFeedback {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        // Ids are in the order of time, so that the primary key serves.
        let first_kept = FeedbackId::first_at(self.before).uuid();
        tx.execute(PRUNE, params![first_kept, self.limit as i64]).await
    }
}
