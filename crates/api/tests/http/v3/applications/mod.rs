//! `/v3/applications`: the application of the key.

pub(crate) mod redirect_uris;

use crate::support::{Harness, NOBODY, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] =
    &["GET /v3/applications", "PATCH /v3/applications", "GET /v3/applications/{application}"];

pub(crate) const APPLICATION: &str = "application_id:string id:string name:string organization_id:string region:string \
    environment:string default_workspace_id:string v2_application_id:string? branding:object \
    hosted_authentication:object? callback_uris:array idp_settings:object? domain:string? blocked:boolean \
    created_at:integer updated_at:integer";
const BRANDING: &str = "name:string? icon_url:string? website_url:string? description:string?";
const HOSTED: &str = "background_image_url:string? alignment:string? color_primary:string? color_secondary:string? \
    title:string? subtitle:string? background_color:string? spacing:integer? terms_of_service_url:string? \
    privacy_policy_url:string?";

const OWN: &str = "/v3/applications";

#[tokio::test]
async fn a_key_shows_its_own_application() {
    let harness = Harness::new().await;
    let own = harness.get(OWN).await;
    let data = own.is_ok().data();
    assert_shape(data, APPLICATION);
    assert_shape(&data["branding"], BRANDING);
    let id = harness.acme.application_id.to_string();
    assert_eq!((data["id"].as_str(), data["application_id"].as_str()), (Some(id.as_str()), Some(id.as_str())));
    assert_eq!(data["organization_id"], harness.acme.organization_id.to_string());
    assert_eq!(data["default_workspace_id"], harness.acme.workspace_id.to_string());
    assert_eq!((&data["environment"], &data["blocked"]), (&json!("sandbox"), &json!(false)));
    assert_eq!(harness.get(&format!("{OWN}/{id}")).await.data(), data);
    let theirs = harness.get(&format!("{OWN}/{}", harness.other.application_id)).await;
    theirs.refuses(404, "not_found", None);
    assert_eq!(theirs.without_id(), harness.get(&format!("{OWN}/{NOBODY}")).await.without_id());
}

#[tokio::test]
async fn objects_are_replaced_whole_and_what_is_absent_stays() {
    let harness = Harness::new().await;
    let patch = async |body: Value| harness.ask(&harness.acme.api_key, "PATCH", OWN, Some(&body)).await;
    let first = patch(json!({
        "branding": {"name": "Acme", "icon_url": "https://acme.test/i.png", "description": "d"},
        "hosted_authentication": {"title": "Sign in", "spacing": 5},
        "idp_settings": {"origins": "https://acme.test"},
        "domain": "login.acme.test",
        "callback_uris": [{"url": "https://ignored.test/"}],
        "additional_settings": {"rotate_refresh_token": true},
    }))
    .await;
    let data = first.is_ok().data();
    assert_shape(data, APPLICATION);
    assert_shape(&data["hosted_authentication"], HOSTED);
    assert_eq!(
        (&data["branding"]["icon_url"], &data["domain"]),
        (&json!("https://acme.test/i.png"), &json!("login.acme.test"))
    );
    assert_eq!((&data["hosted_authentication"]["spacing"], &data["callback_uris"]), (&json!(5), &json!([])));

    let second = patch(json!({"branding": {"website_url": "https://acme.test/"}})).await;
    let data = second.is_ok().data();
    // Without a name of its own it has that of the application.
    assert_eq!((&data["branding"]["name"], &data["branding"]["icon_url"]), (&json!("acme.test"), &Value::Null));
    assert_eq!(data["branding"]["website_url"], "https://acme.test/");
    assert_eq!(
        (&data["hosted_authentication"]["title"], &data["domain"]),
        (&json!("Sign in"), &json!("login.acme.test"))
    );

    let third = patch(json!({"hosted_authentication": null, "idp_settings": null, "domain": ""})).await;
    let data = third.is_ok().data();
    assert_eq!(
        (&data["hosted_authentication"], &data["idp_settings"], &data["domain"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(harness.get(OWN).await.data(), data);
    assert_eq!(harness.ask(&harness.other.api_key, "GET", OWN, None).await.data()["branding"]["name"], "other.test");
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    for (body, field, says) in [
        (json!({"branding": {"name": "n".repeat(257)}}), "branding.name", "at most 256 characters"),
        (json!({"branding": {"name": "a\nb"}}), "branding.name", "control characters"),
        (json!({"branding": {"name": 1}}), "branding.name", "invalid type"),
        (json!({"hosted_authentication": {"title": "t".repeat(2_049)}}), "hosted_authentication.title", "2048"),
        (json!({"hosted_authentication": {"spacing": "wide"}}), "hosted_authentication.spacing", "invalid type"),
        (json!({"idp_settings": {"issuers": "i".repeat(2_049)}}), "idp_settings.issuers", "2048"),
        (json!({"domain": "d".repeat(254)}), "domain", "at most 253 characters"),
    ] {
        let answer = harness.ask(&harness.acme.api_key, "PATCH", OWN, Some(&body)).await;
        answer.refuses(400, "invalid_request", Some(field)).says(says);
    }
}
