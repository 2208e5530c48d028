//! `GET /v3/grants/{grant}/usage`, and what happens when a counter is at its end.

use crate::support::{Answer, Harness, assert_shape};
use postfleet_core::ProblemKind;
use postfleet_core::plan::{Plan, Plans};
use postfleet_testkit::world::{BEGINNING, NewTenant, World, WorldOptions};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/usage"];

const SHAPE: &str = "grant_id:string plan:string month:string monthly_sends:integer meters:array";
pub(crate) const METER: &str = "meter:string scope:string used:integer limit:integer? remaining:integer? included:integer? overage:integer \
     resets_at:integer?";

/// From the beginning of every world, 2026-03-02 10:00 UTC, to the first of April.
const TO_APRIL: i64 = 29 * 86_400 + 14 * 3_600;

/// Two organizations, the first with a plan that is unlimited but for what the test says.
async fn with_plan(change: impl Fn(&mut Plan)) -> Harness {
    let mut plan = (**Plans::presets().find("self_hosted").expect("plan")).clone();
    plan.name = "tight".into();
    change(&mut plan);
    let world = World::with(WorldOptions { plans: Plans::with([plan]), ..WorldOptions::default() }).await;
    Harness::in_world(world, NewTenant { plan: "tight", ..NewTenant::of("acme.test") }).await
}

async fn send(harness: &Harness) -> Answer {
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "Hi"});
    harness.post(&harness.at("/messages/send"), &body).await
}

async fn meter(harness: &Harness, scope: &str, name: &str) -> Value {
    let answer = harness.get(&harness.at("/usage")).await;
    let meters = answer.is_ok().data()["meters"].as_array().expect("meters").clone();
    let found = meters.into_iter().find(|meter| meter["meter"] == name && meter["scope"] == scope).expect("meter");
    assert_shape(&found, METER);
    found
}

/// The fields of a refusal that say what is used up.
fn used_up(answer: &Answer) -> (&Value, &Value, &Value, &Value) {
    let error = &answer.json["error"];
    (&error["scope"], &error["limit"], &error["used"], &error["resets_at"])
}

#[tokio::test]
async fn a_mailbox_without_limits_only_counts() {
    let harness = Harness::new().await;
    let answer = harness.get(&harness.at("/usage")).await;
    let data = answer.is_ok().data();
    assert_shape(data, SHAPE);
    assert_eq!((&data["grant_id"], &data["month"]), (&json!(harness.agent), &json!("2026-03")));
    let names: Vec<_> = data["meters"].as_array().expect("meters").iter().map(|meter| meter["meter"].clone()).collect();
    assert_eq!(names, ["storage", "daily_sends", "daily_received", "storage", "monthly_sends", "monthly_bandwidth"]);
    send(&harness).await.is_ok();
    harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\nHello").await.expect("accepted");
    let stored = meter(&harness, "grant", "storage").await;
    assert_eq!(stored, meter(&harness, "grant", "storage").await);
    assert_eq!(stored["limit"], Value::Null);
    let (total, moved) =
        (meter(&harness, "organization", "storage").await, meter(&harness, "organization", "monthly_bandwidth").await);
    assert!(stored["used"].as_u64() > Some(0));
    assert_eq!((&total["used"], &moved["used"]), (&stored["used"], &stored["used"]), "all of it came in or went out");
    assert_eq!(moved["resets_at"], BEGINNING.as_seconds() + TO_APRIL);
    assert_eq!(meter(&harness, "organization", "monthly_sends").await["used"], 1);
    let answer = harness.get(&harness.at("/usage")).await;
    assert_eq!(answer.data()["monthly_sends"], 1);
}

