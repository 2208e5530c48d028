//! `POST /v3/grants/{grant}/messages/send`.

use crate::support::{Answer, Harness, NOBODY, assert_shape, ids};
use crate::v3::grants::messages::MESSAGE;
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use postfleet_core::plan::RECIPIENTS_MAX;
use postfleet_testkit::world::{BEGINNING, NewTenant};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const ROUTES: &[&str] = &["POST /v3/grants/{grant}/messages/send"];

/// From the beginning of every world to the end of its day: 14 hours.
const TO_MIDNIGHT: u64 = 14 * 3_600;

fn to(email: &str) -> Value {
    json!({"to": [{"email": email}], "subject": "Hello", "body": "<p>Hi</p>"})
}

fn with(field: &str, value: Value) -> Value {
    let mut body = to("ada@sender.test");
    body[field] = value;
    body
}

async fn send(harness: &Harness, body: &Value) -> Answer {
    harness.post(&harness.at("/messages/send"), body).await
}

/// The source of the newest sent message.
async fn source(harness: &Harness) -> String {
    let newest = harness.get(&harness.at("/messages?in=sent&limit=1&fields=raw_mime")).await;
    let raw = newest.data()[0]["raw_mime"].as_str().expect("raw").to_owned();
    String::from_utf8(URL_SAFE.decode(raw).expect("base64")).expect("text")
}

#[tokio::test]
async fn a_sent_message_is_answered_whole_and_stored_as_answered() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "ada@sender.test", "name": "Ada"}], "cc": [{"email": "bob@sender.test"}],
        "bcc": [{"email": "dee@sender.test"}], "reply_to": [{"email": "answers@acme.test"}], "subject": "Grüße",
        "body": "<p>Hi</p>", "unknown": {"x": 1}, "template": null});
    let answer = send(&harness, &body).await;
    assert_eq!(answer.status, 200);
    assert_shape(&answer.json, "request_id:string grant_id:string data:object");
    assert_shape(answer.data(), &format!("{MESSAGE} suppressed_recipients:array"));
    let mut data = answer.data().clone();
    assert_eq!(data.as_object_mut().and_then(|data| data.remove("suppressed_recipients")), Some(json!([])));
    let data = &data;
    assert_eq!(answer.json["grant_id"], harness.agent);
    assert_eq!(data["from"], json!([{"name": "agent agent", "email": "agent@acme.test"}]));
    assert_eq!(data["bcc"], json!([{"name": "", "email": "dee@sender.test"}]));
    assert_eq!((&data["folders"], &data["unread"]), (&json!(["sent"]), &json!(false)));
    assert_eq!((&data["direction"], &data["date"]), (&json!("outbound"), &json!(BEGINNING.as_seconds())));
    let id = data["id"].as_str().expect("id");
    assert_eq!(data["message_id_header"], format!("<{id}@acme.test>"));
    assert_eq!(harness.get(&harness.at(&format!("/messages/{id}"))).await.data(), data);
    // Who got a blind copy stands in no copy that leaves.
    assert!(!source(&harness).await.contains("dee@"), "bcc in the message");
    // An allowance without limit is not spoken of.
    assert_eq!(answer.header("ratelimit-limit"), None);
}

#[tokio::test]
async fn null_means_absent() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "a@b.test"}], "from": null, "cc": null, "bcc": null, "reply_to": null,
        "subject": null, "body": null, "is_plaintext": null, "attachments": null, "reply_to_message_id": null,
        "custom_headers": null, "send_at": null});
    assert_eq!(send(&harness, &body).await.is_ok().data()["subject"], "");
}

#[tokio::test]
async fn plain_text_has_no_html_part() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "a@b.test"}], "body": "1 < 2", "is_plaintext": true});
    assert_eq!(send(&harness, &body).await.is_ok().data()["body"], "1 < 2\r\n");
    assert!(!source(&harness).await.contains("text/html"), "an HTML part");
}

