//! Reports of other servers about domains: kept once each, with what they say of the sources with most, for as long as the
//! operator wants. They are claims, and change nothing else. Those whose sender could not be proved to be the reporter are
//! kept apart: they can neither be counted nor take the place of the others.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{DomainId, DomainReportId, OrganizationId};
use postfleet_core::{Domain, UnixMicros};
use std::time::Duration;
use uuid::Uuid;

/// Reports of a kind that are taken about one domain within a day: many times of what there are servers that report, and
/// an end for whoever makes them up.
pub const REPORTS_PER_DAY: i64 = 500;

/// For how long a report counts among those of a day.
const DAY: Duration = Duration::from_secs(86_400);

/// What a report is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Mail in the name of the domain.
    Dmarc,
    /// Connections to its servers.
    Tls,
}

impl Kind {
    /// The word in the store and where it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dmarc => "dmarc",
            Self::Tls => "tls",
        }
    }
}

/// The word under which a report is kept: those that nobody is proved to have sent are a kind of their own.
const fn kept_as(kind: Kind, is_verified: bool) -> &'static str {
    match (kind, is_verified) {
        (Kind::Dmarc, true) => "dmarc",
        (Kind::Dmarc, false) => "dmarc_unverified",
        (Kind::Tls, true) => "tls",
        (Kind::Tls, false) => "tls_unverified",
    }
}

fn read_kind(word: &str) -> (Kind, bool) {
    match word {
        "tls" => (Kind::Tls, true),
        "tls_unverified" => (Kind::Tls, false),
        "dmarc_unverified" => (Kind::Dmarc, false),
        _ => (Kind::Dmarc, true),
    }
}

/// Messages or connections of one source that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportRow {
    /// The address that sent, or the server that was connected to.
    pub source: String,
    /// What was done, or what was wrong.
    pub what: String,
    /// Whether a signature of the domain was good.
    pub dkim: bool,
    /// Whether SPF spoke for the domain.
    pub spf: bool,
    /// How many.
    pub count: u64,
}

/// A report about a domain, without what it says of sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Its id here.
    pub id: DomainReportId,
    /// What it is about.
    pub kind: Kind,
    /// Whether it is proved that the reporter sent it.
    pub is_verified: bool,
    /// Who reports.
    pub reporter: String,
    /// An address to ask.
    pub contact: String,
    /// The id that the reporter gave it.
    pub report_id: String,
    /// The policy that was found.
    pub policy: String,
    /// When what it is about began.
    pub begins_at: UnixMicros,
    /// When it ended.
    pub ends_at: UnixMicros,
    /// Messages or connections.
    pub total: u64,
    /// Those that were not aligned, or failed.
    pub failed: u64,
    /// Messages that were put aside.
    pub quarantined: u64,
    /// Messages that were refused.
    pub rejected: u64,
}

