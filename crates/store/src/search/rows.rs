//! What segments have of terms, and where their messages stand: of many segments at once, and not again where it is known.

use super::known::Part;
use super::{CHUNK_MESSAGES, PLACE_OCTETS, Place, Segment, shard_bits};
use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::GrantId;
use postfleet_core::search::{Term, segment};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of messages that are read at once.
const CHUNKS_AT_ONCE: usize = 256;

/// Each is looked up by itself: PostgreSQL knows nothing of the list, and would rather read all that a mailbox has than join it with so many.
pub(crate) const SHARDS: &str = "SELECT CAST(e.value ->> 0 AS {int}), CAST(e.value ->> 1 AS {int}), \
    (SELECT p.data FROM search_postings p WHERE p.grant_id = $1 AND p.segment = CAST(e.value ->> 0 AS {int}) \
    AND p.shard = CAST(e.value ->> 1 AS {int})) FROM {json_each}($2) AS e";

/// What segments have of some terms.
#[derive(Clone, Debug, Default)]
pub struct Postings {
    of: HashMap<(i64, Term), Arc<[u8]>>,
}

impl Postings {
    /// The postings of a term in a segment.
    pub fn of(&self, segment: &Segment, term: Term) -> Option<&[u8]> {
        self.of.get(&(segment.number, term)).map(|postings| &**postings).filter(|postings| !postings.is_empty())
    }
}

/// The postings of terms in segments that are searched.
pub async fn postings(
    reader: &mut Reader<'_>,
    grant: GrantId,
    segments: &[Segment],
    terms: &[Term],
) -> Result<Postings, StoreError> {
    let mut postings = Postings::default();
    // By shard, which terms of which segment are not known.
    let mut unknown: HashMap<(i64, u32), Vec<(&Segment, Term)>> = HashMap::new();
    for segment in segments {
        for term in terms {
            match reader.known().get(grant, segment, Part::Postings(*term)) {
                Some(known) => {
                    postings.of.insert((segment.number, *term), known);
                }
                None => {
                    let shard = segment::shard(*term, shard_bits(segment.level));
                    unknown.entry((segment.number, shard)).or_default().push((segment, *term));
                }
            }
        }
    }
    if unknown.is_empty() {
        return Ok(postings);
    }
    let wanted = pairs(unknown.keys().map(|(segment, shard)| (*segment, i64::from(*shard))));
    for row in reader.query(SHARDS, params![grant.uuid(), &wanted]).await? {
        let shard = row.opt_octets(2)?.unwrap_or_default();
        for (segment, term) in unknown.remove(&(row.int(0)?, shard_number(row.int(1)?)?)).unwrap_or_default() {
            let found = Arc::from(segment::postings(shard, term).unwrap_or_default());
            reader.known().put(grant, segment, (Part::Postings(term), &found));
            postings.of.insert((segment.number, term), found);
        }
    }
    Ok(postings)
}

/// Shards of segments as they stand there, by segment and number, as far as there is something in them, in any order.
pub async fn shards(
    reader: &mut Reader<'_>,
    grant: GrantId,
    wanted: &[(i64, u32)],
) -> Result<Vec<((i64, u32), Vec<u8>)>, StoreError> {
    let wanted = pairs(wanted.iter().map(|(segment, shard)| (*segment, i64::from(*shard))));
    let rows = reader.query(SHARDS, params![grant.uuid(), &wanted]).await?;
    let mut shards = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(data) = row.opt_bytes(2)? {
            shards.push(((row.int(0)?, shard_number(row.int(1)?)?), data));
        }
    }
    Ok(shards)
}

fn shard_number(number: i64) -> Result<u32, DbError> {
    u32::try_from(number).map_err(|_| DbError::Malformed("shard"))
}

pub(crate) const SOME_CHUNKS: &str = "SELECT CAST(e.value ->> 0 AS {int}), CAST(e.value ->> 1 AS {int}), \
    (SELECT p.data FROM search_messages p WHERE p.grant_id = $1 AND p.segment = CAST(e.value ->> 0 AS {int}) \
    AND p.chunk = CAST(e.value ->> 1 AS {int})) FROM {json_each}($2) AS e";

/// Where messages of segments stand, some rows of them.
#[derive(Clone, Debug, Default)]
pub struct Places {
    chunks: HashMap<(i64, usize), Arc<[u8]>>,
}

impl Places {
    /// Rows that are held.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether the row with a message of a segment is held.
    pub fn holds(&self, segment: &Segment, number: usize) -> bool {
        self.chunks.contains_key(&(segment.number, number / CHUNK_MESSAGES))
    }

    /// The message of that number, if its row is held.
    pub fn of(&self, segment: &Segment, number: usize) -> Result<Option<Place>, DbError> {
        let row = self.chunks.get(&(segment.number, number / CHUNK_MESSAGES));
        let start = number % CHUNK_MESSAGES * PLACE_OCTETS;
        row.and_then(|row| row.get(start..start + PLACE_OCTETS)).map(Place::read_one).transpose()
    }
}

/// Adds the rows in which messages of segments are to those that are held.
pub async fn places(
    reader: &mut Reader<'_>,
    grant: GrantId,
    wanted: &[(Segment, usize)],
    held: &mut Places,
) -> Result<(), StoreError> {
    let mut unknown: HashMap<(i64, usize), &Segment> = HashMap::new();
    for (segment, number) in wanted {
        let chunk = number / CHUNK_MESSAGES;
        let key = (segment.number, chunk);
        if held.chunks.contains_key(&key) {
            continue;
        }
        match reader.known().get(grant, segment, Part::Chunk(chunk)) {
            Some(row) => {
                held.chunks.insert(key, row);
            }
            None => {
                unknown.insert(key, segment);
            }
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let asked = pairs(unknown.keys().map(|(segment, chunk)| (*segment, *chunk as i64)));
    for row in reader.query(SOME_CHUNKS, params![grant.uuid(), &asked]).await? {
        let key = (row.int(0)?, row.count(1)? as usize);
        let Some(octets) = row.opt_octets(2)?.map(Arc::from) else { continue };
        if let Some(segment) = unknown.remove(&key) {
            reader.known().put(grant, segment, (Part::Chunk(key.1), &octets));
        }
        held.chunks.insert(key, octets);
    }
    Ok(())
}

pub(crate) const CHUNKS: &str = "SELECT chunk, data FROM search_messages WHERE grant_id = $1 AND segment = $2 AND chunk > $3 \
    ORDER BY chunk LIMIT $4";

/// All messages of a segment, in their order.
pub async fn all_places(reader: &mut Reader<'_>, grant: GrantId, segment: &Segment) -> Result<Vec<Place>, StoreError> {
    let (mut places, mut after) = (Vec::with_capacity(segment.messages), -1);
    loop {
        let values = params![grant.uuid(), segment.number, after, CHUNKS_AT_ONCE as i64];
        let rows = reader.query(CHUNKS, values).await?;
        for row in &rows {
            places.extend(Place::read(row.octets(1)?)?);
            after = row.int(0)?;
        }
        if rows.len() < CHUNKS_AT_ONCE {
            return Ok(places);
        }
    }
}

/// A list of lists, each of two numbers.
fn pairs(of: impl Iterator<Item = (i64, i64)>) -> String {
    Value::from_iter(of.map(|(one, other)| vec![one, other])).to_string()
}
