//! What became of telling a webhook or an alert of each event. Nothing is written for what was told at once: that follows
//! from the position in the log, and from what waits or was given up.

use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::events::{Event, event_columns, read};
use crate::params;
use crate::webhooks::{Parked, Webhook};
use postfleet_core::UnixMicros;

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
    },
    /// It was not taken, and is not tried any more.
    GivenUp,
}

pub(crate) const LIST: &str = concat!(
    "SELECT e.",
    event_columns!(", e."),
    ", p.attempts, p.due_at, g.position FROM events e \
        LEFT JOIN webhook_parked p ON p.webhook_id = $4 AND p.grant_id = e.grant_id AND p.position = e.position \
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
    let read = |row| -> Result<(Event, Delivery), DbError> {
        let event: Event = read(row)?;
        let delivery = match (row.opt_int(10)?, row.opt_int(11)?, row.opt_int(12)?) {
            (_, _, Some(_)) => Delivery::GivenUp,
            (Some(attempts), due_at, None) => Delivery::Waiting {
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                due_at: due_at.map(UnixMicros::from_micros).filter(|due_at| *due_at != Parked::BEHIND),
            },
            (None, ..) if event.position > webhook.position => Delivery::Pending,
            (None, ..) => Delivery::Delivered,
        };
        Ok((event, delivery))
    };
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}
