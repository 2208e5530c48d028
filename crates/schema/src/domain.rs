//! Domains: what is registered, what is to be published for it, and what the DNS was found to hold.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/domains`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateDomain {
    /// What people call it; the address if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// The domain, such as `agents.example.com`. Kept in lower case; international names in ASCII.
    #[schema(min_length = 3, max_length = 253)]
    pub domain_address: String,
}

/// `PUT /v3/domains/{domain}`: the name alone can be changed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateDomain {
    /// What people call it; stays if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
}

/// A registered domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct Domain {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it is below one of the operator's trial domains: it needs no DNS work.
    pub branded: bool,
    /// The domain.
    pub domain_address: String,
    /// Whose it is.
    pub organization_id: String,
    /// Where its mailboxes are.
    pub region: String,
    /// Whether the record that proves ownership was found.
    pub verified_ownership: bool,
    /// Whether all keys that sign were found.
    pub verified_dkim: bool,
    /// Whether the SPF record names this installation.
    pub verified_spf: bool,
    /// Whether its mail is brought here.
    pub verified_mx: bool,
    /// Whether the host for bounces and complaints was found.
    pub verified_feedback: bool,
    /// Whether a DMARC policy was found.
    pub verified_dmarc: bool,
    /// As `verified_dkim`: the same keys serve.
    pub verified_arc: bool,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds: when it or the state of one of its records last changed.
    pub updated_at: i64,
    /// Every record to publish, with what is known of it.
    pub records: Vec<DomainRecord>,
    /// How many mailboxes live on it.
    pub grant_count: u64,
    /// Whether its mailboxes may send.
    pub can_send: bool,
    /// Whether it may have mailboxes, and mail for it is accepted.
    pub can_receive: bool,
}

/// A record to publish.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainRecord {
    /// What it is for: `ownership`, `mx`, `spf`, `dkim`, `feedback` or `dmarc`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where, from the domain; `@` is the domain itself.
    pub host: String,
    /// Where, in full.
    pub fqdn: String,
    /// The type in the DNS: `TXT` or `MX`.
    #[serde(rename = "kind")]
    pub dns_type: &'static str,
    /// The text, or the name of the host.
    pub value: String,
    /// The preference of an MX record; null for a text.
    pub priority: Option<u16>,
    /// `pending`, `done` or `failed`.
    pub status: &'static str,
    /// What is wrong, with what was found; empty if nothing is.
    pub message: String,
    /// Unix seconds of the last look at the DNS; null if there was none.
    pub checked_at: Option<i64>,
    /// Unix seconds since when it is done; null if it is not.
    pub verified_at: Option<i64>,
}

/// `POST /v3/domains/{domain}/info` and `POST /v3/domains/{domain}/verify`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct VerifyDomain {
    /// `ownership`, `mx`, `spf`, `dkim`, `feedback`, `dmarc` or `arc`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What else the caller wants.
    #[serde(default)]
    pub options: Option<VerifyOptions>,
}

/// What a caller may want of a record.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct VerifyOptions {
    /// Bits of an RSA key: 2048, and nothing else.
    #[serde(default)]
    #[schema(minimum = 2048, maximum = 2048)]
    pub key_length: Option<i64>,
}

/// `POST /v3/domains/{domain}/dkim-keys`. The body may be absent.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RotateDkimKeys {
    /// What else the caller wants.
    #[serde(default)]
    pub options: Option<VerifyOptions>,
}

/// What is known of one type of record.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verification {
    /// The domain.
    pub domain_id: String,
    /// What is to be published.
    pub attempt: VerificationAttempt,
    /// `pending`, `done` or `failed`.
    pub status: &'static str,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds until when this answer is worth keeping. The values themselves do not expire.
    pub expires_at: i64,
    /// What the DNS was found to hold instead; null if nothing is wrong.
    pub details: Option<String>,
    /// What to do, or that nothing is left to do.
    pub message: String,
    /// All records of this type: signing has several.
    pub records: Vec<DomainRecord>,
}

/// What is to be published.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerificationAttempt {
    /// The type that was asked for.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The first of its records that is not done, else the first.
    pub options: VerificationRecord,
}

/// A record, as official clients read it.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerificationRecord {
    /// Where, from the domain; `@` is the domain itself.
    pub host: String,
    /// The type in the DNS: `TXT` or `MX`.
    #[serde(rename = "type")]
    pub dns_type: &'static str,
    /// The text, or the name of the host.
    pub value: String,
    /// The preference of an MX record; null for a text.
    pub priority: Option<u16>,
}

/// A key that signs for a domain. The private half is never shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct DkimKey {
    /// The selector under which it is published.
    pub selector: String,
    /// `rsa-sha256` or `ed25519-sha256`.
    pub algorithm: String,
    /// `active` (it signs), `next` (it signs once all of its generation were found in the DNS) or `retired` (to be
    /// published for seven days more).
    pub state: &'static str,
    /// Where it is published, from the domain.
    pub host: String,
    /// The TXT record.
    pub value: String,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds since when it signs no more; null if it does or will.
    pub retired_at: Option<i64>,
}
