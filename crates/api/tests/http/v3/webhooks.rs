//! `/v3/webhooks`.

use crate::support::{Harness, assert_shape, echo, ids, receiver};
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/webhooks",
    "POST /v3/webhooks",
    "GET /v3/webhooks/ip-addresses",
    "GET /v3/webhooks/{webhook}/deliveries",
    "GET /v3/webhooks/{webhook}",
    "PUT /v3/webhooks/{webhook}",
    "DELETE /v3/webhooks/{webhook}",
    "POST /v3/webhooks/rotate-secret/{webhook}",
    "PUT /v3/webhooks/{webhook}/rotate-secret",
];

const WEBHOOK: &str = "id:string description:string trigger_types:array webhook_url:string status:string \
    notification_email_addresses:array compressed_delivery:boolean include_junk:boolean pending:integer \
    oldest_pending_at:integer? status_updated_at:integer created_at:integer updated_at:integer";

fn with_secret() -> String {
    format!("{WEBHOOK} webhook_secret:string")
}

fn new(url: &str) -> Value {
    json!({"trigger_types": ["message.created"], "webhook_url": url})
}

async fn make(harness: &Harness, url: &str) -> Value {
    harness.post("/v3/webhooks", &new(url)).await.is_ok().data().clone()
}

#[tokio::test]
async fn receivers_can_ask_from_where_they_are_called() {
    let harness = Harness::new().await;
    let started = harness.world.platform.settings.read_at.as_seconds();
    harness.world.advance(100);
    let answer = harness.get("/v3/webhooks/ip-addresses").await;
    assert_eq!(answer.status, 200);
    let expected = json!({"ip_addresses": ["192.0.2.7", "2001:db8::7"], "updated_at": started});
    assert_eq!(answer.data(), &expected);
    assert!(started > 0);
}

#[tokio::test]
async fn a_webhook_is_made_found_listed_and_removed() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    assert_eq!(harness.get("/v3/webhooks").await.data(), &json!([]));
    let body = json!({"trigger_types": ["message.created", "message.transactional.bounced", "thread.replied"],
        "webhook_url": receiver.url("/hook?a=b"), "description": "Grüße", "notification_email_addresses": ["o@acme.test"]});
    let made = harness.post("/v3/webhooks", &body).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), &with_secret());
    for field in ["trigger_types", "webhook_url", "description", "notification_email_addresses"] {
        assert_eq!(made.data()[field], body[field]);
    }
    assert_eq!(made.data()["status"], "active");
    // The challenge came as the first and only request, with the URL's own query kept.
    let asked = receiver.requests();
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "GET"));
    assert!(asked[0].path.starts_with("/hook?a=b&challenge="), "{}", asked[0].path);

    let id = made.data()["id"].as_str().expect("id");
    let found = harness.get(&format!("/v3/webhooks/{id}")).await;
    assert_shape(found.data(), WEBHOOK);
    let list = harness.get("/v3/webhooks").await;
    assert_shape(&list.json, "request_id:string data:array");
    assert_eq!(list.data(), &json!([found.data()]));

    let removed = harness.delete(&format!("/v3/webhooks/{id}")).await;
    assert_shape(&removed.json, "request_id:string data:object");
    assert_eq!(removed.data(), &json!({"status": "success"}));
    harness.get(&format!("/v3/webhooks/{id}")).await.refuses(404, "not_found", None);
    harness.delete(&format!("/v3/webhooks/{id}")).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let url = receiver.url("/");
    let with = |field: &str, value: Value| {
        let mut body = new(&url);
        body[field] = value;
        body
    };
    for (body, field, says) in [
        (json!({"webhook_url": url}), "trigger_types", "missing field `trigger_types`"),
        (json!({"trigger_types": ["message.created"]}), "webhook_url", "missing field `webhook_url`"),
        (with("trigger_types", json!([])), "trigger_types", "1 to 100 triggers"),
        (with("trigger_types", json!(vec!["message.created"; 101])), "trigger_types", "1 to 100 triggers"),
        (with("trigger_types", json!(["message.exploded"])), "trigger_types", "\"message.exploded\" is not a trigger"),
        (with("trigger_types", json!("message.created")), "trigger_types", "invalid type"),
        (with("description", json!("d".repeat(1_025))), "description", "at most 1024 characters"),
        (with("description", json!("a\0b")), "description", "control characters"),
        (
            with("notification_email_addresses", json!(vec!["a@b.test"; 21])),
            "notification_email_addresses",
            "at most 20",
        ),
        (with("compressed_delivery", json!(true)), "compressed_delivery", "not available yet"),
        (with("webhook_url", json!("not a url")), "webhook_url", "unable.verify.webhook_url : not an absolute URL"),
        (with("webhook_url", json!("")), "webhook_url", "not an absolute URL"),
        (with("webhook_url", json!("ftp://127.0.0.1/")), "webhook_url", "https nor http"),
        (with("webhook_url", json!("http://u:p@127.0.0.1/")), "webhook_url", "user name or password"),
        (with("webhook_url", json!("https://10.0.0.1/")), "webhook_url", "10.0.0.1 is not a public address"),
        (with("webhook_url", json!("https://169.254.169.254/latest")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("https://[::1]/")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("https://0x0a000001/")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("http://192.0.2.1/")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("http://1.1.1.1/")), "webhook_url", "plain http"),
        (
            with("webhook_url", json!(format!("https://x.test/{}", "x".repeat(2_048)))),
            "webhook_url",
            "longer than 2048",
        ),
    ] {
        let answer = harness.post("/v3/webhooks", &body).await;
        answer.refuses(400, "invalid_request", Some(field).filter(|field| *field != ".")).says(says);
    }
    // None of them was asked.
    assert_eq!(receiver.requests().len(), 0);
    let largest = json!({"trigger_types": vec!["message.created"; 100], "webhook_url": url,
        "description": "d".repeat(1_024), "notification_email_addresses": vec!["a@b.test"; 20]});
    harness.post("/v3/webhooks", &largest).await.is_ok();
}

