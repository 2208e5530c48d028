//! `/health/live`, `/health/ready`, `/metrics`, and paths that lead nowhere.

use crate::support::Harness;
use axum::body::Body;
use axum::http::Request;

pub(crate) const ROUTES: &[&str] = &["GET /health/live", "GET /health/ready", "GET /metrics"];

#[tokio::test]
async fn the_node_answers_without_a_key() {
    let harness = Harness::new().await;
    for (path, body) in [("/health/live", "ok\n"), ("/health/ready", "ok\n"), ("/metrics", "# nothing\n")] {
        let answer = harness.request(Request::get(path).body(Body::empty()).expect("request")).await;
        assert_eq!((answer.status, answer.octets.as_slice()), (200, body.as_bytes()), "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_named() {
    let harness = Harness::new().await;
    for (method, path) in [("GET", "/v3/nothing"), ("PATCH", "/v3/webhooks"), ("DELETE", "/v3/grants"), ("GET", "/")] {
        let answer = harness.ask(&harness.acme.api_key, method, path, None).await;
        answer.refuses(400, "unknown_route", None).says(&format!("Unrecognized request URL ({method}: {path})"));
    }
}
