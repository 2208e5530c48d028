//! `POST /v3/grants/{grant}/messages/send?type=mime`.

use super::send_form::{Form, post};
use crate::support::{Answer, Harness, assert_shape};
use crate::v3::grants::messages::MESSAGE;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use postfleet_mailflow::schedules::release_once;
use serde_json::{Value, json};

const PART: &str = "Content-Disposition: form-data; name=\"mime\"";

async fn send(harness: &Harness, mime: &[u8]) -> Answer {
    post(harness, "/messages/send?type=mime", Form::default().part(PART, mime).end()).await
}

async fn source(harness: &Harness) -> Vec<u8> {
    let newest = harness.get(&harness.at("/messages?in=sent&limit=1&fields=raw_mime")).await;
    URL_SAFE.decode(newest.data()[0]["raw_mime"].as_str().expect("raw")).expect("base64")
}

#[tokio::test]
async fn raw_mime_leaves_as_it_is_but_for_blind_recipients() {
    let harness = Harness::new().await;
    let mime = "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <own@acme.test>\r\nFrom: Agent <agent@acme.test>\r\n\
        To: Ada <ada@sender.test>\r\nCc: bob@sender.test\r\nBCC: dee@sender.test,\r\n eve@sender.test\r\n\
        Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Own: 1\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
        <p>Grüße</p>\r\n--b\r\nContent-Type: text/plain; name=\"note.txt\"\r\n\
        Content-Disposition: attachment; filename=\"note.txt\"\r\n\r\nnote\r\n--b--\r\n";
    let answer = send(&harness, mime.as_bytes()).await;
    assert_shape(&answer.is_ok().json, "request_id:string grant_id:string duplicate:boolean data:object");
    assert_shape(answer.data(), &format!("{MESSAGE} suppressed_recipients:array"));
    let data = answer.data();
    assert_eq!((&data["subject"], &data["message_id_header"]), (&json!("Grüße"), &json!("<own@acme.test>")));
    assert_eq!(data["attachments"][0]["filename"], "note.txt");
    let bcc: Vec<_> = data["bcc"].as_array().expect("list").iter().map(|person| person["email"].clone()).collect();
    assert_eq!(bcc, ["dee@sender.test", "eve@sender.test"]);
    assert_eq!(data["metadata"], json!({}));
    let expected = mime.replace("BCC: dee@sender.test,\r\n eve@sender.test\r\n", "");
    assert_eq!(String::from_utf8(source(&harness).await).expect("text"), expected);
    let headers = post(
        &harness,
        "/messages/send?type=mime&fields=include_basic_headers",
        Form::default().part(PART, mime.as_bytes()).end(),
    );
    assert_eq!(headers.await.is_ok().data()["headers"][0]["value"], "<own@acme.test>");
}

#[tokio::test]
async fn raw_mime_joins_the_thread_that_its_header_names() {
    let harness = Harness::new().await;
    let question = "From: Ada <ada@sender.test>\r\nSubject: Hours\r\nMessage-ID: <q@sender.test>\r\n\r\nWhen?\r\n";
    let id = harness.receive(question).await;
    let asked = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    let reply =
        "From: agent@acme.test\nTo: ada@sender.test\nIn-Reply-To: <q@sender.test>\nSubject: Elsewhere\n\nNine.\n";
    let reply = send(&harness, reply.as_bytes()).await;
    assert_eq!(reply.is_ok().data()["thread_id"], asked.data()["thread_id"]);
    assert_eq!(reply.data()["in_reply_to"], "<q@sender.test>");
    // What was lacking is there: line ends, a date, an id.
    let source = String::from_utf8(source(&harness).await).expect("text");
    assert!(
        source.contains("Date: ") && source.contains("Message-ID: <") && source.ends_with("\r\n\r\nNine.\r\n"),
        "{source}"
    );
}

