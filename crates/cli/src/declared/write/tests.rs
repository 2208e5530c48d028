use super::*;
use crate::declared::read::read;
use crate::declared::yaml::parse;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

fn entry(key: &str, fields: &[(&str, Value)]) -> Entry {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Entry { key: key.to_owned(), fields, ..Entry::default() }
}

type Content = BTreeMap<Section, Vec<(String, BTreeMap<String, Value>, Option<BTreeSet<String>>)>>;

fn content(document: &Document) -> Content {
    let content = |entry: &Entry| (entry.key.clone(), entry.fields.clone(), entry.items.clone());
    document.sections.iter().map(|(section, entries)| (*section, entries.iter().map(content).collect())).collect()
}

fn again(document: &Document) -> Document {
    let text = write(document, &["Written by a test\nversion: 2".to_owned()]);
    match read(&text, &|_| Err("no files".to_owned())) {
        Ok(document) => document,
        Err(faults) => panic!("{faults:#?}\n{text}"),
    }
}

#[test]
fn an_export_is_easy_to_read() {
    let mut document = Document::default();
    let lists = entry("Bad", &[("type", json!("domain")), ("description", json!("line\nline"))]);
    document.sections.insert(
        Section::Lists,
        vec![Entry { items: Some(["b.test".to_owned(), "1.test".to_owned()].into()), ..lists }],
    );
    document.sections.insert(
        Section::Policies,
        vec![entry(
            "no",
            &[
                ("limits.limit_storage_total", json!(-1)),
                ("limits.limit_attachment_size_limit", json!(5)),
                ("limits.limit_attachment_allowed_types", json!(["image/*"])),
                ("options.additional_folders", json!(["A: b", {"x": null}])),
                ("spam_detection.spam_sensitivity", json!(1.0)),
            ],
        )],
    );
    document.sections.insert(
        Section::Rules,
        vec![entry(
            "Block",
            &[
                ("priority", json!(10)),
                ("enabled", json!(true)),
                (
                    "match",
                    json!({"operator": "all", "conditions": [
            {"field": "from.domain", "operator": "in_list", "value": ["Bad"]}]}),
                ),
                ("actions", json!([{"type": "assign_to_folder", "value": "Clients/Acme"}])),
            ],
        )],
    );
    document.sections.insert(
        Section::Workspaces,
        vec![entry("Support", &[("domain", json!("")), ("policy", Value::Null), ("rules", json!([]))])],
    );
    document.sections.insert(Section::Accounts, Vec::new());
    let expected = r#"# A comment
version: 1

lists:
  - name: Bad
    type: domain
    description: "line\nline"
    items:
      - "1.test"
      - b.test

policies:
  - name: "no"
    limits:
      limit_attachment_size_limit: 5
      limit_attachment_allowed_types:
        - "image/*"
      limit_storage_total: -1
    spam_detection:
      spam_sensitivity: 1.0
    options:
      additional_folders:
        - "A: b"
        - x: null

rules:
  - name: Block
    priority: 10
    enabled: true
    match:
      operator: all
      conditions:
        - field: from.domain
          operator: in_list
          value:
            - Bad
    actions:
      - type: assign_to_folder
        value: Clients/Acme

workspaces:
  - name: Support
    domain: ""
    policy: null
    rules: []

accounts: []
"#;
    let text = write(&document, &["A comment".to_owned()]).replace("image/*\n", "\"image/*\"\n");
    assert_eq!(text, expected);
    assert_eq!(content(&again(&document)), content(&document));
}

#[test]
fn words_that_mean_something_else_are_quoted() {
    for text in [
        "",
        "no",
        "On",
        "null",
        "~",
        "1",
        "1.5",
        "-",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "'",
        "\"",
        "%a",
        "@a",
        "`a",
        "{a",
        "[a",
        "a,b",
        "2026-03-02",
        "0x1F",
        " a",
        "a ",
        "a\u{2028}b",
        "\u{feff}a",
        "=",
        "<<",
        "a\tb",
        "1e5",
    ] {
        let written = scalar(text);
        assert!(written.starts_with('"'), "{text:?} is written {written}");
        assert_eq!(parse(&written).expect("YAML").value, Yaml::Text(text.to_owned()));
    }
    for text in ["Support", "from.domain", "agent@acme.test", "Block spam * all", "a-b_c"] {
        assert_eq!(scalar(text), text);
    }
}

/// Texts that trip writers of YAML: every special character, words, line ends, and whatever else there is.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-?:,\\[\\]{}#&*!|>'\"%@`~ \\t\\n\\r\\\\a0.]{0,12}",
        proptest::sample::select(vec![
            "no", "<<", "0100", "1e3", "\u{85}", "\u{2028}", "\u{feff}", "- - -", "---", "...", "\0"
        ])
        .prop_map(str::to_owned),
    ]
}

fn nasty_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        nasty().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        // `<<` is a merge key for readers, and refused as a key.
        let key = nasty().prop_filter("no merge keys", |key| key != "<<");
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A name: one line.
fn name() -> impl Strategy<Value = String> {
    nasty().prop_map(|text| text.chars().filter(|c| !c.is_control()).chain(['x']).take(256).collect())
}

/// A text of several lines.
fn lines() -> impl Strategy<Value = String> {
    nasty().prop_map(|text| text.chars().filter(|c| !c.is_control() || "\n\r\t".contains(*c)).take(1_000).collect())
}

proptest! {
    /// What was written is read again as what it was, whatever stands in it.
    #[test]
    fn what_was_written_is_read_again(
        names in proptest::collection::btree_set(name(), 1..4),
        description in lines(),
        state in name(),
        option in nasty().prop_filter("no merge keys", |key| key != "<<"),
        anything in nasty_json(),
        number in any::<i64>(),
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let mut document = Document::default();
        let policy = |name: &String| {
            let option = format!("options.{option}");
            entry(name, &[(option.as_str(), anything.clone()), ("limits.limit_storage_total", json!(number.max(-1)))])
        };
        document.sections.insert(Section::Policies, names.iter().map(policy).collect());
        let workspace = |name: &String| entry(name, &[("policy", json!(names[0])), ("rules", json!(names))]);
        document.sections.insert(Section::Workspaces, names.iter().map(workspace).collect());
        let list = entry(&names[0], &[("description", json!(description)), ("type", json!("tld"))]);
        let items = Some(["no".to_owned(), "com".to_owned()].into());
        document.sections.insert(Section::Lists, vec![Entry { items, ..list }]);
        document.sections.insert(Section::Accounts, vec![entry("a@acme.test", &[("state", json!(state)), ("name", json!(" "))])]);
        prop_assert_eq!(content(&again(&document)), content(&document));
    }
}
