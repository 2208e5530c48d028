//! `/v3/alerts/send`: rules by which an application is told that a rate is beyond a line.

use super::queue::with_peer;
use super::send_metrics::{peer, send_and_deliver, sum_up};
use crate::support::{Harness, NOBODY, assert_shape, receiver};
use postfleet_mailflow::{figures, webhooks};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/alerts/send",
    "POST /v3/alerts/send",
    "GET /v3/alerts/send/{alert_rule}",
    "PUT /v3/alerts/send/{alert_rule}",
    "DELETE /v3/alerts/send/{alert_rule}",
];

const RULE: &str = "id:string name:string metric:string threshold:number window_hours:integer min_volume:integer \
    state:string last_value:number? last_volume:integer? last_evaluated_at:integer? last_triggered_at:integer? \
    created_at:integer updated_at:integer";

/// What the duty does once.
async fn watch(harness: &Harness) {
    harness.world.advance(300);
    sum_up(harness).await;
    figures::watch_once(&harness.world.platform).await.expect("watched");
}

async fn triggered(harness: &Harness) -> Vec<Value> {
    let events = harness.get("/v3/events?type=alert.triggered").await;
    events.is_ok().data().as_array().expect("events").clone()
}

#[tokio::test]
async fn a_rule_is_made_found_listed_changed_and_removed() {
    let harness = Harness::new().await;
    let made = harness.post("/v3/alerts/send", &json!({"metric": "bounce_rate", "threshold": 0.05})).await;
    assert_shape(made.is_ok().data(), RULE);
    let said = ["name", "threshold", "window_hours", "min_volume", "state"].map(|name| made.data()[name].clone());
    assert_eq!(said, [json!("bounce_rate"), json!(0.05), json!(24), json!(100), json!("pending")]);
    let path = format!("/v3/alerts/send/{}", made.data()["id"].as_str().expect("id"));
    assert_eq!(harness.get(&path).await.data(), made.data());
    assert_eq!(harness.get("/v3/alerts/send").await.data(), &json!([made.data()]));
    // People who are told are another thing.
    assert_eq!(harness.get("/v3/alerts").await.is_ok().data(), &json!([]));
    let changed = harness.put(&path, &json!({"name": "Ours", "threshold": 0.1, "window_hours": 2})).await;
    let said = ["name", "metric", "threshold", "window_hours"].map(|name| changed.is_ok().data()[name].clone());
    assert_eq!(said, [json!("Ours"), json!("bounce_rate"), json!(0.1), json!(2)]);
    harness.ask(&harness.other.api_key, "GET", &path, None).await.refuses(404, "not_found", None);
    harness.ask(&harness.other.api_key, "PUT", &path, Some(&json!({"name": "x"}))).await.refuses(
        404,
        "not_found",
        None,
    );
    harness.delete(&path).await.is_ok();
    harness.delete(&path).await.refuses(404, "not_found", None);
    let text = harness.get("/v3/audit").await.json.to_string();
    for action in ["alert_rule.created", "alert_rule.updated", "alert_rule.removed"] {
        assert!(text.contains(action), "{action}");
    }
}

