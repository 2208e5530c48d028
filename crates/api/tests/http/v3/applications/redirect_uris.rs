//! `/v3/applications/redirect-uris` and `/v3/applications/callback-uris`.

use crate::support::{Harness, NOBODY, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/applications/redirect-uris",
    "POST /v3/applications/redirect-uris",
    "GET /v3/applications/redirect-uris/{redirect_uri}",
    "PATCH /v3/applications/redirect-uris/{redirect_uri}",
    "PUT /v3/applications/redirect-uris/{redirect_uri}",
    "DELETE /v3/applications/redirect-uris/{redirect_uri}",
    "GET /v3/applications/callback-uris",
    "POST /v3/applications/callback-uris",
    "GET /v3/applications/callback-uris/{redirect_uri}",
    "PATCH /v3/applications/callback-uris/{redirect_uri}",
    "PUT /v3/applications/callback-uris/{redirect_uri}",
    "DELETE /v3/applications/callback-uris/{redirect_uri}",
];

const REDIRECT_URI: &str = "id:string url:string platform:string settings:object";
const SETTINGS: &str = "origin:string? bundle_id:string? app_store_id:string? team_id:string? package_name:string? \
    sha1_certificate_fingerprint:string?";

const PATHS: [&str; 2] = ["/v3/applications/redirect-uris", "/v3/applications/callback-uris"];

async fn make(harness: &Harness, url: &str) -> Value {
    harness.post(PATHS[0], &json!({"url": url})).await.is_ok().data().clone()
}

#[tokio::test]
async fn both_paths_lead_to_the_same() {
    for (path, other) in [(PATHS[0], PATHS[1]), (PATHS[1], PATHS[0])] {
        let harness = Harness::new().await;
        assert_eq!(harness.get(path).await.data(), &json!([]));
        let body = json!({"url": "http://localhost:9007/callback", "platform": "web", "settings": {"origin": "o"}});
        let made = harness.post(path, &body).await;
        assert_eq!(made.status, 200);
        assert_shape(made.data(), REDIRECT_URI);
        assert_shape(&made.data()["settings"], SETTINGS);
        assert_eq!((&made.data()["url"], &made.data()["settings"]["origin"]), (&body["url"], &json!("o")));

        let one = format!("{other}/{}", made.data()["id"].as_str().expect("id"));
        assert_eq!(harness.get(&one).await.data(), made.data());
        let list = harness.get(other).await;
        assert_shape(&list.json, "request_id:string data:array");
        assert_eq!(list.data(), &json!([made.data()]));
        assert_eq!(harness.get("/v3/applications").await.data()["callback_uris"], json!([made.data()]));

        for (method, change) in [("PATCH", json!({"url": "https://a.test/"})), ("PUT", json!({"platform": "js"}))] {
            let changed = harness.ask(&harness.acme.api_key, method, &one, Some(&change)).await;
            assert_shape(changed.is_ok().data(), REDIRECT_URI);
        }
        let now = harness.get(&one).await;
        assert_eq!((&now.data()["url"], &now.data()["platform"]), (&json!("https://a.test/"), &json!("js")));
        assert_eq!(now.data()["settings"]["origin"], "o", "what is not named stays");
        let cleared =
            harness.ask(&harness.acme.api_key, "PATCH", &one, Some(&json!({"settings": {"team_id": "t"}}))).await;
        assert_eq!(
            (&cleared.data()["settings"]["origin"], &cleared.data()["settings"]["team_id"]),
            (&Value::Null, &json!("t"))
        );

        let removed = harness.delete(&one).await;
        assert_shape(&removed.is_ok().json, "request_id:string");
        harness.get(&one).await.refuses(404, "not_found", None);
        harness.delete(&one).await.refuses(404, "not_found", None);
    }
}

#[tokio::test]
async fn the_platform_is_web_unless_named() {
    let harness = Harness::new().await;
    assert_eq!(make(&harness, "https://a.test/").await["platform"], "web");
    let app = json!({"url": "com.acme.app:/callback", "platform": "ios", "settings": {"bundle_id": "com.acme.app"}});
    assert_eq!(harness.post(PATHS[0], &app).await.is_ok().data()["platform"], "ios");
}

