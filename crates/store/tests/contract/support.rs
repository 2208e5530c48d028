//! Opens stores on both engines and builds the values that the cases are made of.
//!
//! Nothing here depends on the time or on chance: ids grow with a counter, dates are given.

use postfleet_core::audit::{Act, Actor, ActorKind};
use postfleet_core::bounce::BounceType;
use postfleet_core::delivery::{AfterAttempt, Reason};
use postfleet_core::id::{
    ApplicationId, AuditId, BlobId, DomainId, EvaluationId, EventId, GrantId, LeaseId, MessageId, OrganizationId,
    PolicyId, QueueId, StopId, ThreadId, WorkspaceId, uuid_v7,
};
use postfleet_core::plan::{Plan, Plans, PolicyLimits};
use postfleet_core::rate::SendRates;
use postfleet_core::rule::OutboundType;
use postfleet_core::{Domain, EmailAddress, UnixMicros};
use postfleet_store::db::{DbError, Param};
use postfleet_store::domains::NewDomain;
use postfleet_store::events::Event;
use postfleet_store::grants::{CreateGrant, CreateGrants, GrantOutcome, NewGrant, Origin, RemoveGrant};
use postfleet_store::idempotency::Once;
use postfleet_store::messages::{
    After, Deliver, FiledCopy, Incoming, MailboxCopy, MessageFacts, Page, Provenance, StoredMessage,
};
use postfleet_store::organizations::{CreateOrganization, OrganizationOutcome};
use postfleet_store::outbound::{Guard, Lease, Submit, SubmitOutcome, TripIds, Turn};
use postfleet_store::policies::Policy;
use postfleet_store::queue::{Claim, Claimed, RecordAttempt, Report, Rooms};
use postfleet_store::threads::ThreadHints;
use postfleet_store::{Command, Location, Store, Tx, events, messages, params};
use postfleet_testkit::postgres::PostgresServer;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// The time at which every case starts: noon of a UTC day.
pub const NOON: UnixMicros = UnixMicros::from_seconds(20_000 * 86_400 + 43_200);

/// The time `seconds` after [`NOON`].
pub fn at(seconds: u64) -> UnixMicros {
    NOON.plus(Duration::from_secs(seconds))
}

/// An open store and where it is, for cases that open it anew or look at its files.
pub struct Engine {
    pub store: Store,
    pub location: Location,
    folder: TempDir,
    /// Dropped after the store, whose connections it ends.
    database: Option<Database>,
}

/// A database of the shared server, removed when dropped.
struct Database(String);

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(server) = PostgresServer::shared() {
            server.remove_database(&self.0);
        }
    }
}

impl Engine {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let location = Location::Sqlite(folder.path().join("store.db"));
        Self::open(location, folder, None, plans()).await
    }

    /// `None` when no server is installed, which the testkit has told then.
    pub async fn postgres() -> Option<Self> {
        let url = PostgresServer::shared()?.create_database("store");
        let folder = tempfile::tempdir().expect("folder");
        let database = Some(Database(url.clone()));
        Some(Self::open(Location::Postgres { url, writers: 4 }, folder, database, plans()).await)
    }

    async fn open(location: Location, folder: TempDir, database: Option<Database>, plans: Plans) -> Self {
        let store = Store::open(location.clone(), folder.path().join("bodies"), plans).await.expect("open");
        Self { store, location, folder, database }
    }

    /// The same place, opened anew with other plans.
    async fn with(self, plans: Plans) -> Self {
        drop(self.store);
        Self::open(self.location, self.folder, self.database, plans).await
    }

    /// The same place, opened anew.
    pub async fn reopened(self) -> Self {
        self.with(plans()).await
    }

    /// Why the same place cannot be opened anew.
    pub async fn refusal_to_open(&self) -> Option<postfleet_store::StoreError> {
        Store::open(self.location.clone(), self.bodies(), plans()).await.err()
    }

    /// Where large bodies are.
    pub fn bodies(&self) -> std::path::PathBuf {
        self.folder.path().join("bodies")
    }
}

