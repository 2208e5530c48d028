//! `select=` on every GET: only the named fields of what is in `data`, and what clients cannot do without.

use crate::fixtures::{FIXTURES, fixture};
use crate::routes::{at_once, filled, protected, right_key};
use crate::support::{Harness, receiver};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_mailbox_and_a_list_of_them_show_what_was_selected() {
    let harness = Harness::new().await;
    let one = harness.get(&harness.at("?select=email,name")).await;
    assert_eq!(one.data(), &json!({"id": harness.agent, "email": "agent@acme.test", "name": "agent agent"}));
    let list = harness.get("/v3/grants?select=email&select=settings").await;
    assert_eq!(names(&list.data()[0]), ["id", "email", "settings"]);
    assert_eq!(list.data()[0]["settings"]["email"], "agent@acme.test");
    // The envelope stays.
    assert_eq!((&list.json["limit"], &list.json["offset"]), (&json!(10), &json!(0)));
}

#[tokio::test]
async fn a_message_shows_what_was_selected_and_its_pages_go_on() {
    let harness = Harness::new().await;
    harness.receive_about("one").await;
    harness.receive_about("two").await;
    let list = harness.get(&harness.at("/messages?limit=1&select=subject")).await;
    assert_eq!(names(&list.data()[0]), ["id", "object", "grant_id", "subject"]);
    let next = list.json["next_cursor"].as_str().expect("next_cursor");
    let list = harness.get(&harness.at(&format!("/messages?limit=1&select=subject&page_token={next}"))).await;
    assert_eq!(list.data()[0]["subject"], "one");
    let raw = harness.get(&harness.at("/messages?fields=raw_mime&select=raw_mime")).await;
    assert_eq!(names(&raw.data()[0]), ["id", "object", "grant_id", "raw_mime"]);
}

#[tokio::test]
async fn a_webhook_shows_what_was_selected() {
    let harness = Harness::new().await;
    let receiver = receiver().await;
    let new = json!({"trigger_types": ["message.created"], "webhook_url": receiver.url("/")});
    // Only answers to GET are trimmed.
    let made = harness.post("/v3/webhooks?select=status", &new).await;
    assert!(made.data()["webhook_secret"].is_string());
    let id = made.data()["id"].as_str().expect("id");
    let one = harness.get(&format!("/v3/webhooks/{id}?select=status")).await;
    assert_eq!(one.data(), &json!({"id": id, "status": "active"}));
    assert_eq!(harness.get("/v3/webhooks?select=status").await.data(), &json!([{"id": id, "status": "active"}]));
}

#[tokio::test]
async fn refusals_and_files_are_not_trimmed() {
    let harness = Harness::new().await;
    harness.get("/v3/grants/nobody@acme.test?select=email").await.refuses(404, "not_found", None);
    harness.get("/v3/grants?limit=0&select=email").await.refuses(400, "invalid_request", Some("limit"));
    let document = harness.get("/openapi.json?select=info").await;
    assert!(document.json["paths"].is_object());
}

#[tokio::test]
async fn every_route_that_is_read_is_trimmed_by_the_same_rule() {
    const ALWAYS: &[&str] = &["id", "grant_id", "object"];
    let harness = Harness::new().await;
    let mut things = BTreeMap::new();
    for (name, make) in FIXTURES {
        things.insert(*name, make(&harness, &harness.acme).await);
    }
    for (route, _) in protected().filter(|(route, _)| route.method == "GET") {
        let path = filled(route.path, |before, name| things[fixture(before, name).expect("fixture")].name().to_owned());
        let key = right_key(&route, &harness.acme);
        let whole = harness.ask(key, "GET", &format!("{path}{}", at_once(&route)), None).await;
        let select = if route.waits { "&select=updated_at,nothing" } else { "?select=updated_at,nothing" };
        let trimmed = harness.ask(key, "GET", &format!("{path}{}{select}", at_once(&route)), None).await;
        assert_eq!((whole.status, trimmed.status), (200, 200), "{path}");
        let objects = |answer: &Value| match &answer["data"] {
            Value::Array(items) => items.clone(),
            Value::Object(page) if page.contains_key("items") => page["items"].as_array().expect("items").clone(),
            Value::Object(_) => vec![answer["data"].clone()],
            _ => Vec::new(),
        };
        for (whole, trimmed) in objects(&whole.json).iter().zip(objects(&trimmed.json)) {
            // A folder is not read without its name.
            let is_of_folder = |name: &str| name == "name" && whole["object"] == "folder";
            let is_kept = |name: &&str| ALWAYS.contains(name) || *name == "updated_at" || is_of_folder(name);
            let wanted: Vec<_> = names(whole).into_iter().filter(is_kept).collect();
            assert_eq!(names(&trimmed), wanted, "{path}");
        }
    }
}
