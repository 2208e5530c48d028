//! `/v3/grants/{grant}/messages/schedules`, and sends with `send_at`.

use crate::support::{Answer, Harness, assert_shape};
use crate::v3::grants::messages::MESSAGE;
use postfleet_mailflow::schedules::release_once;
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/grants/{grant}/messages/schedules",
    "GET /v3/grants/{grant}/messages/schedules/{schedule}",
    "DELETE /v3/grants/{grant}/messages/schedules/{schedule}",
];

const SCHEDULE: &str =
    "schedule_id:string status:object close_time:integer? send_at:integer use_draft:boolean message_id:string";

fn now(harness: &Harness) -> i64 {
    harness.world.platform.clock.now().as_seconds()
}

/// Schedules a message for so many seconds from now.
async fn later(harness: &Harness, seconds: i64, use_draft: bool) -> Answer {
    let body = json!({"to": [{"email": "ada@sender.test"}], "subject": "Later", "body": "<p>Hi</p>",
        "metadata": {"key1": "v"}, "send_at": now(harness) + seconds, "use_draft": use_draft});
    harness.post(&harness.at("/messages/send"), &body).await
}

fn at(harness: &Harness, answer: &Answer) -> String {
    harness.at(&format!("/messages/schedules/{}", answer.json["schedule_id"].as_str().expect("id")))
}

async fn status(harness: &Harness, path: &str) -> (Value, Value) {
    let found = harness.get(path).await;
    assert_shape(found.is_ok().data(), SCHEDULE);
    (found.data()["status"].clone(), found.data()["close_time"].clone())
}

/// Lets time pass, and releases what is due.
async fn pass(harness: &Harness, seconds: u64) {
    harness.world.advance(seconds);
    release_once(&harness.world.platform).await.expect("round");
}

#[tokio::test]
async fn a_scheduled_send_is_answered_in_full_and_waits_unseen() {
    let harness = Harness::new().await;
    let answer = later(&harness, 3_600, false).await;
    assert_eq!(answer.status, 202);
    assert_shape(
        &answer.json,
        "request_id:string grant_id:string duplicate:boolean data:object schedule_id:string send_at:integer \
            use_draft:boolean",
    );
    let data = answer.data();
    assert_shape(data, &format!("{MESSAGE} schedule_id:string send_at:integer use_draft:boolean"));
    for field in ["grant_id", "schedule_id", "send_at", "use_draft"] {
        assert_eq!(data[field], answer.json[field], "{field}");
    }
    assert_eq!((&answer.json["send_at"], &answer.json["use_draft"]), (&json!(now(&harness) + 3_600), &json!(false)));
    assert_eq!(
        (&data["object"], &data["folders"], &data["metadata"]),
        (&json!("message"), &json!([]), &json!({"key1": "v"}))
    );
    assert_eq!(answer.header("ratelimit-limit"), None, "nothing is taken yet");
    let id = data["id"].as_str().expect("id");
    for path in [
        "/messages",
        "/drafts",
        "/threads",
        "/messages?in=scheduled",
        &format!("/drafts?thread_id={}", data["thread_id"].as_str().expect("id")),
    ] {
        assert_eq!(harness.ids(&harness.at(path)).await, [""; 0], "{path}");
    }
    for path in [format!("/messages/{id}"), format!("/drafts/{id}")] {
        harness.get(&harness.at(&path)).await.refuses(404, "not_found", None);
    }
    let send = harness.ask(&harness.acme.api_key, "POST", &harness.at(&format!("/drafts/{id}")), None).await;
    send.refuses(404, "not_found", None);
    assert!(
        harness
            .get(&harness.at("/folders"))
            .await
            .data()
            .as_array()
            .expect("list")
            .iter()
            .all(|one| one["total_count"] == 0)
    );

    let pending = json!({"code": "pending", "description": "schedule send awaiting send at time"});
    assert_eq!(status(&harness, &at(&harness, &answer)).await, (pending, Value::Null));
    pass(&harness, 3_600).await;
    let success = json!({"code": "success", "description": "schedule send succeeded"});
    assert_eq!(status(&harness, &at(&harness, &answer)).await, (success, json!(now(&harness))));
    let sent = harness.get(&harness.at(&format!("/messages/{id}"))).await;
    assert_shape(sent.is_ok().data(), MESSAGE);
    for field in ["thread_id", "to", "subject", "body", "metadata"] {
        assert_eq!(sent.data()[field], data[field], "{field}");
    }
    assert_eq!((&sent.data()["folders"], &sent.data()["date"]), (&json!(["sent"]), &json!(now(&harness))));
}

