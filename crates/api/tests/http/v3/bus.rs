//! `/v3/bus/parked`: sends that came by the message bus and were refused.

use super::grants::send_with_key::limited;
use crate::support::{Harness, NOBODY, assert_shape, engines};
use axum::body::Body;
use axum::http::Request;
use postfleet_bus::{Bus, Expected, Message};
use postfleet_core::id::ParkedId;
use postfleet_mailflow::bus::Intake;
use postfleet_store::bus_parked::{Park, Parked, Reason};
use postfleet_testkit::bus::SimulatedBus;
use postfleet_testkit::world::{NewTenant, Tenant, World, WorldOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/bus/parked",
    "GET /v3/bus/parked/{parked}",
    "POST /v3/bus/parked/{parked}/retry",
    "DELETE /v3/bus/parked/{parked}",
];

const PARKED: &str = "id:string grant_id:string message_id:string? error:object retries:integer bytes:integer \
    parked_at:integer expires_at:integer";
const DETAILS: &str = "id:string grant_id:string message_id:string? error:object retries:integer bytes:integer \
    parked_at:integer expires_at:integer body:string?";
const SENT: &str = "status:integer message_id:string? thread_id:string? schedule_id:string? hold_id:string? \
    duplicate:boolean";

/// Puts a send of a tenant's mailbox aside; answers its id.
pub(crate) async fn park(harness: &Harness, tenant: &Tenant, body: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let platform = &harness.world.platform;
    let (now, number) = (platform.clock.now(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let id = ParkedId::new(now, platform.entropy.ten());
    let path = format!("/v3/grants/agent@{}", tenant.domain);
    let grant = harness.ask(&tenant.api_key, "GET", &path, None).await;
    let reason = Reason {
        status: 400,
        code: "invalid_request".to_owned(),
        message: "to must name at least one recipient".to_owned(),
        field: Some("to".to_owned()),
    };
    let parked = Parked {
        id,
        application_id: tenant.application_id,
        sender: grant.is_ok().data()["id"].as_str().expect("id").to_owned(),
        place: (1, number),
        key: Some(format!("key-{number}")),
        reason,
        retries: 0,
        octets: body.len() as u64,
        parked_at: now,
    };
    let parked = Park { parked, body: Some(body.as_bytes().to_vec()) };
    assert!(platform.store.run(parked).await.expect("parked"), "there is room");
    id.to_string()
}

fn letter(subject: &str) -> String {
    json!({"to": [{"email": "ada@sender.test"}], "subject": subject, "body": "Hi"}).to_string()
}

#[tokio::test]
async fn what_is_parked_is_listed_found_sent_again_and_removed() {
    for (engine, harness) in engines().await {
        let (bad, good) =
            (park(&harness, &harness.acme, "{}").await, park(&harness, &harness.acme, &letter("one")).await);
        let list = harness.get("/v3/bus/parked").await;
        assert_eq!(list.is_ok().data()[0]["id"], good.as_str(), "{engine}: newest first");
        assert_shape(&list.data()[0], PARKED);
        let page = harness.get("/v3/bus/parked?limit=1").await;
        let next = page.is_ok().json["next_cursor"].as_str().expect("there is more").to_owned();
        let rest = harness.get(&format!("/v3/bus/parked?limit=1&page_token={next}")).await;
        assert_eq!((&rest.data()[0]["id"], &rest.json["next_cursor"]), (&json!(bad), &Value::Null));
        harness.get("/v3/bus/parked?page_token=x").await.refuses(400, "invalid_request", Some("page_token"));
        harness.get("/v3/bus/parked?limit=201").await.refuses(400, "invalid_request", Some("limit"));

        let path = |id: &str| format!("/v3/bus/parked/{id}");
        let found = harness.get(&path(&good)).await;
        assert_shape(found.is_ok().data(), DETAILS);
        assert_eq!(found.data()["body"], letter("one"));
        harness.get(&path(NOBODY)).await.refuses(404, "not_found", None);

        // What is wrong stays wrong, and stays here.
        let again = harness.post(&format!("{}/retry", path(&bad)), &json!({})).await;
        again.refuses(400, "invalid_request", Some("to"));
        assert_eq!(harness.get(&path(&bad)).await.data()["retries"], 1);
        let sent = harness.post(&format!("{}/retry", path(&good)), &json!({})).await;
        assert_shape(sent.is_ok().data(), SENT);
        let message = sent.data()["message_id"].as_str().expect("id");
        assert_eq!(harness.get(&harness.at(&format!("/messages/{message}"))).await.data()["subject"], "one");
        harness.get(&path(&good)).await.refuses(404, "not_found", None);

        harness.ask(&harness.other.api_key, "DELETE", &path(&bad), None).await.refuses(404, "not_found", None);
        harness.delete(&path(&bad)).await.is_ok();
        harness.delete(&path(&bad)).await.refuses(404, "not_found", None);
        assert_eq!(harness.get("/v3/bus/parked").await.data(), &json!([]));
        let text = harness.get("/v3/audit").await.json.to_string();
        for action in ["parked_send.sent", "parked_send.removed"] {
            assert!(text.contains(action), "{action}");
        }
    }
}

#[tokio::test]
async fn a_key_that_may_not_send_to_somebody_does_not_by_way_of_what_is_parked() {
    let harness = Harness::new().await;
    let id = park(&harness, &harness.acme, &letter("one")).await;
    let (secret, _) = limited(&harness, json!({"recipient_domains": ["only.test"]})).await;
    let retry = format!("/v3/bus/parked/{id}/retry");
    let answer = harness.ask(&secret, "POST", &retry, Some(&json!({}))).await;
    assert!(answer.status >= 400, "{answer:?}");
    assert_eq!(harness.get("/v3/bus/parked").await.data()[0]["id"], id.as_str(), "it stays");
}

/// What is published, and then looked at.
async fn by_bus(harness: &Harness, (bus, intake): (&SimulatedBus, &mut Intake), id: &str, body: String) {
    let subject = format!("postfleet.send.{}.{}", harness.acme.application_id, harness.agent);
    let message =
        Message { subject, id: id.to_owned(), expected: Expected::Anything, headers: Vec::new(), body: body.into() };
    bus.publish(message).await.expect("published").await.expect("stored");
    let taken = intake.take().await;
    intake.work(taken).await;
    assert_eq!(bus.messages("POSTFLEET_SEND"), []);
}

#[tokio::test]
async fn a_key_is_one_whether_it_comes_by_the_interface_or_by_the_bus() {
    let bus = SimulatedBus::start();
    let world = World::with(WorldOptions { bus: Some(bus.clone()), ..WorldOptions::default() }).await;
    let harness = Harness::in_world(world, NewTenant::of("acme.test")).await;
    let mut intake = Intake::begin(&harness.world.platform, Arc::new(bus.clone()));
    let taken = intake.take().await;
    intake.work(taken).await;
    let send = async |key: &str, body: String| {
        let request = Request::post(harness.at("/messages/send"))
            .header("authorization", format!("Bearer {}", harness.acme.api_key))
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        harness.request(request.body(Body::from(body)).expect("request")).await
    };
    let outcome = || -> Value {
        let told = bus.messages("POSTFLEET_SENT");
        serde_json::from_slice(&told.last().expect("told").body).expect("JSON")
    };
    let sent = || harness.ids("/v3/grants/agent@acme.test/messages?in=sent");

    // First the interface, then the bus: sent, scheduled, refused.
    let first = send("a", letter("one")).await;
    by_bus(&harness, (&bus, &mut intake), "a", letter("one")).await;
    assert_eq!(outcome()["data"]["message_id"], first.is_ok().data()["id"]);
    assert_eq!(outcome()["data"]["duplicate"], true);
    let send_at = harness.world.platform.clock.now().as_seconds() + 3_600;
    let mut later: Value = serde_json::from_str(&letter("later")).expect("JSON");
    later["send_at"] = json!(send_at);
    let waits = send("b", later.to_string()).await;
    assert_eq!(waits.status, 202);
    by_bus(&harness, (&bus, &mut intake), "b", later.to_string()).await;
    assert_eq!(outcome()["data"]["schedule_id"], waits.json["schedule_id"]);
    send("c", "{}".to_owned()).await.refuses(400, "invalid_request", Some("to"));
    by_bus(&harness, (&bus, &mut intake), "c", "{}".to_owned()).await;
    assert_eq!((&outcome()["error"]["code"], &outcome()["error"]["field"]), (&json!("invalid_request"), &json!("to")));
    let parked = harness.get("/v3/bus/parked").await.data()[0]["id"].as_str().expect("parked").to_owned();
    let retried = harness.post(&format!("/v3/bus/parked/{parked}/retry"), &json!({})).await;
    retried.refuses(409, "refused_before", None).says("to must name");

    // First the bus, then the interface.
    by_bus(&harness, (&bus, &mut intake), "d", letter("two")).await;
    let again = send("d", letter("two")).await;
    assert_eq!(again.header("idempotent-response"), Some("true"));
    assert_eq!(outcome()["data"]["message_id"], again.is_ok().data()["id"]);
    by_bus(&harness, (&bus, &mut intake), "e", later.to_string()).await;
    let waits = send("e", later.to_string()).await;
    assert_eq!((waits.status, &waits.json["schedule_id"]), (202, &outcome()["data"]["schedule_id"]));

    // Something else under the same key.
    send("d", letter("other")).await.refuses(409, "invalid_idempotent_request", None);
    bus.wipe();
    let taken = intake.take().await;
    intake.work(taken).await;
    by_bus(&harness, (&bus, &mut intake), "d", letter("other")).await;
    assert_eq!(outcome()["error"]["code"], "invalid_idempotent_request");
    assert_eq!(sent().await.len(), 2);
}
