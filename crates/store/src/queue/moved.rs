//! Mail that waits behind the stop of a workspace out of which its mailbox is moved: what holds for the mailbox now decides.

use super::claim::keep_turn;
use crate::db::DbError;
use crate::engine::Tx;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, WorkspaceId};
use std::collections::BTreeSet;

/// A mailbox was moved, in this transaction, in which its application is locked. What waits behind a stop of the workspace
/// in which it was is released: the next claim judges it anew, by all that holds for the mailbox then. And who is about to
/// hand over what it sent asks again, since the workspace into which it was moved may be stopped.
pub(crate) async fn left_workspace(
    tx: &mut Tx,
    (application, grant): (ApplicationId, GrantId),
    from: Option<WorkspaceId>,
    now: UnixMicros,
) -> Result<(), DbError> {
    const ANY: &str = "SELECT active FROM stops_head WHERE one = 1";
    // Who parks something behind one of them has locked it, and looks again where the mailbox is.
    const STOPS: &str = "SELECT id FROM stops WHERE organization_id = \
        (SELECT a.organization_id FROM applications a WHERE a.id = $1) AND subject = $2 AND scope = 'workspace' \
        AND lifted_at IS NULL {lock}";
    const RELEASE: &str = "UPDATE queue SET stop_id = NULL, parked = CASE WHEN EXISTS (SELECT 1 FROM destinations d \
        WHERE d.name = queue.destination AND d.turn_at IS NOT NULL) THEN 1 ELSE 0 END \
        WHERE stop_id = $1 AND parked = 2 AND EXISTS (SELECT 1 FROM outbound o WHERE o.message_id = queue.message_id \
        AND o.grant_id = $2) \
        RETURNING parked, destination";
    const NEWS: &str = "UPDATE stops_head SET version = version + 1 WHERE one = 1";
    let active = tx.query_one(ANY, params![]).await?.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    if active == 0 {
        return Ok(());
    }
    let mut joined = BTreeSet::new();
    let left = from.map(|from| from.to_string()).unwrap_or_default();
    for stop in tx.query(STOPS, params![application.uuid(), &left]).await? {
        for row in tx.query(RELEASE, params![stop.uuid(0)?, grant.uuid()]).await? {
            if row.flag(0)? {
                joined.insert(row.text(1)?);
            }
        }
    }
    for destination in joined {
        keep_turn(tx, &destination, now).await?;
    }
    tx.execute(NEWS, params![]).await?;
    tx.wake_stops(false);
    tx.wake_queue();
    Ok(())
}
