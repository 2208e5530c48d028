//! `/v3/grants/{grant}/signatures`, and messages that have one.

use crate::support::{Harness, assert_shape};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/signatures",
    "POST /v3/grants/{grant}/signatures",
    "GET /v3/grants/{grant}/signatures/{signature}",
    "PUT /v3/grants/{grant}/signatures/{signature}",
    "PATCH /v3/grants/{grant}/signatures/{signature}",
    "DELETE /v3/grants/{grant}/signatures/{signature}",
];

const SIGNATURE: &str =
    "id:string object:string grant_id:string name:string body:string created_at:integer updated_at:integer";

async fn make(harness: &Harness, body: &str) -> Value {
    let made = harness.post(&harness.at("/signatures"), &json!({"name": "Work", "body": body})).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.data().clone()
}

async fn source(harness: &Harness, id: &Value) -> String {
    let path = harness.at(&format!("/messages/{}?fields=raw_mime", id.as_str().expect("id")));
    let raw = harness.get(&path).await.is_ok().data()["raw_mime"].as_str().expect("source").to_owned();
    String::from_utf8(URL_SAFE.decode(raw).expect("base64")).expect("text")
}

#[tokio::test]
async fn a_signature_is_made_found_listed_changed_and_removed() {
    let harness = Harness::new().await;
    let made = make(&harness, "<p>Ada</p>").await;
    assert_shape(&made, SIGNATURE);
    assert_eq!((&made["object"], &made["grant_id"]), (&json!("signature"), &json!(harness.agent)));
    let path = harness.at(&format!("/signatures/{}", made["id"].as_str().expect("id")));
    assert_eq!(harness.get(&path).await.data(), &made);
    assert_eq!(harness.get(&harness.at("/signatures")).await.data(), &json!([made]));
    harness.world.advance(5);
    let renamed = harness.patch(&path, &json!({"name": "Home", "body": null})).await;
    assert_eq!((&renamed.is_ok().data()["name"], &renamed.data()["body"]), (&json!("Home"), &made["body"]));
    assert_ne!(renamed.data()["updated_at"], made["updated_at"]);
    let changed = harness.put(&path, &json!({"body": ""})).await;
    assert_eq!((&changed.is_ok().data()["name"], &changed.data()["body"]), (&json!("Home"), &json!("")));
    harness.delete(&path).await.is_ok();
    harness.delete(&path).await.refuses(404, "not_found", None);
    assert_eq!(harness.get(&harness.at("/signatures")).await.data(), &json!([]));
    let text = harness.get("/v3/audit").await.json.to_string();
    for action in ["signature.created", "signature.updated", "signature.removed"] {
        assert!(text.contains(action), "{action}");
    }
}

#[tokio::test]
async fn what_a_signature_may_be_is_checked() {
    let harness = Harness::new().await;
    for (body, field) in [
        (json!({"body": "b"}), "name"),
        (json!({"name": "n"}), "body"),
        (json!({"name": "", "body": "b"}), "name"),
        (json!({"name": "x".repeat(257), "body": "b"}), "name"),
        (json!({"name": "n", "body": "x".repeat(100_001)}), "body"),
        (json!({"name": "n", "body": "<".repeat(100_000)}), "body"),
    ] {
        harness.post(&harness.at("/signatures"), &body).await.refuses(400, "invalid_request", Some(field));
    }
    let whole = make(&harness, &"x".repeat(100_000)).await;
    assert_eq!(whole["body"].as_str().map(str::len), Some(100_000));
    let safe = make(
        &harness,
        "<p onclick=\"x()\" style=\"color:red;position:fixed\">Ada<script>x()</script>\
         <img src=\"https://a.example/l.png\"><img src=\"http://a.example/t.png\"><a href=\"javascript:x()\">us</a></p>",
    )
    .await;
    assert_eq!(safe["body"], "<p style=\"color: red\">Ada<img src=\"https://a.example/l.png\"><a>us</a></p>");
}

