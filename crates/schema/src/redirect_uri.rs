//! Redirect URIs, also called callback URIs: where sign-in may lead back to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/applications/redirect-uris`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateRedirectUri {
    /// An absolute URI without a fragment: `https` or `http`, or a scheme of their own for `ios`, `android` and
    /// `desktop`. Sign-in compares it as it stands.
    #[schema(min_length = 1, max_length = 2048)]
    pub url: String,
    /// `web`, `js`, `ios`, `android` or `desktop`; `web` if absent.
    #[serde(default)]
    pub platform: Option<String>,
    /// What identifies the program.
    #[serde(default)]
    pub settings: Option<RedirectUriSettings>,
}

/// `PATCH /v3/applications/redirect-uris/{redirect_uri}`: absent fields stay, the settings are replaced whole.
#[derive(Debug, Deserialize, ToSchema)]
pub struct UpdateRedirectUri {
    /// As when it is made.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2048)]
    pub url: Option<String>,
    /// As when it is made.
    #[serde(default)]
    pub platform: Option<String>,
    /// As when it is made.
    #[serde(default)]
    pub settings: Option<RedirectUriSettings>,
}

/// One of the redirect URIs in `PATCH /v3/applications`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct CallbackUri {
    /// Which of them is changed: absent fields stay, the settings are replaced whole. A new one is made if absent.
    #[serde(default)]
    pub id: Option<String>,
    /// As when it is made; needed without an id.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2048)]
    pub url: Option<String>,
    /// As when it is made.
    #[serde(default)]
    pub platform: Option<String>,
    /// As when it is made.
    #[serde(default)]
    pub settings: Option<RedirectUriSettings>,
}

/// A redirect URI.
#[derive(Debug, Serialize, ToSchema)]
pub struct RedirectUri {
    /// Its id.
    pub id: String,
    /// Where sign-in may lead.
    pub url: String,
    /// `web`, `js`, `ios`, `android` or `desktop`.
    pub platform: String,
    /// What identifies the program.
    pub settings: RedirectUriSettings,
}

/// What identifies the program that signs people in. Kept and shown.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct RedirectUriSettings {
    /// For `js`: the origin of the page.
    #[schema(max_length = 1024)]
    pub origin: Option<String>,
    /// For `ios`.
    #[schema(max_length = 1024)]
    pub bundle_id: Option<String>,
    /// For `ios`.
    #[schema(max_length = 1024)]
    pub app_store_id: Option<String>,
    /// For `ios`.
    #[schema(max_length = 1024)]
    pub team_id: Option<String>,
    /// For `android`.
    #[schema(max_length = 1024)]
    pub package_name: Option<String>,
    /// For `android`. Taken as `sha_1_certificate_fingerprint`, too, as the Node client spells it.
    #[serde(alias = "sha_1_certificate_fingerprint")]
    #[schema(max_length = 1024)]
    pub sha1_certificate_fingerprint: Option<String>,
}
