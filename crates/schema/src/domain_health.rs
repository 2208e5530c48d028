//! How a sending domain does: records, what came back, reputation, warm-up, and what to do.

use crate::domain::DomainRecord;
use crate::reputation::Reputation;
use crate::warm_up::WarmUp;
use serde::Serialize;
use utoipa::ToSchema;

/// The health of a domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainHealth {
    /// Its id.
    pub domain_id: String,
    /// The domain.
    pub domain_address: String,
    /// Whether its mailboxes may send.
    pub can_send: bool,
    /// How many mailboxes live on it.
    pub grant_count: u64,
    /// The findings, worst first; empty if all is well.
    pub findings: Vec<HealthFinding>,
    /// Every record to publish, with what is known of it.
    pub records: Vec<HealthRecord>,
    /// What came back in the last seven days.
    pub outcomes: DomainOutcomes,
    /// Where it stands.
    pub reputation: Reputation,
    /// How far it is warmed up.
    pub warm_up: WarmUp,
    /// What block lists say; empty if none are asked.
    pub block_lists: Vec<BlockListAnswer>,
    /// What other servers report of mail in the domain's name (DMARC). Reports are claims of whoever sent them.
    pub dmarc: DmarcHealth,
    /// What other servers report of encrypted connections to the domain's servers (TLS). These are claims, too.
    pub tls: TlsHealth,
}

/// Something that is worth knowing.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthFinding {
    /// For programs, such as `spf_missing`.
    pub code: &'static str,
    /// `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// A sentence for people.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
    /// The id of the mailbox that it is about; null if it is about none.
    pub grant_id: Option<String>,
}

/// A record, with how often in a row it was found wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthRecord {
    /// The record.
    pub record: DomainRecord,
    /// How often in a row it was found wrong. What was right before counts as right until the third time.
    pub failures: u32,
    /// Whether the domain may send without it.
    pub is_optional: bool,
}

/// What came back in the last seven days.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainOutcomes {
    /// Recipients for whom a server answered, on the last seven UTC days.
    pub attempts: u64,
    /// Recipients whom mail did not reach.
    pub bounced: u64,
    /// Recipients that complained.
    pub complaints: u64,
    /// Recipients that were not written to, because they are suppressed.
    pub rejected: u64,
    /// Whether there was more than the newest 10,000 of these, which are counted.
    pub is_partial: bool,
    /// Bounces by type, most first.
    pub bounce_types: Vec<BounceCount>,
    /// Up to 10 mailboxes with most bounces.
    pub bounces_by_grant: Vec<CulpritCount>,
    /// Up to 10 mailboxes with most complaints.
    pub complaints_by_grant: Vec<CulpritCount>,
    /// Up to 10 domains of recipients with most complaints.
    pub complaint_sources: Vec<SourceCount>,
}

/// Bounces of a type.
#[derive(Debug, Serialize, ToSchema)]
pub struct BounceCount {
    /// `hard`, `soft` or `undetermined`.
    pub class: &'static str,
    /// The type, such as `UnknownUser`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How many.
    pub count: u64,
}

/// What a mailbox caused.
#[derive(Debug, Serialize, ToSchema)]
pub struct CulpritCount {
    /// The id of the mailbox.
    pub grant_id: String,
    /// Its address.
    pub email: String,
    /// How many.
    pub count: u64,
}

/// What came from recipients of a domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct SourceCount {
    /// The domain.
    pub domain: String,
    /// How many.
    pub count: u64,
}

/// What a block list last said of a domain, or of an address from which its mail leaves.
#[derive(Debug, Serialize, ToSchema)]
pub struct BlockListAnswer {
    /// The list.
    pub zone: String,
    /// The address, or the name of the domain.
    pub subject: String,
    /// `listed`, `clear`, or `unknown`: it was not asked yet, does not answer, or cannot be believed, since it does not
    /// have its test entries, or has everything.
    pub state: &'static str,
    /// The codes with which the list answers; empty if it does not have it.
    pub codes: Vec<String>,
    /// What the list gives as its reason; empty if nothing.
    pub reason: String,
    /// Since when it is known to be on the list; null if it is not.
    pub since: Option<i64>,
    /// When the list last gave an answer that can be believed; null if it never did.
    pub answered_at: Option<i64>,
    /// When it was asked last.
    pub asked_at: i64,
    /// How often in a row it gave no answer that can be believed. From 3 on, what it said before counts no more.
    pub failures: u32,
    /// Why, the last time; empty if it answered.
    pub failure: String,
}

/// What other servers report of mail in the domain's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct DmarcHealth {
    /// By the reports that came in the last 7 days.
    pub last_7_days: DmarcTotals,
    /// By the reports that came in the last 30 days.
    pub last_30_days: DmarcTotals,
    /// Up to 20 addresses that send in the domain's name, in 30 days: those first of whose mail most was not aligned.
    pub sources: Vec<DmarcSource>,
    /// Whether there was more than what is counted: the newest 5,000 reports, and the newest 20,000 of their entries.
    pub is_partial: bool,
}

/// Mail that was reported.
#[derive(Debug, Serialize, ToSchema)]
pub struct DmarcTotals {
    /// Reports.
    pub reports: u64,
    /// Messages.
    pub messages: u64,
    /// Messages for which SPF or DKIM spoke for the domain.
    pub aligned: u64,
    /// Messages for which neither did.
    pub unaligned: u64,
    /// Messages that receivers put aside.
    pub quarantined: u64,
    /// Messages that receivers refused.
    pub rejected: u64,
}

/// An address that sends in the domain's name.
#[derive(Debug, Serialize, ToSchema)]
pub struct DmarcSource {
    /// The address.
    pub address: String,
    /// Whether it is one from which this installation sends; null if that is not known.
    pub is_own: Option<bool>,
    /// Messages.
    pub messages: u64,
    /// Messages with a good signature of the domain.
    pub dkim_aligned: u64,
    /// Messages for which SPF spoke for the domain.
    pub spf_aligned: u64,
    /// Messages with neither.
    pub unaligned: u64,
}

/// What other servers report of encrypted connections to the domain's servers.
#[derive(Debug, Serialize, ToSchema)]
pub struct TlsHealth {
    /// By the reports that came in the last 7 days.
    pub last_7_days: TlsTotals,
    /// By the reports that came in the last 30 days.
    pub last_30_days: TlsTotals,
    /// Up to 20 kinds of failures, by server, most first.
    pub failures: Vec<TlsFailureCount>,
    /// Whether there was more than what is counted: the newest 5,000 reports, and the newest 20,000 of their entries.
    pub is_partial: bool,
}

/// Connections that were reported.
#[derive(Debug, Serialize, ToSchema)]
pub struct TlsTotals {
    /// Reports.
    pub reports: u64,
    /// Connections.
    pub connections: u64,
    /// Those that failed.
    pub failed: u64,
}

/// Connections that failed alike.
#[derive(Debug, Serialize, ToSchema)]
pub struct TlsFailureCount {
    /// The server; empty if no reporter named one.
    pub host: String,
    /// What was wrong, such as `certificate-expired` (RFC 8460, section 4.3).
    pub result_type: String,
    /// How many.
    pub connections: u64,
}
