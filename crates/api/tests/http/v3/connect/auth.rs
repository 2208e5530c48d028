//! `/v3/connect/auth`: the page on which people sign in.

use super::{BACK, PASSWORD, SignIn, parameter};
use crate::support::Answer;
use axum::body::Body;
use axum::http::Request;
use axum::http::request::Builder;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/connect/auth", "POST /v3/connect/auth"];

/// Pairs as a query or a form.
fn encoded(pairs: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.bytes().map(|octet| format!("%{octet:02X}")).collect::<String>();
    pairs.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect::<Vec<_>>().join("&")
}

/// What asks for the page, with more or other parameters.
fn wanted<'a>(sign_in: &'a SignIn, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let all = [("client_id", sign_in.client.as_str()), ("redirect_uri", BACK), ("response_type", "code")];
    all.into_iter()
        .filter(|(name, _)| !more.iter().any(|(other, _)| other == name))
        .chain(more.iter().copied())
        .collect()
}

async fn page(sign_in: &SignIn, more: &[(&str, &str)]) -> Answer {
    sign_in.get(&format!("/v3/connect/auth?{}", encoded(&wanted(sign_in, more)))).await
}

fn form() -> Builder {
    Request::post("/v3/connect/auth").header("content-type", "application/x-www-form-urlencoded")
}

async fn send(sign_in: &SignIn, request: Builder, more: &[(&str, &str)]) -> Answer {
    let typed = [("email", "agent@acme.test"), ("app_password", PASSWORD)];
    let typed = typed.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    let all: Vec<_> = wanted(sign_in, more).into_iter().chain(typed).collect();
    sign_in.harness.request(request.body(Body::from(encoded(&all))).expect("request")).await
}

fn html(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{answer:?}");
    String::from_utf8(answer.octets.clone()).expect("text")
}

#[tokio::test]
async fn the_page_is_whole_in_itself_and_carries_the_request_along() {
    let sign_in = SignIn::new().await;
    let more = [("state", "a\"><script>b"), ("login_hint", "agent@acme.test"), ("prompt", "detect"), ("scope", "x y")];
    let answer = page(&sign_in, &more).await;
    assert_eq!(answer.status, 200);
    let html = html(&answer);
    assert!(html.contains("Sign in to acme.test") && html.contains("<form method=\"post\" action=\"auth\">"));
    assert!(html.contains("name=\"state\" value=\"a&quot;&gt;&lt;script&gt;b\"") && !html.contains("<script"));
    assert!(html.contains("type=\"email\" value=\"agent@acme.test\"") && html.contains("type=\"password\""));
    assert!(!html.contains("http://") && !html.contains("src="), "{html}");
    for field in ["email", "app_password"] {
        assert!(html.contains(&format!("<label for=\"{field}\">")) && html.contains(&format!("id=\"{field}\"")));
    }
    let policy = answer.header("content-security-policy").expect("policy");
    let nonce = policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')).expect("nonce").0;
    assert!(html.contains(&format!("<style nonce=\"{nonce}\">")));
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self' https: https:"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!((answer.header("x-frame-options"), answer.header("cache-control")), (Some("DENY"), Some("no-store")));
    // Another page has another nonce.
    assert!(!page(&sign_in, &[]).await.header("content-security-policy").expect("policy").contains(nonce));
}

#[tokio::test]
async fn without_a_known_place_there_is_a_page_and_no_way_on() {
    let sign_in = SignIn::new().await;
    let nobody = crate::support::NOBODY;
    for more in [
        [("client_id", nobody)],
        [("client_id", "x")],
        [("client_id", "")],
        [("redirect_uri", "https://evil.test/")],
        [("redirect_uri", "https://app.test/back?from=postfleet&more")],
        [("redirect_uri", "https://app.test/back")],
        [("redirect_uri", "HTTPS://app.test/back?from=postfleet")],
        [("redirect_uri", "\0")],
        [("redirect_uri", "")],
    ] {
        for answer in [page(&sign_in, &more).await, send(&sign_in, form(), &more).await] {
            assert_eq!((answer.status, answer.header("location")), (400, None), "{more:?}");
            assert!(html(&answer).contains("Sign-in is not possible"));
            assert!(!html(&answer).contains("<form"));
        }
    }
}

#[tokio::test]
async fn other_faults_are_told_to_the_application() {
    let sign_in = SignIn::new().await;
    let long = "s".repeat(1_025);
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("provider", "google", "invalid_request"),
        ("access_type", "always", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "md5", "invalid_request"),
    ] {
        for answer in [
            page(&sign_in, &[(name, value), ("state", "s 1")]).await,
            send(&sign_in, form(), &[(name, value), ("state", "s 1")]).await,
        ] {
            assert_eq!(answer.status, 302, "{name}");
            let location = answer.header("location").expect("location");
            assert!(location.starts_with(&format!("{BACK}&")), "{location}");
            assert_eq!(parameter(location, "error").as_deref(), Some(error), "{name}");
            assert!(parameter(location, "error_description").expect("text").contains(name));
            assert_eq!(parameter(location, "state").as_deref(), Some("s 1"));
            assert_eq!(parameter(location, "code"), None);
        }
    }
    let answer = page(&sign_in, &[("state", &long)]).await;
    let location = answer.header("location").expect("location");
    assert_eq!(
        (parameter(location, "error").as_deref(), parameter(location, "state")),
        (Some("invalid_request"), None)
    );
    assert_eq!(page(&sign_in, &[("state", &long[1..])]).await.status, 200);
}

