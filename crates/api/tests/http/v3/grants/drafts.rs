//! `/v3/grants/{grant}/drafts`.

use crate::support::{Answer, Harness, NOBODY, assert_shape, ids};
use crate::v3::grants::messages::MESSAGE;
use crate::v3::grants::send_form::{Form, post};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/drafts",
    "POST /v3/grants/{grant}/drafts",
    "GET /v3/grants/{grant}/drafts/{draft}",
    "PUT /v3/grants/{grant}/drafts/{draft}",
    "PATCH /v3/grants/{grant}/drafts/{draft}",
    "DELETE /v3/grants/{grant}/drafts/{draft}",
    "POST /v3/grants/{grant}/drafts/{draft}",
];

async fn make(harness: &Harness, body: &Value) -> Value {
    harness.post(&harness.at("/drafts"), body).await.is_ok().data().clone()
}

fn at(harness: &Harness, draft: &Value) -> String {
    harness.at(&format!("/drafts/{}", draft["id"].as_str().expect("id")))
}

/// Sends a draft as the official clients do: without a body.
async fn send(harness: &Harness, draft: &Value) -> Answer {
    harness.ask(&harness.acme.api_key, "POST", &at(harness, draft), None).await
}

fn letter() -> Value {
    json!({"to": [{"email": "ada@sender.test", "name": "Ada"}], "cc": [{"email": "bob@b.test"}],
        "bcc": [{"email": "dee@d.test"}], "reply_to": [{"email": "replies@acme.test"}], "subject": "Grüße",
        "body": "<p>Hi\n<b>you</b></p>", "metadata": {"key1": "offer"}, "starred": true,
        "custom_headers": [{"name": "X-Case", "value": "7"}], "tracking_options": {"opens": true},
        "attachments": [{"content": STANDARD.encode("a;b\n"), "filename": "t.csv", "content_type": "text/csv; charset=utf-16"}]})
}

/// The sent copy's source.
async fn source(harness: &Harness, message: &Value) -> String {
    let id = message["id"].as_str().expect("id");
    let answer = harness.get(&harness.at(&format!("/messages/{id}?fields=raw_mime"))).await;
    let raw = answer.is_ok().data()["raw_mime"].as_str().expect("source").to_owned();
    String::from_utf8(base64::engine::general_purpose::URL_SAFE.decode(raw).expect("base64")).expect("text")
}

#[tokio::test]
async fn an_empty_draft_is_whole() {
    let harness = Harness::new().await;
    let draft = make(&harness, &json!({})).await;
    assert_shape(&draft, MESSAGE);
    assert_eq!(
        (&draft["object"], &draft["folders"], &draft["direction"]),
        (&json!("draft"), &json!(["drafts"]), &json!("outbound"))
    );
    assert_eq!(draft["from"][0]["email"], "agent@acme.test");
    assert_eq!((&draft["subject"], &draft["body"], &draft["to"]), (&json!(""), &json!(""), &json!([])));
    assert!(draft["thread_id"].as_str().is_some_and(|id| id.len() == 36));
    assert_eq!(harness.get(&at(&harness, &draft)).await.is_ok().data(), &draft);
    send(&harness, &draft).await.refuses(400, "invalid_request", Some("to")).says("at least one recipient");
    assert_eq!(harness.get(&at(&harness, &draft)).await.is_ok().data(), &draft, "it stays as it was");
}

