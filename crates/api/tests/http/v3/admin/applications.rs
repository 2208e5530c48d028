//! `/v3/admin/applications`.

use crate::support::{Harness, NOBODY, assert_shape, ids};
use crate::v3::applications::APPLICATION;
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/admin/applications",
    "POST /v3/admin/applications",
    "GET /v3/admin/applications/{application}",
    "PATCH /v3/admin/applications/{application}",
    "DELETE /v3/admin/applications/{application}",
];

const ALL: &str = "/v3/admin/applications";

#[tokio::test]
async fn a_sub_account_is_made_given_a_key_used_and_removed() {
    let harness = Harness::new().await;
    harness.world.advance(1);
    let body = json!({"name": "Team B", "environment": "production", "branding": {"website_url": "https://b.test/"}});
    let made = harness.administer("POST", ALL, Some(&body)).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), APPLICATION);
    let data = made.data();
    assert_eq!(
        (&data["name"], &data["environment"], &data["region"]),
        (&json!("Team B"), &json!("production"), &json!("us"))
    );
    assert_eq!(
        (&data["branding"]["name"], &data["branding"]["website_url"]),
        (&json!("Team B"), &json!("https://b.test/"))
    );
    assert_eq!(data["organization_id"], harness.acme.organization_id.to_string());
    let id = data["id"].as_str().expect("id").to_owned();
    let one = format!("{ALL}/{id}");
    assert_eq!(harness.administer("GET", &one, None).await.data(), data);
    let both = ids(&harness.administer("GET", ALL, None).await);
    assert_eq!(both, [id.clone(), harness.acme.application_id.to_string()]);

    let key = harness.administer("POST", &format!("{one}/api-keys"), Some(&json!({"name": "first"}))).await;
    let key = key.is_ok().data()["api_key"].as_str().expect("key").to_owned();
    assert!(key.starts_with("pf_live_"), "{key}");
    // Its mailboxes go to its own default workspace, and are its own.
    let mailbox = json!({"provider": "nylas", "settings": {"email": "team-b@acme.test"}});
    let grant = harness.ask(&key, "POST", "/v3/connect/custom", Some(&mailbox)).await;
    assert_eq!(grant.is_ok().data()["workspace_id"], data["default_workspace_id"]);
    assert_eq!(harness.ids("/v3/grants").await, [harness.agent.as_str()]);
    harness.get("/v3/grants/team-b@acme.test").await.refuses(404, "not_found", None);

    harness.administer("DELETE", &one, None).await.refuses(409, "application_not_empty", None);
    harness.ask(&key, "DELETE", "/v3/grants/team-b@acme.test", None).await.is_ok();
    let uri = json!({"url": "https://b.test/callback"});
    harness.ask(&key, "POST", "/v3/applications/redirect-uris", Some(&uri)).await.is_ok();
    let removed = harness.administer("DELETE", &one, None).await;
    assert_shape(&removed.is_ok().json, "request_id:string");
    harness.administer("GET", &one, None).await.refuses(404, "not_found", None);
    harness.administer("DELETE", &one, None).await.refuses(404, "not_found", None);
    harness.ask(&key, "GET", "/v3/grants", None).await.refuses(401, "invalid_api_key", None);
}

#[tokio::test]
async fn only_what_is_named_changes() {
    let harness = Harness::new().await;
    let one = format!("{ALL}/{}", harness.acme.application_id);
    let before = harness.administer("GET", &one, None).await;
    harness.world.advance(60);
    let changed = harness.administer("PATCH", &one, Some(&json!({"name": "New", "environment": "staging"}))).await;
    let data = changed.is_ok().data();
    assert_eq!((&data["name"], &data["environment"]), (&json!("New"), &json!("staging")));
    assert_eq!((&data["branding"]["name"], &data["created_at"]), (&json!("New"), &before.data()["created_at"]));
    assert_eq!(data["updated_at"], json!(before.data()["updated_at"].as_i64().expect("time") + 60));
    harness.world.advance(60);
    assert_eq!(harness.administer("PATCH", &one, Some(&json!({}))).await.data(), data);
}

