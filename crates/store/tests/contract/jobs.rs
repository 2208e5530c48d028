//! Jobs: every mailbox is looked at once, whoever does which chunk, and whatever ends in between.

use crate::support::{Engine, NOON, Statement, Tenant, at, at_once, fresh, number, on_each_engine, tenant};
use crate::workspaces::{act, announced, assign, place, records, seed, workspace};
use postfleet_core::id::{AuditId, GrantId, JobId, WorkspaceId};
use postfleet_core::layout::{Assignment, Grouping, Match};
use postfleet_core::plan::Plans;
use postfleet_core::{Domain, UnixMicros};
use postfleet_store::grants::Placement;
use postfleet_store::jobs::{self, FailJob, Job, JobStatus, PruneJobs, UNFINISHED_JOBS_MAX, WorkOnJob, WorkOutcome};
use postfleet_store::layout::{StartGrouping, StartLayout, StartOutcome};
use postfleet_store::workspaces::{RemoveOutcome, RemoveWorkspace};
use postfleet_store::{Store, StoreError};

fn grouping(tenant: &Tenant, at: UnixMicros) -> StartGrouping {
    StartGrouping {
        act: act(tenant, at),
        job_id: JobId::from_uuid(fresh()),
        application_id: tenant.application,
        grouping: Grouping::default(),
    }
}

fn layout(tenant: &Tenant, to: WorkspaceId, wanted: Match) -> StartLayout {
    StartLayout {
        act: act(tenant, NOON),
        job_id: JobId::from_uuid(fresh()),
        application_id: tenant.application,
        assignments: vec![Assignment { workspace_id: to, wanted }],
    }
}

fn work(id: JobId, limit: usize) -> WorkOnJob {
    WorkOnJob { id, limit, record_id: AuditId::from_uuid(fresh()), event_seed: seed(), at: at(120) }
}

async fn oldest(store: &Store) -> Option<JobId> {
    jobs::oldest_unfinished(&mut store.reader().await.expect("reader")).await.expect("oldest")
}

async fn find(store: &Store, tenant: &Tenant, id: JobId) -> Option<Job> {
    jobs::find(&mut store.reader().await.expect("reader"), tenant.application, id).await.expect("find")
}

async fn mailboxes(store: &Store, tenant: &Tenant, count: usize) -> Vec<GrantId> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(tenant.mailbox(store, &format!("box{number}")).await);
    }
    ids
}