#[tokio::test]
async fn a_draft_holds_everything_and_is_sent_with_it() {
    let harness = Harness::new().await;
    let draft = make(&harness, &letter()).await;
    assert_shape(&draft, MESSAGE);
    for field in ["to", "cc", "reply_to"] {
        assert_eq!(draft[field][0]["email"], letter()[field][0]["email"], "{field}");
    }
    assert_eq!((&draft["bcc"][0]["email"], &draft["starred"]), (&json!("dee@d.test"), &json!(true)));
    assert_eq!((&draft["metadata"], &draft["subject"]), (&json!({"key1": "offer"}), &json!("Grüße")));
    let file = draft["attachments"][0].clone();
    let of_draft = format!(
        "/attachments/{}/download?message_id={}",
        file["id"].as_str().expect("id"),
        draft["id"].as_str().expect("id")
    );
    assert_eq!(harness.get(&harness.at(&of_draft)).await.octets, b"a;b\n");

    harness.world.advance(60);
    let sent = send(&harness, &draft).await;
    assert_eq!(sent.status, 200);
    assert_shape(sent.data(), &format!("{MESSAGE} suppressed_recipients:array"));
    let mut sent = sent.data().clone();
    assert_eq!(sent.as_object_mut().and_then(|sent| sent.remove("suppressed_recipients")), Some(json!([])));
    assert_eq!(
        (&sent["object"], &sent["folders"], &sent["starred"]),
        (&json!("message"), &json!(["sent"]), &json!(true))
    );
    for field in ["id", "thread_id", "to", "cc", "bcc", "reply_to", "subject", "body", "metadata", "message_id_header"]
    {
        assert_eq!(sent[field], draft[field], "{field}");
    }
    let source = source(&harness, &sent).await;
    assert!(source.contains("X-Case: 7\r\n") && source.contains("Date: Mon, 2 Mar 2026 10:01:00 +0000"), "{source}");
    assert!(!source.contains("dee@d.test") && source.contains("charset=\"utf-16\""), "{source}");

    harness.get(&at(&harness, &draft)).await.refuses(404, "not_found", None);
    assert_eq!(harness.ids(&harness.at("/drafts")).await, [""; 0]);
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await, [draft["id"].as_str().expect("id")]);
    send(&harness, &draft).await.refuses(409, "draft_already_sent", None);
    for method in ["PUT", "PATCH", "DELETE"] {
        let answer = harness.ask(&harness.acme.api_key, method, &at(&harness, &draft), Some(&json!({}))).await;
        answer.refuses(404, "not_found", None);
    }
    // What the answer shows is what is kept.
    let kept = harness.get(&harness.at(&format!("/messages/{}", sent["id"].as_str().expect("id")))).await;
    assert_eq!(kept.is_ok().data(), &sent);
}

#[tokio::test]
async fn a_change_replaces_what_it_mentions_and_nothing_else() {
    let harness = Harness::new().await;
    let draft = make(&harness, &letter()).await;
    harness.world.advance(5);
    let changed = harness.put(&at(&harness, &draft), &json!({"subject": "Other"})).await.is_ok().data().clone();
    for (field, value) in draft.as_object().expect("object") {
        match field.as_str() {
            "subject" => assert_eq!(changed[field], "Other"),
            "date" => assert_eq!(changed[field], draft["date"].as_i64().expect("date") + 5),
            // Lines end as mail has it.
            "body" => assert_eq!(changed[field], "<p>Hi\r\n<b>you</b></p>"),
            _ => assert_eq!(&changed[field], value, "{field}"),
        }
    }
    let body = json!({"to": [{"email": "new@n.test"}], "metadata": {"a": "b"}, "starred": false, "cc": null,
        "attachments": [{"content": "eA==", "filename": "x.txt"}], "custom_headers": []});
    let changed = harness.patch(&at(&harness, &draft), &body).await.is_ok().data().clone();
    assert_eq!(changed["to"], json!([{"email": "new@n.test", "name": ""}]));
    assert_eq!((&changed["cc"], &changed["metadata"]), (&json!([]), &json!({"a": "b"})));
    assert_eq!((&changed["bcc"][0]["email"], &changed["subject"]), (&json!("dee@d.test"), &json!("Other")));
    let files = changed["attachments"].as_array().expect("list");
    assert_eq!((files.len(), &files[0]["filename"]), (1, &json!("x.txt")));
    assert_eq!(harness.get(&at(&harness, &draft)).await.is_ok().data(), &changed);
    let changed = harness.put(&at(&harness, &draft), &json!({"attachments": []})).await;
    assert_eq!(changed.is_ok().data()["attachments"], json!([]));
    let sent = send(&harness, &draft).await.is_ok().data().clone();
    assert!(!source(&harness, &sent).await.contains("X-Case"));
}

