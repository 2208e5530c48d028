//! How far somebody is who reads the event log, and what was not taken: for each mailbox of which an event waits one row,
//! however much is behind it; and the events that were given up.

use crate::db::{DbError, Row as Found};
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::events::{self, Event, event_columns};
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, WebhookId};
use postfleet_core::readers::{Cause, Load, Row, Save, alone_at};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const WAITING: &str = "SELECT grant_id, position, attempts, due_at, cause FROM webhook_lanes \
    WHERE webhook_id = $1 ORDER BY grant_id";

/// How it goes with a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// When it is tried next, if it rests, as nothing that it was told was taken.
    pub rests_until: Option<UnixMicros>,
    /// For how long nearly nothing was taken, if that is so.
    pub failing_for: Option<Duration>,
}

/// How it goes with a webhook, as it was written last.
pub async fn course(reader: &mut Reader<'_>, id: WebhookId) -> Result<Course, StoreError> {
    const COURSE: &str = "SELECT rests_until, failing_for FROM webhooks WHERE id = $1";
    let Some(row) = reader.query_one(COURSE, params![id.uuid()]).await? else { return Ok(Course::default()) };
    let rests_until = Some(row.int(0)?).filter(|at| *at > 0).map(UnixMicros::from_micros);
    let failing_for = Some(row.count(1)?).filter(|time| *time > 0).map(Duration::from_micros);
    Ok(Course { rests_until, failing_for })
}

/// The mailboxes of which something waits.
pub async fn waiting(reader: &mut Reader<'_>, id: WebhookId) -> Result<Vec<Row>, StoreError> {
    let rows = reader.query(WAITING, params![id.uuid()]).await?;
    Ok(rows.iter().map(read_row).collect::<Result<_, _>>()?)
}

fn read_row(row: &Found) -> Result<Row, DbError> {
    Ok(Row {
        grant: GrantId::from_uuid(row.uuid(0)?),
        position: row.int(1)?,
        attempts: u32::try_from(row.int(2)?).unwrap_or(u32::MAX),
        due_at: UnixMicros::from_micros(row.int(3)?),
        cause: Cause::named(row.str(4)?),
    })
}

pub(crate) const ALONE: &str = "SELECT grant_id, position, attempts, due_at, cause FROM webhook_lanes \
    WHERE webhook_id = $1 AND position >= $2 AND position <= $3 ORDER BY position";

/// The events from one position to another that wait alone, by their position.
pub(crate) async fn alone_between(
    reader: &mut Reader<'_>,
    id: WebhookId,
    (from, to): (i64, i64),
) -> Result<BTreeMap<i64, Row>, StoreError> {
    // One that is told already is kept with the place behind it.
    let rows = reader.query(ALONE, params![id.uuid(), from, to + 1]).await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let row = read_row(row)?;
        if let Some(position) = alone_at(row.grant) {
            found.insert(position, row);
        }
    }
    Ok(found)
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
    if let Some(position) = alone_at(load.grant) {
        let found = events::at(reader, position).await?;
        let is_wanted = |event: &Event| event.event.application_id == application && position > load.after;
        return Ok(found.into_iter().filter(is_wanted).collect());
    }
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
    /// How it goes with it.
    pub course: Course,
}

impl Command for SaveWebhook {
    /// False when the lease has gone to another node: nothing was changed, and the events will be sent again by it.
    type Outcome = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, DbError> {
        const MOVE: &str = "UPDATE webhooks SET position = $3, rests_until = $4, failing_for = $5 \
            WHERE id = $1 AND owner = $2 AND position <= $3";
        let (id, save) = (self.id.uuid(), &self.save);
        let rests_until = self.course.rests_until.map_or(0, UnixMicros::as_micros);
        let failing_for = self.course.failing_for.map_or(0, |time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
        if tx.execute(MOVE, params![id, &self.owner, save.position, rests_until, failing_for]).await? == 0 {
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
