//! Addresses that an application's mail does not go to.

use crate::list::RefusedLine;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/suppressions`. Either `address` or `addresses`; the rest holds for all of them.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddSuppressions {
    /// One address.
    #[serde(default)]
    pub address: Option<String>,
    /// Several: 1 to 1,000. If one is wrong, nothing is added.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 1000)]
    pub addresses: Option<Vec<String>>,
    /// Why: `hard_bounce`, `complaint`, `unsubscribe`, `manual` or `invalid`; `manual` if absent.
    #[serde(default)]
    pub reason: Option<String>,
    /// What is noted with each: at most 1,024 characters; null or absent for nothing.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub note: Option<String>,
    /// When it ends, in unix seconds, which must be in the future; it does not end if null or absent.
    #[serde(default)]
    pub expires_at: Option<i64>,
}

/// `POST /v3/suppressions/check`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CheckSuppressions {
    /// The addresses: 1 to 1,000.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 1000)]
    pub addresses: Vec<String>,
}

/// An address that is not written to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suppression {
    /// The address.
    pub address: String,
    /// Whose mail does not go there.
    pub application_id: String,
    /// Why: `hard_bounce`, `complaint`, `unsubscribe`, `manual` or `invalid`.
    pub reason: &'static str,
    /// Who or what said so: `delivery` (its server refused a message), `dsn` (its server took one and reported later
    /// that nobody is there), `feedback_loop` (a complaint was passed on), `one_click` (its reader followed the link),
    /// `mailto` (its reader wrote to the address of a message), `api` or `import`.
    pub source: String,
    /// What people noted; null for nothing.
    pub note: Option<String>,
    /// The mailbox whose mail it came from; null if it came from none.
    pub grant_id: Option<String>,
    /// The message that it came from; null if it came from none.
    pub message_id: Option<String>,
    /// When it ends, in unix seconds; null if it does not.
    pub expires_at: Option<i64>,
    /// Since when, in unix seconds.
    pub created_at: i64,
}

/// What adding addresses did.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedSuppressions {
    /// Addresses that were not suppressed before.
    pub added: u64,
    /// Addresses that were, with another reason, note or end. What the request says holds now.
    pub changed: u64,
    /// Addresses that were already as wanted.
    pub unchanged: u64,
    /// All of them as they are now, each once, in the order of the request.
    pub suppressions: Vec<Suppression>,
}

/// What `POST /v3/suppressions/import` did.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct SuppressionImport {
    /// Lines that say something: neither blank nor a comment nor a heading.
    pub lines: u64,
    /// Addresses that were not suppressed before.
    pub added: u64,
    /// Addresses that were, with another reason, note or end. What the text says holds now.
    pub changed: u64,
    /// Lines whose address was already as wanted, or stood in the text before.
    pub unchanged: u64,
    /// Lines that could not be read. Nothing was done for them.
    pub refused: u64,
    /// The first 100 of these.
    pub refusals: Vec<RefusedLine>,
}

/// Whether an address is suppressed.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckedAddress {
    /// The address as it was given.
    pub address: String,
    /// Whether nothing is sent there.
    pub suppressed: bool,
    /// Why; null if it is not.
    pub reason: Option<&'static str>,
    /// Who or what said so; null if it is not.
    pub source: Option<String>,
    /// When it ends, in unix seconds; null if it does not, or is not.
    pub expires_at: Option<i64>,
    /// Since when, in unix seconds; null if it is not.
    pub created_at: Option<i64>,
}

/// What `POST /v3/unsubscribe/{token}` takes, as a form of either kind (RFC 8058).
#[derive(Debug, Deserialize, ToSchema)]
pub struct UnsubscribeForm {
    /// `One-Click`.
    #[serde(rename = "List-Unsubscribe")]
    pub list_unsubscribe: String,
}
