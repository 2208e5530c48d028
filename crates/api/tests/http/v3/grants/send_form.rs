//! `POST /v3/grants/{grant}/messages/send` with a form: `multipart/form-data`.

use crate::support::{Answer, Harness, assert_shape};
use crate::v3::grants::messages::MESSAGE;
use axum::body::{Body, Bytes};
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

/// The largest raw MIME.
const LIMIT: usize = 25 << 20;

/// A form that is being written: parts in their order.
#[derive(Default)]
pub(crate) struct Form(Vec<u8>);

impl Form {
    /// Adds a part with this header.
    pub(crate) fn part(mut self, header: &str, content: &[u8]) -> Self {
        self.0.extend_from_slice(format!("--edge\r\n{header}\r\n\r\n").as_bytes());
        self.0.extend_from_slice(content);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Adds the message.
    fn message(self, message: &Value) -> Self {
        let header = "Content-Disposition: form-data; name=\"message\"\r\nContent-Type: application/json";
        self.part(header, message.to_string().as_bytes())
    }

    /// Adds a file.
    fn file(self, name: &str, filename: &str, kind: &str, content: &[u8]) -> Self {
        let header =
            format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\nContent-Type: {kind}");
        self.part(&header, content)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"--edge--\r\n");
        self.0
    }
}

/// Sends a form, whole.
pub(crate) async fn post(harness: &Harness, path: &str, form: impl Into<Body>) -> Answer {
    let request = Request::post(harness.at(path)).header("content-type", "multipart/form-data; boundary=edge");
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    harness.request(request.body(form.into()).expect("request")).await
}

async fn send(harness: &Harness, form: Form) -> Answer {
    post(harness, "/messages/send", form.end()).await
}

fn letter() -> Value {
    json!({"to": [{"email": "ada@sender.test", "name": "Ada"}], "subject": "Grüße", "body": "<p>Hi</p>"})
}

async fn download(harness: &Harness, message: &Value, filename: &str) -> Vec<u8> {
    let files = message["attachments"].as_array().expect("list");
    let file =
        files.iter().find(|file| file["filename"] == filename).unwrap_or_else(|| panic!("{filename}: {files:?}"));
    let id = file["id"].as_str().expect("id");
    harness.get(&harness.at(&format!("/attachments/{id}/download"))).await.octets
}

#[tokio::test]
async fn a_form_is_sent_with_all_its_files() {
    let harness = Harness::new().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let mut message = letter();
    message["body"] = json!("<img src=\"cid:logo@acme\">");
    message["attachments"] = json!([{"content": "SGVsbG8=", "filename": "in.json"}]);
    let form = Form::default()
        .file("logo@acme", "logo.png", "image/png", &bytes)
        .message(&message)
        .file("file0", "日本.pdf", "application/pdf", &bytes)
        .file("attachment", "notes.txt", "text/plain; charset=utf-8", b"line\r\n--edg\r\n")
        .file("other", "empty", "text/plain", b"");
    let answer = send(&harness, form).await;
    assert_shape(answer.is_ok().data(), &format!("{MESSAGE} suppressed_recipients:array"));
    let data = answer.data();
    assert_eq!((&data["subject"], &data["to"][0]["name"]), (&json!("Grüße"), &json!("Ada")));
    for (name, content) in [
        ("logo.png", &bytes[..]),
        ("日本.pdf", &bytes),
        ("notes.txt", b"line\r\n--edg\r\n"),
        ("in.json", b"Hello"),
        ("empty", b""),
    ] {
        assert_eq!(download(&harness, data, name).await, content, "{name}");
    }
    let what = |filename: &str| {
        let files = data["attachments"].as_array().expect("list").iter();
        let file = files.clone().find(|file| file["filename"] == filename).expect("file");
        (file["content_id"].clone(), file["is_inline"].clone())
    };
    assert_eq!(what("logo.png"), (json!("logo@acme"), json!(true)));
    assert_eq!(what("日本.pdf"), (Value::Null, json!(false)));
    assert_eq!(what("notes.txt"), (Value::Null, json!(false)));
    assert_eq!(what("empty"), (json!("other"), json!(false)));
}

