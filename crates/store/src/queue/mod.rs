//! The delivery queue: one row per recipient, worked on under a lease.
//!
//! A claim moves a row's due time to the end of the lease, so a row whose worker died becomes due again by itself.
//! What a worker reports is written only while the row still carries its lease: a worker that comes back after its
//! lease ended changes nothing. Rows of a destination that is not open or has enough to do are parked behind it, where
//! no claim passes over them, until it is the destination's turn.

mod claim;
mod depth;
mod destinations;
mod life;
mod list;
mod moved;
mod operate;
mod record;
mod sweep;

pub use claim::{Claim, ClaimExpired, ClaimMessage, Claimed, Claims, MessageClaims, Rooms, next_due, stop_of};
#[cfg(test)]
pub(crate) use claim::{DUE, EXPIRED, PARKED, TAKE_MESSAGE, TURNS};
pub use depth::{Depth, closed_destinations, depth, state_depths};
pub use destinations::{
    Bearing, Destination, DestinationChange, News, UpdateDestination, bearing, destination, is_of_sandbox,
};
pub use destinations::{DestinationOutcome, PruneDestinations, RetryDestination, destinations};
#[cfg(test)]
pub(crate) use destinations::{LIST as DESTINATIONS, LIST_OF_ORGANIZATION as DESTINATIONS_OF_ORGANIZATION};
#[cfg(test)]
pub(crate) use life::ATTEMPTS;
pub use life::{Answer, AttemptRecord, Attempted, PruneAttempts, attempts};
#[cfg(test)]
pub(crate) use list::LIST;
pub use list::{Filter, Queued, QueuedRecipient, State, find, list, recipients};
pub(crate) use moved::left_workspace;
pub use operate::{Operate, Operated, Operation};
pub use record::{RecordAttempt, Recorded, Report};
pub use sweep::{SweepStop, Swept, TurnBack};
#[cfg(test)]
pub(crate) use sweep::{UNSWEPT, WAITING};

use crate::blobs::StoredBlob;
use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, GrantId, LeaseId, MessageId};
use postfleet_core::{EmailAddress, UnixMicros};

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
        const RELEASE: &str = "UPDATE queue SET due_at = CASE WHEN paused = 1 THEN NULL ELSE CAST($1 AS {int}) END, \
            lease = NULL, owner = NULL, ambiguous = 1 WHERE owner = $2 AND lease < $3";
        tx.wake_queue();
        tx.execute(RELEASE, params![self.now.as_micros(), &self.owner, self.before.uuid()]).await
    }
}

/// Makes the rows of a claim due at once whose answer was lost: nobody was told of them, so nothing was attempted. Reads the
/// whole queue.
#[derive(Clone, Debug)]
pub struct ReleaseLease {
    /// The lease.
    pub lease: LeaseId,
    /// Now.
    pub now: UnixMicros,
}

impl Command for ReleaseLease {
    /// How many rows.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const RELEASE: &str = "UPDATE queue SET due_at = CASE WHEN paused = 1 THEN NULL ELSE CAST($1 AS {int}) END, \
            lease = NULL, owner = NULL WHERE lease = $2";
        tx.wake_queue();
        tx.execute(RELEASE, params![self.now.as_micros(), self.lease.uuid()]).await
    }
}

/// A message on its way out, with its body.
#[derive(Clone, Debug)]
pub struct OutboundMessage {
    /// The mailbox that sent it.
    pub grant_id: GrantId,
    /// Its application.
    pub application_id: ApplicationId,
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
    const FIND: &str = "SELECT o.grant_id, o.reverse_path, o.queued_at, o.signature, b.hash, b.octets, b.data, o.application_id \
        FROM outbound o JOIN blobs b ON b.id = o.blob_id WHERE o.message_id = $1";
    let Some(row) = reader.query_one(FIND, params![id.uuid()]).await? else { return Ok(None) };
    Ok(Some(OutboundMessage {
        grant_id: GrantId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(7)?),
        reverse_path: EmailAddress::parse(row.str(1)?).map_err(|_| DbError::Malformed("reverse path"))?,
        queued_at: UnixMicros::from_micros(row.int(2)?),
        signature: row.opt_bytes(3)?,
        blob: StoredBlob::from_row(&row, 4)?,
    }))
}
