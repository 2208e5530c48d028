//! Reading a fleet file: every field is checked where it stands, and all that is wrong is told at once. Files with the
//! items of long lists are given by a function, so that this one reads none.

use super::document::{Document, Entry, Field, Kind, Reference, Section, VERSION};
use super::fault::{At, Fault, did_you_mean};
use super::read_rule;
use super::spelling::{self, normal};
use super::yaml::{self, Key, Node, Yaml, unknown_key};
use postfleet_core::list::ListKind;
use postfleet_core::{Domain, EmailAddress};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a webhook's URL.
const URL_CHARS_MAX: usize = 2_048;

/// Items of one list.
const ITEMS_MAX: usize = 1_000_000;

/// How the files that a fleet file names are read.
pub type Files<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads a fleet file.
pub fn read(text: &str, files: Files<'_>) -> Result<Document, Vec<Fault>> {
    let root = yaml::parse(text)?;
    let mut reader = Reader { faults: Vec::new(), files };
    let document = reader.document(&root);
    if reader.faults.is_empty() {
        return Ok(document);
    }
    reader.faults.sort_by_key(|fault| (fault.file.clone(), fault.at));
    Err(reader.faults)
}

/// What reads, and what it found wrong.
pub struct Reader<'a> {
    faults: Vec<Fault>,
    files: Files<'a>,
}

