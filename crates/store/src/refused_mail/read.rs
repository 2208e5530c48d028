//! Reading the refusals of a mailbox, newest first.

use crate::db::{DbError, Row};
use crate::engine::Reader;
use crate::error::StoreError;
use crate::params;
use postfleet_core::UnixMicros;
use postfleet_core::id::{EvaluationId, GrantId, RefusalId};
use uuid::Uuid;

/// A refusal, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Its id.
    pub id: RefusalId,
    /// The mailbox.
    pub grant_id: GrantId,
    /// Where on its way the message was: `rcpt` or `data`.
    pub stage: String,
    /// What became of it: `refused`, `deferred` or `dropped`.
    pub outcome: String,
    /// Why, in a word.
    pub code: String,
    /// Why, in a sentence.
    pub message: String,
    /// The envelope sender; empty for the null reverse path.
    pub sender: String,
    /// The author whom the message names, if it was there and names one.
    pub author: Option<String>,
    /// The address that was written to.
    pub recipient: String,
    /// Its Message-ID, if it was there and has one.
    pub message_id_header: Option<String>,
    /// Its octets, or those that its sender declared.
    pub octets: Option<u64>,
    /// Where its client connected from.
    pub ip: Option<String>,
    /// Whose limit it was.
    pub scope: Option<String>,
    /// The limit.
    pub maximum: Option<u64>,
    /// What the message has, or what of the limit was used.
    pub used: Option<u64>,
    /// When it is whole again.
    pub resets_at: Option<UnixMicros>,
    /// What the rules said, if it was they.
    pub evaluation_id: Option<EvaluationId>,
    /// How many refusals it stands for.
    pub times: u64,
    /// The first of them.
    pub at: UnixMicros,
    /// The last of them.
    pub last_at: UnixMicros,
}

/// Which refusals a page shows.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Of which mailbox.
    pub grant_id: GrantId,
    /// Of which envelope sender or author, if of one only: an address in the spelling of records.
    pub sender: Option<&'a str>,
    /// For which reason, if for one only.
    pub code: Option<&'a str>,
    /// The first id that is not shown any more.
    pub before: Option<RefusalId>,
    /// How many at most.
    pub limit: usize,
}

// Of one mailbox and day there is a bounded number of them, so that what is passed over is bounded, too.
pub(crate) const LIST: &str = "SELECT r.id, r.grant_id, r.stage, r.outcome, r.code, r.message, r.sender, r.author, \
    r.recipient, r.message_id_header, r.octets, r.ip, r.scope, r.maximum, r.used, r.resets_at, r.evaluation_id, r.times, \
    r.at, r.last_at FROM refused_mail r WHERE r.grant_id = $1 AND r.id < $2 AND ($4 = '' OR r.sender = $4 OR r.author = $4) \
    AND ($5 = '' OR r.code = $5) ORDER BY r.id DESC LIMIT $3";

/// Refusals of a mailbox, newest first.
pub async fn list(reader: &mut Reader<'_>, page: Page<'_>) -> Result<Vec<Refused>, StoreError> {
    let before = page.before.map_or(Uuid::max(), RefusalId::uuid);
    let (sender, code) = (page.sender.unwrap_or_default(), page.code.unwrap_or_default());
    let values = params![page.grant_id.uuid(), before, page.limit as i64, sender, code];
    let rows = reader.query(LIST, values).await?;
    Ok(rows.iter().map(read).collect::<Result<_, DbError>>()?)
}

fn read(row: &Row) -> Result<Refused, DbError> {
    let number = |column| Ok::<_, DbError>(row.opt_int(column)?.map(|number| number.max(0) as u64));
    Ok(Refused {
        id: RefusalId::from_uuid(row.uuid(0)?),
        grant_id: GrantId::from_uuid(row.uuid(1)?),
        stage: row.text(2)?,
        outcome: row.text(3)?,
        code: row.text(4)?,
        message: row.text(5)?,
        sender: row.text(6)?,
        author: row.opt_text(7)?,
        recipient: row.text(8)?,
        message_id_header: row.opt_text(9)?,
        octets: number(10)?,
        ip: row.opt_text(11)?,
        scope: row.opt_text(12)?,
        maximum: number(13)?,
        used: number(14)?,
        resets_at: row.opt_int(15)?.map(UnixMicros::from_micros),
        evaluation_id: row.opt_uuid(16)?.map(EvaluationId::from_uuid),
        times: row.count(17)?,
        at: UnixMicros::from_micros(row.int(18)?),
        last_at: UnixMicros::from_micros(row.int(19)?),
    })
}
