//! How many sends there may be in a second: the refusal and what it says, the pools, and the rates of keys, mailboxes and
//! domains.

use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::http::Request;
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::rate::SendRates;
use postfleet_core::request_rate::RequestRates;
use postfleet_mailflow::schedules::release_once;
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
    planned(|plan| plan.send_rates = rates).await
}

/// As [`rated`], with a plan that is changed so.
async fn planned(change: impl FnOnce(&mut Plan)) -> Harness {
    let open = Plans::presets().find("self_hosted").expect("a preset").clone();
    let mut plan = Plan { name: "rated".into(), ..Plan::clone(&open) };
    change(&mut plan);
    let plans = Plans::with([plan]);
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

#[tokio::test]
async fn a_burst_waits_and_is_answered_202_until_its_queue_is_full() {
    let harness = rated(SendRates { organization: Some(1), burst_seconds: 2, ..SendRates::default() }).await;
    let send = async || send(&harness, &harness.acme.api_key, &harness.agent).await;
    assert_eq!(send().await.status, 200);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let waits = send().await;
        assert_eq!((waits.status, waits.data()["object"].as_str()), (202, Some("message")), "{waits:?}");
        assert!(waits.data().get("headers").is_none_or(Value::is_null));
        waiting.push(waits.data()["id"].as_str().expect("id").to_owned());
    }
    let full = send().await;
    full.refuses(429, "per_second_rate_limit_exceeded", None);
    assert_eq!(full.header("retry-after"), Some("1"));
    let sent = async || harness.ids(&harness.at("/messages?in=sent")).await;
    assert_eq!(sent().await.len(), 1, "they are not sent yet");
    for (second, id) in waiting.iter().enumerate() {
        harness.world.advance(1);
        release_once(&harness.world.platform).await.expect("round");
        let sent = sent().await;
        assert_eq!(sent.len(), second + 2);
        assert!(sent.contains(id), "in order, under the id that was answered");
    }
}

/// A form that sends a message.
async fn send_form(harness: &Harness) -> Answer {
    let body =
        format!("--edge\r\ncontent-disposition: form-data; name=\"message\"\r\n\r\n{}\r\n--edge--\r\n", letter());
    let request =
        Request::post(harness.at("/messages/send")).header("content-type", "multipart/form-data; boundary=edge");
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    harness.request(request.body(Body::from(body)).expect("request")).await
}

#[tokio::test]
async fn requests_of_applications_and_mailboxes_have_rates_of_their_own() {
    let rates = RequestRates { application: Some(2), mailbox: Some(4), mailbox_forms: Some(1), key: None };
    let harness = planned(|plan| plan.request_rates = rates).await;
    let standing = |answer: &Answer| {
        ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| answer.header(name).map(str::to_owned))
    };
    let said = |limit: &str, remaining: &str| [limit, remaining, "1"].map(|text| Some(text.to_owned()));
    let refused = |answer: &Answer, scope: &str, limit: i64| {
        answer.refuses(429, "rate_limit_exceeded", None).says("Too many requests, please try again shortly.");
        let error = &answer.json["error"];
        assert_eq!((&error["type"], &error["scope"]), (&json!("rate_limit_error"), &json!(scope)));
        assert_eq!((&error["limit"], &error["retryable"]), (&json!(limit), &json!(true)));
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(standing(answer), said(&limit.to_string(), "0"));
    };
    let list = async |path: &str| harness.get(path).await;
    assert_eq!(standing(list("/v3/workspaces").await.is_ok()), said("2", "1"));
    assert_eq!(standing(list(&format!("/v3/grants/{}", harness.agent)).await.is_ok()), said("2", "0"));
    refused(&list("/v3/policies").await, "application", 2);
    // What a mailbox has is not held against the application, nor against another mailbox.
    for remaining in ["3", "2"] {
        assert_eq!(standing(list(&harness.at("/folders")).await.is_ok()), said("4", remaining));
    }
    assert_eq!(standing(send_form(&harness).await.is_ok()), said("1", "0"), "the one with the least left");
    refused(&send_form(&harness).await, "grant", 1);
    refused(&list("/v3/grants/agent@acme.test/folders").await, "grant", 4);
    // Who has no rate is told of none.
    let other = harness.ask(&harness.other.api_key, "GET", "/v3/workspaces", None).await;
    assert_eq!(standing(other.is_ok()), [None, None, None]);
    harness.world.advance(1);
    list("/v3/policies").await.is_ok();
    list(&harness.at("/folders")).await.is_ok();
}

