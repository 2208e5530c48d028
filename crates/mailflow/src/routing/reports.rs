//! Reports about TLS (RFC 8460): what was counted is written down from time to time, and shown by day and domain.

use crate::platform::Platform;
use postfleet_core::{Problem, UtcDay};
use postfleet_schema::tls_report::{
    TlsFailureDetails, TlsPolicyDescription, TlsReport, TlsReportDates, TlsReportPolicy, TlsSummary,
};
use postfleet_store::tls_sessions::{self, Count, CountSessions};

/// Counts that one command writes.
const COUNTS_MAX: usize = 200;

/// Writes down what was counted on this node. What cannot be written now is kept for the next time.
pub async fn flush_once(platform: &Platform) -> Result<(), Problem> {
    let tally = &platform.routing.tally;
    let mut left = tally.take();
    while !left.is_empty() {
        let counts = left.split_off(left.len().saturating_sub(COUNTS_MAX));
        if let Err(error) = platform.store.run(CountSessions { counts: counts.clone() }).await {
            tally.give_back(counts);
            tally.give_back(left);
            return Err(error.into());
        }
    }
    Ok(())
}

/// A page of reports, and where the next one begins.
pub struct Reports {
    /// One for each domain, in the order of their names.
    pub items: Vec<TlsReport>,
    /// The last domain, if there are more.
    pub next: Option<String>,
}

/// The reports of a day, those of domains after `after`.
pub async fn list(platform: &Platform, day: UtcDay, after: &str, limit: usize) -> Result<Reports, Problem> {
    let mut reader = platform.store.reader().await?;
    let mut domains = tls_sessions::domains(&mut reader, day, after, limit + 1).await?;
    let has_more = domains.len() > limit;
    domains.truncate(limit);
    let mut items = Vec::with_capacity(domains.len());
    for domain in &domains {
        let counts = tls_sessions::of_domain(&mut reader, day, domain).await?;
        items.push(report(platform.settings.hostname.as_str(), day, domain, counts));
    }
    Ok(Reports { items, next: domains.pop().filter(|_| has_more) })
}

/// The report of one domain; `None` if nothing was counted.
pub async fn find(platform: &Platform, day: UtcDay, domain: &str) -> Result<Option<TlsReport>, Problem> {
    let counts = tls_sessions::of_domain(&mut platform.store.reader().await?, day, domain).await?;
    let report = || report(platform.settings.hostname.as_str(), day, domain, counts.clone());
    Ok((!counts.is_empty()).then(report))
}

fn report(hostname: &str, day: UtcDay, domain: &str, mut counts: Vec<Count>) -> TlsReport {
    counts.sort_by(|a, b| a.sessions.cmp(&b.sessions));
    let of_policy = |a: &Count, b: &Count| policy_of(a) == policy_of(b);
    TlsReport {
        organization_name: hostname.to_owned(),
        date_range: TlsReportDates {
            start_datetime: format!("{day}T00:00:00Z"),
            end_datetime: format!("{day}T23:59:59Z"),
        },
        contact_info: format!("postmaster@{hostname}"),
        report_id: format!("{day}_{domain}@{hostname}"),
        policies: counts.chunk_by(of_policy).map(|counts| of_one_policy(domain, counts)).collect(),
    }
}

fn policy_of(count: &Count) -> (&str, &str, &str) {
    let sessions = &count.sessions;
    (&sessions.policy_type, &sessions.policy, &sessions.mx_hosts)
}

fn of_one_policy(domain: &str, counts: &[Count]) -> TlsReportPolicy {
    // We have written the lists ourselves.
    let list = |json: &str| serde_json::from_str(json).unwrap_or_default();
    let (policy_type, policy, mx_hosts) = counts.first().map(policy_of).unwrap_or_default();
    let total = |is_failure: bool| {
        counts.iter().filter(|count| !count.sessions.result.is_empty() == is_failure).map(|count| count.count).sum()
    };
    TlsReportPolicy {
        policy: TlsPolicyDescription {
            policy_type: policy_type.to_owned(),
            policy_string: list(policy),
            policy_domain: domain.to_owned(),
            mx_host: list(mx_hosts),
        },
        summary: TlsSummary { total_successful_session_count: total(false), total_failure_session_count: total(true) },
        failure_details: counts.iter().filter(|count| !count.sessions.result.is_empty()).map(details).collect(),
    }
}

fn details(count: &Count) -> TlsFailureDetails {
    let sessions = &count.sessions;
    let present = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    TlsFailureDetails {
        result_type: sessions.result.clone(),
        sending_mta_ip: present(&sessions.sending_address),
        receiving_mx_hostname: present(&sessions.receiving_host),
        receiving_ip: present(&sessions.receiving_address),
        failed_session_count: count.count,
        failure_reason_code: count.reason.clone(),
    }
}
