//! `/v3/grants/{grant}/threads`.

use crate::support::{Harness, assert_shape, ids};
use crate::v3::grants::messages::MESSAGE;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/threads", "GET /v3/grants/{grant}/threads/{thread}"];

const THREAD: &str = "id:string object:string grant_id:string subject:string snippet:string participants:array \
    message_ids:array draft_ids:array latest_draft_or_message:object has_attachments:boolean has_drafts:boolean \
    starred:boolean unread:boolean earliest_message_date:integer latest_message_received_date:integer? \
    latest_message_sent_date:integer? folders:array";

#[tokio::test]
async fn a_conversation_is_one_thread_with_every_field() {
    let harness = Harness::new().await;
    let question = "From: Ada <ada@sender.test>\r\nTo: agent@acme.test\r\nCc: bob@sender.test\r\nSubject: Hours\r\n\
                    Message-ID: <q1@sender.test>\r\n\r\nWhen?\r\n";
    let first = harness.receive(question).await;
    harness.world.advance(60);
    let reply = json!({"to": [{"email": "ada@sender.test"}], "subject": "Re: Hours", "body": "9 to 17",
        "reply_to_message_id": first});
    let sent = harness.post(&harness.at("/messages/send"), &reply).await;
    let sent = sent.is_ok().data();
    let thanks = "From: ada@sender.test\r\nTo: agent@acme.test\r\nSubject: Re: Hours\r\n\
                  References: <q1@sender.test>\r\n\r\nThanks\r\n";
    let last = harness.receive(thanks).await;

    let list = harness.get(&harness.at("/threads")).await;
    assert_eq!(list.data().as_array().expect("list").len(), 1);
    let thread = &list.data()[0];
    assert_shape(thread, THREAD);
    assert_eq!(thread["object"], "thread");
    assert_eq!(thread["id"], sent["thread_id"]);
    assert_eq!(thread["message_ids"], json!([first, sent["id"], last]));
    assert_eq!((&thread["subject"], &thread["snippet"]), (&json!("Hours"), &json!("Thanks")));
    assert_eq!(thread["folders"], json!(["inbox", "sent"]));
    let people: Vec<_> = thread["participants"].as_array().expect("list").iter().map(|one| &one["email"]).collect();
    assert_eq!(people, ["ada@sender.test", "agent@acme.test", "bob@sender.test"]);
    assert_shape(&thread["latest_draft_or_message"], MESSAGE);
    assert_eq!(thread["latest_draft_or_message"]["id"], last);
    assert_eq!(thread["latest_message_sent_date"], sent["date"]);

    let id = thread["id"].as_str().expect("id");
    let found = harness.get(&harness.at(&format!("/threads/{id}"))).await;
    assert_eq!(found.data(), thread);
}

#[tokio::test]
async fn pages_follow_each_other_latest_first() {
    let harness = Harness::new().await;
    for number in 0..5 {
        harness.receive_about(&format!("number {number}")).await;
    }
    let all = harness.ids(&harness.at("/threads")).await;
    let (mut seen, mut next) = (Vec::new(), String::new());
    for expected in [2, 2, 1] {
        let page = harness.get(&harness.at(&format!("/threads?limit=2&page_token={next}"))).await;
        assert_eq!(ids(&page).len(), expected);
        seen.extend(ids(&page));
        next = page.json["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((seen, next.as_str()), (all, ""));
}

#[tokio::test]
async fn limits_and_cursors_are_judged() {
    let harness = Harness::new().await;
    for limit in [1, 50, 51, 200] {
        assert_eq!(harness.get(&harness.at(&format!("/threads?limit={limit}"))).await.status, 200);
    }
    let too_many = harness.get(&harness.at("/threads?limit=201")).await;
    too_many.refuses(400, "invalid_request", Some("limit")).says("limit must be lower than or equal to 200");
    let zero = harness.get(&harness.at("/threads?limit=0")).await;
    zero.refuses(400, "invalid_request", Some("limit"));
    let tampered = harness.get(&harness.at("/threads?page_token=abc")).await;
    tampered.refuses(400, "invalid_request", Some("page_token"));
}

#[tokio::test]
async fn selected_fields_alone_are_shown() {
    let harness = Harness::new().await;
    harness.receive_about("x").await;
    let list = harness.get(&harness.at("/threads?select=subject,unread")).await;
    assert_shape(&list.data()[0], "id:string object:string grant_id:string subject:string unread:boolean");
}
