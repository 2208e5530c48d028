//! A plan for people, a line for each change, and for programs, as JSON.

use super::document::Section;
use super::plan::{Change, FieldChange, Plan, Step};
use serde_json::{Map, Value, json};

/// Items and values of which a line shows the beginning.
const SHOWN_CHARS_MAX: usize = 100;

/// The plan as lines: what it does, and a sum.
pub fn lines(plan: &Plan) -> String {
    let mut text: String = plan.steps.iter().map(|step| format!("{}\n", line(step))).collect();
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&summary(plan));
    text.push('\n');
    text
}

/// One step: `~ workspace Support: policy Standard → Strict`.
pub fn line(step: &Step) -> String {
    let (one, key) = (step.section.one(), printable(&step.key));
    match &step.change {
        Change::Create(fields) => match fields.is_empty() {
            true => format!("+ {one} {key}"),
            false => {
                let fields = fields.iter().map(|(field, value)| format!("{field} {}", shown(value)));
                format!("+ {one} {key}: {}", fields.collect::<Vec<_>>().join(", "))
            }
        },
        Change::Update(fields) => {
            format!("~ {one} {key}: {}", fields.iter().map(field_line).collect::<Vec<_>>().join(", "))
        }
        Change::Items { added, removed } => {
            let part = |sign: &str, items: &[String]| match items {
                [] => None,
                [item] => Some(format!("{sign}1 item ({})", shortened(item))),
                items => Some(format!("{sign}{} items", items.len())),
            };
            let parts = [part("+", added), part("-", removed)];
            format!("~ {one} {key}: {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
        Change::Delete => format!("- {one} {key}"),
    }
}

fn field_line(change: &FieldChange) -> String {
    match &change.before {
        Some(before) => format!("{} {} → {}", change.field, shown(before), shown(&change.after)),
        None => format!("{} {}", change.field, shown(&change.after)),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => shortened(text),
        other => shortened(&words(other)),
    }
}

/// Lists, conditions and actions as people say them.
fn words(value: &Value) -> String {
    let all = |list: &[Value]| list.iter().map(words).collect::<Vec<_>>();
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", all(list).join(", ")),
        Value::Object(map) if map.contains_key("metric") => breaker(map),
        Value::Object(map) => match (map.get("conditions"), map.get("field"), map.get("type")) {
            (Some(Value::Array(conditions)), ..) if map["operator"] == "any" => all(conditions).join(" or "),
            (Some(Value::Array(conditions)), ..) => all(conditions).join(" and "),
            (_, Some(_), _) | (.., Some(_)) => map.values().map(words).collect::<Vec<_>>().join(" "),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

/// `bounce_rate 2.5 of 50: throttle to 20`.
fn breaker(map: &Map<String, Value>) -> String {
    let part = |before: &str, name: &str| map.get(name).map(|value| format!("{before}{}", words(value)));
    let off = map.get("enabled").is_some_and(|enabled| *enabled == false).then(|| " (off)".to_owned());
    let parts = [
        part("", "metric"),
        part(" ", "threshold"),
        part(" of ", "min_volume"),
        part(": ", "action"),
        part(" to ", "throttle_to"),
        off,
    ];
    parts.into_iter().flatten().collect()
}

fn shortened(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return text;
    }
    text.chars().take(SHOWN_CHARS_MAX - 1).chain(['…']).collect()
}

/// On one line, and without characters that would move the cursor or colour the screen: what is shown was written by
/// others.
fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The sum of a plan.
pub fn summary(plan: &Plan) -> String {
    let mut text = match counts(plan) {
        (0, 0, 0) => "Nothing to do: the server has what the file says.".to_owned(),
        (created, changed, deleted) => format!("{created} to create, {changed} to change, {deleted} to delete."),
    };
    if !plan.unmentioned.is_empty() {
        text.push_str(&format!(" Not in the file, and left alone: {}.", unmentioned(plan)));
    }
    text
}

fn unmentioned(plan: &Plan) -> String {
    let parts = Section::ALL.into_iter().filter_map(|section| {
        match plan.unmentioned.iter().filter(|(of, _)| *of == section).count() {
            0 => None,
            1 => Some(format!("1 {}", section.one())),
            count => Some(format!("{count} {}", section.name())),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn counts(plan: &Plan) -> (usize, usize, usize) {
    let count = |matches: fn(&Change) -> bool| plan.steps.iter().filter(|step| matches(&step.change)).count();
    (
        count(|change| matches!(change, Change::Create(_))),
        count(|change| matches!(change, Change::Update(_) | Change::Items { .. })),
        count(|change| matches!(change, Change::Delete)),
    )
}

/// The plan as JSON.
pub fn json(plan: &Plan) -> Value {
    let (created, changed, deleted) = counts(plan);
    let unmentioned = plan.unmentioned.iter().map(|(section, key)| json!({"section": section.name(), "key": key}));
    json!({
        "changes": plan.steps.iter().map(step_json).collect::<Vec<_>>(),
        "summary": {"create": created, "change": changed, "delete": deleted},
        "not_in_file": unmentioned.collect::<Vec<_>>(),
    })
}

/// One step as JSON.
pub fn step_json(step: &Step) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    put(
        "action",
        json!(match step.change {
            Change::Create(_) => "create",
            Change::Update(_) => "update",
            Change::Items { .. } => "items",
            Change::Delete => "delete",
        }),
    );
    put("section", json!(step.section.name()));
    put("key", json!(step.key));
    match &step.change {
        Change::Create(fields) => {
            put(
                "fields",
                Value::Array(fields.iter().map(|(field, value)| json!({"field": field, "after": value})).collect()),
            );
        }
        Change::Update(fields) => {
            let field =
                |change: &FieldChange| json!({"field": change.field, "before": change.before, "after": change.after});
            put("fields", Value::Array(fields.iter().map(field).collect()));
        }
        Change::Items { added, removed } => {
            put("added", json!(added));
            put("removed", json!(removed));
        }
        Change::Delete => {}
    }
    Value::Object(object)
}
