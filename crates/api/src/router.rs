//! Which path leads where, and what happens around every request: its id, its key, its log line, its count.

use crate::respond::{self, Answer, RequestId};
use crate::{auth, routes};
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use futures::future::BoxFuture;
use postfleet_core::id::{ApplicationId, EventId};
use postfleet_core::{Problem, ProblemKind};
use postfleet_mailflow::Platform;
use std::sync::Arc;
use sync_wrapper::SyncWrapper;

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
    fn metrics(&self) -> String;
}

/// What a handler gets: the caller, the request, and what its path names.
pub(crate) struct Call {
    pub(crate) platform: Platform,
    pub(crate) application: ApplicationId,
    pub(crate) id: RequestId,
    /// The request without its body.
    pub(crate) parts: Parts,
    pub(crate) body: SyncWrapper<Body>,
    /// The path's parameters in order, decoded once.
    pub(crate) path: Vec<String>,
}

/// All routes.
pub fn router(interface: Interface) -> Router {
    let router = Router::new()
        .route("/v3/connect/custom", post(handler(routes::grants::create)))
        .route("/v3/grants", get(handler(routes::grants::list)))
        .route("/v3/grants/{grant}", get(handler(routes::grants::find)).delete(handler(routes::grants::remove)))
        .route("/v3/grants/{grant}/messages", get(handler(routes::messages::list)))
        .route("/v3/grants/{grant}/messages/send", post(handler(routes::send::send)))
        .route("/v3/grants/{grant}/messages/{message}", get(handler(routes::messages::find)))
        .route(
            "/v3/grants/{grant}/messages/{message}/attachments/{attachment}",
            get(handler(routes::attachments::find_in_message)),
        )
        .route(
            "/v3/grants/{grant}/messages/{message}/attachments/{attachment}/download",
            get(handler(routes::attachments::download_in_message)),
        )
        .route("/v3/grants/{grant}/attachments/{attachment}", get(handler(routes::attachments::find)))
        .route("/v3/grants/{grant}/attachments/{attachment}/download", get(handler(routes::attachments::download)))
        .route("/v3/grants/{grant}/threads", get(handler(routes::threads::list)))
        .route("/v3/grants/{grant}/threads/{thread}", get(handler(routes::threads::find)))
        .route("/v3/grants/{grant}/folders", get(handler(routes::folders::list)))
        .route("/v3/grants/{grant}/folders/{folder}", get(handler(routes::folders::find)))
        .route("/v3/webhooks", webhooks())
        .route("/v3/webhooks/{webhook}", webhook())
        .route("/v3/webhooks/rotate-secret/{webhook}", post(handler(routes::webhooks::rotate_secret)))
        .route("/v3/webhooks/{webhook}/rotate-secret", put(handler(routes::webhooks::rotate_secret)))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route);
    router.layer(middleware::from_fn_with_state(interface.clone(), around)).with_state(interface)
}

fn webhooks() -> MethodRouter<Interface> {
    get(handler(routes::webhooks::list)).post(handler(routes::webhooks::create))
}

fn webhook() -> MethodRouter<Interface> {
    get(handler(routes::webhooks::find))
        .put(handler(routes::webhooks::update))
        .delete(handler(routes::webhooks::remove))
}

/// Turns a function of a [`Call`] into an axum handler: authenticates first, and answers problems.
fn handler<F, R>(
    run: F,
) -> impl Fn(State<Interface>, Request) -> BoxFuture<'static, Response> + Clone + Send + Sync + 'static
where
    F: Fn(Call) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    move |State(interface): State<Interface>, request: Request| {
        Box::pin(async move {
            let platform = interface.platform;
            let id = request_id(&request);
            let answer = match open(&platform, &id, request).await {
                Ok(call) => to_its_end(run(call)).await,
                Err(problem) => Err(problem),
            };
            answer.unwrap_or_else(|problem| respond::problem(&id, &problem, platform.clock.now()))
        })
    }
}

/// Carries a request out even if its client goes away meanwhile: what was accepted must be handed on. A handler that
/// panics answers 500 and harms nobody else.
async fn to_its_end(answer: impl Future<Output = Answer> + Send + 'static) -> Answer {
    tokio::spawn(answer).await.unwrap_or_else(|error| Err(Problem::internal(error)))
}

async fn open(platform: &Platform, id: &RequestId, request: Request) -> Result<Call, Problem> {
    let application = auth::application(platform, request.headers()).await?;
    let path = path_parameters(&request)?;
    let (parts, body) = request.into_parts();
    Ok(Call { platform: platform.clone(), application, id: id.clone(), parts, body: SyncWrapper::new(body), path })
}

/// The segments of the path that the route leaves open. Each is decoded once; a `%2F` stays inside its segment.
fn path_parameters(request: &Request) -> Result<Vec<String>, Problem> {
    let Some(route) = request.extensions().get::<MatchedPath>() else { return Ok(Vec::new()) };
    let open = route.as_str().split('/').zip(request.uri().path().split('/'));
    let decode = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| Problem::not_found())
    };
    open.filter(|(pattern, _)| pattern.starts_with('{')).map(|(_, text)| decode(text)).collect()
}

fn request_id(request: &Request) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId(String::new()))
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

async fn live() -> &'static str {
    "ok\n"
}

async fn ready(State(interface): State<Interface>) -> Response {
    match interface.health.not_ready().await {
        None => "ok\n".into_response(),
        Some(cause) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {cause}\n")).into_response(),
    }
}

async fn metrics(State(interface): State<Interface>) -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", axum::http::HeaderValue::from_static("text/plain; version=0.0.4"));
    (headers, interface.health.metrics())
}
