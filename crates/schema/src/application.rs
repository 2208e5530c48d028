//! Applications: the sub-accounts of an organization.

use crate::redirect_uri::{CallbackUri, RedirectUri};
use postfleet_core::Patch;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/admin/applications`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct CreateApplication {
    /// What people call it.
    #[schema(min_length = 1, max_length = 256)]
    pub name: String,
    /// `sandbox`, `production` or `staging`; `sandbox` if absent. Keys of a sandbox begin with `pf_test_`, all others
    /// with `pf_live_`.
    #[serde(default)]
    pub environment: Option<String>,
    /// The organization, which only a key of the installation's operator may name; the caller's own if absent.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// How it presents itself.
    #[serde(default)]
    pub branding: Option<Branding>,
}

/// `PATCH /v3/admin/applications/{application}`: absent fields stay, objects are replaced whole.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AdminUpdateApplication {
    /// What people call it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub name: Option<String>,
    /// `sandbox`, `production` or `staging`. Keys that were made before keep how they begin.
    #[serde(default)]
    pub environment: Option<String>,
    /// How it presents itself.
    #[serde(default)]
    #[schema(value_type = Option<Branding>)]
    pub branding: Patch<Branding>,
    /// How the page for signing in looks.
    #[serde(default)]
    #[schema(value_type = Option<HostedAuthentication>)]
    pub hosted_authentication: Patch<HostedAuthentication>,
    /// Whose identities are taken.
    #[serde(default)]
    #[schema(value_type = Option<IdpSettings>)]
    pub idp_settings: Patch<IdpSettings>,
    /// A domain of its own, kept and shown.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 253)]
    pub domain: Patch<String>,
}

/// `PATCH /v3/applications`: absent fields stay, null takes away, objects are replaced whole.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct UpdateApplication {
    /// How it presents itself.
    #[serde(default)]
    #[schema(value_type = Option<Branding>)]
    pub branding: Patch<Branding>,
    /// How the page for signing in looks.
    #[serde(default)]
    #[schema(value_type = Option<HostedAuthentication>)]
    pub hosted_authentication: Patch<HostedAuthentication>,
    /// Whose identities are taken.
    #[serde(default)]
    #[schema(value_type = Option<IdpSettings>)]
    pub idp_settings: Patch<IdpSettings>,
    /// A domain of its own, kept and shown.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 253)]
    pub domain: Patch<String>,
    /// Redirect URIs to make or change. Those that are not named stay, and so do all if this is null; one is removed
    /// under its own path.
    #[serde(default)]
    #[schema(max_items = 100)]
    pub callback_uris: Option<Vec<CallbackUri>>,
}

impl From<AdminUpdateApplication> for UpdateApplication {
    fn from(update: AdminUpdateApplication) -> Self {
        let AdminUpdateApplication { branding, hosted_authentication, idp_settings, domain, .. } = update;
        Self { branding, hosted_authentication, idp_settings, domain, callback_uris: None }
    }
}

/// An application.
#[derive(Debug, Serialize, ToSchema)]
pub struct Application {
    /// Its id, which is also the `client_id` of signing in.
    pub application_id: String,
    /// The same.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The organization that it belongs to.
    pub organization_id: String,
    /// Where it is.
    pub region: String,
    /// `sandbox`, `production` or `staging`.
    pub environment: String,
    /// The workspace of mailboxes that name none.
    pub default_workspace_id: String,
    /// Always null: there was no earlier version.
    pub v2_application_id: Option<String>,
    /// How it presents itself.
    pub branding: Branding,
    /// How the page for signing in looks; null if nobody said so.
    pub hosted_authentication: Option<HostedAuthentication>,
    /// Where sign-in may lead back to.
    pub callback_uris: Vec<RedirectUri>,
    /// Whose identities are taken; null if nobody said so.
    pub idp_settings: Option<IdpSettings>,
    /// A domain of its own; null if it has none.
    pub domain: Option<String>,
    /// Always false.
    pub blocked: bool,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds.
    pub updated_at: i64,
}

/// How an application presents itself.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct Branding {
    /// Its name for people; that of the application if null.
    #[schema(max_length = 256)]
    pub name: Option<String>,
    /// Where its icon is.
    #[schema(max_length = 2048)]
    pub icon_url: Option<String>,
    /// Where it is described.
    #[schema(max_length = 2048)]
    pub website_url: Option<String>,
    /// What it does.
    #[schema(max_length = 1024)]
    pub description: Option<String>,
}

/// How the page for signing in looks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct HostedAuthentication {
    /// A picture behind it.
    #[schema(max_length = 2048)]
    pub background_image_url: Option<String>,
    /// Where the form stands.
    #[schema(max_length = 2048)]
    pub alignment: Option<String>,
    /// The first colour.
    #[schema(max_length = 2048)]
    pub color_primary: Option<String>,
    /// The second colour.
    #[schema(max_length = 2048)]
    pub color_secondary: Option<String>,
    /// The title.
    #[schema(max_length = 2048)]
    pub title: Option<String>,
    /// The line below.
    #[schema(max_length = 2048)]
    pub subtitle: Option<String>,
    /// The colour behind it.
    #[schema(max_length = 2048)]
    pub background_color: Option<String>,
    /// Pixels between its parts.
    pub spacing: Option<i64>,
    /// Where the terms are.
    #[schema(max_length = 2048)]
    pub terms_of_service_url: Option<String>,
    /// Where the privacy policy is.
    #[schema(max_length = 2048)]
    pub privacy_policy_url: Option<String>,
}

/// Whose identities are taken.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub struct IdpSettings {
    /// Origins, separated by commas.
    #[schema(max_length = 2048)]
    pub origins: Option<String>,
    /// Issuers, separated by commas.
    #[schema(max_length = 2048)]
    pub issuers: Option<String>,
}
