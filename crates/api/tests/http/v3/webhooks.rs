//! `/v3/webhooks`.

use crate::support::{Harness, assert_shape, echo, ids, receiver};
use postfleet_core::event::{ACCEPTED_UNANNOUNCED, Trigger};
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/webhooks",
    "POST /v3/webhooks",
    "GET /v3/webhooks/ip-addresses",
    "GET /v3/webhooks/{webhook}/deliveries",
    "GET /v3/webhooks/{webhook}",
    "PUT /v3/webhooks/{webhook}",
    "PATCH /v3/webhooks/{webhook}",
    "DELETE /v3/webhooks/{webhook}",
    "POST /v3/webhooks/rotate-secret/{webhook}",
    "PUT /v3/webhooks/{webhook}/rotate-secret",
    "POST /v3/webhooks/mock-payload",
    "POST /v3/webhooks/send-test-event",
];

const WEBHOOK: &str = "id:string description:string trigger_types:array webhook_url:string status:string \
    notification_email_addresses:array compressed_delivery:boolean include_junk:boolean \
    auto_resume:boolean rate:integer? ordered:boolean gap:object? filters:object pending:integer \
    oldest_pending_at:integer? status_updated_at:integer created_at:integer updated_at:integer";

fn with_secret() -> String {
    format!("{WEBHOOK} webhook_secret:string")
}

fn new(url: &str) -> Value {
    json!({"trigger_types": ["message.created"], "webhook_url": url})
}

async fn make(harness: &Harness, url: &str) -> Value {
    harness.post("/v3/webhooks", &new(url)).await.is_ok().data().clone()
}

#[tokio::test]
async fn receivers_can_ask_from_where_they_are_called() {
    let harness = Harness::new().await;
    let started = harness.world.platform.settings.read_at.as_seconds();
    harness.world.advance(100);
    let answer = harness.get("/v3/webhooks/ip-addresses").await;
    assert_eq!(answer.status, 200);
    let expected = json!({"ip_addresses": ["192.0.2.7", "2001:db8::7"], "updated_at": started});
    assert_eq!(answer.data(), &expected);
    assert!(started > 0);
}

