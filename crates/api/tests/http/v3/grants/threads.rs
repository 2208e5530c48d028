//! `/v3/grants/{grant}/threads`.

use crate::support::{Harness, assert_shape, ids};
use crate::v3::grants::messages::MESSAGE;
use postfleet_core::id::MessageId;
use postfleet_store::db::DbError;
use postfleet_store::{Command, Tx, params};
use serde_json::json;
use std::collections::HashSet;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/threads",
    "GET /v3/grants/{grant}/threads/{thread}",
    "PUT /v3/grants/{grant}/threads/{thread}",
    "PATCH /v3/grants/{grant}/threads/{thread}",
    "DELETE /v3/grants/{grant}/threads/{thread}",
];

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

/// A conversation as long as it is told, among others of one message each. No mail is taken for it: rows are enough.
struct LongThread {
    /// A message that is there: the rows have its body and summary.
    like: MessageId,
    ids: Vec<MessageId>,
    others: Vec<MessageId>,
}

impl Command for LongThread {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const THREAD: &str = "INSERT INTO threads (id, grant_id, subject, earliest_date, received_date, sort_date, \
            message_count, latest_date, latest_id, participants, folders) \
            SELECT $1, grant_id, 'Long', $3, $4, $4, $5, $4, $6, participants, folders FROM threads WHERE latest_id = $2";
        const MESSAGE: &str = "INSERT INTO messages \
            (id, grant_id, thread_id, blob_id, outgoing, date, unread, starred, octets, folders, summary) \
            SELECT $2, grant_id, $3, blob_id, 0, $4, 0, 0, octets, folders, summary FROM messages WHERE id = $1";
        for (place, other) in self.others.iter().enumerate() {
            let date = place as i64 + 1;
            tx.execute(THREAD, params![other.uuid(), self.like.uuid(), date, date, 1_i64, other.uuid()]).await?;
            tx.execute(MESSAGE, params![self.like.uuid(), other.uuid(), other.uuid(), date]).await?;
        }
        // It stands in the middle of the others.
        let (thread, last) = (self.ids[0].uuid(), self.others.len() as i64 / 2);
        let newest = self.ids[self.ids.len() - 1].uuid();
        tx.execute(THREAD, params![thread, self.like.uuid(), 0_i64, last, self.ids.len() as i64, newest]).await?;
        for (place, id) in self.ids.iter().enumerate() {
            let date = (place as i64 - self.ids.len() as i64).min(0) + last;
            tx.execute(MESSAGE, params![self.like.uuid(), id.uuid(), thread, date]).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_long_thread_hides_no_other_and_shows_its_latest_messages() {
    const LONG: usize = 20_000;
    const OTHERS: usize = 200;
    let harness = Harness::new().await;
    let like = harness.receive_about("Hours").await;
    let now = harness.world.platform.clock.now();
    let id = |number: usize| {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&(number as u64).to_be_bytes());
        MessageId::new(now, random)
    };
    let like = like.parse().expect("id");
    let (others, ids): (Vec<_>, Vec<_>) = ((0..OTHERS).map(id).collect(), (OTHERS..OTHERS + LONG).map(id).collect());
    let long = LongThread { like, ids: ids.clone(), others: others.clone() };
    harness.world.platform.store.run(long).await.expect("inserted");
    let latest: Vec<_> = ids[LONG - 1_000..].iter().map(ToString::to_string).collect();
    for limit in [3, 20, 50] {
        let (mut seen, mut next) = (Vec::new(), String::new());
        loop {
            let page = harness.get(&harness.at(&format!("/threads?limit={limit}&page_token={next}"))).await;
            let page_ids = crate::support::ids(&page);
            next = page.json["next_cursor"].as_str().unwrap_or_default().to_owned();
            assert!(page_ids.len() == limit || next.is_empty(), "{} of {limit}", page_ids.len());
            seen.extend(page_ids);
            for thread in page.data().as_array().expect("list") {
                let is_long = thread["id"] == ids[0].to_string();
                assert_eq!(thread["message_ids_truncated"], if is_long { json!(true) } else { json!(null) });
                let shown = thread["message_ids"].as_array().expect("ids");
                assert_eq!(shown.len(), if is_long { 1_000 } else { 1 });
                if is_long {
                    assert_eq!(thread["message_ids"], json!(latest));
                    assert_eq!(thread["latest_draft_or_message"]["id"], latest[999]);
                }
            }
            if next.is_empty() {
                break;
            }
        }
        let once: HashSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), once.len()), (OTHERS + 2, OTHERS + 2), "limit {limit}");
    }
    let found = harness.get(&harness.at(&format!("/threads/{}", ids[0]))).await;
    assert_eq!(found.data()["message_ids"], json!(latest));
}

