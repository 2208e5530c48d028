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
    assert_shape(&answer.json, "request_id:string grant_id:string duplicate:boolean data:object");
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
        (with("send_at", json!(4_000_000_000_i64)), "send_at", "at most 2592000 seconds (30 days) ahead"),
        (with("send_at", json!(-1)), "send_at", "at least 60 seconds"),
        (with("use_draft", json!(true)), "use_draft", "it needs send_at"),
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
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x"] {
        let refused = post(Some(kind), good).await;
        refused.refuses(400, "invalid_request", Some("Content-Type"));
        refused.says("request must be of content-type multipart/form-data or application/json");
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

/// What the hosted service says of a JSON body that should have been a form.
const JSON_TOO_LARGE: &str = "max size of attachments for json is 3MB, received '";

#[tokio::test]
async fn files_in_json_are_limited_and_so_is_the_rest_of_it() {
    let harness = Harness::new().await;
    let limit = 3 << 20;
    let file = |octets: usize| json!({"content": STANDARD.encode(vec![7; octets]), "filename": "f"});
    let files = |octets: &[usize]| with("attachments", octets.iter().map(|octets| file(*octets)).collect());
    send(&harness, &files(&[limit])).await.is_ok();
    let refused = send(&harness, &files(&[limit - 5, 6])).await;
    refused.refuses(400, "json_too_large", None).says(&format!("{JSON_TOO_LARGE}{}'", limit + 1));
    send(&harness, &with("body", json!("x".repeat(limit - 200)))).await.is_ok();
    let refused = send(&harness, &with("body", json!("x".repeat(limit)))).await;
    refused.refuses(400, "json_too_large", None).says(JSON_TOO_LARGE);
    // What is far beyond is not read to its end, said beforehand or not.
    let pieces = futures::stream::iter((0..9).map(|_| Ok::<_, std::io::Error>("x".repeat(1 << 20))));
    let request = || {
        let request = Request::post(harness.at("/messages/send")).header("content-type", "application/json");
        request.header("authorization", format!("Bearer {}", harness.acme.api_key))
    };
    let answer = harness.request(request().body(Body::from_stream(pieces)).expect("request")).await;
    answer.refuses(400, "json_too_large", None).says(&format!("{JSON_TOO_LARGE}{}'", (8 << 20) + 1));
    let declared = request().header("content-length", 30 << 20).body(Body::empty()).expect("request");
    harness.request(declared).await.refuses(400, "json_too_large", None).says(&format!("{JSON_TOO_LARGE}31457280'"));
}

