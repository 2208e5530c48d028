//! Runs commands in batches and hands out readers.
//!
//! A batch is one transaction. The engine first runs all of its commands straight through; should one of them fail,
//! it takes the batch back and runs it again with a savepoint around each command, so that the failing one alone is
//! undone. Failing is rare (a refusal is an outcome, not a failure), so the common way pays for no savepoints.

mod arrivals;
mod batch;
mod postgres;
mod reader;
mod remembered;
mod sqlite;

use crate::blobs::Blobs;
use crate::db::sqlite::Sqlite;
use crate::db::{Db, DbError, Param, Row};
use crate::error::StoreError;
use crate::events::{Announced, NewEvent};
use crate::judging::RuleBook;
use crate::meters::Tally;
use crate::migrate;
use crate::organizations;
use crate::wake::{Hints, Wake};
use arrivals::Arrivals;
use postfleet_core::plan::{Plan, Plans};
use postfleet_core::quarantine;
use postfleet_core::send_figures::Sums;
use postfleet_core::trace::TraceContext;
use postfleet_trace::Instrument;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

pub use arrivals::Arriving;
pub use reader::Reader;
pub(crate) use remembered::{Remembered, WATCHED};

/// Commands that may wait for the engine; more wait before the door.
const WAITING_MAX: usize = 4_096;

/// An atomic, conditional change as a plain value. It is judged and carried out inside the batch's transaction, and
/// may be run more than once before its batch commits: it must change nothing but the database.
pub trait Command: Send + 'static {
    /// What came of it. A refusal is an outcome.
    type Outcome: Send + 'static;
    /// Reads what it needs, decides with a pure function of `core`, writes what follows.
    fn run(&self, tx: &mut Tx) -> impl Future<Output = Result<Self::Outcome, DbError>> + Send;
}

/// A command that its caller keeps, to look at it again afterwards or to run it once more.
impl<C: Command + Sync> Command for Arc<C> {
    type Outcome = C::Outcome;

    fn run(&self, tx: &mut Tx) -> impl Future<Output = Result<Self::Outcome, DbError>> + Send {
        (**self).run(tx)
    }
}

/// The batch's transaction, as a command sees it.
pub struct Tx {
    db: Db,
    quarantine_part: Arc<AtomicU64>,
    plans: Plans,
    rule_book: Arc<RuleBook>,
    events: Vec<Announced>,
    /// Where in a recorded trace the command is that runs.
    trace: Option<[u8; TraceContext::OCTETS]>,
    tally: Tally,
    /// Rows of usage that are locked from the beginning of the batch.
    locked: BTreeSet<(uuid::Uuid, i64)>,
    /// What happened to recipients in the batch that was committed last.
    happened: Sums,
    hints: Hints,
}

