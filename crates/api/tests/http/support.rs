//! Asking the interface, and looking at what it answers.

use crate::conform;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use futures::FutureExt;
use futures::future::BoxFuture;
use postfleet_api::{Health, Interface, Origins, router};
use postfleet_core::plan::Plans;
use postfleet_mailflow::Platform;
use postfleet_mailflow::deliver::Delivery;
use postfleet_mailflow::wait::Hub;
use postfleet_store::{Location, Store};
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use postfleet_testkit::postgres::PostgresServer;
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::mpsc;
use tower::ServiceExt;

/// A UUID that nothing has.
pub const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

/// The interface on each engine: on SQLite and, where it is installed, on PostgreSQL.
pub async fn engines() -> Vec<(&'static str, Harness)> {
    let mut engines = vec![("SQLite", Harness::new().await)];
    if let Some(server) = PostgresServer::shared() {
        let database = Location::Postgres { url: server.create_database("interface"), writers: 4 };
        let world = World::with(WorldOptions { database: Some(database), ..WorldOptions::default() }).await;
        engines.push(("PostgreSQL", Harness::in_world(world, NewTenant::of("acme.test")).await));
    }
    engines
}

/// Two organizations with an application each, and the interface that serves both.
pub struct Harness {
    pub world: World,
    pub acme: Tenant,
    pub other: Tenant,
    /// The mailbox `agent@acme.test`.
    pub agent: String,
    /// The mailbox `agent@other.test`.
    pub stranger: String,
    router: Router,
}

impl Harness {
    pub async fn new() -> Self {
        Self::with(NewTenant::of("acme.test")).await
    }

    /// With the first organization as wanted; its domain must be `acme.test`.
    pub async fn with(acme: NewTenant) -> Self {
        Self::in_world(World::new().await, acme).await
    }

    /// In a world of its own kind.
    pub async fn in_world(world: World, acme: NewTenant) -> Self {
        Self::with_both(world, acme, NewTenant::of("other.test")).await
    }

    /// With both organizations as wanted; their domains must be `acme.test` and `other.test`.
    pub async fn with_both(world: World, acme: NewTenant, other: NewTenant) -> Self {
        let (acme, other) = (world.tenant(acme).await, world.tenant(other).await);
        let agent = world.mailbox(&acme, "agent").await.id.to_string();
        let stranger = world.mailbox(&other, "agent").await.id.to_string();
        let router = router(Interface {
            platform: world.platform.clone().into(),
            health: Arc::new(Well),
            origins: Origins::default(),
        });
        Self { world, acme, other, agent, stranger, router }
    }

    /// With a delivery role that takes what is handed to it and does nothing with it.
    pub async fn with_handoff() -> (Self, mpsc::Receiver<Delivery>) {
        let harness = Self::new().await;
        let (handoff, handed_over) = mpsc::channel(1);
        let platform = Platform { handoff: Some(handoff), ..harness.world.platform.clone() };
        let router =
            router(Interface { platform: platform.into(), health: Arc::new(Well), origins: Origins::default() });
        (Self { router, ..harness }, handed_over)
    }

    /// As a node that was started anew on the same store: what was only in memory is gone.
    pub async fn restarted(mut self) -> Self {
        let folder = self.world.folder();
        let database = Location::Sqlite(folder.join("postfleet.db"));
        let store = Store::open(database, folder.join("blobs"), Plans::presets()).await.expect("store");
        self.world.platform =
            Platform { store, underway: Arc::default(), waiting: Arc::default(), ..self.world.platform };
        let router = router(Interface {
            platform: self.world.platform.clone().into(),
            health: Arc::new(Well),
            origins: Origins::default(),
        });
        Self { router, ..self }
    }

    /// Another node on the same database, with its own memory.
    pub async fn another_node(&self, database: Location) -> (Platform, Router) {
        let store = Store::open(database, self.world.folder().join("blobs"), Plans::presets()).await.expect("store");
        let platform =
            Platform { store, underway: Arc::default(), waiting: Arc::default(), ..self.world.platform.clone() };
        let interface =
            Interface { platform: platform.clone().into(), health: Arc::new(Well), origins: Origins::default() };
        (platform, router(interface))
    }

    /// As one at which so many may wait at once, and so many of one application.
    pub fn with_room_for(mut self, waiting: usize, of_application: usize) -> Self {
        self.world.platform.waiting = Arc::new(Hub::new(waiting, of_application));
        self.with_origins(Origins::default())
    }

    /// As one that pages of these places may ask.
    pub fn with_origins(self, origins: Origins) -> Self {
        let router =
            router(Interface { platform: self.world.platform.clone().into(), health: Arc::new(Well), origins });
        Self { router, ..self }
    }

    /// The interface, for a test that serves it over connections.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Makes a request as it stands.
    pub async fn request(&self, request: Request<Body>) -> Answer {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let answer = Answer::read(response).await;
        if matches!(answer.status, 429 | 503) {
            let seconds = answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
            assert!(
                seconds.is_some_and(|seconds| seconds > 0),
                "{method} {uri} does not say when to come back: {answer:?}"
            );
        }
        if answer.is_json() {
            let selects = uri.query().is_some_and(|query| query.contains("select="));
            let wrong = conform::check(method.as_str(), uri.path(), selects, answer.status, &answer.json);
            assert!(wrong.is_empty(), "the OpenAPI document says otherwise: {wrong:#?}");
        }
        answer
    }