#[tokio::test]
async fn metadata_stays_with_the_message_and_does_not_travel() {
    let harness = Harness::new().await;
    let metadata = json!({"key1": "on-boarding", "Ünï": "\u{1f680} \"quoted\"\nline", "empty": ""});
    let answer = send(&harness, &with("metadata", metadata.clone())).await;
    assert_eq!(answer.is_ok().data()["metadata"], metadata);
    let id = answer.data()["id"].as_str().expect("id");
    assert_eq!(harness.get(&harness.at(&format!("/messages/{id}"))).await.data()["metadata"], metadata);
    assert_eq!(harness.get(&harness.at("/messages?select=metadata")).await.data()[0]["metadata"], metadata);
    for (query, found) in [
        ("metadata_pair=key1:on-boarding", true),
        ("metadata_pair=key1:on-boarding,empty:", true),
        ("metadata_pair=key1:on-boarding&metadata_pair=empty:&in=sent", true),
        ("metadata_pair=key1:on", false),
        ("metadata_pair=key2:on-boarding", false),
        ("metadata_pair=key1:on-boarding,empty:x", false),
        ("metadata_pair=key1:on-boarding&in=inbox", false),
    ] {
        let ids = harness.ids(&harness.at(&format!("/messages?{query}"))).await;
        assert_eq!(!ids.is_empty(), found, "{query}");
    }
    let wrong = harness.get(&harness.at("/messages?metadata_pair=key1")).await;
    wrong.refuses(400, "invalid_request", Some("metadata_pair"));
    assert!(!source(&harness).await.contains("boarding"), "metadata in the message");
    let pairs = |count: usize| (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    send(&harness, &with("metadata", Value::Object(pairs(50)))).await.is_ok();
    for (metadata, field, says) in [
        (Value::Object(pairs(51)), "metadata", "at most 50 pairs"),
        (json!({"k".repeat(41): "v"}), "metadata", "1 to 40 characters"),
        (json!({"": "v"}), "metadata", "1 to 40 characters"),
        (json!({"k": "v".repeat(501)}), "metadata.k", "at most 500 characters"),
        (json!({"k": {"nested": "v"}}), "metadata.k", "expected a string"),
        (json!({"k": 1}), "metadata.k", "expected a string"),
        (json!(["k"]), "metadata", "expected a map"),
    ] {
        send(&harness, &with("metadata", metadata)).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
}

#[tokio::test]
async fn tracking_options_are_kept_and_shown_when_asked_for() {
    let harness = Harness::new().await;
    let options = json!({"opens": true, "links": null, "thread_replies": true, "label": "spring",
        "domain_name": "click.acme.test"});
    let answer = send(&harness, &with("tracking_options", options)).await;
    assert_eq!(answer.is_ok().data().get("tracking_options"), None);
    let at = harness
        .at(&format!("/messages/{}?fields=include_tracking_options", answer.data()["id"].as_str().unwrap_or("")));
    let expected = json!({"opens": true, "links": false, "thread_replies": true, "label": "spring",
        "domain_name": "click.acme.test"});
    assert_eq!(harness.get(&at).await.data()["tracking_options"], expected);
    let nothing = json!({"opens": false, "links": false, "thread_replies": false, "label": null, "domain_name": null});
    let path = harness.at("/messages/send?fields=include_tracking_options");
    assert_eq!(harness.post(&path, &to("a@b.test")).await.is_ok().data()["tracking_options"], nothing);
    for (options, field) in [
        (json!({"label": "l".repeat(2_049)}), "tracking_options.label"),
        (json!({"domain_name": ""}), "tracking_options.domain_name"),
        (json!({"domain_name": "a b"}), "tracking_options.domain_name"),
        (json!({"domain_name": "a.".repeat(150)}), "tracking_options.domain_name"),
        (json!({"opens": "yes"}), "tracking_options.opens"),
    ] {
        send(&harness, &with("tracking_options", options)).await.refuses(400, "invalid_request", Some(field));
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_not_passed_over() {
    let harness = Harness::new().await;
    for (field, value, named) in
        [("signature_id", json!(NOBODY), "signature_id"), ("template", json!({"id": NOBODY}), "template.id")]
    {
        send(&harness, &with(field, value)).await.refuses(400, "invalid_request", Some(named));
    }
    for (field, value) in [("signature_id", json!("")), ("template", Value::Null), ("use_draft", json!(false))] {
        send(&harness, &with(field, value)).await.is_ok();
    }
}

#[tokio::test]
async fn the_answer_shows_header_fields_when_asked_for() {
    let harness = Harness::new().await;
    let names = async |fields: &str| {
        let answer = harness.post(&harness.at(&format!("/messages/send?fields={fields}")), &to("a@b.test")).await;
        let headers = answer.is_ok().data()["headers"].as_array().cloned().unwrap_or_default();
        headers.iter().map(|header| header["name"].as_str().expect("name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("include_basic_headers").await, ["Message-ID"]);
    let all = ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"];
    assert_eq!(names("include_headers").await, all);
    assert!(names("standard").await.is_empty() && names("").await.is_empty());
    for wrong in ["raw_mime", "everything"] {
        let path = harness.at(&format!("/messages/send?fields={wrong}"));
        harness.post(&path, &to("a@b.test")).await.refuses(400, "invalid_request", Some("fields"));
    }
}

#[tokio::test]
async fn a_file_is_inline_if_it_says_so_or_the_text_shows_it() {
    let harness = Harness::new().await;
    let file = |name: &str, more: Value| {
        let mut file = json!({"content": "eA==", "filename": name, "content_type": "image/png", "content_id": name});
        file.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        file
    };
    let mut body = to("a@b.test");
    body["body"] = json!("<img src=\"cid:shown\"><img src='CID:told%2dnot'><img src=cid:both>");
    body["attachments"] = json!([
        file("shown", json!({})),
        file("unseen", json!({})),
        file("told-not", json!({"content_disposition": "attachment; filename=x"})),
        file("told", json!({"content_disposition": "Inline"})),
        file("both", json!({"is_inline": false, "content_disposition": "inline"})),
    ]);
    let answer = send(&harness, &body).await;
    let mut inline: Vec<_> = answer.is_ok().data()["attachments"]
        .as_array()
        .expect("list")
        .iter()
        .filter(|file| file["is_inline"] == true)
        .map(|file| file["content_id"].as_str().expect("id").to_owned())
        .collect();
    inline.sort();
    assert_eq!(inline, ["shown", "told"]);
    // Plain text shows nothing.
    body["is_plaintext"] = json!(true);
    body["attachments"] = json!([file("shown", json!({}))]);
    assert_eq!(send(&harness, &body).await.is_ok().data()["attachments"][0]["is_inline"], false);
    body["attachments"] = json!([file("shown", json!({"content_disposition": "x"}))]);
    send(&harness, &body).await.refuses(400, "invalid_request", Some("attachments[0].content_disposition"));
}

#[tokio::test]
async fn a_message_is_also_answered_by_its_message_id() {
    let harness = Harness::new().await;
    let first = send(&harness, &to("ada@sender.test")).await;
    let own = first.is_ok().data()["message_id_header"].as_str().expect("id").to_owned();
    let question = format!(
        "From: Ada <ada@sender.test>\r\nSubject: Re: Hello\r\nMessage-ID: <q@sender.test>\r\n\
        In-Reply-To: {own}\r\n\r\nWhen?\r\n"
    );
    harness.receive(&question).await;
    for (id, answered) in
        [("<q@sender.test>", "<q@sender.test>"), (" q@sender.test ", "<q@sender.test>"), (&*own, &*own)]
    {
        let reply = send(&harness, &with("reply_to_message_id", json!(id))).await;
        assert_eq!(reply.is_ok().data()["in_reply_to"], answered);
        assert_eq!(reply.data()["thread_id"], first.data()["thread_id"]);
    }
    for unknown in ["<nobody@sender.test>", "@", "<>@", "q@sender.test\r\nBcc: x@y.test", "Q@sender.test"] {
        let refused = send(&harness, &with("reply_to_message_id", json!(unknown))).await;
        refused.refuses(400, "invalid_request", Some("reply_to_message_id"));
    }
    // Another mailbox knows nothing of it.
    harness.world.mailbox(&harness.acme, "second").await;
    let elsewhere = "/v3/grants/second@acme.test/messages/send";
    let refused = harness.post(elsewhere, &with("reply_to_message_id", json!("<q@sender.test>"))).await;
    refused.refuses(400, "invalid_request", Some("reply_to_message_id"));
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
