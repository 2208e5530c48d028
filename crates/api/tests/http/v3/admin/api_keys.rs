//! `/v3/admin/applications/{application}/api-keys`.

use crate::support::{Answer, Harness, NOBODY, assert_shape, ids};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/admin/applications/{application}/api-keys",
    "POST /v3/admin/applications/{application}/api-keys",
    "GET /v3/admin/applications/{application}/api-keys/{key}",
    "PATCH /v3/admin/applications/{application}/api-keys/{key}",
    "POST /v3/admin/applications/{application}/api-keys/{key}/rotate",
    "DELETE /v3/admin/applications/{application}/api-keys/{key}",
];

pub(crate) const KEY: &str = "id:string name:string application_id:string? organization_id:string installation:boolean \
    permissions:array capabilities:object status:string hint:string last_used_at:integer? created_at:integer updated_at:integer \
    expires_at:integer?";

pub(crate) fn with_secret() -> String {
    format!("{KEY} api_key:string")
}

const DAY: u64 = 86_400;

fn all(harness: &Harness) -> String {
    format!("/v3/admin/applications/{}/api-keys", harness.acme.application_id)
}

/// A key and the path at which it is.
async fn make(harness: &Harness, body: &Value) -> (String, String) {
    let made = harness.administer("POST", &all(harness), Some(body)).await;
    let text = |field: &str| made.is_ok().data()[field].as_str().expect("text").to_owned();
    (text("api_key"), format!("{}/{}", all(harness), text("id")))
}

async fn works(harness: &Harness, key: &str) -> bool {
    let answer: Answer = harness.ask(key, "GET", "/v3/grants", None).await;
    if answer.status != 200 {
        answer.refuses(401, "invalid_api_key", None);
        assert_eq!(answer.json["error"]["type"], "unauthorized");
    }
    answer.status == 200
}

#[tokio::test]
async fn several_keys_are_good_at_once_and_a_revoked_one_is_not_for_another_request() {
    let harness = Harness::new().await;
    let made = harness.administer("POST", &all(&harness), Some(&json!({"name": "CI", "expires_in": 30}))).await;
    assert_eq!(made.status, 200);
    assert_shape(made.data(), &with_secret());
    let data = made.data();
    let secret = data["api_key"].as_str().expect("key");
    assert!(secret.starts_with("pf_test_") && secret.starts_with(data["hint"].as_str().expect("hint")));
    assert!(data["hint"].as_str().expect("hint").len() < 16, "a hint gives nothing away");
    assert_eq!((&data["status"], &data["permissions"]), (&json!("active"), &json!(["*"])));
    assert_eq!(data["application_id"], harness.acme.application_id.to_string());
    let created_at = data["created_at"].as_i64().expect("time");
    assert_eq!(data["expires_at"], json!(created_at + 30 * DAY as i64));
    let (second, path) = make(&harness, &json!({"name": "second"})).await;
    assert!(
        works(&harness, secret).await && works(&harness, &second).await && works(&harness, &harness.acme.api_key).await
    );

    assert_shape(&harness.administer("DELETE", &path, None).await.is_ok().json, "request_id:string");
    assert!(!works(&harness, &second).await, "the very next request is refused");
    assert!(works(&harness, secret).await);
    let revoked = harness.administer("GET", &path, None).await;
    assert_shape(revoked.data(), KEY);
    assert_eq!(revoked.data()["status"], "revoked");
    // Revoking again changes nothing; nothing brings it back.
    harness.administer("DELETE", &path, None).await.is_ok();
    harness.administer("PATCH", &path, Some(&json!({"name": "x"}))).await.refuses(409, "key_revoked", None);
    harness.administer("POST", &format!("{path}/rotate"), None).await.refuses(409, "key_revoked", None);
}

#[tokio::test]
async fn secrets_are_shown_once_and_lists_have_all_keys() {
    let harness = Harness::new().await;
    harness.world.advance(1);
    let (_, path) = make(&harness, &json!({"name": "second", "permissions": ["grants.read", "grants.read"]})).await;
    let list = harness.administer("GET", &all(&harness), None).await;
    let keys = list.is_ok().data().as_array().expect("list");
    for key in keys {
        assert_shape(key, KEY);
    }
    assert_eq!((&keys[0]["name"], &keys[1]["name"]), (&json!("second"), &json!("first key")));
    assert_eq!(keys[0]["permissions"], json!(["grants.read"]), "each once");
    assert_eq!((&keys[0]["expires_at"], &keys[0]["last_used_at"]), (&Value::Null, &Value::Null));
    assert_shape(harness.administer("GET", &path, None).await.data(), KEY);
    let first = harness.administer("GET", &format!("{}?limit=1", all(&harness)), None).await;
    let cursor = first.json["next_cursor"].as_str().expect("cursor");
    let last = harness.administer("GET", &format!("{}?limit=1&page_token={cursor}", all(&harness)), None).await;
    assert_eq!([ids(&first), ids(&last)].concat(), ids(&list));
    assert!(last.json.get("next_cursor").is_none());
}

