//! `GET /v3/grants/{grant}/limits`.

use crate::support::{Harness, assert_shape};
use postfleet_testkit::world::{BEGINNING, NewTenant};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/limits"];

const SHAPE: &str = "grant_id:string plan:string workspace_id:string? policy_id:string? raise:object? recovery_ramp:object? limits:object daily_sends:object";

fn in_force(value: impl Into<Value>, source: &str) -> Value {
    json!({"value": value.into(), "source": source})
}

#[tokio::test]
async fn without_a_policy_every_limit_is_the_plans() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let answer = harness.get(&harness.at("/limits")).await;
    let data = answer.is_ok().data();
    assert_shape(data, SHAPE);
    assert_eq!((&data["grant_id"], &data["plan"]), (&json!(harness.agent), &json!("free")));
    assert_eq!(data["workspace_id"], harness.acme.workspace_id.to_string());
    assert_eq!(data["policy_id"], Value::Null);
    let expected = json!({
        "limit_attachment_size_limit": in_force(52_428_800, "plan"),
        "limit_attachment_count_limit": in_force(10, "plan"),
        "limit_attachment_allowed_types": in_force(json!([]), "plan"),
        "limit_size_total_mime": in_force(52_428_800, "plan"),
        "limit_storage_total": in_force(3_221_225_472_i64, "plan"),
        "limit_count_daily_message_received": in_force(-1, "plan"),
        "limit_count_daily_email_sent": in_force(200, "plan"),
        "limit_inbox_retention_period": in_force(30, "plan"),
        "limit_spam_retention_period": in_force(7, "plan"),
    });
    assert_eq!(data["limits"], expected);
    let midnight = BEGINNING.as_seconds() + 14 * 3_600;
    assert_eq!(data["daily_sends"], json!({"used": 0, "remaining": 200, "resets_at": midnight}));
}

#[tokio::test]
async fn each_limit_says_whether_the_policy_sets_it() {
    let new = NewTenant { plan: "free", daily_sends_max: Some(50), ..NewTenant::of("acme.test") };
    let harness = Harness::with(new).await;
    let policy = harness.ids("/v3/policies").await[0].clone();
    let body = json!({"limits": {"limit_attachment_count_limit": 10, "limit_attachment_allowed_types": ["image/*"],
        "limit_count_daily_message_received": 9}});
    harness.put(&format!("/v3/policies/{policy}"), &body).await.is_ok();
    let answer = harness.get(&harness.at("/limits")).await;
    let data = answer.is_ok().data();
    assert_eq!(data["policy_id"], policy);
    for (field, expected) in [
        ("limit_count_daily_email_sent", in_force(50, "policy")),
        // Also where it says the same as the plan.
        ("limit_attachment_count_limit", in_force(10, "policy")),
        ("limit_attachment_allowed_types", in_force(json!(["image/*"]), "policy")),
        ("limit_count_daily_message_received", in_force(9, "policy")),
        ("limit_storage_total", in_force(3_221_225_472_i64, "plan")),
        ("limit_spam_retention_period", in_force(7, "plan")),
    ] {
        assert_eq!(data["limits"][field], expected, "{field}");
    }
}

#[tokio::test]
async fn what_is_used_is_what_sends_are_held_against() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") }).await;
    let daily = async || harness.get(&harness.at("/limits")).await.data()["daily_sends"].clone();
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    for used in 1..=2 {
        harness.post(&harness.at("/messages/send"), &body).await.is_ok();
        assert_eq!((&daily().await["used"], &daily().await["remaining"]), (&json!(used), &json!(2 - used)));
    }
    let refused = harness.post(&harness.at("/messages/send"), &body).await;
    refused.refuses(429, "daily_quota_exceeded", None);
    assert_eq!(daily().await["used"], refused.json["error"]["used"]);
    assert_eq!(daily().await["resets_at"], refused.json["error"]["resets_at"]);
    // A new day.
    harness.world.advance(14 * 3_600);
    assert_eq!((&daily().await["used"], &daily().await["remaining"]), (&json!(0), &json!(2)));
}

#[tokio::test]
async fn without_a_limit_nothing_remains_to_be_counted_down() {
    let harness = Harness::new().await;
    let answer = harness.get(&harness.at("/limits")).await;
    assert_eq!(answer.data()["daily_sends"]["remaining"], Value::Null);
    assert_eq!(answer.data()["limits"]["limit_count_daily_email_sent"], in_force(-1, "plan"));
}
