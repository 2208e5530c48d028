//! `GET /v3/grants/{grant}/explain`.

use super::send_with_key::limited;
use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_testkit::world::{BEGINNING, NewTenant};
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/explain"];

const SHAPE: &str = "grant_id:string at:integer key_id:string? recipients:array accepted:boolean refusals:array \
    held_for:string? held_sends:integer past:array";
const OBSTACLE: &str = "code:string status_code:integer type:string message:string owner:object change:string \
    scope:string? limit:integer? used:integer? resets_at:integer?";
const PAST: &str = "code:string message:string times:integer first_at:integer last_at:integer key_id:string? owner:object \
    change:string scope:string? limit:integer? used:integer? resets_at:integer?";

#[tokio::test]
async fn why_sending_stopped_at_noon_names_limit_counter_owner_and_reset() {
    let new = NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") };
    let harness = Harness::with(new).await;
    let well = harness.get(&harness.at("/explain")).await;
    assert_shape(well.is_ok().data(), SHAPE);
    assert_eq!((&well.data()["accepted"], &well.data()["past"]), (&json!(true), &json!([])));
    let send = async |subject: &str| {
        let body = json!({"to": [{"email": "ada@sender.test"}], "subject": subject, "body": "Hi"});
        harness.post(&harness.at("/messages/send"), &body).await
    };
    send("1").await.is_ok();
    send("2").await.is_ok();
    harness.world.advance(60);
    let stopped = harness.world.platform.clock.now().as_seconds();
    send("3").await.refuses(429, "daily_quota_exceeded", None);
    harness.world.advance(60);
    send("4").await.refuses(429, "daily_quota_exceeded", None);

    let policy = harness.ids("/v3/policies").await[0].clone();
    let answer = harness.get(&harness.at("/explain")).await;
    let data = answer.is_ok().data();
    assert_eq!(data["accepted"], false);
    let [now] = data["refusals"].as_array().expect("list").as_slice() else { panic!("{data}") };
    let [past] = data["past"].as_array().expect("list").as_slice() else { panic!("{data}") };
    assert_shape(now, OBSTACLE);
    assert_shape(past, PAST);
    let midnight = BEGINNING.as_seconds() + 14 * 3_600;
    for one in [now, past] {
        assert_eq!(one["code"], "daily_quota_exceeded");
        assert_eq!((&one["scope"], &one["limit"], &one["used"]), (&json!("grant"), &json!(2), &json!(2)));
        assert_eq!(one["resets_at"], midnight);
        assert_eq!(one["owner"], json!({"type": "policy", "id": policy, "name": "Default"}));
        assert!(one["change"].as_str().expect("text").contains("limit_count_daily_email_sent"));
    }
    assert_eq!((&now["status_code"], &now["type"]), (&json!(429), &json!("too_many_requests")));
    assert_eq!(
        (&past["times"], &past["first_at"], &past["last_at"]),
        (&json!(2), &json!(stopped), &json!(stopped + 60))
    );
    // Asking counts for nothing.
    assert_eq!(harness.get(&harness.at("/limits")).await.data()["daily_sends"]["used"], 2);
}

#[tokio::test]
async fn everything_that_stands_against_a_send_is_told_in_order() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(0), ..NewTenant::of("acme.test") }).await;
    let (_, path) = limited(&harness, json!({"recipient_domains": ["good.test"], "new_recipients_per_day": 0})).await;
    let key = path.rsplit('/').next().expect("id");
    let asked = harness.get(&harness.at(&format!("/explain?to=ada@good.test,eve@bad.test&key_id={key}"))).await;
    let refusals = asked.is_ok().data()["refusals"].as_array().expect("list").clone();
    let codes: Vec<&str> = refusals.iter().filter_map(|one| one["code"].as_str()).collect();
    assert_eq!(codes, ["recipient_not_allowed", "new_recipients_exceeded", "daily_quota_exceeded"]);
    assert_eq!(refusals[0]["owner"], json!({"type": "api_key", "id": key, "name": "agent"}));
    assert_eq!(asked.data()["recipients"], json!(["ada@good.test", "eve@bad.test"]));
    // The key that asks may write to them.
    let own = harness.get(&harness.at("/explain?to=eve@bad.test")).await;
    assert_eq!(own.data()["refusals"][0]["code"], "daily_quota_exceeded");
    for (query, field) in [("to=nobody", "to".to_owned()), (&format!("key_id={NOBODY}"), "key_id".to_owned())] {
        harness.get(&harness.at(&format!("/explain?{query}"))).await.refuses(400, "invalid_request", Some(&field));
    }
    harness.get("/v3/grants/nobody@acme.test/explain").await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn what_a_breaker_would_do_is_told_and_nothing_trips() {
    let harness = Harness::new().await;
    let path = format!("/v3/workspaces/{}/breakers", harness.acme.workspace_id);
    let breakers = json!({"breakers": [{"metric": "sends_per_hour", "threshold": 1, "action": "hold"}]});
    harness.put(&path, &breakers).await.is_ok();
    let asked = async || harness.get(&harness.at("/explain?to=ada@sender.test")).await.is_ok().data().clone();
    assert_eq!(asked().await["accepted"], true);
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "Hi"});
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    for _ in 0..2 {
        let data = asked().await;
        let [one] = data["refusals"].as_array().expect("list").as_slice() else { panic!("{data}") };
        assert_shape(one, OBSTACLE);
        assert_eq!((&one["code"], &data["held_for"]), (&json!("held_by_breaker"), &json!("breaker")));
        assert_eq!((&one["owner"]["type"], &one["owner"]["id"]), (&json!("stop"), &json!(null)));
    }
    assert_eq!(harness.get("/v3/stops").await.is_ok().data(), &json!([]), "asking stops nobody");
    let held = harness
        .post(
            &harness.at("/messages/send"),
            &json!({"to": [{"email": "bob@sender.test"}], "subject": "t", "body": "Ho"}),
        )
        .await;
    assert_eq!(held.status, 202, "{held:?}");
    let data = asked().await;
    assert_eq!(data["refusals"][0]["owner"]["id"], harness.ids("/v3/stops").await[0].as_str());
}