#[tokio::test]
async fn a_webhook_is_made_found_listed_and_removed() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    assert_eq!(harness.get("/v3/webhooks").await.data(), &json!([]));
    let body = json!({"trigger_types": ["message.created", "message.transactional.bounced", "thread.replied"],
        "webhook_url": receiver.url("/hook?a=b"), "description": "Grüße", "notification_email_addresses": ["o@acme.test"]});
    let made = harness.post("/v3/webhooks", &body).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), &with_secret());
    for field in ["trigger_types", "webhook_url", "description", "notification_email_addresses"] {
        assert_eq!(made.data()[field], body[field]);
    }
    assert_eq!(made.data()["status"], "active");
    // The challenge came as the first and only request, with the URL's own query kept.
    let asked = receiver.requests();
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "GET"));
    assert!(asked[0].path.starts_with("/hook?a=b&challenge="), "{}", asked[0].path);

    let id = made.data()["id"].as_str().expect("id");
    let found = harness.get(&format!("/v3/webhooks/{id}")).await;
    assert_shape(found.data(), WEBHOOK);
    let list = harness.get("/v3/webhooks").await;
    assert_shape(&list.json, "request_id:string data:array");
    assert_eq!(list.data(), &json!([found.data()]));

    let removed = harness.delete(&format!("/v3/webhooks/{id}")).await;
    assert_shape(&removed.json, "request_id:string data:object");
    assert_eq!(removed.data(), &json!({"status": "success"}));
    harness.get(&format!("/v3/webhooks/{id}")).await.refuses(404, "not_found", None);
    harness.delete(&format!("/v3/webhooks/{id}")).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let url = receiver.url("/");
    let with = |field: &str, value: Value| {
        let mut body = new(&url);
        body[field] = value;
        body
    };
    for (body, field, says) in [
        (json!({"webhook_url": url}), "trigger_types", "missing field `trigger_types`"),
        (json!({"trigger_types": ["message.created"]}), "webhook_url", "missing field `webhook_url`"),
        (with("trigger_types", json!([])), "trigger_types", "1 to 100 triggers"),
        (with("trigger_types", json!(vec!["message.created"; 101])), "trigger_types", "1 to 100 triggers"),
        (with("trigger_types", json!(["message.exploded"])), "trigger_types", "\"message.exploded\" is not a trigger"),
        (with("trigger_types", json!("message.created")), "trigger_types", "invalid type"),
        (with("description", json!("d".repeat(1_025))), "description", "at most 1024 characters"),
        (with("description", json!("a\0b")), "description", "control characters"),
        (
            with("notification_email_addresses", json!(vec!["a@b.test"; 21])),
            "notification_email_addresses",
            "at most 20",
        ),
        (
            with("notification_email_addresses", json!(["a@b.test", "nobody"])),
            "notification_email_addresses[1]",
            "is not an address",
        ),
        (with("rate", json!(0)), "rate", "1 to 10000"),
        (with("rate", json!(10_001)), "rate", "1 to 10000"),
        (with("rate", json!(-1)), "rate", "invalid value"),
        (with("rate", json!("1")), "rate", "invalid type"),
        (with("ordered", json!(1)), "ordered", "invalid type"),
        (with("auto_resume", json!("no")), "auto_resume", "invalid type"),
        (with("compressed_delivery", json!("yes")), "compressed_delivery", "invalid type"),
        (with("filters", json!({"grant_ids": ["x"]})), "filters.grant_ids[0]", "a mailbox of this application"),
        (
            with("filters", json!({"grant_ids": [harness.stranger]})),
            "filters.grant_ids[0]",
            "a mailbox of this application",
        ),
        (
            with("filters", json!({"workspace_ids": [harness.other.workspace_id.to_string()]})),
            "filters.workspace_ids[0]",
            "a workspace of this application",
        ),
        (with("filters", json!({"domains": ["acme.test", "a b"]})), "filters.domains[1]", "a domain name"),
        (with("filters", json!({"domains": vec!["acme.test"; 101]})), "filters.domains", "at most 100"),
        (with("webhook_url", json!("not a url")), "webhook_url", "unable.verify.webhook_url : not an absolute URL"),
        (with("webhook_url", json!("")), "webhook_url", "not an absolute URL"),
        (with("webhook_url", json!("ftp://127.0.0.1/")), "webhook_url", "https nor http"),
        (with("webhook_url", json!("http://u:p@127.0.0.1/")), "webhook_url", "user name or password"),
        (with("webhook_url", json!("https://10.0.0.1/")), "webhook_url", "10.0.0.1 is not a public address"),
        (with("webhook_url", json!("https://169.254.169.254/latest")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("https://[::1]/")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("https://0x0a000001/")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("http://192.0.2.1/")), "webhook_url", "not a public address"),
        (with("webhook_url", json!("http://1.1.1.1/")), "webhook_url", "plain http"),
        (
            with("webhook_url", json!(format!("https://x.test/{}", "x".repeat(2_048)))),
            "webhook_url",
            "longer than 2048",
        ),
    ] {
        let answer = harness.post("/v3/webhooks", &body).await;
        let is_url = field == "webhook_url" && answer.json["error"]["message"].to_string().contains("unable.verify");
        let (code, kind) = if is_url { ("webhook_unverified", "70005") } else { ("webhook_invalid", "70001") };
        assert_eq!(answer.json["error"]["type"], kind, "{answer:?}");
        answer.refuses(400, code, Some(field)).says(says);
    }
    // None of them was asked.
    assert_eq!(receiver.requests().len(), 0);
    let largest = json!({"trigger_types": vec!["message.created"; 100], "webhook_url": url,
        "description": "d".repeat(1_024), "notification_email_addresses": vec!["a@b.test"; 20]});
    harness.post("/v3/webhooks", &largest).await.is_ok();
}

