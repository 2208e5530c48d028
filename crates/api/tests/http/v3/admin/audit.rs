//! `/v3/admin/audit`, and what is recorded.

use crate::support::{Harness, assert_shape};
use crate::v3::audit::RECORD;
use postfleet_testkit::world::BEGINNING;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &["GET /v3/admin/audit"];

const ALL: &str = "/v3/admin/audit";

/// The actions of an organization's records since everything began, newest first.
async fn actions(harness: &Harness, key: &str) -> Vec<String> {
    let later = format!("{ALL}?since={}", BEGINNING.as_seconds() + 1);
    let list = harness.ask(key, "GET", &later, None).await;
    let list = list.is_ok().data().as_array().expect("list").clone();
    list.iter().map(|record| record["action"].as_str().expect("action").to_owned()).collect()
}

#[tokio::test]
async fn every_change_has_its_record() {
    let harness = Harness::new().await;
    let ask = async |method: &str, path: &str, body: Value| {
        harness.world.advance(1);
        let answer = harness.administer(method, path, Some(&body)).await;
        answer.is_ok();
        answer.data()["id"].as_str().unwrap_or_default().to_owned()
    };
    let organization = format!("/v3/admin/organizations/{}", harness.acme.organization_id);
    ask("PATCH", &organization, json!({"name": "new"})).await;
    let application =
        format!("/v3/admin/applications/{}", ask("POST", "/v3/admin/applications", json!({"name": "b"})).await);
    ask("PATCH", &application, json!({"name": "c"})).await;
    let key = format!(
        "{application}/api-keys/{}",
        ask("POST", &format!("{application}/api-keys"), json!({"name": "k"})).await
    );
    ask("PATCH", &key, json!({"name": "l"})).await;
    ask("POST", &format!("{key}/rotate"), json!({})).await;
    ask("DELETE", &key, json!({})).await;
    let operators = format!("/v3/admin/keys/{}", ask("POST", "/v3/admin/keys", json!({"name": "o"})).await);
    ask("PATCH", &operators, json!({"name": "p"})).await;
    ask("POST", &format!("{operators}/rotate"), json!({})).await;
    ask("DELETE", &operators, json!({})).await;
    let account = ask("POST", "/v3/admin/service-accounts", json!({"name": "s"})).await;
    ask("DELETE", &format!("/v3/admin/service-accounts/{account}"), json!({})).await;
    ask("DELETE", &application, json!({})).await;
    // What changes nothing has none.
    ask("PATCH", &organization, json!({"name": "new"})).await;
    ask("DELETE", &operators, json!({})).await;
    ask("DELETE", &format!("/v3/admin/service-accounts/{account}"), json!({})).await;
    let expected = [
        "application.deleted",
        "service_account.revoked",
        "service_account.created",
        "operator_key.revoked",
        "operator_key.rotated",
        "operator_key.updated",
        "operator_key.created",
        "api_key.revoked",
        "api_key.rotated",
        "api_key.updated",
        "api_key.created",
        "application.updated",
        "application.created",
        "organization.updated",
    ];
    assert_eq!(actions(&harness, &harness.acme.operator_key).await, expected);
    assert_eq!(actions(&harness, &harness.other.operator_key).await, [""; 0]);
}

#[tokio::test]
async fn a_record_says_who_did_what_and_never_a_secret() {
    let harness = Harness::new().await;
    harness.world.advance(60);
    let keys = format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id);
    let made = harness.administer("POST", &keys, Some(&json!({"name": "before"}))).await;
    let (id, secret) = (made.data()["id"].as_str().expect("id"), made.data()["api_key"].as_str().expect("key"));
    harness.world.advance(1);
    let changed = harness.administer("PATCH", &format!("{keys}/{id}"), Some(&json!({"name": "after"}))).await;
    let list = harness.administer("GET", &format!("{ALL}?target_id={id}"), None).await;
    let records = list.is_ok().data().as_array().expect("list");
    assert_eq!(records.len(), 2);
    for record in records {
        assert_shape(record, RECORD);
        assert_shape(&record["actor"], "kind:string id:string name:string");
        assert_shape(&record["target"], "kind:string id:string");
    }
    let (update, creation) = (&records[0], &records[1]);
    assert_eq!((&update["actor"]["kind"], &update["actor"]["name"]), (&json!("operator_key"), &json!("operator")));
    assert_eq!(update["target"], json!({"kind": "api_key", "id": id}));
    assert_eq!((&update["before"]["name"], &update["after"]["name"]), (&json!("before"), &json!("after")));
    assert_eq!((&creation["before"], &creation["after"]["name"]), (&Value::Null, &json!("before")));
    assert_eq!(update["request_id"], changed.json["request_id"]);
    assert_eq!(update["application_id"], harness.acme.application_id.to_string());
    assert_eq!(update["organization_id"], harness.acme.organization_id.to_string());
    assert_eq!(update["created_at"], harness.world.platform.clock.now().as_seconds());
    assert!(!list.json.to_string().contains(secret) && !list.json.to_string().contains(&secret[13..]));
    let first = harness.administer("GET", &format!("{ALL}?target_id={}", harness.acme.organization_id), None).await;
    let first = &first.data()[0];
    assert_eq!((&first["action"], &first["actor"]["kind"]), (&json!("organization.created"), &json!("command_line")));
    assert_eq!((&first["actor"]["id"], &first["request_id"]), (&json!(""), &json!("")));
}

#[tokio::test]
async fn what_is_done_to_another_organization_is_in_its_record() {
    let harness = Harness::new().await;
    let other = format!("/v3/admin/organizations/{}", harness.other.organization_id);
    harness.world.advance(1);
    harness.administer("PATCH", &other, Some(&json!({"name": "renamed"}))).await.is_ok();
    assert_eq!(actions(&harness, &harness.other.operator_key).await, ["organization.updated"]);
    assert_eq!(actions(&harness, &harness.acme.operator_key).await, [""; 0]);
    let there =
        harness.administer("GET", &format!("{ALL}?organization_id={}", harness.other.organization_id), None).await;
    assert_eq!(there.data()[0]["action"], "organization.updated");
    let ordinary = harness.operator(&["audit.read"]).await;
    let refused =
        harness.ask(&ordinary, "GET", &format!("{ALL}?organization_id={}", harness.other.organization_id), None).await;
    refused.refuses(400, "invalid_request", Some("organization_id"));
}