#[tokio::test]
async fn with_use_draft_it_is_a_draft_until_then() {
    let harness = Harness::new().await;
    let answer = later(&harness, 3_600, true).await;
    assert_eq!((answer.status, &answer.data()["object"]), (202, &json!("draft")));
    let id = answer.data()["id"].as_str().expect("id").to_owned();
    let path = harness.at(&format!("/drafts/{id}"));
    let draft = harness.get(&path).await;
    assert_eq!((&draft.data()["send_at"], &draft.data()["folders"]), (&answer.json["send_at"], &json!(["drafts"])));
    harness.put(&path, &json!({"subject": "Edited", "send_at": now(&harness) + 7_200})).await.is_ok();
    assert_eq!(harness.get(&at(&harness, &answer)).await.data()["send_at"], now(&harness) + 7_200);
    harness.post(&path, &json!({})).await.refuses(409, "draft_scheduled", None);
    pass(&harness, 3_600).await;
    assert_eq!(harness.get(&path).await.status, 200, "it was put off");
    pass(&harness, 3_600).await;
    harness.get(&path).await.refuses(404, "not_found", None);
    assert_eq!(harness.get(&harness.at(&format!("/messages/{id}"))).await.data()["subject"], "Edited");
}

#[tokio::test]
async fn a_draft_that_is_removed_or_no_longer_to_be_sent_later_cancels() {
    let harness = Harness::new().await;
    let cancelled = json!({"code": "cancelled", "description": "schedule send cancelled"});
    let (removed, changed) = (later(&harness, 600, true).await, later(&harness, 600, true).await);
    let draft = |answer: &Answer| harness.at(&format!("/drafts/{}", answer.data()["id"].as_str().expect("id")));
    harness.delete(&draft(&removed)).await.is_ok();
    assert_eq!(status(&harness, &at(&harness, &removed)).await.0, cancelled);
    harness.put(&draft(&changed), &json!({"send_at": null})).await.is_ok();
    assert_eq!(status(&harness, &at(&harness, &changed)).await.0, cancelled);
    let sent = harness.ask(&harness.acme.api_key, "POST", &draft(&changed), None).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    pass(&harness, 600).await;
    assert_eq!(harness.ids(&harness.at("/messages?in=sent")).await.len(), 1);
}

#[tokio::test]
async fn a_draft_names_the_time_itself() {
    let harness = Harness::new().await;
    let body = json!({"to": [{"email": "ada@sender.test"}], "send_at": now(&harness) + 600});
    let draft = harness.post(&harness.at("/drafts"), &body).await;
    let path = harness.at(&format!("/drafts/{}", draft.is_ok().data()["id"].as_str().expect("id")));
    let sent = harness.ask(&harness.acme.api_key, "POST", &path, None).await;
    assert_eq!((sent.status, &sent.json["use_draft"]), (202, &json!(true)));
    harness.delete(&at(&harness, &sent)).await.is_ok();
    assert_eq!(harness.get(&path).await.status, 200, "a draft stays one");
    harness.world.advance(570);
    let late = harness.ask(&harness.acme.api_key, "POST", &path, None).await;
    late.refuses(400, "invalid_request", Some("send_at")).says("at least 60 seconds");
    harness.put(&path, &json!({"send_at": 0, "to": []})).await.is_ok();
    harness.put(&path, &json!({"send_at": now(&harness) + 600})).await.is_ok();
    let nobody = harness.ask(&harness.acme.api_key, "POST", &path, None).await;
    nobody.refuses(400, "invalid_request", Some("to"));
}

