//! `/health/live`, `/health/ready`, `/metrics`, and paths that lead nowhere.

use crate::support::Harness;
use axum::body::Body;
use axum::http::Request;
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_api::{Health, Interface, Origins, router};
use postfleet_testkit::world::World;
use std::sync::Arc;
use tower::ServiceExt;

pub(crate) const ROUTES: &[&str] = &["GET /health/live", "GET /health/ready", "GET /metrics"];

#[tokio::test]
async fn the_node_answers_without_a_key() {
    let harness = Harness::new().await;
    for (path, body) in [("/health/live", "ok\n"), ("/health/ready", "ok\n"), ("/metrics", "# nothing\n")] {
        let answer = harness.request(Request::get(path).body(Body::empty()).expect("request")).await;
        assert_eq!((answer.status, answer.octets.as_slice()), (200, body.as_bytes()), "{path}");
    }
}

struct Ill;

impl Health for Ill {
    fn not_ready(&self) -> BoxFuture<'_, Option<String>> {
        async { Some("no disk".to_owned()) }.boxed()
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        async { String::new() }.boxed()
    }
}

/// Also an answer that no table of problems made says when to come back.
#[tokio::test]
async fn a_node_that_is_not_ready_says_when_to_come_back() {
    let world = World::new().await;
    let router = router(Interface {
        platform: world.platform.clone().into(),
        health: Arc::new(Ill),
        origins: Origins::default(),
    });
    let request = Request::get("/health/ready").body(Body::empty()).expect("request");
    let response = router.oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "5");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_named() {
    let harness = Harness::new().await;
    for (method, path) in [("GET", "/v3/nothing"), ("PATCH", "/v3/webhooks"), ("DELETE", "/v3/grants"), ("GET", "/")] {
        let answer = harness.ask(&harness.acme.api_key, method, path, None).await;
        answer.refuses(400, "unknown_route", None).says(&format!("Unrecognized request URL ({method}: {path})"));
    }
}