#[tokio::test]
async fn files_come_as_parts_of_a_form_too() {
    let harness = Harness::new().await;
    let part = |name: &str, json: &Value| {
        let header =
            format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"\"\r\nContent-Type: application/json");
        Form::default().part(&header, json.to_string().as_bytes())
    };
    let file = "Content-Disposition: form-data; name=\"file0\"; filename=\"big.bin\"\r\nContent-Type: application/octet-stream";
    let big = vec![7; 4 << 20];
    let form = part("message", &json!({"subject": "Files", "to": [{"email": "a@b.test"}]})).part(file, &big).end();
    let draft = post(&harness, "/drafts", form).await.is_ok().data().clone();
    assert_eq!(
        (&draft["attachments"][0]["filename"], &draft["attachments"][0]["size"]),
        (&json!("big.bin"), &json!(4 << 20))
    );
    // A change in JSON keeps what came in a form, and a form replaces it.
    let changed = harness.put(&at(&harness, &draft), &json!({"subject": "Still"})).await;
    assert_eq!(changed.is_ok().data()["attachments"][0]["size"], 4 << 20);
    let form = part("draft", &json!({})).part(&file.replace("big", "small"), b"x").end();
    let request = Request::put(at(&harness, &draft)).header("content-type", "multipart/form-data; boundary=edge");
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    let changed = harness.request(request.body(Body::from(form)).expect("request")).await;
    let files = changed.is_ok().data()["attachments"].as_array().expect("list").clone();
    assert_eq!((files.len(), &files[0]["filename"]), (1, &json!("small.bin")));
    assert_eq!(changed.data()["subject"], "Still");
}

#[tokio::test]
async fn a_reply_is_in_its_conversation_at_once() {
    let harness = Harness::new().await;
    let received = harness
        .receive("From: Ada <ada@sender.test>\r\nTo: agent@acme.test\r\nSubject: Question\r\nMessage-ID: <q@sender.test>\r\n\r\nHello\r\n")
        .await;
    let thread = async |id: &Value| {
        let path = harness.at(&format!("/threads/{}", id.as_str().expect("id")));
        harness.get(&path).await.is_ok().data().clone()
    };
    harness.world.advance(1);
    let body =
        json!({"reply_to_message_id": received, "to": [{"email": "ada@sender.test"}], "subject": "Re: Question"});
    let draft = make(&harness, &body).await;
    assert_eq!((&draft["reply_to_message_id"], &draft["in_reply_to"]), (&json!(received), &json!("<q@sender.test>")));
    let with_draft = thread(&draft["thread_id"]).await;
    assert_eq!(with_draft["message_ids"], json!([received]));
    assert_eq!((&with_draft["draft_ids"], &with_draft["has_drafts"]), (&json!([draft["id"]]), &json!(true)));
    assert_eq!(with_draft["latest_draft_or_message"]["object"], "draft");
    assert_eq!(with_draft["latest_draft_or_message"]["id"], draft["id"]);
    assert_eq!(with_draft["folders"], json!(["drafts", "inbox"]));
    assert_eq!(with_draft["latest_message_sent_date"], Value::Null);
    assert_eq!(harness.ids(&harness.at("/threads")).await.len(), 1);

    let sent = send(&harness, &draft).await.is_ok().data().clone();
    let after = thread(&draft["thread_id"]).await;
    assert_eq!(after["message_ids"], json!([received, sent["id"]]));
    assert_eq!((&after["draft_ids"], &after["has_drafts"]), (&json!([]), &json!(false)));
    assert_eq!(after["latest_draft_or_message"]["object"], "message");
    assert!(source(&harness, &sent).await.contains("In-Reply-To: <q@sender.test>"));
    harness.post(&harness.at("/drafts"), &json!({"reply_to_message_id": NOBODY})).await.refuses(
        400,
        "invalid_request",
        Some("reply_to_message_id"),
    );
    let of_draft = make(&harness, &json!({})).await;
    let answer = harness.post(&harness.at("/drafts"), &json!({"reply_to_message_id": of_draft["id"]})).await;
    answer.refuses(400, "invalid_request", Some("reply_to_message_id")).says("not a message of this account");
}

#[tokio::test]
async fn a_draft_is_no_message_yet() {
    let harness = Harness::new().await;
    let draft = make(&harness, &letter()).await;
    let id = draft["id"].as_str().expect("id");
    for path in [
        "/messages",
        "/messages?in=drafts",
        &format!("/messages?thread_id={}", draft["thread_id"].as_str().expect("id")),
    ] {
        assert_eq!(harness.ids(&harness.at(path)).await, [""; 0], "{path}");
    }
    harness.get(&harness.at(&format!("/messages/{id}"))).await.refuses(404, "not_found", None);
    let folder = harness.get(&harness.at("/folders/drafts")).await;
    assert_eq!((&folder.data()["total_count"], &folder.data()["unread_count"]), (&json!(1), &json!(0)));
    harness.put(&at(&harness, &draft), &json!({"unread": true})).await.is_ok();
    assert_eq!(harness.get(&harness.at("/folders/drafts")).await.data()["unread_count"], 1);
    harness.delete(&at(&harness, &draft)).await.is_ok();
    let folder = harness.get(&harness.at("/folders/drafts")).await;
    assert_eq!((&folder.data()["total_count"], &folder.data()["unread_count"]), (&json!(0), &json!(0)));
    assert_eq!(harness.ids(&harness.at("/threads")).await, [""; 0], "a conversation of nothing is none");
    harness.delete(&at(&harness, &draft)).await.refuses(404, "not_found", None);
    // And a message is no draft.
    let message = harness.receive_about("Hello").await;
    for method in ["GET", "PUT", "DELETE"] {
        let path = harness.at(&format!("/drafts/{message}"));
        harness.ask(&harness.acme.api_key, method, &path, Some(&json!({}))).await.refuses(404, "not_found", None);
    }
}

