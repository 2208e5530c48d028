//! What a server has, as values that can be compared with a fleet file: ids have become names, and every value has its
//! one spelling. Made from the interface's own answers.

use super::document::{BREAKERS, Document, Entry, Field, Kind, Section};
use super::spelling::{self, normal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a server has in some sections.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Things by section; a section that was not asked for is absent.
    pub sections: BTreeMap<Section, Vec<Held>>,
}

/// One thing that a server has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Held {
    /// Its id, for the paths of requests.
    pub id: String,
    /// Its name, address or URL.
    pub key: String,
    /// Whether it is the application's default workspace, which stays.
    pub is_default: bool,
    /// Its fields in their spelling. Those that name things of sections that were not asked for are absent.
    pub fields: BTreeMap<String, Value>,
    /// The items of a list, if they were asked for.
    pub items: Option<BTreeSet<String>>,
}

/// Names by id, for each section whose things others name.
pub type Names = BTreeMap<Section, BTreeMap<String, String>>;

impl State {
    /// Puts a section together from what the interface answered. `names` are those of the sections before it.
    pub fn add(&mut self, section: Section, things: &[Value], names: &Names) {
        let held = things.iter().map(|thing| held(section, thing, names)).collect();
        self.sections.insert(section, held);
    }

    /// The things of a section.
    pub fn of(&self, section: Section) -> &[Held] {
        self.sections.get(&section).map(Vec::as_slice).unwrap_or_default()
    }

    /// Keys that more than one thing of a section has.
    pub fn twice(&self, section: Section) -> BTreeMap<&str, usize> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for held in self.of(section) {
            *counts.entry(&held.key).or_default() += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }

    /// The present state as a file would say it: the given sections, each in the order of its keys.
    pub fn export(&self, sections: &BTreeSet<Section>) -> Document {
        let mut document = Document::default();
        for section in sections {
            let mut entries: Vec<Entry> = self.of(*section).iter().map(Held::entry).collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            document.sections.insert(*section, entries);
        }
        document
    }
}

impl Held {
    fn entry(&self) -> Entry {
        let mut fields = self.fields.clone();
        // What was never said is not said in an export, either.
        let is_empty = |value: &Value| matches!(value, Value::Null) || *value == json!("") || *value == json!([]);
        let unsaid =
            ["description", "state", "notification_email_addresses", "limits.limit_attachment_allowed_types", BREAKERS];
        for field in unsaid {
            if fields.get(field).is_some_and(is_empty) {
                fields.remove(field);
            }
        }
        // Nobody wants a webhook to have failed.
        if fields.get("status").is_some_and(|status| status == "failed") {
            fields.remove("status");
        }
        if self.is_default {
            fields.retain(|name, _| name == "policy" || name == "rules" || name == BREAKERS);
        }
        Entry { key: self.key.clone(), fields, items: self.items.clone(), ..Entry::default() }
    }
}

/// The id by which a thing is asked for.
pub fn id_of(section: Section, thing: &Value) -> String {
    let field = if section == Section::Workspaces { "workspace_id" } else { "id" };
    text(&thing[field])
}

