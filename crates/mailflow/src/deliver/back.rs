//! Giving back what is leased and was not attempted: it comes again without waiting for the end of its lease.

use super::attempt::insist;
use crate::platform::Platform;
use crate::receive::shard;
use postfleet_core::id::{LeaseId, MessageId, QueueId};
use postfleet_core::{Problem, UnixMicros};
use postfleet_store::queue::TurnBack;
use std::time::Duration;

/// After how long it comes again when something it needs was away: a database, or the folder of bodies. Longer than a
/// restart, and what waits for a folder that stays away does not keep the database busy.
const AGAIN: Duration = Duration::from_secs(30);

/// Gives rows back; those that are not under the lease any more are left alone.
pub(super) async fn give(
    platform: &Platform,
    near: u64,
    message_id: MessageId,
    lease: LeaseId,
    rows: Vec<QueueId>,
    due_at: UnixMicros,
) -> Result<(), Problem> {
    let command = TurnBack { message_id, lease, rows, due_at };
    insist(platform, near, message_id, command).await?;
    Ok(())
}

/// Passes on how the beginning of an attempt went, and gives the rows back if something was away for it. Only for what
/// comes before a server is asked: who might have the message already must not be sent it again so soon.
pub(super) async fn unless_begun<T>(
    platform: &Platform,
    message_id: MessageId,
    lease: LeaseId,
    rows: impl FnOnce() -> Vec<QueueId>,
    begun: Result<T, Problem>,
) -> Result<T, Problem> {
    if begun.as_ref().is_err_and(Problem::is_retryable) {
        give(platform, shard(message_id.uuid()), message_id, lease, rows(), platform.clock.now().plus(AGAIN)).await?;
    }
    begun
}
