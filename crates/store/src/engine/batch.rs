//! One batch: commands that share a transaction and a flush.

use super::{Command, Counters, Remembered, Tx};
use crate::db::DbError;
use crate::error::StoreError;
use crate::events;
use crate::judging::RuleBook;
use crate::meters::{self, Tally};
use crate::reputation;
use crate::send_sums;
use crate::wake::{Hints, Wake};
use futures::future::BoxFuture;
use postfleet_core::plan::Plans;
use postfleet_core::send_figures::Sums;
use postfleet_core::trace::TraceContext;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// Commands of one batch at most.
pub(super) const BATCH_MAX: usize = 512;

/// How often a command alone is run again after it got in the way of another node's.
const COLLISIONS_MAX: usize = 10;
/// And a batch of several, before it is parted. Two batches may hold what the other waits for, because each has commands
/// of several mailboxes or domains; the smaller they are, the less.
const COLLISIONS_OF_SEVERAL_MAX: usize = 2;

/// What every writer needs besides its connection.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) plans: Plans,
    pub(super) quarantine_part: Arc<AtomicU64>,
    pub(super) rule_book: Arc<RuleBook>,
    pub(super) wake: Arc<Wake>,
    pub(super) counters: Arc<Counters>,
    pub(super) remembered: Option<Arc<Remembered>>,
}

/// A command waiting for its batch, with its type forgotten.
pub(super) trait Job: Send {
    /// Runs the command and remembers its outcome for [`Job::answer`].
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), DbError>>;
    /// Tells the caller: the remembered outcome, or why there is none.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A command and the way back to its caller.
pub(super) struct Pending<C: Command> {
    command: C,
    /// Where in a recorded trace it was handed over.
    trace: Option<[u8; TraceContext::OCTETS]>,
    outcome: Option<C::Outcome>,
    reply: oneshot::Sender<Result<C::Outcome, StoreError>>,
}

impl<C: Command> Pending<C> {
    pub(super) fn new(command: C, reply: oneshot::Sender<Result<C::Outcome, StoreError>>) -> Self {
        let trace = postfleet_trace::current().map(|context| context.to_octets());
        Self { command, trace, outcome: None, reply }
    }
}

