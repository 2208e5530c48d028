//! `/v3/queue`: what is on its way out, told whole; and what people do to it.

use crate::support::{Harness, NOBODY, assert_shape, ids};
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer, SmtpMoment};
use postfleet_testkit::world::{NewTenant, World, WorldOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/queue",
    "GET /v3/queue/{message}",
    "POST /v3/queue/{message}/pause",
    "POST /v3/queue/{message}/resume",
    "POST /v3/queue/{message}/retry",
    "POST /v3/queue/{message}/bounce",
    "POST /v3/admin/queue/{message}/reroute",
];

/// With other servers that answer so.
pub(crate) async fn with_peer(peer: &FakeSmtp) -> Harness {
    let options = WorldOptions { mx_port: peer.address().port(), ..WorldOptions::default() };
    Harness::in_world(World::with(options).await, NewTenant::of("acme.test")).await
}

/// Sends to some recipients; answers the message's id.
pub(crate) async fn send(harness: &Harness, to: &[&str]) -> String {
    let to: Vec<Value> = to.iter().map(|email| json!({"email": email})).collect();
    let answer = harness.post(&harness.at("/messages/send"), &json!({"to": to, "subject": "s", "body": "b"})).await;
    answer.is_ok().data()["id"].as_str().expect("id").to_owned()
}

