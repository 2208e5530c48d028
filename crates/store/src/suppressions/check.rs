//! Which of some addresses are suppressed: one statement for all of them, read by their keys.

use super::{Suppression, read, suppression_columns};
use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::ApplicationId;
use postfleet_core::suppression::Suppressed;
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::{Value, json};

pub(crate) const ONE: &str = concat!(
    "SELECT ",
    suppression_columns!(),
    " FROM suppressions WHERE application_id = $1 AND address_key = $2 AND (expires_at IS NULL OR expires_at > $3)"
);

pub(crate) const MANY: &str = concat!(
    "SELECT ",
    suppression_columns!(),
    " FROM suppressions WHERE application_id = $1 \
     AND address_key IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e) AND (expires_at IS NULL OR expires_at > $3)"
);

/// The entry of one address.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    address: &EmailAddress,
    now: UnixMicros,
) -> Result<Option<Suppression>, StoreError> {
    let row = reader.query_one(ONE, params![application.uuid(), &address.key(), now.as_micros()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The entries of those addresses that have one, in no order.
pub async fn check<'a>(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    addresses: impl IntoIterator<Item = &'a EmailAddress>,
    now: UnixMicros,
) -> Result<Vec<Suppression>, StoreError> {
    let keys = keys(addresses);
    let rows = reader.query(MANY, params![application.uuid(), &keys, now.as_micros()]).await?;
    Ok(all(&rows)?)
}

/// As [`check`], inside a transaction.
pub(super) async fn check_in<'a>(
    tx: &mut Tx,
    application: ApplicationId,
    addresses: impl IntoIterator<Item = &'a EmailAddress>,
    now: UnixMicros,
) -> Result<Vec<Suppression>, DbError> {
    let keys = keys(addresses);
    all(&tx.query(MANY, params![application.uuid(), &keys, now.as_micros()]).await?)
}

/// Those of a message's recipients who are not written to, in the order of the recipients. What is committed before
/// counts; nothing is locked, so that sends do not wait for each other.
pub(crate) async fn of_recipients<'a>(
    tx: &mut Tx,
    application: ApplicationId,
    recipients: impl Iterator<Item = &'a EmailAddress> + Clone,
    now: UnixMicros,
) -> Result<Vec<Suppressed>, DbError> {
    let mut few = recipients.clone();
    let found = match (few.next(), few.next()) {
        (None, _) => Vec::new(),
        // Most mail has one recipient.
        (Some(only), None) => all(&tx.query(ONE, params![application.uuid(), &only.key(), now.as_micros()]).await?)?,
        _ => check_in(tx, application, recipients.clone(), now).await?,
    };
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let reason_of = |address: &EmailAddress| found.iter().find(|one| one.address.key() == address.key());
    let suppressed = recipients.filter_map(|address| {
        reason_of(address).map(|found| Suppressed { address: address.clone(), reason: found.reason })
    });
    Ok(suppressed.collect())
}

fn keys<'a>(addresses: impl IntoIterator<Item = &'a EmailAddress>) -> String {
    addresses.into_iter().map(|address| json!([address.key()])).collect::<Value>().to_string()
}

fn all(rows: &[Row]) -> Result<Vec<Suppression>, DbError> {
    rows.iter().map(read).collect()
}
