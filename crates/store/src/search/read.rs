//! What a search reads.

use super::Place;
use crate::blobs::StoredBlob;
use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::messages::{After, Page};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::GrantId;
use uuid::Uuid;

/// A segment of a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its number in the mailbox.
    pub number: i64,
    /// How often its messages were merged.
    pub level: u32,
    /// How many there are, those that are gone too.
    pub messages: usize,
    /// The date of the first.
    pub first_date: i64,
    /// The date of the last.
    pub last_date: i64,
    /// When it was begun, in microseconds.
    pub made_at: i64,
}

/// A message that is in no segment, with what is searched of it.
#[derive(Clone, Debug)]
pub struct Vector {
    /// Which.
    pub place: Place,
    /// Its terms; none yet where they have to be made of the message.
    pub terms: Vec<u8>,
    /// What lists show of it, as JSON: where its terms have to be made, and where it is gathered.
    pub summary: Option<String>,
    /// Its raw form, where the terms were not kept.
    pub unread: Option<Box<StoredBlob>>,
}

macro_rules! vector_columns {
    ($summary:literal) => {
        concat!("m.thread_id, b.terms, ", $summary, ", b.hash, b.octets, CASE WHEN b.terms IS NULL THEN b.data END")
    };
    () => {
        vector_columns!("CASE WHEN b.terms IS NULL THEN m.summary END")
    };
}

impl Vector {
    fn read(row: &Row) -> Result<Self, DbError> {
        let place = Place { date: row.int(0)?, id: row.uuid(1)?, thread: row.uuid(2)? };
        let terms = row.opt_bytes(3)?;
        let unread = match &terms {
            Some(_) => None,
            None => Some(Box::new(StoredBlob::from_row(row, 5)?)),
        };
        Ok(Self { place, terms: terms.unwrap_or_default(), summary: row.opt_text(4)?, unread })
    }
}

/// What is not later is in a segment, or late.
pub async fn searched_until(reader: &mut Reader<'_>, grant: GrantId) -> Result<Option<UnixMicros>, StoreError> {
    let row = reader.query_one(super::UNTIL, params![grant.uuid()]).await?;
    Ok(row.map(|row| row.int(0)).transpose()?.map(UnixMicros::from_micros))
}

pub(crate) const SEGMENTS: &str = "SELECT segment, level, messages, first_date, last_date, made_at FROM search_segments \
    WHERE grant_id = $1 AND state = $2";

/// The segments that are searched, by their numbers.
pub async fn segments(reader: &mut Reader<'_>, grant: GrantId) -> Result<Vec<Segment>, StoreError> {
    let rows = reader.query(SEGMENTS, params![grant.uuid(), super::segment::LIVE]).await?;
    let segment = |row: &Row| {
        Ok(Segment {
            number: row.int(0)?,
            level: u32::try_from(row.int(1)?).map_err(|_| DbError::Malformed("level"))?,
            messages: row.count(2)? as usize,
            first_date: row.int(3)?,
            last_date: row.int(4)?,
            made_at: row.int(5)?,
        })
    };
    let mut segments: Vec<Segment> = rows.iter().map(segment).collect::<Result<_, DbError>>()?;
    segments.sort_unstable_by_key(|segment| segment.number);
    Ok(segments)
}

/// Segments that are over, and those in the making since before a time: whoever made them is gone.
pub async fn unfinished(reader: &mut Reader<'_>, grant: GrantId, before: UnixMicros) -> Result<Vec<i64>, StoreError> {
    const FIND: &str = "SELECT segment FROM search_segments WHERE grant_id = $1 AND \
        (state = $2 OR (state = $3 AND made_at < $4)) ORDER BY segment";
    let (over, making) = (super::segment::OVER, super::segment::MAKING);
    let rows = reader.query(FIND, params![grant.uuid(), over, making, before.as_micros()]).await?;
    Ok(rows.iter().map(|row| row.int(0)).collect::<Result<_, DbError>>()?)
}

/// Whether a segment is in the making, even if whoever made it is gone.
pub async fn is_merging(reader: &mut Reader<'_>, grant: GrantId) -> Result<bool, StoreError> {
    const MADE: &str = "SELECT segment FROM search_segments WHERE grant_id = $1 AND state = $2 LIMIT 1";
    Ok(reader.query_one(MADE, params![grant.uuid(), super::segment::MAKING]).await?.is_some())
}

pub(crate) const LOOSE: &str = concat!(
    "SELECT l.date, l.message_id, ",
    vector_columns!(),
    " FROM listings l JOIN messages m ON m.id = l.message_id JOIN blobs b ON b.id = m.blob_id \
     WHERE l.grant_id = $1 AND l.folder = '' AND (l.date, l.message_id) < ($2, $3) AND l.date > $4 \
     ORDER BY l.date DESC, l.message_id DESC LIMIT $5"
);