#[tokio::test]
async fn a_message_is_told_whole_while_it_waits_and_when_it_is_gone() {
    let peer = FakeSmtp::start(|moment| match moment {
        SmtpMoment::Recipient("later@sender.test") => SmtpAnswer::Say("450 4.7.1 greylisted".into()),
        SmtpMoment::Recipient("gone@sender.test") => {
            SmtpAnswer::Say("550-5.1.1 no such user\r\n550 5.1.1 ask ada".into())
        }
        _ => SmtpAnswer::Good,
    })
    .await;
    let harness = with_peer(&peer).await;
    let id = send(&harness, &["ada@sender.test", "later@sender.test", "gone@sender.test"]).await;
    let path = format!("/v3/queue/{id}");
    let life = harness.get(&path).await;
    let data = life.is_ok().data();
    assert_shape(
        data,
        "id:string grant_id:string state:string from:string queued_at:integer expires_at:integer \
         next_attempt_at:integer route:string? recipients:array attempts:array evaluations:array changes:array",
    );
    assert_eq!((&data["state"], &data["attempts"]), (&json!("queued"), &json!([])));
    assert_eq!(data["from"], "agent@acme.test", "and not the return path");
    assert_eq!(data["expires_at"], json!(data["queued_at"].as_i64().expect("time") + 5 * 86_400));
    assert_eq!(data["recipients"][0]["why"], "it was accepted and waits for the first attempt");

    harness.world.deliver_due().await;
    let life = harness.get(&path).await;
    let data = life.is_ok().data();
    assert_eq!(data["state"], "deferred");
    let recipients = data["recipients"].as_array().expect("recipients").iter();
    let states: BTreeMap<_, _> =
        recipients.map(|one| (one["email"].as_str().unwrap_or_default(), one["state"].clone())).collect();
    let expected = [("ada", "delivered"), ("gone", "bounced"), ("later", "deferred")];
    for (name, state) in expected {
        assert_eq!(states[format!("{name}@sender.test").as_str()], state);
    }
    let later = &data["recipients"][0];
    assert_shape(
        later,
        "email:string destination:string state:string why:string priority:string? attempts:integer \
         next_attempt_at:integer? ambiguous:boolean last_reply:string? stop_id:string?",
    );
    let why = later["why"].as_str().expect("why");
    assert!(why.starts_with("put off: 450 4.7.1 greylisted; it is tried again in "), "{why}");
    let attempt = &data["attempts"][0];
    assert_shape(
        attempt,
        "id:string at:integer destination:string node:string server:string address:string tls:string? \
         duration_ms:integer answers:array",
    );
    assert_eq!(attempt["address"], peer.address().to_string());
    let answers = attempt["answers"].as_array().expect("answers");
    assert_eq!(answers.len(), 3);
    let of = |result: &str| answers.iter().find(|answer| answer["result"] == result).expect("answer");
    assert_shape(
        &answers[0],
        "recipients:array result:string class:string? code:integer? status:string? reply_lines:array next:string? \
         next_attempt_at:integer?",
    );
    let deferred = of("deferred");
    assert_eq!((&deferred["class"], &deferred["next"]), (&json!("greylisted"), &json!("retry")));
    assert_eq!(deferred["next_attempt_at"], later["next_attempt_at"]);
    assert_eq!(of("refused")["reply_lines"], json!(["no such user", "ask ada"]), "every line");

    // Given up, by somebody who is named.
    harness.world.advance(1);
    let bounced = harness.post(&format!("{path}/bounce"), &json!({"reason": "not wanted"})).await;
    assert_eq!(bounced.is_ok().data()["state"], "done");
    let life = harness.get(&path).await;
    let data = life.is_ok().data();
    assert_eq!((&data["from"], &data["next_attempt_at"]), (&Value::Null, &Value::Null));
    let last = data["attempts"].as_array().expect("attempts").last().expect("attempt");
    assert_eq!((&last["server"], &last["answers"][0]["next"]), (&json!(""), &json!("bounced")));
    assert_eq!(data["changes"][0]["action"], "queue.bounced");
    assert_eq!(data["changes"][0]["after"], json!({"recipients": ["later@sender.test"]}));
    // The sender was told of both, once each.
    let inbox = harness.get(&harness.at("/messages?in=inbox")).await;
    assert_eq!(inbox.is_ok().data().as_array().expect("messages").len(), 2);
    harness.post(&format!("{path}/bounce"), &json!({})).await.refuses(404, "not_found", None);
    harness.post(&format!("{path}/pause"), &json!({})).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn the_queue_is_listed_in_pages_and_by_what_is_wanted() {
    let harness = Harness::new().await;
    let mut sent = Vec::new();
    for to in ["a@one.test", "b@two.test", "c@two.test"] {
        harness.world.advance(1);
        sent.insert(0, send(&harness, &[to]).await);
    }
    harness.post(&format!("/v3/queue/{}/pause", sent[1]), &json!({})).await.is_ok();
    let (mut listed, mut path) = (Vec::new(), "/v3/queue?limit=2".to_owned());
    loop {
        let page = harness.get(&path).await;
        listed.extend(ids(page.is_ok()));
        let Some(next) = page.json.get("next_cursor") else { break };
        path = format!("/v3/queue?limit=2&page_token={}", next.as_str().expect("cursor"));
    }
    assert_eq!(listed, sent);
    let page = harness.get("/v3/queue?state=paused").await;
    assert_shape(
        &page.is_ok().data()[0],
        "id:string grant_id:string state:string from:string queued_at:integer expires_at:integer \
         next_attempt_at:integer? attempts:integer recipients_open:integer route:string?",
    );
    let agent = harness.agent.clone();
    for (query, expected) in [
        ("destination=TWO.test", &sent[..2]),
        ("destination=one.test&state=queued", &sent[2..]),
        ("state=paused", &sent[1..2]),
        ("state=waiting", &[]),
        ("grant_id=agent@acme.test", &sent[..]),
        (&format!("grant_id={agent}&destination=two.test&state=queued"), &sent[..1]),
    ] {
        assert_eq!(harness.ids(&format!("/v3/queue?{query}")).await, expected, "{query}");
    }
    for (query, field) in [
        ("limit=201", "limit"),
        ("page_token=x", "page_token"),
        ("state=odd", "state"),
        ("destination=-", "destination"),
    ] {
        harness.get(&format!("/v3/queue?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    let unknown = harness.get(&format!("/v3/queue?grant_id={NOBODY}")).await;
    unknown.refuses(400, "invalid_request", Some("grant_id"));
    let theirs = harness.ask(&harness.other.api_key, "GET", "/v3/queue", None).await;
    assert_eq!(theirs.is_ok().data(), &json!([]));
}

#[tokio::test]
async fn a_paused_message_rests_until_it_is_resumed() {
    let peer = FakeSmtp::accepting().await;
    let harness = with_peer(&peer).await;
    let id = send(&harness, &["ada@sender.test"]).await;
    let path = format!("/v3/queue/{id}");
    let paused = harness.post(&format!("{path}/pause"), &json!({})).await;
    let data = paused.is_ok().data();
    assert_eq!((&data["state"], &data["next_attempt_at"]), (&json!("paused"), &Value::Null));
    assert_eq!(data["recipients"][0]["why"], "somebody has paused it");
    harness.post(&format!("{path}/pause"), &json!({})).await.is_ok();
    harness.world.advance(86_400);
    assert_eq!(harness.world.deliver_due().await, 0);
    harness.post(&format!("{path}/resume"), &json!({})).await.is_ok();
    assert_eq!((harness.world.deliver_due().await, peer.messages().len()), (1, 1));
    let life = harness.get(&path).await;
    let actions: Vec<_> = life.is_ok().data()["changes"].as_array().expect("changes").iter().collect();
    let actions: Vec<_> = actions.iter().map(|change| &change["action"]).collect();
    assert_eq!(actions, ["queue.resumed", "queue.paused"], "what changed nothing is not recorded");
}

#[tokio::test]
async fn a_message_under_way_is_not_given_up() {
    let harness = Harness::new().await;
    let id = send(&harness, &["ada@sender.test"]).await;
    let held = postfleet_mailflow::deliver::claim(&harness.world.platform, 10).await.expect("claim");
    let refused = harness.post(&format!("/v3/queue/{id}/bounce"), &json!({})).await;
    refused.refuses(409, "message_under_way", None);
    for reason in ["x".repeat(257), "a\nb".into()] {
        let refused = harness.post(&format!("/v3/queue/{id}/bounce"), &json!({"reason": reason})).await;
        refused.refuses(400, "invalid_request", Some("reason"));
    }
    assert_eq!(harness.get(&format!("/v3/queue/{id}")).await.is_ok().data()["state"], "sending");
    drop(held);
}

#[tokio::test]
async fn a_message_goes_where_the_operator_sends_it() {
    let (nobody, peer) = (FakeSmtp::start(|_| SmtpAnswer::HangUp).await, FakeSmtp::accepting().await);
    let harness = with_peer(&nobody).await;
    let id = send(&harness, &["ada@sender.test"]).await;
    let path = format!("/v3/admin/queue/{id}/reroute");
    for bad in [json!({"route": "nowhere"}), json!({"route": "a b:25"}), json!({"route": "a.test:0"}), json!({})] {
        harness.administer("POST", &path, Some(&bad)).await.refuses(400, "invalid_request", Some("route"));
    }
    let route = json!({"route": peer.address().to_string()});
    let rerouted = harness.administer("POST", &path, Some(&route)).await;
    assert_eq!(rerouted.is_ok().data()["route"], route["route"]);
    harness.ask(&harness.acme.api_key, "POST", &path, Some(&route)).await.refuses(403, "application_key", None);
    let ordinary = harness.operator(&["*"]).await;
    harness.ask(&ordinary, "POST", &path, Some(&route)).await.refuses(404, "not_found", None);
    harness.world.deliver_due().await;
    assert_eq!((peer.messages().len(), nobody.messages().len()), (1, 0));
    let audit = harness.get(&format!("/v3/audit?target_id={id}")).await;
    let record = &audit.is_ok().data()[0];
    assert_eq!((&record["action"], &record["before"]), (&json!("queue.rerouted"), &json!({"route": null})));
}

#[tokio::test]
async fn a_message_is_tried_although_its_destination_is_left_alone() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::HangUp).await;
    let harness = with_peer(&peer).await;
    send(&harness, &["ada@sender.test"]).await;
    harness.world.deliver_due().await;
    let id = send(&harness, &["bob@sender.test"]).await;
    assert_eq!(harness.world.deliver_due().await, 0, "its destination does not answer");
    let path = format!("/v3/queue/{id}");
    let life = harness.get(&path).await;
    let recipient = &life.is_ok().data()["recipients"][0];
    let why = recipient["why"].as_str().expect("why");
    assert_eq!(recipient["state"], "waiting");
    assert!(why.starts_with("sender.test does not answer (1 in a row: ") && why.contains("tried again in"), "{why}");
    harness.post(&format!("{path}/retry"), &json!({})).await.is_ok();
    assert_eq!(harness.world.deliver_due().await, 1);
    assert_eq!(harness.get(&path).await.is_ok().data()["attempts"].as_array().expect("attempts").len(), 1);
}
