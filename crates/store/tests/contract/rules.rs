//! Rules: kept whole, counted against the plan, never with a strange list, and gone from every workspace when they are
//! removed. Which rules a workspace uses.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use crate::workspaces::{act, create, find as find_workspace, remove, update, workspace};
use postfleet_core::Patch;
use postfleet_core::id::{ApplicationId, ListId, RuleId, WorkspaceId};
use postfleet_core::plan::Cap;
use postfleet_core::rule::validate::{ActionInput, ConditionInput, MatchInput, RuleChange, RuleInput, ValueInput};
use postfleet_core::rule::{Direction, Mode};
use postfleet_store::db::DbError;
use postfleet_store::findings::{self, RuleUse};
use postfleet_store::rules::{self, CreateRule, KeptRule, RemoveRule, RuleOutcome, UpdateRule};
use postfleet_store::workspaces::{
    self, CreateOutcome, CreateWorkspace, PolicyChoice, RemoveOutcome, RulesRefusal, UpdateOutcome, UpdateWorkspace,
};
use postfleet_store::{Command, Store, Tx, params};
use serde_json::{Value, json};

/// A list without items.
#[derive(Clone, Debug)]
struct InsertList {
    id: ListId,
    application: ApplicationId,
    kind: &'static str,
}

impl Command for InsertList {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const INSERT: &str = "INSERT INTO lists (id, application_id, name, kind, items_count, version, removals_since, \
            created_at, updated_at) VALUES ($1, $2, 'list', $3, 0, 0, 0, 0, 0)";
        tx.execute(INSERT, params![self.id.uuid(), self.application.uuid(), self.kind]).await?;
        Ok(())
    }
}

pub async fn list(store: &Store, tenant: &Tenant, kind: &'static str) -> ListId {
    let id = ListId::from_uuid(fresh());
    store.run(InsertList { id, application: tenant.application, kind }).await.expect("list");
    id
}

fn condition(field: &str, operator: &str, value: ValueInput) -> ConditionInput {
    ConditionInput { field: field.into(), operator: operator.into(), value }
}

/// A rule that blocks a domain, and what else is said.
fn input(conditions: Vec<ConditionInput>) -> RuleInput {
    RuleInput {
        name: Patch::Set("Block".into()),
        matching: Patch::Set(MatchInput { operator: None, conditions }),
        actions: Patch::Set(vec![ActionInput { kind: "block".into(), value: None }]),
        ..RuleInput::default()
    }
}

fn simple() -> RuleInput {
    input(vec![condition("from.domain", "is", ValueInput::Text("spam.example".into()))])
}

fn on_list(field: &str, list: ListId) -> RuleInput {
    input(vec![
        condition("from.domain", "is", ValueInput::Text("spam.example".into())),
        condition(field, "in_list", ValueInput::Texts(vec![list.to_string()])),
    ])
}

fn creation(tenant: &Tenant, input: RuleInput) -> CreateRule {
    let change = RuleChange::of_new(input).expect("valid");
    CreateRule { act: act(tenant, NOON), id: RuleId::from_uuid(fresh()), application_id: tenant.application, change }
}

fn written(outcome: RuleOutcome) -> KeptRule {
    match outcome {
        RuleOutcome::Written(kept) => *kept,
        other => panic!("not written: {other:?}"),
    }
}

async fn make(store: &Store, tenant: &Tenant, input: RuleInput) -> KeptRule {
    written(store.run(creation(tenant, input)).await.expect("create"))
}

pub async fn rule(store: &Store, tenant: &Tenant) -> RuleId {
    make(store, tenant, simple()).await.named.rule.id
}

async fn change(store: &Store, tenant: &Tenant, id: RuleId, input: RuleInput) -> RuleOutcome {
    let change = RuleChange::read(input).expect("valid");
    let command = UpdateRule { act: act(tenant, at(60)), application_id: tenant.application, id, change };
    store.run(command).await.expect("update")
}

fn removal(tenant: &Tenant, id: RuleId) -> RemoveRule {
    RemoveRule { act: act(tenant, at(60)), application_id: tenant.application, id }
}