#[tokio::test]
async fn a_mailbox_has_at_most_ten_even_if_they_are_made_at_once() {
    let harness = Harness::new().await;
    let path = harness.at("/signatures");
    let body = json!({"name": "n", "body": "b"});
    let answers = futures::future::join_all((0..30).map(|_| harness.post(&path, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 10);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.refuses(409, "signatures_max_reached", None);
    }
    let list = harness.get(&path).await;
    assert_eq!(list.data().as_array().map(Vec::len), Some(10));
    // One that goes makes room for another.
    let one = format!("{path}/{}", list.data()[0]["id"].as_str().expect("id"));
    harness.delete(&one).await.is_ok();
    assert_eq!(harness.post(&path, &body).await.status, 201);
    harness.post(&path, &body).await.refuses(409, "signatures_max_reached", None);
}

#[tokio::test]
async fn a_message_ends_with_its_signature() {
    let harness = Harness::new().await;
    let id = make(&harness, "<p>Ada &amp; Co</p>").await["id"].clone();
    let send = async |body: Value| harness.post(&harness.at("/messages/send"), &body).await;
    let letter = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "<p>Hi</p>", "signature_id": id});
    let sent = send(letter.clone()).await;
    assert_eq!(sent.is_ok().data()["body"].as_str().expect("body").trim_end(), "<p>Hi</p><br><p>Ada &amp; Co</p>");
    let mut plain = letter.clone();
    plain["is_plaintext"] = json!(true);
    plain["body"] = json!("Hello");
    let sent = send(plain).await;
    let body = sent.is_ok().data()["body"].as_str().expect("body").replace('\r', "");
    assert_eq!(body.trim_end(), "Hello\n\nAda & Co");
    for unknown in [json!("nonsense"), json!(crate::support::NOBODY)] {
        let mut wrong = letter.clone();
        wrong["signature_id"] = unknown;
        send(wrong).await.refuses(400, "invalid_request", Some("signature_id"));
    }
    for absent in [json!(null), json!("")] {
        let mut without = letter.clone();
        (without["signature_id"], without["subject"]) = (absent.clone(), json!(format!("{absent}")));
        assert_eq!(send(without).await.is_ok().data()["body"].as_str().expect("body").trim_end(), "<p>Hi</p>");
    }
}

#[tokio::test]
async fn a_draft_gets_its_signature_when_it_is_made_or_sent() {
    let harness = Harness::new().await;
    let id = make(&harness, "<p>Ada</p>").await["id"].clone();
    let new = |extra: Value| {
        let mut body = json!({"to": [{"email": "ada@sender.test"}], "subject": "s", "body": "<p>Hi</p>",
            "attachments": [{"content": "YQ==", "filename": "a.txt"}]});
        body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
        body
    };
    let body = |message: &Value| message["body"].as_str().expect("body").trim_end().to_owned();
    let at = |draft: &Value| harness.at(&format!("/drafts/{}", draft["id"].as_str().expect("id")));
    let make = async |extra: Value| harness.post(&harness.at("/drafts"), &new(extra)).await.is_ok().data().clone();
    // Made with it, it is not appended again.
    let draft = make(json!({"signature_id": id})).await;
    assert_eq!(body(&draft), "<p>Hi</p><br><p>Ada</p>");
    let sent = harness.post(&at(&draft), &json!({"signature_id": id})).await;
    assert_eq!(body(sent.is_ok().data()), "<p>Hi</p><br><p>Ada</p>");
    // Sent with it.
    let draft = make(json!({})).await;
    harness.put(&at(&draft), &json!({"signature_id": id})).await.refuses(400, "invalid_request", Some("signature_id"));
    let sent = harness.post(&at(&draft), &json!({"signature_id": id})).await;
    assert_eq!(body(sent.is_ok().data()), "<p>Hi</p><br><p>Ada</p>");
    assert_eq!(sent.data()["id"], draft["id"]);
    assert_eq!(sent.data()["attachments"][0]["filename"], "a.txt");
    assert!(source(&harness, &sent.data()["id"]).await.contains("Ada</p>"));
    // What is refused stays as it was.
    let draft = harness.post(&harness.at("/drafts"), &json!({"body": "<p>Hi</p>"})).await.is_ok().data().clone();
    let refused = harness.post(&at(&draft), &json!({"signature_id": id})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(body(harness.get(&at(&draft)).await.data()), "<p>Hi</p>");
    // One that waits has it from then on.
    let later = harness.world.platform.clock.now().as_seconds() + 3_600;
    let draft = make(json!({"send_at": later})).await;
    let waits = harness.post(&at(&draft), &json!({"signature_id": id})).await;
    assert_eq!(waits.status, 202, "{waits:?}");
    assert_eq!(body(harness.get(&at(&draft)).await.data()), "<p>Hi</p><br><p>Ada</p>");
}
