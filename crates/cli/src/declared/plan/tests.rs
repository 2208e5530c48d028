use super::*;
use crate::declared::fault::At;
use crate::declared::read::read;
use proptest::prelude::*;
use serde_json::json;

fn document(text: &str) -> Document {
    read(text, &|_| Err("no files".to_owned())).expect("a document")
}

fn everything() -> BTreeSet<Section> {
    Section::ALL.into()
}

fn held(key: &str, fields: &[(&str, Value)]) -> Held {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Held { id: format!("id of {key}"), key: key.to_owned(), fields, ..Held::default() }
}

fn state(sections: &[(Section, Vec<Held>)]) -> State {
    let mut state = State { sections: sections.iter().cloned().collect() };
    let workspaces = state.sections.entry(Section::Workspaces).or_default();
    workspaces.push(Held { is_default: true, ..held("Default", &[("policy", Value::Null), ("rules", json!([]))]) });
    state
}

/// What a server does with a step.
fn carry_out(state: &mut State, step: &Step) {
    let section = step.section;
    match &step.change {
        Change::Create(fields) => {
            let mut made = held(&step.key, &[]);
            made.fields.clone_from(fields);
            match section {
                Section::Lists => made.items = Some(BTreeSet::new()),
                Section::Accounts => drop(made.fields.entry("workspace".into()).or_insert(json!("Default"))),
                _ => {}
            }
            state.sections.entry(section).or_default().push(made);
        }
        Change::Delete => {
            state.sections.get_mut(&section).expect("section").retain(|held| held.key != step.key);
            detach(state, section, &step.key);
        }
        change => {
            let things = state.sections.get_mut(&section).expect("section");
            let held = things.iter_mut().find(|held| held.key == step.key).expect("the thing that changes");
            match change {
                Change::Update(fields) => {
                    held.fields.extend(fields.iter().map(|change| (change.field.clone(), change.after.clone())));
                }
                Change::Items { added, removed } => {
                    let items = held.items.get_or_insert_default();
                    items.extend(added.iter().cloned());
                    items.retain(|item| !removed.contains(item));
                }
                _ => {}
            }
        }
    }
}

