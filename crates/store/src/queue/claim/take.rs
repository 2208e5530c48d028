//! Taking rows under a lease: a message's recipients at one destination together.

use super::Claim;
use crate::db::{DbError, Row};
use crate::engine::Tx;
use crate::outbound::Lease;
use crate::params;
use postfleet_core::EmailAddress;
use postfleet_core::id::{MessageId, QueueId};
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_core::suppression;
use postfleet_core::trace::TraceContext;
use uuid::Uuid;

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
    /// Its destination has not answered lately: this is to find out whether it does again.
    pub is_probe: bool,
    /// Why the recipient is not written to, if it was suppressed since the message was accepted: it is not attempted.
    pub suppressed: Option<suppression::Reason>,
    /// Where in a trace it was accepted, if that is recorded.
    pub trace: Option<TraceContext>,
}

/// What a row waits for.
#[derive(Clone, Copy)]
pub(super) enum Waits {
    /// Its own time.
    Due,
    /// Its destination's turn.
    Parked,
}

// A row that still has a lease lost its worker, perhaps after the message had been handed over. The destination is not
// looked up: a message has few rows, a destination may have many.
pub(crate) const TAKE_MESSAGE: &str = "UPDATE queue SET due_at = $5, lease = $6, owner = $7, parked = 0, \
    ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id IN (SELECT q.id FROM queue q \
    WHERE q.message_id = $1 AND q.destination || '' = $2 AND q.parked + 0 = $3 AND q.paused = 0 AND q.due_at <= $4 \
    ORDER BY q.id LIMIT $8 {skip_locked}) \
    RETURNING id, message_id, recipient, attempts, \
    (SELECT o.application_id FROM outbound o WHERE o.message_id = queue.message_id) AS application_id, trace";

/// Takes what is due of a message at a destination, in the order of the rows; each with its application.
pub(super) async fn take_message(
    tx: &mut Tx,
    claim: &Claim,
    message: Uuid,
    destination: &str,
    waits: Waits,
    is_probe: bool,
) -> Result<Vec<(Claimed, Option<Uuid>)>, DbError> {
    let Claim { lease, now, .. } = claim;
    let is_parked = matches!(waits, Waits::Parked);
    let values = params![
        message,
        destination,
        is_parked,
        now.as_micros(),
        lease.until.as_micros(),
        lease.id.uuid(),
        &lease.owner,
        RECIPIENTS_MAX as i64
    ];
    let mut taken = Vec::new();
    for row in tx.query(TAKE_MESSAGE, values).await? {
        taken.push((read_claimed(&row, is_probe)?, row.opt_uuid(4)?));
    }
    taken.sort_by_key(|(row, _)| row.id);
    Ok(taken)
}

/// Takes one row, whatever it waits for.
pub(super) async fn take(tx: &mut Tx, id: Uuid, lease: &Lease) -> Result<Option<Row>, DbError> {
    const TAKE: &str = "UPDATE queue SET due_at = $2, lease = $3, owner = $4, parked = 0, \
        ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id = $1 \
        RETURNING id, message_id, recipient, attempts, \
        (SELECT o.application_id FROM outbound o WHERE o.message_id = queue.message_id) AS application_id, trace";
    tx.query_one(TAKE, params![id, lease.until.as_micros(), lease.id.uuid(), &lease.owner]).await
}

pub(super) fn read_claimed(row: &Row, is_probe: bool) -> Result<Claimed, DbError> {
    Ok(Claimed {
        id: QueueId::from_uuid(row.uuid(0)?),
        message_id: MessageId::from_uuid(row.uuid(1)?),
        recipient: EmailAddress::parse(row.str(2)?).map_err(|_| DbError::Malformed("recipient"))?,
        attempts: u32::try_from(row.int(3)?).unwrap_or(u32::MAX),
        is_probe,
        suppressed: None,
        trace: row.opt_bytes(5)?.and_then(|octets| TraceContext::from_octets(&octets)),
    })
}

/// A row that was paused under a lease whose worker is gone: from now on it is never due.
pub(super) async fn hold(tx: &mut Tx, id: Uuid) -> Result<(), DbError> {
    const HOLD: &str = "UPDATE queue SET due_at = NULL, lease = NULL, owner = NULL, \
        ambiguous = CASE WHEN lease IS NULL THEN ambiguous ELSE 1 END WHERE id = $1";
    tx.execute(HOLD, params![id]).await?;
    Ok(())
}