impl Tx {
    fn new(db: Db, context: &batch::Context) -> Self {
        let (plans, rule_book) = (context.plans.clone(), context.rule_book.clone());
        let (events, trace) = (Vec::new(), None);
        let (tally, locked) = (Tally::default(), BTreeSet::new());
        let quarantine_part = context.quarantine_part.clone();
        let (happened, hints) = (Sums::default(), Hints::default());
        Self { db, quarantine_part, plans, rule_book, events, trace, tally, locked, happened, hints }
    }
    /// The plan of that name, as the operator defines it.
    pub fn plan(&self, name: &str) -> Result<Arc<Plan>, DbError> {
        self.plans.find(name).cloned().ok_or(DbError::Malformed("plan"))
    }
    /// What judging holds in memory.
    pub(crate) fn rule_book(&self) -> Arc<RuleBook> {
        self.rule_book.clone()
    }
    /// Runs a statement that answers rows.
    pub async fn query(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>, DbError> {
        self.db.query(sql, params).await
    }
    /// Runs a statement that answers at most one row.
    pub async fn query_one(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<Option<Row>, DbError> {
        self.db.query_one(sql, params).await
    }
    /// Runs a statement for its effect.
    pub async fn execute(&mut self, sql: &'static str, params: &[Param<'_>]) -> Result<u64, DbError> {
        self.db.execute(sql, params).await
    }
    /// Begins a part that may fail without the rest.
    pub(crate) async fn savepoint(&mut self) -> Result<(), DbError> {
        self.db.script("SAVEPOINT part").await
    }
    /// Takes back what was done since [`Tx::savepoint`], which stays.
    pub(crate) async fn back_to_savepoint(&mut self) -> Result<(), DbError> {
        self.db.script("ROLLBACK TO SAVEPOINT part").await
    }
    /// Ends the part.
    pub(crate) async fn release_savepoint(&mut self) -> Result<(), DbError> {
        self.db.script("RELEASE SAVEPOINT part").await
    }
    /// Adds an event to the log. It gets its position when the batch ends, so that positions appear in order.
    pub fn announce(&mut self, event: NewEvent) {
        self.events.push((event, self.trace));
        self.hints.events = true;
    }
    /// Where in a recorded trace the command is that runs, in the short form that is stored.
    pub(crate) fn trace(&self) -> Option<[u8; TraceContext::OCTETS]> {
        self.trace
    }
    /// How near to its review a domain may come, in percent of the way, before the mailbox is held that endangers it.
    pub(crate) fn quarantine_part(&self) -> Option<u64> {
        Some(self.quarantine_part.load(Ordering::Relaxed)).filter(|part| *part > 0)
    }
    /// What the batch uses of plans so far. It is written when the batch ends.
    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }
    /// Whether the connection has broken.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(&self.db, Db::Postgres(db) if db.is_closed())
    }
    /// The connection, for what ends a batch.
    pub(crate) fn db(&mut self) -> &mut Db {
        &mut self.db
    }
    /// Asks that the delivery role look at the queue after the commit.
    pub fn wake_queue(&mut self) {
        self.hints.queue = true;
    }
    /// Asks that the janitor look for jobs after the commit.
    pub fn wake_jobs(&mut self) {
        self.hints.jobs = true;
    }
    /// Asks that rules be read into memory after the commit.
    pub(crate) fn wake_rules(&mut self) {
        self.hints.rules = true;
    }
    /// Asks that those who release scheduled sends look which there are after the commit.
    pub fn wake_schedules(&mut self) {
        self.hints.schedules = true;
    }
    /// Says that a stop was raised, or lifted: then mail may wait behind it no more.
    pub(crate) fn wake_stops(&mut self, is_lifted: bool) {
        self.hints.stops = true;
        self.hints.lifted |= is_lifted;
    }
    /// Asks that those who work for webhooks look which there are after the commit.
    pub fn wake_webhooks(&mut self) {
        self.hints.webhooks = true;
    }
}

/// Where the truth is kept.
#[derive(Clone, Debug)]
pub enum Location {
    /// A SQLite file. Its folder is locked by this process.
    Sqlite(PathBuf),
    /// A PostgreSQL URL, and how many connections write.
    Postgres {
        /// `postgres://user@host:port/database`
        url: String,
        /// Connections that run batches.
        writers: usize,
    },
}

impl Location {
    /// Reads `sqlite:<path>` or `postgres://…`.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(path.into()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres { url: url.to_owned(), writers: 4 });
        }
        Err(StoreError::Fault(format!("storage.url must start with \"sqlite:\" or \"postgres://\", not {url:?}")))
    }
}

/// The store: runs commands, hands out readers, keeps bodies.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Vec<mpsc::Sender<Box<dyn batch::Job>>>,
    arrivals: Arc<Arrivals>,
    readers: reader::Readers,
    blobs: Blobs,
    plans: Plans,
    rule_book: Arc<RuleBook>,
    wake: Arc<Wake>,
    counters: Arc<Counters>,
    quarantine_part: Arc<AtomicU64>,
    remembered: Option<Arc<Remembered>>,
}

