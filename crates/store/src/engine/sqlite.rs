//! The one thread that writes to SQLite, and the one that tidies up behind it.

use super::arrivals::Arrivals;
use super::batch::{BATCH_MAX, Context, Job, run};
use super::{Tx, WAITING_MAX};
use crate::db::sqlite::Sqlite;
use crate::db::{Db, DbError};
use crate::error::StoreError;
use futures::executor::block_on;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// How much is written before the write-ahead log is moved into the database file, in commands and commits: some 7,000 pages'
/// worth where mail comes in, whether one message at a time or many. That is less than what has a commit move the rest.
const WRITTEN_PER_CHECKPOINT: usize = 512;

/// How long a batch waits at most for what is announced. Nobody but who sends mail waits for it.
const GATHERING_MAX: Duration = Duration::from_millis(10);

/// Starts the writer. It ends when the store is dropped, or at the first write that fails: what is on disk is then
/// unknown, and a sync that is tried again may succeed without having written anything.
pub(super) fn start(
    db: Sqlite,
    tidy: Sqlite,
    context: Context,
    arrivals: Arc<Arrivals>,
) -> Result<mpsc::Sender<Box<dyn Job>>, StoreError> {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    let (due, pings) = sync_channel(1);
    let tx = Tx::new(Db::Sqlite(db), &context);
    let tidying = spawn("store-checkpoint", move || checkpoint_until_closed(tidy, &pings))?;
    let checkpoints = Checkpoints { due, tidying };
    spawn("store-writer", move || write_until_closed(tx, waiting, &checkpoints, &context, &arrivals))?;
    Ok(sender)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let started = std::thread::Builder::new().name(name.into()).spawn(run);
    started.map_err(|error| StoreError::Fault(format!("failed to start the thread {name}: {error}")))
}

/// The thread that moves the log, as the writer sees it.
struct Checkpoints {
    due: SyncSender<()>,
    tidying: JoinHandle<()>,
}

fn write_until_closed(
    mut tx: Tx,
    mut waiting: mpsc::Receiver<Box<dyn Job>>,
    checkpoints: &Checkpoints,
    context: &Context,
    arrivals: &Arrivals,
) {
    let mut jobs = Vec::new();
    let mut written = 0;
    while waiting.blocking_recv_many(&mut jobs, BATCH_MAX) > 0 {
        arrivals.wait(GATHERING_MAX);
        arrivals.served();
        jobs.extend(std::iter::from_fn(|| waiting.try_recv().ok()).take(BATCH_MAX.saturating_sub(jobs.len())));
        // The pages that all commands change are written once by each commit, and are about as many as one command has of its own.
        written += jobs.len() + 1;
        match block_on(run(&mut tx, std::mem::take(&mut jobs), context)) {
            Ok(()) => {}
            Err(error @ (DbError::Write(_) | DbError::Lost(_))) => {
                tracing::error!(%error, "storage failed: nothing more is accepted until a restart");
                return;
            }
            Err(error) => tracing::warn!(%error, "batch was taken back"),
        }
        if checkpoints.tidying.is_finished() {
            tracing::error!("storage failed at a checkpoint: nothing more is accepted until a restart");
            return;
        }
        if written >= WRITTEN_PER_CHECKPOINT {
            written = 0;
            // When one waits already, there is nothing to ask for.
            let _ = checkpoints.due.try_send(());
        }
    }
}

/// Moves pages from the log into the database file beside the writer, which so has little left to move when the log is
/// full and a commit must wait for it. Where there is no room it is left for later; it ends, and the writer with it, at
/// the first write or sync that fails.
fn checkpoint_until_closed(mut tidy: Sqlite, pings: &Receiver<()>) {
    while pings.recv().is_ok() {
        match tidy.checkpoint() {
            Ok(()) => {}
            Err(error @ DbError::Write(_)) => return tracing::error!(%error, "checkpoint failed"),
            Err(error) => tracing::warn!(%error, "checkpoint failed"),
        }
    }
}