/// Messages that are later than all segments, before one of them, the latest first.
pub async fn loose(
    reader: &mut Reader<'_>,
    grant: GrantId,
    after: After,
    searched_until: UnixMicros,
    limit: usize,
) -> Result<Vec<Vector>, StoreError> {
    let (date, id) = (after.date.as_micros(), after.id.uuid());
    let values = params![grant.uuid(), date, id, searched_until.as_micros(), limit as i64];
    let rows = reader.query(LOOSE, values).await?;
    Ok(rows.iter().map(Vector::read).collect::<Result<_, DbError>>()?)
}

pub(crate) const LOOSE_TO_GATHER: &str = concat!(
    "SELECT l.date, l.message_id, ",
    vector_columns!("m.summary"),
    " FROM listings l JOIN messages m ON m.id = l.message_id JOIN blobs b ON b.id = m.blob_id \
     WHERE l.grant_id = $1 AND l.folder = '' AND l.date > $2 ORDER BY l.date, l.message_id LIMIT $3"
);

/// The oldest of them, the oldest first, with all that is gathered.
pub async fn loose_to_gather(
    reader: &mut Reader<'_>,
    grant: GrantId,
    searched_until: UnixMicros,
    limit: usize,
) -> Result<Vec<Vector>, StoreError> {
    let rows = reader.query(LOOSE_TO_GATHER, params![grant.uuid(), searched_until.as_micros(), limit as i64]).await?;
    Ok(rows.iter().map(Vector::read).collect::<Result<_, DbError>>()?)
}

macro_rules! late {
    ($columns:expr) => {
        concat!(
            "SELECT m.date, m.id, ",
            $columns,
            " FROM search_late s JOIN messages m ON m.id = s.message_id JOIN blobs b ON b.id = m.blob_id \
             WHERE s.grant_id = $1 AND (s.date, s.message_id) > ($2, $3) ORDER BY s.date, s.message_id LIMIT $4"
        )
    };
}

pub(crate) const LATE: &str = late!(vector_columns!());
pub(crate) const LATE_TO_GATHER: &str = late!(vector_columns!("m.summary"));

/// Messages that are not later, and in no segment either, behind one of them, the oldest first.
pub async fn late(
    reader: &mut Reader<'_>,
    grant: GrantId,
    after: (i64, Uuid),
    limit: usize,
) -> Result<Vec<Vector>, StoreError> {
    let rows = reader.query(LATE, params![grant.uuid(), after.0, after.1, limit as i64]).await?;
    Ok(rows.iter().map(Vector::read).collect::<Result<_, DbError>>()?)
}

/// The oldest of them, with all that is gathered.
pub async fn late_to_gather(reader: &mut Reader<'_>, grant: GrantId, limit: usize) -> Result<Vec<Vector>, StoreError> {
    let rows = reader.query(LATE_TO_GATHER, params![grant.uuid(), i64::MIN, Uuid::nil(), limit as i64]).await?;
    Ok(rows.iter().map(Vector::read).collect::<Result<_, DbError>>()?)
}

pub(crate) const LATE_PLACES: &str = "SELECT s.date, s.message_id FROM search_late s \
    WHERE s.grant_id = $1 AND (s.date, s.message_id) < ($2, $3) AND s.date > $4 \
    ORDER BY s.date DESC, s.message_id DESC LIMIT $5";

/// Where they stand, newest first. Some may be gone. The folder of the page is not looked at.
pub async fn late_places(reader: &mut Reader<'_>, page: &Page<'_>) -> Result<Vec<After>, StoreError> {
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    let values = params![grant, after, id, page.newer_than.as_micros(), page.limit as i64];
    let rows = reader.query(LATE_PLACES, values).await?;
    Ok(rows.iter().map(After::read).collect::<Result<_, DbError>>()?)
}

pub(crate) const DUE: &str = "SELECT grant_id FROM search_due WHERE grant_id > $1 ORDER BY grant_id LIMIT $2";

/// Mailboxes that may have enough for another segment.
pub async fn due(reader: &mut Reader<'_>, after: Uuid, limit: usize) -> Result<Vec<GrantId>, StoreError> {
    let rows = reader.query(DUE, params![after, limit as i64]).await?;
    Ok(rows.iter().map(|row| row.uuid(0).map(GrantId::from_uuid)).collect::<Result<_, DbError>>()?)
}

const THERE: &str = "SELECT m.id FROM {json_each}($1) AS e CROSS JOIN messages m WHERE m.id = {hex_id}(e.value ->> 0)";

/// Those of the messages that are still there.
pub async fn there(reader: &mut Reader<'_>, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let ids = serde_json::Value::from_iter(ids.iter().map(|id| vec![id.simple().to_string()])).to_string();
    let rows = reader.query(THERE, params![&ids]).await?;
    Ok(rows.iter().map(|row| row.uuid(0)).collect::<Result<_, DbError>>()?)
}