#[tokio::test]
async fn an_operator_of_one_organization_has_its_applications_alone() {
    let harness = Harness::new().await;
    let key = harness.operator(&["*"]).await;
    let other = harness.other.application_id.to_string();
    assert_eq!(ids(&harness.ask(&key, "GET", ALL, None).await), [harness.acme.application_id.to_string()]);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({"name": "x"}))), ("DELETE", None)] {
        let theirs = harness.ask(&key, method, &format!("{ALL}/{other}"), body.as_ref()).await;
        let nobodys = harness.ask(&key, method, &format!("{ALL}/{NOBODY}"), body.as_ref()).await;
        theirs.refuses(404, "not_found", None);
        assert_eq!(theirs.without_id(), nobodys.without_id());
    }
    let theirs = json!({"name": "x", "organization_id": harness.other.organization_id.to_string()});
    let refused = harness.ask(&key, "POST", ALL, Some(&theirs)).await;
    refused.refuses(400, "invalid_request", Some("organization_id"));
    let list = format!("{ALL}?organization_id={}", harness.other.organization_id);
    harness.ask(&key, "GET", &list, None).await.refuses(400, "invalid_request", Some("organization_id"));
    // The installation's operator acts in every organization.
    let made = harness.administer("POST", ALL, Some(&theirs)).await;
    assert_eq!(made.is_ok().data()["organization_id"], harness.other.organization_id.to_string());
    assert_eq!(ids(&harness.administer("GET", &list, None).await).len(), 2);
    assert_eq!(ids(&harness.administer("GET", ALL, None).await).len(), 1);
}

#[tokio::test]
async fn a_page_shows_the_redirect_uris_of_its_applications() {
    let harness = Harness::new().await;
    let uri = json!({"url": "https://acme.test/callback"});
    harness.post("/v3/applications/redirect-uris", &uri).await.is_ok();
    harness.world.advance(1);
    harness.administer("POST", ALL, Some(&json!({"name": "second"}))).await.is_ok();
    let first = harness.administer("GET", &format!("{ALL}?limit=1"), None).await;
    assert_eq!((&first.data()[0]["name"], &first.data()[0]["callback_uris"]), (&json!("second"), &json!([])));
    let cursor = first.json["next_cursor"].as_str().expect("cursor");
    let last = harness.administer("GET", &format!("{ALL}?limit=1&page_token={cursor}"), None).await;
    assert_eq!(last.data()[0]["callback_uris"][0]["url"], "https://acme.test/callback");
    assert!(last.json.get("next_cursor").is_none());
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    for (body, field, says) in [
        (json!({}), Some("name"), "missing field `name`"),
        (json!({"name": ""}), Some("name"), "1 to 256 characters"),
        (json!({"name": "x", "environment": "live"}), Some("environment"), "production, sandbox, staging"),
        (json!({"name": "x", "organization_id": "acme"}), Some("organization_id"), "must be a UUID"),
        (json!({"name": "x", "organization_id": NOBODY}), Some("organization_id"), "names no organization"),
        (json!({"name": "x", "branding": {"name": "n".repeat(257)}}), Some("branding.name"), "at most 256"),
        (json!({"name": "x", "branding": {"description": "n".repeat(1_025)}}), Some("branding.description"), "1024"),
        (json!({"name": "x", "branding": {"icon_url": "n".repeat(2_049)}}), Some("branding.icon_url"), "2048"),
        (json!({"name": "x", "branding": "b"}), Some("branding"), "invalid type"),
    ] {
        harness.administer("POST", ALL, Some(&body)).await.refuses(400, "invalid_request", field).says(says);
    }
    let largest = json!({"name": "x", "branding": {"name": "n".repeat(256), "description": "d".repeat(1_024)}});
    harness.administer("POST", ALL, Some(&largest)).await.is_ok();
}