/// The presets, and plans that have nothing but rates: `rated`, as the hosted service; `burst`, where one above the rate may
/// wait for two seconds; and `narrow`, by domain, mailbox and key. `unhurried` is `free` without rates.
fn plans() -> Plans {
    let open = Plans::presets().find("self_hosted").expect("a preset").clone();
    let plan = |name: &str, send_rates| Plan { name: name.into(), send_rates, ..Plan::clone(&open) };
    let rated = SendRates { organization: Some(5), sandbox: Some(1), ..SendRates::default() };
    let narrow = SendRates { domain: Some(3), mailbox: Some(2), key: Some(1), ..SendRates::default() };
    let burst = SendRates { burst_seconds: 2, ..rated };
    let free = Plans::presets().find("free").expect("a preset").clone();
    let unhurried = Plan { name: "unhurried".into(), send_rates: SendRates::default(), ..Plan::clone(&free) };
    Plans::with([unhurried, plan("rated", rated), plan("narrow", narrow), plan("burst", burst)])
}

/// Runs a case on SQLite and, where it is installed, on PostgreSQL.
pub async fn on_each_engine(case: impl AsyncFn(&Engine)) {
    println!("engine: SQLite");
    case(&Engine::sqlite().await).await;
    if let Some(engine) = Engine::postgres().await {
        println!("engine: PostgreSQL");
        case(&engine).await;
    }
}

/// Runs a case on both engines where there are other plans.
pub async fn on_each_engine_with(plans: Plans, case: impl AsyncFn(&Engine)) {
    println!("engine: SQLite");
    case(&Engine::sqlite().await.with(plans.clone()).await).await;
    if let Some(engine) = Engine::postgres().await {
        println!("engine: PostgreSQL");
        case(&engine.with(plans).await).await;
    }
}

/// A new id: later ones sort after earlier ones.
pub fn fresh() -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    uuid_v7(NOON.plus(Duration::from_micros(number)), random)
}

/// An organization with one application and one verified domain.
#[derive(Clone)]
pub struct Tenant {
    pub organization: OrganizationId,
    pub application: ApplicationId,
    pub workspace: WorkspaceId,
    pub domain: Domain,
}

/// The command that makes a tenant with a domain of its own.
pub fn organization(plan: &str, daily_sends_max: Option<u64>) -> CreateOrganization {
    let id = fresh();
    let name = Domain::parse(&format!("{}.example", id.simple())).expect("domain");
    let domain = NewDomain::trusted(DomainId::from_uuid(fresh()), name);
    let application_id = ApplicationId::from_uuid(fresh());
    let policy = |limit| {
        let limits = PolicyLimits { daily_sends_max: Some(limit), ..PolicyLimits::default() };
        Policy::new(PolicyId::from_uuid(fresh()), application_id, "Policy", limits, NOON)
    };
    CreateOrganization {
        id: OrganizationId::from_uuid(id),
        name: "Organization".into(),
        plan: plan.into(),
        application_id,
        environment: "production".into(),
        workspace_id: WorkspaceId::from_uuid(fresh()),
        policy: daily_sends_max.map(policy),
        keys: Vec::new(),
        domains: vec![domain],
        at: NOON,
        act: Act::of_command_line(AuditId::from_uuid(fresh()), OrganizationId::from_uuid(id), NOON),
    }
}

pub async fn tenant(store: &Store, plan: &str, daily_sends_max: Option<u64>) -> Tenant {
    let command = organization(plan, daily_sends_max);
    let tenant = Tenant {
        organization: command.id,
        application: command.application_id,
        workspace: command.workspace_id,
        domain: command.domains[0].name.clone(),
    };
    assert_eq!(store.run(command).await.expect("organization"), OrganizationOutcome::Created);
    tenant
}

impl Tenant {
    pub fn address(&self, local: &str) -> EmailAddress {
        EmailAddress::parse(&format!("{local}@{}", self.domain)).expect("address")
    }

    /// A change that the product makes by itself.
    pub fn act(&self, at: UnixMicros) -> Act {
        Act {
            record_id: AuditId::from_uuid(fresh()),
            actor: Actor { kind: ActorKind::System, id: String::new(), name: "contract".into() },
            organization_id: self.organization,
            application_id: Some(self.application),
            request_id: "request".into(),
            at,
        }
    }

    /// A mailbox that is wanted, with nothing but its address.
    pub fn new_grant(&self, local: &str) -> NewGrant {
        NewGrant {
            id: GrantId::from_uuid(fresh()),
            workspace_id: None,
            email: self.address(local),
            name: None,
            app_password: None,
            state: None,
            event_id: EventId::from_uuid(fresh()),
        }
    }

    pub fn create(&self, local: &str) -> CreateGrant {
        self.create_this(self.new_grant(local))
    }

