//! Searching the messages of a mailbox. What is searched of a message (its terms) is written with its body, in the transaction that files
//! it, and goes with it (see [`crate::blobs`]); or it is made of the body when it is needed. From there it is gathered into segments, some hundred messages at a time, behind the back
//! of everybody: each message is at every moment either loose (later than all segments), late, or in one segment.

mod known;
mod merge;
mod read;
mod rows;
mod segment;

pub(crate) use known::{KNOWN_OCTETS_MAX, Known};
pub use merge::{AddPostings, BeginMerge, ClearSegment, EndMerge};
#[cfg(test)]
pub(crate) use read::{DUE, LATE, LATE_PLACES, LATE_TO_GATHER, LOOSE, LOOSE_TO_GATHER, SEGMENTS};
pub use read::{
    Segment, Vector, due, is_merging, late, late_places, late_to_gather, loose, loose_to_gather, searched_until,
    segments, there, unfinished,
};
#[cfg(test)]
pub(crate) use rows::{CHUNKS, SHARDS, SOME_CHUNKS};
pub use rows::{Places, Postings, all_places, places, postings, shards};
pub use segment::{AddSegment, Added, Settle};
#[cfg(test)]
pub(crate) use segment::{LATE_AFTER, LOOSE_AFTER};

use crate::db::DbError;
use crate::engine::Tx;
use crate::messages::MailboxCopy;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId};
use uuid::Uuid;

/// Messages of a segment that is made of loose ones.
pub const SEGMENT_MESSAGES: usize = 128;

/// Of this many numbers of a mailbox's events one makes it due, if it is that of a message. What else is numbered between two messages,
/// such as that each of them was read, follows a pattern more often than not: of a prime each pattern has its turn.
const NUMBERS: u64 = 131;

/// Segments of a level that are merged into one of the next.
pub const MERGED_SEGMENTS: usize = 16;

/// Messages of a row of [`places`]: PostgreSQL keeps up to some 2,000 octets of a value with its row, and looks for more than that elsewhere.
pub const CHUNK_MESSAGES: usize = 48;

/// Shards of a segment, as a power of two: a shard stays as large when segments grow. Most of them have some 2 KB; see [`CHUNK_MESSAGES`].
pub const fn shard_bits(level: u32) -> u32 {
    let bits = 6 + 4 * level;
    if bits > 19 { 19 } else { bits }
}

/// A message of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Its date, in microseconds.
    pub date: i64,
    /// Its id.
    pub id: Uuid,
    /// Its thread.
    pub thread: Uuid,
}

const PLACE_OCTETS: usize = 40;

impl Place {
    /// The row of some of them.
    pub fn write(places: &[Self]) -> Vec<u8> {
        let mut row = Vec::with_capacity(places.len() * PLACE_OCTETS);
        for place in places {
            row.extend_from_slice(&place.date.to_be_bytes());
            row.extend_from_slice(place.id.as_bytes());
            row.extend_from_slice(place.thread.as_bytes());
        }
        row
    }

    /// Those of a row.
    pub fn read(row: &[u8]) -> Result<Vec<Self>, DbError> {
        row.chunks_exact(PLACE_OCTETS).map(Self::read_one).collect()
    }

    fn read_one(octets: &[u8]) -> Result<Self, DbError> {
        let id = |octets: &[u8]| Uuid::from_slice(octets).map_err(|_| DbError::Malformed("place"));
        let (date, ids) = octets.split_first_chunk().ok_or(DbError::Malformed("place"))?;
        let (message, thread) = ids.split_at_checked(16).ok_or(DbError::Malformed("place"))?;
        Ok(Self { date: i64::from_be_bytes(*date), id: id(message)?, thread: id(thread)? })
    }
}

const UNTIL: &str = "SELECT searched_until FROM mailboxes WHERE grant_id = $1";

/// Notes a message that was filed in a mailbox that is locked. It is loose, or late.
pub(crate) async fn filed(
    tx: &mut Tx,
    (copy, date): (&MailboxCopy, UnixMicros),
    searched_until: UnixMicros,
    sequence: u64,
) -> Result<(), DbError> {
    if date <= searched_until {
        add_late(tx, copy.grant_id, date.as_micros(), copy.message_id).await?;
    }
    if sequence.is_multiple_of(NUMBERS) {
        add_due(tx, copy.grant_id).await?;
    }
    Ok(())
}

/// The same of a message that was imported.
pub(crate) async fn imported(tx: &mut Tx, copy: &MailboxCopy, date: UnixMicros) -> Result<(), DbError> {
    let Some(row) = tx.query_one(UNTIL, params![copy.grant_id.uuid()]).await? else { return Ok(()) };
    if date.as_micros() <= row.int(0)? {
        add_late(tx, copy.grant_id, date.as_micros(), copy.message_id).await?;
    }
    add_due(tx, copy.grant_id).await
}

async fn add_late(tx: &mut Tx, grant: GrantId, date: i64, message: MessageId) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO search_late (grant_id, date, message_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    tx.execute(ADD, params![grant.uuid(), date, message.uuid()]).await?;
    Ok(())
}

async fn add_due(tx: &mut Tx, grant: GrantId) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO search_due (grant_id) VALUES ($1) ON CONFLICT DO NOTHING";
    tx.execute(ADD, params![grant.uuid()]).await?;
    Ok(())
}
