//! The one spelling of every value, so that what the file says and what the server answers can be compared: sets are
//! sorted, addresses and domains are as the server keeps them, what is empty and what is absent is the same.

use super::document::{Kind, Section};
use super::read_breaker;
use postfleet_core::id::RuleId;
use postfleet_core::list::{self, ListKind};
use postfleet_core::rule::validate::{ConditionInput, MatchInput, NamedRule, RuleChange, RuleInput, ValueInput};
use postfleet_core::rule::{self, Condition, Direction, Field, Operand};
use postfleet_core::{Domain, EmailAddress, Patch, UnixMicros};
use serde_json::{Map, Number, Value};

/// The spelling of a value of some kind. What is of another kind stays.
pub fn normal(kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        (Kind::Optional(_), Value::String(text)) if text.is_empty() => Value::Null,
        (Kind::Lines(_) | Kind::Domain, Value::Null) => Value::String(String::new()),
        (Kind::Domain, Value::String(text)) => Value::String(domain(text)),
        (Kind::Decimal(..), value) => decimal(value),
        (Kind::Set(..) | Kind::LowerSet(..) | Kind::Many(..), Value::Null) => Value::Array(Vec::new()),
        (Kind::Set(..) | Kind::Many(..), Value::Array(list)) => set(list, str::to_owned),
        (Kind::LowerSet(..), Value::Array(list)) => set(list, str::to_lowercase),
        (Kind::Match, Value::Object(matching)) => normal_match(matching),
        (Kind::Actions, Value::Array(actions)) => Value::Array(actions.iter().map(normal_action).collect()),
        (Kind::Breakers, Value::Array(breakers)) => read_breaker::normal(breakers),
        (_, value) => value.clone(),
    }
}

/// What identifies a thing of a section, spelled as the server does.
pub fn key(section: Section, text: &str) -> String {
    match section {
        Section::Domains => domain(text),
        Section::Accounts => EmailAddress::parse(text).map_or_else(|_| text.to_owned(), |address| address.key()),
        _ => text.to_owned(),
    }
}

fn domain(text: &str) -> String {
    Domain::parse(text).map_or_else(|_| text.to_owned(), |domain| domain.as_str().to_owned())
}

/// Numbers have three decimals at the server.
fn decimal(value: &Value) -> Value {
    let rounded = value.as_f64().map(|number| (number * 1_000.0).round() / 1_000.0);
    rounded.and_then(Number::from_f64).map_or_else(|| value.clone(), Value::Number)
}

fn set(list: &[Value], spelling: fn(&str) -> String) -> Value {
    let mut texts: Vec<String> = list.iter().filter_map(Value::as_str).map(spelling).collect();
    texts.sort_unstable();
    texts.dedup();
    Value::Array(texts.into_iter().map(Value::String).collect())
}

fn normal_match(matching: &Map<String, Value>) -> Value {
    let conditions = matching.get("conditions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut normal = Map::new();
    normal.insert(
        "operator".into(),
        matching
            .get("operator")
            .filter(|operator| !operator.is_null())
            .cloned()
            .unwrap_or_else(|| Value::String(rule::MatchOperator::All.name().into())),
    );
    normal.insert("conditions".into(), Value::Array(conditions.iter().map(normal_condition).collect()));
    Value::Object(normal)
}

fn normal_condition(condition: &Value) -> Value {
    let word = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
    let (field, operator) = (word("field"), word("operator"));
    let value = match &condition["value"] {
        Value::Array(lists) => set(lists, str::to_owned),
        Value::String(text) => Value::String(operand(&field, &operator, text)),
        other => other.clone(),
    };
    let pairs = [("field", Value::String(field)), ("operator", Value::String(operator)), ("value", value)];
    Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The text that a condition compares with, as the server keeps it: what the server's own reading of such a rule says.
/// What it would refuse stays.
fn operand(field: &str, operator: &str, text: &str) -> String {
    let value = ValueInput::Text(text.to_owned());
    let condition = ConditionInput { field: field.to_owned(), operator: operator.to_owned(), value };
    let is_found = Field::named(field).is_some_and(Field::is_found);
    let trigger = if is_found { Direction::Inbound } else { Direction::Outbound };
    let input = RuleInput {
        trigger: Patch::Set(trigger.name().to_owned()),
        matching: Patch::Set(MatchInput { operator: None, conditions: vec![condition] }),
        ..RuleInput::default()
    };
    let blank = NamedRule::blank(RuleId::first_at(UnixMicros::from_seconds(0)));
    let rule = RuleChange::read(input).and_then(|change| change.apply(&blank));
    match rule.map(|named| named.rule.conditions).as_deref() {
        Ok([Condition { operand: Operand::Text(text), .. }]) => text.clone(),
        _ => text.to_owned(),
    }
}

fn normal_action(action: &Value) -> Value {
    let mut normal = Map::new();
    let kind = match action["type"].as_str() {
        Some("move_to_folder") => Value::String("assign_to_folder".to_owned()),
        _ => action["type"].clone(),
    };
    normal.insert("type".into(), kind);
    if let Some(value) = action["value"].as_str().map(str::trim).filter(|value| !value.is_empty()) {
        normal.insert("value".into(), Value::String(value.to_owned()));
    }
    Value::Object(normal)
}

/// An item of a list in its one spelling, or what is wanted instead. Where the kind of the list is not known, it is judged
/// later.
pub fn item(kind: Option<ListKind>, text: &str) -> Result<String, String> {
    let Some(kind) = kind else { return Ok(text.trim().to_lowercase()) };
    list::normalize(kind, text).map_err(|wrong| wrong.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_mean_the_same_are_the_same() {
        let cases = [
            (Kind::Optional(9), json!(""), json!(null)),
            (Kind::Lines(9), json!(null), json!("")),
            (Kind::Decimal(0.1, 5.0), json!(1), json!(1.0)),
            (Kind::Decimal(0.1, 5.0), json!(1.23456), json!(1.235)),
            (Kind::Set(0, 9), json!(["b", "a", "b"]), json!(["a", "b"])),
            (Kind::LowerSet(0, 9), json!(["Image/*", "image/*"]), json!(["image/*"])),
            (Kind::Domain, json!("Bücher.Example."), json!("xn--bcher-kva.example")),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(normal(&kind, &value), expected, "{kind:?}");
        }
        assert_eq!(key(Section::Accounts, "Bob@Example.COM"), "bob@example.com");
    }

    #[test]
    fn conditions_are_spelled_as_the_server_keeps_them() {
        let given = json!({"conditions": [
            {"field": "from.domain", "operator": "is", "value": " @Bücher.example "},
            {"field": "from.tld", "operator": "is", "value": ".COM"},
            {"field": "from.domain", "operator": "contains", "value": ".Bad."},
            {"field": "from.address", "operator": "in_list", "value": ["b", "a", "a"]},
        ]});
        let expected = json!({"operator": "all", "conditions": [
            {"field": "from.domain", "operator": "is", "value": "xn--bcher-kva.example"},
            {"field": "from.tld", "operator": "is", "value": "com"},
            {"field": "from.domain", "operator": "contains", "value": ".bad."},
            {"field": "from.address", "operator": "in_list", "value": ["a", "b"]},
        ]});
        assert_eq!(normal(&Kind::Match, &given), expected);
        let actions =
            json!([{"type": "move_to_folder", "value": " Clients/Acme "}, {"type": "archive", "value": null}]);
        let expected = json!([{"type": "assign_to_folder", "value": "Clients/Acme"}, {"type": "archive"}]);
        assert_eq!(normal(&Kind::Actions, &actions), expected);
    }
}
