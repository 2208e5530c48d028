//! `/v3/unsubscribe/{token}`.

use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/unsubscribe/{token}", "POST /v3/unsubscribe/{token}"];

const FORM: &str = "application/x-www-form-urlencoded";
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// Sends a message with a link; answers the link's path.
async fn link(harness: &Harness) -> String {
    let body = json!({"to": [{"email": "Ada@sender.test"}], "subject": "News", "list_unsubscribe": true});
    harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    let newest = harness.get(&harness.at("/messages?in=sent&limit=1&fields=raw_mime")).await;
    let raw = URL_SAFE.decode(newest.data()[0]["raw_mime"].as_str().expect("raw")).expect("base64");
    let raw = String::from_utf8(raw).expect("text").replace("\r\n ", " ").replace("\r\n\t", " ");
    assert!(raw.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), "{raw}");
    let url = raw.split("List-Unsubscribe:").nth(1).and_then(|rest| rest.split(['<', '>']).nth(1)).expect("a link");
    url.strip_prefix("https://mail.world.test").expect("our address").to_owned()
}

async fn ask(harness: &Harness, method: &str, path: &str, kind: &str, body: &str) -> Answer {
    let builder = Request::builder().method(method).uri(path);
    let builder = if kind.is_empty() { builder } else { builder.header("content-type", kind) };
    harness.request(builder.body(Body::from(body.to_owned())).expect("request")).await
}

async fn is_suppressed(harness: &Harness) -> bool {
    harness.get("/v3/suppressions/ada@sender.test").await.status == 200
}

fn page(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("set-cookie").is_none() && answer.header("location").is_none());
    String::from_utf8(answer.octets.clone()).expect("text")
}

#[tokio::test]
async fn one_click_suppresses_at_once_and_says_so() {
    let harness = Harness::new().await;
    let link = link(&harness).await;
    let answer = ask(&harness, "POST", &link, FORM, ONE_CLICK).await;
    assert_eq!(answer.status, 200);
    assert!(page(&answer).contains("Nothing more is sent to Ada@sender.test."));
    let entry = harness.get("/v3/suppressions/ada@sender.test").await;
    let entry = entry.is_ok().data();
    assert_eq!((&entry["reason"], &entry["source"]), (&json!("unsubscribe"), &json!("one_click")));
    assert_eq!(entry["grant_id"], harness.agent);
    let sent = harness.ids(&harness.at("/messages?in=sent")).await;
    assert_eq!(entry["message_id"], sent[0]);
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "More news"});
    let refused = harness.post(&harness.at("/messages/send"), &body).await;
    refused.refuses(400, "all_recipients_suppressed", Some("to")).says("(unsubscribe)");
    // Twice is no fault, in the other form neither.
    let form = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    assert_eq!(ask(&harness, "POST", &link, "multipart/form-data; boundary=b", form).await.status, 200);
    let records = harness.get("/v3/audit").await;
    let records = records.data().as_array().expect("records");
    let of_it: Vec<_> = records.iter().filter(|one| one["action"] == "suppression.added").collect();
    assert_eq!(of_it.len(), 1);
    assert_eq!(of_it[0]["target"], json!({"kind": "suppression", "id": "Ada@sender.test"}));
    assert_eq!(of_it[0]["actor"]["name"], "unsubscribe link");
}

#[tokio::test]
async fn looking_at_the_link_changes_nothing() {
    let harness = Harness::new().await;
    let link = link(&harness).await;
    let answer = ask(&harness, "GET", &link, "", "").await;
    assert_eq!(answer.status, 200);
    let text = page(&answer);
    for part in ["<form method=\"post\">", "name=\"List-Unsubscribe\" value=\"One-Click\"", "Ada@sender.test"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Programs that look at links say what they like in the query, too.
    assert_eq!(ask(&harness, "GET", &format!("{link}?{ONE_CLICK}"), "", "").await.status, 200);
    ask(&harness, "HEAD", &link, "", "").await;
    for (kind, body) in [(FORM, ""), (FORM, "List-Unsubscribe=No"), ("", ONE_CLICK), ("application/json", "{}")] {
        let answer = ask(&harness, "POST", &link, kind, body).await;
        answer.refuses(400, "invalid_request", Some("List-Unsubscribe"));
    }
    let large = format!("{ONE_CLICK}{}", "x".repeat(64 << 10));
    assert_eq!(ask(&harness, "POST", &link, FORM, &large).await.status, 413);
    assert!(!is_suppressed(&harness).await);
}

#[tokio::test]
async fn no_other_link_works() {
    let harness = Harness::new().await;
    let link = link(&harness).await;
    let forged = format!("{}A", &link[..link.len() - 1]);
    let forged = if forged == link { format!("{}B", &link[..link.len() - 1]) } else { forged };
    for path in [&forged, "/v3/unsubscribe/x", "/v3/unsubscribe/%00", &format!("{link}x"), &link[..link.len() - 4]] {
        for (method, kind, body) in [("GET", "", ""), ("POST", FORM, ONE_CLICK)] {
            let answer = ask(&harness, method, path, kind, body).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(page(&answer).contains("This link does not work"));
        }
    }
    assert!(!is_suppressed(&harness).await);
}

#[tokio::test]
async fn a_link_is_for_one_recipient() {
    let harness = Harness::new().await;
    let mut body = json!({"to": [{"email": "ada@sender.test"}], "cc": [{"email": "bob@sender.test"}],
        "list_unsubscribe": true});
    let answer = harness.post(&harness.at("/messages/send"), &body).await;
    answer.refuses(400, "invalid_request", Some("list_unsubscribe")).says("exactly one recipient");
    for off in [json!(false), json!(null)] {
        body["list_unsubscribe"] = off;
        harness.post(&harness.at("/messages/send"), &body).await.is_ok();
    }
}
