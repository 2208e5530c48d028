//! `/v3/events/stream`, as server-sent events and over a WebSocket.

use crate::support::{Harness, NOBODY};
use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request};
use futures::{SinkExt, StreamExt};
use postfleet_api::serve;
use postfleet_mailflow::Platform;
use postfleet_mailflow::wait::{self, LOOK_AGAIN};
use postfleet_store::Location;
use postfleet_testkit::postgres::PostgresServer;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

pub(crate) const ROUTES: &[&str] = &["GET /v3/events/stream"];

/// Reads the log for those who listen, as the role does, until it is dropped.
fn telling(platform: &Platform) -> DropGuard {
    let (platform, stop) = (platform.clone(), CancellationToken::new());
    let guard = stop.clone().drop_guard();
    tokio::spawn(async move {
        let mut grown = platform.store.wake().grown.subscribe();
        while !stop.is_cancelled() {
            grown.mark_unchanged();
            let again = platform.clock.now().plus(LOOK_AGAIN);
            if wait::read_once(&platform).await.expect("round") {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = platform.waiting.entered() => {}
                _ = grown.changed() => {}
                () = platform.clock.sleep_until(again) => {}
            }
        }
    });
    guard
}

/// The interface behind a socket, since a WebSocket needs one; until it is dropped.
struct Server {
    router: Router,
    address: SocketAddr,
    _stop: DropGuard,
}

impl Server {
    async fn start(platform: &Platform, router: Router) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("socket");
        let (address, stop) = (socket.local_addr().expect("address"), CancellationToken::new());
        tokio::spawn(serve(socket, router.clone(), platform.clock.clone(), 100, stop.clone()));
        Self { router, address, _stop: stop.drop_guard() }
    }

    async fn of(harness: &Harness) -> Self {
        Self::start(&harness.world.platform, harness.router()).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Sse,
    WebSocket,
}

const WAYS: [Way; 2] = [Way::Sse, Way::WebSocket];

/// What a stream says.
#[derive(Debug, PartialEq)]
enum Said {
    /// The cursor and the event.
    Event(String, Value),
    /// A sign of life with its cursor.
    Alive(String),
    /// The end, with what a WebSocket says of it.
    End(Option<u16>),
}

impl Said {
    fn event(self) -> (String, Value) {
        match self {
            Self::Event(cursor, event) => (cursor, event),
            other => panic!("no event: {other:?}"),
        }
    }

    fn cursor(self) -> String {
        match self {
            Self::Alive(cursor) => cursor,
            other => panic!("no sign of life: {other:?}"),
        }
    }
}

/// A client of a stream.
enum Client {
    Sse { body: BodyDataStream, text: String },
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

/// A refusal: its status, and its body.
type Refusal = (u16, Value);

impl Client {
    /// Opens a stream and takes its first sign of life.
    async fn open(server: &Server, way: Way, key: &str, query: &str, last: Option<&str>) -> (Self, String) {
        let mut client = Self::try_open(server, way, key, query, last).await.expect("a stream");
        let first = client.next().await.cursor();
        (client, first)
    }