#[tokio::test]
async fn what_is_absent_stays_what_is_null_goes_and_what_is_said_holds() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let shown = |data: &Value| json!([data["rate"], data["ordered"], data["auto_resume"], data["gap"]]);
    assert_eq!(shown(&made), json!([null, true, true, null]));
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    for (change, expected) in [
        (json!({"rate": 10_000, "ordered": false, "auto_resume": false}), json!([10_000, false, false, null])),
        (json!({"description": "d"}), json!([10_000, false, false, null])),
        (json!({"rate": 1, "ordered": null, "auto_resume": null, "gap": null}), json!([1, false, false, null])),
        (json!({"rate": null, "ordered": true, "auto_resume": true}), json!([null, true, true, null])),
    ] {
        assert_eq!(shown(harness.put(&path, &change).await.is_ok().data()), expected, "{change}");
        assert_eq!(shown(harness.get(&path).await.data()), expected, "{change}");
    }
    for (change, field) in [
        (json!({"rate": 0}), "rate"),
        (json!({"rate": 10_001}), "rate"),
        (json!({"gap": {"from": 0, "to": 0, "events": 0}}), "gap"),
        (json!({"gap": 1}), "gap"),
    ] {
        harness.put(&path, &change).await.refuses(400, "webhook_invalid", Some(field));
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_echo_the_challenge_gets_no_webhook() {
    let harness = Harness::new().await;
    for (answer, says) in [
        (HttpResponse::status(404), "unable.verify.webhook_url : status is not ok, got 404"),
        (HttpResponse::status(204), "status is not ok, got 204"),
        (HttpResponse::new(302, &[("Location", "https://example.test/")], b""), "status is not ok, got 302"),
        (HttpResponse::status(200), "not the challenge"),
        (HttpResponse::new(200, &[], b"\"challenge\""), "not the challenge"),
        (HttpResponse::hang_up(), "unable.verify.webhook_url"),
    ] {
        let receiver = FakeHttp::start(move |_| answer.clone()).await;
        let refused = harness.post("/v3/webhooks", &new(&receiver.url("/"))).await;
        refused.refuses(400, "webhook_unverified", Some("webhook_url")).says(says);
    }
    assert_eq!(harness.get("/v3/webhooks").await.data(), &json!([]));
}

#[tokio::test]
async fn a_url_is_unique_in_its_application() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let first = make(&harness, &receiver.url("/a")).await;
    let again = harness.post("/v3/webhooks", &new(&receiver.url("/a"))).await;
    again.refuses(409, "webhook_url_taken", Some("webhook_url")).says("already exists");
    let theirs = harness.ask(&harness.other.api_key, "POST", "/v3/webhooks", Some(&new(&receiver.url("/a")))).await;
    theirs.is_ok();
    harness.world.advance(1);
    let second = make(&harness, &receiver.url("/b")).await;
    let path = format!("/v3/webhooks/{}", second["id"].as_str().expect("id"));
    let moved = harness.put(&path, &json!({"webhook_url": receiver.url("/a")})).await;
    moved.refuses(409, "webhook_url_taken", Some("webhook_url"));
    assert_eq!(harness.ids("/v3/webhooks").await, [&first["id"], &second["id"]].map(|id| id.as_str().expect("id")));
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    harness.world.advance(60);
    let changed = harness.put(&path, &json!({"description": "new", "trigger_types": ["grant.created"]})).await;
    assert_shape(changed.is_ok().data(), WEBHOOK);
    let data = changed.data();
    assert_eq!((&data["description"], &data["trigger_types"]), (&json!("new"), &json!(["grant.created"])));
    assert_eq!((&data["webhook_url"], &data["created_at"]), (&made["webhook_url"], &made["created_at"]));
    assert_eq!(data["updated_at"], json!(made["updated_at"].as_i64().expect("time") + 60));
    assert_eq!(data["status_updated_at"], made["status_updated_at"]);
    // Nothing that a receiver has to agree to was changed.
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(harness.put(&path, &json!({})).await.is_ok().data()["description"], "new");
    let patched = harness.patch(&path, &json!({"compressed_delivery": true})).await;
    assert_eq!(patched.is_ok().data()["compressed_delivery"], true);
    harness.put(&path, &json!({"status": "failed"})).await.refuses(400, "webhook_invalid", Some("status"));
    harness.put(&path, &json!({"trigger_types": []})).await.refuses(400, "webhook_invalid", Some("trigger_types"));
}

