//! The pairs that applications hung on messages and drafts (metadata), so that those are found that have one. They are kept in the order of
//! lists, and only of what has any. A pair is a number made of its key and its value: whoever is found is compared once more.

use crate::db::{DbError, Param};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::messages::{After, Page, list_of_places};
use crate::params;
use postfleet_core::id::{GrantId, MessageId};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A pair as a number.
pub fn number(key: &str, value: &str) -> i64 {
    let mut hasher = blake3::Hasher::new();
    // No key has a control character.
    hasher.update(key.as_bytes()).update(&[0]).update(value.as_bytes());
    let mut octets = [0; 8];
    octets.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_be_bytes(octets)
}

/// The pairs of a summary (see `postfleet-mailbox`). Most have none, and none of those has such a text: quotes within texts are escaped.
fn numbers(summary: &str) -> BTreeSet<i64> {
    #[derive(Default, Deserialize)]
    struct Seen {
        #[serde(default)]
        metadata: BTreeMap<String, String>,
    }
    if !summary.contains("\"metadata\":{") {
        return BTreeSet::new();
    }
    let seen: Seen = serde_json::from_str(summary).unwrap_or_default();
    seen.metadata.iter().map(|(key, value)| number(key, value)).collect()
}

/// Notes what hangs on a message that is filed, or on a draft: its date, its id, and its summary.
pub(crate) async fn add(
    tx: &mut Tx,
    grant: GrantId,
    (date, id): (i64, MessageId),
    summary: &str,
) -> Result<(), DbError> {
    write(tx, grant, (date, id), numbers(summary)).await
}

/// Forgets it.
pub(crate) async fn remove(
    tx: &mut Tx,
    grant: GrantId,
    (date, id): (i64, MessageId),
    summary: &str,
) -> Result<(), DbError> {
    forget(tx, grant, (date, id), numbers(summary)).await
}

/// Notes that other pairs hang on a message now.
pub(crate) async fn change(
    tx: &mut Tx,
    grant: GrantId,
    (date, id): (i64, MessageId),
    (before, after): (&str, &str),
) -> Result<(), DbError> {
    let (before, after) = (numbers(before), numbers(after));
    forget(tx, grant, (date, id), before.difference(&after).copied()).await?;
    write(tx, grant, (date, id), after.difference(&before).copied()).await
}

async fn write(
    tx: &mut Tx,
    grant: GrantId,
    place: (i64, MessageId),
    numbers: impl IntoIterator<Item = i64>,
) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO metadata_pairs (grant_id, pair, date, message_id) VALUES ($1, $2, $3, $4)";
    each(tx, ADD, grant, place, numbers).await
}

async fn forget(
    tx: &mut Tx,
    grant: GrantId,
    place: (i64, MessageId),
    numbers: impl IntoIterator<Item = i64>,
) -> Result<(), DbError> {
    const REMOVE: &str =
        "DELETE FROM metadata_pairs WHERE grant_id = $1 AND pair = $2 AND date = $3 AND message_id = $4";
    each(tx, REMOVE, grant, place, numbers).await
}

async fn each(
    tx: &mut Tx,
    sql: &'static str,
    grant: GrantId,
    (date, id): (i64, MessageId),
    numbers: impl IntoIterator<Item = i64>,
) -> Result<(), DbError> {
    let rows: Vec<Vec<Param<'_>>> =
        numbers.into_iter().map(|number| params![grant.uuid(), number, date, id.uuid()].to_vec()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    tx.db().execute_each(sql, &rows).await
}

/// A little of what a removed mailbox leaves.
pub(crate) const REMOVE: &str = "DELETE FROM metadata_pairs WHERE grant_id = $1 AND (pair, date, message_id) IN \
    (SELECT pair, date, message_id FROM metadata_pairs WHERE grant_id = $1 LIMIT $2)";

pub(crate) const PLACES: &str = "SELECT p.date, p.message_id FROM metadata_pairs p \
    WHERE p.grant_id = $1 AND p.pair = $2 AND (p.date, p.message_id) < ($3, $4) AND p.date > $5 \
    ORDER BY p.date DESC, p.message_id DESC LIMIT $6";

/// The places of what has a pair, newest first, drafts among them. The folder of the page is not looked at.
pub async fn places(reader: &mut Reader<'_>, page: &Page<'_>, pair: i64) -> Result<Vec<After>, StoreError> {
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    let values = params![grant, pair, after, id, page.newer_than.as_micros(), page.limit as i64];
    let rows = reader.query(PLACES, values).await?;
    Ok(rows.iter().map(After::read).collect::<Result<_, DbError>>()?)
}

pub(crate) const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM metadata_pairs p \
    WHERE p.grant_id = $1 AND p.pair = $2 AND (p.date, p.message_id) < ($3, $4) AND p.date > $5 LIMIT $6) AS few";

/// How many there are of these, up to the limit of the page.
pub async fn count(reader: &mut Reader<'_>, page: &Page<'_>, pair: i64) -> Result<usize, StoreError> {
    let (grant, after, id) = (page.grant_id.uuid(), page.after.date.as_micros(), page.after.id.uuid());
    let values = params![grant, pair, after, id, page.newer_than.as_micros(), page.limit as i64];
    let row = reader.query_one(COUNT, values).await?;
    Ok(row.map_or(Ok(0), |row| row.count(0))? as usize)
}

pub(crate) const AMONG_PLACES: &str = "SELECT p.date, p.message_id \
    FROM (SELECT j.value FROM {json_each}($3) AS j LIMIT $4) AS e CROSS JOIN metadata_pairs p \
    WHERE p.grant_id = $1 AND p.pair = $2 AND p.date = CAST(e.value ->> 0 AS {int}) \
    AND p.message_id = {hex_id}(e.value ->> 1)";

/// Those of some places that have a pair, in any order.
pub async fn among_places(
    reader: &mut Reader<'_>,
    grant: GrantId,
    pair: i64,
    places: &[After],
) -> Result<Vec<After>, StoreError> {
    let (list, count) = (list_of_places(places), places.len() as i64);
    let values = params![grant.uuid(), pair, &list, count];
    let rows = reader.query(AMONG_PLACES, values).await?;
    Ok(rows.iter().map(After::read).collect::<Result<_, DbError>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_from_texts_that_look_like_them() {
        for (name, summary, expected) in [
            ("none", r#"{"subject":"x"}"#, vec![]),
            ("one", r#"{"metadata":{"key1":"a"}}"#, vec![number("key1", "a")]),
            ("in a text", r#"{"subject":"\"metadata\":{\"key1\":\"a\"}"}"#, vec![]),
            ("empty", r#"{"metadata":{}}"#, vec![]),
            ("damaged", r#"{"metadata":{"key1":"#, vec![]),
        ] {
            assert_eq!(numbers(summary), expected.into_iter().collect(), "{name}");
        }
        assert_ne!(number("a", "bc"), number("ab", "c"));
    }
}
