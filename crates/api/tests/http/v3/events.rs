//! `/v3/events`, and what became of telling alerts and webhooks of them.

pub(crate) mod stream;

use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_mailflow::webhooks;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

pub(crate) const ROUTES: &[&str] = &["GET /v3/events"];

const EVENT: &str = "id:string type:string grant_id:string? grant_sequence:integer message_id:string? junk:boolean object:object? \
    created_at:integer";
const DELIVERY: &str = "event_id:string type:string grant_id:string? state:string attempts:integer? \
    next_attempt_at:integer? created_at:integer";

/// A mailbox that may send two messages a day, and has tried three.
async fn used_up() -> Harness {
    let tenant = NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") };
    let harness = Harness::in_world(World::with(WorldOptions::default()).await, tenant).await;
    for _ in 0..3 {
        harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": "ada@remote.test"}]})).await;
    }
    harness
}

async fn round(harness: &Harness) {
    let platform = &harness.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut hook).await.expect("round");
    }
}

fn kinds(page: &Value) -> Vec<&str> {
    page.as_array().expect("list").iter().map(|event| event["type"].as_str().expect("type")).collect()
}

#[tokio::test]
async fn the_log_is_read_newest_first_by_kind_mailbox_and_time() {
    let harness = used_up().await;
    let all = harness.get("/v3/events").await;
    for event in all.is_ok().data().as_array().expect("list") {
        assert_shape(event, EVENT);
    }
    assert_eq!(kinds(all.data())[..2], ["quota.exceeded", "quota.reached"]);
    assert!(kinds(all.data()).contains(&"grant.created") && all.json.get("next_cursor").is_none());
    let exceeded = harness.get("/v3/events?type=quota.exceeded").await;
    let exceeded = &exceeded.data()[0];
    let object = &exceeded["object"];
    assert_eq!((&object["limit"], &object["used"], &object["grant_id"]), (&json!(2), &json!(2), &json!(harness.agent)));
    assert_eq!(exceeded["message_id"], Value::Null);
    // Page by page it is the same.
    let (mut paged, mut path) = (Vec::new(), "/v3/events?limit=1".to_owned());
    loop {
        let page = harness.get(&path).await;
        paged.extend(page.is_ok().data().as_array().expect("list").clone());
        let Some(cursor) = page.json["next_cursor"].as_str() else { break };
        path = format!("/v3/events?limit=1&page_token={cursor}");
    }
    assert_eq!(&json!(paged), all.data());
    let of =
        async |query: &str| harness.get(&format!("/v3/events?{query}")).await.data().as_array().expect("list").len();
    assert_eq!(of(&format!("grant_id={}", harness.agent)).await, paged.len());
    assert_eq!(of(&format!("grant_id={NOBODY}")).await, 0);
    let later = harness.world.platform.clock.now().as_seconds() + 1;
    assert_eq!(of(&format!("since={later}")).await, 0);
    assert_eq!(of(&format!("since={}", later - 1)).await, paged.len());
    for (query, field) in
        [("type=x", "type"), ("grant_id=x", "grant_id"), ("page_token=x", "page_token"), ("since=x", "since")]
    {
        harness.get(&format!("/v3/events?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    let other = harness.ask(&harness.other.api_key, "GET", "/v3/events?type=quota.exceeded", None).await;
    assert_eq!(other.is_ok().data(), &json!([]), "of others nothing");
}

#[tokio::test]
async fn what_became_of_telling_is_told() {
    let tenant = NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") };
    let harness = Harness::in_world(World::with(WorldOptions::default()).await, tenant).await;
    let status = Arc::new(AtomicU16::new(503));
    let answered = status.clone();
    let chat = FakeHttp::start(move |_| HttpResponse::status(answered.load(Ordering::Relaxed))).await;
    let made = harness.post("/v3/alerts", &json!({"type": "chat", "url": chat.url("/hook")})).await;
    let path = format!("/v3/alerts/{}/deliveries", made.is_ok().data()["id"].as_str().expect("id"));
    for _ in 0..3 {
        harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": "ada@remote.test"}]})).await;
    }
    let states = async || {
        let page = harness.get(&path).await;
        let list = page.is_ok().data().as_array().expect("list").clone();
        for delivery in &list {
            assert_shape(delivery, DELIVERY);
        }
        assert_eq!(kinds(page.data()), ["quota.exceeded", "quota.reached"], "what it wants, and nothing else");
        list
    };
    let words =
        |list: &[Value]| list.iter().map(|one| one["state"].as_str().expect("state").to_owned()).collect::<Vec<_>>();
    assert_eq!(words(&states().await), ["pending", "pending"]);
    round(&harness).await;
    let list = states().await;
    assert_eq!(words(&list), ["waiting", "waiting"]);
    assert_eq!((&list[1]["attempts"], &list[0]["attempts"]), (&json!(1), &json!(0)));
    assert!(list[1]["next_attempt_at"].as_i64().expect("time") > harness.world.platform.clock.now().as_seconds());
    assert_eq!(list[0]["next_attempt_at"], Value::Null, "it waits behind the other");
    // After the last attempt it is given up, and the next one is told.
    for _ in 0..20 {
        if words(&states().await)[1] == "given_up" {
            break;
        }
        harness.world.advance(86_400);
        round(&harness).await;
    }
    assert_eq!(words(&states().await)[1], "given_up");
    status.store(200, Ordering::Relaxed);
    for _ in 0..3 {
        harness.world.advance(86_400);
        round(&harness).await;
    }
    assert_eq!(words(&states().await), ["delivered", "given_up"]);
}
