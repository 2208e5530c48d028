//! Answers against the OpenAPI document: every JSON answer of every test must be one that the document promises, so
//! that the document cannot lie. The checker knows the part of JSON Schema that the document uses, and fails on any
//! other; unlike JSON Schema it refuses fields that are not described.

use serde_json::Value;
use std::sync::LazyLock;

/// The document that is served.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(postfleet_api::document);

/// What is wrong with an answer, by the document.
pub fn check(method: &str, path: &str, selects: bool, status: u16, json: &Value) -> Vec<String> {
    check_with(&DOCUMENT, method, path, selects, status, json)
}

fn check_with(document: &Value, method: &str, path: &str, selects: bool, status: u16, json: &Value) -> Vec<String> {
    let checker = Checker { document, selects };
    let Some((pattern, operation)) = operation(document, method, path) else {
        // Whatever leads nowhere is refused like everything else.
        return checker.value("", &document["components"]["schemas"]["ErrorEnvelope"], json);
    };
    let response = &operation["responses"][status.to_string()];
    if response.is_null() {
        return vec![format!("{method} {pattern} does not promise the status {status}: {json}")];
    }
    let schema = &checker.resolved(response)["content"]["application/json"]["schema"];
    if schema.is_null() {
        return vec![format!("{method} {pattern} promises no JSON with the status {status}: {json}")];
    }
    let wrong = checker.value("", schema, json);
    wrong.into_iter().map(|wrong| format!("{method} {pattern}, {status}: {wrong}")).collect()
}

/// The operation that a request leads to. Fixed segments win over open ones, as in the router.
fn operation<'a>(document: &'a Value, method: &str, path: &str) -> Option<(&'a str, &'a Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let fits = |pattern: &str| {
        let (wanted, given): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        let is_open = |segment: &str| segment.starts_with('{');
        wanted.len() == given.len()
            && wanted.iter().zip(given).all(|(wanted, given)| is_open(wanted) && !given.is_empty() || *wanted == given)
    };
    let found = paths.filter(|(pattern, _)| fits(pattern)).min_by_key(|(pattern, _)| pattern.matches('{').count());
    let (pattern, item) = found?;
    item.get(method.to_ascii_lowercase()).map(|operation| (pattern.as_str(), operation))
}

/// Whether a place is an item of the list that begins with `list`, and nothing inside of it.
fn is_item(at: &str, list: &str) -> bool {
    at.strip_prefix(list).and_then(|rest| rest.strip_suffix(']')).is_some_and(|index| index.parse::<usize>().is_ok())
}

struct Checker<'a> {
    document: &'a Value,
    /// Whether the request selected fields, so that required ones may be missing.
    selects: bool,
}

/// Words of a schema that say nothing about which values fit, or that are checked with another word.
const KNOWN: &[&str] = &[
    "$ref",
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "oneOf",
    "anyOf",
    "allOf",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "additionalProperties",
    "description",
    "format",
    "default",
    "example",
    "examples",
    "title",
    "deprecated",
    "propertyNames",
    "pattern",
    "readOnly",
    "writeOnly",
];

impl<'a> Checker<'a> {
    fn resolved(&self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            None => value,
            Some(reference) => {
                let place = reference.strip_prefix('#').expect("a reference into the document");
                self.document.pointer(place).unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
        }
    }

    fn value(&self, at: &str, schema: &'a Value, value: &Value) -> Vec<String> {
        let schema = self.resolved(schema);
        let words = schema.as_object().expect("a schema is an object");
        if let Some(word) = words.keys().find(|word| !KNOWN.contains(&word.as_str()) && !word.starts_with("x-")) {
            return vec![format!("{at}: the checker does not know {word:?}: teach it in conform.rs")];
        }
        let mut wrong = Vec::new();
        wrong.extend(self.kind(at, schema, value));
        wrong.extend(self.alternatives(at, schema, value));
        wrong.extend(self.bounds(at, schema, value));
        if let Value::Object(fields) = value {
            wrong.extend(self.object(at, schema, fields));
        }
        if let (Value::Array(items), Some(item)) = (value, schema.get("items")) {
            let items = items.iter().enumerate();
            wrong.extend(items.flat_map(|(index, value)| self.value(&format!("{at}[{index}]"), item, value)));
        }
        wrong
    }

