//! How far somebody is who reads the event log, and what was not taken: for each mailbox of which an event waits one row,
//! however much is behind it; and the events that were given up.

use crate::db::{DbError, Row as Found};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, Event, event_columns};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, WebhookId};
use postfleet_core::readers::{Cause, Load, Row, Save};

pub(crate) const WAITING: &str = "SELECT grant_id, position, attempts, due_at, cause FROM webhook_lanes \
    WHERE webhook_id = $1 ORDER BY grant_id";

/// Until when a webhook rests, as nothing that it was told was taken; `None` if it does not.
pub async fn rests_until(reader: &mut Reader<'_>, id: WebhookId) -> Result<Option<UnixMicros>, StoreError> {
    const RESTS: &str = "SELECT rests_until FROM webhooks WHERE id = $1 AND rests_until > 0";
    let row = reader.query_one(RESTS, params![id.uuid()]).await?;
    Ok(row.map(|row| row.int(0)).transpose()?.map(UnixMicros::from_micros))
}

/// The mailboxes of which something waits.
pub async fn waiting(reader: &mut Reader<'_>, id: WebhookId) -> Result<Vec<Row>, StoreError> {
    let rows = reader.query(WAITING, params![id.uuid()]).await?;
    let read = |row: &Found| -> Result<Row, DbError> {
        Ok(Row {
            grant: GrantId::from_uuid(row.uuid(0)?),
            position: row.int(1)?,
            attempts: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
            due_at: UnixMicros::from_micros(row.int(3)?),
            cause: Cause::named(row.str(4)?),
        })
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

// What concerns no mailbox is of every application: hence the condition, which hardly ever excludes anything else.
pub(crate) const LOAD: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events WHERE grant_id = $1 AND position > $2 AND position <= $3 AND application_id = $4 \
        ORDER BY position LIMIT $5"
);

/// The first events of a mailbox after one that was told, in order.
pub async fn load(reader: &mut Reader<'_>, application: ApplicationId, load: Load) -> Result<Vec<Event>, StoreError> {
    let values = params![load.grant.uuid(), load.after, load.upto, application.uuid(), load.limit as i64];
    let rows = reader.query(LOAD, values).await?;
    Ok(rows.iter().map(events::read).collect::<Result<_, DbError>>()?)
}

/// Moves a webhook's position, writes down which mailboxes wait and which do not any more, and what was given up.
#[derive(Clone, Debug)]
pub struct SaveWebhook {
    /// The webhook.
    pub id: WebhookId,
    /// The node that holds its lease.
    pub owner: String,
    /// What is to be written.
    pub save: Save,
    /// When it is tried next, if it rests.
    pub rests_until: Option<UnixMicros>,
}

impl Command for SaveWebhook {
    /// False when the lease has gone to another node: nothing was changed, and the events will be sent again by it.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const MOVE: &str = "UPDATE webhooks SET position = $3, rests_until = $4 \
            WHERE id = $1 AND owner = $2 AND position <= $3";
        let (id, save) = (self.id.uuid(), &self.save);
        let rests_until = self.rests_until.map_or(0, UnixMicros::as_micros);
        if tx.execute(MOVE, params![id, &self.owner, save.position, rests_until]).await? == 0 {
            return Ok(false);
        }
        write(tx, self.id, save).await?;
        Ok(true)
    }
}

/// Writes down which mailboxes wait and which do not any more, and what was given up.
pub(crate) async fn write(tx: &mut Tx, id: WebhookId, save: &Save) -> Result<(), DbError> {
    const WAIT: &str = "INSERT INTO webhook_lanes (webhook_id, grant_id, position, attempts, due_at, cause) \
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (webhook_id, grant_id) DO UPDATE SET \
        position = excluded.position, attempts = excluded.attempts, due_at = excluded.due_at, cause = excluded.cause";
    const END: &str = "DELETE FROM webhook_lanes WHERE webhook_id = $1 AND grant_id = $2";
    const GIVE_UP: &str = "INSERT INTO webhook_given_up (webhook_id, position, attempts, at, cause) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (webhook_id, position) DO UPDATE SET \
        attempts = excluded.attempts, at = excluded.at, cause = excluded.cause";
    let id = id.uuid();
    let name = |cause: Option<Cause>| cause.map(Cause::name).unwrap_or_default();
    let waiting: Vec<(&Row, String)> = save.waiting.iter().map(|row| (row, name(row.cause))).collect();
    let waiting: Vec<_> = waiting
        .iter()
        .map(|(row, cause)| {
            let (attempts, due_at) = (i64::from(row.attempts), row.due_at.as_micros());
            params![id, row.grant.uuid(), row.position, attempts, due_at, cause].to_vec()
        })
        .collect();
    tx.db().execute_each(WAIT, &waiting).await?;
    let done: Vec<_> = save.done.iter().map(|grant| params![id, grant.uuid()].to_vec()).collect();
    tx.db().execute_each(END, &done).await?;
    let given_up: Vec<_> = save.given_up.iter().map(|one| (one, one.cause.name())).collect();
    let given_up: Vec<_> = given_up
        .iter()
        .map(|(one, cause)| params![id, one.position, i64::from(one.attempts), one.at.as_micros(), cause].to_vec())
        .collect();
    tx.db().execute_each(GIVE_UP, &given_up).await?;
    Ok(())
}

/// Forgets what waits for somebody who is told of nothing any more.
pub(crate) async fn forget(tx: &mut Tx, webhook: WebhookId) -> Result<(), DbError> {
    const WAITING: &str = "DELETE FROM webhook_lanes WHERE webhook_id = $1";
    const GIVEN_UP: &str = "DELETE FROM webhook_given_up WHERE webhook_id = $1";
    tx.execute(WAITING, params![webhook.uuid()]).await?;
    tx.execute(GIVEN_UP, params![webhook.uuid()]).await?;
    Ok(())
}
