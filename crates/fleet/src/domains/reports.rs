//! Reports of other servers about a domain, one by one.

use super::Domains;
use crate::pages::{self, Page};
use postfleet_core::Problem;
use postfleet_core::id::{DomainId, DomainReportId, OrganizationId};
use postfleet_schema::domain_report as schema;
use postfleet_store::domain_reports::{self, Report, ReportRow};

/// Entries of a report that are shown: all that are kept.
const ROWS_MAX: usize = 200;

impl Domains<'_> {
    /// The reports about a domain of an organization, newest first, without their rows.
    pub async fn reports(
        &self,
        organization: OrganizationId,
        segment: &str,
        page_token: Option<&str>,
        limit: usize,
    ) -> Result<Page<schema::DomainReport>, Problem> {
        let domain = self.find(organization, segment).await?.domain.id;
        let before: Option<DomainReportId> = pages::after(page_token)?;
        let found = domain_reports::page(&mut self.store.reader().await?, domain, before, limit + 1).await?;
        let page = pages::cut(found, limit, |report| report.id);
        Ok(page.map(|report| show(domain, report, Vec::new())))
    }

    /// One of them.
    pub async fn report(
        &self,
        organization: OrganizationId,
        segment: &str,
        id: DomainReportId,
    ) -> Result<schema::DomainReport, Problem> {
        let domain = self.find(organization, segment).await?.domain.id;
        let found = domain_reports::find(&mut self.store.reader().await?, domain, id, ROWS_MAX).await?;
        found.map(|(report, rows)| show(domain, report, rows)).ok_or_else(Problem::not_found)
    }
}

fn show(domain: DomainId, report: Report, rows: Vec<ReportRow>) -> schema::DomainReport {
    let row = |row: ReportRow| schema::DomainReportRow {
        source: row.source,
        what: row.what,
        dkim_aligned: row.dkim,
        spf_aligned: row.spf,
        count: row.count,
    };
    schema::DomainReport {
        id: report.id.to_string(),
        domain_id: domain.to_string(),
        kind: report.kind.name(),
        is_verified: report.is_verified,
        reporter: report.reporter,
        contact: report.contact,
        report_id: report.report_id,
        policy: report.policy,
        begins_at: report.begins_at.as_seconds(),
        ends_at: report.ends_at.as_seconds(),
        received_at: report.id.made_at().as_seconds(),
        total: report.total,
        failed: report.failed,
        quarantined: report.quarantined,
        rejected: report.rejected,
        rows: rows.into_iter().map(row).collect(),
    }
}
