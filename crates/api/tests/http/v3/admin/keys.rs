//! `/v3/admin/keys`: keys of operators.

use crate::support::{Harness, assert_shape, ids};
use crate::v3::admin::api_keys::{KEY, with_secret};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/admin/keys",
    "POST /v3/admin/keys",
    "GET /v3/admin/keys/{key}",
    "PATCH /v3/admin/keys/{key}",
    "POST /v3/admin/keys/{key}/rotate",
    "DELETE /v3/admin/keys/{key}",
];

const ALL: &str = "/v3/admin/keys";

#[tokio::test]
async fn an_operators_key_is_made_changed_rotated_and_revoked() {
    let harness = Harness::new().await;
    harness.world.advance(1);
    let made = harness.administer("POST", ALL, Some(&json!({"name": "second"}))).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), &with_secret());
    let data = made.data();
    let key = data["api_key"].as_str().expect("key");
    assert!(key.starts_with("pf_op_"), "{key}");
    assert_eq!((&data["application_id"], &data["installation"]), (&Value::Null, &json!(false)));
    let one = format!("{ALL}/{}", data["id"].as_str().expect("id"));
    let list = harness.ask(key, "GET", ALL, None).await;
    assert_eq!(ids(&list).len(), 2, "keys of applications are not among them");
    for key in list.data().as_array().expect("list") {
        assert_shape(key, KEY);
    }
    assert_eq!((&list.data()[0]["name"], &list.data()[1]["installation"]), (&json!("second"), &json!(true)));
    let renamed = harness.ask(key, "PATCH", &one, Some(&json!({"name": "renamed"}))).await;
    assert_eq!(renamed.is_ok().data()["name"], "renamed");
    assert_shape(harness.ask(key, "GET", &one, None).await.data(), KEY);
    let rotated = harness.ask(key, "POST", &format!("{one}/rotate"), Some(&json!({}))).await;
    harness.ask(key, "GET", ALL, None).await.refuses(401, "invalid_api_key", None);
    let key = rotated.is_ok().data()["api_key"].as_str().expect("key");
    // It may revoke itself: the request is carried out, and there is no other.
    harness.ask(key, "DELETE", &one, None).await.is_ok();
    harness.ask(key, "GET", ALL, None).await.refuses(401, "invalid_api_key", None);
}

#[tokio::test]
async fn only_the_installations_operator_touches_keys_of_the_installation() {
    let harness = Harness::new().await;
    let ordinary = harness.operator(&["*"]).await;
    let list = harness.administer("GET", ALL, None).await;
    let installation = list.data().as_array().expect("list").iter().find(|key| key["installation"] == true);
    let one = format!("{ALL}/{}", installation.expect("key")["id"].as_str().expect("id"));
    let made = harness.ask(&ordinary, "POST", ALL, Some(&json!({"name": "x", "installation": true}))).await;
    made.refuses(403, "installation_only", None);
    for (method, path, body) in [
        ("PATCH", one.clone(), Some(json!({"name": "x"}))),
        ("POST", format!("{one}/rotate"), None),
        ("DELETE", one.clone(), None),
    ] {
        harness.ask(&ordinary, method, &path, body.as_ref()).await.refuses(403, "installation_only", None);
    }
    let other = harness.administer("POST", ALL, Some(&json!({"name": "x", "installation": true}))).await;
    let key = other.is_ok().data()["api_key"].as_str().expect("key");
    assert_eq!(
        harness.ask(key, "GET", "/v3/admin/organizations", None).await.data().as_array().expect("list").len(),
        2
    );
}

#[tokio::test]
async fn the_first_key_of_a_new_organization_is_made_by_the_installations_operator() {
    let harness = Harness::new().await;
    let made = harness.administer("POST", "/v3/admin/organizations", Some(&json!({"name": "third"}))).await;
    let organization = made.data()["id"].as_str().expect("id").to_owned();
    let body = json!({"name": "first", "organization_id": organization});
    let ordinary = harness.operator(&["*"]).await;
    let refused = harness.ask(&ordinary, "POST", ALL, Some(&body)).await;
    refused.refuses(400, "invalid_request", Some("organization_id"));
    let key = harness.administer("POST", ALL, Some(&body)).await;
    let key = key.is_ok().data()["api_key"].as_str().expect("key").to_owned();
    assert_eq!(ids(&harness.ask(&key, "GET", "/v3/admin/organizations", None).await), [organization.as_str()]);
    let listed = harness.administer("GET", &format!("{ALL}?organization_id={organization}"), None).await;
    assert_eq!(ids(&listed).len(), 1);
    // It can do there what is needed to begin.
    let application = harness.ask(&key, "POST", "/v3/admin/applications", Some(&json!({"name": "app"}))).await;
    assert_eq!(application.is_ok().data()["organization_id"], organization);
    let nobody = json!({"name": "x", "organization_id": crate::support::NOBODY});
    harness.administer("POST", ALL, Some(&nobody)).await.refuses(400, "invalid_request", Some("organization_id"));
}

#[tokio::test]
async fn another_organizations_keys_look_like_none() {
    let harness = Harness::new().await;
    let ordinary = harness.operator(&["*"]).await;
    let theirs = format!("{ALL}?organization_id={}", harness.other.organization_id);
    let id = ids(&harness.administer("GET", &theirs, None).await)[0].clone();
    for (method, path, body) in [
        ("GET", format!("{ALL}/{id}"), None),
        ("PATCH", format!("{ALL}/{id}"), Some(json!({"name": "x"}))),
        ("POST", format!("{ALL}/{id}/rotate"), None),
        ("DELETE", format!("{ALL}/{id}"), None),
    ] {
        harness.ask(&ordinary, method, &path, body.as_ref()).await.refuses(404, "not_found", None);
    }
    harness.ask(&ordinary, "GET", &theirs, None).await.refuses(400, "invalid_request", Some("organization_id"));
    harness.ask(&harness.other.operator_key, "GET", ALL, None).await.is_ok();
}
