//! `/v3/connect/custom`.

use crate::support::{Harness, NOBODY, assert_shape};
use crate::v3::grants::grant::GRANT;
use axum::body::Body;
use axum::http::Request;
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) const ROUTES: &[&str] = &["POST /v3/connect/custom"];

const PATH: &str = "/v3/connect/custom";

fn new(email: &str) -> Value {
    json!({"provider": "nylas", "settings": {"email": email}})
}

fn password(password: &str) -> Value {
    json!({"email": "x@acme.test", "app_password": password})
}

#[tokio::test]
async fn a_mailbox_is_made_with_every_field() {
    let harness = Harness::new().await;
    let body = json!({"provider": "nylas", "name": "Ada’s agent", "state": "case 7", "scope": ["x"],
        "settings": {"email": "Ada@Acme.Test", "unknown": 1, "policy_id": 7, "app_password": null},
        "workspace_id": harness.acme.workspace_id.to_string()});
    let answer = harness.post(PATH, &body).await;
    assert_eq!(answer.status, 201);
    assert_shape(answer.data(), GRANT);
    assert_shape(&answer.data()["settings"], "email:string has_app_password:boolean");
    let data = answer.data();
    assert_eq!((&data["email"], &data["name"]), (&json!("Ada@acme.test"), &json!("Ada’s agent")));
    assert_eq!(data["workspace_id"], harness.acme.workspace_id.to_string());
    assert_eq!((&data["placement"], &data["state"]), (&json!("explicit"), &json!("case 7")));
    assert_eq!((&data["credential_id"], &data["scope"]), (&json!(null), &json!([])));
    // Usable at once, in any spelling of the address.
    let found = harness.get("/v3/grants/ada@ACME.test").await;
    assert_eq!(found.data(), data);
    let folders = harness.get("/v3/grants/ada@acme.test/folders").await;
    assert_eq!(folders.data().as_array().expect("list").len(), 6);
}

#[tokio::test]
async fn the_same_address_again_is_the_same_mailbox() {
    let harness = Harness::new().await;
    let first = harness.post(PATH, &new("twice@acme.test")).await;
    harness.world.advance(60);
    let second = harness.post(PATH, &new("TWICE@acme.test")).await;
    assert_eq!((second.status, second.data()), (201, first.data()));
}

#[tokio::test]
async fn what_is_given_again_is_applied_and_the_rest_is_left_alone() {
    let harness = Harness::new().await;
    let body = json!({"provider": "nylas", "name": "One", "settings": {"email": "a@acme.test"}});
    let first = harness.post(PATH, &body).await;
    harness.world.advance(60);
    let settings = json!({"email": "A@acme.test", "app_password": "Correct1Horse2Battery"});
    let body = json!({"provider": "nylas", "state": "s", "settings": settings});
    let second = harness.post(PATH, &body).await;
    assert_eq!(second.status, 201);
    let (was, is) = (first.data(), second.data());
    for field in ["id", "name", "workspace_id", "placement", "created_at", "email"] {
        assert_eq!(was[field], is[field], "{field}");
    }
    assert_eq!((&is["state"], &is["settings"]["has_app_password"]), (&json!("s"), &json!(true)));
    assert_eq!(is["updated_at"].as_i64(), was["updated_at"].as_i64().map(|at| at + 60));
    // The password is in no answer.
    assert!(!String::from_utf8_lossy(&second.octets).contains("Horse"));
    let found = harness.get("/v3/grants/a@acme.test").await;
    assert!(!String::from_utf8_lossy(&found.octets).contains("argon2"));
}

#[tokio::test]
async fn a_workspace_governs_a_mailbox_from_its_first_message() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(0), ..NewTenant::of("acme.test") }).await;
    let mut body = new("first@acme.test");
    body["workspace_id"] = json!(harness.acme.workspace_id.to_string());
    harness.post(PATH, &body).await.is_ok();
    let message = json!({"to": [{"email": "ada@sender.test"}], "subject": "x", "body": "x"});
    let sent = harness.post("/v3/grants/first@acme.test/messages/send", &message).await;
    sent.refuses(429, "daily_quota_exceeded", None);
}

