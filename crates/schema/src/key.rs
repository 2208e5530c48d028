//! Keys of applications and of operators.

use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/admin/applications/{application}/api-keys`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateApiKey {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// Days until it ends; absent or null, it does not end.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub expires_in: Option<i64>,
    /// What it may do: words such as `grants.read`, and the patterns `grants.*`, `*.read` and `*`. Those of the key that
    /// makes it if absent; none that the maker lacks.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub permissions: Option<Vec<String>>,
}

/// `POST /v3/admin/keys`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateOperatorKey {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// Days until it ends; absent or null, it does not end.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3650)]
    pub expires_in: Option<i64>,
    /// What it may do, as for keys of applications.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub permissions: Option<Vec<String>>,
    /// The organization, which only a key of the installation's operator may name; the caller's own if absent.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// Whether it may also do what concerns all organizations; only such a key makes another. False if absent.
    #[serde(default)]
    pub installation: Option<bool>,
}

/// `PATCH /v3/admin/applications/{application}/api-keys/{key}`: absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateApiKey {
    /// What people call it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// Days from now until it ends; null, it does not end.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 3650)]
    pub expires_in: Patch<i64>,
    /// What it may do from now on.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub permissions: Option<Vec<String>>,
}

/// `POST /v3/admin/applications/{application}/api-keys/{key}/rotate`. The body may be absent.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RotateApiKey {
    /// Seconds for which the secret before is good, too; 0 if absent. A secret that was still good from a rotation
    /// before ends at once.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 604_800)]
    pub overlap_seconds: Option<i64>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The key itself; shown when it is made and when it is rotated, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub api_key: Option<String>,
    /// The application that it acts for; null for an operator's key.
    pub application_id: Option<String>,
    /// Its organization.
    pub organization_id: String,
    /// Whether it may also do what concerns all organizations.
    pub installation: bool,
    /// What it may do.
    pub permissions: Vec<String>,
    /// `active`, `expired` or `revoked`.
    pub status: &'static str,
    /// How it begins.
    pub hint: String,
    /// When it was last seen, to within a minute, in Unix seconds; null if never.
    pub last_used_at: Option<i64>,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
    /// Unix seconds; null if it does not end.
    pub expires_at: Option<i64>,
}
