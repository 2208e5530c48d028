//! Reading the ledger of outcomes as people ask about it, and removing what is old. Each list is read backwards in an index
//! of ids (of the message, the mailbox or the application); what else is asked for is looked for among a bounded number of
//! rows, so that no question reads the whole ledger.

use crate::db::DbError;
use crate::engine::{Command, Reader, Tx};
use crate::error::StoreError;
use crate::params;
use crate::send_events::{SendEvent, ids_of, read, send_event_columns};
use postfleet_core::UnixMicros;
use postfleet_core::bounce::{BounceClass, BounceType};
use postfleet_core::id::{ApplicationId, GrantId, MessageId, SendEventId, ThreadId};
use postfleet_core::send_event::SendEventKind;
use uuid::Uuid;

/// Rows that one page looks at, if it is asked for what no index leads to.
pub const LOOKED_AT_MAX: usize = 10_000;

/// Which outcomes are wanted; of texts that are empty and what is absent any.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Whose.
    pub application_id: ApplicationId,
    /// Of this mailbox, which may be gone.
    pub grant_id: Option<GrantId>,
    /// Of this message.
    pub message_id: Option<MessageId>,
    /// Of this thread.
    pub thread_id: Option<ThreadId>,
    /// One of these.
    pub kinds: Vec<SendEventKind>,
    /// Failures of this class.
    pub class: Option<BounceClass>,
    /// Of this recipient, in lower case.
    pub recipient: String,
    /// Of recipients of this domain.
    pub recipient_domain: String,
    /// Sent from this domain.
    pub sending_domain: String,
    /// Sent from this address, in lower case.
    pub from: String,
    /// Not before this.
    pub since: UnixMicros,
    /// Before this.
    pub before: SendEventId,
}

/// A page, newest first.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was found.
    pub events: Vec<SendEvent>,
    /// Before which id the next page goes on.
    pub next: Option<SendEventId>,
}

macro_rules! page {
    ($of:literal) => {
        concat!(
            "SELECT ",
            send_event_columns!(),
            " FROM ",
            ids_of!($of, "$15"),
            " CROSS JOIN send_events WHERE id = ids.found AND ($4 = '' OR $4 LIKE '%,' || kind || ',%') \
             AND ($5 = '' OR $5 LIKE '%,' || bounce || ',%') AND ($6 = '' OR lower(recipient) = $6) \
             AND ($7 = '' OR recipient_domain = $7) AND ($8 = '' OR sender_domain = $8) \
             AND ($9 = '' OR lower(sender) = $9) AND (grant_id = $10 OR CAST($11 AS {int}) = 0) \
             AND (thread_id = $12 OR CAST($13 AS {int}) = 0) ORDER BY ids.found DESC LIMIT $14"
        )
    };
}

pub(crate) const OF_APPLICATION: &str = page!("application_id");
pub(crate) const OF_GRANT: &str = page!("grant_id");
pub(crate) const OF_MESSAGE: &str = page!("message_id");

macro_rules! last_looked_at {
    ($of:literal) => {
        concat!("SELECT found FROM ", ids_of!($of, "$5"), " ORDER BY found DESC LIMIT 1 OFFSET $4")
    };
}

pub(crate) const LAST_OF_APPLICATION: &str = last_looked_at!("application_id");
pub(crate) const LAST_OF_GRANT: &str = last_looked_at!("grant_id");
pub(crate) const LAST_OF_MESSAGE: &str = last_looked_at!("message_id");

/// A page of what is wanted. It may have fewer than `limit`, and none, while there is a next one: then as many rows were
/// looked at as one page looks at (`looked_at_max`).
pub async fn list(
    reader: &mut Reader<'_>,
    filter: &Filter,
    limit: usize,
    looked_at_max: usize,
) -> Result<Found, StoreError> {
    let (page, last_looked_at, of) = match (filter.message_id, filter.grant_id) {
        (Some(message), _) => (OF_MESSAGE, LAST_OF_MESSAGE, message.uuid()),
        (None, Some(grant)) => (OF_GRANT, LAST_OF_GRANT, grant.uuid()),
        (None, None) => (OF_APPLICATION, LAST_OF_APPLICATION, filter.application_id.uuid()),
    };
    if !is_of_application(reader, filter).await? {
        return Ok(Found { events: Vec::new(), next: None });
    }
    let (before, since) = (filter.before.uuid(), SendEventId::first_at(filter.since).uuid());
    let floor = match filter.looks_for_more() {
        true => {
            let skipped = looked_at_max.saturating_sub(1) as i64;
            let row = reader.query_one(last_looked_at, params![of, before, since, skipped, skipped + 1]).await?;
            row.map(|row| row.uuid(0)).transpose()?
        }
        false => None,
    };
    let names = |list: Vec<String>| if list.is_empty() { String::new() } else { format!(",{},", list.join(",")) };
    let kinds = names(filter.kinds.iter().map(|kind| kind.number().to_string()).collect());
    let of_class = |kind: &BounceType| Some(kind.class()) == filter.class;
    let bounces = names(BounceType::ALL.iter().filter(|kind| of_class(kind)).map(|kind| kind.name().into()).collect());
    let values = params![
        of,
        before,
        floor.unwrap_or(since),
        &kinds,
        &bounces,
        &filter.recipient,
        &filter.recipient_domain,
        &filter.sending_domain,
        &filter.from,
        filter.grant_id.map_or(Uuid::nil(), GrantId::uuid),
        filter.grant_id.is_some(),
        filter.thread_id.map_or(Uuid::nil(), ThreadId::uuid),
        filter.thread_id.is_some(),
        limit as i64 + 1,
        if filter.looks_for_more() { looked_at_max.max(limit + 1) } else { limit + 1 } as i64
    ];
    let rows = reader.query(page, values).await?;
    let mut events = rows.iter().map(read).collect::<Result<Vec<_>, DbError>>()?;
    let has_more = events.len() > limit;
    events.truncate(limit);
    let next = match events.last() {
        Some(last) if has_more => Some(last.id),
        _ => floor.map(SendEventId::from_uuid),
    };
    Ok(Found { events, next })
}

