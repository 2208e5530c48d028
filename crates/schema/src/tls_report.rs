//! Reports about TLS between mail servers, in the format of RFC 8460 §4, so that they can be handed on as they are.

use serde::Serialize;
use utoipa::ToSchema;

/// How encryption of connections to the servers of one domain went on one UTC day (RFC 8460 §4.4).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TlsReport {
    /// Who reports: the name of this server.
    pub organization_name: String,
    /// The day.
    pub date_range: TlsReportDates,
    /// Whom to ask about it.
    pub contact_info: String,
    /// The report's id, always the same for a domain and day.
    pub report_id: String,
    /// What was found, by policy.
    pub policies: Vec<TlsReportPolicy>,
}

/// The day of a report.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TlsReportDates {
    /// Its first second (RFC 3339).
    pub start_datetime: String,
    /// Its last second (RFC 3339).
    pub end_datetime: String,
}

/// What was found under one policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TlsReportPolicy {
    /// The policy.
    pub policy: TlsPolicyDescription,
    /// How many connections went well or not.
    pub summary: TlsSummary,
    /// What was wrong, by kind and server; empty if nothing was.
    pub failure_details: Vec<TlsFailureDetails>,
}

/// A policy that was applied.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TlsPolicyDescription {
    /// `tlsa` (DANE), `sts` (MTA-STS) or `no-policy-found`.
    pub policy_type: String,
    /// The policy line by line, or the TLSA records; empty if there was none.
    pub policy_string: Vec<String>,
    /// The domain of the recipients.
    pub policy_domain: String,
    /// The servers that an MTA-STS policy names; empty for others.
    pub mx_host: Vec<String>,
}

/// How many connections were counted.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TlsSummary {
    /// Those that were encrypted as the policy asks.
    pub total_successful_session_count: u64,
    /// Those that were not.
    pub total_failure_session_count: u64,
}

/// Connections that failed alike.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TlsFailureDetails {
    /// What was wrong: one of the result types of RFC 8460 §4.3, such as `certificate-expired`.
    pub result_type: String,
    /// Our address; absent if no connection was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sending_mta_ip: Option<String>,
    /// The server's name; absent if none was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub receiving_mx_hostname: Option<String>,
    /// The server's address; absent if no connection was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub receiving_ip: Option<String>,
    /// How many.
    pub failed_session_count: u64,
    /// What was wrong with one of them, for people.
    pub failure_reason_code: String,
}
