//! A document as YAML: in a stable order, with quotes wherever some reader might see something else than a text.

use super::document::{Document, Entry, Field, Kind, Section, VERSION};
use super::yaml::{Yaml, plain};
use serde_json::{Map, Value};

/// Writes a document below some lines of comment.
pub fn write(document: &Document, comments: &[String]) -> String {
    let mut text = String::new();
    for comment in comments {
        text.push_str(&format!("# {}\n", comment.replace(char::is_control, " ")));
    }
    text.push_str(&format!("version: {VERSION}\n"));
    for (section, entries) in &document.sections {
        if entries.is_empty() {
            text.push_str(&format!("\n{}: []\n", section.name()));
            continue;
        }
        text.push_str(&format!("\n{}:\n", section.name()));
        for entry in entries {
            write_entry(&mut text, *section, entry);
        }
    }
    text
}

fn write_entry(text: &mut String, section: Section, entry: &Entry) {
    text.push_str(&format!("  - {}: {}\n", section.key_field(), scalar(&entry.key)));
    for field in section.fields() {
        write_field(text, field, entry);
    }
    if let Some(items) = &entry.items {
        let items: Vec<Value> = items.iter().cloned().map(Value::String).collect();
        write_block(text, 4, "items", &Value::Array(items));
    }
}

fn write_field(text: &mut String, field: &Field, entry: &Entry) {
    if !matches!(field.kind, Kind::Group(_) | Kind::Anything) {
        if let Some(value) = entry.fields.get(field.name) {
            write_block(text, 4, field.name, value);
        }
        return;
    }
    let prefix = format!("{}.", field.name);
    let order = |name: &str| match field.kind {
        Kind::Group(inner) => inner.iter().position(|field| field.name == name),
        _ => None,
    };
    let mut inner: Vec<(&str, &Value)> =
        entry.fields.iter().filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, value))).collect();
    inner.sort_by_key(|(name, _)| (order(name), *name));
    let inner: Map<String, Value> = inner.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    if !inner.is_empty() {
        write_block(text, 4, field.name, &Value::Object(inner));
    }
}

/// A key with its value: what is simple on one line, the rest below it.
fn write_block(text: &mut String, indent: usize, key: &str, value: &Value) {
    let margin = " ".repeat(indent);
    match value {
        Value::Array(list) if !list.is_empty() => {
            text.push_str(&format!("{margin}{}:\n", scalar(key)));
            for value in list {
                write_item(text, indent + 2, value);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            text.push_str(&format!("{margin}{}:\n", scalar(key)));
            for (key, value) in map {
                write_block(text, indent + 2, key, value);
            }
        }
        value => text.push_str(&format!("{margin}{}: {}\n", scalar(key), flow(value))),
    }
}

fn write_item(text: &mut String, indent: usize, value: &Value) {
    let margin = " ".repeat(indent);
    let Value::Object(map) = value else {
        text.push_str(&format!("{margin}- {}\n", flow(value)));
        return;
    };
    let mut block = String::new();
    for (key, value) in map {
        write_block(&mut block, indent + 2, key, value);
    }
    match block.get(indent + 2..) {
        // The first key stands beside the dash.
        Some(rest) => text.push_str(&format!("{margin}- {rest}")),
        None => text.push_str(&format!("{margin}- {{}}\n")),
    }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A text, quoted unless every reader takes it for that text.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Words that older readers take for something else than texts.
const WORDS: &[&str] = &["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

fn is_plain(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_./@+-* ".contains(c);
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first
        && !text.ends_with(' ')
        && text.chars().all(is_word)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
        && matches!(plain(text), Yaml::Text(_))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // What is a line end, or is not to be printed, for some reader.
            '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
