//! What may be sent with a limited key, by each way of sending.

use super::send_form::Form;
use crate::support::{Answer, Harness};
use axum::body::Body;
use axum::http::Request;
use postfleet_mailflow::schedules::release_once;
use serde_json::{Value, json};

/// A key of the first application with capabilities, and where it is.
pub(crate) async fn limited(harness: &Harness, capabilities: Value) -> (String, String) {
    let path = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let body = json!({"name": "agent", "permissions": ["*"], "capabilities": capabilities});
    let made = harness.administer("POST", &path, Some(&body)).await;
    let data = made.is_ok().data();
    let key = data["api_key"].as_str().expect("key").to_owned();
    (key, format!("{path}/{}", data["id"].as_str().expect("id")))
}

fn letter(to: &[&str]) -> Value {
    let people: Vec<Value> = to.iter().map(|email| json!({"email": email})).collect();
    json!({"to": people, "subject": "Hello", "body": "Hi"})
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
    body
}

async fn send(harness: &Harness, key: &str, body: &Value) -> Answer {
    harness.world.advance(1);
    harness.ask(key, "POST", &harness.at("/messages/send"), Some(body)).await
}

async fn form(harness: &Harness, key: &str, path: &str, form: Form) -> Answer {
    harness.world.advance(1);
    let request = Request::post(harness.at(path)).header("content-type", "multipart/form-data; boundary=edge");
    let request = request.header("authorization", format!("Bearer {key}"));
    harness.request(request.body(Body::from(form.end())).expect("request")).await
}