    fn kind(&self, at: &str, schema: &Value, value: &Value) -> Option<String> {
        let fits = |kind: &str| match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            kind => panic!("{at}: no such type: {kind}"),
        };
        let is_right = match &schema["type"] {
            Value::Null => true,
            Value::String(kind) => fits(kind),
            Value::Array(kinds) => kinds.iter().any(|kind| fits(kind.as_str().expect("text"))),
            other => panic!("{at}: no type: {other}"),
        };
        let word = schema["enum"].as_array().filter(|words| !words.contains(value));
        let wrong_word = word.map(|words| format!("{at} is {value}, which is none of {words:?}"));
        if is_right { wrong_word } else { Some(format!("{at} is {value}, not {}", schema["type"])) }
    }

    fn alternatives(&self, at: &str, schema: &'a Value, value: &Value) -> Vec<String> {
        let list = |word: &str| schema[word].as_array().into_iter().flatten();
        let mut wrong: Vec<String> = list("allOf").flat_map(|one| self.value(at, one, value)).collect();
        for word in ["oneOf", "anyOf"] {
            let results: Vec<_> = list(word).map(|one| self.value(at, one, value)).collect();
            if !results.is_empty() && results.iter().all(|wrong| !wrong.is_empty()) {
                wrong.push(format!("{at} is none of {word}: {results:?}"));
            }
        }
        wrong
    }

    fn bounds(&self, at: &str, schema: &Value, value: &Value) -> Vec<String> {
        let size = match value {
            Value::String(text) => Some(("Length", text.chars().count() as f64)),
            Value::Array(items) => Some(("Items", items.len() as f64)),
            Value::Number(number) => Some(("imum", number.as_f64().expect("number"))),
            _ => None,
        };
        let Some((what, size)) = size else { return Vec::new() };
        let (least, most) = (&schema[format!("min{what}")], &schema[format!("max{what}")]);
        let low = least.as_f64().filter(|least| size < *least).map(|least| format!("{at} is below {least}: {value}"));
        let high = most.as_f64().filter(|most| size > *most).map(|most| format!("{at} is above {most}: {value}"));
        low.into_iter().chain(high).collect()
    }

    fn object(&self, at: &str, schema: &'a Value, fields: &serde_json::Map<String, Value>) -> Vec<String> {
        let mut wrong = Vec::new();
        // With `select` the objects in `data` may lack anything, and nothing else may.
        let is_selected = self.selects && (at == ".data" || is_item(at, ".data[") || is_item(at, ".data.items["));
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().expect("text");
            if !fields.contains_key(name) && !is_selected {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        // An object without described fields may hold anything, and so may one that is described by its alternatives.
        let is_described = schema["properties"].is_object() && schema["allOf"].is_null();
        for (name, value) in fields {
            let at = format!("{at}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Object(_)) => {
                    wrong.extend(self.value(&at, &schema["additionalProperties"], value))
                }
                (Value::Null, Value::Bool(true)) => {}
                (Value::Null, _) if is_described => wrong.push(format!("{at} is not described")),
                (Value::Null, _) => {}
                (property, _) => wrong.extend(self.value(&at, property, value)),
            }
        }
        wrong
    }
}

// Planted faults ------------------------------------------------------------------------------------------------------

mod planted {
    use super::*;
    use serde_json::json;

