//! Workspaces: which there are, which mailboxes are in them, and what happens when many change that at once.

use crate::support::{NOON, Tenant, at, fresh, number, on_each_engine, tenant};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, AuditId, GrantId, PolicyId, WorkspaceId};
use postfleet_core::{Patch, UnixMicros, preset};
use postfleet_store::db::DbError;
use postfleet_store::grants::{self, Grant, Placement};
use postfleet_store::moves::{AssignGrants, GrantName};
use postfleet_store::workspaces::{
    self, CreateOutcome, CreateWorkspace, Listed, PolicyChoice, REMOVED_GRANTS_MAX, RemoveOutcome, RemoveWorkspace,
    UpdateOutcome, UpdateWorkspace, WORKSPACES_MAX, Workspace,
};
use postfleet_store::{Command, Store, Tx, params};
use serde_json::{Value, json};

/// An act of somebody in a tenant's application.
pub fn act(tenant: &Tenant, at: UnixMicros) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::ApiKey, id: "key".into(), name: "first key".into() },
        organization_id: tenant.organization,
        application_id: Some(tenant.application),
        request_id: "request".into(),
        at,
    }
}

/// The command that makes a workspace for a domain, or for none.
pub fn create(tenant: &Tenant, domain: &str, policy: PolicyChoice) -> CreateWorkspace {
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(fresh()),
        application_id: tenant.application,
        name: "Tier".into(),
        domain: domain.into(),
        auto_group: !domain.is_empty(),
        on_quota: postfleet_core::hold::OnQuota::Reject,
        policy_id: None,
        created_at: NOON,
        updated_at: NOON,
    };
    CreateWorkspace { act: act(tenant, NOON), workspace, policy, rule_ids: Vec::new() }
}

/// Makes a workspace.
pub async fn workspace(store: &Store, tenant: &Tenant, domain: &str) -> WorkspaceId {
    match store.run(create(tenant, domain, PolicyChoice::None)).await.expect("run") {
        CreateOutcome::Created(listed) => listed.workspace.id,
        other => panic!("not created: {other:?}"),
    }
}

pub fn assign(tenant: &Tenant, workspace: WorkspaceId, assign: &[GrantId], remove: &[GrantId]) -> AssignGrants {
    let names = |ids: &[GrantId]| ids.iter().map(|id| GrantName::Id(*id)).collect();
    AssignGrants {
        act: act(tenant, at(60)),
        application_id: tenant.application,
        workspace_id: workspace,
        assign: names(assign),
        remove: names(remove),
        event_seed: seed(),
    }
}

pub fn seed() -> [u8; 32] {
    let mut seed = [7; 32];
    seed[..16].copy_from_slice(fresh().as_bytes());
    seed
}

pub fn remove(tenant: &Tenant, id: WorkspaceId) -> RemoveWorkspace {
    RemoveWorkspace { act: act(tenant, at(60)), application_id: tenant.application, id, event_seed: seed() }
}

pub fn update(tenant: &Tenant, id: WorkspaceId) -> UpdateWorkspace {
    UpdateWorkspace {
        act: act(tenant, at(60)),
        application_id: tenant.application,
        id,
        name: None,
        auto_group: None,
        on_quota: None,
        domain: None,
        policy_id: Patch::Keep,
        rule_ids: Patch::Keep,
    }
}

pub async fn grant(store: &Store, tenant: &Tenant, id: GrantId) -> Grant {
    let mut reader = store.reader().await.expect("reader");
    grants::find(&mut reader, tenant.application, id).await.expect("find").expect("grant")
}

pub async fn place(store: &Store, tenant: &Tenant, id: GrantId) -> (Option<WorkspaceId>, Placement) {
    let grant = grant(store, tenant, id).await;
    (grant.workspace_id, grant.placement)
}

pub async fn find(store: &Store, tenant: &Tenant, id: WorkspaceId) -> Option<Listed> {
    let mut reader = store.reader().await.expect("reader");
    workspaces::find(&mut reader, tenant.application, id).await.expect("find")
}

pub async fn records(store: &Store, action: &'static str) -> i64 {
    number(store, "SELECT count(*) FROM audit WHERE action = $1", params![action]).await
}

/// How many announcements there are of a mailbox that was moved.
pub async fn announced(store: &Store, id: GrantId) -> usize {
    let events = crate::support::all_events(store).await;
    events.iter().filter(|event| event.event.grant_id == id && event.event.trigger == Trigger::GrantUpdated).count()
}

