//! What a rule of a fleet file looks for and does. Lists are named; everything else is as in a request.

use super::document::{Entry, Section};
use super::fault::Fault;
use super::read::Reader;
use super::yaml::{Key, Node, unknown_key};
use postfleet_core::rule::validate::{
    ACTIONS_MAX, CONDITIONS_MAX, FOLDER_CHARS_MAX, LISTS_MAX, TEXT_CHARS_MAX, form_refusal,
};
use postfleet_core::rule::{Field, Form, MatchOperator, Operator};
use serde_json::{Value, json};

const ACTIONS: &[&str] =
    &["block", "hold", "mark_as_spam", "assign_to_folder", "mark_as_read", "mark_as_starred", "archive", "trash"];

/// `match`: how conditions go together, and the conditions.
pub fn matching(reader: &mut Reader<'_>, entry: &mut Entry, node: &Node, path: &str) -> Option<Value> {
    let fields = reader.map(node, path)?;
    known_only(reader, fields, path, &["operator", "conditions"]);
    let operators: Vec<&str> = MatchOperator::ALL.iter().map(|operator| operator.name()).collect();
    let operator = match named(fields, "operator") {
        Some(node) => reader.word(node, &format!("{path}.operator"), &operators)?,
        None => MatchOperator::All.name(),
    };
    let path = format!("{path}.conditions");
    let Some(node) = named(fields, "conditions") else {
        reader.fault(node.at, path, "missing: a rule looks for something");
        return None;
    };
    let list = reader.list(node, &path)?;
    if !(1..=CONDITIONS_MAX).contains(&list.len()) {
        reader.fault(node.at, path, format!("must have 1 to {CONDITIONS_MAX} conditions"));
        return None;
    }
    let conditions =
        list.iter().enumerate().map(|(index, node)| condition(reader, entry, node, &format!("{path}[{index}]")));
    let conditions: Vec<Option<Value>> = conditions.collect();
    let conditions: Vec<Value> = conditions.into_iter().collect::<Option<_>>()?;
    Some(json!({"operator": operator, "conditions": conditions}))
}

fn condition(reader: &mut Reader<'_>, entry: &mut Entry, node: &Node, path: &str) -> Option<Value> {
    let fields = reader.map(node, path)?;
    known_only(reader, fields, path, &["field", "operator", "value"]);
    let known: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    let field = needed(reader, node, fields, path, "field")
        .and_then(|node| reader.word(node, &format!("{path}.field"), &known))
        .and_then(Field::named);
    let operators: Vec<&str> = Operator::ALL.iter().map(|operator| operator.name()).collect();
    let operator_node = needed(reader, node, fields, path, "operator");
    let operator = operator_node
        .and_then(|node| reader.word(node, &format!("{path}.operator"), &operators))
        .and_then(Operator::named);
    entry.places.extend(named(fields, "field").map(|node| (format!("{path}.field"), node.at)));
    let value = needed(reader, node, fields, path, "value")?;
    let (field, operator) = (field?, operator?);
    if !field.operators().contains(&operator) {
        let at = operator_node.map_or(node.at, |node| node.at);
        let known: Vec<&str> = field.operators().iter().map(|operator| operator.name()).collect();
        let may_be = format!("must be {} for {}", known.join(" or "), field.name());
        reader.fault(at, format!("{path}.operator"), may_be);
        return None;
    }
    let path = format!("{path}.value");
    let value = match (field, operator) {
        (_, Operator::InList) => reader.names(entry, Section::Lists, value, &path, LISTS_MAX)?,
        _ => match field.form() {
            Form::Words(words) => json!(reader.word(value, &path, words)?),
            _ => {
                let text = reader.line(value, &path, 1, TEXT_CHARS_MAX)?;
                if let Some(may_be) = form_refusal(field, &text) {
                    reader.fault(value.at, path, format!("must be {may_be} for {}", field.name()));
                    return None;
                }
                json!(text)
            }
        },
    };
    Some(json!({"field": field.name(), "operator": operator.name(), "value": value}))
}

/// `actions`.
pub fn actions(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Value> {
    let list = reader.list(node, path)?;
    if !(1..=ACTIONS_MAX).contains(&list.len()) {
        reader.fault(node.at, path, format!("must have 1 to {ACTIONS_MAX} actions"));
        return None;
    }
    let actions: Vec<Option<Value>> =
        list.iter().enumerate().map(|(index, node)| action(reader, node, &format!("{path}[{index}]"))).collect();
    let actions: Vec<Value> = actions.into_iter().collect::<Option<_>>()?;
    if actions.len() > 1 && actions.iter().any(|action| action["type"] == "block") {
        reader.fault(node.at, path, "block must be the only action of its rule");
        return None;
    }
    Some(Value::Array(actions))
}

fn action(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Value> {
    let fields = reader.map(node, path)?;
    known_only(reader, fields, path, &["type", "value"]);
    let kind = needed(reader, node, fields, path, "type")?;
    let kind = reader.word(kind, &format!("{path}.type"), ACTIONS)?;
    let path = format!("{path}.value");
    match (kind, named(fields, "value")) {
        ("assign_to_folder", Some(value)) => {
            let folder = reader.line(value, &path, 1, FOLDER_CHARS_MAX)?;
            Some(json!({"type": kind, "value": folder}))
        }
        ("assign_to_folder", None) => {
            reader.fault(node.at, path, "missing: the folder's id, name or path");
            None
        }
        (_, Some(value)) => {
            reader.fault(value.at, path, "must be absent: only assign_to_folder has a value");
            None
        }
        (_, None) => Some(json!({"type": kind})),
    }
}

/// The conditions that a rule about arriving mail cannot have: only what is sent has recipients to look at.
pub fn unfit_for_inbound(entry: &Entry) -> Vec<Fault> {
    let conditions = entry.fields.get("match").and_then(|matching| matching["conditions"].as_array());
    let fields = conditions.into_iter().flatten().map(|condition| condition["field"].as_str().unwrap_or_default());
    let unfit = fields.enumerate().filter(|(_, field)| !field.starts_with("from."));
    let fault = |(index, field): (usize, &str)| {
        let path = format!("{}.match.conditions[{index}].field", entry.path);
        let at = entry.places.get(&path).copied().unwrap_or(entry.at);
        Fault::new(at, path, format!("{field} is for rules with trigger: outbound"))
    };
    unfit.map(fault).collect()
}

pub(super) fn named<'n>(fields: &'n [(Key, Node)], name: &str) -> Option<&'n Node> {
    fields.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
}

pub(super) fn needed<'n>(
    reader: &mut Reader<'_>,
    node: &Node,
    fields: &'n [(Key, Node)],
    path: &str,
    name: &str,
) -> Option<&'n Node> {
    let found = named(fields, name);
    if found.is_none() {
        reader.fault(node.at, format!("{path}.{name}"), "missing");
    }
    found
}

pub(super) fn known_only(reader: &mut Reader<'_>, fields: &[(Key, Node)], path: &str, known: &[&str]) {
    for (key, _) in fields.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
        reader.note(unknown_key(key, path, known));
    }
}