#[tokio::test]
async fn a_receiver_that_does_not_echo_the_challenge_gets_no_webhook() {
    let harness = Harness::new().await;
    for (answer, says) in [
        (HttpResponse::status(404), "unable.verify.webhook_url : status is not ok, got 404"),
        (HttpResponse::status(204), "status is not ok, got 204"),
        (HttpResponse::new(302, &[("Location", "https://example.test/")], b""), "status is not ok, got 302"),
        (HttpResponse::status(200), "not the challenge"),
        (HttpResponse::new(200, &[], b"\"challenge\""), "not the challenge"),
        (HttpResponse::hang_up(), "unable.verify.webhook_url"),
    ] {
        let receiver = FakeHttp::start(move |_| answer.clone()).await;
        let refused = harness.post("/v3/webhooks", &new(&receiver.url("/"))).await;
        refused.refuses(400, "invalid_request", Some("webhook_url")).says(says);
    }
    assert_eq!(harness.get("/v3/webhooks").await.data(), &json!([]));
}

#[tokio::test]
async fn a_url_is_unique_in_its_application() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let first = make(&harness, &receiver.url("/a")).await;
    let again = harness.post("/v3/webhooks", &new(&receiver.url("/a"))).await;
    again.refuses(409, "webhook_url_taken", Some("webhook_url")).says("already exists");
    let theirs = harness.ask(&harness.other.api_key, "POST", "/v3/webhooks", Some(&new(&receiver.url("/a")))).await;
    theirs.is_ok();
    harness.world.advance(1);
    let second = make(&harness, &receiver.url("/b")).await;
    let path = format!("/v3/webhooks/{}", second["id"].as_str().expect("id"));
    let moved = harness.put(&path, &json!({"webhook_url": receiver.url("/a")})).await;
    moved.refuses(409, "webhook_url_taken", Some("webhook_url"));
    assert_eq!(harness.ids("/v3/webhooks").await, [&first["id"], &second["id"]].map(|id| id.as_str().expect("id")));
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    harness.world.advance(60);
    let changed = harness.put(&path, &json!({"description": "new", "trigger_types": ["grant.created"]})).await;
    assert_shape(changed.is_ok().data(), WEBHOOK);
    let data = changed.data();
    assert_eq!((&data["description"], &data["trigger_types"]), (&json!("new"), &json!(["grant.created"])));
    assert_eq!((&data["webhook_url"], &data["created_at"]), (&made["webhook_url"], &made["created_at"]));
    assert_eq!(data["updated_at"], json!(made["updated_at"].as_i64().expect("time") + 60));
    assert_eq!(data["status_updated_at"], made["status_updated_at"]);
    // Nothing that a receiver has to agree to was changed.
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(harness.put(&path, &json!({})).await.is_ok().data()["description"], "new");
    harness.put(&path, &json!({"status": "failed"})).await.refuses(400, "invalid_request", Some("status"));
    harness.put(&path, &json!({"trigger_types": []})).await.refuses(400, "invalid_request", Some("trigger_types"));
}

#[tokio::test]
async fn pausing_asks_nobody_and_activating_asks_the_receiver() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    for spelling in ["pause", "paused", "inactive"] {
        let paused = harness.put(&path, &json!({"status": spelling})).await;
        assert_eq!(paused.is_ok().data()["status"], "pause");
    }
    assert_eq!(receiver.requests().len(), 1);
    let active = harness.put(&path, &json!({"status": "active"})).await;
    assert_eq!((&active.is_ok().data()["status"], receiver.requests().len()), (&json!("active"), 2));
}

#[tokio::test]
async fn a_new_url_must_echo_the_challenge_too() {
    let harness = Harness::new().await;
    let (old, new) = (receiver().await, FakeHttp::start(|_| HttpResponse::status(500)).await);
    let made = make(&harness, &old.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    let refused = harness.put(&path, &json!({"webhook_url": new.url("/")})).await;
    refused.refuses(400, "invalid_request", Some("webhook_url")).says("got 500");
    assert_eq!(harness.get(&path).await.data()["webhook_url"], made["webhook_url"]);
}

#[tokio::test]
async fn a_secret_is_shown_when_it_is_new_and_never_again() {
    let harness = Harness::new().await;
    let receiver = FakeHttp::start(echo).await;
    let made = make(&harness, &receiver.url("/")).await;
    let id = made["id"].as_str().expect("id");
    let mut secrets = vec![made["webhook_secret"].as_str().expect("secret").to_owned()];
    for (method, path) in [("POST", format!("rotate-secret/{id}")), ("PUT", format!("{id}/rotate-secret"))] {
        let rotated = harness.ask(&harness.acme.api_key, method, &format!("/v3/webhooks/{path}"), None).await;
        assert_shape(rotated.is_ok().data(), &with_secret());
        let secret = rotated.data()["webhook_secret"].as_str().expect("secret").to_owned();
        assert!(secret.len() >= 43 && !secrets.contains(&secret));
        secrets.push(secret);
        assert_shape(harness.get(&format!("/v3/webhooks/{id}")).await.data(), WEBHOOK);
    }
    assert_eq!(ids(&harness.get("/v3/webhooks").await), [id]);
}