async fn find(store: &Store, tenant: &Tenant, id: RuleId) -> Option<KeptRule> {
    rules::find(&mut store.reader().await.expect("reader"), tenant.application, id).await.expect("find")
}

/// How often those who judge mail were told that something is different.
async fn version(store: &Store, tenant: &Tenant) -> i64 {
    const VERSION: &str = "SELECT rules_version FROM applications WHERE id = $1";
    number(store, VERSION, params![tenant.application.uuid()]).await
}

/// What was recorded about something: action, before and after.
async fn records(store: &Store, id: &str) -> Vec<(String, Value, Value)> {
    const RECORDS: &str = "SELECT action, before, after FROM audit WHERE target_id = $1 ORDER BY id";
    let mut reader = store.reader().await.expect("reader");
    let rows = reader.query(RECORDS, params![id]).await.expect("records");
    let parsed = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    let read = |row: &postfleet_store::db::Row| {
        let text = |column| row.opt_text(column).expect("text");
        (row.text(0).expect("action"), parsed(text(1)), parsed(text(2)))
    };
    rows.iter().map(read).collect()
}

#[tokio::test]
async fn a_rule_is_kept_whole_changed_and_recorded() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let domains = list(store, &tenant, "domain").await;
        let wanted = RuleInput {
            description: Patch::Set("Größe\n\"x\"".into()),
            priority: Patch::Set(0),
            enabled: Patch::Set(false),
            mode: Patch::Set("shadow".into()),
            trigger: Patch::Set("outbound".into()),
            actions: Patch::Set(vec![
                ActionInput { kind: "assign_to_folder".into(), value: Some("Clients/Ü".into()) },
                ActionInput { kind: "mark_as_read".into(), value: None },
            ]),
            ..on_list("recipient.domain", domains)
        };
        let made = make(store, &tenant, wanted).await;
        let id = made.named.rule.id;
        assert_eq!((made.organization_id, made.application_id), (tenant.organization, tenant.application));
        assert_eq!((made.named.rule.mode, made.named.rule.direction), (Mode::Shadow, Direction::Outbound));
        assert_eq!(find(store, &tenant, id).await.as_ref(), Some(&made));
        assert_eq!(find(store, &other, id).await, None);
        assert_eq!(version(store, &tenant).await, 1);

        // What changes nothing is no change.
        let same = change(store, &tenant, id, RuleInput { priority: Patch::Set(0), ..RuleInput::default() }).await;
        assert_eq!((written(same), version(store, &tenant).await), (made.clone(), 1));
        let renamed = RuleInput { name: Patch::Set("New".into()), priority: Patch::Clear, ..RuleInput::default() };
        assert_eq!(change(store, &other, id, renamed.clone()).await, RuleOutcome::NotFound);
        let changed = written(change(store, &tenant, id, renamed).await);
        assert_eq!((changed.created_at, changed.updated_at, changed.named.rule.priority), (NOON, at(60), 10));
        assert_eq!(find(store, &tenant, id).await, Some(changed));
        assert_eq!((version(store, &tenant).await, version(store, &other).await), (2, 0));

        let records = records(store, &id.to_string()).await;
        let actions: Vec<_> = records.iter().map(|(action, ..)| action.as_str()).collect();
        assert_eq!(actions, ["rule.created", "rule.updated"]);
        let after = &records[0].2;
        assert_eq!((&after["trigger"], &after["mode"]), (&json!("outbound"), &json!("shadow")));
        assert_eq!(after["match"]["conditions"][1]["value"], json!([domains.to_string()]));
        assert_eq!(after["actions"][0], json!({"type": "assign_to_folder", "value": "Clients/Ü"}));
        assert_eq!((&records[1].1["name"], &records[1].2["name"]), (&json!("Block"), &json!("New")));
    })
    .await;
}