#[tokio::test]
async fn a_key_ends_with_its_last_day_and_may_be_given_more() {
    let harness = Harness::new().await;
    let (key, path) = make(&harness, &json!({"name": "short", "expires_in": 1})).await;
    harness.world.advance(DAY - 1);
    assert!(works(&harness, &key).await);
    harness.world.advance(1);
    assert!(!works(&harness, &key).await);
    assert_eq!(harness.administer("GET", &path, None).await.data()["status"], "expired");
    let longer = harness.administer("PATCH", &path, Some(&json!({"expires_in": 2}))).await;
    assert_eq!(longer.is_ok().data()["status"], "active");
    assert!(works(&harness, &key).await);
    let endless = harness.administer("PATCH", &path, Some(&json!({"expires_in": null}))).await;
    assert_eq!(endless.is_ok().data()["expires_at"], Value::Null);
    harness.world.advance(3 * DAY);
    assert!(works(&harness, &key).await);
}

#[tokio::test]
async fn a_rotated_key_has_another_secret_and_the_old_one_ends_with_the_overlap() {
    let harness = Harness::new().await;
    let (first, path) = make(&harness, &json!({"name": "key"})).await;
    let rotate = async |body: Option<Value>| {
        let rotated = harness.administer("POST", &format!("{path}/rotate"), body.as_ref()).await;
        assert_shape(rotated.is_ok().data(), &with_secret());
        assert!(path.ends_with(rotated.data()["id"].as_str().expect("id")), "it stays the same key");
        rotated.data()["api_key"].as_str().expect("key").to_owned()
    };
    let second = rotate(None).await;
    assert!(first != second && !works(&harness, &first).await && works(&harness, &second).await);

    let third = rotate(Some(json!({"overlap_seconds": 60}))).await;
    harness.world.advance(59);
    assert!(works(&harness, &second).await && works(&harness, &third).await);
    harness.world.advance(1);
    assert!(!works(&harness, &second).await && works(&harness, &third).await);

    // One secret from before at most: rotating again ends it, and so does revoking the key.
    let fourth = rotate(Some(json!({"overlap_seconds": 604_800}))).await;
    let fifth = rotate(Some(json!({"overlap_seconds": 604_800}))).await;
    assert!(!works(&harness, &third).await && works(&harness, &fourth).await && works(&harness, &fifth).await);
    harness.administer("DELETE", &path, None).await.is_ok();
    assert!(!works(&harness, &fourth).await && !works(&harness, &fifth).await);
}

#[tokio::test]
async fn a_key_does_what_its_permissions_say() {
    let harness = Harness::new().await;
    let (key, path) = make(&harness, &json!({"name": "reader", "permissions": ["grants.read"]})).await;
    assert!(works(&harness, &key).await);
    let refused = harness.ask(&key, "GET", "/v3/webhooks", None).await;
    refused.refuses(403, "insufficient_scopes", None).says("webhooks.read");
    assert_eq!(refused.json["error"]["type"], "insufficient_scopes");
    let changed =
        harness.administer("PATCH", &path, Some(&json!({"permissions": ["webhooks.*"], "name": "hooks"}))).await;
    assert_eq!(
        (&changed.is_ok().data()["permissions"], &changed.data()["name"]),
        (&json!(["webhooks.*"]), &json!("hooks"))
    );
    harness.ask(&key, "GET", "/v3/webhooks", None).await.is_ok();
    harness.ask(&key, "GET", "/v3/grants", None).await.refuses(403, "insufficient_scopes", None);
}

#[tokio::test]
async fn nobody_makes_a_key_that_can_do_more_than_they() {
    let harness = Harness::new().await;
    let maker = harness.operator(&["keys.*", "grants.read"]).await;
    let (_, strong) = make(&harness, &json!({"name": "strong"})).await;
    let ask = async |method: &str, path: &str, body: Value| harness.ask(&maker, method, path, Some(&body)).await;
    for wanted in [json!(["*"]), json!(["grants.*"]), json!(["grants.read", "messages.send"])] {
        let refused = ask("POST", &all(&harness), json!({"name": "x", "permissions": wanted})).await;
        refused.refuses(403, "permission_exceeds_maker", Some("permissions"));
    }
    // Without a word it is what the maker is.
    let made = ask("POST", &all(&harness), json!({"name": "x"})).await;
    assert_eq!(made.is_ok().data()["permissions"], json!(["keys.*", "grants.read"]));
    // Nor do they come by the secret of one that can, or prolong it; they may take it away.
    for (method, path, body) in [
        ("POST", format!("{strong}/rotate"), json!({})),
        ("PATCH", strong.clone(), json!({"expires_in": 1})),
        ("PATCH", strong.clone(), json!({"permissions": ["*.read"]})),
    ] {
        ask(method, &path, body).await.refuses(403, "permission_exceeds_maker", Some("permissions"));
    }
    ask("PATCH", &strong, json!({"permissions": ["grants.read"]})).await.is_ok();
    harness.ask(&maker, "DELETE", &strong, None).await.is_ok();
    let reader = harness.operator(&["keys.read"]).await;
    harness.ask(&reader, "GET", &strong, None).await.is_ok();
    harness.ask(&reader, "DELETE", &strong, None).await.refuses(403, "insufficient_scopes", None);
}

