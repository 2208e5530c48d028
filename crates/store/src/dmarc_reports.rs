//! Our own reports to owners of domains (RFC 7489 §7.2): what was counted of mail in their names, by UTC day, and which
//! reports are still to be made. Rows are limited: kinds of messages for each domain and day, and domains for each day.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::dmarc_report::{DOMAINS_MAX, KINDS_MAX, Sighting, due};
use postfleet_core::{UnixMicros, UtcDay};
use std::collections::{BTreeMap, HashMap};

/// The state of a report that is to be made.
const WAITING: &str = "waiting";

/// Messages that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Count {
    /// On which day.
    pub day: UtcDay,
    /// Whose record asks to be told.
    pub domain: String,
    /// What they have in common.
    pub sighting: Sighting,
    /// How many.
    pub messages: u64,
}

/// Adds counts to those of the day. Not more than a few hundred at once.
#[derive(Clone, Debug)]
pub struct CountSightings {
    /// What is added.
    pub counts: Vec<Count>,
    /// Kinds that are told apart for one domain and day: [`KINDS_MAX`].
    pub kinds_max: u64,
    /// Domains of one day: [`DOMAINS_MAX`].
    pub domains_max: u64,
}

impl CountSightings {
    /// Within the usual limits.
    pub fn of(counts: Vec<Count>) -> Self {
        Self { counts, kinds_max: KINDS_MAX, domains_max: DOMAINS_MAX }
    }
}

/// What tells a kind of messages from the others of its domain and day: a hash of the text as which it is kept.
fn key(sighting: &str) -> [u8; 32] {
    *blake3::hash(sighting.as_bytes()).as_bytes()
}

fn text(sighting: &Sighting) -> Result<String, DbError> {
    serde_json::to_string(sighting).map_err(|_| DbError::Malformed("sighting"))
}

impl Command for CountSightings {
    /// Messages that are counted nowhere, since there were too many domains.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        // In one order, so that nodes that count at the same time do not wait for each other in a circle: days, then
        // domains, then kinds.
        let mut by_domain: BTreeMap<(UtcDay, &str), HashMap<&Sighting, u64>> = BTreeMap::new();
        for count in &self.counts {
            let kinds = by_domain.entry((count.day, &count.domain)).or_default();
            *kinds.entry(&count.sighting).or_default() += count.messages;
        }
        let mut lost = 0;
        let mut kept = Vec::with_capacity(by_domain.len());
        for ((day, domain), kinds) in by_domain {
            match self.begin(tx, day, domain).await? {
                true => kept.push((day, domain, kinds)),
                false => lost += kinds.values().sum::<u64>(),
            }
        }
        for (day, domain, kinds) in kept {
            self.add(tx, (day, domain), kinds).await?;
        }
        Ok(lost)
    }
}

impl CountSightings {
    /// Sees to it that there is a report about a domain; `false` if there are too many of the day.
    async fn begin(&self, tx: &mut Tx, day: UtcDay, domain: &str) -> Result<bool, DbError> {
        const KNOWN: &str = "SELECT 1 FROM dmarc_reports WHERE day = $1 AND policy_domain = $2";
        const LOCK: &str = "INSERT INTO dmarc_report_days (day, domains) VALUES ($1, 0) \
            ON CONFLICT (day) DO UPDATE SET domains = dmarc_report_days.domains RETURNING domains";
        const BEGIN: &str = "INSERT INTO dmarc_reports (day, policy_domain, kinds, left_out, due_at, state) \
            VALUES ($1, $2, 0, 0, $3, $4) ON CONFLICT (day, policy_domain) DO NOTHING";
        const ONE_MORE: &str = "UPDATE dmarc_report_days SET domains = domains + 1 WHERE day = $1";
        if tx.query_one(KNOWN, params![day.number(), domain]).await?.is_some() {
            return Ok(true);
        }
        let domains = tx.query_one(LOCK, params![day.number()]).await?.map_or(Ok(0), |row| row.count(0))?;
        // Another node may have begun it before this one had the lock.
        if tx.query_one(KNOWN, params![day.number(), domain]).await?.is_some() {
            return Ok(true);
        }
        if domains >= self.domains_max {
            return Ok(false);
        }
        tx.execute(BEGIN, params![day.number(), domain, due(day, domain).as_micros(), WAITING]).await?;
        tx.execute(ONE_MORE, params![day.number()]).await?;
        Ok(true)
    }

