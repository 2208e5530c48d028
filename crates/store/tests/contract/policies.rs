//! Policies: kept whole, judged by the plan of the moment, recorded, and gone from everywhere when they are removed.

use crate::support::{NOON, Statement, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{AuditId, PolicyId};
use postfleet_core::plan::{Limits, Plan, Plans, PolicyLimits};
use postfleet_core::policy::{LimitField, LimitsChange, SpamDetection, SpamDetectionChange};
use postfleet_core::{MediaRange, Patch, UnixMicros};
use postfleet_store::policies::{
    self, CreatePolicy, OPTIONS_OCTETS_MAX, PolicyChange, PolicyOutcome, PolicyView, RemovePolicy, UpdatePolicy,
};
use postfleet_store::{Store, limits, params};
use serde_json::{Value, json};

fn act(tenant: &Tenant, at: UnixMicros) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::ApiKey, id: "key".into(), name: "Key".into() },
        organization_id: tenant.organization,
        application_id: Some(tenant.application),
        request_id: "request".into(),
        at,
    }
}

fn set(limits: &[(LimitField, i64)]) -> PolicyChange {
    let numbers = limits.iter().map(|(field, value)| (*field, field.name(), Patch::Set(*value))).collect();
    PolicyChange { limits: LimitsChange { numbers, ..LimitsChange::default() }, ..PolicyChange::default() }
}

fn create(tenant: &Tenant, change: PolicyChange) -> CreatePolicy {
    let change = PolicyChange { name: Some("Policy".into()), ..change };
    CreatePolicy {
        act: act(tenant, NOON),
        id: PolicyId::from_uuid(fresh()),
        application_id: tenant.application,
        change,
    }
}

fn update(tenant: &Tenant, id: PolicyId, change: PolicyChange) -> UpdatePolicy {
    UpdatePolicy { act: act(tenant, at(60)), application_id: tenant.application, id, change }
}

fn written(outcome: PolicyOutcome) -> PolicyView {
    match outcome {
        PolicyOutcome::Written(view) => *view,
        other => panic!("not written: {other:?}"),
    }
}

async fn make(store: &Store, tenant: &Tenant, change: PolicyChange) -> PolicyView {
    written(store.run(create(tenant, change)).await.expect("create"))
}

async fn find(store: &Store, tenant: &Tenant, id: PolicyId) -> Option<PolicyView> {
    policies::find(&mut store.reader().await.expect("reader"), tenant.application, id).await.expect("find")
}

async fn change(store: &Store, tenant: &Tenant, id: PolicyId, change: PolicyChange) -> PolicyOutcome {
    store.run(update(tenant, id, change)).await.expect("update")
}

/// What was recorded about a policy: action, before and after.
async fn records(store: &Store, id: PolicyId) -> Vec<(String, Value, Value)> {
    const RECORDS: &str = "SELECT action, before, after FROM audit WHERE target_id = $1 AND target_kind = 'policy' \
        ORDER BY id";
    let mut reader = store.reader().await.expect("reader");
    let rows = reader.query(RECORDS, params![&id.to_string()]).await.expect("records");
    let parsed = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    let read = |row: &postfleet_store::db::Row| {
        let text = |column| row.opt_text(column).expect("text");
        (row.text(0).expect("action"), parsed(text(1)), parsed(text(2)))
    };
    rows.iter().map(read).collect()
}

#[tokio::test]
async fn a_policy_is_kept_whole() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "full_platform", None).await;
        let numbers = [1_000, 2, 3_000, 4_000, 500, 60, 70, 8];
        let fields: Vec<_> = LimitField::ALL.into_iter().zip(numbers).collect();
        let mut wanted = set(&fields);
        wanted.limits.attachment_types = Patch::Set(vec![MediaRange::parse("image/*").expect("range")]);
        wanted.spam = SpamDetectionChange {
            use_list_dnsbl: Patch::Set(true),
            use_header_anomaly_detection: Patch::Set(true),
            sensitivity_permille: Patch::Set(1_234),
        };
        wanted.options = Patch::Set(json!({"x": {"y": "\u{0}ü"}}).as_object().expect("object").clone());
        wanted.rules = Patch::Set(vec!["a\"b".into(), String::new()]);
        let made = make(store, &tenant, wanted).await;
        let policy = &made.policy;
        for (field, value) in &fields {
            assert_eq!(field.set_by(&policy.limits), Some(*value as u64), "{field:?}");
        }
        let spam =
            SpamDetection { use_list_dnsbl: true, use_header_anomaly_detection: true, sensitivity_permille: 1_234 };
        assert_eq!((policy.spam, made.organization_id), (spam, tenant.organization));
        let options = json!({"additional_folders": [], "use_cidr_aliasing": false, "x": {"y": "\u{0}ü"}});
        assert_eq!(serde_json::from_str::<Value>(&policy.options).expect("JSON"), options);
        assert_eq!(serde_json::from_str::<Value>(&policy.rules).expect("JSON"), json!(["a\"b", ""]));
        assert_eq!(find(store, &tenant, policy.id).await.as_ref(), Some(&made));

        // And the same after every one of them is changed.
        let fields: Vec<_> = fields.iter().map(|(field, value)| (*field, value - 1)).collect();
        let again = PolicyChange { name: Some("Other".into()), ..set(&fields) };
        let changed = written(change(store, &tenant, policy.id, again).await);
        assert_eq!((changed.policy.created_at, changed.policy.updated_at), (NOON, at(60)));
        assert_eq!(find(store, &tenant, policy.id).await, Some(changed));
    })
    .await;
}

