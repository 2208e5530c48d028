//! Shapes as tables of fields: kind, limits, and what they mean.

use super::text::{escape, prose};
use super::{fields, list, string};
use serde_json::Value;

/// The shapes of a document.
pub(super) struct Shapes<'a>(pub(super) &'a Value);

impl<'a> Shapes<'a> {
    /// What a schema is, after its references.
    pub(super) fn resolved(&self, schema: &'a Value) -> &'a Value {
        let place = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        place.and_then(|place| self.0.pointer(place)).unwrap_or(schema)
    }

    /// All shapes, each with its table.
    pub(super) fn all(&self) -> String {
        let one = |(name, schema): (&str, &'a Value)| {
            let text = prose(string(&schema["description"]));
            let name = escape(name);
            format!("<article id=\"shape-{name}\"><h3>{name}</h3>\n{text}{}</article>\n", self.table(schema))
        };
        let all: String = fields(&self.0["components"]["schemas"]).map(one).collect();
        format!("<section id=\"shapes\"><h2>Shapes</h2>\n{all}</section>\n")
    }

    /// One table for each of the shapes that an answer may have.
    pub(super) fn alternatives(&self, schema: &'a Value) -> String {
        let any = list(&schema["anyOf"]);
        if any.is_empty() {
            return self.table(schema);
        }
        any.iter().map(|schema| self.table(schema)).collect::<Vec<_>>().join("<p>Or:</p>\n")
    }

    /// The fields of an object, required ones first.
    pub(super) fn table(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        let is_required = |name: &str| list(&schema["required"]).iter().any(|required| required == name);
        let mut rows: Vec<_> = fields(&schema["properties"]).collect();
        if rows.is_empty() {
            return if schema.is_object() { format!("<p>{}</p>\n", self.kind(schema)) } else { String::new() };
        }
        rows.sort_by_key(|(name, _)| !is_required(name));
        let row = |(name, field): (&str, &'a Value)| {
            let absent = if is_required(name) { "" } else { "<br><small>optional</small>" };
            let text = prose(string(&field["description"]));
            format!(
                "<tr><td><code>{}</code>{absent}</td><td>{}</td><td>{text}</td></tr>\n",
                escape(name),
                self.kind(field)
            )
        };
        format!("<div class=\"scroll\"><table>\n{}</table></div>\n", rows.into_iter().map(row).collect::<String>())
    }

    /// A kind with its limits, with links to shapes.
    pub(super) fn kind(&self, schema: &Value) -> String {
        let limits = limits(schema);
        let kind = self.bare_kind(schema);
        if limits.is_empty() { kind } else { format!("{kind}<br><small>{}</small>", limits.join(", ")) }
    }

    fn bare_kind(&self, schema: &Value) -> String {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            return format!("<a href=\"#shape-{0}\">{0}</a>", escape(name));
        }
        let kinds = ["oneOf", "anyOf", "allOf"].iter().flat_map(|word| list(&schema[*word]));
        let kinds: Vec<_> = kinds.map(|schema| self.bare_kind(schema)).collect();
        if !kinds.is_empty() {
            return kinds.join(" or ");
        }
        let one = |kind: &Value| match string(kind) {
            "array" => format!("list of {}", self.kind(&schema["items"])),
            "integer" => "whole number".to_owned(),
            "" => "anything".to_owned(),
            kind => escape(kind),
        };
        match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(one).collect::<Vec<_>>().join(" or "),
            kind => one(kind),
        }
    }
}

fn limits(schema: &Value) -> Vec<String> {
    let pair = |min: &str, max: &str, what: &str| {
        let (min, max) = (&schema[min], &schema[max]);
        match (min.as_i64().filter(|min| *min != 0 || !max.is_null()), max.as_i64()) {
            (Some(min), Some(max)) => Some(format!("{min} to {max}{what}")),
            (None, Some(max)) => Some(format!("at most {max}{what}")),
            (Some(min), None) => Some(format!("at least {min}{what}")),
            (None, None) => None,
        }
    };
    let words: Vec<_> =
        list(&schema["enum"]).iter().map(|word| format!("<code>{}</code>", escape(string(word)))).collect();
    let pattern = schema["pattern"].as_str().map(|pattern| format!("<code>{}</code>", escape(pattern)));
    [
        pair("minLength", "maxLength", " characters"),
        pair("minItems", "maxItems", " items"),
        pair("minimum", "maximum", ""),
        (!words.is_empty()).then(|| words.join(" ")),
        pattern,
    ]
    .into_iter()
    .flatten()
    .collect()
}
