//! Requests that a service account signed: the `X-Nylas-*` header fields, over the request as it was sent.

use crate::extract::{BODY_OCTETS_MAX, octets};
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use postfleet_core::Problem;
use postfleet_fleet::keys;
use postfleet_fleet::service_accounts::{self, Signed};
use postfleet_mailflow::Platform;
use postfleet_store::service_accounts::ServiceAccount;

/// Octets of one of the header fields that are looked at.
const FIELD_OCTETS_MAX: usize = 1_024;

/// Whether a request says who signed it, instead of having a key.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    !headers.contains_key(AUTHORIZATION) && headers.contains_key("x-nylas-kid")
}

/// Finds out which service account signed a request. The body is read for that, and put back as it was.
pub(crate) async fn account(platform: &Platform, request: &mut Request) -> Result<ServiceAccount, Problem> {
    let body = octets(std::mem::replace(request.body_mut(), Body::empty()), BODY_OCTETS_MAX).await?;
    let signed = said(request.headers(), request.method().as_str(), request.uri().path())?;
    let account = service_accounts::authenticate(&platform.store, platform.clock.now(), signed, &body).await;
    *request.body_mut() = Body::from(body);
    account
}

fn said<'a>(headers: &'a HeaderMap, method: &'a str, path: &'a str) -> Result<Signed<'a>, Problem> {
    Ok(Signed {
        key_id: field(headers, "x-nylas-kid")?,
        timestamp: field(headers, "x-nylas-timestamp")?,
        nonce: field(headers, "x-nylas-nonce")?,
        signature: field(headers, "x-nylas-signature")?,
        method,
        path,
    })
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Problem> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    value.filter(|text| !text.is_empty() && text.len() <= FIELD_OCTETS_MAX).ok_or_else(keys::unauthenticated)
}
