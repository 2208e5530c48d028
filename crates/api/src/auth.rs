//! Who is asking: the key in the `Authorization` header.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use postfleet_core::id::ApplicationId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_fleet::keys;
use postfleet_mailflow::Platform;
use postfleet_store::tenancy::Credential;

/// Characters of a key that are looked at; ours are shorter.
const KEY_CHARS_MAX: usize = 256;

/// The application that the request's key acts for.
pub(crate) async fn application(platform: &Platform, headers: &HeaderMap) -> Result<ApplicationId, Problem> {
    let credential = credential(platform, headers).await?;
    credential.application_id.ok_or_else(|| {
        let text = "an operator key acts for no application; use an application's key";
        Problem::new(ProblemKind::Forbidden, "operator_key", text)
    })
}

async fn credential(platform: &Platform, headers: &HeaderMap) -> Result<Credential, Problem> {
    let key = bearer(headers).ok_or_else(keys::unauthenticated)?;
    keys::authenticate(&platform.store, &platform.keys, key).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty() && key.len() <= KEY_CHARS_MAX).then_some(key)
}
