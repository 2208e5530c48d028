//! `GET /v3/grants/{grant}/feedback`.

use crate::support::{Harness, NOBODY, assert_shape, ids};
use postfleet_core::Domain;
use postfleet_core::id::MessageId;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/feedback"];

pub(crate) const REPORT: &str = "id:string object:string grant_id:string? message_id:string? \
    report_message_id:string? kind:string outcome:string reason:string recipient:string? bounce_class:string? \
    bounce_type:string? status:string diagnostic_code:string reporter:string reported_at:integer";

/// A report of a recipient that was not reached.
pub(crate) fn dsn(recipient: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.sender.test\r\nSubject: Undelivered\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.sender.test\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.2.2\r\n\
         Diagnostic-Code: smtp; 552 5.2.2 mailbox full\r\n\r\n--b--\r\n"
    )
}

impl Harness {
    /// Sends a message; answers its id and its return path.
    async fn sent(&self, to: &str) -> (String, String) {
        self.world.advance(1);
        let now = self.world.platform.clock.now();
        let body = json!({"to": [{"email": to}], "subject": "Hello", "body": "Hi"});
        let sent = self.post(&self.at("/messages/send"), &body).await;
        let id = sent.is_ok().data()["id"].as_str().expect("id").to_owned();
        let message: MessageId = id.parse().expect("id");
        let domain = Domain::parse("acme.test").expect("domain");
        let path = self.world.platform.keys.return_paths().make(message, &domain, now).expect("return path");
        (id, path.to_string())
    }
}

#[tokio::test]
async fn a_bounce_is_shown_with_what_it_says() {
    let harness = Harness::new().await;
    assert_eq!(harness.get(&harness.at("/feedback")).await.data(), &json!([]));
    let (message, path) = harness.sent("ada@sender.test").await;
    harness.world.receive("", &path, dsn("ada@sender.test")).await.expect("accepted");
    let list = harness.get(&harness.at("/feedback")).await;
    assert_shape(&list.is_ok().json, "request_id:string data:array");
    let one = &list.data()[0];
    assert_shape(one, REPORT);
    let inbox = harness.get(&harness.at("/messages?in=inbox")).await;
    let expected = json!({
        "id": one["id"], "object": "feedback_report", "grant_id": harness.agent, "message_id": message,
        "report_message_id": inbox.data()[0]["id"], "kind": "bounce", "outcome": "counted",
        "reason": "it came by the return path of the message", "recipient": "ada@sender.test", "bounce_class": "soft",
        "bounce_type": "MailboxFull", "status": "5.2.2", "diagnostic_code": "smtp; 552 5.2.2 mailbox full",
        "reporter": "mx.sender.test", "reported_at": harness.world.platform.clock.now().as_seconds()
    });
    assert_eq!(one, &expected);
}

#[tokio::test]
async fn what_counts_for_nothing_is_shown_with_the_reason() {
    let harness = Harness::new().await;
    harness.sent("ada@sender.test").await;
    harness.world.receive("", "agent@acme.test", dsn("ada@sender.test")).await.expect("accepted");
    let one = harness.get(&harness.at("/feedback")).await.data()[0].clone();
    assert_eq!((&one["outcome"], &one["message_id"]), (&json!("unsigned"), &Value::Null));
    assert_eq!(one["reason"], "it did not come by a return path of ours");
    assert_eq!((&one["kind"], &one["recipient"]), (&json!("bounce"), &json!("ada@sender.test")));
}

#[tokio::test]
async fn records_are_listed_newest_first_in_pages() {
    let harness = Harness::new().await;
    for _ in 0..5 {
        let (_, path) = harness.sent("ada@sender.test").await;
        harness.world.receive("", &path, dsn("ada@sender.test")).await.expect("accepted");
    }
    let path = harness.at("/feedback");
    let all = harness.ids(&path).await;
    assert!(all.is_sorted_by(|one, next| one > next) && all.len() == 5, "{all:?}");
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    for expected in [2, 2, 1] {
        let page = harness.get(&format!("{path}{query}")).await;
        assert_eq!(ids(&page).len(), expected);
        seen.extend(ids(&page));
        match page.json.get("next_cursor") {
            Some(next) => query = format!("?limit=2&page_token={}", next.as_str().expect("text")),
            None => assert_eq!(expected, 1),
        }
    }
    assert_eq!(seen, all);
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("page_token=x", "page_token")] {
        harness.get(&format!("{path}?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    assert_eq!(harness.ids("/v3/grants/agent@acme.test/feedback?limit=200").await, all);
}

#[tokio::test]
async fn records_of_others_and_of_removed_mailboxes_are_not_there() {
    let harness = Harness::new().await;
    harness.world.receive("", "agent@other.test", dsn("ada@sender.test")).await.expect("accepted");
    assert_eq!(harness.ids(&harness.at("/feedback")).await, Vec::<String>::new());
    for grant in [harness.stranger.as_str(), NOBODY] {
        harness.get(&format!("/v3/grants/{grant}/feedback")).await.refuses(404, "not_found", None);
    }
    harness.delete(&harness.at("")).await.is_ok();
    harness.get(&harness.at("/feedback")).await.refuses(404, "not_found", None);
}
