//! How long it takes to add items to a list, and to look something up in it, when it is long.
//!
//! `cargo bench -p postfleet-store --bench lists`; SQLite, then PostgreSQL where it is installed. The list grows by a
//! thousand items with each command to a million; a row is the last fifty commands of a size, and five that remove a
//! thousand items, which are then added again. Measured are the folder below `TMPDIR` and its disk as much as the code.

use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, AuditId, ListId, ListItemId, OrganizationId, WorkspaceId, uuid_v7};
use postfleet_core::list::{ITEMS_MAX, ListKind};
use postfleet_core::plan::Plans;
use postfleet_store::lists::{self, AddItems, CreateList, ItemsOutcome, NewItem, RemoveItems};
use postfleet_store::organizations::CreateOrganization;
use postfleet_store::{Location, Store};
use postfleet_testkit::postgres::PostgresServer;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Items of the list at which a row is shown.
const SIZES: [usize; 4] = [100_000, 250_000, 500_000, 1_000_000];
/// Commands of a row.
const LAST: usize = 50;
const LOOKUPS: usize = 1_000;
const REMOVALS: usize = 5;
const NOW: UnixMicros = UnixMicros::from_seconds(1_772_445_600);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("folder");
        measure("SQLite", Location::Sqlite(folder.path().join("store.db")), &folder).await;
        if let Some(server) = PostgresServer::shared() {
            let folder = tempfile::tempdir().expect("folder");
            let location = Location::Postgres { url: server.create_database("bench"), writers: 4 };
            measure("PostgreSQL", location, &folder).await;
        }
    });
}

async fn measure(name: &str, location: Location, folder: &TempDir) {
    let store = Store::open(location, folder.path().join("bodies"), Plans::presets()).await.expect("open");
    let mut bench = Bench::prepare(store).await;
    let heads = ["add 1,000 p50", "add 1,000 p99", "remove 1,000", "look up p50"];
    println!("\n{name}\n{:>10} {:>14} {:>14} {:>14} {:>14}", "items", heads[0], heads[1], heads[2], heads[3]);
    let mut times = Vec::new();
    for size in (ITEMS_MAX..=SIZES[SIZES.len() - 1]).step_by(ITEMS_MAX) {
        times.push(bench.add(size as u64).await);
        if SIZES.contains(&size) {
            let add = sorted(&times[times.len() - LAST..]);
            let look_up = sorted(&bench.look_up(size).await);
            let (half, most) = (milliseconds(add[LAST / 2]), milliseconds(add[LAST - 1]));
            let remove = milliseconds(sorted(&bench.remove_and_add(size as u64).await)[REMOVALS / 2]);
            let look_up = milliseconds(look_up[LOOKUPS / 2]);
            println!("{size:>10} {half:>11.1} ms {most:>11.1} ms {remove:>11.1} ms {look_up:>11.3} ms");
        }
    }
}

fn sorted(times: &[Duration]) -> Vec<Duration> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

struct Bench {
    store: Store,
    organization: OrganizationId,
    application: ApplicationId,
    list: ListId,
    made: u64,
}

impl Bench {
    async fn prepare(store: Store) -> Self {
        let mut bench = Self {
            store,
            organization: OrganizationId::from_uuid(Uuid::nil()),
            application: ApplicationId::from_uuid(Uuid::nil()),
            list: ListId::from_uuid(Uuid::nil()),
            made: 0,
        };
        bench.organization = OrganizationId::from_uuid(bench.fresh());
        bench.application = ApplicationId::from_uuid(bench.fresh());
        bench.list = ListId::from_uuid(bench.fresh());
        let organization = CreateOrganization {
            id: bench.organization,
            name: "Organization".into(),
            plan: "self_hosted".into(),
            application_id: bench.application,
            environment: "production".into(),
            workspace_id: WorkspaceId::from_uuid(bench.fresh()),
            policy: None,
            keys: Vec::new(),
            domains: Vec::new(),
            at: NOW,
            act: bench.act(),
        };
        bench.store.run(organization).await.expect("organization");
        let list = CreateList {
            act: bench.act(),
            id: bench.list,
            application_id: bench.application,
            name: "List".into(),
            description: None,
            kind: ListKind::Domain,
        };
        bench.store.run(list).await.expect("list");
        bench
    }

    fn fresh(&mut self) -> Uuid {
        self.made += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.made.to_be_bytes());
        uuid_v7(NOW, random)
    }

    fn act(&mut self) -> Act {
        Act::of_command_line(AuditId::from_uuid(self.fresh()), self.organization, NOW)
    }

    /// Adds a thousand items that come to lie all over the list.
    async fn add(&mut self, size: u64) -> Duration {
        let first = size - ITEMS_MAX as u64;
        let items = (first..size)
            .map(|number| NewItem { id: ListItemId::from_uuid(self.fresh()), value: value(number) })
            .collect();
        let command = AddItems { act: self.act(), application_id: self.application, id: self.list, items };
        let begun = Instant::now();
        let outcome = self.store.run(command).await.expect("add");
        let taken = begun.elapsed();
        let is_right = matches!(outcome, ItemsOutcome::Changed { list, changed } if
            list.items_count == size && changed == ITEMS_MAX as u64);
        assert!(is_right, "something is there already");
        taken
    }

    /// Removes the last thousand items and adds them again, some times: how long removing took.
    async fn remove_and_add(&mut self, size: u64) -> Vec<Duration> {
        let mut times = Vec::with_capacity(REMOVALS);
        for _ in 0..REMOVALS {
            let values = (size - ITEMS_MAX as u64..size).map(value).collect();
            let command = RemoveItems { act: self.act(), application_id: self.application, id: self.list, values };
            let begun = Instant::now();
            let outcome = self.store.run(command).await.expect("remove");
            times.push(begun.elapsed());
            assert!(matches!(outcome, ItemsOutcome::Changed { changed, .. } if changed == ITEMS_MAX as u64));
            self.add(size).await;
        }
        times
    }

    /// Looks up values, every other one of which is there.
    async fn look_up(&self, size: usize) -> Vec<Duration> {
        let mut times = Vec::with_capacity(LOOKUPS);
        for number in 0..LOOKUPS {
            let is_there = number % 2 == 0;
            let place = (number * size / LOOKUPS) as u64;
            let value = if is_there { value(place) } else { value(place + 10_000_000) };
            let begun = Instant::now();
            let mut reader = self.store.reader().await.expect("reader");
            let found = lists::find_item(&mut reader, self.list, &value).await.expect("find").is_some();
            times.push(begun.elapsed());
            assert_eq!(found, is_there);
        }
        times
    }
}

/// The domain of a number; neighbours are far from each other.
fn value(number: u64) -> String {
    format!("{:016x}.example.com", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
