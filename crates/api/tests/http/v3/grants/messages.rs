//! `/v3/grants/{grant}/messages`: reading.

use crate::support::{Harness, assert_shape, ids};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use postfleet_testkit::world::BEGINNING;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/messages",
    "GET /v3/grants/{grant}/messages/{message}",
    "PUT /v3/grants/{grant}/messages/{message}",
    "PATCH /v3/grants/{grant}/messages/{message}",
];

/// The fields of a message in its standard form.
pub(crate) const MESSAGE: &str = "id:string object:string grant_id:string thread_id:string subject:string from:array \
    to:array cc:array bcc:array reply_to:array date:integer unread:boolean starred:boolean answered:boolean \
    folders:array snippet:string body:string attachments:array in_reply_to:string? message_id_header:string? \
    metadata:object automated:object? authentication:object? marks:object? \
    spam:object? suspicion:object? direction:string created_at:integer";

const RICH: &str = "From: =?utf-8?q?Ad=C3=A0?= <ada@sender.test>\r\nTo: agent@acme.test, Bob <bob@sender.test>\r\n\
    Cc: cee@sender.test\r\nReply-To: answers@sender.test\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n\
    Message-ID: <rich@sender.test>\r\nIn-Reply-To: <before@sender.test>\r\nReferences: <first@sender.test> \
    <before@sender.test>\r\nX-Twice: one\r\nX-Twice: two\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hi <b>you</b></p>\r\n\
    --b\r\nContent-Type: text/plain; name=\"note.txt\"\r\nContent-Disposition: attachment; filename=\"note.txt\"\r\n\r\n\
    note\r\n--b--\r\n";

#[tokio::test]
async fn a_message_has_every_field() {
    let harness = Harness::new().await;
    let id = harness.receive(RICH).await;
    let found = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    assert_shape(&found.json, "request_id:string data:object");
    let message = found.data();
    assert_shape(message, MESSAGE);
    let is = |field: &str, value: Value| assert_eq!(message[field], value, "{field}");
    is("object", json!("message"));
    is("grant_id", json!(harness.agent));
    is("subject", json!("Grüße"));
    is("from", json!([{"name": "Adà", "email": "ada@sender.test"}]));
    is("to", json!([{"name": "", "email": "agent@acme.test"}, {"name": "Bob", "email": "bob@sender.test"}]));
    is("cc", json!([{"name": "", "email": "cee@sender.test"}]));
    is("bcc", json!([]));
    is("reply_to", json!([{"name": "", "email": "answers@sender.test"}]));
    is("date", json!(BEGINNING.as_seconds() + 1));
    is("unread", json!(true));
    is("folders", json!(["inbox"]));
    is("snippet", json!("Hi you"));
    is("in_reply_to", json!("<before@sender.test>"));
    is("message_id_header", json!("<rich@sender.test>"));
    is("direction", json!("inbound"));
    assert!(message["body"].as_str().expect("body").contains("<p>Hi <b>you</b></p>"));
    let list = harness.get(&harness.at("/messages")).await;
    assert_shape(&list.json, "request_id:string data:array");
    assert_eq!(list.data()[0], *message);
}

#[tokio::test]
async fn a_message_says_whether_a_machine_or_a_list_sent_it() {
    let harness = Harness::new().await;
    for (fields, expected) in [
        ("Subject: Hello", json!(null)),
        ("Auto-Submitted: no\r\nFeedback-ID: a:b:c:d", json!(null)),
        ("Auto-Submitted: auto-replied", json!({"kind": "auto_replied", "list": false})),
        ("Auto-Submitted: auto-generated", json!({"kind": "auto_generated", "list": false})),
        ("List-Unsubscribe: <mailto:u@sender.test>", json!({"kind": "bulk", "list": false})),
        ("List-Id: <talk.sender.test>", json!({"kind": "bulk", "list": true})),
    ] {
        let id = harness.receive(&format!("From: ada@sender.test\r\n{fields}\r\n\r\nHi\r\n")).await;
        let found = harness.get(&harness.at(&format!("/messages/{id}"))).await;
        assert_eq!(found.data()["automated"], expected, "{fields}");
    }
}

