//! `/v3/connectors`.

use crate::support::{Harness, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "POST /v3/connectors",
    "GET /v3/connectors",
    "GET /v3/connectors/{provider}",
    "PATCH /v3/connectors/{provider}",
    "PUT /v3/connectors/{provider}",
    "DELETE /v3/connectors/{provider}",
];

const PATH: &str = "/v3/connectors";
const NYLAS: &str = "/v3/connectors/nylas";
const CONNECTOR: &str = "id:string name:string provider:string settings:object scope:array \
    active_credential_id:string? created_at:integer updated_at:integer";

#[tokio::test]
async fn a_connector_from_its_beginning_to_its_end() {
    let harness = Harness::new().await;
    assert_eq!(harness.get(PATH).await.data(), &json!([]));
    harness.get(NYLAS).await.refuses(404, "not_found", None);
    let body =
        json!({"provider": "nylas", "name": "Agents", "settings": {"b": 1, "a": {"x": [null]}}, "scopes": ["s"]});
    let made = harness.post(PATH, &body).await;
    assert_eq!(made.status, 201);
    assert_shape(made.data(), CONNECTOR);
    let data = made.data();
    assert_eq!(
        (&data["name"], &data["settings"], &data["scope"]),
        (&json!("Agents"), &body["settings"], &json!(["s"]))
    );
    assert_eq!(harness.get(NYLAS).await.data(), data);
    let list = harness.get(PATH).await;
    assert_shape(&list.json, "request_id:string data:array limit:integer offset:integer");
    assert_eq!((list.data(), &list.json["limit"]), (&json!([data]), &json!(10)));
    assert_eq!(harness.get("/v3/connectors?limit=200&offset=1").await.data(), &json!([]));
    harness.post(PATH, &body).await.refuses(409, "connector_exists", None).says("already exists");

    harness.world.advance(5);
    let after = harness.patch(NYLAS, &json!({"settings": {"c": true}})).await;
    assert_eq!((&after.data()["name"], &after.data()["settings"]), (&json!("Agents"), &json!({"c": true})));
    assert_eq!(after.data()["updated_at"].as_i64(), data["updated_at"].as_i64().map(|at| at + 5));
    let after = harness.patch(NYLAS, &json!({"settings": null, "name": null, "scope": null})).await;
    let data = after.data();
    assert_eq!((&data["name"], &data["settings"], &data["scope"]), (&json!("nylas"), &json!({}), &json!([])));

    let put = harness.ask(&harness.acme.api_key, "PUT", NYLAS, Some(&json!({"name": "By PUT"}))).await;
    assert_eq!(
        (&put.is_ok().data()["name"], &put.data()["created_at"]),
        (&json!("By PUT"), &made.data()["created_at"])
    );
    harness.patch(NYLAS, &json!({"scope": ["kept"]})).await.is_ok();
    let put = harness.ask(&harness.acme.api_key, "PUT", NYLAS, Some(&json!({"name": "Again"}))).await;
    assert_eq!(put.is_ok().data()["scope"], json!(["kept"]), "what is absent stays");

    harness.delete(NYLAS).await.is_ok();
    harness.delete(NYLAS).await.refuses(404, "not_found", None);
    assert_eq!(harness.get(PATH).await.data(), &json!([]));
    // The mailboxes do without.
    assert_eq!(harness.get(&harness.at("")).await.status, 200);
    harness.receive_about("still there").await;
}

#[tokio::test]
async fn the_least_that_clients_send_is_enough() {
    let harness = Harness::new().await;
    let made = harness.post(PATH, &json!({"provider": "nylas", "name": null, "settings": null, "scope": null})).await;
    assert_eq!(made.status, 201);
    let data = made.data();
    assert_eq!((&data["name"], &data["settings"], &data["scope"]), (&json!("nylas"), &json!({}), &json!([])));
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({"provider": "nylas"});
        body[field] = value;
        body
    };
    let long = "x".repeat(257);
    for (body, field, says) in [
        (with("provider", json!("google")), "provider", "\"nylas\""),
        (with("name", json!("")), "name", "1 to 256"),
        (with("name", json!(long)), "name", "1 to 256"),
        (with("name", json!("a\nb")), "name", "control characters"),
        (with("settings", json!([])), "settings", "invalid type"),
        (with("settings", json!({"x": "x".repeat(16_384)})), "settings", "16384"),
        (with("scope", json!([long])), "scope", "256"),
        (with("scope", json!(vec!["s"; 101])), "scope", "100"),
        (with("scope", json!("s")), "scope", "invalid type"),
    ] {
        harness.post(PATH, &body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    assert_eq!(harness.get(PATH).await.data(), &json!([]));
    harness.post(PATH, &json!({"provider": "nylas"})).await.is_ok();
    harness.patch(NYLAS, &json!({})).await.refuses(400, "invalid_request", None).says("at least one of");
    harness.patch(NYLAS, &json!({"name": ""})).await.refuses(400, "invalid_request", Some("name"));
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        let answer = harness.ask(&harness.acme.api_key, method, "/v3/connectors/google", None).await;
        answer.refuses(404, "not_found", None);
    }
    for query in ["limit=0", "limit=201", "offset=-1"] {
        assert_eq!(harness.get(&format!("{PATH}?{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn each_application_has_its_own() {
    let harness = Harness::new().await;
    harness.post(PATH, &json!({"provider": "nylas"})).await.is_ok();
    let theirs = async |method| harness.ask(&harness.other.api_key, method, NYLAS, None).await;
    theirs("GET").await.refuses(404, "not_found", None);
    theirs("DELETE").await.refuses(404, "not_found", None);
    let made = harness.ask(&harness.other.api_key, "POST", PATH, Some(&json!({"provider": "nylas"}))).await;
    assert_eq!(made.status, 201);
    assert_eq!(harness.get(NYLAS).await.status, 200);
}