    async fn add(
        &self,
        tx: &mut Tx,
        (day, domain): (UtcDay, &str),
        kinds: HashMap<&Sighting, u64>,
    ) -> Result<(), DbError> {
        const LOCK: &str = "SELECT kinds FROM dmarc_reports WHERE day = $1 AND policy_domain = $2 {lock}";
        const ADD: &str = "UPDATE dmarc_report_rows SET messages = messages + $4 \
            WHERE day = $1 AND policy_domain = $2 AND key = $3";
        const INSERT: &str = "INSERT INTO dmarc_report_rows (day, policy_domain, key, sighting, messages) \
            VALUES ($1, $2, $3, $4, $5)";
        const COUNTED: &str = "UPDATE dmarc_reports SET kinds = $3, left_out = left_out + $4 \
            WHERE day = $1 AND policy_domain = $2";
        let Some(row) = tx.query_one(LOCK, params![day.number(), domain]).await? else { return Ok(()) };
        let before = row.count(0)?;
        let (mut known, mut left_out) = (before, 0);
        for (sighting, messages) in kinds {
            let sighting = text(sighting)?;
            let key = key(&sighting);
            if tx.execute(ADD, params![day.number(), domain, key.as_slice(), messages as i64]).await? > 0 {
                continue;
            }
            if known >= self.kinds_max {
                left_out += messages;
                continue;
            }
            let values = params![day.number(), domain, key.as_slice(), &sighting, messages as i64];
            tx.execute(INSERT, values).await?;
            known += 1;
        }
        if (known, left_out) != (before, 0) {
            tx.execute(COUNTED, params![day.number(), domain, known as i64, left_out as i64]).await?;
        }
        Ok(())
    }
}

/// A report that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Of which day.
    pub day: UtcDay,
    /// About which domain.
    pub domain: String,
    /// Messages that were not told apart.
    pub left_out: u64,
    /// Until when nobody else makes it.
    pub leased_until: UnixMicros,
}

/// Takes the report that has been due for longest; `None` if none is.
#[derive(Clone, Copy, Debug)]
pub struct ClaimReport {
    /// The present.
    pub now: UnixMicros,
    /// Until when nobody else takes it.
    pub until: UnixMicros,
}

pub(crate) const DUE: &str = "SELECT day, policy_domain, left_out FROM dmarc_reports WHERE due_at <= $1 \
    ORDER BY due_at LIMIT 1 {skip_locked}";

impl Command for ClaimReport {
    type Outcome = Option<Waiting>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Waiting>, DbError> {
        const LEASE: &str = "UPDATE dmarc_reports SET due_at = $3 WHERE day = $1 AND policy_domain = $2";
        let Some(row) = tx.query_one(DUE, params![self.now.as_micros()]).await? else { return Ok(None) };
        let (day, domain) = (UtcDay::from_number(row.int(0)?), row.text(1)?);
        tx.execute(LEASE, params![day.number(), &domain, self.until.as_micros()]).await?;
        Ok(Some(Waiting { day, domain, left_out: row.count(2)?, leased_until: self.until }))
    }
}

/// Says what became of a report, if it is still whoever says it that makes it.
#[derive(Clone, Debug)]
pub struct SettleReport {
    /// The report.
    pub report: Waiting,
    /// When it is tried again; `None` if it is over.
    pub again: Option<UnixMicros>,
    /// What became of it, in a word.
    pub state: &'static str,
}

