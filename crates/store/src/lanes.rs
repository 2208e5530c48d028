//! What is written down of mailboxes of which a webhook did not take an event at once: for each of them the rows that
//! wait, first to last.

use crate::db::{DbError, Row};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, Event, event_columns};
use crate::params;
use crate::webhooks::AdvanceWebhook;
use postfleet_core::UnixMicros;
use postfleet_core::id::{GrantId, WebhookId};
use postfleet_core::readers::{Behind, Load};

pub(crate) const BEHIND: &str = "SELECT grant_id, min(position), max(position), min(due_at) FROM webhook_parked \
    WHERE webhook_id = $1 GROUP BY grant_id ORDER BY grant_id";

/// The mailboxes of which something waits. What waits behind another event is due never, so the time of a mailbox is
/// that of its first event; one that nobody has let go is due at `now`.
pub async fn behind(reader: &mut Reader<'_>, id: WebhookId, now: UnixMicros) -> Result<Vec<Behind>, StoreError> {
    let rows = reader.query(BEHIND, params![id.uuid()]).await?;
    let read = |row: &Row| -> Result<Behind, DbError> {
        let due_at = Some(row.int(3)?).filter(|due_at| *due_at < i64::MAX);
        Ok(Behind {
            grant: GrantId::from_uuid(row.uuid(0)?),
            first: row.int(1)?,
            last: row.int(2)?,
            due_at: due_at.map_or(now, UnixMicros::from_micros),
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// An event that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its place in the log.
    pub position: i64,
    /// Attempts so far.
    pub attempts: u32,
    /// The event itself; `None` if it was pruned.
    pub event: Option<Event>,
}

pub(crate) const LOAD: &str = concat!(
    "SELECT e.",
    event_columns!(", e."),
    ", p.position, p.attempts FROM webhook_parked p LEFT JOIN events e ON e.position = p.position \
        WHERE p.webhook_id = $1 AND p.grant_id = $2 AND p.position > $3 AND p.position <= $4 \
        ORDER BY p.position LIMIT $5"
);

/// The first of those that wait of a mailbox, in order.
pub async fn load(reader: &mut Reader<'_>, id: WebhookId, load: Load) -> Result<Vec<Waiting>, StoreError> {
    let values = params![id.uuid(), load.grant.uuid(), load.after, load.upto, load.limit as i64];
    let rows = reader.query(LOAD, values).await?;
    let read = |row: &Row| -> Result<Waiting, DbError> {
        Ok(Waiting {
            position: row.int(10)?,
            attempts: u32::try_from(row.int(11)?).unwrap_or(u32::MAX),
            event: row.opt_int(0)?.map(|_| events::read(row)).transpose()?,
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// Moves a webhook's position, writes down what it did not take, and forgets what it has taken since.
#[derive(Clone, Debug)]
pub struct SaveWebhook {
    /// The position and what waits from now on.
    pub advance: AdvanceWebhook,
    /// What waited and does not wait any more. Nothing of it is in `advance`.
    pub done: Vec<(GrantId, i64)>,
}

impl Command for SaveWebhook {
    /// False when the lease has gone to another node: nothing was changed, and the events will be sent again by it.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const REMOVE: &str = "DELETE FROM webhook_parked WHERE webhook_id = $1 AND grant_id = $2 AND position = $3";
        if !self.advance.run(tx).await? {
            return Ok(false);
        }
        let id = self.advance.id.uuid();
        let row = |(grant, position): &(GrantId, i64)| params![id, grant.uuid(), *position].to_vec();
        let rows: Vec<_> = self.done.iter().map(row).collect();
        tx.db().execute_each(REMOVE, &rows).await?;
        Ok(true)
    }
}
