//! `/v3/activity/send`: what became of what was sent.

use super::queue::{send, with_peer};
use crate::support::{Harness, NOBODY, assert_shape, ids};
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/activity/send", "GET /v3/activity/send/{event}"];

const ENTRY: &str = "id:string event_type:string bounce_class:string? timestamp:integer application_id:string \
    grant_id:string message_id:string thread_id:string? from:string recipient:string? reason:string? detail:object";
const DETAIL: &str = "bounce_subtype:string? status:string? expired:boolean late:boolean counted:boolean \
    not_counted_because:string?";

/// Another server: nobody is `gone`, the mailbox `full` is full.
async fn peer() -> FakeSmtp {
    FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient(to) if to.starts_with("gone@") => SmtpAnswer::Say("550 5.1.1 no such user".into()),
        SmtpMoment::Recipient(to) if to.starts_with("full@") => SmtpAnswer::Say("552 5.2.2 mailbox full".into()),
        _ => SmtpAnswer::Good,
    })
    .await
}

/// Whether an entry is what is said of it: `type recipient`.
fn told(list: &Value) -> Vec<String> {
    let entries = list.as_array().expect("list").iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    entries.map(|entry| format!("{} {}", text(&entry["event_type"]), text(&entry["recipient"]))).collect()
}

#[tokio::test]
async fn each_recipient_and_happening_is_listed_newest_first_and_found_by_its_id() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    let message = send(&harness, &["ada@sender.test", "gone@sender.test", "full@sender.test"]).await;
    harness.world.advance(60);
    harness.world.deliver_due().await;
    let list = harness.get("/v3/activity/send").await;
    let entries = list.is_ok().data().as_array().expect("list");
    assert_eq!(entries.len(), 6);
    assert!(list.json["next_cursor"].is_null());
    for entry in entries {
        assert_shape(entry, ENTRY);
        assert_shape(&entry["detail"], DETAIL);
        assert_eq!((&entry["message_id"], &entry["grant_id"]), (&json!(message), &json!(harness.agent)));
        assert_eq!(entry["from"], "agent@acme.test");
        let id = entry["id"].as_str().expect("id");
        assert_eq!(id.len(), 64);
        let found = harness.get(&format!("/v3/activity/send/{id}")).await;
        assert_eq!(found.is_ok().data(), entry);
        // Nobody else has it.
        let path = format!("/v3/activity/send/{id}");
        harness.ask(&harness.other.api_key, "GET", &path, None).await.refuses(404, "not_found", None);
        let wrong = format!("{}{}", &id[..63], if id.ends_with('0') { '1' } else { '0' });
        harness.get(&format!("/v3/activity/send/{wrong}")).await.refuses(404, "not_found", None);
    }
    let times: Vec<_> = entries.iter().map(|entry| entry["timestamp"].as_i64().expect("time")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b) && times[0] - times[5] == 60, "{times:?}");
    assert!(told(list.data())[3..].iter().all(|told| told.starts_with("accepted ")));
    let gone = entries.iter().find(|entry| entry["bounce_class"] == "hard").expect("hard");
    assert_eq!((&gone["recipient"], &gone["reason"]), (&json!("gone@sender.test"), &json!("550 5.1.1 no such user")));
    let detail = json!({"bounce_subtype": "UnknownUser", "status": "5.1.1", "expired": false, "late": false,
        "counted": true, "not_counted_because": null});
    assert_eq!(gone["detail"], detail);
    let full = entries.iter().find(|entry| entry["bounce_class"] == "soft").expect("soft");
    assert_eq!((&full["detail"]["counted"], &full["detail"]["bounce_subtype"]), (&json!(false), &json!("MailboxFull")));
    assert!(full["detail"]["not_counted_because"].is_string());
}