#[tokio::test]
async fn grouping_moves_what_nobody_placed_and_goes_on_after_a_crash() {
    on_each_engine(async |engine| {
        let Engine { store, location, .. } = engine;
        let tenant = tenant(store, "self_hosted", None).await;
        let ids = mailboxes(store, &tenant, 7).await;
        let elsewhere = workspace(store, &tenant, "").await;
        store.run(assign(&tenant, elsewhere, &ids[..2], &ids[2..3])).await.expect("assign");
        store.run(assign(&tenant, tenant.workspace, &[], &ids[2..3])).await.expect("take out");
        let target = workspace(store, &tenant, tenant.domain.as_str()).await;
        workspace(store, &tenant, tenant.domain.as_str()).await;

        let start = grouping(&tenant, at(60));
        let id = start.job_id;
        assert_eq!(store.run(start).await.expect("start"), StartOutcome::Started);
        assert_eq!(find(store, &tenant, id).await.expect("job").status, JobStatus::Queued);
        assert_eq!(oldest(store).await, Some(id));
        assert_eq!(store.run(work(id, 3)).await.expect("work"), WorkOutcome::MoreToDo);
        let job = find(store, &tenant, id).await.expect("job");
        assert_eq!((job.status, job.progress.examined, job.progress.moved), (JobStatus::Running, 3, 1));

        // Somebody else goes on, who knows nothing but what is stored.
        let reopened;
        let store = match location {
            postfleet_store::Location::Postgres { .. } => {
                let bodies = engine.bodies();
                reopened = Store::open(location.clone(), bodies, Plans::presets()).await.expect("open");
                &reopened
            }
            postfleet_store::Location::Sqlite(_) => store,
        };
        let id = oldest(store).await.expect("a job");
        assert_eq!(store.run(work(id, 3)).await.expect("work"), WorkOutcome::MoreToDo);
        assert_eq!(store.run(work(id, 3)).await.expect("work"), WorkOutcome::Done);
        assert_eq!(store.run(work(id, 3)).await.expect("work"), WorkOutcome::Elsewhere);
        assert_eq!(oldest(store).await, None);

        let job = find(store, &tenant, id).await.expect("job");
        let progress = (job.progress.examined, job.progress.moved, job.progress.unmatched);
        assert_eq!((job.status, progress), (JobStatus::Done, (7, 5, 2)));
        for id in &ids[..2] {
            assert_eq!(place(store, &tenant, *id).await, (Some(elsewhere), Placement::Moved));
        }
        for id in &ids[2..] {
            assert_eq!(place(store, &tenant, *id).await, (Some(target), Placement::AutoGroup));
            assert_eq!(announced(store, *id).await, if *id == ids[2] { 2 } else { 1 });
        }
        // One for the two assignments that moved something, one for each chunk that did.
        assert_eq!((records(store, "job.started").await, records(store, "grants.moved").await), (1, 5));
        assert_eq!(find(store, &crate::support::tenant(store, "free", None).await, id).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_job_survives_its_process() {
    let folder = tempfile::tempdir().expect("folder");
    let location = postfleet_store::Location::Sqlite(folder.path().join("store.db"));
    let open = || Store::open(location.clone(), folder.path().join("bodies"), Plans::presets());
    let store = open().await.expect("open");
    let tenant = tenant(&store, "self_hosted", None).await;
    let ids = mailboxes(&store, &tenant, 5).await;
    let target = workspace(&store, &tenant, "").await;
    let start = layout(&tenant, target, Match { domain: Some(tenant.domain.clone()), ..Match::default() });
    let id = start.job_id;
    assert_eq!(store.run(start).await.expect("start"), StartOutcome::Started);
    assert_eq!(store.run(work(id, 2)).await.expect("work"), WorkOutcome::MoreToDo);
    drop(store);

    let store = open().await.expect("open again");
    assert_eq!(oldest(&store).await, Some(id));
    while store.run(work(id, 2)).await.expect("work") == WorkOutcome::MoreToDo {}
    let job = find(&store, &tenant, id).await.expect("job");
    assert_eq!((job.status, job.progress.examined, job.progress.moved), (JobStatus::Done, 5, 5));
    for id in ids {
        assert_eq!(place(&store, &tenant, id).await, (Some(target), Placement::Moved));
        assert_eq!(announced(&store, id).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_at_once_do_every_chunk_once() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let ids = mailboxes(store, &tenant, 20).await;
        let target = workspace(store, &tenant, "").await;
        let start = layout(&tenant, target, Match { domain: Some(tenant.domain.clone()), ..Match::default() });
        let id = start.job_id;
        store.run(start).await.expect("start");
        let mut done = 0;
        while done == 0 {
            let outcomes = at_once(store, (0..8).map(|_| work(id, 3)).collect()).await;
            done = outcomes.iter().filter(|outcome| **outcome == WorkOutcome::Done).count();
        }
        assert_eq!(done, 1);
        let job = find(store, &tenant, id).await.expect("job");
        assert_eq!((job.progress.examined, job.progress.moved), (20, 20));
        for id in ids {
            assert_eq!(announced(store, id).await, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grouping_begins_once_a_minute_and_jobs_do_not_pile_up() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let stranger = crate::support::tenant(store, "self_hosted", None).await;
        let outcomes = at_once(store, (0..8).map(|_| grouping(&tenant, at(0))).collect()).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == StartOutcome::Started).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == StartOutcome::TooSoon(at(60))).count(), 7);
        let just_before = UnixMicros::from_micros(at(60).as_micros() - 1);
        assert_eq!(store.run(grouping(&tenant, just_before)).await.expect("run"), StartOutcome::TooSoon(at(60)));
        assert_eq!(store.run(grouping(&stranger, just_before)).await.expect("run"), StartOutcome::Started);
        assert_eq!(store.run(grouping(&tenant, at(60))).await.expect("run"), StartOutcome::Started);

        let everything = Match { domain: Some(tenant.domain.clone()), ..Match::default() };
        let start = || layout(&tenant, tenant.workspace, everything.clone());
        for _ in 2..UNFINISHED_JOBS_MAX {
            assert_eq!(store.run(start()).await.expect("run"), StartOutcome::Started);
        }
        assert_eq!(store.run(start()).await.expect("run"), StartOutcome::TooMany);
        let first = oldest(store).await.expect("a job");
        store.run(work(first, 10)).await.expect("work");
        assert_eq!(store.run(start()).await.expect("run"), StartOutcome::Started);
        let foreign = layout(&tenant, stranger.workspace, everything);
        assert_eq!(store.run(foreign).await.expect("run"), StartOutcome::WorkspaceUnknown(0));
    })
    .await;
}

#[tokio::test]
async fn a_target_that_is_gone_takes_nothing() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let ids = mailboxes(store, &tenant, 2).await;
        let target = workspace(store, &tenant, "").await;
        let start = layout(&tenant, target, Match { email_contains: Some("BOX1".into()), ..Match::default() });
        let id = start.job_id;
        store.run(start).await.expect("start");
        let remove = RemoveWorkspace {
            act: act(&tenant, NOON),
            application_id: tenant.application,
            id: target,
            event_seed: seed(),
        };
        assert_eq!(store.run(remove).await.expect("remove"), RemoveOutcome::Removed(0));
        assert_eq!(store.run(work(id, 500)).await.expect("work"), WorkOutcome::Done);
        let progress = find(store, &tenant, id).await.expect("job").progress;
        assert_eq!((progress.examined, progress.moved, progress.skipped, progress.unmatched), (2, 0, 1, 1));
        assert_eq!(place(store, &tenant, ids[1]).await, (Some(tenant.workspace), Placement::Default));
    })
    .await;
}