#[tokio::test]
async fn raw_mime_that_cannot_be_sent_is_refused() {
    let harness = Harness::new().await;
    let with = |header: &str| format!("From: agent@acme.test\r\n{header}\r\n\r\nHi\r\n").into_bytes();
    let to = "To: ada@sender.test";
    for (mime, says) in [
        (Vec::new(), "no header field"),
        (b"\r\nbody".to_vec(), "no header field"),
        (format!("{to}\r\n\r\nHi").into_bytes(), "agent@acme.test"),
        (format!("From: other@acme.test\r\n{to}\r\n\r\nHi").into_bytes(), "agent@acme.test"),
        (format!("From: agent@acme.test, other@acme.test\r\n{to}\r\n\r\nHi").into_bytes(), "agent@acme.test"),
        (with(&format!("From: other@acme.test\r\n{to}")), "From may stand only once"),
        (with(&format!("Sender: other@acme.test\r\n{to}")), "Sender"),
        (with(&format!("{to}\r\nSubject: a\r\nSubject: b")), "Subject may stand only once"),
        (with(&format!("{to}\r\nSubject: Gr\u{fc}\u{df}e")), "must be ASCII"),
        (with(&format!("{to}\r\nno field")), "not a field"),
        (with("To: ada"), "no \"@\""),
        (with("To: ada <ada@sender.test> bob@sender.test"), "To must be addresses"),
        (with(&format!("{to}\r\nBcc: a b@sender.test")), "Bcc must be addresses"),
        (format!("From: x Bcc: a@b.test <agent@acme.test>\r\n{to}\r\n\r\nHi").into_bytes(), "From must be an address"),
        (with(&format!("{to}\r\nX-A: a\u{b}b")), "control characters"),
        (with(&format!("{to}\r\n\r\na\0b")), "NUL"),
        (with(&format!("{to}\r\n\r\n{}", "x".repeat(999))), "998"),
    ] {
        send(&harness, &mime).await.refuses(400, "invalid_request", Some("mime")).says(says);
    }
    send(&harness, &with("Subject: to nobody")).await.refuses(400, "invalid_request", Some("to"));
    let many = (0..51).map(|n| format!("a{n}@b.test")).collect::<Vec<_>>().join(", ");
    send(&harness, &with(&format!("To: {many}"))).await.refuses(400, "too_many_recipients", Some("to"));
    assert_eq!(harness.get(&harness.at("/messages")).await.data(), &json!([]));
}

#[tokio::test]
async fn the_form_has_the_message_and_nothing_else() {
    let harness = Harness::new().await;
    let mime = b"From: agent@acme.test\r\nTo: ada@sender.test\r\n\r\nHi\r\n";
    let path = "/messages/send?type=mime";
    for form in [
        Form::default(),
        Form::default().part("Content-Disposition: form-data; name=message", mime),
        Form::default().part(PART, mime).part(PART, mime),
        Form::default().part(PART, mime).part("Content-Disposition: form-data; name=file0; filename=f", b"x"),
    ] {
        post(&harness, path, form.end()).await.refuses(400, "invalid_request", Some("mime"));
    }
    let json = harness.post(&harness.at(path), &json!({"to": [{"email": "a@b.test"}]})).await;
    json.refuses(400, "invalid_request", Some("Content-Type")).says("multipart/form-data");
    let wrong = post(&harness, "/messages/send?type=eml", Form::default().part(PART, mime).end()).await;
    wrong.refuses(400, "invalid_request", Some("type"));
    let file = "Content-Disposition: form-data; name=mime; filename=message.eml\r\nContent-Type: message/rfc822";
    post(&harness, path, Form::default().part(file, mime).end()).await.is_ok();
}

#[tokio::test]
async fn raw_mime_may_be_as_large_as_any_message() {
    let harness = Harness::new().await;
    let limit = 25 << 20;
    let head = b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <own@acme.test>\r\nFrom: agent@acme.test\r\n\
        To: ada@sender.test\r\n\r\n";
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    let mut mime = head.to_vec();
    while mime.len() + line.len() <= limit - 2 {
        mime.extend_from_slice(&line);
    }
    mime.resize(limit - 2, b'y');
    mime.extend_from_slice(b"\r\n");
    assert_eq!(mime.len(), limit);
    send(&harness, &mime).await.is_ok();
    assert!(source(&harness).await == mime, "it is another one");
    mime.insert(head.len(), b'z');
    send(&harness, &mime).await.refuses(413, "message_too_large", None).says(&format!("the limit is {limit} bytes"));
}

const SIGNED: &str = "From: Agent <agent@acme.test>\r\nTo: ada@sender.test\r\nSubject: Signed\r\n\
    Message-ID: <own@acme.test>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/signed; boundary=b; protocol=\"application/pgp-signature\"\r\n\r\n--b\r\n\
    Content-Type: text/plain\r\n\r\ntext   \r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nxx\r\n--b--\r\n";

fn now(harness: &Harness) -> i64 {
    harness.world.platform.clock.now().as_seconds()
}

fn named(name: &str) -> String {
    format!("Content-Disposition: form-data; name={name}")
}

/// Schedules raw MIME for so many seconds from now.
async fn later(harness: &Harness, mime: &str, seconds: i64, use_draft: bool) -> Answer {
    let form = Form::default()
        .part(&named("send_at"), (now(harness) + seconds).to_string().as_bytes())
        .part(PART, mime.as_bytes())
        .part(&named("use_draft"), use_draft.to_string().as_bytes());
    post(harness, "/messages/send?type=mime", form.end()).await
}