impl Reader<'_> {
    /// Notes a fault.
    pub fn fault(&mut self, at: At, path: impl Into<String>, text: impl Into<String>) {
        self.faults.push(Fault::new(at, path, text));
    }

    /// Notes a fault that is made already.
    pub fn note(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn document(&mut self, root: &Node) -> Document {
        let mut document = Document::default();
        let known: Vec<&str> = std::iter::once("version").chain(Section::ALL.map(Section::name)).collect();
        let Some(entries) = self.map(root, "") else { return document };
        if !entries.iter().any(|(key, _)| key.name == "version") {
            self.fault(root.at, "version", "missing: the file begins with version: 1");
        }
        for (key, node) in entries {
            match Section::named(&key.name) {
                Some(section) => {
                    let entries = self.section(section, node);
                    document.sections.insert(section, entries);
                }
                None if key.name == "version" => self.version(node),
                None => self.faults.push(unknown_key(key, "", &known)),
            }
        }
        document
    }

    fn version(&mut self, node: &Node) {
        if node.value != Yaml::Whole(VERSION) {
            self.fault(node.at, "version", "must be 1: the only shape of this file that there is");
        }
    }

    fn section(&mut self, section: Section, node: &Node) -> Vec<Entry> {
        let name = section.name();
        if node.value == Yaml::Null {
            self.fault(node.at, name, format!("is empty: write {name}: [] if there are to be none, or leave it out"));
            return Vec::new();
        }
        let Some(list) = self.list(node, name) else { return Vec::new() };
        let mut known: BTreeMap<String, At> = BTreeMap::new();
        let mut entries = Vec::with_capacity(list.len());
        for (index, node) in list.iter().enumerate() {
            let Some(entry) = self.entry(section, node, format!("{name}[{index}]")) else { continue };
            match known.get(&entry.key) {
                Some(first) => {
                    let text = format!("there is a {} {} already, at {first}", section.one(), entry.key);
                    self.fault(entry.at, format!("{}.{}", entry.path, section.key_field()), text);
                }
                None => {
                    known.insert(entry.key.clone(), entry.at);
                    entries.push(entry);
                }
            }
        }
        entries
    }

    fn entry(&mut self, section: Section, node: &Node, path: String) -> Option<Entry> {
        let fields = self.map(node, &path)?;
        let key = self.key(section, node, fields, &path);
        let mut entry = Entry { at: node.at, path, ..Entry::default() };
        let is_list = section == Section::Lists;
        for (key, value) in fields.iter().filter(|(key, _)| key.name != section.key_field()) {
            let path = format!("{}.{}", entry.path, key.name);
            match section.fields().iter().find(|field| field.name == key.name) {
                Some(field) => self.field(&mut entry, field, field.name.to_owned(), value, &path),
                None if is_list && matches!(key.name.as_str(), "items" | "items_file") => {}
                None => {
                    let known: Vec<&str> = std::iter::once(section.key_field())
                        .chain(section.fields().iter().map(|field| field.name))
                        .chain(is_list.then_some(["items", "items_file"]).into_iter().flatten())
                        .collect();
                    self.faults.push(unknown_key(key, &entry.path, &known));
                }
            }
        }
        if is_list {
            self.items(&mut entry, fields);
        }
        if section == Section::Rules {
            read_rule::suits(self, &entry);
        }
        entry.key = key?;
        Some(entry)
    }

    fn key(&mut self, section: Section, node: &Node, fields: &[(Key, Node)], path: &str) -> Option<String> {
        let field = section.key_field();
        let Some((_, value)) = fields.iter().find(|(key, _)| key.name == field) else {
            self.fault(node.at, format!("{path}.{field}"), format!("missing: a {} is known by it", section.one()));
            return None;
        };
        let path = format!("{path}.{field}");
        let text = self.line(value, &path, 1, if section == Section::Webhooks { URL_CHARS_MAX } else { 320 })?;
        let wrong = match section {
            Section::Domains => Domain::parse(&text).err().map(|_| "must be a domain such as agents.example.com"),
            Section::Accounts => {
                EmailAddress::parse(&text).err().map(|_| "must be an address such as support@agents.example.com")
            }
            Section::Webhooks => {
                (!text.starts_with("https://") && !text.starts_with("http://")).then_some("must begin with https://")
            }
            _ => (text.chars().count() > 256).then_some("must be 1 to 256 characters"),
        };
        match wrong {
            Some(wrong) => {
                self.fault(value.at, path, wrong);
                None
            }
            None => Some(spelling::key(section, &text)),
        }
    }

    fn field(&mut self, entry: &mut Entry, field: &Field, name: String, node: &Node, path: &str) {
        match field.kind {
            Kind::Group(inner) => {
                let Some(fields) = self.map(node, path) else { return };
                for (key, node) in fields {
                    let path = format!("{path}.{}", key.name);
                    match inner.iter().find(|field| field.name == key.name) {
                        Some(field) => self.field(entry, field, format!("{name}.{}", key.name), node, &path),
                        None => {
                            let known: Vec<&str> = inner.iter().map(|field| field.name).collect();
                            let path = path.rsplit_once('.').map_or("", |(path, _)| path);
                            self.faults.push(unknown_key(key, path, &known));
                        }
                    }
                }
            }
            Kind::Anything => {
                for (key, node) in self.map(node, path).unwrap_or_default() {
                    if let Some(value) = self.anything(node, &format!("{path}.{}", key.name)) {
                        put(entry, format!("{name}.{}", key.name), node.at, value);
                    }
                }
            }
            _ => {
                if let Some(value) = self.value(entry, &field.kind, node, path) {
                    put(entry, name, node.at, normal(&field.kind, &value));
                }
            }
        }
    }

    fn value(&mut self, entry: &mut Entry, kind: &Kind, node: &Node, path: &str) -> Option<Value> {
        match *kind {
            Kind::Optional(_) | Kind::Lines(_) | Kind::One(_) if node.value == Yaml::Null => Some(Value::Null),
            Kind::Line(min, max) => self.line(node, path, min, max).map(Value::String),
            Kind::Optional(max) => self.short(node, path, max).map(Value::String),
            Kind::Lines(max) => self.lines(node, path, max).map(Value::String),
            Kind::Domain => self.domain(node, path),
            Kind::Flag => self.flag(node, path),
            Kind::Whole(min, max) => self.whole(node, path, min, max),
            Kind::Decimal(min, max) => self.decimal(node, path, min, max),
            Kind::Word(words) => self.word(node, path, words).map(|word| json!(word)),
            Kind::Set(min, max) | Kind::LowerSet(min, max) => {
                let texts = self.texts(node, path, min, max)?;
                Some(json!(texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>()))
            }
            Kind::One(section) => {
                let name = self.line(node, path, 1, 256)?;
                entry.references.push(Reference { section, name: name.clone(), at: node.at, path: path.to_owned() });
                Some(json!(name))
            }
            Kind::Many(section, max) => self.names(entry, section, node, path, max),
            Kind::Match => read_rule::matching(self, entry, node, path),
            Kind::Actions => read_rule::actions(self, node, path),
            Kind::Group(_) | Kind::Anything => None,
        }
    }

    /// Names of other things, each of which is looked for later.
    pub fn names(&mut self, entry: &mut Entry, section: Section, node: &Node, path: &str, max: usize) -> Option<Value> {
        let texts = self.texts(node, path, 0, max)?;
        for (index, (at, name)) in texts.iter().enumerate() {
            let path = format!("{path}[{index}]");
            entry.references.push(Reference { section, name: name.clone(), at: *at, path });
        }
        Some(json!(texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>()))
    }

    fn items(&mut self, entry: &mut Entry, fields: &[(Key, Node)]) {
        let kind = entry.fields.get("type").and_then(Value::as_str).and_then(ListKind::named);
        let named = |name: &str| fields.iter().find(|(key, _)| key.name == name).map(|(_, node)| node);
        let path = entry.path.clone();
        let mut items = BTreeSet::new();
        match (named("items"), named("items_file")) {
            (Some(_), Some(node)) => {
                self.fault(node.at, format!("{path}.items_file"), "cannot go with items: choose one of the two");
                return;
            }
            (Some(node), None) => {
                let path = format!("{path}.items");
                for (index, (at, text)) in self.texts(node, &path, 0, ITEMS_MAX).unwrap_or_default().iter().enumerate()
                {
                    match spelling::item(kind, text) {
                        Ok(item) => drop(items.insert(item)),
                        Err(wrong) => self.fault(*at, format!("{path}[{index}]"), wrong),
                    }
                }
            }
            (None, Some(node)) => {
                let path = format!("{path}.items_file");
                let Some(file) = self.line(node, &path, 1, 4_096) else { return };
                match (self.files)(&file) {
                    Ok(text) => items = self.items_of_file(&file, &path, kind, &text),
                    Err(wrong) => self.fault(node.at, path, format!("cannot be read: {wrong}")),
                }
            }
            (None, None) => return,
        }
        entry.items = Some(items);
    }

    /// One item a line; empty lines and those that begin with `#` are passed over.
    fn items_of_file(&mut self, file: &str, path: &str, kind: Option<ListKind>, text: &str) -> BTreeSet<String> {
        let mut items = BTreeSet::new();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            match spelling::item(kind, line) {
                Ok(item) => drop(items.insert(item)),
                Err(wrong) => {
                    let at = At { line: index + 1, column: 1 };
                    let fault = Fault { file: Some(file.to_owned()), ..Fault::new(at, path, wrong) };
                    self.faults.push(fault);
                }
            }
        }
        items
    }

    fn wrong(&mut self, node: &Node, path: &str, wanted: &str) {
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
    pub fn map<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [(Key, Node)]> {
        if let Yaml::Map(entries) = &node.value {
            return Some(entries);
        }
        self.wrong(node, path, "a mapping");
        None
    }

    /// The entries of a list.
    pub fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        if let Yaml::List(list) = &node.value {
            return Some(list);
        }
        self.wrong(node, path, "a list");
        None
    }

    /// A text.
    pub fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        if let Yaml::Text(text) = &node.value {
            return Some(text);
        }
        self.wrong(node, path, "a text");
        None
    }

    /// A text of one line that says something, with limits on its length in characters.
    pub fn line(&mut self, node: &Node, path: &str, min: usize, max: usize) -> Option<String> {
        let text = self.text(node, path)?;
        if text.chars().count() < min || (min > 0 && text.trim().is_empty()) {
            self.fault(node.at, path, format!("must be {min} to {max} characters"));
            return None;
        }
        self.short(node, path, max)
    }

    /// A text of one line, which may be empty.
    fn short(&mut self, node: &Node, path: &str, max: usize) -> Option<String> {
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

    fn lines(&mut self, node: &Node, path: &str, max: usize) -> Option<String> {
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

    fn domain(&mut self, node: &Node, path: &str) -> Option<Value> {
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

    fn flag(&mut self, node: &Node, path: &str) -> Option<Value> {
        match &node.value {
            Yaml::Flag(flag) => return Some(json!(flag)),
            Yaml::Text(text) if ["yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str()) => {
                self.fault(node.at, path, format!("must be true or false; {text} is a text in YAML 1.2"));
            }
            _ => self.wrong(node, path, "true or false"),
        }
        None
    }

    fn whole(&mut self, node: &Node, path: &str, min: i64, max: i64) -> Option<Value> {
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

    fn decimal(&mut self, node: &Node, path: &str, min: f64, max: f64) -> Option<Value> {
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
    pub fn word<'w>(&mut self, node: &Node, path: &str, words: &[&'w str]) -> Option<&'w str> {
        let text = self.text(node, path)?;
        let found = words.iter().copied().find(|word| *word == text);
        if found.is_none() {
            let hint = did_you_mean(text, words.iter().copied());
            self.fault(node.at, path, format!("must be one of {}{hint}", words.join(", ")));
        }
        found
    }

    fn texts(&mut self, node: &Node, path: &str, min: usize, max: usize) -> Option<Vec<(At, String)>> {
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
    fn anything(&mut self, node: &Node, path: &str) -> Option<Value> {
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

/// Characters of a text in a list.
const TEXT_CHARS_MAX: usize = 2_048;

fn put(entry: &mut Entry, name: String, at: At, value: Value) {
    entry.places.insert(name.clone(), at);
    entry.fields.insert(name, value);
}

#[cfg(test)]
mod tests;
