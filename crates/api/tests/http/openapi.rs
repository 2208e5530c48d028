//! `/openapi.json` and `/reference`: whole, sound, and equal to the table of routes.

use crate::conform::DOCUMENT;
use crate::support::Harness;
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const ROUTES: &[&str] = &["GET /openapi.json", "GET /reference"];

// The checks ----------------------------------------------------------------------------------------------------------

/// Everything that must have a description, by its place: operations, parameters, bodies, answers, shapes, fields.
fn check_descriptions(document: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut has = |place: &str, value: &Value, word: &str| {
        if value[word].as_str().is_none_or(|text| text.trim().is_empty()) {
            wrong.push(format!("{place} has no {word}"));
        }
    };
    has("info", &document["info"], "description");
    for tag in document["tags"].as_array().into_iter().flatten() {
        has(&format!("the tag {}", tag["name"]), tag, "description");
    }
    for (place, operation) in operations(document) {
        has(&place, operation, "summary");
        has(&place, operation, "description");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            has(&format!("{place}: the parameter {}", parameter["name"]), parameter, "description");
        }
        for (status, response) in fields(&operation["responses"]).filter(|(_, response)| response["$ref"].is_null()) {
            has(&format!("{place}: the answer {status}"), response, "description");
        }
    }
    for kind in ["responses", "headers", "securitySchemes", "schemas"] {
        for (name, component) in fields(&document["components"][kind]) {
            has(&format!("{kind}: {name}"), component, "description");
        }
    }
    let mut properties = Vec::new();
    walk(document, "", &mut |place, value| {
        if place.ends_with("/properties") {
            properties.extend(fields(value).map(|(name, field)| (format!("{place}/{name}"), field.clone())));
        }
    });
    properties.iter().for_each(|(place, field)| has(place, field, "description"));
    wrong
}

/// References lead somewhere, and what is there is referred to.
fn check_references(document: &Value) -> Vec<String> {
    let mut used = BTreeSet::new();
    walk(document, "", &mut |_, value| {
        used.extend(value["$ref"].as_str().map(str::to_owned));
    });
    for (_, operation) in operations(document) {
        for security in operation["security"].as_array().into_iter().flatten() {
            used.extend(fields(security).map(|(name, _)| format!("#/components/securitySchemes/{name}")));
        }
    }
    let leads = |reference: &str| reference.strip_prefix('#').is_some_and(|place| document.pointer(place).is_some());
    let nowhere = used.iter().filter(|reference| !leads(reference));
    let mut wrong: Vec<_> = nowhere.map(|reference| format!("{reference} leads nowhere")).collect();
    for (name, _) in fields(&document["components"]["schemas"]) {
        if !used.contains(&format!("#/components/schemas/{name}")) {
            wrong.push(format!("nothing refers to the shape {name}"));
        }
    }
    wrong
}

/// Every operation has a name of its own, a group that is described, and a description of what its path leaves open.
fn check_operations(document: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    let tags: Vec<_> = document["tags"].as_array().into_iter().flatten().map(|tag| &tag["name"]).collect();
    for (place, operation) in operations(document) {
        let name = operation["operationId"].as_str().unwrap_or_default();
        if name.is_empty() || !names.insert(name) {
            wrong.push(format!("{place} has no operationId of its own: {name:?}"));
        }
        if !tags.contains(&&operation["tags"][0]) {
            wrong.push(format!("{place} belongs to the unknown group {}", operation["tags"][0]));
        }
        let named = |parameter: &&Value| parameter["in"] == "path" && parameter["required"] == true;
        let parameters = operation["parameters"].as_array().into_iter().flatten().filter(named);
        let described: Vec<_> = parameters.filter_map(|parameter| parameter["name"].as_str()).collect();
        let open: Vec<_> = place.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        if open != described {
            wrong.push(format!("{place} describes {described:?}"));
        }
        let succeeds = fields(&operation["responses"]).any(|(status, _)| status.starts_with(['2', '3']));
        if succeeds == REFUSALS.contains(&place.as_str()) {
            wrong.push(format!("{place} has no success"));
        }
    }
    wrong
}

/// The document has exactly these routes.
fn check_routes(document: &Value, routes: &[(&str, &str)]) -> Vec<String> {
    let described: BTreeSet<String> = operations(document).map(|(place, _)| place).collect();
    let routes: BTreeSet<String> = routes.iter().map(|(method, path)| format!("{method} {path}")).collect();
    let missing = routes.difference(&described).map(|route| format!("{route} is not in the document"));
    let unknown = described.difference(&routes).map(|route| format!("{route} is in the document and no route"));
    missing.chain(unknown).collect()
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let of_path = |(path, item)| fields(item).map(move |(method, operation)| (method, path, operation));
    let all = fields(&document["paths"]).flat_map(of_path);
    all.map(|(method, path, operation)| (format!("{} {path}", method.to_ascii_uppercase()), operation))
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Visits every value with its place in the document.
fn walk(value: &Value, place: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, value);
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(name, value)| walk(value, &format!("{place}/{name}"), visit));
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, &format!("{place}/[]"), visit)),
        _ => {}
    }
}

/// Routes that refuse whatever they are asked, and say why: what clients know of other providers.
const REFUSALS: &[&str] = &[
    "POST /v3/grants/{grant}/attachment-uploads",
    "POST /v3/grants/{grant}/attachment-uploads/{upload}/complete",
    "POST /v3/grants/{grant}/messages/smart-compose",
    "POST /v3/grants/{grant}/messages/{message}/smart-compose",
];

// The document --------------------------------------------------------------------------------------------------------

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn everything_is_described() {
    assert_none(&check_descriptions(&DOCUMENT));
}

