//! `/v3/grants/{grant}/messages/clean`.

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use crate::v3::grants::messages::MESSAGE;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["PUT /v3/grants/{grant}/messages/clean"];

const REPLY: &str = "From: Ada Berg <ada@sender.test>\r\nTo: agent@acme.test\r\nSubject: Re: Offer\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n<div dir=\"ltr\"><p>We take <b>two</b> of \
    <a href=\"https://shop.example/a?b=1&amp;c=2\">these</a> <img src=\"https://shop.example/p.png\" alt=\"lamp\">.</p>\
    <table><tr><td>Lamp</td><td>2</td></tr></table><p>Best regards,<br>Ada</p></div>\
    <div class=\"gmail_quote\"><div class=\"gmail_attr\">On Mon, Oct 5, 2026 at 10:00 AM Agent wrote:</div>\
    <blockquote class=\"gmail_quote\">Shall we send some?</blockquote></div>\
    <script>steal()</script>\r\n";

const TEXT: &str = "From: ada@sender.test\r\nTo: agent@acme.test\r\nSubject: Re: Offer\r\n\r\nYes, please.\r\n\r\n\
    On Mon, Oct 5, 2026 at 10:00 AM Agent <agent@acme.test> wrote:\r\n> Shall we send some?\r\n";

async fn clean(harness: &Harness, body: Value) -> Answer {
    harness.put(&harness.at("/messages/clean"), &body).await
}

async fn conversation(harness: &Harness, id: &str, options: Value) -> String {
    let mut body = json!({"message_id": [id]});
    for (name, value) in options.as_object().expect("options") {
        body[name] = value.clone();
    }
    clean(harness, body).await.is_ok().data()[0]["conversation"].as_str().expect("conversation").to_owned()
}

#[tokio::test]
async fn messages_are_answered_in_their_order_with_what_their_authors_wrote() {
    let harness = Harness::new().await;
    let (html, text) = (harness.receive(REPLY).await, harness.receive(TEXT).await);
    let answer = clean(&harness, json!({"message_id": [text, html, text]})).await;
    assert_shape(&answer.is_ok().json, "request_id:string data:array");
    for message in answer.data().as_array().expect("messages") {
        assert_shape(message, &format!("{MESSAGE} conversation:string"));
    }
    let ids: Vec<_> = answer.data().as_array().expect("messages").iter().map(|message| message["id"].clone()).collect();
    assert_eq!(ids, [json!(text), json!(html), json!(text)]);
    assert_eq!(answer.data()[0]["conversation"], "Yes, please.");
    assert_eq!(answer.data()[1]["conversation"], "<div><p>We take <b>two</b> of these .</p><div>Lamp 2</div></div>");
    // Nothing is changed by it.
    let found = harness.get(&harness.at(&format!("/messages/{html}"))).await;
    let mut shown = answer.data()[1].clone();
    shown.as_object_mut().expect("message").remove("conversation");
    assert_eq!(found.data(), &shown);
}

