//! Readings of what is not counted by month: how many mailboxes there are, and how much they keep, when a month ends.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::meters::{self, Usage};
use crate::params;
use postfleet_core::account_levels::AccountLevels;
use postfleet_core::id::{ApplicationId, OrganizationId};
use postfleet_core::{UnixMicros, UtcMonth};
use uuid::Uuid;

/// Counts mailboxes that are made or removed, and keeps what a month before had.
pub(crate) const COUNT: &str = "UPDATE organizations SET grant_count = grant_count + $2, \
    closed_count = CASE WHEN count_month < $3 THEN grant_count ELSE closed_count END, \
    closed_peak = CASE WHEN count_month < $3 THEN grant_peak ELSE closed_peak END, \
    closed_month = CASE WHEN count_month < $3 THEN count_month ELSE closed_month END, \
    grant_peak = CASE WHEN count_month >= $3 AND grant_peak > grant_count + $2 THEN grant_peak \
    WHEN count_month < $3 AND $2 < 0 THEN grant_count ELSE grant_count + $2 END, \
    count_month = CASE WHEN count_month < $3 THEN $3 ELSE count_month END WHERE id = $1";

pub(crate) async fn count_accounts(
    tx: &mut Tx,
    organization: OrganizationId,
    by: i64,
    at: UnixMicros,
) -> Result<(), DbError> {
    tx.execute(COUNT, params![organization.uuid(), by, at.day().month().number()]).await?;
    Ok(())
}

/// What an organization or an application had when a month ended, or has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// Mailboxes.
    pub accounts: u64,
    /// The most in the month; known of organizations alone.
    pub accounts_peak: Option<u64>,
    /// Octets kept.
    pub stored: u64,
    /// When that was read.
    pub read_at: UnixMicros,
}

/// Takes the readings of the month before of one organization and its applications.
#[derive(Clone, Copy, Debug)]
pub struct TakeReadings {
    /// Now.
    pub now: UnixMicros,
}

pub(crate) const UNREAD: &str =
    "SELECT id FROM organizations WHERE read_month < $1 ORDER BY read_month, id LIMIT 1 {skip_locked}";
const ACCOUNTS: &str = "SELECT grant_count, count_month, grant_peak, closed_month, closed_count, closed_peak, created_at \
    FROM organizations WHERE id = $1";
pub(crate) const APPLICATIONS: &str = "SELECT a.id, a.created_at, coalesce(u.stored, 0), \
    (SELECT count(*) FROM grants g WHERE g.application_id = a.id), a.name, a.environment \
    FROM applications a LEFT JOIN usage u ON u.owner_id = a.id AND u.month = 0 WHERE a.organization_id = $1";

impl Command for TakeReadings {
    /// Whether there may be more to do.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const DONE: &str = "UPDATE organizations SET read_month = $2 WHERE id = $1";
        const STORED: &str = "SELECT stored FROM usage WHERE owner_id = $1 AND month = 0";
        let month = self.now.day().month().previous();
        let Some(row) = tx.query_one(UNREAD, params![month.number()]).await? else { return Ok(false) };
        let id = row.uuid(0)?;
        tx.execute(DONE, params![id, month.number()]).await?;
        let Some(row) = tx.query_one(ACCOUNTS, params![id]).await? else { return Ok(true) };
        // Who was not there then has no reading.
        let was_there = |created_at: i64| created_at < month.end().as_micros();
        if !was_there(row.int(6)?) {
            return Ok(true);
        }
        let (accounts, peak) = levels(&row)?.of(month);
        let stored = tx.query_one(STORED, params![id]).await?.map_or(Ok(0), |row| row.int(0))?;
        self.write(tx, id, month, [accounts as i64, stored], Some(peak as i64)).await?;
        for row in tx.query(APPLICATIONS, params![id]).await? {
            if was_there(row.int(1)?) {
                self.write(tx, row.uuid(0)?, month, [row.int(3)?, row.int(2)?], None).await?;
            }
        }
        Ok(true)
    }
}

impl TakeReadings {
    async fn write(
        &self,
        tx: &mut Tx,
        owner: Uuid,
        month: UtcMonth,
        [accounts, stored]: [i64; 2],
        peak: Option<i64>,
    ) -> Result<(), DbError> {
        const WRITE: &str = "INSERT INTO readings (owner_id, month, accounts, accounts_peak, stored, read_at) \
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (owner_id, month) DO NOTHING";
        tx.execute(WRITE, params![owner, month.number(), accounts, peak, stored, self.now.as_micros()]).await?;
        Ok(())
    }
}