impl Report {
    const fn kept_as(&self) -> &'static str {
        kept_as(self.kind, self.is_verified)
    }

    /// What makes a report the same: who made it, and the id that it has there.
    fn key(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for part in [self.kept_as(), &self.reporter.to_ascii_lowercase(), &self.report_id] {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// Keeps what a report says of a domain, if the organization has that domain.
#[derive(Clone, Debug)]
pub struct TakeReport {
    /// Whose domain it must be.
    pub organization_id: OrganizationId,
    /// The domain.
    pub domain_id: DomainId,
    /// The report.
    pub report: Report,
    /// What it says of sources, those with most first.
    pub rows: Vec<ReportRow>,
    /// The present.
    pub at: UnixMicros,
}

/// What became of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is kept.
    Kept,
    /// The same was here before.
    Repeated,
    /// There were too many about the domain today.
    TooMany,
    /// The domain is gone.
    Gone,
}

impl Command for TakeReport {
    type Outcome = Taken;

    async fn run(&self, tx: &mut Tx) -> Result<Taken, DbError> {
        const LOCK: &str = "SELECT id FROM domains WHERE id = $1 AND organization_id = $2 {lock}";
        const BEFORE: &str = "SELECT 1 FROM domain_reports WHERE domain_id = $1 AND key = $2";
        const INSERT: &str = "INSERT INTO domain_reports (domain_id, id, kind, key, reporter, contact, report_id, policy, \
            begins_at, ends_at, total, failed, quarantined, rejected) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        const ROW: &str = "INSERT INTO domain_report_rows (domain_id, kind, report_id, number, source, what, dkim, spf, \
            messages) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let (domain, report) = (self.domain_id.uuid(), &self.report);
        // Under the domain's lock the same report is seen by the second that brings it, and the count is exact.
        if tx.query_one(LOCK, params![domain, self.organization_id.uuid()]).await?.is_none() {
            return Ok(Taken::Gone);
        }
        let key = report.key();
        if tx.query_one(BEFORE, params![domain, key.as_slice()]).await?.is_some() {
            return Ok(Taken::Repeated);
        }
        let since = DomainReportId::first_at(self.at.minus(DAY)).uuid();
        let today = tx.query_one(TODAY, params![domain, report.kept_as(), since, REPORTS_PER_DAY]).await?;
        if today.map_or(Ok(0), |row| row.int(0))? >= REPORTS_PER_DAY {
            return Ok(Taken::TooMany);
        }
        let id = report.id.uuid();
        let values = params![
            domain,
            id,
            report.kept_as(),
            key.as_slice(),
            &report.reporter,
            &report.contact,
            &report.report_id,
            &report.policy,
            report.begins_at.as_micros(),
            report.ends_at.as_micros(),
            report.total as i64,
            report.failed as i64,
            report.quarantined as i64,
            report.rejected as i64
        ];
        tx.execute(INSERT, values).await?;
        // The highest number has most: a reading from the end on finds it first.
        for (number, row) in (0_i64..).zip(self.rows.iter().rev()) {
            let values = params![
                domain,
                report.kept_as(),
                id,
                number,
                &row.source,
                &row.what,
                row.dkim,
                row.spf,
                row.count as i64
            ];
            tx.execute(ROW, values).await?;
        }
        Ok(Taken::Kept)
    }
}

pub(crate) const TODAY: &str = "SELECT count(*) FROM (SELECT id FROM domain_reports \
    WHERE domain_id = $1 AND kind = $2 AND id >= $3 ORDER BY id DESC LIMIT $4) AS of_today";

/// A report as it is kept, without its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Its id.
    pub id: DomainReportId,
    /// Who reports.
    pub reporter: String,
    /// Messages or connections.
    pub total: u64,
    /// Those that were not aligned, or failed.
    pub failed: u64,
    /// Messages that were put aside.
    pub quarantined: u64,
    /// Messages that were refused.
    pub rejected: u64,
}

pub(crate) const OF_DOMAIN: &str = "SELECT id, reporter, total, failed, quarantined, rejected FROM domain_reports \
    WHERE domain_id = $1 AND kind = $2 AND id >= $3 ORDER BY id DESC LIMIT $4";

