//! Reports about a domain that come to the address that its records name. Whoever can send mail can send one: it is kept
//! and shown, and marked unless it is proved that the reporter sent it; figures are made of those alone that are.

use crate::platform::Platform;
use crate::receive::Arrival;
use crate::receive::authenticate::authenticate;
use postfleet_core::id::{DomainId, DomainReportId, OrganizationId};
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, UnixMicros};
use postfleet_mail::authentication::dmarc::proves;
use postfleet_mail::domain_report::{self, ConnectionsSeen, DomainReport, MailSeen, Seen, Unreadable};
use postfleet_store::domain_reports::{self, Kind, NewReport, ReportRow, TakeReport, Taken};
use std::time::Duration;

/// How far a reporter's clock may be ahead of ours.
const AHEAD_MAX: Duration = Duration::from_secs(2 * 86_400);

/// The code of what is no report.
const UNREADABLE: &str = "not_a_domain_report";

/// Takes a report that came to the address of a domain of ours.
pub(super) async fn take(platform: &Platform, arrival: &Arrival, to: &Domain) -> Result<String, Problem> {
    let taken = keep(platform, arrival, to).await;
    match &taken {
        Ok((_, taken)) => platform.metrics.domain_reported(taken),
        // Counted with the reason already.
        Err(problem) if problem.code == UNREADABLE => {}
        Err(problem) => platform.metrics.domain_reported(problem.code),
    }
    taken.map(|(reference, _)| reference)
}

async fn keep(platform: &Platform, arrival: &Arrival, to: &Domain) -> Result<(String, &'static str), Problem> {
    let report = domain_report::read(&arrival.message).map_err(|why| unreadable(platform, why))?;
    let is_verified = is_verified(platform, arrival, &report).await;
    let now = platform.clock.now();
    if report.ends_at > now.plus(AHEAD_MAX) {
        return Err(unreadable(platform, Unreadable::Incomplete));
    }
    let mut reader = platform.store.reader().await?;
    let Some(organization) = domain_reports::owner(&mut reader, to).await? else {
        return Err(crate::receive::no_mailbox());
    };
    // What is said of names below a domain is of the domain.
    let mut about: Vec<(DomainId, String, Seen)> = Vec::new();
    for one in report.about.clone() {
        let Some(id) = domain_reports::registered(&mut reader, organization, &one.domain).await? else { continue };
        match about.iter_mut().find(|(known, ..)| *known == id) {
            Some((.., seen)) => seen.add(one.seen),
            None => about.push((id, one.policy, one.seen)),
        }
    }
    drop(reader);
    if about.is_empty() {
        let text = "the report is about no domain that takes reports at this address";
        return Err(Problem::new(ProblemKind::Forbidden, "report_about_others", text));
    }
    let (mut reference, mut result) = (String::new(), "repeated");
    for (domain_id, policy, seen) in about {
        let new = NewReport { is_verified, ..new_report(platform, &report, policy, seen, now) };
        let id = new.id.to_string();
        match write(platform, organization, domain_id, new, now).await? {
            Taken::Kept => (reference, result) = (id, "kept"),
            Taken::Repeated | Taken::Gone => {}
            Taken::TooMany => {
                let text = "there were too many reports about the domain today";
                return Err(Problem::new(ProblemKind::RateLimited, "too_many_reports", text));
            }
        }
    }
    Ok((reference, result))
}

/// Whether SPF or a signature proves that the report was sent by whom it names as reporter.
async fn is_verified(platform: &Platform, arrival: &Arrival, report: &DomainReport) -> bool {
    let found = authenticate(platform, arrival, &arrival.message).await;
    let contact = EmailAddress::parse(&report.contact).ok().map(|contact| contact.domain().clone());
    let reporter = contact.or_else(|| Domain::parse(&report.reporter).ok());
    reporter.is_some_and(|reporter| proves(&found, &reporter))
}

async fn write(
    platform: &Platform,
    organization_id: OrganizationId,
    domain_id: DomainId,
    report: NewReport,
    at: UnixMicros,
) -> Result<Taken, Problem> {
    let (reporter, kind) = (report.reporter.clone(), report.kind.name());
    let taken = platform.store.run(TakeReport { organization_id, domain_id, report, at }).await?;
    tracing::debug!(domain.id = %domain_id, reporter, kind, ?taken, "a report about a domain");
    Ok(taken)
}

fn new_report(platform: &Platform, report: &DomainReport, policy: String, seen: Seen, now: UnixMicros) -> NewReport {
    let mut new = NewReport {
        id: DomainReportId::new(now, platform.entropy.ten()),
        kind: Kind::Dmarc,
        is_verified: false,
        reporter: report.reporter.clone(),
        contact: report.contact.clone(),
        report_id: report.report_id.clone(),
        policy,
        begins_at: report.begins_at,
        ends_at: report.ends_at,
        total: 0,
        failed: 0,
        quarantined: 0,
        rejected: 0,
        rows: Vec::new(),
    };
    match seen {
        Seen::Mail(MailSeen { messages, unaligned, quarantined, rejected, sources }) => {
            (new.total, new.failed, new.quarantined, new.rejected) = (messages, unaligned, quarantined, rejected);
            let rows = sources.into_iter().map(|(source, count)| ReportRow {
                source: source.address.to_string(),
                what: source.disposition,
                dkim: source.dkim_aligned,
                spf: source.spf_aligned,
                count,
            });
            new.rows = rows.collect();
        }
        Seen::Connections(ConnectionsSeen { connections, failed, failures }) => {
            (new.kind, new.total, new.failed) = (Kind::Tls, connections, failed);
            let row = |(failure, count): (domain_report::ConnectionFailure, u64)| ReportRow {
                source: failure.host,
                what: failure.kind,
                dkim: false,
                spf: false,
                count,
            };
            new.rows = failures.into_iter().map(row).collect();
        }
    }
    new
}

fn unreadable(platform: &Platform, why: Unreadable) -> Problem {
    platform.metrics.domain_reported(why.name());
    Problem::new(ProblemKind::Forbidden, UNREADABLE, why.to_string())
}