#[tokio::test]
async fn keys_of_other_applications_look_like_none() {
    let harness = Harness::new().await;
    let key = harness.operator(&["*"]).await;
    let (_, own) = make(&harness, &json!({"name": "own"})).await;
    let id = own.rsplit('/').next().expect("id");
    let theirs = format!("/v3/admin/applications/{}/api-keys", harness.other.application_id);
    let nobodys = format!("/v3/admin/applications/{NOBODY}/api-keys");
    let listed = ids(&harness.administer("GET", &theirs, None).await);
    for (method, rest, body) in [
        ("GET", String::new(), None),
        ("POST", String::new(), Some(json!({"name": "x"}))),
        ("GET", format!("/{}", listed[0]), None),
        ("PATCH", format!("/{}", listed[0]), Some(json!({"name": "x"}))),
        ("POST", format!("/{}/rotate", listed[0]), None),
        ("DELETE", format!("/{}", listed[0]), None),
    ] {
        let stranger = harness.ask(&key, method, &format!("{theirs}{rest}"), body.as_ref()).await;
        let nobody = harness.ask(&key, method, &format!("{nobodys}{rest}"), body.as_ref()).await;
        stranger.refuses(404, "not_found", None);
        assert_eq!(stranger.without_id(), nobody.without_id(), "{method} {rest}");
    }
    assert!(works(&harness, &harness.other.api_key).await);
    // A key is found with its own application only, and an operator's with none.
    harness.administer("GET", &format!("{theirs}/{id}"), None).await.refuses(404, "not_found", None);
    harness.administer("GET", &format!("/v3/admin/keys/{id}"), None).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn when_a_key_was_last_seen_is_noted_once_a_minute() {
    let harness = Harness::new().await;
    let (key, path) = make(&harness, &json!({"name": "seen"})).await;
    let id = path.rsplit('/').next().expect("id");
    let seen = async || {
        // A command that is waited for comes after what was handed over before it.
        harness.world.platform.store.probe().await.expect("probe");
        harness.administer("GET", &path, None).await.data()["last_used_at"].as_i64()
    };
    assert_eq!(seen().await, None, "{id}");
    let start = harness.world.platform.clock.now().as_seconds();
    assert!(works(&harness, &key).await);
    assert_eq!(seen().await, Some(start));
    harness.world.advance(59);
    assert!(works(&harness, &key).await);
    assert_eq!(seen().await, Some(start));
    harness.world.advance(1);
    assert!(works(&harness, &key).await);
    assert_eq!(seen().await, Some(start + 60));
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let (_, path) = make(&harness, &json!({"name": "n".repeat(256), "expires_in": 3_650})).await;
    let rotate = format!("{path}/rotate");
    let all = all(&harness);
    let many = vec!["grants.read"; 101];
    for (method, path, body, field, says) in [
        ("POST", &all, json!({}), Some("name"), "missing field `name`"),
        ("POST", &all, json!({"name": ""}), Some("name"), "1 to 256 characters"),
        ("POST", &all, json!({"name": "x", "expires_in": 0}), Some("expires_in"), "1 to 3650"),
        ("POST", &all, json!({"name": "x", "expires_in": 3_651}), Some("expires_in"), "1 to 3650"),
        ("POST", &all, json!({"name": "x", "expires_in": -1}), Some("expires_in"), "1 to 3650"),
        ("POST", &all, json!({"name": "x", "expires_in": 1.5}), Some("expires_in"), "invalid type"),
        ("POST", &all, json!({"name": "x", "permissions": []}), Some("permissions"), "1 to 100"),
        ("POST", &all, json!({"name": "x", "permissions": many}), Some("permissions"), "1 to 100"),
        ("POST", &all, json!({"name": "x", "permissions": ["grants.fly"]}), Some("permissions"), "\"grants.fly\""),
        ("PATCH", &path, json!({"permissions": ["*.*"]}), Some("permissions"), "\"*.*\" is not a permission"),
        ("PATCH", &path, json!({"expires_in": 0}), Some("expires_in"), "1 to 3650"),
        ("POST", &rotate, json!({"overlap_seconds": -1}), Some("overlap_seconds"), "0 to 604800"),
        ("POST", &rotate, json!({"overlap_seconds": 604_801}), Some("overlap_seconds"), "0 to 604800"),
    ] {
        harness.administer(method, path, Some(&body)).await.refuses(400, "invalid_request", field).says(says);
    }
}