/// What a thing is known by.
pub fn key_of(section: Section, thing: &Value) -> String {
    spelling::key(section, &text(&thing[section.key_field()]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn held(section: Section, thing: &Value, names: &Names) -> Held {
    let mut held = Held {
        id: id_of(section, thing),
        key: key_of(section, thing),
        is_default: thing["default"] == true,
        ..Held::default()
    };
    for field in section.fields() {
        take(&mut held.fields, field, field.name.to_owned(), &thing[on_the_wire(section, field.name)], names);
    }
    held
}

/// What a field is called in requests and answers.
pub fn on_the_wire(section: Section, field: &str) -> &str {
    match (section, field) {
        (Section::Workspaces, "policy") => "policy_id",
        (Section::Workspaces, "rules") => "rule_ids",
        (Section::Accounts, "workspace") => "workspace_id",
        _ => field,
    }
}

fn take(fields: &mut BTreeMap<String, Value>, field: &Field, name: String, value: &Value, names: &Names) {
    match field.kind {
        Kind::Group(inner) => {
            for field in inner {
                take(fields, field, format!("{name}.{}", field.name), &value[field.name], names);
            }
        }
        Kind::Anything => {
            for (key, value) in value.as_object().into_iter().flatten() {
                fields.insert(format!("{name}.{key}"), value.clone());
            }
        }
        // A server that does not know the field says nothing about it.
        _ if value.is_null() && !is_nullable(&field.kind) => {}
        Kind::One(section) => {
            let Some(names) = names.get(&section) else { return };
            let named = value.as_str().and_then(|id| names.get(id));
            fields.insert(name, json!(named));
        }
        Kind::Many(section, _) => {
            let Some(names) = names.get(&section) else { return };
            fields.insert(name, normal(&field.kind, &named(value, names)));
        }
        Kind::Match => {
            let mut matching = value.clone();
            let Some(names) = names.get(&Section::Lists) else { return };
            for condition in matching["conditions"].as_array_mut().into_iter().flatten() {
                if condition["operator"] == "in_list" {
                    condition["value"] = named(&condition["value"], names);
                }
            }
            fields.insert(name, normal(&field.kind, &matching));
        }
        _ if name == "status" && value == "failing" => drop(fields.insert(name, json!("active"))),
        _ => drop(fields.insert(name, normal(&field.kind, value))),
    }
}

fn is_nullable(kind: &Kind) -> bool {
    matches!(kind, Kind::Optional(_) | Kind::Lines(_) | Kind::Domain | Kind::One(_) | Kind::Many(..))
}

/// Names for ids; what is there no more has none.
fn named(ids: &Value, names: &BTreeMap<String, String>) -> Value {
    let ids = ids.as_array().into_iter().flatten().filter_map(Value::as_str);
    json!(ids.filter_map(|id| names.get(id)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_comparable_values() {
        let mut names = Names::new();
        names.insert(Section::Policies, [("p1".to_owned(), "Standard".to_owned())].into());
        names.insert(Section::Rules, [("r1".to_owned(), "B".to_owned()), ("r2".to_owned(), "A".to_owned())].into());
        let mut state = State::default();
        let answer = json!({"workspace_id": "w1", "name": "Support", "domain": "", "auto_group": false, "default": true,
            "policy_id": "p1", "rule_ids": ["r1", "gone", "r2"], "created_at": 1});
        state.add(Section::Workspaces, &[answer], &names);
        let held = &state.of(Section::Workspaces)[0];
        assert_eq!((held.id.as_str(), held.key.as_str(), held.is_default), ("w1", "Support", true));
        assert_eq!(held.fields["policy"], json!("Standard"));
        assert_eq!(held.fields["rules"], json!(["A", "B"]));
        let exported = state.export(&[Section::Workspaces].into());
        let entry = &exported.sections[&Section::Workspaces][0];
        assert_eq!(entry.fields.keys().collect::<Vec<_>>(), ["policy", "rules"]);
    }

    #[test]
    fn lists_that_are_gone_match_nothing_and_are_not_named() {
        let mut names = Names::new();
        names.insert(Section::Lists, [("l1".to_owned(), "Bad".to_owned())].into());
        let mut state = State::default();
        let rule = json!({"id": "r", "name": "Block", "description": null, "priority": 10, "enabled": true,
            "trigger": "inbound", "match": {"operator": "any", "conditions": [
                {"field": "from.domain", "operator": "in_list", "value": ["gone", "l1"]}]},
            "actions": [{"type": "block", "value": null}]});
        state.add(Section::Rules, &[rule], &names);
        let held = &state.of(Section::Rules)[0];
        assert_eq!(held.fields["match"]["conditions"][0]["value"], json!(["Bad"]));
        assert_eq!(held.fields["actions"], json!([{"type": "block"}]));
        assert!(!held.fields.contains_key("mode"), "the server said nothing about it");
    }

    #[test]
    fn a_webhook_that_fails_is_still_meant_to_work() {
        let mut state = State::default();
        let webhook = |status: &str| {
            json!({"id": status, "webhook_url": format!("https://{status}.example/"), "trigger_types": ["message.created"],
                "description": "", "status": status, "notification_email_addresses": []})
        };
        state.add(Section::Webhooks, &["active", "failing", "failed", "pause"].map(webhook), &Names::new());
        let statuses: Vec<&Value> = state.of(Section::Webhooks).iter().map(|held| &held.fields["status"]).collect();
        assert_eq!(statuses, [&json!("active"), &json!("active"), &json!("failed"), &json!("pause")]);
        let exported = state.export(&[Section::Webhooks].into());
        let written = |index: usize| exported.sections[&Section::Webhooks][index].fields.get("status").cloned();
        assert_eq!((written(1), written(2)), (None, Some(json!("active"))));
        assert_eq!(exported.sections[&Section::Webhooks][1].key, "https://failed.example/");
    }
}
