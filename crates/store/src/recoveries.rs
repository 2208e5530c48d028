//! Recoveries: cases in which somebody asks that a paused mailbox may send again, with a cause, a fix and evidence. Granting
//! one is the only way to lift a pause: the stop, the new beginning of the window and the ramp are one transaction.

mod change;
mod gather;
mod read;

pub use change::{By, DecideOutcome, DecideRecovery, RequestOutcome, RequestRecovery};
#[cfg(test)]
pub(crate) use gather::QUEUED;
pub use gather::{Subject, gather};
#[cfg(test)]
pub(crate) use read::{LIST, LIST_OF_GRANT, LIST_OF_ORGANIZATION, LIST_OPEN, LIST_OPEN_OF_ORGANIZATION, OPEN};
pub use read::{Page, Whose, find, find_of_grant, list, open};

use crate::db::{DbError, Row};
use crate::stops::Author;
use postfleet_core::id::{ApplicationId, GrantId, OrganizationId, RecoveryId, StopId};
use postfleet_core::recovery::{Check, CheckCode, State};
use postfleet_core::{EmailAddress, UnixMicros};
use serde_json::{Value, json};

/// A case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// Its id.
    pub id: RecoveryId,
    /// Whose the mailbox is.
    pub organization_id: OrganizationId,
    /// In which application.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Its address when the case was opened.
    pub email: EmailAddress,
    /// The pause.
    pub stop_id: StopId,
    /// Since when the mailbox is paused.
    pub paused_since: UnixMicros,
    /// What was decided.
    pub state: State,
    /// Why it came to the pause.
    pub cause: String,
    /// What was done about it.
    pub fix: String,
    /// What shows it.
    pub evidence: Vec<String>,
    /// What was looked at, at `checked_at`.
    pub checks: Vec<Check>,
    /// When.
    pub checked_at: UnixMicros,
    /// Who asked.
    pub requested_by: Author,
    /// Who decided, if anybody has.
    pub decided_by: Option<Author>,
    /// When.
    pub decided_at: Option<UnixMicros>,
    /// What they noted.
    pub note: Option<String>,
    /// When it was asked for.
    pub created_at: UnixMicros,
}

macro_rules! recovery_columns {
    () => {
        "id, organization_id, application_id, grant_id, email, stop_id, paused_since, state, cause, fix, evidence, \
         checks, checked_at, requested_kind, requested_id, requested_name, decided_kind, decided_id, decided_name, \
         decided_at, note, created_at"
    };
}
pub(crate) use recovery_columns;

fn read_row(row: &Row) -> Result<Recovery, DbError> {
    let author = |first: usize| -> Result<Author, DbError> {
        Ok(Author { kind: row.text(first)?, id: row.text(first + 1)?, name: row.text(first + 2)? })
    };
    let decided_by = match row.opt_text(16)? {
        Some(_) => Some(author(16)?),
        None => None,
    };
    Ok(Recovery {
        id: RecoveryId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        application_id: ApplicationId::from_uuid(row.uuid(2)?),
        grant_id: GrantId::from_uuid(row.uuid(3)?),
        email: EmailAddress::parse(row.str(4)?).map_err(|_| DbError::Malformed("address"))?,
        stop_id: StopId::from_uuid(row.uuid(5)?),
        paused_since: UnixMicros::from_micros(row.int(6)?),
        state: State::named(row.str(7)?).ok_or(DbError::Malformed("state of a recovery"))?,
        cause: row.text(8)?,
        fix: row.text(9)?,
        evidence: serde_json::from_str(row.str(10)?).map_err(|_| DbError::Malformed("evidence"))?,
        checks: read_checks(row.str(11)?)?,
        checked_at: UnixMicros::from_micros(row.int(12)?),
        requested_by: author(13)?,
        decided_by,
        decided_at: row.opt_int(19)?.map(UnixMicros::from_micros),
        note: row.opt_text(20)?,
        created_at: UnixMicros::from_micros(row.int(21)?),
    })
}

fn read_checks(text: &str) -> Result<Vec<Check>, DbError> {
    let malformed = || DbError::Malformed("checks");
    let all: Vec<(String, bool, String)> = serde_json::from_str(text).map_err(|_| malformed())?;
    let check = |(code, passed, text): (String, bool, String)| {
        Ok(Check { code: CheckCode::named(&code).ok_or_else(malformed)?, passed, text })
    };
    all.into_iter().map(check).collect()
}

fn write_checks(checks: &[Check]) -> String {
    checks.iter().map(|check| json!([check.code.name(), check.passed, check.text])).collect::<Value>().to_string()
}
