//! `/v3/workspaces/{workspace}/breakers`.

use crate::support::{Answer, Harness, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/workspaces/{workspace}/breakers",
    "PUT /v3/workspaces/{workspace}/breakers",
    "DELETE /v3/workspaces/{workspace}/breakers",
];

const BREAKER: &str = "metric:string threshold:number min_volume:integer? action:string throttle_to:integer? \
    enabled:boolean platform:object worst:array";

fn path(harness: &Harness) -> String {
    format!("/v3/workspaces/{}/breakers", harness.acme.workspace_id)
}

async fn set(harness: &Harness, breakers: Value) -> Answer {
    harness.put(&path(harness), &json!({"breakers": breakers})).await
}

async fn send(harness: &Harness, number: usize) -> Answer {
    let body =
        json!({"to": [{"email": format!("r{number}@sender.test")}], "subject": "s", "body": format!("{number}")});
    harness.post(&harness.at("/messages/send"), &body).await
}

/// What the latest event of that name says.
async fn event(harness: &Harness, name: &str) -> Value {
    let events = harness.get("/v3/events?limit=200").await;
    let all = events.is_ok().data().as_array().expect("events").clone();
    all.iter().find(|event| event["type"] == name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn breakers_are_shown_beside_the_lines_of_the_platform() {
    let harness = Harness::new().await;
    let none = harness.get(&path(&harness)).await;
    assert_eq!(none.is_ok().data(), &json!({"workspace_id": harness.acme.workspace_id.to_string(), "breakers": []}));
    let answer = set(
        &harness,
        json!([
            {"metric": "bounce_rate", "threshold": 2.5, "action": "hold"},
            {"metric": "complaint_rate", "threshold": 0.05, "min_volume": 20, "action": "pause"},
            {"metric": "replies_per_thread_per_day", "threshold": 10, "action": "alert", "enabled": false},
            {"metric": "sends_per_hour", "threshold": 5, "action": "throttle", "throttle_to": 2},
        ]),
    )
    .await;
    let breakers = answer.is_ok().data()["breakers"].as_array().expect("breakers").clone();
    breakers.iter().for_each(|breaker| assert_shape(breaker, BREAKER));
    let of = |index: usize, name: &str| breakers[index][name].clone();
    assert_eq!((of(0, "threshold"), of(0, "min_volume"), of(0, "enabled")), (json!(2.5), json!(100), json!(true)));
    assert_eq!(of(0, "platform"), json!({"review": 5.0, "pause": 10.0, "hold": null}));
    assert_eq!(of(1, "platform"), json!({"review": 0.1, "pause": 0.5, "hold": null}));
    assert_eq!((of(1, "threshold"), of(1, "min_volume")), (json!(0.05), json!(20)));
    assert_eq!((of(2, "enabled"), of(2, "platform")["hold"].clone()), (json!(false), json!(50)));
    assert_eq!((of(3, "throttle_to"), of(3, "min_volume")), (json!(2), Value::Null));
    send(&harness, 1).await.is_ok();
    let again = harness.get(&path(&harness)).await;
    let worst = &again.is_ok().data()["breakers"][3]["worst"];
    assert_eq!(worst[0]["grant_id"], json!(harness.agent));
    assert_eq!((&worst[0]["value"], &worst[0]["trips"]), (&json!(1.0), &json!(false)));
    harness.delete(&path(&harness)).await.is_ok();
    assert_eq!(harness.get(&path(&harness)).await.data()["breakers"], json!([]));
    let records = harness.get("/v3/audit?action=breakers.updated").await;
    let records = records.is_ok().data().as_array().expect("records").clone();
    assert_eq!(records.iter().filter(|record| record["action"] == "breakers.updated").count(), 2);
}

#[tokio::test]
async fn what_is_no_breaker_is_refused_by_its_field() {
    let harness = Harness::new().await;
    let good = json!({"metric": "sends_per_hour", "threshold": 5, "action": "hold"});
    let with = |name: &str, value: Value| {
        let mut one = good.clone();
        one[name] = value;
        json!([one])
    };
    for (breakers, field) in [
        (Value::Null, "breakers"),
        (json!(vec![good.clone(); 21]), "breakers"),
        (json!([good.clone(), good.clone()]), "breakers[1].metric"),
        (with("metric", json!("mood")), "breakers[0].metric"),
        (with("action", json!("shout")), "breakers[0].action"),
        (with("threshold", json!(-1)), "breakers[0].threshold"),
        (with("threshold", json!(1.5)), "breakers[0].threshold"),
        (with("threshold", json!(1_000_001)), "breakers[0].threshold"),
        (with("threshold", Value::Null), "breakers[0].threshold"),
        (with("min_volume", json!(10)), "breakers[0].min_volume"),
        (with("throttle_to", json!(10)), "breakers[0].throttle_to"),
        (json!([{"metric": "bounce_rate", "threshold": 0, "action": "hold"}]), "breakers[0].threshold"),
        (json!([{"metric": "bounce_rate", "threshold": 100.001, "action": "hold"}]), "breakers[0].threshold"),
        (json!([{"metric": "bounce_rate", "threshold": 1.0001, "action": "hold"}]), "breakers[0].threshold"),
        (
            json!([{"metric": "bounce_rate", "threshold": 1, "min_volume": 0, "action": "hold"}]),
            "breakers[0].min_volume",
        ),
        (json!([{"metric": "sends_per_hour", "threshold": 1, "action": "throttle"}]), "breakers[0].throttle_to"),
        (
            json!([{"metric": "sends_per_hour", "threshold": 1, "action": "throttle", "throttle_to": 0}]),
            "breakers[0].throttle_to",
        ),
    ] {
        set(&harness, breakers).await.refuses(400, "invalid_request", Some(field));
    }
    assert_eq!(harness.get(&path(&harness)).await.data()["breakers"], json!([]));
}

#[tokio::test]
async fn a_breaker_that_pauses_lets_no_more_leave_until_it_is_lifted() {
    let harness = Harness::new().await;
    set(&harness, json!([{"metric": "sends_per_hour", "threshold": 3, "action": "pause"}])).await.is_ok();
    for number in 0..3 {
        send(&harness, number).await.is_ok();
    }
    let refused = send(&harness, 3).await;
    refused.refuses(403, "sending_paused", None);
    let stops = harness.get("/v3/stops").await;
    let stop = &stops.is_ok().data()[0];
    assert_eq!(
        (&stop["kind"], &stop["scope"], &stop["effect"]),
        (&json!("breaker"), &json!("grant"), &json!("refuse"))
    );
    assert_eq!((&stop["evidence"]["metric"], &stop["evidence"]["value"]), (&json!("sends_per_hour"), &json!(4)));
    let tripped = event(&harness, "breaker.tripped").await;
    let object = tripped["object"].clone();
    assert_eq!((&object["metric"], &object["threshold"]), (&json!("sends_per_hour"), &json!(3)), "{tripped}");
    let lift = format!("/v3/stops/{}/lift", stop["id"].as_str().expect("id"));
    harness.world.advance(1);
    harness.post(&lift, &json!({"reason": "it was a planned campaign"})).await.is_ok();
    // The old numbers count no more, and the new ones do.
    for number in 4..7 {
        send(&harness, number).await.is_ok();
    }
    send(&harness, 7).await.refuses(403, "sending_paused", None);
}

#[tokio::test]
async fn a_throttle_counts_by_the_hour_and_says_when_it_ends() {
    let harness = Harness::new().await;
    let throttle = json!([{"metric": "sends_per_hour", "threshold": 2, "action": "throttle", "throttle_to": 3}]);
    set(&harness, throttle).await.is_ok();
    for number in 0..3 {
        send(&harness, number).await.is_ok();
    }
    harness.world.advance(600);
    let refused = send(&harness, 3).await;
    refused.refuses(429, "throttled", None);
    assert_eq!(refused.header("retry-after"), Some("3000"));
    harness.world.advance(3_000);
    for number in 4..7 {
        send(&harness, number).await.is_ok();
    }
    send(&harness, 7).await.refuses(429, "throttled", None);
    // What waits for quotas waits for this one, too.
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"on_quota": "hold"})).await.is_ok();
    assert_eq!(send(&harness, 8).await.status, 202);
}

