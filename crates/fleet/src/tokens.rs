//! Codes, access tokens and refresh tokens: how they look, what they are exchanged for, and what they open. They are
//! stored as keyed hashes only.

use crate::id_token;
use crate::keys::{self, KeyHasher};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, GrantId};
use postfleet_core::pkce::{Proof, VERIFIER_CHARS_MAX};
use postfleet_core::{Problem, ProblemKind, Secret, UnixMicros};
use postfleet_net::Entropy;
use postfleet_schema::sign_in::{TokenInfo, TokenRequest, Tokens};
use postfleet_store::tokens::{self as store_tokens, Opened, Redeem, Redeemed, Revoke, TokenKind};
use postfleet_store::{Store, grants};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How a code begins.
pub const CODE_PREFIX: &str = "pf_ac_";
/// How an access token begins.
pub const ACCESS_PREFIX: &str = "pf_at_";
/// How a refresh token begins.
pub const REFRESH_PREFIX: &str = "pf_rt_";

/// What an access token may do with its mailbox. Rules themselves belong to no mailbox: of them it sees only what they
/// said about its messages.
pub const PERMISSIONS: &[&str] =
    &["messages.read", "messages.send", "grants.read", "rules.read", "raises.read", "raises.request"];

/// How long an access token opens its mailbox.
const ACCESS_LIFETIME: Duration = Duration::from_secs(3_600);

/// How long a used code or refresh token is remembered, so that a second use is noticed.
const USED_KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Characters of what is presented that are looked at; ours are shorter.
const CHARS_MAX: usize = 256;

/// Makes a token of 256 random bits. It is shown once and never stored.
pub(crate) fn generate(prefix: &str, entropy: &dyn Entropy) -> Secret<String> {
    Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(entropy.thirty_two())))
}

/// Why there is no token (RFC 6749 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    /// The request is wrong; says how.
    InvalidRequest(String),
    /// The application is unknown, or did not show a key of its own where it must.
    InvalidClient,
    /// The code or token is unknown, over, used, somebody else's, or not proven.
    InvalidGrant,
    /// There is no such way to a token.
    UnsupportedGrantType,
    /// Something does not work.
    Failed(Problem),
}

impl From<Problem> for TokenRefusal {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem)
    }
}

/// Exchanges a code or a refresh token. `issuer` stands in the id token.
pub async fn exchange(
    store: &Store,
    hasher: &KeyHasher,
    entropy: &dyn Entropy,
    now: UnixMicros,
    issuer: &str,
    request: &TokenRequest,
) -> Result<Tokens, TokenRefusal> {
    let (kind, presented) = presented(request)?;
    let client_id = wanted("client_id", request.client_id.as_deref())?;
    let application_id = client_id.parse::<ApplicationId>().map_err(|_| TokenRefusal::InvalidClient)?;
    let has_secret = authenticate_client(store, hasher, now, application_id, request.client_secret.as_deref()).await?;
    let (access, refresh) = (generate(ACCESS_PREFIX, entropy), generate(REFRESH_PREFIX, entropy));
    let command = Redeem {
        hash: hasher.hash(presented),
        kind,
        application_id,
        has_secret,
        redirect_uri: request.redirect_uri.clone(),
        proof: if kind == TokenKind::Code { proof(request)? } else { None },
        access_hash: hasher.hash(access.expose()),
        access_expires_at: now.plus(ACCESS_LIFETIME),
        refresh_hash: hasher.hash(refresh.expose()),
        used_kept_until: now.plus(USED_KEPT),
        at: now,
    };
    let (grant_id, email, with_refresh) = match store.run(command).await.map_err(Problem::from)? {
        Redeemed::Given { grant_id, email, with_refresh } => (grant_id, email.to_string(), with_refresh),
        Redeemed::SecretNeeded => return Err(TokenRefusal::InvalidClient),
        Redeemed::Refused | Redeemed::Replayed => return Err(TokenRefusal::InvalidGrant),
    };
    let claims = claims(issuer, application_id, grant_id, &email, now, now.plus(ACCESS_LIFETIME));
    Ok(Tokens {
        access_token: access.expose().clone(),
        refresh_token: with_refresh.then(|| refresh.expose().clone()),
        grant_id: grant_id.to_string(),
        email,
        expires_in: ACCESS_LIFETIME.as_secs(),
        id_token: id_token::sign(hasher, &claims)?,
        token_type: "Bearer",
        scope: String::new(),
        provider: "nylas",
    })
}

/// What is to be exchanged.
fn presented(request: &TokenRequest) -> Result<(TokenKind, &str), TokenRefusal> {
    let (kind, name, text) = match wanted("grant_type", request.grant_type.as_deref())? {
        "authorization_code" => (TokenKind::Code, "code", &request.code),
        "refresh_token" => (TokenKind::Refresh, "refresh_token", &request.refresh_token),
        _ => return Err(TokenRefusal::UnsupportedGrantType),
    };
    let text = wanted(name, text.as_deref())?;
    if text.len() > CHARS_MAX { Err(TokenRefusal::InvalidGrant) } else { Ok((kind, text)) }
}