    async fn try_open(server: &Server, way: Way, key: &str, query: &str, last: Option<&str>) -> Result<Self, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {key}").parse().expect("value"));
        if let Some(last) = last {
            headers.insert("last-event-id", last.parse().expect("value"));
        }
        let path = format!("/v3/events/stream{query}");
        match way {
            Way::Sse => {
                let mut request = Request::get(path).body(Body::empty()).expect("request");
                *request.headers_mut() = headers;
                let response = server.router.clone().oneshot(request).await.expect("infallible");
                if response.status() != 200 {
                    let status = response.status().as_u16();
                    let body = to_bytes(response.into_body(), usize::MAX).await.expect("body");
                    return Err((status, serde_json::from_slice(&body).expect("JSON")));
                }
                assert_eq!(response.headers()["content-type"], "text/event-stream");
                Ok(Self::Sse { body: response.into_body().into_data_stream(), text: String::new() })
            }
            Way::WebSocket => {
                let mut request = format!("ws://{}{path}", server.address).into_client_request().expect("request");
                request.headers_mut().extend(headers);
                let socket = TcpStream::connect(server.address).await.expect("connection");
                match client_async(request, socket).await {
                    Ok((socket, response)) => {
                        assert!(response.headers().contains_key("x-request-id"));
                        Ok(Self::WebSocket(Box::new(socket)))
                    }
                    Err(Error::Http(response)) => {
                        let status = response.status().as_u16();
                        let body = response.into_body().unwrap_or_default();
                        Err((status, serde_json::from_slice(&body).unwrap_or_default()))
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    async fn next(&mut self) -> Said {
        match self {
            Self::Sse { body, text } => loop {
                if let Some((block, rest)) = text.split_once("\n\n") {
                    let said = read(block);
                    *text = rest.to_owned();
                    return said;
                }
                let Some(piece) = body.next().await else { return Said::End(None) };
                text.push_str(str::from_utf8(&piece.expect("piece")).expect("UTF-8"));
            },
            Self::WebSocket(socket) => {
                let said = match socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let frame: Value = serde_json::from_str(&text).expect("JSON");
                        assert_eq!(frame.as_object().expect("object").len(), 2, "{frame}");
                        let cursor = frame["cursor"].as_str().expect("cursor").to_owned();
                        if frame["event"].is_null() {
                            Said::Alive(cursor)
                        } else {
                            Said::Event(cursor, frame["event"].clone())
                        }
                    }
                    Some(Ok(Message::Ping(cursor))) => Said::Alive(str::from_utf8(&cursor).expect("UTF-8").to_owned()),
                    Some(Ok(Message::Close(frame))) => Said::End(frame.map(|frame| frame.code.into())),
                    other => panic!("{other:?}"),
                };
                // What is answered to a ping leaves with the next that is done.
                let _ = socket.flush().await;
                said
            }
        }
    }
}

/// One block of lines of server-sent events.
fn read(block: &str) -> Said {
    let (mut id, mut data) = (None, None);
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", text)) => id = Some(text.to_owned()),
            Some(("data", text)) => data = Some(serde_json::from_str(text).expect("JSON")),
            Some(("", _) | ("retry", _)) => {}
            _ => panic!("no field of an event: {line:?}"),
        }
    }
    let id = id.expect("an id");
    data.map_or_else(|| Said::Alive(id.clone()), |data| Said::Event(id.clone(), data))
}

async fn comes(harness: &Harness, to: &str, subject: &str) {
    let message = format!("From: Ada <ada@sender.test>\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHello\r\n");
    harness.world.receive("ada@sender.test", to, message).await.expect("accepted");
}

fn subject(event: &Value) -> &str {
    event["data"]["object"]["subject"].as_str().unwrap_or_default()
}

/// All that is there behind a place.
async fn all(server: &Server, way: Way, key: &str, query: &str) -> Vec<Value> {
    let (mut client, _) = Client::open(server, way, key, &format!("?timeout=0&{query}"), None).await;
    let mut events = Vec::new();
    loop {
        match client.next().await {
            Said::Event(_, event) => events.push(event),
            Said::End(_) => return events,
            Said::Alive(_) => {}
        }
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("type")).collect()
}

#[tokio::test]
async fn each_event_is_told_as_webhooks_are_told_it_with_the_place_behind_it() {
    let harness = Harness::new().await;
    let (_telling, server, key) =
        (telling(&harness.world.platform), Server::of(&harness).await, harness.acme.api_key.as_str());
    for way in WAYS {
        let (mut client, first) = Client::open(&server, way, key, "", None).await;
        comes(&harness, "agent@acme.test", "one").await;
        // What others get is none of its business.
        comes(&harness, "agent@other.test", "theirs").await;
        comes(&harness, "agent@acme.test", "two").await;
        let (place, event) = client.next().await.event();
        let names: Vec<_> = event.as_object().expect("object").keys().map(String::as_str).collect();
        assert_eq!(names, ["specversion", "type", "source", "id", "time", "data"], "{way:?}");
        assert_eq!((&event["type"], subject(&event)), (&json!("message.created"), "one"), "{way:?}");
        let data = &event["data"];
        assert_eq!(
            (&data["application_id"], &data["grant_id"]),
            (&json!(harness.acme.application_id.to_string()), &json!(harness.agent))
        );
        assert!(
            data["object"]["body"].as_str().is_some_and(|body| body.contains("Hello"))
                && data["grant_sequence"].is_u64()
        );
        let (end, event) = client.next().await.event();
        assert_eq!(subject(&event), "two");
        assert!(first != place && place != end);
        drop(client);
        // Whoever comes back goes on where it was, by header or by parameter, the other way too.
        for other in WAYS {
            for (query, last) in [(format!("?after={first}"), Some(place.as_str())), (format!("?after={place}"), None)]
            {
                let (mut again, _) = Client::open(&server, other, key, &query, last).await;
                let (cursor, event) = again.next().await.event();
                assert_eq!((cursor.as_str(), subject(&event)), (end.as_str(), "two"), "{way:?} {other:?} {query}");
            }
        }
    }
    harness.world.platform.waiting.emptied().await;
}

#[tokio::test]
async fn every_filter_narrows_what_is_told() {
    let harness = Harness::new().await;
    let (server, key) = (Server::of(&harness).await, harness.acme.api_key.as_str());
    let (client, start) = Client::open(&server, Way::Sse, key, "?timeout=0", None).await;
    drop(client);
    let begin = harness.world.platform.clock.now().as_seconds();
    let id = harness.receive_about("one").await;
    harness.put(&harness.at(&format!("/messages/{id}")), &json!({"starred": true})).await.is_ok();
    harness.world.advance(1_000);
    let later = harness.world.platform.clock.now().as_seconds();
    let folder = harness.post(&harness.at("/folders"), &json!({"name": "Bills"})).await;
    let workspace = harness.post("/v3/workspaces", &json!({"name": "Support"})).await;
    let workspace = workspace.is_ok().data()["workspace_id"].as_str().expect("workspace_id").to_owned();
    let bot = harness.world.mailbox(&harness.acme, "bot").await.id.to_string();
    let assign = format!("/v3/workspaces/{workspace}/manual-assign");
    harness.post(&assign, &json!({"assign_grants": [bot]})).await.is_ok();
    assert_eq!(folder.status, 200);
    let everything = all(&server, Way::Sse, key, &format!("after={start}")).await;
    assert!(everything.len() >= 4, "{:?}", kinds(&everything));
    let of =
        |wanted: &dyn Fn(&Value) -> bool| everything.iter().filter(|event| wanted(event)).cloned().collect::<Vec<_>>();
    let kind = |name: &'static str| move |event: &Value| event["type"] == name;
    for (query, expected) in [
        (format!("after={start}"), everything.clone()),
        (format!("after={start}&types=message.created"), of(&kind("message.created"))),
        (
            format!("after={start}&types=message.created,message.updated"),
            of(&|event| event["type"].as_str().is_some_and(|name| name.starts_with("message."))),
        ),
        (format!("after={start}&types=folder.created&types=message.opened"), of(&kind("folder.created"))),
        (format!("after={start}&types=message.transactional.bounced"), vec![]),
        (format!("after={start}&grant_id={}", harness.agent), of(&|event| event["data"]["grant_id"] == harness.agent)),
        (format!("after={start}&grant_id={bot}"), of(&|event| event["data"]["grant_id"] == bot)),
        (format!("after={start}&grant_id={}", harness.stranger), vec![]),
        (format!("after={start}&grant_id={NOBODY}"), vec![]),
        (format!("after={start}&workspace_id={workspace}"), of(&|event| event["data"]["grant_id"] == bot)),
        (format!("after={start}&workspace_id={NOBODY}"), vec![]),
        (format!("since={}", begin + 1), everything.clone()),
        (format!("since={later}"), of(&|event| event["time"].as_i64().is_some_and(|time| time >= later))),
        (format!("since={}", later + 1_000), vec![]),
        (String::new(), vec![]),
    ] {
        for way in WAYS {
            assert_eq!(kinds(&all(&server, way, key, &query).await), kinds(&expected), "{way:?} {query}");
        }
    }
    for (case, events) in [
        ("folder.created", of(&kind("folder.created"))),
        ("message.updated", of(&kind("message.updated"))),
        ("of the mailbox in the workspace", of(&|event| event["data"]["grant_id"] == bot)),
        ("later", of(&|event| event["time"].as_i64().is_some_and(|time| time >= later))),
    ] {
        assert!((1..everything.len()).contains(&events.len()), "{case} narrows nothing");
    }
    // To another application the same cursor tells nothing of all this.
    for way in WAYS {
        assert_eq!(all(&server, way, &harness.other.api_key, &format!("after={start}")).await, Vec::<Value>::new());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let harness = Harness::new().await;
    let (server, key) = (Server::of(&harness).await, harness.acme.api_key.as_str());
    for (query, last, field, text) in [
        ("types=nothing.happened", None, "types", "\"nothing.happened\" is not a trigger"),
        ("grant_id=x", None, "grant_id", "must be the id of a mailbox"),
        ("workspace_id=x", None, "workspace_id", "must be the id of a workspace"),
        ("after=x", None, "after", "is not a cursor"),
        ("since=x", None, "since", "must be a whole number"),
        ("since=-1", None, "since", "from 0 to 253402300799"),
        ("since=1&after=AAAAAAAAAAA", None, "since", "not both"),
        ("include_junk=perhaps", None, "include_junk", "must be true or false"),
        ("heartbeat=4", None, "heartbeat", "from 5 to 60"),
        ("heartbeat=61", None, "heartbeat", "from 5 to 60"),
        ("timeout=1", None, "timeout", "may only be 0"),
        ("", Some("x"), "Last-Event-ID", "is not a cursor"),
    ] {
        for way in WAYS {
            let refused = Client::try_open(&server, way, key, &format!("?{query}"), last).await.err();
            let (status, body) = refused.unwrap_or_else(|| panic!("{way:?} {query} is taken"));
            assert_eq!((status, &body["error"]["field"]), (400, &json!(field)), "{way:?} {query} {body}");
            assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains(text)), "{query} {body}");
        }
    }
    for (name, value, field) in [
        ("connection", "keep-alive", "Connection"),
        ("sec-websocket-version", "12", "Sec-WebSocket-Version"),
        ("sec-websocket-key", "", "Sec-WebSocket-Key"),
        ("x-other", "", "Upgrade"),
    ] {
        let mut request = Request::get("/v3/events/stream").body(Body::empty()).expect("request");
        let headers = request.headers_mut();
        for (name, value) in [
            ("authorization", format!("Bearer {key}").as_str()),
            ("upgrade", "websocket"),
            ("connection", "upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ] {
            headers.insert(axum::http::HeaderName::try_from(name).expect("name"), value.parse().expect("value"));
        }
        match value {
            "" => drop(headers.remove(name)),
            value => drop(headers.insert(name, value.parse().expect("value"))),
        }
        // Without a connection of its own, what is well formed cannot be a WebSocket.
        harness.request(request).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn a_stream_shows_signs_of_life_and_ends_after_an_hour() {
    for (way, heartbeat, end) in [(Way::Sse, 60, None), (Way::WebSocket, 60, Some(1_000)), (Way::Sse, 15, None)] {
        let harness = Harness::new().await;
        let (_telling, server) = (telling(&harness.world.platform), Server::of(&harness).await);
        let query = format!("?heartbeat={heartbeat}");
        let query = if heartbeat == 15 { "" } else { &query };
        let (mut client, first) = Client::open(&server, way, &harness.acme.api_key, query, None).await;
        let mut signs = 0;
        loop {
            harness.world.advance(heartbeat);
            match client.next().await {
                Said::Alive(cursor) => {
                    assert_eq!(cursor, first, "nothing has happened");
                    signs += 1;
                }
                said => {
                    assert_eq!((said, signs), (Said::End(end), 3_600 / heartbeat - 1), "{way:?}");
                    break;
                }
            }
        }
        harness.world.platform.waiting.emptied().await;
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_key_may_not_read_events_any_more() {
    for way in WAYS {
        for case in ["revoked", "narrowed"] {
            let harness = Harness::new().await;
            let (_telling, server) = (telling(&harness.world.platform), Server::of(&harness).await);
            let keys = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
            let made = harness.administer("POST", &keys, Some(&json!({"name": "k"}))).await;
            let data = made.is_ok().data().clone();
            let (id, key) = (data["id"].as_str().expect("id"), data["api_key"].as_str().expect("api_key"));
            let (mut client, _) = Client::open(&server, way, key, "?heartbeat=10", None).await;
            harness.world.advance(10);
            client.next().await.cursor();
            let narrowed = json!({"permissions": ["messages.read"]});
            let (method, body) = if case == "revoked" { ("DELETE", None) } else { ("PATCH", Some(&narrowed)) };
            harness.administer(method, &format!("{keys}/{id}"), body).await.is_ok();
            // At the next sign of life, whatever happens meanwhile.
            harness.world.advance(10);
            let expected = if way == Way::Sse { None } else { Some(1_008) };
            assert_eq!(client.next().await, Said::End(expected), "{way:?} {case}");
        }
    }
}

#[tokio::test]
async fn all_streams_end_when_the_server_stops() {
    let harness = Harness::new().await;
    let (_telling, server) = (telling(&harness.world.platform), Server::of(&harness).await);
    let key = harness.acme.api_key.as_str();
    let mut clients = Vec::new();
    for way in WAYS {
        clients.push((way, Client::open(&server, way, key, "", None).await.0));
    }
    assert_eq!(harness.world.platform.waiting.waiting(), 2);
    harness.world.platform.waiting.close();
    for (way, client) in &mut clients {
        let expected = if *way == Way::Sse { None } else { Some(1_001) };
        assert_eq!(client.next().await, Said::End(expected), "{way:?}");
    }
    harness.world.platform.waiting.emptied().await;
    for way in WAYS {
        let (status, body) = Client::try_open(&server, way, key, "", None).await.err().expect("refused");
        assert_eq!((status, &body["error"]["code"]), (503, &json!("stopping")), "{way:?}");
    }
}

#[tokio::test]
async fn so_many_listen_and_no_more_and_places_are_given_back() {
    let harness = Harness::new().await.with_room_for(3, 2);
    let server = Server::of(&harness).await;
    let (key, other) = (harness.acme.api_key.as_str(), harness.other.api_key.as_str());
    let refused = async |way: Way, key: &str, text: &str| {
        let (status, body) = Client::try_open(&server, way, key, "", None).await.err().expect("refused");
        assert_eq!((status, &body["error"]["code"]), (429, &json!("too_many_waiting")), "{way:?}");
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains(text)), "{body}");
    };
    let (sse, _) = Client::open(&server, Way::Sse, key, "", None).await;
    let (socket, _) = Client::open(&server, Way::WebSocket, key, "", None).await;
    for way in WAYS {
        refused(way, key, "2 times at once (http.waiting_per_application)").await;
    }
    let (theirs, _) = Client::open(&server, Way::WebSocket, other, "", None).await;
    refused(Way::Sse, other, "3 wait already, as many as this server allows (http.waiting)").await;
    drop((sse, socket, theirs));
    harness.world.platform.waiting.emptied().await;
    Client::open(&server, Way::WebSocket, key, "", None).await;
}

/// A client that takes nothing for a while is held no queue: it gets all of it in order when it reads on.
#[tokio::test]
async fn who_is_slow_misses_nothing() {
    let harness = Harness::new().await;
    let (_telling, server) = (telling(&harness.world.platform), Server::of(&harness).await);
    let mut clients = Vec::new();
    for way in WAYS {
        clients.push(Client::open(&server, way, &harness.acme.api_key, "?types=message.created", None).await.0);
    }
    for number in 0..300 {
        comes(&harness, "agent@acme.test", &format!("number {number}")).await;
    }
    for client in &mut clients {
        for number in 0..300 {
            assert_eq!(subject(&client.next().await.event().1), format!("number {number}"));
        }
    }
}

/// With the cursor of the last event for the next connection, whatever the way, while mail comes in.
#[tokio::test]
async fn nothing_is_missed_and_nothing_comes_twice_over_many_connections() {
    const EVENTS: usize = 600;
    let harness = Harness::new().await;
    let (_telling, server) = (telling(&harness.world.platform), Server::of(&harness).await);
    let key = harness.acme.api_key.as_str();
    let (_, start) = Client::open(&server, Way::Sse, key, "?timeout=0", None).await;
    let writer = async {
        for number in 0..EVENTS {
            comes(&harness, "agent@acme.test", &format!("number {number}")).await;
            if number % 3 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let reader = async {
        let (mut at, mut seen, mut connections) = (start, Vec::new(), 0);
        while seen.len() < EVENTS {
            let query = format!("?types=message.created&after={at}");
            let (query, last) = match connections % 3 {
                0 => ("?types=message.created", Some(at.as_str())),
                _ => (query.as_str(), None),
            };
            let (mut client, _) = Client::open(&server, WAYS[connections % 2], key, query, last).await;
            connections += 1;
            for _ in 0..1 + connections % 17 {
                if seen.len() == EVENTS {
                    break;
                }
                let (cursor, event) = client.next().await.event();
                seen.push(subject(&event).to_owned());
                at = cursor;
            }
        }
        println!("{EVENTS} events over {connections} connections");
        seen
    };
    let ((), seen) = futures::join!(writer, reader);
    assert_eq!(seen, (0..EVENTS).map(|number| format!("number {number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn junk_is_told_when_it_is_asked_for() {
    let harness = Harness::new().await;
    let (server, key) = (Server::of(&harness).await, harness.acme.api_key.as_str());
    let (_, start) = Client::open(&server, Way::Sse, key, "?timeout=0", None).await;
    let rule = json!({"name": "junk", "trigger": "inbound", "match": {"operator": "all", "conditions": [
        {"field": "from.domain", "operator": "is", "value": "sender.test"}]}, "actions": [{"type": "mark_as_spam"}]});
    let rule = harness.post("/v3/rules", &rule).await.is_ok().data()["id"].clone();
    let list = harness.get("/v3/workspaces").await;
    let workspace = list.is_ok().data()[0]["workspace_id"].as_str().expect("id").to_owned();
    harness.patch(&format!("/v3/workspaces/{workspace}"), &json!({"rule_ids": [rule]})).await.is_ok();
    comes(&harness, "agent@acme.test", "buy").await;
    for (query, expected) in [("", 0), ("&include_junk=false", 0), ("&include_junk=true", 1)] {
        let told = all(&server, Way::Sse, key, &format!("types=message.created&after={start}{query}")).await;
        assert_eq!(told.len(), expected, "{query}");
    }
}

/// A place of which events are not kept any more would leave a gap that nobody sees.
#[tokio::test]
async fn a_cursor_whose_events_are_gone_is_refused() {
    let harness = Harness::new().await;
    let (server, key) = (Server::of(&harness).await, harness.acme.api_key.as_str());
    let (_, start) = Client::open(&server, Way::Sse, key, "?timeout=0", None).await;
    comes(&harness, "agent@acme.test", "one").await;
    let (_, end) = Client::open(&server, Way::Sse, key, "?timeout=0", None).await;
    let before = harness.world.platform.clock.now().plus(std::time::Duration::from_secs(1));
    let prune = postfleet_store::events::PruneEvents { before, unread_before: before, limit: 1_000 };
    harness.world.platform.store.run(prune).await.expect("pruned");
    for way in WAYS {
        let query = format!("?after={start}");
        let (status, body) = Client::try_open(&server, way, key, &query, None).await.err().expect("refused");
        assert_eq!((status, &body["error"]["code"]), (400, &json!("cursor_expired")), "{way:?}");
        // Nothing was missed behind this one; and a place behind the end is one of a log that was lost.
        for after in [end.as_str(), "f_________8"] {
            assert!(all(&server, way, key, &format!("after={after}")).await.is_empty(), "{way:?} {after}");
        }
    }
}

#[tokio::test]
async fn what_another_node_has_committed_is_told_at_the_next_look() {
    let Some(postgres) = PostgresServer::shared() else {
        println!("skipped: PostgreSQL is not installed");
        return;
    };
    let database = Location::Postgres { url: postgres.create_database("streams"), writers: 2 };
    let world = World::with(WorldOptions { database: Some(database.clone()), ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant::of("acme.test")).await;
    let (platform, router) = harness.another_node(database).await;
    let (_telling, server) = (telling(&platform), Server::start(&platform, router).await);
    for way in WAYS {
        let query = "?types=message.created&heartbeat=60";
        let (mut client, _) = Client::open(&server, way, &harness.acme.api_key, query, None).await;
        for number in 0..3 {
            comes(&harness, "agent@acme.test", &format!("number {number}")).await;
            harness.world.clock.advance(LOOK_AGAIN);
            assert_eq!(subject(&client.next().await.event().1), format!("number {number}"), "{way:?}");
        }
    }
}
