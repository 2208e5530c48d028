//! `/v3/events`, and what became of telling alerts and webhooks of them.

pub(crate) mod stream;

use crate::support::{Harness, NOBODY, assert_shape};
use postfleet_mailflow::webhooks;
use postfleet_testkit::http::{FakeHttp, HttpResponse};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

pub(crate) const ROUTES: &[&str] = &["GET /v3/events", "GET /v3/events/{log_event}"];

const EVENT: &str = "id:string cursor:string type:string grant_id:string? grant_sequence:integer message_id:string? junk:boolean object:object? \
    created_at:integer";
const DELIVERY: &str = "event_id:string type:string grant_id:string? state:string attempts:integer? \
    next_attempt_at:integer? given_up_at:integer? reason:string? created_at:integer";

/// A mailbox that may send two messages a day, and has tried three.
async fn used_up() -> Harness {
    let tenant = NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") };
    let harness = Harness::in_world(World::with(WorldOptions::default()).await, tenant).await;
    for _ in 0..3 {
        harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": "ada@remote.test"}]})).await;
    }
    harness
}

async fn round(harness: &Harness) {
    let platform = &harness.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut hook).await.expect("round");
    }
}

fn kinds(page: &Value) -> Vec<&str> {
    page.as_array().expect("list").iter().map(|event| event["type"].as_str().expect("type")).collect()
}

