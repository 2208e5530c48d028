//! `/v3/unsubscribe/{token}`: the link in a message by which its reader wants no more (RFC 8058).
//!
//! Only a POST that says so unsubscribes: programs that look at links before people do ask with GET, and get a page with a
//! button. There are no cookies, no redirects and no questions.

use crate::call::OpenCall;
use crate::extract::{FORM_OCTETS_MAX, is_form, octets};
use crate::pages;
use crate::respond::Answer;
use crate::route::{Answers, Route};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postfleet_core::Problem;
use postfleet_core::id::{AuditId, EventId};
use postfleet_fleet::unsubscribe::{self, Link};
use postfleet_mailflow::Platform;
use postfleet_schema::suppression::UnsubscribeForm;
use postfleet_store::suppressions::{Unsubscribe, UnsubscribeOutcome, Way};

/// What the POST must say (RFC 8058 §3.1).
const NAME: &str = "List-Unsubscribe";
const VALUE: &str = "One-Click";

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/unsubscribe/{token}", "", show)
            .about("Show the page to unsubscribe on", "A page for people with a button. It changes nothing.")
            .answers_file("text/html")
            .answers_also(Answers::File(404, "text/html")),
        Route::post("/v3/unsubscribe/{token}", "", unsubscribe_now)
            .about(
                "Unsubscribe",
                "What mail programs send when somebody presses their button: `List-Unsubscribe=One-Click`, as a form of \
                 either kind. The reader's address is suppressed before the answer is given.",
            )
            .takes_form::<UnsubscribeForm>()
            .answers_file("text/html")
            .answers_also(Answers::File(404, "text/html")),
    ]
}

/// `GET /v3/unsubscribe/{token}`
pub(crate) async fn show(call: OpenCall) -> Answer {
    let nonce = nonce(&call.platform);
    Ok(match unsubscribe::read(&call.platform.keys, &call.path[0]) {
        Some(link) => pages::unsubscribe(&nonce, &link.recipient.to_string()),
        None => unknown(&nonce),
    })
}

/// `POST /v3/unsubscribe/{token}`
pub(crate) async fn unsubscribe_now(call: OpenCall) -> Answer {
    let OpenCall { platform, id, parts, body, path } = call;
    let nonce = nonce(&platform);
    let Some(link) = unsubscribe::read(&platform.keys, &path[0]) else { return Ok(unknown(&nonce)) };
    let body = octets(body.into_inner(), FORM_OCTETS_MAX).await?;
    if !asks_for_it(&parts, &body) {
        return Err(Problem::invalid(NAME, "the form must say List-Unsubscribe=One-Click"));
    }
    let Link { application_id, grant_id, message_id, recipient } = link;
    let at = platform.clock.now();
    let shown = recipient.to_string();
    let command = Unsubscribe {
        application_id,
        grant_id,
        message_id,
        address: recipient,
        way: Way::OneClick,
        event_id: EventId::new(at, platform.entropy.ten()),
        record_id: AuditId::new(at, platform.entropy.ten()),
        request_id: id.0,
        at,
    };
    Ok(match platform.store.run(command).await? {
        UnsubscribeOutcome::Suppressed | UnsubscribeOutcome::AlreadySuppressed => pages::unsubscribed(&nonce, &shown),
        UnsubscribeOutcome::ApplicationGone => unknown(&nonce),
    })
}

fn unknown(nonce: &str) -> axum::response::Response {
    pages::no_subscription(StatusCode::NOT_FOUND, nonce)
}

fn nonce(platform: &Platform) -> String {
    URL_SAFE_NO_PAD.encode(platform.entropy.sixteen())
}

/// Whether the body is the one that asks, in one of the two forms that the standard allows, and says nothing else.
fn asks_for_it(parts: &Parts, body: &[u8]) -> bool {
    if is_form(parts) {
        let mut pairs = form_urlencoded::parse(body);
        return pairs.next().is_some_and(|(name, value)| name == NAME && value == VALUE) && pairs.next().is_none();
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    boundary(kind).is_some_and(|boundary| is_one_part(body, boundary))
}

/// The boundary of a `multipart/form-data`.
fn boundary(kind: &str) -> Option<&str> {
    let (media_type, parameters) = kind.split_once(';')?;
    media_type.trim().eq_ignore_ascii_case("multipart/form-data").then_some(())?;
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim().trim_matches('"'))
    })?;
    (!value.is_empty() && value.len() <= 70).then_some(value)
}

/// Whether a form of parts (RFC 7578) has the one field alone.
fn is_one_part(body: &[u8], boundary: &str) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let delimiter = format!("--{boundary}");
    let Some(part) = text.trim_start().strip_prefix(&delimiter).and_then(|rest| rest.strip_prefix("\r\n")) else {
        return false;
    };
    let Some((part, end)) = part.split_once(&format!("\r\n{delimiter}")) else { return false };
    let Some((fields, value)) = part.split_once("\r\n\r\n") else { return false };
    let is_named = fields.split("\r\n").any(|field| {
        let Some((name, value)) = field.split_once(':') else { return false };
        let mut parameters = value.split(';').map(str::trim);
        name.eq_ignore_ascii_case("content-disposition")
            && parameters.next().is_some_and(|kind| kind.eq_ignore_ascii_case("form-data"))
            && parameters.any(|parameter| parameter == format!("name=\"{NAME}\""))
    });
    is_named && value == VALUE && end.trim_end() == "--"
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn asks(kind: &str, body: &str) -> bool {
        let (parts, ()) = Request::post("/").header("content-type", kind).body(()).expect("request").into_parts();
        asks_for_it(&parts, body.as_bytes())
    }

    fn multipart(name: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n")
    }

    #[test]
    fn only_the_body_of_the_standard_asks() {
        const FORM: &str = "application/x-www-form-urlencoded";
        assert!(asks(FORM, "List-Unsubscribe=One-Click"));
        assert!(asks("application/x-www-form-urlencoded; charset=utf-8", "List%2DUnsubscribe=One-Click"));
        for body in [
            "",
            "List-Unsubscribe",
            "List-Unsubscribe=one-click",
            "list-unsubscribe=One-Click",
            "List-Unsubscribe=One-Click&x=y",
            "x=y&List-Unsubscribe=One-Click",
            "{\"List-Unsubscribe\":\"One-Click\"}",
        ] {
            assert!(!asks(FORM, body), "{body}");
        }
        for kind in ["", "text/plain", "application/json", "multipart/form-data"] {
            assert!(!asks(kind, "List-Unsubscribe=One-Click"), "{kind}");
        }
        for kind in ["multipart/form-data; boundary=b", "Multipart/Form-Data; charset=utf-8; Boundary=\"b\""] {
            assert!(asks(kind, &multipart("List-Unsubscribe", "One-Click")), "{kind}");
        }
        let kind = "multipart/form-data; boundary=b";
        let good = multipart("List-Unsubscribe", "One-Click");
        for body in [
            multipart("x", "One-Click"),
            multipart("List-Unsubscribe", "No"),
            good.replace("--b--", "--b"),
            good.replace("--b--", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n--b--"),
            good.replace("--b", "--c"),
            good.replace("form-data", "attachment"),
            "List-Unsubscribe=One-Click".to_owned(),
        ] {
            assert!(!asks(kind, &body), "{body}");
        }
    }
}