fn wanted<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, TokenRefusal> {
    let missing = || TokenRefusal::InvalidRequest(format!("{name} is missing"));
    value.filter(|value| !value.is_empty()).ok_or_else(missing)
}

/// Whether the application has shown a key of its own. One that shows another's, or none that is valid, is refused.
async fn authenticate_client(
    store: &Store,
    hasher: &KeyHasher,
    now: UnixMicros,
    application: ApplicationId,
    secret: Option<&str>,
) -> Result<bool, TokenRefusal> {
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else { return Ok(false) };
    if secret.len() > CHARS_MAX {
        return Err(TokenRefusal::InvalidClient);
    }
    match keys::authenticate(store, hasher, now, secret).await {
        Ok(credential) if credential.application_id == Some(application) => Ok(true),
        Ok(_) => Err(TokenRefusal::InvalidClient),
        Err(problem) if problem.kind == ProblemKind::Unauthenticated => Err(TokenRefusal::InvalidClient),
        Err(problem) => Err(TokenRefusal::Failed(problem)),
    }
}

/// The verifier, with its digest in both encodings that are in use.
fn proof(request: &TokenRequest) -> Result<Option<Proof>, TokenRefusal> {
    let Some(verifier) = request.code_verifier.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    if verifier.len() > VERIFIER_CHARS_MAX {
        let text = format!("code_verifier must be at most {VERIFIER_CHARS_MAX} characters");
        return Err(TokenRefusal::InvalidRequest(text));
    }
    let digest = Sha256::digest(verifier.as_bytes());
    let digests = [URL_SAFE_NO_PAD.encode(digest), URL_SAFE_NO_PAD.encode(hex::encode(digest))];
    Ok(Some(Proof { verifier: verifier.to_owned(), digests }))
}

fn claims(
    issuer: &str,
    application: ApplicationId,
    grant: GrantId,
    email: &str,
    from: UnixMicros,
    until: UnixMicros,
) -> TokenInfo {
    TokenInfo {
        iss: issuer.to_owned(),
        aud: application.to_string(),
        sub: grant.to_string(),
        email: email.to_owned(),
        iat: from.as_seconds(),
        exp: until.as_seconds(),
    }
}

/// Finds out what an access token opens.
pub async fn authenticate(store: &Store, hasher: &KeyHasher, now: UnixMicros, token: &str) -> Result<Opened, Problem> {
    let found = store_tokens::find(&mut store.reader().await?, &hasher.hash(token)).await?;
    found.filter(|opened| opened.expires_at > now).ok_or_else(invalid_token)
}

/// What an access token says, to whoever has it; to an application with its key only about its own.
pub async fn access_token_info(
    store: &Store,
    hasher: &KeyHasher,
    now: UnixMicros,
    issuer: &str,
    asking: Option<ApplicationId>,
    token: &str,
) -> Result<TokenInfo, Problem> {
    if token.len() > CHARS_MAX {
        return Err(invalid_token());
    }
    let opened = authenticate(store, hasher, now, token).await?;
    if asking.is_some_and(|asking| asking != opened.application_id) {
        return Err(invalid_token());
    }
    let (email, from, until) = (opened.email.to_string(), opened.created_at, opened.expires_at);
    Ok(claims(issuer, opened.application_id, opened.grant_id, &email, from, until))
}

/// As [`access_token_info`], of an id token whose mailbox is still there.
pub async fn id_token_info(
    store: &Store,
    hasher: &KeyHasher,
    now: UnixMicros,
    asking: Option<ApplicationId>,
    token: &str,
) -> Result<TokenInfo, Problem> {
    let claims = id_token::read(hasher, now, token).ok_or_else(invalid_token)?;
    let application: ApplicationId = claims.aud.parse().map_err(|_| invalid_token())?;
    let grant: GrantId = claims.sub.parse().map_err(|_| invalid_token())?;
    let is_theirs = asking.is_none_or(|asking| asking == application);
    let found = grants::find(&mut store.reader().await?, application, grant).await?;
    found.filter(|_| is_theirs).map(|_| claims).ok_or_else(invalid_token)
}

/// Makes an access token worthless, or a refresh token with all that its sign-in gave. A token that is not there is no
/// failure (RFC 7009 §2.2). With an act, it is an application's own tokens alone.
pub async fn revoke(store: &Store, hasher: &KeyHasher, act: Option<Act>, token: &str) -> Result<(), Problem> {
    if token.len() <= CHARS_MAX {
        store.run(Revoke { hash: hasher.hash(token), act }).await?;
    }
    Ok(())
}

fn invalid_token() -> Problem {
    let text = "Unauthorized: the token is unknown, revoked or over.";
    Problem::new(ProblemKind::Unauthenticated, "invalid_token", text)
}