/// The verified reports about a domain that came since, newest first.
pub async fn of_domain(
    reader: &mut Reader<'_>,
    (domain, kind): (DomainId, Kind),
    since: UnixMicros,
    limit: usize,
) -> Result<Vec<Kept>, StoreError> {
    let since = DomainReportId::first_at(since).uuid();
    let rows = reader.query(OF_DOMAIN, params![domain.uuid(), kind.name(), since, limit as i64]).await?;
    let read = |row: &Row| {
        Ok(Kept {
            id: DomainReportId::from_uuid(row.uuid(0)?),
            reporter: row.text(1)?,
            total: row.count(2)?,
            failed: row.count(3)?,
            quarantined: row.count(4)?,
            rejected: row.count(5)?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

pub(crate) const ROWS: &str = "SELECT source, what, dkim, spf, messages FROM domain_report_rows \
    WHERE domain_id = $1 AND kind = $2 AND report_id >= $3 ORDER BY report_id DESC, number DESC LIMIT $4";

/// What the verified reports about a domain say of sources that came since, newest first.
pub async fn rows(
    reader: &mut Reader<'_>,
    (domain, kind): (DomainId, Kind),
    since: UnixMicros,
    limit: usize,
) -> Result<Vec<ReportRow>, StoreError> {
    let since = DomainReportId::first_at(since).uuid();
    let rows = reader.query(ROWS, params![domain.uuid(), kind.name(), since, limit as i64]).await?;
    Ok(rows.iter().map(report_row).collect::<Result<_, DbError>>()?)
}

fn listed(row: &Row) -> Result<Report, DbError> {
    let (kind, is_verified) = read_kind(row.str(1)?);
    Ok(Report {
        id: DomainReportId::from_uuid(row.uuid(0)?),
        kind,
        is_verified,
        reporter: row.text(2)?,
        contact: row.text(3)?,
        report_id: row.text(4)?,
        policy: row.text(5)?,
        begins_at: UnixMicros::from_micros(row.int(6)?),
        ends_at: UnixMicros::from_micros(row.int(7)?),
        total: row.count(8)?,
        failed: row.count(9)?,
        quarantined: row.count(10)?,
        rejected: row.count(11)?,
    })
}

pub(crate) const PAGE: &str = "SELECT id, kind, reporter, contact, report_id, policy, begins_at, ends_at, total, failed, \
    quarantined, rejected FROM domain_reports WHERE domain_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

/// Reports about a domain, verified or not, newest first.
pub async fn page(
    reader: &mut Reader<'_>,
    domain: DomainId,
    before: Option<DomainReportId>,
    limit: usize,
) -> Result<Vec<Report>, StoreError> {
    let before = before.map_or(Uuid::max(), |id| id.uuid());
    let rows = reader.query(PAGE, params![domain.uuid(), before, limit as i64]).await?;
    Ok(rows.iter().map(listed).collect::<Result<_, DbError>>()?)
}

pub(crate) const FIND: &str = "SELECT id, kind, reporter, contact, report_id, policy, begins_at, ends_at, total, failed, \
    quarantined, rejected FROM domain_reports WHERE domain_id = $1 AND id = $2";

pub(crate) const ROWS_OF_ONE: &str = "SELECT source, what, dkim, spf, messages FROM domain_report_rows \
    WHERE domain_id = $1 AND kind = $2 AND report_id = $3 ORDER BY number DESC LIMIT $4";

/// A report about a domain, and what it says of sources: those with most, most first.
pub async fn find(
    reader: &mut Reader<'_>,
    domain: DomainId,
    id: DomainReportId,
    limit: usize,
) -> Result<Option<(Report, Vec<ReportRow>)>, StoreError> {
    let found = reader.query_one(FIND, params![domain.uuid(), id.uuid()]).await?;
    let Some(report) = found.as_ref().map(listed).transpose()? else { return Ok(None) };
    let kind = kept_as(report.kind, report.is_verified);
    let rows = reader.query(ROWS_OF_ONE, params![domain.uuid(), kind, id.uuid(), limit as i64]).await?;
    Ok(Some((report, rows.iter().map(report_row).collect::<Result<_, DbError>>()?)))
}

fn report_row(row: &Row) -> Result<ReportRow, DbError> {
    let (source, what) = (row.text(0)?, row.text(1)?);
    Ok(ReportRow { source, what, dkim: row.flag(2)?, spf: row.flag(3)?, count: row.count(4)? })
}

/// The domain of an organization that a name is of: itself, or the nearest above it. `None` if it is nobody's, or somebody
/// else's.
pub async fn registered(
    reader: &mut Reader<'_>,
    organization: OrganizationId,
    name: &Domain,
) -> Result<Option<DomainId>, StoreError> {
    const FIND: &str = "SELECT id, organization_id FROM domains WHERE name = $1 AND owned_at IS NOT NULL";
    let mut rest = Some(name.as_str());
    while let Some(name) = rest {
        if let Some(row) = reader.query_one(FIND, params![name]).await? {
            let is_theirs = row.uuid(1)? == organization.uuid();
            return Ok(is_theirs.then_some(DomainId::from_uuid(row.uuid(0)?)));
        }
        rest = name.split_once('.').map(|(_, above)| above);
    }
    Ok(None)
}

/// The organization whose domain a name is.
pub async fn owner(reader: &mut Reader<'_>, name: &Domain) -> Result<Option<OrganizationId>, StoreError> {
    const FIND: &str = "SELECT organization_id FROM domains WHERE name = $1 AND owned_at IS NOT NULL";
    let row = reader.query_one(FIND, params![name.as_str()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()?.map(OrganizationId::from_uuid))
}

/// Forgets reports that came before.
#[derive(Clone, Copy, Debug)]
pub struct PruneReports {
    /// The first moment that is kept.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

pub(crate) const OLD: &str = "SELECT domain_id, id, kind FROM domain_reports WHERE id < $1 ORDER BY id LIMIT $2";

impl Command for PruneReports {
    /// How many were forgotten.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        const FORGET: [&str; 2] = [
            "DELETE FROM domain_report_rows WHERE domain_id = $1 AND report_id = $2 AND kind = $3",
            "DELETE FROM domain_reports WHERE domain_id = $1 AND id = $2 AND kind = $3",
        ];
        let before = DomainReportId::first_at(self.before).uuid();
        let old = tx.query(OLD, params![before, self.limit as i64]).await?;
        for row in &old {
            let (domain, id, kind): (Uuid, Uuid, String) = (row.uuid(0)?, row.uuid(1)?, row.text(2)?);
            for statement in FORGET {
                tx.execute(statement, params![domain, id, &kind]).await?;
            }
        }
        Ok(old.len() as u64)
    }
}
