//! `/v3/templates` and `/v3/grants/{grant}/templates`, and messages that are made of one.

use crate::support::{Harness, NOBODY, assert_shape};
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/templates",
    "POST /v3/templates",
    "POST /v3/templates/render",
    "GET /v3/templates/{template}",
    "PUT /v3/templates/{template}",
    "PATCH /v3/templates/{template}",
    "DELETE /v3/templates/{template}",
    "POST /v3/templates/{template}/render",
    "GET /v3/grants/{grant}/templates",
    "POST /v3/grants/{grant}/templates",
    "POST /v3/grants/{grant}/templates/render",
    "GET /v3/grants/{grant}/templates/{grant_template}",
    "PUT /v3/grants/{grant}/templates/{grant_template}",
    "PATCH /v3/grants/{grant}/templates/{grant_template}",
    "DELETE /v3/grants/{grant}/templates/{grant_template}",
    "POST /v3/grants/{grant}/templates/{grant_template}/render",
];

const TEMPLATE: &str = "id:string object:string app_id:string? grant_id:string? engine:string name:string subject:string \
    body:string created_at:integer updated_at:integer";

fn letter() -> Value {
    json!({"name": "Order", "subject": "Order {{id}}", "body": "<p>Dear {{name}}, {{#items}}{{.}};{{/items}}</p>"})
}

async fn make(harness: &Harness, path: &str) -> Value {
    harness.post(path, &letter()).await.is_ok().data().clone()
}

fn one(path: &str, template: &Value) -> String {
    format!("{path}/{}", template["id"].as_str().expect("id"))
}

#[tokio::test]
async fn a_template_is_made_found_listed_changed_and_removed_at_both_levels() {
    let harness = Harness::new().await;
    let levels = [("/v3/templates".to_owned(), true), (harness.at("/templates"), false)];
    for (path, is_of_application) in &levels {
        let made = make(&harness, path).await;
        assert_shape(&made, TEMPLATE);
        assert_eq!((&made["object"], &made["engine"]), (&json!("template"), &json!("mustache")));
        let (application, grant) = (json!(harness.acme.application_id.to_string()), json!(harness.agent));
        let owners = if *is_of_application { (application, json!(null)) } else { (json!(null), grant) };
        assert_eq!((&made["app_id"], &made["grant_id"]), (&owners.0, &owners.1));
        let one = one(path, &made);
        assert_eq!(harness.get(&one).await.data(), &made);
        assert_eq!(harness.get(path).await.data(), &json!([made]));
        harness.world.advance(5);
        let changed = harness.patch(&one, &json!({"subject": "New {{id}}", "engine": "mustache"})).await;
        assert_eq!(
            (&changed.is_ok().data()["subject"], &changed.data()["body"]),
            (&json!("New {{id}}"), &made["body"])
        );
        assert_ne!(changed.data()["updated_at"], made["updated_at"]);
        harness.put(&one, &json!({"body": "{{#a}}"})).await.refuses(400, "invalid_request", Some("body"));
        let rendered = harness
            .post(&format!("{one}/render"), &json!({"variables": {"id": "<7>", "name": "<A>", "items": [1, 2]}}))
            .await;
        assert_eq!(rendered.is_ok().data(), &json!({"subject": "New <7>", "body": "<p>Dear &lt;A&gt;, 1;2;</p>"}));
        // What is of one level is not of the other.
        for (other, _) in levels.iter().filter(|(other, _)| other != path) {
            harness.get(&self::one(other, &made)).await.refuses(404, "not_found", None);
            harness.delete(&self::one(other, &made)).await.refuses(404, "not_found", None);
        }
        harness.delete(&one).await.is_ok();
        harness.delete(&one).await.refuses(404, "not_found", None);
        assert_eq!(harness.get(path).await.data(), &json!([]));
    }
    let text = harness.get("/v3/audit").await.json.to_string();
    for action in ["template.created", "template.updated", "template.removed"] {
        assert!(text.contains(action), "{action}");
    }
}

#[tokio::test]
async fn what_a_template_may_be_is_checked() {
    let harness = Harness::new().await;
    for (change, field, says) in [
        (json!({"name": null}), "name", "given"),
        (json!({"subject": null}), "subject", "given"),
        (json!({"body": null}), "body", "given"),
        (json!({"engine": "handlebars"}), "engine", "mustache"),
        (json!({"subject": "a\nb"}), "subject", "control"),
        (json!({"subject": "x".repeat(999)}), "subject", "998"),
        (json!({"body": "x".repeat(524_289)}), "body", "524288"),
        (json!({"body": "a\n{{#x}}"}), "body", "line 2"),
        (json!({"subject": "{{> p}}"}), "subject", "partials"),
    ] {
        let mut body = letter();
        body.as_object_mut().expect("object").extend(change.as_object().expect("object").clone());
        harness.post("/v3/templates", &body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    let mut largest = letter();
    (largest["subject"], largest["body"]) = (json!("x".repeat(998)), json!("x".repeat(524_288)));
    harness.post("/v3/templates", &largest).await.is_ok();
}

#[tokio::test]
async fn pages_hold_every_template_once() {
    let harness = Harness::new().await;
    for path in ["/v3/templates".to_owned(), harness.at("/templates")] {
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(make(&harness, &path).await["id"].clone());
            harness.world.advance(1);
        }
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = harness.get(&format!("{path}?limit=2{token}")).await;
            seen.extend(page.is_ok().data().as_array().expect("page").iter().map(|template| template["id"].clone()));
            let Some(next) = page.json["next_cursor"].as_str() else { break };
            token = format!("&page_token={next}");
        }
        assert_eq!(seen, made);
        harness.get(&format!("{path}?limit=201")).await.refuses(400, "invalid_request", Some("limit"));
        harness.get(&format!("{path}?page_token=x")).await.refuses(400, "invalid_request", Some("page_token"));
    }
}

