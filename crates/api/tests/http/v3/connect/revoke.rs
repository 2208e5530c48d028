//! `/v3/connect/revoke`, and that no token in a URL gets into the log.

use super::SignIn;
use crate::support::{Answer, assert_shape};
use axum::body::Body;
use axum::http::Request;
use postfleet_store::params;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Metadata, Subscriber};

pub(crate) const ROUTES: &[&str] = &["POST /v3/connect/revoke"];

async fn revoke(sign_in: &SignIn, key: Option<&str>, token: &Value) -> Answer {
    let uri = format!("/v3/connect/revoke?token={}", token.as_str().expect("token"));
    let mut request = Request::post(uri);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    sign_in.harness.request(request.body(Body::empty()).expect("request")).await
}

async fn records(sign_in: &SignIn) -> i64 {
    const COUNT: &str = "SELECT count(*) FROM audit WHERE action = 'token.revoked' AND actor_name = 'first key'";
    let mut reader = sign_in.harness.world.platform.store.reader().await.expect("reader");
    let row = reader.query_one(COUNT, params![]).await.expect("query").expect("row");
    row.int(0).expect("number")
}

#[tokio::test]
async fn whoever_has_a_token_may_end_it() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    let answer = revoke(&sign_in, None, &tokens["access_token"]).await;
    assert_shape(&answer.is_ok().json, "request_id:string");
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    // The refresh token goes on, until it is ended with all that it gave.
    let next = sign_in.post("/v3/connect/token", &sign_in.refresh(&tokens["refresh_token"])).await.is_ok().json.clone();
    let own = next["access_token"].as_str().expect("token");
    revoke(&sign_in, Some(own), &tokens["refresh_token"]).await.is_ok();
    sign_in.ask(&next, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    let refused = sign_in.post("/v3/connect/token", &sign_in.refresh(&tokens["refresh_token"])).await;
    assert_eq!(refused.json["error"], "invalid_grant");
    // What is not there is no failure (RFC 7009), and a change by its holder is on no record.
    revoke(&sign_in, None, &tokens["access_token"]).await.is_ok();
    revoke(&sign_in, None, &"x".repeat(5_000).into()).await.is_ok();
    assert_eq!(records(&sign_in).await, 0);
}

#[tokio::test]
async fn an_application_ends_its_own_tokens_on_record() {
    let sign_in = SignIn::new().await;
    let tokens = sign_in.tokens().await;
    revoke(&sign_in, Some(&sign_in.harness.other.api_key), &tokens["access_token"]).await.is_ok();
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.is_ok();
    revoke(&sign_in, Some(&sign_in.harness.acme.api_key), &tokens["access_token"]).await.is_ok();
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
    assert_eq!(records(&sign_in).await, 1);
}

#[tokio::test]
async fn a_refusal_has_the_shape_that_clients_expect() {
    let sign_in = SignIn::new().await;
    let missing = revoke(&sign_in, None, &"".into()).await;
    assert_eq!((missing.status, &missing.json["error"]), (400, &"invalid_request".into()));
    let wrong = revoke(&sign_in, Some("pf_test_wrong"), &"x".into()).await;
    assert_eq!((wrong.status, &wrong.json["error"]), (401, &"invalid_client".into()));
    // As a form, as RFC 7009 has it.
    let tokens = sign_in.tokens().await;
    let request = Request::post("/v3/connect/revoke").header("content-type", "application/x-www-form-urlencoded");
    let body = format!("token={}&token_type_hint=access_token", tokens["access_token"].as_str().expect("token"));
    sign_in.harness.request(request.body(Body::from(body)).expect("request")).await.is_ok();
    sign_in.ask(&tokens, "GET", "/v3/grants/me").await.refuses(401, "invalid_token", None);
}

/// Everything that is logged, as one text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.lock().expect("log").push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        attributes.record(&mut self.clone());
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn no_token_or_password_gets_into_the_log() {
    let sign_in = SignIn::new().await;
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    // A place that logs and is first passed by a thread of another test takes nobody to be interested, until it is asked
    // again after that.
    sign_in.tokens().await;
    tracing::callsite::rebuild_interest_cache();
    let tokens = sign_in.tokens().await;
    for name in ["access_token", "id_token"] {
        sign_in.get(&format!("/v3/connect/tokeninfo?{name}={}", tokens[name].as_str().expect("token"))).await.is_ok();
    }
    for name in ["access_token", "refresh_token"] {
        revoke(&sign_in, None, &tokens[name]).await.is_ok();
    }
    revoke(&sign_in, Some("pf_test_wrong"), &tokens["access_token"]).await;
    sign_in.get(&format!("/v3/connect/unknown?token={}", tokens["access_token"].as_str().expect("token"))).await;
    drop(guard);
    let text = log.0.lock().expect("log").clone();
    assert!(text.contains("/v3/connect/revoke") && text.contains("/v3/connect/tokeninfo"), "{text}");
    for name in ["access_token", "refresh_token", "id_token"] {
        assert!(!text.contains(tokens[name].as_str().expect("token")), "{name}");
    }
    assert!(!text.contains(super::PASSWORD) && !text.contains("pf_ac_"));
}
