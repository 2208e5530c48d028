//! Workspaces: which there are, which mailboxes are in them, and what happens when many change that at once.

use crate::support::{NOON, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::event::Trigger;
use postfleet_core::id::{ApplicationId, AuditId, GrantId, PolicyId, WorkspaceId};
use postfleet_core::{Patch, UnixMicros, preset};
use postfleet_store::db::DbError;
use postfleet_store::grants::{self, CreateGrant, Grant, Placement};
use postfleet_store::moves::{AssignGrants, AssignOutcome, GrantName};
use postfleet_store::workspaces::{
    self, CreateOutcome, CreateWorkspace, Listed, PolicyChoice, REMOVED_GRANTS_MAX, RemoveOutcome, RemoveWorkspace,
    UpdateOutcome, UpdateWorkspace, WORKSPACES_MAX, Workspace,
};
use postfleet_store::{Command, Store, Tx, params};

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
        policy_id: None,
        created_at: NOON,
        updated_at: NOON,
    };
    CreateWorkspace { act: act(tenant, NOON), workspace, policy }
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

fn remove(tenant: &Tenant, id: WorkspaceId) -> RemoveWorkspace {
    RemoveWorkspace { act: act(tenant, at(60)), application_id: tenant.application, id, event_seed: seed() }
}

fn update(tenant: &Tenant, id: WorkspaceId) -> UpdateWorkspace {
    UpdateWorkspace {
        act: act(tenant, at(60)),
        application_id: tenant.application,
        id,
        name: None,
        auto_group: None,
        domain: None,
        policy_id: Patch::Keep,
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

async fn find(store: &Store, tenant: &Tenant, id: WorkspaceId) -> Option<Listed> {
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

#[tokio::test]
async fn mailboxes_are_assigned_and_taken_out_all_or_none() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let (id, other) = (workspace(store, &tenant, "").await, workspace(store, &tenant, "").await);
        let mut ids = Vec::new();
        for local in ["a", "b", "c"] {
            ids.push(tenant.mailbox(store, local).await);
        }
        let theirs = stranger.mailbox(store, "theirs").await;
        let nobody = GrantId::from_uuid(fresh());
        for (command, expected) in [
            (assign(&tenant, id, &[ids[0], theirs], &[]), AssignOutcome::AssignUnknown(1)),
            (assign(&tenant, id, &[ids[0]], &[ids[1], ids[2], nobody]), AssignOutcome::RemoveUnknown(2)),
            (assign(&tenant, id, &[ids[0]], &[ids[0]]), AssignOutcome::Contradiction(ids[0])),
            (assign(&tenant, stranger.workspace, &[ids[0]], &[]), AssignOutcome::WorkspaceUnknown),
        ] {
            assert_eq!(store.run(command).await.expect("run"), expected);
        }
        assert_eq!(place(store, &tenant, ids[0]).await, (Some(tenant.workspace), Placement::Default));
        assert_eq!((records(store, "grants.moved").await, announced(store, ids[0]).await), (0, 0));

        store.run(assign(&tenant, other, &[ids[1]], &[])).await.expect("run");
        store.run(assign(&tenant, id, &[ids[2]], &[])).await.expect("run");
        // By id and by address, one of them twice; what is elsewhere is not taken out.
        let mut command = assign(&tenant, id, &[ids[0]], &[ids[1], ids[2]]);
        command.assign.push(GrantName::Email(tenant.address("A")));
        let AssignOutcome::Done { workspace, assigned, removed } = store.run(command.clone()).await.expect("run")
        else {
            panic!("not done")
        };
        assert_eq!((workspace.id, assigned, removed), (id, vec![ids[0]], vec![ids[2]]));
        assert_eq!(place(store, &tenant, ids[0]).await, (Some(id), Placement::Moved));
        assert_eq!(place(store, &tenant, ids[1]).await, (Some(other), Placement::Moved));
        assert_eq!(place(store, &tenant, ids[2]).await, (None, Placement::Moved));
        assert_eq!(grant(store, &tenant, ids[0]).await.updated_at, at(60));
        assert_eq!(records(store, "grants.moved").await, 3);
        // Again it is as asked already: nothing is moved, announced or recorded.
        let again = AssignGrants { act: act(&tenant, at(90)), ..command };
        assert!(matches!(store.run(again).await.expect("run"), AssignOutcome::Done { .. }));
        assert_eq!((records(store, "grants.moved").await, announced(store, ids[0]).await), (3, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_assigned_by_many_at_once_are_announced_once_for_each_move() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let tiers = [workspace(store, &tenant, "").await, workspace(store, &tenant, "").await];
        let mut ids = Vec::new();
        for number in 0..8 {
            ids.push(tenant.mailbox(store, &format!("box{number}")).await);
        }
        let mut reversed = ids.clone();
        reversed.reverse();
        let commands: Vec<_> = (0..16)
            .map(|task| {
                // In both orders: who takes locks in the order of the request gets into each other's way.
                let order = if task % 4 < 2 { &ids } else { &reversed };
                assign(&tenant, tiers[task % 2], order, &[])
            })
            .collect();
        for outcome in at_once(store, commands).await {
            assert!(matches!(outcome, AssignOutcome::Done { assigned, .. } if assigned.len() == 8));
        }
        let moving = records(store, "grants.moved").await;
        assert!((1..=16).contains(&moving), "{moving}");
        let last = place(store, &tenant, ids[0]).await;
        assert!(tiers.contains(&last.0.expect("somewhere")));
        for id in &ids {
            // All moved together every time, and each move was announced.
            assert_eq!(place(store, &tenant, *id).await, last);
            assert_eq!(announced(store, *id).await as i64, moving);
        }
    })
    .await;
}

enum Change {
    Assign(AssignGrants),
    Create(Box<CreateGrant>),
    Remove(RemoveWorkspace),
}

impl Command for Change {
    type Outcome = ();
    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        match self {
            Self::Assign(command) => command.run(tx).await.map(|_| ()),
            Self::Create(command) => command.run(tx).await.map(|_| ()),
            Self::Remove(command) => command.run(tx).await.map(|_| ()),
        }
    }
}

/// Neither fails (a reference to a workspace that is gone would), nor is a mailbox left in one that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mailboxes_moved_and_made_while_their_workspace_is_removed_end_somewhere() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let mut existing = Vec::new();
        for number in 0..4 {
            existing.push(tenant.mailbox(store, &format!("old{number}")).await);
        }
        for round in 0..6 {
            let id = workspace(store, &tenant, &tenant.domain.to_string()).await;
            let mut commands = vec![Change::Remove(remove(&tenant, id))];
            for number in 0..6 {
                let at = commands.len() / 2;
                commands.insert(at, Change::Assign(assign(&tenant, id, &existing, &[])));
                commands.push(Change::Create(Box::new(tenant.create(&format!("new{round}-{number}")))));
            }
            at_once(store, commands).await;
            assert_eq!(find(store, &tenant, id).await, None);
        }
        const LOST: &str = "SELECT count(*) FROM grants g WHERE NOT EXISTS \
            (SELECT 1 FROM workspaces w WHERE w.id = g.workspace_id AND w.application_id = g.application_id)";
        assert_eq!(number(store, LOST, &[]).await, 0);
        assert_eq!(number(store, "SELECT count(*) FROM grants", &[]).await, 4 + 36);
    })
    .await;
}
