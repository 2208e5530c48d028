//! Jobs: a chunk at a time, the oldest first, and none stands in the way of the others.

use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{AuditId, JobId};
use postfleet_core::layout::{Assignment, Match};
use postfleet_mailflow::{janitor, jobs};
use postfleet_store::db::DbError;
use postfleet_store::jobs::{Job, JobStatus};
use postfleet_store::layout::{StartLayout, StartOutcome};
use postfleet_store::{Command, Tx};
use postfleet_testkit::world::{NewTenant, Tenant, World};

/// Begins a layout that leaves everybody in the default workspace.
async fn begin(world: &World, tenant: &Tenant) -> JobId {
    world.advance(1);
    let (at, entropy) = (world.platform.clock.now(), &world.platform.entropy);
    let act = Act {
        record_id: AuditId::new(at, entropy.ten()),
        actor: Actor { kind: ActorKind::System, id: String::new(), name: String::new() },
        organization_id: tenant.organization_id,
        application_id: Some(tenant.application_id),
        request_id: String::new(),
        at,
    };
    let job_id = JobId::new(at, entropy.ten());
    let wanted = Match { domain: Some(tenant.domain.clone()), ..Match::default() };
    let assignments = vec![Assignment { workspace_id: tenant.workspace_id, wanted }];
    let start = StartLayout { act, job_id, application_id: tenant.application_id, assignments };
    assert_eq!(world.platform.store.run(start).await.expect("start"), StartOutcome::Started);
    job_id
}

async fn find(world: &World, tenant: &Tenant, id: JobId) -> Option<Job> {
    let mut reader = world.platform.store.reader().await.expect("reader");
    postfleet_store::jobs::find(&mut reader, tenant.application_id, id).await.expect("find")
}

/// Makes nonsense of every job that waits.
struct Spoil;

impl Command for Spoil {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute("UPDATE jobs SET parameters = 'nonsense'", &[]).await
    }
}

#[tokio::test]
async fn a_job_that_cannot_go_on_is_given_up_and_the_next_is_done() {
    let world = World::new().await;
    let tenant = world.tenant(NewTenant::of("acme.test")).await;
    world.mailbox(&tenant, "agent").await;
    let platform = &world.platform;
    let broken = begin(&world, &tenant).await;
    platform.store.run(Spoil).await.expect("spoil");
    let (second, third) = (begin(&world, &tenant).await, begin(&world, &tenant).await);

    assert!(jobs::run_once(platform).await.expect("chunk"));
    let job = find(&world, &tenant, broken).await.expect("job");
    assert_eq!(job.status, JobStatus::Failed);
    assert!(job.progress.error.is_some_and(|error| !error.contains("malformed")), "causes are for the log");
    assert!(jobs::run_once(platform).await.expect("chunk"));
    let status = async |id| find(&world, &tenant, id).await.expect("job").status;
    assert_eq!((status(second).await, status(third).await), (JobStatus::Done, JobStatus::Queued));
    assert!(jobs::run_once(platform).await.expect("chunk"));
    assert!(!jobs::run_once(platform).await.expect("chunk"), "nothing is left to do");
    assert_eq!(status(third).await, JobStatus::Done);
}

#[tokio::test]
async fn a_job_that_is_over_is_kept_for_thirty_days_and_one_that_waits_for_ever() {
    let world = World::new().await;
    let tenant = world.tenant(NewTenant::of("acme.test")).await;
    let platform = &world.platform;
    let done = begin(&world, &tenant).await;
    assert!(jobs::run_once(platform).await.expect("chunk"));
    let waiting = begin(&world, &tenant).await;
    world.advance(30 * 86_400 - 1);
    janitor::clean_once(platform).await.expect("clean");
    assert!(find(&world, &tenant, done).await.is_some());
    world.advance(2);
    janitor::clean_once(platform).await.expect("clean");
    assert!(find(&world, &tenant, done).await.is_none());
    assert!(find(&world, &tenant, waiting).await.is_some());
}