/// Reads six columns.
fn levels(row: &Row) -> Result<AccountLevels, DbError> {
    let count = |column| Ok::<_, DbError>(row.int(column)?.max(0) as u64);
    Ok(AccountLevels {
        count: count(0)?,
        changed_in: UtcMonth::from_number(row.int(1)?),
        peak: count(2)?,
        changed_before_in: UtcMonth::from_number(row.int(3)?),
        count_before: count(4)?,
        peak_before: count(5)?,
    })
}

/// What one owner used in a month, and had at its end.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// What is counted by month; what is kept in it is what is kept now.
    pub usage: Usage,
    /// What was there at the end; `None` if nobody was there to read it.
    pub reading: Option<Reading>,
    /// Whether that was read when the month was over.
    pub is_final: bool,
}

/// What an application used in a month.
#[derive(Clone, Debug)]
pub struct ApplicationUsed {
    /// Which.
    pub id: ApplicationId,
    /// What people call it.
    pub name: String,
    /// `production` or `sandbox`.
    pub environment: String,
    /// What it used.
    pub used: Used,
}

/// What an organization and each of its applications used in a month.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The organization.
    pub organization: Used,
    /// Those of its applications that were there, by id.
    pub applications: Vec<ApplicationUsed>,
}

/// What an organization used in a month, as it is at one moment. Of this month, and of the one before until its readings
/// are taken, what is there is read now.
pub async fn statement(
    reader: &mut Reader<'_>,
    id: OrganizationId,
    month: UtcMonth,
    now: UnixMicros,
) -> Result<Option<Statement>, StoreError> {
    reader.freeze().await?;
    let statement = read(reader, id, month, now).await?;
    reader.thaw().await?;
    Ok(statement)
}

async fn read(
    reader: &mut Reader<'_>,
    id: OrganizationId,
    month: UtcMonth,
    now: UnixMicros,
) -> Result<Option<Statement>, StoreError> {
    let Some(row) = reader.query_one(ACCOUNTS, params![id.uuid()]).await? else { return Ok(None) };
    let (is_open, end) = (month >= now.day().month().previous(), month.end().as_micros());
    let (accounts, peak) = levels(&row)?.of(month);
    let there = Reading { accounts, accounts_peak: Some(peak), stored: 0, read_at: now };
    let open = (is_open && row.int(6)? < end).then_some(there);
    let organization = used(reader, id.uuid(), month, open).await?;
    let mut applications = Vec::new();
    for row in reader.query(APPLICATIONS, params![id.uuid()]).await? {
        if row.int(1)? >= end {
            continue;
        }
        let id = ApplicationId::from_uuid(row.uuid(0)?);
        let there = Reading { accounts: row.count(3)?, accounts_peak: None, stored: 0, read_at: now };
        let used = used(reader, id.uuid(), month, is_open.then_some(there)).await?;
        applications.push(ApplicationUsed { id, name: row.text(4)?, environment: row.text(5)?, used });
    }
    applications.sort_by_key(|application| application.id);
    Ok(Some(Statement { organization, applications }))
}

/// The reading that was taken, or else what is there now.
async fn used(
    reader: &mut Reader<'_>,
    owner: Uuid,
    month: UtcMonth,
    there: Option<Reading>,
) -> Result<Used, StoreError> {
    const TAKEN: &str =
        "SELECT accounts, accounts_peak, stored, read_at FROM readings WHERE owner_id = $1 AND month = $2";
    let usage = meters::of_owner(reader, owner, month).await?;
    let Some(row) = reader.query_one(TAKEN, params![owner, month.number()]).await? else {
        let reading = there.map(|there| Reading { stored: usage.stored, ..there });
        return Ok(Used { usage, reading, is_final: false });
    };
    let reading = Reading {
        accounts: row.count(0)?,
        accounts_peak: row.opt_int(1)?.map(|peak| peak.max(0) as u64),
        stored: row.int(2)?.max(0) as u64,
        read_at: UnixMicros::from_micros(row.int(3)?),
    };
    Ok(Used { usage, reading: Some(reading), is_final: true })
}