#[tokio::test]
async fn the_log_is_read_newest_first_by_kind_mailbox_and_time() {
    let harness = used_up().await;
    let all = harness.get("/v3/events").await;
    for event in all.is_ok().data().as_array().expect("list") {
        assert_shape(event, EVENT);
    }
    assert_eq!(kinds(all.data())[..2], ["quota.exceeded", "quota.reached"]);
    assert!(kinds(all.data()).contains(&"grant.created") && all.json.get("next_cursor").is_none());
    let exceeded = harness.get("/v3/events?type=quota.exceeded").await;
    let exceeded = &exceeded.data()[0];
    let object = &exceeded["object"];
    assert_eq!((&object["limit"], &object["used"], &object["grant_id"]), (&json!(2), &json!(2), &json!(harness.agent)));
    assert_eq!(exceeded["message_id"], Value::Null);
    // Page by page it is the same.
    let (mut paged, mut path) = (Vec::new(), "/v3/events?limit=1".to_owned());
    loop {
        let page = harness.get(&path).await;
        paged.extend(page.is_ok().data().as_array().expect("list").clone());
        let Some(cursor) = page.json["next_cursor"].as_str() else { break };
        path = format!("/v3/events?limit=1&page_token={cursor}");
    }
    assert_eq!(&json!(paged), all.data());
    let of =
        async |query: &str| harness.get(&format!("/v3/events?{query}")).await.data().as_array().expect("list").len();
    assert_eq!(of(&format!("grant_id={}", harness.agent)).await, paged.len());
    assert_eq!(of(&format!("grant_id={NOBODY}")).await, 0);
    let later = harness.world.platform.clock.now().as_seconds() + 1;
    assert_eq!(of(&format!("since={later}")).await, 0);
    assert_eq!(of(&format!("since={}", later - 1)).await, paged.len());
    for (query, field) in [
        ("type=x", "type"),
        ("grant_id=x", "grant_id"),
        ("page_token=x", "page_token"),
        ("since=x", "since"),
        ("order=x", "order"),
    ] {
        harness.get(&format!("/v3/events?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    let other = harness.ask(&harness.other.api_key, "GET", "/v3/events?type=quota.exceeded", None).await;
    assert_eq!(other.is_ok().data(), &json!([]), "of others nothing");
}

#[tokio::test]
async fn who_reads_along_misses_nothing() {
    let harness = used_up().await;
    let ids = |page: &Value| {
        let events = page.as_array().expect("list").iter();
        events.map(|event| event["id"].as_str().expect("id").to_owned()).collect::<Vec<_>>()
    };
    let mut expected = ids(harness.get("/v3/events").await.data());
    expected.reverse();
    // With one event at a time, and then with what comes later.
    let (mut read, mut place) = (Vec::new(), String::new());
    let mut read_on = async |read: &mut Vec<String>| loop {
        let page = harness.get(&format!("/v3/events?order=oldest&limit=1{place}")).await;
        let Some(event) = page.is_ok().data().as_array().expect("list").first() else { break };
        read.push(event["id"].as_str().expect("id").to_owned());
        place = format!("&page_token={}", event["cursor"].as_str().expect("cursor"));
    };
    read_on(&mut read).await;
    assert_eq!(read, expected);
    harness.post("/v3/connect/custom", &json!({"provider": "nylas", "settings": {"email": "late@acme.test"}})).await;
    read_on(&mut read).await;
    assert_eq!(read.len(), expected.len() + 1);

    // Of one mailbox and from a time on it is the same list, from its other end.
    let of = format!("grant_id={}", harness.agent);
    let mut newest = ids(harness.get(&format!("/v3/events?{of}")).await.data());
    newest.reverse();
    assert_eq!(ids(harness.get(&format!("/v3/events?{of}&order=oldest")).await.data()), newest);
    let now = harness.world.platform.clock.now().as_seconds();
    assert_eq!(ids(harness.get(&format!("/v3/events?since={now}&order=oldest")).await.data()), read);
    harness.world.advance(3_600);
    harness.post("/v3/connect/custom", &json!({"provider": "nylas", "settings": {"email": "later@acme.test"}})).await;
    let later = harness.get(&format!("/v3/events?since={}&order=oldest", now + 1)).await;
    assert_eq!(kinds(later.is_ok().data()), ["grant.created"]);
    let other = harness.ask(&harness.other.api_key, "GET", &format!("/v3/events?{of}"), None).await;
    assert_eq!(other.is_ok().data(), &json!([]), "nothing of another application's mailbox");
}

#[tokio::test]
async fn an_event_is_found_by_its_id_by_its_own_application() {
    let harness = used_up().await;
    let listed = harness.get("/v3/events?type=quota.exceeded").await.data()[0].clone();
    let path = format!("/v3/events/{}", listed["id"].as_str().expect("id"));
    assert_eq!(harness.get(&path).await.is_ok().data(), &listed);
    harness.ask(&harness.other.api_key, "GET", &path, None).await.refuses(404, "not_found", None);
    harness.get(&format!("/v3/events/{NOBODY}")).await.refuses(404, "not_found", None);
    harness.get("/v3/events/x").await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn what_became_of_telling_is_told() {
    let tenant = NewTenant { daily_sends_max: Some(2), ..NewTenant::of("acme.test") };
    let harness = Harness::in_world(World::with(WorldOptions::default()).await, tenant).await;
    let status = Arc::new(AtomicU16::new(503));
    let answered = status.clone();
    let chat = FakeHttp::start(move |_| HttpResponse::status(answered.load(Ordering::Relaxed))).await;
    let made = harness.post("/v3/alerts", &json!({"type": "chat", "url": chat.url("/hook")})).await;
    let path = format!("/v3/alerts/{}/deliveries", made.is_ok().data()["id"].as_str().expect("id"));
    for _ in 0..3 {
        harness.post(&harness.at("/messages/send"), &json!({"to": [{"email": "ada@remote.test"}]})).await;
    }
    let states = async || {
        let page = harness.get(&path).await;
        let list = page.is_ok().data().as_array().expect("list").clone();
        for delivery in &list {
            assert_shape(delivery, DELIVERY);
        }
        assert_eq!(kinds(page.data()), ["quota.exceeded", "quota.reached"], "what it wants, and nothing else");
        list
    };
    let words =
        |list: &[Value]| list.iter().map(|one| one["state"].as_str().expect("state").to_owned()).collect::<Vec<_>>();
    assert_eq!(words(&states().await), ["pending", "pending"]);
    round(&harness).await;
    let list = states().await;
    assert_eq!(words(&list), ["waiting", "waiting"]);
    assert_eq!((&list[1]["attempts"], &list[0]["attempts"]), (&json!(1), &json!(0)));
    assert!(list[1]["next_attempt_at"].as_i64().expect("time") > harness.world.platform.clock.now().as_seconds());
    assert_eq!(list[0]["next_attempt_at"], Value::Null, "it waits behind the other");
    assert_eq!((&list[1]["reason"], &list[0]["reason"]), (&json!("status_503"), &Value::Null));
    // After the last attempt it is given up, and the next one is told.
    for _ in 0..20 {
        if words(&states().await)[1] == "given_up" {
            break;
        }
        harness.world.advance(86_400);
        round(&harness).await;
    }
    let given_up = states().await.swap_remove(1);
    assert_eq!((&given_up["state"], &given_up["attempts"]), (&json!("given_up"), &json!(3)));
    assert_eq!((&given_up["reason"], given_up["given_up_at"].is_i64()), (&json!("status_503"), true));
    status.store(200, Ordering::Relaxed);
    for _ in 0..3 {
        harness.world.advance(86_400);
        round(&harness).await;
    }
    assert_eq!(words(&states().await), ["delivered", "given_up"]);
}

/// What changes something that can be seen is announced in the log, once, and what changes nothing is not.
#[tokio::test]
async fn every_change_is_announced() {
    let harness = Harness::new().await;
    let mut place = String::new();
    let mut told = async || {
        let page = harness.get(&format!("/v3/events?order=oldest&limit=200{place}")).await;
        let events = page.is_ok().data().as_array().expect("list").clone();
        if let Some(last) = events.last() {
            place = format!("&page_token={}", last["cursor"].as_str().expect("cursor"));
        }
        events.iter().map(|event| event["type"].as_str().expect("type").to_owned()).collect::<Vec<_>>().join(" ")
    };
    told().await;
    let mailbox = format!("/v3/grants/{}", harness.agent);
    let id = |answer: &crate::support::Answer| answer.is_ok().data()["id"].as_str().expect("id").to_owned();
    let text = |subject: &str| json!({"to": [{"email": "ada@remote.test"}], "subject": subject, "body": "x"});

    let asked = json!({"provider": "nylas", "settings": {"email": "other@acme.test"}});
    let other = id(&harness.post("/v3/connect/custom", &asked).await);
    assert_eq!(told().await, "grant.created");
    harness.patch(&format!("/v3/grants/{other}"), &json!({"name": "Other"})).await.is_ok();
    assert_eq!(told().await, "grant.updated");
    harness.delete(&format!("/v3/grants/{other}")).await.is_ok();
    assert_eq!(told().await, "grant.deleted");

    let message = format!("{mailbox}/messages/{}", harness.receive_about("news").await);
    assert_eq!(told().await, "message.created");
    for change in [
        json!({"starred": true}),
        json!({"unread": false}),
        json!({"metadata": {"key1": "a"}}),
        json!({"answered": true}),
    ] {
        harness.put(&message, &change).await.is_ok();
        assert_eq!(told().await, "message.updated", "{change}");
        harness.put(&message, &change).await.is_ok();
        assert_eq!(told().await, "", "{change} a second time");
    }
    let folder = id(&harness.post(&format!("{mailbox}/folders"), &json!({"name": "News"})).await);
    assert_eq!(told().await, "folder.created");
    harness.put(&format!("{mailbox}/folders/{folder}"), &json!({"name": "Old news"})).await.is_ok();
    assert_eq!(told().await, "folder.updated");
    harness.put(&message, &json!({"folders": [folder]})).await.is_ok();
    assert_eq!(told().await, "message.updated");
    harness.put(&message, &json!({"folders": ["inbox"]})).await.is_ok();
    told().await;
    harness.delete(&format!("{mailbox}/folders/{folder}")).await.is_ok();
    assert_eq!(told().await, "folder.deleted");
    harness.delete(&message).await.is_ok();
    assert_eq!(told().await, "message.updated", "into the trash");
    harness.delete(&message).await.is_ok();
    assert_eq!(told().await, "message.deleted");

    let draft = id(&harness.post(&format!("{mailbox}/drafts"), &text("a")).await);
    assert_eq!(told().await, "draft.created");
    harness.put(&format!("{mailbox}/drafts/{draft}"), &text("b")).await.is_ok();
    assert_eq!(told().await, "draft.updated");
    harness.delete(&format!("{mailbox}/drafts/{draft}")).await.is_ok();
    assert_eq!(told().await, "draft.deleted");

    harness.post(&format!("{mailbox}/messages/send"), &text("sent")).await.is_ok();
    assert_eq!(told().await, "message.created");
    let at = harness.world.platform.clock.now().as_seconds() + 7_200;
    let mut later = text("later");
    later["send_at"] = json!(at);
    harness.post(&format!("{mailbox}/messages/send"), &later).await.is_ok();
    assert_eq!(told().await, "");
}