#[tokio::test]
async fn a_message_says_what_was_found_of_it_and_what_the_mailbox_wrote_itself_says_nothing() {
    let harness = Harness::new().await;
    let id = harness.receive("From: ada@sender.test\r\nList-Id: <talk.sender.test>\r\n\r\nHi\r\n").await;
    let found = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    let message = found.data();
    let authentication =
        "local:boolean spf:object dkim:array dmarc:object arc:object iprev:object aligned_domain:string?";
    assert_shape(&message["authentication"], authentication);
    let marks = "first_contact:boolean automated:boolean list:boolean bulk:boolean display_name_mismatch:string?";
    assert_shape(&message["marks"], marks);
    assert_shape(&message["spam"], "score:number threshold:number is_spam:boolean reasons:array");
    let suspicion = "looked_at:boolean labels:array instructions:array hidden_text:array links:array ambiguities:array \
        truncated:boolean";
    assert_shape(&message["suspicion"], suspicion);
    assert_eq!((&message["authentication"]["local"], &message["marks"]["list"]), (&json!(false), &json!(true)));
    let listed = harness.get(&harness.at("/messages")).await;
    assert_eq!(listed.data()[0]["marks"], message["marks"]);

    let letter = json!({"to": [{"email": "agent@acme.test"}], "subject": "x", "body": "Hello."});
    let sent = harness.post(&harness.at("/messages/send"), &letter).await;
    for field in ["authentication", "marks", "spam", "suspicion"] {
        assert_eq!(sent.data()[field], json!(null), "{field}");
    }
}

#[tokio::test]
async fn a_message_of_nothing_has_every_field_too() {
    let harness = Harness::new().await;
    let id = harness.receive("\r\n").await;
    let found = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    assert_shape(found.data(), MESSAGE);
    assert_eq!((&found.data()["from"], &found.data()["body"]), (&json!([]), &json!("")));
}

#[tokio::test]
async fn ids_may_be_percent_encoded() {
    let harness = Harness::new().await;
    let id = harness.receive_about("x").await;
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(harness.get(&harness.at(&format!("/messages/{encoded}"))).await.data()["id"], id);
    let upper = harness.get(&harness.at(&format!("/messages/{}", id.to_uppercase()))).await;
    assert_eq!(upper.data()["id"], id);
}

#[tokio::test]
async fn fields_choose_the_form() {
    let harness = Harness::new().await;
    let id = harness.receive(RICH).await;
    let ask = async |fields: &str| {
        let one = harness.get(&harness.at(&format!("/messages/{id}?fields={fields}"))).await;
        let list = harness.get(&harness.at(&format!("/messages?fields={fields}"))).await;
        assert_eq!(one.data(), &list.data()[0], "{fields}");
        one.data().clone()
    };
    for standard in ["", "standard"] {
        assert_shape(&ask(standard).await, MESSAGE);
    }
    assert_shape(&ask("include_tracking_options").await, &format!("{MESSAGE} tracking_options:object"));
    let all = ask("include_headers").await;
    assert_shape(&all, &format!("{MESSAGE} headers:array"));
    let headers = all["headers"].as_array().expect("list");
    for header in headers {
        assert_shape(header, "name:string value:string");
    }
    let values = |name: &str| -> Vec<_> {
        headers.iter().filter(|header| header["name"] == name).map(|header| &header["value"]).collect()
    };
    let first: Vec<_> = headers.iter().take(3).map(|header| &header["name"]).collect();
    assert_eq!(first, ["Return-Path", "Authentication-Results", "Received"]);
    assert_eq!(values("X-Twice"), ["one", "two"]);
    assert_eq!(values("Subject"), ["=?utf-8?b?R3LDvMOfZQ==?="]);
    let basic = ask("include_basic_headers").await;
    let names: Vec<_> = basic["headers"].as_array().expect("list").iter().map(|header| &header["name"]).collect();
    assert_eq!(names, ["Message-ID", "In-Reply-To", "References"]);
    let raw = ask("raw_mime").await;
    assert_shape(&raw, "id:string object:string grant_id:string raw_mime:string");
    let source = URL_SAFE.decode(raw["raw_mime"].as_str().expect("text")).expect("base64url");
    let source = String::from_utf8(source).expect("text");
    let on_top = "Return-Path: <ada@sender.test>\r\nAuthentication-Results: mx.world.test;";
    assert!(source.starts_with(on_top) && source.ends_with(RICH), "{source}");
    let wrong = harness.get(&harness.at("/messages?fields=everything")).await;
    wrong.refuses(400, "invalid_request", Some("fields")).says("include_basic_headers");
}