#[tokio::test]
async fn the_monthly_quota_ends_sends_until_the_month_is_over() {
    let harness = with_plan(|plan| plan.monthly_sends_max = Some(2)).await;
    for _ in 0..2 {
        send(&harness).await.is_ok();
    }
    let over = send(&harness).await;
    over.refuses(429, "monthly_quota_exceeded", None);
    let error = &over.json["error"];
    assert_eq!((&error["type"], &error["retryable"]), (&json!("too_many_requests"), &json!(true)));
    let ends = json!(BEGINNING.as_seconds() + TO_APRIL);
    assert_eq!(used_up(&over), (&json!("organization"), &json!(2), &json!(2), &ends));
    assert_eq!(over.header("retry-after"), Some(TO_APRIL.to_string().as_str()));
    assert_eq!((over.header("ratelimit-limit"), over.header("ratelimit-remaining")), (Some("2"), Some("0")));
    let shown = meter(&harness, "organization", "monthly_sends").await;
    assert_eq!((&shown["used"], &shown["limit"], &shown["remaining"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!(shown["resets_at"], ends);
    // The last second of the month, and the first of the next.
    harness.world.advance(TO_APRIL as u64 - 1);
    assert_eq!(send(&harness).await.header("retry-after"), Some("1"));
    harness.world.advance(1);
    send(&harness).await.is_ok();
    assert_eq!(meter(&harness, "organization", "monthly_sends").await["used"], 1);
}

#[tokio::test]
async fn bandwidth_ends_sends_and_pauses_what_comes_in() {
    let harness = with_plan(|plan| plan.monthly_bandwidth_octets_max = Some(3_200)).await;
    let text = format!("Subject: x\r\n\r\n{}\r\n", "a".repeat(2_600));
    let receive = async || harness.world.receive("a@b.test", "agent@acme.test", text.clone()).await;
    receive().await.expect("accepted");
    let used = meter(&harness, "organization", "monthly_bandwidth").await["used"].clone();
    let over = send(&harness).await;
    over.refuses(429, "bandwidth_exceeded", None);
    let ends = json!(BEGINNING.as_seconds() + TO_APRIL);
    assert_eq!(used_up(&over), (&json!("organization"), &json!(3_200), &used, &ends));
    assert_eq!(over.header("retry-after"), Some(TO_APRIL.to_string().as_str()));
    assert_eq!(over.json["error"]["retryable"], true);
    assert_eq!(receive().await.expect_err("paused").code, "bandwidth_exceeded");
    harness.get(&harness.at("/messages")).await.is_ok();
    harness.world.advance(TO_APRIL as u64);
    receive().await.expect("accepted");
}

#[tokio::test]
async fn full_storage_ends_what_keeps_something_until_there_is_room() {
    let harness = with_plan(|plan| plan.storage_octets_max = Some(8_000)).await;
    let draft = json!({"subject": "Hello", "body": "a".repeat(3_000)});
    let made = harness.post(&harness.at("/drafts"), &draft).await;
    let id = made.is_ok().data()["id"].as_str().expect("id").to_owned();
    let used = meter(&harness, "organization", "storage").await["used"].clone();
    let larger = json!({"subject": "Hello", "body": "a".repeat(4_000)});
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Hello", "body": "b".repeat(1_000)});
    for refused in [
        harness.post(&harness.at("/messages/send"), &body).await,
        harness.post(&harness.at("/drafts"), &draft).await,
        harness.put(&harness.at(&format!("/drafts/{id}")), &larger).await,
    ] {
        refused.refuses(403, "storage_full", None);
        let error = &refused.json["error"];
        assert_eq!((&error["type"], &error["retryable"]), (&json!("forbidden_access"), &json!(false)));
        assert_eq!((&error["scope"], &error["limit"], &error["used"]), (&json!("organization"), &json!(8_000), &used));
        assert_eq!((error.get("resets_at"), refused.header("retry-after")), (None, None));
    }
    let text = format!("Subject: x\r\n\r\n{}\r\n", "a".repeat(1_500));
    let receive = async || harness.world.receive("a@b.test", "agent@acme.test", text.clone()).await;
    assert_eq!(receive().await.expect_err("full").code, "storage_full");
    // What is made smaller is kept, what is read is read, and what is removed makes room.
    let smaller = json!({"subject": "Hello", "body": "a".repeat(2_000)});
    harness.put(&harness.at(&format!("/drafts/{id}")), &smaller).await.is_ok();
    harness.get(&harness.at(&format!("/drafts/{id}"))).await.is_ok();
    harness.delete(&harness.at(&format!("/drafts/{id}"))).await.is_ok();
    assert_eq!(meter(&harness, "organization", "storage").await["used"], 0);
    receive().await.expect("accepted");
}

#[tokio::test]
async fn a_policy_ends_storage_below_the_plan() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(50), ..NewTenant::of("acme.test") }).await;
    let policy = harness.ids("/v3/policies").await[0].clone();
    let body = json!({"limits": {"limit_storage_total": 100}});
    harness.put(&format!("/v3/policies/{policy}"), &body).await.is_ok();
    let refused = send(&harness).await;
    refused.refuses(403, "storage_full", None);
    assert_eq!(used_up(&refused).0, "grant");
    assert_eq!(meter(&harness, "grant", "storage").await["limit"], 100);
    assert_eq!(meter(&harness, "organization", "storage").await["limit"], Value::Null);
}