    fn document() -> Value {
        let thing = json!({
            "type": "object",
            "required": ["id", "size", "note"],
            "properties": {
                "id": {"type": "string", "minLength": 1, "maxLength": 3},
                "size": {"type": "integer", "minimum": 0},
                "note": {"type": ["string", "null"]},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "parts": {"type": "array", "maxItems": 1, "items": {"$ref": "#/components/schemas/Thing"}},
                "owner": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Thing"}]},
                "free": {"type": "object"},
                "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        });
        let one = json!({
            "type": "object",
            "required": ["data"],
            "properties": {"data": {"$ref": "#/components/schemas/Thing"}},
        });
        json!({
            "components": {
                "schemas": {"Thing": thing, "ErrorEnvelope": {"type": "object", "required": ["error"]}},
                "responses": {"One": {"content": {"application/json": {"schema": one}}}},
            },
            "paths": {
                "/things/{thing}": {"get": {"responses": {"200": {"$ref": "#/components/responses/One"}, "204": {}}}},
                "/things/special": {"get": {"responses": {}}},
            },
        })
    }

    fn complaints(thing: Value) -> String {
        check_with(&document(), "GET", "/things/1", false, 200, &json!({ "data": thing })).join("; ")
    }

    #[test]
    fn what_the_document_promises_passes() {
        assert_eq!(complaints(json!({"id": "x", "size": 0, "note": null})), "");
        let part = json!({"id": "y", "size": 1, "note": "n"});
        let all = json!({"id": "xyz", "size": 7, "note": "n", "kind": "b", "parts": [part], "owner": part,
            "free": {"a": [1]}, "counts": {"a": 1}});
        assert_eq!(complaints(all), "");
        assert_eq!(check_with(&document(), "GET", "/nowhere", false, 404, &json!({"error": 1})), [""; 0]);
    }

    #[test]
    fn what_it_does_not_promise_is_found() {
        let with = |name: &str, value: Value| {
            let mut thing = json!({"id": "x", "size": 0, "note": null});
            thing[name] = value;
            complaints(thing)
        };
        assert!(complaints(json!({"id": "x", "size": 0})).ends_with(".data.note is missing"));
        assert!(with("extra", json!(1)).ends_with(".data.extra is not described"));
        assert!(with("id", json!(null)).contains(".data.id is null, not"));
        assert!(with("id", json!("")).ends_with(".data.id is below 1: \"\""));
        assert!(with("id", json!("long")).ends_with(".data.id is above 3: \"long\""));
        assert!(with("size", json!(1.5)).contains(".data.size is 1.5, not"));
        assert!(with("size", json!(-1)).contains(".data.size is below 0"));
        assert!(with("note", json!(1)).contains(".data.note is 1, not"));
        assert!(with("kind", json!("c")).contains(".data.kind is \"c\", which is none of"));
        assert!(with("parts", json!([1])).contains(".data.parts[0] is 1, not"));
        assert!(
            with("parts", json!([{"id": "y", "size": 1, "note": "n", "x": 1}])).ends_with("[0].x is not described")
        );
        assert!(with("owner", json!({"id": "y"})).contains(".data.owner is none of oneOf"));
        assert!(with("counts", json!({"a": "b"})).contains(".data.counts.a is \"b\", not"));
    }

    #[test]
    fn unknown_statuses_bodies_and_words_are_found() {
        let check = |path: &str, status| check_with(&document(), "GET", path, false, status, &json!({})).join("; ");
        assert!(check("/things/1", 500).contains("does not promise the status 500"));
        assert!(check("/things/1", 204).contains("promises no JSON"));
        assert!(check("/things/special", 200).contains("GET /things/special does not promise"));
        assert!(check("/nowhere", 400).contains(".error is missing"));
        let mut document = document();
        document["components"]["schemas"]["Thing"]["if"] = json!({});
        let wrong = check_with(&document, "GET", "/things/1", false, 200, &json!({"data": {}}));
        assert!(wrong.join("").contains("does not know \"if\""));
    }

    #[test]
    fn selected_objects_may_lack_fields_and_have_no_others() {
        let check = |data: Value| check_with(&document(), "GET", "/things/1", true, 200, &json!({ "data": data }));
        assert_eq!(check(json!({"id": "x"})), [""; 0]);
        assert!(check(json!({"x": 1})).join("").contains(".data.x is not described"));
        assert!(check(json!({"parts": [{}]})).join("").contains(".data.parts[0].id is missing"));
    }
}
