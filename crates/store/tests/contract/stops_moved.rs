//! Mail in the queue of a mailbox that is moved: what holds where the mailbox is now decides whether it waits.

use crate::stops::{NOTHING, OPERATOR, SWITCH, act, active, behind, claimed, lift, stop, sweep};
use crate::support::{Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use crate::workspaces::{assign, remove, workspace};
use postfleet_core::Patch;
use postfleet_core::id::{EventId, GrantId, StopId, WorkspaceId};
use postfleet_core::stop::Scope;
use postfleet_store::grants::{GrantChange, UpdateGrant};
use postfleet_store::stops::NewStop;
use postfleet_store::workspaces::RemoveOutcome;
use postfleet_store::{Store, params};

fn of_workspace(tenant: &Tenant, grant: GrantId, workspace: WorkspaceId) -> NewStop {
    let mut new = stop(tenant, grant, Scope::Workspace, SWITCH);
    new.target.subject = workspace.to_string();
    new.target.workspace = Some(workspace);
    new
}

async fn waiting(store: &Store) -> i64 {
    number(store, "SELECT count(*) FROM queue WHERE parked = 2", params![]).await
}

#[tokio::test]
async fn what_waits_leaves_once_its_mailbox_is_moved_out_of_what_is_stopped_and_waits_once_it_is_moved_in() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (grant, other) = (tenant.mailbox(store, "a").await, tenant.mailbox(store, "b").await);
        let (sales, support) = (workspace(store, &tenant, "").await, workspace(store, &tenant, "").await);
        store.run(assign(&tenant, sales, &[grant, other], &[])).await.expect("assign");
        let first = tenant.submit(store, grant, 1, at(0)).await.uuid();
        tenant.submit(store, other, 1, at(1)).await;
        let raised = store.run(of_workspace(&tenant, grant, sales)).await.expect("raise");
        assert_eq!(claimed(store, at(2)).await, NOTHING);
        assert_eq!(behind(store, raised.id).await, 2);
        store.run(assign(&tenant, support, &[grant], &[])).await.expect("assign");
        assert_eq!(claimed(store, at(3)).await, [first], "its own, and not the other's");
        assert_eq!(behind(store, raised.id).await, 1);
        // The other way: what is queued by then waits.
        tenant.submit(store, grant, 1, at(4)).await;
        let change = GrantChange { workspace_id: Patch::Set(sales), ..GrantChange::default() };
        let update = |change| UpdateGrant {
            act: act(&tenant, at(5)),
            application_id: tenant.application,
            id: grant,
            change,
            event_id: EventId::from_uuid(fresh()),
        };
        store.run(update(change)).await.expect("move");
        assert_eq!(claimed(store, at(6)).await, NOTHING);
        assert_eq!(behind(store, raised.id).await, 2);
        // Out of every workspace.
        let change = GrantChange { workspace_id: Patch::Clear, ..GrantChange::default() };
        store.run(update(change)).await.expect("move");
        assert_eq!(claimed(store, at(7)).await.len(), 1);
        store.run(lift(&tenant, raised.id, OPERATOR)).await.expect("lift");
        sweep(store, 10).await;
        assert_eq!(claimed(store, at(8)).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_another_stop_keeps_back_goes_on_waiting_behind_that() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let (sales, support) = (workspace(store, &tenant, "").await, workspace(store, &tenant, "").await);
        store.run(assign(&tenant, sales, &[grant], &[])).await.expect("assign");
        tenant.submit(store, grant, 3, at(0)).await;
        let first = store.run(of_workspace(&tenant, grant, sales)).await.expect("raise");
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        let second = store.run(of_workspace(&tenant, grant, support)).await.expect("raise");
        store.run(assign(&tenant, support, &[grant], &[])).await.expect("assign");
        assert_eq!(claimed(store, at(2)).await, NOTHING);
        assert_eq!((behind(store, first.id).await, behind(store, second.id).await), (0, 3));
    })
    .await;
}

#[tokio::test]
async fn the_stop_of_a_workspace_ends_with_it_and_what_waited_leaves() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let grant = tenant.mailbox(store, "a").await;
        let sales = workspace(store, &tenant, "").await;
        store.run(assign(&tenant, sales, &[grant], &[])).await.expect("assign");
        let message = tenant.submit(store, grant, 1, at(0)).await.uuid();
        store.run(of_workspace(&tenant, grant, sales)).await.expect("raise");
        assert_eq!(claimed(store, at(1)).await, NOTHING);
        assert_eq!(store.run(remove(&tenant, sales)).await.expect("remove"), RemoveOutcome::Removed(1));
        assert_eq!(active(store, &tenant).await, (0, 0));
        sweep(store, 10).await;
        assert_eq!(claimed(store, at(2)).await, [message]);
    })
    .await;
}

/// Claims that see where a mailbox was, and moves that do not see what is being parked, leave nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_and_claims_at_once_leave_nothing_behind_the_stop_of_another_workspace() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let (sales, support) = (workspace(store, &tenant, "").await, workspace(store, &tenant, "").await);
        let mut grants = Vec::new();
        for number in 0..8 {
            let grant = tenant.mailbox(store, &format!("m{number}")).await;
            store.run(assign(&tenant, sales, &[grant], &[])).await.expect("assign");
            for _ in 0..4 {
                tenant.submit(store, grant, 1, at(0)).await;
            }
            grants.push(grant);
        }
        let raised: StopId = store.run(of_workspace(&tenant, grants[0], sales)).await.expect("raise").id;
        let moves = grants.iter().map(|grant| assign(&tenant, support, &[*grant], &[])).collect();
        let claims = (0..8).map(|_| crate::support::claim("w", at(1), 8)).collect();
        let (_, taken) = futures::join!(at_once(store, moves), at_once(store, claims));
        let taken: usize = taken.iter().map(|claims| claims.rows.len()).sum();
        assert_eq!((behind(store, raised).await, waiting(store).await), (0, 0));
        assert_eq!(taken + claimed(store, at(2)).await.len(), 32);
    })
    .await;
}