#[tokio::test]
async fn pausing_asks_nobody_and_activating_asks_the_receiver() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    for spelling in ["pause", "paused", "inactive"] {
        let paused = harness.put(&path, &json!({"status": spelling})).await;
        assert_eq!(paused.is_ok().data()["status"], "pause");
    }
    assert_eq!(receiver.requests().len(), 1);
    let active = harness.put(&path, &json!({"status": "active"})).await;
    assert_eq!((&active.is_ok().data()["status"], receiver.requests().len()), (&json!("active"), 2));
}

#[tokio::test]
async fn a_new_url_must_echo_the_challenge_too() {
    let harness = Harness::new().await;
    let (old, new) = (receiver().await, FakeHttp::start(|_| HttpResponse::status(500)).await);
    let made = make(&harness, &old.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    let refused = harness.put(&path, &json!({"webhook_url": new.url("/")})).await;
    refused.refuses(400, "webhook_unverified", Some("webhook_url")).says("got 500");
    assert_eq!(harness.get(&path).await.data()["webhook_url"], made["webhook_url"]);
}

#[tokio::test]
async fn a_secret_is_shown_when_it_is_new_and_never_again() {
    let harness = Harness::new().await;
    let receiver = FakeHttp::start(echo).await;
    let made = make(&harness, &receiver.url("/")).await;
    let id = made["id"].as_str().expect("id");
    let mut secrets = vec![made["webhook_secret"].as_str().expect("secret").to_owned()];
    for (method, path) in [("POST", format!("rotate-secret/{id}")), ("PUT", format!("{id}/rotate-secret"))] {
        let rotated = harness.ask(&harness.acme.api_key, method, &format!("/v3/webhooks/{path}"), None).await;
        assert_shape(rotated.is_ok().data(), &with_secret());
        let secret = rotated.data()["webhook_secret"].as_str().expect("secret").to_owned();
        assert!(secret.len() >= 43 && !secrets.contains(&secret));
        secrets.push(secret);
        assert_shape(harness.get(&format!("/v3/webhooks/{id}")).await.data(), WEBHOOK);
    }
    assert_eq!(ids(&harness.get("/v3/webhooks").await), [id]);
}

#[tokio::test]
async fn an_old_secret_signs_for_a_while_if_that_is_asked_for() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let id = made["id"].as_str().expect("id");
    let paths =
        [("POST", format!("/v3/webhooks/rotate-secret/{id}")), ("PUT", format!("/v3/webhooks/{id}/rotate-secret"))];
    for (method, path) in &paths {
        let rotated = harness.ask(&harness.acme.api_key, method, path, Some(&json!({"overlap_seconds": 60}))).await;
        let until = rotated.is_ok().data()["updated_at"].as_i64().expect("time") + 60;
        assert_eq!(rotated.data()["previous_secret_until"], until, "{path}");
    }
    assert!(harness.get(&format!("/v3/webhooks/{id}")).await.data()["previous_secret_until"].is_i64());
    harness.world.advance(60);
    let later = harness.get(&format!("/v3/webhooks/{id}")).await;
    assert_eq!(later.data().get("previous_secret_until"), None);
    for (overlap, says) in
        [(json!(604_801), "at most 604800"), (json!(-1), "invalid value"), (json!("1"), "invalid type")]
    {
        let refused = harness.post(&paths[0].1, &json!({"overlap_seconds": overlap})).await;
        refused.refuses(400, "webhook_invalid", Some("overlap_seconds")).says(says);
    }
    harness.post(&paths[0].1, &json!({"overlap_seconds": 604_800})).await.is_ok();
}

