//! What readers of the event log have lost: events that were removed before they came to them. Each is counted in the
//! transaction that removes it.

use crate::db::DbError;
use crate::engine::{Command, Tx};
use crate::events::Removed;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, GrantId, WebhookId};
use postfleet_core::readers::alone_at;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Events that were removed before somebody was told of them, wanted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the first of them happened.
    pub from: UnixMicros,
    /// When the last of them happened.
    pub to: UnixMicros,
    /// How many they are.
    pub events: u64,
}

impl Gap {
    fn of(at: UnixMicros) -> Self {
        Self { from: at, to: at, events: 1 }
    }

    fn and(self, other: Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
            events: self.events.saturating_add(other.events),
        }
    }

    /// As it is kept: no events, no gap.
    pub(crate) fn read(from: i64, to: i64, events: u64) -> Option<Self> {
        let [from, to] = [from, to].map(UnixMicros::from_micros);
        (events > 0).then_some(Self { from, to, events })
    }
}

/// Somebody who has lost events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loser {
    /// What it is counted as among the readers of the log.
    pub kind: &'static str,
    /// Which webhook or alert; `None` if it is another reader.
    pub webhook: Option<WebhookId>,
    /// What it has lost now.
    pub gap: Gap,
    /// Whether it had lost nothing before.
    pub is_first: bool,
}

/// A webhook or an alert, and how far it is.
#[derive(Clone, Copy)]
struct Hook {
    id: Uuid,
    application: ApplicationId,
    position: i64,
    kind: &'static str,
}

impl Hook {
    fn read(row: &crate::db::Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.uuid(0)?,
            application: ApplicationId::from_uuid(row.uuid(1)?),
            position: row.int(2)?,
            kind: if row.str(3)? == "webhook" { "webhook" } else { "alert" },
        })
    }
}

const OVERTAKEN: &str = "SELECT id, application_id, position, channel FROM webhooks WHERE position < $1 ORDER BY id";
const LANES: &str = "SELECT w.id, w.application_id, w.position, w.channel, l.grant_id, l.position \
    FROM webhooks w JOIN webhook_lanes l ON l.webhook_id = w.id AND l.position <= $1 ORDER BY w.id";

/// Counts events that are being removed, in the order of the log, as lost to all who were not told of them.
pub(crate) async fn note(tx: &mut Tx, removed: &[Removed]) -> Result<Vec<Loser>, DbError> {
    let Some(last) = removed.last().map(|event| event.position) else { return Ok(Vec::new()) };
    let mut lost: BTreeMap<Uuid, (&'static str, Gap)> = BTreeMap::new();
    let mut lose = |hook: Hook, event: &Removed| {
        let gap = Gap::of(event.at);
        lost.entry(hook.id).and_modify(|(_, known)| *known = known.and(gap)).or_insert((hook.kind, gap));
    };
    for row in tx.query(OVERTAKEN, params![last]).await? {
        let hook = Hook::read(&row)?;
        let is_lost = |event: &&Removed| event.application == hook.application && event.position > hook.position;
        removed.iter().filter(is_lost).for_each(|event| lose(hook, event));
    }
    for row in tx.query(LANES, params![last]).await? {
        let (hook, lane) = (Hook::read(&row)?, GrantId::from_uuid(row.uuid(4)?));
        let first = row.int(5)?;
        let is_of_lane = |event: &Removed| match alone_at(lane) {
            Some(position) => event.position == position,
            None => event.grant == lane,
        };
        let is_lost = |event: &&Removed| {
            let waits = (first..=hook.position).contains(&event.position);
            waits && event.application == hook.application && is_of_lane(event)
        };
        removed.iter().filter(is_lost).for_each(|event| lose(hook, event));
    }
    let mut losers = Vec::new();
    for (id, (kind, gap)) in lost {
        let is_first = write(tx, id, gap).await?;
        losers.push(Loser { kind, webhook: Some(WebhookId::from_uuid(id)), gap, is_first });
    }
    losers.extend(others(tx, removed, last).await?);
    Ok(losers)
}

const GAP: &str = "UPDATE webhooks SET gap_from = CASE WHEN gap_events = 0 THEN $2 ELSE gap_from END, gap_to = $3, \
    gap_events = gap_events + $4 WHERE id = $1 RETURNING gap_events";

/// Writes what somebody has lost; whether it had lost nothing before.
async fn write(tx: &mut Tx, id: Uuid, gap: Gap) -> Result<bool, DbError> {
    let values = params![id, gap.from.as_micros(), gap.to.as_micros(), gap.events as i64];
    let row = tx.query_one(GAP, values).await?;
    Ok(row.map(|row| row.count(0)).transpose()? == Some(gap.events))
}

/// Readers that are no webhooks.
async fn others(tx: &mut Tx, removed: &[Removed], last: i64) -> Result<Vec<Loser>, DbError> {
    const BUS: &str = "SELECT position FROM readers WHERE kind = 'bus' AND position < $1";
    const LOSE: &str = "UPDATE readers SET gap_from = CASE WHEN gap_events = 0 THEN $1 ELSE gap_from END, gap_to = $2, \
        gap_events = gap_events + $3 WHERE kind = 'bus' RETURNING gap_events";
    let Some(row) = tx.query_one(BUS, params![last]).await? else { return Ok(Vec::new()) };
    let position = row.int(0)?;
    let of_events = removed.iter().filter(|event| event.position > position).map(|event| Gap::of(event.at));
    let Some(gap) = of_events.reduce(Gap::and) else { return Ok(Vec::new()) };
    let values = params![gap.from.as_micros(), gap.to.as_micros(), gap.events as i64];
    let row = tx.query_one(LOSE, values).await?;
    let is_first = row.map(|row| row.count(0)).transpose()? == Some(gap.events);
    Ok(vec![Loser { kind: "bus", webhook: None, gap, is_first }])
}

/// Whoever owns a webhook has seen that it lost events, and does not need to be shown that any more.
#[derive(Clone, Copy, Debug)]
pub struct ForgetGap {
    /// Whose.
    pub application_id: ApplicationId,
    /// Which.
    pub id: WebhookId,
    /// What was seen; a gap that has grown since stays.
    pub seen: Gap,
}

impl Command for ForgetGap {
    type Outcome = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), DbError> {
        const FORGET: &str = "UPDATE webhooks SET gap_from = 0, gap_to = 0, gap_events = 0 \
            WHERE id = $1 AND application_id = $2 AND gap_events = $3";
        tx.execute(FORGET, params![self.id.uuid(), self.application_id.uuid(), self.seen.events as i64]).await?;
        Ok(())
    }
}