#[tokio::test]
async fn requests_of_a_key_have_a_rate() {
    let rates = RequestRates { key: Some(2), ..RequestRates::default() };
    let harness = planned(|plan| plan.request_rates = rates).await;
    harness.get("/v3/workspaces").await.is_ok();
    harness.get(&harness.at("/folders")).await.is_ok();
    let over = harness.get("/v3/policies").await;
    over.refuses(429, "rate_limit_exceeded", None);
    assert_eq!(over.json["error"]["scope"], "api_key");
    // Another key of the same application goes on, and operators have no rate.
    let path = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let made = harness.administer("POST", &path, Some(&json!({"name": "second"}))).await;
    let key = made.data()["api_key"].as_str().expect("key").to_owned();
    harness.ask(&key, "GET", "/v3/policies", None).await.is_ok();
    for _ in 0..5 {
        harness.administer("GET", "/v3/admin/applications", None).await.is_ok();
    }
}

/// Whatever becomes of a send, its answer says what is left.
#[tokio::test]
async fn every_answer_to_a_send_says_what_is_left() {
    let harness = planned(|plan| plan.limits.daily_sends_max = Some(9)).await;
    let key = harness.acme.api_key.clone();
    let rule = json!({"name": "No rivals", "trigger": "outbound", "actions": [{"type": "block"}],
        "match": {"conditions": [{"field": "recipient.domain", "operator": "is", "value": "rival.test"}]}});
    let rule = harness.post("/v3/rules", &rule).await.is_ok().data()["id"].clone();
    let workspace = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&workspace, &json!({"rule_ids": [rule]})).await.is_ok();
    harness.post("/v3/suppressions", &json!({"address": "gone@null.test"})).await.is_ok();
    let draft = async |body: &Value| {
        let made = harness.post(&harness.at("/drafts"), body).await;
        harness.at(&format!("/drafts/{}", made.is_ok().data()["id"].as_str().expect("id")))
    };
    let at = harness.world.platform.clock.now().as_seconds() + 3_600;
    let with = |field: &str, value: Value| {
        let mut body = letter();
        body[field] = value;
        body
    };
    let send = harness.at("/messages/send");
    let mine = draft(&letter()).await;
    let later = draft(&with("send_at", json!(at))).await;
    let to = |email: &str| with("to", json!([{"email": email}]));
    let crowd: Vec<Value> = (0..51).map(|number| json!({"email": format!("a{number}@null.test")})).collect();
    for (path, body, status) in [
        (&send, letter(), 200),
        (&mine, json!({}), 200),
        (&mine, json!({}), 409),
        (&later, json!({}), 202),
        (&later, json!({}), 409),
        (&send, with("send_at", json!(at)), 202),
        (&send, with("send_at", json!(1)), 400),
        (&send, with("to", json!([])), 400),
        (&send, with("to", json!(crowd)), 400),
        (&send, with("to", json!("nobody")), 400),
        (&send, with("signature_id", json!("x")), 400),
        (&send, to("gone@null.test"), 400),
        (&send, to("ceo@rival.test"), 403),
        (&harness.at("/messages/send?type=mime"), json!({}), 400),
        (&harness.at("/messages/send?type=x"), json!({}), 400),
    ] {
        let answer = harness.ask(&key, "POST", path, Some(&body)).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        let number = |name| answer.header(name).and_then(|text| text.parse::<i64>().ok());
        assert_eq!(number("ratelimit-limit"), Some(9), "{path} {body}");
        assert!(number("ratelimit-remaining").is_some_and(|left| (6..9).contains(&left)), "{answer:?}");
        assert_eq!(number("ratelimit-reset"), Some(14 * 3_600));
    }
    let mime = "--edge\r\ncontent-disposition: form-data; name=\"mime\"\r\n\r\nFrom: agent@acme.test\r\n\
        To: ada@null.test\r\nSubject: Hello\r\n\r\nHello\r\n--edge--\r\n";
    let request = || {
        let request = Request::post(harness.at("/messages/send?type=mime")).header("idempotency-key", "one");
        let request = request.header("content-type", "multipart/form-data; boundary=edge");
        request.header("authorization", format!("Bearer {key}")).body(Body::from(mime)).expect("request")
    };
    let first = harness.request(request()).await;
    assert_eq!((first.is_ok().header("ratelimit-limit"), first.header("ratelimit-remaining")), (Some("9"), Some("6")));
    let again = harness.request(request()).await;
    assert_eq!(again.header("idempotent-response"), Some("true"));
    assert_eq!(again.header("ratelimit-remaining"), Some("6"), "a repeat takes nothing");
    for _ in 0..6 {
        harness.post(&send, &letter()).await.is_ok();
    }
    let over = harness.post(&send, &letter()).await;
    over.refuses(429, "daily_quota_exceeded", None);
    assert_eq!((over.header("ratelimit-remaining"), over.header("retry-after")), (Some("0"), Some("50400")));
    let blocked = harness.post(&send, &to("ceo@rival.test")).await;
    assert_eq!((blocked.status, blocked.header("ratelimit-remaining")), (403, Some("0")));
}
