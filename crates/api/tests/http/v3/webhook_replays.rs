//! `/v3/webhooks/{webhook}/replays`.

use crate::support::{Harness, assert_shape, ids, receiver};
use postfleet_mailflow::webhooks;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "POST /v3/webhooks/{webhook}/replay",
    "GET /v3/webhooks/{webhook}/replays",
    "GET /v3/webhooks/{webhook}/replays/{replay}",
    "DELETE /v3/webhooks/{webhook}/replays/{replay}",
];

const REPLAY: &str = "id:string webhook_id:string status:string from:string to:string since:integer? until:integer? \
    types:array grant_ids:array given_up:boolean cursor:string? told:integer not_taken:integer created_at:integer \
    ended_at:integer?";

/// A webhook that wants messages, and its path.
async fn webhook(harness: &Harness, url: &str) -> String {
    let new = json!({"trigger_types": ["message.created"], "webhook_url": url});
    let made = harness.post("/v3/webhooks", &new).await;
    format!("/v3/webhooks/{}", made.is_ok().data()["id"].as_str().expect("id"))
}

async fn tell(harness: &Harness) {
    let platform = &harness.world.platform;
    for mut hook in webhooks::lease(platform).await.expect("lease") {
        webhooks::round(platform, &mut hook).await.expect("round");
    }
}

#[tokio::test]
async fn a_replay_is_begun_found_listed_and_ended() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let path = webhook(&harness, &receiver.url("/")).await;
    assert_eq!(harness.get(&format!("{path}/replays")).await.data(), &json!([]));
    let begun = harness.post(&format!("{path}/replay"), &json!({"since": 0, "types": ["message.created"]})).await;
    assert_eq!(begun.status, 202);
    assert_shape(begun.data(), REPLAY);
    assert_eq!((&begun.data()["status"], &begun.data()["types"]), (&json!("running"), &json!(["message.created"])));
    let one = format!("{path}/replays/{}", begun.data()["id"].as_str().expect("id"));
    assert_eq!(harness.get(&one).await.data(), begun.data());
    let ended = harness.delete(&one).await;
    assert_eq!((ended.status, &ended.data()["status"]), (200, &json!("cancelled")));
    assert_shape(ended.data(), REPLAY);
    assert_eq!(harness.delete(&one).await.data(), ended.data(), "one that is over stays as it is");
    let list = harness.get(&format!("{path}/replays")).await;
    assert_eq!((list.data(), list.json.get("next_cursor")), (&json!([ended.data()]), None));
    // It is no webhook.
    assert_eq!(ids(&harness.get("/v3/webhooks").await).len(), 1);
    for _ in 0..4 {
        harness.post(&format!("{path}/replay"), &json!({"since": 0})).await.is_ok();
    }
    let refused = harness.post(&format!("{path}/replay"), &json!({"since": 0})).await;
    refused.refuses(409, "replays_max_reached", None).says("at most 4 replays");
    harness.delete(&path).await.is_ok();
    harness.get(&one).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_message_that_was_told_is_told_once_more() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let path = webhook(&harness, &receiver.url("/")).await;
    harness.receive_about("Hello").await;
    tell(&harness).await;
    let event = harness.get("/v3/events?type=message.created").await.data()[0].clone();
    let begun = harness.post(&format!("{path}/replay"), &json!({"event_id": event["id"]})).await;
    assert_eq!((&begun.data()["from"], &begun.data()["to"]), (&event["cursor"], &event["cursor"]));
    tell(&harness).await;
    let posted: Vec<_> = receiver.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(posted.len(), 2);
    let replayed: Value = serde_json::from_slice(&posted[1].body).expect("JSON");
    assert_eq!((&replayed["id"], &replayed["webhook_delivery_attempt"]), (&event["id"], &json!(1)));
    assert_eq!(posted[1].header("x-postfleet-replay"), begun.data()["id"].as_str());
    assert_eq!(posted[0].body, posted[1].body);
    let id = begun.data()["id"].as_str().expect("id");
    let over = harness.get(&format!("{path}/replays/{id}")).await;
    assert_eq!((&over.data()["status"], &over.data()["told"]), (&json!("done"), &json!(1)));
    assert_eq!(over.data()["cursor"], event["cursor"]);
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let path = webhook(&harness, &receiver.url("/")).await;
    harness.receive_about("Hello").await;
    let list = harness.get("/v3/events").await;
    let cursors: Vec<&str> =
        list.data().as_array().expect("list").iter().map(|event| event["cursor"].as_str().expect("cursor")).collect();
    let (last, first) = (cursors[0], cursors[cursors.len() - 1]);
    let unwanted = harness.get("/v3/events?type=grant.created").await.data()[0]["id"].clone();
    for (body, field, says) in [
        (json!({}), "event_id", "one of event_id, from, since and given_up"),
        (json!({"given_up": false}), "event_id", "one of event_id, from, since and given_up"),
        (json!({"types": ["message.created"]}), "event_id", "one of event_id"),
        (json!({"event_id": "x"}), "event_id", "an event of this application"),
        (json!({"event_id": harness.agent}), "event_id", "an event of this application"),
        (json!({"event_id": unwanted}), "event_id", "of which this webhook is told"),
        (json!({"event_id": 5}), "event_id", "invalid type"),
        (json!({"event_id": "x", "from": first}), "from", "must not be given with event_id"),
        (json!({"from": first, "since": 5}), "since", "must not be given with from"),
        (json!({"from": "x"}), "from", "not a cursor"),
        (json!({"from": first, "to": "x"}), "to", "not a cursor"),
        (json!({"to": last}), "from", "must be given with to"),
        (json!({"from": last, "to": first}), "to", "must not be before from"),
        (json!({"until": 5}), "since", "must be given with until"),
        (json!({"since": 5, "until": 5}), "until", "must be after since"),
        (json!({"since": -1}), "since", "from 0 to 253402300799"),
        (json!({"since": 0, "until": 253_402_300_800_i64}), "until", "from 0 to 253402300799"),
        (json!({"since": "yesterday"}), "since", "invalid type"),
        (json!({"since": 0, "types": ["message.created", "x"]}), "types[1]", "\"x\" is not a trigger"),
        (json!({"since": 0, "types": vec!["message.created"; 101]}), "types", "at most 100"),
        (json!({"since": 0, "grant_ids": ["x"]}), "grant_ids[0]", "a mailbox of this application"),
        (json!({"since": 0, "grant_ids": [harness.stranger]}), "grant_ids[0]", "a mailbox of this application"),
        (json!({"since": 0, "grant_ids": vec![&harness.agent; 101]}), "grant_ids", "at most 100"),
    ] {
        let refused = harness.post(&format!("{path}/replay"), &body).await;
        let code = if says == "not a cursor" { "invalid_request" } else { "webhook_invalid" };
        refused.refuses(400, code, Some(field)).says(says);
    }
    assert_eq!(harness.get(&format!("{path}/replays")).await.data(), &json!([]), "nothing was begun");
}
