//! Values of a fleet file: texts, numbers, words and lists, each checked where it stands.

use super::Reader;
use crate::declared::fault::{At, did_you_mean};
use crate::declared::yaml::{Key, Node, Yaml};
use postfleet_core::Domain;
use serde_json::{Map, Value, json};

/// Characters of a text in a list.
const TEXT_CHARS_MAX: usize = 2_048;

impl Reader<'_> {
    pub(super) fn wrong(&mut self, node: &Node, path: &str, wanted: &str) {
        let hint = match &node.value {
            Yaml::Null => "; leave it out to leave it as it is".to_owned(),
            Yaml::Flag(_) | Yaml::Whole(_) | Yaml::Decimal(_) | Yaml::Huge(_) if wanted.contains("text") => {
                "; put it in quotes".to_owned()
            }
            _ => String::new(),
        };
        self.fault(node.at, path, format!("must be {wanted}, not {}{hint}", node.value.kind()));
    }

    /// The entries of a mapping.
    pub(in crate::declared) fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [(Key, Node)]> {
        if let Yaml::Map(entries) = &node.value {
            return Some(entries);
        }
        self.wrong(node, path, "a mapping");
        None
    }

    /// The entries of a list.
    pub(in crate::declared) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        if let Yaml::List(list) = &node.value {
            return Some(list);
        }
        self.wrong(node, path, "a list");
        None
    }

    /// A text.
    pub(in crate::declared) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        if let Yaml::Text(text) = &node.value {
            return Some(text);
        }
        self.wrong(node, path, "a text");
        None
    }

    /// A text of one line that says something, with limits on its length in characters.
    pub(in crate::declared) fn line(&mut self, node: &Node, path: &str, min: usize, max: usize) -> Option<String> {
        let text = self.text(node, path)?;
        if text.chars().count() < min || (min > 0 && text.trim().is_empty()) {
            self.fault(node.at, path, format!("must be {min} to {max} characters"));
            return None;
        }
        self.short(node, path, max)
    }

    /// A text of one line, which may be empty.
    pub(super) fn short(&mut self, node: &Node, path: &str, max: usize) -> Option<String> {
        let text = self.text(node, path)?;
        if text.chars().count() > max {
            self.fault(node.at, path, format!("must be at most {max} characters"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.fault(node.at, path, "must not have line breaks, tabs or other control characters");
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn lines(&mut self, node: &Node, path: &str, max: usize) -> Option<String> {
        let text = self.text(node, path)?;
        if text.chars().count() > max {
            self.fault(node.at, path, format!("must be at most {max} characters"));
            return None;
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.fault(node.at, path, "must not have control characters other than line breaks and tabs");
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn domain(&mut self, node: &Node, path: &str) -> Option<Value> {
        if node.value == Yaml::Null {
            return Some(json!(""));
        }
        let text = self.text(node, path)?;
        if !text.is_empty() && Domain::parse(text).is_err() {
            self.fault(node.at, path, "must be a domain such as support.example.com, or empty");
            return None;
        }
        Some(json!(text))
    }

    pub(in crate::declared) fn flag(&mut self, node: &Node, path: &str) -> Option<Value> {
        match &node.value {
            Yaml::Flag(flag) => return Some(json!(flag)),
            Yaml::Text(text) if ["yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str()) => {
                self.fault(node.at, path, format!("must be true or false; {text} is a text in YAML 1.2"));
            }
            _ => self.wrong(node, path, "true or false"),
        }
        None
    }

    pub(in crate::declared) fn whole(&mut self, node: &Node, path: &str, min: i64, max: i64) -> Option<Value> {
        let range = match max {
            i64::MAX => format!("a whole number of at least {min}"),
            max => format!("a whole number from {min} to {max}"),
        };
        match &node.value {
            Yaml::Whole(number) if (min..=max).contains(number) => return Some(json!(number)),
            Yaml::Whole(_) | Yaml::Huge(_) | Yaml::Decimal(_) => self.fault(node.at, path, format!("must be {range}")),
            _ => self.wrong(node, path, &range),
        }
        None
    }

    pub(in crate::declared) fn decimal(&mut self, node: &Node, path: &str, min: f64, max: f64) -> Option<Value> {
        #[expect(clippy::cast_precision_loss, reason = "numbers beyond the range are refused either way")]
        let number = match &node.value {
            Yaml::Whole(number) => Some(*number as f64),
            Yaml::Decimal(number) => Some(*number),
            _ => None,
        };
        match number {
            Some(number) if (min..=max).contains(&number) => return Some(json!(number)),
            Some(_) => self.fault(node.at, path, format!("must be a number from {min:?} to {max:?}")),
            None => self.wrong(node, path, &format!("a number from {min:?} to {max:?}")),
        }
        None
    }

    /// One of some words.
    pub(in crate::declared) fn word<'w>(&mut self, node: &Node, path: &str, words: &[&'w str]) -> Option<&'w str> {
        let text = self.text(node, path)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let hint = did_you_mean(text, words.iter().copied());
            self.fault(node.at, path, format!("must be one of {}{hint}", words.join(", ")));
        }
        found
    }

    pub(super) fn texts(&mut self, node: &Node, path: &str, min: usize, max: usize) -> Option<Vec<(At, String)>> {
        let list = self.list(node, path)?;
        if list.len() < min || list.len() > max {
            self.fault(node.at, path, format!("must have {min} to {max} entries"));
            return None;
        }
        let mut texts = Vec::with_capacity(list.len());
        for (index, node) in list.iter().enumerate() {
            texts.extend(self.line(node, &format!("{path}[{index}]"), 1, TEXT_CHARS_MAX).map(|text| (node.at, text)));
        }
        (texts.len() == list.len()).then_some(texts)
    }

    /// JSON as it stands.
    pub(super) fn anything(&mut self, node: &Node, path: &str) -> Option<Value> {
        Some(match &node.value {
            Yaml::Null => Value::Null,
            Yaml::Flag(flag) => json!(flag),
            Yaml::Whole(number) => json!(number),
            Yaml::Decimal(number) => json!(number),
            Yaml::Huge(_) => {
                self.fault(node.at, path, "is a number that has no room: put it in quotes");
                return None;
            }
            Yaml::Text(text) => json!(text),
            Yaml::List(list) => {
                let values =
                    list.iter().enumerate().map(|(index, node)| self.anything(node, &format!("{path}[{index}]")));
                Value::Array(values.collect::<Option<_>>()?)
            }
            Yaml::Map(entries) => {
                let values = entries
                    .iter()
                    .map(|(key, node)| Some((key.name.clone(), self.anything(node, &format!("{path}.{}", key.name))?)));
                Value::Object(values.collect::<Option<Map<_, _>>>()?)
            }
        })
    }
}
