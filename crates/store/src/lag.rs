//! How far the readers of the event log are behind it. Nothing is counted of which there may be more than a limit.

use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::events;
use crate::params;
use crate::webhooks::Webhook;
use postfleet_core::UnixMicros;

/// Mailboxes that are held which are counted at most.
pub const COUNTED_MAX: u64 = 100_000;

/// How far readers of one kind are behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Events that the last of them has not come to.
    pub events: u64,
    /// When the oldest event happened that one of them is still to be told of.
    pub oldest: Option<UnixMicros>,
    /// Mailboxes, counted for each reader, of which an event is tried again; [`COUNTED_MAX`] at most.
    pub held_lanes: u64,
}

// The two kinds, 0 for webhooks and 1 for alerts.
pub(crate) const POSITIONS: &str = "SELECT CASE WHEN channel = 'webhook' THEN CAST(0 AS {int}) ELSE CAST(1 AS {int}) END \
    AS kind, min(position) FROM webhooks WHERE status IN ('active', 'failing') GROUP BY 1";
pub(crate) const HELD: &str = "SELECT CASE WHEN w.channel = 'webhook' THEN CAST(0 AS {int}) ELSE CAST(1 AS {int}) END \
    AS kind, count(*), min(l.position) FROM (SELECT webhook_id, position FROM webhook_lanes LIMIT $1) l \
    JOIN webhooks w ON w.id = l.webhook_id WHERE w.status IN ('active', 'failing') GROUP BY 1";
pub(crate) const AFTER: &str = "SELECT created_at FROM events WHERE position > $1 ORDER BY position LIMIT 1";

/// How far webhooks are behind, and alerts. What is paused is not.
pub async fn by_kind(reader: &mut Reader<'_>) -> Result<[(&'static str, Lag); 2], StoreError> {
    let head = events::head(reader).await?;
    let mut lags = [Lag::default(); 2];
    let mut firsts = [None; 2];
    for row in reader.query(POSITIONS, params![]).await? {
        let (kind, position) = (kind(row.int(0)?)?, row.int(1)?);
        lags[kind].events = u64::try_from(head - position).unwrap_or(0);
        firsts[kind] = Some(position + 1).filter(|first| *first <= head);
    }
    for row in reader.query(HELD, params![COUNTED_MAX as i64]).await? {
        let (kind, first) = (kind(row.int(0)?)?, row.int(2)?);
        lags[kind].held_lanes = row.count(1)?;
        firsts[kind] = Some(firsts[kind].map_or(first, |other: i64| other.min(first)));
    }
    for (lag, first) in lags.iter_mut().zip(firsts) {
        if let Some(first) = first {
            let row = reader.query_one(AFTER, params![first - 1]).await?;
            lag.oldest = row.map(|row| row.int(0)).transpose()?.map(UnixMicros::from_micros);
        }
    }
    let [webhooks, alerts] = lags;
    Ok([("webhook", webhooks), ("alert", alerts)])
}

fn kind(number: i64) -> Result<usize, DbError> {
    usize::try_from(number).ok().filter(|kind| *kind < 2).ok_or(DbError::Malformed("kind of reader"))
}

/// What one of them is still to be told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Events, wanted or not, that it has not come to, and of each mailbox that is held one; so many as the limit at most.
    pub events: u64,
    /// When the oldest of them happened.
    pub oldest: Option<UnixMicros>,
}

pub(crate) const OPEN: &str = "SELECT count(*), min(created_at) FROM (SELECT created_at FROM events \
    WHERE application_id = $1 AND position > $2 ORDER BY position LIMIT $3) AS some_events";
pub(crate) const WAITING: &str = "SELECT count(*), min(position) FROM (SELECT position FROM webhook_lanes \
    WHERE webhook_id = $1 LIMIT $2) AS some_events";

/// What a webhook is still to be told of. Each of the two kinds of it is counted up to `limit`; what is behind the event that
/// holds a mailbox is not.
pub async fn pending(reader: &mut Reader<'_>, webhook: &Webhook, limit: u64) -> Result<Pending, StoreError> {
    let (id, application, limit) = (webhook.id.uuid(), webhook.application_id.uuid(), limit as i64);
    let missing = || DbError::Malformed("count");
    let open = reader.query_one(OPEN, params![application, webhook.position, limit]).await?.ok_or_else(missing)?;
    let waiting = reader.query_one(WAITING, params![id, limit]).await?.ok_or_else(missing)?;
    let mut oldest = open.opt_int(1)?;
    if let Some(first) = waiting.opt_int(1)? {
        let row = reader.query_one(AFTER, params![first - 1]).await?;
        let parked = row.map(|row| row.int(0)).transpose()?;
        oldest = [oldest, parked].into_iter().flatten().min();
    }
    let events = (open.count(0)? + waiting.count(0)?).min(limit as u64);
    Ok(Pending { events, oldest: oldest.map(UnixMicros::from_micros) })
}