fn detach(state: &mut State, section: Section, key: &str) {
    for held in state.sections.values_mut().flatten() {
        let gone = json!(key);
        for (field, value) in &mut held.fields {
            match (section, field.as_str()) {
                (Section::Policies, "policy") if *value == gone => *value = Value::Null,
                (Section::Workspaces, "workspace") if *value == gone => *value = json!("Default"),
                (Section::Rules, "rules") => value.as_array_mut().expect("rules").retain(|name| *name != gone),
                (Section::Lists, "match") => {
                    for condition in value["conditions"].as_array_mut().expect("conditions") {
                        condition["value"].as_array_mut().expect("lists").retain(|name| *name != gone);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What is known of a thing, without its id.
type Content = (BTreeMap<String, Value>, Option<BTreeSet<String>>);

fn content(state: &State) -> BTreeMap<Section, BTreeMap<String, Content>> {
    let content = |held: &Held| (held.key.clone(), (held.fields.clone(), held.items.clone()));
    let filled = state.sections.iter().filter(|(_, things)| !things.is_empty());
    filled.map(|(section, things)| (*section, things.iter().map(content).collect())).collect()
}

#[test]
fn steps_come_in_the_order_in_which_things_name_each_other() {
    let file = document(
        "version: 1
webhooks: [{webhook_url: 'https://a.example/', trigger_types: [message.created], status: pause}]
accounts: [{email: a@acme.test, workspace: Support}, {email: b@acme.test, workspace: null}]
workspaces: [{name: Support, policy: Strict, rules: [Block]}]
rules: [{name: Block, match: {conditions: [{field: from.domain, operator: in_list, value: [Bad]}]}, actions: [{type: block}]}]
policies: [{name: Strict}]
lists: [{name: Bad, type: domain, items: [spam.test]}]
domains: [{domain_address: acme.test}]
",
    );
    let old = state(&[
        (Section::Policies, vec![held("Old", &[])]),
        (Section::Workspaces, vec![held("Gone", &[])]),
        (Section::Accounts, vec![held("old@acme.test", &[])]),
    ]);
    let plan = plan(&file, &old, &everything()).expect("a plan");
    let steps: Vec<String> = plan.steps.iter().map(crate::declared::render::line).collect();
    let expected = [
        "+ domain acme.test".to_owned(),
        "+ list Bad: type domain".to_owned(),
        "~ list Bad: +1 item (spam.test)".to_owned(),
        "+ policy Strict".to_owned(),
        "+ rule Block: actions [block], match from.domain in_list [Bad]".to_owned(),
        "+ workspace Support: policy Strict, rules [Block]".to_owned(),
        "+ account a@acme.test: workspace Support".to_owned(),
        "+ account b@acme.test".to_owned(),
        "~ account b@acme.test: workspace none".to_owned(),
        "+ webhook https://a.example/: trigger_types [message.created]".to_owned(),
        "~ webhook https://a.example/: status pause".to_owned(),
        "- account old@acme.test".to_owned(),
        "- workspace Gone".to_owned(),
        "- policy Old".to_owned(),
    ];
    assert_eq!(steps, expected);
}

#[test]
fn only_what_the_file_says_is_drift() {
    let file = document("version: 1\npolicies: [{name: P, limits: {limit_count_daily_email_sent: 20}}]\n");
    let policy = |sends: i64| {
        let limits = [("limits.limit_count_daily_email_sent", json!(sends)), ("limits.limit_storage_total", json!(9))];
        state(&[(Section::Policies, vec![held("P", &limits), held("Other", &[])])])
    };
    let same = plan(&file, &policy(20), &BTreeSet::new()).expect("a plan");
    assert_eq!((same.steps.len(), same.unmentioned), (0, vec![(Section::Policies, "Other".to_owned())]));
    let drifted = plan(&file, &policy(50), &BTreeSet::new()).expect("a plan");
    let field = "limits.limit_count_daily_email_sent".to_owned();
    let change = FieldChange { field, before: Some(json!(50)), after: json!(20) };
    assert_eq!(
        drifted.steps,
        [Step { section: Section::Policies, key: "P".into(), change: Change::Update(vec![change]) }]
    );
}

#[test]
fn a_section_that_is_absent_is_left_alone_and_an_empty_one_says_none() {
    let held =
        state(&[(Section::Policies, vec![held("P", &[])]), (Section::Webhooks, vec![held("https://a.example/", &[])])]);
    let plan = plan(&document("version: 1\npolicies: []\n"), &held, &everything()).expect("a plan");
    assert_eq!(plan.steps, [Step { section: Section::Policies, key: "P".into(), change: Change::Delete }]);
}

#[test]
fn what_cannot_be_done_says_where_it_stands() {
    let file = document(
        "version: 1
lists:
  - name: Bad
    type: tld
  - name: New
workspaces:
  - name: Support
    domain: a.test
    policy: Strikt
    rules: [Twice]
  - name: Default
    auto_group: true
rules:
  - name: Twice
    enabled: true
policies: []
",
    );
    let held = state(&[
        (Section::Lists, vec![held("Bad", &[("type", json!("domain"))])]),
        (Section::Policies, vec![held("Strict", &[])]),
        (Section::Rules, vec![held("Twice", &[]), held("Twice", &[])]),
        (Section::Workspaces, vec![held("Support", &[("domain", json!("b.test"))])]),
    ]);
    let faults = plan(&file, &held, &BTreeSet::new()).expect_err("faults");
    let lines: Vec<String> = faults.iter().map(|fault| fault.line("f")).collect();
    let expected = [
        "f:4:11: lists[0].type: cannot be changed: the list Bad has \"domain\"",
        "f:5:5: lists[1].type: missing: there is no list New yet, and a new one needs it",
        "f:8:13: workspaces[0].domain: cannot be changed: the workspace Support has \"b.test\"",
        "f:9:13: workspaces[0].policy: no policy is named Strikt (did you mean Strict?)",
        "f:10:13: workspaces[0].rules[0]: the server has 2 rules named Twice: rename one first",
        "f:12:17: workspaces[1].auto_group: cannot be changed of the default workspace: the workspace Default has null",
        "f:14:5: rules[0].name: the server has 2 rules named Twice: rename one first",
    ];
    assert_eq!(lines, expected);
    assert_ne!(faults[0].at, Some(At::default()));
}

/// Only what is sent has recipients: a new rule needs the trigger, one that is there has it already.
#[test]
fn a_new_rule_without_a_trigger_is_about_what_arrives() {
    let file = document(
        "version: 1
rules:
  - name: R
    match: {conditions: [{field: recipient.tld, operator: is, value: test}]}
    actions: [{type: block}]
",
    );
    let faults = plan(&file, &state(&[]), &BTreeSet::new()).expect_err("faults");
    let expected = "f:4:34: rules[0].match.conditions[0].field: recipient.tld is for rules with trigger: outbound";
    assert_eq!(faults.iter().map(|fault| fault.line("f")).collect::<Vec<_>>(), [expected]);
    assert!(plan(&file, &state(&[(Section::Rules, vec![held("R", &[])])]), &BTreeSet::new()).is_ok());
}

#[test]
fn what_is_to_be_deleted_cannot_be_named() {
    let file = document("version: 1\npolicies: []\nworkspaces: [{name: W, policy: P}]\n");
    let held = state(&[(Section::Policies, vec![held("P", &[])])]);
    assert!(plan(&file, &held, &BTreeSet::new()).is_ok());
    let faults = plan(&file, &held, &[Section::Policies].into()).expect_err("faults");
    assert_eq!(faults[0].line("f"), "f:3:32: workspaces[0].policy: no policy is named P");
}

#[test]
fn the_default_workspace_is_never_deleted() {
    let plan = plan(&document("version: 1\nworkspaces: []\n"), &state(&[]), &everything()).expect("a plan");
    assert_eq!(plan, Plan::default());
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Things of all kinds, each from a seed: their fields differ, and their references may lead anywhere.
fn things() -> impl Strategy<Value = BTreeMap<Section, BTreeMap<&'static str, u8>>> {
    let section = proptest::sample::select(Section::ALL.to_vec());
    let some = proptest::collection::btree_map(proptest::sample::select(NAMES.to_vec()), any::<u8>(), 0..4);
    proptest::collection::btree_map(section, some, 0..7)
}

fn fields(section: Section, key: &str, seed: u8) -> BTreeMap<String, Value> {
    let name = NAMES[usize::from(seed) % 4];
    let rules = json!([name]);
    let list: &[(&str, Value)] = match section {
        Section::Domains => &[("name", json!(name))],
        Section::Lists => &[("type", json!(["domain", "tld"][key.len() % 2])), ("description", json!(name))],
        Section::Policies => &[("limits.limit_storage_total", json!(seed))],
        Section::Rules => {
            let conditions = json!([{"field": "from.domain", "operator": "in_list", "value": [name]}]);
            &[("match", json!({"operator": "all", "conditions": conditions})), ("actions", json!([{"type": "block"}]))]
        }
        Section::Workspaces if seed.is_multiple_of(3) => &[("policy", Value::Null), ("rules", json!([]))],
        Section::Workspaces => &[("policy", json!(name)), ("rules", rules)],
        Section::Accounts if seed.is_multiple_of(3) => &[("workspace", Value::Null)],
        Section::Accounts => &[("name", json!(name)), ("workspace", json!(name))],
        Section::Webhooks => {
            &[("trigger_types", json!([name])), ("status", json!(["active", "pause"][usize::from(seed % 2)]))]
        }
    };
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn items(seed: u8) -> BTreeSet<String> {
    (0..4).filter(|bit| seed >> bit & 1 == 1).map(|bit| NAMES[bit].to_owned()).collect()
}

/// A reference that leads nowhere becomes none.
fn mend(fields: &mut BTreeMap<String, Value>, is_known: impl Fn(Section, &str) -> bool) {
    for (field, value) in fields {
        let is_gone = |section: Section, value: &Value| value.as_str().is_some_and(|name| !is_known(section, name));
        match field.as_str() {
            "policy" if is_gone(Section::Policies, value) => *value = Value::Null,
            "workspace" if is_gone(Section::Workspaces, value) => *value = Value::Null,
            "rules" => value.as_array_mut().expect("rules").retain(|name| !is_gone(Section::Rules, name)),
            "match" => value["conditions"][0]["value"]
                .as_array_mut()
                .expect("lists")
                .retain(|name| !is_gone(Section::Lists, name)),
            _ => {}
        }
    }
}

proptest! {
    /// A plan that was carried out leaves nothing to do, and one that was cut off anywhere is completed by the next.
    #[test]
    fn plans_end_where_the_file_says(wanted in things(), had in things(), prune in any::<u8>()) {
        let mut start = state(&[]);
        for (section, things) in &had {
            for (key, seed) in things {
                let mut thing = held(key, &[]);
                thing.fields = fields(*section, key, *seed);
                mend(&mut thing.fields, |section, name| had.get(&section).is_some_and(|things| things.contains_key(name)));
                thing.items = (*section == Section::Lists).then(|| items(*seed));
                start.sections.entry(*section).or_default().push(thing);
            }
        }
        let prune: BTreeSet<Section> = Section::ALL.into_iter().enumerate()
            .filter(|(bit, _)| prune >> bit & 1 == 1).map(|(_, section)| section).collect();
        let mut file = Document::default();
        for (section, things) in &wanted {
            let entries = things.iter().map(|(key, seed)| {
                let mut wanted_fields = fields(*section, key, *seed);
                mend(&mut wanted_fields, |section, name| match wanted.get(&section) {
                    Some(things) => things.contains_key(name),
                    None => had.get(&section).is_some_and(|things| things.contains_key(name)),
                });
                let items = (*section == Section::Lists && !seed.is_multiple_of(5)).then(|| items(*seed));
                Entry { key: (*key).to_owned(), fields: wanted_fields, items, ..Entry::default() }
            });
            file.sections.insert(*section, entries.collect());
        }

        let first = plan(&file, &start, &prune).expect("a plan");
        let mut end = start.clone();
        for step in &first.steps {
            carry_out(&mut end, step);
        }
        let again = plan(&file, &end, &prune).expect("a plan");
        prop_assert_eq!(again.steps, Vec::new());

        let mut cut = start;
        for step in &first.steps {
            let mut resumed = cut.clone();
            for step in &plan(&file, &cut, &prune).expect("a plan").steps {
                carry_out(&mut resumed, step);
            }
            prop_assert_eq!(content(&resumed), content(&end));
            carry_out(&mut cut, step);
        }
    }
}
