//! Reports about TLS (RFC 8460 §4.4).

use super::{About, COUNT_MAX, ConnectionFailure, ConnectionsSeen, DomainReport, Seen, Sums, Unreadable, kept};
use mail_parser::DateTime;
use postfleet_core::{Domain, UnixMicros};
use serde::Deserialize;

/// Octets of JSON that are read: such reports are short, and what is made of them is larger than they are.
const OCTETS_MAX: usize = 2 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    organization_name: Option<String>,
    date_range: Dates,
    #[serde(default)]
    contact_info: Option<String>,
    report_id: Option<String>,
    policies: Vec<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Dates {
    start_datetime: String,
    end_datetime: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    policy: Described,
    summary: Summary,
    #[serde(default)]
    failure_details: Option<Vec<Failure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Described {
    policy_type: String,
    policy_domain: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Summary {
    total_successful_session_count: u64,
    total_failure_session_count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    result_type: String,
    #[serde(default)]
    receiving_mx_hostname: Option<String>,
    failed_session_count: u64,
}

pub(super) fn read(text: &str) -> Result<DomainReport, Unreadable> {
    if text.len() > OCTETS_MAX {
        return Err(Unreadable::TooLarge);
    }
    let report: Report = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Unreadable::Incomplete,
        _ => Unreadable::Malformed,
    })?;
    let reporter = kept(&report.organization_name.unwrap_or_default());
    let report_id = kept(&report.report_id.unwrap_or_default());
    let (begins_at, ends_at) = (time(&report.date_range.start_datetime)?, time(&report.date_range.end_datetime)?);
    let mut about: Vec<About> = Vec::new();
    for policy in report.policies {
        let new = of_policy(policy)?;
        match about.iter_mut().find(|old| old.domain == new.domain) {
            Some(old) => old.seen.add(new.seen),
            None => about.push(new),
        }
    }
    if reporter.is_empty() || report_id.is_empty() || about.is_empty() || ends_at < begins_at {
        return Err(Unreadable::Incomplete);
    }
    Ok(DomainReport {
        reporter,
        contact: kept(&report.contact_info.unwrap_or_default()),
        report_id,
        begins_at,
        ends_at,
        about,
    })
}

fn of_policy(policy: Policy) -> Result<About, Unreadable> {
    let Policy { policy: described, summary, failure_details } = policy;
    let domain = Domain::parse(&described.policy_domain).map_err(|_| Unreadable::Incomplete)?;
    let failed = summary.total_failure_session_count.min(COUNT_MAX);
    let connections = summary.total_successful_session_count.min(COUNT_MAX).saturating_add(failed);
    let mut sums = Sums::new();
    for failure in failure_details.unwrap_or_default() {
        let host = kept(&failure.receiving_mx_hostname.unwrap_or_default()).to_ascii_lowercase();
        let kind = kept(&failure.result_type).to_ascii_lowercase();
        sums.add(ConnectionFailure { host, kind }, failure.failed_session_count.min(COUNT_MAX));
    }
    let seen = Seen::Connections(ConnectionsSeen { connections, failed, failures: sums.most() });
    Ok(About { domain, policy: kept(&described.policy_type), seen })
}

fn time(text: &str) -> Result<UnixMicros, Unreadable> {
    let seconds = DateTime::parse_rfc3339(text).map(|time| time.to_timestamp()).ok_or(Unreadable::Incomplete)?;
    let is_time = (0..=253_402_300_799).contains(&seconds);
    is_time.then(|| UnixMicros::from_seconds(seconds)).ok_or(Unreadable::Incomplete)
}
