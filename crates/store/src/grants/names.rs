//! Names under which mailboxes here are known, for those who look whether somebody else shows them.

use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::id::{ApplicationId, GrantId};

// With "application_id = $1" SQLite reads all mailboxes of the application instead of the index.
pub(crate) const NAMED: &str = "SELECT name FROM grants WHERE lower(name) = $2 AND application_id >= $1 \
    AND application_id <= $1 LIMIT 1";

/// The names that somebody who writes to a mailbox may borrow: the mailbox's own, that of its organization, and that of the
/// mailbox beside it which is called `shown` (in lower case), if there is one.
pub async fn names_around(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    grant: GrantId,
    shown: &str,
) -> Result<Vec<String>, StoreError> {
    const AROUND: &str = "SELECT g.name, o.name FROM grants g JOIN applications a ON a.id = g.application_id \
        JOIN organizations o ON o.id = a.organization_id WHERE g.id = $1";
    let mut names = Vec::new();
    if let Some(row) = reader.query_one(AROUND, params![grant.uuid()]).await? {
        names.extend([row.text(0)?, row.text(1)?]);
    }
    if let Some(row) = reader.query_one(NAMED, params![application.uuid(), shown]).await? {
        names.push(row.text(0)?);
    }
    Ok(names)
}
