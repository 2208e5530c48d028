//! Moving mailboxes: all or none, announced once, also when many do it at once or a workspace goes meanwhile.

use crate::support::{at, at_once, fresh, number, on_each_engine, tenant};
use crate::workspaces::{act, announced, assign, create, find, grant, place, records, remove, update, workspace};
use postfleet_core::id::GrantId;
use postfleet_store::db::DbError;
use postfleet_store::grants::{CreateGrant, NewGrant, Placement};
use postfleet_store::moves::{AssignGrants, AssignOutcome, GrantName};
use postfleet_store::workspaces::{PolicyChoice, RemoveWorkspace, UpdateWorkspace};
use postfleet_store::{Command, Tx};

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

#[tokio::test]
async fn a_new_mailbox_goes_where_it_is_told_else_to_its_domain_else_to_the_default() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let made = async |local: &str, workspace_id| {
            let wanted = NewGrant { workspace_id, ..tenant.new_grant(local) };
            let id = wanted.id;
            store.run(tenant.create_this(wanted)).await.expect("run");
            place(store, &tenant, id).await
        };
        let default = (Some(tenant.workspace), Placement::Default);
        assert_eq!(made("a", None).await, default);
        // One above its domain, one of the domain that groups nothing: neither takes it.
        let parent = tenant.domain.as_str().split_once('.').expect("a parent").1;
        workspace(store, &tenant, parent).await;
        let mut idle = create(&tenant, tenant.domain.as_str(), PolicyChoice::None);
        idle.workspace.auto_group = false;
        store.run(idle.clone()).await.expect("run");
        assert_eq!(made("b", None).await, default);
        let oldest = workspace(store, &tenant, tenant.domain.as_str()).await;
        workspace(store, &tenant, tenant.domain.as_str()).await;
        assert_eq!(made("c", None).await, (Some(oldest), Placement::AutoGroup));
        let named = idle.workspace.id;
        assert_eq!(made("d", Some(named)).await, (Some(named), Placement::Explicit));
        // Once it groups, it is the oldest.
        let command = UpdateWorkspace { auto_group: Some(true), ..update(&tenant, named) };
        store.run(command).await.expect("run");
        assert_eq!(made("e", None).await, (Some(named), Placement::AutoGroup));
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