#[tokio::test]
async fn workspaces_are_listed_oldest_first_and_the_oldest_of_a_domain_is_found() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let first = workspace(store, &tenant, "a.example").await;
        let second = workspace(store, &tenant, "a.example").await;
        let theirs = workspace(store, &stranger, "a.example").await;

        let mut reader = store.reader().await.expect("reader");
        let listed = workspaces::list(&mut reader, tenant.application).await.expect("list");
        let ids: Vec<_> = listed.iter().map(|listed| (listed.workspace.id, listed.is_default)).collect();
        assert_eq!(ids, [(tenant.workspace, true), (first, false), (second, false)]);
        let domain = postfleet_core::Domain::parse("A.example").expect("domain");
        let found = workspaces::of_domain(&mut reader, tenant.application, &domain).await.expect("find");
        assert_eq!(found.expect("workspace").workspace.id, first);
        drop(reader);
        assert_eq!(find(store, &tenant, theirs).await, None);
        assert_eq!(records(store, "workspace.created").await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_gets_policies_of_its_application_only() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "free", None).await;
        let stranger = crate::support::tenant(store, "free", Some(5)).await;
        let theirs = find(store, &stranger, stranger.workspace).await.expect("found").workspace.policy_id;
        let theirs = theirs.expect("policy");
        for unknown in [theirs, PolicyId::from_uuid(fresh())] {
            let command = create(&tenant, "", PolicyChoice::Existing(unknown));
            assert_eq!(store.run(command).await.expect("run"), CreateOutcome::PolicyUnknown);
            let command = UpdateWorkspace { policy_id: Patch::Set(unknown), ..update(&tenant, tenant.workspace) };
            assert_eq!(store.run(command).await.expect("run"), UpdateOutcome::PolicyUnknown);
        }
        // A preset brings its own, clipped to the plan.
        let policy = PolicyId::from_uuid(fresh());
        let outreach = preset::find("outreach").expect("preset");
        let command = create(&tenant, "", PolicyChoice::Preset(outreach, policy));
        let CreateOutcome::Created(made) = store.run(command).await.expect("run") else { panic!("not created") };
        assert_eq!(made.workspace.policy_id, Some(policy));
        let sends = number(store, "SELECT daily_sends_max FROM policies WHERE id = $1", params![policy.uuid()]).await;
        assert_eq!(sends, 200);
        // What is there may be attached elsewhere, and detached.
        let command = UpdateWorkspace { policy_id: Patch::Set(policy), ..update(&tenant, tenant.workspace) };
        assert!(matches!(store.run(command).await.expect("run"), UpdateOutcome::Updated(_)));
        let command = UpdateWorkspace { policy_id: Patch::Clear, ..update(&tenant, tenant.workspace) };
        assert!(matches!(store.run(command.clone()).await.expect("run"), UpdateOutcome::Updated(_)));
        assert_eq!(find(store, &tenant, tenant.workspace).await.expect("found").workspace.policy_id, None);
        // What changes nothing is not recorded.
        assert_eq!(records(store, "workspace.updated").await, 2);
        let again = UpdateWorkspace { act: act(&tenant, at(90)), ..command };
        assert!(matches!(store.run(again).await.expect("run"), UpdateOutcome::Updated(_)));
        assert_eq!(records(store, "workspace.updated").await, 2);
    })
    .await;
}

/// What the newest record of an action says: who, of which request, of what, before and after.
async fn newest_record(store: &Store, action: &'static str) -> (Vec<String>, [Value; 2]) {
    const NEWEST: &str = "SELECT actor_name, request_id, target_kind, target_id, before, after FROM audit \
        WHERE action = $1 ORDER BY id DESC LIMIT 1";
    let mut reader = store.reader().await.expect("reader");
    let row = reader.query_one(NEWEST, params![action]).await.expect("query").expect("a record");
    let text = |column| row.opt_text(column).expect("text").unwrap_or_default();
    let object = |column| serde_json::from_str(&text(column)).unwrap_or_default();
    ((0..4).map(text).collect(), [object(4), object(5)])
}