async fn pass(harness: &Harness, seconds: u64) {
    harness.world.advance(seconds);
    release_once(&harness.world.platform).await.expect("round");
}

fn schedule_of(harness: &Harness, answer: &Answer) -> String {
    harness.at(&format!("/messages/schedules/{}", answer.json["schedule_id"].as_str().expect("id")))
}

#[tokio::test]
async fn raw_mime_waits_for_its_time_and_leaves_octet_for_octet() {
    let harness = Harness::new().await;
    let answer = later(&harness, &SIGNED.replace("Subject", "Bcc: dee@sender.test\r\nSubject"), 3_600, false).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_shape(answer.data(), &format!("{MESSAGE} schedule_id:string send_at:integer use_draft:boolean"));
    assert_eq!((&answer.json["send_at"], &answer.json["use_draft"]), (&json!(now(&harness) + 3_600), &json!(false)));
    assert_eq!(answer.data()["bcc"][0]["email"], "dee@sender.test");
    assert_eq!(harness.ids(&harness.at("/messages")).await, [""; 0]);
    let listed = harness.get(&harness.at("/messages/schedules")).await;
    assert_eq!(listed.data()[0]["status"]["code"], "pending");
    pass(&harness, 3_599).await;
    assert_eq!(harness.ids(&harness.at("/messages")).await, [""; 0]);
    pass(&harness, 1).await;
    assert_eq!(harness.get(&schedule_of(&harness, &answer)).await.data()["status"]["code"], "success");
    let id = answer.data()["id"].as_str().expect("id");
    let sent = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    for field in ["thread_id", "to", "bcc", "subject", "message_id_header"] {
        assert_eq!(sent.is_ok().data()[field], answer.data()[field], "{field}");
    }
    assert_eq!(String::from_utf8(source(&harness).await).expect("text"), SIGNED);
}

#[tokio::test]
async fn raw_mime_that_waits_is_taken_back_and_asked_for_like_any_other() {
    let harness = Harness::new().await;
    let answer = later(&harness, SIGNED, 600, false).await;
    assert_eq!(harness.delete(&schedule_of(&harness, &answer)).await.status, 202);
    pass(&harness, 600).await;
    assert_eq!(harness.ids(&harness.at("/messages")).await, [""; 0]);
    // What is wrong is found at once.
    later(&harness, &SIGNED.replace("agent@", "other@"), 600, false).await.refuses(
        400,
        "invalid_request",
        Some("mime"),
    );
    later(&harness, "From: agent@acme.test\r\n\r\nHi", 600, false).await.refuses(400, "invalid_request", Some("to"));
    for seconds in [59, 30 * 86_400 + 1] {
        later(&harness, SIGNED, seconds, false).await.refuses(400, "invalid_request", Some("send_at"));
    }
    let mime = || Form::default().part(PART, SIGNED.as_bytes());
    let at = (now(&harness) + 600).to_string();
    let path = "/messages/send?type=mime";
    for (query, form, field) in [
        ("", mime().part(&named("send_at"), b"soon"), "send_at"),
        ("", mime().part(&named("send_at"), b"\xff"), "send_at"),
        ("", mime().part(&named("send_at"), at.as_bytes()).part(&named("send_at"), at.as_bytes()), "send_at"),
        (&*format!("&send_at={at}"), mime().part(&named("send_at"), at.as_bytes()), "send_at"),
        ("&use_draft=true", mime(), "use_draft"),
        ("", mime().part(&named("send_at"), at.as_bytes()).part(&named("use_draft"), b"maybe"), "use_draft"),
    ] {
        post(&harness, &format!("{path}{query}"), form.end()).await.refuses(400, "invalid_request", Some(field));
    }
    let by_query = post(&harness, &format!("{path}&send_at={at}&use_draft=true"), mime().end()).await;
    assert_eq!((by_query.status, &by_query.json["use_draft"]), (202, &json!(true)));
    let at_once = post(&harness, path, mime().part(&named("send_at"), b"0").end()).await;
    assert_eq!(at_once.is_ok().json["schedule_id"], Value::Null);
}