#[tokio::test]
async fn a_condition_takes_lists_of_its_application_and_kind_only() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let domains = list(store, &tenant, "domain").await;
        let theirs = list(store, &other, "domain").await;
        let refused = async |outcome: RuleOutcome, says: &str| match outcome {
            RuleOutcome::Refused(problem) => {
                assert_eq!(problem.field.as_deref(), Some("match.conditions[1].value"));
                assert!(problem.public.contains(says), "{problem}");
            }
            other => panic!("not refused: {other:?}"),
        };
        let run = async |input| store.run(creation(&tenant, input)).await.expect("run");
        for unknown in [theirs, ListId::from_uuid(fresh())] {
            refused(run(on_list("from.domain", unknown)).await, &format!("invalid list ID {unknown}")).await;
        }
        refused(run(on_list("from.tld", domains)).await, "from.tld needs tld").await;
        assert_eq!(number(store, "SELECT count(*) FROM rules", params![]).await, 0);
        let id = make(store, &tenant, on_list("from.domain", domains)).await.named.rule.id;
        let outcome = change(store, &tenant, id, on_list("from.address", domains)).await;
        refused(outcome, "from.address needs address").await;
        assert_eq!(version(store, &tenant).await, 1, "only what was made counts");

        // A list that is gone does not stand in the way of a change of something else.
        store.run(crate::support::Statement("DELETE FROM lists")).await.expect("remove");
        let renamed = RuleInput { name: Patch::Set("New".into()), ..RuleInput::default() };
        assert_eq!(written(change(store, &tenant, id, renamed).await).named.name, "New");
    })
    .await;
}

#[tokio::test]
async fn rules_are_counted_over_all_applications_of_an_organization_however_many_come_at_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let second = crate::tenancy::second(store, &tenant).await;
        rule(store, &other).await;
        let commands = (0..12).map(|n| creation(if n % 2 == 0 { &tenant } else { &second }, simple())).collect();
        let outcomes = at_once(store, commands).await;
        let made = outcomes.iter().filter(|outcome| matches!(outcome, RuleOutcome::Written(_))).count();
        let full = RuleOutcome::TooMany(Cap { limit: 5, used: 5 });
        assert_eq!((made, outcomes.iter().filter(|outcome| **outcome == full).count()), (5, 7), "{outcomes:?}");
        // One that goes makes room for another.
        let mut reader = store.reader().await.expect("reader");
        let mut left = rules::list(&mut reader, tenant.application, None, 10).await.expect("list");
        left.extend(rules::list(&mut reader, second.application, None, 10).await.expect("list"));
        drop(reader);
        assert_eq!(left.len(), 5);
        let first = &left[0];
        let holder = if first.application_id == tenant.application { &tenant } else { &second };
        assert!(store.run(removal(holder, first.named.rule.id)).await.expect("remove"));
        rule(store, &second).await;
        assert_eq!(store.run(creation(&tenant, simple())).await.expect("run"), full);
    })
    .await;
}

#[tokio::test]
async fn rules_are_listed_newest_first_in_pages() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(rule(store, &tenant).await);
            rule(store, &other).await;
        }
        ids.reverse();
        let mut reader = store.reader().await.expect("reader");
        let mut page = async |before, limit| -> Vec<RuleId> {
            let page = rules::list(&mut reader, tenant.application, before, limit).await.expect("list");
            page.iter().map(|kept| kept.named.rule.id).collect()
        };
        assert_eq!(page(None, 3).await, ids[..3]);
        assert_eq!(page(Some(ids[2]), 3).await, ids[3..]);
        assert_eq!(page(Some(ids[4]), 3).await, []);
    })
    .await;
}

fn using(tenant: &Tenant, rule_ids: &[RuleId]) -> CreateWorkspace {
    CreateWorkspace { rule_ids: rule_ids.to_vec(), ..create(tenant, "", PolicyChoice::None) }
}

async fn attach(store: &Store, tenant: &Tenant, id: WorkspaceId, rule_ids: Patch<Vec<RuleId>>) -> UpdateOutcome {
    store.run(UpdateWorkspace { rule_ids, ..update(tenant, id) }).await.expect("run")
}

async fn used(store: &Store, tenant: &Tenant, id: WorkspaceId) -> Vec<RuleId> {
    find_workspace(store, tenant, id).await.expect("workspace").rule_ids
}