/// What the engine has done since it was opened.
#[derive(Debug, Default)]
pub struct Counters {
    commands: AtomicU64,
    batches: AtomicU64,
    reruns: AtomicU64,
    /// In the order of the fields of [`Sums`].
    outcomes: [AtomicU64; 7],
}

impl Counters {
    /// Commands committed.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }
    /// Transactions committed: each is one flush to stable storage.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }
    /// Batches that were run a second time because a command in them failed.
    pub fn reruns(&self) -> u64 {
        self.reruns.load(Ordering::Relaxed)
    }
    /// What happened to recipients, as far as it was written down here.
    pub fn outcomes(&self) -> Sums {
        Sums::of(self.outcomes.each_ref().map(|count| count.load(Ordering::Relaxed)))
    }

    fn happened(&self, sums: &Sums) {
        self.outcomes.iter().zip(sums.in_order()).filter(|(_, more)| *more > 0).for_each(|(count, more)| {
            count.fetch_add(more, Ordering::Relaxed);
        });
    }
}

impl Store {
    /// Opens (and migrates) the database and starts its writers. Bodies above the inline limit go below `blob_folder`;
    /// every organization's plan must be among `plans`.
    pub async fn open(location: Location, blob_folder: PathBuf, plans: Plans) -> Result<Self, StoreError> {
        let wake = Arc::new(Wake::default());
        let counters = Arc::new(Counters::default());
        let rule_book = Arc::new(RuleBook::default());
        let quarantine_part = Arc::new(AtomicU64::new(quarantine::PART));
        // Others write to PostgreSQL, too: there every request reads what it needs.
        let remembered = matches!(location, Location::Sqlite(_)).then(|| Arc::new(Remembered::default()));
        let context = batch::Context {
            plans: plans.clone(),
            quarantine_part: quarantine_part.clone(),
            rule_book: rule_book.clone(),
            wake: wake.clone(),
            counters: counters.clone(),
            remembered: remembered.clone(),
        };
        let arrivals = Arc::new(Arrivals::default());
        let blobs = Blobs::open(blob_folder)?;
        let (jobs, readers) = match location {
            Location::Sqlite(path) => {
                let mut db = Db::Sqlite(Sqlite::open_writer(&path)?);
                migrate::run(&mut db).await?;
                drop(db);
                let (writer, tidy) = (Sqlite::open_writer(&path)?, Sqlite::open_writer(&path)?);
                (
                    vec![sqlite::start(writer, tidy, context, arrivals.clone())?],
                    reader::Readers::sqlite(path, plans.clone()),
                )
            }
            Location::Postgres { url, writers } => {
                let mut db = Db::Postgres(crate::db::postgres::Postgres::connect(&url).await?);
                migrate::run(&mut db).await?;
                let jobs = (0..writers.max(1)).map(|_| postgres::start(url.clone(), context.clone())).collect();
                (jobs, reader::Readers::postgres(url, plans.clone()))
            }
        };
        let inner =
            Inner { jobs, arrivals, readers, blobs, plans, rule_book, wake, counters, quarantine_part, remembered };
        let store = Self { inner: Arc::new(inner) };
        let mut reader = store.reader().await?;
        organizations::check_plans(&mut reader).await?;
        store.blobs().check(&mut reader).await?;
        drop(reader);
        Ok(store)
    }

    /// Sets how near to its review a domain may come, in percent of the way, before the mailbox is held that endangers it;
    /// `None`: none is held.
    pub fn quarantine_at(&self, part: Option<u64>) {
        self.inner.quarantine_part.store(part.unwrap_or(0), Ordering::Relaxed);
    }

    /// Runs a command. Its outcome comes back after the commit.
    pub async fn run<C: Command>(&self, command: C) -> Result<C::Outcome, StoreError> {
        self.run_near(0, command).await
    }