#[tokio::test]
async fn attachments_travel_with_the_message() {
    let harness = Harness::new().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let body = with(
        "attachments",
        json!([
            {"content": STANDARD.encode(&bytes), "content_type": "application/pdf", "filename": "ä.pdf", "size": 256},
            {"content": URL_SAFE.encode(&bytes), "content_type": "image/png", "filename": "i.png", "content_id": "logo",
                "is_inline": true},
            {"content": "SGVs\r\nbG8=", "filename": "hello.txt"},
        ]),
    );
    let answer = send(&harness, &body).await;
    let files = answer.is_ok().data()["attachments"].as_array().expect("list").clone();
    let names: Vec<_> = files.iter().map(|file| file["filename"].as_str().expect("name")).collect();
    let position = |name: &str| names.iter().position(|known| *known == name).expect("file");
    for (name, content) in [("ä.pdf", bytes.as_slice()), ("i.png", bytes.as_slice()), ("hello.txt", b"Hello")] {
        let id = files[position(name)]["id"].as_str().expect("id");
        let download = harness.get(&harness.at(&format!("/attachments/{id}/download"))).await;
        assert_eq!(download.octets, content, "{name}");
    }
    assert_eq!(files[position("i.png")]["content_id"], "logo");
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let person = |email: &str| json!([{"email": email}]);
    let many =
        |count: usize| Value::from((0..count).map(|n| json!({"email": format!("a{n}@b.test")})).collect::<Vec<_>>());
    for (body, field, says) in [
        (json!({}), "to", "at least one recipient"),
        (json!({"to": []}), "to", "at least one recipient"),
        (with("to", person("ada")), "to[0].email", "to[0].email is not an address"),
        (with("cc", json!([{"email": "a@b.test"}, {"email": "a b@c.test"}])), "cc[1].email", "not an address"),
        (with("bcc", person("@b.test")), "bcc[0].email", "not an address"),
        (with("reply_to", person("x")), "reply_to[0].email", "\"@\""),
        (with("from", person("other@acme.test")), "from[0].email", "agent@acme.test"),
        (with("from", json!([{"email": "agent@acme.test"}, {"email": "agent@acme.test"}])), "from", "at most one"),
        (with("to", json!("ada@sender.test")), "to", "error parsing request body"),
        (with("to", json!([{"name": "Ada"}])), "to[0]", "missing field `email`"),
        (with("subject", json!(7)), "subject", "invalid type"),
        (with("subject", json!("s".repeat(999))), "subject", "at most 998"),
        (with("send_at", json!(4_000_000_000_i64)), "send_at", "not available yet"),
        (with("reply_to_message_id", json!("x")), "reply_to_message_id", "not a message of this account"),
        (with("reply_to_message_id", json!(NOBODY)), "reply_to_message_id", "not a message of this account"),
        (with("attachments", json!([{"content": "***"}])), "attachments[0].content", "not base64"),
        (with("attachments", json!([{"filename": "x"}])), "attachments[0]", "missing field `content`"),
        (
            with("attachments", json!([{"content": "", "content_type": "multipart/mixed"}])),
            "attachments[0].content_type",
            "multipart",
        ),
        (with("custom_headers", json!([{"name": "X A", "value": "b"}])), "custom_headers[0].name", "without spaces"),
    ] {
        send(&harness, &body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    let too_many = send(&harness, &json!({"to": many(RECIPIENTS_MAX), "cc": person("x@y.test")})).await;
    too_many.refuses(400, "too_many_recipients", Some("to")).says("at most 50 recipients");
    assert_eq!(send(&harness, &json!({"to": many(RECIPIENTS_MAX)})).await.status, 200);
    assert_eq!(harness.ids(&harness.at("/messages")).await.len(), 1);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let harness = Harness::new().await;
    let post = async |kind: Option<&str>, body: &'static [u8]| {
        let builder = Request::post(harness.at("/messages/send"));
        let builder = builder.header("authorization", format!("Bearer {}", harness.acme.api_key));
        let builder = match kind {
            Some(kind) => builder.header("content-type", kind),
            None => builder,
        };
        harness.request(builder.body(Body::from(body)).expect("request")).await
    };
    let good = br#"{"to":[{"email":"a@b.test"}]}"#;
    for kind in [None, Some("application/json"), Some("application/json; charset=utf-8"), Some("Application/JSON;x=y")]
    {
        assert_eq!(post(kind, good).await.status, 200, "{kind:?}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        post(Some(kind), good).await.refuses(400, "invalid_request", Some("Content-Type"));
    }
    for body in [
        &b""[..],
        b"{",
        b"null",
        b"[]",
        b"\"x\"",
        b"{\"to\":[{\"email\":\"\xff\"}]}",
        b"\xef\xbb\xbf{}",
        b"{\"to\":[{\"email\":\"a@b.test\"}]} x",
    ] {
        let answer = post(None, body).await;
        assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (400, Some("invalid_request")), "{body:?}");
        answer.says("error parsing request body");
    }
}

#[tokio::test]
async fn no_value_begins_a_header_field() {
    let harness = Harness::new().await;
    for evil in ["x\r\nBcc: victim@v.test", "x\nBcc: victim@v.test", "x\rBcc: victim@v.test", "x\0y", "x\u{85}y"] {
        let person = json!([{"email": "a@b.test", "name": evil}]);
        let file = |field: &str| {
            let mut file = json!({"content": "eA==", "filename": "f", "content_type": "text/plain"});
            file[field] = json!(evil);
            json!([file])
        };
        for (body, field) in [
            (with("subject", json!(evil)), "subject"),
            (with("to", person.clone()), "to[0].name"),
            (with("cc", person.clone()), "cc[0].name"),
            (with("bcc", person.clone()), "bcc[0].name"),
            (with("reply_to", person.clone()), "reply_to[0].name"),
            (with("from", json!([{"email": "agent@acme.test", "name": evil}])), "from[0].name"),
            (with("attachments", file("filename")), "attachments[0].filename"),
            (with("attachments", file("content_type")), "attachments[0].content_type"),
            (with("attachments", file("content_id")), "attachments[0].content_id"),
            (with("custom_headers", json!([{"name": evil, "value": "y"}])), "custom_headers[0].name"),
            (with("custom_headers", json!([{"name": "X-A", "value": evil}])), "custom_headers[0].value"),
        ] {
            send(&harness, &body).await.refuses(400, "invalid_request", Some(field));
        }
        let address = with("to", json!([{"email": format!("{evil}@b.test")}]));
        send(&harness, &address).await.refuses(400, "invalid_request", Some("to[0].email"));
    }
    assert_eq!(harness.get(&harness.at("/messages")).await.data(), &json!([]));
}

#[tokio::test]
async fn the_servers_own_headers_cannot_be_set() {
    let harness = Harness::new().await;
    for name in
        ["Bcc", "From", "DKIM-Signature", "Received", "Content-Type", "References", "Resent-To", "X-Postfleet-A"]
    {
        let body = with("custom_headers", json!([{"name": name, "value": "x@y.test"}]));
        send(&harness, &body).await.refuses(400, "invalid_request", Some("custom_headers[0].name")).says(name);
    }
    let twice = json!([{"name": "List-Id", "value": "<a.b>"}, {"name": "list-id", "value": "<c.d>"}]);
    send(&harness, &with("custom_headers", twice)).await.refuses(
        400,
        "invalid_request",
        Some("custom_headers[1].name"),
    );
    let good =
        json!([{"name": "X-Campaign", "value": "März"}, {"name": "List-Unsubscribe", "value": "<mailto:u@acme.test>"}]);
    send(&harness, &with("custom_headers", good)).await.is_ok();
    assert!(source(&harness).await.contains("\r\nList-Unsubscribe: <mailto:u@acme.test>\r\n"));
}

#[tokio::test]
async fn a_reply_joins_the_thread_of_what_it_answers() {
    let harness = Harness::new().await;
    let question = "From: Ada <ada@sender.test>\r\nTo: agent@acme.test\r\nSubject: Hours\r\n\
                    Message-ID: <q2@sender.test>\r\nReferences: <q1@sender.test>\r\n\r\nWhen?\r\n";
    let id = harness.receive(question).await;
    let asked = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    let mut body = with("reply_to_message_id", json!(id));
    body["subject"] = json!("Something else entirely");
    let reply = send(&harness, &body).await;
    assert_eq!(reply.is_ok().data()["thread_id"], asked.data()["thread_id"]);
    assert_eq!(reply.data()["in_reply_to"], "<q2@sender.test>");
    let source = source(&harness).await.replace("\r\n ", " ");
    assert!(source.contains("\r\nIn-Reply-To: <q2@sender.test>\r\n"), "{source}");
    assert!(source.contains("\r\nReferences: <q1@sender.test> <q2@sender.test>\r\n"), "{source}");
}

#[tokio::test]
async fn another_mailboxes_message_cannot_be_answered() {
    let harness = Harness::new().await;
    harness.world.receive("a@b.test", "agent@other.test", "Subject: x\r\n\r\n").await.expect("accepted");
    let list = harness.ask(&harness.other.api_key, "GET", "/v3/grants/agent@other.test/messages", None).await;
    let nobody = send(&harness, &with("reply_to_message_id", json!(NOBODY))).await;
    let theirs = send(&harness, &with("reply_to_message_id", json!(ids(&list)[0]))).await;
    theirs.refuses(400, "invalid_request", Some("reply_to_message_id"));
    assert_eq!(theirs.without_id(), nobody.without_id());
}

#[tokio::test]
async fn the_daily_quota_ends_at_its_limit_and_begins_anew_at_midnight_utc() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") }).await;
    let midnight = BEGINNING.as_seconds() + TO_MIDNIGHT as i64;
    let limits = |answer: &Answer| {
        let field = |name: &str| answer.header(name).expect("field").parse::<i64>().expect("number");
        (field("ratelimit-limit"), field("ratelimit-remaining"), field("ratelimit-reset"))
    };
    // A message that is refused for what it is takes nothing.
    send(&harness, &json!({})).await.refuses(400, "invalid_request", Some("to"));
    assert_eq!(limits(send(&harness, &to("a@b.test")).await.is_ok()), (2, 1, 50_400));
    harness.world.advance(10);
    assert_eq!(limits(send(&harness, &to("a@b.test")).await.is_ok()), (2, 0, 50_390));
    let over = send(&harness, &to("a@b.test")).await;
    over.refuses(429, "daily_quota_exceeded", None).says("daily send quota of 2 messages is used up until 00:00 UTC");
    assert_eq!(over.header("retry-after"), Some("50390"));
    assert_eq!(limits(&over), (2, 0, 50_390));
    let error = &over.json["error"];
    assert_shape(
        error,
        "type:string message:string code:string retryable:boolean scope:string limit:integer used:integer \
         resets_at:integer",
    );
    assert_eq!((&error["type"], &error["retryable"]), (&json!("too_many_requests"), &json!(true)));
    assert_eq!((&error["scope"], &error["limit"], &error["used"]), (&json!("grant"), &json!(2), &json!(2)));
    assert_eq!(error["resets_at"], midnight);
    // The last second of the day, and the first of the next.
    harness.world.advance(TO_MIDNIGHT - 11);
    let last = send(&harness, &to("a@b.test")).await;
    assert_eq!((last.status, last.header("retry-after")), (429, Some("1")));
    harness.world.advance(1);
    assert_eq!(limits(send(&harness, &to("a@b.test")).await.is_ok()), (2, 1, 86_400));
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 3);
}

