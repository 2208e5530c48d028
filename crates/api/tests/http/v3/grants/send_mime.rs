//! `POST /v3/grants/{grant}/messages/send?type=mime`.

use super::send_form::{Form, post};
use crate::support::{Answer, Harness, assert_shape};
use crate::v3::grants::messages::MESSAGE;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;

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
