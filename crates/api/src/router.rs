//! Which path leads where, and what happens around every request: its id, its key, its log line, its count.

use crate::call::request_id;
use crate::cors::{self, Origins};
use crate::error;
use crate::gzip;
use crate::respond::{self, RequestId};
use crate::routes;
use crate::routes::openapi::Documents;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Extension, Router};
use futures::future::BoxFuture;
use postfleet_core::id::EventId;
use postfleet_core::{Problem, ProblemKind};
use postfleet_mailflow::Platform;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the interface is given.
pub struct Interface {
    /// The flows.
    pub platform: Arc<Platform>,
    /// Whether the node is fit to be sent requests.
    pub health: Arc<dyn Health>,
    /// The places whose pages may ask from a browser.
    pub origins: Origins,
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
    let interface = Arc::new(interface);
    let mut router = Router::new();
    let mut methods: BTreeMap<&'static str, String> = BTreeMap::new();
    for route in routes::all() {
        name_method(methods.entry(route.path).or_default(), route.method);
        router = router.route(route.path, route.run);
    }
    let methods: Arc<BTreeMap<_, _>> =
        Arc::new(methods.into_iter().filter_map(|(path, names)| Some((path, allowed(&names)?))).collect());
    let other_method =
        move |interface: State<Arc<Interface>>, request: Request| other_method(methods.clone(), interface, request);
    let router = router.fallback(unknown_route).method_not_allowed_fallback(other_method);
    router
        .layer(Extension(Arc::new(Documents::default())))
        .layer(middleware::from_fn_with_state(interface.clone(), around))
        .with_state(interface)
}

/// Adds a method to those of a path. Whoever may ask for a thing may ask for what is known of it.
fn name_method(names: &mut String, method: &'static str) {
    names.push_str(if method == "GET" { "GET, HEAD" } else { method });
    names.push_str(", ");
}

/// What `Allow` says (RFC 9110 §10.2.1).
fn allowed(names: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{names}OPTIONS")).ok()
}

/// Around every request: gives it an id, counts it, logs it.
async fn around(State(interface): State<Arc<Interface>>, mut request: Request, next: Next) -> Response {
    let platform = &interface.platform;
    let start = platform.clock.now();
    let id = RequestId(EventId::new(start, platform.entropy.ten()).to_string());
    request.extensions_mut().insert(id.clone());
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let origin = interface.origins.allowed(request.headers());
    let is_packed = gzip::is_wanted(request.headers());
    let response = match origin.is_some() && cors::is_preflight(&request) {
        true => cors::preflight(request.headers()),
        false => next.run(request).await,
    };
    let mut response = gzip::pack(response, is_packed).await;
    interface.origins.tell(origin, &mut response);
    respond::name(&mut response, &id);
    error::ensure_retry_after(response.status(), response.headers_mut());
    let seconds = platform.clock.now().since(start).as_secs_f64();
    let status = response.status().as_u16();
    tracing::debug!(request.id = id.0, %method, route, status, duration_ms = seconds * 1_000.0, "answered");
    platform.metrics.request(route, status, seconds);
    response
}

/// A path that is known, with a method that it does not have: `OPTIONS` asks which it has, and needs no key.
async fn other_method(
    methods: Arc<BTreeMap<&'static str, HeaderValue>>,
    interface: State<Arc<Interface>>,
    request: Request,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let allowed = route.and_then(|route| methods.get(route.as_str()).cloned());
    let mut response = match *request.method() {
        Method::OPTIONS => no_content(),
        _ => unknown_route(interface, request).await,
    };
    if let Some(allowed) = allowed {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

async fn unknown_route(State(interface): State<Arc<Interface>>, request: Request) -> Response {
    // RFC 9110 §9.3.7: what the server is able to do, whatever the path.
    if request.method() == Method::OPTIONS && request.uri().path() == "*" {
        return no_content();
    }
    let text = format!("Unrecognized request URL ({}: {})", request.method(), request.uri().path());
    let problem = Problem::new(ProblemKind::Invalid, "unknown_route", text);
    respond::problem(&request_id(&request), &problem, interface.platform.clock.now())
}