#[tokio::test]
async fn a_change_is_judged_by_the_plan_of_the_moment() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "full_platform", None).await;
        let made = make(store, &tenant, set(&[(LimitField::DailySends, 500)])).await;
        assert_eq!(made.effective.daily_sends_max, Some(500));
        store.run(Statement("UPDATE organizations SET plan = 'free'")).await.expect("plan");
        let id = made.policy.id;
        let lowered = find(store, &tenant, id).await.expect("found");
        assert_eq!((lowered.policy.limits.daily_sends_max, lowered.effective.daily_sends_max), (Some(500), Some(200)));
        for command in [update(&tenant, id, set(&[(LimitField::DailySends, 500)]))] {
            match store.run(command).await.expect("run") {
                PolicyOutcome::Refused(problem) => assert!(problem.public.contains("at most 200"), "{problem}"),
                other => panic!("{other:?}"),
            }
        }
        let refused = store.run(create(&tenant, set(&[(LimitField::DailySends, 201)]))).await.expect("run");
        assert!(matches!(refused, PolicyOutcome::Refused(_)), "{refused:?}");
        assert_eq!(number(store, "SELECT count(*) FROM policies", params![]).await, 1, "nothing was made");
        // What is not touched does not stand in the way.
        let renamed = PolicyChange { name: Some("Renamed".into()), ..PolicyChange::default() };
        assert_eq!(written(change(store, &tenant, id, renamed).await).policy.limits.daily_sends_max, Some(500));
    })
    .await;
}

#[tokio::test]
async fn changes_of_one_policy_at_once_are_all_kept() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = make(store, &tenant, PolicyChange::default()).await.policy.id;
        let fields = &LimitField::ALL[..6];
        let commands = fields.iter().map(|field| update(&tenant, id, set(&[(*field, 7)]))).collect();
        for outcome in at_once(store, commands).await {
            written(outcome);
        }
        let found = find(store, &tenant, id).await.expect("found");
        for field in fields {
            assert_eq!(field.set_by(&found.policy.limits), Some(7), "{field:?}");
        }
        assert_eq!(records(store, id).await.len(), 1 + fields.len());
    })
    .await;
}

#[tokio::test]
async fn a_removed_policy_is_taken_from_its_workspaces_and_the_record_names_them() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "free", Some(5)).await, tenant(store, "free", Some(5)).await);
        let list = policies::list(&mut store.reader().await.expect("reader"), tenant.application, None, 10).await;
        let id = list.expect("list")[0].policy.id;
        let remove =
            |tenant: &Tenant| RemovePolicy { act: act(tenant, at(60)), application_id: tenant.application, id };
        assert!(!store.run(remove(&other)).await.expect("run"), "another application's");
        assert_eq!(change(store, &other, id, PolicyChange::default()).await, PolicyOutcome::NotFound);
        assert!(find(store, &other, id).await.is_none());

        assert!(store.run(remove(&tenant)).await.expect("run"));
        assert!(find(store, &tenant, id).await.is_none());
        assert!(!store.run(remove(&tenant)).await.expect("run"), "gone already");
        const ATTACHED: &str = "SELECT count(*) FROM workspaces WHERE policy_id IS NOT NULL";
        assert_eq!(number(store, ATTACHED, params![]).await, 1, "the other application's has its own");
        const CHANGED: &str = "SELECT updated_at FROM workspaces WHERE id = $1";
        assert_eq!(number(store, CHANGED, params![tenant.workspace.uuid()]).await, at(60).as_micros());
        let records = records(store, id).await;
        assert_eq!(records.len(), 1);
        let (action, before, after) = &records[0];
        assert_eq!((action.as_str(), after), ("policy.deleted", &Value::Null));
        assert_eq!(before["workspaces"], json!([tenant.workspace.to_string()]));
        assert_eq!(before["limits"], json!({"limit_count_daily_email_sent": 5}));
    })
    .await;
}

