//! Reading a fleet file: every field is checked where it stands, and all that is wrong is told at once. Files with the
//! items of long lists are given by a function, so that this one reads none.

use super::document::{Document, Entry, Field, Kind, Reference, Section, VERSION};
use super::fault::{At, Fault};
use super::spelling::{self, normal};
use super::yaml::{self, Key, Node, Yaml, unknown_key};
use super::{read_breaker, read_rule};
use postfleet_core::list::ListKind;
use postfleet_core::{Domain, EmailAddress};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

mod values;

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
        if section == Section::Rules && entry.fields.get("trigger").is_some_and(|trigger| trigger == "inbound") {
            self.faults.extend(read_rule::unfit_for_inbound(&entry));
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
            Kind::Breakers => read_breaker::breakers(self, node, path),
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
}

fn put(entry: &mut Entry, name: String, at: At, value: Value) {
    entry.places.insert(name.clone(), at);
    entry.fields.insert(name, value);
}

#[cfg(test)]
mod tests;