#[tokio::test]
async fn every_option_does_what_it_says() {
    let harness = Harness::new().await;
    let id = harness.receive(REPLY).await;
    for (options, expected) in [
        (json!({}), "<div><p>We take <b>two</b> of these .</p><div>Lamp 2</div></div>"),
        (
            json!({"ignore_links": false}),
            "<div><p>We take <b>two</b> of <a href=\"https://shop.example/a?b=1&amp;c=2\">these</a> .</p><div>Lamp 2</div></div>",
        ),
        (
            json!({"ignore_images": false}),
            "<div><p>We take <b>two</b> of these ![lamp](https://shop.example/p.png).</p><div>Lamp 2</div></div>",
        ),
        (
            json!({"ignore_images": false, "images_as_markdown": false}),
            "<div><p>We take <b>two</b> of these <img src=\"https://shop.example/p.png\" alt=\"lamp\">.</p><div>Lamp 2</div></div>",
        ),
        (
            json!({"ignore_tables": false}),
            "<div><p>We take <b>two</b> of these .</p><table><tr><td>Lamp</td><td>2</td></tr></table></div>",
        ),
        (
            json!({"remove_conclusion_phrases": false}),
            "<div><p>We take <b>two</b> of these .</p><div>Lamp 2</div><p>Best regards,<br>Ada</p></div>",
        ),
        (json!({"html_as_markdown": true}), "We take **two** of these .\n\nLamp 2"),
        (
            json!({"html_as_markdown": true, "ignore_links": false, "ignore_images": false, "ignore_tables": false}),
            "We take **two** of [these](https://shop.example/a?b=1&c=2) ![lamp](https://shop.example/p.png).\n\n\
             | Lamp | 2 |\n| --- | --- |",
        ),
        // Null is the default.
        (
            json!({"ignore_links": null, "html_as_markdown": null}),
            "<div><p>We take <b>two</b> of these .</p><div>Lamp 2</div></div>",
        ),
    ] {
        assert_eq!(conversation(&harness, &id, options.clone()).await, expected, "{options}");
    }
}

#[tokio::test]
async fn one_to_twenty_messages_of_the_mailbox_are_cleaned() {
    let harness = Harness::new().await;
    let id = harness.receive(TEXT).await;
    let many = |count: usize| json!({"message_id": vec![id.clone(); count]});
    assert_eq!(clean(&harness, many(20)).await.is_ok().data().as_array().map(Vec::len), Some(20));
    for body in [many(21), many(0), json!({})] {
        let answer = clean(&harness, body).await;
        answer.refuses(400, "invalid_request", Some("message_id")).says("1 to 20");
    }
    for (index, unknown) in [NOBODY, "nonsense", ""].into_iter().enumerate() {
        let mut ids = vec![id.clone(); index];
        ids.push(unknown.to_owned());
        let field = format!("message_id[{index}]");
        clean(&harness, json!({"message_id": ids})).await.refuses(400, "invalid_request", Some(&field));
    }
    let draft = harness.post(&harness.at("/drafts"), &json!({"subject": "d"})).await;
    let answer = clean(&harness, json!({"message_id": [draft.data()["id"]]})).await;
    answer.refuses(400, "invalid_request", Some("message_id[0]"));
    let options = json!({"message_id": [id], "html_as_markdown": true, "images_as_markdown": false});
    clean(&harness, options).await.refuses(400, "invalid_request", Some("images_as_markdown"));
    let answer = clean(&harness, json!({"message_id": id})).await;
    answer.refuses(400, "invalid_request", Some("message_id"));
    // Another tenant's message is like one that does not exist.
    let path = format!("/v3/grants/agent@{}/messages/clean", harness.other.domain);
    harness.ask(&harness.acme.api_key, "PUT", &path, Some(&many(1))).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn select_keeps_what_it_names() {
    let harness = Harness::new().await;
    let id = harness.receive(TEXT).await;
    let path = harness.at("/messages/clean?select=conversation,subject");
    let answer = harness.put(&path, &json!({"message_id": [id]})).await;
    assert_eq!(
        answer.is_ok().data()[0],
        json!({"id": id, "object": "message", "grant_id": harness.agent, "subject": "Re: Offer", "conversation": "Yes, please."})
    );
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_cut_and_that_is_said() {
    let harness = Harness::new().await;
    let text = |lines: usize| {
        format!("From: ada@sender.test\r\nSubject: s\r\n\r\n{}", format!("{}\r\n", "x".repeat(62)).repeat(lines))
    };
    let fits = harness.receive(&text(16_384)).await;
    let long = harness.receive(&text(16_385)).await;
    let answer = clean(&harness, json!({"message_id": [fits, long]})).await;
    assert_eq!(answer.is_ok().data()[0].get("conversation_truncated"), None);
    assert_eq!(answer.data()[1]["conversation_truncated"], true);
}
