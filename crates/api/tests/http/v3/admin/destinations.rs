//! `/v3/admin/destinations`: what operators see and do of the domains to which mail goes.

use crate::support::{Harness, assert_shape};
use crate::v3::queue::{send, with_peer};
use postfleet_testkit::smtp::{FakeSmtp, SmtpAnswer};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/admin/destinations",
    "GET /v3/admin/destinations/{destination}",
    "PATCH /v3/admin/destinations/{destination}",
    "POST /v3/admin/destinations/{destination}/retry",
];

const PATH: &str = "/v3/admin/destinations/sender.test";

async fn names(harness: &Harness, key: &str, query: &str) -> Vec<Value> {
    let answer = harness.ask(key, "GET", &format!("/v3/admin/destinations{query}"), None).await;
    answer.is_ok().data().as_array().expect("list").iter().map(|one| one["name"].clone()).collect()
}

#[tokio::test]
async fn a_destination_that_does_not_answer_is_shown_and_tried_again() {
    let peer = FakeSmtp::start(|_| SmtpAnswer::HangUp).await;
    let harness = with_peer(&peer).await;
    harness.administer("GET", PATH, None).await.refuses(404, "not_found", None);
    send(&harness, &["ada@sender.test", "bob@sender.test"]).await;
    send(&harness, &["eve@another.test"]).await;
    let open = harness.administer("GET", PATH, None).await;
    assert_eq!((&open.is_ok().data()["state"], &open.data()["depth"]), (&json!("open"), &json!(2)));
    harness.world.deliver_due().await;
    let list = harness.administer("GET", "/v3/admin/destinations?limit=1", None).await;
    let shape = "name:string state:string depth:integer waiting:integer oldest_queued_at:integer? failures:integer \
        failing_since:integer? next_attempt_at:integer? route:string? last_reply:string?";
    assert_shape(&list.is_ok().data()[0], shape);
    let next = format!("?page_token={}", list.json["next_cursor"].as_str().expect("cursor"));
    assert_eq!(names(&harness, &harness.acme.operator_key, &next).await, ["sender.test"]);
    let found = harness.administer("GET", PATH, None).await;
    let data = found.is_ok().data();
    assert_eq!((&data["state"], &data["failures"], &data["waiting"]), (&json!("failing"), &json!(1), &json!(2)));
    assert!(data["last_reply"].as_str().expect("reply").contains("closed"), "{data}");
    assert_eq!(harness.world.deliver_due().await, 0);
    harness.world.advance(1);
    harness.administer("POST", &format!("{PATH}/retry"), None).await.is_ok();
    assert_eq!(harness.world.deliver_due().await, 1);
    assert_eq!(harness.administer("GET", PATH, None).await.is_ok().data()["failures"], 2);

    // Others see nothing of it, and change nothing.
    assert!(
        names(&harness, &harness.other.operator_key, "?closed=true").await.len() == 2,
        "the installation's operator"
    );
    let ordinary = harness.operator(&["queue.*"]).await;
    assert_eq!(names(&harness, &ordinary, "?closed=true").await, ["another.test", "sender.test"]);
    harness.ask(&ordinary, "POST", &format!("{PATH}/retry"), None).await.refuses(403, "installation_only", None);
    harness.administer("GET", "/v3/admin/destinations?closed=x", None).await.refuses(
        400,
        "invalid_request",
        Some("closed"),
    );
}

#[tokio::test]
async fn a_destination_is_paused_resumed_and_rerouted() {
    let (nobody, peer) = (FakeSmtp::start(|_| SmtpAnswer::HangUp).await, FakeSmtp::accepting().await);
    let harness = with_peer(&nobody).await;
    let change = async |body: Value| harness.administer("PATCH", PATH, Some(&body)).await;
    let paused = change(json!({"paused": true})).await;
    assert_eq!((&paused.is_ok().data()["state"], &paused.data()["depth"]), (&json!("paused"), &json!(0)));
    let id = send(&harness, &["ada@sender.test"]).await;
    assert_eq!(harness.world.deliver_due().await, 0);
    let life = harness.get(&format!("/v3/queue/{id}")).await;
    assert_eq!(life.is_ok().data()["recipients"][0]["why"], "an operator has paused sender.test");
    for bad in [json!({"route": "x"}), json!({"route": ":25"})] {
        change(bad).await.refuses(400, "invalid_request", Some("route"));
    }
    harness.world.advance(1);
    let route = peer.address().to_string();
    let resumed = change(json!({"paused": false, "route": route})).await;
    assert_eq!((&resumed.is_ok().data()["state"], &resumed.data()["route"]), (&json!("open"), &json!(route)));
    assert_eq!((harness.world.deliver_due().await, peer.messages().len()), (1, 1));
    harness.world.advance(1);
    assert_eq!(change(json!({"route": null})).await.is_ok().data()["route"], Value::Null);
    let audit = harness.administer("GET", "/v3/admin/audit?target_id=sender.test", None).await;
    assert_eq!(audit.is_ok().data().as_array().expect("records").len(), 3);
    assert_eq!(audit.data()[1]["before"], json!({"paused": true, "route": null}));
    let ordinary = harness.operator(&["*"]).await;
    harness.ask(&ordinary, "PATCH", PATH, Some(&json!({}))).await.refuses(403, "installation_only", None);
}
