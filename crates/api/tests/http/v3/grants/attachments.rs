//! `/v3/grants/{grant}/attachments` and the same below a message.

use crate::support::{Harness, NOBODY, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/attachments/{attachment}",
    "GET /v3/grants/{grant}/attachments/{attachment}/download",
    "GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}",
    "GET /v3/grants/{grant}/messages/{message}/attachments/{attachment}/download",
];

const ATTACHMENT: &str = "id:string grant_id:string filename:string content_type:string size:integer \
    content_id:string? content_disposition:string? is_inline:boolean";

const MESSAGE: &str = "From: a@sender.test\r\nTo: agent@acme.test\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:logo\">\r\n\
    --b\r\nContent-Type: image/svg+xml\r\nContent-ID: <logo>\r\nContent-Transfer-Encoding: base64\r\n\r\nPHN2Zy8+\r\n\
    --b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename*=utf-8''..%2Fr%C3%A9sum%C3%A9%22.html\r\n\r\nAAEC/w==\r\n--b--\r\n";

async fn arrange() -> (Harness, String, Value) {
    let harness = Harness::new().await;
    let id = harness.receive(MESSAGE).await;
    let message = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    let files = message.data()["attachments"].clone();
    (harness, id, files)
}

#[tokio::test]
async fn an_attachment_is_described_in_every_place() {
    let (harness, message, files) = arrange().await;
    assert_eq!(files.as_array().expect("list").len(), 2);
    for file in files.as_array().expect("list") {
        assert_shape(file, ATTACHMENT);
        let id = file["id"].as_str().expect("id");
        for path in [
            format!("/attachments/{id}?message_id={message}"),
            format!("/attachments/{id}"),
            format!("/messages/{message}/attachments/{id}"),
        ] {
            assert_eq!(harness.get(&harness.at(&path)).await.is_ok().data(), file, "{path}");
        }
    }
    let (logo, resume) = (&files[0], &files[1]);
    assert_eq!((&logo["content_id"], &logo["is_inline"], &logo["size"]), (&json!("logo"), &json!(true), &json!(6)));
    assert_eq!((&resume["filename"], &resume["is_inline"]), (&json!("../résumé\".html"), &json!(false)));
}

#[tokio::test]
async fn bytes_are_downloaded_as_a_file_that_no_browser_shows() {
    let (harness, message, files) = arrange().await;
    let resume = files[1]["id"].as_str().expect("id");
    for path in [
        format!("/attachments/{resume}/download?message_id={message}"),
        format!("/attachments/{resume}/download"),
        format!("/messages/{message}/attachments/{resume}/download"),
    ] {
        let answer = harness.get(&harness.at(&path)).await;
        assert_eq!((answer.status, answer.octets.as_slice()), (200, &[0, 1, 2, 255][..]));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let disposition = "attachment; filename*=UTF-8''%2E%2E%2Fr%C3%A9sum%C3%A9%22%2Ehtml";
        assert_eq!(answer.header("content-disposition"), Some(disposition));
        assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}");
    }
    let logo = files[0]["id"].as_str().expect("id");
    let answer = harness.get(&harness.at(&format!("/attachments/{logo}/download"))).await;
    assert_eq!(
        (answer.octets.as_slice(), answer.header("content-type")),
        (&b"<svg/>"[..], Some("application/octet-stream"))
    );
}

#[tokio::test]
async fn what_does_not_fit_together_is_not_found() {
    let (harness, message, files) = arrange().await;
    let file = files[0]["id"].as_str().expect("id");
    let other = harness.receive_about("another").await;
    for path in [
        format!("/attachments/{file}?message_id={other}"),
        format!("/attachments/{file}?message_id=x"),
        format!("/attachments/{file}/download?message_id={NOBODY}"),
        format!("/messages/{other}/attachments/{file}"),
        format!("/messages/{other}/attachments/{file}/download"),
        format!("/attachments/{message}-99"),
        format!("/attachments/{message}-4294967296"),
        format!("/attachments/{message}--1"),
        format!("/attachments/{message}"),
        format!("/messages/{message}/attachments/{message}-0/download"),
    ] {
        harness.get(&harness.at(&path)).await.refuses(404, "not_found", None);
    }
}
