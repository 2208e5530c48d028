//! The one thread that writes to SQLite.

use super::batch::{BATCH_MAX, Context, Job, run};
use super::{Tx, WAITING_MAX};
use crate::db::{Db, DbError};
use crate::error::StoreError;
use crate::wake::Hints;
use futures::executor::block_on;
use tokio::sync::mpsc;

/// Starts the writer. It ends when the store is dropped, or at the first write that fails: what is on disk is then
/// unknown, and a sync that is tried again may succeed without having written anything.
pub(super) fn start(db: Db, context: Context) -> Result<mpsc::Sender<Box<dyn Job>>, StoreError> {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || write_until_closed(Tx { db, events: Vec::new(), hints: Hints::default() }, waiting, &context))
        .map_err(|error| StoreError::Fault(format!("failed to start the writer thread: {error}")))?;
    Ok(sender)
}

fn write_until_closed(mut tx: Tx, mut waiting: mpsc::Receiver<Box<dyn Job>>, context: &Context) {
    let mut jobs = Vec::new();
    while waiting.blocking_recv_many(&mut jobs, BATCH_MAX) > 0 {
        match block_on(run(&mut tx, std::mem::take(&mut jobs), context)) {
            Ok(()) => {}
            Err(error @ (DbError::Write(_) | DbError::Lost(_))) => {
                tracing::error!(%error, "storage failed: nothing more is accepted until a restart");
                return;
            }
            Err(error) => tracing::warn!(%error, "batch was taken back"),
        }
    }
}