#[tokio::test]
async fn the_right_password_leads_back_with_a_code() {
    let sign_in = SignIn::new().await;
    let more = [("state", "a b&c=d#ü"), ("access_type", "offline"), ("provider", "nylas")];
    let answer = send(&sign_in, form(), &more).await;
    assert_eq!((answer.status, answer.header("cache-control")), (302, Some("no-store")));
    let location = answer.header("location").expect("location").to_owned();
    assert!(location.starts_with(&format!("{BACK}&code=pf_ac_")), "{location}");
    assert_eq!(parameter(&location, "state").as_deref(), Some("a b&c=d#ü"));
    let code = parameter(&location, "code").expect("code");
    let tokens = sign_in.post("/v3/connect/token", &sign_in.exchange(&code)).await;
    assert_eq!(tokens.is_ok().json["grant_id"], sign_in.harness.agent);
    assert!(tokens.json["refresh_token"].is_string());

    // A place of a program on the device, and one with a fragment.
    for (url, begins) in [
        ("com.example.app:/back", "com.example.app:/back?code="),
        ("http://localhost:9007/cb#x", "http://localhost:9007/cb?code="),
    ] {
        sign_in.lead_back_to(sign_in.harness.acme.application_id, url).await;
        let scheme = url.split_once(':').expect("scheme").0;
        let shown = page(&sign_in, &[("redirect_uri", url)]).await;
        let policy = shown.header("content-security-policy").expect("policy");
        assert!(policy.contains(&format!("form-action 'self' https: {scheme}:;")), "{policy}");
        let answer = send(&sign_in, form(), &[("redirect_uri", url)]).await;
        let location = answer.header("location").expect("location");
        assert!(location.starts_with(begins) && location.ends_with('x') == url.ends_with('x'), "{location}");
        assert_eq!(parameter(location, "state"), None);
    }
}

#[tokio::test]
async fn whatever_is_wrong_the_page_says_the_same() {
    let sign_in = SignIn::new().await;
    let mut shown = Vec::new();
    for more in [
        [("app_password", "Wrong1Horse2Battery")],
        [("app_password", "")],
        [("email", "nobody@acme.test")],
        [("email", "agent@other.test")],
        [("email", "no address")],
    ] {
        let answer = send(&sign_in, form(), &more).await;
        assert_eq!(answer.status, 401, "{more:?}");
        let html = html(&answer);
        assert!(html.contains("role=\"alert\"") && !html.contains("Horse"), "{html}");
        // But for the address, which was typed, and where one is to type next, nothing differs.
        let policy = answer.header("content-security-policy").expect("policy");
        let nonce = policy.split_once("'nonce-").and_then(|(_, rest)| rest.split_once('\'')).expect("nonce").0;
        let email = more.iter().find(|(name, _)| *name == "email").map_or("agent@acme.test", |(_, value)| value);
        shown.push(html.replace(nonce, "").replace(&format!("value=\"{email}\""), ""));
    }
    assert!(shown.iter().all(|page| *page == shown[0]), "{shown:#?}");
}

#[tokio::test]
async fn too_many_wrong_passwords_show_the_page_with_429() {
    let sign_in = SignIn::new().await;
    for _ in 0..5 {
        assert_eq!(send(&sign_in, form(), &[("app_password", "wrong")]).await.status, 401);
    }
    let answer = send(&sign_in, form(), &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("900")));
    assert!(html(&answer).contains("Sign-in failed."));
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let sign_in = SignIn::new().await;
    let from = |origin: &str| form().header("host", "mail.test").header("origin", origin);
    for origin in ["https://evil.test", "https://mail.test.evil.test", "null", "mail.test", "https://mail.test:444"] {
        let answer = send(&sign_in, from(origin), &[]).await;
        assert_eq!((answer.status, answer.header("location")), (403, None), "{origin}");
        assert!(html(&answer).contains("another site"));
    }
    for origin in ["https://mail.test", "http://MAIL.test"] {
        assert_eq!(send(&sign_in, from(origin), &[]).await.status, 302, "{origin}");
    }
    let behind = from("https://public.test").header("x-forwarded-host", "public.test");
    assert_eq!(send(&sign_in, behind, &[]).await.status, 302);
}

#[tokio::test]
async fn a_form_must_be_one() {
    let sign_in = SignIn::new().await;
    let json = sign_in.post("/v3/connect/auth", &json!({"client_id": sign_in.client})).await;
    json.refuses(400, "invalid_request", Some("Content-Type"));
    let large = form().body(Body::from(vec![b'a'; (64 << 10) + 1])).expect("request");
    sign_in.harness.request(large).await.refuses(413, "body_too_large", None);
}