impl<C: Command> Job for Pending<C> {
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), DbError>> {
        Box::pin(async move {
            self.outcome = None;
            tx.trace = self.trace;
            self.outcome = Some(self.command.run(tx).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let missing = || StoreError::Fault("command was committed without an outcome".into());
        let Self { outcome, reply, .. } = *self;
        // The caller may have gone away; what it asked for is done all the same.
        drop(reply.send(committed.and_then(|()| outcome.ok_or_else(missing))));
    }
}

/// Runs a batch to its commit and answers every command: in one transaction, or in several where it gets in the way of
/// others. An error is one that the connection does not survive; all callers have been answered then, too.
pub(super) async fn run(tx: &mut Tx, jobs: Vec<Box<dyn Job>>, context: &Context) -> Result<(), DbError> {
    let mut parts = vec![jobs];
    while let Some(mut jobs) = parts.pop() {
        let mut failed: Vec<Option<StoreError>> = jobs.iter().map(|_| None).collect();
        let ended = run_to_the_end(tx, &mut jobs, &mut failed, context).await;
        let (hints, touched) = (std::mem::take(&mut tx.hints), tx.db.take_touched());
        // Also after a failure: whether a commit that failed is to be seen is not known.
        if let Some(remembered) = &context.remembered {
            remembered.changed(touched);
        }
        tx.locked.clear();
        if matches!(ended, Err(DbError::Serialization(_))) && jobs.len() > 1 {
            let later = jobs.split_off(jobs.len() / 2);
            parts.extend([later, jobs]);
            continue;
        }
        if ended.is_ok() {
            context.counters.batches.fetch_add(1, Ordering::Relaxed);
            context.counters.commands.fetch_add(jobs.len() as u64, Ordering::Relaxed);
            context.counters.happened(&tx.happened);
            // Before the answer: what somebody asks for after it is not seen by who was not told of this.
            context.wake.give(hints);
        }
        let shared = ended.as_ref().err().map(shared_error);
        answer(jobs, failed, shared.as_ref());
        if ended.is_err() {
            parts.into_iter().rev().for_each(|part| answer(part, Vec::new(), shared.as_ref()));
            return ended;
        }
    }
    Ok(())
}

/// Tells every caller: why its own command failed, what ended all of them, or that it is done.
fn answer(jobs: Vec<Box<dyn Job>>, failed: Vec<Option<StoreError>>, shared: Option<&StoreError>) {
    for (job, own) in jobs.into_iter().zip(failed.into_iter().chain(std::iter::repeat(None))) {
        job.answer(match own.or_else(|| shared.cloned()) {
            Some(error) => Err(error),
            None => Ok(()),
        });
    }
}

/// Runs the batch until it is committed or cannot be: again when it got in another node's way, and each command for
/// itself when one of them failed.
async fn run_to_the_end(
    tx: &mut Tx,
    jobs: &mut [Box<dyn Job>],
    failed: &mut [Option<StoreError>],
    context: &Context,
) -> Result<(), DbError> {
    let collisions_max = if jobs.len() > 1 { COLLISIONS_OF_SEVERAL_MAX } else { COLLISIONS_MAX };
    let (mut collisions, mut apart) = (0, false);
    loop {
        let ended = match apart {
            false => straight_through(tx, jobs).await,
            true => one_by_one(tx, jobs, failed).await,
        };
        match &ended {
            Err(DbError::Serialization(_)) if collisions < collisions_max => collisions += 1,
            Err(error) if !apart && is_of_one_command(error) => {
                context.counters.reruns.fetch_add(1, Ordering::Relaxed);
                apart = true;
            }
            _ => return ended,
        }
    }
}

fn is_of_one_command(error: &DbError) -> bool {
    matches!(error, DbError::Constraint(_) | DbError::Statement(_) | DbError::Shape(_) | DbError::Malformed(_))
}

fn shared_error(error: &DbError) -> StoreError {
    match error {
        DbError::Full => StoreError::Full,
        DbError::Write(cause) => StoreError::Stopped(cause.clone()),
        DbError::Lost(cause) | DbError::Serialization(cause) => StoreError::Unreachable(cause.clone()),
        other => StoreError::Fault(other.to_string()),
    }
}

async fn straight_through(tx: &mut Tx, jobs: &mut [Box<dyn Job>]) -> Result<(), DbError> {
    begin(tx).await?;
    for job in jobs.iter_mut() {
        if let Err(error) = job.run(tx).await {
            return take_back(tx, error).await;
        }
    }
    commit(tx).await
}

/// The second run: a savepoint around each command, so that those which fail disturb no other.
async fn one_by_one(tx: &mut Tx, jobs: &mut [Box<dyn Job>], failed: &mut [Option<StoreError>]) -> Result<(), DbError> {
    failed.fill(None);
    begin(tx).await?;
    match each_in_a_savepoint(tx, jobs, failed).await {
        Ok(()) => commit(tx).await,
        Err(error) => take_back(tx, error).await,
    }
}

/// An error is one that ends the whole batch.
async fn each_in_a_savepoint(
    tx: &mut Tx,
    jobs: &mut [Box<dyn Job>],
    failed: &mut [Option<StoreError>],
) -> Result<(), DbError> {
    for (job, failure) in jobs.iter_mut().zip(failed) {
        let (events, hints, tally) = (tx.events.len(), tx.hints, tx.tally.clone());
        tx.db.script("SAVEPOINT command").await?;
        match job.run(tx).await {
            Ok(()) => tx.db.script("RELEASE SAVEPOINT command").await?,
            Err(error @ (DbError::Full | DbError::Write(_) | DbError::Lost(_) | DbError::Serialization(_))) => {
                return Err(error);
            }
            Err(error) => {
                tracing::error!(%error, "command failed");
                *failure = Some(error.into());
                tx.events.truncate(events);
                tx.hints = hints;
                tx.tally = tally;
                tx.db.script("ROLLBACK TO SAVEPOINT command; RELEASE SAVEPOINT command").await?;
            }
        }
    }
    Ok(())
}

async fn begin(tx: &mut Tx) -> Result<(), DbError> {
    tx.events.clear();
    tx.hints = Hints::default();
    tx.tally = Tally::default();
    tx.db.begin().await?;
    match meters::lock(&mut tx.db, &tx.locked).await {
        Ok(()) => Ok(()),
        Err(error) => take_back(tx, error).await,
    }
}

async fn commit(tx: &mut Tx) -> Result<(), DbError> {
    // What follows from the batch as a whole belongs to no trace.
    tx.trace = None;
    let ended = async {
        let passed = meters::write(&mut tx.db, &tx.tally, &tx.locked).await?;
        if !passed.is_empty() {
            tx.locked.extend(passed);
            return Err(DbError::Serialization("a cap was reached by several writers at once".into()));
        }
        // It may tell of more, so that events get their places after it.
        let outcomes = reputation::apply(tx).await?;
        let sum_up = tx.tally.sum_up;
        // The last but the events, since whoever sums up makes others wait.
        send_sums::settle(&mut tx.db, &outcomes, sum_up).await?;
        let events = std::mem::take(&mut tx.events);
        events::append(&mut tx.db, &events).await?;
        tx.happened = Sums::default();
        outcomes.iter().for_each(|outcome| tx.happened.count(outcome.kind, outcome.bounce));
        tx.db.commit().await
    };
    match ended.await {
        Ok(()) => Ok(()),
        Err(error) => take_back(tx, error).await,
    }
}

async fn take_back(tx: &mut Tx, error: DbError) -> Result<(), DbError> {
    tx.db.rollback().await?;
    Err(error)
}
