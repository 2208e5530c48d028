//! What was removed from a mailbox, by day and window, and what is due next.

use super::prune::{Pruned, Removed};
use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::limits;
use crate::params;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::plan::Limits;
use postfleet_core::retention::Windows;
use postfleet_core::{UnixMicros, UtcDay};

/// Adds to the report of a day.
pub(super) async fn add(
    tx: &mut Tx,
    grant: GrantId,
    windows: Windows,
    pruned: &Pruned,
    at: UnixMicros,
) -> Result<(), DbError> {
    const ADD: &str = "INSERT INTO pruned (grant_id, day, inbox_days, spam_days, inbox_messages, inbox_octets, \
        spam_messages, spam_octets, removed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (grant_id, day) DO UPDATE SET inbox_days = excluded.inbox_days, spam_days = excluded.spam_days, \
        inbox_messages = pruned.inbox_messages + excluded.inbox_messages, \
        inbox_octets = pruned.inbox_octets + excluded.inbox_octets, \
        spam_messages = pruned.spam_messages + excluded.spam_messages, \
        spam_octets = pruned.spam_octets + excluded.spam_octets, removed_at = excluded.removed_at";
    let days = |days: Option<u64>| days.map(|days| i64::try_from(days).unwrap_or(i64::MAX));
    let Pruned { inbox, spam, .. } = pruned;
    let values = params![
        grant.uuid(),
        at.day().number(),
        days(windows.inbox_days),
        days(windows.spam_days),
        inbox.messages as i64,
        inbox.octets as i64,
        spam.messages as i64,
        spam.octets as i64,
        at.as_micros()
    ];
    tx.execute(ADD, values).await?;
    Ok(())
}

/// Under which windows something was removed last from a mailbox, if something was.
pub(super) async fn last_windows(tx: &mut Tx, grant: GrantId) -> Result<Option<Windows>, DbError> {
    const LAST: &str = "SELECT inbox_days, spam_days FROM pruned WHERE grant_id = $1 ORDER BY day DESC LIMIT 1";
    let row = tx.query_one(LAST, params![grant.uuid()]).await?;
    row.map(|row| read_windows(&row, 0)).transpose()
}

fn read_windows(row: &Row, first: usize) -> Result<Windows, DbError> {
    Ok(Windows { inbox_days: limits::opt_count(row, first)?, spam_days: limits::opt_count(row, first + 1)? })
}

/// What was removed from a mailbox on a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day {
    /// Which.
    pub day: UtcDay,
    /// The windows under which something was removed last.
    pub windows: Windows,
    /// What was as old as mail may be.
    pub inbox: Removed,
    /// What was as old as junk may be.
    pub spam: Removed,
    /// When something was removed last.
    pub removed_at: UnixMicros,
}

pub(crate) const DAYS: &str = "SELECT day, inbox_days, spam_days, inbox_messages, inbox_octets, spam_messages, \
    spam_octets, removed_at FROM pruned WHERE grant_id = $1 ORDER BY day DESC LIMIT $2";

/// The last days on which something was removed from a mailbox, latest first.
pub async fn days(reader: &mut Reader<'_>, grant: GrantId, limit: usize) -> Result<Vec<Day>, StoreError> {
    let rows = reader.query(DAYS, params![grant.uuid(), limit as i64]).await?;
    let day = |row: &Row| {
        Ok(Day {
            day: UtcDay::from_number(row.int(0)?),
            windows: read_windows(row, 1)?,
            inbox: Removed { messages: row.count(3)?, octets: row.count(4)? },
            spam: Removed { messages: row.count(5)?, octets: row.count(6)? },
            removed_at: UnixMicros::from_micros(row.int(7)?),
        })
    };
    Ok(rows.iter().map(day).collect::<Result<_, DbError>>()?)
}

/// How a mailbox stands: how long its mail is kept, and what it has that is oldest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// How long.
    pub windows: Windows,
    /// When its oldest message was taken.
    pub oldest: Option<UnixMicros>,
    /// Since when its oldest message in junk is there, or was taken.
    pub oldest_junk: Option<UnixMicros>,
}

pub(crate) const OLDEST_MAIL: &str =
    "SELECT l.date FROM listings l WHERE l.grant_id = $1 AND l.folder = '' ORDER BY l.date, l.message_id LIMIT 1";
pub(crate) const OLDEST_JUNK: &str = "SELECT coalesce(m.junked_at, m.date) FROM listings l \
    JOIN messages m ON m.id = l.message_id WHERE l.grant_id = $1 AND l.folder = $2 \
    ORDER BY l.date, l.message_id LIMIT 1";

/// How a mailbox of an application stands.
pub async fn standing(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
    now: UnixMicros,
) -> Result<Option<Standing>, StoreError> {
    let Some(found) = limits::of_grant(reader, application, grant, now.day()).await? else { return Ok(None) };
    let windows = Windows::of(&Limits::effective(&found.plan.limits, &found.policy));
    let mail = reader.query_one(OLDEST_MAIL, params![grant.uuid()]).await?;
    let junk = reader.query_one(OLDEST_JUNK, params![grant.uuid(), SystemFolder::Junk.id()]).await?;
    let date = |row: Option<Row>| row.map(|row| row.int(0)).transpose().map(|date| date.map(UnixMicros::from_micros));
    Ok(Some(Standing { windows, oldest: date(mail)?, oldest_junk: date(junk)? }))
}

pub(crate) const OLD: &str = "SELECT grant_id, day FROM pruned WHERE day < $1 ORDER BY day LIMIT $2";

/// Forgets what was removed before a day.
#[derive(Clone, Copy, Debug)]
pub struct PruneReport {
    /// Earlier ones go.
    pub before: UtcDay,
    /// How many at once.
    pub limit: usize,
}

impl Command for PruneReport {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const REMOVE: &str = "DELETE FROM pruned WHERE grant_id = $1 AND day = $2";
        let mut removed = 0;
        for row in tx.query(OLD, params![self.before.number(), self.limit as i64]).await? {
            removed += tx.execute(REMOVE, params![row.uuid(0)?, row.int(1)?]).await?;
        }
        Ok(removed)
    }
}
