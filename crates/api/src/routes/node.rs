//! `/health/live`, `/health/ready` and `/metrics`: the node's own, for load balancers and for what watches it.

use crate::route::{Answers, Route};
use crate::router::Interface;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;

const TEXT: &str = "text/plain";

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::of_the_node("/health/live", get(live))
            .about("Is the process alive", "Answers `ok` as long as the process can answer at all.")
            .answers_file(TEXT),
        Route::of_the_node("/health/ready", get(ready))
            .about("Is the node fit for requests", "503 says why not: send it no requests until it answers 200 again.")
            .answers_file(TEXT)
            .answers_also(Answers::File(503, TEXT)),
        Route::of_the_node("/metrics", get(metrics))
            .about("Metrics", "In the text format of Prometheus. docs/operate.md lists them.")
            .answers_file(TEXT),
    ]
}

async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(interface): State<Arc<Interface>>) -> Response {
    match interface.health.not_ready().await {
        None => "ok\n".into_response(),
        Some(cause) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {cause}\n")).into_response(),
    }
}

async fn metrics(State(interface): State<Arc<Interface>>) -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    (headers, interface.health.metrics().await)
}
