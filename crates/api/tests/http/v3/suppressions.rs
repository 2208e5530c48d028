//! `/v3/suppressions`.

use crate::support::{Answer, Harness, assert_shape, echo};
use postfleet_mailflow::webhooks;
use postfleet_testkit::http::FakeHttp;
use postfleet_testkit::world::BEGINNING;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/suppressions",
    "POST /v3/suppressions",
    "POST /v3/suppressions/import",
    "POST /v3/suppressions/check",
    "GET /v3/suppressions/{address}",
    "DELETE /v3/suppressions/{address}",
];

const SUPPRESSION: &str = "address:string application_id:string reason:string source:string note:string? \
    grant_id:string? message_id:string? expires_at:integer? created_at:integer";
const ADDED: &str = "added:integer changed:integer unchanged:integer suppressions:array";
const CHECKED: &str =
    "address:string suppressed:boolean reason:string? source:string? expires_at:integer? created_at:integer?";

async fn add(harness: &Harness, body: Value) -> Answer {
    harness.post("/v3/suppressions", &body).await
}

async fn addresses(harness: &Harness, path: &str) -> Vec<String> {
    let answer = harness.get(path).await;
    let list = answer.is_ok().data().as_array().expect("list");
    list.iter().map(|one| one["address"].as_str().expect("address").to_owned()).collect()
}

async fn send(harness: &Harness, to: &[&str]) -> Answer {
    let to: Vec<_> = to.iter().map(|email| json!({"email": email})).collect();
    harness.post(&harness.at("/messages/send"), &json!({"to": to, "subject": "Hello"})).await
}