/// A thread of a question, an answer and a draft of another.
async fn conversation(harness: &Harness) -> (String, [String; 3]) {
    let question = "From: Ada <ada@sender.test>\r\nTo: agent@acme.test\r\nSubject: Hours\r\n\
                    Message-ID: <q1@sender.test>\r\n\r\nWhen?\r\n";
    let first = harness.receive(question).await;
    harness.world.advance(1);
    let reply = json!({"to": [{"email": "ada@sender.test"}], "subject": "Re: Hours", "body": "9 to 17",
        "reply_to_message_id": first});
    let sent = harness.post(&harness.at("/messages/send"), &reply).await;
    let (thread, sent) = (sent.data()["thread_id"].clone(), sent.data()["id"].clone());
    harness.world.advance(1);
    let draft = harness.post(&harness.at("/drafts"), &json!({"reply_to_message_id": first, "body": "And"})).await;
    assert_eq!(draft.is_ok().data()["thread_id"], thread);
    let text = |value: &serde_json::Value| value.as_str().expect("id").to_owned();
    (text(&thread), [first, text(&sent), text(&draft.data()["id"])])
}

#[tokio::test]
async fn a_thread_is_moved_and_marked_with_all_its_messages() {
    let harness = Harness::new().await;
    let (thread, [first, sent, draft]) = conversation(&harness).await;
    let path = harness.at(&format!("/threads/{thread}"));
    let before = harness.get(&path).await;
    assert_eq!((&before.data()["unread"], &before.data()["has_drafts"]), (&json!(true), &json!(true)));
    assert_eq!(before.data()["folders"], json!(["drafts", "inbox", "sent"]));
    harness.world.advance(1);
    let changed = harness.put(&path, &json!({"unread": false, "starred": true, "folders": ["Archive"]})).await;
    let data = changed.is_ok().data();
    assert_eq!((&data["unread"], &data["starred"]), (&json!(false), &json!(true)));
    assert_eq!(data["folders"], json!(["archive", "drafts"]));
    assert_eq!(data["message_ids"], json!([first, sent]));
    assert_eq!(data["draft_ids"], json!([draft]));
    for id in [&first, &sent] {
        let message = harness.get(&harness.at(&format!("/messages/{id}"))).await;
        let marks = (&message.data()["folders"], &message.data()["starred"], &message.data()["unread"]);
        assert_eq!(marks, (&json!(["archive"]), &json!(true), &json!(false)));
    }
    let kept = harness.get(&harness.at(&format!("/drafts/{draft}"))).await;
    assert_eq!((&kept.data()["folders"], &kept.data()["starred"]), (&json!(["drafts"]), &json!(true)));

    // Nothing that is said: nothing that changes. PATCH is the same as PUT.
    assert_eq!(harness.put(&path, &json!({})).await.data(), data);
    let unstarred = harness.patch(&path, &json!({"starred": false, "folders": null, "unknown": 1})).await;
    assert_eq!((&unstarred.data()["starred"], &unstarred.data()["folders"]), (&json!(false), &data["folders"]));
    for (body, field) in [
        (json!({"folders": []}), "folders"),
        (json!({"folders": ["drafts"]}), "folders"),
        (json!({"folders": ["nowhere"]}), "folders"),
        (json!({"starred": "yes"}), "starred"),
    ] {
        harness.put(&path, &body).await.refuses(400, "invalid_request", Some(field));
    }
    let nobody = harness.at(&format!("/threads/{first}"));
    harness.put(&nobody, &json!({"starred": true})).await.refuses(404, "not_found", None);
    harness.delete(&nobody).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_thread_that_is_deleted_is_in_the_trash() {
    let harness = Harness::new().await;
    let (thread, [first, sent, draft]) = conversation(&harness).await;
    let other = harness.receive_about("other").await;
    let path = harness.at(&format!("/threads/{thread}"));
    harness.delete(&path).await.is_ok();
    let found = harness.get(&path).await;
    assert_eq!(found.is_ok().data()["folders"], json!(["drafts", "trash"]));
    assert_eq!(harness.ids(&harness.at("/messages?in=trash")).await, [sent, first]);
    assert_eq!(harness.ids(&harness.at("/messages?in=inbox")).await, [other]);
    assert_eq!(harness.ids(&harness.at("/drafts")).await, [draft]);
    // Again: it is there already.
    harness.delete(&path).await.is_ok();
}