    /// Makes a request with a key and perhaps a JSON body.
    pub async fn ask(&self, key: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let builder = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        let request = match body {
            Some(body) => builder.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => builder.body(Body::empty()),
        };
        self.request(request.expect("request")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&self.acme.api_key, "GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(&self.acme.api_key, "POST", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.ask(&self.acme.api_key, "PATCH", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(&self.acme.api_key, "PUT", path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(&self.acme.api_key, "DELETE", path, None).await
    }

    /// A path of the first organization's mailbox.
    pub fn at(&self, rest: &str) -> String {
        format!("/v3/grants/{}{rest}", self.agent)
    }

    /// Lets a second pass and a message arrive at `agent@acme.test`; answers its id.
    pub async fn receive(&self, message: &str) -> String {
        self.world.advance(1);
        self.world.receive("ada@sender.test", "agent@acme.test", message).await.expect("accepted");
        let newest = self.get(&self.at("/messages?limit=1")).await;
        newest.data()[0]["id"].as_str().expect("id").to_owned()
    }

    /// As [`Harness::receive`], with nothing of interest but the subject.
    pub async fn receive_about(&self, subject: &str) -> String {
        self.receive(&format!(
            "From: Ada <ada@sender.test>\r\nTo: agent@acme.test\r\nSubject: {subject}\r\n\r\nHello\r\n"
        ))
        .await
    }

    /// The ids in a list's answer.
    pub async fn ids(&self, path: &str) -> Vec<String> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        ids(&answer)
    }
}

/// The ids of a list, in its order.
pub fn ids(answer: &Answer) -> Vec<String> {
    let list = answer.data().as_array().unwrap_or_else(|| panic!("no list: {answer:?}"));
    list.iter().map(|item| item["id"].as_str().expect("id").to_owned()).collect()
}

struct Well;

impl Health for Well {
    fn not_ready(&self) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn metrics(&self) -> BoxFuture<'_, String> {
        async { "# nothing\n".to_owned() }.boxed()
    }
}

/// An answer, read to its end and found well formed.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub octets: Vec<u8>,
    pub json: Value,
}

impl Answer {
    async fn read(response: axum::http::Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let octets = to_bytes(body, usize::MAX).await.expect("body").to_vec();
        let mut answer = Self { status: parts.status.as_u16(), headers: parts.headers, octets, json: Value::Null };
        if answer.is_json() {
            answer.json = serde_json::from_slice(&answer.octets).expect("JSON");
            answer.check_envelope();
        }
        answer
    }

    fn is_json(&self) -> bool {
        self.header("content-type") == Some("application/json")
    }

    /// What holds for every JSON answer beside its shape: its id in two places, and when to come back.
    fn check_envelope(&self) {
        // A replay is the first answer, its id included; the header names the request at hand.
        if let Some(id) = self.json["request_id"].as_str().filter(|_| self.header("idempotent-response").is_none()) {
            assert_eq!(self.header("x-request-id"), Some(id));
        }
        // A refusal as RFC 6749 has it is checked by its shape alone.
        if self.status < 400 || self.json["error"].is_string() {
            return;
        }
        let error = &self.json["error"];
        for field in ["type", "message", "code"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "error.{field}: {self:?}");
        }
        assert!(error["retryable"].is_boolean(), "{self:?}");
        let may_come_back = matches!(self.status, 429 | 503);
        assert_eq!(self.header("retry-after").is_some(), may_come_back, "{self:?}");
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub fn data(&self) -> &Value {
        &self.json["data"]
    }

    /// The body without what differs from request to request.
    pub fn without_id(&self) -> String {
        let mut json = self.json.clone();
        json["request_id"] = Value::Null;
        json.to_string()
    }

    /// Asserts a refusal: its status, and the code and field for programs.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str, field: Option<&str>) -> &Self {
        let error = &self.json["error"];
        let is = (self.status, error["code"].as_str(), error["field"].as_str());
        assert_eq!(is, (status, Some(code), field), "{}", self.json);
        self
    }

    /// Asserts that the text for people says something.
    #[track_caller]
    pub fn says(&self, part: &str) -> &Self {
        let message = self.json["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{message:?} does not say {part:?}");
        self
    }

    #[track_caller]
    pub fn is_ok(&self) -> &Self {
        assert!(self.status < 300, "{} {}", self.status, String::from_utf8_lossy(&self.octets));
        self
    }
}

/// Asserts that an object has exactly these fields, written `name:type`, with `?` after the type of one that may be
/// null. The official clients break on what is missing or null.
#[track_caller]
pub fn assert_shape(object: &Value, fields: &str) {
    let object = object.as_object().unwrap_or_else(|| panic!("no object: {object}"));
    let mut expected = Vec::new();
    for field in fields.split_whitespace() {
        let (name, kind) = field.split_once(':').expect("name:type");
        expected.push(name);
        let value = object.get(name).unwrap_or_else(|| panic!("{name} is missing: {object:?}"));
        let may_be_null = kind.ends_with('?') && value.is_null();
        assert!(may_be_null || kind_of(value) == kind.trim_end_matches('?'), "{name} is {value}, not {kind}");
    }
    let unknown: Vec<_> = object.keys().filter(|name| !expected.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "undocumented fields: {unknown:?}");
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A webhook receiver that echoes the challenge.
pub async fn receiver() -> FakeHttp {
    FakeHttp::start(echo).await
}

/// The answer of a receiver that wants to be one.
pub fn echo(request: &HttpRequest) -> HttpResponse {
    let challenge = request.path.split_once("challenge=").map_or("", |(_, challenge)| challenge);
    HttpResponse::new(200, &[], challenge.as_bytes())
}