#[tokio::test]
async fn a_draft_in_raw_mime_stays_as_written_until_its_text_changes() {
    let harness = Harness::new().await;
    let draft = |answer: &Answer| harness.at(&format!("/drafts/{}", answer.data()["id"].as_str().expect("id")));
    let answer = later(&harness, SIGNED, 600, true).await;
    assert_eq!((answer.status, &answer.data()["object"]), (202, &json!("draft")));
    let path = draft(&answer);
    let put_off = json!({"send_at": now(&harness) + 1_200, "metadata": {"key1": "v"}, "starred": true});
    harness.put(&path, &put_off).await.is_ok();
    pass(&harness, 600).await;
    assert_eq!(harness.get(&path).await.data()["metadata"], json!({"key1": "v"}));
    pass(&harness, 600).await;
    harness.get(&path).await.refuses(404, "not_found", None);
    assert_eq!(String::from_utf8(source(&harness).await).expect("text"), SIGNED);
    let sent = harness.get(&harness.at("/messages?in=sent")).await;
    assert_eq!(
        (sent.data()[0]["metadata"].clone(), &sent.data()[0]["subject"]),
        (json!({"key1": "v"}), &json!("Signed"))
    );

    let answer = later(&harness, &SIGNED.replace("<own@", "<other@"), 600, true).await;
    let path = draft(&answer);
    harness.put(&path, &json!({"subject": "Edited"})).await.is_ok();
    harness.put(&path, &json!({"send_at": null})).await.is_ok();
    let sent = harness.ask(&harness.acme.api_key, "POST", &path, None).await;
    assert_eq!(
        (sent.is_ok().data()["subject"].clone(), &sent.data()["attachments"][0]["content_type"]),
        (json!("Edited"), &json!("application/pgp-signature"))
    );
    let source = String::from_utf8(source(&harness).await).expect("text");
    assert!(!source.contains("14 Nov 2023") && source.contains("Subject: Edited"), "{source}");
}

#[tokio::test]
async fn a_reply_in_raw_mime_that_waited_joins_its_thread_and_one_without_a_date_gets_that_of_its_time() {
    let harness = Harness::new().await;
    let question = "From: Ada <ada@sender.test>\r\nSubject: Hours\r\nMessage-ID: <q@sender.test>\r\n\r\nWhen?\r\n";
    let id = harness.receive(question).await;
    let asked = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    let reply =
        "From: agent@acme.test\nTo: ada@sender.test\nIn-Reply-To: <q@sender.test>\nSubject: Elsewhere\n\nNine.\n";
    for use_draft in [false, true] {
        let waits = later(&harness, &reply.replace("Nine", &format!("Nine {use_draft}")), 600, use_draft).await;
        assert_eq!(waits.status, 202, "{waits:?}");
        let leaves_at = harness.world.platform.clock.now().as_seconds() + 600;
        pass(&harness, 600).await;
        let sent = harness.get(&harness.at(&format!("/messages/{}", waits.data()["id"].as_str().expect("id")))).await;
        assert_eq!(sent.is_ok().data()["thread_id"], asked.data()["thread_id"], "{use_draft}");
        assert_eq!(sent.data()["date"], leaves_at);
        let source = String::from_utf8(source(&harness).await).expect("text");
        assert!(
            source.starts_with("X-Postfleet-Hops: 1; ")
                && source.contains("\r\nDate: ")
                && source.ends_with(&format!("\r\n\r\nNine {use_draft}.\r\n")),
            "{source}"
        );
    }
    // One that answers nothing is in the thread that the answer named, which other drafts may be in.
    let waits = later(&harness, SIGNED, 600, true).await;
    let id = waits.data()["id"].as_str().expect("id");
    let path = harness.at(&format!("/drafts/{id}"));
    harness.put(&path, &json!({"send_at": null})).await.is_ok();
    let sent = harness.ask(&harness.acme.api_key, "POST", &path, None).await;
    assert_eq!(sent.is_ok().data()["thread_id"], waits.data()["thread_id"]);
}

#[tokio::test]
async fn a_key_tells_raw_mime_now_from_raw_mime_later() {
    let harness = Harness::new().await;
    let at = (now(&harness) + 600).to_string();
    let send = async |key: &str, send_at: Option<&str>| {
        let form = Form::default().part(PART, SIGNED.as_bytes());
        let form = send_at
            .map_or(Form::default().part(PART, SIGNED.as_bytes()), |at| form.part(&named("send_at"), at.as_bytes()));
        let request = axum::http::Request::post(harness.at("/messages/send?type=mime"))
            .header("content-type", "multipart/form-data; boundary=edge")
            .header("idempotency-key", key)
            .header("authorization", format!("Bearer {}", harness.acme.api_key));
        harness.request(request.body(form.end().into()).expect("request")).await
    };
    let first = send("k", Some(&at)).await;
    let again = send("k", Some(&at)).await;
    assert_eq!((first.status, again.status, &again.json), (202, 202, &first.json));
    assert_eq!(again.header("idempotent-response"), Some("true"));
    send("k", None).await.refuses(409, "invalid_idempotent_request", None);
    assert_eq!(harness.get(&harness.at("/messages/schedules")).await.data().as_array().map(Vec::len), Some(1));
}