#[tokio::test]
async fn every_filter_leaves_what_it_says() {
    let peer = peer().await;
    let harness = with_peer(&peer).await;
    let first = send(&harness, &["ada@sender.test", "gone@sender.test"]).await;
    harness.world.advance(60);
    harness.world.deliver_due().await;
    harness.world.advance(3_600);
    let second = send(&harness, &["Ada@Other-Sender.test"]).await;
    let of = async |query: &str| told(harness.get(&format!("/v3/activity/send?{query}")).await.is_ok().data());
    let all = of("").await;
    assert_eq!(all.len(), 5);
    assert_eq!(of("event_type=bounced").await, ["bounced gone@sender.test"]);
    let both = of("event_type=bounced&event_type=delivered").await;
    assert_eq!(both.len(), 2);
    assert_eq!(of("event_type=bounced,delivered").await, both);
    assert_eq!(of("event_type=complaint").await, [""; 0]);
    assert_eq!(of("bounce_class=hard").await, ["bounced gone@sender.test"]);
    assert_eq!(of("bounce_class=soft").await, [""; 0]);
    assert_eq!(of("recipient=GONE@sender.test").await, ["bounced gone@sender.test", "accepted gone@sender.test"]);
    assert_eq!(of("recipient=ada@other-sender.test").await.len(), 1);
    assert_eq!(of("recipient_domain=Sender.test").await.len(), 4);
    assert_eq!(of("sending_domain=acme.test").await.len(), 5);
    assert_eq!(of("sending_domain=other.test").await, [""; 0]);
    assert_eq!(of("from=AGENT@acme.test").await.len(), 5);
    assert_eq!(of("from=other@acme.test").await, [""; 0]);
    assert_eq!(of(&format!("grant_id={}", harness.agent)).await, all);
    assert_eq!(of(&format!("message_id={first}")).await.len(), 4);
    assert_eq!(of(&format!("message_id={second}")).await.len(), 1);
    assert_eq!(of(&format!("message_id={first}&event_type=accepted&grant_id={}", harness.agent)).await.len(), 2);
    assert_eq!(of(&format!("message_id={first}&grant_id={NOBODY}")).await, [""; 0]);
    let message = harness.get(&harness.at(&format!("/messages/{first}"))).await;
    let thread = message.data()["thread_id"].as_str().expect("thread").to_owned();
    assert_eq!(of(&format!("thread_id={thread}")).await.len(), 4);
    // Times: from then on, and before.
    let at = harness.get(&format!("/v3/activity/send?message_id={second}")).await.data()[0]["timestamp"].clone();
    assert_eq!(of(&format!("start={at}")).await.len(), 1);
    assert_eq!(of(&format!("end={at}")).await.len(), 4);
    // Nothing of others, whatever is named.
    assert_eq!(of(&format!("grant_id={}", harness.stranger)).await, [""; 0]);
    let path = format!("/v3/activity/send?message_id={first}");
    assert_eq!(harness.ask(&harness.other.api_key, "GET", &path, None).await.is_ok().data(), &json!([]));
    // Without a beginning, the last seven days.
    harness.world.advance(7 * 86_400 - 1_800);
    assert_eq!(of("").await.len(), 1);
    assert_eq!(of("start=0").await.len(), 5);
}

#[tokio::test]
async fn pages_go_on_and_every_refusal_names_its_parameter() {
    let harness = Harness::new().await;
    for _ in 0..3 {
        send(&harness, &["ada@sender.test"]).await;
        harness.world.advance(1);
    }
    let whole = harness.ids("/v3/activity/send").await;
    assert_eq!(whole.len(), 3);
    let mut walked = Vec::new();
    let mut path = "/v3/activity/send?limit=1&event_type=accepted".to_owned();
    loop {
        let page = harness.get(&path).await;
        walked.extend(ids(page.is_ok()));
        let Some(next) = page.json["next_cursor"].as_str() else { break };
        path = format!("/v3/activity/send?limit=1&event_type=accepted&page_token={next}");
    }
    assert_eq!(walked, whole);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("page_token=x", "page_token"),
        ("event_type=opened", "event_type"),
        ("bounce_class=x", "bounce_class"),
        ("recipient=x", "recipient"),
        ("recipient_domain=a..b", "recipient_domain"),
        ("sending_domain=a%20b", "sending_domain"),
        ("from=x", "from"),
        ("grant_id=agent@acme.test", "grant_id"),
        ("message_id=x", "message_id"),
        ("thread_id=x", "thread_id"),
        ("start=-1", "start"),
        ("end=253402300800", "end"),
        ("start=x", "start"),
        ("start=100&end=100", "end"),
    ] {
        harness.get(&format!("/v3/activity/send?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
}