impl Command for SettleReport {
    /// Whether it was.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const SETTLE: &str = "UPDATE dmarc_reports SET due_at = $4, state = $5 \
            WHERE day = $1 AND policy_domain = $2 AND due_at = $3";
        let Waiting { day, domain, leased_until, .. } = &self.report;
        let again = self.again.map(UnixMicros::as_micros);
        let values = params![day.number(), domain, leased_until.as_micros(), again, self.state];
        Ok(tx.execute(SETTLE, values).await? > 0)
    }
}

pub(crate) const ROWS: &str = "SELECT sighting, messages FROM dmarc_report_rows WHERE day = $1 AND policy_domain = $2 \
    ORDER BY key LIMIT $3";

/// What was counted of a domain on a day, at most `limit` kinds, those with most messages first.
pub async fn rows(
    reader: &mut Reader<'_>,
    day: UtcDay,
    domain: &str,
    limit: u64,
) -> Result<Vec<(Sighting, u64)>, StoreError> {
    let rows = reader.query(ROWS, params![day.number(), domain, limit as i64]).await?;
    let read = |row: &Row| {
        let sighting = serde_json::from_str(row.str(0)?).map_err(|_| DbError::Malformed("sighting"))?;
        Ok((sighting, row.count(1)?))
    };
    let mut kinds: Vec<(Sighting, u64)> = rows.iter().map(read).collect::<Result<_, DbError>>()?;
    kinds.sort_by(|(a, most), (b, other)| other.cmp(most).then_with(|| a.cmp(b)));
    Ok(kinds)
}

/// A report as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportState {
    /// Kinds of messages that were told apart.
    pub kinds: u64,
    /// Messages that were not.
    pub left_out: u64,
    /// When it is made; `None` once it is over.
    pub due_at: Option<UnixMicros>,
    /// `waiting`, or what became of it the last time.
    pub state: String,
}

/// How the report about a domain and a day stands.
pub async fn find(reader: &mut Reader<'_>, day: UtcDay, domain: &str) -> Result<Option<ReportState>, StoreError> {
    const FIND: &str = "SELECT kinds, left_out, due_at, state FROM dmarc_reports WHERE day = $1 AND policy_domain = $2";
    let Some(row) = reader.query_one(FIND, params![day.number(), domain]).await? else { return Ok(None) };
    Ok(Some(ReportState {
        kinds: row.count(0)?,
        left_out: row.count(1)?,
        due_at: row.opt_int(2)?.map(UnixMicros::from_micros),
        state: row.text(3)?,
    }))
}

/// Forgets what was counted on days before one, and what became of their reports.
#[derive(Clone, Copy, Debug)]
pub struct PruneReports {
    /// The first day that is kept.
    pub before: UtcDay,
    /// Rows at once.
    pub limit: usize,
}

pub(crate) const OLD_ROWS: &str =
    "SELECT day, policy_domain, key FROM dmarc_report_rows WHERE day < $1 ORDER BY day LIMIT $2";
pub(crate) const OLD: &str = "SELECT day, policy_domain FROM dmarc_reports WHERE day < $1 ORDER BY day LIMIT $2";

impl Command for PruneReports {
    /// How many were forgotten.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const FORGET_ROW: &str = "DELETE FROM dmarc_report_rows WHERE day = $1 AND policy_domain = $2 AND key = $3";
        const FORGET: &str = "DELETE FROM dmarc_reports WHERE day = $1 AND policy_domain = $2";
        const FORGET_DAY: &str = "DELETE FROM dmarc_report_days WHERE day < $1";
        let values = params![self.before.number(), self.limit as i64];
        let rows = tx.query(OLD_ROWS, values).await?;
        for row in &rows {
            tx.execute(FORGET_ROW, params![row.int(0)?, row.str(1)?, row.bytes(2)?.as_slice()]).await?;
        }
        let old = tx.query(OLD, values).await?;
        for row in &old {
            tx.execute(FORGET, params![row.int(0)?, row.str(1)?]).await?;
        }
        if rows.is_empty() && old.is_empty() {
            tx.execute(FORGET_DAY, params![self.before.number()]).await?;
        }
        Ok((rows.len() + old.len()) as u64)
    }
}