    pub fn create_this(&self, grant: NewGrant) -> CreateGrant {
        CreateGrant { act: self.act(NOON), application_id: self.application, origin: Origin::default(), grant }
    }

    pub fn create_all(&self, grants: Vec<NewGrant>) -> CreateGrants {
        CreateGrants { act: self.act(NOON), application_id: self.application, origin: Origin::default(), grants }
    }

    pub fn removal(&self, id: GrantId, at: UnixMicros) -> RemoveGrant {
        let event_id = EventId::from_uuid(fresh());
        RemoveGrant { act: self.act(at), application_id: self.application, id, event_id }
    }

    pub async fn mailbox(&self, store: &Store, local: &str) -> GrantId {
        match store.run(self.create(local)).await.expect("grant") {
            GrantOutcome::Created(grant) => grant.id,
            other => panic!("not created: {other:?}"),
        }
    }

    pub fn copy(&self, grant: GrantId) -> MailboxCopy {
        MailboxCopy {
            grant_id: grant,
            application_id: self.application,
            message_id: MessageId::from_uuid(fresh()),
            new_thread_id: ThreadId::from_uuid(fresh()),
            event_id: EventId::from_uuid(fresh()),
        }
    }

    /// A received message for some mailboxes.
    pub async fn received(&self, store: &Store, grants: &[GrantId], date: UnixMicros) -> Deliver {
        let raw = format!("Subject: {}\r\n\r\nHello.\r\n", fresh());
        let blob = store.blobs().prepare(BlobId::from_uuid(fresh()), raw.as_bytes()).await.expect("body");
        let facts = received_facts(date, blob.octets());
        let copies = grants.iter().map(|grant| FiledCopy::plain(self.copy(*grant), &facts)).collect();
        let incoming = Incoming { capped: grants.to_vec(), ..Incoming::default() };
        Deliver { blob, facts, copies, provenance: Provenance::Received(incoming) }
    }

    /// Delivers a message to one mailbox.
    pub async fn deliver(&self, store: &Store, grant: GrantId, date: UnixMicros) -> MessageId {
        let command = self.received(store, &[grant], date).await;
        store.run(command).await.expect("deliver").expect("room")[0]
    }

    /// A message that a mailbox sends to so many recipients elsewhere.
    pub async fn submission(&self, store: &Store, grant: GrantId, recipients: usize, date: UnixMicros) -> Submit {
        let raw = format!("Subject: {}\r\n\r\nHello.\r\n", fresh());
        let blob = store.blobs().prepare(BlobId::from_uuid(fresh()), raw.as_bytes()).await.expect("body");
        let facts =
            MessageFacts { outgoing: true, folder: "sent", unread: false, ..received_facts(date, blob.octets()) };
        let recipient = |number| EmailAddress::parse(&format!("r{number}@elsewhere.example")).expect("address");
        Submit {
            blob,
            facts,
            copy: self.copy(grant),
            thread_id: None,
            answers: None,
            outbound_type: OutboundType::Compose,
            guard: Guard::default(),
            from_draft: None,
            evaluation_id: EvaluationId::from_uuid(fresh()),
            sender: self.address("sender"),
            reverse_path: self.address("b-sender"),
            sender_domain: self.domain.clone(),
            recipients: (0..recipients).map(|number| (QueueId::from_uuid(fresh()), recipient(number))).collect(),
            hold: None,
            undeliverable: None,
            require_opt_in: None,
            rejected_event_id: EventId::from_uuid(fresh()),
            quota_event_id: EventId::from_uuid(fresh()),
            once: Once::default(),
            by: None,
            turn: Turn::Now,
            lease: None,
        }
    }

    /// Sends a message that must be accepted; answers its id.
    pub async fn submit(&self, store: &Store, grant: GrantId, recipients: usize, date: UnixMicros) -> MessageId {
        let command = self.submission(store, grant, recipients, date).await;
        let id = command.copy.message_id;
        let outcome = store.run(command).await.expect("submit");
        assert!(matches!(outcome, SubmitOutcome::Accepted { .. }), "{outcome:?}");
        id
    }
}

/// Ids of what follows if something trips.
pub fn trip() -> TripIds {
    TripIds {
        stop_id: StopId::from_uuid(fresh()),
        audit_id: AuditId::from_uuid(fresh()),
        event_id: EventId::from_uuid(fresh()),
        tripped_id: EventId::from_uuid(fresh()),
    }
}

