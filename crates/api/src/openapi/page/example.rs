//! A request of each operation that can be typed into a shell, after `$API` and `$KEY` are set.

use super::shape::Shapes;
use super::{fields, list, string};
use serde_json::{Map, Value, json};

/// How deep shapes in shapes are shown.
const DEPTH_MAX: usize = 4;

/// The command.
pub(super) fn curl<'a>(shapes: &Shapes<'a>, method: &str, path: &str, operation: &'a Value) -> String {
    let variable = |segment: &str| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => format!("${}", name.to_ascii_uppercase()),
        None => segment.to_owned(),
    };
    let path = path.split('/').map(variable).collect::<Vec<_>>().join("/");
    let mut parts = vec![match method {
        "get" => format!("curl \"$API{path}\""),
        method => format!("curl -X {} \"$API{path}\"", method.to_ascii_uppercase()),
    }];
    if !list(&operation["security"]).is_empty() {
        parts.push("-H \"Authorization: Bearer $KEY\"".to_owned());
    }
    match fields(&operation["requestBody"]["content"]).next() {
        Some(("application/json", body)) => {
            let body = sample(shapes, "", &body["schema"], 0).to_string().replace('\'', "'\\''");
            parts.push("-H 'Content-Type: application/json'".to_owned());
            parts.push(format!("-d '{body}'"));
        }
        Some((media_type, _)) if media_type.starts_with("text/") => {
            parts.push("-H 'Content-Type: text/plain'".to_owned());
            parts.push("--data-binary @lines.txt".to_owned());
        }
        Some((_, body)) => {
            let sample = sample(shapes, "", &body["schema"], 0);
            parts.extend(fields(&sample).map(|(name, value)| format!("--data-urlencode '{name}={}'", string(value))));
        }
        None => {}
    }
    parts.join(" \\\n  ")
}

/// A value that fits a schema: an object has its required fields, or all if none is required.
fn sample<'a>(shapes: &Shapes<'a>, name: &str, schema: &'a Value, depth: usize) -> Value {
    let schema = shapes.resolved(schema);
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(given) =
        [&schema["example"], &schema["default"], &schema["enum"][0]].into_iter().find(|one| !one.is_null())
    {
        return given.clone();
    }
    let either = ["oneOf", "anyOf", "allOf"].iter().flat_map(|word| list(&schema[*word]));
    if let Some(one) = either.into_iter().find(|one| one["type"] != "null") {
        return sample(shapes, name, one, depth);
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(string).find(|kind| *kind != "null").unwrap_or_default(),
        kind => string(kind),
    };
    match kind {
        "object" => {
            let required = list(&schema["required"]);
            let is_shown = |name: &str| required.is_empty() || required.iter().any(|required| required == name);
            let shown = fields(&schema["properties"]).filter(|(name, _)| is_shown(name));
            let all: Map<_, _> =
                shown.map(|(name, field)| (name.to_owned(), sample(shapes, name, field, depth + 1))).collect();
            Value::Object(all)
        }
        "array" => json!([sample(shapes, name.trim_end_matches('s'), &schema["items"], depth + 1)]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(true),
        _ => json!(word(name)),
    }
}

/// A text for a field, by its name.
fn word(name: &str) -> String {
    match name {
        "email" => "ada@example.com".to_owned(),
        name if name.ends_with("url") => "https://example.com/hook".to_owned(),
        name if name.ends_with("_type") => "message.created".to_owned(),
        name if name.ends_with("id") => "01900000-0000-7000-8000-000000000000".to_owned(),
        name => format!("a {}", name.replace('_', " ")),
    }
}
