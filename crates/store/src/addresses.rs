//! What this installation itself knows of addresses: which domains are an organization's own, and which mailboxes exist.

use crate::db::DbError;
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::EmailAddress;
use postfleet_core::id::ApplicationId;
use serde_json::{Value, json};
use std::collections::HashSet;

pub(crate) const OWN_DOMAINS: &str = "SELECT d.name FROM domains d \
    JOIN applications a ON a.organization_id = d.organization_id WHERE a.id = $1 AND d.owned_at IS NOT NULL \
    AND d.name IN (SELECT e.value ->> 0 FROM {json_each}($2) AS e)";

pub(crate) const MAILBOXES: &str =
    "SELECT email_key FROM grants WHERE email_key IN (SELECT e.value ->> 0 FROM {json_each}($1) AS e)";

/// Those of some addresses' domains that are proven to be the own of an application's organization.
pub async fn own_domains<'a>(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    addresses: impl Iterator<Item = &'a EmailAddress>,
) -> Result<HashSet<String>, StoreError> {
    let names: HashSet<&str> = addresses.map(|address| address.domain().as_str()).collect();
    let names = names.into_iter().map(|name| json!([name])).collect::<Value>().to_string();
    let rows = reader.query(OWN_DOMAINS, params![application.uuid(), &names]).await?;
    Ok(rows.iter().map(|row| row.text(0)).collect::<Result<_, DbError>>()?)
}

/// The keys of those addresses that a mailbox has, whosever it is.
pub async fn mailboxes<'a>(
    reader: &mut Reader<'_>,
    addresses: impl Iterator<Item = &'a EmailAddress>,
) -> Result<HashSet<String>, StoreError> {
    let keys = addresses.map(|address| json!([address.key()])).collect::<Value>().to_string();
    let rows = reader.query(MAILBOXES, params![&keys]).await?;
    Ok(rows.iter().map(|row| row.text(0)).collect::<Result<_, DbError>>()?)
}