#[tokio::test]
async fn a_body_is_filled_in_and_what_is_missing_is_named() {
    let harness = Harness::new().await;
    let template = make(&harness, "/v3/templates").await;
    let render = format!("{}/render", one("/v3/templates", &template));
    let refused = harness.post(&render, &json!({"variables": {"id": 1}})).await;
    refused.refuses(400, "invalid_request", Some("variables.name"));
    let lax = harness.post(&render, &json!({"strict": false})).await;
    assert_eq!(lax.is_ok().data(), &json!({"subject": "Order ", "body": "<p>Dear , </p>"}));
    for path in ["/v3/templates/render".to_owned(), harness.at("/templates/render")] {
        let body = json!({"body": "Hi {{user.name}}", "engine": "mustache", "variables": {"user": {"name": "A&B"}}});
        assert_eq!(harness.post(&path, &body).await.is_ok().data(), &json!({"body": "Hi A&amp;B"}));
        let missing = json!({"body": "Hi {{user.name}}", "variables": {"user": {}}});
        harness.post(&path, &missing).await.refuses(400, "invalid_request", Some("variables.user.name"));
        harness.post(&path, &json!({"variables": {}})).await.refuses(400, "invalid_request", Some("body"));
        let other = json!({"body": "x", "engine": "twig"});
        harness.post(&path, &other).await.refuses(400, "invalid_request", Some("engine"));
        let wrong = json!({"body": "x", "variables": [1]});
        harness.post(&path, &wrong).await.refuses(400, "invalid_request", Some("variables"));
    }
}

#[tokio::test]
async fn a_message_is_made_of_a_template() {
    let harness = Harness::new().await;
    let of_application = make(&harness, "/v3/templates").await["id"].clone();
    let of_mailbox = make(&harness, &harness.at("/templates")).await["id"].clone();
    let send = async |extra: Value| {
        let mut body = json!({"to": [{"email": "ada@sender.test"}], "allow_duplicate": true});
        body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
        harness.post(&harness.at("/messages/send"), &body).await
    };
    let values = json!({"id": 7, "name": "<Ada>", "items": ["a"]});
    for id in [&of_application, &of_mailbox] {
        let sent = send(json!({"template": {"id": id, "variables": values}})).await;
        assert_eq!(sent.is_ok().data()["subject"], "Order 7");
        assert_eq!(sent.data()["body"].as_str().expect("body").trim_end(), "<p>Dear &lt;Ada&gt;, a;</p>");
        // What is given goes before.
        let sent = send(json!({"subject": "Mine", "template": {"id": id, "variables": values}})).await;
        assert_eq!(sent.is_ok().data()["subject"], "Mine");
        let sent = send(json!({"body": "Mine", "template": {"id": id, "variables": {"id": 7}}})).await;
        assert_eq!((&sent.is_ok().data()["subject"], &sent.data()["snippet"]), (&json!("Order 7"), &json!("Mine")));
    }
    let plain = send(json!({"is_plaintext": true, "template": {"id": of_mailbox, "variables": values}})).await;
    assert_eq!(plain.is_ok().data()["body"].as_str().expect("body").trim_end(), "<p>Dear <Ada>, a;</p>");
    let refused = send(json!({"template": {"id": of_mailbox, "variables": {"id": 7}}})).await;
    refused.refuses(400, "invalid_request", Some("template.variables.name"));
    let lax = send(json!({"template": {"id": of_mailbox, "strict": false}})).await;
    assert_eq!(lax.is_ok().data()["subject"], "Order ");
    for unknown in [json!(NOBODY), json!("nonsense")] {
        send(json!({"template": {"id": unknown}})).await.refuses(400, "invalid_request", Some("template.id"));
    }
    send(json!({"template": {}})).await.refuses(400, "invalid_request", Some("template"));
    // A template of another mailbox, and of another application, is like one that does not exist.
    let second = json!({"provider": "nylas", "settings": {"email": "second@acme.test"}});
    let second = harness.post("/v3/connect/custom", &second).await.is_ok().data()["id"].clone();
    let theirs = make(&harness, &format!("/v3/grants/{}/templates", second.as_str().expect("id"))).await["id"].clone();
    let strange = harness.ask(&harness.other.api_key, "POST", "/v3/templates", Some(&letter())).await;
    for id in [theirs, strange.is_ok().data()["id"].clone()] {
        send(json!({"template": {"id": id}})).await.refuses(400, "invalid_request", Some("template.id"));
    }
}

#[tokio::test]
async fn a_key_holds_for_the_template_and_its_values() {
    let harness = Harness::new().await;
    let id = make(&harness, "/v3/templates").await["id"].clone();
    let body = |name: &str| json!({"to": [{"email": "ada@sender.test"}], "template": {"id": id, "variables": {"id": 1, "name": name, "items": []}}});
    let send = async |body: Value| {
        let request = axum::http::Request::builder()
            .method("POST")
            .uri(harness.at("/messages/send"))
            .header("authorization", format!("Bearer {}", harness.acme.api_key))
            .header("content-type", "application/json")
            .header("idempotency-key", "one")
            .body(axum::body::Body::from(body.to_string()))
            .expect("request");
        harness.request(request).await
    };
    let first = send(body("Ada")).await;
    // The template may change meanwhile.
    harness.patch(&one("/v3/templates", &json!({ "id": id })), &json!({"subject": "Other"})).await.is_ok();
    assert_eq!(send(body("Ada")).await.is_ok().data()["id"], first.is_ok().data()["id"]);
    assert!(send(body("Bob")).await.status >= 400);
}
