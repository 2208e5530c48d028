//! Looking at addresses before anything is sent to them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/addresses/validate`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ValidateAddresses {
    /// The addresses: 1 to 1,000, each of at most 1,024 characters.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 1000)]
    pub addresses: Vec<String>,
}

/// What can be said of an address without asking its server.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValidatedAddress {
    /// The address as it was given.
    pub address: String,
    /// The address as it is written here; null if it is none.
    pub normalized: Option<String>,
    /// `deliverable`, `undeliverable`, `risky` or `unknown`. Deliverable means that nothing speaks against it.
    pub verdict: &'static str,
    /// What the verdict is made of: `syntax`, `not_ascii`, `no_mail_server`, `null_mx`, `no_such_mailbox`, `suppressed`
    /// (undeliverable), `lookup_failed` (unknown), `role`, `disposable`, `misspelt_domain` (risky). Empty if it is
    /// deliverable.
    pub findings: Vec<&'static str>,
    /// Why it is no address, in words for people; null if it is one.
    pub syntax_error: Option<String>,
    /// The address that was probably meant; null if there is none that is likely.
    pub suggestion: Option<String>,
    /// Its domain, in ASCII; null if it is no address.
    pub domain: Option<String>,
    /// Whether the domain exists: `false` too for one that has neither an MX record nor an address. Null if that is not
    /// known.
    pub domain_exists: Option<bool>,
    /// Whether the domain takes mail: it has an MX record, or none and an address, and does not say that it takes none
    /// (RFC 7505). Null if that is not known.
    pub accepts_mail: Option<bool>,
    /// The servers that take its mail, the most preferred first. Empty for domains of the own organization, which are
    /// not looked up.
    pub mx: Vec<String>,
    /// Whether the domain is one of the own organization.
    pub is_own_domain: bool,
    /// Whether there is such a mailbox; null if the domain is not one of the own organization.
    pub mailbox_exists: Option<bool>,
    /// Whether the application suppresses it.
    pub is_suppressed: bool,
    /// Why; null if it does not.
    pub suppression_reason: Option<&'static str>,
    /// Whether it stands for a role, such as `info` or `postmaster`, and not for a person.
    pub is_role: bool,
    /// Whether its domain is known to give addresses for a few minutes to anybody.
    pub is_disposable: bool,
}