#[tokio::test]
async fn an_application_has_fifty_webhooks() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    for number in 0..50 {
        make(&harness, &receiver.url(&format!("/{number}"))).await;
    }
    let one_more = harness.post("/v3/webhooks", &new(&receiver.url("/more"))).await;
    one_more.refuses(409, "webhooks_max_reached", None).says("at most 50 webhooks");
}

#[tokio::test]
async fn filters_are_shown_as_they_were_given_and_replaced_as_a_whole() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let mut body = new(&receiver.url("/"));
    let workspace = harness.acme.workspace_id.to_string();
    body["filters"] = json!({"grant_ids": [harness.agent], "workspace_ids": [workspace], "domains": ["ACME.test"]});
    let made = harness.post("/v3/webhooks", &body).await.is_ok().data().clone();
    let expected = json!({"grant_ids": [harness.agent], "workspace_ids": [workspace], "domains": ["acme.test"]});
    assert_eq!(made["filters"], expected);
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    assert_eq!(harness.put(&path, &json!({"description": "x"})).await.is_ok().data()["filters"], expected);
    let replaced = harness.put(&path, &json!({"filters": {"domains": ["other.test"]}})).await;
    let expected = json!({"grant_ids": [], "workspace_ids": [], "domains": ["other.test"]});
    assert_eq!(replaced.is_ok().data()["filters"], expected);
    let none = json!({"grant_ids": [], "workspace_ids": [], "domains": []});
    for all in [Value::Null, json!({})] {
        assert_eq!(harness.put(&path, &json!({"filters": all})).await.is_ok().data()["filters"], none);
    }
}

/// Every name that a webhook may list.
fn names() -> Vec<&'static str> {
    let announced = Trigger::ALL.iter().flat_map(|one| [Some(one.name()), one.other_name()]).flatten();
    announced.chain(ACCEPTED_UNANNOUNCED.iter().copied()).chain(["draft.reviewed", "thread.updated"]).collect()
}

#[tokio::test]
async fn there_is_a_sample_of_everything_that_a_webhook_may_list() {
    let harness = Harness::new().await;
    let mut shown = Vec::new();
    for name in names() {
        let sample = harness.post("/v3/webhooks/mock-payload", &json!({"trigger_type": name})).await;
        let data = sample.is_ok().data();
        assert_eq!((&data["type"], &data["specversion"]), (&json!(name), &json!("1.0")));
        assert_eq!(data["data"]["application_id"], harness.acme.application_id.to_string());
        assert!(data["data"]["object"].is_object() && data["data"]["grant_id"].is_string(), "{data}");
        let mut data = data.clone();
        data["data"]["application_id"] = json!("<application>");
        let text = serde_json::to_string_pretty(&data).expect("JSON");
        let application = harness.acme.application_id.to_string();
        shown.push(text.replace(&application, "<application>"));
    }
    insta::assert_snapshot!(shown.join("\n\n"));
    for wrong in ["", "message.exploded", "message.created.truncated"] {
        let refused = harness.post("/v3/webhooks/mock-payload", &json!({"trigger_type": wrong})).await;
        refused.refuses(400, "webhook_invalid", Some("trigger_type")).says("is not a trigger");
    }
    let missing = harness.post("/v3/webhooks/mock-payload", &json!({})).await;
    missing.refuses(400, "webhook_invalid", Some("trigger_type"));
    assert_eq!(harness.get("/v3/events").await.data().as_array().map(Vec::len), Some(1), "nothing has happened");
}

#[tokio::test]
async fn a_webhook_may_list_all_of_them() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let mut body = new(&receiver.url("/"));
    body["trigger_types"] = json!(names());
    assert_eq!(harness.post("/v3/webhooks", &body).await.is_ok().data()["trigger_types"], json!(names()));
}

