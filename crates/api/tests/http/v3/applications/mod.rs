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
        "callback_uris": null,
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
async fn redirect_uris_are_made_and_changed_with_the_rest() {
    let harness = Harness::new().await;
    let patch = async |body: Value| harness.ask(&harness.acme.api_key, "PATCH", OWN, Some(&body)).await;
    let made = async |url: &str| {
        let body = json!({"url": url, "settings": {"origin": "o"}});
        harness.post("/v3/applications/redirect-uris", &body).await.is_ok().data().clone()
    };
    let (stays, changes) = (made("https://stays.test/").await, made("https://old.test/").await);
    harness.world.advance(5);
    let answer = patch(json!({
        "domain": "login.acme.test",
        "callback_uris": [
            {"id": changes["id"], "url": "https://changed.test/"},
            {"url": "https://old.test/"},
            {"url": "app:/callback", "platform": "ios", "settings": {"bundle_id": "test.app"}},
        ],
    }))
    .await;
    let data = answer.is_ok().data();
    assert_shape(data, APPLICATION);
    let mut seen: Vec<_> = data["callback_uris"].as_array().expect("list").clone();
    assert!(seen.contains(&stays), "what is not named stays");
    seen.sort_by_key(|uri| uri["url"].to_string());
    let shown = |uri: &Value| (uri["url"].clone(), uri["platform"].clone(), uri["settings"]["origin"].clone());
    let expected = [
        ("app:/callback", "ios", Value::Null),
        ("https://changed.test/", "web", json!("o")),
        ("https://old.test/", "web", Value::Null),
        ("https://stays.test/", "web", json!("o")),
    ];
    assert_eq!(
        seen.iter().map(shown).collect::<Vec<_>>(),
        expected.map(|(url, on, origin)| (json!(url), json!(on), origin))
    );
    assert_eq!(seen[1]["id"], changes["id"]);
    assert_eq!(harness.get(OWN).await.data(), data);

    // One record tells it all.
    let records = harness.get("/v3/audit").await;
    let record = &records.is_ok().data()[0];
    assert_eq!(record["action"], "application.updated");
    assert_eq!(record["before"]["callback_uris"][0]["url"], "https://old.test/");
    assert_eq!(record["after"]["callback_uris"].as_array().map(Vec::len), Some(3));
    assert_eq!(record["after"]["domain"], "login.acme.test");

    // What is sent back as it was shown changes nothing.
    harness.world.advance(5);
    let same = patch(json!({"callback_uris": data["callback_uris"]})).await;
    assert_eq!(same.is_ok().data(), data);
    assert_eq!(harness.get("/v3/audit").await.data()[0]["id"], record["id"]);
}

#[tokio::test]
async fn a_refused_redirect_uri_is_named_and_nothing_is_changed() {
    let harness = Harness::new().await;
    let body = json!({"url": "https://theirs.test/"});
    let theirs = harness.ask(&harness.other.api_key, "POST", "/v3/applications/redirect-uris", Some(&body)).await;
    let theirs = theirs.is_ok().data()["id"].clone();
    harness.post("/v3/applications/redirect-uris", &json!({"url": "https://mine.test/"})).await.is_ok();
    let before = harness.get(OWN).await;
    let patch = async |wrong: Value| {
        let body = json!({"domain": "new.test", "callback_uris": [{"url": "https://fine.test/"}, wrong]});
        harness.ask(&harness.acme.api_key, "PATCH", OWN, Some(&body)).await
    };
    for (wrong, field, says) in [
        (json!({"id": theirs, "url": "https://x.test/"}), "id", "callback_uris[1].id not found"),
        (json!({"id": NOBODY}), "id", "callback_uris[1].id not found"),
        (json!({"id": "x"}), "id", "callback_uris[1].id not found"),
        (json!({}), "url", "callback_uris[1].url is missing"),
        (json!({"url": "/callback"}), "url", "not an absolute URI"),
        (json!({"url": "app:/callback"}), "url", "https or http"),
        (json!({"url": "https://a.test/", "platform": "tv"}), "platform", "web, js, ios, android, desktop"),
        (json!({"url": "https://a.test/", "settings": {"origin": "o".repeat(1_025)}}), "settings.origin", "1024"),
        (json!({"url": "https://a.test/", "settings": {"origin": 1}}), "settings.origin", "invalid type"),
    ] {
        let field = format!("callback_uris[1].{field}");
        patch(wrong).await.refuses(400, "invalid_request", Some(&field)).says(says);
    }
    let taken = patch(json!({"url": "https://mine.test/"})).await;
    taken.refuses(409, "redirect_uri_taken", Some("callback_uris[1].url")).says("already exists");
    let ask = async |count: usize| {
        let list: Vec<_> = (0..count).map(|number| json!({"url": format!("https://a.test/{number}")})).collect();
        harness.ask(&harness.acme.api_key, "PATCH", OWN, Some(&json!({"callback_uris": list}))).await
    };
    ask(101).await.refuses(400, "invalid_request", Some("callback_uris")).says("at most 100");
    ask(100).await.refuses(403, "redirect_uris_max_reached", None);
    assert_eq!(harness.get(OWN).await.data(), before.data());
    assert_eq!(ask(99).await.is_ok().data()["callback_uris"].as_array().map(Vec::len), Some(100));
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
