//! `/v3/grants/{grant}/attachments` and the same below a message.

use crate::support::{Harness, NOBODY, assert_shape};
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

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
        let disposition =
            "attachment; filename=\".._r_sum__.html\"; filename*=UTF-8''%2E%2E%5Fr%C3%A9sum%C3%A9%22%2Ehtml";
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
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

/// A message with these files, each with its type and encoded as it is said.
fn with_files(files: &[(&str, &str, &str)]) -> String {
    let part = |(kind, encoding, text): &(&str, &str, &str)| {
        format!(
            "--b\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\
             Content-Disposition: attachment; filename=file\r\n\r\n{text}\r\n"
        )
    };
    let head = "From: a@sender.test\r\nTo: agent@acme.test\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee there\r\n";
    format!("{head}{}--b--\r\n", files.iter().map(part).collect::<String>())
}

async fn files_of(harness: &Harness, message: &str) -> Vec<String> {
    let message = harness.get(&harness.at(&format!("/messages/{message}"))).await;
    let files = message.data()["attachments"].as_array().expect("list").clone();
    files.iter().map(|file| file["id"].as_str().expect("id").to_owned()).collect()
}

#[tokio::test]
async fn a_type_is_shown_where_it_is_harmless_and_true() {
    let harness = Harness::new().await;
    let cases = [
        ("application/pdf", "7bit", "%PDF-1.4 x", "application/pdf"),
        ("application/pdf; name=x", "base64", "JVBERi0xLjQ=", "application/pdf"),
        ("application/pdf", "7bit", "<script>", "application/octet-stream"),
        ("image/png", "base64", "iVBORw0KGgo=", "image/png"),
        ("image/gif", "base64", "iVBORw0KGgo=", "application/octet-stream"),
        ("text/csv", "quoted-printable", "a=3Bb=\r\nc", "text/csv"),
        ("text/plain", "7bit", "hello", "text/plain"),
        ("text/plain", "base64", "AAEC", "application/octet-stream"),
        ("text/html", "7bit", "<p>hello", "application/octet-stream"),
        ("image/svg+xml", "7bit", "<svg/>", "application/octet-stream"),
        ("application/zip", "base64", "UEsDBAAA", "application/zip"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "base64", "UEsDBAAA", ""),
    ];
    let files: Vec<_> = cases.iter().map(|(kind, encoding, text, _)| (*kind, *encoding, *text)).collect();
    let message = harness.receive(&with_files(&files)).await;
    for (id, (declared, _, text, expected)) in files_of(&harness, &message).await.iter().zip(cases) {
        let answer = harness.get(&harness.at(&format!("/attachments/{id}/download"))).await;
        let expected = if expected.is_empty() { declared } else { expected };
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(expected)), "{declared}: {text}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let described = harness.get(&harness.at(&format!("/attachments/{id}"))).await;
        assert_eq!(described.data()["size"], answer.octets.len(), "{declared}: {text}");
    }
}

/// Ranges of a file that is larger than a piece, in each encoding, beside those of the same octets in memory.
#[tokio::test]
async fn ranges_are_cut_from_the_decoded_octets() {
    let harness = Harness::new().await;
    let text: String = (0..40_000).map(|number| format!("{number:05}\r\n")).collect();
    let lines = |encoded: String| {
        let lines: Vec<_> = encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).expect("ASCII")).collect();
        lines.join("\r\n")
    };
    let base64 = lines(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text));
    let quoted = text.replace("0\r\n", "=30=\r\n\r\n");
    let message = harness
        .receive(&with_files(&[
            ("text/csv", "7bit", &text),
            ("text/csv", "base64", &base64),
            ("text/csv", "quoted-printable", &quoted),
        ]))
        .await;
    let ask = async |id: &str, fields: &[(&str, &str)]| {
        let path = harness.at(&format!("/attachments/{id}/download"));
        let mut builder = Request::get(path).header("authorization", format!("Bearer {}", harness.acme.api_key));
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        harness.request(builder.body(Body::empty()).expect("request")).await
    };
    // The line end before a boundary belongs to the boundary.
    let size = text.len();
    for id in files_of(&harness, &message).await {
        let whole = ask(&id, &[]).await;
        assert_eq!((whole.status, whole.octets == text.as_bytes()), (200, true), "{id}");
        let tag = whole.header("etag").expect("ETag").to_owned();
        let ranges = [
            ("0-0", 0..1),
            ("0-", 0..size),
            ("65530-65545", 65_530..65_546),
            ("-7", size - 7..size),
            ("131072-131072", 131_072..131_073),
            ("200000-999999", 200_000..size),
        ];
        for (range, expected) in ranges {
            let answer = ask(&id, &[("range", &format!("bytes={range}")), ("if-range", &tag)]).await;
            assert_eq!((answer.status, answer.octets == text.as_bytes()[expected.clone()]), (206, true), "{range}");
            let place = format!("bytes {}-{}/{size}", expected.start, expected.end - 1);
            assert_eq!(answer.header("content-range"), Some(place.as_str()));
            assert_eq!(answer.header("content-length"), Some(expected.len().to_string().as_str()));
        }
        assert_eq!(ask(&id, &[("range", "bytes=0-0"), ("if-range", "\"other\"")]).await.octets.len(), size);
        let none = ask(&id, &[("range", &format!("bytes={size}-"))]).await;
        none.refuses(416, "range_not_satisfiable", Some("Range"));
        assert_eq!(none.header("content-range"), Some(format!("bytes */{size}").as_str()));
        let same = ask(&id, &[("if-none-match", &tag)]).await;
        assert_eq!((same.status, same.octets.len(), same.header("etag")), (304, 0, Some(tag.as_str())));
    }
}

/// Also one whose octets nobody can guess from how it is packed: large, and in a file of its own.
#[tokio::test]
async fn a_file_that_was_damaged_is_broken_off_before_its_end() {
    let harness = Harness::new().await;
    let mut seed = 7_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (seed >> 33) as u8 % 26)
    };
    let text: String = (0..4_000).map(|_| (0..70).map(|_| next()).chain("\r\n".chars()).collect::<String>()).collect();
    let message = harness.receive(&with_files(&[("text/plain", "7bit", &text)])).await;
    let id = files_of(&harness, &message).await.remove(0);
    let path = harness.at(&format!("/attachments/{id}/download"));
    assert!(harness.get(&path).await.octets == text.as_bytes());
    let mut damaged = 0;
    for folder in std::fs::read_dir(harness.world.folder().join("blobs")).expect("folder") {
        for file in std::fs::read_dir(folder.expect("folder").path()).expect("files") {
            let file = file.expect("file").path();
            let mut octets = std::fs::read(&file).expect("read");
            let last = octets.len() - 1;
            octets[last] ^= 0x55;
            std::fs::write(&file, octets).expect("write");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    let request = Request::get(&path).header("authorization", format!("Bearer {}", harness.acme.api_key));
    let response = harness.router().oneshot(request.body(Body::empty()).expect("request")).await.expect("infallible");
    assert_eq!(response.status(), 200);
    assert!(to_bytes(response.into_body(), usize::MAX).await.is_err(), "it was given to its end");
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
