//! How many messages a second the store takes, and how many share one flush, by the number of writers that wait for
//! their message at the same time.
//!
//! `cargo bench -p postfleet-store --bench commits`; SQLite, then PostgreSQL where it is installed. Each row takes
//! about three seconds. Measured are the folder below `TMPDIR` and its disk as much as the code.

use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::id::{
    ApplicationId, AuditId, BlobId, DomainId, EventId, GrantId, MessageId, OrganizationId, ThreadId, WorkspaceId,
    uuid_v7,
};
use postfleet_core::plan::Plans;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_store::domains::NewDomain;
use postfleet_store::grants::{CreateGrant, NewGrant, Origin};
use postfleet_store::messages::{Deliver, FiledCopy, Incoming, MailboxCopy, MessageFacts, Provenance};
use postfleet_store::organizations::CreateOrganization;
use postfleet_store::threads::ThreadHints;
use postfleet_store::{Location, Store};
use postfleet_testkit::postgres::PostgresServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

const WRITERS: [usize; 6] = [1, 4, 16, 64, 256, 512];
const MAILBOXES: usize = 1_000;
const BODY_OCTETS: usize = 3_000;
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
    println!("\n{name}: delivering {BODY_OCTETS} octets to one of {MAILBOXES} mailboxes");
    println!(
        "{:>8} {:>12} {:>10} {:>15} {:>10} {:>10}",
        "writers", "commits/s", "flushes/s", "commits/flush", "p50 ms", "p99 ms"
    );
    for writers in WRITERS {
        bench.row(writers).await;
    }
}

struct Bench {
    store: Store,
    application: ApplicationId,
    grants: Vec<GrantId>,
    text: String,
    sent: AtomicU64,
}

impl Bench {
    async fn prepare(store: Store) -> Self {
        let application = ApplicationId::from_uuid(fresh());
        let domain = Domain::parse("bench.example").expect("domain");
        let create = organization(application, domain.clone());
        let organization = create.id;
        store.run(create).await.expect("organization");
        let mut grants = Vec::with_capacity(MAILBOXES);
        for number in 0..MAILBOXES {
            let grant = NewGrant {
                id: GrantId::from_uuid(fresh()),
                workspace_id: None,
                email: EmailAddress::parse(&format!("box{number}@{domain}")).expect("address"),
                name: None,
                app_password: None,
                state: None,
                event_id: EventId::from_uuid(fresh()),
            };
            grants.push(grant.id);
            let act = act(organization, application);
            let command = CreateGrant { act, application_id: application, origin: Origin::default(), grant };
            store.run(command).await.expect("grant");
        }
        Self { store, application, grants, text: text(), sent: AtomicU64::new(0) }
    }

    async fn row(self: &Arc<Self>, writers: usize) {
        let counters = self.store.counters();
        let (commands, batches) = (counters.commands(), counters.batches());
        let start = Instant::now();
        let running: Vec<_> = (0..writers).map(|_| tokio::spawn(self.clone().write_until(start + ROW))).collect();
        let mut waits = Vec::new();
        for writer in running {
            waits.extend(writer.await.expect("writer"));
        }
        let seconds = start.elapsed().as_secs_f64();
        waits.sort_unstable();
        let commits = (counters.commands() - commands) as f64;
        let flushes = (counters.batches() - batches) as f64;
        let wait = |hundredths: usize| waits[(waits.len() - 1) * hundredths / 100].as_secs_f64() * 1_000.0;
        println!(
            "{writers:>8} {:>12.0} {:>10.0} {:>15.1} {:>10.2} {:>10.2}",
            commits / seconds,
            flushes / seconds,
            commits / flushes,
            wait(50),
            wait(99)
        );
    }

    /// Delivers one message after the other; answers how long each took.
    async fn write_until(self: Arc<Self>, end: Instant) -> Vec<Duration> {
        let mut waits = Vec::new();
        while Instant::now() < end {
            let start = Instant::now();
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            let command = self.message(number).await;
            self.store.run_near(number, command).await.expect("deliver").expect("room");
            waits.push(start.elapsed());
        }
        waits
    }

    async fn message(&self, number: u64) -> Deliver {
        // Scattered over the mailboxes.
        let index = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let grant = self.grants[index as usize % MAILBOXES];
        let raw = format!("Message-ID: <{number}@elsewhere.example>\r\nSubject: Message\r\n\r\n{}", self.text);
        let blob = self.store.blobs().prepare(BlobId::from_uuid(fresh()), raw.as_bytes()).await.expect("body");
        let copy = MailboxCopy {
            grant_id: grant,
            application_id: self.application,
            message_id: MessageId::from_uuid(fresh()),
            new_thread_id: ThreadId::from_uuid(fresh()),
            event_id: EventId::from_uuid(fresh()),
        };
        let thread = ThreadHints {
            message_id: Some(format!("{number}@elsewhere.example")),
            subject: "Message".into(),
            correspondents: vec![format!("sender{}@elsewhere.example", number % 100)],
            ..ThreadHints::default()
        };
        let facts = MessageFacts {
            date: now(),
            outgoing: false,
            folder: "inbox",
            unread: true,
            starred: false,
            octets: blob.octets(),
            summary: format!("{{\"subject\":\"Message\",\"snippet\":\"{}\"}}", &self.text[..100]),
            thread,
        };
        let copies = vec![FiledCopy::plain(copy, &facts)];
        Deliver { blob, facts, copies, provenance: Provenance::Received(Incoming::default()) }
    }
}

fn act(organization: OrganizationId, application: ApplicationId) -> Act {
    Act {
        record_id: AuditId::from_uuid(fresh()),
        actor: Actor { kind: ActorKind::System, id: String::new(), name: "bench".into() },
        organization_id: organization,
        application_id: Some(application),
        request_id: String::new(),
        at: now(),
    }
}

fn organization(application_id: ApplicationId, domain: Domain) -> CreateOrganization {
    let (id, at) = (OrganizationId::from_uuid(fresh()), now());
    CreateOrganization {
        id,
        name: "Bench".into(),
        plan: "self_hosted".into(),
        application_id,
        environment: "production".into(),
        workspace_id: WorkspaceId::from_uuid(fresh()),
        policy: None,
        keys: Vec::new(),
        domains: vec![NewDomain::trusted(DomainId::from_uuid(fresh()), domain)],
        at,
        act: Act::of_command_line(AuditId::from_uuid(fresh()), id, at),
    }
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

/// Words in an order that compresses about as well as mail does.
fn text() -> String {
    const WORDS: [&str; 16] = [
        "the", "meeting", "invoice", "please", "find", "attached", "tomorrow", "agenda", "for", "with", "regards",
        "order", "number", "delivery", "and", "thank",
    ];
    let mut text = String::with_capacity(BODY_OCTETS + 16);
    let mut state = 1_u64;
    while text.len() < BODY_OCTETS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 60) as usize]);
        text.push_str(if state >> 32 & 7 == 0 { "1724 " } else { " " });
    }
    text.truncate(BODY_OCTETS);
    text
}
