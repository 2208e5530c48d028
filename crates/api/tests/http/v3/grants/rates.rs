//! How many sends there may be in a second: the refusal and what it says, the pools, and the rates of keys, mailboxes and
//! domains.

use crate::support::{Answer, Harness};
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::rate::SendRates;
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};

fn letter() -> Value {
    json!({"to": [{"email": "ada@null.test"}], "subject": "Hello", "body": "Hello"})
}

async fn send(harness: &Harness, key: &str, grant: &str) -> Answer {
    harness.ask(key, "POST", &format!("/v3/grants/{grant}/messages/send"), Some(&letter())).await
}

/// Another application of the first organization, with a mailbox: its key and the mailbox.
async fn application(harness: &Harness, name: &str, environment: &str) -> (String, String) {
    let wish = json!({"name": name, "environment": environment});
    let made = harness.administer("POST", "/v3/admin/applications", Some(&wish)).await;
    let application = made.data()["application_id"].as_str().expect("id").to_owned();
    let path = format!("/v3/admin/applications/{application}/api-keys");
    let made = harness.administer("POST", &path, Some(&json!({"name": name}))).await;
    let key = made.data()["api_key"].as_str().expect("key").to_owned();
    let wish = json!({"provider": "nylas", "settings": {"email": format!("{name}@acme.test")}});
    let made = harness.ask(&key, "POST", "/v3/connect/custom", Some(&wish)).await;
    (key, made.data()["id"].as_str().expect("id").to_owned())
}

/// A first organization whose plan has nothing but these rates.
async fn rated(rates: SendRates) -> Harness {
    let open = Plans::presets().find("self_hosted").expect("a preset").clone();
    let plans = Plans::with([Plan { name: "rated".into(), send_rates: rates, ..Plan::clone(&open) }]);
    let world = World::with(WorldOptions { plans, ..WorldOptions::default() }).await;
    Harness::in_world(world, NewTenant { plan: "rated", environment: "production", ..NewTenant::of("acme.test") }).await
}

#[tokio::test]
async fn the_sixth_in_a_second_is_refused_and_a_second_later_is_not() {
    let harness =
        Harness::with(NewTenant { plan: "free", environment: "production", ..NewTenant::of("acme.test") }).await;
    let send = async || send(&harness, &harness.acme.api_key, &harness.agent).await;
    for _ in 0..5 {
        send().await.is_ok();
    }
    let over = send().await;
    over.refuses(429, "per_second_rate_limit_exceeded", None).says("per-second rate limit exceeded");
    assert_eq!(over.header("retry-after"), Some("1"));
    let limits = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| over.header(name));
    assert_eq!(limits, [Some("5"), Some("0"), Some("1")]);
    let error = &over.json["error"];
    assert_eq!((&error["type"], &error["retryable"]), (&json!("rate_limit_error"), &json!(true)));
    assert_eq!((&error["scope"], &error["limit"], &error["used"]), (&json!("organization"), &json!(5), &json!(5)));
    assert_eq!(error["resets_at"], harness.world.platform.clock.now().as_seconds() + 1);
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 5, "nothing is kept of it");
    harness.world.advance(1);
    let again = send().await;
    assert_eq!(again.is_ok().header("ratelimit-remaining"), Some("194"), "a refusal takes nothing of the day");
}

#[tokio::test]
async fn production_shares_five_and_sandboxes_share_one() {
    let harness =
        Harness::with(NewTenant { plan: "full_platform", environment: "production", ..NewTenant::of("acme.test") })
            .await;
    let first = (harness.acme.api_key.clone(), harness.agent.clone());
    let second = application(&harness, "second", "production").await;
    let (sandbox, other) =
        (application(&harness, "box", "sandbox").await, application(&harness, "cube", "sandbox").await);
    for _ in 0..3 {
        for (key, grant) in [&first, &second, &first, &second, &first] {
            send(&harness, key, grant).await.is_ok();
        }
        send(&harness, &sandbox.0, &sandbox.1).await.is_ok();
        for ((key, grant), limit) in [(&first, 5), (&second, 5), (&sandbox, 1), (&other, 1)] {
            let over = send(&harness, key, grant).await;
            over.refuses(429, "per_second_rate_limit_exceeded", None);
            assert_eq!(over.json["error"]["limit"], limit);
        }
        harness.world.advance(1);
    }
    // Who has no rate is not held up.
    for _ in 0..10 {
        send(&harness, &harness.other.api_key, &harness.stranger).await.is_ok();
    }
}

#[tokio::test]
async fn a_draft_and_a_raw_message_count_as_well() {
    let harness = rated(SendRates { organization: Some(1), ..SendRates::default() }).await;
    let draft = harness.post(&harness.at("/drafts"), &letter()).await;
    let draft = harness.at(&format!("/drafts/{}", draft.data()["id"].as_str().expect("id")));
    send(&harness, &harness.acme.api_key, &harness.agent).await.is_ok();
    harness.post(&draft, &json!({})).await.refuses(429, "per_second_rate_limit_exceeded", None);
    assert_eq!(harness.get(&draft).await.status, 200, "it is a draft still");
    harness.world.advance(1);
    harness.post(&draft, &json!({})).await.is_ok();
    send(&harness, &harness.acme.api_key, &harness.agent).await.refuses(429, "per_second_rate_limit_exceeded", None);
}

#[tokio::test]
async fn keys_mailboxes_and_domains_may_have_rates() {
    let rates = SendRates { key: Some(2), mailbox: Some(1), domain: Some(3), ..SendRates::default() };
    let harness = rated(rates).await;
    let key = harness.acme.api_key.clone();
    let mut grants = vec![harness.agent.clone()];
    for name in ["b", "c"] {
        let wish = json!({"provider": "nylas", "settings": {"email": format!("{name}@acme.test")}});
        let made = harness.post("/v3/connect/custom", &wish).await;
        grants.push(made.data()["id"].as_str().expect("id").to_owned());
    }
    let refused = |answer: &Answer, scope: &str, limit: i64| {
        answer.refuses(429, "rate_limit_exceeded", None).says("rate limit exceeded");
        assert_eq!((&answer.json["error"]["scope"], &answer.json["error"]["limit"]), (&json!(scope), &json!(limit)));
        assert_eq!(answer.header("retry-after"), Some("1"));
    };
    send(&harness, &key, &grants[0]).await.is_ok();
    refused(&send(&harness, &key, &grants[0]).await, "grant", 1);
    send(&harness, &key, &grants[1]).await.is_ok();
    refused(&send(&harness, &key, &grants[2]).await, "api_key", 2);
    let (other, at_domain) = application(&harness, "d", "production").await;
    send(&harness, &other, &at_domain).await.is_ok();
    let (third, at_domain) = application(&harness, "e", "production").await;
    refused(&send(&harness, &third, &at_domain).await, "domain", 3);
    harness.world.advance(1);
    send(&harness, &third, &at_domain).await.is_ok();
}
