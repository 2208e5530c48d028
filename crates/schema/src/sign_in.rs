//! Signing in to a mailbox: what mail applications send and get. Shapes that hold a password, a key or a token have no
//! `Debug`, so that none gets into a log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v3/connect/login/nylas`.
#[derive(Deserialize, ToSchema)]
pub struct Login {
    /// The application's id.
    pub public_application_id: String,
    /// The mailbox's address.
    pub email: String,
    /// The mailbox's password.
    pub app_password: String,
    /// One of the application's redirect URIs; whoever exchanges the code must name the same.
    pub redirect_uri: String,
    /// Comes back as it is; at most 1,024 characters.
    #[serde(default)]
    #[schema(max_length = 1024)]
    pub state: Option<String>,
    /// `offline` for a refresh token, too; `online` if absent.
    #[serde(default)]
    pub access_type: Option<String>,
    /// A challenge (RFC 7636): 43 to 128 characters. The code is then worth nothing without its verifier.
    #[serde(default)]
    #[schema(min_length = 43, max_length = 128)]
    pub code_challenge: Option<String>,
    /// `S256` or `plain`; `plain` if absent.
    #[serde(default)]
    pub code_challenge_method: Option<String>,
}

/// The form of the sign-in page. The parameters of the page stand in it, too.
#[derive(Deserialize, ToSchema)]
pub struct SignInForm {
    /// The mailbox's address.
    pub email: String,
    /// The mailbox's password.
    pub app_password: String,
}

/// The answer to [`Login`].
#[derive(Serialize, ToSchema)]
pub struct LoggedIn {
    /// Where this interface is, as the request named it.
    #[serde(rename = "BaseURL")]
    pub base_url: String,
    /// Always true.
    #[serde(rename = "Success")]
    pub success: bool,
    /// The mailbox's id.
    #[serde(rename = "GrantID")]
    pub grant_id: String,
    /// The state of the request; empty if it had none.
    #[serde(rename = "State")]
    pub state: String,
    /// Always `nylas`.
    #[serde(rename = "Provider")]
    pub provider: &'static str,
    /// The mailbox's address.
    #[serde(rename = "Email")]
    pub email: String,
    /// The code to exchange at `/v3/connect/token`, within 10 minutes and once.
    #[serde(rename = "UASCode")]
    pub code: String,
    /// Always true.
    #[serde(rename = "IsOauthV2")]
    pub is_oauth_v2: bool,
}

/// `POST /v3/connect/token`, as JSON or as a form.
#[derive(Default, Deserialize, ToSchema)]
pub struct TokenRequest {
    /// `authorization_code` or `refresh_token`.
    #[serde(default)]
    pub grant_type: Option<String>,
    /// The application's id.
    #[serde(default)]
    pub client_id: Option<String>,
    /// A key of the application. It may be absent for a code that was asked for with a challenge, and for the refresh
    /// tokens that follow from it.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The redirect URI to which the code was sent.
    #[serde(default)]
    pub redirect_uri: Option<String>,
    /// The code.
    #[serde(default)]
    pub code: Option<String>,
    /// What the challenge was made from, at most 128 characters.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub code_verifier: Option<String>,
    /// The refresh token.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// What a code or a refresh token is exchanged for.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    /// Opens the mailbox, and nothing else.
    pub access_token: String,
    /// Gives the next access token. Absent unless `access_type` was `offline`; a new one takes the place of the old one
    /// only where the application shows no key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub refresh_token: Option<String>,
    /// The mailbox's id.
    pub grant_id: String,
    /// The mailbox's address.
    pub email: String,
    /// Seconds until the access token ends: 3,600.
    pub expires_in: u64,
    /// Who has signed in, as a JSON Web Token that `/v3/connect/tokeninfo` reads.
    pub id_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Always empty.
    pub scope: String,
    /// Always `nylas`.
    pub provider: &'static str,
}

/// A refusal of `/v3/connect/token` or `/v3/connect/revoke` (RFC 6749 §5.2).
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenError {
    /// The id of the request.
    pub request_id: String,
    /// A word of the standard, such as `invalid_grant`.
    pub error: &'static str,
    /// A stable number for the word.
    pub error_code: u32,
    /// A text for people.
    pub error_description: String,
    /// Always empty.
    pub error_uri: &'static str,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenInfo {
    /// Who has issued it: this installation.
    pub iss: String,
    /// To whom: the application's id.
    pub aud: String,
    /// The mailbox's id.
    pub sub: String,
    /// The mailbox's address.
    pub email: String,
    /// When it was issued, in unix seconds.
    pub iat: i64,
    /// When it ends, in unix seconds.
    pub exp: i64,
}

/// `POST /v3/providers/detect`. The fields may stand in the query instead.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct DetectProvider {
    /// The address.
    #[serde(default)]
    pub email: Option<String>,
    /// Not looked at.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Not looked at: there is one provider.
    #[serde(default)]
    pub all_provider_types: Option<bool>,
}

/// Whether an address is one of ours.
#[derive(Debug, Serialize, ToSchema)]
pub struct DetectedProvider {
    /// The address.
    pub email_address: String,
    /// Whether its domain is registered for the organization.
    pub detected: bool,
    /// Always `nylas`.
    pub provider: &'static str,
    /// Always `nylas`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}