#[tokio::test]
async fn a_fingerprint_is_taken_in_both_spellings() {
    let harness = Harness::new().await;
    for name in ["sha1_certificate_fingerprint", "sha_1_certificate_fingerprint"] {
        let body = json!({"url": format!("https://a.test/{name}"), "platform": "android", "settings": {name: "AA:BB"}});
        let made = harness.post(PATHS[0], &body).await;
        assert_shape(&made.is_ok().data()["settings"], SETTINGS);
        assert_eq!(made.data()["settings"]["sha1_certificate_fingerprint"], "AA:BB");
        let one = format!("{}/{}", PATHS[0], made.data()["id"].as_str().expect("id"));
        let changed = json!({"settings": {name: "CC:DD"}});
        harness.ask(&harness.acme.api_key, "PATCH", &one, Some(&changed)).await.is_ok();
        assert_eq!(harness.get(&one).await.data()["settings"]["sha1_certificate_fingerprint"], "CC:DD");
    }
}

#[tokio::test]
async fn a_url_is_unique_in_its_application() {
    let harness = Harness::new().await;
    make(&harness, "https://a.test/").await;
    let again = harness.post(PATHS[1], &json!({"url": "https://a.test/"})).await;
    again.refuses(409, "redirect_uri_taken", Some("url")).says("already exists");
    let theirs = harness.ask(&harness.other.api_key, "POST", PATHS[0], Some(&json!({"url": "https://a.test/"}))).await;
    theirs.is_ok();
    let second = make(&harness, "https://b.test/").await;
    let one = format!("{}/{}", PATHS[0], second["id"].as_str().expect("id"));
    let moved = harness.ask(&harness.acme.api_key, "PATCH", &one, Some(&json!({"url": "https://a.test/"}))).await;
    moved.refuses(409, "redirect_uri_taken", Some("url"));
    // Its own is not another's.
    harness
        .ask(&harness.acme.api_key, "PATCH", &one, Some(&json!({"url": "https://b.test/", "platform": "js"})))
        .await
        .is_ok();
}

#[tokio::test]
async fn another_applications_redirect_uri_looks_like_none() {
    let harness = Harness::new().await;
    let made = harness.ask(&harness.other.api_key, "POST", PATHS[0], Some(&json!({"url": "https://a.test/"}))).await;
    let theirs = made.data()["id"].as_str().expect("id");
    for path in PATHS {
        for (method, body) in [("GET", None), ("PATCH", Some(json!({"url": "https://b.test/"}))), ("DELETE", None)] {
            let ask = async |id: &str| {
                harness.ask(&harness.acme.api_key, method, &format!("{path}/{id}"), body.as_ref()).await
            };
            let (stranger, nobody) = (ask(theirs).await, ask(NOBODY).await);
            stranger.refuses(404, "not_found", None);
            assert_eq!(stranger.without_id(), nobody.without_id());
        }
    }
    let after = harness.ask(&harness.other.api_key, "GET", &format!("{}/{theirs}", PATHS[0]), None).await;
    assert_eq!(after.data(), made.data());
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    for (body, field, says) in [
        (json!({}), Some("url"), "missing field `url`"),
        (json!({"url": ""}), Some("url"), "not an absolute URI"),
        (json!({"url": "/callback"}), Some("url"), "not an absolute URI"),
        (json!({"url": "https://a.test/#x"}), Some("url"), "fragment"),
        (json!({"url": "javascript:alert(1)"}), Some("url"), "leads nowhere"),
        (json!({"url": "com.acme.app:/callback"}), Some("url"), "https or http"),
        (json!({"url": format!("https://a.test/{}", "x".repeat(2_048))}), Some("url"), "2048"),
        (json!({"url": "https://a.test/", "platform": "tv"}), Some("platform"), "web, js, ios, android, desktop"),
        (json!({"url": "https://a.test/", "settings": {"origin": "o".repeat(1_025)}}), Some("settings.origin"), "1024"),
        (json!({"url": "https://a.test/", "settings": {"origin": 1}}), Some("settings.origin"), "invalid type"),
    ] {
        harness.post(PATHS[0], &body).await.refuses(400, "invalid_request", field).says(says);
    }
    // What would come of a change is what is judged.
    let app = json!({"url": "com.acme.app:/callback", "platform": "android"});
    let made = harness.post(PATHS[0], &app).await;
    let one = format!("{}/{}", PATHS[0], made.data()["id"].as_str().expect("id"));
    let web = harness.ask(&harness.acme.api_key, "PATCH", &one, Some(&json!({"platform": "web"}))).await;
    web.refuses(400, "invalid_request", Some("url")).says("https or http");
}

#[tokio::test]
async fn the_hundredth_is_taken_and_the_next_is_not() {
    let harness = Harness::new().await;
    for number in 0..100 {
        make(&harness, &format!("https://a.test/{number}")).await;
    }
    let over = harness.post(PATHS[0], &json!({"url": "https://a.test/over"})).await;
    over.refuses(403, "redirect_uris_max_reached", None);
    assert_eq!(harness.get(PATHS[0]).await.data().as_array().expect("list").len(), 100);
}
