//! How many mailboxes a second the store makes: one by one for writers that wait at the same time, and many in one
//! command.
//!
//! `cargo bench -p postfleet-store --bench provisioning`; SQLite, then PostgreSQL where it is installed. Each row takes
//! about three seconds, and finds what the rows before it have made. Measured are the folder below `TMPDIR` and its disk
//! as much as the code.

use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{ApplicationId, AuditId, DomainId, EventId, GrantId, OrganizationId, WorkspaceId, uuid_v7};
use postfleet_core::plan::Plans;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_store::domains::NewDomain;
use postfleet_store::grants::{CreateGrant, CreateGrants, GrantOutcome, NewGrant, Origin};
use postfleet_store::organizations::CreateOrganization;
use postfleet_store::{Location, Store, params};
use postfleet_testkit::postgres::PostgresServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Writers, mailboxes in one command, and whether their names are scattered: each then changes another page of the index
/// of addresses, where numbered ones share a few.
const ROWS: [(usize, usize, bool); 5] =
    [(16, 1, false), (1, 1_000, false), (2, 1_000, false), (4, 1_000, false), (2, 1_000, true)];
const ROW: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("folder");
        measure("SQLite", Location::Sqlite(folder.path().join("store.db")), &folder).await;
        if let Some(server) = PostgresServer::shared() {
            let folder = tempfile::tempdir().expect("folder");
            let location = Location::Postgres { url: server.create_database("bench"), writers: 4 };
            measure("PostgreSQL, 4 connections", location, &folder).await;
        }
    });
}

async fn measure(name: &str, location: Location, folder: &TempDir) {
    let store = Store::open(location, folder.path().join("bodies"), Plans::presets()).await.expect("open");
    let bench = Arc::new(Bench::prepare(store).await);
    println!("\n{name}");
    println!(
        "{:>8} {:>11} {:>9} {:>12} {:>15} {:>10} {:>10}",
        "writers", "per command", "names", "mailboxes/s", "mailboxes/flush", "p50 ms", "p99 ms"
    );
    for (writers, size, is_scattered) in ROWS {
        bench.row(writers, size, is_scattered).await;
    }
    bench.check().await;
}

struct Bench {
    store: Store,
    organization: OrganizationId,
    application: ApplicationId,
    domain: Domain,
    made: AtomicU64,
}

impl Bench {
    async fn prepare(store: Store) -> Self {
        let (organization, application) = (OrganizationId::from_uuid(fresh()), ApplicationId::from_uuid(fresh()));
        let domain = Domain::parse("bench.example").expect("domain");
        let at = now();
        let create = CreateOrganization {
            id: organization,
            name: "Bench".into(),
            plan: "self_hosted".into(),
            application_id: application,
            environment: "production".into(),
            workspace_id: WorkspaceId::from_uuid(fresh()),
            policy: None,
            keys: Vec::new(),
            domains: vec![NewDomain::trusted(DomainId::from_uuid(fresh()), domain.clone())],
            at,
            act: Act::of_command_line(AuditId::from_uuid(fresh()), organization, at),
        };
        store.run(create).await.expect("organization");
        Self { store, organization, application, domain, made: AtomicU64::new(0) }
    }

    async fn row(self: &Arc<Self>, writers: usize, size: usize, is_scattered: bool) {
        let (before, batches) = (self.made.load(Ordering::Relaxed), self.store.counters().batches());
        let start = Instant::now();
        let running: Vec<_> =
            (0..writers).map(|_| tokio::spawn(self.clone().write_until(size, is_scattered, start + ROW))).collect();
        let mut waits = Vec::new();
        for writer in running {
            waits.extend(writer.await.expect("writer"));
        }
        let seconds = start.elapsed().as_secs_f64();
        waits.sort_unstable();
        let made = (self.made.load(Ordering::Relaxed) - before) as f64;
        let flushes = (self.store.counters().batches() - batches) as f64;
        let wait = |hundredths: usize| waits[(waits.len() - 1) * hundredths / 100].as_secs_f64() * 1_000.0;
        let names = if is_scattered { "scattered" } else { "numbered" };
        println!(
            "{writers:>8} {size:>11} {names:>9} {:>12.0} {:>15.1} {:>10.2} {:>10.2}",
            made / seconds,
            made / flushes,
            wait(50),
            wait(99)
        );
    }

    /// Runs one command after the other; answers how long each took.
    async fn write_until(self: Arc<Self>, size: usize, is_scattered: bool, end: Instant) -> Vec<Duration> {
        let mut waits = Vec::new();
        while Instant::now() < end {
            let first = self.made.fetch_add(size as u64, Ordering::Relaxed);
            let numbers = first..first + size as u64;
            let mut grants: Vec<NewGrant> = numbers.map(|number| self.grant(number, is_scattered)).collect();
            let (act, application_id, origin) = (self.act(), self.application, origin());
            let start = Instant::now();
            let outcomes = match (size, grants.pop()) {
                (1, Some(grant)) => {
                    let command = CreateGrant { act, application_id, origin, grant };
                    vec![self.store.run_near(first, command).await.expect("run")]
                }
                (_, last) => {
                    grants.extend(last);
                    let command = CreateGrants { act, application_id, origin, grants };
                    self.store.run_near(first / size as u64, command).await.expect("run")
                }
            };
            waits.push(start.elapsed());
            assert!(outcomes.iter().all(|outcome| matches!(outcome, GrantOutcome::Created(_))));
        }
        waits
    }

    fn grant(&self, number: u64, is_scattered: bool) -> NewGrant {
        let name = match is_scattered {
            true => blake3::hash(&number.to_le_bytes()).to_hex()[..12].to_owned(),
            false => format!("{number:08}"),
        };
        NewGrant {
            id: GrantId::from_uuid(fresh()),
            workspace_id: None,
            email: EmailAddress::parse(&format!("agent-{name}@{}", self.domain)).expect("address"),
            name: Some(format!("Agent {number}")),
            app_password: None,
            state: None,
            event_id: EventId::from_uuid(fresh()),
        }
    }

    fn act(&self) -> Act {
        Act {
            record_id: AuditId::from_uuid(fresh()),
            actor: Actor { kind: ActorKind::ApiKey, id: fresh().to_string(), name: "bench".into() },
            organization_id: self.organization,
            application_id: Some(self.application),
            request_id: fresh().to_string(),
            at: now(),
        }
    }

    /// What was counted must be what is there.
    async fn check(&self) {
        let mut reader = self.store.reader().await.expect("reader");
        for count in ["SELECT count(*) FROM grants", "SELECT grant_count FROM organizations"] {
            let row = reader.query_one(count, params![]).await.expect("count").expect("row");
            assert_eq!(row.count(0).expect("number"), self.made.load(Ordering::Relaxed), "{count}");
        }
    }
}

fn origin() -> Origin {
    Origin { ip: "192.0.2.1".into(), user_agent: "fleet/1.0".into() }
}

fn now() -> UnixMicros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    UnixMicros::from_micros(since.as_micros() as i64)
}

fn fresh() -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 10];
    let hash = blake3::hash(&MADE.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    random.copy_from_slice(&hash.as_bytes()[..10]);
    uuid_v7(now(), random)
}
