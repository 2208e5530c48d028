//! Listings: the places of the messages of a mailbox and of each of its folders in the order of time, with what they are
//! narrowed by most often. A place is a few octets: many can be looked at for the price of one message.

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::messages::{After, Page, list_of_places};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, MessageId};

/// What a listing says of a message beside its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Not read yet.
    pub unread: bool,
    /// Marked with a star.
    pub starred: bool,
    /// With files attached.
    pub has_attachment: bool,
}

impl Flags {
    /// Of a message whose summary is known (see `postfleet-mailbox`): a list of attachments is there if there are any, and
    /// nothing else in it looks like its name, since quotes within texts are escaped.
    pub(crate) fn of(unread: bool, starred: bool, summary: &str) -> Self {
        Self { unread, starred, has_attachment: summary.contains("\"attachments\":[") }
    }

    /// As they are written.
    pub(crate) const fn bits(self) -> i64 {
        self.unread as i64 | (self.starred as i64) << 1 | (self.has_attachment as i64) << 2
    }

    const fn read(bits: i64) -> Self {
        Self { unread: bits & 1 != 0, starred: bits & 2 != 0, has_attachment: bits & 4 != 0 }
    }
}

/// Beside flags: the indexes of what is unread and of what has attachments know of it.
pub(crate) const MARKED: i64 = 8;

/// The place of a message in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When the server took it.
    pub date: UnixMicros,
    /// Its id.
    pub id: MessageId,
    /// What is said of it.
    pub flags: Flags,
}

/// Which places of a listing are read. What is rare among many has an index of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All of them.
    All,
    /// Those with a star.
    Starred,
    /// Unread ones, and all that are too young to be marked.
    Unread,
    /// Those with attachments, and all that are too young to be marked.
    Files,
}

macro_rules! places {
    ($narrowed:literal) => {
        concat!(
            "SELECT l.date, l.message_id, l.flags FROM listings l \
             WHERE l.grant_id = $1 AND l.folder = $2 AND (l.date, l.message_id) < ($3, $4) AND l.date > $5",
            $narrowed,
            " ORDER BY l.date DESC, l.message_id DESC LIMIT $6"
        )
    };
}

pub(crate) const PLACES: &str = places!("");
pub(crate) const STARRED: &str = places!(" AND (l.flags & 2) = 2");
pub(crate) const UNREAD: &str = places!(" AND (l.flags & 9) = 9");
pub(crate) const FILES: &str = places!(" AND (l.flags & 12) = 12");

/// A page of places, newest first. Of what is unread or has attachments, only what is older than `marked` is known by an
/// index: before that, every place is answered.
pub async fn places(
    reader: &mut Reader<'_>,
    page: &Page<'_>,
    among: Among,
    marked: UnixMicros,
) -> Result<Vec<Place>, StoreError> {
    let indexed = match among {
        Among::All => return query(reader, PLACES, page).await,
        Among::Starred => return query(reader, STARRED, page).await,
        Among::Unread => UNREAD,
        Among::Files => FILES,
    };
    let mut found = Vec::new();
    if page.after.date > marked {
        found = query(reader, PLACES, &Page { newer_than: page.newer_than.max(marked), ..*page }).await?;
    }
    if found.len() < page.limit && page.newer_than < marked {
        let begins = After { date: marked, id: After::START.id };
        let after = if page.after.date > marked { begins } else { page.after };
        found.extend(query(reader, indexed, &Page { after, limit: page.limit - found.len(), ..*page }).await?);
    }
    Ok(found)
}

// How many there are is said once more: without that PostgreSQL expects many, and reads a small table whole.
pub(crate) const AMONG_PLACES: &str = "SELECT l.date, l.message_id, l.flags \
    FROM (SELECT j.value FROM {json_each}($3) AS j LIMIT $4) AS e CROSS JOIN listings l \
    WHERE l.grant_id = $1 AND l.folder = $2 AND l.date = CAST(e.value ->> 0 AS {int}) \
    AND l.message_id = {hex_id}(e.value ->> 1)";