#[tokio::test]
async fn the_list_is_narrowed_and_goes_on() {
    let harness = Harness::new().await;
    let mut made = Vec::new();
    for (number, body) in [
        json!({"subject": "First offer", "to": [{"email": "ada@a.test"}], "metadata": {"key1": "x"}}),
        json!({"subject": "second", "cc": [{"email": "bob@b.test"}], "starred": true}),
        json!({"subject": "Third OFFER", "bcc": [{"email": "dee@d.test"}], "unread": true,
            "attachments": [{"content": "eA==", "filename": "x"}]}),
    ]
    .iter()
    .enumerate()
    {
        harness.world.advance(1);
        let draft = make(&harness, body).await;
        made.push(draft["id"].as_str().unwrap_or_else(|| panic!("{number}")).to_owned());
    }
    harness.world.advance(1);
    let thread = make(&harness, &json!({})).await["thread_id"].as_str().expect("id").to_owned();
    let last = harness.ids(&harness.at("/drafts?limit=1")).await.remove(0);
    let [first, second, third] = [&made[0], &made[1], &made[2]];
    for (query, wanted) in [
        ("subject=offer", vec![third, first]),
        ("to=ADA@a.test", vec![first]),
        ("from=agent@acme.test", vec![&last, third, second, first]),
        ("from=zz@x.test", vec![]),
        ("in=drafts", vec![&last, third, second, first]),
        ("in=inbox", vec![]),
        ("in=inbox,Drafts&starred=true", vec![second]),
        ("cc=bob@b.test", vec![second]),
        ("bcc=dee@d.test", vec![third]),
        ("any_email=dee@d.test,ada@a.test", vec![third, first]),
        ("starred=true", vec![second]),
        ("unread=True", vec![third]),
        ("has_attachment=true", vec![third]),
        ("metadata_pair=key1:x", vec![first]),
        ("metadata_pair=key1:y", vec![]),
        (&format!("thread_id={thread}"), vec![&last]),
    ] {
        assert_eq!(
            &harness.ids(&harness.at(&format!("/drafts?{query}"))).await,
            &wanted.into_iter().cloned().collect::<Vec<_>>(),
            "{query}"
        );
    }
    let page = harness.get(&harness.at("/drafts?limit=3")).await;
    assert_eq!(ids(&page), [&last, third, second].map(String::clone));
    let cursor = page.json["next_cursor"].as_str().expect("cursor");
    let rest = harness.get(&harness.at(&format!("/drafts?limit=3&page_token={cursor}"))).await;
    assert_eq!((ids(&rest), &rest.json["next_cursor"]), (vec![first.clone()], &Value::Null));
    // The last changed comes first.
    harness.world.advance(1);
    harness.put(&harness.at(&format!("/drafts/{first}")), &json!({})).await.is_ok();
    assert_eq!(&harness.ids(&harness.at("/drafts?limit=1")).await[0], first);
    harness.get(&harness.at("/drafts?limit=201")).await.refuses(400, "invalid_request", Some("limit"));
    harness.get(&harness.at("/drafts?metadata_pair=x")).await.refuses(400, "invalid_request", Some("metadata_pair"));
    let narrow = harness.get(&harness.at("/drafts?select=subject&limit=1")).await;
    assert_eq!(narrow.data()[0].get("body"), None);
}

