//! Reports of other servers about a domain.

use serde::Serialize;
use utoipa::ToSchema;

/// A report that another server sent about mail in the name of a domain (DMARC), or about connections to its servers (TLS).
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainReport {
    /// Its id.
    pub id: String,
    /// The domain's id.
    pub domain_id: String,
    /// `dmarc` or `tls`.
    pub kind: &'static str,
    /// Whether SPF or a signature proved that the reporter sent it. Others are kept, and counted nowhere.
    pub is_verified: bool,
    /// Who reports, as it calls itself.
    pub reporter: String,
    /// An address to ask; empty if it gives none.
    pub contact: String,
    /// The id that the reporter gave it.
    pub report_id: String,
    /// The policy that the reporter found, in short.
    pub policy: String,
    /// When what it is about began (seconds since 1970).
    pub begins_at: i64,
    /// When it ended (seconds since 1970).
    pub ends_at: i64,
    /// When it came (seconds since 1970).
    pub received_at: i64,
    /// Messages or connections.
    pub total: u64,
    /// Messages that were not aligned, or connections that failed.
    pub failed: u64,
    /// Messages that were put aside.
    pub quarantined: u64,
    /// Messages that were refused.
    pub rejected: u64,
    /// What it says of sources, those with most first, at most 200; empty in lists.
    pub rows: Vec<DomainReportRow>,
}

/// Messages or connections of one source that are alike.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainReportRow {
    /// The address that sent, or the server that was connected to.
    pub source: String,
    /// What was done (`none`, `quarantine`, `reject`), or what was wrong (RFC 8460 §4.3).
    pub what: String,
    /// Whether a signature of the domain was good.
    pub dkim_aligned: bool,
    /// Whether SPF spoke for the domain.
    pub spf_aligned: bool,
    /// How many.
    pub count: u64,
}
