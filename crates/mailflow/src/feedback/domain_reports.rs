//! Reports about a domain that come to the address that its records name. Whoever can send mail can send one: it is kept
//! and shown, and marked unless it is proved that the reporter sent it; figures are made of those alone that are.

use crate::platform::Platform;
use crate::receive::Arrival;
use crate::receive::authenticate::authenticate;
use postfleet_core::id::{DomainId, DomainReportId};
use postfleet_core::{Domain, EmailAddress, Problem, ProblemKind, UnixMicros};
use postfleet_mail::authentication::dmarc::proves;
use postfleet_mail::authentication::dmarc::suffix::are_aligned;
use postfleet_mail::domain_report::{
    self, ConnectionFailure, ConnectionsSeen, DomainReport, MailSeen, MailSource, Seen, Unreadable,
};
use postfleet_store::domain_reports::{self, Kind, Report, ReportRow, TakeReport, Taken};
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
        let (new, rows) = new_report(platform, &report, policy, seen, now);
        let id = new.id.to_string();
        let new = Report { is_verified, ..new };
        let take = TakeReport { organization_id: organization, domain_id, report: new, rows, at: now };
        match write(platform, take).await? {
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

/// Whether SPF or a signature proves that the report was sent by whom it names as reporter. Who wrote it here signed in.
async fn is_verified(platform: &Platform, arrival: &Arrival, report: &DomainReport) -> bool {
    let contact = EmailAddress::parse(&report.contact).ok().map(|contact| contact.domain().clone());
    let Some(reporter) = contact.or_else(|| Domain::parse(&report.reporter).ok()) else { return false };
    if arrival.is_local() {
        let sender = arrival.reverse_path.mailbox();
        return sender.is_some_and(|sender| are_aligned(sender.domain().as_str(), reporter.as_str(), false));
    }
    let (found, _) = authenticate(platform, arrival, &arrival.message).await;
    proves(&found, &reporter)
}

async fn write(platform: &Platform, take: TakeReport) -> Result<Taken, Problem> {
    let (domain, reporter, kind) = (take.domain_id, take.report.reporter.clone(), take.report.kind.name());
    let taken = platform.store.run(take).await?;
    tracing::debug!(domain.id = %domain, reporter, kind, ?taken, "a report about a domain");
    Ok(taken)
}

fn new_report(
    platform: &Platform,
    report: &DomainReport,
    policy: String,
    seen: Seen,
    now: UnixMicros,
) -> (Report, Vec<ReportRow>) {
    let mut new = Report {
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
    };
    let rows = match seen {
        Seen::Mail(MailSeen { messages, unaligned, quarantined, rejected, sources }) => {
            (new.total, new.failed, new.quarantined, new.rejected) = (messages, unaligned, quarantined, rejected);
            let row = |(source, count): (MailSource, u64)| ReportRow {
                source: source.address.to_string(),
                what: source.disposition,
                dkim: source.dkim_aligned,
                spf: source.spf_aligned,
                count,
            };
            sources.into_iter().map(row).collect()
        }
        Seen::Connections(ConnectionsSeen { connections, failed, failures }) => {
            (new.kind, new.total, new.failed) = (Kind::Tls, connections, failed);
            let row = |(failure, count): (ConnectionFailure, u64)| ReportRow {
                source: failure.host,
                what: failure.kind,
                dkim: false,
                spf: false,
                count,
            };
            failures.into_iter().map(row).collect()
        }
    };
    (new, rows)
}

fn unreadable(platform: &Platform, why: Unreadable) -> Problem {
    platform.metrics.domain_reported(why.name());
    Problem::new(ProblemKind::Forbidden, UNREADABLE, why.to_string())
}