#[test]
fn references_and_names_are_sound() {
    assert_eq!(DOCUMENT["openapi"], "3.1.0");
    assert_none(&check_references(&DOCUMENT));
    assert_none(&check_operations(&DOCUMENT));
}

#[test]
fn the_document_is_equal_to_the_routes() {
    assert_none(&check_routes(&DOCUMENT, &postfleet_api::table()));
}

#[test]
fn every_permission_of_a_route_is_one_that_keys_may_have() {
    for (place, operation) in operations(&DOCUMENT) {
        let known = |name: &str| postfleet_core::permission::ALL.iter().any(|(known, _)| *known == name);
        let permission = operation["x-permission"].as_str();
        assert!(permission.is_none_or(known), "{place} needs {permission:?}, which no key can have");
        assert_eq!(permission.is_some(), operation["security"] != serde_json::json!([]), "{place}");
    }
}

#[tokio::test]
async fn the_document_and_the_page_need_no_key() {
    let harness = Harness::new().await;
    let get = async |path: &str| harness.request(Request::get(path).body(Body::empty()).expect("request")).await;
    let document = get("/openapi.json").await;
    assert_eq!((document.status, &document.json), (200, &*DOCUMENT));
    let page = get("/reference").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    let again = get("/reference").await;
    assert_eq!(page.octets, again.octets);
}

#[tokio::test]
async fn the_page_shows_every_operation_field_and_word() {
    let harness = Harness::new().await;
    let page = harness.request(Request::get("/reference").body(Body::empty()).expect("request")).await;
    let page = String::from_utf8(page.octets).expect("UTF-8");
    for (place, operation) in operations(&DOCUMENT) {
        let name = operation["operationId"].as_str().expect("text");
        assert!(page.contains(&format!("id=\"{name}\"")), "{place} is not on the page");
        assert!(page.contains(&format!("href=\"#{name}\"")), "{place} is not in the table of contents");
    }
    for (shape, schema) in fields(&DOCUMENT["components"]["schemas"]) {
        assert!(page.contains(&format!("id=\"shape-{shape}\"")), "{shape} is not on the page");
        for (field, _) in fields(&schema["properties"]) {
            assert!(page.contains(&format!("<code>{field}</code>")), "{shape}.{field} is not on the page");
        }
    }
    for outside in ["<script", "<link", "<img", "href=\"http", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "the page wants {outside:?}");
    }
    // Links within the page lead somewhere.
    for target in page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{target}\"")), "#{target} leads nowhere");
    }
}

// Planted faults ------------------------------------------------------------------------------------------------------

mod planted {
    use super::*;
    use serde_json::json;

    /// The document after one change leads to exactly one complaint.
    fn finds(check: impl Fn(&Value) -> Vec<String>, change: impl Fn(&mut Value), says: &str) {
        let mut document = DOCUMENT.clone();
        change(&mut document);
        let wrong = check(&document);
        assert!(wrong.len() == 1 && wrong[0].contains(says), "{says:?}: {wrong:#?}");
    }

    fn find_grant(document: &mut Value) -> &mut Value {
        &mut document["paths"]["/v3/grants/{grant}"]["get"]
    }

    #[test]
    fn what_is_not_described_is_found() {
        let found = |change: fn(&mut Value), says| finds(check_descriptions, change, says);
        found(|document| document["tags"][0]["description"] = json!(" "), "the tag");
        found(|document| find_grant(document)["summary"] = json!(""), "GET /v3/grants/{grant} has no summary");
        found(|document| find_grant(document)["parameters"][0]["description"] = json!(""), "the parameter \"grant\"");
        found(|document| find_grant(document)["responses"]["200"]["description"] = json!(null), "the answer 200");
        found(
            |document| document["components"]["schemas"]["Grant"]["properties"]["name"] = json!({"type": "string"}),
            "schemas/Grant/properties/name has no description",
        );
        found(
            |document| {
                let schema = &mut find_grant(document)["responses"]["200"]["content"]["application/json"]["schema"];
                schema["properties"]["data"] = json!({"$ref": "#/components/schemas/Grant"});
            },
            "schema/properties/data has no description",
        );
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let found = |change: fn(&mut Value), says| finds(check_references, change, says);
        found(
            |document| find_grant(document)["responses"]["404"] = json!({"$ref": "#/components/responses/None"}),
            "#/components/responses/None leads nowhere",
        );
        found(
            |document| find_grant(document)["security"] = json!([{"none": []}]),
            "#/components/securitySchemes/none leads nowhere",
        );
        found(|document| document["components"]["schemas"]["Lonely"] = json!({}), "nothing refers to the shape Lonely");
    }

    #[test]
    fn wrong_operations_are_found() {
        let found = |change: fn(&mut Value), says| finds(check_operations, change, says);
        found(|document| find_grant(document)["operationId"] = json!("get_grants"), "has no operationId of its own");
        found(|document| find_grant(document)["tags"] = json!(["others"]), "the unknown group \"others\"");
        found(|document| find_grant(document)["parameters"] = json!([]), "GET /v3/grants/{grant} describes []");
        found(|document| find_grant(document)["responses"] = json!({"404": {}}), "has no success");
    }

    #[test]
    fn a_route_that_is_missing_or_too_many_is_found() {
        let routes = postfleet_api::table();
        let check = |document: &Value| check_routes(document, &routes);
        finds(
            check,
            |document| {
                document["paths"]["/v3/grants"].as_object_mut().expect("object").remove("get");
            },
            "GET /v3/grants is not in the document",
        );
        finds(
            check,
            |document| document["paths"]["/v3/grants"]["patch"] = json!({}),
            "PATCH /v3/grants is in the document and no route",
        );
    }
}