#[tokio::test]
async fn an_alert_is_told_once_and_stops_nobody() {
    let harness = Harness::new().await;
    set(&harness, json!([{"metric": "new_recipients_per_day", "threshold": 1, "action": "alert"}])).await.is_ok();
    for number in 0..4 {
        send(&harness, number).await.is_ok();
    }
    send(&harness, 0).await.is_ok();
    let events = harness.get("/v3/events?limit=200").await;
    let told =
        events.is_ok().data().as_array().expect("events").iter().filter(|one| one["type"] == "breaker.tripped").count();
    assert_eq!(told, 1);
    let worst = harness.get(&path(&harness)).await.data()["breakers"][0]["worst"].clone();
    assert_eq!(
        (&worst[0]["value"], &worst[0]["trips"]),
        (&json!(4.0), &json!(true)),
        "who is known is not counted again"
    );
}

#[tokio::test]
async fn what_says_the_same_too_often_is_held() {
    let harness = Harness::new().await;
    set(&harness, json!([{"metric": "repeated_content", "threshold": 2, "action": "hold"}])).await.is_ok();
    for number in 0..2 {
        send(&harness, number).await.is_ok();
    }
    let same = async |number: usize| {
        let to = json!([{"email": format!("same{number}@sender.test")}]);
        harness.post(&harness.at("/messages/send"), &json!({"to": to, "subject": "s", "body": "Buy now!"})).await
    };
    for number in 0..2 {
        assert_eq!(same(number).await.status, 200);
    }
    assert_eq!(same(2).await.status, 202);
    let holds = harness.get("/v3/holds").await;
    assert_eq!(holds.is_ok().data()[0]["reason"], json!("breaker"));
}

#[tokio::test]
async fn a_breaker_is_below_the_protection_against_loops() {
    let harness = Harness::new().await;
    set(&harness, json!([{"metric": "replies_per_thread_per_day", "threshold": 2, "action": "pause"}])).await.is_ok();
    let asked = harness.receive_about("Question").await;
    for number in 0..3 {
        harness.world.advance(120);
        let body =
            json!({"to": [{"email": "ada@sender.test"}], "body": format!("{number}"), "reply_to_message_id": asked});
        let answer = harness.post(&harness.at("/messages/send"), &body).await;
        if number < 2 {
            answer.is_ok();
        } else {
            answer.refuses(403, "sending_paused", None);
        }
    }
}