#[tokio::test]
async fn changes_are_recorded_with_who_made_them_and_what_they_changed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (id, grant) = (workspace(store, &tenant, "a.example").await, tenant.mailbox(store, "a").await);
        let who = ["first key", "request", "workspace", &id.to_string()].map(str::to_owned).to_vec();
        let facts = |name: &str| {
            json!({"name": name, "domain": "a.example", "auto_group": true, "policy_id": null, "on_quota": "reject",
                "rule_ids": []})
        };
        let expected = |before: Value, after: Value| (who.clone(), [before, after]);
        let made = newest_record(store, "workspace.created").await;
        assert_eq!(made, expected(Value::Null, facts("Tier")));
        let command = UpdateWorkspace { name: Some("Top".into()), ..update(&tenant, id) };
        store.run(command).await.expect("run");
        let renamed = newest_record(store, "workspace.updated").await;
        assert_eq!(renamed, expected(facts("Tier"), facts("Top")));
        store.run(assign(&tenant, id, &[grant], &[])).await.expect("run");
        let place = |id: WorkspaceId| json!({"workspace_of": {grant.to_string(): id.to_string()}});
        let moved = newest_record(store, "grants.moved").await;
        assert_eq!(moved, expected(place(tenant.workspace), place(id)));
        store.run(remove(&tenant, id)).await.expect("run");
        let mut before = facts("Top");
        before["grants"] = json!(1);
        assert_eq!(newest_record(store, "workspace.deleted").await, expected(before, Value::Null));
    })
    .await;
}

/// As many workspaces as wanted, without a command for each.
struct Fill {
    application: ApplicationId,
    count: u64,
}

impl Command for Fill {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const WORKSPACE: &str = "INSERT INTO workspaces (id, application_id, name, domain, auto_group, created_at, \
            updated_at) VALUES ($1, $2, 'x', '', 0, 0, 0)";
        for _ in 0..self.count {
            tx.execute(WORKSPACE, params![fresh(), self.application.uuid()]).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_application_has_no_more_workspaces_than_one_answer_holds() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        // One is there, and one is to come.
        store.run(Fill { application: tenant.application, count: WORKSPACES_MAX - 2 }).await.expect("fill");
        workspace(store, &tenant, "").await;
        let outcome = store.run(create(&tenant, "", PolicyChoice::None)).await.expect("run");
        assert_eq!(outcome, CreateOutcome::TooMany);
        let mut reader = store.reader().await.expect("reader");
        let listed = workspaces::list(&mut reader, tenant.application).await.expect("list");
        assert_eq!(listed.len() as u64, WORKSPACES_MAX);
    })
    .await;
}

#[tokio::test]
async fn a_removed_workspaces_mailboxes_go_into_the_default_one() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let id = workspace(store, &tenant, "").await;
        let (inside, outside) = (tenant.mailbox(store, "inside").await, tenant.mailbox(store, "outside").await);
        store.run(assign(&tenant, id, &[inside], &[])).await.expect("assign");

        assert_eq!(store.run(remove(&stranger, id)).await.expect("run"), RemoveOutcome::Unknown);
        assert_eq!(store.run(remove(&tenant, tenant.workspace)).await.expect("run"), RemoveOutcome::IsDefault);
        assert_eq!(store.run(remove(&tenant, id)).await.expect("run"), RemoveOutcome::Removed(1));
        assert_eq!(store.run(remove(&tenant, id)).await.expect("run"), RemoveOutcome::Unknown);
        assert_eq!(find(store, &tenant, id).await, None);
        assert_eq!(place(store, &tenant, inside).await, (Some(tenant.workspace), Placement::Default));
        assert_eq!((announced(store, inside).await, announced(store, outside).await), (2, 0));
        assert_eq!(records(store, "workspace.deleted").await, 1);
    })
    .await;
}

/// As many mailboxes in a workspace as wanted, without what else belongs to them.
struct Populate {
    application: ApplicationId,
    workspace: WorkspaceId,
    count: u64,
}

impl Command for Populate {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const GRANT: &str = "INSERT INTO grants (application_id, id, workspace_id, placement, email, email_key, name, \
            ip, user_agent, blocked, created_at, updated_at) \
            VALUES ($1, $2, $3, 'moved', $4, $4, '', '', '', 0, 0, 0)";
        for _ in 0..self.count {
            let id = fresh();
            let email = format!("{}@many.example", id.simple());
            tx.execute(GRANT, params![self.application.uuid(), id, self.workspace.uuid(), &email]).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_workspace_too_large_to_be_emptied_at_once_is_not_removed() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let id = workspace(store, &tenant, "").await;
        let one = tenant.mailbox(store, "one").await;
        store.run(assign(&tenant, id, &[one], &[])).await.expect("assign");
        let rest = Populate { application: tenant.application, workspace: id, count: REMOVED_GRANTS_MAX };
        store.run(rest).await.expect("populate");
        assert_eq!(store.run(remove(&tenant, id)).await.expect("run"), RemoveOutcome::TooLarge);
        store.run(assign(&tenant, id, &[], &[one])).await.expect("take out");
        assert_eq!(store.run(remove(&tenant, id)).await.expect("run"), RemoveOutcome::Removed(REMOVED_GRANTS_MAX));
    })
    .await;
}
