//! `/v3/alerts`.

use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/alerts",
    "POST /v3/alerts",
    "GET /v3/alerts/{alert}",
    "DELETE /v3/alerts/{alert}",
    "POST /v3/alerts/{alert}/test",
    "GET /v3/alerts/{alert}/deliveries",
];

const ALERT: &str = "id:string type:string email:string? from_grant_id:string? url_host:string? trigger_types:array \
    workspace_id:string? description:string created_at:integer";

#[tokio::test]
async fn an_alert_is_made_found_listed_tested_and_removed() {
    let harness = Harness::new().await;
    let chat = FakeHttp::start(|_| HttpResponse::status(200)).await;
    let body = json!({"type": "chat", "url": chat.url("/services/secret"), "description": "ops"});
    let made = harness.post("/v3/alerts", &body).await;
    assert_shape(made.is_ok().data(), ALERT);
    assert_eq!(made.data()["url_host"], chat.address().to_string());
    assert!(!made.json.to_string().contains("secret"), "the address is a password");
    let usual = json!(["quota.warning", "quota.reached", "quota.exceeded", "raise.requested", "recovery.requested"]);
    assert_eq!(made.data()["trigger_types"], usual);
    let path = format!("/v3/alerts/{}", made.data()["id"].as_str().expect("id"));
    assert_eq!(harness.get(&path).await.data(), made.data());
    assert_eq!(harness.get("/v3/alerts").await.data(), &json!([made.data()]));
    // It is no webhook.
    assert_eq!(harness.get("/v3/webhooks").await.data(), &json!([]));
    let as_webhook = path.replace("alerts", "webhooks");
    harness.get(&as_webhook).await.refuses(404, "not_found", None);
    harness.delete(&as_webhook).await.refuses(404, "not_found", None);
    let tested = harness.post(&format!("{path}/test"), &json!({})).await;
    assert_eq!(tested.is_ok().data(), &json!({"delivered": true, "detail": null}));
    let told = chat.requests();
    assert_eq!((told.len(), told[0].path.as_str()), (1, "/services/secret"));
    let said: Value = serde_json::from_slice(&told[0].body).expect("JSON");
    assert_eq!(said, json!({"text": "postfleet: this is a test of an alert"}));
    harness.delete(&path).await.is_ok();
    harness.delete(&path).await.refuses(404, "not_found", None);
    let records = harness.get("/v3/audit").await;
    let text = records.json.to_string();
    assert!(text.contains("alert.created") && text.contains("alert.removed") && !text.contains("secret"));
}

#[tokio::test]
async fn mail_goes_through_the_one_door_and_says_that_nobody_wrote_it() {
    let harness = Harness::new().await;
    let body = json!({"type": "email", "email": "agent@other.test", "from_grant_id": "agent@acme.test"});
    let made = harness.post("/v3/alerts", &body).await;
    assert_shape(made.is_ok().data(), ALERT);
    assert_eq!(made.data()["from_grant_id"], harness.agent);
    let path = format!("/v3/alerts/{}/test", made.data()["id"].as_str().expect("id"));
    assert_eq!(harness.post(&path, &json!({})).await.is_ok().data()["delivered"], true);
    harness.world.deliver_due().await;
    let inbox = format!("/v3/grants/{}/messages?fields=include_headers", harness.stranger);
    let inbox = harness.ask(&harness.other.api_key, "GET", &inbox, None).await;
    let message = &inbox.is_ok().data()[0];
    assert_eq!(message["subject"], "postfleet: this is a test of an alert");
    let marked = json!({"name": "Auto-Submitted", "value": "auto-generated"});
    assert!(message["headers"].as_array().expect("headers").contains(&marked), "{message}");
}

#[tokio::test]
async fn a_test_says_why_it_was_not_taken() {
    let harness = Harness::new().await;
    let chat = FakeHttp::start(|_| HttpResponse::status(404)).await;
    let made = harness.post("/v3/alerts", &json!({"type": "chat", "url": chat.url("/")})).await;
    let path = format!("/v3/alerts/{}/test", made.is_ok().data()["id"].as_str().expect("id"));
    let tested = harness.post(&path, &json!({})).await;
    assert_eq!(tested.data(), &json!({"delivered": false, "detail": "the chat answered with status 404"}));
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let chat = FakeHttp::start(|_| HttpResponse::status(200)).await;
    let good = json!({"type": "chat", "url": chat.url("/")});
    for (change, field) in [
        (json!({"type": null}), "type"),
        (json!({"type": "sms"}), "type"),
        (json!({"url": null}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"url": "ftp://x.test/"}), "url"),
        (json!({"url": "x".repeat(2_049)}), "url"),
        (json!({"type": "email"}), "email"),
        (json!({"type": "email", "email": "x"}), "email"),
        (json!({"type": "email", "email": "a@b.test"}), "from_grant_id"),
        (json!({"type": "email", "email": "a@b.test", "from_grant_id": harness.stranger}), "from_grant_id"),
        (json!({"trigger_types": []}), "trigger_types"),
        (json!({"trigger_types": ["message.created"]}), "trigger_types"),
        (json!({"workspace_id": NOBODY}), "workspace_id"),
        (json!({"workspace_id": harness.other.workspace_id.to_string()}), "workspace_id"),
        (json!({"description": "d".repeat(257)}), "description"),
        (json!({"description": "a\nb"}), "description"),
    ] {
        let mut body = good.clone();
        body.as_object_mut().expect("object").extend(change.as_object().expect("object").clone());
        harness.post("/v3/alerts", &body).await.refuses(400, "invalid_request", Some(field));
    }
    assert_eq!(harness.get("/v3/alerts").await.data(), &json!([]));
    for _ in 0..100 {
        harness.post("/v3/alerts", &good).await.is_ok();
    }
    harness.post("/v3/alerts", &good).await.refuses(409, "alerts_max_reached", None);
}