    /// As [`Store::run`], for commands that belong to one mailbox: on PostgreSQL those with the same `shard` use the
    /// same connection and so never wait for each other's locks.
    pub async fn run_near<C: Command>(&self, shard: u64, command: C) -> Result<C::Outcome, StoreError> {
        let commit = async {
            let (reply, outcome) = oneshot::channel();
            let job = Box::new(batch::Pending::new(command, reply));
            self.queue(shard).send(job).await.map_err(|_| stopped())?;
            self.inner.arrivals.hurry();
            outcome.await.map_err(|_| stopped())?
        };
        commit.instrument(postfleet_trace::child!("store.commit")).await
    }

    /// Announces a command to which [`Store::run_announced`] will come soon. A writer that has commands of this kind alone
    /// waits some milliseconds for those that are announced, so that they share a flush.
    pub fn announce(&self) -> Arriving {
        Arriving::new(self.inner.arrivals.clone())
    }

    /// As [`Store::run_near`], for a command that was announced.
    pub async fn run_announced<C: Command>(
        &self,
        announced: Arriving,
        shard: u64,
        command: C,
    ) -> Result<C::Outcome, StoreError> {
        let commit = async {
            let (reply, outcome) = oneshot::channel();
            let place = self.queue(shard).reserve().await.map_err(|_| stopped())?;
            // Before it is handed over: a writer that has nobody else to wait for would begin to, and be woken once more.
            self.inner.arrivals.arrived();
            drop(announced);
            place.send(Box::new(batch::Pending::new(command, reply)));
            outcome.await.map_err(|_| stopped())?
        };
        commit.instrument(postfleet_trace::child!("store.commit")).await
    }

    /// Where the commands of a mailbox wait for the engine.
    fn queue(&self, shard: u64) -> &mpsc::Sender<Box<dyn batch::Job>> {
        let jobs = &self.inner.jobs;
        &jobs[(shard % jobs.len() as u64) as usize]
    }

    /// Hands a command over without waiting for it: for what may be lost, such as when a key was last seen. It is lost
    /// when the engine has much to do, has stopped, or fails at it.
    pub fn run_later<C: Command>(&self, shard: u64, command: C) {
        let (reply, _) = oneshot::channel();
        if self.queue(shard).try_send(Box::new(batch::Pending::new(command, reply))).is_err() {
            tracing::debug!("a command that may be lost was lost");
        }
    }

    /// A connection for reading. It sees everything that was committed before.
    pub async fn reader(&self) -> Result<Reader<'_>, StoreError> {
        self.inner.readers.take().await
    }

    /// What is remembered of rows, if this process is the only one that changes them.
    pub(crate) fn remembered(&self) -> Option<&Remembered> {
        self.inner.remembered.as_deref()
    }

    /// Rows that readers have answered since the store was opened: what its lists cost.
    pub fn rows_read(&self) -> u64 {
        self.inner.readers.rows.load(Ordering::Relaxed)
    }

    /// Writes nothing, durably: fails if a command would.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.run(Probe).await
    }

    /// Completes when a writer has ended: after a failed write, nothing more is accepted until a restart.
    pub async fn failed(&self) {
        let closed = self.inner.jobs.iter().map(|jobs| Box::pin(jobs.closed()));
        futures::future::select_all(closed).await;
    }

    /// The plans of the installation.
    pub fn plans(&self) -> &Plans {
        &self.inner.plans
    }

    /// What judging holds in memory.
    pub fn rule_book(&self) -> &RuleBook {
        &self.inner.rule_book
    }

    /// The bodies of messages.
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// The hints given after commits.
    pub fn wake(&self) -> &Wake {
        &self.inner.wake
    }

    /// What the engine has done.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.inner.counters
    }
}

fn stopped() -> StoreError {
    StoreError::Stopped("the writer has ended".into())
}

/// See [`Store::probe`].
struct Probe;

impl Command for Probe {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const TOUCH: &str = "UPDATE event_head SET position = position WHERE one = 1";
        tx.execute(TOUCH, &[]).await?;
        Ok(())
    }
}
