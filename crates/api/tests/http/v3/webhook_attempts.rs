//! `/v3/webhooks/{webhook}/attempts`.

use crate::support::{Harness, assert_shape};
use postfleet_mailflow::webhooks;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

pub(crate) const ROUTES: &[&str] =
    &["GET /v3/webhooks/{webhook}/attempts", "GET /v3/webhooks/{webhook}/attempts/{webhook_attempt}"];

const ATTEMPT: &str = "id:string event_id:string type:string grant_id:string? replay_id:string? attempt:integer \
    outcome:string reason:string? status:integer? duration_ms:number url:string request_headers:array \
    request_bytes:integer request_sha256:string answer_headers:array answer_body:string? created_at:integer";

/// A webhook whose receiver answers a status that can be changed, and its path.
async fn told(harness: &Harness) -> (FakeHttp, Arc<AtomicU16>, String) {
    let status = Arc::new(AtomicU16::new(200));
    let now = status.clone();
    let receiver = FakeHttp::start(move |request| match request.path.split_once("challenge=") {
        Some((_, challenge)) => HttpResponse::new(200, &[], challenge.as_bytes()),
        None => HttpResponse::new(now.load(Ordering::SeqCst), &[("X-Answer", "yes")], b"so it is"),
    })
    .await;
    let new = json!({"trigger_types": ["message.created"], "webhook_url": receiver.url("/hook?token=hush")});
    let made = harness.post("/v3/webhooks", &new).await;
    let path = format!("/v3/webhooks/{}", made.is_ok().data()["id"].as_str().expect("id"));
    (receiver, status, path)
}

async fn tell(harness: &Harness) {
    let platform = &harness.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut hook).await.expect("round");
    }
}

#[tokio::test]
async fn what_was_sent_and_what_came_back_is_shown() {
    let harness = Harness::new().await;
    let (receiver, status, path) = told(&harness).await;
    assert_eq!(harness.get(&format!("{path}/attempts")).await.data(), &json!([]));
    harness.receive_about("One").await;
    tell(&harness).await;
    status.store(503, Ordering::SeqCst);
    harness.receive_about("Two").await;
    tell(&harness).await;
    let list = harness.get(&format!("{path}/attempts")).await;
    let [failed, taken] = &list.is_ok().data().as_array().expect("list")[..] else { panic!("two: {}", list.json) };
    for (attempt, outcome, reason, code) in
        [(taken, "taken", Value::Null, 200), (failed, "failed", json!("status_503"), 503)]
    {
        assert_shape(attempt, ATTEMPT);
        assert_eq!(
            (&attempt["outcome"], &attempt["reason"], &attempt["status"]),
            (&json!(outcome), &reason, &json!(code))
        );
        assert_eq!(attempt["answer_body"], "so it is");
        assert!(attempt["answer_headers"].to_string().contains(r#""x-answer","value":"yes""#), "{attempt}");
    }
    assert_eq!((&taken["id"], &failed["id"]), (&json!("1"), &json!("2")));
    assert_eq!(taken["url"], receiver.url("/hook?…"));

    // The one asked for has what was sent, too.
    let sent: Vec<_> = receiver.requests().into_iter().filter(|request| request.method == "POST").collect();
    let one = harness.get(&format!("{path}/attempts/2")).await;
    assert_shape(one.data(), &format!("{ATTEMPT} request_body:string request_body_is_as_sent:boolean"));
    assert_eq!(one.data()["request_body"].as_str().map(str::as_bytes), Some(&sent[1].body[..]));
    assert_eq!(
        (&one.data()["request_body_is_as_sent"], &one.data()["request_bytes"]),
        (&json!(true), &json!(sent[1].body.len()))
    );
    // What changes afterwards is not what was sent.
    let message: Value = serde_json::from_slice(&sent[1].body).expect("JSON");
    let message = message["data"]["object"]["id"].as_str().expect("id");
    harness.put(&harness.at(&format!("/messages/{message}")), &json!({"starred": true})).await.is_ok();
    let one = harness.get(&format!("{path}/attempts/2")).await;
    assert_eq!(one.data()["request_body_is_as_sent"], json!(false));
    assert!(one.data()["request_body"].as_str().expect("body").contains(r#""starred":true"#));
}

#[tokio::test]
async fn attempts_are_listed_by_event_and_outcome_page_by_page() {
    let harness = Harness::new().await;
    let (_receiver, status, path) = told(&harness).await;
    for (subject, code) in [("One", 200), ("Two", 500), ("Three", 200)] {
        status.store(code, Ordering::SeqCst);
        harness.receive_about(subject).await;
        tell(&harness).await;
        harness.world.advance(31);
    }
    tell(&harness).await;
    let numbers = async |query: &str| -> Vec<String> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = harness.get(&format!("{path}/attempts?limit=2{query}&page_token={token}")).await;
            let list = page.is_ok().data().as_array().expect("list");
            assert!(list.len() <= 2);
            found.extend(list.iter().map(|one| one["id"].as_str().expect("id").to_owned()));
            let Some(next) = page.json["next_cursor"].as_str() else { return found };
            token = next.to_owned();
        }
    };
    // The first, the refused one twice, the third.
    assert_eq!(numbers("").await, ["4", "3", "2", "1"]);
    assert_eq!(numbers("&outcome=taken").await, ["4", "3", "1"]);
    assert_eq!(numbers("&outcome=failed").await, ["2"]);
    let second = harness.get(&format!("{path}/attempts/2")).await.data()["event_id"].clone();
    let of_second = format!("&event_id={}", second.as_str().expect("id"));
    assert_eq!(numbers(&of_second).await, ["3", "2"]);
    assert_eq!(numbers(&format!("{of_second}&outcome=taken")).await, ["3"]);
    for (query, field, says) in [
        ("event_id=x", "event_id", "the id of an event"),
        ("outcome=maybe", "outcome", "taken or failed"),
        ("page_token=x", "page_token", "not a cursor"),
        ("page_token=-1", "page_token", "not a cursor"),
        ("limit=0", "limit", "greater than or equal to 1"),
    ] {
        let refused = harness.get(&format!("{path}/attempts?{query}")).await;
        refused.refuses(400, "invalid_request", Some(field)).says(says);
    }
    for id in ["5", "0", "x", "-1", "99999999999999999999"] {
        harness.get(&format!("{path}/attempts/{id}")).await.refuses(404, "not_found", None);
    }
    harness.delete(&path).await.is_ok();
    harness.get(&format!("{path}/attempts/1")).await.refuses(404, "not_found", None);
}