#[tokio::test]
async fn an_address_is_added_found_listed_and_removed() {
    let harness = Harness::new().await;
    let end = BEGINNING.as_seconds() + 3_600;
    let body = json!({"address": " Ada@Sender.test ", "reason": "complaint", "note": "by phone", "expires_at": end,
        "source": "x", "unknown": 1});
    let added = add(&harness, body).await;
    assert_shape(added.is_ok().data(), ADDED);
    assert_eq!((&added.data()["added"], &added.data()["changed"]), (&json!(1), &json!(0)));
    let one = &added.data()["suppressions"][0];
    assert_shape(one, SUPPRESSION);
    let expected = json!({"address": "Ada@sender.test", "application_id": harness.acme.application_id.to_string(),
        "reason": "complaint", "source": "api", "note": "by phone", "grant_id": null, "message_id": null,
        "expires_at": end, "created_at": BEGINNING.as_seconds()});
    assert_eq!(one, &expected);
    for path in ["/v3/suppressions/ada@sender.test", "/v3/suppressions/ADA%40sender.test"] {
        assert_eq!(harness.get(path).await.data(), one);
    }
    harness.world.advance(1);
    let again = add(&harness, json!({"address": "ada@sender.test"})).await;
    assert_eq!((&again.data()["changed"], &again.data()["unchanged"]), (&json!(1), &json!(0)));
    assert_eq!(again.data()["suppressions"][0]["reason"], "manual");
    assert_eq!(addresses(&harness, "/v3/suppressions").await, ["Ada@sender.test"]);
    let removed = harness.delete("/v3/suppressions/ada@sender.test").await;
    assert_shape(&removed.is_ok().json, "request_id:string");
    harness.delete("/v3/suppressions/ada@sender.test").await.refuses(404, "not_found", None);
    harness.get("/v3/suppressions/ada@sender.test").await.refuses(404, "not_found", None);
    assert!(addresses(&harness, "/v3/suppressions").await.is_empty());

    let records = harness.get("/v3/audit").await;
    let actions: Vec<_> = records.data().as_array().expect("records").iter().map(|one| one["action"].clone()).collect();
    assert!(actions.contains(&json!("suppression.added")) && actions.contains(&json!("suppression.removed")));
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_added() {
    let harness = Harness::new().await;
    let many = |count: usize| (0..count).map(|number| format!("r{number}@x.test")).collect::<Vec<_>>();
    let now = BEGINNING.as_seconds();
    for (body, field) in [
        (json!({}), "address"),
        (json!({"address": null, "addresses": null}), "address"),
        (json!({"address": "a@x.test", "addresses": ["b@x.test"]}), "addresses"),
        (json!({"address": "no address"}), "address"),
        (json!({"addresses": []}), "addresses"),
        (json!({"addresses": many(1_001)}), "addresses"),
        (json!({"addresses": ["a@x.test", "b@"]}), "addresses[1]"),
        (json!({"address": "a@x.test", "reason": "bored"}), "reason"),
        (json!({"address": "a@x.test", "note": "n".repeat(1_025)}), "note"),
        (json!({"address": "a@x.test", "note": "a\nb"}), "note"),
        (json!({"address": "a@x.test", "expires_at": now}), "expires_at"),
        (json!({"address": "a@x.test", "expires_at": now * 1_000}), "expires_at"),
        (json!({"address": "a@x.test", "expires_at": "x"}), "expires_at"),
    ] {
        add(&harness, body).await.refuses(400, "invalid_request", Some(field));
    }
    assert!(addresses(&harness, "/v3/suppressions").await.is_empty());
    // At the limits.
    let added =
        add(&harness, json!({"addresses": many(1_000), "note": "n".repeat(1_024), "expires_at": now + 1})).await;
    assert_eq!(added.is_ok().data()["added"], 1_000);
    for (path, field) in [
        ("/v3/suppressions?limit=0", "limit"),
        ("/v3/suppressions?limit=201", "limit"),
        ("/v3/suppressions?reason=bored", "reason"),
        ("/v3/suppressions?domain=no%20domain", "domain"),
        ("/v3/suppressions?address=x", "address"),
        ("/v3/suppressions?page_token=x", "page_token"),
        ("/v3/suppressions?page_token=MTphAGI", "page_token"),
    ] {
        harness.get(path).await.refuses(400, "invalid_request", Some(field));
    }
    for body in [json!({}), json!({"addresses": []}), json!({"addresses": many(1_001)})] {
        harness.post("/v3/suppressions/check", &body).await.refuses(400, "invalid_request", Some("addresses"));
    }
}

#[tokio::test]
async fn pages_and_filters_show_the_newest_first() {
    let harness = Harness::new().await;
    for (number, reason) in ["manual", "complaint", "manual", "invalid"].iter().enumerate() {
        harness.world.advance(1);
        let address = format!("r{number}@{}.test", number % 2);
        add(&harness, json!({"address": address, "reason": reason})).await.is_ok();
    }
    let mut all = Vec::new();
    let mut path = "/v3/suppressions?limit=3".to_owned();
    loop {
        let answer = harness.get(&path).await;
        all.extend(answer.is_ok().data().as_array().expect("list").iter().map(|one| one["address"].clone()));
        let Some(next) = answer.json["next_cursor"].as_str() else { break };
        path = format!("/v3/suppressions?limit=3&page_token={next}");
    }
    assert_eq!(all, ["r3@1.test", "r2@0.test", "r1@1.test", "r0@0.test"]);
    for (query, expected) in [
        ("reason=manual", &["r2@0.test", "r0@0.test"][..]),
        ("domain=1.test", &["r3@1.test", "r1@1.test"]),
        ("domain=1.TEST&reason=complaint", &["r1@1.test"]),
        ("address=R1@1.test", &["r1@1.test"]),
        ("address=r1@1.test&reason=manual", &[]),
        ("address=r1@1.test&domain=0.test", &[]),
        ("domain=test", &[]),
        ("reason=&domain=&address=", &["r3@1.test", "r2@0.test", "r1@1.test", "r0@0.test"]),
    ] {
        assert_eq!(addresses(&harness, &format!("/v3/suppressions?{query}")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn many_are_checked_at_once_in_their_order() {
    let harness = Harness::new().await;
    add(&harness, json!({"address": "gone@x.test", "reason": "hard_bounce"})).await.is_ok();
    let wanted = json!({"addresses": ["ok@x.test", "Gone@x.test", "gone@x.test"]});
    let answer = harness.post("/v3/suppressions/check", &wanted).await;
    let checked = answer.is_ok().data().as_array().expect("list");
    for one in checked {
        assert_shape(one, CHECKED);
    }
    let shown: Vec<_> = checked.iter().map(|one| (&one["address"], &one["suppressed"], &one["reason"])).collect();
    let (yes, no, bounced) = (json!(true), json!(false), json!("hard_bounce"));
    assert_eq!(
        shown,
        [
            (&json!("ok@x.test"), &no, &Value::Null),
            (&json!("Gone@x.test"), &yes, &bounced),
            (&json!("gone@x.test"), &yes, &bounced)
        ]
    );
    let wrong = json!({"addresses": ["ok@x.test", "x"]});
    harness.post("/v3/suppressions/check", &wrong).await.refuses(400, "invalid_request", Some("addresses[1]"));
}

#[tokio::test]
async fn a_send_says_who_does_not_get_it_and_keeps_to_the_application() {
    let harness = Harness::new().await;
    add(&harness, json!({"addresses": ["gone@x.test", "old@x.test"], "reason": "hard_bounce"})).await.is_ok();
    let sent = send(&harness, &["Gone@x.test", "ada@x.test"]).await;
    assert_eq!(
        sent.is_ok().data()["suppressed_recipients"],
        json!([{"email": "Gone@x.test", "reason": "hard_bounce"}])
    );
    assert_eq!(sent.data()["to"][0]["email"], "Gone@x.test", "the message is as it was written");
    let refused = send(&harness, &["gone@x.test", "old@x.test"]).await;
    refused.refuses(400, "all_recipients_suppressed", Some("to")).says("gone@x.test (hard_bounce), old@x.test");
    assert_eq!(refused.json["error"]["retryable"], false);
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 1);
    // Another application writes to whom it likes.
    let body = json!({"to": [{"email": "gone@x.test"}]});
    let path = format!("/v3/grants/{}/messages/send", harness.stranger);
    let answer = harness.ask(&harness.other.api_key, "POST", &path, Some(&body)).await;
    assert_eq!(answer.is_ok().data()["suppressed_recipients"], json!([]));
    harness.delete("/v3/suppressions/gone@x.test").await.is_ok();
    assert_eq!(send(&harness, &["gone@x.test"]).await.is_ok().data()["suppressed_recipients"], json!([]));
}

#[tokio::test]
async fn a_webhook_is_told_who_got_nothing() {
    let harness = Harness::new().await;
    let receiver = FakeHttp::start(echo).await;
    let new = json!({"trigger_types": ["message.rejected"], "webhook_url": receiver.url("/")});
    harness.post("/v3/webhooks", &new).await.is_ok();
    add(&harness, json!({"address": "gone@x.test"})).await.is_ok();
    send(&harness, &["gone@x.test", "ada@x.test"]).await.is_ok();
    send(&harness, &["gone@x.test"]).await.refuses(400, "all_recipients_suppressed", Some("to"));
    let platform = &harness.world.platform;
    for mut webhook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut webhook).await.expect("round");
    }
    let told: Vec<Value> = receiver
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST")
        .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for (event, to) in told.iter().zip([json!(["gone@x.test", "ada@x.test"]), json!(["gone@x.test"])]) {
        assert_eq!((&event["type"], &event["source"]), (&json!("message.rejected"), &json!("/nylas/send")));
        assert_eq!(event["data"]["grant_id"], harness.agent);
        let object = &event["data"]["object"];
        assert_eq!((&object["to"], &object["subject"]), (&to, &json!("Hello")));
        assert_eq!(object["from"], "agent@acme.test");
        assert_eq!(object["rejected_at"], BEGINNING.as_seconds());
        assert_eq!(object["rejected"]["reason"], "suppressed");
        assert_eq!(object["rejected"]["recipients"], json!([{"email": "gone@x.test", "reason": "manual"}]));
        assert!(object["id"].as_str().is_some_and(|id| id.len() == 36));
    }
}

/// Sends a text to be imported, in pieces as given.
async fn import(harness: &Harness, query: &str, kind: &str, pieces: Vec<Vec<u8>>) -> Answer {
    let pieces = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let request = axum::http::Request::post(format!("/v3/suppressions/import{query}")).header("content-type", kind);
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    harness.request(request.body(axum::body::Body::from_stream(pieces)).expect("request")).await
}

#[tokio::test]
async fn a_file_is_imported_line_by_line_and_bad_lines_are_named() {
    let harness = Harness::new().await;
    add(&harness, json!({"address": "known@x.test"})).await.is_ok();
    let end = BEGINNING.as_seconds() + 600;
    let text = format!(
        "Email,Reason,Expires\r\nAda@x.test,hard_bounce,{end}\n\n# comment\nbob@x.test\nknown@x.test,manual\n\
         nothing\ncy@x.test,bored\ndee@x.test,,1\n\"eve@x.test\",\"COMPLAINT\",,more\nbob@x.test,"
    );
    let (first, rest) = text.as_bytes().split_at(40);
    let answer = import(&harness, "?reason=unsubscribe", "text/csv", vec![first.to_vec(), rest.to_vec()]).await;
    let data = answer.is_ok().data();
    assert_shape(data, "lines:integer added:integer changed:integer unchanged:integer refused:integer refusals:array");
    assert_eq!((&data["lines"], &data["added"], &data["changed"]), (&json!(8), &json!(3), &json!(0)));
    assert_eq!((&data["unchanged"], &data["refused"]), (&json!(2), &json!(3)));
    let lines: Vec<_> = data["refusals"].as_array().expect("list").iter().map(|one| one["line"].clone()).collect();
    assert_eq!(lines, [7, 8, 9]);
    let says = |index: usize| data["refusals"][index]["reason"].as_str().expect("text").to_owned();
    assert!(says(0).contains("no \"@\"") && says(1).contains("hard_bounce") && says(2).contains("in the future"));
    let entry = |name: &str| format!("/v3/suppressions/{name}@x.test");
    for (name, reason, expires) in
        [("ada", "hard_bounce", json!(end)), ("bob", "unsubscribe", Value::Null), ("eve", "complaint", Value::Null)]
    {
        let found = harness.get(&entry(name)).await;
        let data = found.is_ok().data();
        assert_eq!((&data["reason"], &data["expires_at"]), (&json!(reason), &expires), "{name}");
        assert_eq!(data["source"], "import");
    }
    // Plain text has comments, and the same columns.
    let text = b"address\nfay@x.test, invalid  # says the old system\n".to_vec();
    let answer = import(&harness, "", "text/plain", vec![text]).await;
    assert_eq!((&answer.is_ok().data()["lines"], &answer.data()["added"]), (&json!(1), &json!(1)));
    assert_eq!(harness.get(&entry("fay")).await.data()["reason"], "invalid");
    import(&harness, "?reason=bored", "text/csv", Vec::new()).await.refuses(400, "invalid_request", Some("reason"));
    let json = import(&harness, "", "application/json", vec![b"{}".to_vec()]).await;
    json.refuses(400, "invalid_request", Some("Content-Type"));
}

#[tokio::test]
async fn an_import_is_not_bound_to_a_thousand_lines() {
    let harness = Harness::new().await;
    let pieces: Vec<Vec<u8>> = (0..2_500).map(|number| format!("r{number}@x.test\n").into_bytes()).collect();
    let answer = import(&harness, "", "text/csv", pieces).await;
    assert_eq!((&answer.is_ok().data()["added"], &answer.data()["refused"]), (&json!(2_500), &json!(0)));
    let bad: Vec<u8> = (0..150).flat_map(|_| b"nothing\n".to_vec()).collect();
    let answer = import(&harness, "", "text/csv", vec![bad]).await;
    assert_eq!(
        (&answer.data()["refused"], answer.data()["refusals"].as_array().map(Vec::len)),
        (&json!(150), Some(100))
    );
}

#[tokio::test]
async fn a_webhook_is_told_who_unsubscribed() {
    let harness = Harness::new().await;
    let receiver = FakeHttp::start(echo).await;
    let new = json!({"trigger_types": ["message.unsubscribed"], "webhook_url": receiver.url("/")});
    harness.post("/v3/webhooks", &new).await.is_ok();
    let body = json!({"to": [{"email": "ada@x.test"}], "subject": "News", "list_unsubscribe": true});
    let sent = harness.post(&harness.at("/messages/send?fields=include_headers"), &body).await;
    let headers = sent.is_ok().data()["headers"].as_array().expect("headers");
    let ways = headers.iter().find(|one| one["name"] == "List-Unsubscribe").expect("field")["value"].as_str();
    let link = ways.and_then(|ways| ways.split(['<', '>']).nth(1)).expect("a link");
    let path = link.strip_prefix("https://mail.world.test").expect("ours").to_owned();
    for _ in 0..2 {
        let request = axum::http::Request::post(&path).header("content-type", "application/x-www-form-urlencoded");
        harness.request(request.body("List-Unsubscribe=One-Click".into()).expect("request")).await;
    }
    let platform = &harness.world.platform;
    for mut webhook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut webhook).await.expect("round");
    }
    let told: Vec<Value> = receiver
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST")
        .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["type"], &told[0]["source"]), (&json!("message.unsubscribed"), &json!("/nylas/send")));
    assert_eq!(told[0]["data"]["grant_id"], harness.agent);
    let object = &told[0]["data"]["object"];
    assert_eq!((&object["id"], &object["subject"]), (&sent.data()["id"], &json!("News")));
    let unsubscribed = json!({"unsubscribed_at": BEGINNING.as_seconds(), "recipient": "ada@x.test",
        "source": "one_click", "scope": "application"});
    assert_eq!(object["unsubscribed"], unsubscribed);
}