#[tokio::test]
async fn another_applications_address_is_taken() {
    let harness = Harness::new().await;
    let answer = harness.post(PATH, &new("AGENT@other.test")).await;
    answer.refuses(409, "email_taken", Some("settings.email")).says("already exists");
}

#[tokio::test]
async fn where_the_request_came_from_is_kept() {
    let harness = Harness::new().await;
    let request = Request::post(PATH)
        .header("authorization", format!("Bearer {}", harness.acme.api_key))
        .header("user-agent", format!("fleet/1 {}", "x".repeat(600)))
        .header("x-forwarded-for", "203.0.113.9")
        .body(Body::from(new("from@acme.test").to_string()));
    let answer = harness.request(request.expect("request")).await;
    let agent = answer.data()["user_agent"].as_str().expect("text");
    assert!(agent.starts_with("fleet/1 x") && agent.len() == 512, "{agent}");
    // Nobody is at the other end of this one, whatever it claims.
    assert_eq!(answer.data()["ip"], "");
}

#[tokio::test]
async fn over_a_connection_the_address_at_its_other_end_is_kept() {
    let harness = Harness::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("socket");
    let (address, stop) = (listener.local_addr().expect("address"), CancellationToken::new());
    let server =
        postfleet_api::serve(listener, harness.router(), harness.world.platform.clock.clone(), 64, stop.clone());
    let server = tokio::spawn(server);
    let body = new("wire@acme.test").to_string();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nX-Forwarded-For: 203.0.113.9\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        harness.acme.api_key,
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(head.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let made = harness.get("/v3/grants/wire@acme.test").await;
    assert_eq!((&made.data()["ip"], &made.data()["user_agent"]), (&json!("127.0.0.1"), &json!("")));
    assert_eq!(harness.ids("/v3/grants?ip=127.0.0.1").await.len(), 1);
    stop.cancel();
    server.await.expect("server");
}

/// Mail of the mailbox before is not shown in the one after, and what is on its way goes to the new one.
#[tokio::test]
async fn an_address_made_again_never_shows_the_mail_of_before() {
    let harness = Harness::new().await;
    let old = harness.receive_about("secret of before").await;
    let first = harness.agent.clone();
    harness.delete(&harness.at("")).await.is_ok();
    let second = harness.post(PATH, &new("agent@acme.test")).await;
    let id = second.data()["id"].as_str().expect("id");
    assert_ne!(id, first);
    for path in ["messages", "threads"] {
        assert_eq!(harness.get(&format!("/v3/grants/agent@acme.test/{path}")).await.data(), &json!([]));
    }
    harness.get(&format!("/v3/grants/{id}/messages/{old}")).await.refuses(404, "not_found", None);
    harness.get(&format!("/v3/grants/{first}/messages/{old}")).await.refuses(404, "not_found", None);
    let mail = "Subject: for the new one\r\n\r\nHello\r\n";
    harness.world.receive("ada@sender.test", "agent@acme.test", mail).await.expect("accepted");
    let listed = harness.get(&format!("/v3/grants/{id}/messages")).await;
    let subjects: Vec<_> = listed.data().as_array().expect("list").iter().map(|message| &message["subject"]).collect();
    assert_eq!(subjects, [&json!("for the new one")]);
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let with = |field: &str, value: Value| {
        let mut body = new("x@acme.test");
        body[field] = value;
        body
    };
    for (body, code, field, says) in [
        (with("provider", json!("google")), "invalid_request", "provider", "\"nylas\""),
        (new("no-at.acme.test"), "invalid_request", "settings.email", "not an address"),
        (new("x@[127.0.0.1]"), "invalid_request", "settings.email", "not an address"),
        (new("x@elsewhere.test"), "domain_not_registered", "settings.email", "domain is not registered"),
        (new("x@other.test"), "domain_not_registered", "settings.email", "domain is not registered"),
        (new("\"a b\"@acme.test"), "invalid_request", "settings.email", "must not be quoted"),
        (new(&format!("{}@acme.test", "a".repeat(65))), "invalid_request", "settings.email", "1 to 64 octets"),
        (new("a\u{7}b@acme.test"), "invalid_request", "settings.email", "not an address"),
        (with("settings", password("Short1")), "invalid_request", "settings.app_password", "18 to 40 characters"),
        (with("settings", password("")), "invalid_request", "settings.app_password", "18 to 40 characters"),
        (with("settings", password(&"a1".repeat(10))), "invalid_request", "settings.app_password", "upper-case"),
        (with("settings", password("With Space1234567890")), "invalid_request", "settings.app_password", "ASCII"),
        (with("name", json!("")), "invalid_request", "name", "1 to 256 characters"),
        (with("state", json!("s".repeat(2_049))), "invalid_request", "state", "at most 2048 characters"),
        (with("state", json!("a\0b")), "invalid_request", "state", "control characters"),
        (with("workspace_id", json!("")), "invalid_request", "workspace_id", "valid UUID"),
        (with("name", json!("n".repeat(257))), "invalid_request", "name", "at most 256 characters"),
        (with("name", json!("a\r\nBcc: x@y.test")), "invalid_request", "name", "control characters"),
        (with("workspace_id", json!("default")), "invalid_request", "workspace_id", "UUID"),
        (with("workspace_id", json!(NOBODY)), "invalid_request", "workspace_id", "does not belong"),
        (
            with("workspace_id", json!(harness.other.workspace_id.to_string())),
            "invalid_request",
            "workspace_id",
            "does not belong",
        ),
        (json!({"provider": "nylas"}), "invalid_request", "settings", "missing field `settings`"),
        (with("settings", json!({"email": 1})), "invalid_request", "settings.email", "invalid type"),
        (json!([]), "invalid_request", ".", "error parsing request body"),
    ] {
        let field = (field != ".").then_some(field);
        harness.post(PATH, &body).await.refuses(400, code, field).says(says);
    }
    assert_eq!(harness.post(PATH, &with("name", json!("n".repeat(256)))).await.status, 201);
    assert_eq!(harness.post(PATH, &with("state", json!("s".repeat(2_048)))).await.status, 201);
    assert_eq!(harness.post(PATH, &new(&format!("{}@acme.test", "a".repeat(64)))).await.status, 201);
}

#[tokio::test]
async fn a_removed_address_can_be_made_again() {
    let harness = Harness::new().await;
    let first = harness.post(PATH, &new("again@acme.test")).await;
    harness.delete("/v3/grants/again@acme.test").await.is_ok();
    let second = harness.post(PATH, &new("again@acme.test")).await;
    assert_eq!(second.status, 201);
    assert_ne!(first.data()["id"], second.data()["id"]);
}

#[tokio::test]
async fn the_plan_bounds_the_number_of_mailboxes() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    // `agent` is the first of three.
    for name in ["two", "three"] {
        assert_eq!(harness.post(PATH, &new(&format!("{name}@acme.test"))).await.status, 201);
    }
    let refused = harness.post(PATH, &new("four@acme.test")).await;
    refused.refuses(403, "grants_max_reached", None).says("Maximum number of agent accounts (3) reached for this plan");
    // One that exists is found all the same, and a removed one frees its place.
    assert_eq!(harness.post(PATH, &new("two@acme.test")).await.status, 201);
    harness.delete("/v3/grants/two@acme.test").await.is_ok();
    assert_eq!(harness.post(PATH, &new("four@acme.test")).await.status, 201);
}
