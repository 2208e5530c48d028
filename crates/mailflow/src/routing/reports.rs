//! Reports about TLS (RFC 8460): what was counted is written down from time to time, and shown by day and domain.

use crate::platform::Platform;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::{Domain, Problem, UtcDay};
use postfleet_fleet::pages::Page;
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

/// The reports of a day, one for each domain, in the order of their names.
pub async fn list(
    platform: &Platform,
    day: UtcDay,
    page_token: Option<&str>,
    limit: usize,
) -> Result<Page<TlsReport>, Problem> {
    let after = page_token.filter(|token| !token.is_empty()).map(domain_of).transpose()?;
    let mut reader = platform.store.reader().await?;
    let after = after.as_ref().map_or("", Domain::as_str);
    let mut domains = tls_sessions::domains(&mut reader, day, after, limit + 1).await?;
    let has_more = domains.len() > limit;
    domains.truncate(limit);
    let mut items = Vec::with_capacity(domains.len());
    for domain in &domains {
        let counts = tls_sessions::of_domain(&mut reader, day, domain).await?;
        items.push(report(platform.settings.hostname.as_str(), day, domain, counts));
    }
    let next_cursor = domains.last().filter(|_| has_more).map(|domain| URL_SAFE_NO_PAD.encode(domain));
    Ok(Page { items, next_cursor })
}

/// The domain after which a page goes on.
fn domain_of(token: &str) -> Result<Domain, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let domain = bytes.and_then(|text| Domain::parse(&text).ok());
    domain.ok_or_else(|| Problem::invalid("page_token", "page_token is not a cursor of this list"))
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
        counts.iter().filter(|count| count.sessions.result.is_empty() != is_failure).map(|count| count.count).sum()
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
