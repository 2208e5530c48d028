//! `/v3/admin/service-accounts`, and requests that a service account signed. `signed_requests.json` was written by the
//! signers of the official Python and Node clients.

use crate::support::{Answer, Harness, NOBODY, assert_shape, ids};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_core::audit::Act;
use postfleet_core::id::AuditId;
use postfleet_store::service_accounts::{CreateServiceAccount, PruneNonces, ServiceAccount};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/admin/service-accounts",
    "POST /v3/admin/service-accounts",
    "DELETE /v3/admin/service-accounts/{account}",
];

const ACCOUNT: &str = "id:string name:string private_key_id:string organization_id:string region:string \
    permissions:array status:string last_used_at:integer? created_at:integer";
const FILE: &str = "type:string private_key_id:string private_key:string organization_id:string region:string \
    permissions:array id:string name:string";

const ALL: &str = "/v3/admin/service-accounts";

/// What the official clients signed.
struct Recorded {
    json: Value,
}

impl Recorded {
    fn read() -> Self {
        Self { json: serde_json::from_str(include_str!("signed_requests.json")).expect("JSON") }
    }

    fn requests(&self) -> &[Value] {
        self.json["requests"].as_array().expect("list")
    }

    /// The account whose key signed, in the first organization.
    async fn account(&self, harness: &Harness, permissions: &[&str]) {
        let platform = &harness.world.platform;
        let (id, at) = (harness.acme.organization_id, platform.clock.now());
        let account = ServiceAccount {
            id: self.json["key_id"].as_str().expect("id").parse().expect("id"),
            organization_id: id,
            name: "recorded".to_owned(),
            public_key: STANDARD.decode(self.json["public_key"].as_str().expect("key")).expect("base64"),
            permissions: permissions.iter().map(|word| (*word).to_owned()).collect(),
            revoked_at: None,
            last_used_at: None,
            created_at: at,
        };
        let act = Act::of_command_line(AuditId::new(at, platform.entropy.ten()), id, at);
        assert!(platform.store.run(CreateServiceAccount { account, act }).await.expect("account"));
    }

    /// The header fields of a request.
    fn headers(&self, request: &Value) -> Vec<(&'static str, String)> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        vec![
            ("X-Nylas-Kid", text(&self.json["key_id"])),
            ("X-Nylas-Timestamp", self.json["timestamp"].to_string()),
            ("X-Nylas-Nonce", text(&request["nonce"])),
            ("X-Nylas-Signature", text(&request["signature"])),
        ]
    }

    async fn send(&self, harness: &Harness, request: &Value) -> Answer {
        send(harness, request, &self.headers(request)).await
    }
}