#[tokio::test]
async fn every_change_is_recorded_and_nothing_else() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let id = make(store, &tenant, set(&[(LimitField::DailySends, 5)])).await.policy.id;
        written(change(store, &tenant, id, set(&[(LimitField::DailySends, 6)])).await);
        // Says what is there already: no record, and no newer time.
        let same = written(change(store, &tenant, id, set(&[(LimitField::DailySends, 6)])).await);
        assert_eq!(same.policy.updated_at, at(60));
        let refused = change(store, &tenant, id, set(&[(LimitField::DailySends, 1_000)])).await;
        assert!(matches!(refused, PolicyOutcome::Refused(_)));
        let records = records(store, id).await;
        let actions: Vec<_> = records.iter().map(|(action, ..)| action.as_str()).collect();
        assert_eq!(actions, ["policy.created", "policy.updated"]);
        assert_eq!((&records[0].1, &records[0].2["name"]), (&Value::Null, &json!("Policy")));
        assert_eq!(records[1].1["limits"], json!({"limit_count_daily_email_sent": 5}));
        assert_eq!(records[1].2["limits"], json!({"limit_count_daily_email_sent": 6}));
    })
    .await;
}

#[tokio::test]
async fn a_page_begins_where_the_one_before_ended() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (tenant, other) = (tenant(store, "free", None).await, tenant(store, "free", None).await);
        let mut made = Vec::new();
        for _ in 0..3 {
            made.insert(0, make(store, &tenant, PolicyChange::default()).await.policy.id);
            make(store, &other, PolicyChange::default()).await;
        }
        let mut reader = store.reader().await.expect("reader");
        let mut page = async |before| {
            let list = policies::list(&mut reader, tenant.application, before, 2).await.expect("list");
            list.into_iter().map(|view| view.policy.id).collect::<Vec<_>>()
        };
        assert_eq!(page(None).await, made[..2]);
        assert_eq!(page(Some(made[1])).await, made[2..]);
        assert_eq!(page(Some(made[2])).await, []);
    })
    .await;
}

#[tokio::test]
async fn options_end_at_their_limit() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let id = make(store, &tenant, PolicyChange::default()).await.policy.id;
        let empty = json!({"additional_folders": [], "use_cidr_aliasing": false, "x": ""}).to_string().len();
        let with = |octets: usize| {
            let options = json!({"x": "y".repeat(octets)}).as_object().expect("object").clone();
            PolicyChange { options: Patch::Set(options), ..PolicyChange::default() }
        };
        written(change(store, &tenant, id, with(OPTIONS_OCTETS_MAX - empty)).await);
        let refused = change(store, &tenant, id, with(OPTIONS_OCTETS_MAX - empty + 1)).await;
        assert!(matches!(&refused, PolicyOutcome::Refused(problem) if problem.field.as_deref() == Some("options")));
        // What is merged counts, not what is said.
        let more = json!({"z": 1}).as_object().expect("object").clone();
        let refused =
            change(store, &tenant, id, PolicyChange { options: Patch::Set(more), ..PolicyChange::default() }).await;
        assert!(matches!(refused, PolicyOutcome::Refused(_)));
    })
    .await;
}

#[tokio::test]
async fn the_limits_of_a_mailbox_come_with_their_sources_and_the_counter_of_the_day() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let (own, other) = (tenant(store, "free", Some(5)).await, tenant(store, "free", None).await);
        let (agent, plain) = (own.mailbox(store, "agent").await, other.mailbox(store, "agent").await);
        own.submit(store, agent, 1, NOON).await;
        let mut reader = store.reader().await.expect("reader");
        let found = limits::of_grant(&mut reader, own.application, agent, NOON.day()).await.expect("read");
        let found = found.expect("mailbox");
        assert_eq!((found.plan.name.as_str(), found.workspace_id), ("free", Some(own.workspace)));
        assert_eq!((found.policy.daily_sends_max, found.sent_today), (Some(5), 1));
        assert!(found.policy_id.is_some());
        let plain = limits::of_grant(&mut reader, other.application, plain, NOON.day()).await.expect("read");
        let plain = plain.expect("mailbox");
        assert_eq!((plain.policy_id, plain.policy, plain.sent_today), (None, PolicyLimits::default(), 0));
        let foreign = limits::of_grant(&mut reader, other.application, agent, NOON.day()).await.expect("read");
        assert_eq!(foreign, None);
    })
    .await;
}

#[tokio::test]
async fn a_store_is_not_opened_without_the_plan_of_an_organization() {
    on_each_engine(async |engine| {
        tenant(&engine.store, "free", None).await;
        engine.store.run(Statement("UPDATE organizations SET plan = 'gold'")).await.expect("plan");
        let open = async |plans| Store::open(engine.location.clone(), engine.bodies(), plans).await;
        let refused = open(Plans::presets()).await.err().expect("refused").to_string();
        let says = "an organization has the plan \"gold\", which the configuration does not define";
        assert!(refused.contains(says), "{refused}");
        let free = Plans::presets().find("free").expect("free").clone();
        let limits = Limits::effective(&free.limits, &PolicyLimits::default());
        let gold = Plan { name: "gold".into(), limits, ..Plan::clone(&free) };
        open(Plans::with([gold])).await.expect("defined");
    })
    .await;
}
