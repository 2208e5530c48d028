//! Which path leads where, and what happens around every request: its id, its key, its log line, its count.

use crate::call::request_id;
use crate::error;
use crate::respond::{self, RequestId};
use crate::routes;
use crate::routes::openapi::Documents;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};
use futures::future::BoxFuture;
use postfleet_core::id::EventId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mailflow::Platform;
use std::sync::Arc;

/// What the interface is given.
#[derive(Clone)]
pub struct Interface {
    /// The flows.
    pub platform: Platform,
    /// Whether the node is fit to be sent requests.
    pub health: Arc<dyn Health>,
}

/// Answers for the node.
pub trait Health: Send + Sync {
    /// Why the node should get no requests just now, if so.
    fn not_ready(&self) -> BoxFuture<'_, Option<String>>;
    /// The metrics in Prometheus text format.
    fn metrics(&self) -> BoxFuture<'_, String>;
}

/// All routes.
pub fn router(interface: Interface) -> Router {
    let mut router = Router::new();
    for route in routes::all() {
        router = router.route(route.path, route.run);
    }
    let router = router.fallback(unknown_route).method_not_allowed_fallback(unknown_route);
    router
        .layer(Extension(Arc::new(Documents::default())))
        .layer(middleware::from_fn_with_state(interface.clone(), around))
        .with_state(interface)
}

/// Around every request: gives it an id, counts it, logs it.
async fn around(State(interface): State<Interface>, mut request: Request, next: Next) -> Response {
    let platform = &interface.platform;
    let start = platform.clock.now();
    let id = RequestId(EventId::new(start, platform.entropy.ten()).to_string());
    request.extensions_mut().insert(id.clone());
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let mut response = next.run(request).await;
    respond::name(&mut response, &id);
    error::ensure_retry_after(response.status(), response.headers_mut());
    let seconds = platform.clock.now().since(start).as_secs_f64();
    let status = response.status().as_u16();
    tracing::debug!(request.id = id.0, %method, route, status, duration_ms = seconds * 1_000.0, "answered");
    platform.metrics.request(route, status, seconds);
    response
}

async fn unknown_route(State(interface): State<Interface>, request: Request) -> Response {
    let text = format!("Unrecognized request URL ({}: {})", request.method(), request.uri().path());
    let problem = Problem::new(ProblemKind::Invalid, "unknown_route", text);
    respond::problem(&request_id(&request), &problem, interface.platform.clock.now())
}