impl Filter {
    /// Whether something is wanted to which no index leads.
    fn looks_for_more(&self) -> bool {
        let Self { kinds, class, recipient, recipient_domain, sending_domain, from, thread_id, .. } = self;
        let texts = [recipient, recipient_domain, sending_domain, from];
        let of_grant = self.message_id.is_some() && self.grant_id.is_some();
        !kinds.is_empty()
            || class.is_some()
            || thread_id.is_some()
            || of_grant
            || texts.iter().any(|text| !text.is_empty())
    }
}

macro_rules! any {
    ($of:literal) => {
        concat!(
            "SELECT application_id FROM ",
            ids_of!($of, "1"),
            " CROSS JOIN send_events WHERE id = ids.found LIMIT 1"
        )
    };
}

/// Whether what is named is the application's: all outcomes of a mailbox and of a message are of one application.
async fn is_of_application(reader: &mut Reader<'_>, filter: &Filter) -> Result<bool, StoreError> {
    const ANY_OF_GRANT: &str = any!("grant_id");
    const ANY_OF_MESSAGE: &str = any!("message_id");
    let (sql, id) = match (filter.message_id, filter.grant_id) {
        (Some(message), _) => (ANY_OF_MESSAGE, message.uuid()),
        (None, Some(grant)) => (ANY_OF_GRANT, grant.uuid()),
        (None, None) => return Ok(true),
    };
    let row = reader.query_one(sql, params![id, Uuid::max(), Uuid::nil()]).await?;
    Ok(row.map(|row| row.uuid(0)).transpose()? == Some(filter.application_id.uuid()))
}

/// One outcome of an application.
pub async fn find(
    reader: &mut Reader<'_>,
    application: ApplicationId,
    id: SendEventId,
) -> Result<Option<SendEvent>, StoreError> {
    const FIND: &str =
        concat!("SELECT ", send_event_columns!(), " FROM send_events WHERE id = $1 AND application_id = $2");
    let row = reader.query_one(FIND, params![id.uuid(), application.uuid()]).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// Removes outcomes of before a time, the oldest first; none that is not in the sums.
#[derive(Clone, Copy, Debug)]
pub struct PruneActivity {
    /// Older ones go.
    pub before: UnixMicros,
    /// How many at once.
    pub limit: usize,
}

/// The last of the oldest.
pub(crate) const OLDEST: &str = "SELECT id FROM (SELECT e.id FROM send_events e WHERE e.id < $1 \
    AND e.id <= (SELECT last FROM send_sums_head WHERE one = 1) ORDER BY e.id LIMIT $2) AS oldest ORDER BY id DESC LIMIT 1";

macro_rules! prune_of {
    ($of:literal) => {
        concat!(
            "DELETE FROM send_events_of WHERE (subject_id, id) IN (SELECT e.",
            $of,
            ", e.id FROM send_events e WHERE e.id <= $1)"
        )
    };
}

pub(crate) const PRUNE_OF: [&str; 3] = [prune_of!("application_id"), prune_of!("grant_id"), prune_of!("message_id")];
pub(crate) const PRUNE: &str = "DELETE FROM send_events WHERE id <= $1";

impl Command for PruneActivity {
    /// How many are gone.
    type Outcome = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, DbError> {
        let first_kept = SendEventId::first_at(self.before).uuid();
        let oldest = tx.query_one(OLDEST, params![first_kept, self.limit as i64]).await?;
        let Some(last) = oldest.map(|row| row.uuid(0)).transpose()? else { return Ok(0) };
        for prune in PRUNE_OF {
            tx.execute(prune, params![last]).await?;
        }
        tx.execute(PRUNE, params![last]).await
    }
}