#[tokio::test]
async fn a_workspace_uses_rules_in_the_order_in_which_it_names_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (a, b, c) = (rule(store, &tenant).await, rule(store, &tenant).await, rule(store, &tenant).await);
        let version_before = version(store, &tenant).await;
        let CreateOutcome::Created(made) = store.run(using(&tenant, &[c, a])).await.expect("run") else { panic!() };
        let id = made.workspace.id;
        assert_eq!((&made.rule_ids, used(store, &tenant, id).await), (&vec![c, a], vec![c, a]));
        assert_eq!(version(store, &tenant).await, version_before + 1);

        let name = UpdateWorkspace { name: Some("Other".into()), ..update(&tenant, id) };
        let UpdateOutcome::Updated(renamed) = store.run(name).await.expect("run") else { panic!() };
        assert_eq!((renamed.rule_ids, version(store, &tenant).await), (vec![c, a], version_before + 1));
        for (rules, expected) in [
            (Patch::Set(vec![a, b, c]), vec![a, b, c]),
            (Patch::Set(vec![c, b, a]), vec![c, b, a]),
            (Patch::Keep, vec![c, b, a]),
            (Patch::Clear, vec![]),
            (Patch::Set(vec![b]), vec![b]),
            (Patch::Set(vec![]), vec![]),
        ] {
            let UpdateOutcome::Updated(updated) = attach(store, &tenant, id, rules).await else { panic!() };
            assert_eq!((&updated.rule_ids, used(store, &tenant, id).await), (&expected, expected.clone()));
        }
        // Another workspace and the default one have their own; one read serves all.
        attach(store, &tenant, id, Patch::Set(vec![b, a])).await;
        attach(store, &tenant, tenant.workspace, Patch::Set(vec![a])).await;
        let bare = workspace(store, &tenant, "").await;
        let mut reader = store.reader().await.expect("reader");
        let listed = workspaces::list(&mut reader, tenant.application).await.expect("list");
        let listed: Vec<_> = listed.iter().map(|listed| (listed.workspace.id, listed.rule_ids.clone())).collect();
        assert_eq!(listed, [(tenant.workspace, vec![a]), (id, vec![b, a]), (bare, vec![])]);
        drop(reader);
        let last = records(store, &id.to_string()).await.pop().expect("record");
        assert_eq!((last.0.as_str(), &last.1["rule_ids"]), ("workspace.updated", &json!([])));
        assert_eq!(last.2["rule_ids"], json!([b.to_string(), a.to_string()]));
    })
    .await;
}