#[tokio::test]
async fn crossing_the_line_is_told_once_until_the_rate_was_within_again() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    let hook = receiver().await;
    let body = json!({"webhook_url": hook.url("/hook"), "trigger_types": ["alert.triggered"]});
    harness.post("/v3/webhooks", &body).await.is_ok();
    let chat = receiver().await;
    let body = json!({"type": "chat", "url": chat.url("/"), "trigger_types": ["alert.triggered"]});
    harness.post("/v3/alerts", &body).await.is_ok();
    let rule =
        json!({"name": "Bounces", "metric": "bounce_rate", "threshold": 0.2, "window_hours": 1, "min_volume": 5});
    let made = harness.post("/v3/alerts/send", &rule).await;
    let path = format!("/v3/alerts/send/{}", made.is_ok().data()["id"].as_str().expect("id"));
    send_and_deliver(&harness, 2, 2).await;
    watch(&harness).await;
    let rule = harness.get(&path).await;
    assert_eq!((&rule.data()["state"], &rule.data()["last_volume"]), (&json!("insufficient_data"), &json!(4)));
    assert_eq!(triggered(&harness).await.len(), 0);
    send_and_deliver(&harness, 4, 0).await;
    watch(&harness).await;
    watch(&harness).await;
    let rule = harness.get(&path).await;
    assert_shape(rule.data(), RULE);
    assert_eq!((&rule.data()["state"], &rule.data()["last_value"]), (&json!("firing"), &json!(0.25)));
    let events = triggered(&harness).await;
    assert_eq!(events.len(), 1, "{events:?}");
    // It is told to whoever wants to know, as a thing of no mailbox.
    harness.world.platform.store.wake().webhooks.notify_one();
    for mut hook in webhooks::lease(&harness.world.platform).await.expect("leased") {
        webhooks::round(&harness.world.platform, &mut hook).await.expect("round");
    }
    let told = hook.requests();
    let body: Value = serde_json::from_slice(&told.last().expect("told").body).expect("JSON");
    assert_eq!((&body["type"], &body["source"]), (&json!("alert.triggered"), &json!("/nylas/system")));
    let object = &body["data"]["object"];
    assert_eq!(
        (&object["status"], &object["grant_id"], &object["value"]),
        (&json!("firing"), &json!(""), &json!(0.25))
    );
    assert_eq!((&object["rule"]["name"], &object["volume"]), (&json!("Bounces"), &json!(8)));
    assert!(body["data"]["grant_id"].as_str().unwrap_or_default().is_empty());
    let said: Value = serde_json::from_slice(&chat.requests().last().expect("told").body).expect("JSON");
    let text = said["text"].as_str().expect("text");
    assert!(text.starts_with("Bounces: 25 % of recipients are not there in the last 1 hours (8"), "{text}");
    // Within again, and beyond again.
    send_and_deliver(&harness, 20, 0).await;
    watch(&harness).await;
    assert_eq!(harness.get(&path).await.data()["state"], "ok");
    send_and_deliver(&harness, 0, 10).await;
    watch(&harness).await;
    assert_eq!(triggered(&harness).await.len(), 2);
    // What is out of the window is not seen any more.
    harness.world.advance(2 * 3_600);
    watch(&harness).await;
    assert_eq!(harness.get(&path).await.data()["state"], "insufficient_data");
}

#[tokio::test]
async fn every_refusal_names_its_field_and_there_are_twenty_at_most() {
    let harness = Harness::new().await;
    let good = json!({"metric": "delivery_rate", "threshold": 0.9});
    for (change, field) in [
        (json!({"metric": null}), "metric"),
        (json!({"metric": "open_rate"}), "metric"),
        (json!({"threshold": null}), "threshold"),
        (json!({"threshold": 0}), "threshold"),
        (json!({"threshold": 1.1}), "threshold"),
        (json!({"threshold": -1}), "threshold"),
        (json!({"window_hours": 0}), "window_hours"),
        (json!({"window_hours": 25}), "window_hours"),
        (json!({"min_volume": 0}), "min_volume"),
        (json!({"min_volume": 1_000_001}), "min_volume"),
        (json!({"name": ""}), "name"),
        (json!({"name": "n".repeat(257)}), "name"),
    ] {
        let mut body = good.clone();
        body.as_object_mut().expect("object").extend(change.as_object().expect("object").clone());
        harness.post("/v3/alerts/send", &body).await.refuses(400, "invalid_request", Some(field));
    }
    for _ in 0..20 {
        harness.post("/v3/alerts/send", &good).await.is_ok();
    }
    harness.post("/v3/alerts/send", &good).await.refuses(409, "alert_rules_max_reached", None);
    harness.get(&format!("/v3/alerts/send/{NOBODY}")).await.refuses(404, "not_found", None);
    harness.get("/v3/alerts/send/send").await.refuses(404, "not_found", None);
}
