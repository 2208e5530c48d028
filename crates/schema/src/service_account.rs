//! Service accounts: parties that sign their requests.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/admin/service-accounts`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateServiceAccount {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// What it may do, as for keys. Those of the maker if absent; none that the maker lacks.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub permissions: Option<Vec<String>>,
    /// The organization, which only a key of the installation's operator may name; the caller's own if absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// A service account.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceAccount {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The id of its key, for `X-Nylas-Kid`.
    pub private_key_id: String,
    /// Its organization.
    pub organization_id: String,
    /// Where it is.
    pub region: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// `active` or `revoked`.
    pub status: &'static str,
    /// When it was last seen, to within a minute, in Unix seconds; null if never.
    pub last_used_at: Option<i64>,
    /// Unix seconds.
    pub created_at: i64,
}

/// A service account with its private key: the file that clients are given. It is shown once.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceAccountFile {
    /// Always `service_account`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The id of its key, for `X-Nylas-Kid`.
    pub private_key_id: String,
    /// An RSA key of 2,048 bits as PKCS #8 in PEM.
    pub private_key: String,
    /// Its organization.
    pub organization_id: String,
    /// Where it is.
    pub region: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
}
