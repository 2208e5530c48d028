//! Jobs: work that goes over all mailboxes of an application, a chunk in each transaction.

use crate::platform::Platform;
use postfleet_core::Problem;
use postfleet_core::id::AuditId;
use postfleet_store::StoreError;
use postfleet_store::jobs::{self, FailJob, WorkOnJob, WorkOutcome};

/// Mailboxes of a chunk: few enough that mail does not wait for it.
pub const CHUNK: usize = 500;

/// Does a chunk of the oldest unfinished job; answers whether there may be more to do at once. Several nodes may do
/// this: one of them has the job, the others pass it over.
pub async fn run_once(platform: &Platform) -> Result<bool, Problem> {
    let oldest = jobs::oldest_unfinished(&mut platform.store.reader().await?).await?;
    let Some(id) = oldest else { return Ok(false) };
    let at = platform.clock.now();
    let work = WorkOnJob {
        id,
        limit: CHUNK,
        record_id: AuditId::new(at, platform.entropy.ten()),
        event_seed: platform.entropy.thirty_two(),
        at,
    };
    match platform.store.run(work).await {
        Ok(WorkOutcome::MoreToDo | WorkOutcome::Done) => Ok(true),
        Ok(WorkOutcome::Elsewhere) => Ok(false),
        // It would fail again, and stand in the way of all others.
        Err(StoreError::Fault(cause)) => {
            tracing::error!(job = %id, cause, "job failed");
            let error = "the job could not go on; the server's log says why".to_owned();
            platform.store.run(FailJob { id, error, at }).await?;
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}
