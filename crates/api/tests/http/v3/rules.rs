//! `/v3/rules`, and rules in `rule_ids` of workspaces.

pub(crate) mod replay;

use crate::support::{Answer, Harness, NOBODY, assert_shape};
use postfleet_testkit::world::NewTenant;
use serde_json::{Value, json};

pub(crate) const ROUTES: &[&str] = &[
    "GET /v3/rules",
    "POST /v3/rules",
    "GET /v3/rules/{rule}",
    "PUT /v3/rules/{rule}",
    "PATCH /v3/rules/{rule}",
    "DELETE /v3/rules/{rule}",
];

const RULE: &str = "id:string name:string description:string? priority:integer enabled:boolean mode:string \
    trigger:string match:object actions:array application_id:string organization_id:string created_at:integer \
    updated_at:integer";

/// A body that is right.
fn block(value: &str) -> Value {
    json!({"name": "Block", "actions": [{"type": "block"}],
        "match": {"conditions": [{"field": "from.domain", "operator": "is", "value": value}]}})
}

/// The same for what is sent, with other fields.
fn with(fields: Value) -> Value {
    let mut body = block("spam.example");
    for (name, value) in fields.as_object().expect("object") {
        body[name] = value.clone();
    }
    body
}

async fn make(harness: &Harness, body: &Value) -> Value {
    harness.world.advance(1);
    let made = harness.post("/v3/rules", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.data().clone()
}

async fn make_one(harness: &Harness) -> String {
    id(&make(harness, &block("spam.example")).await)
}

fn id(rule: &Value) -> String {
    rule["id"].as_str().expect("id").to_owned()
}

fn at(rule: &Value) -> String {
    format!("/v3/rules/{}", id(rule))
}

fn items(answer: &Answer) -> Vec<String> {
    answer.is_ok().data()["items"].as_array().expect("items").iter().map(id).collect()
}

#[tokio::test]
async fn a_rule_is_made_found_listed_and_removed() {
    let harness = Harness::new().await;
    let empty = harness.get("/v3/rules").await;
    assert_shape(&empty.json, "request_id:string data:object");
    assert_eq!(empty.data(), &json!({"items": []}));
    let body = json!({"name": "Nach draußen", "description": "Zeile 1\nZeile 2", "priority": 0, "enabled": false,
        "mode": "shadow", "trigger": "outbound", "match": {"operator": "any", "conditions": [
            {"field": "recipient.domain", "operator": "is", "value": " Competitor.Example "},
            {"field": "outbound.type", "operator": "is_not", "value": "reply"}]},
        "actions": [{"type": "move_to_folder", "value": "Clients/Acme"}, {"type": "mark_as_read", "value": null}],
        "id": NOBODY, "application_id": NOBODY, "unknown": {"x": 1}});
    let made = make(&harness, &body).await;
    assert_shape(&made, RULE);
    for field in ["name", "description", "priority", "enabled", "mode", "trigger"] {
        assert_eq!(made[field], body[field], "{field}");
    }
    let mut matching = body["match"].clone();
    matching["conditions"][0]["value"] = json!("competitor.example");
    assert_eq!(made["match"], matching);
    let actions = json!([{"type": "assign_to_folder", "value": "Clients/Acme"}, {"type": "mark_as_read"}]);
    assert_eq!(made["actions"], actions);
    assert_eq!(made["application_id"], harness.acme.application_id.to_string());
    assert_eq!(made["organization_id"], harness.acme.organization_id.to_string());
    assert_ne!(made["id"], NOBODY);

    let path = at(&made);
    assert_eq!(harness.get(&path).await.data(), &made);
    assert_eq!(harness.get("/v3/rules").await.data(), &json!({"items": [made]}));
    assert_shape(&harness.delete(&path).await.is_ok().json, "request_id:string");
    harness.get(&path).await.refuses(404, "not_found", None);
    harness.delete(&path).await.refuses(404, "not_found", None);
    harness.put(&path, &block("x")).await.refuses(404, "not_found", None);
}

#[tokio::test]
async fn a_rule_with_what_it_needs_alone_has_every_default() {
    let harness = Harness::new().await;
    let null = json!({"description": null, "priority": null, "enabled": null, "mode": null, "trigger": null});
    for body in [block("spam.example"), with(null)] {
        let made = make(&harness, &body).await;
        assert_shape(&made, RULE);
        assert_eq!(
            (&made["description"], &made["priority"], &made["enabled"]),
            (&Value::Null, &json!(10), &json!(true))
        );
        assert_eq!((&made["mode"], &made["trigger"]), (&json!("enforce"), &json!("inbound")));
        assert_eq!(made["match"]["operator"], "all");
    }
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name_and_replaces_match_and_actions_whole() {
    let harness = Harness::new().await;
    let body = with(json!({"description": "d", "priority": 5, "trigger": "outbound"}));
    let made = make(&harness, &body).await;
    let path = at(&made);
    harness.world.advance(60);
    let changed = harness.put(&path, &json!({"name": "Other", "enabled": false})).await;
    let mut expected = made.clone();
    expected["name"] = json!("Other");
    expected["enabled"] = json!(false);
    expected["updated_at"] = json!(made["created_at"].as_i64().expect("time") + 60);
    assert_eq!(changed.is_ok().data(), &expected);
    harness.world.advance(60);
    // What changes nothing leaves the time of the last change; PATCH is the same as PUT.
    assert_eq!(harness.patch(&path, &json!({})).await.is_ok().data(), &expected);
    let matching = json!({"operator": "any", "conditions": [
        {"field": "recipient.tld", "operator": "is", "value": "net"},
        {"field": "from.tld", "operator": "is", "value": "net"}]});
    let changed = harness.patch(&path, &json!({"match": matching, "description": null, "priority": null})).await;
    let data = changed.is_ok().data();
    assert_eq!((&data["match"], &data["description"], &data["priority"]), (&matching, &Value::Null, &json!(10)));
    let matching = json!({"conditions": [{"field": "from.tld", "operator": "is", "value": "org"}]});
    let changed = harness.put(&path, &json!({"match": matching, "actions": [{"type": "archive"}]})).await;
    let data = changed.is_ok().data();
    assert_eq!((&data["match"]["operator"], &data["actions"]), (&json!("all"), &json!([{"type": "archive"}])));
    assert_eq!(harness.get(&path).await.data(), data);
}

#[tokio::test]
async fn every_refusal_names_its_field() {
    let harness = Harness::new().await;
    let on = |condition: Value| with(json!({"trigger": "outbound", "match": {"conditions": [condition]}}));
    let value = |value: Value| on(json!({"field": "from.domain", "operator": "is", "value": value}));
    let listed = |value: Value| on(json!({"field": "from.domain", "operator": "in_list", "value": value}));
    let acts = |actions: Value| with(json!({"actions": actions}));
    let at = |name: &str| format!("match.conditions[0].{name}");
    let refusals: Vec<(Value, String, &str)> = vec![
        (json!({}), "name".into(), "name must be 1 to 256 characters"),
        (with(json!({"name": null})), "name".into(), "1 to 256"),
        (with(json!({"name": 5})), "name".into(), "invalid type"),
        (with(json!({"description": "d".repeat(1_025)})), "description".into(), "at most 1024"),
        (with(json!({"priority": 1_001})), "priority".into(), "from 0 to 1000"),
        (with(json!({"priority": "1"})), "priority".into(), "invalid type"),
        (with(json!({"enabled": "yes"})), "enabled".into(), "invalid type"),
        (with(json!({"trigger": "both"})), "trigger".into(), "inbound, outbound"),
        (with(json!({"mode": "off"})), "mode".into(), "enforce, shadow"),
        (with(json!({"match": null})), "match.conditions".into(), "1 to 50"),
        (with(json!({"match": ["all", []]})), "match".into(), "must be an object"),
        (with(json!({"match": {}})), "match.conditions".into(), "1 to 50"),
        (with(json!({"match": {"operator": "none", "conditions": []}})), "match.operator".into(), "any, all"),
        (on(json!(["from.tld", "is", "com"])), "match.conditions[0]".into(), "must be an object"),
        (on(json!({})), at("field"), "from.address, from.domain, from.tld, recipient.address"),
        (on(json!({"field": "from.tld", "value": "com"})), at("operator"), "is, is_not, contains, in_list"),
        (on(json!({"field": "from.tld", "operator": "is"})), at("value"), "must be a text"),
        (value(json!(5)), at("value"), "a text, or a list of ids of lists"),
        (value(json!("x".repeat(501))), at("value"), "1 to 500"),
        (value(json!(["x"])), at("value"), "must be a text for is"),
        (listed(json!("x")), at("value"), "must be a list"),
        (listed(json!(["x"])), at("value"), "invalid list ID x (invalid_field)"),
        (listed(json!([NOBODY])), at("value"), "invalid list ID 01900000-0000-7000-8000-000000000000 (invalid_field)"),
        (listed(json!([5])), "match.conditions[0].value[0]".into(), "invalid type"),
        (acts(json!([])), "actions".into(), "1 to 20"),
        (acts(json!([["block"]])), "actions[0]".into(), "must be an object"),
        (acts(json!([{"type": "delete"}])), "actions[0].type".into(), "block, hold, mark_as_spam, assign_to_folder"),
        (acts(json!([{"type": "assign_to_folder"}])), "actions[0].value".into(), "1 to 256"),
        (acts(json!([{"type": "trash", "value": "x"}])), "actions[0].value".into(), "only assign_to_folder"),
        (acts(json!([{"type": "block"}, {"type": "trash"}])), "actions".into(), "block must be the only action"),
    ];
    for (body, field, says) in &refusals {
        harness.post("/v3/rules", body).await.refuses(400, "invalid_request", Some(field)).says(says);
    }
    for field in ["recipient.address", "recipient.domain", "recipient.tld", "outbound.type"] {
        let condition = json!({"field": field, "operator": "is", "value": "reply"});
        let inbound = with(json!({"match": {"conditions": [condition]}}));
        let refused = harness.post("/v3/rules", &inbound).await;
        refused.refuses(400, "invalid_request", Some(&at("field"))).says("is for outbound rules");
    }
    assert_eq!(harness.get("/v3/rules").await.data(), &json!({"items": []}), "nothing was made");
    // And a change is judged with what stays.
    let rule = make(&harness, &on(json!({"field": "recipient.tld", "operator": "is", "value": "com"}))).await;
    let turned = harness.put(&self::at(&rule), &json!({"trigger": "inbound"})).await;
    turned.refuses(400, "invalid_request", Some(&at("field")));
    harness.put(&self::at(&rule), &json!({"name": null})).await.refuses(400, "invalid_request", Some("name"));
}

#[tokio::test]
async fn pages_of_rules_go_on_by_either_cursor_to_the_end() {
    let harness = Harness::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(make_one(&harness).await);
    }
    made.reverse();
    let (mut seen, mut path) = (Vec::new(), "/v3/rules?limit=2".to_owned());
    for expected in [2, 2, 1] {
        let page = harness.get(&path).await;
        assert_eq!(items(&page).len(), expected);
        seen.extend(items(&page));
        assert_eq!(page.json.get("next_cursor"), page.data().get("next_cursor"), "the same in both places");
        match page.json.get("next_cursor") {
            Some(next) => path = format!("/v3/rules?limit=2&page_token={}", next.as_str().expect("text")),
            None => assert_eq!(expected, 1, "only the last page has none"),
        }
    }
    assert_eq!(seen, made, "newest first, each once");
    for (query, field) in [("limit=0", "limit"), ("limit=201", "limit"), ("page_token=x", "page_token")] {
        harness.get(&format!("/v3/rules?{query}")).await.refuses(400, "invalid_request", Some(field));
    }
    assert_eq!(items(&harness.get("/v3/rules?limit=200&page_token=").await), made);
    let selected = harness.get("/v3/rules?select=name&limit=1").await;
    assert_eq!(selected.data()["items"], json!([{"id": made[0], "name": "Block"}]));
}

#[tokio::test]
async fn an_organization_has_as_many_rules_as_its_plan_allows() {
    for (plan, cap) in [("free", 5), ("full_platform", 30)] {
        let harness = Harness::with(NewTenant { plan, ..NewTenant::of("acme.test") }).await;
        let mut last = String::new();
        for _ in 0..cap {
            last = make_one(&harness).await;
        }
        let refused = harness.post("/v3/rules", &block("x.example")).await;
        let text = format!("Maximum number of rules ({cap}) reached for this plan");
        refused.refuses(403, "rules_max_reached", None).says(&text);
        let error = &refused.json["error"];
        assert_eq!(
            (&error["scope"], &error["limit"], &error["used"]),
            (&json!("organization"), &json!(cap), &json!(cap))
        );
        assert_eq!(error["type"], "forbidden_access");
        harness.delete(&format!("/v3/rules/{last}")).await.is_ok();
        make_one(&harness).await;
    }
}

#[tokio::test]
async fn a_workspace_names_its_rules_and_loses_those_that_are_removed() {
    let harness = Harness::new().await;
    let (a, b) = (make_one(&harness).await, make_one(&harness).await);
    let body = json!({"name": "Support", "rule_ids": [b, a, b]});
    let made = harness.post("/v3/workspaces", &body).await;
    assert_eq!(made.is_ok().data()["rule_ids"], json!([b, a]), "each once, in the order in which they were named");
    let path = format!("/v3/workspaces/{}", made.data()["workspace_id"].as_str().expect("id"));
    let rules = async || harness.get(&path).await.is_ok().data()["rule_ids"].clone();
    for (change, expected) in [
        (json!({"name": "Other"}), json!([b, a])),
        (json!({"rule_ids": [a]}), json!([a])),
        (json!({"rule_ids": []}), json!([])),
        (json!({"rule_ids": [a, b]}), json!([a, b])),
        (json!({"rule_ids": null}), json!([])),
        (json!({"rule_ids": [b, a]}), json!([b, a])),
    ] {
        let changed = harness.patch(&path, &change).await;
        assert_eq!((&changed.is_ok().data()["rule_ids"], &rules().await), (&expected, &expected), "{change}");
    }
    let default = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    harness.patch(&default, &json!({"rule_ids": [a]})).await.is_ok();
    let list = harness.get("/v3/workspaces").await;
    let listed: Vec<_> = list.data().as_array().expect("list").iter().map(|one| one["rule_ids"].clone()).collect();
    assert_eq!(listed, [json!([a]), json!([b, a])]);

    harness.delete(&format!("/v3/rules/{a}")).await.is_ok();
    assert_eq!(rules().await, json!([b]));
    assert_eq!(harness.get(&default).await.data()["rule_ids"], json!([]));
    let record = &harness.get(&format!("/v3/audit?target_id={a}")).await.data()[0].clone();
    assert_eq!(record["action"], "rule.deleted");
    assert_eq!(record["before"]["workspaces"].as_array().expect("workspaces").len(), 2);
    // The rules stay when the workspace goes.
    harness.delete(&path).await.is_ok();
    assert_eq!(items(&harness.get("/v3/rules").await), [b]);
}

#[tokio::test]
async fn a_workspace_takes_rules_of_its_application_only_and_not_too_many() {
    let harness = Harness::with(NewTenant { plan: "free", ..NewTenant::of("acme.test") }).await;
    let mine = make_one(&harness).await;
    let theirs = harness.ask(&harness.other.api_key, "POST", "/v3/rules", Some(&block("x"))).await;
    let theirs = id(theirs.is_ok().data());
    let default = format!("/v3/workspaces/{}", harness.acme.workspace_id);
    for strange in [theirs.as_str(), NOBODY, "x", ""] {
        let rules = json!({"name": "w", "rule_ids": [mine, strange]});
        let text = "rule_ids entry not found or does not belong to this application";
        harness.post("/v3/workspaces", &rules).await.refuses(400, "invalid_request", Some("rule_ids")).says(text);
        let rules = json!({"rule_ids": [mine, strange]});
        harness.patch(&default, &rules).await.refuses(400, "invalid_request", Some("rule_ids")).says(text);
    }
    let many: Vec<_> = (0..6).map(|n| NOBODY.replace('9', &n.to_string())).collect();
    let refused = harness.patch(&default, &json!({"rule_ids": many})).await;
    refused.refuses(400, "invalid_request", Some("rule_ids")).says("at most 5 entries");
    assert_eq!(harness.get(&default).await.data()["rule_ids"], json!([]));
    assert_eq!(harness.get("/v3/workspaces").await.data().as_array().expect("list").len(), 1);
}
