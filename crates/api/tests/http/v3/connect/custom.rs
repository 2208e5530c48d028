//! `/v3/connect/custom`.

use crate::support::{Harness, NOBODY, assert_shape};
use crate::v3::grants::grant::GRANT;
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["POST /v3/connect/custom"];

const PATH: &str = "/v3/connect/custom";

fn new(email: &str) -> Value {
    json!({"provider": "nylas", "settings": {"email": email}})
}

#[tokio::test]
async fn a_mailbox_is_made_with_every_field() {
    let harness = Harness::new().await;
    let body = json!({"provider": "nylas", "name": "Ada’s agent", "state": "ignored",
        "settings": {"email": "Ada@Acme.Test", "unknown": 1}, "workspace_id": harness.acme.workspace_id.to_string()});
    let answer = harness.post(PATH, &body).await;
    assert_eq!(answer.status, 201);
    assert_shape(answer.data(), GRANT);
    assert_shape(&answer.data()["settings"], "email:string has_app_password:boolean");
    let data = answer.data();
    assert_eq!((&data["email"], &data["name"]), (&json!("Ada@acme.test"), &json!("Ada’s agent")));
    assert_eq!(data["workspace_id"], harness.acme.workspace_id.to_string());
    // Usable at once, in any spelling of the address.
    let found = harness.get("/v3/grants/ada@ACME.test").await;
    assert_eq!(found.data(), data);
    let folders = harness.get("/v3/grants/ada@acme.test/folders").await;
    assert_eq!(folders.data().as_array().expect("list").len(), 6);
}

#[tokio::test]
async fn the_same_address_again_is_the_same_mailbox() {
    let harness = Harness::new().await;
    let first = harness.post(PATH, &new("twice@acme.test")).await;
    harness.world.advance(60);
    let second = harness.post(PATH, &new("TWICE@acme.test")).await;
    assert_eq!((second.status, second.data()), (201, first.data()));
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let with = |field: &str, value: Value| {
        let mut body = new("x@acme.test");
        body[field] = value;
        body
    };
    for (body, code, field, says) in [
        (with("provider", json!("google")), "invalid_request", "provider", "\"nylas\""),
        (new("no-at.acme.test"), "invalid_request", "settings.email", "not an address"),
        (new("x@[127.0.0.1]"), "invalid_request", "settings.email", "not an address"),
        (new("x@elsewhere.test"), "domain_not_registered", "settings.email", "domain is not registered"),
        (new("x@other.test"), "domain_not_registered", "settings.email", "domain is not registered"),
        (with("name", json!("n".repeat(257))), "invalid_request", "name", "at most 256 characters"),
        (with("name", json!("a\r\nBcc: x@y.test")), "invalid_request", "name", "control characters"),
        (with("workspace_id", json!("default")), "invalid_request", "workspace_id", "UUID"),
        (with("workspace_id", json!(NOBODY)), "invalid_request", "workspace_id", "does not belong"),
        (
            with("workspace_id", json!(harness.other.workspace_id.to_string())),
            "invalid_request",
            "workspace_id",
            "does not belong",
        ),
        (json!({"provider": "nylas"}), "invalid_request", ".", "missing field `settings`"),
        (with("settings", json!({"email": 1})), "invalid_request", "settings.email", "invalid type"),
        (json!([]), "invalid_request", ".", "error parsing request body"),
    ] {
        let field = (field != ".").then_some(field);
        harness.post(PATH, &body).await.refuses(400, code, field).says(says);
    }
    assert_eq!(harness.post(PATH, &with("name", json!("n".repeat(256)))).await.status, 201);
}

#[tokio::test]
async fn a_removed_address_can_be_made_again() {
    let harness = Harness::new().await;
    let first = harness.post(PATH, &new("again@acme.test")).await;
    harness.delete("/v3/grants/again@acme.test").await.is_ok();
    let second = harness.post(PATH, &new("again@acme.test")).await;
    assert_eq!(second.status, 201);
    assert_ne!(first.data()["id"], second.data()["id"]);
}

#[tokio::test]
async fn the_plan_bounds_the_number_of_mailboxes() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    // `agent` is the first of three.
    for name in ["two", "three"] {
        assert_eq!(harness.post(PATH, &new(&format!("{name}@acme.test"))).await.status, 201);
    }
    let refused = harness.post(PATH, &new("four@acme.test")).await;
    refused.refuses(403, "grants_max_reached", None).says("Maximum number of agent accounts (3) reached for this plan");
    // One that exists is found all the same, and a removed one frees its place.
    assert_eq!(harness.post(PATH, &new("two@acme.test")).await.status, 201);
    harness.delete("/v3/grants/two@acme.test").await.is_ok();
    assert_eq!(harness.post(PATH, &new("four@acme.test")).await.status, 201);
}
