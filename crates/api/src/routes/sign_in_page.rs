//! `/v3/connect/auth`: the page on which people sign in.

use super::sign_in::attempt;
use crate::call::OpenCall;
use crate::error;
use crate::extract::{FORM_OCTETS_MAX, Query, form};
use crate::pages::{self, SignInForm};
use crate::respond::Answer;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::{Problem, Secret};
use postfleet_fleet::sign_in::{self, Client, Outcome, Terms, Wish};
use postfleet_mailflow::Platform;

/// What the sign-in page carries along from the request that asked for it.
const CARRIED: &[&str] = &[
    "client_id",
    "redirect_uri",
    "response_type",
    "provider",
    "access_type",
    "state",
    "code_challenge",
    "code_challenge_method",
];

/// `GET /v3/connect/auth`
pub(crate) async fn show_page(call: OpenCall) -> Answer {
    let query = Query::of(&call.parts)?;
    match entry(&call.platform, &query).await? {
        Ok((client, _)) => {
            let email = query.get("login_hint").unwrap_or_default();
            Ok(show_form(&call.platform, &client, &query, email, None))
        }
        Err(response) => Ok(response),
    }
}

/// `POST /v3/connect/auth`
pub(crate) async fn sign_in_on_page(call: OpenCall) -> Answer {
    let OpenCall { platform, id, parts, body, .. } = call;
    if !is_from_here(&parts) {
        let text = "The form was sent from another site.";
        return Ok(pages::dead_end(StatusCode::FORBIDDEN, &nonce(&platform), text));
    }
    let query = Query::of(&parts)?.then(form(&parts, body, FORM_OCTETS_MAX).await?);
    let (client, terms) = match entry(&platform, &query).await? {
        Ok(found) => found,
        Err(response) => return Ok(response),
    };
    let email = query.get("email").unwrap_or_default();
    let password = Secret::new(query.get("app_password").unwrap_or_default().to_owned());
    match attempt(&platform, &parts, Some(&client), &terms, email, password).await? {
        Outcome::Accepted(signed_in) => {
            let code = ("code", signed_in.code.expose().as_str());
            let state = terms.state.as_deref().map(|state| ("state", state));
            lead_back(&client.redirect_uri, [code].into_iter().chain(state))
        }
        Outcome::Refused => Ok(show_form(&platform, &client, &query, email, Some(sign_in::refused()))),
        Outcome::Throttled(exhausted) => {
            tracing::debug!(request.id = id.0, limit = exhausted.limit, "sign-in throttled");
            Ok(show_form(&platform, &client, &query, email, Some(sign_in::throttled(exhausted))))
        }
    }
}

/// Who wants somebody to sign in, and on which terms. Without a place that is known to be the application's the answer
/// is a page; other faults are told to the application at its place (RFC 6749 §4.1.2.1).
async fn entry(platform: &Platform, query: &Query) -> Result<Result<(Client, Terms), Response>, Problem> {
    let (client_id, redirect_uri) = (query.get("client_id"), query.get("redirect_uri"));
    let found = sign_in::client(&platform.store, client_id.unwrap_or_default(), redirect_uri.unwrap_or_default());
    let Some(client) = found.await? else {
        let text = "The application is unknown, or redirect_uri is none of its redirect URIs.";
        return Ok(Err(pages::dead_end(StatusCode::BAD_REQUEST, &nonce(platform), text)));
    };
    let wish = Wish {
        response_type: Some(query.get("response_type").unwrap_or_default()),
        provider: query.get("provider"),
        access_type: query.get("access_type"),
        state: query.get("state"),
        code_challenge: query.get("code_challenge"),
        code_challenge_method: query.get("code_challenge_method"),
    };
    match sign_in::terms(&wish) {
        Ok(terms) => Ok(Ok((client, terms))),
        Err(problem) => {
            let is_type = problem.field.as_deref() == Some("response_type") && wish.response_type != Some("");
            let error = if is_type { "unsupported_response_type" } else { "invalid_request" };
            let is_state = problem.field.as_deref() == Some("state");
            let state = wish.state.filter(|_| !is_state).map(|state| ("state", state));
            let fault = [("error", error), ("error_description", problem.public.as_str())];
            Ok(Err(lead_back(&client.redirect_uri, fault.into_iter().chain(state))?))
        }
    }
}

fn show_form(platform: &Platform, client: &Client, query: &Query, email: &str, failure: Option<Problem>) -> Response {
    let value = |name: &&'static str| query.get(name).map(|value| (*name, value.to_owned()));
    let form = SignInForm {
        client: &client.name,
        redirect_uri: &client.redirect_uri,
        carried: &CARRIED.iter().filter_map(value).collect::<Vec<_>>(),
        email,
        failure: failure.as_ref().map(|problem| problem.public.as_str()),
    };
    let Some(problem) = &failure else { return form.show(StatusCode::OK, &nonce(platform)) };
    let mut response = form.show(error::status_and_type(problem.kind).0, &nonce(platform));
    response.headers_mut().extend(error::headers(problem, platform.clock.now()));
    response
}

/// A redirect to an application, with something added to the query of its place.
fn lead_back<'a>(redirect_uri: &str, added: impl Iterator<Item = (&'a str, &'a str)>) -> Answer {
    let (place, fragment) = redirect_uri.split_once('#').map_or((redirect_uri, None), |(p, f)| (p, Some(f)));
    let added = form_urlencoded::Serializer::new(String::new()).extend_pairs(added).finish();
    let separator = match place.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    let location = format!("{place}{separator}{added}{fragment}");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::try_from(location).map_err(Problem::internal)?);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    pages::never_kept(headers);
    Ok(response)
}

/// Whether a form was sent from a page of ours, as far as the browser says. Proxies may change what `Host` is.
fn is_from_here(parts: &Parts) -> bool {
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return true };
    let Some((_, origin)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
    let hosts = [text("host"), text("x-forwarded-host"), parts.uri.authority().map(|authority| authority.as_str())];
    hosts.into_iter().flatten().any(|host| host.eq_ignore_ascii_case(origin))
}

fn nonce(platform: &Platform) -> String {
    URL_SAFE_NO_PAD.encode(platform.entropy.sixteen())
}
