//! `/v3/domains/{domain}/warm-up`, and the same below `/v3/admin/domains`.

use crate::support::{Harness, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/domains/{domain}/warm-up",
    "PUT /v3/domains/{domain}/warm-up",
    "DELETE /v3/domains/{domain}/warm-up",
    "GET /v3/admin/domains/{domain}/warm-up",
    "PUT /v3/admin/domains/{domain}/warm-up",
    "DELETE /v3/admin/domains/{domain}/warm-up",
];

const WARM_UP: &str = "domain_id:string state:string target_per_day:integer? start_cap:integer? day:integer? \
    limit:integer? used:integer? remaining:integer? resets_at:integer? started_at:integer? ends_at:integer? caps:array";

const PATH: &str = "/v3/domains/acme.test/warm-up";

fn message(number: u64) -> Value {
    json!({"to": [{"email": "ada@sender.test"}], "subject": format!("Hello {number}"), "body": "Hi"})
}

#[tokio::test]
async fn a_new_domain_sends_little_at_first_and_says_how_much() {
    let harness = Harness::new().await;
    let operate = async |method, path, body: Option<Value>| {
        harness.ask(&harness.acme.operator_key, method, path, body.as_ref()).await
    };
    let off = operate("GET", PATH, None).await;
    assert_shape(off.is_ok().data(), WARM_UP);
    assert_eq!(
        (&off.data()["state"], &off.data()["caps"]),
        (&json!("off"), &json!([])),
        "nothing is warmed up unasked"
    );

    let begun = operate("PUT", PATH, Some(json!({"target_per_day": 100}))).await;
    assert_shape(begun.is_ok().data(), WARM_UP);
    let data = begun.data();
    assert_eq!((&data["state"], &data["day"], &data["limit"]), (&json!("warming"), &json!(1), &json!(2)));
    let caps = data["caps"].as_array().expect("caps");
    assert_eq!((caps.len(), &caps[0], &caps[27]), (28, &json!(2), &json!(100)));
    let now = harness.world.platform.clock.now();
    let midnight = now.day().end().as_seconds();
    assert_eq!(data["resets_at"], midnight);
    assert_eq!(data["ends_at"], now.day().start().as_seconds() + 28 * 86_400);

    let path = harness.at("/messages/send");
    for number in 0..2 {
        harness.post(&path, &message(number)).await.is_ok();
    }
    let refused = harness.post(&path, &message(2)).await;
    refused.refuses(429, "domain_warm_up_exceeded", None).says("may send 2 messages on day 1 of 28");
    let error = &refused.json["error"];
    let told = (&error["scope"], &error["limit"], &error["used"], &error["resets_at"], &error["retryable"]);
    assert_eq!(told, (&json!("domain"), &json!(2), &json!(2), &json!(midnight), &json!(true)));
    let used = operate("GET", "/v3/admin/domains/acme.test/warm-up", None).await;
    assert_eq!((&used.data()["used"], &used.data()["remaining"]), (&json!(2), &json!(0)));
    let explained = harness.get(&harness.at("/explain")).await;
    assert!(explained.is_ok().data().to_string().contains("domain_warm_up_exceeded"), "{}", explained.json);

    // A workspace that holds what is over its quota holds this, too, and it leaves when there is room again.
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"on_quota": "hold"})).await.is_ok();
    let held = harness.post(&path, &message(3)).await;
    assert_eq!((held.status, &held.json["hold"]["reason"]), (202, &json!("quota")), "{}", held.json);

    let ended = operate("DELETE", PATH, None).await;
    assert_shape(&ended.is_ok().json, "request_id:string");
    assert_eq!(operate("GET", PATH, None).await.data()["state"], "off");
    harness.post(&path, &message(4)).await.is_ok();
}

#[tokio::test]
async fn what_is_no_warm_up_is_refused_by_field() {
    let harness = Harness::new().await;
    let put = async |body: Value| harness.ask(&harness.acme.operator_key, "PUT", PATH, Some(&body)).await;
    for target in [99, 10_000_001] {
        put(json!({"target_per_day": target})).await.refuses(400, "invalid_request", Some("target_per_day"));
    }
    for start in [0, 6, 77] {
        let refused = put(json!({"target_per_day": 1_000, "start_cap": start})).await;
        refused.refuses(400, "invalid_request", Some("start_cap")).says("start_cap must be 7 to 76");
    }
    for start in [7, 76] {
        let set = put(json!({"target_per_day": 1_000, "start_cap": start})).await;
        assert_eq!(set.is_ok().data()["caps"][0], start);
    }
    assert_eq!(put(json!({"target_per_day": -1})).await.status, 400);
    assert_eq!(put(json!({})).await.status, 400);
}
