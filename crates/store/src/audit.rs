//! The record of every change of the control plane, written in the transaction of the change.

use crate::db::{DbError, Row};
use crate::engine::{Reader, Tx};
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::audit::Act;
use postfleet_core::id::{ApplicationId, AuditId, OrganizationId};
use uuid::Uuid;

/// What was changed, as a record shows it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// What happened, such as `policy.updated`.
    pub action: &'static str,
    /// The kind of thing, such as `policy`.
    pub target_kind: &'static str,
    /// Its id, as the interface shows it.
    pub target_id: &'a str,
    /// What it was, as a JSON object; `None` if it is new. Never a secret.
    pub before: Option<&'a str>,
    /// What it is, as a JSON object; `None` if it is gone. Never a secret.
    pub after: Option<&'a str>,
}

/// Writes the record of a change. One act has one record: its id is the act's.
pub(crate) async fn record(tx: &mut Tx, act: &Act, change: Change<'_>) -> Result<(), DbError> {
    const INSERT: &str = "INSERT INTO audit (id, organization_id, application_id, actor_kind, actor_id, actor_name, \
        action, target_kind, target_id, before, after, request_id, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let values = params![
        act.record_id.uuid(),
        act.organization_id.uuid(),
        act.application_id.map(|id| id.uuid()),
        act.actor.kind.name(),
        &act.actor.id,
        &act.actor.name,
        change.action,
        change.target_kind,
        change.target_id,
        change.before,
        change.after,
        &act.request_id,
        act.at.as_micros()
    ];
    tx.execute(INSERT, values).await?;
    Ok(())
}

/// A record, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its id.
    pub id: AuditId,
    /// Whose.
    pub organization_id: OrganizationId,
    /// In which application, if in one.
    pub application_id: Option<ApplicationId>,
    /// By what right somebody acted.
    pub actor_kind: String,
    /// The id of their key, account or mailbox; empty for the product and the command line.
    pub actor_id: String,
    /// What people call it.
    pub actor_name: String,
    /// What happened.
    pub action: String,
    /// The kind of thing.
    pub target_kind: String,
    /// Its id.
    pub target_id: String,
    /// What it was, as a JSON object.
    pub before: Option<String>,
    /// What it is, as a JSON object.
    pub after: Option<String>,
    /// The id of the request; empty if there was none.
    pub request_id: String,
    /// When.
    pub created_at: UnixMicros,
}

/// Whose records are meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// An application's.
    Application(ApplicationId),
    /// An organization's, with those of all its applications.
    Organization(OrganizationId),
}

/// Which records a page shows: the newest `limit` of those from `first` to before `end`.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// Whose.
    pub of: Of,
    /// Of what, if of one thing only.
    pub target_id: Option<&'a str>,
    /// The first id that is shown.
    pub first: Option<AuditId>,
    /// The first id that is not shown any more.
    pub end: Option<AuditId>,
    /// How many at most.
    pub limit: usize,
}

macro_rules! list {
    ($whose:literal) => {
        concat!(
            "SELECT id, organization_id, application_id, actor_kind, actor_id, actor_name, action, target_kind, \
             target_id, before, after, request_id, created_at FROM audit WHERE ",
            $whose,
            " AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4"
        )
    };
}

pub(crate) const LIST_OF_APPLICATION: &str = list!("application_id = $1");
pub(crate) const LIST_OF_ORGANIZATION: &str = list!("organization_id = $1");
pub(crate) const LIST_TARGET_OF_APPLICATION: &str = list!("application_id = $1 AND target_id = $5");
pub(crate) const LIST_TARGET_OF_ORGANIZATION: &str = list!("organization_id = $1 AND target_id = $5");

/// Records, newest first.
pub async fn list(reader: &mut Reader<'_>, page: &Page<'_>) -> Result<Vec<Record>, StoreError> {
    let whose = match page.of {
        Of::Application(id) => id.uuid(),
        Of::Organization(id) => id.uuid(),
    };
    let first = page.first.map_or(Uuid::nil(), AuditId::uuid);
    let end = page.end.map_or(Uuid::max(), AuditId::uuid);
    let limit = page.limit as i64;
    let rows = match (page.of, page.target_id) {
        (Of::Application(_), None) => reader.query(LIST_OF_APPLICATION, params![whose, first, end, limit]).await?,
        (Of::Organization(_), None) => reader.query(LIST_OF_ORGANIZATION, params![whose, first, end, limit]).await?,
        (Of::Application(_), Some(target)) => {
            reader.query(LIST_TARGET_OF_APPLICATION, params![whose, first, end, limit, target]).await?
        }
        (Of::Organization(_), Some(target)) => {
            reader.query(LIST_TARGET_OF_ORGANIZATION, params![whose, first, end, limit, target]).await?
        }
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Record, DbError> {
    Ok(Record {
        id: AuditId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        application_id: row.opt_uuid(2)?.map(ApplicationId::from_uuid),
        actor_kind: row.text(3)?,
        actor_id: row.text(4)?,
        actor_name: row.text(5)?,
        action: row.text(6)?,
        target_kind: row.text(7)?,
        target_id: row.text(8)?,
        before: row.opt_text(9)?,
        after: row.opt_text(10)?,
        request_id: row.text(11)?,
        created_at: UnixMicros::from_micros(row.int(12)?),
    })
}
