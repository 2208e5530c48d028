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
    /// What may be sent with it; anything if absent or null.
    #[serde(default)]
    pub capabilities: Option<KeyCapabilities>,
}

/// What may be sent with a key, beside what its permissions say. It holds for the envelope, whichever way a message is
/// sent: each of To, Cc and Bcc. What is absent is not limited.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct KeyCapabilities {
    /// `all`; `replies`: answers to messages that the mailbox received, to whomever; `thread_recipients`: such answers to
    /// those who are in the conversation; `none`: nothing, now or later. `all` if absent.
    #[schema(value_type = Option<String>, example = "replies")]
    pub sending: Option<String>,
    /// The domains that may be written to, exactly these; absent or null, any.
    #[schema(min_items = 1, max_items = 100)]
    pub recipient_domains: Option<Vec<String>>,
    /// Addresses that may be written to on a UTC day although nothing was sent to them with the key before and they are
    /// not in the conversation; absent or null, any number.
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub new_recipients_per_day: Option<i64>,
    /// Whether anything may be attached, pictures in the text among it; true if absent.
    pub attachments: Option<bool>,
}

/// What may be sent with a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyCapabilitiesInForce {
    /// `all`, `replies`, `thread_recipients` or `none`.
    pub sending: &'static str,
    /// The domains that may be written to, exactly these; null is any.
    pub recipient_domains: Option<Vec<String>>,
    /// Addresses that may be written to on a UTC day although nothing was sent to them with the key before; null is any
    /// number.
    pub new_recipients_per_day: Option<u64>,
    /// Whether anything may be attached.
    pub attachments: bool,
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
    /// What may be sent with it from now on, as a whole; null, anything. For keys of applications.
    #[serde(default)]
    #[schema(value_type = Option<KeyCapabilities>)]
    pub capabilities: Patch<KeyCapabilities>,
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
    /// What may be sent with it; an operator's key sends nothing.
    pub capabilities: KeyCapabilitiesInForce,
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