#[tokio::test]
async fn jobs_are_listed_newest_first_and_removed_when_they_are_old() {
    on_each_engine(async |engine| {
        let store = &engine.store;
        let tenant = tenant(store, "self_hosted", None).await;
        let everything = Match { domain: Some(Domain::parse("a.example").expect("domain")), ..Match::default() };
        let mut ids = Vec::new();
        for _ in 0..4 {
            let start = layout(&tenant, tenant.workspace, everything.clone());
            ids.push(start.job_id);
            store.run(start).await.expect("start");
        }
        ids.reverse();
        let mut reader = store.reader().await.expect("reader");
        let mut listed = Vec::new();
        for older_than in [None, Some(ids[2])] {
            let page = jobs::list(&mut reader, tenant.application, older_than, 3).await.expect("list");
            listed.extend(page.iter().map(|job| job.id));
        }
        assert_eq!(listed, ids);
        drop(reader);

        // What is malformed cannot go on, is given up, and stands in nobody's way.
        let broken = oldest(store).await.expect("a job");
        assert_eq!(broken, ids[3]);
        store.run(Statement("UPDATE jobs SET parameters = 'nonsense'")).await.expect("spoil");
        assert!(matches!(store.run(work(broken, 5)).await, Err(StoreError::Fault(_))));
        store.run(FailJob { id: broken, error: "why".into(), at: at(5) }).await.expect("fail");
        let job = find(store, &tenant, broken).await.expect("job");
        assert_eq!((job.status, job.progress.error.as_deref()), (JobStatus::Failed, Some("why")));
        assert_eq!(oldest(store).await, Some(ids[2]));

        let prune = |before| PruneJobs { before, limit: 10 };
        assert_eq!(store.run(prune(UnixMicros::from_seconds(0))).await.expect("prune"), 0);
        assert_eq!(store.run(prune(at(100_000))).await.expect("prune"), 1);
        assert_eq!(number(store, "SELECT count(*) FROM jobs", &[]).await, 3);
    })
    .await;
}