#[tokio::test]
async fn what_comes_in_in_a_day_ends_at_the_policys_limit_and_begins_anew_at_midnight_utc() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(50), ..NewTenant::of("acme.test") }).await;
    let policy = harness.ids("/v3/policies").await[0].clone();
    let body = json!({"limits": {"limit_count_daily_message_received": 2}});
    harness.put(&format!("/v3/policies/{policy}"), &body).await.is_ok();
    let receive = async || harness.world.receive("a@b.test", "agent@acme.test", "Subject: x\r\n\r\nHello").await;
    for used in [1, 2] {
        receive().await.expect("accepted");
        let shown = meter(&harness, "grant", "daily_received").await;
        assert_eq!((&shown["used"], &shown["limit"], &shown["remaining"]), (&json!(used), &json!(2), &json!(2 - used)));
    }
    let refused = receive().await.expect_err("full");
    assert_eq!((refused.kind, refused.code), (ProblemKind::OverQuota, "daily_received_exceeded"));
    let agent = "agent@acme.test".parse().expect("address");
    let at_rcpt = postfleet_mailflow::receive::recipient(
        &harness.world.platform,
        &postfleet_mailflow::receive::Offer::from(&postfleet_core::ReversePath::Null),
        &agent,
    )
    .await;
    assert_eq!(at_rcpt.expect_err("full").code, "daily_received_exceeded");
    // It says nothing about what is sent.
    send(&harness).await.is_ok();
    harness.world.advance(86_400);
    assert_eq!(meter(&harness, "grant", "daily_received").await["used"], 0);
    receive().await.expect("accepted");
}

#[tokio::test]
async fn a_plan_with_overage_goes_on_and_says_how_far() {
    let harness = with_plan(|plan| {
        (plan.monthly_sends_max, plan.has_overage) = (Some(1), true);
        (plan.storage_octets_max, plan.monthly_bandwidth_octets_max) = (Some(1), Some(1));
    })
    .await;
    for _ in 0..3 {
        send(&harness).await.is_ok();
    }
    let shown = meter(&harness, "organization", "monthly_sends").await;
    let expected = (&json!(3), &Value::Null, &json!(1), &json!(2));
    assert_eq!((&shown["used"], &shown["limit"], &shown["included"], &shown["overage"]), expected);
}

#[tokio::test]
async fn the_free_plan_ends_each_mailbox_at_two_hundred_sends_a_day_and_the_paid_one_does_not() {
    for (plan, ends) in [("free", true), ("full_platform", false)] {
        let harness = Harness::with(NewTenant { plan, ..NewTenant::of("acme.test") }).await;
        let path = harness.at("/messages/send");
        let message = |number: usize| json!({"to": [{"email": "a@sender.test"}], "subject": number.to_string()});
        for number in 0..200 {
            // Within the rate of the plan.
            harness.world.advance(1);
            harness.post(&path, &message(number)).await.is_ok();
        }
        harness.world.advance(1);
        let next = harness.post(&path, &message(200)).await;
        if !ends {
            next.is_ok();
            continue;
        }
        next.refuses(429, "daily_quota_exceeded", None);
        assert_eq!(next.json["error"]["type"], "too_many_requests");
        let (scope, limit, used, _) = used_up(&next);
        assert_eq!((scope, limit, used), (&json!("grant"), &json!(200), &json!(200)));
        let other = harness.world.mailbox(&harness.acme, "other").await.id;
        harness.post(&format!("/v3/grants/{other}/messages/send"), &message(0)).await.is_ok();
    }
}