#[tokio::test]
async fn bad_fields_are_named() {
    let harness = Harness::new().await;
    let draft = make(&harness, &json!({})).await;
    for (body, field, says) in [
        (json!({"to": [{"email": "x"}]}), "to[0].email", "\"@\""),
        (json!({"to": {"email": "x@y.test"}}), "to", "error parsing request body"),
        (json!({"from": [{"email": "other@acme.test"}]}), "from[0].email", "agent@acme.test"),
        (json!({"subject": "s".repeat(999)}), "subject", "at most 998"),
        (json!({"subject": "a\nb"}), "subject", "control characters"),
        (json!({"custom_headers": [{"name": "Bcc", "value": "x"}]}), "custom_headers[0].name", "Bcc"),
        (json!({"metadata": {"k": 1}}), "metadata.k", "invalid type"),
        (json!({"signature_id": NOBODY}), "signature_id", "signature_id"),
        (json!({"send_at": 1}), "send_at", "at least 60 seconds"),
        (json!({"attachments": [{"content": "***"}]}), "attachments[0].content", "not base64"),
    ] {
        let made = harness.post(&harness.at("/drafts"), &body).await;
        made.refuses(400, "invalid_request", Some(field)).says(says);
        let changed = harness.put(&at(&harness, &draft), &body).await;
        changed.refuses(400, "invalid_request", Some(field)).says(says);
    }
    assert_eq!(harness.ids(&harness.at("/drafts")).await.len(), 1);
    let signed = harness.post(&at(&harness, &draft), &json!({"signature_id": NOBODY})).await;
    signed.refuses(400, "invalid_request", Some("signature_id"));
}

#[tokio::test]
async fn a_refused_send_leaves_the_draft_and_the_quota() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let (first, second) = (make(&harness, &letter()).await, make(&harness, &letter()).await);
    let sent = send(&harness, &first).await;
    assert_eq!((sent.status, sent.header("ratelimit-remaining")), (200, Some("0")));
    send(&harness, &second).await.refuses(429, "daily_quota_exceeded", None);
    assert_eq!(harness.get(&at(&harness, &second)).await.is_ok().data(), &second);
    harness.world.advance(86_400);
    send(&harness, &second).await.is_ok();
}

#[tokio::test]
async fn two_who_send_at_once_send_once() {
    let harness = Harness::new().await;
    for _ in 0..5 {
        let draft = make(&harness, &letter()).await;
        let (one, two) = tokio::join!(send(&harness, &draft), send(&harness, &draft));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
    }
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 5);
}

#[tokio::test]
async fn a_link_to_unsubscribe_outlasts_changes_of_what_waits() {
    let harness = Harness::new().await;
    let send_at = harness.world.platform.clock.now().as_seconds() + 3_600;
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "News", "list_unsubscribe": true,
        "send_at": send_at, "use_draft": true});
    let waits = harness.post(&harness.at("/messages/send"), &body).await;
    assert_eq!(waits.status, 202, "{waits:?}");
    let draft = waits.data().clone();
    harness
        .ask(&harness.acme.api_key, "PUT", &at(&harness, &draft), Some(&json!({"subject": "Other news"})))
        .await
        .is_ok();
    harness.world.advance(3_600);
    postfleet_mailflow::schedules::release_once(&harness.world.platform).await.expect("round");
    let source = source(&harness, &draft).await;
    assert_eq!(source.matches("List-Unsubscribe: ").count(), 1, "{source}");
    assert!(source.contains("Subject: Other news\r\n") && source.contains("List-Unsubscribe-Post: "), "{source}");
}