#[tokio::test]
async fn the_message_is_found_however_it_is_written_and_wherever_it_stands() {
    let harness = Harness::new().await;
    let text = letter().to_string();
    for header in [
        "Content-Disposition: form-data; name=\"message\"; filename=\"\"\r\nContent-Type: application/json",
        "content-disposition: form-data; name=message; filename=\"blob\"",
        "Content-Type: text/plain\r\nContent-Disposition: form-data; name=draft",
    ] {
        let last = Form::default().file("file0", "a", "text/plain", b"x").part(header, text.as_bytes());
        assert_eq!(send(&harness, last).await.is_ok().data()["attachments"][0]["filename"], "a", "{header}");
        let first = Form::default().part(header, text.as_bytes()).file("file0", "a", "text/plain", b"x");
        send(&harness, first).await.is_ok();
        send(&harness, Form::default().part(header, text.as_bytes())).await.is_ok();
    }
}

#[tokio::test]
async fn names_of_files_as_clients_write_them() {
    let harness = Harness::new().await;
    for (filename, expected) in [
        ("filename=\"größe 日本.txt\"", "größe 日本.txt"),
        ("filename*=UTF-8''gr%C3%B6%C3%9Fe.txt", "größe.txt"),
        ("filename=\"fallback.txt\"; filename*=utf-8''%E6%97%A5.txt", "日.txt"),
        ("filename=\"=?utf-8?B?5pel5pys?=.txt\"", "日本.txt"),
        ("filename=\"say %22hi%22.txt\"", "say \"hi\".txt"),
        ("filename=\"say \\\"hi\\\".txt\"", "say \"hi\".txt"),
        ("filename=\"a;b=c.txt\"", "a;b=c.txt"),
    ] {
        let header = format!("Content-Disposition: form-data; name=\"file0\"; {filename}");
        let answer = send(&harness, Form::default().message(&letter()).part(&header, b"x")).await;
        assert_eq!(answer.is_ok().data()["attachments"][0]["filename"], expected, "{filename}");
    }
}

