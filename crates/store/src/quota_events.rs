//! Telling that the use of a quota crosses a line: one event, in the transaction that counts or refuses.
//!
//! What was told is marked by the caller in the counter's row, under the lock under which it is counted: so each line is
//! told once, however many send at the same time.

use crate::db::DbError;
use crate::engine::Tx;
use crate::events::{self, NewEvent};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, EventId, GrantId, PolicyId, WorkspaceId};
use postfleet_core::quota::{Allowance, Crossing};
use serde_json::json;

/// A line of a mailbox's quota that is crossed.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) event_id: EventId,
    pub(crate) application_id: ApplicationId,
    pub(crate) grant_id: GrantId,
    pub(crate) crossing: Crossing,
    /// The limit, by the name that it has in policies.
    pub(crate) limit_name: &'static str,
    /// What is used of it.
    pub(crate) counter: Allowance,
    /// Whether it is a raise that says how much it is.
    pub(crate) is_raised: bool,
    pub(crate) at: UnixMicros,
}

/// Announces it: who, which limit, how much is used.
pub(crate) async fn announce(tx: &mut Tx, line: &Line) -> Result<(), DbError> {
    const WHO: &str = "SELECT g.email, g.workspace_id, w.policy_id FROM grants g \
        LEFT JOIN workspaces w ON w.id = g.workspace_id WHERE g.application_id = $1 AND g.id = $2";
    let values = params![line.application_id.uuid(), line.grant_id.uuid()];
    let Some(row) = tx.query_one(WHO, values).await? else { return Ok(()) };
    let Some(grant_sequence) = events::next_sequence(tx, line.grant_id).await? else { return Ok(()) };
    let workspace_id = row.opt_uuid(1)?.map(WorkspaceId::from_uuid);
    let data = json!({
        "object": "quota",
        "grant_id": line.grant_id.to_string(),
        "email": row.text(0)?,
        "workspace_id": workspace_id.map(|id| id.to_string()),
        "policy_id": row.opt_uuid(2)?.map(|id| PolicyId::from_uuid(id).to_string()),
        "scope": "grant",
        "limit_name": line.limit_name,
        "limit": line.counter.limit,
        "used": line.counter.used,
        "is_raised": line.is_raised,
        "resets_at": line.counter.resets_at.as_seconds(),
    });
    tx.announce(NewEvent {
        id: line.event_id,
        application_id: line.application_id,
        grant_id: line.grant_id,
        grant_sequence,
        trigger: line.crossing.trigger(),
        message_id: None,
        data: data.to_string(),
        at: line.at,
    });
    Ok(())
}