#[tokio::test]
async fn selected_fields_alone_are_shown() {
    let harness = Harness::new().await;
    let id = harness.receive(RICH).await;
    for path in [format!("/messages/{id}?select=subject,from"), "/messages?select=subject&select=from".to_owned()] {
        let answer = harness.get(&harness.at(&path)).await;
        let data = answer.data();
        let shown = data.as_array().map_or(data, |list| &list[0]);
        assert_shape(shown, "id:string object:string grant_id:string subject:string from:array");
    }
    let body = harness.get(&harness.at("/messages?select=body")).await;
    assert_shape(&body.data()[0], "id:string object:string grant_id:string body:string");
    let unknown = harness.get(&harness.at("/messages?select=nothing")).await;
    assert_shape(&unknown.data()[0], "id:string object:string grant_id:string");
}

#[tokio::test]
async fn limits_at_their_edges() {
    let harness = Harness::new().await;
    for limit in ["", "1", "200"] {
        assert_eq!(harness.get(&harness.at(&format!("/messages?limit={limit}"))).await.status, 200);
    }
    for (limit, says) in [
        ("0", "limit must be greater than or equal to 1"),
        ("-5", "limit must be greater than or equal to 1"),
        ("201", "limit must be lower than or equal to 200"),
        ("1.5", "limit must be a whole number"),
        ("9223372036854775808", "limit must be a whole number"),
    ] {
        let answer = harness.get(&harness.at(&format!("/messages?limit={limit}"))).await;
        answer.refuses(400, "invalid_request", Some("limit")).says(says);
    }
}

#[tokio::test]
async fn three_pages_hold_every_message_once() {
    let harness = Harness::new().await;
    let mut expected = Vec::new();
    for number in 0..5 {
        expected.insert(0, harness.receive_about(&format!("number {number}")).await);
    }
    // Two at the same moment: the id decides, and none is lost between pages.
    for _ in 0..2 {
        harness.world.receive("a@b.test", "agent@acme.test", "Subject: same\r\n\r\n").await.expect("accepted");
    }
    let all = harness.ids(&harness.at("/messages")).await;
    assert_eq!((all.len(), &all[3..]), (7, &expected[1..]));
    for query in ["", "&unread=true", "&in=inbox", "&in=inbox&in=sent", "&subject=&select=id"] {
        let (mut seen, mut next, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = harness.get(&harness.at(&format!("/messages?limit=3&page_token={next}{query}"))).await;
            seen.extend(ids(&page));
            pages += 1;
            match page.json.get("next_cursor") {
                Some(cursor) => next = cursor.as_str().expect("text").to_owned(),
                None => break,
            }
        }
        assert_eq!((pages, &seen), (3, &all), "{query}");
    }
    // A full page that is the last one has no cursor.
    let exact = harness.get(&harness.at("/messages?limit=7")).await;
    assert_eq!((ids(&exact).len(), exact.json.get("next_cursor")), (7, None));
}

#[tokio::test]
async fn a_tampered_cursor_is_refused_by_name() {
    let harness = Harness::new().await;
    for number in 0..3 {
        harness.receive_about(&format!("{number}")).await;
    }
    let page = harness.get(&harness.at("/messages?limit=1")).await;
    let cursor = page.json["next_cursor"].as_str().expect("cursor");
    for bad in [&cursor[1..], &format!("{cursor}A"), "abc", "%00", "%F0%9F%A6%80", &"A".repeat(1_000)] {
        let answer = harness.get(&harness.at(&format!("/messages?page_token={bad}"))).await;
        answer.refuses(400, "invalid_request", Some("page_token")).says("page_token is not a cursor of this list");
    }
}

#[tokio::test]
async fn a_cursor_of_another_mailbox_shows_nothing_of_it() {
    let harness = Harness::new().await;
    for _ in 0..2 {
        harness.world.advance(1);
        harness.world.receive("a@b.test", "agent@other.test", "Subject: secret\r\n\r\n").await.expect("accepted");
    }
    let own = harness.receive_about("own").await;
    let list = "/v3/grants/agent@other.test/messages?limit=1";
    let theirs = harness.ask(&harness.other.api_key, "GET", list, None).await;
    let cursor = theirs.json["next_cursor"].as_str().expect("cursor");
    let seen = harness.ids(&harness.at(&format!("/messages?page_token={cursor}"))).await;
    assert!(seen.iter().all(|id| *id == own), "{seen:?}");
}

