//! Gathering messages that are in no segment into one.

use super::{CHUNK_MESSAGES, Place, SEGMENT_MESSAGES, UNTIL, add_late};
use crate::db::{DbError, Param};
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId};
use postfleet_core::search::segment::Shards;
use std::collections::BTreeSet;
use uuid::Uuid;

/// States of a segment.
pub(super) const MAKING: i64 = 0;
pub(super) const LIVE: i64 = 1;
pub(super) const OVER: i64 = 2;

/// What messages a segment is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// All that were later than this and not later than the last of them.
    Loose(UnixMicros),
    /// Some that were late.
    Late,
}

/// Adds a segment.
#[derive(Clone, Debug)]
pub struct AddSegment {
    /// The mailbox.
    pub grant_id: GrantId,
    /// What it is made of.
    pub added: Added,
    /// Its messages, by date, then id; at least one.
    pub places: Vec<Place>,
    /// Their terms.
    pub shards: Shards,
    /// When.
    pub at: UnixMicros,
}

impl Command for AddSegment {
    /// Whether it was added; not when somebody else did so meanwhile.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else { return Ok(false) };
        if !drafts::lock(tx, self.grant_id).await? {
            return Ok(false);
        }
        let taken = match self.added {
            Added::Loose(since) => self.take_loose(tx, since.as_micros(), last.date).await?,
            Added::Late => self.take_late(tx).await?,
        };
        if !taken {
            return Ok(false);
        }
        let dates = (first.date, last.date);
        let segment = insert(tx, self.grant_id, (0, LIVE), (self.places.len(), dates), self.at).await?;
        add_chunks(tx, self.grant_id, segment, &self.places).await?;
        add_shards(tx, self.grant_id, segment, &self.shards).await?;
        Ok(true)
    }
}

impl AddSegment {
    /// Moves the line between what is loose and what is not. What came meanwhile on this side of it is late.
    async fn take_loose(&self, tx: &mut Tx, since: i64, until: i64) -> Result<bool, DbError> {
        const MOVE: &str = "UPDATE mailboxes SET searched_until = $3 WHERE grant_id = $1 AND searched_until = $2";
        const BETWEEN: &str =
            "SELECT message_id, date FROM listings WHERE grant_id = $1 AND folder = '' AND date > $2 AND date <= $3";
        let values = params![self.grant_id.uuid(), since, until];
        if tx.execute(MOVE, values).await? == 0 {
            return Ok(false);
        }
        let known: BTreeSet<Uuid> = self.places.iter().map(|place| place.id).collect();
        for row in tx.query(BETWEEN, values).await? {
            let id = row.uuid(0)?;
            if !known.contains(&id) {
                add_late(tx, self.grant_id, row.int(1)?, MessageId::from_uuid(id)).await?;
            }
        }
        Ok(true)
    }

    async fn take_late(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM search_late WHERE grant_id = $1 AND date = $2 AND message_id = $3";
        for (taken, place) in self.places.iter().enumerate() {
            let was_late = tx.execute(REMOVE, params![self.grant_id.uuid(), place.date, place.id]).await? > 0;
            // All of them are, or somebody took them.
            if !was_late {
                return if taken == 0 { Ok(false) } else { Err(DbError::Serialization("late messages".into())) };
            }
        }
        Ok(true)
    }
}

/// Says that there is nothing more to do for a mailbox, if so: what came since it was looked at may be enough for another segment. As long as one
/// of its segments is in the making or to be removed there is something: whoever makes or removes it may be gone.
#[derive(Clone, Copy, Debug)]
pub struct Settle {
    /// Which.
    pub grant_id: GrantId,
}