#[tokio::test]
async fn each_mailbox_has_its_own_quota() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    harness.world.mailbox(&harness.acme, "second").await;
    send(&harness, &to("a@b.test")).await.is_ok();
    assert_eq!(send(&harness, &to("a@b.test")).await.status, 429);
    harness.post("/v3/grants/second@acme.test/messages/send", &to("a@b.test")).await.is_ok();
}

#[tokio::test]
async fn an_unverified_domain_receives_and_does_not_send() {
    let harness = Harness::with(NewTenant { is_verified: false, ..NewTenant::of("acme.test") }).await;
    let refused = send(&harness, &to("a@b.test")).await;
    refused.refuses(403, "sender_domain_unverified", None).says("sender domain is not verified for sending");
    assert_eq!(refused.json["error"]["type"], "forbidden_access");
    harness.receive_about("in").await;
    assert_eq!(harness.get(&harness.at("/messages?in=sent")).await.data(), &json!([]));
}

#[tokio::test]
async fn the_largest_message_and_one_that_is_larger() {
    let harness = Harness::new().await;
    let limit = 25 << 20;
    // Base64 in lines of 76 characters takes 78 octets for 57.
    let file =
        |octets: usize| with("attachments", json!([{"content": STANDARD.encode(vec![7; octets]), "filename": "f"}]));
    let fits = (limit - 10_000) / 78 * 57;
    send(&harness, &file(fits)).await.is_ok();
    let refused = send(&harness, &file(fits + 20_000)).await;
    refused.refuses(413, "message_too_large", None).says(&format!("the limit is {limit} bytes"));
    let body = send(&harness, &with("body", json!("x".repeat(41 << 20)))).await;
    body.refuses(413, "body_too_large", None).says("limit of 41943040 bytes");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_take_its_send_along() {
    let (harness, mut handed_over) = Harness::with_handoff().await;
    let body = to("ada@sender.test");
    let mut request = Box::pin(send(&harness, &body));
    assert!(futures::poll!(&mut request).is_pending(), "the answer waits for the commit");
    drop(request);
    let handed_over = tokio::time::timeout(Duration::from_secs(20), handed_over.recv()).await;
    assert!(handed_over.is_ok_and(|delivery| delivery.is_some()), "the send was given up with its client");
}