/// Sends to these by every way there is for a key; the answers.
async fn by_every_way(harness: &Harness, key: &str, to: &str, file: bool) -> Vec<(&'static str, Answer)> {
    let files =
        if file { json!([{"filename": "a.txt", "content_type": "text/plain", "content": "aGk="}]) } else { json!([]) };
    let body = with(letter(&[to]), json!({"attachments": files, "allow_duplicate": true}));
    let send_at = harness.world.platform.clock.now().as_seconds() + 3_600;
    let mut mime = format!("From: agent@acme.test\r\nTo: {to}\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n");
    mime.push_str(if file {
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHi\r\n--b\r\n\
         Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nhi\r\n--b--\r\n"
    } else {
        "\r\nHi\r\n"
    });
    let part = |mime: &str| Form::default().part("Content-Disposition: form-data; name=\"mime\"", mime.as_bytes());
    let message = "Content-Disposition: form-data; name=\"message\"\r\nContent-Type: application/json";
    let mut in_form = Form::default().part(message, letter(&[to]).to_string().as_bytes());
    if file {
        in_form = in_form.part("Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"", b"hi");
    }
    let mut answers = vec![
        ("JSON", send(harness, key, &body).await),
        ("form", form(harness, key, "/messages/send?allow_duplicate=true", in_form).await),
        ("mime", form(harness, key, "/messages/send?type=mime&allow_duplicate=true", part(&mime)).await),
        ("later", send(harness, key, &with(body.clone(), json!({"send_at": send_at}))).await),
        ("mime later", form(harness, key, &format!("/messages/send?type=mime&send_at={send_at}"), part(&mime)).await),
    ];
    // The draft is made with the limited key, too: drafts are not sends.
    for (way, send_at) in [("draft", json!(null)), ("draft later", json!(send_at))] {
        let draft = with(letter(&[to]), json!({"attachments": files, "send_at": send_at}));
        let made = harness.ask(key, "POST", &harness.at("/drafts"), Some(&draft)).await;
        let path = harness.at(&format!("/drafts/{}", made.is_ok().data()["id"].as_str().expect("id")));
        answers.push((way, harness.ask(key, "POST", &path, None).await));
        if answers.last().is_some_and(|(_, answer)| answer.status >= 400) {
            harness.ask(key, "GET", &path, None).await.is_ok();
        }
    }
    answers
}

#[track_caller]
fn all_refused(answers: &[(&'static str, Answer)], status: u16, code: &str) {
    for (way, answer) in answers {
        assert_eq!(
            (answer.status, answer.json["error"]["code"].as_str()),
            (status, Some(code)),
            "{way}: {}",
            answer.json
        );
    }
}

#[track_caller]
fn all_accepted(answers: &[(&'static str, Answer)]) {
    for (way, answer) in answers {
        assert!(answer.status < 300, "{way}: {}", answer.json);
    }
}

#[tokio::test]
async fn a_key_for_some_domains_writes_to_no_other_by_any_way() {
    let harness = Harness::new().await;
    let (key, _) = limited(&harness, json!({"recipient_domains": ["Good.test", "good.test"]})).await;
    all_accepted(&by_every_way(&harness, &key, "ada@good.test", false).await);
    let refused = by_every_way(&harness, &key, "eve@bad.test", false).await;
    all_refused(&refused, 403, "recipient_not_allowed");
    refused[0].1.says("eve@bad.test").says("recipient_domains");
    assert_eq!(refused[0].1.json["error"]["type"], "forbidden_access");
    // The envelope counts, not the To alone; a domain below is another one.
    for hidden in ["cc", "bcc"] {
        let body = with(letter(&["ada@good.test"]), json!({hidden: [{"email": "eve@sub.good.test"}]}));
        send(&harness, &key, &body).await.refuses(403, "recipient_not_allowed", Some("to"));
    }
    // Another key of the application is not concerned.
    all_accepted(&by_every_way(&harness, &harness.acme.api_key, "eve@bad.test", true).await);
}

#[tokio::test]
async fn without_attachments_and_without_sending_by_every_way() {
    let harness = Harness::new().await;
    let (key, _) = limited(&harness, json!({"attachments": false})).await;
    all_accepted(&by_every_way(&harness, &key, "ada@good.test", false).await);
    all_refused(&by_every_way(&harness, &key, "ada@good.test", true).await, 403, "attachments_not_allowed");
    let (key, path) = limited(&harness, json!({"sending": "none"})).await;
    all_refused(&by_every_way(&harness, &key, "ada@good.test", false).await, 403, "key_may_not_send");
    assert_eq!(harness.world.deliver_due().await, 4, "what the first key sent now, and nothing else");

    // Taken away, the key sends with the next request; a rotation keeps what there is.
    let other = json!({"capabilities": {"sending": "none", "attachments": false}});
    harness.administer("PATCH", &path, Some(&other)).await.is_ok();
    let rotated = harness.administer("POST", &format!("{path}/rotate"), None).await;
    let shown =
        json!({"sending": "none", "recipient_domains": null, "new_recipients_per_day": null, "attachments": false});
    assert_eq!(rotated.is_ok().data()["capabilities"], shown);
    let key = rotated.data()["api_key"].as_str().expect("key").to_owned();
    send(&harness, &key, &letter(&["ada@good.test"])).await.refuses(403, "key_may_not_send", None);
    harness.administer("PATCH", &path, Some(&json!({"capabilities": null}))).await.is_ok();
    send(&harness, &key, &letter(&["ada@good.test"])).await.is_ok();
}

#[tokio::test]
async fn answers_go_to_those_in_the_conversation_and_nobody_is_let_in() {
    let harness = Harness::new().await;
    let received = harness
        .receive(
            "From: ada@sender.test\r\nTo: agent@acme.test\r\nCc: bob@sender.test\r\nReply-To: desk@sender.test\r\n\
             Message-ID: <one@sender.test>\r\nSubject: Question\r\n\r\nHi\r\n",
        )
        .await;
    let (replies, _) = limited(&harness, json!({"sending": "replies"})).await;
    let (thread, _) = limited(&harness, json!({"sending": "thread_recipients"})).await;
    for key in [&replies, &thread] {
        all_refused(&by_every_way(&harness, key, "ada@sender.test", false).await, 403, "key_may_only_reply");
    }
    let answer = |to: &[&str]| with(letter(to), json!({"reply_to_message_id": received, "allow_duplicate": true}));
    send(&harness, &replies, &answer(&["eve@bad.test"])).await.is_ok();
    // Eve is in the conversation now, by another key's doing; Dee is not.
    for to in ["ada@sender.test", "Bob@sender.test", "desk@sender.test", "eve@bad.test"] {
        send(&harness, &thread, &answer(&[to])).await.is_ok();
    }
    let refused = send(&harness, &thread, &answer(&["ada@sender.test", "dee@bad.test"])).await;
    refused.refuses(403, "recipient_not_allowed", Some("to")).says("dee@bad.test");
    // Nor is she let in by being named where answers go, or in a draft of the conversation.
    let lure = with(answer(&["ada@sender.test"]), json!({"reply_to": [{"email": "dee@bad.test"}]}));
    send(&harness, &thread, &lure).await.refuses(403, "recipient_not_allowed", Some("to"));
    let draft = answer(&["dee@bad.test"]);
    let made = harness.ask(&thread, "POST", &harness.at("/drafts"), Some(&draft)).await;
    let path = harness.at(&format!("/drafts/{}", made.is_ok().data()["id"].as_str().expect("id")));
    harness.ask(&thread, "POST", &path, None).await.refuses(403, "recipient_not_allowed", Some("to"));
    send(&harness, &thread, &answer(&["dee@bad.test"])).await.refuses(403, "recipient_not_allowed", Some("to"));
    // What is written already answers by its header.
    let mime = "From: agent@acme.test\r\nTo: bob@sender.test\r\nSubject: Re: Question\r\n\
        In-Reply-To: <one@sender.test>\r\n\r\nHi\r\n";
    let part = Form::default().part("Content-Disposition: form-data; name=\"mime\"", mime.as_bytes());
    form(&harness, &thread, "/messages/send?type=mime", part).await.is_ok();
}

#[tokio::test]
async fn new_recipients_are_counted_and_whoever_is_known_is_not() {
    let harness = Harness::new().await;
    let (key, _) = limited(&harness, json!({"new_recipients_per_day": 2})).await;
    send(&harness, &key, &letter(&["a@good.test", "b@good.test"])).await.is_ok();
    send(&harness, &key, &letter(&["A@good.test"])).await.is_ok();
    let refused = send(&harness, &key, &letter(&["a@good.test", "c@good.test"])).await;
    refused.refuses(429, "new_recipients_exceeded", Some("to")).says("c@good.test");
    let error = &refused.json["error"];
    let counted = (&error["scope"], &error["limit"], &error["used"], &error["retryable"]);
    assert_eq!(counted, (&json!("key"), &json!(2), &json!(2), &json!(true)));
    assert!(refused.header("retry-after").is_some() && error["resets_at"].is_i64());
    // Whoever wrote first is no stranger where they are answered.
    let received = harness.receive_about("Question").await;
    let answer = with(letter(&["ada@sender.test"]), json!({"reply_to_message_id": received}));
    send(&harness, &key, &answer).await.is_ok();
    harness.world.advance(86_400);
    send(&harness, &key, &letter(&["c@good.test"])).await.is_ok();
}

#[tokio::test]
async fn a_scheduled_message_is_sent_with_the_key_that_scheduled_or_changed_it() {
    let harness = Harness::new().await;
    let (key, path) = limited(&harness, json!({"recipient_domains": ["good.test"]})).await;
    let send_at = harness.world.platform.clock.now().as_seconds() + 3_600;
    let later = |to: &str| with(letter(&[to]), json!({"send_at": send_at, "use_draft": true}));
    send(&harness, &key, &later("ada@good.test")).await.is_ok();
    // A limited key changes what an unlimited one scheduled: it leaves by the limited one.
    let ours = send(&harness, &harness.acme.api_key, &later("ada@good.test")).await;
    let draft = harness.at(&format!("/drafts/{}", ours.is_ok().data()["id"].as_str().expect("id")));
    let lured = json!({"to": [{"email": "eve@bad.test"}]});
    harness.ask(&key, "PATCH", &draft, Some(&lured)).await.is_ok();
    // What the key may is what it may when the time comes.
    harness
        .administer("PATCH", &path, Some(&json!({"capabilities": {"recipient_domains": ["other.test"]}})))
        .await
        .is_ok();
    harness.world.advance(3_700);
    release_once(&harness.world.platform).await.expect("round");
    assert_eq!(harness.world.deliver_due().await, 0);
    let failed = harness.get(&harness.at("/messages/schedules")).await;
    let states: Vec<&str> =
        failed.data().as_array().expect("list").iter().filter_map(|one| one["status"]["code"].as_str()).collect();
    assert_eq!(states, ["failed", "failed"], "{}", failed.json);
}

#[tokio::test]
async fn a_limited_key_does_not_get_at_what_is_not() {
    let harness = Harness::new().await;
    let (key, _) = limited(&harness, json!({"attachments": false})).await;
    let field = Some("settings.app_password");
    let password = json!({"settings": {"app_password": "Aa0123456789012345"}});
    let patched = harness.ask(&key, "PATCH", &harness.at(""), Some(&password)).await;
    patched.refuses(403, "key_is_limited", field);
    let new =
        json!({"provider": "nylas", "settings": {"email": "new@acme.test", "app_password": "Aa0123456789012345"}});
    harness.ask(&key, "POST", "/v3/connect/custom", Some(&new)).await.refuses(403, "key_is_limited", field);
    harness.ask(&key, "PATCH", &harness.at(""), Some(&json!({"name": "Agent"}))).await.is_ok();
    harness.patch(&harness.at(""), &password).await.is_ok();
}

#[tokio::test]
async fn capabilities_are_checked_and_are_for_keys_of_applications() {
    let harness = Harness::new().await;
    let path = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let domains: Vec<String> = (0..101).map(|number| format!("d{number}.test")).collect();
    for (capabilities, field) in [
        (json!({"sending": "some"}), "capabilities.sending"),
        (json!({"recipient_domains": []}), "capabilities.recipient_domains"),
        (json!({"recipient_domains": domains}), "capabilities.recipient_domains"),
        (json!({"recipient_domains": ["a@b.test"]}), "capabilities.recipient_domains"),
        (json!({"new_recipients_per_day": -1}), "capabilities.new_recipients_per_day"),
        (json!({"new_recipients_per_day": 1_000_001}), "capabilities.new_recipients_per_day"),
    ] {
        let body = json!({"name": "x", "capabilities": capabilities});
        harness.administer("POST", &path, Some(&body)).await.refuses(400, "invalid_request", Some(field));
    }
    let made = harness.administer("POST", "/v3/admin/keys", Some(&json!({"name": "ops"}))).await;
    let own = format!("/v3/admin/keys/{}", made.is_ok().data()["id"].as_str().expect("id"));
    let change = json!({"capabilities": {"sending": "none"}});
    harness.administer("PATCH", &own, Some(&change)).await.refuses(400, "invalid_request", Some("capabilities"));
}