#[tokio::test]
async fn a_send_is_cancelled_and_then_never_sent() {
    let harness = Harness::new().await;
    let answer = later(&harness, 600, false).await;
    let cancel = harness.delete(&at(&harness, &answer)).await;
    assert_eq!((cancel.status, cancel.data()), (202, &json!({"message": "requested cancelation for workflow"})));
    assert_eq!(harness.delete(&at(&harness, &answer)).await.status, 202);
    pass(&harness, 600).await;
    assert_eq!(harness.ids(&harness.at("/messages")).await, [""; 0]);

    let answer = later(&harness, 600, false).await;
    harness.world.advance(591);
    harness.delete(&at(&harness, &answer)).await.refuses(409, "schedule_too_late", None).says("last 10 seconds");
    pass(&harness, 9).await;
    harness.delete(&at(&harness, &answer)).await.refuses(409, "schedule_over", None).says("success");
    assert_eq!(harness.ids(&harness.at("/messages")).await.len(), 1);
}

#[tokio::test]
async fn the_limits_of_the_time_are_named() {
    let harness = Harness::new().await;
    for seconds in [60, 30 * 86_400] {
        assert_eq!(later(&harness, seconds, false).await.status, 202, "{seconds}");
    }
    for seconds in [59, 0, -86_400, 30 * 86_400 + 1] {
        let refused = later(&harness, seconds, false).await;
        refused.refuses(400, "invalid_request", Some("send_at")).says("60 seconds").says("30 days");
    }
    let nobody = json!({"to": [], "send_at": now(&harness) + 600});
    harness.post(&harness.at("/messages/send"), &nobody).await.refuses(400, "invalid_request", Some("to"));
    assert_eq!(harness.get(&harness.at("/messages/schedules")).await.data().as_array().expect("list").len(), 2);
}

#[tokio::test]
async fn the_list_shows_the_newest_first_and_goes_on() {
    let harness = Harness::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.insert(0, later(&harness, 600, false).await.json["schedule_id"].clone());
        harness.world.advance(1);
    }
    let ids = |answer: &Answer| {
        answer.data().as_array().expect("list").iter().map(|one| one["schedule_id"].clone()).collect::<Vec<_>>()
    };
    let all = harness.get(&harness.at("/messages/schedules")).await;
    assert_shape(&all.data()[0], SCHEDULE);
    assert_eq!(ids(&all), made);
    let page = harness.get(&harness.at("/messages/schedules?limit=2")).await;
    assert_eq!(ids(&page), made[..2]);
    let next = format!("/messages/schedules?limit=2&page_token={}", page.json["next_cursor"].as_str().expect("cursor"));
    let rest = harness.get(&harness.at(&next)).await;
    assert_eq!((ids(&rest), &rest.json["next_cursor"]), (made[2..].to_vec(), &Value::Null));
    let wrong = harness.get(&harness.at("/messages/schedules?page_token=x")).await;
    wrong.refuses(400, "invalid_request", Some("page_token"));
}

#[tokio::test]
async fn what_is_refused_at_its_time_says_why() {
    let harness = Harness::with(NewTenant { daily_sends_max: Some(1), ..NewTenant::of("acme.test") }).await;
    let (first, second) = (later(&harness, 600, false).await, later(&harness, 601, true).await);
    pass(&harness, 600).await;
    pass(&harness, 1).await;
    assert_eq!(status(&harness, &at(&harness, &first)).await.0["code"], "success");
    let (failed, _) = status(&harness, &at(&harness, &second)).await;
    assert_eq!(failed["code"], "failed");
    assert!(failed["description"].as_str().is_some_and(|text| text.contains("daily send quota of 1")), "{failed}");
    harness.delete(&at(&harness, &second)).await.refuses(409, "schedule_over", None).says("failed");
    let draft = harness.at(&format!("/drafts/{}", second.data()["id"].as_str().expect("id")));
    assert_eq!(harness.get(&draft).await.status, 200);
}
