//! Breakers of a workspace in a fleet file: as in a request, checked where they stand, and each in its one spelling.

use super::read::Reader;
use super::read_rule::{known_only, named, needed};
use super::yaml::Node;
use postfleet_core::breaker::{Action, BREAKERS_MAX, COUNT_MAX, MIN_VOLUME, Metric};
use serde_json::{Map, Value, json};

/// The least part of a whole that is a line, in percent.
const LEAST_PERCENT: f64 = 0.001;

/// `breakers`.
pub fn breakers(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Value> {
    let list = reader.list(node, path)?;
    if list.len() > BREAKERS_MAX {
        reader.fault(node.at, path, format!("must have at most {BREAKERS_MAX} breakers"));
        return None;
    }
    let read = list.iter().enumerate().map(|(index, node)| breaker(reader, node, &format!("{path}[{index}]")));
    let read: Vec<Option<Value>> = read.collect();
    let breakers: Vec<Value> = read.into_iter().collect::<Option<_>>()?;
    for (index, breaker) in breakers.iter().enumerate() {
        if breakers[..index].iter().any(|known| key(known) == key(breaker)) {
            let text = "there is one of this metric with this action already";
            reader.fault(list[index].at, format!("{path}[{index}].metric"), text);
            return None;
        }
    }
    Some(Value::Array(breakers))
}

fn breaker(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Value> {
    let fields = reader.map(node, path)?;
    known_only(reader, fields, path, &["metric", "threshold", "min_volume", "action", "throttle_to", "enabled"]);
    let names = |all: &[Metric]| all.iter().map(|metric| metric.name()).collect::<Vec<_>>();
    let metric = needed(reader, node, fields, path, "metric")
        .and_then(|node| reader.word(node, &format!("{path}.metric"), &names(Metric::ALL)))
        .and_then(Metric::named);
    let actions: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
    let action = needed(reader, node, fields, path, "action")
        .and_then(|node| reader.word(node, &format!("{path}.action"), &actions))
        .and_then(Action::named);
    let threshold = needed(reader, node, fields, path, "threshold");
    let (metric, action, at) = (metric?, action?, format!("{path}.threshold"));
    let most = i64::try_from(COUNT_MAX).unwrap_or(i64::MAX);
    let threshold = match metric.is_rate() {
        true => reader.decimal(threshold?, &at, LEAST_PERCENT, 100.0)?,
        false => reader.whole(threshold?, &at, 0, most)?,
    };
    let mut breaker = Map::new();
    breaker.insert("metric".into(), json!(metric.name()));
    breaker.insert("threshold".into(), threshold);
    breaker.insert("action".into(), json!(action.name()));
    for (name, is_meant, why) in [
        ("min_volume", metric.is_rate(), "must be absent: only rates have it"),
        ("throttle_to", action == Action::Throttle, "must be absent: only throttle has it"),
    ] {
        let path = format!("{path}.{name}");
        match named(fields, name) {
            Some(node) if is_meant => drop(breaker.insert(name.into(), reader.whole(node, &path, 1, most)?)),
            Some(node) => {
                reader.fault(node.at, path, why);
                return None;
            }
            None if is_meant && name == "throttle_to" => {
                reader.fault(node.at, path, "missing: how many messages there may be in an hour");
                return None;
            }
            None => {}
        }
    }
    if let Some(node) = named(fields, "enabled") {
        breaker.insert("enabled".into(), reader.flag(node, &format!("{path}.enabled"))?);
    }
    Some(Value::Object(breaker))
}

/// What there is one of.
fn key(breaker: &Value) -> (&str, &str) {
    let word = |name: &str| breaker[name].as_str().unwrap_or_default();
    (word("metric"), word("action"))
}

/// The one spelling of breakers: in the order of their words, and without what is so anyway. The server adds to them what
/// it knows beside.
pub fn normal(breakers: &[Value]) -> Value {
    let one = |breaker: &Value| {
        let mut normal = Map::new();
        for name in ["metric", "threshold", "min_volume", "action", "throttle_to", "enabled"] {
            let value = match &breaker[name] {
                Value::Null => continue,
                value if name == "min_volume" && *value == json!(MIN_VOLUME) => continue,
                Value::Bool(true) if name == "enabled" => continue,
                value if name == "threshold" => threshold(value),
                value => value.clone(),
            };
            normal.insert(name.to_owned(), value);
        }
        Value::Object(normal)
    };
    let mut all: Vec<Value> = breakers.iter().map(one).collect();
    all.sort_by(|one, other| key(one).cmp(&key(other)));
    Value::Array(all)
}

/// A line with three places at most; a whole number where it is one.
fn threshold(value: &Value) -> Value {
    let Some(number) = value.as_f64().map(|number| (number * 1_000.0).round() / 1_000.0) else { return value.clone() };
    #[expect(clippy::cast_possible_truncation, reason = "lines are at most a million")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "lines are at most a million")]
    let is_whole = whole as f64 == number;
    if is_whole { json!(whole) } else { json!(number) }
}