#[tokio::test]
async fn a_test_event_is_sent_once_signed_and_without_a_challenge() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let url = receiver.url("/hook?token=a");
    for (body, kind) in [
        (json!({"webhook_url": url}), "message.created"),
        (json!({"webhook_url": url, "trigger_type": "message.bounced"}), "message.bounced"),
        (json!({"webhook_url": url, "trigger_type": "event.created"}), "event.created"),
    ] {
        let before = receiver.requests().len();
        let sent = harness.post("/v3/webhooks/send-test-event", &body).await;
        assert_eq!(sent.is_ok().data(), &json!("success"));
        let requests = receiver.requests();
        assert_eq!(requests.len(), before + 1);
        let request = &requests[before];
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?token=a"));
        let told: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(told["type"], kind);
        assert_eq!(request.header("x-nylas-signature").map(str::len), Some(64));
        assert!(request.header("webhook-signature").is_some_and(|value| value.starts_with("v1,")));
    }
    for (answer, says) in [
        (HttpResponse::status(404), "unable.verify.webhook_url : status is not ok, got 404"),
        (HttpResponse::new(302, &[("Location", "https://example.test/")], b""), "got 302"),
        (HttpResponse::hang_up(), "unable.verify.webhook_url"),
    ] {
        let receiver = FakeHttp::start(move |_| answer.clone()).await;
        let refused = harness.post("/v3/webhooks/send-test-event", &json!({"webhook_url": receiver.url("/")})).await;
        assert_eq!(refused.json["error"]["type"], "70005");
        refused.refuses(400, "webhook_unverified", Some("webhook_url")).says(says);
        assert_eq!(receiver.requests().len(), 1);
    }
    let unknown = json!({"webhook_url": url, "trigger_type": "x.y"});
    let refused = harness.post("/v3/webhooks/send-test-event", &unknown).await;
    refused.refuses(400, "webhook_invalid", Some("trigger_type"));
}

/// Spellings of hosts that are no public place, or no host at all.
fn hosts() -> Vec<String> {
    let mut hosts: Vec<String> = [
        // Networks that are not public, at their first and last addresses.
        "0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.1 100.127.255.255 169.254.0.1 169.254.169.254",
        "172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1",
        "198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255",
        "[::] [::1] [0:0:0:0:0:0:0:1] [::10.0.0.1] [::ffff:10.0.0.1] [::ffff:a00:1] [::ffff:0:10.0.0.1]",
        "[64:ff9b::a00:1] [64:ff9b:1::a00:1] [100::1] [2001::1] [2001:0:a00:1::1] [2001:2::1] [2001:10::1]",
        "[2001:20::1] [2001:db8::1] [2002:a00:1::1] [2002::1] [3ffe::1] [3fff::1] [4000::1] [5f00::1] [fc00::1]",
        "[fd00::1] [fe80::1] [fec0::1] [ff02::1] [fe80::1%25eth0] [fe80::1%eth0] [::1 ::1] [[::1]] [10.0.0.1]",
        "256.0.0.1 1.2.3.4.5 10.0.0.1@8.8.8.8 8.8.8.8@10.0.0.1 user:secret@8.8.8.8",
    ]
    .join(" ")
    .split(' ')
    .map(str::to_owned)
    .collect();
    // One address in every spelling that a lenient reader takes for it: 10.0.0.1 and 169.254.169.254.
    for [a, b, c, d] in [[10_u32, 0, 0, 1], [169, 254, 169, 254], [192, 168, 1, 1], [172, 16, 0, 1]] {
        let whole = a << 24 | b << 16 | c << 8 | d;
        hosts.extend([
            format!("{whole}"),
            format!("{whole:#x}"),
            format!("0{whole:o}"),
            format!("{a}.{}", whole & 0xff_ffff),
            format!("{a}.{b}.{}", whole & 0xffff),
            format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("{a:#x}.{b}.0{c:o}.{d}"),
            format!("000{a:o}.{b}.{c}.{d}"),
            format!("{a}.{b}.{c}.{d}."),
            format!("{a}\u{3002}{b}\u{3002}{c}\u{3002}{d}"),
            format!("{a}\u{ff0e}{b}\u{ff61}{c}.{d}"),
            format!("{a}.{b}.{c}.{d}").replace('1', "\u{ff11}"),
            format!("{a}.{b}.{c}.{d}").replace('1', "\u{2460}"),
            format!("{a}.{b}.{c}.{d}").replace('1', "%31"),
            format!("[::ffff:{a}.{b}.{c}.{d}]"),
            format!("[::{a}.{b}.{c}.{d}]"),
            format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        ]);
    }
    hosts
}