/// Those of some places that are in a listing, in any order, with what it says of them.
pub async fn among_places(
    reader: &mut Reader<'_>,
    grant: GrantId,
    folder: &str,
    places: &[After],
) -> Result<Vec<Place>, StoreError> {
    let (list, count) = (list_of_places(places), places.len() as i64);
    let values = params![grant.uuid(), folder, &list, count];
    let rows = reader.query(AMONG_PLACES, values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

/// Up to which date the places of a mailbox are marked.
pub async fn marked_until(reader: &mut Reader<'_>, grant: GrantId) -> Result<UnixMicros, StoreError> {
    const FIND: &str = "SELECT marked_until FROM mailboxes WHERE grant_id = $1";
    let row = reader.query_one(FIND, params![grant.uuid()]).await?;
    Ok(UnixMicros::from_micros(row.map_or(Ok(i64::MIN), |row| row.int(0))?))
}

async fn query(reader: &mut Reader<'_>, sql: &'static str, page: &Page<'_>) -> Result<Vec<Place>, StoreError> {
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    let values = params![grant, page.folder, after, id, page.newer_than.as_micros(), page.limit as i64];
    let rows = reader.query(sql, values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Place, DbError> {
    Ok(Place {
        date: UnixMicros::from_micros(row.int(0)?),
        id: MessageId::from_uuid(row.uuid(1)?),
        flags: Flags::read(row.int(2)?),
    })
}

/// What is said in listings of a message that is stored, by its row; marked.
macro_rules! flags_of {
    ($id:literal) => {
        concat!(
            "(SELECT 8 + m.unread + 2 * m.starred + CASE WHEN m.summary LIKE '%\"attachments\":[%' THEN 4 ELSE 0 END \
             FROM messages m WHERE m.id = ",
            $id,
            ")"
        )
    };
}

/// Puts a message that is stored into one listing.
pub(crate) async fn insert(
    tx: &mut Tx,
    grant: GrantId,
    id: MessageId,
    date: UnixMicros,
    folder: &str,
) -> Result<(), DbError> {
    const INSERT: &str = concat!(
        "INSERT INTO listings (grant_id, folder, date, message_id, flags) VALUES ($1, $4, $2, $3, ",
        flags_of!("$3"),
        ")"
    );
    tx.execute(INSERT, params![grant.uuid(), date.as_micros(), id.uuid(), folder]).await?;
    Ok(())
}

/// Writes anew what is said of a message that is stored, in the listing of its mailbox and in those of folders.
pub(crate) async fn mark<'f>(
    tx: &mut Tx,
    grant: GrantId,
    id: MessageId,
    date: i64,
    folders: impl Iterator<Item = &'f String>,
) -> Result<(), DbError> {
    const MARK: &str = concat!(
        "UPDATE listings SET flags = ",
        flags_of!("$4"),
        " WHERE grant_id = $1 AND folder = $2 AND date = $3 AND message_id = $4"
    );
    for folder in folders.map(String::as_str).chain([""]) {
        tx.execute(MARK, params![grant.uuid(), folder, date, id.uuid()]).await?;
    }
    Ok(())
}

/// Events of a mailbox from one time that places are marked to the next.
const EVENTS_BETWEEN: u64 = 256;

pub(crate) const MARK_OLDER: &str = "UPDATE listings SET flags = flags | 8 WHERE grant_id = $1 \
    AND folder IN (SELECT c.folder FROM folder_counts c WHERE c.grant_id = $1 UNION ALL SELECT '') \
    AND date > $2 AND date <= $3 AND (flags & 5) <> 0 AND (flags & 8) = 0";

/// Marks places that are unread or have attachments once some hundred others came after them: only then the indexes take
/// them up. So an arrival changes no page of these indexes; what is read soon never does, and the rest does in one go with
/// its neighbours. `sequence` is the number of an event of the mailbox, which is locked.
pub(crate) async fn mark_older(tx: &mut Tx, grant: GrantId, sequence: u64, now: UnixMicros) -> Result<(), DbError> {
    const BOUNDS: &str = "SELECT marked_until, marked_next FROM mailboxes WHERE grant_id = $1";
    const MOVE_ON: &str = "UPDATE mailboxes SET marked_until = marked_next, marked_next = $2 WHERE grant_id = $1";
    if !sequence.is_multiple_of(EVENTS_BETWEEN) {
        return Ok(());
    }
    let Some(bounds) = tx.query_one(BOUNDS, params![grant.uuid()]).await? else { return Ok(()) };
    let (until, next) = (bounds.int(0)?, bounds.int(1)?);
    // A clock that went back marks nothing anew.
    if next >= now.as_micros() {
        return Ok(());
    }
    tx.execute(MARK_OLDER, params![grant.uuid(), until, next]).await?;
    tx.execute(MOVE_ON, params![grant.uuid(), now.as_micros()]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_survive_and_attachments_are_seen_in_a_summary() {
        for bits in 0..8 {
            assert_eq!(Flags::read(bits).bits(), bits);
        }
        for (summary, expected) in [
            (r#"{"subject":"x","attachments":[{"index":1}]}"#, true),
            (r#"{"subject":"x"}"#, false),
            (r#"{"subject":"\"attachments\":[","metadata":{"attachments":"["}}"#, false),
        ] {
            assert_eq!(Flags::of(false, false, summary).has_attachment, expected, "{summary}");
        }
    }
}
