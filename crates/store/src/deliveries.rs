//! What became of telling a webhook or an alert of each event. Nothing is written for what was told at once: that follows
//! from the position in the log, and from what waits or was given up.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::events::{Event, event_columns, read};
use crate::lanes;
use crate::params;
use crate::webhooks::Webhook;
use postfleet_core::UnixMicros;
use postfleet_core::readers::{Cause, Row as Lane};

/// What became of telling somebody of one event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// It was taken.
    Delivered,
    /// Nobody came to it yet.
    Pending,
    /// It is tried again.
    Waiting {
        /// How often it was tried; 0 if it waits behind another of its mailbox.
        attempts: u32,
        /// When it is tried next, unless it waits behind another.
        due_at: Option<UnixMicros>,
        /// Why it was not taken, unless it waits behind another or is only late.
        cause: Option<Cause>,
    },
    /// It was not taken, and is not tried any more.
    GivenUp {
        /// How often it was tried.
        attempts: u32,
        /// When that was the last time.
        at: UnixMicros,
        /// Why it was not taken.
        cause: Option<Cause>,
    },
}

pub(crate) const LIST: &str = concat!(
    "SELECT e.",
    event_columns!(", e."),
    ", l.position, l.attempts, l.due_at, l.cause, g.attempts, g.at, g.cause FROM events e \
        LEFT JOIN webhook_lanes l ON l.webhook_id = $4 AND l.grant_id = e.grant_id \
        LEFT JOIN webhook_given_up g ON g.webhook_id = $4 AND g.position = e.position \
        WHERE e.application_id = $1 AND e.position < $2 ORDER BY e.position DESC LIMIT $3"
);

/// The events of the application of a webhook or an alert before a position, newest first, with what became of each if
/// it was to be told.
pub async fn list(
    reader: &mut Reader<'_>,
    webhook: &Webhook,
    before: i64,
    limit: usize,
) -> Result<Vec<(Event, Delivery)>, StoreError> {
    let values = params![webhook.application_id.uuid(), before, limit as i64, webhook.id.uuid()];
    let rows = reader.query(LIST, values).await?;
    let span = match (rows.last(), rows.first()) {
        (Some(oldest), Some(newest)) => (oldest.int(0)?, newest.int(0)?),
        _ => return Ok(Vec::new()),
    };
    let alone = lanes::alone_between(reader, webhook.id, span).await?;
    let read = |row: &Row| -> Result<(Event, Delivery), DbError> {
        let event: Event = read(row)?;
        let delivery = match delivery(row, &event, webhook.position)? {
            // What waits alone is in no lane of its mailbox.
            Delivery::Delivered => alone.get(&event.position).map_or(Delivery::Delivered, |row| of_one(row, &event)),
            known => known,
        };
        Ok((event, delivery))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

/// What became of an event that waits for no other.
fn of_one(row: &Lane, event: &Event) -> Delivery {
    if row.position > event.position {
        return Delivery::Delivered;
    }
    Delivery::Waiting { attempts: row.attempts, due_at: Some(row.due_at), cause: row.cause }
}

/// What became of an event, where a webhook is at this position of the log.
fn delivery(row: &Row, event: &Event, position: i64) -> Result<Delivery, DbError> {
    let count = |attempts: i64| u32::try_from(attempts).unwrap_or(u32::MAX);
    let cause = |column| Ok::<_, DbError>(row.opt_str(column)?.and_then(Cause::named));
    if let (Some(attempts), Some(at)) = (row.opt_int(14)?, row.opt_int(15)?) {
        let (attempts, at) = (count(attempts), UnixMicros::from_micros(at));
        return Ok(Delivery::GivenUp { attempts, at, cause: cause(16)? });
    }
    Ok(match row.opt_int(10)? {
        // Of its mailbox it is known up to where it was told, whatever the position.
        Some(first) if event.position < first => Delivery::Delivered,
        _ if event.position > position => Delivery::Pending,
        Some(first) if event.position == first => Delivery::Waiting {
            attempts: row.opt_int(11)?.map_or(0, count),
            due_at: row.opt_int(12)?.map(UnixMicros::from_micros),
            cause: cause(13)?,
        },
        Some(_) => Delivery::Waiting { attempts: 0, due_at: None, cause: None },
        None => Delivery::Delivered,
    })
}