impl Command for Settle {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const SETTLE: &str = "DELETE FROM search_due WHERE grant_id = $1 AND NOT EXISTS \
            (SELECT 1 FROM search_segments s WHERE s.grant_id = $1 AND s.state <> $2)";
        // What is gone was late in vain.
        const FORGET: &str = "DELETE FROM search_late WHERE grant_id = $1 AND NOT EXISTS \
            (SELECT 1 FROM messages m WHERE m.id = search_late.message_id)";
        // Whoever files a message makes the mailbox due in the same transaction, and waits for this one or is waited for.
        let is_there = drafts::lock(tx, self.grant_id).await?;
        tx.execute(FORGET, params![self.grant_id.uuid()]).await?;
        if !is_there || !self.has_enough(tx).await? {
            tx.execute(SETTLE, params![self.grant_id.uuid(), LIVE]).await?;
        }
        Ok(())
    }
}

/// Of what is loose, the date of one; nothing if there are fewer.
pub(crate) const LOOSE_AFTER: &str = "SELECT l.date FROM listings l WHERE l.grant_id = $1 AND l.folder = '' \
    AND l.date > $2 ORDER BY l.date, l.message_id LIMIT 1 OFFSET $3";

/// The same of what is late.
pub(crate) const LATE_AFTER: &str =
    "SELECT s.date FROM search_late s WHERE s.grant_id = $1 ORDER BY s.date, s.message_id LIMIT 1 OFFSET $2";

impl Settle {
    /// Whether a segment can be made.
    async fn has_enough(&self, tx: &mut Tx) -> Result<bool, DbError> {
        let grant = self.grant_id.uuid();
        let before = SEGMENT_MESSAGES as i64 - 1;
        let until = tx.query_one(UNTIL, params![grant]).await?.map(|row| row.int(0)).transpose()?;
        let loose = tx.query_one(LOOSE_AFTER, params![grant, until.unwrap_or(i64::MAX), before]).await?;
        Ok(loose.is_some() || tx.query_one(LATE_AFTER, params![grant, before]).await?.is_some())
    }
}

/// Writes the row of a segment of a mailbox that is locked; answers its number.
pub(super) async fn insert(
    tx: &mut Tx,
    grant: GrantId,
    (level, state): (u32, i64),
    (messages, (first, last)): (usize, (i64, i64)),
    at: UnixMicros,
) -> Result<i64, DbError> {
    const NEXT: &str = "SELECT coalesce(max(segment), 0) + 1 FROM search_segments WHERE grant_id = $1";
    const INSERT: &str = "INSERT INTO search_segments (grant_id, segment, level, state, messages, first_date, last_date, \
        made_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let row = tx.query_one(NEXT, params![grant.uuid()]).await?.ok_or(DbError::Malformed("segment"))?;
    let segment = row.int(0)?;
    let values = params![grant.uuid(), segment, i64::from(level), state, messages as i64, first, last, at.as_micros()];
    tx.execute(INSERT, values).await?;
    Ok(segment)
}

pub(super) async fn add_chunks(tx: &mut Tx, grant: GrantId, segment: i64, places: &[Place]) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO search_messages (grant_id, segment, chunk, data) VALUES ($1, $2, $3, $4)";
    let chunks: Vec<Vec<u8>> = places.chunks(CHUNK_MESSAGES).map(Place::write).collect();
    let rows: Vec<Vec<Param<'_>>> = (0_i64..)
        .zip(&chunks)
        .map(|(chunk, data)| params![grant.uuid(), segment, chunk, data.as_slice()].to_vec())
        .collect();
    tx.db().execute_each(ADD, &rows).await
}

pub(super) async fn add_shards(tx: &mut Tx, grant: GrantId, segment: i64, shards: &Shards) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO search_postings (grant_id, segment, shard, data) VALUES ($1, $2, $3, $4)";
    let rows: Vec<Vec<Param<'_>>> = shards
        .iter()
        .map(|(shard, data)| params![grant.uuid(), segment, i64::from(*shard), data.as_slice()].to_vec())
        .collect();
    tx.db().execute_each(ADD, &rows).await
}