fn received_facts(date: UnixMicros, octets: u64) -> MessageFacts {
    let thread =
        ThreadHints { message_id: Some(format!("{}@test", fresh())), subject: "Hello".into(), ..Default::default() };
    MessageFacts {
        date,
        outgoing: false,
        folder: "inbox",
        unread: true,
        starred: false,
        octets,
        summary: "{\"subject\":\"Hello\"}".into(),
        thread,
    }
}

/// Claims rows for `worker` with a lease of a minute.
pub fn claim(worker: &str, now: UnixMicros, limit: usize) -> Claim {
    Claim {
        lease: Lease {
            id: LeaseId::from_uuid(fresh()),
            owner: worker.into(),
            until: now.plus(Duration::from_secs(60)),
        },
        now,
        limit,
        rooms: Rooms::unlimited(),
    }
}

/// A report on a claimed row. A recipient is taken as reached unless the outcome is a retry or bounce without a code.
pub fn report(row: &Claimed, after: AfterAttempt, reached: bool) -> Report {
    Report {
        id: row.id,
        recipient: row.recipient.clone(),
        after,
        reached,
        ambiguous: false,
        reply: "250 ok".into(),
        bounce: BounceType::General,
        sends_feedback: true,
        event_id: EventId::from_uuid(fresh()),
    }
}

/// The outcome of an attempt at some claimed rows of one message.
pub fn record(lease: LeaseId, reports: Vec<Report>, message_id: MessageId, at: UnixMicros) -> RecordAttempt {
    let (attempts, news, by, notice) = (Vec::new(), None, None, None);
    RecordAttempt {
        message_id,
        lease,
        signature: None,
        reports,
        attempts,
        news,
        suppressed_until: None,
        by,
        notice,
        at,
    }
}

pub fn bounced() -> AfterAttempt {
    AfterAttempt::Bounced(Reason { code: 550, status: "5.1.1".into(), text: "no such user".into() })
}

/// A statement run as a command, for what no command of the product does.
#[derive(Clone, Debug)]
pub struct Statement(pub &'static str);

impl Command for Statement {
    type Outcome = u64;
    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        tx.execute(self.0, &[]).await
    }
}

/// Reads one integer.
pub async fn number(store: &Store, sql: &'static str, params: &[Param<'_>]) -> i64 {
    let mut reader = store.reader().await.expect("reader");
    let row = reader.query_one(sql, params).await.expect("query");
    row.map_or(0, |row| row.opt_int(0).expect("integer").unwrap_or(0))
}

pub async fn daily_sends(store: &Store, grant: GrantId, at: UnixMicros) -> i64 {
    const SENT: &str = "SELECT sent FROM daily_sends WHERE grant_id = $1 AND day = $2";
    number(store, SENT, params![grant.uuid(), at.day().number()]).await
}

pub async fn queue_rows(store: &Store) -> i64 {
    number(store, "SELECT count(*) FROM queue", &[]).await
}

/// Every event of the log.
pub async fn all_events(store: &Store) -> Vec<Event> {
    let mut reader = store.reader().await.expect("reader");
    events::after(&mut reader, 0, 100_000).await.expect("events")
}

/// The first page of a mailbox or of one of its folders, large enough for every case.
pub async fn listed(store: &Store, grant: GrantId, folder: &str) -> Vec<StoredMessage> {
    let page =
        Page { grant_id: grant, folder, after: After::START, newer_than: UnixMicros::from_micros(0), limit: 10_000 };
    let mut reader = store.reader().await.expect("reader");
    messages::list_page_without_bodies(&mut reader, &page).await.expect("list")
}

/// Lets the copies go where the facts say that were changed meanwhile.
pub fn placed(mut command: Deliver) -> Deliver {
    let placement = command.facts.placement();
    command.copies.iter_mut().for_each(|copy| copy.placement = placement.clone());
    command
}

/// Runs commands at once, spread over the writers where there are several.
pub async fn at_once<C: Command>(store: &Store, commands: Vec<C>) -> Vec<C::Outcome> {
    let running: Vec<_> = commands
        .into_iter()
        .enumerate()
        .map(|(shard, command)| {
            let store = store.clone();
            tokio::spawn(async move { store.run_near(shard as u64, command).await.expect("command") })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(running.len());
    for task in running {
        outcomes.push(task.await.expect("task"));
    }
    outcomes
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
