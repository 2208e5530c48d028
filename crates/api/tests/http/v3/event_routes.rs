//! `/v3/routes`: rules by which events are given to subjects of the message bus.

use crate::support::{Answer, Harness, NOBODY, assert_shape, engines, ids};
use postfleet_core::event_route::ROUTES_MAX;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/routes",
    "POST /v3/routes",
    "POST /v3/routes/test",
    "GET /v3/routes/{route}",
    "PATCH /v3/routes/{route}",
    "DELETE /v3/routes/{route}",
];

const ROUTE: &str = "id:string name:string priority:integer enabled:boolean match:object subject:string \
    created_at:integer updated_at:integer";
const TRIAL: &str = "route_id:string? subject:string? routes:array";

fn path(route: &Answer) -> String {
    format!("/v3/routes/{}", route.is_ok().data()["id"].as_str().expect("id"))
}

#[tokio::test]
async fn a_route_is_made_found_listed_changed_and_removed() {
    for (engine, harness) in engines().await {
        let body = json!({"subject": "agents.billing", "match": {"recipient": ["Billing+*", "*@ACME.test"], "metadata": {"a": "b"}}});
        let made = harness.post("/v3/routes", &body).await;
        assert_shape(made.is_ok().data(), ROUTE);
        let said = ["name", "priority", "enabled"].map(|name| made.data()[name].clone());
        assert_eq!(said, [json!("agents.billing"), json!(100), json!(true)], "{engine}");
        let wanted = json!({"trigger": [], "recipient": ["billing+*", "*@acme.test"], "from_domain": [], "workspace_id": [],
            "grant_id": [], "metadata": {"a": "b"}, "folder": []});
        assert_eq!(made.data()["match"], wanted);
        let path = path(&made);
        assert_eq!(harness.get(&path).await.data(), made.data());
        let first =
            harness.post("/v3/routes", &json!({"subject": "all", "priority": 0, "name": "All", "match": null})).await;
        let listed = ids(&harness.get("/v3/routes").await);
        assert_eq!(listed, [&first, &made].map(|one| one.data()["id"].as_str().expect("id")), "as they are asked");

        // Absent and null stay; `match` is taken whole, and null asks for nothing.
        let same =
            harness.patch(&path, &json!({"name": null, "priority": null, "enabled": null, "subject": null})).await;
        assert_eq!(same.is_ok().data(), made.data());
        let changed =
            harness.patch(&path, &json!({"name": "B", "enabled": false, "match": {"folder": ["inbox"]}})).await;
        let data = changed.is_ok().data();
        assert_eq!(
            (&data["name"], &data["enabled"], &data["subject"]),
            (&json!("B"), &json!(false), &json!("agents.billing"))
        );
        assert_eq!((&data["match"]["folder"], &data["match"]["recipient"]), (&json!(["inbox"]), &json!([])));
        let cleared = harness.patch(&path, &json!({"match": null})).await;
        assert_eq!(cleared.is_ok().data()["match"]["folder"], json!([]));
        harness.patch(&path, &json!({"name": ""})).await.refuses(400, "invalid_request", Some("name"));
        harness.patch(&path, &json!({"subject": ""})).await.refuses(400, "invalid_request", Some("subject"));

        harness.ask(&harness.other.api_key, "GET", &path, None).await.refuses(404, "not_found", None);
        let theirs = harness.ask(&harness.other.api_key, "PATCH", &path, Some(&json!({"name": "x"}))).await;
        theirs.refuses(404, "not_found", None);
        harness.delete(&path).await.is_ok();
        harness.delete(&path).await.refuses(404, "not_found", None);
        harness.get(&format!("/v3/routes/{NOBODY}")).await.refuses(404, "not_found", None);
        let text = harness.get("/v3/audit").await.json.to_string();
        for action in ["route.created", "route.updated", "route.removed"] {
            assert!(text.contains(action), "{action}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_limit() {
    let harness = Harness::new().await;
    let with = |field: &str, value: Value| {
        let mut body = json!({"subject": "s"});
        body[field] = value;
        body
    };
    for (name, body, field) in [
        ("no subject", json!({}), "subject"),
        ("an empty subject", with("subject", json!("")), "subject"),
        ("a wildcard", with("subject", json!("a.*")), "subject"),
        ("a long subject", with("subject", json!("x".repeat(129))), "subject"),
        ("an empty name", with("name", json!("")), "name"),
        ("a long name", with("name", json!("x".repeat(257))), "name"),
        ("a priority below", with("priority", json!(-1)), "priority"),
        ("a priority above", with("priority", json!(10_001)), "priority"),
        ("no event", with("match", json!({"trigger": ["x"]})), "match.trigger[0]"),
        ("no address", with("match", json!({"recipient": ["a@b.test", "x"]})), "match.recipient[1]"),
        ("too many", with("match", json!({"folder": vec!["x"; 101]})), "match.folder"),
        ("no list", with("match", json!({"folder": "inbox"})), "match.folder"),
        ("a long key", with("match", json!({"metadata": {"x".repeat(41): "y"}})), "match.metadata"),
    ] {
        let refused = harness.post("/v3/routes", &body).await;
        assert_eq!(refused.status, 400, "{name}: {refused:?}");
        refused.refuses(400, "invalid_request", Some(field));
    }
    for number in 0..ROUTES_MAX {
        harness.post("/v3/routes", &json!({"subject": format!("s{number}")})).await.is_ok();
    }
    harness.post("/v3/routes", &json!({"subject": "s"})).await.refuses(409, "routes_max_reached", None).says("100");
}

#[tokio::test]
async fn a_test_says_which_route_decides_and_why_not_the_others() {
    let harness = Harness::new().await;
    let test = async |body: Value| harness.post("/v3/routes/test", &body).await;
    let nothing = test(json!({})).await;
    assert_shape(nothing.is_ok().data(), TRIAL);
    assert_eq!(nothing.data(), &json!({"route_id": null, "subject": null, "routes": []}));
    for body in [
        json!({"subject": "off", "priority": 0, "enabled": false}),
        json!({"subject": "billing", "priority": 1, "match": {"recipient": ["billing+*"], "folder": ["inbox"]}}),
        json!({"subject": "ours", "priority": 2, "match": {"workspace_id": [harness.acme.workspace_id.to_string()]}}),
        json!({"subject": "created", "priority": 3, "match": {"trigger": ["message.created"]}}),
    ] {
        harness.post("/v3/routes", &body).await.is_ok();
    }
    let agent = &harness.agent;
    for (name, body, subject, unmet) in [
        ("an imagined one", json!({}), json!("created"), json!(["recipient", "folder"])),
        ("a recipient", json!({"recipient": ["Billing+7@acme.test"]}), json!("created"), json!(["folder"])),
        ("both", json!({"recipient": ["billing+7@acme.test"], "folder": ["inbox"]}), json!("billing"), json!([])),
        ("a mailbox", json!({"grant_id": agent}), json!("ours"), json!(["recipient", "folder"])),
        ("nothing", json!({"trigger": "grant.created"}), json!(null), json!(["recipient", "folder"])),
    ] {
        let trial = test(body).await;
        assert_eq!(trial.is_ok().data()["subject"], subject, "{name}: {trial:?}");
        assert_eq!(trial.data()["routes"][1]["unmet"], unmet, "{name}");
        assert_eq!(
            (&trial.data()["routes"][0]["enabled"], &trial.data()["routes"][0]["matches"]),
            (&json!(false), &json!(true))
        );
    }
    // An event of the log, with what its message says.
    let to = "From: ada@sender.test\r\nTo: Billing <billing+9@acme.test>\r\nSubject: x\r\n\r\nHi\r\n";
    harness.receive(to).await;
    let events = harness.get("/v3/events?type=message.created").await;
    let id = events.is_ok().data()[0]["id"].as_str().expect("id");
    assert_eq!(test(json!({"event_id": id})).await.is_ok().data()["subject"], "billing");
    for foreign in [NOBODY, "x"] {
        test(json!({"event_id": foreign})).await.refuses(400, "invalid_request", Some("event_id"));
    }
    let theirs = harness.ask(&harness.other.api_key, "POST", "/v3/routes/test", Some(&json!({"event_id": id}))).await;
    theirs.refuses(400, "invalid_request", Some("event_id"));
    test(json!({"grant_id": harness.stranger})).await.refuses(400, "invalid_request", Some("grant_id"));
    test(json!({"trigger": "x"})).await.refuses(400, "invalid_request", Some("trigger"));
}