async fn send(harness: &Harness, request: &Value, headers: &[(&'static str, String)]) -> Answer {
    let text = |field: &str| request[field].as_str().unwrap_or_default();
    let mut builder = Request::builder().method(text("method")).uri(format!("{}{}", text("path"), text("query")));
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    if request["body"].is_string() {
        builder = builder.header("content-type", "application/json");
    }
    harness.request(builder.body(Body::from(text("body").to_owned())).expect("request")).await
}

#[tokio::test]
async fn what_official_clients_sign_is_taken() {
    let harness = Harness::new().await;
    let recorded = Recorded::read();
    recorded.account(&harness, &["*"]).await;
    assert_eq!(recorded.requests().len(), 9);
    for request in recorded.requests() {
        let answer = recorded.send(&harness, request).await;
        assert_eq!(json!(answer.status), request["status"], "{request} {}", answer.json);
    }
    // The body arrived as it was signed.
    let list = harness.administer("GET", "/v3/admin/applications", None).await;
    let names: Vec<_> = list.data().as_array().expect("list").iter().map(|item| item["name"].clone()).collect();
    assert!(names.contains(&json!("Grüße \"q\" \\ 🦀")) && names.contains(&json!("Node 🦀")), "{names:?}");
    let seen = harness.administer("GET", ALL, None).await;
    assert_eq!(seen.data()[0]["last_used_at"], recorded.json["timestamp"]);
}

#[tokio::test]
async fn a_nonce_is_good_for_one_request() {
    let harness = Harness::new().await;
    let recorded = Recorded::read();
    recorded.account(&harness, &["*"]).await;
    let request = &recorded.requests()[0];
    recorded.send(&harness, request).await.is_ok();
    recorded.send(&harness, request).await.refuses(401, "nonce_used", None);
    // Nonces are kept as long as their requests would be taken, and no longer.
    let store = &harness.world.platform.store;
    let prune = async || {
        let now = harness.world.platform.clock.now();
        store.run(PruneNonces { now, limit: 10 }).await.expect("prune")
    };
    harness.world.advance(300);
    assert_eq!(prune().await, 0);
    recorded.send(&harness, request).await.refuses(401, "nonce_used", None);
    harness.world.advance(1);
    assert_eq!(prune().await, 1);
    recorded.send(&harness, request).await.refuses(401, "signature_expired", None);
}

#[tokio::test]
async fn the_clock_may_differ_by_five_minutes() {
    let recorded = Recorded::read();
    for (sent_at, expected) in [(300, true), (301, false)] {
        let harness = Harness::new().await;
        recorded.account(&harness, &["*"]).await;
        harness.world.advance(sent_at);
        let answer = recorded.send(&harness, &recorded.requests()[0]).await;
        assert_eq!(answer.status == 200, expected, "{sent_at}: {}", answer.json);
    }
    // A time that was not signed is no better.
    let harness = Harness::new().await;
    recorded.account(&harness, &["*"]).await;
    let request = &recorded.requests()[0];
    for (time, code) in [
        ("1772445300", "invalid_signature"),
        ("1772445299", "signature_expired"),
        ("1772445900", "invalid_signature"),
        ("1772445901", "signature_expired"),
        ("9223372036854775807", "signature_expired"),
        ("-9223372036854775808", "signature_expired"),
        ("now", "invalid_signature"),
    ] {
        let mut headers = recorded.headers(request);
        headers[1].1 = time.to_owned();
        send(&harness, request, &headers).await.refuses(401, code, None);
    }
}

#[tokio::test]
async fn whatever_is_changed_on_the_way_is_noticed() {
    let harness = Harness::new().await;
    let recorded = Recorded::read();
    recorded.account(&harness, &["*"]).await;
    let request = &recorded.requests()[1];
    let with = |field: &str, value: &str| {
        let mut changed = request.clone();
        changed[field] = json!(value);
        changed
    };
    let body = request["body"].as_str().expect("body");
    for changed in [
        with("method", "GET"),
        with("path", "/v3/admin/keys"),
        with("body", ""),
        with("body", &body.replace("sandbox", "staging")),
        with("body", &format!("{body} ")),
        with("body", &body.replace(',', ", ")),
        with("nonce", "pythonNonce000000002"),
        with("nonce", &"n".repeat(129)),
        with("nonce", "a b"),
        with("signature", "AAAA"),
        with("signature", "%%%"),
        with("signature", recorded.requests()[0]["signature"].as_str().expect("signature")),
    ] {
        let answer = send(&harness, &changed, &recorded.headers(&changed)).await;
        answer.refuses(401, "invalid_signature", None);
        assert_eq!(answer.json["error"]["type"], "unauthorized");
    }
    // The path as it was sent, and not what it means.
    let mut respelled = recorded.requests()[6].clone();
    respelled["path"] = json!("/v3/admin/applications/a%20b%2Fc");
    send(&harness, &respelled, &recorded.headers(&respelled)).await.refuses(401, "invalid_signature", None);
    for kid in [NOBODY, "someone", "0195571A-0000-7000-8000-0000000000AB"] {
        let mut headers = recorded.headers(request);
        headers[0].1 = kid.to_owned();
        send(&harness, request, &headers).await.refuses(401, "invalid_signature", None);
    }
    for missing in 0..4 {
        let mut headers = recorded.headers(request);
        headers.remove(missing);
        send(&harness, request, &headers).await.refuses(401, "invalid_api_key", None);
    }
    // None of them was carried out, and none used up the nonce.
    recorded.send(&harness, request).await.is_ok();
}

#[tokio::test]
async fn the_body_is_read_up_to_a_limit() {
    let harness = Harness::new().await;
    let recorded = Recorded::read();
    recorded.account(&harness, &["*"]).await;
    let mut request = recorded.requests()[1].clone();
    request["body"] = json!("x".repeat(1 << 20));
    recorded.send(&harness, &request).await.refuses(401, "invalid_signature", None);
    request["body"] = json!("x".repeat((1 << 20) + 1));
    recorded.send(&harness, &request).await.refuses(413, "body_too_large", None);
}

#[tokio::test]
async fn an_account_does_what_its_permissions_say_in_its_organization_until_it_is_revoked() {
    let harness = Harness::new().await;
    let recorded = Recorded::read();
    recorded.account(&harness, &["applications.read", "organizations.write"]).await;
    recorded.send(&harness, &recorded.requests()[0]).await.is_ok();
    recorded.send(&harness, &recorded.requests()[1]).await.refuses(403, "insufficient_scopes", None);
    // A key goes before a signature.
    let mut headers = recorded.headers(&recorded.requests()[0]);
    headers.push(("authorization", "Bearer pf_op_none".to_owned()));
    send(&harness, &recorded.requests()[0], &headers).await.refuses(401, "invalid_api_key", None);

    let one = format!("{ALL}/{}", recorded.json["key_id"].as_str().expect("id"));
    let stranger = harness.administer("DELETE", &format!("{ALL}/{NOBODY}"), None).await;
    stranger.refuses(404, "not_found", None);
    assert_shape(&harness.administer("DELETE", &one, None).await.is_ok().json, "request_id:string");
    harness.administer("DELETE", &one, None).await.is_ok();
    recorded.send(&harness, &recorded.requests()[6]).await.refuses(401, "invalid_signature", None);
    assert_eq!(harness.administer("GET", ALL, None).await.data()[0]["status"], "revoked");
}

#[tokio::test]
async fn the_file_is_shown_once() {
    let harness = Harness::new().await;
    let made = harness.administer("POST", ALL, Some(&json!({"name": "CI", "permissions": ["domains.*"]}))).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), FILE);
    let data = made.data();
    assert_eq!(
        (&data["type"], &data["region"], &data["id"]),
        (&json!("service_account"), &json!("us"), &data["private_key_id"])
    );
    let key = data["private_key"].as_str().expect("key");
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n") && key.ends_with("\n-----END PRIVATE KEY-----\n"));
    assert!(key.lines().all(|line| line.len() <= 64), "{key}");
    let list = harness.administer("GET", ALL, None).await;
    assert_shape(&list.data()[0], ACCOUNT);
    assert_eq!((ids(&list).len(), &list.data()[0]["status"]), (1, &json!("active")));
    // Nobody gives away more than they have.
    let maker = harness.operator(&["keys.*"]).await;
    let refused = harness.ask(&maker, "POST", ALL, Some(&json!({"name": "x", "permissions": ["*"]}))).await;
    refused.refuses(403, "permission_exceeds_maker", Some("permissions"));
    for (body, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": "x", "permissions": ["fly"]}), "permissions"),
        (json!({"name": "x", "organization_id": NOBODY}), "organization_id"),
    ] {
        harness.administer("POST", ALL, Some(&body)).await.refuses(400, "invalid_request", Some(field));
    }
    let other = harness.ask(&harness.other.operator_key, "GET", ALL, None).await;
    assert_eq!(other.data(), &json!([]));
}
