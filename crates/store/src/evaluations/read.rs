//! Reading the records of a mailbox, newest first.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{ApplicationId, EvaluationId, GrantId, MessageId, OrganizationId};
use uuid::Uuid;

/// A record, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its id.
    pub id: EvaluationId,
    /// Whose application has the mailbox.
    pub organization_id: OrganizationId,
    /// Which application has it.
    pub application_id: ApplicationId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// The message, if it was kept.
    pub message_id: Option<MessageId>,
    /// When on its way it was judged: `smtp_rcpt`, `inbox_processing` or `outbound_send`.
    pub stage: String,
    /// What the rules looked at, as a JSON object.
    pub input: String,
    /// What was done, as a JSON object.
    pub applied: String,
    /// The rules that matched, as a JSON list of ids.
    pub matched: String,
    /// What rules in shadow mode would have done, as a JSON object.
    pub shadow: String,
    /// When.
    pub evaluated_at: UnixMicros,
}

/// Which records a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// Of which message, if of one only.
    pub message_id: Option<MessageId>,
    /// The first id that is not shown any more.
    pub before: Option<EvaluationId>,
    /// How many at most.
    pub limit: usize,
}

macro_rules! list {
    ($and:literal) => {
        concat!(
            "SELECT e.id, e.organization_id, e.application_id, e.grant_id, e.message_id, e.stage, e.input, e.applied, \
             e.matched, e.shadow, e.evaluated_at FROM rule_evaluations e WHERE e.grant_id = $1 AND e.id < $2 ",
            $and,
            "ORDER BY e.id DESC LIMIT $3"
        )
    };
}

pub(crate) const LIST: &str = list!("");
pub(crate) const LIST_OF_MESSAGE: &str = list!("AND e.message_id = $4 ");

/// Records of a mailbox, newest first.
pub async fn list(reader: &mut Reader<'_>, page: Page) -> Result<Vec<Record>, StoreError> {
    let grant = page.grant_id.uuid();
    let before = page.before.map_or(Uuid::max(), EvaluationId::uuid);
    let limit = page.limit as i64;
    let rows = match page.message_id {
        None => reader.query(LIST, params![grant, before, limit]).await?,
        Some(message) => reader.query(LIST_OF_MESSAGE, params![grant, before, limit, message.uuid()]).await?,
    };
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Record, DbError> {
    Ok(Record {
        id: EvaluationId::from_uuid(row.uuid(0)?),
        organization_id: OrganizationId::from_uuid(row.uuid(1)?),
        application_id: ApplicationId::from_uuid(row.uuid(2)?),
        grant_id: GrantId::from_uuid(row.uuid(3)?),
        message_id: row.opt_uuid(4)?.map(MessageId::from_uuid),
        stage: row.text(5)?,
        input: row.text(6)?,
        applied: row.text(7)?,
        matched: row.text(8)?,
        shadow: row.text(9)?,
        evaluated_at: UnixMicros::from_micros(row.int(10)?),
    })
}