#[tokio::test]
async fn a_form_may_come_in_pieces_of_any_size_and_without_a_length() {
    let harness = Harness::new().await;
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let form = Form::default().message(&letter()).file("file0", "f", "image/png", &content).end();
    for size in [1_000, 7, 65_536] {
        let pieces: Vec<_> =
            form.chunks(size).map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece))).collect();
        let answer = post(&harness, "/messages/send", Body::from_stream(futures::stream::iter(pieces))).await;
        assert_eq!(download(&harness, answer.is_ok().data(), "f").await, content, "pieces of {size}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_form_is_said() {
    let harness = Harness::new().await;
    let broken = |form: Vec<u8>| post(&harness, "/messages/send", form);
    let whole = Form::default().message(&letter()).end();
    for cut in [0, 10, whole.len() / 2, whole.len() - 5] {
        let answer = broken(whole[..cut].to_vec()).await;
        answer.refuses(400, "invalid_request", None).says("multipart: it ends before its last boundary");
    }
    broken(Form::default().part("X: y", b"x").end()).await.says("no Content-Disposition with a name");
    broken(Form::default().part("nothing", b"x").end()).await.says("a line that is not a field");
    let long = format!("Content-Disposition: form-data; name=a\r\nX: {}", "y".repeat(17_000));
    broken(Form::default().part(&long, b"x").end()).await.says("longer than 16384 bytes");
    broken((0..1_001).fold(Form::default(), |form, _| form.file("f", "", "", b"")).end()).await.says("1000 parts");
    for (form, field, says) in [
        (Form::default().file("file0", "a", "text/plain", b"x"), "message", "one part message"),
        (Form::default().message(&letter()).message(&letter()), "message", "not 2"),
        (Form::default().message(&json!({"to": 5})), "to", "error parsing request body"),
        (Form::default().message(&letter()).file("a b", "f", "", b""), "attachments[0].content_id", "without spaces"),
        (
            Form::default().message(&letter()).file("file0", "f", "nonsense", b""),
            "attachments[0].content_type",
            "type/subtype",
        ),
        (Form::default().message(&letter()).file("file0", "a\u{7}", "", b""), "attachments[0].filename", "control"),
    ] {
        send(&harness, form).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    let request = Request::post(harness.at("/messages/send")).header("content-type", "multipart/form-data");
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    let answer = harness.request(request.body(Body::from(whole)).expect("request")).await;
    answer.refuses(400, "invalid_request", None).says("names no boundary");
    assert_eq!(harness.get(&harness.at("/messages")).await.data(), &json!([]));
}

#[tokio::test]
async fn the_largest_message_and_one_that_is_larger() {
    let harness = Harness::new().await;
    // Base64 in lines of 76 characters takes 78 octets for 57.
    let fits = (LIMIT - 10_000) / 78 * 57;
    let form = |octets: usize| Form::default().message(&letter()).file("file0", "f", "", &vec![7; octets]);
    let sent = send(&harness, form(fits)).await;
    assert_eq!(sent.is_ok().data()["attachments"][0]["size"], fits);
    let refused = send(&harness, form(fits + 20_000)).await;
    refused.refuses(413, "message_too_large", None).says(&format!("the limit is {LIMIT} bytes"));
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let harness = Harness::new().await;
    let head = "--edge\r\nContent-Disposition: form-data; name=file0\r\n\r\n";
    let read = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = read.clone();
    let endless = futures::stream::repeat_with(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 65_536]))
    });
    let first = futures::stream::iter([Ok(Bytes::from(head))]);
    let body = Body::from_stream(futures::StreamExt::chain(first, endless));
    let answer = post(&harness, "/messages/send", body).await;
    answer.refuses(413, "message_too_large", None).says(&format!("the limit is {LIMIT} bytes"));
    // What a client still sends is thrown away for a while, so that it gets to read the answer.
    let most = (LIMIT + (64 << 20)) / 65_536 + 2;
    assert!(read.load(std::sync::atomic::Ordering::Relaxed) <= most, "it is read on and on");
    // A length that says so is enough.
    let request =
        Request::post(harness.at("/messages/send")).header("content-type", "multipart/form-data; boundary=edge");
    let request = request.header("authorization", format!("Bearer {}", harness.acme.api_key));
    let request = request.header("content-length", 30 << 20).body(Body::empty()).expect("request");
    harness.request(request).await.refuses(413, "body_too_large", None).says(&(LIMIT + (1 << 20)).to_string());
}

#[tokio::test]
async fn nothing_of_a_form_begins_a_header_field() {
    let harness = Harness::new().await;
    for evil in ["x%0d%0aBcc: victim@v.test", "x\u{85}Bcc: victim@v.test", "x\rBcc: victim@v.test", "x\u{b}y"] {
        for header in [
            format!("Content-Disposition: form-data; name=\"{evil}\"; filename=f"),
            format!("Content-Disposition: form-data; name=file0; filename*=utf-8''{}", evil.replace(' ', "%20")),
            format!("Content-Disposition: form-data; name=file0; filename=\"{evil}\""),
            format!("Content-Disposition: form-data; name=file0; filename=f\r\nContent-Type: text/plain; x=\"{evil}\""),
        ] {
            let answer = send(&harness, Form::default().message(&letter()).part(&header, b"x")).await;
            if answer.status == 400 {
                continue;
            }
            let newest = harness.get(&harness.at("/messages?limit=1&fields=raw_mime")).await;
            let raw = URL_SAFE.decode(newest.data()[0]["raw_mime"].as_str().expect("raw")).expect("base64");
            let raw = String::from_utf8(raw).expect("text").to_lowercase();
            assert!(raw.lines().all(|line| !line.starts_with("bcc")), "{header}: {raw}");
            assert!(!raw.replace("\r\n", "").contains('\r'), "{header}: {raw}");
        }
    }
}