#[tokio::test]
async fn a_draft_keeps_that_it_is_to_have_a_link_to_unsubscribe_until_it_is_sent() {
    let harness = Harness::new().await;
    let draft = make(&harness, &json!({"subject": "News", "list_unsubscribe": true})).await;
    let path = at(&harness, &draft);
    let shown = |answer: &Answer| answer.is_ok().data()["list_unsubscribe"].clone();
    assert_eq!(shown(&harness.get(&path).await), true, "although there is nobody yet");
    harness.put(&path, &json!({"to": [{"email": "ada@sender.test"}, {"email": "bob@sender.test"}]})).await.is_ok();
    let refused = send(&harness, &draft).await;
    refused.refuses(400, "invalid_request", Some("list_unsubscribe")).says("exactly one recipient");
    let own = json!({"to": [{"email": "ada@sender.test"}],
        "custom_headers": [{"name": "List-Unsubscribe", "value": "<https://own.test>"}]});
    harness.put(&path, &own).await.is_ok();
    let refused = send(&harness, &draft).await;
    refused.refuses(400, "invalid_request", Some("list_unsubscribe")).says("custom_headers");
    harness.put(&path, &json!({"custom_headers": [], "body": "<p>Hi</p>"})).await.is_ok();
    assert_eq!(shown(&harness.get(&path).await), true);
    send(&harness, &draft).await.is_ok();
    let text = source(&harness, &draft).await;
    assert!(text.starts_with("List-Unsubscribe: <https://mail.world.test/v3/unsubscribe/"), "{text}");
    for part in ["<mailto:u-", "?subject=unsubscribe>\r\n", "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"] {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    let sent = harness.get(&harness.at(&format!("/messages/{}", draft["id"].as_str().expect("id")))).await;
    assert_eq!(sent.is_ok().data().get("list_unsubscribe"), None);

    for off in [json!(false), Value::Null] {
        let draft = make(
            &harness,
            &json!({"to": [{"email": "ada@sender.test"}], "list_unsubscribe": true, "subject": off.to_string()}),
        )
        .await;
        harness.put(&at(&harness, &draft), &json!({"list_unsubscribe": off})).await.is_ok();
        send(&harness, &draft).await.is_ok();
        assert!(!source(&harness, &draft).await.contains("List-Unsubscribe"));
    }
}

#[tokio::test]
async fn a_draft_that_is_to_leave_later_is_judged_for_its_link_when_it_is_scheduled() {
    let harness = Harness::new().await;
    let send_at = harness.world.platform.clock.now().as_seconds() + 3_600;
    let draft = make(
        &harness,
        &json!({"list_unsubscribe": true, "send_at": send_at,
        "to": [{"email": "ada@sender.test"}, {"email": "bob@sender.test"}]}),
    )
    .await;
    send(&harness, &draft).await.refuses(400, "invalid_request", Some("list_unsubscribe"));
    let body = json!({"to": [{"email": "ada@sender.test"}, {"email": "bob@sender.test"}], "list_unsubscribe": true,
        "send_at": send_at});
    let refused = harness.post(&harness.at("/messages/send"), &body).await;
    refused.refuses(400, "invalid_request", Some("list_unsubscribe"));
    assert_eq!(harness.get(&harness.at("/messages/schedules")).await.data(), &json!([]));
}

#[tokio::test]
async fn only_what_was_a_draft_was_sent_already() {
    let harness = Harness::new().await;
    let received = harness.receive_about("no draft").await;
    let path = harness.at(&format!("/drafts/{received}"));
    harness.post(&path, &json!({})).await.refuses(404, "not_found", None);
    let draft = make(&harness, &letter()).await;
    send(&harness, &draft).await.is_ok();
    send(&harness, &draft).await.refuses(409, "draft_already_sent", None);
}

#[tokio::test]
async fn a_star_is_on_what_was_sent() {
    let harness = Harness::new().await;
    let now = harness.world.platform.clock.now().as_seconds();
    let starred = json!({"to": [{"email": "ada@sender.test"}], "subject": "Star", "body": "x", "starred": true});
    let sent = harness.post(&harness.at("/messages/send"), &starred).await;
    assert_eq!(sent.is_ok().data()["starred"], true);
    let mut later = starred.clone();
    later["send_at"] = json!(now + 600);
    let waits = harness.post(&harness.at("/messages/send"), &later).await;
    assert_eq!((waits.status, &waits.data()["starred"]), (202, &json!(true)));
    let plain = json!({"to": [{"email": "ada@sender.test"}], "subject": "Plain", "body": "x"});
    assert_eq!(harness.post(&harness.at("/messages/send"), &plain).await.is_ok().data()["starred"], false);
    let found = harness.ids(&harness.at("/messages?starred=true")).await;
    assert_eq!(found, [sent.data()["id"].as_str().expect("id")]);
}

#[tokio::test]
async fn a_draft_is_made_once_under_a_key() {
    let harness = Harness::new().await;
    let make = async |body: &Value| {
        let request = Request::post(harness.at("/drafts"))
            .header("authorization", format!("Bearer {}", harness.acme.api_key))
            .header("content-type", "application/json")
            .header("idempotency-key", "one draft");
        harness.request(request.body(Body::from(body.to_string())).expect("request")).await
    };
    let first = make(&letter()).await;
    let again = make(&letter()).await;
    assert_eq!((again.status, &again.octets), (200, &first.octets));
    assert_eq!((first.header("idempotent-response"), again.header("idempotent-response")), (None, Some("true")));
    assert_eq!(harness.ids(&harness.at("/drafts")).await, [first.data()["id"].as_str().expect("id")]);
    let mut other = letter();
    other["subject"] = json!("Other");
    let refused = make(&other).await;
    assert_eq!(refused.status, 409, "{}", refused.json);
    assert_eq!(harness.ids(&harness.at("/drafts")).await.len(), 1);
}