/// URLs that lead nowhere that is allowed: 127.0.0.0/8 is, here.
fn urls() -> Vec<String> {
    let mut urls = Vec::new();
    for host in hosts() {
        for (before, after) in
            [("https://", "/"), ("http://", "/in"), ("https://", ":8443/x?y=z"), ("HTTPS:\\\\", "\\")]
        {
            urls.push(format!("{before}{host}{after}"));
        }
    }
    for url in [
        "",
        " ",
        "/",
        "//127.0.0.1/",
        "127.0.0.1",
        "https://",
        "https:///",
        "http:",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/_x",
        "data:text/plain,x",
        "javascript:0",
        "unix:/run/x.sock",
        "ws://127.0.0.1/",
        "https://8.8.8.8:25/",
        "https://8.8.8.8:0/",
        "https://8.8.8.8:22/",
        "https://8.8.8.8:1023/",
        "https://8.8.8.8:65536/",
        "https://8.8.8.8:-1/",
        "https://8.8.8.8:a/",
        "http://8.8.8.8/",
        "http://8.8.8.8:443/",
        "https://10.0.0.1#@8.8.8.8/",
        "https://10.0.0.1\\@8.8.8.8/",
        "https://10.0.0.1?@8.8.8.8/",
        "https:10.0.0.1",
        "https:/10.0.0.1",
        "https://10.0.0.1\u{9}/",
        "https://10.0.\n0.1/",
        "https://127.0.0.1\u{0}.example.com/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1:80@10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
    ] {
        urls.push(url.to_owned());
    }
    urls
}

#[tokio::test]
async fn no_spelling_of_a_url_leads_where_nobody_may_be_sent() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let made = make(&harness, &receiver.url("/")).await;
    let path = format!("/v3/webhooks/{}", made["id"].as_str().expect("id"));
    let urls = urls();
    assert!(urls.len() >= 400, "{}", urls.len());
    for url in &urls {
        let fields = json!({"webhook_url": url});
        for answer in [
            harness.post("/v3/webhooks", &new(url)).await,
            harness.put(&path, &fields).await,
            harness.post("/v3/webhooks/send-test-event", &fields).await,
        ] {
            assert_eq!(answer.status, 400, "{url:?}: {answer:?}");
            assert_eq!(answer.json["error"]["field"], "webhook_url", "{url:?}: {answer:?}");
            let kind = &answer.json["error"]["type"];
            assert!(kind == "70005" || kind == "70001", "{url:?}: {answer:?}");
        }
    }
    assert_eq!(harness.get("/v3/webhooks").await.data(), &json!([harness.get(&path).await.data()]));
    assert_eq!(harness.get(&path).await.data()["webhook_url"], made["webhook_url"]);
    assert_eq!(receiver.requests().len(), 1, "nobody was asked");
}

#[tokio::test]
async fn mailboxes_come_and_go_and_no_webhook_is_touched() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    make(&harness, &receiver.url("/")).await;
    // What is still to be told of grows; the subscription is what it was.
    let subscription = async || {
        let mut listed = harness.get("/v3/webhooks").await.data()[0].clone();
        let fields = listed.as_object_mut().expect("object");
        let pending = fields.remove("pending").expect("pending");
        fields.remove("oldest_pending_at");
        (listed, pending)
    };
    let (before, _) = subscription().await;
    for number in 0..20 {
        harness.world.advance(1);
        let new = json!({"provider": "nylas", "settings": {"email": format!("a{number}@acme.test")}});
        let made = harness.post("/v3/connect/custom", &new).await;
        let id = made.is_ok().data()["id"].as_str().expect("id");
        harness.delete(&format!("/v3/grants/{id}")).await.is_ok();
    }
    assert_eq!(subscription().await, (before, json!(40)));
    assert_eq!(receiver.requests().len(), 1, "nobody was asked again");
}
