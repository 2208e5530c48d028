//! Merging segments into a larger one, a little at a time: it is made beside them, then takes their place in one transaction, then they are
//! removed. Whoever breaks off leaves a segment that nobody searches and that is removed later.

use super::segment::{LIVE, MAKING, OVER, add_chunks, add_shards, insert};
use super::{Place, Segment};
use crate::db::DbError;
use crate::drafts;
use crate::engine::{Command, Tx};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use postfleet_core::search::segment::Shards;

/// Begins to merge segments.
#[derive(Clone, Debug)]
pub struct BeginMerge {
    /// The mailbox.
    pub grant_id: GrantId,
    /// What is merged, all of one level.
    pub sources: Vec<Segment>,
    /// The messages of the new segment, by date, then id.
    pub places: Vec<Place>,
    /// When.
    pub at: UnixMicros,
}

impl Command for BeginMerge {
    /// The number of the new segment; nothing if another is in the making, or the sources are gone.
    type Outcome = Option<i64>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<i64>, DbError> {
        const MADE: &str = "SELECT segment FROM search_segments WHERE grant_id = $1 AND state = $2 LIMIT 1";
        const IS_LIVE: &str = "SELECT segment FROM search_segments WHERE grant_id = $1 AND segment = $2 AND state = $3";
        let grant = self.grant_id;
        let Some(level) = self.sources.first().map(|source| source.level + 1) else { return Ok(None) };
        if !drafts::lock(tx, grant).await? || tx.query_one(MADE, params![grant.uuid(), MAKING]).await?.is_some() {
            return Ok(None);
        }
        for source in &self.sources {
            if tx.query_one(IS_LIVE, params![grant.uuid(), source.number, LIVE]).await?.is_none() {
                return Ok(None);
            }
        }
        let dates =
            (self.places.first().map_or(0, |place| place.date), self.places.last().map_or(0, |place| place.date));
        let segment = insert(tx, grant, (level, MAKING), (self.places.len(), dates), self.at).await?;
        add_chunks(tx, grant, segment, &self.places).await?;
        Ok(Some(segment))
    }
}

/// Adds shards to a segment in the making.
#[derive(Clone, Debug)]
pub struct AddPostings {
    /// The mailbox.
    pub grant_id: GrantId,
    /// The segment.
    pub segment: i64,
    /// When it was begun: numbers come again, and what others began under this one is theirs.
    pub made_at: UnixMicros,
    /// The shards.
    pub shards: Shards,
}

impl Command for AddPostings {
    /// Whether it is still in the making.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const IS_MADE: &str = "SELECT segment FROM search_segments WHERE grant_id = $1 AND segment = $2 AND state = $3 \
            AND made_at = $4 {lock}";
        let values = params![self.grant_id.uuid(), self.segment, MAKING, self.made_at.as_micros()];
        if tx.query_one(IS_MADE, values).await?.is_none() {
            return Ok(false);
        }
        add_shards(tx, self.grant_id, self.segment, &self.shards).await?;
        Ok(true)
    }
}

/// Puts a segment in the place of those that it was made of.
#[derive(Clone, Debug)]
pub struct EndMerge {
    /// The mailbox.
    pub grant_id: GrantId,
    /// The new one.
    pub segment: i64,
    /// When it was begun.
    pub made_at: UnixMicros,
    /// The others.
    pub sources: Vec<Segment>,
}

impl Command for EndMerge {
    /// Whether it was still in the making.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const FINISH: &str = "UPDATE search_segments SET state = $4 WHERE grant_id = $1 AND segment = $2 AND state = $3 \
            AND made_at = $5";
        const TURN: &str = "UPDATE search_segments SET state = $4 WHERE grant_id = $1 AND segment = $2 AND state = $3";
        let grant = self.grant_id.uuid();
        let made_at = self.made_at.as_micros();
        if tx.execute(FINISH, params![grant, self.segment, MAKING, LIVE, made_at]).await? == 0 {
            return Ok(false);
        }
        for source in &self.sources {
            tx.execute(TURN, params![grant, source.number, LIVE, OVER]).await?;
        }
        Ok(true)
    }
}

/// Removes some rows of a segment that nobody searches, and at last the segment.
#[derive(Clone, Copy, Debug)]
pub struct ClearSegment {
    /// The mailbox.
    pub grant_id: GrantId,
    /// The segment.
    pub segment: i64,
    /// Rows at once.
    pub limit: usize,
}

impl Command for ClearSegment {
    /// Whether there is more to remove.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const END: &str = "UPDATE search_segments SET state = $3 WHERE grant_id = $1 AND segment = $2 AND state <> $4";
        const SHARDS: &str = "DELETE FROM search_postings WHERE grant_id = $1 AND segment = $2 AND shard IN \
            (SELECT shard FROM search_postings WHERE grant_id = $1 AND segment = $2 LIMIT $3)";
        const CHUNKS: &str = "DELETE FROM search_messages WHERE grant_id = $1 AND segment = $2 AND chunk IN \
            (SELECT chunk FROM search_messages WHERE grant_id = $1 AND segment = $2 LIMIT $3)";
        const REMOVE: &str = "DELETE FROM search_segments WHERE grant_id = $1 AND segment = $2";
        let (grant, limit) = (self.grant_id.uuid(), self.limit as i64);
        if tx.execute(END, params![grant, self.segment, OVER, LIVE]).await? == 0 {
            return Ok(false);
        }
        let removed = tx.execute(SHARDS, params![grant, self.segment, limit]).await?
            + tx.execute(CHUNKS, params![grant, self.segment, limit]).await?;
        if removed == 0 {
            tx.execute(REMOVE, params![grant, self.segment]).await?;
        }
        Ok(removed > 0)
    }
}