#[tokio::test]
async fn a_workspace_takes_no_rules_of_others_and_not_more_than_it_may() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "free", None).await, tenant(store, "self_hosted", None).await);
        let (mine, theirs) = (rule(store, &tenant).await, rule(store, &other).await);
        for strange in [theirs, RuleId::from_uuid(fresh())] {
            let outcome = store.run(using(&tenant, &[mine, strange])).await.expect("run");
            assert_eq!(outcome, CreateOutcome::Rules(RulesRefusal::Unknown));
            let outcome = attach(store, &tenant, tenant.workspace, Patch::Set(vec![mine, strange])).await;
            assert_eq!(outcome, UpdateOutcome::Rules(RulesRefusal::Unknown));
        }
        let many = |count: usize| (0..count).map(|_| RuleId::from_uuid(fresh())).collect::<Vec<_>>();
        let outcome = attach(store, &tenant, tenant.workspace, Patch::Set(many(6))).await;
        assert_eq!(outcome, UpdateOutcome::Rules(RulesRefusal::TooMany(5)));
        let outcome = store.run(using(&other, &many(101))).await.expect("run");
        assert_eq!(outcome, CreateOutcome::Rules(RulesRefusal::TooMany(100)));
        let outcome = store.run(using(&other, &many(100))).await.expect("run");
        assert_eq!(outcome, CreateOutcome::Rules(RulesRefusal::Unknown), "at the limit");
        assert_eq!(number(store, "SELECT count(*) FROM workspace_rules", params![]).await, 0);
        assert_eq!(number(store, "SELECT count(*) FROM workspaces", params![]).await, 2, "none was made");
        assert_eq!((version(store, &tenant).await, version(store, &other).await), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn what_is_removed_is_detached_in_the_same_transaction() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let (gone, kept) = (rule(store, &tenant).await, rule(store, &tenant).await);
        let CreateOutcome::Created(first) = store.run(using(&tenant, &[gone, kept])).await.expect("run") else {
            panic!()
        };
        let first = first.workspace.id;
        attach(store, &tenant, tenant.workspace, Patch::Set(vec![kept, gone])).await;
        let before = version(store, &tenant).await;
        assert!(!store.run(removal(&other, gone)).await.expect("run"), "another application's");
        assert!(store.run(removal(&tenant, gone)).await.expect("run"));
        assert!(!store.run(removal(&tenant, gone)).await.expect("run"), "gone already");
        assert_eq!(find(store, &tenant, gone).await, None);
        for id in [first, tenant.workspace] {
            let listed = find_workspace(store, &tenant, id).await.expect("workspace");
            assert_eq!((listed.rule_ids, listed.workspace.updated_at), (vec![kept], at(60)));
        }
        assert_eq!(version(store, &tenant).await, before + 1);
        let last = records(store, &gone.to_string()).await.pop().expect("record");
        assert_eq!((last.0.as_str(), &last.2), ("rule.deleted", &Value::Null));
        assert_eq!(last.1["workspaces"], json!([tenant.workspace.to_string(), first.to_string()]));

        // And a workspace that goes takes its rows with it, but no rule.
        assert_eq!(store.run(remove(&tenant, first)).await.expect("run"), RemoveOutcome::Removed(0));
        assert_eq!(version(store, &tenant).await, before + 2);
        assert!(find(store, &tenant, kept).await.is_some());
        let last = records(store, &first.to_string()).await.pop().expect("record");
        assert_eq!(last.1["rule_ids"], json!([kept.to_string()]));
        assert_eq!(number(store, "SELECT count(*) FROM workspace_rules", params![]).await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_is_attached_and_removed_at_once_leaves_nothing_behind() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        for _ in 0..10 {
            let id = rule(store, &tenant).await;
            let (one, other) = (store.clone(), store.clone());
            let rule_ids = Patch::Set(vec![id]);
            let attach = UpdateWorkspace { rule_ids, ..update(&tenant, tenant.workspace) };
            let remove = removal(&tenant, id);
            let attached = tokio::spawn(async move { one.run_near(1, attach).await.expect("attach") });
            let removed = tokio::spawn(async move { other.run_near(2, remove).await.expect("remove") });
            let (attached, removed) = (attached.await.expect("task"), removed.await.expect("task"));
            assert!(removed, "{attached:?}");
            assert_eq!(used(store, &tenant, tenant.workspace).await, []);
        }
    })
    .await;
}

#[tokio::test]
async fn the_check_reads_which_lists_rules_look_into() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "self_hosted", None).await, tenant(store, "self_hosted", None).await);
        let (domains, tlds) = (list(store, &tenant, "domain").await, list(store, &tenant, "tld").await);
        list(store, &other, "domain").await;
        let looks =
            written(store.run(creation(&tenant, on_list("from.domain", domains))).await.expect("made")).named.rule.id;
        let disabled = RuleInput { enabled: Patch::Set(false), ..simple() };
        let disabled = written(store.run(creation(&tenant, disabled)).await.expect("made")).named.rule.id;
        written(store.run(creation(&other, simple())).await.expect("made"));

        let mut reader = store.reader().await.expect("reader");
        let looking = RuleUse { id: looks, is_enabled: true, lists: vec![domains] };
        let idle = RuleUse { id: disabled, is_enabled: false, lists: Vec::new() };
        let all = findings::rules(&mut reader, tenant.application, 10).await.expect("rules");
        assert_eq!(all, (vec![looking.clone(), idle], false));
        assert_eq!(findings::rules(&mut reader, tenant.application, 1).await.expect("rules"), (vec![looking], true));
        let all = findings::lists(&mut reader, tenant.application, 10).await.expect("lists");
        assert_eq!(all, (vec![domains, tlds], false));
        assert_eq!(findings::lists(&mut reader, tenant.application, 1).await.expect("lists"), (vec![domains], true));
    })
    .await;
}
