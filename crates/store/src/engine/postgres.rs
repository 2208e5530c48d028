//! A connection that writes to PostgreSQL. There are a few per node; the database orders them.

use super::batch::{BATCH_MAX, Context, Job, run};
use super::{Tx, WAITING_MAX};
use crate::db::postgres::Postgres;
use crate::db::{Db, DbError};
use crate::error::StoreError;
use tokio::sync::mpsc;

/// Starts one writer. It connects when there is something to write, and anew after the connection was lost.
pub(super) fn start(url: String, context: Context) -> mpsc::Sender<Box<dyn Job>> {
    let (sender, waiting) = mpsc::channel(WAITING_MAX);
    tokio::spawn(write_until_closed(url, waiting, context));
    sender
}

async fn write_until_closed(url: String, mut waiting: mpsc::Receiver<Box<dyn Job>>, context: Context) {
    let mut connection: Option<Tx> = None;
    let mut jobs = Vec::new();
    while waiting.recv_many(&mut jobs, BATCH_MAX).await > 0 {
        let batch = std::mem::take(&mut jobs);
        // One that has ended while there was nothing to write is none, and costs nobody an answer.
        let mut tx = match connection.take().filter(|tx| !tx.is_closed()) {
            Some(tx) => tx,
            None => match connect(&url, &context).await {
                Ok(tx) => tx,
                Err(error) => {
                    refuse(batch, &error);
                    continue;
                }
            },
        };
        match run(&mut tx, batch, &context).await {
            // What became of a commit whose answer was lost is unknown; its callers were told that it did not happen,
            // and a message that they send again may then be here twice. A new connection starts clean.
            Err(error @ (DbError::Lost(_) | DbError::Write(_))) => tracing::warn!(%error, "database connection lost"),
            Err(error) => {
                tracing::warn!(%error, "batch was taken back");
                connection = Some(tx);
            }
            Ok(()) => connection = Some(tx),
        }
    }
}

async fn connect(url: &str, context: &Context) -> Result<Tx, DbError> {
    Ok(Tx::new(Db::Postgres(Postgres::connect(url).await?), context))
}

fn refuse(batch: Vec<Box<dyn Job>>, error: &DbError) {
    tracing::warn!(%error, "database is not reachable");
    for job in batch {
        job.answer(Err(StoreError::Unreachable(error.to_string())));
    }
}