/// A mailbox with four messages, oldest first: `alpha` from Ada, `Beta` from Bob with a copy to Cee, one with a file,
/// and one that was sent with a blind copy to Dee.
async fn four() -> (Harness, [String; 4]) {
    let harness = Harness::new().await;
    let alpha = harness.receive_about("alpha report").await;
    let beta =
        "From: Bob <BOB@sender.test>\r\nTo: agent@acme.test\r\nCc: cee@sender.test\r\nSubject: Beta\r\n\r\nx\r\n";
    let beta = harness.receive(beta).await;
    let file = harness.receive(RICH).await;
    harness.world.advance(1);
    let send =
        json!({"to": [{"email": "ada@sender.test"}], "bcc": [{"email": "dee@sender.test"}], "subject": "Re: alpha"});
    let sent = harness.post(&harness.at("/messages/send"), &send).await;
    let sent = sent.is_ok().data()["id"].as_str().expect("id").to_owned();
    (harness, [alpha, beta, file, sent])
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let (harness, [alpha, beta, file, sent]) = four().await;
    let start = BEGINNING.as_seconds();
    let thread = harness.get(&harness.at(&format!("/messages/{alpha}"))).await.data()["thread_id"].clone();
    let thread = thread.as_str().expect("id");
    let (after, before) = (start + 1, start + 3);
    for (query, expected) in [
        ("", vec![&sent, &file, &beta, &alpha]),
        ("in=inbox", vec![&file, &beta, &alpha]),
        ("in=SENT", vec![&sent]),
        ("in=sent&in=inbox", vec![&sent, &file, &beta, &alpha]),
        ("in=sent,inbox", vec![&sent, &file, &beta, &alpha]),
        ("in=spam", vec![]),
        ("in=no-such-folder", vec![]),
        ("in=no-such-folder&in=sent", vec![&sent]),
        ("unread=true", vec![&file, &beta, &alpha]),
        ("unread=False", vec![&sent]),
        ("unread=1", vec![&file, &beta, &alpha]),
        ("starred=true", vec![]),
        ("has_attachment=True", vec![&file]),
        ("has_attachment=0", vec![&sent, &beta, &alpha]),
        ("subject=ALPHA", vec![&sent, &alpha]),
        ("subject=gr%C3%BC%C3%9Fe", vec![&file]),
        ("subject=GR%C3%9CSSE", vec![&file]),
        ("subject=%EF%BC%A1lpha", vec![&sent, &alpha]),
        ("from=ada@sender.test", vec![&file, &alpha]),
        ("from=bob@sender.test,ada@sender.test", vec![&file, &beta, &alpha]),
        ("from=agent@acme.test", vec![&sent]),
        ("to=Ada@Sender.Test", vec![&sent]),
        ("cc=cee@sender.test", vec![&file, &beta]),
        ("bcc=dee@sender.test", vec![&sent]),
        ("any_email=dee@sender.test", vec![&sent]),
        ("any_email=cee@sender.test&any_email=dee@sender.test", vec![&sent, &file, &beta]),
        ("any_email=nobody@sender.test", vec![]),
        (&format!("thread_id={thread}"), vec![&alpha]),
        (&format!("thread_id={thread}&unread=false"), vec![]),
        (&format!("received_after={after}"), vec![&sent, &file, &beta]),
        (&format!("received_before={before}"), vec![&beta, &alpha]),
        (&format!("received_after={after}&received_before={before}"), vec![&beta]),
        ("received_after=-9223372036854775808", vec![&sent, &file, &beta, &alpha]),
        ("received_after=9223372036854775807", vec![]),
        ("received_before=9223372036854775807", vec![&sent, &file, &beta, &alpha]),
        ("in=inbox&unread=true&from=bob@sender.test&subject=be", vec![&beta]),
        ("unknown=1&query_imap=true", vec![&sent, &file, &beta, &alpha]),
    ] {
        let seen = harness.ids(&harness.at(&format!("/messages?{query}"))).await;
        assert_eq!(seen.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

/// Pairs come repeated or with commas between them, and values have commas of their own.
#[tokio::test]
async fn metadata_is_asked_for_in_both_forms() {
    let harness = Harness::new().await;
    let mut ids = Vec::new();
    for metadata in [
        json!({"key1": "open", "key2": "a, b"}),
        json!({"key1": "open"}),
        json!({"key1": "see, https://people.test/?x=1,2", "order-id": "7"}),
    ] {
        harness.world.advance(1);
        let send = json!({"to": [{"email": "ada@sender.test"}], "subject": "x", "metadata": metadata});
        let sent = harness.post(&harness.at("/messages/send"), &send).await;
        ids.push(sent.is_ok().data()["id"].as_str().expect("id").to_owned());
    }
    for (query, expected) in [
        ("metadata_pair=key1:open", vec![1, 0]),
        ("metadata_pair=key1:open,key2:a,%20b", vec![0]),
        ("metadata_pair=key2:a,%20b,key1:open", vec![0]),
        ("metadata_pair=key1:open&metadata_pair=key2:a,%20b", vec![0]),
        ("metadata_pair=key2:a", vec![]),
        ("metadata_pair=key1:see,%20https://people.test/?x%3D1,2,order-id:7", vec![2]),
        ("metadata_pair=key1:open,key1:closed", vec![]),
        ("metadata_pair=key3:", vec![]),
        ("metadata_pair=", vec![2, 1, 0]),
    ] {
        let seen = harness.ids(&harness.at(&format!("/messages?{query}"))).await;
        let expected: Vec<_> = expected.into_iter().map(|place: usize| ids[place].clone()).collect();
        assert_eq!(seen, expected, "{query}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_refused_by_name() {
    let harness = Harness::new().await;
    let emails = |count: usize| (0..count).map(|n| format!("a{n}@b.test")).collect::<Vec<_>>().join(",");
    assert_eq!(harness.get(&harness.at(&format!("/messages?any_email={}", emails(25)))).await.status, 200);
    for (query, field) in [
        (format!("any_email={}", emails(26)), "any_email"),
        ("unread=yes".into(), "unread"),
        ("starred=2".into(), "starred"),
        ("has_attachment=maybe".into(), "has_attachment"),
        ("thread_id=x".into(), "thread_id"),
        ("in=in:inbox".into(), "in"),
        ("in=inbox,IN:sent".into(), "in"),
        ("metadata_pair=key1".into(), "metadata_pair"),
        ("metadata_pair=:open".into(), "metadata_pair"),
        ("received_after=yesterday".into(), "received_after"),
        ("received_before=1e9".into(), "received_before"),
    ] {
        let answer = harness.get(&harness.at(&format!("/messages?{query}"))).await;
        answer.refuses(400, "invalid_request", Some(field)).says(field);
    }
    let long = harness.get(&harness.at(&format!("/messages?subject={}", "x".repeat(16_385)))).await;
    long.refuses(400, "query_too_long", None);
}

#[tokio::test]
async fn a_message_is_moved_and_marked() {
    let harness = Harness::new().await;
    let id = harness.receive(RICH).await;
    let path = harness.at(&format!("/messages/{id}"));
    let moved = harness.put(&path, &json!({"folders": ["spam", "Archive", "junk"], "starred": true, "later": 1})).await;
    assert_shape(moved.is_ok().data(), MESSAGE);
    let state = |message: &Value| (message["folders"].clone(), message["unread"].clone(), message["starred"].clone());
    assert_eq!(state(moved.data()), (json!(["junk", "archive"]), json!(true), json!(true)));
    assert_eq!(harness.get(&path).await.data(), moved.data());
    assert_eq!(harness.ids(&harness.at("/messages?in=junk")).await, std::slice::from_ref(&id));
    assert!(harness.ids(&harness.at("/messages?in=inbox")).await.is_empty());
    let read = harness.patch(&path, &json!({"unread": false})).await;
    assert_eq!(state(read.is_ok().data()), (json!(["junk", "archive"]), json!(false), json!(true)));
    assert_eq!(harness.put(&path, &json!({})).await.is_ok().data(), read.data());
    let folder = harness.get(&harness.at("/folders/junk")).await;
    assert_eq!((&folder.data()["total_count"], &folder.data()["unread_count"]), (&json!(1), &json!(0)));
    for (body, code) in [
        (json!({"folders": []}), "1 to 20"),
        (json!({"folders": vec!["inbox"; 21]}), "1 to 20"),
        (json!({"folders": ["Clients"]}), "does not have"),
        (json!({"folders": ["drafts"]}), "drafts"),
    ] {
        harness.put(&path, &body).await.refuses(400, "invalid_request", Some("folders")).says(code);
    }
    assert_eq!(state(harness.get(&path).await.data()), state(read.data()));
}
